// The reference board: a Cortex-M4F with 1 MiB of flash and 256 KiB of RAM, as QEMU's mps2-an386 plays it.
//
//   0x00000000  512 KiB  engine    vector table, interpreter, agent, FF …, engine block; read-only
//   0x20000000  256 KiB  RAM       counters │ data │ JS heap │ receive ring │ guard │ C stack
//   0x21000000  244 KiB  slot 0    1 KiB of manifest, payload
//   0x2103d000  244 KiB  slot 1
//   0x2107a000    8 KiB  store     two halves of one sector
//   0x21100000    4 KiB  entropy   stands for a random number generator; random.c
//   0x40004000    4 KiB  UART 0
//
// The emulated machine has far more memory. The MPU gives the rest away: what isn't in this
// picture faults, writing to the engine faults, and flash is writable only inside flash.c.

#ifndef BOARD_H
#define BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB 1024u

#define ENGINE_ADDRESS 0x00000000u
#define ENGINE_BYTES (512u * KIB)

#define RAM_ADDRESS 0x20000000u
#define RAM_BYTES (256u * KIB)

#define SECTOR_BYTES (4u * KIB)
#define WRITE_BYTES 4u
#define SLOT_BYTES (61u * SECTOR_BYTES)
#define SLOT0_ADDRESS 0x21000000u
#define SLOT1_ADDRESS (SLOT0_ADDRESS + SLOT_BYTES)
#define STORE_ADDRESS (SLOT1_ADDRESS + SLOT_BYTES)
#define STORE_BYTES (2u * SECTOR_BYTES)
#define FLASH_ADDRESS SLOT0_ADDRESS
#define FLASH_BYTES (2u * SLOT_BYTES + STORE_BYTES)
#define ENTROPY_ADDRESS 0x21100000u

#define CLOCK_HZ 25000000u

#define REGISTER(address) (*(volatile uint32_t *)(address))

// What the bench reads through QEMU's monitor, at the start of RAM. Nothing on the serial line shows it.
// scripts/board.mjs knows this order.
struct counters {
  uint32_t magic; // 'vbrd'
  uint32_t heap_size, heap_used, heap_peak, heap_fails;
  uint32_t stack_bottom, stack_top; // painted with STACK_PAINT below the deepest use
  uint32_t boots;                   // since power on
  uint32_t boot_ms;                 // from reset to the agent's first tick
  uint32_t rx_lost, tx_lost;
  uint32_t flash_programs, flash_erases, flash_refusals;
  uint32_t faults;
  uint32_t heap_boot;   // used once the agent has started
  uint32_t heap_wanted; // the size of the last allocation that failed
  uint32_t rows_read, rows_lost; // of the sensors' FIFOs
};
extern struct counters counters;
#define COUNTERS_MAGIC 0x64726276u
#define STACK_PAINT 0xa5a5a5a5u

// start.c
void board_reset(void) __attribute__((noreturn));
void board_fault(const char *what) __attribute__((noreturn)); // says so on the line, then restarts; the third time halts
void mpu_start(void);
void mpu_flash_writable(bool writable);

// uart.c
void uart_start(void);
size_t uart_receive(uint8_t *into, size_t room);
bool uart_pending(void);
void uart_send(const uint8_t *bytes, size_t length);
void uart_text(const char *text);

// clock.c
void clock_start(void);
uint32_t clock_millis(void); // wraps after 49 days: for waits
uint64_t clock_ticks(void);  // doesn't
uint64_t clock_cycles(void); // of CLOCK_HZ
void clock_wait(void);       // for an interrupt
uint64_t clock_idle(void);   // cycles spent so

// sensors.c
struct sensor_channel {
  uint32_t code, unit;
  int32_t exponent;
};
struct sensor_group {
  uint32_t kind, period, channel_count;
  const struct sensor_channel *channels;
};
struct sensor_rows {
  uint64_t ticks;
  uint32_t lost, rows;
};
#define SENSOR_ROW_MAX 8u // channels of a group
void sensors_interrupt(void);
const struct sensor_group *sensors_groups(uint32_t *count);
void sensors_sample(uint32_t mask);
struct sensor_rows sensors_read(uint32_t group, uint32_t max, int32_t *into); // room for max rows

// flash.c: false when refused, and then nothing has changed
bool flash_readable(uint32_t address, uint32_t length);
bool flash_program(uint32_t address, const uint8_t *bytes, uint32_t length);
bool flash_erase(uint32_t address, uint32_t length);

// sha256.c
struct sha256 {
  uint32_t state[8];
  uint64_t length;
  uint8_t block[64];
};
void sha256_block(uint32_t state[8], const uint8_t block[64]);
void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const uint8_t *bytes, size_t length);
void sha256_final(struct sha256 *s, uint8_t digest[32]);

// random.c
bool random_present(void);
void random_bytes(uint8_t *into, size_t length);

// heap.c
void heap_start(void);
void *heap_alloc(void *unused, size_t size);
void *heap_realloc(void *unused, void *at, size_t size);
void heap_free(void *unused, void *at);

#endif
