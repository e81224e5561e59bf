// A bundle: one JSON file that holds the very bytes of everything needed to check a
// release, and the devices that run it, offline. Format: spec/bundle.md.
//
//   {"version":"vouch-bundle/v1",
//    "release":RECORD,                      claim 1, with its place in the log
//    "manifest":"<b64 SUIT envelope>",
//    "status":RECORD,"consistency":[b64…],"advisories":[RECORD…],
//    "checkpoints":[{"note":b64,"consistency":[b64…],"receipts":[{"kind","proof":b64}]}…],
//    "devices":[{"evidence":b64,"challenge":{"size":"7","ledger":"directory","random":b64},
//                "enrolment":b64,"salt":b64,"commitment":RECORD,
//                "logged":null|{"salt":b64,"record":RECORD}}…],
//    "walk":WALK,                           only where a receipt is of kind "rebased": rebased/walkform.ts
//    "keys":[RECORD…]}                      only in version 2: rotations and revocations, ascending by index
//   RECORD = {"index":"4","statement":"<b64 DSSE>","proof":["<b64 hash>"…]}
//
// Checkpoints ascend by size; the last is the head. Every RECORD is proved to be in the
// head, and every earlier checkpoint to be a prefix of it, so one set of proofs places all
// records in all checkpoints. One encoding: canonical JSON, canonical base64, decimal
// indices, keys in the order shown. Nothing here is verified, only read.

import { toBase64 } from "./bytes";
import { base64, formatJson, list, matching, maybe, object, readJson, type Shape } from "./json";
import { WALK, type WalkMember, walkMemberJson } from "./rebased/walkform";
import { quote, Refusal } from "./refusal";

export const BUNDLE_VERSION = "vouch-bundle/v1";
/** With records about keys: whoever doesn't know them must not judge by the policy's own. */
export const BUNDLE_VERSION_KEYS = "vouch-bundle/v2";
export const MAX_BUNDLE = 4 * 1024 * 1024;
export const MAX_PROOF = 64; // one hash a level; a tree of 2^64 records has 64
const MAX_ADVISORIES = 256;
const MAX_DEVICES = 64;
export const MAX_KEYS = 128;
/** A ledger's receipt: one that shows all that a busy checkpoint of a public ledger held is large. */
export const MAX_RECEIPT = 1024 * 1024;
const MAX_CHECKPOINTS = 2 + 3 * MAX_DEVICES;

export interface LogRecord {
  readonly index: bigint;
  readonly statement: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

export interface BundledCheckpoint {
  readonly note: Uint8Array;
  /** Proof that this tree is a prefix of the head's; empty for the head itself. */
  readonly consistency: readonly Uint8Array[];
  readonly receipts: readonly { readonly kind: string; readonly proof: Uint8Array }[];
}

export interface BundledDevice {
  readonly evidence: Uint8Array;
  /** The nonce's ingredients: a checkpoint of the bundle, the kind of its receipt, and 32 random bytes. */
  readonly challenge: { readonly size: bigint; readonly ledger: string; readonly random: Uint8Array };
  readonly enrolment: Uint8Array;
  readonly salt: Uint8Array;
  readonly commitment: LogRecord;
  readonly logged: { readonly salt: Uint8Array; readonly record: LogRecord } | null;
}

export interface Bundle {
  readonly release: LogRecord;
  readonly manifest: Uint8Array;
  readonly status: LogRecord;
  /** Proof that the tree the status speaks for is a prefix of the head's. */
  readonly consistency: readonly Uint8Array[];
  readonly advisories: readonly LogRecord[];
  readonly checkpoints: readonly BundledCheckpoint[];
  readonly devices: readonly BundledDevice[];
  /** How committees of IOTA's ledger lead to those of its receipts. */
  readonly walk?: WalkMember;
  /** Rotations, and revocations of the devices' keys; ascending by index, never empty. */
  readonly keys?: readonly LogRecord[];
}

const DECIMAL = /^(0|[1-9][0-9]{0,18})$/;

/** A size or index, below 10^19, as decimal text: JSON numbers end at 2^53. */
const decimal: Shape<bigint> = (value, at) => {
  if (typeof value !== "string" || !DECIMAL.test(value)) {
    throw new Refusal(
      "malformed-json",
      `${at} is ${quote(String(value))}, expected a decimal number as text`,
    );
  }
  return BigInt(value);
};

const version: Shape<string> = (value, at) => {
  if (value !== BUNDLE_VERSION && value !== BUNDLE_VERSION_KEYS) {
    const later = typeof value === "string" && /^vouch-bundle\/v[0-9]{1,6}$/.test(value);
    const code = later ? "unsupported-version" : "malformed-json";
    throw new Refusal(code, `${at} is ${quote(String(value))}, this program reads ${BUNDLE_VERSION} and v2`);
  }
  return value;
};

const orNull =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, at) =>
    value === null ? null : shape(value, at);

