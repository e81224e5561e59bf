// What makers and enrollers say: in-toto Statements v1 with our predicates.
//
//   {"_type":"https://in-toto.io/Statement/v1",
//    "subject":[{"name":"app","digest":{"sha256":"…"}}],
//    "predicateType":"https://vouch.example/release/v1",
//    "predicate":{…}}
//
//   release               these components are this version of this product
//   advisory              these components, and these versions, have this problem
//   advisory-withdrawal   those advisories were wrong
//   status                every advisory in force, as of a log size
//   enrolment             this key belongs to this device (kept by the owner, not logged)
//   enrolment-commitment  salted hash of an enrolment
//   evidence-commitment   salted hash of evidence
//   fleet-commitment      root of a tree of salted hashes of evidence: fleetrows.ts
//   stream-commitment     salted hash of a signed head of a stream: streamhead.ts
//
// One encoding: canonical JSON, exactly these keys in this order, lists that are sets
// sorted. Spec: spec/predicates.md. In memory a statement is flat and tagged by `kind`:
// digests are hex text, subjects {name, sha256}. How subjects and predicate become that, and
// what of them must agree, is in statementform.ts, kind by kind; every comparison between
// fields of different statements is the verifier's.

import type { AdvisoryStatement, AdvisoryWithdrawal } from "./advisoryform";
import { utf8Encode } from "./bytes";
import { object, oneOf, readJson, type Shape, text } from "./json";
import type { KeyStatement } from "./keychange";
import { PREDICATES, type StatementKind, subjects } from "./predicates";
import { quote, Refusal } from "./refusal";
import { scanStatement } from "./scanstatement";
import { sha256 } from "./sha256";
import { fromParts, partsOf } from "./statementform";

export type { AdvisoryStatement, AdvisoryWithdrawal } from "./advisoryform";

export const STATEMENT_TYPE = "https://in-toto.io/Statement/v1";
const PREDICATE_BASE = "https://vouch.example/";
const MAX_STATEMENT = 48 * 1024; // base64 of it, and 16 signatures, stay below a log entry's 65535

export interface Subject {
  readonly name: string;
  readonly sha256: string;
}

export interface ReleaseStatement {
  readonly kind: "release";
  /** The components released: "app", "engine". */
  readonly subjects: readonly Subject[];
  readonly product: string;
  readonly version: string;
  readonly securityVersion: number;
  readonly floor: number;
  readonly hardware: { readonly model: string; readonly revisions: readonly string[] };
  readonly entry: { readonly offset: 0; readonly length: number };
  /** SHA-256 of the SUIT manifest bytes, hex. */
  readonly suitDigest: string;
  readonly changeClass: "patch" | "major";
  readonly created: string;
  readonly udiDi?: string;
  readonly sbom?: { readonly sha256: string; readonly mediaType: string };
  readonly sourceCommit?: string;
  readonly supportEnds?: string;
}

export interface StatusStatement {
  readonly kind: "status";
  /** The log spoken for: its origin and the root of its first `logSize` records. */
  readonly origin: string;
  readonly rootSha256: string;
  readonly product: string;
  readonly logSize: number;
  /** Ascending by id, then by index: two forms of one advisory may both be in force. */
  readonly advisories: readonly { readonly id: string; readonly index: number; readonly sha256: string }[];
  /** Ascending by digest. */
  readonly withdrawn: readonly { readonly sha256: string; readonly reason: string }[];
  /** Every change of a key that counts; ascending by index. With either list the predicate is of version 2. */
  readonly rotations?: readonly { readonly index: number; readonly sha256: string }[];
  /** Every device key of the product that was revoked, by its SHA-256; ascending by it. */
  readonly revocations?: readonly { readonly key: string; readonly index: number; readonly sha256: string }[];
  readonly created: string;
  /** The newest stable release of each major version that isn't withdrawn, ascending. */
  readonly newest?: readonly string[];
}

export interface EnrolmentStatement {
  readonly kind: "enrolment";
  readonly product: string;
  readonly model: string;
  readonly serial: string;
  readonly ueid: string;
  readonly publicKey: Uint8Array;
  readonly keyOrigin: "device" | "station";
  readonly created: string;
}

