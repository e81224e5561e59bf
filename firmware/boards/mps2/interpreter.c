// Duktape, compiled from Debian's package duktape-dev, and how the agent gets into it.
//
//   flash   instructions, lengths, the bytes of longer strings
//   heap    slots (8 bytes each), and of the functions that were called: an object, its constants, their strings
//
// The agent's bytecode stays in flash (scripts/bytecode.mjs says what the file holds; it is made by the build and
// measured with the engine, so nothing here checks it). A slot is an outermost variable of the agent. One that is a
// declared function starts as that function's place in flash, and becomes an object when it is first used
// (slots.c); between two calls of the agent, rest_agent() makes the reverse of it when the heap is short.
//
// The interpreter's own parts are used below, so this compiles with it in one piece; the lines that the build
// changes in it are in the Makefile. Duktape takes the end of a function's inner functions for the start of its
// instructions; here it is the end of the constants' buffer instead. And the executor knows our instructions.

#include "board.h"
#include "duktape.h"

// Outermost variables. In a buffer that belongs to a function nobody calls, as constants do: the collector
// marks them there, and the buffer never moves.
static union duk_double_union *slots; // duk_tval
static void load_slot(duk_context *thr, union duk_double_union *slot);

#include "duktape_in_flash.c"

struct bytecode {
  uint32_t magic, strings, numbers, slots, function;
  uint32_t offsets[]; // of strings, and of their end; then of slots' functions; numbers
};

#define STARTS 1u // in the offset of a slot's function: the slot starts with it

struct function {
  uint32_t instructions;
  uint16_t constants, functions;
  uint16_t registers, args;
  uint32_t flags;
  uint16_t variables, zero;
};

static const struct bytecode *file;

static const uint32_t *slot_starts(void) {
  return file->offsets + file->strings + 1;
}

static const struct function *function_at(uint32_t offset) {
  return (const struct function *)((const char *)file + offset);
}

static void push_constant(duk_hthread *thr, uint32_t index) {
  const uint32_t *offsets = file->offsets;
  if (index < file->strings) {
    duk_push_lstring(thr, (const char *)file + offsets[index], offsets[index + 1] - offsets[index] - 1);
  } else {
    double number;
    memcpy(&number, (const char *)(slot_starts() + file->slots) + 8 * (index - file->strings), 8);
    duk_push_number(thr, number);
  }
}

// The variables that inner functions can see, by name: where each is while the function runs.
static void set_variables(duk_hthread *thr, const uint16_t *pairs, uint32_t count) {
  if (count == 0) return;
  duk_push_bare_object(thr);
  for (uint32_t at = 0; at < count; at++) {
    push_constant(thr, pairs[2 * at]);
    duk_push_uint(thr, pairs[2 * at + 1]);
    duk_put_prop(thr, -3);
  }
  duk_compact(thr, -1);
  duk_xdef_prop_stridx_short(thr, -2, DUK_STRIDX_INT_VARMAP, DUK_PROPDESC_FLAGS_NONE);
}

// Pushes a function with room for constants, each undefined, and takes over so many inner functions from the stack
// before it. Every step leaves what the collector may walk: the function owns its buffer only when all in it is set.
static duk_tval *push_function(duk_hthread *thr, uint32_t constants, uint32_t functions) {
  duk_hcompfunc *function = duk_push_hcompfunc(thr);
  duk_tval *data = duk_push_fixed_buffer(thr, constants * sizeof(duk_tval) + functions * sizeof(duk_hobject *));
  duk_hobject **inner = (duk_hobject **)(data + constants);
  for (uint32_t n = 0; n < constants; n++) DUK_TVAL_SET_UNDEFINED(data + n);
  for (uint32_t n = 0; n < functions; n++) {
    inner[n] = duk_known_hobject(thr, (duk_idx_t)n - (duk_idx_t)functions - 2);
    DUK_HOBJECT_INCREF(thr, inner[n]);
  }
  duk_hbuffer *buffer = duk_known_hbuffer(thr, -1);
  DUK_HCOMPFUNC_SET_FUNCS(thr->heap, function, inner);
  DUK_HCOMPFUNC_SET_DATA(thr->heap, function, buffer);
  DUK_HBUFFER_INCREF(thr, buffer);
  duk_pop(thr);
  return data;
}

// Pushes the function; returns where the next one lies. Compare duk_js_push_closure(). Can throw when the heap is
// full; what was made by then is reachable from the stack alone, and goes with it.
static const struct function *load_function(duk_hthread *thr, const struct function *f) {
  const uint32_t *code = (const uint32_t *)(f + 1);
  const uint16_t *constants = (const uint16_t *)(code + f->instructions);
  const uint16_t *variables = constants + f->constants;
  const void *next = code + f->instructions + (f->constants + 2 * f->variables + 1) / 2;

  duk_require_stack(thr, 5 + f->functions);
  const duk_idx_t base = duk_get_top(thr);
  for (uint32_t n = 0; n < f->functions; n++) next = load_function(thr, next);
  duk_tval *data = push_function(thr, f->constants, f->functions);
  duk_hcompfunc *function = (duk_hcompfunc *)duk_known_hobject(thr, -1);
  function->nregs = f->registers;
  function->nargs = f->args;
  DUK_HEAPHDR_SET_FLAGS((duk_heaphdr *)function, f->flags);
  DUK_HCOMPFUNC_SET_BYTECODE(thr->heap, function, (duk_instr_t *)code);
  duk_hobject *global = thr->builtins[DUK_BIDX_GLOBAL_ENV];
  DUK_HCOMPFUNC_SET_LEXENV(thr->heap, function, global);
  DUK_HCOMPFUNC_SET_VARENV(thr->heap, function, global);
  DUK_HOBJECT_INCREF(thr, global);
  DUK_HOBJECT_INCREF(thr, global);
  for (uint32_t n = 0; n < f->constants; n++) {
    push_constant(thr, constants[n]);
    DUK_TVAL_SET_TVAL_UPDREF(thr, data + n, duk_get_tval(thr, -1));
    duk_pop(thr);
  }
  if (f->functions > 0) duk_replace(thr, base);
  duk_set_top(thr, base + 1);
  set_variables(thr, variables, f->variables);
  return next;
}

