import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeOdd, multiplyAdd, reduceScalar } from "../src/scalar25519";
import { random } from "./random";

const scalar = suite("scalar25519");

const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const number = (bytes: Uint8Array) => bytes.reduceRight((sum, b) => (sum << 8n) | BigInt(b), 0n);
const bytesOf = (n: bigint, length: number) =>
  Uint8Array.from({ length }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
const next = random(252);

scalar("reduces 64 bytes: around multiples of L, single bits, all ones, any others", () => {
  const top = 2n ** 512n - 1n;
  const numbers = [0n, top, 2n ** 252n - 1n, 2n ** 252n, 2n ** 253n];
  for (const multiple of [1n, 2n, 15n, 16n, 2n ** 128n, top / L])
    for (let near = -2n; near <= 2n; near++) numbers.push(multiple * L + near);
  for (let i = 0n; i < 512n; i++) numbers.push(1n << i, top ^ (1n << i));
  for (let i = 0; i < 2000; i++) numbers.push(number(next(64)));
  for (const n of numbers.filter((n) => n <= top))
    assert.is(number(reduceScalar(bytesOf(n, 64))), n % L, String(n));
});

scalar("reduces 32 bytes as well", () => {
  for (const n of [0n, L - 1n, L, L + 1n, 2n ** 256n - 1n, number(next(32))])
    assert.is(number(reduceScalar(bytesOf(n, 32))), n % L);
});

scalar("multiplies and adds, with the largest factors there are", () => {
  const numbers = [0n, 1n, L - 1n, 2n ** 252n, 2n ** 255n - 8n, 2n ** 254n, 2n ** 256n - 1n];
  for (let i = 0; i < 30; i++) numbers.push(number(next(32)));
  for (const a of numbers)
    for (const b of numbers) {
      const c = numbers[Number((a ^ b) % BigInt(numbers.length))]!;
      const made = multiplyAdd(bytesOf(a, 32), bytesOf(b, 32), bytesOf(c, 32));
      assert.is(number(made), (a * b + c) % L, `${a} ${b} ${c}`);
    }
});

scalar("makes a scalar odd without changing it modulo L", () => {
  const numbers = [0n, 1n, 2n, L - 1n, L - 2n, 2n ** 252n];
  for (let i = 0; i < 300; i++) numbers.push(number(next(32)) % L);
  for (const n of numbers) {
    const out = new Uint8Array(32);
    makeOdd(out, bytesOf(n, 32));
    assert.is(number(out), n % 2n === 1n ? n : n + L);
  }
});

scalar.run();
