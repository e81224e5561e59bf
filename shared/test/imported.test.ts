// Proofs of others: the worked ones as they stand, witnesses and what they don't prove.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { utf8Encode } from "../src/bytes";
import { formatCheckpoint } from "../src/checkpoint";
import { openImported } from "../src/imported";
import { leafHash, memoryReader, proveInclusion, rootOf } from "../src/merkle";
import { formatNote } from "../src/note";
import { parsePolicy } from "../src/policy";
import { formatProof } from "../src/proof";
import { isRefusal } from "../src/refusal";
import { isoTime } from "../src/time";
import { formatVkey, parseVkey } from "../src/vkey";
import { checkpointNote, cosignedBy, testCrypto as crypto, lineBy, testKey } from "./keys";
import { flips, publishedBytes, refusal } from "./vectors";

const imported = suite("imported");

const NOW = 1768467600 + 3600;
const PROOF = publishedBytes("worked/release.tlog-proof");
const RECEIPT = publishedBytes("worked/release.receipt.cbor");
const ENTRY = publishedBytes("worked/release.dsse.json");
const LOG = parseVkey(Buffer.from(publishedBytes("worked/vkeys")).toString().split("\n")[0]!);
const POLICY = parsePolicy(publishedBytes("worked/policy"), crypto);

