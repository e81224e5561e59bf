// SHA-512, FIPS 180-4 section 6.4. [device]
//
// Engines have no 64-bit words: each is two numbers, the high and the low 32 bits, both unsigned. A sum
// of low halves stays exact in a double and its carry is what lies above 2^32; the division there is
// exact, and engines that keep whole numbers as integers go on doing so. Nothing branches on a value.
//
// Memory: 704 bytes of constants, 640 of message schedule, which all hashes share, 192 a hash.

import { CONSTANTS, ROUNDS, type Sha2, sha2Final, sha2Update } from "./sha2";

const SCHEDULE = new Uint32Array(160);

const TWO32 = 4294967296;

function expand(w: Uint32Array, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 32; i++) {
    w[i] = ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
    at += 4;
  }
  for (let i = 32; i < 160; i += 2) {
    let h = w[i - 30]!;
    let l = w[i - 29]!;
    const h0 = ((h >>> 1) | (l << 31)) ^ ((h >>> 8) | (l << 24)) ^ (h >>> 7);
    const l0 = ((l >>> 1) | (h << 31)) ^ ((l >>> 8) | (h << 24)) ^ ((l >>> 7) | (h << 25));
    h = w[i - 4]!;
    l = w[i - 3]!;
    const h1 = ((h >>> 19) | (l << 13)) ^ ((l >>> 29) | (h << 3)) ^ (h >>> 6);
    const l1 = ((l >>> 19) | (h << 13)) ^ ((h >>> 29) | (l << 3)) ^ ((l >>> 6) | (h << 26));
    l = w[i - 31]! + (l0 >>> 0) + w[i - 13]! + (l1 >>> 0);
    const low = l >>> 0;
    w[i] = (w[i - 32]! + h0 + w[i - 14]! + h1 + (l - low) / TWO32) >>> 0;
    w[i + 1] = low;
  }
}

function compress(state: Uint32Array, bytes: Uint8Array, at: number): void {
  const w = SCHEDULE;
  const k = CONSTANTS;
  const two32 = TWO32;
  expand(w, bytes, at);
  let ah = state[0]!;
  let al = state[1]!;
  let bh = state[2]!;
  let bl = state[3]!;
  let ch = state[4]!;
  let cl = state[5]!;
  let dh = state[6]!;
  let dl = state[7]!;
  let eh = state[8]!;
  let el = state[9]!;
  let fh = state[10]!;
  let fl = state[11]!;
  let gh = state[12]!;
  let gl = state[13]!;
  let hh = state[14]!;
  let hl = state[15]!;
  for (let i = 0; i < 160; i += 2) {
    let x = ((eh >>> 14) | (el << 18)) ^ ((eh >>> 18) | (el << 14)) ^ ((el >>> 9) | (eh << 23));
    let y = ((el >>> 14) | (eh << 18)) ^ ((el >>> 18) | (eh << 14)) ^ ((eh >>> 9) | (el << 23));
    const h = hh + x + (gh ^ (eh & (fh ^ gh))) + k[i + ROUNDS]! + w[i]!;
    const l = hl + (y >>> 0) + ((gl ^ (el & (fl ^ gl))) >>> 0) + k[i + ROUNDS + 1]! + w[i + 1]!;
    hh = gh;
    hl = gl;
    gh = fh;
    gl = fl;
    fh = eh;
    fl = el;
    x = dl + l;
    el = x >>> 0;
    eh = (dh + h + (x - el) / two32) >>> 0;
    x = ((ah >>> 28) | (al << 4)) ^ ((al >>> 2) | (ah << 30)) ^ ((al >>> 7) | (ah << 25));
    y = ((al >>> 28) | (ah << 4)) ^ ((ah >>> 2) | (al << 30)) ^ ((ah >>> 7) | (al << 25));
    x += h + ((ah & bh) | (ch & (ah | bh)));
    y = (y >>> 0) + l + (((al & bl) | (cl & (al | bl))) >>> 0);
    dh = ch;
    dl = cl;
    ch = bh;
    cl = bl;
    bh = ah;
    bl = al;
    al = y >>> 0;
    ah = (x + (y - al) / two32) >>> 0;
  }
  const sums = [ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl];
  for (let i = 0; i < 16; i += 2) {
    const l = state[i + 1]! + sums[i + 1]!;
    const low = l >>> 0;
    state[i] = (state[i]! + sums[i]! + (l - low) / two32) >>> 0;
    state[i + 1] = low;
  }
}

export function sha512Init(): Sha2 {
  const h = new Uint32Array(16);
  for (let i = 0; i < 16; i++) h[i] = CONSTANTS[i]!;
  return { h, block: new Uint8Array(128), used: 0, length: 0, compress };
}

/** SHA-512 of a ‖ b ‖ c. */
export function sha512(a: Uint8Array, b: Uint8Array, c: Uint8Array): Uint8Array {
  const s = sha512Init();
  sha2Update(s, a, 0, a.length);
  sha2Update(s, b, 0, b.length);
  sha2Update(s, c, 0, c.length);
  return sha2Final(s);
}
