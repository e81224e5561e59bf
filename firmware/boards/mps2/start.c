// From reset to main: vector table, memory, MPU, and what happens when something goes wrong.
//
// A fault (a bad access, a stack that overflowed, an exception nobody caught, no memory left) is told on
// the line as text, which the frame decoder passes over, and restarts the board, as a watchdog
// would. The third within ten seconds of running halts it instead: it stays off until its next power-on.
// RAM outlives a restart, so the count does; the counters start anew when their magic isn't there.

#include "board.h"

#define AIRCR REGISTER(0xe000ed0c)
#define CPACR REGISTER(0xe000ed88)
#define MPU_CTRL REGISTER(0xe000ed94)
#define MPU_RNR REGISTER(0xe000ed98)
#define MPU_RBAR REGISTER(0xe000ed9c)
#define MPU_RASR REGISTER(0xe000eda0)

#define FAULTS_MAX 3
#define FAULTS_WITHIN_MS 10000

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[];
extern uint32_t stack_top[], stack_bottom[], stack_guard[];
int main(void);
void uart_interrupt(void);
void clock_interrupt(void);

struct counters counters __attribute__((section(".counters")));
// Faults in a row, each soon after its start.
static uint32_t quick_faults __attribute__((section(".noinit")));

void reset_handler(void) __attribute__((noreturn));
static void bad_access(void) __attribute__((noreturn));

// ARMv7-M B1.5: initial stack pointer, 15 system exceptions, then interrupts; 0 and 1 are UART 0's.
__attribute__((section(".vectors"), used)) static const void *const vectors[16 + 32] = {
    [0] = stack_top,
    [1] = (const void *)reset_handler,
    [2 ... 14] = (const void *)bad_access,
    [15] = (const void *)clock_interrupt,
    [17 ... 47] = (const void *)bad_access,
    [16] = (const void *)uart_interrupt,
};

static void start_counters(void) {
  const struct counters before = counters;
  counters = (struct counters){.magic = COUNTERS_MAGIC};
  if (before.magic == COUNTERS_MAGIC) { // what counts from power-on
    counters.boots = before.boots;
    counters.faults = before.faults;
    counters.heap_fails = before.heap_fails;
    counters.heap_wanted = before.heap_wanted;
  } else {
    quick_faults = 0;
  }
  counters.boots++;
  counters.stack_bottom = (uint32_t)stack_bottom;
  counters.stack_top = (uint32_t)stack_top;
}

void reset_handler(void) {
  CPACR |= 0xfu << 20; // floating point, before any code that might use it
  __asm volatile("dsb; isb");
  const uint32_t *from = data_load;
  for (uint32_t *to = data_start; to < data_end;) *to++ = *from++;
  for (uint32_t *to = bss_start; to < bss_end;) *to++ = 0;
  uint32_t *sp = (uint32_t *)__builtin_frame_address(0) - 64;
  for (uint32_t *to = stack_bottom; to < sp;) *to++ = STACK_PAINT;
  start_counters();
  mpu_start();
  clock_start();
  uart_start();
  main();
  board_fault("main ended");
}

void board_reset(void) {
  __asm volatile("dsb");
  AIRCR = 0x05fa0004; // key, SYSRESETREQ
  __asm volatile("dsb");
  for (;;) {
  }
}

void board_fault(const char *what) {
  __asm volatile("cpsid i"); // also from here on no interrupt: whatever is wrong can't get worse
  counters.faults++;
  quick_faults = clock_millis() < FAULTS_WITHIN_MS ? quick_faults + 1 : 1;
  uart_text("\r\nboard fault: ");
  uart_text(what);
  if (quick_faults < FAULTS_MAX) board_reset();
  uart_text("; halted\r\n");
  for (;;) __asm volatile("wfi");
}

// The stack pointer may be what is bad: start over at its top.
__attribute__((naked)) static void bad_access(void) {
  __asm volatile("ldr r0, =stack_top\n"
                 "msr msp, r0\n"
                 "ldr r0, =bad_access_text\n"
                 "b board_fault\n");
}
__attribute__((used)) static const char bad_access_text[] = "a forbidden access";

// PMSAv7 (ARMv7-M B3.5): regions are a power of two long; a higher number wins.
enum { CODE = 0x06020000, DATA = 0x130b0000, FROZEN = 0x16020000, NONE = 0x10000000, DEVICE = 0x13050000 };

static void mpu_region(uint32_t number, uint32_t address, uint32_t log2, uint32_t attributes) {
  MPU_RNR = number;
  MPU_RBAR = address;
  MPU_RASR = attributes | (log2 - 1) << 1 | 1;
}

void mpu_start(void) {
  mpu_region(0, ENGINE_ADDRESS, 19, CODE);
  mpu_region(1, RAM_ADDRESS, 18, DATA);
  mpu_region(2, FLASH_ADDRESS, 19, FROZEN);
  mpu_region(3, ENTROPY_ADDRESS, 12, DATA);
  mpu_region(4, 0x40004000, 12, DEVICE);
  mpu_region(5, (uint32_t)stack_guard, 8, NONE);
  MPU_CTRL = 1; // without a background region; the system registers are always there
  __asm volatile("dsb; isb");
}

void mpu_flash_writable(bool writable) {
  __asm volatile("dsb");
  mpu_region(2, FLASH_ADDRESS, 19, writable ? DATA : FROZEN);
  __asm volatile("dsb; isb");
}