export const MAX_MEMBER = 64 * 1024;
const member = base64(1, MAX_MEMBER);
const hashes = list(base64(32), 0, MAX_PROOF);
const kind: Shape<string> = matching(/^[a-z][a-z0-9-]{0,31}$/, "the kind of a ledger");

const RECEIPT = object({ kind, proof: base64(1, MAX_RECEIPT) });
export const RECORD = object({ index: decimal, statement: member, proof: hashes });

export const RECEIPTS = list(RECEIPT, 0, 8);

/** The keys of a device, which also stands alone in a fleet file: fleetform.ts. */
export const DEVICE = {
  evidence: member,
  challenge: object({ size: decimal, ledger: kind, random: base64(32) }),
  enrolment: member,
  salt: base64(16),
  commitment: RECORD,
  logged: orNull(object({ salt: base64(16), record: RECORD })),
};

const SHAPE = object({
  version,
  release: RECORD,
  manifest: member,
  status: RECORD,
  consistency: hashes,
  advisories: list(RECORD, 0, MAX_ADVISORIES),
  checkpoints: list(object({ note: member, consistency: hashes, receipts: RECEIPTS }), 1, MAX_CHECKPOINTS),
  devices: list(object(DEVICE), 0, MAX_DEVICES),
  walk: maybe(WALK),
  keys: maybe(list(RECORD, 1, MAX_KEYS)),
});

const versionOf = (bundle: Pick<Bundle, "keys">) =>
  bundle.keys === undefined ? BUNDLE_VERSION : BUNDLE_VERSION_KEYS;

const BUNDLE: Shape<Bundle> = (value, at) => {
  const { version: found, ...bundle } = SHAPE(value, at);
  if (found !== versionOf(bundle))
    throw new Refusal("malformed-json", `${at} is ${found}, what it holds is of ${versionOf(bundle)}`);
  return bundle;
};

/**
 * Reads a bundle that nobody has verified yet. Throws `too-large`, `malformed-bundle`,
 * `malformed-json`, `not-canonical-json`, or `unsupported-version` for a later format.
 */
export function parseBundle(file: Uint8Array): Bundle {
  return readJson(file, "the bundle", MAX_BUNDLE, "malformed-bundle", BUNDLE, bundleJson);
}

export const recordJson = (r: LogRecord) => ({
  index: String(r.index),
  statement: toBase64(r.statement),
  proof: r.proof.map(toBase64),
});

export const deviceJson = (d: BundledDevice) => ({
  evidence: toBase64(d.evidence),
  challenge: {
    size: String(d.challenge.size),
    ledger: d.challenge.ledger,
    random: toBase64(d.challenge.random),
  },
  enrolment: toBase64(d.enrolment),
  salt: toBase64(d.salt),
  commitment: recordJson(d.commitment),
  logged: d.logged && { salt: toBase64(d.logged.salt), record: recordJson(d.logged.record) },
});

const bundleJson = (bundle: Bundle) => ({
  version: versionOf(bundle),
  release: recordJson(bundle.release),
  manifest: toBase64(bundle.manifest),
  status: recordJson(bundle.status),
  consistency: bundle.consistency.map(toBase64),
  advisories: bundle.advisories.map(recordJson),
  checkpoints: bundle.checkpoints.map((c) => ({
    note: toBase64(c.note),
    consistency: c.consistency.map(toBase64),
    receipts: c.receipts.map((r) => ({ kind: r.kind, proof: toBase64(r.proof) })),
  })),
  devices: bundle.devices.map(deviceJson),
  ...(bundle.walk === undefined ? {} : { walk: walkMemberJson(bundle.walk) }),
  ...(bundle.keys === undefined ? {} : { keys: bundle.keys.map(recordJson) }),
});

/** The one encoding of a bundle. */
export const formatBundle = (bundle: Bundle): Uint8Array => formatJson(bundleJson(bundle));
