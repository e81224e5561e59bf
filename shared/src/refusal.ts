// Refusals: the error thrown on purpose.
//
// A Refusal is an answer ("no, because"), anything else thrown is a bug or
// trouble. Each carries a stable code for scripts and searches; the message
// says what was found and what was expected, in words that may change.
// Text from outside passes through quote() on its way into a message, since
// messages reach terminals.

import * as f from "./fault";

// Bundles hold copies of this file, so `instanceof` would miss a Refusal that
// another copy made: the brand is found through the global symbol registry.
const BRAND = Symbol.for("vouch.refusal");

export interface RefusalOptions {
  /** The error underneath, when a library threw it. */
  cause?: unknown;
  /** The next step, only when it is known. */
  hint?: string;
}

export class Refusal extends Error {
  readonly code: string;
  readonly hint?: string;

  constructor(code: string, message: string, options: RefusalOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "Refusal";
    this.code = code;
    if (options.hint !== undefined) this.hint = options.hint;
    Object.defineProperty(this, BRAND, { value: true });
  }
}

/** Tells a refusal from a bug, also across copies of this module. */
export function isRefusal(error: unknown): error is Refusal {
  return typeof error === "object" && error !== null && (error as Record<symbol, unknown>)[BRAND] === true;
}

const QUOTE_MAX = 60; // half a terminal line: enough to recognise, too little to flood

/** Quotes hostile text for a message: printable ASCII stays, the rest is escaped, long text is cut. */
export function quote(text: string): string {
  let out = "";
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    let piece = text.charAt(i);
    if (piece === '"' || piece === "\\") piece = `\\${piece}`;
    else if (c === 10) piece = "\\n";
    else if (c < 32 || c > 126) piece = `\\u${c.toString(16).padStart(4, "0")}`;
    if (out.length + piece.length > QUOTE_MAX) return `"${out}…"`;
    out += piece;
  }
  return `"${out}"`;
}

