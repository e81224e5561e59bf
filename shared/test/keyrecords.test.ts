// Changed and revoked keys in whole bundles: what each leads to, what a bundle that leaves
// one out leads to, and that no byte of such a record can change.

import type { Question } from "@vouch/shared/appraise";
import { type Bundle, formatBundle } from "@vouch/shared/bundle";
import { toHex } from "@vouch/shared/bytes";
import { auditDevice, openContext } from "@vouch/shared/fleet";
import { formatDevice } from "@vouch/shared/fleetform";
import type { KeyRole, KeyStatement } from "@vouch/shared/keychange";
import { parseNote, signaturesBy } from "@vouch/shared/note";
import { parsePolicy } from "@vouch/shared/policy";
import { isoTime } from "@vouch/shared/time";
import type { Verdict, Word } from "@vouch/shared/verdict";
import { formatVkey, KEY_COSIGNATURE } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { appraiseAlike } from "./alike";
import { rememberingCrypto } from "./remembering";
import {
  type Key,
  keyOf,
  LATE,
  logKeys,
  type Maker,
  makeWorld,
  NOW,
  T0,
  type World,
  type WorldOptions,
} from "./world";

const test = suite("keyrecords");

const crypto = rememberingCrypto();

function ask(world: World, question: Partial<Question> = {}, bundle: Bundle = world.bundle): Verdict {
  const { policy, images } = world;
  const base = { policy, crypto, at: NOW, now: NOW, releaseOnly: false, images, handed: null };
  return appraiseAlike({ ...base, bundle: formatBundle(bundle), ...question });
}

const codes = (verdict: Verdict) => verdict.reasons.map((r) => r.code).join();

/** A key of the same maker; `log2` has the log's name, as a log's second key must. */
function key(name: string): Key {
  if (name === "log2") return keyOf("acme second", "acme.example/log");
  return keyOf("acme", `acme.example/${name}`, /^w/.test(name) ? KEY_COSIGNATURE : undefined);
}

interface Change {
  readonly old: string;
  readonly new?: string;
  /** Signed by; alice and bob unless said. */
  readonly by?: string;
  /** How many records after its own it takes effect; at once unless said. */
  readonly after?: number;
  readonly unlisted?: true;
  readonly uncarried?: true;
}

const rotate =
  (role: KeyRole, { old, by = "alice bob", after = 1, unlisted, uncarried, ...change }: Change) =>
  (maker: Maker): void => {
    const statementAt = (index: number): KeyStatement => ({
      kind: "rotation",
      role,
      log: "acme.example/log",
      from: index + after,
      old: formatVkey(key(old).vkey),
      ...(change.new !== undefined && { new: formatVkey(key(change.new).vkey) }),
      reason: "as planned",
      created: isoTime(T0 - 700),
    });
    logKeys(maker, statementAt, by.split(" ").map(key), {
      ...(unlisted && { unlisted }),
      ...(uncarried && { uncarried }),
    });
  };

interface Revoked {
  readonly device?: string;
  readonly since: number;
  readonly by?: string;
  readonly uncarried?: true;
}

const revoke =
  ({ device = "sn0", since, by = "alice bob", uncarried }: Revoked) =>
  (maker: Maker): void => {
    const keySha256 = toHex(crypto.sha256(key(device).vkey.publicKey));
    const created = isoTime(Math.max(since, T0));
    const statement: KeyStatement = {
      kind: "revocation",
      keySha256,
      product: "pump-400",
      since: isoTime(since),
      reason: "read out of a stolen pump",
      created,
    };
    logKeys(maker, () => statement, by.split(" ").map(key), { ...(uncarried && { uncarried }) });
  };

/** Several things done before one part of the log. */
const all =
  (...doings: ((maker: Maker) => void)[]) =>
  (maker: Maker): void => {
    for (const doing of doings) doing(maker);
  };
const hand =
  (what: "log" | "status" | "enroller", name: string) =>
  (maker: Maker): void => {
    maker[what] = key(name);
  };
const approve =
  (...names: string[]) =>
  (maker: Maker): void => {
    maker.approvers = names.map(key);
  };

const alice2 = rotate("approver", { old: "alice", new: "alice2", by: "bob carol" });
const log2 = rotate("log", { old: "log", new: "log2" });
const status2 = rotate("status", { old: "status", new: "status2" });
const enroller2 = rotate("enroller", { old: "enroller", new: "enroller2" });
const w2 = rotate("witness", { old: "w0", new: "w2" });
const EARLY = T0 - 60; // before the device was asked
const LATER = T0 + 600; // after the evidence was recorded

