// Statements about keys, and about a log that ends: in-toto predicates beside those of statement.ts.
//
//   rotation     a key that the policy names is replaced, from a size of the log on; without
//                `new` it has no successor
//   revocation   a device's key is not to be trusted, as of a time
//   closing      this log ends here; its successor is that one
//
// All three take t approvers. That a key's holder signs too is not asked for: who has
// stolen a key could, and who has lost one couldn't. Spec: spec/predicates.md. Keys are
// verifier keys as text; what they do to a policy is in keyring.ts.

import { toHex } from "./bytes";
import type { Predicate } from "./predicates";
import { quote, Refusal } from "./refusal";
import { sha256 } from "./sha256";
import type { Subject } from "./statement";
import { KEY_COSIGNATURE, KEY_ED25519, parseVkey } from "./vkey";

/** The lines of a policy whose keys can be rotated. */
export const KEY_ROLES = ["log", "witness", "approver", "status", "enroller"] as const;
export type KeyRole = (typeof KEY_ROLES)[number];

export interface RotationStatement {
  readonly kind: "rotation";
  readonly role: KeyRole;
  /** The origin of the log that `from` is a size of. */
  readonly log: string;
  /** Records from this index on, and checkpoints from this size on, are the new key's. */
  readonly from: number;
  readonly old: string;
  readonly new?: string;
  readonly reason: string;
  readonly created: string;
}

export interface RevocationStatement {
  readonly kind: "revocation";
  /** SHA-256 of the device's public key, hex. */
  readonly keySha256: string;
  readonly product: string;
  /** What nothing proves to be older than this is not the device's word. */
  readonly since: string;
  readonly reason: string;
  readonly created: string;
}

export interface ClosingStatement {
  readonly kind: "closing";
  /** The log that ends: its origin and the root of its first `size` records. This is record `size`, and the last. */
  readonly origin: string;
  readonly rootSha256: string;
  readonly size: number;
  readonly successor: string;
  readonly reason: string;
  readonly created: string;
}

export type KeyStatement = RotationStatement | RevocationStatement | ClosingStatement;
export type KeyStatementKind = KeyStatement["kind"];
export const KEY_STATEMENTS = ["rotation", "revocation", "closing"] as const satisfies KeyStatementKind[];

export const isKeyStatement = <S extends { readonly kind: string }>(
  statement: S,
): statement is Extract<S, { readonly kind: KeyStatementKind }> =>
  (KEY_STATEMENTS as readonly string[]).includes(statement.kind);

/** The type byte that a verifier key of the role has. */
export const keyTypeOf = (role: KeyRole) => (role === "witness" ? KEY_COSIGNATURE : KEY_ED25519);

/** A rotation from its parts. Refuses `malformed-json`. */
export function rotationFrom(
  subject: Subject,
  predicate: Predicate<"rotation">,
  at: string,
): RotationStatement {
  const { role, old, new: successor, log } = predicate;
  const keys = [old, ...(successor === undefined ? [] : [successor])].map((text) => parseVkey(text));
  const wrong = keys.find(({ type }) => type !== keyTypeOf(role));
  if (wrong !== undefined)
    throw malformed(`${at} names ${quote(wrong.name)}, of type ${wrong.type}, as a key for ${role}`);
  const [before, after] = keys;
  if (subject.name !== role || subject.sha256 !== toHex(sha256(before!.publicKey)))
    throw malformed(`${at}.subject isn't ${role} and the SHA-256 of the old key`);
  if (after !== undefined && toHex(after.publicKey) === toHex(before!.publicKey))
    throw malformed(`${at} replaces ${quote(before!.name)} by itself`);
  if (role === "log" && (before!.name !== log || after?.name !== log))
    throw malformed(`${at}: the old key of a log and the new one are named like its origin, ${quote(log)}`);
  return { kind: "rotation", ...predicate };
}

/** A closing from its parts. Refuses `malformed-json`. */
export function closingFrom(log: Subject, predicate: Predicate<"closing">, at: string): ClosingStatement {
  const successor = parseVkey(predicate.successor);
  if (successor.type !== KEY_ED25519 || successor.name === log.name)
    throw malformed(`${at} names ${quote(successor.name)} as successor, expected the key of another log`);
  return { kind: "closing", origin: log.name, rootSha256: log.sha256, ...predicate };
}

/** A revocation from its parts. Refuses `malformed-json`. */
export function revocationFrom(
  key: Subject,
  predicate: Predicate<"revocation">,
  at: string,
): RevocationStatement {
  // Times of this form compare as text.
  if (predicate.since > predicate.created)
    throw malformed(`${at} distrusts a key as of ${predicate.since}, later than ${predicate.created}`);
  return { kind: "revocation", keySha256: key.sha256, ...predicate };
}

/** Subject and predicate, in the order in which they are printed. */
export function keyStatementParts(s: KeyStatement): { subject: Subject; predicate: object } {
  const { reason, created } = s;
  switch (s.kind) {
    case "rotation": {
      const { role, log, from, old } = s;
      const subject = { name: role, sha256: toHex(sha256(parseVkey(old).publicKey)) };
      const successor = s.new === undefined ? {} : { new: s.new };
      return { subject, predicate: { role, log, from, old, ...successor, reason, created } };
    }
    case "revocation": {
      const { product, since } = s;
      const subject = { name: "device-key", sha256: s.keySha256 };
      return { subject, predicate: { product, since, reason, created } };
    }
    case "closing": {
      const { size, successor } = s;
      const subject = { name: s.origin, sha256: s.rootSha256 };
      return { subject, predicate: { size, successor, reason, created } };
    }
    default:
      return s satisfies never;
  }
}

const malformed = (message: string) => new Refusal("malformed-json", message);
