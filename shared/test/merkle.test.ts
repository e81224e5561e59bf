import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { equalBytes, fromBase64, fromHex, toHex, utf8Encode } from "../src/bytes";
import {
  checkConsistency,
  checkInclusion,
  emptyRoot,
  type HashReader,
  InclusionChecker,
  leafHash,
  memoryReader,
  nodeHash,
  proveConsistency,
  proveInclusion,
  rootFromInclusion,
  rootOf,
} from "../src/merkle";
import { isRefusal } from "../src/refusal";
import { testCrypto } from "./keys";
import { flips, refusal } from "./vectors";

const merkle = suite("merkle");

const LEAVES = Array.from({ length: 101 }, (_, i) => leafHash(utf8Encode(`record ${i}`), testCrypto));
const READER = memoryReader(LEAVES, testCrypto);

/** RFC 6962 section 2.1, word for word. */
function naiveRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return testCrypto.sha256(new Uint8Array(0));
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return nodeHash(naiveRoot(leaves.slice(0, k)), naiveRoot(leaves.slice(k)), testCrypto);
}

const ROOTS = Array.from({ length: 102 }, (_, n) => naiveRoot(LEAVES.slice(0, n)));

/** One hash with one bit changed, a different one for every place in the proof. */
const bend = (hash: Uint8Array, i: number): Uint8Array => {
  const bent = hash.slice();
  bent[(i * 7) % 32]! ^= 1 << (i % 8);
  return bent;
};

const replaced = (list: readonly Uint8Array[], at: number, hash: Uint8Array): Uint8Array[] =>
  list.map((each, i) => (i === at ? hash : each));

