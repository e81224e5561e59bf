// Which keys a policy's lines stand for, at each place of the log.
//
//   record          0 ……… 5 ……… 9 │ 10 ………            rotation: record 5, alice → alice2, from 10
//   alice's line    alice          │ alice2
//   checkpoints of size    0 … 9   │ 10 …
//
// The policy is where trust begins: it names the keys of record 0. A rotation in the log
// changes them when t approvers signed it whom the lines name at the rotation's own place, so
// that nobody who was replaced before can replace anybody. In this order it must
//   1. be for this log, and take effect after its own record;
//   2. be signed by enough of those approvers: as many as the strictest `approve` line asks
//      for, and every role that any of them names. Others may have signed as well, whom
//      somebody else's policy names: they don't count;
//   3. replace a key that the line it means still has at that place. Of two that replace one
//      key the earlier record counts, so that a key has one successor;
//   4. bring a key that nobody in the policy has, or had: no key comes back, none has two roles.
// A rotation of a key that the policy names nowhere is foreign: one policy has a witness or
// an enroller that another hasn't. It changes nothing, so nothing is asked of it.
// Nothing here says that the records are in the log; whoever asks must settle that.

import { toHex } from "./bytes";
import type { Crypto } from "./crypto";
import { type NamedKey, withoutKeys } from "./distrust";
import { type Envelope, keyidOf, parseEnvelope } from "./dsse";
import type { KeyRole, RotationStatement } from "./keychange";
import type { Policy } from "./policy";
import { quote, Refusal } from "./refusal";
import { type Signer, signersOf } from "./signers";
import { parseStatement } from "./statement";
import { parseVkey, sameVkey, type Vkey } from "./vkey";

/** A rotation that counts. */
export interface KeyChange {
  readonly index: bigint;
  readonly from: bigint;
  readonly role: KeyRole;
  readonly old: Vkey;
  /** Null when the key has no successor. */
  readonly successor: Vkey | null;
}

export interface Keyring {
  readonly policy: Policy;
  /** Ascending by index. */
  readonly changes: readonly KeyChange[];
  /** Keys whose signatures count nowhere. */
  readonly untrusted?: readonly NamedKey[];
}

export interface PlacedRecord {
  readonly index: bigint;
  readonly statement: Uint8Array;
}

/**
 * The ring before any change. Of a policy without keys that it distrusts (distrust.ts) the lines are as written, since
 * who leaves a leaked key rotates it: what such a key signed counts for nothing, and its successor stands.
 */
export const openRing = (policy: Policy): Keyring =>
  policy.untrusted === undefined
    ? { policy, changes: [] }
    : { policy: policy.untrusted.written, changes: [], untrusted: policy.untrusted.keys };

/** The policy with the keys that count at one place: a record's index, or a checkpoint's size. */
export function policyAt(ring: Keyring, place: bigint): Policy {
  const held = heldAt(ring, place);
  return ring.untrusted === undefined ? held : withoutKeys(held, ring.untrusted);
}

/** The same, those that aren't trusted any more among them. */
function heldAt({ policy, changes }: Keyring, place: bigint): Policy {
  return changes
    .filter(({ from }) => from <= place)
    .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0)) // stable: of one place, by index
    .reduce(applied, policy);
}

/** The keyring with one rotation more. Refuses as the steps above do. */
export function withRotation(
  ring: Keyring,
  record: PlacedRecord,
  statement: RotationStatement,
  crypto: Crypto,
): Keyring {
  const { index } = record;
  const from = BigInt(statement.from);
  if (statement.log !== ring.policy.log.name) {
    const found = `the rotation is for log ${quote(statement.log)}, this one is ${quote(ring.policy.log.name)}`;
    throw new Refusal("rotation-other-log", found);
  }
  if (from <= index) {
    const found = `record ${index} rotates a key from size ${from} on, expected a size after itself`;
    throw new Refusal("rotation-overreach", found, { hint: "the log has grown since: draft it again" });
  }
  requireKeyApproval(ring, record, crypto);
  const change = changeOf(index, statement, crypto);
  const { old, successor } = change;
  const rival = ring.changes.find((change) => sameKey(change.old, old));
  if (rival !== undefined) {
    const found = `record ${rival.index} replaces ${quote(old.name)} already, from size ${rival.from} on`;
    throw new Refusal("rotation-conflict", `${found}; record ${index} can't`);
  }
  if (!holdersOf(heldAt(ring, from), statement.role).some((key) => sameVkey(key, old))) {
    const found = `${quote(old.name)} is no key for ${statement.role} at size ${from}`;
    throw new Refusal("rotation-unknown-key", `record ${index} replaces a key that isn't there: ${found}`);
  }
  if (successor !== null && everyKey(ring).some((key) => sameKey(key, successor))) {
    const found = `record ${index} brings ${quote(successor.name)}, a key that stands in the policy or once did`;
    throw new Refusal("rotation-key-reuse", found);
  }
  return { ...ring, changes: [...ring.changes, change] };
}

/** What a rotation changes, whoever signed it. */
export function changeOf(
  index: bigint,
  statement: RotationStatement,
  crypto: Pick<Crypto, "sha256">,
): KeyChange {
  const { role, from, old, new: successor } = statement;
  return {
    index,
    from: BigInt(from),
    role,
    old: parseVkey(old, crypto),
    successor: successor === undefined ? null : parseVkey(successor, crypto),
  };
}

