// SHA-256 of many small messages, four at a time: a WebAssembly module that is written here, instruction by
// instruction, when somebody has thousands to hash.
//
//   lane        0        1        2        3           one v128 is the same word of four messages
//   message   m[4q]   m[4q+1]  m[4q+2]  m[4q+3]
//
//   nodes(from, to, quads)           32 ‖ 32 bytes each ──▶ SHA-256(0x01 ‖ left ‖ right)      RFC 6962's node
//   padded(from, to, quads, stride)  messages padded already, of `stride` bytes, a multiple of 64
//   spread(from, to, count, stride)  u16 length ‖ bytes, one after another ──▶ 0x00 ‖ bytes, padded so: RFC 6962's leaf
//
// node:crypto takes half a microsecond a call before it hashes anything; a node of a Merkle tree is 65 bytes. Here
// a row of hashes goes in and the row above it comes out, without leaving the memory. Compiling takes some 20 ms,
// so a few hundred hashes are node:crypto's.

import { get, I32, i32, leb, list, SIMD, section, set, simd, V128, word } from "./wasmcode";

const LANES = 4;

// ---- SHA-256 in terms of it, FIPS 180-4 section 6.2.2

const rotr = (x: number[], by: number) => [
  ...x,
  ...i32(by),
  ...simd(SIMD.shrU),
  ...x,
  ...i32(32 - by),
  ...simd(SIMD.shl),
  ...simd(SIMD.or),
];
const xor3 = (a: number[], b: number[], c: number[]) => [
  ...a,
  ...b,
  ...simd(SIMD.xor),
  ...c,
  ...simd(SIMD.xor),
];
const shr = (x: number[], by: number) => [...x, ...i32(by), ...simd(SIMD.shrU)];
const add = [...simd(SIMD.add)];

// Locals: four parameters, a counter, then vectors.
const FROM = 0;
const TO = 1;
const QUADS = 2;
const BLOCKS = 3;
const BLOCK = 4;
const K_AT = 5;
const ROUND = 6;
const STATE = 7; // a..h
const SUM = 15; // the chaining value
const TEMP = 23; // two
const WORDS = 25; // sixteen
const VECTORS = 34;
const K_TABLE = 0; // 256 bytes at the start of the memory

const v = (first: number, i: number) => get(first + i);

function rounds(): number[] {
  const out: number[] = [];
  for (let i = 0; i < 16; i++) {
    // The names move, not the values: after a round, h is where a will be.
    const s = (n: number) => STATE + ((n - i + 16) & 7);
    const [a, b, c, d, e, f, g, h] = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => get(s(n))) as number[][];
    out.push(
      ...(h as number[]),
      ...xor3(rotr(e!, 6), rotr(e!, 11), rotr(e!, 25)),
      ...add,
      // ch = g ^ (e & (f ^ g))
      ...f!,
      ...g!,
      ...simd(SIMD.xor),
      ...e!,
      ...simd(SIMD.and),
      ...g!,
      ...simd(SIMD.xor),
      ...add,
      ...get(K_AT),
      ...simd(SIMD.load32Splat, 2, ...leb(4 * i)),
      ...add,
      ...v(WORDS, i),
      ...add,
      ...set(TEMP),
      ...d!,
      ...get(TEMP),
      ...add,
      ...set(s(3)),
      ...get(TEMP),
      ...xor3(rotr(a!, 2), rotr(a!, 13), rotr(a!, 22)),
      ...add,
      // maj = (a & b) | (c & (a | b))
      ...a!,
      ...b!,
      ...simd(SIMD.and),
      ...a!,
      ...b!,
      ...simd(SIMD.or),
      ...c!,
      ...simd(SIMD.and),
      ...simd(SIMD.or),
      ...add,
      ...set(s(7)),
    );
  }
  return out;
}

function schedule(): number[] {
  const out: number[] = [];
  for (let i = 0; i < 16; i++) {
    const w = (n: number) => v(WORDS, (i + n) & 15);
    out.push(
      ...w(0),
      ...xor3(rotr(w(1), 7), rotr(w(1), 18), shr(w(1), 3)),
      ...add,
      ...w(9),
      ...add,
      ...xor3(rotr(w(14), 17), rotr(w(14), 19), shr(w(14), 10)),
      ...add,
      ...set(WORDS + i),
    );
  }
  return out;
}

/** The block in WORDS into the chaining value in SUM. */
function compress(): number[] {
  const out: number[] = [];
  for (let i = 0; i < 8; i++) out.push(...v(SUM, i), ...set(STATE + i));
  out.push(...i32(K_TABLE), ...set(K_AT), ...i32(3), ...set(ROUND));
  out.push(0x03, 0x40); // loop: 16 rounds and the next 16 words, three times
  out.push(...rounds(), ...schedule());
  out.push(...get(K_AT), ...i32(64), 0x6a, ...set(K_AT));
  out.push(...get(ROUND), ...i32(1), 0x6b, 0x22, ...leb(ROUND), 0x0d, 0x00, 0x0b);
  out.push(...rounds());
  for (let i = 0; i < 8; i++) out.push(...v(SUM, i), ...v(STATE, i), ...add, ...set(SUM + i));
  return out;
}

