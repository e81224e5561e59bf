// Milliseconds since start, by SysTick (ARMv7-M B3.3), and how often 32 bits of them were full.

#include "board.h"

#define SYST_CSR REGISTER(0xe000e010)
#define SYST_RVR REGISTER(0xe000e014)
#define SYST_CVR REGISTER(0xe000e018)

static volatile uint32_t millis, turns;

void clock_start(void) {
  SYST_RVR = CLOCK_HZ / 1000 - 1;
  SYST_CVR = 0;
  SYST_CSR = 7; // processor clock, interrupt, on
}

void clock_interrupt(void) {
  if (++millis == 0) turns++;
  sensors_interrupt();
}

uint32_t clock_millis(void) {
  return millis;
}

uint64_t clock_ticks(void) {
  for (;;) {
    const uint32_t high = turns, low = millis;
    if (high == turns) return (uint64_t)high << 32 | low;
  }
}

// A tick may be under way that isn't counted yet: then the counter has begun anew.
uint64_t clock_cycles(void) {
  for (;;) {
    const uint64_t before = clock_ticks();
    const uint32_t left = SYST_CVR;
    if (before == clock_ticks()) return before * (CLOCK_HZ / 1000) + (CLOCK_HZ / 1000 - 1 - left);
  }
}

static uint64_t idle;

void clock_wait(void) {
  const uint64_t since = clock_cycles();
  __asm volatile("wfi");
  idle += clock_cycles() - since;
}

uint64_t clock_idle(void) {
  return idle;
}
