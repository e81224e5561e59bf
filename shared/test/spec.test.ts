// The examples in spec/*.md are real and fit together: what a page shows is read by the
// module that it describes, and says what the page says.

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { appraise } from "@vouch/shared/appraise";
import { parseAuditLine } from "@vouch/shared/auditline";
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
import { FINDINGS, LEVEL_STATUS, LEVELS } from "@vouch/shared/findings";
import { FRAUD_KINDS, formatFraud, parseFraud, verifyFraud } from "@vouch/shared/fraud";
import { formatJson } from "@vouch/shared/json";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { verifyRebasedReceipt } from "@vouch/shared/rebased/proof";
import { parseRoot, parseSender } from "@vouch/shared/rebased/root";
import { makeRatchet, readWalk, WALK, walkJson } from "@vouch/shared/rebased/walk";
import { verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { Gathering } from "@vouch/shared/report";
import { requireApproval, signersOf } from "@vouch/shared/signers";
import { verifyStardustReceipt } from "@vouch/shared/stardust/proof";
import { parseStardustRoot } from "@vouch/shared/stardust/root";
import { formatTrust, parseTrust, rootOfTrust } from "@vouch/shared/stardust/trust";
import { formatStatement, parseStatement, type Statement } from "@vouch/shared/statement";
import { EXIT_STATUS } from "@vouch/shared/verdict";
import { formatVkey, parseVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { publishedBytes } from "./vectors";

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
/** The first example of a kind. */
function example<K extends Statement["kind"]>(kind: K) {
  const at = statements.findIndex((statement) => statement.kind === kind);
  return { json: statementJson[at]!, statement: statements[at] as Extract<Statement, { kind: K }> };
}
const enrolmentFile = parseEnrolmentFile(enrolmentJson!);

const KINDS = [
  "release",
  "advisory",
  "advisory", // with all there is to say
  "advisory-withdrawal",
  "status",
  "enrolment",
  "enrolment-commitment",
  "evidence-commitment",
  "fleet-commitment",
  "stream-commitment",
  "renewal-commitment",
];

const spec = suite("spec pages");

spec("policy.md: the example is a policy, and every line the page lists is one", () => {
  assert.is(policy.approvers.map(({ name }) => name).join(), "alice,bob");
  assert.equal(policy.maxAge, { status: 30 * 86400, evidence: 7 * 86400 });
  const listed = [...page("policy").matchAll(/^\| `([a-z-]+)/gm)].map(([, word]) => word);
  const known =
    "log witness group quorum vendor approver approve status enroller renewals countersigner countersigned distrust ledger max-age require-image allow";
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
  assert.equal(parseStatement(envelope.payload), example("advisory").statement);
  const keys = policy.status.map((vkey) => ({ name: vkey.name, role: "status", vkey }));
  assert.is(signersOf(envelope, keys, portableCrypto)[0]?.name, "acme-status");
  const { statement: status } = example("status");
  assert.is(status.advisories[0]?.sha256, toHex(portableCrypto.sha256(envelopeJson!)));
});

spec("predicates.md: keys that a table lists are the keys of the example, but for optional ones", () => {
  const sections = page("predicates").split(/^## /m);
  for (const kind of [
    "release",
    "advisory",
    "advisory-withdrawal",
    "status",
    "enrolment",
    "renewal-commitment",
  ] as const) {
    const section = sections.find((part) => part.startsWith(`${kind}\n`)) ?? "";
    const rows = [...section.matchAll(/^\| (`.*?)\| /gm)].map(([, cell = ""]) => cell);
    const listed = rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`(\??)/g)]);
    const wanted = listed.filter(([, , optional]) => optional === "").map(([, key]) => key);
    assert.equal(wanted, Object.keys(JSON.parse(text(example(kind).json)).predicate), kind);
  }
});

spec("key-changes.md: one example of each kind, in its one form, with the keys that its table lists", () => {
  const examples = blocks("key-changes", "json").map(compact);
  const sections = page("key-changes").split(/^## /m);
  const read = examples.map((bytes) => parseStatement(bytes));
  assert.equal(
    read.map(({ kind }) => kind),
    ["rotation", "revocation", "closing"],
  );
  read.forEach((statement, i) => {
    assert.is(text(formatStatement(statement)), text(examples[i]!));
    const section = sections.find((part) => part.startsWith(`${statement.kind}\n`)) ?? "";
    const rows = [...section.matchAll(/^\| (`.*?`\??) \| /gm)].map(([, cell = ""]) => cell);
    const listed = rows.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, key]) => key));
    assert.equal(listed, Object.keys(JSON.parse(text(examples[i]!)).predicate), statement.kind);
  });
  const alice = policy.approvers[0]!.vkey;
  assert.is((read[0] as Extract<Statement, { kind: "rotation" }>).old, formatVkey(alice));
  const enrolment = statements.find(({ kind }) => kind === "enrolment") as Extract<
    Statement,
    { kind: "enrolment" }
  >;
  const revoked = read[1] as Extract<Statement, { kind: "revocation" }>;
  assert.is(revoked.keySha256, toHex(portableCrypto.sha256(enrolment.publicKey)));
});

spec("key-changes.md and imported-proofs.md: each code they name is one of ours", () => {
  const sources = [
    "keyring",
    "keyrecords",
    "published",
    "signers",
    "merkle",
    "dsse",
    "cosereceipt",
    "imported",
    "proof",
    "attested",
  ]
    .map((file) => readFileSync(resolve("shared/src", `${file}.ts`), "utf8"))
    .join("");
  for (const name of ["key-changes", "imported-proofs"]) {
    const codes = [...page(name).matchAll(/`((?:[a-z]+-){1,3}[a-z]+)`/g)].map(([, code]) => code!);
    const ours = codes.filter((code) =>
      /^(rotation|revocation|key|surplus|wrong|device-key|quorum|receipt|proof|no)-/.test(code),
    );
    assert.ok(ours.length > 2, name);
    for (const code of ours) assert.ok(sources.includes(`"${code}"`), `${name}: ${code}`);
  }
});

spec("imported-proofs.md: the example is the worked receipt", () => {
  const bytes = publishedBytes("worked/release.receipt.cbor");
  const shown = blocks("imported-proofs", "")[0]!.matchAll(/^ *((?:[0-9a-f]{2,4}…?[0-9a-f]* ?)+)/gm);
  const found = toHex(bytes);
  for (const [, line = ""] of shown)
    for (const part of line.replaceAll(" ", "").split("…")) assert.ok(found.includes(part), part);
});

spec("audit-record.md: one example of each kind of line, in its one form", () => {
  const kinds = blocks("audit-record", "json").map((line) => parseAuditLine(compact(line)).kind);
  assert.equal(kinds, ["context", "record", "summary"]);
});

spec("audit-record.md: a summary with the member of version 2 is one of version 2, and of no other", () => {
  const [, , summary = ""] = blocks("audit-record", "json");
  const [outdated = ""] = blocks("audit-record", "").filter((block) => block.startsWith('"outdated"'));
  const v1 = text(compact(summary)).slice(0, -1);
  const line = (version: string, more: string) =>
    utf8Encode(`${v1.replace("summary/v1", `summary/${version}`)}${more}}`);
  const more = `,${text(compact(outdated))}`;
  assert.is(parseAuditLine(line("v2", more)).version, "vouch-audit-summary/v2");
  for (const [version, member] of [
    ["v1", more],
    ["v2", ""],
    ["v2", ',"outdated":[]'],
  ] as const)
    assert.throws(
      () => parseAuditLine(line(version, member)),
      (error: Error) => "code" in error && error.code === "malformed-audit-line",
    );
  assert.throws(
    () => parseAuditLine(line("v3", more)),
    (error: Error) => "code" in error && error.code === "unsupported-version",
  );
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
    assert.equal(parseStatement(envelope.payload), example("enrolment").statement);
    const enrollers = policy.enrollers.map((vkey) => ({ name: vkey.name, role: "enroller", vkey }));
    assert.is(signersOf(envelope, enrollers, portableCrypto).length, 1);
    const opened = commitment(ENROLMENT_TAG, enrolmentFile.salt, enrolmentFile.statement, portableCrypto);
    assert.is(toHex(opened), example("enrolment-commitment").statement.sha256);
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

spec(
  "stardust-receipt.md: the line names the trust file, under which the receipt proves the checkpoint",
  () => {
    const [line = "", note = ""] = blocks("stardust-receipt", "");
    const [trust, receipt] = blocks("stardust-receipt", "json").map(compact);
    const root = parseStardustRoot(line.trim().split(" ")[2]!);
    assert.is(text(formatTrust(parseTrust(trust!))), text(trust!));
    assert.equal(rootOfTrust(parseTrust(trust!), portableCrypto), root);
    const proof = verifyStardustReceipt(receipt!, utf8Encode(note), portableCrypto, [root]);
    assert.equal([proof.index, proof.time, proof.signers, proof.retired], [153, 1_795_369_703, 2, null]);
    assert.is(text(proof.tag), "fwproof/v1");
  },
);

spec("stardust-receipt.md: every code that a receipt is refused with is on the page", () => {
  const modules = ["block", "milestone", "poi", "proof", "receipt", "trust"];
  const source = modules
    .map((name) => readFileSync(resolve(`shared/src/stardust/${name}.ts`), "utf8"))
    .join("");
  const codes = [...source.matchAll(/(?:Refusal|refuse)\(\s*"([a-z-]+)"/g)].map(([, code]) => code!);
  assert.ok(new Set(codes).size >= 12, codes.join());
  for (const code of codes) assert.ok(page("stardust-receipt").includes(`\`${code}\``), code);
});

