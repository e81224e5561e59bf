import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import type { CborValue } from "../src/cbor";
import {
  CBOR_LENIENT,
  CBOR_STRICT,
  cborMap,
  decodeCbor,
  encodeCbor,
  isBytes,
  isMap,
  isTag,
  mapGet,
} from "../src/cbor";
import { faultCode } from "../src/refusal";
import { counting, hex, publishedJson } from "./vectors";

const cbor = suite("cbor");

const strict = (text: string) => decodeCbor(hex(text), CBOR_STRICT);
const lenient = (text: string) => decodeCbor(hex(text), CBOR_LENIENT);
const codeOf = ({ fault }: { fault: number }) => (fault === 0 ? "taken" : faultCode(fault));

// RFC 8949 appendix A, every example whose value the subset has.
const APPENDIX_A: [string, CborValue][] = [
  ["00", 0],
  ["01", 1],
  ["0a", 10],
  ["17", 23],
  ["1818", 24],
  ["1819", 25],
  ["1864", 100],
  ["1903e8", 1000],
  ["1a000f4240", 1000000],
  ["1b000000e8d4a51000", 1000000000000],
  ["20", -1],
  ["29", -10],
  ["3863", -100],
  ["3903e7", -1000],
  ["f4", false],
  ["f5", true],
  ["f6", null],
  ["c074323031332d30332d32315432303a30343a30305a", { tag: 0, value: "2013-03-21T20:04:00Z" }],
  ["c11a514b67b0", { tag: 1, value: 1363896240 }],
  ["d74401020304", { tag: 23, value: hex("01020304") }],
  ["d818456449455446", { tag: 24, value: hex("6449455446") }],
  ["d82076687474703a2f2f7777772e6578616d706c652e636f6d", { tag: 32, value: "http://www.example.com" }],
  ["c249010000000000000000", { tag: 2, value: hex("010000000000000000") }],
  ["c349010000000000000000", { tag: 3, value: hex("010000000000000000") }],
  ["40", hex("")],
  ["4401020304", hex("01020304")],
  ["60", ""],
  ["6161", "a"],
  ["6449455446", "IETF"],
  ["62225c", '"\\'],
  ["62c3bc", "\u00fc"],
  ["63e6b0b4", "\u6c34"],
  ["64f0908591", "\ud800\udd51"],
  ["80", []],
  ["83010203", [1, 2, 3]],
  ["8301820203820405", [1, [2, 3], [4, 5]]],
  ["98190102030405060708090a0b0c0d0e0f101112131415161718181819", Array.from({ length: 25 }, (_, i) => i + 1)],
  ["a0", cborMap([])],
  [
    "a201020304",
    cborMap([
      [1, 2],
      [3, 4],
    ]),
  ],
  [
    "a26161016162820203",
    cborMap([
      ["a", 1],
      ["b", [2, 3]],
    ]),
  ],
  ["826161a161626163", ["a", cborMap([["b", "c"]])]],
  [
    "a56161614161626142616361436164614461656145",
    cborMap([
      ["a", "A"],
      ["b", "B"],
      ["c", "C"],
      ["d", "D"],
      ["e", "E"],
    ]),
  ],
];
for (const [text, value] of APPENDIX_A)
  cbor(`writes and reads appendix A's ${text.slice(0, 24)}`, () => {
    assert.is(toHex(encodeCbor(value)), text);
    assert.equal(strict(text), { fault: 0, value });
    assert.equal(lenient(text), { fault: 0, value });
  });

// The indefinite ones of appendix A: SMP peers write them, nothing signed does.
const INDEFINITE: [string, CborValue][] = [
  ["5f42010243030405ff", hex("0102030405")],
  ["7f657374726561646d696e67ff", "streaming"],
  ["9fff", []],
  ["9f018202039f0405ffff", [1, [2, 3], [4, 5]]],
  ["9f01820203820405ff", [1, [2, 3], [4, 5]]],
  ["83018202039f0405ff", [1, [2, 3], [4, 5]]],
  ["83019f0203ff820405", [1, [2, 3], [4, 5]]],
  ["9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff", Array.from({ length: 25 }, (_, i) => i + 1)],
  [
    "bf61610161629f0203ffff",
    cborMap([
      ["a", 1],
      ["b", [2, 3]],
    ]),
  ],
  ["826161bf61626163ff", ["a", cborMap([["b", "c"]])]],
  [
    "bf6346756ef563416d7421ff",
    cborMap([
      ["Fun", true],
      ["Amt", -2],
    ]),
  ],
];
for (const [text, value] of INDEFINITE)
  cbor(`lenient reads appendix A's indefinite ${text.slice(0, 24)}, strict refuses it`, () => {
    assert.equal(lenient(text), { fault: 0, value });
    assert.is(codeOf(strict(text)), "cbor-indefinite");
  });