/** Every fault number with its code and what was found, expected. */
export const FAULTS: { readonly [fault: number]: readonly [code: string, gloss: string] } = {
  [f.FAULT_CBOR_TRUNCATED]: ["cbor-truncated", "CBOR ends before its last item"],
  [f.FAULT_CBOR_NOT_PREFERRED]: ["cbor-not-preferred", "a CBOR number or length isn't in its shortest form"],
  [f.FAULT_CBOR_UNSORTED]: ["cbor-unsorted", "CBOR map keys aren't in bytewise order"],
  [f.FAULT_CBOR_DUPLICATE]: ["cbor-duplicate-key", "a CBOR map holds a key twice"],
  [f.FAULT_CBOR_INDEFINITE]: ["cbor-indefinite", "CBOR has an item of indefinite length"],
  [f.FAULT_CBOR_TRAILING]: ["cbor-trailing", "bytes follow the CBOR item"],
  [f.FAULT_CBOR_TOO_DEEP]: ["cbor-too-deep", "CBOR nests deeper than 16 levels"],
  [f.FAULT_CBOR_RANGE]: ["cbor-integer-range", "a CBOR integer lies beyond 2^53 - 1"],
  [f.FAULT_CBOR_UNSUPPORTED]: [
    "cbor-unsupported",
    "CBOR holds a float or a simple value other than false, true, null",
  ],
  [f.FAULT_CBOR_TEXT]: ["cbor-text", "CBOR text isn't UTF-8"],
  [f.FAULT_CBOR_TOO_LARGE]: [
    "cbor-too-large",
    "CBOR has more items than are accepted, or map keys of another kind",
  ],
  [f.FAULT_CBOR_MALFORMED]: ["cbor-malformed", "bytes aren't CBOR"],

  [f.FAULT_COSE_MALFORMED]: ["cose-malformed", "not a COSE_Sign1 (tag 18)"],
  [f.FAULT_COSE_ALGORITHM]: [
    "cose-unsupported-algorithm",
    "COSE algorithm is neither -8 (EdDSA) nor -19 (Ed25519)",
  ],
  [f.FAULT_COSE_CRITICAL]: ["cose-unsupported-critical", "COSE names critical headers, none is known here"],
  [f.FAULT_COSE_HEADER]: ["cose-header", "a COSE header is in the wrong bucket, twice, or of the wrong type"],

  [f.FAULT_SUIT_MALFORMED]: ["suit-malformed", "not a SUIT envelope of one component"],
  [f.FAULT_SUIT_UNSUPPORTED]: [
    "suit-unsupported",
    "SUIT manifest uses what the one-component profile leaves out",
  ],
  [f.FAULT_SUIT_DIGEST]: ["suit-digest-mismatch", "SUIT authentication digest isn't that of the manifest"],
  [f.FAULT_SUIT_UNSIGNED]: ["suit-unsigned", "SUIT envelope carries no signature"],
  [f.FAULT_SUIT_SIGNER]: ["suit-wrong-signer", "SUIT signature names another key than the vendor's"],
  [f.FAULT_SUIT_TOO_LARGE]: ["suit-too-large", "SUIT envelope is longer than 1020 bytes"],
  [f.FAULT_SUIT_UPLOAD]: ["suit-upload", "upload isn't length, envelope, payload"],
  [f.FAULT_SUIT_VENDOR]: ["suit-vendor-mismatch", "SUIT vendor id is another vendor's"],
  [f.FAULT_SUIT_CLASS]: ["suit-class-mismatch", "SUIT class id is another model's"],
  [f.FAULT_SUIT_ROLLBACK]: ["suit-rollback", "SUIT sequence number is below the device's floor"],
  [f.FAULT_SUIT_IMAGE_SIZE]: ["suit-image-size", "image isn't as long as the SUIT manifest says"],
  [f.FAULT_SUIT_IMAGE_DIGEST]: ["suit-image-mismatch", "image doesn't hash to what the SUIT manifest says"],
  [f.FAULT_SUIT_REVISION]: ["suit-revision-mismatch", "SUIT manifest is for other hardware revisions"],

  [f.FAULT_SMP_TRUNCATED]: ["smp-truncated", "SMP frame ends early"],
  [f.FAULT_SMP_LENGTH]: ["smp-length", "SMP length field doesn't match what came"],
  [f.FAULT_SMP_CRC]: ["smp-crc", "SMP frame fails its CRC"],
  [f.FAULT_SMP_BASE64]: ["smp-base64", "SMP line isn't base64"],
  [f.FAULT_SMP_TOO_LARGE]: ["smp-too-large", "SMP message is longer than the buffer"],
  [f.FAULT_SMP_HEADER]: ["smp-header", "SMP header isn't one"],
  [f.FAULT_SMP_BODY]: ["smp-body", "SMP body isn't a CBOR map"],

  [f.FAULT_EVIDENCE_MALFORMED]: ["evidence-malformed", "an evidence claim has the wrong type or size"],
  [f.FAULT_EVIDENCE_MISSING]: ["evidence-claim-missing", "evidence lacks a claim of the profile"],
  [f.FAULT_EVIDENCE_UNKNOWN]: ["evidence-claim-unknown", "evidence holds a claim the profile doesn't name"],
  [f.FAULT_EVIDENCE_PROFILE]: ["evidence-unsupported-profile", "evidence is of a profile not known here"],
  [f.FAULT_EVIDENCE_TYPE]: ["evidence-unsupported-type", "COSE typ isn't 263 (application/eat+cwt)"],
  [f.FAULT_EVIDENCE_HEADER]: [
    "evidence-header",
    "evidence header isn't exactly {alg, kid, typ}, all protected",
  ],

  [f.FAULT_KEY_LENGTH]: ["key-length", "Ed25519 public key isn't 32 bytes"],
  [f.FAULT_KEY_NOT_CANONICAL]: ["key-not-canonical", "Ed25519 public key isn't canonical (y >= 2^255 - 19)"],
  [f.FAULT_KEY_SMALL_ORDER]: ["key-small-order", "Ed25519 public key has small order"],
  [f.FAULT_SIGNATURE_LENGTH]: ["signature-length", "Ed25519 signature isn't 64 bytes"],
  [f.FAULT_SIGNATURE_RANGE]: ["signature-range", "Ed25519 signature has s >= L"],
  [f.FAULT_SIGNATURE_WRONG]: ["bad-signature", "signature doesn't verify"],

  [f.FAULT_STORE_FULL]: ["store-full", "a record doesn't fit the device's store"],
  [f.FAULT_ENGINE_BLOCK]: [
    "engine-block",
    "the engine image holds no readable engine block, so no manifest is trusted",
  ],
  [f.FAULT_SLOT_TOO_LARGE]: ["slot-too-large", "image is longer than a slot"],
  [f.FAULT_SLOT_OVERRUN]: ["slot-overrun", "more bytes came than the upload announced"],
  [f.FAULT_SLOT_STREAM]: ["slot-stream-mismatch", "what arrived doesn't hash to what the upload announced"],
  [f.FAULT_SLOT_BUSY]: ["slot-busy", "the other slot holds what an image on trial would revert to"],
  [f.FAULT_SLOT_UNKNOWN]: ["slot-unknown-image", "no slot holds that image"],
  [f.FAULT_SLOT_NOT_BOOTABLE]: ["slot-not-bootable", "image came without a manifest and can't boot"],
  [f.FAULT_SLOT_ACTIVE]: ["slot-active", "the image runs already"],
  [f.FAULT_SLOT_PENDING]: ["slot-pending", "another image is set to run at the next start"],
  [f.FAULT_BOOT_IMAGE]: ["boot-image-changed", "image in flash is no longer the one that was checked"],
  [f.FAULT_BOOT_REVERTED]: [
    "boot-reverted",
    "image on trial wasn't confirmed before the device started again",
  ],
  [f.FAULT_CLEAR_ORDER]: ["clear-order", "order to clear isn't for this device and key"],
  [f.FAULT_STREAM_READER]: ["stream-reader", "key of a stream's reader is a point of small order"],
};

/** The stable code of a fault; `fault-0x…` for one this version has no word for. */
export function faultCode(fault: number): string {
  return FAULTS[fault]?.[0] ?? `fault-0x${fault.toString(16).padStart(4, "0")}`;
}

/** A fault as a Refusal about `what`. */
export function faultRefusal(fault: number, what: string): Refusal {
  const gloss = FAULTS[fault]?.[1] ?? "the device gave a reason this version doesn't know";
  return new Refusal(faultCode(fault), `${what}: ${gloss}`);
}
