// The encoding of WebAssembly 2.0, as far as sha256x4.ts uses it: instructions as lists of bytes.

export const V128 = 0x7b;
export const I32 = 0x7f;
export const SIMD = {
  load32Splat: 0x09,
  const: 0x0c,
  shuffle: 0x0d,
  splat: 0x11,
  extract: 0x1b,
  not: 0x4d,
  and: 0x4e,
  andNot: 0x4f,
  or: 0x50,
  xor: 0x51,
  load32Lane: 0x56,
  load32Zero: 0x5c,
  shl: 0xab,
  shrU: 0xad,
  add: 0xae,
} as const;

export function leb(value: number): number[] {
  const out: number[] = [];
  for (let rest = value >>> 0; ; rest >>>= 7) {
    if (rest < 128) return [...out, rest];
    out.push((rest & 127) | 128);
  }
}

/** A signed number, as i32.const wants it. */
function sleb(value: number): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    const done = (rest >> 7 === 0 && (rest & 64) === 0) || (rest >> 7 === -1 && (rest & 64) !== 0);
    out.push(done ? rest & 127 : (rest & 127) | 128);
    if (done) return out;
  }
}

export const simd = (op: number, ...immediates: number[]) => [0xfd, ...leb(op), ...immediates];
export const get = (local: number) => [0x20, ...leb(local)];
export const set = (local: number) => [0x21, ...leb(local)];
export const i32 = (value: number) => [0x41, ...sleb(value)];
export const word = (value: number) => [...i32(value | 0), ...simd(SIMD.splat)];
export const section = (id: number, body: number[]) => [id, ...leb(body.length), ...body];
export const list = (items: number[][]) => [...leb(items.length), ...items.flat()];
