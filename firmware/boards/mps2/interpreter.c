// Duktape, compiled from Debian's package duktape-dev, and how the agent gets into it.
//
// The agent's bytecode stays in flash: a function loaded here has its constants in the heap and its
// instructions where the linker put them. Duktape takes the end of a function's inner functions for the start of its
// instructions; in build/duktape_in_flash.c (see the Makefile) it is the end of the constants' buffer instead. The
// interpreter's own parts are used below, so this compiles with it in one piece.
//
// What the file holds: scripts/bytecode.mjs. It is made by the build and measured with the engine; nothing here
// checks it.

#include "duktape_in_flash.c"

struct bytecode {
  uint32_t magic, strings, numbers, function; // then offsets of strings, numbers
};

struct function {
  uint32_t instructions;
  uint16_t constants, functions;
  uint16_t registers, args;
  uint32_t flags;
  uint16_t variables, zero;
};

static void push_constant(duk_hthread *thr, const struct bytecode *file, uint32_t index) {
  const uint32_t *offsets = (const uint32_t *)(file + 1);
  if (index < file->strings) {
    duk_push_lstring(thr, (const char *)file + offsets[index], offsets[index + 1] - offsets[index]);
  } else {
    double number;
    memcpy(&number, (const char *)(offsets + file->strings + 1) + 8 * (index - file->strings), 8);
    duk_push_number(thr, number);
  }
}

// The variables that inner functions can see, by name: where each is while the function runs.
static void set_variables(duk_hthread *thr, const struct bytecode *file, const uint16_t *pairs, uint32_t count) {
  if (count == 0) return;
  duk_push_bare_object(thr);
  for (uint32_t at = 0; at < count; at++) {
    push_constant(thr, file, pairs[2 * at]);
    duk_push_uint(thr, pairs[2 * at + 1]);
    duk_put_prop(thr, -3);
  }
  duk_compact(thr, -1);
  duk_xdef_prop_stridx_short(thr, -2, DUK_STRIDX_INT_VARMAP, DUK_PROPDESC_FLAGS_NONE);
}

// Pushes the function; returns where the next one lies. Compare duk_js_push_closure().
static const uint32_t *load_function(duk_hthread *thr, const struct bytecode *file, const uint32_t *at) {
  const struct function *f = (const struct function *)at;
  const uint32_t *code = (const uint32_t *)(f + 1);
  const uint16_t *constants = (const uint16_t *)(code + f->instructions);
  const uint16_t *variables = constants + f->constants;
  const uint32_t *next = code + f->instructions + (f->constants + 2 * f->variables + 1) / 2;

  duk_require_stack(thr, 4 + f->constants + f->functions);
  const duk_idx_t base = duk_get_top(thr);
  duk_hcompfunc *function = duk_push_hcompfunc(thr);
  function->nregs = f->registers;
  function->nargs = f->args;
  DUK_HEAPHDR_SET_FLAGS((duk_heaphdr *)function, f->flags);
  char *data = duk_push_fixed_buffer(thr, f->constants * sizeof(duk_tval) + f->functions * sizeof(duk_hobject *));
  for (uint32_t n = 0; n < f->constants; n++) push_constant(thr, file, constants[n]);
  for (uint32_t n = 0; n < f->functions; n++) next = load_function(thr, file, next);

  // All is reachable from the stack; from here on nothing can fail before it belongs to the function.
  const duk_tval *value = duk_get_tval(thr, base + 2);
  duk_tval *constant = (duk_tval *)data;
  for (uint32_t n = 0; n < f->constants; n++, constant++, value++) {
    *constant = *value;
    DUK_TVAL_INCREF(thr, constant);
  }
  duk_hobject **inner = (duk_hobject **)constant;
  DUK_HCOMPFUNC_SET_FUNCS(thr->heap, function, inner);
  for (uint32_t n = 0; n < f->functions; n++, inner++, value++) {
    *inner = DUK_TVAL_GET_OBJECT(value);
    DUK_HOBJECT_INCREF(thr, *inner);
  }
  duk_hbuffer *buffer = duk_known_hbuffer(thr, base + 1);
  DUK_HCOMPFUNC_SET_DATA(thr->heap, function, buffer);
  DUK_HBUFFER_INCREF(thr, buffer);
  DUK_HCOMPFUNC_SET_BYTECODE(thr->heap, function, (duk_instr_t *)code);
  duk_hobject *global = thr->builtins[DUK_BIDX_GLOBAL_ENV];
  DUK_HCOMPFUNC_SET_LEXENV(thr->heap, function, global);
  DUK_HCOMPFUNC_SET_VARENV(thr->heap, function, global);
  DUK_HOBJECT_INCREF(thr, global);
  DUK_HOBJECT_INCREF(thr, global);
  duk_set_top(thr, base + 1);
  set_variables(thr, file, variables, f->variables);
  return next;
}

// What the agent uses of the built-in objects, and what the interpreter itself looks up by name. The rest, some
// 20 KB of properties and their names, goes before the agent comes. An agent that wants more fails at once.
static const char *const KEPT[] = {
    "Array", "Error", "Float64Array", "Int32Array", "Math", "String", "Uint32Array", "Uint8Array", "globalThis",
    "ceil", "charCodeAt", "concat", "floor", "fromCharCode", "isArray", "max", "min", "push", "set", "subarray",
    "constructor", "length", "message", "name", "prototype", "toString", "undefined", "valueOf",
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

// Once the agent has started: the `length` of its functions, which nobody reads, and room its variables grew into.
void settle(duk_context *ctx) {
  for (duk_heaphdr *at = ctx->heap->heap_allocated; at != NULL; at = DUK_HEAPHDR_GET_NEXT(ctx->heap, at)) {
    if (DUK_HEAPHDR_GET_TYPE(at) != DUK_HTYPE_OBJECT) continue;
    duk_hobject *object = (duk_hobject *)at;
    if (DUK_HOBJECT_IS_COMPFUNC(object))
      duk_hobject_delprop_raw(ctx, object, DUK_HTHREAD_STRING_LENGTH(ctx), DUK_DELPROP_FLAG_FORCE);
    else if (!DUK_HOBJECT_IS_DECENV(object))
      continue;
    duk_hobject_compact_props(ctx, object);
  }
  duk_gc(ctx, DUK_GC_COMPACT);
}

void push_agent(duk_context *ctx, const void *bytecode) {
  const struct bytecode *file = bytecode;
  load_function(ctx, file, (const uint32_t *)((const char *)file + file->function));
}