/** Whether a rotation is of a key that no line of the policy has, and no change brought. */
export function isForeign(
  ring: Keyring,
  statement: RotationStatement,
  crypto: Pick<Crypto, "sha256">,
): boolean {
  const old = parseVkey(statement.old, crypto);
  return !everyKey(ring).some((key) => sameKey(key, old));
}

/**
 * Who of the approvers at the record's place signed it, when they are enough to change keys. Refuses
 * `key-replaced`, `key-early`, `bad-signature`, `no-approval-rule`, `approvals-missing`, `role-missing`.
 */
export function requireKeyApproval(ring: Keyring, record: PlacedRecord, crypto: Crypto): Signer[] {
  const envelope = parseEnvelope(record.statement);
  const policy = policyAt(ring, record.index);
  refuseReplaced(ring, envelope, record.index, crypto);
  const ids = policy.approvers.map(({ vkey }) => keyidOf(vkey.publicKey, crypto));
  const known = envelope.signatures.filter(({ keyid }) => ids.includes(keyid));
  const signers =
    known.length === 0 ? [] : signersOf({ ...envelope, signatures: known }, policy.approvers, crypto);
  if (policy.approve.length === 0)
    throw new Refusal("no-approval-rule", "the policy has no approve line, so nobody can change a key");
  const needed = Math.max(...policy.approve.map(({ threshold }) => threshold));
  if (signers.length < needed) {
    const found = `found ${signers.length} of ${needed} approvals for a change of keys`;
    throw new Refusal("approvals-missing", found);
  }
  const roles = policy.approve.flatMap((rule) => rule.roles);
  const missing = roles.find((role) => !signers.some((signer) => signer.role === role));
  if (missing !== undefined) {
    const found = `nobody of role ${quote(missing)} approved the change of keys`;
    throw new Refusal("role-missing", `${found}, the policy asks for one`);
  }
  return signers;
}

type Changes = Pick<Keyring, "changes">;

/** Refuses `key-replaced` or `key-early` when a signature is by a key that isn't of this place any more, or not yet. */
export function refuseReplaced(
  ring: Changes,
  envelope: Envelope,
  place: bigint,
  crypto: Pick<Crypto, "sha256">,
): void {
  for (const { keyid } of envelope.signatures)
    refuseOutOfPlace(ring, place, (key) => keyidOf(key.publicKey, crypto) === keyid);
}

/** The same for one key, told by `isIt`. */
export function refuseOutOfPlace(ring: Changes, place: bigint, isIt: (key: Vkey) => boolean): void {
  for (const { index, from, old, successor } of ring.changes) {
    if (from <= place && isIt(old)) {
      const found = `the key of ${quote(old.name)} counts below size ${from} only, by record ${index}`;
      throw new Refusal("key-replaced", `${found}; this is at ${place}`);
    }
    if (from > place && successor !== null && isIt(successor)) {
      const found = `the key of ${quote(successor.name)} counts from size ${from} on, by record ${index}`;
      throw new Refusal("key-early", `${found}; this is at ${place}`);
    }
  }
}

/** A record's statement, which must be about keys. Refuses as parsing does, `wrong-statement`. */
export function readKeyRecord(record: PlacedRecord) {
  const statement = parseStatement(parseEnvelope(record.statement).payload);
  if (statement.kind === "rotation" || statement.kind === "revocation") return statement;
  throw new Refusal("wrong-statement", `a record about keys is a statement of kind ${statement.kind}`);
}

function applied(policy: Policy, { role, old, successor }: KeyChange): Policy {
  const swap = <T extends { readonly vkey: Vkey }>(lines: readonly T[]): T[] =>
    lines.flatMap((line) => {
      if (!sameKey(line.vkey, old)) return [line];
      return successor === null ? [] : [{ ...line, vkey: successor }];
    });
  const keys = (list: readonly Vkey[]) => swap(list.map((vkey) => ({ vkey }))).map(({ vkey }) => vkey);
  switch (role) {
    case "log":
      return { ...policy, log: successor ?? policy.log };
    case "witness":
      return { ...policy, witnesses: swap(policy.witnesses) };
    case "approver":
      return { ...policy, approvers: swap(policy.approvers) };
    case "status":
      return { ...policy, status: keys(policy.status) };
    case "enroller":
      return { ...policy, enrollers: keys(policy.enrollers) };
    default:
      return role satisfies never;
  }
}

function holdersOf(policy: Policy, role: KeyRole): readonly Vkey[] {
  switch (role) {
    case "log":
      return [policy.log];
    case "witness":
      return policy.witnesses.map(({ vkey }) => vkey);
    case "approver":
      return policy.approvers.map(({ vkey }) => vkey);
    case "status":
      return policy.status;
    case "enroller":
      return policy.enrollers;
    default:
      return role satisfies never;
  }
}

/** Every key that the policy names or that a change brought, whatever for. */
function everyKey({ policy, changes }: Keyring): Vkey[] {
  const lines = [policy.witnesses, policy.vendors, policy.approvers].flatMap((list) =>
    list.map(({ vkey }) => vkey),
  );
  const ledgers = policy.ledgers.flatMap((ledger) => (ledger.kind === "directory" ? [ledger.root] : []));
  const brought = changes.flatMap(({ successor }) => (successor === null ? [] : [successor]));
  return [policy.log, ...lines, ...policy.status, ...policy.enrollers, ...ledgers, ...brought];
}

export const sameKey = (a: NamedKey, b: NamedKey) => toHex(a.publicKey) === toHex(b.publicKey);
