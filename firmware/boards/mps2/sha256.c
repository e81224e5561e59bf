// SHA-256 (FIPS 180-4 section 6.2), over memory, any number of calls.

#include "board.h"

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, unsigned by) {
  return x >> by | x << (32 - by);
}

void sha256_block(uint32_t state[8], const uint8_t block[64]) {
  uint32_t w[64];
  for (unsigned t = 0; t < 16; t++) {
    const uint8_t *p = block + 4 * t;
    w[t] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  }
  for (unsigned t = 16; t < 64; t++) {
    const uint32_t x = w[t - 15], y = w[t - 2];
    const uint32_t s0 = rotate(x, 7) ^ rotate(x, 18) ^ x >> 3;
    const uint32_t s1 = rotate(y, 17) ^ rotate(y, 19) ^ y >> 10;
    w[t] = w[t - 16] + s0 + w[t - 7] + s1;
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (unsigned t = 0; t < 64; t++) {
    const uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t];
    const uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  state[0] += a, state[1] += b, state[2] += c, state[3] += d;
  state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256_init(struct sha256 *s) {
  *s = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                                 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_update(struct sha256 *s, const uint8_t *bytes, size_t length) {
  while (length > 0) {
    const size_t held = s->length % 64;
    if (held == 0 && length >= 64) { // whole blocks straight from flash
      sha256_block(s->state, bytes);
      bytes += 64, length -= 64, s->length += 64;
    } else {
      s->block[held] = *bytes++;
      length--, s->length++;
      if (held == 63) sha256_block(s->state, s->block);
    }
  }
}

void sha256_final(struct sha256 *s, uint8_t digest[32]) {
  const uint64_t bits = s->length * 8;
  const uint8_t one = 0x80, zero = 0;
  sha256_update(s, &one, 1);
  while (s->length % 64 != 56) sha256_update(s, &zero, 1);
  uint8_t length[8];
  for (unsigned at = 0; at < 8; at++) length[at] = (uint8_t)(bits >> (56 - 8 * at));
  sha256_update(s, length, 8);
  for (unsigned at = 0; at < 32; at++) digest[at] = (uint8_t)(s->state[at / 4] >> (24 - 8 * (at % 4)));
}
