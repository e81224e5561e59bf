import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex, utf8Encode } from "../src/bytes";
import { formatCheckpoint } from "../src/checkpoint";
import { emptyRoot, leafHash, memoryReader, proveConsistency, rootOf } from "../src/merkle";
import { formatNote, parseNote } from "../src/note";
import { isRefusal } from "../src/refusal";
import { formatVkey, makeVkey, parseVkey } from "../src/vkey";
import {
  checkExtends,
  cosignatureIn,
  formatAddCheckpoint,
  formatAnswer,
  MAX_REQUEST,
  OldSizeMismatch,
  openSubmitted,
  parseAddCheckpoint,
  parseAnswer,
  parseLogs,
  statusOfRefusal,
} from "../src/witness";
import { checkpointNote, cosignedBy, lineBy, testCrypto, testKey } from "./keys";
import { flips, refusal } from "./vectors";

const witness = suite("witness");

const log = testKey("example.org/log");
const LEAVES = Array.from({ length: 40 }, (_, i) => leafHash(utf8Encode(`record ${i}`), testCrypto));
const READER = memoryReader(LEAVES, testCrypto);
const treeOf = (size: bigint) => ({ origin: log.vkey.name, size, root: rootOf(size, READER, testCrypto) });
const noteOf = (size: bigint) => checkpointNote(log, treeOf(size));
const requestOf = (oldSize: bigint, size: bigint) => ({
  oldSize,
  proof: proveConsistency(oldSize, size, READER, testCrypto),
  note: noteOf(size),
});

/** The example of the specification, tlog-witness v1.0.0. */
const EXAMPLE = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;

witness("the specification's request is read, and written the same", () => {
  const request = parseAddCheckpoint(utf8Encode(EXAMPLE));
  assert.is(request.oldSize, 20852014n);
  assert.is(request.proof.length, 4);
  assert.is(parseNote(request.note).signatures.length, 2);
  assert.is(toHex(formatAddCheckpoint(request)), toHex(utf8Encode(EXAMPLE)));
});

const HASH = EXAMPLE.split("\n")[1]!;
for (const [name, text, code] of [
  ["nothing", "", "malformed-request"],
  ["no empty line", `old 0\n${HASH}\n`, "malformed-request"],
  ["no old line", `\n\n${EXAMPLE}`, "malformed-request"],
  ["old with a leading zero", EXAMPLE.replace("old 2", "old 02"), "malformed-request"],
  ["old with two spaces", EXAMPLE.replace("old ", "old  "), "malformed-request"],
  ["old with a sign", EXAMPLE.replace("old ", "old +"), "malformed-request"],
  ["old beyond 2^63", EXAMPLE.replace("20852014", "9223372036854775808"), "malformed-request"],
  ["old without a number", EXAMPLE.replace("old 20852014", "old "), "malformed-request"],
  ["lines that end in CRLF", EXAMPLE.replaceAll("\n", "\r\n"), "malformed-request"],
  ["a hash that is short", EXAMPLE.replace("PlRN", ""), "malformed-request"],
  ["a hash with stray bits", EXAMPLE.replace("pkaw=", "pkax="), "malformed-request"],
  ["64 hashes", `old 1\n${`${HASH}\n`.repeat(64)}\n`, "malformed-request"],
  ["more than a note and a proof", `old 0\n\n${"x".repeat(MAX_REQUEST)}`, "too-large"],
] as const)
  witness(`a request is refused: ${name}`, () => {
    assert.throws(() => parseAddCheckpoint(utf8Encode(text)), refusal(code));
  });

witness("a request of 63 hashes is read, bytes that aren't UTF-8 are refused", () => {
  assert.is(parseAddCheckpoint(utf8Encode(`old 1\n${`${HASH}\n`.repeat(63)}\n`)).proof.length, 63);
  assert.throws(() => parseAddCheckpoint(Uint8Array.of(0xff)), refusal("malformed-request"));
});

