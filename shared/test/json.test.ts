import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import {
  base64,
  fields,
  formatJson,
  hex,
  integer,
  list,
  matching,
  maybe,
  object,
  oneOf,
  parseJson,
  readJson,
  type Shape,
  text,
} from "../src/json";
import { refusal } from "./vectors";

const json = suite("json");
const MAX = 1000;

for (const [name, input, code] of [
  ["a space", '{"a": 1}', "not-canonical-json"],
  ["a line break at the end", "{}\n", "not-canonical-json"],
  ["a repeated key", '{"a":1,"a":1}', "not-canonical-json"],
  ["a repeated key in another spelling", '{"a":1,"\\u0061":1}', "not-canonical-json"],
  ["an escape that isn't needed", '"\\u0041"', "not-canonical-json"],
  ["an escaped slash", '"\\/"', "not-canonical-json"],
  ["upper-case hex in an escape", '"\\u001F"', "not-canonical-json"],
  ["1.0", "1.0", "not-canonical-json"],
  ["an exponent", "1e2", "not-canonical-json"],
  ["a number past the largest", "1e400", "not-canonical-json"],
  ["minus zero", "-0", "not-canonical-json"],
  ["an integer that a double can't hold", "9007199254740993", "not-canonical-json"],
  ["index-like keys out of order", '{"2":0,"1":0}', "not-canonical-json"],
  ["a byte order mark", "\ufeff{}", "malformed-json"],
  ["a trailing comma", "[1,]", "malformed-json"],
  ["a comment", "{}//", "malformed-json"],
  ["two values", "{}{}", "malformed-json"],
  ["nothing", "", "malformed-json"],
  ["NaN", "NaN", "malformed-json"],
  ["a leading zero", "01", "malformed-json"],
  ["half a surrogate pair", '"\\ud800"', "malformed-json"],
  ["half a surrogate pair in a key", '{"\\udfff":1}', "malformed-json"],
  ["a key named __proto__", '{"__proto__":{}}', "malformed-json"],
  ["33 levels of arrays", "[".repeat(33) + "]".repeat(33), "malformed-json"],
  ["more bytes than accepted", `"${"x".repeat(MAX)}"`, "too-large"],
] as const)
  json(`refuses: ${name}`, () => {
    assert.throws(() => parseJson(utf8Encode(input), "it", MAX), refusal(code));
    assert.throws(() => parseJson(input, "it", MAX), refusal(code));
  });

json("refuses: bytes that aren't UTF-8", () => {
  assert.throws(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22), "it", MAX), refusal("malformed-json"));
});

json("takes 32 levels, and brackets in strings for what they are", () => {
  assert.ok(parseJson("[".repeat(32) + "]".repeat(32), "it", MAX));
  const brackets = "[".repeat(40);
  assert.is(parseJson(JSON.stringify(`\\"${brackets}`), "it", MAX), `\\"${brackets}`);
});

json("a hundred thousand open brackets are refused, not a stack overflow", () => {
  assert.throws(() => parseJson("[".repeat(1e5), "it", 1e6), refusal("malformed-json"));
});

json("what formatJson writes, parseJson reads back", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const plain = JSON.parse(JSON.stringify(value)) as unknown; // no -0
      const bytes = formatJson(plain);
      fc.pre(!/__proto__|\\ud[89a-f]/.test(JSON.stringify(plain)));
      assert.equal(parseJson(bytes, "it", 1e6), plain);
    }),
  );
});

json("any bytes are read or refused, never a crash", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        parseJson(bytes, "it", MAX);
      } catch (error) {
        assert.ok(
          ["malformed-json", "not-canonical-json"].some((code) => refusal(code)(error)),
          `${error}`,
        );
      }
    }),
  );
});

const shape = object({ a: integer(0, 9), b: maybe(text(3)), c: list(hex(1), 1, 2) });

for (const [name, value] of [
  ["null", null],
  ["an array", []],
  ["a missing key", { a: 1 }],
  ["an unknown key", { a: 1, c: ["00"], d: 0 }],
  ["a key of Object.prototype", { a: 1, c: ["00"], toString: 0 }],
  ["an integer as text", { a: "1", c: ["00"] }],
  ["an integer above its maximum", { a: 10, c: ["00"] }],
  ["a fraction", { a: 0.5, c: ["00"] }],
  ["null for a key that may be absent", { a: 1, b: null, c: ["00"] }],
  ["text too long", { a: 1, b: "abcd", c: ["00"] }],
  ["empty text", { a: 1, b: "", c: ["00"] }],
  ["text with an escape character", { a: 1, b: "\u001b", c: ["00"] }],
  ["text with a bidi override", { a: 1, b: "\u202e", c: ["00"] }],
  ["too few items", { a: 1, c: [] }],
  ["too many items", { a: 1, c: ["00", "01", "02"] }],
  ["upper-case hex", { a: 1, c: ["AA"] }],
  ["hex too short", { a: 1, c: ["0"] }],
] as const)
  json(`a shape refuses: ${name}`, () => {
    assert.throws(() => shape(value, "it"), refusal("malformed-json"));
  });

json("a shape gives back a copy in its own order, absent keys left out", () => {
  const read = shape({ c: ["00"], a: 1 }, "it");
  assert.is(JSON.stringify(read), '{"a":1,"c":["00"]}');
  assert.is(read.b, undefined);
});

json("a shape says where it was unhappy", () => {
  assert.throws(() => shape({ a: 1, c: ["00", "zz"] }, "it"), /^it\.c\[1\] is "zz", expected 2 lower-case/);
});

json("words, patterns and base64 are exact", () => {
  const words = oneOf("yes", "no");
  assert.is(words("no", "it"), "no");
  assert.equal(base64(1, 2)("AA==", "it"), Uint8Array.of(0));
  const digits = matching(/^[0-9]+$/, "digits");
  const cases: [Shape<unknown>, unknown][] = [
    [words, "No"],
    [digits, "1a"],
    [digits, 1],
    [base64(1), "AB=="],
    [base64(1), "AA"],
    [base64(2), "AA=="],
    [base64(1), 7],
    [integer(0), 2 ** 53],
  ];
  for (const [each, value] of cases) assert.throws(() => each(value, "it"), refusal("malformed-json"));
});

json("readJson refuses keys in another order, and gives shape refusals the caller's code", () => {
  const read = (input: string) =>
    readJson(
      utf8Encode(input),
      "it",
      MAX,
      "malformed-thing",
      object({ a: integer(0), b: integer(0) }),
      (r) => r,
    );
  assert.equal(read('{"a":1,"b":2}'), { a: 1, b: 2 });
  assert.throws(() => read('{"b":2,"a":1}'), refusal("not-canonical-json"));
  assert.throws(() => read('{"a":1}'), refusal("malformed-thing"));
  assert.throws(() => read('{"a":1'), refusal("malformed-json"));
  assert.throws(() => fields({ a: 1 }, "it", {}), refusal("malformed-json"));
});

json.run();