const rows: readonly [
  name: string,
  word: Word,
  code: string,
  before: WorldOptions["before"],
  options?: WorldOptions,
  question?: Partial<Question>,
][] = [
  ["an approver's new key approves", "patched", "", { release: all(alice2, approve("alice2", "bob")) }],
  ["an approver's old key approves after its time", "unproven", "key-replaced", { release: alice2 }],
  [
    "an approver's new key approves before its time",
    "unproven",
    "key-early",
    {
      release: all(
        rotate("approver", { old: "alice", new: "alice2", by: "bob carol", after: 9 }),
        approve("alice2", "bob"),
      ),
    },
  ],
  ["an approver's old key approved before it was replaced", "patched", "", { status: alice2 }],
  [
    "a retired approver approves",
    "unproven",
    "key-replaced",
    { release: rotate("approver", { old: "alice", by: "bob carol" }) },
  ],
  ["a new status key", "patched", "", { status: all(status2, hand("status", "status2")) }],
  ["an old status key", "unproven", "key-replaced", { status: status2 }],
  ["a status by the old key, before the change", "patched", "", { enrolment: status2 }],
  ["a new enroller", "patched", "", { enrolment: all(enroller2, hand("enroller", "enroller2")) }],
  ["an old enroller", "unproven", "key-replaced", { enrolment: enroller2 }],
  [
    "an enroller replaced between enrolment and evidence",
    "patched",
    "",
    { challenge: enroller2, evidence: hand("enroller", "enroller2") },
  ],
  ["the old enroller commits to evidence", "unproven", "key-replaced", { challenge: enroller2 }],
  ["a new log key", "patched", "", { challenge: all(log2, hand("log", "log2")) }],
  [
    "a new log key, changed between two checkpoints",
    "patched",
    "",
    { challenge: rotate("log", { old: "log", new: "log2", after: 2 }), evidence: hand("log", "log2") },
  ],
  ["an old log key", "unproven", "key-replaced", { challenge: log2 }],
  [
    "a new log key before its time",
    "unproven",
    "key-early",
    { challenge: all(rotate("log", { old: "log", new: "log2", after: 9 }), hand("log", "log2")) },
  ],
  [
    "a new witness key",
    "patched",
    "",
    {
      challenge: all(w2, (maker) => {
        maker.witnesses = [key("w2")];
      }),
    },
    { witnesses: 1 },
  ],
  ["an old witness key", "unproven", "key-replaced", { challenge: w2 }, { witnesses: 1 }],
  [
    "two changes of one line",
    "patched",
    "",
    {
      release: all(
        alice2,
        rotate("approver", { old: "alice2", new: "alice3", by: "alice2 bob" }),
        approve("alice3", "bob"),
      ),
    },
  ],
  [
    "a change by who was replaced before",
    "unproven",
    "key-replaced,key-replaced",
    { release: all(alice2, rotate("enroller", { old: "enroller", new: "enroller2", by: "alice bob" })) },
  ],
  [
    "a change that only the key's holder signed",
    "unproven",
    "approvals-missing",
    { status: rotate("log", { old: "log", new: "log2", by: "alice" }) },
  ],
  [
    "a change by a status key",
    "unproven",
    "approvals-missing",
    { status: rotate("log", { old: "log", new: "log2", by: "status" }) },
  ],
  [
    "a change that reaches back",
    "refuted",
    "rotation-overreach",
    { status: rotate("approver", { old: "alice", new: "alice2", after: 0 }) },
  ],
  [
    "two changes of one key",
    "unproven",
    "rotation-conflict",
    { enrolment: all(alice2, rotate("approver", { old: "alice", new: "alice3", by: "bob carol" })) },
  ],
  ["a change after the status, which nobody lists", "patched", "", { head: alice2 }],
  [
    "a change after the status, which the bundle leaves out as well",
    "patched",
    "",
    { enrolment: rotate("approver", { old: "alice", new: "alice2", by: "bob carol", uncarried: true }) },
  ],

  [
    "a change of a key that only others' policies name",
    "patched",
    "",
    { status: rotate("witness", { old: "w7", new: "w8", by: "alice" }) },
  ],
  [
    "a change that somebody of another policy signed as well",
    "patched",
    "",
    {
      release: all(
        rotate("approver", { old: "alice", new: "alice2", by: "bob carol dora" }),
        approve("alice2", "bob"),
      ),
    },
  ],
  [
    "a change whose second approver is of another policy",
    "unproven",
    "approvals-missing",
    { status: rotate("approver", { old: "alice", new: "alice2", by: "bob dora" }) },
  ],

  ["a revoked device key", "unproven", "device-key-revoked", { status: revoke({ since: EARLY }) }],
  ["one revoked after the status", "unproven", "device-key-revoked", { head: revoke({ since: EARLY }) }],
  ["one revoked as of later than its evidence", "patched", "", { status: revoke({ since: LATER }) }],
  [
    "one revoked as of the very moment its evidence was recorded",
    "unproven",
    "device-key-revoked",
    { head: revoke({ since: T0 + 120 }) },
  ],
  ["one revoked a second after that", "patched", "", { head: revoke({ since: T0 + 121 }) }],
  [
    "one revoked later, its evidence never recorded",
    "unproven",
    "device-key-revoked",
    { status: revoke({ since: LATER }) },
    { logEvidence: false },
  ],
  [
    "one revoked early and late: the early one counts",
    "unproven",
    "device-key-revoked",
    { evidence: revoke({ since: LATER }), head: revoke({ since: EARLY }) },
  ],
  [
    "one revoked since, asked about before",
    "unproven",
    "device-key-revoked",
    { head: revoke({ since: EARLY }) },
    {},
    { at: T0 + 200 },
  ],
  [
    "one revoked, of the release alone",
    "verified",
    "",
    { status: revoke({ since: EARLY }) },
    {},
    { releaseOnly: true },
  ],
  [
    "a revocation by one approver",
    "unproven",
    "approvals-missing",
    { status: revoke({ since: EARLY, by: "bob" }) },
  ],
  [
    "a revocation by a status key",
    "unproven",
    "approvals-missing",
    { status: revoke({ since: EARLY, by: "bob status" }) },
  ],
  [
    "a revocation of another device",
    "refuted",
    "surplus-revocation",
    { status: revoke({ device: "sn7", since: EARLY }) },
  ],
];