witness("every pair of sizes up to 40 extends, and no other root, old size or bent proof does", () => {
  for (let size = 1n; size <= 40n; size++) {
    for (let old = 0n; old <= size; old++) {
      const request = requestOf(old, size);
      const known = old === 0n ? null : treeOf(old);
      checkExtends(request, treeOf(size), known, testCrypto);
      if (known === null) continue;
      const refuses = (code: string, change: Partial<typeof request>, root = treeOf(size).root) =>
        assert.throws(
          () => checkExtends({ ...request, ...change }, { ...treeOf(size), root }, known, testCrypto),
          refusal(code),
          `${old} to ${size}`,
        );
      refuses(old === size ? "same-size-other-root" : "consistency-mismatch", {}, LEAVES[39]);
      refuses("malformed-proof", { proof: [...request.proof, LEAVES[0]!] });
      refuses("old-size-mismatch", { oldSize: old - 1n });
      request.proof.forEach((hash, i) => {
        const [, bent] = [...flips(hash)][i]!;
        refuses("consistency-mismatch", { proof: request.proof.with(i, bent) });
      });
    }
  }
});

for (const [name, oldSize, size, known, code] of [
  ["an old size beyond the new one", 6n, 5n, 6n, "old-size-beyond"],
  ["old 0 to a witness that has cosigned", 0n, 5n, 3n, "old-size-mismatch"],
  ["an old size where nothing is cosigned", 3n, 5n, 0n, "old-size-mismatch"],
] as const)
  witness(`is no extension: ${name}`, () => {
    const request = { oldSize, proof: [], note: noteOf(size) };
    const before = known === 0n ? null : treeOf(known);
    assert.throws(() => checkExtends(request, treeOf(size), before, testCrypto), refusal(code));
  });

witness("the size that is known comes with the refusal", () => {
  const request = { oldSize: 0n, proof: [], note: noteOf(5n) };
  assert.throws(
    () => checkExtends(request, treeOf(5n), treeOf(3n), testCrypto),
    (error: unknown) => error instanceof OldSizeMismatch && error.knownSize === 3n,
  );
});

witness("an empty tree has the empty root, and nothing else has size 0", () => {
  const request = { oldSize: 0n, proof: [], note: noteOf(0n) };
  const empty = { ...treeOf(0n), root: emptyRoot(testCrypto) };
  checkExtends(request, empty, null, testCrypto);
  checkExtends(request, empty, empty, testCrypto);
  const other = { ...empty, root: LEAVES[0]! };
  assert.throws(() => checkExtends(request, other, null, testCrypto), refusal("empty-root"));
  assert.throws(
    () => checkExtends({ ...request, proof: [LEAVES[0]!] }, treeOf(5n), null, testCrypto),
    refusal("malformed-proof"),
  );
});

const text = formatCheckpoint(treeOf(7n));
const stranger = testKey("stranger");
const twin = testKey("twin");
/** Another key of the same log. */
const second = { ...twin, vkey: makeVkey(log.vkey.name, 1, twin.vkey.publicKey) };

witness("what is kept of a note are the signatures that were verified", () => {
  const kept = (lines: string[]) =>
    parseNote(openSubmitted(formatNote(text, lines), [log.vkey, second.vkey], testCrypto).note).signatures;
  const ours = lineBy(log, text);
  assert.equal(
    kept([lineBy(stranger, text), ours]).map(({ line }) => line),
    [ours],
  );
  assert.is(kept([ours, ours]).length, 1);
  assert.is(kept([ours, lineBy(second, text)]).length, 2); // a log that changes its key
  assert.is(kept([lineBy(second, text)]).length, 1);
});

