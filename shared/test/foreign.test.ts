// JSON of others: what makes it ambiguous or endless is refused before anything is read of it.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import { parseForeign } from "../src/exchange/foreign";
import { refusal } from "./vectors";

const json = suite("foreign JSON");

for (const [name, text] of [
  ["a key twice", `{"a":1,"a":2}`],
  ["a key twice, once escaped", `{"a":1,"\\u0061":2}`],
  ["a key twice, deep down", `[{"x":{"a":[1,{"b":1}],"c":2,"a":3}}]`],
  ["a key twice with space before the colon", `{"a" :1,"a"\n:2}`],
  ["__proto__", `{"__proto__":1}`],
  ["70 levels", `${"[".repeat(70)}${"]".repeat(70)}`],
  ["a million levels", "[".repeat(1_000_000)],
  ["a string of a million escapes that never ends", `{"a":"${'\\"'.repeat(1_000_000)}`],
  ["a million quotes", '"'.repeat(1_000_001)],
  ["no JSON", "{"],
  ["nothing", ""],
  ["a comma at the end", "[1,]"],
] as const)
  json(`refuses: ${name}`, () =>
    assert.throws(() => parseForeign(utf8Encode(text), "x"), refusal("malformed-json")),
  );

json("takes white space, escapes, and equal keys of different objects and as values", () => {
  const text = ` { "a" : [ {"k":"a"} , {"k":"\\"a\\":"} ] , "b" : "{\\"a\\":1" } `;
  assert.equal(parseForeign(utf8Encode(text), "x"), JSON.parse(text));
  assert.throws(() => parseForeign(new Uint8Array([0x22, 0xff, 0x22]), "x"), refusal("malformed-json"));
  assert.throws(() => parseForeign(new Uint8Array(9), "x", 8), refusal("too-large"));
});
json.run();
