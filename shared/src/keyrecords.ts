// What a bundle holds about keys, and whether it holds all of it.
//
//   opened     before anything else, since it decides whose signatures count where: each
//              record by the approvers that the ones before it leave (keyring.ts)
//   logged     once there is a head: each is a leaf of it. Until then an index is only claimed,
//              and a wrong one refutes the bundle in the end
//   complete   the status lists every rotation, and every revoked device key, below its size:
//              leaving one out leaves the bundle unproven
//
// A bundle carries rotations, which change what all else means, and of revocations those of its own devices.

import type { BundledDevice, LogRecord } from "./bundle";
import { toHex } from "./bytes";
import type { Crypto } from "./crypto";
import { parseEnvelope } from "./dsse";
import { type Case, checkLogged, type History } from "./history";
import type { RevocationStatement } from "./keychange";
import {
  isForeign,
  type Keyring,
  openRing,
  readKeyRecord,
  requireKeyApproval,
  withRotation,
} from "./keyring";
import { isRefusal, quote, Refusal } from "./refusal";
import { parseStatement, type StatusStatement } from "./statement";
import { isoTime, secondsOf } from "./time";

export interface Revocation {
  readonly record: LogRecord;
  readonly statement: RevocationStatement;
}

export interface Keys {
  readonly ring: Keyring;
  readonly revocations: readonly Revocation[];
  /** Rotations of keys that the policy doesn't name. */
  readonly foreign: readonly LogRecord[];
}

/**
 * Reads the bundle's records about keys. Those that don't count are findings, and change nothing. A bundle without
 * devices is a fleet's context: it may hold revocations of devices that stand beside it.
 */
export function openKeys(c: Omit<Case, "keys">): Keys {
  const records = c.bundle.keys ?? [];
  const servesFleet = c.bundle.devices.length === 0;
  let ring = openRing(c.policy);
  const revocations: Revocation[] = [];
  const foreign: LogRecord[] = [];
  c.out.attempt("keys", () => {
    if (records.some((record, i) => i > 0 && records[i - 1]!.index >= record.index))
      throw new Refusal("malformed-bundle", "the records about keys do not ascend by index");
  });
  for (const record of records) {
    c.out.attempt("keys", () => {
      const statement = readKeyRecord(record);
      if (statement.kind === "rotation" && isForeign(ring, statement, c.crypto)) foreign.push(record);
      else if (statement.kind === "rotation") ring = withRotation(ring, record, statement, c.crypto);
      else {
        requireKeyApproval(ring, record, c.crypto);
        if (!servesFleet) checkOwn(c, record, statement);
        revocations.push({ record, statement });
      }
    });
  }
  return { ring, revocations, foreign };
}

/** Somebody else's revocation is none of this bundle's business. */
function checkOwn(c: Omit<Case, "keys">, record: LogRecord, { keySha256 }: RevocationStatement): void {
  if (enrolledKeys(c).has(keySha256)) return;
  throw new Refusal(
    "surplus-revocation",
    `record ${record.index} revokes a key of no device in the bundle, ${keySha256.slice(0, 16)}…`,
  );
}

/** Each record about keys is where it says. */
export function checkKeysLogged(c: Case, history: History): void {
  for (const record of c.bundle.keys ?? []) {
    c.out.attempt("keys", () => {
      checkLogged(c, record, history.head);
      const change = c.keys.ring.changes.find(({ index }) => index === record.index);
      if (c.keys.foreign.includes(record))
        c.out.established("keys", `record ${record.index} changes a key that the policy doesn't name`);
      if (change !== undefined) {
        const { role, old, successor, from } = change;
        const fate = successor === null ? "retired" : `replaced by ${plain(successor.name)}`;
        const text = `${role} ${plain(old.name)} is ${fate} from log size ${from} on, record ${record.index}`;
        c.out.established("keys", text, [
          "rule: signed by as many approvers as the strictest approve line asks for, each role among them; in the log before it takes effect",
          `bytes: sha256 ${toHex(c.crypto.sha256(record.statement))}`,
        ]);
      }
    });
  }
}

const plain = (name: string) => (/^[\w./-]{1,60}$/.test(name) ? name : quote(name));

