// The board's side of firmware/src/ports/native.ts: the host functions, the agent, and the loop.
//
// The agent lies in flash as Duktape bytecode that the build made with Debian's `duk`. It is
// evaluated once: that is the boot. From then on bytes from the line go to agentReceive, and agentTick runs
// when it asked to. An exception that gets here is a fault of the board (start.c).

#include "board.h"
#include "duktape.h"

#define CHUNK_BYTES 512
// Of the interpreter's own stack, taken while the heap is in one piece: growing it later would need the old one and
// the new one side by side.
#define STACK_VALUES 300

extern const uint8_t agent_bytecode[];
// interpreter.c
void drop_unused(duk_context *ctx);
void push_agent(duk_context *ctx, const void *bytecode);
void rest_agent(duk_context *ctx);

static bool is_resetting;

static const uint8_t *flash_at(duk_context *ctx, uint32_t address, uint32_t length) {
  if (!flash_readable(address, length)) (void)duk_range_error(ctx, "no flash there");
  const uint8_t *at = (const uint8_t *)address;
  __asm volatile("" : "+r"(at)); // the engine starts at address 0, which C takes for nowhere
  return at;
}

static uint8_t *push_bytes(duk_context *ctx, uint32_t length) {
  uint8_t *bytes = duk_push_fixed_buffer(ctx, length);
  duk_push_buffer_object(ctx, -1, 0, length, DUK_BUFOBJ_UINT8ARRAY);
  duk_remove(ctx, -2);
  return bytes;
}

static void copy(uint8_t *to, const uint8_t *from, uint32_t length) {
  for (uint32_t at = 0; at < length; at++) to[at] = from[at];
}

static void push_region(duk_context *ctx, uint32_t address, uint32_t length) {
  duk_push_object(ctx);
  duk_push_uint(ctx, address);
  duk_put_prop_string(ctx, -2, "address");
  duk_push_uint(ctx, length);
  duk_put_prop_string(ctx, -2, "length");
}

static duk_ret_t host_layout(duk_context *ctx) {
  duk_push_object(ctx);
  push_region(ctx, ENGINE_ADDRESS, ENGINE_BYTES);
  duk_put_prop_string(ctx, -2, "engine");
  duk_push_array(ctx);
  push_region(ctx, SLOT0_ADDRESS, SLOT_BYTES);
  duk_put_prop_index(ctx, -2, 0);
  push_region(ctx, SLOT1_ADDRESS, SLOT_BYTES);
  duk_put_prop_index(ctx, -2, 1);
  duk_put_prop_string(ctx, -2, "slots");
  push_region(ctx, STORE_ADDRESS, STORE_BYTES);
  duk_push_uint(ctx, SECTOR_BYTES);
  duk_put_prop_string(ctx, -2, "sectorSize");
  duk_put_prop_string(ctx, -2, "store");
  duk_push_uint(ctx, WRITE_BYTES);
  duk_put_prop_string(ctx, -2, "writeSize");
  return 1;
}

static duk_ret_t host_write(duk_context *ctx) {
  duk_size_t length;
  const uint8_t *bytes = duk_require_buffer_data(ctx, 0, &length);
  uart_send(bytes, length);
  return 0;
}

static duk_ret_t host_millis(duk_context *ctx) {
  duk_push_number(ctx, (double)clock_ticks());
  return 1;
}

static duk_ret_t host_read_flash(duk_context *ctx) {
  const uint32_t length = duk_require_uint(ctx, 1);
  const uint8_t *from = flash_at(ctx, duk_require_uint(ctx, 0), length);
  copy(push_bytes(ctx, length), from, length);
  return 1;
}

static duk_ret_t host_write_flash(duk_context *ctx) {
  duk_size_t length;
  const uint8_t *bytes = duk_require_buffer_data(ctx, 1, &length);
  if (!flash_program(duk_require_uint(ctx, 0), bytes, length)) (void)duk_error(ctx, DUK_ERR_ERROR, "program refused");
  return 0;
}

