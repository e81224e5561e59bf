// Statements about keys: one form each, and a flaw a row.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex, utf8Decode, utf8Encode } from "../src/bytes";
import type { KeyStatement } from "../src/keychange";
import { formatStatement, parseStatement, type Statement, type StatusStatement } from "../src/statement";
import { formatVkey } from "../src/vkey";
import { testCrypto, testKey } from "./keys";
import { refusal } from "./vectors";

const statements = suite("keychange");

const CREATED = "2026-01-15T09:00:00Z";
const D1 = "11".repeat(32);
const D2 = "22".repeat(32);
const [alice, alice2, w1, w2, log, next] = [
  testKey("alice"),
  testKey("alice-2"),
  testKey("w", 4),
  testKey("w-2", 4),
  testKey("log.example"),
  testKey("log.example/2027"),
].map(({ vkey }) => ({ ...vkey, text: formatVkey(vkey) }));
const keyHash = toHex(testCrypto.sha256(alice!.publicKey));

const ROTATION: KeyStatement = {
  kind: "rotation",
  role: "approver",
  log: "log.example",
  from: 10,
  old: alice!.text,
  new: alice2!.text,
  reason: "the card was lost",
  created: CREATED,
};
const { new: _, ...RETIRED } = ROTATION;
const WITNESS: KeyStatement = { ...ROTATION, role: "witness", old: w1!.text, new: w2!.text };
const REVOCATION: KeyStatement = {
  kind: "revocation",
  keySha256: D1,
  product: "pump-400",
  since: "2026-01-10T00:00:00Z",
  reason: "read out of a stolen pump",
  created: CREATED,
};
const CLOSING: KeyStatement = {
  kind: "closing",
  origin: "log.example",
  rootSha256: D2,
  size: 40,
  successor: next!.text,
  reason: "one log a year",
  created: CREATED,
};
const STATUS: StatusStatement = {
  kind: "status",
  origin: "log.example",
  rootSha256: D1,
  product: "pump-400",
  logSize: 20,
  advisories: [],
  withdrawn: [],
  rotations: [{ index: 3, sha256: D1 }],
  revocations: [
    { key: D1, index: 9, sha256: D2 },
    { key: D2, index: 5, sha256: D1 },
  ],
  created: CREATED,
};
const { rotations, revocations, ...PLAIN_STATUS } = STATUS;

for (const [name, statement] of [
  ["rotation", ROTATION],
  ["rotation without a successor", RETIRED],
  ["rotation of a witness", WITNESS],
  ["revocation", REVOCATION],
  ["closing", CLOSING],
  ["status of version 2", STATUS],
  ["status that lists rotations alone", { ...PLAIN_STATUS, rotations }],
  ["status that lists revocations alone", { ...PLAIN_STATUS, revocations }],
] as [string, Statement][])
  statements(`printing and reading a ${name} are inverse`, () => {
    const bytes = formatStatement(statement);
    assert.equal(parseStatement(bytes), statement);
    assert.is(toHex(formatStatement(parseStatement(bytes))), toHex(bytes));
  });

statements("a rotation is an in-toto Statement of exactly these bytes, about the old key", () => {
  assert.is(
    utf8Decode(formatStatement(ROTATION)),
    `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"approver","digest":{"sha256":"${keyHash}"}}],` +
      `"predicateType":"https://vouch.example/rotation/v1","predicate":{"role":"approver","log":"log.example",` +
      `"from":10,"old":"${alice!.text}","new":"${alice2!.text}","reason":"the card was lost","created":"${CREATED}"}}`,
  );
});

statements("a status without changes of keys stays what it was, version 1", () => {
  assert.match(utf8Decode(formatStatement(PLAIN_STATUS))!, /status\/v1".*"withdrawn":\[\],"created"/);
  assert.match(utf8Decode(formatStatement(STATUS))!, /status\/v2".*"rotations":\[.*"revocations":\[/);
});

type Edit = (text: string) => string;
const swap =
  (from: string, to: string): Edit =>
  (text) =>
    text.replace(from, to);

for (const [name, statement, edit, code = "malformed-statement"] of [
  ["a role that no line has", ROTATION, swap('"role":"approver"', '"role":"vendor"')],
  ["a subject that names another role", ROTATION, swap('"name":"approver"', '"name":"status"')],
  ["a subject that is another key", ROTATION, swap(keyHash, D1)],
  ["itself as successor", ROTATION, swap(alice2!.text, alice!.text)],
  ["a key in another form", ROTATION, swap(alice2!.text, `${alice2!.text} `)],
  ["no key at all", ROTATION, swap(alice2!.text, "alice")],
  ["a witness's key for an approver", ROTATION, swap(alice2!.text, w2!.text)],
  ["an approver's key for a witness", WITNESS, swap(w2!.text, alice2!.text)],
  ["size 0", ROTATION, swap('"from":10', '"from":0')],
  ["a size past 2^53", ROTATION, swap('"from":10', '"from":9007199254740992')],
  ["an empty reason", ROTATION, swap("the card was lost", "")],
  ["another member", ROTATION, swap('"from":10', '"from":10,"to":11')],
  ["a later version", ROTATION, swap("rotation/v1", "rotation/v2"), "unsupported-statement"],
  ["another name for a log's new key", { ...ROTATION, role: "log", old: log!.text, new: alice2!.text }],
  ["no new key for a log", { ...RETIRED, role: "log", old: log!.text }],
  ["a log's key under another origin", { ...ROTATION, role: "log", log: "other", old: log!.text }],
  ["a time after its own", REVOCATION, swap("2026-01-10", "2026-01-16")],
  ["a moment that doesn't exist", REVOCATION, swap("2026-01-10", "2026-02-30")],
  ["another subject than a device's key", REVOCATION, swap("device-key", "app")],
  ["its own log as successor", CLOSING, swap(next!.text, log!.text)],
  ["a witness as successor", CLOSING, swap(next!.text, w1!.text)],
  [
    "an empty list of rotations",
    STATUS,
    swap(/"rotations":\[.*?\]/.exec(text(STATUS))![0], '"rotations":[]'),
  ],
  ["version 1 and changes of keys", STATUS, swap("status/v2", "status/v1")],
  ["version 2 and no changes of keys", PLAIN_STATUS, swap("status/v1", "status/v2")],
  ["version 3", STATUS, swap("status/v2", "status/v3"), "unsupported-statement"],
  ["a rotation that it doesn't speak for", STATUS, swap('"index":3', '"index":20')],
  ["a revocation that it doesn't speak for", STATUS, swap('"index":9', '"index":20')],
  ["a key twice", STATUS, swap(`"key":"${D2}"`, `"key":"${D1}"`)],
] as [string, Statement, Edit?, string?][])
  statements(`refuses a ${statement.kind} with: ${name}`, () => {
    const work = () =>
      edit === undefined ? formatStatement(statement) : parseStatement(utf8Encode(edit(text(statement))));
    assert.throws(work, refusal(code));
  });

function text(statement: Statement): string {
  return utf8Decode(formatStatement(statement))!;
}

statements.run();