/** What the status lists about keys is in the bundle, as far as it concerns it. */
export function checkKeysListed(c: Case, status: StatusStatement): void {
  if (status.rotations === undefined && status.revocations === undefined) return;
  for (const listed of (status.rotations ?? []).filter((each) => isMissing(c, each)))
    c.out.failed(
      "keys",
      "rotation-missing",
      `the status lists record ${listed.index}, which changes a key; the bundle does not hold it`,
    );
  checkRevocationsListed(c, status, enrolledKeys(c));
}

/** The same about a device that comes beside the bundle, from a fleet file. */
export function checkOwnListed(
  c: Case,
  status: StatusStatement,
  device: Pick<BundledDevice, "enrolment">,
): void {
  if ((status.revocations ?? []).length === 0) return; // nobody's is revoked
  const hash = enrolledKeyHash(device, c.crypto);
  const key = hash === null ? null : toHex(hash);
  if (key !== null && !enrolledKeys(c).has(key)) checkRevocationsListed(c, status, new Set([key]));
}

const isMissing = (c: Case, listed: { readonly index: number; readonly sha256: string }) =>
  !(c.bundle.keys ?? []).some(
    (record) =>
      record.index === BigInt(listed.index) && toHex(c.crypto.sha256(record.statement)) === listed.sha256,
  );

function checkRevocationsListed(c: Case, status: StatusStatement, own: ReadonlySet<string>): void {
  const listed = (status.revocations ?? []).filter(({ key }) => own.has(key));
  for (const { index, key } of listed.filter((each) => isMissing(c, each)))
    c.out.failed(
      "keys",
      "revocation-missing",
      `the status lists record ${index}, which revokes key ${key.slice(0, 16)}… of a device here; the bundle does not hold it`,
    );
}

/**
 * What a stolen key signed can't be told from what the device did: only what was recorded before the
 * moment that the revocation names is the device's. Whenever that is asked about: it was stolen then already.
 */
export function checkNotRevoked(
  c: Case,
  key: { readonly kid: Uint8Array; readonly publicKey: Uint8Array },
  notAfter: number | null,
): void {
  const revocation = revocationOf(c, key.publicKey);
  if (revocation === null) return;
  const { since, reason } = revocation.statement;
  const what = `the device's key ${toHex(key.kid)} is revoked as of ${since}, by record ${revocation.record.index}: ${quote(reason)}`;
  if (notAfter !== null && notAfter < secondsOf(since)) {
    c.out.note(`${what}; this evidence was recorded before`);
    return;
  }
  const found =
    notAfter === null ? "nothing proves it to be older" : `it was recorded at ${isoTime(notAfter)}`;
  c.out.failed(
    "evidence",
    "device-key-revoked",
    `${what}; of this evidence, ${found}`,
    "clear the device's key by the maker's order, enrol it anew, and attest again",
  );
}

/** The revocation of a device's key that reaches back the furthest, or null. */
function revocationOf(c: Case, publicKey: Uint8Array): Revocation | null {
  if (c.keys.revocations.length === 0) return null;
  const key = toHex(c.crypto.sha256(publicKey));
  const all = c.keys.revocations.filter(({ statement }) => statement.keySha256 === key);
  return all.reduce<Revocation | null>(
    (first, each) => (first === null || each.statement.since < first.statement.since ? each : first),
    null,
  );
}

function enrolledKeys(c: Omit<Case, "keys">): ReadonlySet<string> {
  const hashes = c.bundle.devices.map((device) => enrolledKeyHash(device, c.crypto));
  return new Set(hashes.flatMap((hash) => (hash === null ? [] : [toHex(hash)])));
}

/** SHA-256 of the key that a device's enrolment names, whoever signed it; null when it names none. */
export function enrolledKeyHash(device: Pick<BundledDevice, "enrolment">, crypto: Crypto): Uint8Array | null {
  try {
    const statement = parseStatement(parseEnvelope(device.enrolment).payload, crypto.sha256);
    return statement.kind === "enrolment" ? crypto.sha256(statement.publicKey) : null;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null; // claim 5 says what is wrong with it, if that member is ever presented
  }
}