const SWAP = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];
const swapped = (local: number) => [...get(local), ...get(local), ...simd(SIMD.shuffle, ...SWAP)];

/** The word at FROM + offset of each lane's message, messages `stride` apart or as far as BLOCKS says, big endian. */
function gather(offset: number, into: number, strideLocal: number | null, stride: number): number[] {
  const address = (lane: number) =>
    strideLocal === null
      ? { code: get(FROM), offset: offset + lane * stride }
      : { code: [...get(FROM), ...get(strideLocal), ...i32(lane), 0x6c, 0x6a], offset };
  const first = address(0);
  const out = [...first.code, ...simd(SIMD.load32Zero, 0, ...leb(first.offset)), ...set(into)];
  for (let lane = 1; lane < LANES; lane++) {
    const at = address(lane);
    out.push(...at.code, ...get(into), ...simd(SIMD.load32Lane, 0, ...leb(at.offset), lane), ...set(into));
  }
  return [...out, ...swapped(into), ...set(into)];
}

const INITIAL = [
  0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

const begin = () => INITIAL.flatMap((value, i) => [...word(value), ...set(SUM + i)]);

/** The four digests, one after another at TO. */
function finish(): number[] {
  const out: number[] = [];
  for (let i = 0; i < 8; i++) {
    out.push(...swapped(SUM + i), ...set(TEMP));
    for (let lane = 0; lane < LANES; lane++)
      out.push(
        ...get(TO),
        ...get(TEMP),
        ...simd(SIMD.extract, lane),
        0x36, // i32.store
        0,
        ...leb(32 * lane + 4 * i),
      );
  }
  return [...out, ...get(TO), ...i32(32 * LANES), 0x6a, ...set(TO)];
}

/** While QUADS is more than 0: `body`, one quad less. */
const eachQuad = (body: number[]) => [
  0x02,
  0x40, // block
  0x03,
  0x40, // loop
  ...get(QUADS),
  0x45,
  0x0d,
  1, // none left: out of the block
  ...body,
  ...get(QUADS),
  ...i32(1),
  0x6b,
  ...set(QUADS),
  0x0c,
  0,
  0x0b,
  0x0b,
  0x0b,
];

function nodesBody(): number[] {
  const mask = (local: number, and: number, or: number) => [
    ...get(local),
    ...word(and),
    ...simd(SIMD.and),
    ...word(or),
    ...simd(SIMD.or),
    ...set(local),
  ];
  const out = begin();
  // 0x01 ‖ 64 bytes: word 0 is the prefix and three bytes, the others lie one byte off.
  out.push(...gather(0, WORDS, null, 64));
  out.push(...shr(get(WORDS), 8), ...word(0x01000000), ...simd(SIMD.or), ...set(WORDS));
  for (let i = 1; i < 16; i++) out.push(...gather(4 * i - 1, WORDS + i, null, 64));
  out.push(...compress());
  // The last byte, the bit 1, zeros, and 520 bits.
  out.push(...gather(60, WORDS, null, 64));
  out.push(...get(WORDS), ...i32(24), ...simd(SIMD.shl), ...set(WORDS));
  out.push(...mask(WORDS, 0xff000000, 0x00800000));
  for (let i = 1; i < 15; i++) out.push(...word(0), ...set(WORDS + i));
  out.push(...word(520), ...set(WORDS + 15));
  out.push(...compress(), ...finish());
  out.push(...get(FROM), ...i32(64 * LANES), 0x6a, ...set(FROM));
  return eachQuad(out);
}

function paddedBody(): number[] {
  const out = begin();
  const STRIDE = BLOCKS; // in bytes from here on: the caller gives it so
  out.push(...get(STRIDE), ...i32(6), 0x76, ...set(BLOCK)); // blocks left
  out.push(0x03, 0x40);
  for (let i = 0; i < 16; i++) out.push(...gather(4 * i, WORDS + i, STRIDE, 0));
  out.push(...compress());
  out.push(...get(FROM), ...i32(64), 0x6a, ...set(FROM));
  out.push(...get(BLOCK), ...i32(1), 0x6b, 0x22, ...leb(BLOCK), 0x0d, 0, 0x0b);
  // Past the first lane's message now: three more lie before the next four.
  out.push(...get(FROM), ...get(STRIDE), ...i32(LANES - 1), 0x6c, 0x6a, ...set(FROM));
  out.push(...finish());
  return eachQuad(out);
}

/** Of each record: its bytes one place into a slot that is zeros, the bit behind them, their number of bits at the end. */
function spreadBody(): number[] {
  const LENGTH = BLOCK;
  const STRIDE = BLOCKS;
  const sum = (a: number[], b: number[]) => [...a, ...b, 0x6a];
  const byteAt = (at: number[], offset: number) => [...at, 0x2d, 0, ...leb(offset)];
  const putByte = (at: number[], offset: number, value: number[]) => [
    ...at,
    ...value,
    0x3a,
    0,
    ...leb(offset),
  ];
  const bits = [...sum(get(LENGTH), i32(1)), ...i32(3), 0x74];
  const end = sum(get(TO), get(STRIDE));
  const back = (by: number) => sum(end, i32(-by));
  return eachQuad([
    ...byteAt(get(FROM), 0),
    ...i32(8),
    0x74,
    ...byteAt(get(FROM), 1),
    0x72,
    ...set(LENGTH),
    ...sum(get(TO), i32(1)),
    ...sum(get(FROM), i32(2)),
    ...get(LENGTH),
    ...[0xfc, 0x0a, 0, 0], // memory.copy
    ...putByte(sum(get(TO), get(LENGTH)), 1, i32(0x80)),
    ...putByte(back(2), 0, [...bits, ...i32(8), 0x76]),
    ...putByte(back(1), 0, bits),
    ...end,
    ...set(TO),
    ...sum(sum(get(FROM), get(LENGTH)), i32(2)),
    ...set(FROM),
  ]);
}

function assemble(): Uint8Array {
  const locals = list([
    [3, I32], // BLOCK, K_AT, ROUND
    [VECTORS, V128],
  ]);
  const body = (code: number[]) => [...leb(locals.length + code.length), ...locals, ...code];
  const name = (text: string) => [...leb(text.length), ...Buffer.from(text)];
  const type = list([[0x60, ...list([[I32], [I32], [I32], [I32]]), 0]]);
  const imports = list([[...name("env"), ...name("memory"), 0x02, 0x00, 1]]);
  const exports = list([
    [...name("nodes"), 0, 0],
    [...name("padded"), 0, 1],
    [...name("spread"), 0, 2],
  ]);
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, type),
    ...section(2, imports),
    ...section(3, list([[0], [0], [0]])),
    ...section(7, exports),
    ...section(10, list([body(nodesBody()), body(paddedBody()), body(spreadBody())])),
  ]);
}

