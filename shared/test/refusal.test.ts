import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FAULTS, faultCode, faultRefusal, isRefusal, quote, Refusal } from "../src/refusal";
import { refusal } from "./vectors";

const refusals = suite("refusal");

refusals("carries code, message, cause and hint", () => {
  const cause = new Error("underneath");
  const no = new Refusal("bad-thing", "found 1, expected 2", { cause, hint: "try 2" });
  assert.is(no.code, "bad-thing");
  assert.is(no.message, "found 1, expected 2");
  assert.is(no.cause, cause);
  assert.is(no.hint, "try 2");
  assert.ok(no instanceof Error);
  assert.is(new Refusal("bad-thing", "found 1").hint, undefined);
});

refusals("is known by its brand, not its class, and nothing else has it", () => {
  const copy = Object.assign(new Error("from another copy of the module"), { code: "x" });
  Object.defineProperty(copy, Symbol.for("vouch.refusal"), { value: true });
  assert.ok(isRefusal(copy));
  assert.ok(isRefusal(new Refusal("a", "b")));
  for (const other of [new Error("a"), { code: "a" }, null, undefined, "vouch.refusal", 7])
    assert.not(isRefusal(other));
});

for (const [text, quoted] of [
  ["plain", '"plain"'],
  ['say "hi" \\', '"say \\"hi\\" \\\\"'],
  ["a\nb", '"a\\nb"'],
  ["\u001b[31m", '"\\u001b[31m"'],
  ["\u0000\u007f\u009b", '"\\u0000\\u007f\\u009b"'],
  ["\u202egpj.exe", '"\\u202egpj.exe"'],
  ["é😀", '"\\u00e9\\ud83d\\ude00"'],
  ["x".repeat(60), `"${"x".repeat(60)}"`],
  ["x".repeat(61), `"${"x".repeat(60)}…"`],
] as const)
  refusals(`quotes as ${quoted.slice(0, 30)}`, () => assert.is(quote(text), quoted));

refusals("quote is short and printable for any text, never ending inside an escape", () => {
  for (let c = 0; c < 0x10000; c += 7) {
    const out = quote(String.fromCharCode(c).repeat(200));
    assert.ok(/^"[ -~]*…?"$/.test(out), `U+${c.toString(16)}: ${out}`);
    assert.ok(out.length <= 63);
    assert.is(out.replace(/\\(u[0-9a-f]{4}|n|"|\\)/g, "").includes("\\"), false, out);
  }
});

refusals("faults become refusals with their code", () => {
  assert.throws(() => {
    throw faultRefusal(0x0103, "evidence.eat");
  }, refusal("cbor-unsorted"));
  assert.is(faultRefusal(0x0103, "evidence.eat").message.startsWith("evidence.eat: "), true);
  assert.is(faultCode(0x0103), "cbor-unsorted");
});

refusals("a fault of a newer device is named by its number", () => {
  assert.is(faultCode(0x7f7f), "fault-0x7f7f");
  assert.is(faultRefusal(0x7f7f, "device").code, "fault-0x7f7f");
});

refusals("messages have the shape of the style: lower case start or an acronym, no full stop", () => {
  for (const [fault, [code, gloss]] of Object.entries(FAULTS)) {
    assert.match(code, /^[a-z0-9]+(-[a-z0-9]+)*$/, fault);
    assert.not(gloss.endsWith("."), fault);
  }
});

refusals.run();
