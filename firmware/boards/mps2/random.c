// Stands for the hardware random number generator a board has, and is none: the emulated machine has
// no source of randomness of its own. Whoever starts the emulator may put one in, as 32 bytes of the host's:
//
//   entropy page   'vrng' │ u32 0 │ state 32
//
// Each draw takes SHA-256("out", state, counter) and moves on to SHA-256("next", state), in place, so no restart
// of the board repeats one. Without the magic the board says it has no generator, and its key comes
// from the enrolment station. As random as those 32 bytes: that is the host's word, not a property of this board.

#include "board.h"

#define MAGIC 0x676e7276u

struct entropy {
  uint32_t magic, reserved;
  uint8_t state[32];
};
static volatile struct entropy *const page = (volatile struct entropy *)ENTROPY_ADDRESS;

bool random_present(void) {
  return page->magic == MAGIC;
}

static void hash_state(const char *tag, uint32_t counter, uint8_t out[32]) {
  struct sha256 s;
  uint8_t state[32];
  for (unsigned at = 0; at < 32; at++) state[at] = page->state[at];
  sha256_init(&s);
  sha256_update(&s, (const uint8_t *)tag, 4);
  sha256_update(&s, state, sizeof state);
  sha256_update(&s, (const uint8_t *)&counter, sizeof counter);
  sha256_final(&s, out);
}

void random_bytes(uint8_t *into, size_t length) {
  uint8_t block[32];
  for (uint32_t counter = 0; counter * 32 < length; counter++) {
    hash_state("out ", counter, block);
    for (unsigned at = 0; at < 32 && counter * 32 + at < length; at++) into[counter * 32 + at] = block[at];
  }
  hash_state("next", 0, block);
  for (unsigned at = 0; at < 32; at++) page->state[at] = block[at];
}