for (const [name, word, code, before, options, question] of rows) {
  test(`${name}: ${word}`, () => {
    const late = before?.head === undefined ? {} : { at: NOW + 2 * LATE, now: NOW + 2 * LATE };
    const verdict = ask(makeWorld({ ...options, ...(before && { before }) }), { ...late, ...question });
    assert.is(codes(verdict), code);
    assert.is(verdict.word, word);
  });
}

for (const [word, code, question] of [
  ["verified", "", { releaseOnly: true }],
  ["unproven", "evidence-missing", {}],
] as const) {
  test(`a fleet's context with a revocation, asked about by itself: ${word}`, () => {
    const world = makeWorld({ before: { status: revoke({ since: EARLY }) } });
    const verdict = ask(world, question, { ...world.bundle, devices: [] });
    assert.is(codes(verdict), code);
    assert.is(verdict.word, word);
  });
}

test("what changed and what was revoked is told, with its record", () => {
  const before = {
    release: all(alice2, approve("alice2", "bob")),
    status: revoke({ since: LATER, by: "bob carol" }),
  };
  const { steps, notes } = ask(makeWorld({ before }));
  const told = steps.filter(({ claim }) => claim === "keys").map(({ text }) => text);
  assert.equal(told, [
    "approver acme.example/alice is replaced by acme.example/alice2 from log size 1 on, record 0",
  ]);
  const [note = ""] = notes.filter((text) => text.includes("revoked"));
  assert.match(
    note,
    /revoked as of 2026-.*, by record 2: "read out of .*; this evidence was recorded before$/,
  );
});

test("a policy written later, with the keys of its day, judges what came after the change", () => {
  const world = makeWorld({ before: { release: all(alice2, approve("alice2", "bob")) } });
  const [old, current] = ["alice", "alice2"].map((name) => formatVkey(key(name).vkey)) as [string, string];
  const policy = parsePolicy(new TextEncoder().encode(world.policyText.replace(old, current)), crypto);
  const verdict = ask(world, { policy });
  assert.is(codes(verdict), "");
  assert.ok(verdict.steps.some(({ text }) => text === "record 0 changes a key that the policy doesn't name"));
  const before = makeWorld({ before: { status: alice2 } });
  assert.is(codes(ask(before, { policy })), "unknown-signer", "and nothing that came before");
});

