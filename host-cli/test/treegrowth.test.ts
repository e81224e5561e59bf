import { randomBytes } from "node:crypto";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { leafHash, memoryReader, rootOf } from "@vouch/shared/merkle";
import { encodeEntries, encodeTile, newTiles, type Tile, tilePath } from "@vouch/shared/tiles";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../src/crypto";
import { type Grown, growTree } from "../src/treegrowth";
import { refuses } from "./maker-kit";

const growth = suite("tree growth");

/** Records of lengths that go through each way of hashing a bundle: all short, all of one block, mixed, long. */
const KINDS: Record<string, (n: number) => number> = {
  "one block": (n) => n % 55,
  "two blocks": (n) => 55 + (n % 64),
  mixed: (n) => n % 130,
  long: (n) => 119 + (n % 500),
};

function grown(records: Uint8Array[], size: number): Grown {
  const leaves = records.slice(0, size).map((record) => leafHash(record, nodeCrypto));
  return {
    size: BigInt(size),
    hashReader: memoryReader(leaves, nodeCrypto),
    entry: (index) => records[Number(index)] as Uint8Array,
  };
}

for (const [kind, lengthOf] of Object.entries(KINDS))
  growth(`records of ${kind} give the tiles and the root that the definition gives`, () => {
    const records = Array.from({ length: 3000 }, (_, n) => new Uint8Array(randomBytes(lengthOf(n))));
    for (const [from, to] of [
      [0, 3000],
      [1, 2],
      [255, 257],
      [300, 2900],
      [2048, 2560],
      [0, 0],
      [700, 700],
    ] as const) {
      const tiles = new Map<string, string>();
      const tree = growTree(
        grown(records, from),
        (tile, bytes) => void tiles.set(pathOf(tile), toHex(bytes)),
      );
      for (let n = from; n < to; n++) assert.is(tree.add(records[n] as Uint8Array), BigInt(n));
      const { hashReader: all } = grown(records, to);
      assert.is(toHex(tree.finish()), toHex(rootOf(BigInt(to), all, nodeCrypto)), `${from} to ${to}`);
      const expected = newTiles(BigInt(from), BigInt(to));
      assert.equal([...tiles.keys()].sort(), expected.map(pathOf).sort(), `${from} to ${to}`);
      for (const tile of expected) {
        const at = (i: number) => tile.index * 256n + BigInt(i);
        const { level } = tile;
        const items = Array.from({ length: tile.width }, (_, i) => at(i));
        const bytes =
          level === "entries"
            ? encodeEntries(items.map((i) => records[Number(i)] as Uint8Array))
            : encodeTile(items.map((i) => all.hash(8 * level, i)));
        assert.is(tiles.get(pathOf(tile)), toHex(bytes), pathOf(tile));
      }
    }
  });

growth("hashes can be read while it grows, of every complete subtree", () => {
  const records = Array.from({ length: 700 }, (_, n) => new Uint8Array(randomBytes(n % 40)));
  const full = new Map<string, Uint8Array>();
  const tree = growTree(grown(records, 200), (tile, bytes) => void full.set(pathOf(tile), bytes.slice()));
  for (let n = 200; n < 700; n++) {
    tree.add(records[n] as Uint8Array);
    if (n % 97 !== 0 && n < 690) continue;
    const reader = tree.reader((tile) => {
      const bytes = full.get(pathOf(tile)) as Uint8Array;
      return Array.from({ length: 256 }, (_, i) => bytes.slice(32 * i, 32 * i + 32));
    });
    for (const size of [1, 200, 201, 256, 257, n, n + 1])
      if (size <= n + 1) {
        const expected = rootOf(BigInt(size), grown(records, size).hashReader, nodeCrypto);
        assert.ok(equalBytes(rootOf(BigInt(size), reader, nodeCrypto), expected), `${size} at ${n + 1}`);
      }
  }
});

growth("a record of more than 65535 bytes is refused, one of 65535 is not", async () => {
  const tree = growTree(grown([], 0), () => {});
  tree.add(new Uint8Array(65535));
  await refuses("entry-too-large", () => tree.add(new Uint8Array(65536)));
});

growth("a tree of 2^53 + 300 records grows by its edge alone, its indices exact", () => {
  const size = 2n ** 53n + 300n;
  const hash = (level: number, index: bigint) => nodeCrypto.sha256(Buffer.from(`${level} ${index}`));
  const tiles: string[] = [];
  const entry = (index: bigint) => Buffer.from(`record ${index}`);
  const tree = growTree({ size, hashReader: { hash }, entry }, (tile) => void tiles.push(pathOf(tile)));
  assert.is(tree.add(Uint8Array.of(1)), size);
  assert.is(tree.add(Uint8Array.of(2)), size + 1n);
  tree.finish();
  assert.equal(tiles, [tilePath(0, 2n ** 45n + 1n, 46), tilePath("entries", 2n ** 45n + 1n, 46)]);
});

const pathOf = (tile: Tile) => tilePath(tile.level, tile.index, tile.width);

growth.run();
