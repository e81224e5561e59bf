// What a monitor makes of records: each row is a log, record by record, and the findings it gives. What is
// remembered is written down and read again between any two records, and nothing changes.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex, utf8Encode } from "../src/bytes";
import { trustedAt } from "../src/distrust";
import { parseEnvelope } from "../src/dsse";
import { FINDINGS, LEVEL_STATUS, LEVELS, levelOf } from "../src/findings";
import { parseJson } from "../src/json";
import type { RevocationStatement, RotationStatement } from "../src/keychange";
import { leafHash, memoryReader, rootOf } from "../src/merkle";
import { type Policy, parsePolicy } from "../src/policy";
import type { AdvisoryStatement, ReleaseStatement, Statement, StatusStatement } from "../src/statement";
import { isoTime, secondsOf } from "../src/time";
import { formatVkey } from "../src/vkey";
import { type Found, type Interest, openWatch } from "../src/watch";
import { MEMORY, readMemory } from "../src/watchmemory";
import { testCrypto } from "./keys";
import { dsse, type Key, keyOf } from "./world";

const watch = suite("watch");

const key = (name: string) => keyOf("watch", name);
const [log, alice, bob, carol, psirt, station, stranger] = [
  "log.example",
  "alice",
  "bob",
  "carol",
  "psirt",
  "station",
  "stranger",
].map(key) as [Key, Key, Key, Key, Key, Key, Key];
const alice2 = key("alice2");
const vkey = ({ vkey: one }: Key) => formatVkey(one);
const policyText = (lines: readonly string[]) =>
  utf8Encode(
    [
      `log ${vkey(log)}`,
      "quorum none",
      `approver alice engineering ${vkey(alice)}`,
      `approver bob quality ${vkey(bob)}`,
      `approver carol security ${vkey(carol)}`,
      "approve pump-400 2 quality",
      `vendor pump-400 ${vkey(key("vendor"))}`,
      `status ${vkey(psirt)}`,
      `enroller ${vkey(station)}`,
      ...lines,
      "",
    ].join("\n"),
  );
const policy = parsePolicy(policyText([]), testCrypto);

const sha = (text: string) => toHex(testCrypto.sha256(utf8Encode(text)));
const CREATED = "2026-01-15T09:00:00Z";

const release = (version: string, change: Partial<ReleaseStatement> = {}): ReleaseStatement => ({
  kind: "release",
  subjects: [{ name: "app", sha256: sha(`app ${version}`) }],
  product: "pump-400",
  version,
  securityVersion: 7,
  floor: 5,
  hardware: { model: "PUMP-400", revisions: ["B"] },
  entry: { offset: 0, length: 4096 },
  suitDigest: sha("suit"),
  changeClass: "patch",
  created: CREATED,
  ...change,
});

const advisory = (id: string, change: Partial<AdvisoryStatement> = {}): AdvisoryStatement => ({
  kind: "advisory",
  subjects: [
    { name: "app", sha256: sha("app 2.4.0") },
    { name: "app", sha256: sha("app 2.4.1") },
  ],
  id,
  product: "pump-400",
  advisoryKind: "security",
  state: "affected",
  fixedVersions: [],
  summary: "flow sensor",
  created: CREATED,
  ...change,
});

/** A record is made once those before it are known: a status speaks for them. */
type Make = (before: readonly Uint8Array[]) => Uint8Array;
function by(statement: Statement, ...signers: readonly Key[]): Make {
  let made: Uint8Array | undefined;
  return () => {
    made ??= dsse(statement, signers);
    return made;
  };
}
const raw =
  (text: string): Make =>
  () =>
    utf8Encode(text);

const readerOf = (records: readonly Uint8Array[]) =>
  memoryReader(
    records.map((record) => leafHash(record, testCrypto)),
    testCrypto,
  );
const rootAfter = (records: readonly Uint8Array[], size: number) =>
  rootOf(BigInt(size), readerOf(records), testCrypto);

