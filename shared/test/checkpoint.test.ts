import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toBase64, toHex } from "../src/bytes";
import {
  formatCheckpoint,
  MAX_TREE_SIZE,
  openCheckpoint,
  parseCheckpoint,
  parseSize,
} from "../src/checkpoint";
import { formatNote, parseNote } from "../src/note";
import { isRefusal } from "../src/refusal";
import { makeVkey, parseVkey } from "../src/vkey";
import { checkpointNote, lineBy, testCrypto, testKey } from "./keys";
import { counting, flips, publishedBytes, refusal } from "./vectors";

const checkpoints = suite("checkpoint");

const ROOT = toBase64(counting(32));
const workedLog = parseVkey(Buffer.from(publishedBytes("worked/vkeys")).toString().split("\n")[0]!);

checkpoints("opens the worked checkpoint, and prints its text again", () => {
  const { checkpoint, note } = openCheckpoint(publishedBytes("worked/log/checkpoint"), workedLog, testCrypto);
  assert.is(checkpoint.origin, "example.org/firmware-log");
  assert.is(checkpoint.size, 5n);
  assert.is(toHex(checkpoint.root), toHex(publishedBytes("worked/release.receipt.root")));
  assert.is(formatCheckpoint(checkpoint), note.text);
  assert.is(note.signatures.length, 2);
});

for (const [name, text] of [
  ["nothing", ""],
  ["an empty origin", `\n4\n${ROOT}\n`],
  ["a space in the origin", `my log\n4\n${ROOT}\n`],
  ["size with leading zero", `log\n04\n${ROOT}\n`],
  ["size with plus", `log\n+4\n${ROOT}\n`],
  ["size with space", `log\n 4\n${ROOT}\n`],
  ["a negative size", `log\n-4\n${ROOT}\n`],
  ["a hexadecimal size", `log\n0x4\n${ROOT}\n`],
  ["no size", `log\n\n${ROOT}\n`],
  ["a size of 2^63", `log\n9223372036854775808\n${ROOT}\n`],
  ["a size of 30 digits", `log\n${"9".repeat(30)}\n${ROOT}\n`],
  ["a size in other digits", `log\n٤\n${ROOT}\n`],
  ["root of 31 bytes", `log\n4\n${toBase64(counting(31))}\n`],
  ["root of 33 bytes", `log\n4\n${toBase64(counting(33))}\n`],
  ["root with stray bits", `log\n4\n${ROOT.slice(0, 42)}9=\n`],
  ["root without padding", `log\n4\n${ROOT.slice(0, 43)}\n`],
  ["root in hex", `log\n4\n${toHex(counting(32))}\n`],
  ["no last newline", `log\n4\n${ROOT}`],
  ["an extension line", `log\n4\n${ROOT}\nextra\n`],
  ["an empty line at the end", `log\n4\n${ROOT}\n\n`],
  ["two lines", `log\n4\n`],
] as const)
  checkpoints(`refuses: ${name}`, () => {
    assert.throws(() => parseCheckpoint(text), refusal("malformed-checkpoint"));
  });

checkpoints("sizes up to 2^63 - 1 keep every digit", () => {
  for (const size of [0n, 1n, 2n ** 53n + 1n, MAX_TREE_SIZE])
    assert.is(parseCheckpoint(`log\n${size}\n${ROOT}\n`).size, size);
  assert.is(parseSize("9223372036854775807"), MAX_TREE_SIZE);
  for (const text of ["", "00", "1.0", "1e3", "1_0", " 1", "1\n", "9223372036854775808"])
    assert.is(parseSize(text), null, text);
});

checkpoints("printing and reading are inverse", () => {
  const size = fc.bigInt({ min: 0n, max: MAX_TREE_SIZE });
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(fc.stringMatching(/^[!-*,-~]{1,30}$/), size, hash, (origin, size, root) => {
      const checkpoint = { origin, size, root };
      assert.equal(parseCheckpoint(formatCheckpoint(checkpoint)), checkpoint);
    }),
  );
});

const log = testKey("log.example");
const witness = testKey("witness.example", 4);
const NOTE = checkpointNote(log, { size: 7n, root: counting(32) }, [witness]);

checkpoints("no byte of text or log signature can change", () => {
  const lineOfWitness = Buffer.from(NOTE).lastIndexOf("\n—") + 1;
  for (const [at, bent] of flips(NOTE.subarray(0, lineOfWitness))) {
    const whole = new Uint8Array([...bent, ...NOTE.subarray(lineOfWitness)]);
    assert.throws(() => openCheckpoint(whole, log.vkey, testCrypto), isRefusal, `byte ${at}`);
  }
});

checkpoints("refuses another log's checkpoint, signed with our log's very key", () => {
  const text = `other.example\n7\n${ROOT}\n`;
  const note = formatNote(text, [lineBy(log, text)]);
  assert.throws(() => openCheckpoint(note, log.vkey, testCrypto), refusal("unknown-log"));
});

checkpoints("refuses a checkpoint that only others signed", () => {
  const text = parseNote(NOTE).text;
  const mallory = {
    ...testKey("mallory"),
    vkey: makeVkey("log.example", 1, testKey("mallory").vkey.publicKey),
  };
  const note = formatNote(text, [lineBy(mallory, text)]);
  assert.throws(() => openCheckpoint(note, log.vkey, testCrypto), refusal("unknown-log"));
  const claimed = { ...mallory, vkey: log.vkey }; // our name and id, her signature
  assert.throws(
    () => openCheckpoint(formatNote(text, [lineBy(claimed, text)]), log.vkey, testCrypto),
    refusal("bad-signature"),
  );
});

checkpoints("refuses a signed text that is no checkpoint", () => {
  const note = formatNote("hello\n", [lineBy(log, "hello\n")]);
  assert.throws(() => openCheckpoint(note, log.vkey, testCrypto), refusal("malformed-checkpoint"));
});

checkpoints.run();
