import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, equalBytes, toHex, utf8Encode } from "../src/bytes";
import { parseCheckpoint } from "../src/checkpoint";
import { leafHash, memoryReader, proveConsistency, proveInclusion, rootOf } from "../src/merkle";
import { parseNote } from "../src/note";
import {
  decodeEntries,
  decodeTile,
  encodeEntries,
  encodeTile,
  MAX_ENTRY,
  newTiles,
  tileOf,
  tilePath,
  tileReader,
} from "../src/tiles";
import { testCrypto } from "./keys";
import { counting, publishedBytes, refusal } from "./vectors";

const tiles = suite("tiles");

for (const [level, index, width, path] of [
  [0, 0n, 256, "tile/0/000"],
  [0, 0n, 1, "tile/0/000.p/1"],
  [1, 5n, 17, "tile/1/005.p/17"],
  [2, 999n, 256, "tile/2/999"],
  [0, 1000n, 256, "tile/0/x001/000"],
  [0, 1234067n, 256, "tile/0/x001/x234/067"],
  ["entries", 1234067n, 8, "tile/entries/x001/x234/067.p/8"],
  [0, 2n ** 55n, 256, "tile/0/x036/x028/x797/x018/x963/968"],
] as const)
  tiles(`path ${path}`, () => assert.is(tilePath(level, index, width), path));

tiles("the worked log: its tile and entries give the root of its checkpoint", () => {
  const checkpoint = parseCheckpoint(parseNote(publishedBytes("worked/log/checkpoint")).text);
  const width = Number(checkpoint.size);
  const entries = publishedBytes(`worked/log/${tilePath("entries", 0n, width)}`);
  const records = decodeEntries(entries, width);
  assert.is(toHex(encodeEntries(records)), toHex(entries));
  assert.ok(equalBytes(records[2]!, publishedBytes("worked/release.dsse.json")));
  const stored = publishedBytes(`worked/log/${tilePath(0, 0n, width)}`);
  const hashes = decodeTile(stored, width);
  assert.is(toHex(encodeTile(hashes)), toHex(stored));
  assert.equal(
    records.map((record) => leafHash(record, testCrypto)),
    hashes,
  );
  const reader = tileReader(checkpoint.size, () => hashes, testCrypto);
  assert.is(toHex(rootOf(checkpoint.size, reader, testCrypto)), toHex(checkpoint.root));
});

const cut = (bytes: Uint8Array, by: number) => bytes.subarray(0, bytes.length - by);
const BUNDLE = encodeEntries([counting(3), counting(0), counting(300)]);

for (const [name, bytes, width] of [
  ["cut in the last record", cut(BUNDLE, 1), 3],
  ["cut before the last record", cut(BUNDLE, 300), 3],
  ["cut in a length", cut(BUNDLE, 301), 3],
  ["without the last record", cut(BUNDLE, 302), 3],
  ["with a byte more", concatBytes([BUNDLE, counting(1)]), 3],
  ["with more records than its width", BUNDLE, 2],
  ["with fewer records than its width", BUNDLE, 4],
  ["empty, of width 1", counting(0), 1],
] as const)
  tiles(`refuses an entry bundle: ${name}`, () => {
    assert.throws(() => decodeEntries(bytes, width), refusal("malformed-tile"));
  });

tiles("records up to 65535 bytes fit, longer ones are refused", () => {
  const largest = new Uint8Array(MAX_ENTRY);
  assert.is(decodeEntries(encodeEntries([largest]), 1)[0]!.length, MAX_ENTRY);
  assert.throws(() => encodeEntries([new Uint8Array(MAX_ENTRY + 1)]), refusal("entry-too-large"));
});

tiles("entry bundles: writing and reading are inverse", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (records) => {
      assert.equal(decodeEntries(encodeEntries(records), records.length), records);
    }),
  );
});

tiles("a tile of another length than its width says is refused", () => {
  assert.throws(() => decodeTile(counting(64), 3), refusal("malformed-tile"));
  assert.throws(() => decodeTile(counting(65), 2), refusal("malformed-tile"));
});

