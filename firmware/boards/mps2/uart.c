// UART 0, a CMSDK APB UART (Arm DDI 0479, section 4.3): received bytes go to a ring by interrupt, sending polls.
//
// The ring holds what may arrive while the agent signs: four messages of 700 bytes on the line
// (firmware/README.md). What doesn't fit is lost, as on any UART, and counted. Sending gives up on
// bytes nobody takes for TX_PATIENCE_MS, so an unplugged host can't stop the board.

#include "board.h"

#define DATA REGISTER(0x40004000)
#define STATE REGISTER(0x40004004)
#define CTRL REGISTER(0x40004008)
#define INTCLEAR REGISTER(0x4000400c)
#define BAUDDIV REGISTER(0x40004010)
#define NVIC_ENABLE REGISTER(0xe000e100)

enum { TX_FULL = 1, RX_FULL = 2 };
enum { TX_ENABLE = 1, RX_ENABLE = 2, RX_INTERRUPT = 8 };

#define RING_BYTES 4096u // a power of two
#define TX_PATIENCE_MS 500

static uint8_t ring[RING_BYTES];
static volatile uint32_t written, taken; // counts; their difference is what is held
static bool is_nobody_there;

void uart_start(void) {
  BAUDDIV = CLOCK_HZ / 115200;
  CTRL = TX_ENABLE | RX_ENABLE | RX_INTERRUPT;
  NVIC_ENABLE = 1;
}

void uart_interrupt(void) {
  INTCLEAR = 2; // first: a byte that comes after the last look at STATE must call again
  while (STATE & RX_FULL) {
    const uint8_t byte = (uint8_t)DATA;
    if (written - taken < RING_BYTES) ring[written++ % RING_BYTES] = byte;
    else counters.rx_lost++;
  }
}

bool uart_pending(void) {
  return written != taken;
}

size_t uart_receive(uint8_t *into, size_t room) {
  size_t count = 0;
  while (count < room && uart_pending()) into[count++] = ring[taken++ % RING_BYTES];
  return count;
}

// Spins count as time too: after a fault the clock stands.
static bool is_room(void) {
  const uint32_t since = clock_millis();
  for (uint32_t spins = 0; STATE & TX_FULL; spins++) {
    if (clock_millis() - since > (is_nobody_there ? 0 : TX_PATIENCE_MS) || spins > 5000000) return false;
  }
  return true;
}

void uart_send(const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length; at++) {
    is_nobody_there = !is_room();
    if (is_nobody_there) {
      counters.tx_lost += length - at;
      return;
    }
    DATA = bytes[at];
  }
}

void uart_text(const char *text) {
  size_t length = 0;
  while (text[length] != 0) length++;
  uart_send((const uint8_t *)text, length);
}