static duk_ret_t host_erase_flash(duk_context *ctx) {
  if (!flash_erase(duk_require_uint(ctx, 0), duk_require_uint(ctx, 1)))
    (void)duk_error(ctx, DUK_ERR_ERROR, "erase refused");
  return 0;
}

static duk_ret_t host_hash_flash(duk_context *ctx) {
  duk_size_t prefix_length;
  const uint8_t *prefix = duk_require_buffer_data(ctx, 0, &prefix_length);
  const uint32_t length = duk_require_uint(ctx, 2);
  const uint8_t *from = flash_at(ctx, duk_require_uint(ctx, 1), length);
  struct sha256 s;
  sha256_init(&s);
  sha256_update(&s, prefix, prefix_length);
  sha256_update(&s, from, length);
  sha256_final(&s, push_bytes(ctx, 32));
  return 1;
}

static duk_ret_t host_sha256(duk_context *ctx) {
  duk_size_t words, length;
  uint32_t *h = duk_require_buffer_data(ctx, 0, &words);
  const uint8_t *bytes = duk_require_buffer_data(ctx, 1, &length);
  const uint32_t at = duk_require_uint(ctx, 2);
  if (words != 32 || length < 64 || at > length - 64) (void)duk_range_error(ctx, "no block there");
  sha256_block(h, bytes + at);
  return 0;
}

static duk_ret_t host_random(duk_context *ctx) {
  const uint32_t length = duk_require_uint(ctx, 0);
  random_bytes(push_bytes(ctx, length), length);
  return 1;
}

static void put_number(duk_context *ctx, const char *name, double number) {
  duk_push_number(ctx, number);
  duk_put_prop_string(ctx, -2, name);
}

static void push_group(duk_context *ctx, const struct sensor_group *group) {
  duk_push_object(ctx);
  put_number(ctx, "kind", group->kind);
  put_number(ctx, "code", 0);
  put_number(ctx, "period", group->period);
  duk_push_array(ctx);
  for (uint32_t at = 0; at < group->channel_count; at++) {
    duk_push_object(ctx);
    put_number(ctx, "code", group->channels[at].code);
    put_number(ctx, "unit", group->channels[at].unit);
    put_number(ctx, "exponent", group->channels[at].exponent);
    duk_put_prop_index(ctx, -2, at);
  }
  duk_put_prop_string(ctx, -2, "channels");
}

static duk_ret_t host_sensors(duk_context *ctx) {
  uint32_t count;
  const struct sensor_group *groups = sensors_groups(&count);
  duk_push_array(ctx);
  for (uint32_t at = 0; at < count; at++) {
    push_group(ctx, groups + at);
    duk_put_prop_index(ctx, -2, at);
  }
  return 1;
}

static duk_ret_t host_sample(duk_context *ctx) {
  sensors_sample(duk_require_uint(ctx, 0));
  return 0;
}

// Numbers of the rows come first, so that memory is taken only for rows that there are.
#define ROWS_AT_ONCE 128u
static duk_ret_t host_read_sensor(duk_context *ctx) {
  uint32_t count;
  const uint32_t group = duk_require_uint(ctx, 0);
  const struct sensor_group *groups = sensors_groups(&count);
  if (group >= count) (void)duk_range_error(ctx, "no such sensor");
  int32_t values[ROWS_AT_ONCE];
  const uint32_t width = groups[group].channel_count, room = ROWS_AT_ONCE / width;
  const uint32_t max = duk_require_uint(ctx, 1);
  const struct sensor_rows rows = sensors_read(group, max < room ? max : room, values);
  const uint32_t length = rows.rows * width * sizeof *values;
  duk_push_object(ctx);
  put_number(ctx, "ticks", (double)rows.ticks);
  put_number(ctx, "lost", rows.lost);
  copy(duk_push_fixed_buffer(ctx, length), (const uint8_t *)values, length);
  duk_push_buffer_object(ctx, -1, 0, length, DUK_BUFOBJ_INT32ARRAY);
  duk_remove(ctx, -2);
  duk_put_prop_string(ctx, -2, "values");
  return 1;
}