/** A status over all records before it; `listed` are places of advisories among them. */
const status =
  (listed: readonly number[], signers: readonly Key[], change: Partial<StatusStatement> = {}): Make =>
  (before) => {
    const logSize = change.logSize ?? before.length;
    const advisories = listed.map((index) => ({
      id: (
        JSON.parse(Buffer.from(parseEnvelope(before[index]!).payload).toString()) as {
          predicate: { id: string };
        }
      ).predicate.id,
      index,
      sha256: toHex(testCrypto.sha256(before[index]!)),
    }));
    const statement: StatusStatement = {
      kind: "status",
      origin: log.vkey.name,
      rootSha256: toHex(rootAfter(before, Math.min(logSize, before.length))),
      product: "pump-400",
      logSize,
      advisories: advisories.sort((a, b) => (a.id < b.id ? -1 : 1)),
      withdrawn: [],
      created: CREATED,
      ...change,
    };
    return dsse(statement, signers);
  };

const NOBODY: Interest = { own: [], made: null, products: [] };

function madeOf(records: readonly Make[]): Uint8Array[] {
  const made: Uint8Array[] = [];
  for (const make of records) made.push(make(made));
  return made;
}

/** What each record gives. Between any two the memory goes through its file. */
function watched(
  made: readonly Uint8Array[],
  interest: Interest = NOBODY,
  throughFile = true,
  policyFor: (index: number) => Policy = () => policy,
  thereAt: (index: bigint) => number | null = () => null,
): Found[][] {
  const rootAt = (size: bigint) => rootAfter(made, Number(size));
  let memory = openWatch(policy, interest, testCrypto).memory;
  return made.map((bytes, index) => {
    const one = openWatch(policyFor(index), interest, testCrypto, memory, thereAt);
    const found = one.record(BigInt(index), bytes, rootAt);
    const file = JSON.stringify(one.memory.toJson());
    if (throughFile) memory = readMemory(MEMORY(parseJson(file, "memory", 1 << 20), "memory"));
    else memory = one.memory;
    assert.is(JSON.stringify(memory.toJson()), file);
    return found;
  });
}

const OK = [alice, bob];
const TWO = advisory("A-2", { advisoryKind: "recall" });
const own: Interest = { own: [alice.vkey], made: null, products: [] };
const listing = (...texts: readonly string[]): Interest => ({
  own: [alice.vkey],
  made: new Set(texts),
  products: ["pump-400"],
});
const R1 = by(release("2.4.1"), ...OK);
const withdrawal = (...records: readonly Make[]): Statement => ({
  kind: "advisory-withdrawal",
  records: records.map((make) => toHex(testCrypto.sha256(make([])))).sort(),
  id: "A-1",
  product: "pump-400",
  reason: "it was the test bench",
  created: CREATED,
});
const A1 = by(advisory("A-1"), psirt);
const NARROW = by(advisory("A-1", { subjects: [{ name: "app", sha256: sha("app 2.4.0") }] }), psirt);

/** alice's successor, from a size of the log on. */
function rotation(from: number, change: Partial<RotationStatement> = {}): RotationStatement {
  const [old, successor] = [vkey(alice), vkey(alice2)];
  const created = CREATED;
  return {
    kind: "rotation",
    role: "approver",
    log: "log.example",
    from,
    old,
    new: successor,
    reason: "lost",
    created,
    ...change,
  };
}

const revocation: RevocationStatement = {
  kind: "revocation",
  keySha256: sha("device"),
  product: "pump-400",
  since: CREATED,
  reason: "stolen",
  created: CREATED,
};

const REVOKED: Make = (before) => by(revocation, ...OK)(before); // OK comes later
const revokedBy = (index: number): Partial<StatusStatement> => ({
  revocations: [{ key: revocation.keySha256, index, sha256: sha("its record") }],
});