test("a key that was replaced and then distrusted: its successor stands, what it signed itself doesn't", () => {
  const distrusting = (world: World, name: string) => {
    const line = `distrust ${formatVkey(key(name).vkey)} ${isoTime(T0)}\n`;
    return {
      policy: parsePolicy(new TextEncoder().encode(`${world.policyText.trimEnd()}\n${line}`), crypto),
    };
  };
  const world = makeWorld({ before: { release: all(alice2, approve("alice2", "bob")) } });
  assert.is(codes(ask(world, distrusting(world, "alice"))), "");
  // Whoever approved the change must be somebody still.
  const carol = ask(world, distrusting(world, "carol"));
  assert.is(carol.word, "unproven");
  assert.ok(codes(carol).includes("approvals-missing"), codes(carol));
  const early = makeWorld({ before: { status: alice2 } });
  assert.is(codes(ask(early, distrusting(early, "alice"))), "unknown-signer");
  const station = makeWorld({ before: { release: enroller2 } });
  assert.is(ask(station, distrusting(station, "alice")).word, "unproven");
});

test("a log's key that was replaced and then distrusted: what its successor's checkpoint holds stands", () => {
  const distrusting = (world: World, time: number, name = "log") => {
    const line = `distrust ${formatVkey(key(name).vkey)} ${isoTime(time)}\n`;
    return {
      policy: parsePolicy(new TextEncoder().encode(`${world.policyText.trimEnd()}\n${line}`), crypto),
    };
  };
  // The challenge's checkpoint is by the old key, the head by the new one.
  const replaced = makeWorld({
    before: {
      challenge: rotate("log", { old: "log", new: "log2", after: 2 }),
      evidence: hand("log", "log2"),
    },
  });
  const ours = replaced.bundle.checkpoints.map(
    ({ note }) => signaturesBy(parseNote(note), key("log").vkey).length,
  );
  assert.equal([ours.includes(1), ours.at(-1)], [true, 0], "the bundle holds checkpoints by both");
  assert.is(ask(replaced, distrusting(replaced, T0)).word, "patched");
  const before = makeWorld();
  for (const [time, word, code] of [
    [NOW, "unproven", "log-distrusted"],
    [NOW + 1, "patched", ""],
  ] as const) {
    const verdict = ask(before, distrusting(before, time));
    assert.equal([verdict.word, codes(verdict)], [word, code]);
  }
  // The change is known, and the checkpoints are still by the old key: whoever stole it could make such a bundle.
  const early = makeWorld({ before: { status: rotate("log", { old: "log", new: "log2", after: 9 }) } });
  assert.equal(codes(ask(early)), "");
  assert.is(codes(ask(early, distrusting(early, T0))), "log-distrusted");
});

test("a device beside a context: its key's revocation counts, another's changes nothing", () => {
  const revoked = makeWorld({ before: { status: revoke({ since: EARLY }) } }).bundle;
  const { policy } = makeWorld();
  const question = { policy, crypto, at: NOW, now: NOW, images: [], tool: "vouch test" };
  const judged = (context: Bundle, device = context.devices[0]!) => {
    const bytes = formatBundle({ ...context, devices: [] });
    const opened = openContext(bytes, question);
    const line = formatDevice({ context: opened.digest, ...device });
    return auditDevice(line, opened, "line:1", question);
  };
  assert.match(judged(revoked).line, /"device-key-revoked"/);
  const { keys: _, ...without } = revoked;
  assert.match(judged(without).line, /"revocation-missing"/);
  assert.is(judged(without).word, "unproven");
});

test("evidence that is handed over is judged by the revocations of the bundle's devices", () => {
  const world = makeWorld({ before: { status: revoke({ since: EARLY }) } });
  const [device] = world.bundle.devices;
  const { note, receipts } = world.bundle.checkpoints[0]!;
  const challenge = {
    checkpoint: note,
    ledger: "directory",
    receipt: receipts[0]!.proof,
    random: device!.challenge.random,
  };
  const verdict = ask(world, { handed: [{ evidence: device!.evidence, challenge }] });
  assert.is(codes(verdict), "device-key-revoked");
});