static duk_ret_t host_reset(duk_context *ctx) {
  (void)ctx;
  is_resetting = true;
  return 0;
}

static const duk_function_list_entry HOST[] = {
    {"hostLayout", host_layout, 0},         {"hostWrite", host_write, 1},
    {"hostMillis", host_millis, 0},         {"hostReadFlash", host_read_flash, 2},
    {"hostWriteFlash", host_write_flash, 2}, {"hostEraseFlash", host_erase_flash, 2},
    {"hostHashFlash", host_hash_flash, 3},  {"hostReset", host_reset, 0},
    {"hostSha256", host_sha256, 3},
    {"hostSensors", host_sensors, 0},       {"hostSample", host_sample, 1},
    {"hostReadSensor", host_read_sensor, 2},
    {NULL, NULL, 0},
};

static void fatal(void *unused, const char *message) {
  (void)unused;
  board_fault(message == NULL ? "out of memory" : message);
}

// The result of the call stays on the stack.
static void call(duk_context *ctx, duk_idx_t arguments) {
  if (duk_pcall(ctx, arguments) != DUK_EXEC_SUCCESS) board_fault(duk_safe_to_string(ctx, -1));
}

// Light: a value, and no object of its own.
static void put_function(duk_context *ctx, const char *name, duk_c_function function, duk_idx_t arguments) {
  duk_push_c_lightfunc(ctx, function, arguments, arguments, 0);
  duk_put_prop_string(ctx, -2, name);
}

// Leaves what evaluating the agent gave.
static duk_ret_t evaluate(duk_context *ctx, void *unused) {
  (void)unused;
  drop_unused(ctx);
  duk_push_global_object(ctx);
  for (const duk_function_list_entry *f = HOST; f->key != NULL; f++) put_function(ctx, f->key, f->value, f->nargs);
  if (random_present()) put_function(ctx, "hostRandom", host_random, 1);
  duk_pop(ctx);
  push_agent(ctx, agent_bytecode);
  duk_call(ctx, 0);
  duk_pop(ctx);
  return 1; // the owner of the agent's variables
}

static duk_context *start_agent(void) {
  heap_start();
  duk_context *ctx = duk_create_heap(heap_alloc, heap_realloc, heap_free, NULL, fatal);
  if (ctx == NULL) board_fault("no room for the interpreter");
  duk_require_stack(ctx, STACK_VALUES);
  if (duk_safe_call(ctx, evaluate, NULL, 0, 1) != DUK_EXEC_SUCCESS) board_fault(duk_safe_to_string(ctx, -1));
  rest_agent(ctx);
  duk_gc(ctx, DUK_GC_COMPACT);
  return ctx; // the owner of the agent's variables stays on the stack
}

static void receive(duk_context *ctx) {
  uint8_t chunk[CHUNK_BYTES];
  const size_t length = uart_receive(chunk, sizeof chunk);
  duk_get_global_string(ctx, "agentReceive");
  copy(push_bytes(ctx, length), chunk, length);
  call(ctx, 1);
  duk_pop(ctx);
}

static uint32_t tick(duk_context *ctx) {
  duk_get_global_string(ctx, "agentTick");
  call(ctx, 0);
  const uint32_t wait = duk_to_uint32(ctx, -1);
  duk_pop(ctx);
  return wait;
}

int main(void) {
  duk_context *ctx = start_agent();
  counters.boot_ms = clock_millis();
  counters.heap_boot = counters.heap_used;
  for (;;) {
    const uint32_t wait = tick(ctx), since = clock_millis();
    if (is_resetting) board_reset();
    while (!uart_pending() && clock_millis() - since < wait) clock_wait();
    rest_agent(ctx);
    while (uart_pending()) receive(ctx);
    rest_agent(ctx);
  }
}