/** The end of the log as it is then, or says otherwise. */
const closing =
  (signers: readonly Key[], rootSha256?: string): Make =>
  (before) =>
    dsse(
      {
        kind: "closing",
        origin: log.vkey.name,
        size: before.length,
        rootSha256: rootSha256 ?? toHex(rootAfter(before, before.length)),
        successor: vkey(key("log2.example")),
        reason: "moved",
        created: CREATED,
      },
      signers,
    );

const ROWS: readonly (readonly [
  what: string,
  records: readonly Make[],
  last: readonly string[],
  interest?: Interest,
])[] = [
  ["a release that enough approvers signed", [R1], ["release"]],
  ["one more approval than is asked for", [by(release("2.4.1"), alice, bob, carol)], ["release"]],
  ["too few approvals", [by(release("2.4.1"), bob)], ["approvals-missing"]],
  ["a role that is missing", [by(release("2.4.1"), alice, carol)], ["role-missing"]],
  ["a stranger alone", [by(release("2.4.1"), stranger)], ["unknown-signer", "approvals-missing"]],
  [
    "a stranger beside enough approvers",
    [by(release("2.4.1"), ...OK, stranger)],
    ["unknown-signer", "release"],
  ],
  ["the status key is no approver", [by(release("2.4.1"), bob, psirt)], ["approvals-missing"]],
  ["an approver's signature over something else", [bentSignature], ["bad-signature"]],
  ["a product without a rule", [by(release("1.0.0", { product: "other" }), ...OK)], ["no-approval-rule"]],
  ["a draft that nobody signed", [by(release("2.4.1"))], ["unsigned"]],

  [
    "a version again, with other images",
    [R1, by(release("2.4.1", { subjects: [{ name: "app", sha256: sha("x") }] }), ...OK)],
    ["version-reused", "release"],
  ],
  [
    "a version again, with another engine",
    [
      R1,
      by(
        release("2.4.1", { subjects: [...release("2.4.1").subjects, { name: "engine", sha256: sha("e") }] }),
        ...OK,
      ),
    ],
    ["version-reused", "release"],
  ],
  ["the same images again, signed by others", [R1, by(release("2.4.1"), bob, carol)], ["release"]],
  [
    "the version on another model",
    [
      R1,
      by(
        release("2.4.1", {
          hardware: { model: "PUMP-500", revisions: ["A"] },
          subjects: [{ name: "app", sha256: sha("x") }],
        }),
        ...OK,
      ),
    ],
    ["release"],
  ],
  [
    "a stranger's version doesn't spoil the real one",
    [by(release("2.4.1", { subjects: [{ name: "app", sha256: sha("x") }] }), stranger), R1],
    ["release"],
  ],
  [
    "a security version that goes down",
    [R1, by(release("2.4.2", { securityVersion: 6 }), ...OK)],
    ["security-version-down", "release"],
  ],
  ["a security version that stays", [R1, by(release("2.4.2"), ...OK)], ["release"]],
  [
    "one that goes down below the highest, not the last",
    [
      R1,
      by(release("2.3.9", { securityVersion: 5 }), ...OK),
      by(release("2.4.0", { securityVersion: 6 }), ...OK),
    ],
    ["security-version-down", "release"],
  ],

  ["a release of yours that you signed", [R1], ["release"], own],
  [
    "a release of yours that you didn't sign",
    [by(release("2.4.1"), bob, carol)],
    ["foreign-release", "release"],
    own,
  ],
  [
    "a release of somebody else's product",
    [by(release("2.4.1"), bob, carol)],
    ["release"],
    { ...own, products: ["other"] },
  ],
  ["a release whose record is in your list", [R1], ["release"], listing(toHex(testCrypto.sha256(R1([]))))],
  ["a release whose images are in your list", [R1], ["release"], listing(sha("app 2.4.1"))],
  ["a release that your key signed and your list lacks", [R1], ["unmade-statement", "release"], listing()],
  [
    "a release by others that your list lacks",
    [by(release("2.4.1"), bob, carol)],
    ["foreign-release", "unmade-release", "release"],
    listing(),
  ],
  [
    "an advisory that your key signed and your list lacks",
    [by(advisory("A-1"), alice, bob)],
    ["unmade-statement", "advisory"],
    listing(),
  ],

  ["an advisory by the status key", [A1], ["advisory"]],
  ["a recall", [by(TWO, psirt)], ["recall"]],
  ["an advisory by the approvers", [by(advisory("A-1"), ...OK)], ["advisory"]],
  ["an advisory by one approver", [by(advisory("A-1"), bob)], ["approvals-missing"]],
  ["an advisory by an enroller", [by(advisory("A-1"), station)], ["approvals-missing"]],
  [
    "an advisory by a stranger, and one for whom it would be an update",
    [by(advisory("A-1"), stranger), A1],
    ["advisory"],
  ],
  [
    "an update that says as much",
    [A1, by(advisory("A-1", { summary: "again" }), psirt)],
    ["advisory-updated"],
  ],
  [
    "an update by the status key that affects less",
    [A1, by(advisory("A-1", { subjects: [{ name: "app", sha256: sha("app 2.4.0") }] }), psirt)],
    ["advisory-idle"],
  ],
  [
    "one that is only under investigation now",
    [A1, by(advisory("A-1", { state: "under_investigation" }), psirt)],
    ["advisory-idle"],
  ],
  [
    "a revision by the approvers that affects less",
    [A1, by(advisory("A-1", { revision: 2, subjects: [{ name: "app", sha256: sha("app 2.4.0") }] }), ...OK)],
    ["advisory-narrowed"],
  ],
  ["a withdrawal by the approvers", [A1, by(withdrawal(A1), ...OK)], ["advisory-withdrawn"]],
  ["a withdrawal by the status key", [A1, by(withdrawal(A1), psirt)], ["advisory-idle"]],
  ["a withdrawal of a record that isn't there", [A1, by(withdrawal(R1), ...OK)], ["advisory-idle"]],
  ["a withdrawal by a stranger", [A1, by(withdrawal(A1), stranger)], ["unknown-signer", "approvals-missing"]],

  ["a status that lists what is in force", [A1, status([0], [psirt])], []],
  ["a status that leaves an advisory out", [A1, status([], [psirt])], ["status-drops-advisory"]],
  ["one that speaks for a time before the advisory", [R1, A1, status([], [psirt], { logSize: 1 })], []],
  ["one that leaves out what was withdrawn", [A1, by(withdrawal(A1), ...OK), status([], [psirt])], []],
  [
    "one that leaves out what only the status key withdrew",
    [A1, by(withdrawal(A1), psirt), status([], [psirt])],
    ["status-drops-advisory"],
  ],
  ["the approvers leave an advisory out", [A1, status([], OK)], ["advisory-dropped"]],
  ["and then the status key may, too", [A1, status([], OK), status([], [psirt])], []],
  [
    "one that lists another record as the advisory",
    [A1, R1, status([0], [psirt], { advisories: [{ id: "A-1", index: 1, sha256: sha("x") }] })],
    ["status-misquotes", "status-drops-advisory"],
  ],
  [
    "one that lists the withdrawal of an advisory in its place",
    [A1, by(withdrawal(A1), psirt), status([1], [psirt])],
    ["status-misquotes", "status-drops-advisory"],
  ],
  [
    "one that lists an idle update, and not what stays in force",
    [A1, NARROW, status([1], [psirt])],
    ["status-drops-advisory"],
  ],
  ["one that lists what the idle update is covered by", [A1, NARROW, status([0], [psirt])], []],
  ["one that lists both of them", [A1, NARROW, status([0, 1], [psirt])], []],
  [
    "one that lists what the approvers narrowed it to",
    [
      A1,
      by(advisory("A-1", { revision: 2, subjects: [{ name: "app", sha256: sha("app 2.4.0") }] }), ...OK),
      status([1], [psirt]),
    ],
    [],
  ],
  [
    "one that lists what the approvers narrowed, as whoever makes it without a policy does",
    [
      A1,
      by(advisory("A-1", { revision: 2, subjects: [{ name: "app", sha256: sha("app 2.4.0") }] }), ...OK),
      status([0], [psirt]),
    ],
    [],
  ],
  ["the approvers list the idle update alone", [A1, NARROW, status([1], OK)], ["advisory-dropped"]],
  ["a stranger's advisory needn't be listed", [by(advisory("A-1"), stranger), status([], [psirt])], []],
  ["a status for another log", [R1, status([], [psirt], { origin: "else.example" })], ["status-other-log"]],
  [
    "a status for another tree",
    [R1, status([], [psirt], { rootSha256: sha("x") })],
    ["status-root-mismatch"],
  ],
  ["a status from the future", [R1, status([], [psirt], { logSize: 2 })], ["status-overreach"]],
  ["a status by a stranger", [A1, status([], [stranger])], ["unknown-signer", "approvals-missing"]],
  [
    "a status that withdraws a release",
    [R1, status([], [psirt], { withdrawn: [{ sha256: sha("app 2.4.1"), reason: "leaks" }] })],
    ["release-withdrawn"],
  ],
  [
    "the next status lists it too",
    [
      R1,
      status([], [psirt], { withdrawn: [{ sha256: sha("app 2.4.1"), reason: "leaks" }] }),
      status([], [psirt], { withdrawn: [{ sha256: sha("app 2.4.1"), reason: "leaks" }] }),
    ],
    [],
  ],
  [
    "the next status no longer does",
    [
      R1,
      status([], [psirt], { withdrawn: [{ sha256: sha("app 2.4.1"), reason: "leaks" }] }),
      status([], [psirt]),
    ],
    ["status-drops-withdrawal"],
  ],
  [
    "nor the one after that, which is told again",
    [
      R1,
      status([], [psirt], { withdrawn: [{ sha256: sha("app 2.4.1"), reason: "leaks" }] }),
      status([], [psirt]),
      status([], [psirt]),
    ],
    ["status-drops-withdrawal"],
  ],
  [
    "the approvers lift it",
    [R1, status([], [psirt], { withdrawn: [{ sha256: sha("app 2.4.1"), reason: "leaks" }] }), status([], OK)],
    ["withdrawal-lifted"],
  ],
  [
    "one that was overtaken says nothing of it",
    [
      R1,
      A1,
      status([1], [psirt], { withdrawn: [{ sha256: sha("app 2.4.1"), reason: "leaks" }] }),
      status([], [psirt], { logSize: 1 }),
    ],
    [],
  ],

  [
    "a commitment by an enroller",
    [by({ kind: "evidence-commitment", sha256: sha("e"), created: CREATED }, station)],
    [],
  ],
  [
    "a commitment by somebody else",
    [by({ kind: "enrolment-commitment", sha256: sha("e"), created: CREATED }, stranger)],
    ["unknown-signer"],
  ],
  [
    "a commitment to a fleet, by whomever",
    [by({ kind: "fleet-commitment", sha256: sha("f"), size: 3, created: CREATED }, stranger)],
    ["fleet-commitment"],
  ],
  [
    "a renewal by nobody whom the policy names",
    [
      by(
        {
          kind: "renewal-commitment",
          sha256: sha("r"),
          sha512: sha("r") + sha("r"),
          sha3: sha("r"),
          created: CREATED,
        },
        station,
      ),
    ],
    ["unknown-signer"],
  ],
  ["an enrolment in the open", [by(enrolment(), station)], ["private-statement"]],
  ["an approver's key replaced", [by(rotation(1), ...OK)], ["key-changed"]],
  ["and its successor's approval", [by(rotation(1), ...OK), by(release("2.4.1"), alice2, bob)], ["release"]],
  ["and its own, too late", [by(rotation(1), ...OK), by(release("2.4.1"), ...OK)], ["key-replaced"]],
  ["and its own, in time", [by(rotation(2), ...OK), by(release("2.4.1"), ...OK)], ["release"]],
  ["its successor's, too early", [by(rotation(2), ...OK), by(release("2.4.1"), alice2, bob)], ["key-early"]],
  [
    "a second successor",
    [by(rotation(1), ...OK), by(rotation(9, { new: vkey(stranger) }), alice2, bob)],
    ["rotation-conflict"],
  ],
  [
    "one of its approvers alone, and nothing changes",
    [by(rotation(1), alice), by(release("2.4.1"), ...OK)],
    ["release"],
  ],
  ["too few for a change of keys", [by(rotation(1), alice)], ["approvals-missing"]],
  ["a change in the past", [raw("hello"), by(rotation(1), ...OK)], ["rotation-overreach"]],
  ["a change for another log", [by(rotation(1, { log: "another" }), ...OK)], ["rotation-other-log"]],
  ["a device's key revoked", [by(revocation, ...OK)], ["device-key-revocation"]],
  ["by the status key alone", [by(revocation, psirt)], ["approvals-missing"]],
  ["a status that leaves it out", [REVOKED, status([], [psirt])], ["status-drops-revocation"]],
  ["one that the approvers sign", [REVOKED, status([], OK)], ["status-drops-revocation"]],
  ["one that lists it", [REVOKED, status([], [psirt], revokedBy(0))], []],
  [
    "one that lists another device's in its place",
    [
      REVOKED,
      by({ ...revocation, keySha256: sha("other"), since: "2026-01-14T09:00:00Z" }, ...OK),
      status([], [psirt], revokedBy(1)),
    ],
    ["status-drops-revocation", "status-drops-revocation"],
  ],
  ["one that speaks for a time before it", [REVOKED, status([], [psirt], { logSize: 0 })], []],
  ["one for another product", [by({ ...revocation, product: "else" }, ...OK), status([], [psirt])], []],
  ["one that leaves out what nobody approved", [by(revocation, psirt), status([], [psirt])], []],
  [
    "one that lists a revocation that reaches back less far",
    [REVOKED, by({ ...revocation, since: "2026-01-14T09:00:00Z" }, ...OK), status([], [psirt], revokedBy(0))],
    ["status-drops-revocation"],
  ],
  [
    "one that lists the one that reaches back further",
    [REVOKED, by({ ...revocation, since: "2026-01-14T09:00:00Z" }, ...OK), status([], [psirt], revokedBy(1))],
    [],
  ],
  ["the log's end", [R1, closing(OK)], ["log-closing"]],
  ["an end of another history", [R1, closing(OK, sha("other"))], ["closing-misplaced"]],
  [
    "a record after the end",
    [R1, closing(OK), by(release("2.4.2"), ...OK)],
    ["record-after-closing", "release"],
  ],
  ["a record after no end", [R1, closing([alice]), by(release("2.4.2"), ...OK)], ["release"]],
  ["text", [raw("hello")], ["unknown-record"]],
  ["nothing at all", [raw("")], ["unknown-record"]],
  [
    "a statement of a kind to come",
    [raw(`{"payload":"e30=","payloadType":"text/plain","signatures":[]}`)],
    ["unknown-record"],
  ],
];

