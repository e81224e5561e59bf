// Curl-P-81 over 32 nonces at once, for the fake node's proof of work (TIP-12):
//
//   score = 3 ^ (zero trits at the end of curl( b1t6(BLAKE2b-256(block less nonce)) | b1t6(nonce) | 000 )) / bytes
//
// A trit is a bit in two words: -1 is (1, 0), 0 is (1, 1), 1 is (0, 1); bit i belongs to nonce i.

import { blake2b256 } from "@vouch/shared/hash";

const STATE = 729;
const HASH = 243;
const ROUNDS = 81;
const LANES = 32;

/** Six balanced trits, the least significant first, of each byte taken as signed. */
function b1t6(bytes: Uint8Array): number[] {
  return [...bytes].flatMap((byte) => {
    let value = byte > 127 ? byte - 256 : byte;
    return Array.from({ length: 6 }, () => {
      const trit = ((((value + 1) % 3) + 3) % 3) - 1;
      value = (value - trit) / 3;
      return trit;
    });
  });
}

function transform(lo: Int32Array, hi: Int32Array): [Int32Array, Int32Array] {
  let from: [Int32Array, Int32Array] = [lo, hi];
  let to: [Int32Array, Int32Array] = [new Int32Array(STATE), new Int32Array(STATE)];
  for (let round = 0; round < ROUNDS; round++) {
    const [l, h] = from;
    const [nextLo, nextHi] = to;
    for (let i = 0, at = 0; i < STATE; i++) {
      const then = at < 365 ? at + 364 : at - 365;
      const alpha = l[at]!;
      const gamma = h[then]!;
      const delta = (alpha | ~gamma) & (l[then]! ^ h[at]!);
      nextLo[i] = ~delta;
      nextHi[i] = (alpha ^ gamma) | delta;
      at = then;
    }
    [from, to] = [to, from];
  }
  return from;
}

/** Zero trits at the end of the hash, for each of 32 nonces from `start` on. */
function zeros(digest: readonly number[], start: bigint): number[] {
  const [lo, hi] = [new Int32Array(STATE).fill(-1), new Int32Array(STATE).fill(-1)]; // zeros
  const put = (at: number, lane: number, trit: number) => {
    if (trit === 1) lo[at]! &= ~(1 << lane);
    if (trit === -1) hi[at]! &= ~(1 << lane);
  };
  const nonce = Buffer.alloc(8);
  for (let lane = 0; lane < LANES; lane++) {
    nonce.writeBigUInt64LE(BigInt.asUintN(64, start + BigInt(lane)));
    for (const [at, trit] of [...digest, ...b1t6(nonce)].entries()) put(at, lane, trit);
  }
  const [outLo, outHi] = transform(lo, hi);
  return Array.from({ length: LANES }, (_, lane) => {
    let count = 0;
    while (count < HASH && (outLo[HASH - 1 - count]! & outHi[HASH - 1 - count]! & (1 << lane)) !== 0) count++;
    return count;
  });
}

const digestOf = (block: Uint8Array) => b1t6(blake2b256(block.subarray(0, -8)));
const nonceOf = (block: Uint8Array) => Buffer.from(block.subarray(-8)).readBigUInt64LE();

export const powScore = (block: Uint8Array) => 3 ** zeros(digestOf(block), nonceOf(block))[0]! / block.length;

/** The same block with a nonce that is worth `score`; lets others run in between. */
export async function work(block: Uint8Array, score: number): Promise<Buffer> {
  const digest = digestOf(block);
  const done = Buffer.from(block);
  for (let start = 1n; ; start += BigInt(LANES)) {
    const lane = zeros(digest, start).findIndex((count) => 3 ** count / block.length >= score);
    if (lane >= 0) {
      done.writeBigUInt64LE(start + BigInt(lane), done.length - 8);
      return done;
    }
    if ((start - 1n) % 1024n === 0n) await new Promise((turn) => setImmediate(turn));
  }
}
