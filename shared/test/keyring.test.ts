// Whose signatures count where. A small policy and every way to change its keys: alice,
// bob and carol approve, two of them, bob or carol for quality.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto as crypto } from "../../host-cli/src/crypto";
import { utf8Encode } from "../src/bytes";
import { parseEnvelope } from "../src/dsse";
import type { RotationStatement } from "../src/keychange";
import { type Keyring, policyAt, readKeyRecord, refuseReplaced, withRotation } from "../src/keyring";
import { parsePolicy } from "../src/policy";
import { isRefusal } from "../src/refusal";
import { formatVkey, KEY_COSIGNATURE, KEY_ED25519 } from "../src/vkey";
import { dsse, type Key, keyOf } from "./world";

const keyring = suite("keyring");

/** Witnesses begin with w; the log's second key has the log's name. */
const key = (name: string): Key =>
  name === "fwlog+"
    ? keyOf("ring2", "fwlog")
    : keyOf("ring", name, /^w/.test(name) ? KEY_COSIGNATURE : KEY_ED25519);
const vkey = (name: string) => formatVkey(key(name).vkey);

const POLICY = parsePolicy(
  utf8Encode(
    [
      `log ${vkey("fwlog")}`,
      `witness one ${vkey("w1")}`,
      "quorum one",
      `approver alice engineering ${vkey("alice")}`,
      `approver bob quality ${vkey("bob")}`,
      `approver carol quality ${vkey("carol")}`,
      "approve pump-400 2 quality",
      `vendor pump-400 ${vkey("vendor")}`,
      `status ${vkey("status")}`,
      `enroller ${vkey("enroller")}`,
      "",
    ].join("\n"),
  ),
  crypto,
);
const EMPTY: Keyring = { policy: POLICY, changes: [] };

interface Wish {
  readonly at: number;
  readonly from: number;
  readonly role?: RotationStatement["role"];
  readonly old: string;
  readonly new?: string;
  readonly by: string;
  readonly log?: string;
}

function record({ at, from, role = "approver", old, by, log = "fwlog", ...wish }: Wish) {
  const statement: RotationStatement = {
    kind: "rotation",
    role,
    log,
    from,
    old: vkey(old),
    ...(wish.new !== undefined && { new: vkey(wish.new) }),
    reason: "as planned",
    created: "2026-01-15T09:00:00Z",
  };
  return { index: BigInt(at), statement: dsse(statement, by.split(" ").map(key)) };
}

/** The keyring after these, or the code of the first that is refused and which it was. */
function ringOf(policyRing: Keyring, wishes: readonly Wish[]): Keyring | string {
  let ring = policyRing;
  for (const [i, wish] of wishes.entries()) {
    const placed = record(wish);
    const statement = readKeyRecord(placed);
    try {
      if (statement.kind === "rotation") ring = withRotation(ring, placed, statement, crypto);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return `${i} ${error.code}`;
    }
  }
  return ring;
}

const names = (ring: Keyring, place: number) => {
  const { log, witnesses, approvers, status, enrollers } = policyAt(ring, BigInt(place));
  const keys = [
    log,
    ...witnesses.map((w) => w.vkey),
    ...approvers.map((a) => a.vkey),
    ...status,
    ...enrollers,
  ];
  return keys.map((found) => `${found.name}${found === log && log !== POLICY.log ? "+" : ""}`).join(" ");
};