// What appendix A has and the subset hasn't.
for (const [text, code] of [
  ["1bffffffffffffffff", "cbor-integer-range"],
  ["3bffffffffffffffff", "cbor-integer-range"],
  ["f90000", "cbor-unsupported"],
  ["f98000", "cbor-unsupported"],
  ["f93c00", "cbor-unsupported"],
  ["fb3ff199999999999a", "cbor-unsupported"],
  ["f97e00", "cbor-unsupported"],
  ["fa47c35000", "cbor-unsupported"],
  ["f0", "cbor-unsupported"],
  ["f8ff", "cbor-unsupported"],
  ["c1fb41d452d9ec200000", "cbor-unsupported"],
] as const)
  cbor(`refuses appendix A's ${text} in both modes`, () => {
    assert.is(codeOf(strict(text)), code);
    assert.is(codeOf(lenient(text)), code);
  });

const deep = (levels: number) => `${"81".repeat(levels)}00`;

// name, bytes, what strict says, what lenient says
for (const [name, text, strictly, leniently] of [
  ["nothing at all", "", "cbor-truncated", "cbor-truncated"],
  ["23 in two bytes", "1817", "cbor-not-preferred", "taken"],
  ["255 in three bytes", "1900ff", "cbor-not-preferred", "taken"],
  ["65535 in five bytes", "1a0000ffff", "cbor-not-preferred", "taken"],
  ["2^32 - 1 in nine bytes", "1b00000000ffffffff", "cbor-not-preferred", "taken"],
  ["-24 in two bytes", "3817", "cbor-not-preferred", "taken"],
  ["a byte string's length in two bytes", "580100", "cbor-not-preferred", "taken"],
  ["a text's length in three bytes", "79000161", "cbor-not-preferred", "taken"],
  ["an array's count in two bytes", "980100", "cbor-not-preferred", "taken"],
  ["a map's count in two bytes", "b8010000", "cbor-not-preferred", "taken"],
  ["a tag in two bytes", "d81200", "cbor-not-preferred", "taken"],
  ["a key that isn't preferred", "a1180100", "cbor-not-preferred", "taken"],
  ["a key twice", "a201000100", "cbor-duplicate-key", "cbor-duplicate-key"],
  ["a key twice, apart", "a3010002000100", "cbor-unsorted", "cbor-duplicate-key"],
  ["a text key twice", "a2616100616101", "cbor-duplicate-key", "cbor-duplicate-key"],
  ["a key twice in two spellings", "a20100180100", "cbor-not-preferred", "cbor-duplicate-key"],
  ["keys in falling order", "a202000100", "cbor-unsorted", "taken"],
  ["a longer key first", "a2626161006161 01", "cbor-unsorted", "taken"],
  ["a negative key before a positive", "a220000000", "cbor-unsorted", "taken"],
  ["keys unsorted inside an array", "8301a20200010003", "cbor-unsorted", "taken"],
  ["an array as key", "a18000", "taken", "cbor-too-large"],
  ["a byte string as key", "a1410000", "taken", "cbor-too-large"],
  ["a byte after the item", "0000", "cbor-trailing", "cbor-trailing"],
  ["a break after the item", "00ff", "cbor-trailing", "cbor-trailing"],
  ["a break alone", "ff", "cbor-malformed", "cbor-malformed"],
  ["a break as an array's element", "82ff00", "cbor-malformed", "cbor-malformed"],
  ["a break as a map's value", "bf00ff", "cbor-indefinite", "cbor-malformed"],
  ["an indefinite array without end", "9f0000", "cbor-indefinite", "cbor-truncated"],
  ["an indefinite string without end", "5f4100", "cbor-indefinite", "cbor-truncated"],
  ["text among byte chunks", "5f6161ff", "cbor-indefinite", "cbor-malformed"],
  ["an indefinite chunk in a chunk", "5f5f4100ffff", "cbor-indefinite", "cbor-malformed"],
  ["a chunk longer than the input", "5f4500ff", "cbor-indefinite", "cbor-truncated"],
  ["an indefinite integer", "1f", "cbor-malformed", "cbor-malformed"],
  ["an indefinite negative", "3f", "cbor-malformed", "cbor-malformed"],
  ["an indefinite tag", "df00", "cbor-malformed", "cbor-malformed"],
  ["a reserved head of an integer", "1c", "cbor-malformed", "cbor-malformed"],
  ["a reserved head of a string", "5d", "cbor-malformed", "cbor-malformed"],
  ["a reserved simple head", "fc", "cbor-malformed", "cbor-malformed"],
  ["undefined", "f7", "cbor-unsupported", "taken"],
  ["a simple value in two bytes", "f820", "cbor-unsupported", "cbor-unsupported"],
  ["false in two bytes", "f814", "cbor-unsupported", "cbor-unsupported"],
  ["2^53", "1b0020000000000000", "cbor-integer-range", "cbor-integer-range"],
  ["-2^53", "3b001fffffffffffff", "cbor-integer-range", "cbor-integer-range"],
  ["a length past 2^53", "5bffffffffffffffff", "cbor-integer-range", "cbor-integer-range"],
  ["a tag past 2^53", "dbffffffffffffffff00", "cbor-integer-range", "cbor-integer-range"],
  ["a byte string of 4 GiB", "5affffffff", "cbor-truncated", "cbor-truncated"],
  ["a text one byte short", "6261", "cbor-truncated", "cbor-truncated"],
  ["an array of 2^32 - 1", "9affffffff00", "cbor-truncated", "cbor-truncated"],
  ["an array of 2^52", "9b001000000000000000", "cbor-truncated", "cbor-truncated"],
  ["a map of 2^52", "bb001000000000000000", "cbor-truncated", "cbor-truncated"],
  ["a map with a key and no value", "a100", "cbor-truncated", "cbor-truncated"],
  ["a head cut in its argument", "1a0000", "cbor-truncated", "cbor-truncated"],
  ["a tag of nothing", "c0", "cbor-truncated", "cbor-truncated"],
  ["text that isn't UTF-8", "61ff", "cbor-text", "cbor-text"],
  ["text with an overlong slash", "62c0af", "cbor-text", "cbor-text"],
  ["text with a surrogate", "63eda080", "cbor-text", "cbor-text"],
  ["16 levels of arrays", deep(16), "taken", "taken"],
  ["17 levels of arrays", deep(17), "cbor-too-deep", "cbor-too-deep"],
  ["17 levels of maps", `${"a100".repeat(17)}00`, "cbor-too-deep", "cbor-too-deep"],
  ["17 levels of tags", `${"c1".repeat(17)}00`, "cbor-too-deep", "cbor-too-deep"],
  ["100000 levels of arrays", deep(100000), "cbor-too-deep", "cbor-too-deep"],
  ["100000 indefinite levels", "9f".repeat(100000), "cbor-indefinite", "cbor-too-deep"],
] as const)
  cbor(`${name}: strict ${strictly}, lenient ${leniently}`, () => {
    assert.is(codeOf(strict(text)), strictly);
    assert.is(codeOf(lenient(text)), leniently);
    for (const { fault, value } of [strict(text), lenient(text)]) if (fault !== 0) assert.is(value, null);
  });