merkle("roots of the reference log of Certificate Transparency", () => {
  const records = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
  ];
  const leaves = records.map((record) => leafHash(fromHex(record)!, testCrypto));
  const roots = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
  ];
  const reader = memoryReader(leaves, testCrypto);
  assert.equal(
    roots.map((_, i) => toHex(rootOf(BigInt(i + 1), reader, testCrypto))),
    roots,
  );
  assert.is(toHex(emptyRoot(testCrypto)), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

interface Row {
  leafIdx: string;
  treeSize: string;
  root: string | null;
  leafHash: string | null;
  proof: string[] | null;
  desc: string;
  wantErr: boolean;
  file: string;
}

// Indices pass 2^53, where JSON.parse would round them: they are read as text.
const published = readFileSync(
  new URL("../vectors/published/transparency-dev-merkle/inclusion.json", import.meta.url),
  "utf8",
);
const rows = (
  JSON.parse(published.replace(/"(leafIdx|treeSize)": ([0-9]+)/g, '"$1": "$2"')) as { cases: Row[] }
).cases;

merkle("inclusion.json has its 98 rows, of which 92 must fail", () => {
  assert.is(rows.length, 98);
  assert.is(rows.filter((row) => row.wantErr).length, 92);
});

for (const row of rows)
  merkle(`inclusion.json: ${row.file}: ${row.wantErr ? "is refused" : "checks"}`, () => {
    const bytes = (text: string | null) => fromBase64(text ?? "")!;
    const check = () =>
      checkInclusion(
        bytes(row.leafHash),
        BigInt(row.leafIdx),
        BigInt(row.treeSize),
        (row.proof ?? []).map(bytes),
        bytes(row.root),
        testCrypto,
      );
    if (row.wantErr) assert.throws(check, isRefusal);
    else check();
  });

merkle(
  "every record of every tree up to 100 is proved; any bit of its proof, leaf or root bent, it isn't",
  () => {
    for (let n = 1; n <= 100; n++) {
      const size = BigInt(n);
      const root = rootOf(size, READER, testCrypto);
      assert.ok(equalBytes(root, ROOTS[n]!), `root of ${n}`);
      for (let i = 0; i < n; i++) {
        const index = BigInt(i);
        const leaf = LEAVES[i]!;
        const proof = proveInclusion(index, size, READER, testCrypto);
        checkInclusion(leaf, index, size, proof, root, testCrypto);
        const mismatch = refusal("inclusion-mismatch");
        proof.forEach((hash, at) => {
          const bent = replaced(proof, at, bend(hash, at + i));
          assert.throws(
            () => checkInclusion(leaf, index, size, bent, root, testCrypto),
            mismatch,
            `${i} of ${n}`,
          );
        });
        assert.throws(() => checkInclusion(bend(leaf, i), index, size, proof, root, testCrypto), mismatch);
        assert.throws(() => checkInclusion(leaf, index, size, proof, bend(root, i), testCrypto), mismatch);
      }
    }
  },
);

merkle("a proof is good for one index and one size only, and never longer or shorter", () => {
  for (let n = 1; n <= 20; n++)
    for (let i = 0; i < n; i++) {
      const proof = proveInclusion(BigInt(i), BigInt(n), READER, testCrypto);
      for (let j = 0; j <= 21; j++)
        if (j !== i)
          assert.throws(
            () => checkInclusion(LEAVES[i]!, BigInt(j), BigInt(n), proof, ROOTS[n]!, testCrypto),
            isRefusal,
            `${i} of ${n} as ${j}`,
          );
      const malformed = refusal("malformed-proof");
      const check = (list: readonly Uint8Array[]) =>
        checkInclusion(LEAVES[i]!, BigInt(i), BigInt(n), list, ROOTS[n]!, testCrypto);
      assert.throws(() => check([...proof, LEAVES[0]!]), malformed);
      assert.throws(() => check([LEAVES[0]!, ...proof]), malformed);
      if (proof.length > 0) assert.throws(() => check(proof.slice(1)), malformed);
    }
});

merkle("every tree up to 60 is proved a prefix of every later one; any bit bent, it isn't", () => {
  const mismatch = refusal("consistency-mismatch");
  for (let n = 1; n <= 60; n++)
    for (let m = 1; m <= n; m++) {
      const [old, now] = [BigInt(m), BigInt(n)];
      const check = (list: readonly Uint8Array[], oldRoot = ROOTS[m]!, newRoot = ROOTS[n]!) =>
        checkConsistency(old, oldRoot, now, newRoot, list, testCrypto);
      const proof = proveConsistency(old, now, READER, testCrypto);
      check(proof);
      proof.forEach((hash, at) => {
        assert.throws(() => check(replaced(proof, at, bend(hash, at + m))), mismatch, `${m} to ${n}`);
      });
      assert.throws(() => check(proof, bend(ROOTS[m]!, m)), mismatch);
      assert.throws(() => check(proof, ROOTS[m]!, bend(ROOTS[n]!, n)), mismatch);
      assert.throws(() => check([...proof, LEAVES[0]!]), refusal("malformed-proof"));
      if (proof.length > 0) assert.throws(() => check(proof.slice(1)), refusal("malformed-proof"));
    }
});

merkle("the empty tree is a prefix of every tree, by an empty proof and its own root only", () => {
  const check = (oldRoot: Uint8Array, now: bigint, newRoot: Uint8Array, proof: Uint8Array[] = []) =>
    checkConsistency(0n, oldRoot, now, newRoot, proof, testCrypto);
  assert.equal(proveConsistency(0n, 5n, READER, testCrypto), []);
  check(ROOTS[0]!, 5n, ROOTS[5]!);
  check(ROOTS[0]!, 0n, ROOTS[0]!);
  assert.throws(() => check(ROOTS[1]!, 5n, ROOTS[5]!), refusal("consistency-mismatch"));
  assert.throws(() => check(ROOTS[0]!, 0n, ROOTS[1]!), refusal("consistency-mismatch"));
  assert.throws(() => check(ROOTS[0]!, 5n, ROOTS[5]!, [LEAVES[0]!]), refusal("malformed-proof"));
});

const leaf = LEAVES[0]!;
for (const [name, index, size, proof] of [
  ["a tree of size 0", 0n, 0n, []],
  ["a negative size", 0n, -1n, []],
  ["a negative index", -1n, 4n, [leaf, leaf]],
  ["an index equal to the size", 4n, 4n, [leaf, leaf]],
  ["an index far beyond the size", 2n ** 64n - 1n, 4n, [leaf, leaf]],
  ["a size of 2^63", 0n, 2n ** 63n, Array.from({ length: 63 }, () => leaf)],
  ["a hash of 31 bytes", 0n, 2n, [leaf.subarray(1)]],
  ["a hash of 33 bytes", 0n, 2n, [new Uint8Array(33)]],
] as const) {
  merkle(`an inclusion proof is refused for: ${name}`, () => {
    assert.throws(() => rootFromInclusion(leaf, index, size, proof, testCrypto), refusal("malformed-proof"));
  });
}

for (const [name, old, now, proof] of [
  ["an older tree that is larger", 5n, 4n, []],
  ["a negative size", -1n, 4n, []],
  ["a size of 2^63", 1n, 2n ** 63n, Array.from({ length: 63 }, () => leaf)],
  ["a hash of 31 bytes", 1n, 2n, [leaf.subarray(1)]],
] as const)
  merkle(`a consistency proof is refused for: ${name}`, () => {
    assert.throws(
      () => checkConsistency(old, leaf, now, leaf, proof, testCrypto),
      refusal("malformed-proof"),
    );
  });

merkle("a leaf or root that isn't 32 bytes is refused", () => {
  const short = leaf.subarray(1);
  assert.throws(() => checkInclusion(short, 0n, 1n, [], leaf, testCrypto), refusal("malformed-proof"));
  assert.throws(() => checkInclusion(leaf, 0n, 1n, [], short, testCrypto), refusal("malformed-proof"));
  assert.throws(() => checkConsistency(1n, short, 1n, short, [], testCrypto), refusal("malformed-proof"));
});

// All records alike, so that a tree of 2^63 - 1 needs one hash a level.
const ALIKE: HashReader & { levels: Uint8Array[] } = {
  levels: [leaf],
  hash(level) {
    while (this.levels.length <= level) {
      const below = this.levels[this.levels.length - 1]!;
      this.levels.push(nodeHash(below, below, testCrypto));
    }
    return this.levels[level]!;
  },
};

merkle("trees beyond 2^53 records are proved to the last record", () => {
  for (const size of [2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n]) {
    const root = rootOf(size, ALIKE, testCrypto);
    for (const index of [0n, 2n ** 53n, size / 2n, size - 1n]) {
      const proof = proveInclusion(index, size, ALIKE, testCrypto);
      assert.ok(proof.length <= 63);
      checkInclusion(leaf, index, size, proof, root, testCrypto);
    }
    for (const old of [1n, 2n ** 53n, size - 1n]) {
      const proof = proveConsistency(old, size, ALIKE, testCrypto);
      checkConsistency(old, rootOf(old, ALIKE, testCrypto), size, root, proof, testCrypto);
    }
  }
});

merkle("a prover asked for what isn't there says so", () => {
  assert.throws(() => proveInclusion(5n, 5n, READER, testCrypto), refusal("malformed-proof"));
  assert.throws(() => proveConsistency(6n, 5n, READER, testCrypto), refusal("malformed-proof"));
  assert.throws(() => READER.hash(0, 101n), /no complete subtree/);
});

merkle("every bit of a leaf counts", () => {
  const proof = proveInclusion(3n, 7n, READER, testCrypto);
  for (const [at, bent] of flips(LEAVES[3]!))
    assert.throws(
      () => checkInclusion(bent, 3n, 7n, proof, ROOTS[7]!, testCrypto),
      refusal("inclusion-mismatch"),
      `byte ${at}`,
    );
});

for (const [name, order] of [
  ["from first to last", (n: number) => Array.from({ length: n }, (_, i) => i)],
  ["from last to first", (n: number) => Array.from({ length: n }, (_, i) => n - 1 - i)],
  ["in leaps", (n: number) => Array.from({ length: n }, (_, i) => (i * 37) % n)],
] as const)
  merkle(`records ${name} are in every tree up to 48 where they are, and nowhere else`, () => {
    for (let size = 1; size <= 48; size++) {
      const checker = new InclusionChecker(BigInt(size), ROOTS[size]!, testCrypto);
      for (const index of order(size)) {
        const place = BigInt(index);
        const leaf = LEAVES[index]!;
        const proof = proveInclusion(place, BigInt(size), READER, testCrypto);
        checker.check(leaf, place, proof);
        // Right after the path that it could lean on, and another leaf with all of that path.
        const refused = (bentLeaf: Uint8Array, at: bigint, bent: readonly Uint8Array[]) => {
          const codes = [
            () => checkInclusion(bentLeaf, at, BigInt(size), bent, ROOTS[size]!, testCrypto),
            () => checker.check(bentLeaf, at, bent),
          ].map((check) => {
            try {
              check();
            } catch (error) {
              if (isRefusal(error)) return `${error.code} ${error.message}`;
              throw error;
            }
            return "taken";
          });
          assert.is(codes[1], codes[0], `record ${index} of ${size}`);
          assert.is.not(codes[1], "taken", `record ${index} of ${size}`);
        };
        refused(bend(leaf, 3), place, proof);
        if (size > 1) refused(leaf, BigInt((index + 1) % size), proof);
        refused(leaf, BigInt(size), proof);
        refused(leaf, -1n, proof);
        refused(leaf, place, [...proof, leaf]);
        refused(leaf, place, proof.slice(1).concat(proof.length === 0 ? [leaf] : []));
        proof.forEach((hash, i) => {
          refused(leaf, place, Object.assign([...proof], { [i]: bend(hash, i) }));
          refused(leaf, place, Object.assign([...proof], { [i]: hash.subarray(1) }));
        });
      }
    }
  });

merkle.run();
