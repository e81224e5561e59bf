// Looks for a nonce, 32 at a time: the work of TIP-12, bit by bit instead of trit by trit.
//
//   input    b1t6(digest) ‖ b1t6(nonce, little endian) ‖ 0 0 0      192 + 48 + 3 = 243 trits
//   wanted   zeros at the end of the 243 trits of Curl-P-81(input)
//
//   trit     low  high          bit i of both words is the trit of the i-th nonce:
//    −1       1    0            two words hold one trit of 32 hashes, and each new
//     0       1    1            trit of all of them is seven machine instructions
//     1       0    1
//
// b1t6 (TIP-5) writes a byte, taken as −128 to 127, as six trits of balanced ternary, the lowest first. Curl-P-81
// mixes 729 trits 81 times over, each new trit out of two old ones. The 32 nonces differ in their lowest byte only.
// 200 kH/s a core where IOTA's own JavaScript does 1 (measured); what is found here is believed only once that agrees.

const HASH = 243;
const STATE = 729;
const ROUNDS = 81;
const LANES = 32;
const DIGEST_TRITS = 192;
/** Nonces at a call: some tens of milliseconds. */
const SLICE = 128 * LANES;

export interface Search {
  /** 32 bytes. */
  readonly digest: Uint8Array;
  readonly zeros: number;
  /** Divisible by 256. Not 0: a node takes nonce 0 for a request to work. */
  readonly start: bigint;
}

/** All six trits of each byte. */
const TRITS: readonly (readonly number[])[] = Array.from({ length: 256 }, (_, byte) => {
  let rest = byte < 128 ? byte : byte - 256;
  return Array.from({ length: 6 }, () => {
    const trit = rest % 3 === 2 ? -1 : rest % 3 === -2 ? 1 : Math.sign(rest % 3);
    rest = (rest - trit) / 3;
    return trit;
  });
});

/** Tries a slice of nonces at each call; gives the one found, or null. */
export function startSearch({ digest, zeros, start }: Search): { tried(): number; next(): bigint | null } {
  const low = new Int32Array(STATE);
  const high = new Int32Array(STATE);
  const nextLow = new Int32Array(STATE);
  const nextHigh = new Int32Array(STATE);
  let tried = 0;

  function setByte(place: number, byte: number): void {
    TRITS[byte]!.forEach((trit, i) => {
      low[place + i] = trit === 1 ? 0 : -1;
      high[place + i] = trit === -1 ? 0 : -1;
    });
  }

  function fill(): void {
    for (let i = 0; i < digest.length; i++) setByte(6 * i, digest[i]!);
    const nonce = start + BigInt(tried);
    for (let i = 0n; i < 8n; i++) setByte(DIGEST_TRITS + 6 * Number(i), Number((nonce >> (8n * i)) & 255n));
    for (let i = 0; i < 6; i++) {
      let [lows, highs] = [0, 0];
      for (let lane = 0; lane < LANES; lane++) {
        const trit = TRITS[(tried + lane) % 256]![i]!;
        if (trit !== 1) lows |= 1 << lane;
        if (trit !== -1) highs |= 1 << lane;
      }
      low[DIGEST_TRITS + i] = lows;
      high[DIGEST_TRITS + i] = highs;
    }
    low.fill(-1, DIGEST_TRITS + 48); // the three zeros, and a state that begins as zeros
    high.fill(-1, DIGEST_TRITS + 48);
  }

  return {
    tried: () => tried,
    next() {
      for (const end = tried + SLICE; tried < end; tried += LANES) {
        fill();
        mix(low, high, nextLow, nextHigh);
        let found = -1; // lanes whose trits are 0 so far
        for (let i = HASH - zeros; i < HASH; i++) found &= nextLow[i]! & nextHigh[i]!;
        if (found === 0) continue;
        const nonce = start + BigInt(tried + 31 - Math.clz32(found & -found));
        tried += LANES;
        return nonce;
      }
      return null;
    },
  };
}

/** 81 rounds, an odd number: what began in the first pair of arrays ends in the second. */
function mix(low: Int32Array, high: Int32Array, nextLow: Int32Array, nextHigh: Int32Array): void {
  mixOnce(low, high, nextLow, nextHigh);
  for (let round = 1; round < ROUNDS; round += 2) {
    mixOnce(nextLow, nextHigh, low, high);
    mixOnce(low, high, nextLow, nextHigh);
  }
}

/** New trit i comes of the old ones at 364·i and 364·(i + 1), modulo 729: 0, 364, 728, 363, 727, … two a step. */
function mixOnce(low: Int32Array, high: Int32Array, toLow: Int32Array, toHigh: Int32Array): void {
  let aLow = low[0]!;
  let aHigh = high[0]!;
  let bLow = low[364]!;
  let bHigh = high[364]!;
  let change = (aLow | ~bHigh) & (bLow ^ aHigh);
  toLow[0] = ~change;
  toHigh[0] = (aLow ^ bHigh) | change;
  for (let i = 1, at = 364; i < STATE; i += 2) {
    aLow = low[at + 364]!;
    aHigh = high[at + 364]!;
    change = (bLow | ~aHigh) & (aLow ^ bHigh);
    toLow[i] = ~change;
    toHigh[i] = (bLow ^ aHigh) | change;
    at--;
    bLow = low[at]!;
    bHigh = high[at]!;
    change = (aLow | ~bHigh) & (bLow ^ aHigh);
    toLow[i + 1] = ~change;
    toHigh[i + 1] = (aLow ^ bHigh) | change;
  }
}