imported("the worked tlog-proof as it stands: included, its extra line passed over and told", () => {
  const included = openImported(PROOF, ENTRY, LOG, null, NOW, crypto);
  assert.equal([included.form, included.index, included.size], ["tlog-proof", 2n, 5n]);
  assert.equal([included.quorum, included.witnesses], [null, []]);
  assert.is(included.notes.length, 1);
  assert.match(included.notes[0]!, /^extra data of \d+ bytes is nobody's word and was passed over$/);
});

imported("the extra line may say anything: it changes nothing", () => {
  const text = Buffer.from(PROOF).toString();
  const other = utf8Encode(text.replace(/^extra .*$/m, "extra bGllcw=="));
  const without = utf8Encode(text.replace(/^extra .*\n/m, ""));
  const { root } = openImported(PROOF, ENTRY, LOG, POLICY, NOW, crypto);
  assert.equal(openImported(other, ENTRY, LOG, POLICY, NOW, crypto).root, root);
  assert.equal(openImported(without, ENTRY, LOG, POLICY, NOW, crypto).notes, []);
  const twice = utf8Encode(text.replace(/^(extra .*\n)/m, "$1$1"));
  assert.throws(() => openImported(twice, ENTRY, LOG, null, NOW, crypto), refusal("malformed-proof"));
  const odd = utf8Encode(text.replace(/^extra .*$/m, "extra bGllcw"));
  assert.throws(() => openImported(odd, ENTRY, LOG, null, NOW, crypto), refusal("malformed-proof"));
});

imported("with the worked policy its witness counts, with its time", () => {
  const { witnesses, quorum } = openImported(PROOF, ENTRY, LOG, POLICY, NOW, crypto);
  assert.equal(witnesses, [{ name: "w1", time: 1768467600 }]);
  assert.is(quorum, "w1");
});

imported("the worked receipt: included, by a key; no witness stands in it", () => {
  const included = openImported(RECEIPT, ENTRY, LOG, null, NOW, crypto);
  assert.equal([included.form, included.index, included.size], ["cose-receipt", 2n, 5n]);
  assert.ok(included.notes.some((note) => note.includes("bearer's word")));
  assert.ok(included.notes.some((note) => note.includes('"https://example.org/firmware-log"')));
  assert.throws(() => openImported(RECEIPT, ENTRY, LOG, POLICY, NOW, crypto), refusal("quorum-missing"));
});

imported("another record, another log, and any byte of the proof but the extra line", () => {
  for (const proof of [PROOF, RECEIPT]) {
    assert.throws(() => openImported(proof, PROOF, LOG, null, NOW, crypto), isRefusal);
    const stranger = { ...testKey("x").vkey, name: LOG.name };
    assert.throws(() => openImported(proof, ENTRY, stranger, null, NOW, crypto), isRefusal);
  }
  const from = Buffer.from(PROOF).indexOf("index");
  for (const [at, bent] of flips(PROOF))
    if (at >= from)
      assert.throws(() => openImported(bent, ENTRY, LOG, POLICY, NOW, crypto), isRefusal, `byte ${at}`);
});

const log = testKey("log.example");
const [w1, w2, stranger] = [testKey("w1", 4), testKey("w2", 4), testKey("stranger", 4)];
const RECORDS = [utf8Encode("a"), utf8Encode("b"), utf8Encode("c")];
const READER = memoryReader(
  RECORDS.map((record) => leafHash(record, crypto)),
  crypto,
);
const ROOT = rootOf(3n, READER, crypto);
const TWO = parsePolicy(
  utf8Encode(
    `log ${formatVkey(log.vkey)}\nwitness one ${formatVkey(w1.vkey)}\nwitness two ${formatVkey(w2.vkey)}\ngroup both all one two\nquorum both\n`,
  ),
  crypto,
);
const proofWith = (checkpoint: Uint8Array) =>
  formatProof({ index: 1n, hashes: proveInclusion(1n, 3n, READER, crypto), checkpoint });
const TIME = NOW - 60;

imported("a stranger's cosignature doesn't count, and doesn't hurt", () => {
  const proof = proofWith(checkpointNote(log, { size: 3n, root: ROOT }, [stranger, w2, w1], TIME));
  const { witnesses } = openImported(proof, RECORDS[1]!, log.vkey, TWO, NOW, crypto);
  assert.equal(
    witnesses.map(({ name }) => name),
    ["one", "two"],
  );
});

const text = formatCheckpoint({ origin: "log.example", size: 3n, root: ROOT });
for (const [name, code, lines] of [
  ["one of two witnesses", "quorum-missing", [cosignedBy(w1, text, TIME)]],
  [
    "a witness twice",
    "surplus-signature",
    [cosignedBy(w1, text, TIME), cosignedBy(w1, text, TIME + 1), cosignedBy(w2, text, TIME)],
  ],
  [
    "a cosignature from the future",
    "cosignature-from-future",
    [cosignedBy(w1, text, NOW + 301), cosignedBy(w2, text, TIME)],
  ],
  [
    "a cosignature over another log's text",
    "bad-signature",
    [cosignedBy(w1, `x${text}`, TIME), cosignedBy(w2, text, TIME)],
  ],
] as const)
  imported(`refuses: ${name}`, () => {
    const proof = proofWith(formatNote(text, [lineBy(log, text), ...lines]));
    assert.throws(() => openImported(proof, RECORDS[1]!, log.vkey, TWO, NOW, crypto), refusal(code));
  });

const END = NOW - 30;
const lineOf = { log, w1, w2 };
const distrusting = (...names: readonly (keyof typeof lineOf)[]) =>
  parsePolicy(
    utf8Encode(
      [
        `log ${formatVkey(log.vkey)}`,
        ...[w1, w2].map((w, i) => `witness ${["one", "two"][i]} ${formatVkey(w.vkey)}`),
        "group some any one two",
        "quorum some",
        ...names.map((name) => `distrust ${formatVkey(lineOf[name].vkey)} ${isoTime(END)}`),
        "",
      ].join("\n"),
    ),
    crypto,
  );

for (const [what, names, cosigners, code] of [
  ["no key of it", [], [w1], null],
  ["one of its witnesses, and another cosigned too", ["w1"], [w1, w2], null],
  ["its only cosigner", ["w1"], [w1], "quorum-missing"],
  ["every witness", ["w1", "w2"], [w1, w2], "quorum-missing"],
  ["the log's key, with every witness", ["log"], [w1, w2], "log-distrusted"],
] as const)
  imported(`a policy that distrusts ${what}: ${code ?? "included"}`, () => {
    const proof = proofWith(checkpointNote(log, { size: 3n, root: ROOT }, cosigners, TIME)); // of before the end
    const ask = (now: number, entry = RECORDS[1]!) =>
      openImported(proof, entry, log.vkey, distrusting(...names), now, crypto);
    assert.is(ask(END - 1).index, 1n, "not yet");
    if (code === null) {
      const counted = cosigners.filter((w) => !names.some((name) => lineOf[name] === w));
      assert.is(ask(END).witnesses.length, counted.length);
    } else assert.throws(() => ask(END), refusal(code));
    assert.throws(() => ask(END, RECORDS[0]), refusal("inclusion-mismatch"));
  });

imported("a receipt by a log that the policy distrusts; without a policy nobody knows", () => {
  const quorumless = Buffer.from(publishedBytes("worked/policy"))
    .toString()
    .replace(/^quorum .*$/m, "quorum none");
  const policy = parsePolicy(
    utf8Encode(`${quorumless}distrust ${formatVkey(LOG)} ${isoTime(NOW)}\n`),
    crypto,
  );
  const ask = (now: number) => openImported(RECEIPT, ENTRY, LOG, policy, now, crypto);
  assert.is(ask(NOW - 1).form, "cose-receipt");
  assert.throws(() => ask(NOW), refusal("log-distrusted"));
  assert.is(openImported(RECEIPT, ENTRY, LOG, null, NOW, crypto).form, "cose-receipt");
});

imported.run();
