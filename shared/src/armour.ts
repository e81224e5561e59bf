// Bytes as text that no quotation in source has to escape, for constants in the bundle. [device]
//
//   three bytes, little endian ─▶ four characters of 6 bits     code 40 + v, and one more from the backslash on
//
// Half the size of a list of numbers, and an engine holds no list of constants to fill an array from.
// Made by scripts/ed25519-table.mjs; what is read here is our own, so nothing is checked.

/** Each `size` bytes of the text as one big endian number. */
export function unarmour(text: string, size: number): Uint8Array | Uint32Array {
  const count = Math.floor((text.length * 3) / 4 / size);
  const out = size === 1 ? new Uint8Array(count) : new Uint32Array(count);
  let word = 0;
  let at = 0;
  for (let i = 0; i < text.length; i += 4) {
    for (let j = 3; j >= 0; j--) {
      const code = text.charCodeAt(i + j);
      word = (word << 6) | (code - (code < 92 ? 40 : 41));
    }
    for (let j = 0; j < 3; j++, at++) {
      const k = Math.floor(at / size);
      if (k < count) out[k] = ((out[k]! << 8) | ((word >>> (8 * j)) & 255)) >>> 0;
    }
  }
  return out;
}