function bentSignature(): Uint8Array {
  const [good, other] = [release("2.4.1"), release("2.4.2")].map((one) => dsse(one, OK));
  const swap = JSON.parse(Buffer.from(good!).toString()) as { payload: string };
  swap.payload = (JSON.parse(Buffer.from(other!).toString()) as { payload: string }).payload;
  return utf8Encode(JSON.stringify(swap));
}

function enrolment(): Statement {
  const { publicKey } = key("device").vkey;
  return {
    kind: "enrolment",
    product: "pump-400",
    model: "PUMP-400",
    serial: "SN-1042",
    ueid: `01${"ab".repeat(16)}`,
    publicKey,
    keyOrigin: "device",
    created: CREATED,
  };
}

for (const [what, records, last, interest] of ROWS) {
  watch(`${what}: ${last.join(", ") || "nothing"}`, () => {
    const made = madeOf(records);
    const found = watched(made, interest);
    const codes = found.map((of) => of.map(({ code }) => code));
    assert.equal(codes[codes.length - 1], last, JSON.stringify(found));
    assert.equal(watched(made, interest, false), found, "remembered in a file or not");
    for (const { message } of found.flat()) assert.match(message, /^[ -~…]+$/, "a line for a terminal");
  });
}

const END = secondsOf("2026-06-01T00:00:00Z");
const psirt2 = key("psirt2");
const written = (ended: readonly Key[]) => {
  const ends = ended.map((one) => `distrust ${vkey(one)} ${isoTime(END)}`);
  return parsePolicy(policyText([`status ${vkey(psirt2)}`, ...ends]), testCrypto);
};
const R1_OTHER = by(release("2.4.1", { subjects: [{ name: "app", sha256: sha("x") }] }), bob, carol);
const ALL = [alice, bob, carol];

