// The examples in spec/*.md are real and fit together: what a page shows is read by the
// module that it describes, and says what the page says.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { appraise } from "@vouch/shared/appraise";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { openCheckpoint } from "@vouch/shared/checkpoint";
import { commitment, ENROLMENT_TAG } from "@vouch/shared/commitment";
import {
  formatChallenge,
  formatEnrolmentFile,
  formatEvidenceSalt,
  parseChallenge,
  parseEnrolmentFile,
  parseEvidenceSalt,
} from "@vouch/shared/companions";
import { portableCrypto } from "@vouch/shared/crypto";
import { formatEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import { earOf } from "@vouch/shared/ear";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { verifyRebasedReceipt } from "@vouch/shared/rebased/proof";
import { parseRoot, parseSender } from "@vouch/shared/rebased/root";
import { makeRatchet, readWalk, WALK, walkJson } from "@vouch/shared/rebased/walk";
import { verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { requireApproval, signersOf } from "@vouch/shared/signers";
import { formatStatement, parseStatement, type Statement } from "@vouch/shared/statement";
import { EXIT_STATUS } from "@vouch/shared/verdict";
import { parseVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const page = (name: string) => readFileSync(resolve("shared/spec", `${name}.md`), "utf8");

/** The page's fenced blocks of one language ("" for none), in order. */
const blocks = (name: string, language: string) =>
  [...page(name).matchAll(/^```(\w*)\n(.*?)^```$/gms)]
    .filter(([, found]) => found === language)
    .map(([, , text = ""]) => text);

/** JSON without the line breaks that are for reading. */
const compact = (text: string) => utf8Encode(text.replace(/\n */g, ""));

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

const policy: Policy = parsePolicy(utf8Encode(blocks("policy", "")[0]!), portableCrypto);
const [envelopeJson, ...statementJson] = blocks("predicates", "json").map(compact);
const statements = statementJson.map((bytes) => parseStatement(bytes!));
const [challengeJson, enrolmentJson, saltJson] = blocks("companions", "json").map(compact);
const enrolmentFile = parseEnrolmentFile(enrolmentJson!);

const KINDS = [
  "release",
  "advisory",
  "status",
  "enrolment",
  "enrolment-commitment",
  "evidence-commitment",
  "renewal-commitment",
];

const spec = suite("spec pages");

spec("policy.md: the example is a policy, and every line the page lists is one", () => {
  assert.is(policy.approvers.map(({ name }) => name).join(), "alice,bob");
  assert.equal(policy.maxAge, { status: 30 * 86400, evidence: 7 * 86400 });
  const listed = [...page("policy").matchAll(/^\| `([a-z-]+)/gm)].map(([, word]) => word);
  const known =
    "log witness group quorum vendor approver approve status enroller renewals distrust ledger max-age require-image allow";
  assert.equal([...new Set(listed)].sort(), known.split(" ").sort());
});

spec("predicates.md: one example of each kind, in its one form", () => {
  const kinds = statements.map(({ kind }) => kind);
  assert.equal(kinds, KINDS);
  statements.forEach((statement, i) => {
    assert.is(text(formatStatement(statement)), text(statementJson[i]!));
  });
});

spec("predicates.md: the envelope holds the advisory, signed by the policy's status key", () => {
  const envelope = parseEnvelope(envelopeJson!);
  assert.is(text(formatEnvelope(envelope)), text(envelopeJson!));
  assert.equal(parseStatement(envelope.payload), statements[1]);
  const keys = policy.status.map((vkey) => ({ name: vkey.name, role: "status", vkey }));
  assert.is(signersOf(envelope, keys, portableCrypto)[0]?.name, "acme-status");
  const status = statements[2] as Extract<Statement, { kind: "status" }>;
  assert.is(status.advisories[0]?.sha256, toHex(portableCrypto.sha256(envelopeJson!)));
});

spec("predicates.md: keys that a table lists are the keys of the example, but for optional ones", () => {
  const sections = page("predicates").split(/^## /m);
  for (const [i, kind] of KINDS.entries()) {
    if (kind.endsWith("-commitment") && kind !== "renewal-commitment") continue; // they share a section
    const section = sections.find((part) => part.startsWith(`${kind}\n`)) ?? "";
    const rows = [...section.matchAll(/^\| (`.*?)\| /gm)].map(([, cell = ""]) => cell);
    const listed = rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`(\??)/g)]);
    const wanted = listed.filter(([, , optional]) => optional === "").map(([, key]) => key);
    assert.equal(wanted, Object.keys(JSON.parse(text(statementJson[i]!)).predicate), kind);
  }
});

spec("companions.md: the examples are in their one form", () => {
  assert.is(text(formatChallenge(parseChallenge(challengeJson!))), text(challengeJson!));
  assert.is(text(formatEnrolmentFile(enrolmentFile)), text(enrolmentJson!));
  assert.is(text(formatEvidenceSalt(parseEvidenceSalt(saltJson!))), text(saltJson!));
});

spec(
  "companions.md: the enrolment is the one in predicates.md, and its salt opens the commitment there",
  () => {
    const envelope = parseEnvelope(enrolmentFile.statement);
    assert.equal(parseStatement(envelope.payload), statements[3]);
    const enrollers = policy.enrollers.map((vkey) => ({ name: vkey.name, role: "enroller", vkey }));
    assert.is(signersOf(envelope, enrollers, portableCrypto).length, 1);
    const opened = commitment(ENROLMENT_TAG, enrolmentFile.salt, enrolmentFile.statement, portableCrypto);
    assert.is(toHex(opened), (statements[4] as Extract<Statement, { kind: "enrolment-commitment" }>).sha256);
    assert.throws(
      () => requireApproval([], "pump-400", policy),
      (error: { code: string }) => error.code === "approvals-missing",
    );
  },
);

spec("directory-ledger.md: the receipt proves the checkpoint, which the challenge rests on", () => {
  const [line = "", note = "", receipt = ""] = blocks("directory-ledger", "");
  const key = parseVkey(line.trim().replace("ledger directory ", ""));
  const anchored = utf8Encode(note);
  const { time, ledgerSize } = verifyDirectoryReceipt(utf8Encode(receipt), anchored, key, portableCrypto);
  assert.is(new Date(time * 1000).toISOString().slice(0, 10), "2026-11-22");
  assert.is(ledgerSize, 1n);
  assert.is(openCheckpoint(anchored, policy.log, portableCrypto).checkpoint.size, 3n);
  assert.is(text(parseChallenge(challengeJson!).checkpoint), note);
  assert.equal(policy.ledgers, [{ kind: "directory", root: key }]);
});

spec("rebased-receipt.md: root, walk and receipt prove the checkpoint of directory-ledger.md", () => {
  const [line = ""] = blocks("rebased-receipt", "");
  const [receipt, walk] = blocks("rebased-receipt", "json").map(compact);
  const [, , root = "", sender = ""] = line.trim().split(" ");
  const read = readWalk(WALK(JSON.parse(text(walk!)), "walk"));
  assert.is(JSON.stringify(walkJson(read)), text(walk!));
  const ratchet = makeRatchet(read, [parseRoot(root)], portableCrypto);
  const note = utf8Encode(blocks("directory-ledger", "")[1]!);
  const proof = verifyRebasedReceipt(receipt!, note, ratchet, portableCrypto, parseSender(sender));
  assert.is(proof.epoch, 6n);
  assert.is(proof.time, 1_795_300_000);
});

spec("verdict.md: words and exit statuses are those of the program", () => {
  const rows = [...page("verdict").matchAll(/^\| `(\w+)` \| (\d+) \|/gm)];
  assert.equal(Object.fromEntries(rows.map(([, word, exit]) => [word, Number(exit)])), EXIT_STATUS);
});

spec("verdict.md: every member of the JSON is in the table, and no other", () => {
  const question = { policy, crypto: portableCrypto, at: 1, now: 1, images: [], handed: null };
  const verdict = appraise({ ...question, bundle: new Uint8Array(0), releaseOnly: false });
  const ear = earOf(verdict, 1, "") as { submods: object; vouch: object };
  const { vouch, ...rest } = ear;
  const members = [
    "eat_nonce", // absent here: there is no evidence
    "vouch.renewals", // nor a renewal
    ...Object.keys(rest),
    ...Object.keys(Object.values(ear.submods)[0]).map((name) => `submods.*.${name}`),
    ...Object.keys(vouch).map((name) => `vouch.${name}`),
  ];
  const table = page("verdict").split("## Members")[1] ?? "";
  const rows = [...table.matchAll(/^\| (`.*?`) \| /gm)].map(([, cell = ""]) => cell);
  const listed = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+?)(?:\[\])?`/g)].map(([, name]) => name));
  assert.equal([...listed].sort(), members.sort());
});
spec.run();