for (const [name, note, code] of [
  ["another log's", checkpointNote(stranger, { size: 7n, root: treeOf(7n).root }), "unknown-log"],
  ["no signature of the log's key", formatNote(text, [lineBy(stranger, text)]), "untrusted-signature"],
  ["a signature over something else", formatNote(text, [lineBy(log, `${text}x`)]), "bad-signature"],
  ["a good one and a bad one", formatNote(text, [lineBy(log, text), lineBy(log, "x\n")]), "bad-signature"],
  ["no note", utf8Encode(text), "malformed-note"],
  ["a note that is no checkpoint", formatNote("hello\n", [lineBy(log, "hello\n")]), "malformed-checkpoint"],
  ["an extension line", formatNote(`${text}more\n`, [lineBy(log, `${text}more\n`)]), "malformed-checkpoint"],
] as const)
  witness(`a checkpoint is refused: ${name}`, () => {
    assert.throws(() => openSubmitted(note, [log.vkey], testCrypto), refusal(code));
  });

witness("any byte of a request bent is refused, or is the same to a witness", () => {
  const bytes = formatAddCheckpoint(requestOf(3n, 7n));
  for (const [at, bent] of flips(bytes)) {
    assert.throws(
      () => {
        const request = parseAddCheckpoint(bent);
        const { checkpoint } = openSubmitted(request.note, [log.vkey], testCrypto);
        checkExtends(request, checkpoint, treeOf(3n), testCrypto);
      },
      (error: unknown) => isRefusal(error) && statusOfRefusal(error.code) < 500,
      `byte ${at}`,
    );
  }
});

const w1 = testKey("w1", 4);
const line = cosignedBy(w1, text, 1768467600);

witness("an answer's lines are read, and the witness's own is found and verified", () => {
  const others = cosignedBy(testKey("w2", 4), text, 5);
  const lines = parseAnswer(formatAnswer([others, line]));
  assert.equal(lines, [others, line]);
  assert.equal(cosignatureIn(lines, text, w1.vkey, testCrypto), { line, time: 1768467600 });
  assert.equal(cosignatureIn([line, line], text, w1.vkey, testCrypto).line, line);
});

for (const [name, lines, code] of [
  ["by somebody else", [cosignedBy(testKey("w2", 4), text, 5)], "cosignature-missing"],
  ["over another checkpoint", [cosignedBy(w1, formatCheckpoint(treeOf(8n)), 5)], "bad-signature"],
  ["two, of two times", [line, cosignedBy(w1, text, 5)], "surplus-signature"],
  ["time 0", [cosignedBy(w1, text, 0)], "malformed-cosignature"],
] as const)
  witness(`a cosignature is refused: ${name}`, () => {
    assert.throws(() => cosignatureIn(lines, text, w1.vkey, testCrypto), refusal(code));
  });

for (const [name, answer] of [
  ["nothing", ""],
  ["a line without an end", line],
  ["an empty line", `${line}\n\n`],
  ["words", "sorry\n"],
  ["17 lines", `${line}\n`.repeat(17)],
  ["endless text", "x".repeat(1 << 20)],
] as const)
  witness(`an answer is refused: ${name}`, () => {
    assert.throws(() => parseAnswer(utf8Encode(answer)), refusal("malformed-answer"));
  });

witness("a list of logs is lines of one form, comments apart", () => {
  const vkey = formatVkey(log.vkey);
  assert.equal(parseLogs(utf8Encode(`# ours\n\nlog ${vkey}\n`), (key) => parseVkey(key)).map(formatVkey), [
    vkey,
  ]);
  for (const bad of [
    `${vkey}\n`,
    `log ${vkey} x\n`,
    `log  ${vkey}\n`,
    ` log ${vkey}\n`,
    `log ${vkey}\r\n`,
    "log\n",
  ])
    assert.throws(() => parseLogs(utf8Encode(bad), (key) => parseVkey(key)), refusal("malformed-logs"));
  assert.throws(() => parseLogs(utf8Encode("log x\n"), (key) => parseVkey(key)), refusal("malformed-vkey"));
});

witness.run();
