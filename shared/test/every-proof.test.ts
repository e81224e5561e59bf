// Every inclusion proof of every tree up to 130 records and every consistency proof between them, and each of these
// with bits bent: in every hash of every proof a few bits; in every proof of the trees in WHOLE every single one.
//
//   VOUCH_EVERY_BIT=1   every bit of every proof: some 28 million checks, which take a quarter of an hour

import { hash } from "node:crypto";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import {
  checkConsistency,
  checkInclusion,
  leafHash,
  memoryReader,
  proveConsistency,
  proveInclusion,
  rootOf,
} from "../src/merkle";
import { isRefusal } from "../src/refusal";

const every = suite("every proof");

Error.stackTraceLimit = 0; // a million refusals, and nobody reads their stacks

const MOST = 130;
const EVERY_BIT = process.env.VOUCH_EVERY_BIT === "1";
/** Sizes around the powers of two, where shapes change, and the smallest: these are bent in each bit. */
const WHOLE = new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 32, 33, 65]);

const crypto = {
  sha256: (bytes: Uint8Array): Uint8Array =>
    Buffer.from(hash("sha256", bytes, "latin1" as "binary"), "latin1"), // half the time of a Buffer at once
};

const LEAVES = Array.from({ length: MOST }, (_, i) => leafHash(utf8Encode(`record ${i}`), crypto));
const READER = memoryReader(LEAVES, crypto);
const ROOTS = Array.from({ length: MOST + 1 }, (_, n) => rootOf(BigInt(n), READER, crypto));

/** Which bits of the hash at this place are bent: all, or four that differ from place to place. */
const bitsAt = (whole: boolean, salt: number): number[] =>
  whole ? Array.from({ length: 256 }, (_, bit) => bit) : [0, 255, (salt * 37) % 256, (salt * 101 + 7) % 256];

/** Bends each of those bits in each hash in turn; `check` must refuse with this code every time. */
function bendAll(proof: Uint8Array[], whole: boolean, salt: number, code: string, check: () => void): number {
  let bent = 0;
  for (const [place, sibling] of proof.entries()) {
    for (const bit of bitsAt(whole, salt + place)) {
      sibling[bit >> 3] = (sibling[bit >> 3] as number) ^ (1 << (bit & 7));
      let refused = "";
      try {
        check();
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refused = error.code;
      }
      sibling[bit >> 3] = (sibling[bit >> 3] as number) ^ (1 << (bit & 7));
      if (refused !== code) assert.unreachable(`place ${place}, bit ${bit}: ${refused || "accepted"}`);
      bent++;
    }
  }
  return bent;
}

every(`every inclusion proof of every tree up to ${MOST}, and each bent`, () => {
  let [proofs, bent] = [0, 0];
  for (let size = 1; size <= MOST; size++)
    for (let index = 0; index < size; index++) {
      const at = BigInt(index);
      const proof = proveInclusion(at, BigInt(size), READER, crypto).map((hash) => hash.slice());
      const check = () =>
        checkInclusion(
          LEAVES[index] as Uint8Array,
          at,
          BigInt(size),
          proof,
          ROOTS[size] as Uint8Array,
          crypto,
        );
      check();
      proofs++;
      bent += bendAll(proof, EVERY_BIT || WHOLE.has(size), size * 131 + index, "inclusion-mismatch", check);
      check();
    }
  assert.is(proofs, (MOST * (MOST + 1)) / 2);
  console.log(`${proofs} inclusion proofs, ${bent} bent`);
});

every(`every consistency proof between trees up to ${MOST}, and each bent`, () => {
  let [proofs, bent] = [0, 0];
  for (let now = 1; now <= MOST; now++)
    for (let old = 0; old <= now; old++) {
      const proof = proveConsistency(BigInt(old), BigInt(now), READER, crypto).map((hash) => hash.slice());
      const check = () =>
        checkConsistency(
          BigInt(old),
          ROOTS[old] as Uint8Array,
          BigInt(now),
          ROOTS[now] as Uint8Array,
          proof,
          crypto,
        );
      check();
      proofs++;
      const whole = EVERY_BIT || (WHOLE.has(now) && (now < 18 || (WHOLE.has(old) && now < 64)));
      bent += bendAll(proof, whole, now * 131 + old, "consistency-mismatch", check);
      check();
    }
  assert.is(proofs, ((MOST + 1) * (MOST + 2)) / 2 - 1);
  console.log(`${proofs} consistency proofs, ${bent} bent`);
});

every.run();
