// NOR flash, by its rules: erasing sets whole sectors to FF, programming clears bits in words that are
// erased, and each word is programmed once. What breaks a rule is refused before anything changes.
//
// The cells are RAM of the emulator, kept in a file, which the MPU holds read-only but for the moments
// in here. Words are written one after the other in order, so a power cut leaves what it would on a
// part: all words up to one, none after it.

#include "board.h"

#define ERASED 0xffffffffu

static bool is_inside(uint32_t address, uint32_t length, uint32_t start, uint32_t size) {
  return address >= start && address - start <= size && length <= size - (address - start);
}

bool flash_readable(uint32_t address, uint32_t length) {
  return is_inside(address, length, ENGINE_ADDRESS, ENGINE_BYTES) ||
         is_inside(address, length, FLASH_ADDRESS, FLASH_BYTES);
}

static bool refuse(void) {
  counters.flash_refusals++;
  return false;
}

static uint32_t word_at(const uint8_t *bytes) {
  return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

bool flash_program(uint32_t address, const uint8_t *bytes, uint32_t length) {
  if (!is_inside(address, length, FLASH_ADDRESS, FLASH_BYTES)) return refuse();
  if (address % WRITE_BYTES != 0 || length % WRITE_BYTES != 0) return refuse();
  volatile uint32_t *cells = (volatile uint32_t *)address;
  for (uint32_t at = 0; at < length / WRITE_BYTES; at++) {
    if (cells[at] != ERASED) return refuse();
  }
  mpu_flash_writable(true);
  for (uint32_t at = 0; at < length / WRITE_BYTES; at++) cells[at] &= word_at(bytes + at * WRITE_BYTES);
  mpu_flash_writable(false);
  counters.flash_programs++;
  return true;
}

bool flash_erase(uint32_t address, uint32_t length) {
  if (!is_inside(address, length, FLASH_ADDRESS, FLASH_BYTES)) return refuse();
  if (address % SECTOR_BYTES != 0 || length % SECTOR_BYTES != 0) return refuse();
  volatile uint32_t *cells = (volatile uint32_t *)address;
  mpu_flash_writable(true);
  for (uint32_t at = 0; at < length / WRITE_BYTES; at++) cells[at] = ERASED;
  mpu_flash_writable(false);
  counters.flash_erases++;
  return true;
}