cbor("reads the ends of the integers exactly", () => {
  for (const n of [2 ** 53 - 1, 2 ** 32, 2 ** 32 - 1, 65536, 65535, 256, 255, 24, 23])
    for (const signed of [n, -n]) assert.is(decodeCbor(encodeCbor(signed), CBOR_STRICT).value, signed);
  assert.is(toHex(encodeCbor(2 ** 53 - 1)), "1b001fffffffffffff");
  assert.is(toHex(encodeCbor(-(2 ** 53 - 1))), "3b001ffffffffffffe");
});

cbor("lenient takes undefined for null", () => assert.equal(lenient("81f7").value, [null]));

cbor("lenient stops at 256 keys", () => {
  const map = (count: number) =>
    encodeCbor(
      cborMap(Array.from({ length: count }, (_, i): [CborValue, CborValue] => [i, "about 16 letters"])),
    );
  assert.is(codeOf(decodeCbor(map(256), CBOR_LENIENT)), "taken");
  assert.is(codeOf(decodeCbor(map(257), CBOR_LENIENT)), "cbor-too-large");
});

cbor("128 items are taken and no more, in what a board's frame can hold", () => {
  const list = (count: number) => encodeCbor(new Array(count - 1).fill(new Uint8Array(0)));
  for (const mode of [CBOR_STRICT, CBOR_LENIENT]) {
    assert.is(codeOf(decodeCbor(list(128), mode)), "taken");
    assert.is(codeOf(decodeCbor(list(129), mode)), "cbor-too-large");
    assert.is(codeOf(decodeCbor(list(500), mode)), "cbor-too-large");
  }
  const nested = new Uint8Array(500).fill(0xa0);
  nested.set([0x9f]);
  assert.is(codeOf(decodeCbor(nested, CBOR_LENIENT)), "cbor-too-large", "indefinite");
});

