// vouch inspect FILE: any artefact of ours, readable, with what was not verified.
//
// The kind is told from the bytes (kinds.ts), never from the file's name. Reading is strict: what
// `vouch verify` would refuse as malformed is refused here, with the same code.

import { parseBundle } from "@vouch/shared/bundle";
import { equalBytes, toHex, utf8Decode } from "@vouch/shared/bytes";
import { parseChallenge, parseEnrolmentFile, parseEvidenceSalt } from "@vouch/shared/companions";
import { parseEnvelope } from "@vouch/shared/dsse";
import { decodeEvidence } from "@vouch/shared/evidence";
import { flagNames, formatVersion, type McubootRecord, readMcuboot } from "@vouch/shared/mcuboot";
import { isMldsaLine } from "@vouch/shared/mldsakey";
import { parsePolicy } from "@vouch/shared/policy";
import { readWalk } from "@vouch/shared/rebased/walkform";
import { faultRefusal, Refusal } from "@vouch/shared/refusal";
import { parseRenewalDraft, parseRenewed, renewalsOf } from "@vouch/shared/renewal";
import { parseStatement } from "@vouch/shared/statement";
import { decodeEnvelope, splitUpload } from "@vouch/shared/suit";
import { parseVkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, printable } from "../exit";
import type { Io } from "../io";
import { type Kind, kindOf } from "../kinds";
import { digestOf as imageDigestOf } from "../mcuboot";
import { readInput } from "../readfiles";
import { countersignatureFields, tellCountersignature, tellMldsaKey } from "./inspect-countersign";
import { tellAudit, tellFleet, tellReport, tellRows } from "./inspect-fleet";
import {
  checkpointFields,
  tellCheckpoint,
  tellConsistency,
  tellCoseReceipt,
  tellCosignatures,
  tellFraud,
  tellProof,
  tellRebasedDraft,
  tellReceipt,
  tellStardust,
  tellStardustDraft,
  tellTrust,
  tellWalk,
  walkFields,
} from "./inspect-ledger";
import {
  tellGrant,
  tellHead,
  tellHeads,
  tellReader,
  tellReaders,
  tellRecording,
  tellSimulated,
  tellState,
} from "./inspect-stream";

const MAX_FILE = 16 * 1024 * 1024;

/** One artefact, told in a way that is both JSON and, line by line, readable. */
export interface Told {
  readonly kind: string;
  readonly fields: { readonly [name: string]: unknown };
  readonly notVerified: string;
}

type Tell = (bytes: Uint8Array) => Omit<Told, "kind">;

const sha256 = (bytes: Uint8Array) => toHex(nodeCrypto.sha256(bytes));

/** Every kind has its reader, or this doesn't compile. */
const TELL: { readonly [K in Kind]: Tell } = {
  "renewal draft": tellDraft,
  "renewed bundle": tellRenewed,
  countersignature: tellCountersignature,
  "countersigned bundle": tellRenewed,
  bundle: tellBundle,
  challenge: tellChallenge,
  "receipt of IOTA's ledger": tellReceipt,
  "draft of an IOTA transaction": tellRebasedDraft,
  "receipt of a Tangle": tellStardust,
  "draft of a Tangle's block": tellStardustDraft,
  "trust file of a Tangle": tellTrust,
  walk: tellWalk,
  "enrolment file": tellEnrolment,
  "evidence salt": tellSalt,
  "DSSE statement": tellStatement,
  "COSE receipt": tellCoseReceipt,
  "device evidence": tellEvidence,
  "SUIT manifest": tellManifest,
  upload: tellUpload,
  "MCUboot image": tellMcuboot,
  "tlog-proof": tellProof,
  "consistency proof": tellConsistency,
  "signed checkpoint": tellCheckpoint,
  "cosignature of a checkpoint": tellCosignatures,
  "fraud proof": tellFraud,
  "verifier key": tellVkey,
  policy: tellPolicy,
  "fleet file": tellFleet,
  "owner's rows of a fleet": tellRows,
  "audit result": tellAudit,
  report: tellReport,
  "recording of a stream": tellRecording,
  "reader's key": tellReader,
  "readers' file": tellReaders,
  grant: tellGrant,
  "head of a stream": tellHead,
  "state of `stream verify`": tellHeads,
  "state of a delivery": tellState,
  "state of a monitor": tellState,
  "index of an audit's store": tellState,
  "simulated device": tellSimulated,
};

/** Throws `private-key`, `unknown-artefact`, or what the artefact's own parser refuses with. */
export function tell(bytes: Uint8Array): Told {
  const text = utf8Decode(bytes);
  if (text?.includes("PRIVATE KEY-----")) {
    throw new Refusal("private-key", "this is a private key; nothing of it is printed", {
      hint: "the .vkey file beside it is the public half",
    });
  }
  const kind = kindOf(bytes);
  if (kind === null)
    throw new Refusal(
      "unknown-artefact",
      `${bytes.length} bytes that are no artefact of vouch (sha256 ${sha256(bytes)})`,
    );
  return { kind, ...TELL[kind](bytes) };
}

