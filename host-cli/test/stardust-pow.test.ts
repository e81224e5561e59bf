// Work for blocks: TIP-12's vector, recordings of a real node, and IOTA's own slow way to count.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { B1T6, Curl, PowHelper } from "@iota/crypto.js";
import { blake2b256 } from "@vouch/shared/hash";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startSearch } from "../src/ledger/pow-search";
import { isWorkedFor, type Work, workOn, zerosFor } from "../src/ledger/stardust-pow";

const pow = suite("proof of work");

const nonceBytes = (nonce: bigint) => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, nonce, true);
  return bytes;
};

/** Counted by IOTA's library. */
function zerosOf(digest: Uint8Array, nonce: bigint): number {
  const trits = new Int8Array(Curl.HASH_LENGTH);
  B1T6.encode(trits, B1T6.encode(trits, 0, digest), nonceBytes(nonce));
  const curl = new Curl();
  curl.absorb(trits, 0, Curl.HASH_LENGTH);
  return PowHelper.trinaryTrailingZeros(curl.rate());
}

function search(digest: Uint8Array, zeros: number, start: bigint): bigint {
  const begun = startSearch({ digest, zeros, start });
  for (;;) {
    const found = begun.next();
    if (found !== null) return found;
  }
}

// TIP-12, the example in its test vectors.
const MESSAGE = new TextEncoder().encode("Hello, World!");
const NONCE = 12297829382473049694n;

pow("TIP-12's vector: digest, nine zeros, and a score of 937", () => {
  const digest = blake2b256(MESSAGE);
  assert.is(
    Buffer.from(digest).toString("hex"),
    "511bc81dde11180838c562c82bb35f3223f46061ebde4a955c27b3f489cf1e03",
  );
  assert.is(search(digest, 9, NONCE & ~255n), NONCE);
  const block = new Uint8Array([...MESSAGE, ...nonceBytes(NONCE)]);
  assert.ok(isWorkedFor(block, 937));
  assert.not(isWorkedFor(block, 938));
});

pow("what is found is the first nonce with so many zeros, by IOTA's own way to count", () => {
  for (let round = 0; round < 8; round++) {
    const digest = randomBytes(32);
    const start = randomBytes(8).readBigUInt64LE() & ~255n;
    const found = search(digest, 3, start);
    for (let nonce = start; nonce < found; nonce++) assert.ok(zerosOf(digest, nonce) < 3, `${nonce}`);
    assert.ok(zerosOf(digest, found) >= 3);
  }
});

pow("a block that a real node took, and one that it called insufficient", () => {
  const recorded = (name: string): Uint8Array => {
    const path = `shared/vectors/published/stardust/exchanges/${name}.json`;
    return Buffer.from(JSON.parse(readFileSync(path, "utf8")).request.body.base64, "base64");
  };
  const good = recorded("pow100-post-raw-sufficient");
  assert.ok(isWorkedFor(good, 100));
  assert.is(search(blake2b256(good.subarray(0, -8)), zerosFor(good.length, 100), 28_672n), 28_795n);
  assert.not(isWorkedFor(recorded("pow100-post-raw-insufficient"), 100));
  assert.not(isWorkedFor(recorded("pow100-post-raw-nonce-0"), 100));
});

pow("as many zeros as a score takes, also where a logarithm errs", () => {
  for (const [length, score, zeros] of [
    [355, 1500, 13],
    [243, 1, 5], // Math.log(243) / Math.log(3) is 4.999…
    [243, 3, 6],
    [244, 1, 6],
    [1, 1, 0],
    [32_768, 4_294_967_295, 30],
  ] as const) {
    assert.is(zerosFor(length, score), zeros, `${length} bytes, score ${score}`);
    assert.ok(3 ** zeros / length >= score && (zeros === 0 || 3 ** (zeros - 1) / length < score));
  }
});

pow("threads of the built command find a nonce, tell of it, and are gone", async () => {
  const block = new Uint8Array(randomBytes(400));
  const told: Work[] = [];
  const worked = await workOn(block, { score: 20, limitMs: 60_000, onWork: (work) => void told.push(work) });
  assert.ok(worked !== null && isWorkedFor(worked, 20));
  assert.equal(worked.subarray(0, -8), block.subarray(0, -8));
  assert.ok(told.at(-1)!.over && told.at(-1)!.tried > 0);
  assert.is(told.at(-1)!.expected, 3 ** zerosFor(400, 20));
});

pow("work that takes too long ends without a result", async () => {
  assert.is(await workOn(randomBytes(400), { score: 4_000_000_000, limitMs: 300 }), null);
});

pow.run();