spec("fraud.md: the proof holds for the page's key, and is about the page's checkpoints", () => {
  const file = compact(blocks("fraud", "json")[0]!);
  const [key = "", first = "", second = ""] = blocks("fraud", "");
  const fraud = parseFraud(file);
  assert.is(text(formatFraud(fraud)), text(file));
  assert.equal([text(fraud.first), text(fraud.second)], [first, second]);
  const proven = verifyFraud(fraud, parseVkey(key.trim()), [], portableCrypto);
  assert.equal([proven.kind, proven.first.size, proven.second.size], ["rewritten-history", 2n, 5n]);
  for (const kind of FRAUD_KINDS) assert.ok(page("fraud").includes(`**\`${kind}\`**`), kind);
});

spec("monitor.md: levels, codes and their exit statuses are those of the program", () => {
  const rows = [...page("monitor").matchAll(/^\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| ([a-z]+) \|/gm)];
  const listed = rows.flatMap(([, codes = "", level]) =>
    [...codes.matchAll(/`([a-z-]+)`/g)].map(([, code]) => [code, level]),
  );
  assert.equal(Object.fromEntries(listed), FINDINGS);
  const levels = [...page("monitor").matchAll(/^\| `([a-z]+)` \| (\d+) \|/gm)];
  assert.equal(
    levels.map(([, level]) => level),
    LEVELS,
  );
  assert.equal(Object.fromEntries(levels.map(([, level, exit]) => [level, Number(exit)])), LEVEL_STATUS);
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
    "vouch.countersignatures", // nor one of these
    ...Object.keys(rest),
    ...Object.keys(Object.values(ear.submods)[0]).map((name) => `submods.*.${name}`),
    ...Object.keys(vouch).map((name) => `vouch.${name}`),
  ];
  const table = page("verdict").split("## Members")[1] ?? "";
  const rows = [...table.matchAll(/^\| (`.*?`) \| /gm)].map(([, cell = ""]) => cell);
  const listed = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+?)(?:\[\])?`/g)].map(([, name]) => name));
  assert.equal([...listed].sort(), members.sort());
});
spec("report.md: the example is made of the lines of audit-record.md, key for key", () => {
  const [json] = blocks("report", "json").map(compact);
  const gathering = new Gathering();
  for (const line of blocks("audit-record", "json").map(compact)) gathering.line(parseAuditLine(line));
  const { sources } = JSON.parse(text(json!));
  gathering.source(sources[0], true);
  assert.is(text(formatJson(gathering.report("2026-11-28T09:00:00Z"))), text(json!));
});

spec("report.md: every reason for which a duration is unknown is on the page", () => {
  const source = readFileSync(resolve("shared/src/metrics.ts"), "utf8");
  const type = /^export type Missing =\n(.*?);$/ms.exec(source)?.[1] ?? "";
  const codes = [...type.matchAll(/"([a-z-]+)"/g)].map(([, code]) => code);
  const listed = [...page("report").matchAll(/^\| `([a-z]+-[a-z-]+)` \|/gm)].map(([, code]) => code);
  assert.equal(listed, codes);
});

spec.run();