function tellBundle(bytes: Uint8Array) {
  const bundle = parseBundle(bytes);
  const record = (r: { index: bigint; statement: Uint8Array }) => ({
    record: String(r.index),
    ...statementFields(r.statement),
  });
  return {
    fields: {
      release: record(bundle.release),
      status: record(bundle.status),
      advisories: bundle.advisories.map(record),
      checkpoints: bundle.checkpoints.map((c) => ({
        ...checkpointFields(c.note),
        receipts: c.receipts.map((r) => r.kind),
      })),
      ...(bundle.keys === undefined ? {} : { keys: bundle.keys.map(record) }),
      ...(bundle.walk === undefined ? {} : { walk: walkFields(readWalk(bundle.walk)) }),
      devices: bundle.devices.map((d) => ({
        enrolment: statementFields(d.enrolment),
        challengeSize: String(d.challenge.size),
        evidence: evidenceFields(d.evidence),
        logged: d.logged === null ? null : String(d.logged.record.index),
      })),
    },
    notVerified: "no signature, proof, digest or receipt was checked; `vouch verify` does that",
  };
}

function tellRenewed(bytes: Uint8Array) {
  const renewed = parseRenewed(bytes);
  const { layers, bundle } = renewed;
  const countersigned = layers.flatMap((layer) => (layer.kind === "countersignature" ? [layer] : []));
  return {
    fields: {
      ...(countersigned.length > 0 && {
        countersignatures: countersigned.map(({ countersignature, content }) => ({
          ...countersignatureFields(countersignature),
          inFrontOf: `${content.length} bytes`,
        })),
      }),
      renewals: renewalsOf(renewed).map(
        ({ renewal: { record, note, receipts, verdict, policy, at }, content }) => ({
          record: String(record.index),
          ...statementFields(record.statement),
          of: `${content.length} bytes`,
          found: `${verdict} for ${at}, under policy sha256 ${policy}`,
          checkpoint: checkpointFields(note),
          receipts: receipts.map((r) => r.kind),
        }),
      ),
      ...tellBundle(bundle).fields,
    },
    notVerified: "no signature, proof, digest or receipt was checked; `vouch verify` does that",
  };
}

function tellDraft(bytes: Uint8Array) {
  const { verdict, policy, at, statement } = parseRenewalDraft(bytes);
  return {
    fields: { found: `${verdict} for ${at}, under policy sha256 ${policy}`, ...statementFields(statement) },
    notVerified: "the renewer's signature, and of which bundle it is, were not checked",
  };
}

function tellChallenge(bytes: Uint8Array) {
  const challenge = parseChallenge(bytes);
  return {
    fields: { checkpoint: checkpointFields(challenge.checkpoint), random: toHex(challenge.random) },
    notVerified: "the checkpoint's signature and anchor were not checked",
  };
}

function tellEnrolment(bytes: Uint8Array) {
  const { salt, statement } = parseEnrolmentFile(bytes);
  return {
    fields: { salt: toHex(salt), ...statementFields(statement) },
    notVerified: "the enroller's signature, and that the log holds the commitment, were not checked",
  };
}

function tellSalt(bytes: Uint8Array) {
  const { salt, evidenceSha256 } = parseEvidenceSalt(bytes);
  return {
    fields: { salt: toHex(salt), evidenceSha256 },
    notVerified: "that the log holds the commitment was not checked",
  };
}

function statementFields(dsse: Uint8Array) {
  const envelope = parseEnvelope(dsse);
  return {
    ...parseStatement(envelope.payload),
    signatures: envelope.signatures.map((s) => s.keyid),
    sha256: sha256(dsse),
  };
}

function tellStatement(bytes: Uint8Array) {
  return {
    fields: statementFields(bytes),
    notVerified: "the signatures were not checked, nor whether these keys may sign this",
  };
}

function evidenceFields(bytes: Uint8Array) {
  const { fault, sign1, claims } = decodeEvidence(bytes);
  if (fault !== 0 || claims === null) throw faultRefusal(fault, "the evidence");
  const { hwmodel, ...rest } = claims;
  return { key: sign1?.kid ?? null, model: utf8Decode(hwmodel) ?? toHex(hwmodel), ...rest };
}

function tellEvidence(bytes: Uint8Array) {
  return {
    fields: evidenceFields(bytes),
    notVerified: "the signature was not checked, nor that the nonce answers a challenge",
  };
}

function manifestFields(bytes: Uint8Array) {
  const envelope = decodeEnvelope(bytes);
  if (envelope.fault !== 0) throw faultRefusal(envelope.fault, "the manifest");
  return {
    ...envelope.manifest,
    revisions: envelope.manifest.revisions.join(", "),
    manifestDigest: sha256(envelope.manifestBytes),
    sealed: envelope.auth.sign1 !== null,
  };
}