// ---- What others see

export interface Hasher4 {
  readonly memory: Uint8Array;
  /** Where the memory is the caller's to use. */
  readonly free: number;
  /** RFC 6962 nodes of `pairs` pairs of hashes at `from`, written at `to`; up to three more places there are overwritten. */
  nodes(from: number, to: number, pairs: number): void;
  /** Digests of `count` messages of `stride` bytes, padded as SHA-256 wants it, `stride` a multiple of 64. As above. */
  padded(from: number, to: number, count: number, stride: number): void;
  /** Leaves of a bundle's records as messages of `stride` bytes, each with room for its padding, where zeros are. */
  spread(from: number, to: number, count: number, stride: number): void;
}

/** First 32 bits of the fractional parts of the cube roots of the first 64 primes. */
function constants(): Uint32Array {
  const out = new Uint32Array(64);
  for (let count = 0, n = 2n; count < 64; n++) {
    let prime = true;
    for (let d = 2n; d * d <= n; d++) if (n % d === 0n) prime = false;
    if (!prime) continue;
    // Integer cube root of n · 2^96, whose low 32 bits are the fraction's first.
    let low = 0n;
    for (let bit = 1n << 36n; bit > 0n; bit >>= 1n) if ((low + bit) ** 3n <= n << 96n) low += bit;
    out[count++] = Number(low & 0xffffffffn);
  }
  return out;
}

/** As much of WebAssembly's interface as is used; its types come with a browser's library only. */
interface Wasm {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Memory: new (size: { initial: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
  readonly CompileError: new () => Error;
}

let compiled: object | undefined;

/** A hasher with `bytes` of memory to use, or null where WebAssembly has no vectors. */
export function makeHasher4(bytes: number): Hasher4 | null {
  const wasm = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly;
  try {
    compiled ??= new wasm.Module(assemble());
  } catch (error) {
    if (error instanceof wasm.CompileError) return null;
    throw error;
  }
  const free = 1024;
  const memory = new wasm.Memory({ initial: Math.ceil((free + bytes + 1024) / 65536) });
  new Uint32Array(memory.buffer, K_TABLE, 64).set(constants());
  const { exports } = new wasm.Instance(compiled, { env: { memory } });
  const run = exports as Record<string, (from: number, to: number, quads: number, stride: number) => void>;
  return {
    memory: new Uint8Array(memory.buffer),
    free,
    nodes: (from, to, pairs) => run.nodes?.(from, to, Math.ceil(pairs / LANES), 0),
    spread: (from, to, count, stride) => run.spread?.(from, to, count, stride),
    padded: (from, to, count, stride) => run.padded?.(from, to, Math.ceil(count / LANES), stride),
  };
}