/** Read after the end of some keys, by a monitor that has seen none of it before. */
const ENDED: readonly (readonly [string, readonly Key[], readonly Make[], readonly string[]])[] = [
  ["an approval too few without it", [alice], [R1], ["signer-distrusted", "approvals-missing"]],
  ["approvals enough without it", [carol], [by(release("2.4.1"), ...ALL)], ["signer-distrusted", "release"]],
  ["the role that it had", [bob], [by(release("2.4.1"), ...ALL)], ["signer-distrusted", "role-missing"]],
  ["keys that signed nothing", [carol, psirt], [R1], ["release"]],
  ["a version that it released, with other images", [alice], [R1, R1_OTHER], ["version-reused", "release"]],
  ["an advisory", [psirt], [A1], ["signer-distrusted", "advisory"]],
  ["its advisory listed by its successor", [psirt], [A1, status([0], [psirt2])], []],
  ["its advisory left out by its successor", [psirt], [A1, status([], [psirt2])], ["status-drops-advisory"]],
  [
    "an advisory of the approvers, left out",
    [alice],
    [by(advisory("A-1"), ...OK), status([], [psirt2])],
    ["status-drops-advisory"],
  ],
  [
    "an advisory of the approvers that says less",
    [alice],
    [A1, by(advisory("A-1", { subjects: [{ name: "app", sha256: sha("app 2.4.0") }] }), ...OK)],
    ["signer-distrusted", "approvals-missing", "advisory-idle"],
  ],
  [
    "a withdrawal of an advisory",
    [alice],
    [A1, by(withdrawal(A1), ...OK)],
    ["signer-distrusted", "approvals-missing"],
  ],
  [
    "and the advisory after it",
    [alice],
    [A1, by(withdrawal(A1), ...OK), status([], [psirt])],
    ["status-drops-advisory"],
  ],
  ["a change of keys", [bob], [by(rotation(1), ...OK)], ["signer-distrusted", "approvals-missing"]],
  [
    "and what its successor signs",
    [bob],
    [by(rotation(1), ...OK), by(release("2.4.1"), alice2, carol)],
    ["unknown-signer", "approvals-missing"],
  ],
  [
    "a commitment",
    [station],
    [by({ kind: "evidence-commitment", sha256: sha("e"), created: CREATED }, station)],
    ["signer-distrusted"],
  ],
];