export interface EnrolmentCommitment {
  readonly kind: "enrolment-commitment";
  readonly sha256: string;
  readonly created: string;
}

export interface EvidenceCommitment {
  readonly kind: "evidence-commitment";
  readonly sha256: string;
  readonly created: string;
}

export interface FleetCommitment {
  readonly kind: "fleet-commitment";
  /** Root of the tree, hex. */
  readonly sha256: string;
  /** Number of leaves. */
  readonly size: number;
  readonly created: string;
}

export interface StreamCommitment {
  readonly kind: "stream-commitment";
  readonly sha256: string;
  readonly created: string;
}

/** A commitment under three hashes: renewal.ts says to what. */
export interface RenewalCommitment {
  readonly kind: "renewal-commitment";
  readonly sha256: string;
  readonly sha512: string;
  readonly sha3: string;
  readonly created: string;
}

export type Statement =
  | ReleaseStatement
  | AdvisoryStatement
  | AdvisoryWithdrawal
  | StatusStatement
  | EnrolmentStatement
  | EnrolmentCommitment
  | EvidenceCommitment
  | FleetCommitment
  | StreamCommitment
  | RenewalCommitment
  | KeyStatement;

type Hash = (bytes: Uint8Array) => Uint8Array;

const wireBy =
  (hash: Hash): Shape<Statement> =>
  (value, at) => {
    const outer = object({
      _type: oneOf(STATEMENT_TYPE),
      subject: subjects,
      predicateType: text(256),
      predicate: (inner: unknown) => inner,
    })(value, at);
    const kind = outer.predicateType.slice(PREDICATE_BASE.length, -"/v1".length) as StatementKind;
    const isKnown = [1, kind === "status" ? 2 : 1].some(
      (n) => outer.predicateType === predicateType(kind, n),
    );
    if (!isKnown || !Object.hasOwn(PREDICATES, kind)) {
      throw new Refusal(
        "unsupported-statement",
        `${at} is of type ${quote(outer.predicateType)}, not known here`,
      );
    }
    const list = outer.subject.map(({ name, digest }) => ({ name, sha256: digest.sha256 }));
    const statement = fromParts(kind, list, outer.predicate, at, hash);
    if (typeOf(statement) !== outer.predicateType)
      throw new Refusal(
        "malformed-json",
        `${at} is of type ${quote(outer.predicateType)}, what it lists is of ${quote(typeOf(statement))}`,
      );
    return statement;
  };

const predicateType = (kind: string, version: number): string => `${PREDICATE_BASE}${kind}/v${version}`;

/** A status that lists changes of keys must not be read by who would pass over them: it is of version 2. */
function typeOf(statement: Statement): string {
  const lists = statement.kind === "status" && (statement.rotations ?? statement.revocations) !== undefined;
  return predicateType(statement.kind, lists ? 2 : 1);
}

/**
 * Reads a statement; who signed it is another question. Throws `malformed-statement`,
 * `unsupported-statement`, or as parseJson. Who reads a fleet's hands in a quick SHA-256.
 */
export function parseStatement(bytes: Uint8Array, hash: Hash = sha256): Statement {
  return scanStatement(bytes, hash) ?? readStatement(bytes, hash);
}

/** Any statement, the long way. */
export const readStatement = (bytes: Uint8Array, hash: Hash = sha256): Statement =>
  readJson(bytes, "the statement", MAX_STATEMENT, "malformed-statement", wireBy(hash), toWire);

/** The exact bytes to sign. A statement that would not parse is refused as parseStatement does. */
export function formatStatement(statement: Statement): Uint8Array {
  const bytes = utf8Encode(JSON.stringify(toWire(statement)));
  parseStatement(bytes);
  return bytes;
}

function toWire(statement: Statement): unknown {
  const { subjects, predicate } = partsOf(statement);
  const subject = subjects.map(({ name, sha256: hash }) => ({ name, digest: { sha256: hash } }));
  return { _type: STATEMENT_TYPE, subject, predicateType: typeOf(statement), predicate };
}
