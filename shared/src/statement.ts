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
// digests are hex text, subjects {name, sha256}. That the enrolment's subject is the hash of
// its key is checked here; every other comparison between fields of different statements
// is the verifier's.

import {
  type AdvisoryStatement,
  type AdvisoryWithdrawal,
  advisoryParts,
  readAdvisory,
  readWithdrawal,
  withdrawalParts,
} from "./advisoryform";
import { toBase64, toHex, utf8Encode } from "./bytes";
import { object, oneOf, readJson, type Shape, text } from "./json";
import {
  closingFrom,
  isKeyStatement,
  type KeyStatement,
  keyStatementParts,
  revocationFrom,
  rotationFrom,
} from "./keychange";
import { component, distinct, PREDICATES, type Predicate, type StatementKind, subjects } from "./predicates";
import { quote, Refusal } from "./refusal";
import { sha256 } from "./sha256";
import { checkPublicKey } from "./strict";

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

interface Wire {
  subject: { name: string; digest: { sha256: string } }[];
  kind: StatementKind;
  predicate: unknown;
}

const wire: Shape<Statement> = (value, at) => {
  const outer = object({
    _type: oneOf(STATEMENT_TYPE),
    subject: subjects,
    predicateType: text(256),
    predicate: (inner: unknown) => inner,
  })(value, at);
  const kind = outer.predicateType.slice(PREDICATE_BASE.length, -"/v1".length) as StatementKind;
  const isKnown = [1, kind === "status" ? 2 : 1].some((n) => outer.predicateType === predicateType(kind, n));
  if (!isKnown || !Object.hasOwn(PREDICATES, kind)) {
    throw new Refusal(
      "unsupported-statement",
      `${at} is of type ${quote(outer.predicateType)}, not known here`,
    );
  }
  const statement = fromWire({ subject: outer.subject, kind, predicate: outer.predicate }, at);
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
 * `unsupported-statement`, or as parseJson.
 */
export function parseStatement(bytes: Uint8Array): Statement {
  return readJson(bytes, "the statement", MAX_STATEMENT, "malformed-statement", wire, toWire);
}

/** The exact bytes to sign. A statement that would not parse is refused as parseStatement does. */
export function formatStatement(statement: Statement): Uint8Array {
  const bytes = utf8Encode(JSON.stringify(toWire(statement)));
  parseStatement(bytes);
  return bytes;
}

function fromWire({ subject, kind, predicate }: Wire, at: string): Statement {
  const where = `${at}.predicate`;
  const list = subject.map(({ name, digest }) => ({ name, sha256: digest.sha256 }));
  switch (kind) {
    case "release": {
      const { suit, sbom, source, entry, ...rest } = PREDICATES.release(predicate, where);
      if (rest.floor > rest.securityVersion) {
        throw new Refusal(
          "malformed-json",
          `${where}.floor is ${rest.floor}, above its own securityVersion ${rest.securityVersion}`,
        );
      }
      for (const { name } of list) component(name, `${at}.subject`);
      distinct(
        text(32),
        1,
        4,
      )(
        list.map((s) => s.name),
        `${at}.subject`,
      );
      return {
        kind,
        subjects: list,
        ...rest,
        entry: { offset: 0, length: entry.length },
        suitDigest: suit.digest.sha256,
        ...(sbom && { sbom: { sha256: sbom.digest.sha256, mediaType: sbom.mediaType } }),
        ...(source && { sourceCommit: source.commit }),
      };
    }
    case "advisory":
      return readAdvisory(list, predicate, at);
    case "advisory-withdrawal":
      return readWithdrawal(list, predicate, at);
    case "status": {
      const { advisories, withdrawn, rotations, revocations, ...rest } = PREDICATES.status(predicate, where);
      const listed: readonly { index: number; id?: string }[] = [
        ...advisories,
        ...(rotations ?? []),
        ...(revocations ?? []),
      ];
      const beyond = listed.find(({ index }) => index >= rest.logSize);
      if (beyond) {
        const what = beyond.id === undefined ? "a change of keys" : quote(beyond.id);
        throw new Refusal(
          "malformed-json",
          `${where} lists ${what} as record ${beyond.index} of a log of size ${rest.logSize}`,
        );
      }
      const [log] = single(list, null, at);
      return {
        kind,
        origin: log.name,
        rootSha256: log.sha256,
        ...rest,
        advisories: advisories.map(({ id, index, digest }) => ({ id, index, sha256: digest.sha256 })),
        withdrawn: withdrawn.map(({ digest, reason }) => ({ sha256: digest.sha256, reason })),
        ...(rotations && {
          rotations: rotations.map(({ index, digest }) => ({ index, sha256: digest.sha256 })),
        }),
        ...(revocations && {
          revocations: revocations.map(({ key, index, digest }) => ({ key, index, sha256: digest.sha256 })),
        }),
      };
    }
    case "enrolment": {
      const claims = PREDICATES.enrolment(predicate, where);
      const [key] = single(list, "device-key", at);
      if (toHex(sha256(claims.publicKey)) !== key.sha256) {
        throw new Refusal("malformed-json", `${at}.subject isn't the SHA-256 of ${where}.publicKey`);
      }
      if (checkPublicKey(claims.publicKey) !== 0) {
        throw new Refusal("malformed-json", `${where}.publicKey isn't a proper Ed25519 key`);
      }
      if (!claims.ueid.startsWith("01"))
        throw new Refusal("malformed-json", `${where}.ueid isn't of type RAND (01)`);
      return { kind, ...claims };
    }
    case "enrolment-commitment":
    case "evidence-commitment": {
      const { created } = PREDICATES[kind](predicate, where);
      const [committed] = single(list, kind === "enrolment-commitment" ? "enrolment" : "evidence", at);
      return { kind, sha256: committed.sha256, created };
    }
    case "renewal-commitment": {
      const { digest: longer, created } = PREDICATES[kind](predicate, where);
      const [committed] = single(list, "renewal", at);
      return { kind, sha256: committed.sha256, sha512: longer.sha512, sha3: longer["sha3-256"], created };
    }
    case "fleet-commitment": {
      const [tree] = single(list, "fleet", at);
      return { kind, sha256: tree.sha256, ...PREDICATES[kind](predicate, where) };
    }
    case "stream-commitment": {
      const [head] = single(list, "stream", at);
      return { kind, sha256: head.sha256, ...PREDICATES[kind](predicate, where) };
    }
    case "rotation":
      return rotationFrom(single(list, null, at)[0], PREDICATES.rotation(predicate, where), at);
    case "revocation":
      return revocationFrom(single(list, "device-key", at)[0], PREDICATES.revocation(predicate, where), at);
    case "closing":
      return closingFrom(single(list, null, at)[0], PREDICATES.closing(predicate, where), at);
    default:
      return kind satisfies never;
  }
}

function single(list: Subject[], name: string | null, at: string): [Subject] {
  const [only, second] = list;
  if (only === undefined || second !== undefined || (name !== null && only.name !== name)) {
    throw new Refusal(
      "malformed-json",
      `${at}.subject isn't one item${name === null ? "" : ` named ${quote(name)}`}`,
    );
  }
  return [only];
}

function toWire(statement: Statement): unknown {
  const { subject, predicate } = partsOf(statement);
  return { _type: STATEMENT_TYPE, subject, predicateType: typeOf(statement), predicate };
}

const digest = (hexText: string) => ({ digest: { sha256: hexText } });

const subjectsOf = (list: readonly Subject[]) =>
  list.map(({ name, sha256 }) => ({ name, ...digest(sha256) }));

const keyListsOf = ({ rotations, revocations }: StatusStatement) => ({
  ...(rotations && { rotations: rotations.map(({ index, sha256 }) => ({ index, ...digest(sha256) })) }),
  ...(revocations && {
    revocations: revocations.map(({ key, index, sha256 }) => ({ key, index, ...digest(sha256) })),
  }),
});

// Keys in the order of PREDICATES: it is the order in which they are printed.
function partsOf(s: Statement): { subject: unknown; predicate: object } {
  if (isKeyStatement(s)) {
    const { subject, predicate } = keyStatementParts(s);
    return { subject: subjectsOf([subject]), predicate };
  }
  switch (s.kind) {
    case "release": {
      const { product, version, securityVersion, floor, hardware, entry, changeClass, created } = s;
      const predicate: Predicate<"release"> = {
        product,
        version,
        securityVersion,
        floor,
        hardware: { model: hardware.model, revisions: [...hardware.revisions] },
        entry: { offset: entry.offset, length: entry.length },
        suit: digest(s.suitDigest),
        changeClass,
        created,
        ...(s.udiDi !== undefined && { udiDi: s.udiDi }),
        ...(s.sbom && { sbom: { ...digest(s.sbom.sha256), mediaType: s.sbom.mediaType } }),
        ...(s.sourceCommit !== undefined && { source: { commit: s.sourceCommit } }),
        ...(s.supportEnds !== undefined && { supportEnds: s.supportEnds }),
      };
      return { subject: subjectsOf(s.subjects), predicate };
    }
    case "advisory": {
      const { subjects, predicate } = advisoryParts(s);
      return { subject: subjectsOf(subjects), predicate };
    }
    case "advisory-withdrawal": {
      const { subjects, predicate } = withdrawalParts(s);
      return { subject: subjectsOf(subjects), predicate };
    }
    case "status": {
      const { product, logSize, created } = s;
      const advisories = s.advisories.map(({ id, index, sha256 }) => ({ id, index, ...digest(sha256) }));
      const withdrawn = s.withdrawn.map(({ sha256, reason }) => ({ ...digest(sha256), reason }));
      return {
        subject: subjectsOf([{ name: s.origin, sha256: s.rootSha256 }]),
        predicate: {
          product,
          logSize,
          advisories,
          withdrawn,
          ...keyListsOf(s),
          created,
          ...(s.newest && { newest: s.newest }),
        },
      };
    }
    case "enrolment": {
      const { product, model, serial, ueid, keyOrigin, created } = s;
      const publicKey = toBase64(s.publicKey);
      const hash = toHex(sha256(s.publicKey));
      return {
        subject: subjectsOf([{ name: "device-key", sha256: hash }]),
        predicate: { product, model, serial, ueid, publicKey, keyOrigin, created },
      };
    }
    case "enrolment-commitment":
      return {
        subject: subjectsOf([{ name: "enrolment", sha256: s.sha256 }]),
        predicate: { created: s.created },
      };
    case "evidence-commitment":
      return {
        subject: subjectsOf([{ name: "evidence", sha256: s.sha256 }]),
        predicate: { created: s.created },
      };
    case "fleet-commitment":
      return {
        subject: subjectsOf([{ name: "fleet", sha256: s.sha256 }]),
        predicate: { size: s.size, created: s.created },
      };
    case "stream-commitment":
      return {
        subject: subjectsOf([{ name: "stream", sha256: s.sha256 }]),
        predicate: { created: s.created },
      };
    case "renewal-commitment":
      return {
        subject: subjectsOf([{ name: "renewal", sha256: s.sha256 }]),
        predicate: { digest: { sha512: s.sha512, "sha3-256": s.sha3 }, created: s.created },
      };
    default:
      return s satisfies never;
  }
}
