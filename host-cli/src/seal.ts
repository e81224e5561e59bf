// The second half of `vouch release`: what `seal` checks, in this order.
//
//   1. the statement is a release, and no signature on it by a known approver is wrong
//   2. t approvers signed, each role the policy names among them
//   3. the manifest is the one the statement names by digest, and says the same (agreement.ts)
//   4. the image is the one both name
//   5. the sealing key is the vendor's, by the policy
// Then the manifest is signed, and what came out is verified like anybody would.
//
// Approvals that are left out took people to get, and the policy may have been the
// wrong one: they are kept, in X.unsealed.dsse.json beside X.dsse.json. Moved back
// to that name it can be sealed again, under another policy.

import { existsSync } from "node:fs";
import { contradiction } from "@vouch/shared/agreement";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { kidOf } from "@vouch/shared/cose";
import {
  type Envelope as Dsse,
  type EnvelopeSignature,
  formatEnvelope,
  keyidOf,
  MAX_DSSE,
  MAX_SIGNATURES,
} from "@vouch/shared/dsse";
import type { Policy } from "@vouch/shared/policy";
import { faultRefusal, isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { type Signer as Approver, requireApproval, signersOf } from "@vouch/shared/signers";
import type { ReleaseStatement } from "@vouch/shared/statement";
import {
  decodeEnvelope,
  type Envelope,
  encodeEnvelope,
  encodeUpload,
  MAX_ENVELOPE,
  verifyEnvelope,
} from "@vouch/shared/suit";
import type { Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "./crypto";
import { about } from "./exit";
import { MAX_IMAGE } from "./image";
import { withFileLock } from "./lock";
import { readInput } from "./readfiles";
import type { Signer } from "./signer";
import { readReleaseFile } from "./statementfile";
import { checkFreeFor, writeWhole } from "./writefiles";

const LOCK_TIMEOUT_MS = 30_000;

export interface SealOptions {
  file: string;
  suit: string;
  image: string;
  policy: Policy;
  /** The upload. */
  output: string;
}

export interface SealedRelease {
  readonly statement: ReleaseStatement;
  /** Names, as in the policy, in the order of their key ids. */
  readonly approvers: readonly string[];
  /** Signatures that were not needed, by name, or by key id where the policy knows none. */
  readonly dropped: readonly string[];
  /** The file that keeps the statement with all of its signatures; null when none was left out. */
  readonly unsealed: string | null;
}

/**
 * Seals a release and writes manifest, statement and upload. Refuses `no-approval-rule`, `approvals-missing`,
 * `role-missing`, `bad-signature`, `manifest-mismatch`, `manifest-contradicts-release`, `image-mismatch`,
 * `no-vendor`, `wrong-vendor-key`, `changed-meanwhile`, `exists`, `locked`; then nothing was written.
 */
export async function sealRelease(options: SealOptions, signer: Signer): Promise<SealedRelease> {
  const { policy } = options;
  const { bytes, envelope, statement } = readReleaseFile(options.file);
  const chosen = about(options.file, () => chooseApprovals(envelope, statement.product, policy));
  const vendor = vendorOf(statement.product, policy);
  const suit = about(options.suit, () => checkManifest(options.suit, statement, vendor));
  const image = about(options.image, () => checkImage(options.image, statement));
  checkSealer(statement.product, vendor, signer);
  const sealed = await signManifest(suit.manifestBytes, signer);
  const dsse = formatEnvelope({ ...envelope, signatures: chosen.kept.map(({ signature }) => signature) });
  const upload = encodeUpload(sealed, image);
  const unsealed = chosen.dropped.length === 0 ? null : unsealedPathOf(options.file);
  await withFileLock(options.file, LOCK_TIMEOUT_MS, async () => {
    // The vendor's signature may have waited for a person, and an approval come in meanwhile.
    if (!equalBytes(readInput(options.file, MAX_DSSE), bytes)) {
      throw new Refusal("changed-meanwhile", `${options.file} was changed while it was being sealed`, {
        hint: "seal it again",
      });
    }
    checkFreeFor(options.output, upload);
    if (unsealed !== null) keepUnsealed(unsealed, envelope);
    writeWhole(options.suit, sealed);
    writeWhole(options.file, dsse);
    writeWhole(options.output, upload, { overwrite: "same" });
  });
  return {
    statement,
    approvers: chosen.kept.map(({ approver }) => approver.name),
    dropped: chosen.dropped,
    unsealed,
  };
}

const unsealedPathOf = (file: string) => `${file.replace(/\.dsse\.json$/, "")}.unsealed.dsse.json`;

/** Writes the untrimmed statement, with the signatures that an earlier seal has put there. Refuses `exists`. */
function keepUnsealed(path: string, envelope: Dsse): void {
  let { signatures } = envelope;
  if (existsSync(path)) {
    const kept = readReleaseFile(path).envelope;
    const more = kept.signatures.filter((k) => !signatures.some(({ keyid }) => keyid === k.keyid));
    signatures = [...signatures, ...more].sort((a, b) => (a.keyid < b.keyid ? -1 : 1));
    if (!equalBytes(kept.payload, envelope.payload) || signatures.length > MAX_SIGNATURES) {
      throw new Refusal("exists", `${path} keeps the approvals of another statement`, {
        hint: "move it away yourself",
      });
    }
  }
  writeWhole(path, formatEnvelope({ ...envelope, signatures }));
}

interface Approval {
  readonly approver: Approver;
  readonly signature: EnvelopeSignature;
}

/** Exactly t approvals with every role among them: of all such choices the one with the lowest key ids. */
function chooseApprovals(
  envelope: Dsse,
  product: string,
  policy: Policy,
): { kept: Approval[]; dropped: string[] } {
  const known = new Map(policy.approvers.map((a) => [keyidOf(a.vkey.publicKey, nodeCrypto), a] as const));
  // Each is verified alone, so that a stranger's signature, which goes, can't stand in the way.
  const approvals = envelope.signatures.flatMap((signature): Approval[] => {
    if (!known.has(signature.keyid)) return [];
    const [approver] = signersOf({ ...envelope, signatures: [signature] }, policy.approvers, nodeCrypto);
    return approver === undefined ? [] : [{ approver, signature }];
  });
  const rule = policy.approve.find((r) => r.product === product);
  const kept = rule && firstChoice(approvals, rule.threshold, rule.roles);
  // requireApproval says in the verifier's own words what is missing, and confirms what was chosen.
  try {
    const signers = (kept ?? approvals.slice(0, rule?.threshold)).map(({ approver }) => approver);
    requireApproval(signers, product, policy);
  } catch (error) {
    if (!isRefusal(error) || rule === undefined) throw error;
    throw new Refusal(error.code, error.message, { cause: error, hint: whoMaySign(envelope, known) });
  }
  if (kept === undefined) throw new Error("a choice that the rule accepts was overlooked");
  const dropped = envelope.signatures
    .filter((signature) => !kept.some((k) => k.signature === signature))
    .map(({ keyid }) => known.get(keyid)?.name ?? `unknown key ${keyid.slice(0, 16)}…`);
  return { kept, dropped };
}

/** Whom to ask next, and which signatures are nobody's here: somebody may have taken the wrong key. */
function whoMaySign({ signatures }: Dsse, known: ReadonlyMap<string, Approver>): string {
  const has = (id: string) => signatures.some(({ keyid }) => keyid === id);
  const asked = [...known].flatMap(([id, { name, role }]) => (has(id) ? [] : [`${name} (${role})`]));
  const strangers = signatures.filter(({ keyid }) => !known.has(keyid));
  const counted = strangers.map(({ keyid }) => `; key ${keyid.slice(0, 16)}… signed, and is no approver's`);
  return `\`vouch release sign\` is for ${listed(asked)}${counted.slice(0, SHOWN).join("")}`;
}

const SHOWN = 6;

function listed(names: readonly string[]): string {
  if (names.length === 0) return "approvers whom the policy doesn't name yet";
  return `${names.slice(0, SHOWN).join(", ")}${names.length > SHOWN ? " and others" : ""}`;
}

/** The first `count` of the list, in its order, that cover the roles; undefined when none do. At most C(16, t) steps. */
function firstChoice(
  list: readonly Approval[],
  count: number,
  roles: readonly string[],
): Approval[] | undefined {
  if (count === 0) return roles.length === 0 ? [] : undefined;
  for (const [i, approval] of list.entries()) {
    if (list.length - i < count) return undefined;
    const left = roles.filter((role) => role !== approval.approver.role);
    if (left.length > count - 1) continue;
    const rest = firstChoice(list.slice(i + 1), count - 1, left);
    if (rest !== undefined) return [approval, ...rest];
  }
  return undefined;
}

function checkManifest(path: string, statement: ReleaseStatement, vendor: Vkey): Envelope {
  const suit = decodeEnvelope(readInput(path, MAX_ENVELOPE));
  if (suit.fault !== 0) throw faultRefusal(suit.fault, "the manifest");
  const actual = toHex(nodeCrypto.sha256(suit.manifestBytes));
  if (actual !== statement.suitDigest) {
    throw new Refusal(
      "manifest-mismatch",
      `the manifest hashes to ${actual}, the release names ${statement.suitDigest}`,
    );
  }
  const wrong = contradiction(statement, suit.manifest, vendor.name, nodeCrypto);
  if (wrong !== null) {
    throw new Refusal(
      "manifest-contradicts-release",
      `the manifest's ${wrong} is not the one that the release states`,
    );
  }
  return suit;
}

function checkImage(path: string, statement: ReleaseStatement): Uint8Array {
  const image = readInput(path, MAX_IMAGE);
  const actual = toHex(nodeCrypto.sha256(image));
  const expected = statement.subjects.find(({ name }) => name === "app")?.sha256;
  if (actual !== expected)
    throw new Refusal("image-mismatch", `image hashes to ${actual}, the release says ${expected}`);
  return image;
}

function vendorOf(product: string, policy: Policy): Vkey {
  const vendor = policy.vendors.find((v) => v.product === product)?.vkey;
  if (vendor !== undefined) return vendor;
  throw new Refusal("no-vendor", `the policy has no vendor line for ${quote(product)}`);
}

function checkSealer(product: string, vendor: Vkey, signer: Signer): void {
  if (equalBytes(vendor.publicKey, signer.publicKey)) return;
  throw new Refusal(
    "wrong-vendor-key",
    `the sealing key is ${quote(signer.name)}, the policy's vendor for ${quote(product)} is ${quote(vendor.name)}`,
  );
}

async function signManifest(manifestBytes: Uint8Array, signer: Signer): Promise<Uint8Array> {
  const { sha256, verifyEd25519 } = nodeCrypto;
  const kid = kidOf(sha256(signer.publicKey));
  // The encoder wants its signature at once and signers take their time: the first run asks what is to be signed.
  let message = new Uint8Array(0);
  encodeEnvelope(manifestBytes, sha256, kid, (asked) => {
    message = asked.slice();
    return new Uint8Array(64);
  });
  const signature = await signer.sign(message);
  const sealed = encodeEnvelope(manifestBytes, sha256, kid, () => signature);
  const fault = verifyEnvelope(decodeEnvelope(sealed), signer.publicKey, sha256, verifyEd25519);
  if (fault !== 0) throw faultRefusal(fault, "the sealed manifest");
  return sealed;
}