for (const [what, ended, records, last] of ENDED) {
  watch(`a key that the policy distrusts: ${what}: ${last.join(", ") || "nothing"}`, () => {
    const made = madeOf(records);
    const lastOf = (now: number, thereAt?: (index: bigint) => number | null) =>
      watched(made, NOBODY, true, () => trustedAt(written(ended), now), thereAt)
        .at(-1)!
        .map(({ code }) => code);
    assert.equal(lastOf(END), last);
    assert.equal(
      lastOf(END + 9, () => END),
      last,
      "a ledger had it that very second",
    );
    const before = lastOf(END - 1);
    assert.not(before.includes("signer-distrusted"));
    assert.equal(
      lastOf(END + 9, () => END - 1),
      before,
      "a ledger had it before",
    );
  });
}

watch("a change of keys that counted when it was read counts when its approver is distrusted later", () => {
  const made = madeOf([by(rotation(1), ...OK), by(release("2.4.1"), alice2, bob, carol)]);
  const later = trustedAt(written([carol]), END);
  const found = watched(made, NOBODY, true, (index) => (index === 0 ? policy : later));
  assert.equal(
    found.map((of) => of.map(({ code }) => code)),
    [["key-changed"], ["signer-distrusted", "release"]],
  );
  const approver = trustedAt(written([bob]), END);
  const again = watched(made, NOBODY, true, (index) => (index === 0 ? policy : approver));
  assert.equal(
    again[1]!.map(({ code }) => code),
    ["signer-distrusted", "role-missing"],
    "alice2 is known, and bob nobody",
  );
});

