import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  concatBytes,
  copyBytes,
  equalBytes,
  fromBase64,
  fromHex,
  portableBytes,
  toBase64,
  toHex,
  utf8Decode,
  utf8Encode,
} from "../src/bytes";
import { counting, hex } from "./vectors";

const bytes = suite("bytes");

bytes("joins byte strings in order, empty ones included", () => {
  assert.is(toHex(concatBytes([hex("01"), hex(""), hex("0203")])), "010203");
  assert.is(concatBytes([]).length, 0);
});

bytes("compares length and every byte", () => {
  assert.ok(equalBytes(hex("0102"), hex("0102")));
  assert.not(equalBytes(hex("0102"), hex("0103")));
  assert.not(equalBytes(hex("0102"), hex("01")));
  assert.not(equalBytes(hex(""), hex("00")));
});

bytes("a copy doesn't change with its source", () => {
  const source = counting(4);
  const copy = copyBytes(source, 1, 3);
  source[1] = 99;
  assert.is(toHex(copy), "0102");
});

// The platform does long ones where it can, loops of ours the rest: both must pass everything.
const WAYS = [
  ["here", { toHex, toBase64, fromBase64, utf8Encode, utf8Decode }],
  ["anywhere", portableBytes],
] as const;

for (const [where, way] of WAYS)
  bytes(`hex and base64 are those of Node, and come back, ${where}`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (value) => {
        assert.is(way.toHex(value), Buffer.from(value).toString("hex"));
        assert.is(way.toBase64(value), Buffer.from(value).toString("base64"));
        assert.is(way.toHex(fromHex(way.toHex(value))!), way.toHex(value));
        assert.is(way.toHex(way.fromBase64(way.toBase64(value))!), way.toHex(value));
      }),
    );
  });

bytes("what is read is a copy of its own: no pool of the platform's behind it", () => {
  for (const value of [fromBase64(toBase64(counting(90)))!, utf8Encode("x".repeat(90))]) {
    assert.is(Object.getPrototypeOf(value), Uint8Array.prototype);
    assert.is(value.buffer.byteLength, 90);
  }
});

for (const [name, text] of [
  ["odd length", "abc"],
  ["upper case", "AB"],
  ["a letter past f", "0g"],
  ["a space", "0 "],
  ["a prefix", "0x01"],
] as const)
  bytes(`refuses hex with ${name}`, () => assert.is(fromHex(text), null));

for (const [name, text] of [
  ["no padding", "AA"],
  ["stray bits before ==", "AB=="],
  ["stray bits before =", "AAB="],
  ["padding alone", "===="],
  ["three padding signs", "A==="],
  ["padding inside", "AA==AAAA"],
  ["the URL alphabet", "-_-_"],
  ["a line feed", "AAAA\nAAA"],
  ["a trailing space", "AAA "],
  ["a letter outside ASCII", "AAAé"],
] as const)
  bytes(`refuses base64 with ${name}`, () => {
    for (const [where, way] of WAYS)
      for (const before of ["", "AAAA".repeat(10)]) {
        assert.is(way.fromBase64(before + text), null, where);
        assert.is.not(way.fromBase64(before), null, where);
      }
  });

bytes("every base64 text of up to two digits more than a quantum comes from one value only", () => {
  // A decoder that forgave stray bits would take 4096 texts for the 256 one-byte values.
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  let taken = 0;
  for (const a of alphabet) for (const b of alphabet) if (fromBase64(`${a}${b}==`) !== null) taken++;
  assert.is(taken, 256);
  const before = "vouch".repeat(8);
  for (const a of alphabet) for (const b of alphabet) if (fromBase64(`${before}${a}${b}==`) !== null) taken++;
  assert.is(taken, 512);
});

for (const [where, way] of WAYS)
  bytes(`UTF-8 is that of the platform, for any text, ${where}`, () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 90 }), (text) => {
        assert.is(toHex(way.utf8Encode(text)), Buffer.from(text).toString("hex"));
        assert.is(way.utf8Decode(way.utf8Encode(text)), text);
      }),
    );
  });

bytes("a lone surrogate is written as U+FFFD, wherever it stands", () => {
  for (const text of ["\ud800", "a\udc00b", "\ud800\ud800\udc00", "\udc00\ud800"])
    for (const [, way] of WAYS)
      for (const before of ["", "a".repeat(90)])
        assert.is(toHex(way.utf8Encode(before + text)), Buffer.from(before + text).toString("hex"));
});

bytes("takes exactly the byte strings a fatal TextDecoder takes", () => {
  const platform = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const expected = (value: Uint8Array): string | null => {
    try {
      return platform.decode(value);
    } catch {
      return null;
    }
  };
  // Short ones are ours wherever we run, so each is asked about again behind a long text.
  const long = utf8Encode("\ufefflong \ufffd".repeat(7));
  const check = (list: number[]) => {
    const value = new Uint8Array(list);
    for (const [where, way] of WAYS)
      for (const whole of [value, concatBytes([long, value])])
        assert.is(way.utf8Decode(whole), expected(whole), `${where} ${toHex(whole)}`);
  };
  // All pairs of bytes, then around the borders of each length.
  for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) check([a, b]);
  const edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0];
  for (const lead of [0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xf8])
    for (const b of edges)
      for (const c of edges)
        for (const d of edges) {
          check([lead, b, c]);
          check([lead, b, c, d]);
        }
});

bytes.run();