cbor("a peer's answer of many items is taken when it is as long as such answers are", () => {
  const slot = cborMap([
    ["slot", 0],
    ["version", "1.0.0"],
    ["hash", new Uint8Array(32)],
    ["bootable", true],
    ["active", true],
  ]);
  const answer = encodeCbor(cborMap([["images", new Array(16).fill(slot)]]));
  assert.is(codeOf(decodeCbor(answer, CBOR_LENIENT)), "taken");
});

cbor("a megabyte of hostile input is answered at once", () => {
  const started = process.cpuUsage();
  for (const fill of [0x80, 0x81, 0x9f, 0xa1, 0xbf, 0x5f, 0x61, 0x00, 0xc1, 0xff]) {
    for (const first of ["9a000fffff", "ba0007ffff", "9f", "bf", "5f", "7f"]) {
      const bytes = new Uint8Array(1 << 20).fill(fill);
      bytes.set(hex(first));
      decodeCbor(bytes, CBOR_STRICT);
      decodeCbor(bytes, CBOR_LENIENT);
    }
  }
  const { user } = process.cpuUsage(started); // of its own: what others do meanwhile is not its time
  assert.ok(user < 20_000_000, `${user} µs for 120 documents`);
});

cbor("byte strings are views of the input", () => {
  const input = hex("4401020304");
  const value = decodeCbor(input, CBOR_STRICT).value as Uint8Array;
  input[1] = 9;
  assert.is(value[0], 9);
});

cbor("sorts the keys it is given, as section 4.2.1 does", () => {
  // The example of that section, here backwards.
  const keys: CborValue[] = [false, [-1], [100], "aa", "z", -1, 100, 10];
  const map = cborMap(keys.map((key): [CborValue, CborValue] => [key, 0]));
  const sorted = "a8 0a00 186400 2000 617a00 62616100 81186400 812000 f400";
  assert.is(toHex(encodeCbor(map)), toHex(hex(sorted)));
});

cbor("throws an ordinary error at what it can't write", () => {
  const plain = (error: unknown) => error instanceof Error && error.name === "Error";
  for (const bad of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, -(2 ** 53)])
    assert.throws(() => encodeCbor(bad), plain, String(bad));
  assert.throws(
    () =>
      encodeCbor(
        cborMap([
          [1, 0],
          [1, 1],
        ]),
      ),
    plain,
  );
});

cbor("tells its kinds apart", () => {
  const [map, tag, bytes] = [
    cborMap([
      [1, "one"],
      ["k", 2],
    ]),
    { tag: 1, value: 0 },
    counting(2),
  ];
  for (const [is, mine] of [
    [isMap, map],
    [isTag, tag],
    [isBytes, bytes],
  ] as const)
    for (const value of [map, tag, bytes, [], [1], "", "x", 0, true, null, undefined])
      assert.is(is(value), value === mine);
  assert.is(mapGet(map, 1), "one");
  assert.is(mapGet(map, "k"), 2);
  assert.is(mapGet(map, 2), undefined);
  assert.is(mapGet(map, "1"), undefined);
});