watch("the rows show every code that a record can give", () => {
  const shown = new Set(ROWS.flatMap(([, , last]) => last));
  const others = ["log-forked", "log-inconsistent", "checkpoint-shrunk", "checkpoint-stale", "log-behind"];
  const notOfRecords = new Set([...others, "witness-quiet", "witness-went-back", "over", "retired"]);
  notOfRecords.add("signer-distrusted"); // has rows of its own
  for (const code of Object.keys(FINDINGS))
    assert.is(shown.has(code), !notOfRecords.has(code), `${code} is shown, or isn't about records`);
  assert.equal(
    [...shown].filter((code) => !Object.hasOwn(FINDINGS, code)).map((code) => [code, levelOf(code)]),
    [
      ["approvals-missing", "unsure"],
      ["role-missing", "unsure"],
      ["unknown-signer", "unsure"],
      ["bad-signature", "wrong"],
      ["no-approval-rule", "unsure"],
      ["unsigned", "unsure"],
      ["status-other-log", "wrong"],
      ["status-root-mismatch", "wrong"],
      ["status-overreach", "wrong"],
      ["key-replaced", "unsure"],
      ["key-early", "unsure"],
      ["rotation-conflict", "unsure"],
      ["rotation-overreach", "wrong"],
      ["rotation-other-log", "wrong"],
    ],
  );
  assert.equal(
    LEVELS.map((level) => LEVEL_STATUS[level]),
    [20, 20, 21, 1, 0],
  );
});

watch("what is remembered grows with releases and advisories, not with commitments", () => {
  const commitment = (n: number) =>
    by({ kind: "evidence-commitment", sha256: sha(`${n}`), created: CREATED }, station);
  const memoryAfter = (count: number) => {
    const one = openWatch(policy, NOBODY, testCrypto);
    for (let n = 0; n < count; n++) one.record(BigInt(n), commitment(n)([]), () => new Uint8Array(32));
    return JSON.stringify(one.memory.toJson()).length;
  };
  assert.is(memoryAfter(64), memoryAfter(0));
});

watch("every byte of a record bent: it never passes for what it was", () => {
  const record = R1([]);
  for (let at = 0; at < record.length; at++) {
    const bent = record.slice();
    bent[at]! ^= 1 << (at % 8);
    const codes = openWatch(policy, NOBODY, testCrypto).record(0n, bent, () => new Uint8Array(32));
    assert.ok(codes.length > 0, `byte ${at}`);
    assert.not(
      codes.some(({ code }) => code === "release"),
      `byte ${at}`,
    );
  }
});
watch.run();
