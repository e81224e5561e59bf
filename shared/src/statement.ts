// What makers and enrollers say: in-toto Statements v1 with our six predicates.
//
//   {"_type":"https://in-toto.io/Statement/v1",
//    "subject":[{"name":"app","digest":{"sha256":"…"}}],
//    "predicateType":"https://vouch.example/release/v1",
//    "predicate":{…}}
//
//   release               these components are this version of this product
//   advisory              these components have this problem
//   status                every advisory in force, as of a log size
//   enrolment             this key belongs to this device (kept by the owner, not logged)
//   enrolment-commitment  salted hash of an enrolment
//   evidence-commitment   salted hash of evidence
//
// One encoding: canonical JSON, exactly these keys in this order, lists that are sets
// sorted. Spec: spec/predicates.md. In memory a statement is flat and tagged by `kind`:
// digests are hex text, subjects {name, sha256}. That the enrolment's subject is the hash of
// its key is checked here; every other comparison between fields of different statements
// is the verifier's.

import { toBase64, toHex, utf8Encode } from "./bytes";
import { object, oneOf, readJson, type Shape, text } from "./json";
import { component, distinct, PREDICATES, type Predicate, type StatementKind, subjects } from "./predicates";
import { quote, Refusal } from "./refusal";
import { sha256 } from "./sha256";
import { checkPublicKey } from "./strict";

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

export interface AdvisoryStatement {
  readonly kind: "advisory";
  /** The images affected. */
  readonly subjects: readonly Subject[];
  readonly id: string;
  readonly product: string;
  readonly advisoryKind: "security" | "recall" | "field-safety-notice";
  readonly state: "affected" | "under_investigation";
  readonly fixedVersions: readonly string[];
  readonly summary: string;
  readonly created: string;
}

export interface StatusStatement {
  readonly kind: "status";
  /** The log spoken for: its origin and the root of its first `logSize` records. */
  readonly origin: string;
  readonly rootSha256: string;
  readonly product: string;
  readonly logSize: number;
  /** Ascending by id. */
  readonly advisories: readonly { readonly id: string; readonly index: number; readonly sha256: string }[];
  /** Ascending by digest. */
  readonly withdrawn: readonly { readonly sha256: string; readonly reason: string }[];
  readonly created: string;
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
  | StatusStatement
  | EnrolmentStatement
  | EnrolmentCommitment
  | EvidenceCommitment
  | RenewalCommitment;

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
  if (outer.predicateType !== predicateType(kind) || !Object.hasOwn(PREDICATES, kind)) {
    throw new Refusal(
      "unsupported-statement",
      `${at} is of type ${quote(outer.predicateType)}, not known here`,
    );
  }
  return fromWire({ subject: outer.subject, kind, predicate: outer.predicate }, at);
};

const predicateType = (kind: string): string => `${PREDICATE_BASE}${kind}/v1`;

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
    case "advisory": {
      const { kind: advisoryKind, ...rest } = PREDICATES.advisory(predicate, where);
      for (const { name } of list) component(name, `${at}.subject`);
      distinct(
        text(128),
        1,
        64,
      )(
        list.map((s) => `${s.name} ${s.sha256}`),
        `${at}.subject`,
      );
      return { kind, subjects: list, advisoryKind, ...rest };
    }
    case "status": {
      const { advisories, withdrawn, ...rest } = PREDICATES.status(predicate, where);
      const beyond = advisories.find((a) => a.index >= rest.logSize);
      if (beyond) {
        throw new Refusal(
          "malformed-json",
          `${where} lists ${quote(beyond.id)} as record ${beyond.index} of a log of size ${rest.logSize}`,
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
  return { _type: STATEMENT_TYPE, subject, predicateType: predicateType(statement.kind), predicate };
}

const digest = (hexText: string) => ({ digest: { sha256: hexText } });

const subjectsOf = (list: readonly Subject[]) =>
  list.map(({ name, sha256 }) => ({ name, ...digest(sha256) }));

// Keys in the order of PREDICATES: it is the order in which they are printed.
function partsOf(s: Statement): { subject: unknown; predicate: object } {
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
      const { id, product, advisoryKind: kind, state, fixedVersions, summary, created } = s;
      return {
        subject: subjectsOf(s.subjects),
        predicate: { id, product, kind, state, fixedVersions, summary, created },
      };
    }
    case "status": {
      const { product, logSize, created } = s;
      const advisories = s.advisories.map(({ id, index, sha256 }) => ({ id, index, ...digest(sha256) }));
      const withdrawn = s.withdrawn.map(({ sha256, reason }) => ({ ...digest(sha256), reason }));
      return {
        subject: subjectsOf([{ name: s.origin, sha256: s.rootSha256 }]),
        predicate: { product, logSize, advisories, withdrawn, created },
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
    case "renewal-commitment":
      return {
        subject: subjectsOf([{ name: "renewal", sha256: s.sha256 }]),
        predicate: { digest: { sha512: s.sha512, "sha3-256": s.sha3 }, created: s.created },
      };
    default:
      return s satisfies never;
  }
}
