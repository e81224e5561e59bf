import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import nacl from "tweetnacl";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { unarmour } from "../src/armour";
import { toHex } from "../src/bytes";
import { random } from "./random";

const table = suite("ed25519-table");

interface Shape {
  teeth: number;
  blocks: number;
  span: number;
}
interface Maker {
  TABLE_FILE: string;
  CONSTANTS_FILE: string;
  SHAPES: Record<string, Shape>;
  tableBytes(shape: Shape): Uint8Array;
  tableModule(kilobytes?: number): string;
  constantsModule(): string;
  armour(bytes: Uint8Array): string;
}
const maker = (await import(pathToFileURL(resolve("scripts/ed25519-table.mjs")).href)) as Maker;

const L = 2n ** 252n + 27742317777372353535851937790883648493n;

const P = 2n ** 255n - 19n;
const mod = (n: bigint) => ((n % P) + P) % P;
function inverse(n: bigint): bigint {
  let out = 1n;
  for (let b = mod(n), e = P - 2n; e > 0n; e >>= 1n, b = mod(b * b)) if (e & 1n) out = mod(out * b);
  return out;
}
const number = (bytes: Uint8Array) => bytes.reduceRight((sum, b) => (sum << 8n) | BigInt(b), 0n);
const bytesOf = (n: bigint) => Uint8Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));

// What tweetnacl multiplies the base point with is in the other form of the curve, u = (1 + y) / (1 - y), and is made a
// multiple of 8 in 2^254..2^255. So both sides are multiplied by some such c for which c n has a spelling like that too.
function assertMultiple(y: bigint, n: bigint, what: string): void {
  for (let c = 2n ** 254n; c < 2n ** 255n; c += 2n ** 246n + 8n)
    for (let cn = (((c * n) % L) + L) % L; cn < 2n ** 255n; cn += L)
      if (cn % 8n === 0n && cn >= 2n ** 254n) {
        const u = mod((1n + y) * inverse(1n - y));
        const ours = nacl.scalarMult(bytesOf(c), bytesOf(u));
        assert.is(toHex(ours), toHex(nacl.scalarMult.base(bytesOf(cn))), what);
        return;
      }
  assert.unreachable(`${what}: no factor found`);
}

table("the committed files are what the script makes", () => {
  assert.is(readFileSync(maker.TABLE_FILE, "utf8"), maker.tableModule());
  assert.is(readFileSync(maker.CONSTANTS_FILE, "utf8"), maker.constantsModule());
});

table("every size is as large as it says, and enough for the scalars there are", () => {
  for (const [kilobytes, { teeth, blocks, span }] of Object.entries(maker.SHAPES)) {
    assert.is(64 * blocks * 2 ** (teeth - 1), 1024 * Number(kilobytes));
    assert.ok(teeth * blocks * span >= 254, kilobytes); // s + L < 2^254
  }
});

for (const [kilobytes, shape] of Object.entries(maker.SHAPES))
  table(
    `${kilobytes} KB: each point is the multiple of the base point that tweetnacl finds, and on the curve`,
    () => {
      const { teeth, blocks, span } = shape;
      const bytes = maker.tableBytes(shape);
      const at = (i: number) => number(bytes.subarray(32 * i, 32 * i + 32));
      const [d, root] = [at(0), at(1)];
      assert.is(mod(d * 121666n), mod(-121665n));
      assert.is(mod(root * root), P - 1n);
      const half = 2 ** (teeth - 1);
      for (let i = 0; i < blocks * half; i++) {
        const [x, y] = [at(2 + 2 * i), at(3 + 2 * i)];
        assert.is(mod(y * y - x * x), mod(1n + d * x * x * y * y), `point ${i}`);
        // Of the large tables, tweetnacl has time for every eighth.
        if (i % Math.max(1, (blocks * half) / 64) !== 0) continue;
        let n = 0n;
        for (let t = 0; t < teeth; t++) {
          const plus = t === teeth - 1 || (i >> t) & 1;
          n += (plus ? 1n : -1n) << BigInt((t * blocks + Math.floor(i / half)) * span);
        }
        assertMultiple(y, n, `point ${i}`);
      }
    },
  );

table("armour needs no escape and comes back, at any length", () => {
  const next = random(7);
  for (let length = 0; length < 70; length++) {
    const bytes = length === 64 ? Uint8Array.from({ length }, (_, i) => i * 4) : next(length);
    const text = maker.armour(bytes);
    assert.match(text, /^[(-[\]-h]*$/);
    const back = unarmour(text, 1);
    assert.is(toHex((back as Uint8Array).subarray(0, length)), toHex(bytes));
  }
  assert.equal(
    [...unarmour(maker.armour(Uint8Array.of(0xff, 0, 0, 1, 2, 3, 4, 5)), 4)],
    [0xff000001, 0x02030405],
  );
});

table.run();
