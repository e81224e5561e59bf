import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, toHex, utf8Encode } from "../src/bytes";
import { formatCheckpoint } from "../src/checkpoint";
import { cosignatureBytes, cosignedMessage, verifyCosignature } from "../src/cosignature";
import { formatNote, parseNote, signatureLine } from "../src/note";
import { isRefusal } from "../src/refusal";
import { parseVkey } from "../src/vkey";
import { cosignedBy, lineBy, testCrypto, testKey } from "./keys";
import { counting, flips, publishedBytes, refusal } from "./vectors";

const cosignatures = suite("cosignature");

const log = testKey("log.example");
const witness = testKey("witness.example", 4);
const TEXT = formatCheckpoint({ origin: "log.example", size: 7n, root: counting(32) });
const noteOf = (...lines: string[]) => parseNote(formatNote(TEXT, [lineBy(log, TEXT), ...lines]));
const verify = (...lines: string[]) => verifyCosignature(noteOf(...lines), witness.vkey, testCrypto);

cosignatures("the worked witness cosigned at the time in its line", () => {
  const [, line] = Buffer.from(publishedBytes("worked/vkeys")).toString().split("\n");
  const note = parseNote(publishedBytes("worked/log/checkpoint"));
  assert.equal(verifyCosignature(note, parseVkey(line!), testCrypto), { time: 1768467600 });
});

cosignatures("the signed message is the specification's", () => {
  assert.is(
    Buffer.from(cosignedMessage(1679315147, TEXT)).toString(),
    `cosignature/v1\ntime 1679315147\n${TEXT}`,
  );
  assert.is(toHex(cosignatureBytes(0x1_0000_0002, counting(2))), "00000001000000020001");
});

cosignatures("times keep every second up to the year 9999", () => {
  for (const time of [1, 2 ** 32 - 1, 2 ** 32, 253402300799])
    assert.is(verify(cosignedBy(witness, TEXT, time)).time, time);
});

const line = cosignedBy(witness, TEXT, 1768467600);
const lineWith = (blob: Uint8Array) => signatureLine(witness.vkey.name, witness.vkey.keyId, blob);
const signature = witness.sign(cosignedMessage(1768467600, TEXT));

for (const [name, lines, code] of [
  ["none", [], "cosignature-missing"],
  ["one by another key", [cosignedBy(testKey("other", 4), TEXT, 5)], "cosignature-missing"],
  ["one by a log key of the same name", [lineBy(testKey("witness.example"), TEXT)], "cosignature-missing"],
  ["two by the same key", [line, line], "surplus-signature"],
  ["no time", [lineWith(signature)], "malformed-cosignature"],
  [
    "a byte too many",
    [lineWith(concatBytes([cosignatureBytes(1768467600, signature), counting(1)]))],
    "malformed-cosignature",
  ],
  ["time 0", [cosignedBy(witness, TEXT, 0)], "malformed-cosignature"],
  ["a time past the year 9999", [cosignedBy(witness, TEXT, 253402300800)], "malformed-cosignature"],
  [
    "a time of 2^64 - 1",
    [lineWith(concatBytes([new Uint8Array(8).fill(255), signature]))],
    "malformed-cosignature",
  ],
  ["another time than was signed", [lineWith(cosignatureBytes(1768467601, signature))], "bad-signature"],
  [
    "a signature over the text alone",
    [lineWith(cosignatureBytes(1768467600, witness.sign(utf8Encode(TEXT))))],
    "bad-signature",
  ],
  [
    "a signature over another checkpoint",
    [cosignedBy(witness, TEXT.replace("7", "8"), 1768467600)],
    "bad-signature",
  ],
] as const)
  cosignatures(`refuses: ${name}`, () => assert.throws(() => verify(...lines), refusal(code)));

cosignatures("no byte of note or cosignature can change", () => {
  const bytes = formatNote(TEXT, [line]);
  for (const [at, bent] of flips(bytes))
    assert.throws(
      () => verifyCosignature(parseNote(bent), witness.vkey, testCrypto),
      isRefusal,
      `byte ${at}`,
    );
});

cosignatures("a log key can't be used as a cosigner's", () => {
  assert.throws(
    () => verifyCosignature(noteOf(line), log.vkey, testCrypto),
    (error: unknown) => !isRefusal(error),
  );
});

cosignatures.run();