const { value: anyValue } = fc.letrec<{ value: CborValue; key: CborValue }>((tie) => ({
  key: fc.oneof(fc.maxSafeInteger(), fc.string({ unit: "binary", maxLength: 8 })),
  value: fc.oneof(
    { depthSize: "small", maxDepth: 8 },
    fc.maxSafeInteger(),
    fc.integer({ min: -300, max: 300 }),
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 40 }),
    fc.array(tie("value"), { maxLength: 6 }),
    fc
      .uniqueArray(fc.tuple(tie("key"), tie("value")), { maxLength: 6, selector: ([key]) => key })
      .map((pairs) => cborMap(pairs)),
    fc.record({ tag: fc.nat(), value: tie("value") }),
  ),
}));

cbor("what is written comes back, in both modes, and is written the same again", () => {
  fc.assert(
    fc.property(anyValue, (value) => {
      const bytes = encodeCbor(value);
      for (const mode of [CBOR_STRICT, CBOR_LENIENT]) {
        const back = decodeCbor(bytes, mode);
        assert.is(back.fault, 0);
        assert.is(toHex(encodeCbor(back.value!)), toHex(bytes));
      }
    }),
    { numRuns: 500 },
  );
});

cbor("what strict takes has no other encoding", () => {
  // Random bytes seldom parse, so known encodings are bent: whatever still parses must print as it stands.
  let taken = 0;
  fc.assert(
    fc.property(anyValue, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, change) => {
      const bytes = encodeCbor(value);
      bytes[at % bytes.length]! ^= change;
      const back = decodeCbor(bytes, CBOR_STRICT);
      if (back.fault !== 0) return;
      taken++;
      assert.is(toHex(encodeCbor(back.value!)), toHex(bytes));
    }),
    { numRuns: 3000 },
  );
  assert.ok(taken > 100, `${taken} parsed`);
});

cbor("no input makes it throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const mode of [CBOR_STRICT, CBOR_LENIENT]) {
        const { fault, value } = decodeCbor(bytes, mode);
        assert.ok(fault === 0 || value === null);
      }
    }),
    { numRuns: 3000 },
  );
});

cbor("every cut of an encoding is refused as truncated", () => {
  const bytes = encodeCbor(
    cborMap([
      [1, [hex("0102"), "text", { tag: 18, value: null }]],
      [300, 2 ** 40],
    ]),
  );
  for (let end = 0; end < bytes.length; end++)
    for (const mode of [CBOR_STRICT, CBOR_LENIENT])
      assert.is(codeOf(decodeCbor(bytes.subarray(0, end), mode)), "cbor-truncated", `cut at ${end}`);
});

// ---- Published examples

interface Example {
  file: string;
  cbor_hex: string;
}

// RFC 9711's payloads keep the order of the text they come from; CWTs need not be deterministic.
const UNSORTED = [
  "Example-Payloads/simple.diag",
  "Example-Payloads/submods.diag",
  "Example-Payloads/valid_hw_block.diag",
  "Example-Payloads/valid_hw_block2.diag",
  "Example-Payloads/valid_iot.diag",
  "Example-Payloads/valid_key_store.diag",
  "Example-Payloads/valid_submods.diag",
  "ear-cbor-1.diag",
];

const EXAMPLES = [
  ...publishedJson<{ cases: Example[] }>("eat/eat.json").cases,
  ...publishedJson<{ cases: Example[] }>("eat/measured-component.json").cases,
  ...publishedJson<{ cbor: Example[] }>("eat/ear.json").cbor,
];
cbor("there are 16 published examples, 8 of them with unsorted keys", () => {
  assert.is(EXAMPLES.length, 16);
  assert.equal(
    UNSORTED.filter((file) => EXAMPLES.some((example) => example.file === file)),
    UNSORTED,
  );
});
for (const { file, cbor_hex } of EXAMPLES)
  cbor(
    `reads ${file}${UNSORTED.includes(file) ? ", leniently only: its keys are unsorted" : " and writes it again"}`,
    () => {
      const relaxed = lenient(cbor_hex);
      assert.is(codeOf(relaxed), "taken");
      if (UNSORTED.includes(file)) {
        assert.is(codeOf(strict(cbor_hex)), "cbor-unsorted");
        // Sorted, it is the same value, and strict takes it.
        const sorted = encodeCbor(relaxed.value!);
        assert.is(sorted.length, cbor_hex.length / 2);
        assert.is(codeOf(decodeCbor(sorted, CBOR_STRICT)), "taken");
      } else {
        assert.equal(strict(cbor_hex), relaxed);
        assert.is(toHex(encodeCbor(relaxed.value!)), cbor_hex);
      }
    },
  );

cbor.run();