// Where the keys of a chain of changes count, at every place around them.
const CHAINS: readonly [name: string, wishes: readonly Wish[], at: readonly [number, string][]][] = [
  [
    "one approver, then the same line again",
    [
      { at: 5, from: 10, old: "alice", new: "alice2", by: "bob carol" },
      { at: 12, from: 20, old: "alice2", new: "alice3", by: "alice2 bob" },
    ],
    [
      [0, "fwlog w1 alice bob carol status enroller"],
      [9, "fwlog w1 alice bob carol status enroller"],
      [10, "fwlog w1 alice2 bob carol status enroller"],
      [19, "fwlog w1 alice2 bob carol status enroller"],
      [20, "fwlog w1 alice3 bob carol status enroller"],
      [1e9, "fwlog w1 alice3 bob carol status enroller"],
    ],
  ],
  [
    "a chain that is recorded before it begins",
    [
      { at: 5, from: 10, old: "alice", new: "alice2", by: "alice bob" },
      { at: 6, from: 12, old: "alice2", new: "alice3", by: "alice bob" },
      { at: 7, from: 12, old: "alice3", new: "alice4", by: "alice bob" },
    ],
    [
      [9, "fwlog w1 alice bob carol status enroller"],
      [10, "fwlog w1 alice2 bob carol status enroller"],
      [11, "fwlog w1 alice2 bob carol status enroller"],
      [12, "fwlog w1 alice4 bob carol status enroller"],
    ],
  ],
  [
    "every role, and one without a successor",
    [
      { at: 1, from: 10, role: "log", old: "fwlog", new: "fwlog+", by: "alice bob" },
      { at: 2, from: 10, role: "witness", old: "w1", new: "w2", by: "alice bob" },
      { at: 3, from: 11, role: "status", old: "status", new: "status2", by: "alice carol" },
      { at: 4, from: 12, role: "enroller", old: "enroller", by: "alice bob carol" },
    ],
    [
      [9, "fwlog w1 alice bob carol status enroller"],
      [10, "fwlog+ w2 alice bob carol status enroller"],
      [11, "fwlog+ w2 alice bob carol status2 enroller"],
      [12, "fwlog+ w2 alice bob carol status2"],
    ],
  ],
];

for (const [name, wishes, places] of CHAINS)
  keyring(`keys at each place: ${name}`, () => {
    const ring = ringOf(EMPTY, wishes);
    if (typeof ring === "string") assert.unreachable(ring);
    for (const [place, expected] of places) assert.is(names(ring as Keyring, place), expected, `at ${place}`);
  });

const FIRST: Wish = { at: 5, from: 10, old: "alice", new: "alice2", by: "bob carol" };

// One flaw a row: the last of the wishes is refused.
const REFUSED: readonly [name: string, code: string, wishes: readonly Wish[]][] = [
  ["one approver alone", "approvals-missing", [{ ...FIRST, by: "bob" }]],
  ["the old key alone", "approvals-missing", [{ ...FIRST, by: "alice" }]],
  ["a status key among them", "approvals-missing", [{ ...FIRST, by: "bob status" }]],
  ["the vendor's key", "approvals-missing", [{ ...FIRST, by: "bob vendor" }]],
  [
    "the log's key for itself",
    "approvals-missing",
    [{ ...FIRST, role: "log", old: "fwlog", new: "fwlog+", by: "fwlog" }],
  ],
  ["the successor, which isn't there yet", "approvals-missing", [{ ...FIRST, by: "bob alice2" }]],
  ["effect at its own record", "rotation-overreach", [{ ...FIRST, from: 5 }]],
  ["effect before its own record", "rotation-overreach", [{ ...FIRST, from: 1 }]],
  ["another log", "rotation-other-log", [{ ...FIRST, log: "fwlog-2027" }]],
  ["a key that no line has", "rotation-unknown-key", [{ ...FIRST, old: "mallory" }]],
  ["a key of another role", "rotation-unknown-key", [{ ...FIRST, old: "status" }]],
  ["an approver's key as enroller", "rotation-unknown-key", [{ ...FIRST, role: "enroller" }]],
  ["a successor that has a line", "rotation-key-reuse", [{ ...FIRST, new: "bob" }]],
  ["a successor that seals manifests", "rotation-key-reuse", [{ ...FIRST, new: "vendor" }]],
  [
    "the replaced key, once it is replaced",
    "key-replaced",
    [FIRST, { at: 10, from: 20, old: "bob", new: "bob2", by: "alice bob" }],
  ],
  [
    "the replaced key, much later, for its own line",
    "key-replaced",
    [FIRST, { at: 500, from: 900, old: "alice2", new: "alice", by: "alice bob" }],
  ],
  [
    "the new key before its time",
    "key-early",
    [FIRST, { at: 9, from: 20, old: "bob", new: "bob2", by: "alice2 bob" }],
  ],
  [
    "a second successor for one key",
    "rotation-conflict",
    [FIRST, { at: 6, from: 10, old: "alice", new: "alice3", by: "alice bob" }],
  ],
  [
    "a second successor that begins earlier",
    "rotation-conflict",
    [FIRST, { at: 6, from: 7, old: "alice", new: "alice3", by: "alice bob" }],
  ],
  [
    "a successor for a key that was retired",
    "rotation-conflict",
    [
      { at: 5, from: 10, old: "alice", by: "bob carol" },
      { at: 6, from: 11, old: "alice", new: "alice3", by: "bob carol" },
    ],
  ],
  [
    "a key that comes back",
    "rotation-key-reuse",
    [FIRST, { at: 12, from: 20, old: "alice2", new: "alice", by: "alice2 bob" }],
  ],
  [
    "a key that two lines would share",
    "rotation-key-reuse",
    [FIRST, { at: 12, from: 20, old: "bob", new: "alice2", by: "alice2 carol" }],
  ],
  [
    "a link of a chain before the one it hangs on",
    "rotation-unknown-key",
    [
      { ...FIRST, from: 20 },
      { at: 6, from: 15, old: "alice2", new: "alice3", by: "alice bob" },
    ],
  ],
  [
    "the only approver who is left of three",
    "approvals-missing",
    [
      { at: 1, from: 3, old: "bob", by: "alice bob" },
      { at: 4, from: 6, old: "carol", by: "alice carol" },
      { at: 7, from: 9, role: "status", old: "status", by: "alice" },
    ],
  ],
];

