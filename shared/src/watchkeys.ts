// What records about keys tell a monitor, and what they leave of its policy.
//
//   record 5: alice → alice2, from 10          remembered once it counts; from record 10 on alice2 is judged
//
// Only those that enough approvers of their own place signed are remembered (keyring.ts), in the log's order. Whoever is
// asked about a place gets the policy of that place: a key that was replaced is no bad signature, and no key at all.

import type { Crypto } from "./crypto";
import { parseEnvelope } from "./dsse";
import { isKeyStatement, type KeyStatement } from "./keychange";
import {
  isForeign,
  type Keyring,
  openRing,
  type PlacedRecord,
  requireKeyApproval,
  withRotation,
} from "./keyring";
import type { Policy } from "./policy";
import { isRefusal, quote } from "./refusal";
import { parseStatement, type StatusStatement } from "./statement";
import { parseVkey } from "./vkey";
import type { Watched } from "./watch";
import type { Memory } from "./watchmemory";

/**
 * The policy's keys as the remembered records leave them; of those below `place`, where one is given. A record that counted
 * when it was read counts for good, whoever of its approvers is distrusted since: that it is remembered proves that it was
 * there. Of a policy without keys that it distrusts (distrust.ts) those count for nothing else.
 */
export function rememberedRing(policy: Policy, memory: Memory, crypto: Crypto, place?: bigint): Keyring {
  const records = memory.keyRecords().filter(({ index }) => place === undefined || index < place);
  const { policy: written, untrusted, changes } = openRing(policy);
  const ring = records.reduce<Keyring>((known, record) => ringWith(known, record, crypto) ?? known, {
    policy: written,
    changes,
  });
  return untrusted === undefined ? ring : { ...ring, untrusted };
}

/** The ring with what a record does to it; null when it is none about keys, or doesn't count. */
export function ringWith(ring: Keyring, record: PlacedRecord, crypto: Crypto): Keyring | null {
  try {
    const statement = parseStatement(parseEnvelope(record.statement).payload);
    return isKeyStatement(statement) ? grown(ring, record, statement, crypto) : null;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

function grown(ring: Keyring, record: PlacedRecord, statement: KeyStatement, crypto: Crypto): Keyring {
  if (statement.kind === "rotation" && !isForeign(ring, statement, crypto))
    return withRotation(ring, record, statement, crypto);
  if (statement.kind !== "rotation") requireKeyApproval(ring, record, crypto);
  return ring;
}

/** Tells what the record changes, or why it doesn't; remembers it when it counts. */
export function judgeKeys(w: Watched, statement: KeyStatement, ring: Keyring): void {
  const record = { index: w.index, statement: w.bytes };
  try {
    grown(ring, record, statement, w.crypto);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    w.find({ code: error.code, message: `the ${statement.kind} doesn't count: ${error.message}` });
    return;
  }
  if (statement.kind === "closing" && !isClosingOf(w, statement)) return;
  if (statement.kind !== "rotation" || !isForeign(ring, statement, w.crypto)) w.memory.keepKeyRecord(record);
  w.find(newsOf(w, statement, ring));
}

function newsOf(w: Watched, statement: KeyStatement, ring: Keyring) {
  const name = (text: string) => quote(parseVkey(text, w.crypto).name);
  switch (statement.kind) {
    case "rotation": {
      const fate = statement.new === undefined ? "is retired" : `is replaced by ${name(statement.new)}`;
      const known = isForeign(ring, statement, w.crypto) ? ", a key that the policy doesn't name" : "";
      const message = `${statement.role} ${name(statement.old)} ${fate} from size ${statement.from} on${known}`;
      return { code: "key-changed", message };
    }
    case "revocation": {
      const { product, keySha256, since } = statement;
      const message = `device key ${keySha256.slice(0, 16)}… is revoked as of ${since}`;
      return { code: "device-key-revocation", message, product };
    }
    case "closing":
      return { code: "log-closing", message: `the log ends here, ${name(statement.successor)} goes on` };
    default:
      return statement satisfies never;
  }
}

/** A closing speaks for the records before it. */
function isClosingOf(w: Watched, closing: Extract<KeyStatement, { kind: "closing" }>): boolean {
  const { origin, size, rootSha256 } = closing;
  if (origin === w.policy.log.name && BigInt(size) === w.index && rootSha256 === w.rootAt(w.index))
    return true;
  const message = `the closing speaks for ${quote(origin)}, size ${size}, root ${rootSha256.slice(0, 16)}…, which isn't what is before it`;
  w.find({ code: "closing-misplaced", message });
  return false;
}

/**
 * Each device key of the product that was revoked when the status was made is listed, by a record that reaches back as
 * far: a bundle holds no other, so whoever leaves one out makes a thief's word the device's again. Nobody may, as no
 * revocation is ever undone.
 */
export function checkRevoked(w: Watched, { product, logSize, revocations = [] }: StatusStatement): void {
  const known = w.memory.keyRecords().flatMap(({ index, statement: bytes }) => {
    const statement = parseStatement(parseEnvelope(bytes).payload);
    return statement.kind === "revocation" && statement.product === product ? [{ index, statement }] : [];
  });
  for (const { index, statement } of known) {
    const { keySha256, since } = statement;
    const listed = revocations.find(({ key }) => key === keySha256);
    const named = known.find((one) => listed !== undefined && one.index === BigInt(listed.index));
    const isAsFar = named?.statement.keySha256 === keySha256 && named.statement.since <= since;
    const isSaid = listed !== undefined && (named === undefined || isAsFar);
    if (isSaid || index >= BigInt(logSize)) continue;
    const message = `the status for ${product} of log size ${logSize} leaves out record ${index}, which revokes device key ${keySha256.slice(0, 16)}… as of ${since}`;
    w.find({ code: "status-drops-revocation", message, product });
  }
}

/** The record that closed the log, or null. */
export function closedBy(memory: Memory): bigint | null {
  const closing = memory.keyRecords().find(({ statement }) => {
    const { kind } = parseStatement(parseEnvelope(statement).payload);
    return kind === "closing";
  });
  return closing?.index ?? null;
}