// Somebody with old keys, and the log's operator asleep: whatever the bundle leaves out of what the status
// lists, it is never `patched`.
const attacks: readonly [name: string, before: NonNullable<WorldOptions["before"]>, without: string][] = [
  ["an old approver's release", { release: alice2 }, "rotation-missing"],
  ["an old enroller's enrolment", { release: enroller2 }, "rotation-missing"],
  ["an old log key's checkpoints", { release: log2 }, "rotation-missing"],
  ["a revoked device's evidence", { release: revoke({ since: EARLY }) }, "revocation-missing"],
];

for (const [name, before, code] of attacks)
  test(`${name}: leaving out what the status lists doesn't help`, () => {
    const world = makeWorld({ before });
    assert.is(ask(world).word, "unproven");
    const { keys, ...bare } = world.bundle;
    assert.is(keys?.length, 1);
    const verdict = ask(world, {}, bare);
    assert.is(codes(verdict), code);
    assert.is(verdict.word, "unproven");
  });

const full = makeWorld({
  before: {
    release: all(
      alice2,
      rotate("approver", { old: "alice2", new: "alice3", by: "alice2 bob" }),
      approve("alice3", "bob"),
    ),
    status: all(
      rotate("log", { old: "log", new: "log2", by: "bob carol" }),
      hand("log", "log2"),
      revoke({ since: LATER, by: "bob carol" }),
    ),
  },
});
const keys = full.bundle.keys!;

test("every part of the records about keys is needed: of any subset only the whole is patched", () => {
  assert.is(keys.length, 4);
  for (let subset = 0; subset < 16; subset++) {
    const some = keys.filter((_, i) => (subset & (1 << i)) !== 0);
    const { keys: _, ...bare } = full.bundle;
    const { word } = ask(full, {}, some.length === 0 ? bare : { ...bare, keys: some });
    assert.is(word, subset === 15 ? "patched" : "unproven", `subset ${subset}`);
  }
});

test("bytes of a record about keys bent, and of its proof", () => {
  keys.forEach((record, at) => {
    const withRecord = (changed: Partial<typeof record>) =>
      ask(
        full,
        {},
        { ...full.bundle, keys: keys.map((each, i) => (i === at ? { ...each, ...changed } : each)) },
      );
    const bent = (bytes: Uint8Array, i: number) =>
      bytes.map((byte, j) => (j === i ? byte ^ (1 << (i % 7)) : byte));
    // Each record from another byte on: together they see every part of such a statement.
    for (let i = at; i < record.statement.length; i += 4) {
      const { word } = withRecord({ statement: bent(record.statement, i) });
      assert.ok(["refuted", "unproven"].includes(word), `record ${at}, byte ${i}: ${word}`);
    }
    record.proof.forEach((hash, n) => {
      for (let i = n; i < 32; i += 8) {
        const proof = record.proof.map((each, m) => (m === n ? bent(hash, i) : each));
        assert.is(withRecord({ proof }).word, "refuted", `record ${at}, hash ${n}, byte ${i}`);
      }
    });
    for (const index of [record.index + 1n, record.index - 1n, record.index + 100n])
      if (index >= 0n) assert.is(withRecord({ index }).word, "refuted", `record ${at} as ${index}`);
  });
});

test("records about keys in another order, or twice, are refused", () => {
  for (const wrong of [[...keys].reverse(), [...keys, keys[3]!], [keys[0]!, ...keys]])
    assert.ok(codes(ask(full, {}, { ...full.bundle, keys: wrong })).includes("malformed-bundle"));
});

test("other statements are no records about keys", () => {
  const { release, status, devices } = full.bundle;
  for (const record of [release, status, devices[0]!.commitment]) {
    const { word, reasons } = ask(
      full,
      {},
      { ...full.bundle, keys: [...keys, record].sort((a, b) => (a.index < b.index ? -1 : 1)) },
    );
    assert.is(word, "refuted");
    assert.ok(reasons.some(({ code }) => code === "wrong-statement"));
  }
});

test("the version says whether there are such records", () => {
  const text = (bundle: Bundle) => new TextDecoder().decode(formatBundle(bundle));
  assert.match(text(full.bundle), /^\{"version":"vouch-bundle\/v2"/);
  assert.match(text(makeWorld().bundle), /^\{"version":"vouch-bundle\/v1"/);
  for (const [from, to] of [
    [text(full.bundle), "v1"],
    [text(makeWorld().bundle), "v2"],
  ] as const) {
    const verdict = ask(full, { bundle: new TextEncoder().encode(from.replace(/v[12]"/, `${to}"`)) });
    assert.is(codes(verdict), "malformed-bundle");
  }
});

test.run();