// 66000 records: three levels of tiles, each with a partial one at its end.
const SIZE = 66_000n;
const LEAVES = Array.from({ length: Number(SIZE) }, (_, i) => leafHash(utf8Encode(`${i}`), testCrypto));
const MEMORY = memoryReader(LEAVES, testCrypto);

/** Writes tiles as a log would when it grows, and reads what was written, nothing else. */
function logOf() {
  const files = new Map<string, Uint8Array>();
  return {
    files,
    grow(from: bigint, to: bigint) {
      for (const { level, index, width } of newTiles(from, to)) {
        const row = Array.from({ length: width }, (_, i) =>
          level === "entries"
            ? utf8Encode(`${index * 256n + BigInt(i)}`)
            : MEMORY.hash(8 * level, index * 256n + BigInt(i)),
        );
        files.set(tilePath(level, index, width), level === "entries" ? encodeEntries(row) : encodeTile(row));
      }
    },
    reader: (size: bigint) =>
      tileReader(
        size,
        ({ level, index, width }) => {
          const path = tilePath(level, index, width);
          const bytes = files.get(path);
          if (bytes === undefined) throw new Error(`${path} was never written`);
          return decodeTile(bytes, width);
        },
        testCrypto,
      ),
  };
}

tiles("a log that grows in steps has every tile that roots and proofs of each size need", () => {
  const log = logOf();
  let before = 0n;
  for (const size of [1n, 2n, 255n, 256n, 257n, 512n, 700n, 65_535n, 65_536n, 65_537n, SIZE]) {
    log.grow(before, size);
    const reader = log.reader(size);
    assert.ok(
      equalBytes(rootOf(size, reader, testCrypto), rootOf(size, MEMORY, testCrypto)),
      `root of ${size}`,
    );
    for (const index of [0n, size / 3n, size - 1n])
      assert.equal(
        proveInclusion(index, size, reader, testCrypto),
        proveInclusion(index, size, MEMORY, testCrypto),
        `${index} of ${size}`,
      );
    assert.equal(
      proveConsistency(before, size, reader, testCrypto),
      proveConsistency(before, size, MEMORY, testCrypto),
      `${before} to ${size}`,
    );
    before = size;
  }
});

tiles("growing names each tile once, and none when nothing grew", () => {
  assert.equal(newTiles(700n, 700n), []);
  const paths = (from: bigint, to: bigint) =>
    newTiles(from, to).map((t) => tilePath(t.level, t.index, t.width));
  assert.equal(paths(0n, 0n), []);
  assert.equal(paths(0n, 1n), ["tile/0/000.p/1", "tile/entries/000.p/1"]);
  assert.equal(paths(255n, 256n), ["tile/0/000", "tile/entries/000", "tile/1/000.p/1"]);
  assert.equal(paths(250n, 300n), [
    "tile/0/000",
    "tile/entries/000",
    "tile/0/001.p/44",
    "tile/entries/001.p/44",
    "tile/1/000.p/1",
  ]);
  assert.equal(paths(300n, 301n), ["tile/0/001.p/45", "tile/entries/001.p/45"]);
});

tiles("a subtree's place among the tiles", () => {
  assert.equal(tileOf(0, 300n), { level: 0, index: 1n, first: 44, count: 1 });
  assert.equal(tileOf(7, 3n), { level: 0, index: 1n, first: 128, count: 128 });
  assert.equal(tileOf(8, 3n), { level: 1, index: 0n, first: 3, count: 1 });
  assert.equal(tileOf(62, 1n), { level: 7, index: 0n, first: 64, count: 64 });
});

tiles("a reader never makes up a hash that the size doesn't have", () => {
  const reader = tileReader(300n, () => [], testCrypto);
  assert.throws(() => reader.hash(0, 300n), /no complete subtree 300 at level 0 in size 300/);
  assert.throws(() => reader.hash(8, 1n), /no complete subtree/);
});

tiles.run();