// Functions that only their slot holds go back to flash: what runs is on the stack as well. Loading one does that when
// the heap has grown past `rest_above`, which then moves so far up that what runs now isn't loaded again
// and again; the board does it between two calls of the agent. It may do so at any time: a slot that the agent gave
// another value is left alone, as is a function that has properties.
#define REST_ABOVE (44u * KIB) // at rest the heap has less
#define REST_AGAIN (2u * KIB)
static uint32_t rest_above = REST_ABOVE;

// Beside the `length` that comes with a function expression.
static bool has_properties(duk_hthread *thr, duk_hobject *object) {
  const uint32_t count = DUK_HOBJECT_GET_ENEXT(object);
  if (count != 1) return count > 1;
  return DUK_HOBJECT_E_GET_KEY(thr->heap, object, 0) != DUK_HTHREAD_STRING_LENGTH(thr);
}

static void drop_functions(duk_hthread *thr) {
  const uint32_t *starts = slot_starts();
  for (uint32_t n = 0; n < file->slots; n++) {
    if (starts[n] == 0 || !DUK_TVAL_IS_OBJECT(slots + n)) continue;
    const struct function *f = function_at(starts[n] & ~STARTS);
    duk_hobject *object = DUK_TVAL_GET_OBJECT(slots + n);
    if (!DUK_HOBJECT_IS_COMPFUNC(object) || DUK_HEAPHDR_GET_REFCOUNT(&object->hdr) > 1) continue;
    if (has_properties(thr, object)) continue;
    if ((const void *)DUK_HCOMPFUNC_GET_BYTECODE(thr->heap, (duk_hcompfunc *)object) != f + 1) continue;
    DUK_TVAL_SET_POINTER(slots + n, (void *)f);
    DUK_HOBJECT_DECREF(thr, object);
  }
  rest_above = REST_ABOVE;
  if (counters.heap_used + REST_AGAIN > rest_above) rest_above = counters.heap_used + REST_AGAIN;
}

void rest_agent(duk_context *ctx) {
  if (counters.heap_used > rest_above) drop_functions(ctx);
}

// At the first use of a function: slots.c.
static void load_slot(duk_hthread *thr, duk_tval *slot) {
  if (counters.heap_used > rest_above) drop_functions(thr);
  load_function(thr, DUK_TVAL_GET_POINTER(slot));
  DUK_TVAL_SET_TVAL_UPDREF(thr, slot, duk_get_tval(thr, -1));
  duk_pop(thr);
}

// What the agent uses of the built-in objects, and what the interpreter itself looks up by name. The rest, some
// 20 KB of properties and their names, goes before the agent comes. An agent that wants more fails at once.
static const char *const KEPT[] = {
    "Array", "Error", "Float64Array", "Int32Array", "Math", "String", "Uint32Array", "Uint8Array", "globalThis",
    "ceil", "charCodeAt", "concat", "floor", "fromCharCode", "isArray", "max", "min", "push", "set", "subarray",
    "length", "message", "name", "prototype", "toString", "undefined", "valueOf",
};

static duk_bool_t is_kept(const char *name) {
  for (size_t at = 0; at < sizeof KEPT / sizeof *KEPT; at++) {
    if (strcmp(name, KEPT[at]) == 0) return 1;
  }
  return 0;
}

void drop_unused(duk_context *ctx) {
  for (int number = 0; number < DUK_NUM_BUILTINS; number++) {
    duk_hobject *object = ctx->builtins[number];
    if (object == NULL || number == DUK_BIDX_GLOBAL_ENV) continue;
    duk_push_hobject(ctx, object);
    duk_enum(ctx, -1, DUK_ENUM_OWN_PROPERTIES_ONLY | DUK_ENUM_INCLUDE_NONENUMERABLE | DUK_ENUM_NO_PROXY_BEHAVIOR);
    while (duk_next(ctx, -1, 0)) {
      if (!is_kept(duk_get_string(ctx, -1)))
        duk_hobject_delprop_raw(ctx, object, duk_known_hstring(ctx, -1), DUK_DELPROP_FLAG_FORCE);
      duk_pop(ctx);
    }
    duk_pop(ctx);
    duk_compact(ctx, -1);
    duk_pop(ctx);
  }
  duk_gc(ctx, DUK_GC_COMPACT);
}

// Leaves the owner of the slots on the stack, for good, and the outermost code above it.
void push_agent(duk_context *ctx, const void *bytecode) {
  file = bytecode;
  slots = push_function(ctx, file->slots, 0);
  const uint32_t *starts = slot_starts();
  for (uint32_t n = 0; n < file->slots; n++) {
    if (starts[n] & STARTS) DUK_TVAL_SET_POINTER(slots + n, (void *)function_at(starts[n] & ~STARTS));
  }
  load_function(ctx, function_at(file->function));
}