for (const [name, code, wishes] of REFUSED)
  keyring(`refuses a rotation by or with: ${name}`, () => {
    const found = ringOf(EMPTY, wishes);
    assert.is(found, `${wishes.length - 1} ${code}`);
  });

keyring("a threshold of several products is the largest, with every role", () => {
  const policy = {
    ...POLICY,
    approve: [...POLICY.approve, { product: "pump-900", threshold: 3, roles: ["safety"] }],
  };
  const dora = { name: "dora", role: "safety", vkey: key("dora").vkey };
  const ring: Keyring = { policy: { ...policy, approvers: [...policy.approvers, dora] }, changes: [] };
  assert.is(ringOf(ring, [{ ...FIRST, by: "bob carol" }]), "0 approvals-missing");
  assert.is(ringOf(ring, [{ ...FIRST, by: "alice bob carol" }]), "0 role-missing");
  assert.type(ringOf(ring, [{ ...FIRST, by: "alice bob dora" }]), "object");
  assert.type(ringOf(ring, [{ ...FIRST, by: "alice bob carol dora" }]), "object", "more may sign");
});

keyring("nobody changes a key under a policy without an approve line", () => {
  const ring: Keyring = { policy: { ...POLICY, approve: [] }, changes: [] };
  assert.is(ringOf(ring, [{ ...FIRST, by: "alice bob carol" }]), "0 no-approval-rule");
});

// What any two approvers sign at any place around a rotation of one of them.
keyring("at every place, exactly the keys of that place count", () => {
  const ring = ringOf(EMPTY, [FIRST]) as Keyring;
  for (let place = 0; place <= 20; place++)
    for (const signer of ["alice", "alice2", "bob", "carol"]) {
      const envelope = parseEnvelope(record({ ...FIRST, by: signer }).statement);
      const counts = policyAt(ring, BigInt(place)).approvers.some((a) => a.vkey.name === signer);
      const expected = signer === "alice" ? place < 10 : signer === "alice2" ? place >= 10 : true;
      assert.is(counts, expected, `${signer} at ${place}`);
      let code = "";
      try {
        refuseReplaced(ring, envelope, BigInt(place), crypto);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        code = error.code;
      }
      assert.is(
        code,
        expected ? "" : signer === "alice" ? "key-replaced" : "key-early",
        `${signer} at ${place}`,
      );
    }
});

keyring.run();