function tellManifest(bytes: Uint8Array) {
  return {
    fields: manifestFields(bytes),
    notVerified: "the seal was not checked, nor that a release names this manifest",
  };
}

function tellUpload(bytes: Uint8Array) {
  const { fault, envelope, payload } = splitUpload(bytes);
  if (fault !== 0) throw faultRefusal(fault, "the upload");
  return {
    fields: { ...manifestFields(envelope), payloadBytes: payload.length, payloadSha256: sha256(payload) },
    notVerified: "the seal was not checked; `vouch flash --dry-run` does that",
  };
}

function tellMcuboot(bytes: Uint8Array) {
  const image = readMcuboot(bytes);
  const { digest, keyHash, signature, isPure, otherSignatures } = image;
  const ed25519 = signature === null ? [] : [`Ed25519 over the ${isPure ? "image" : "digest"}`];
  const signed = [...ed25519, ...otherSignatures].join(", ");
  return {
    fields: {
      version: formatVersion(image.version),
      bytes: bytes.length,
      headerBytes: image.headerSize,
      payloadBytes: image.payloadSize,
      loadAddress: `0x${image.loadAddress.toString(16).padStart(8, "0")}`,
      flags: flagNames(image.flags).join(", ") || "none",
      securityCounter: image.securityCounter,
      dependencies: image.dependencies.map((d) => `image ${d.image} from ${formatVersion(d.atLeast)}`),
      digest: `${digest.name} ${toHex(digest.value)}`,
      digestHolds: equalBytes(imageDigestOf(digest.name, image.body), digest.value),
      signed: signed === "" ? null : signed,
      signerKeyHash: keyHash,
      records: image.records.map(recordLine),
    },
    notVerified: "the signature was not checked; `vouch flash --key KEY --dry-run` does that",
  };
}

/** Type, place and length of a record, and the start of what it holds. */
function recordLine({ type, name, isProtected, offset, value }: McubootRecord): string {
  const called = name ?? `0x${type.toString(16).padStart(4, "0")}`;
  const held = value.length > 16 ? `${toHex(value.subarray(0, 16))}…` : toHex(value);
  const area = isProtected ? "protected" : "not protected";
  return `${called} at ${offset}, ${value.length} bytes, ${area}: ${held}`;
}

function tellVkey(bytes: Uint8Array) {
  const line = (utf8Decode(bytes) ?? "").trimEnd();
  if (isMldsaLine(line)) return tellMldsaKey(line);
  const vkey = parseVkey(line);
  const type = vkey.type === 4 ? "timestamped cosignatures (0x04)" : "signatures (0x01)";
  return {
    fields: {
      name: vkey.name,
      for: `Ed25519 ${type}`,
      publicKey: toHex(vkey.publicKey),
      keyid: sha256(vkey.publicKey),
    },
    notVerified: "whose key this is",
  };
}

function tellPolicy(bytes: Uint8Array) {
  const policy = parsePolicy(bytes, nodeCrypto);
  return {
    fields: { ...policy },
    notVerified: "nothing: a policy states whom you trust; `vouch policy check` explains it",
  };
}

/** Nested values as indented lines; bytes as hex. */
function lines(value: unknown, indent: string): string[] {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array)
    return [`${indent}${leaf(value)}`];
  return Object.entries(value).flatMap(([name, inner]) => {
    const nested = typeof inner === "object" && inner !== null && !(inner instanceof Uint8Array);
    if (!nested) return [`${indent}${name.padEnd(16)} ${leaf(inner)}`];
    const below = lines(inner, `${indent}  `);
    return below.length === 0 ? [`${indent}${name.padEnd(16)} none`] : [`${indent}${name}`, ...below];
  });
}

function leaf(value: unknown): string {
  if (value instanceof Uint8Array) return toHex(value);
  return value === null ? "none" : String(value);
}

/** JSON for programs: bytes as hex, 64-bit numbers as decimal text. */
function plain(_: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value);
  return typeof value === "bigint" ? String(value) : value;
}

export function toldText(told: Told): string {
  return [told.kind, ...lines(told.fields, "  "), `not verified: ${told.notVerified}`]
    .map((line) => `${printable(line)}\n`)
    .join("");
}

export function define(program: Command, io: Io): void {
  program
    .command("inspect")
    .description("Prints any artefact readably, and what was not verified.")
    .argument("<file>", "the artefact, or - for stdin")
    .option("--json", "one JSON object")
    .action((file: string) => {
      const told = about(file, () => tell(readInput(file, MAX_FILE)));
      io.stdout(io.json ? `${JSON.stringify(told, plain)}\n` : toldText(told));
    });
}
