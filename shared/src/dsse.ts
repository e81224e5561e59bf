// DSSE envelopes: a payload and the signatures of several people.
// secure-systems-lab/dsse v1.0, narrowed to one encoding.
//
//   {"payload":"<base64>","payloadType":"application/vnd.in-toto+json",
//    "signatures":[{"keyid":"<hex SHA-256 of the public key>","sig":"<base64>"}…]}
//
//   signed:  DSSEv1 SP len(type) SP type SP len(payload) SP payload
//
// The very bytes of an envelope are a leaf of the log, so there is one way to write it:
// canonical JSON, keys in this order, signatures sorted by keyid, one a key. An envelope
// without signatures is a draft: it parses, and opens for nobody.

import { concatBytes, equalBytes, toBase64, toHex, utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { base64, formatJson, hex, list, object, readJson, text } from "./json";
import { quote, Refusal } from "./refusal";
import { base64Next, hexNext, isNext, pass, startScan, wordOf } from "./scan";

export const IN_TOTO = "application/vnd.in-toto+json";
export const MAX_DSSE = 65535; // what one entry of a C2SP log can hold
export const MAX_SIGNATURES = 16;

export interface EnvelopeSignature {
  /** Lower-case hex of SHA-256 of the public key. */
  readonly keyid: string;
  readonly sig: Uint8Array;
}

export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  /** Ascending by keyid. */
  readonly signatures: readonly EnvelopeSignature[];
}

const SHAPE = object({
  payload: base64(1, MAX_DSSE),
  payloadType: text(128),
  signatures: list(object({ keyid: hex(32), sig: base64(64) }), 0, MAX_SIGNATURES),
});

/** Reads an envelope; verifies nothing. Throws `malformed-dsse`, `unsupported-statement`, or as parseJson. */
export function parseEnvelope(bytes: Uint8Array): Envelope {
  return scanEnvelope(bytes) ?? readEnvelope(bytes);
}

const WORDS = {
  start: wordOf('{"payload":"'),
  signatures: wordOf(`,"payloadType":"${IN_TOTO}","signatures":[`),
  signature: wordOf('{"keyid":"'),
  sig: wordOf(',"sig":"'),
  next: wordOf("},"),
  end: wordOf("}]}"),
};

/** One that carries signatures, nearly always the case, without the long way round; null for anything else. */
export function scanEnvelope(bytes: Uint8Array): Envelope | null {
  if (bytes.length > MAX_DSSE) return null;
  const scan = startScan(bytes);
  pass(scan, WORDS.start);
  const payload = base64Next(scan, 1, MAX_DSSE);
  pass(scan, WORDS.signatures);
  const signatures: EnvelopeSignature[] = [];
  do {
    pass(scan, WORDS.signature);
    const keyid = hexNext(scan, 32);
    pass(scan, WORDS.sig);
    const sig = base64Next(scan, 64, 64);
    const before = signatures.at(-1);
    if (scan.at < 0 || (before !== undefined && before.keyid >= keyid)) return null;
    signatures.push({ keyid, sig });
  } while (isNext(scan, WORDS.next) && signatures.length < MAX_SIGNATURES);
  pass(scan, WORDS.end);
  return scan.at === bytes.length ? { payload, payloadType: IN_TOTO, signatures } : null;
}

/** Any envelope, the long way. */
export function readEnvelope(bytes: Uint8Array): Envelope {
  const envelope = readJson(bytes, "the envelope", MAX_DSSE, "malformed-dsse", SHAPE, toJson);
  const ids = envelope.signatures.map((s) => s.keyid);
  if (ids.some((id, i) => i > 0 && ids[i - 1]! >= id)) {
    throw new Refusal("malformed-dsse", "the envelope's signatures aren't sorted by keyid, one a key");
  }
  if (envelope.payloadType !== IN_TOTO) {
    throw new Refusal(
      "unsupported-statement",
      `the envelope holds ${quote(envelope.payloadType)}, known is ${IN_TOTO}`,
    );
  }
  return envelope;
}

export function formatEnvelope(envelope: Envelope): Uint8Array {
  return formatJson(toJson(envelope));
}

function toJson({ payload, payloadType, signatures }: Envelope): unknown {
  return {
    payload: toBase64(payload),
    payloadType,
    signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig: toBase64(sig) })),
  };
}

/** Pre-authentication encoding: the bytes that are signed. */
export function pae(payloadType: string, payload: Uint8Array): Uint8Array {
  if (payloadType === IN_TOTO)
    return concatBytes([wordOf(`DSSEv1 ${IN_TOTO.length} ${IN_TOTO} ${payload.length} `), payload]);
  const type = utf8Encode(payloadType);
  return concatBytes([utf8Encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `), payload]);
}

export function keyidOf(publicKey: Uint8Array, crypto: Pick<Crypto, "sha256">): string {
  return toHex(crypto.sha256(publicKey));
}

/** The envelope with one more signature (over `pae`) in its place. Throws `already-signed`. */
export function addSignature(
  envelope: Envelope,
  publicKey: Uint8Array,
  sig: Uint8Array,
  crypto: Pick<Crypto, "sha256">,
): Envelope {
  const keyid = keyidOf(publicKey, crypto);
  if (envelope.signatures.some((s) => s.keyid === keyid)) {
    throw new Refusal("already-signed", `the envelope already carries a signature by key ${keyid}`, {
      hint: "one person signs once; whoever signs next takes a key of their own",
    });
  }
  if (envelope.signatures.length >= MAX_SIGNATURES) {
    throw new Refusal("malformed-dsse", `the envelope already carries ${MAX_SIGNATURES} signatures`);
  }
  const signatures = [...envelope.signatures, { keyid, sig }].sort((a, b) => (a.keyid < b.keyid ? -1 : 1));
  return { ...envelope, signatures };
}

/**
 * Which of the candidates signed, in the envelope's order. Every signature must be a
 * candidate's and good: throws `unsigned`, `unknown-signer` or `bad-signature`. When
 * `threshold` is given, another number than that is `approvals-missing` or
 * `surplus-signature`. Each candidate counts once, since each keyid stands once. A candidate's
 * `keyid`, where it is given, is that of its key.
 */
export function openEnvelope<
  T extends { readonly name: string; readonly publicKey: Uint8Array; readonly keyid?: string },
>(envelope: Envelope, candidates: readonly T[], crypto: Crypto, threshold?: number): T[] {
  if (envelope.signatures.length === 0) throw new Refusal("unsigned", "the envelope carries no signature");
  const message = pae(envelope.payloadType, envelope.payload);
  const ids = candidates.map(({ publicKey, keyid }) => keyid ?? keyidOf(publicKey, crypto));
  const signers = envelope.signatures.map(({ keyid, sig }) => {
    const signer = candidates[ids.indexOf(keyid)];
    if (signer === undefined) {
      throw new Refusal(
        "unknown-signer",
        `the envelope is signed by key ${keyid}, which isn't among those expected`,
      );
    }
    if (!crypto.verifyEd25519(signer.publicKey, message, sig)) {
      throw new Refusal("bad-signature", `the envelope's signature by ${quote(signer.name)} doesn't verify`);
    }
    return signer;
  });
  if (signers.some((a, i) => signers.some((b, j) => i < j && equalBytes(a.publicKey, b.publicKey)))) {
    throw new Refusal("surplus-signature", "one key signed the envelope twice");
  }
  if (threshold !== undefined && signers.length !== threshold) {
    const code = signers.length < threshold ? "approvals-missing" : "surplus-signature";
    throw new Refusal(code, `the envelope carries ${signers.length} signatures, expected ${threshold}`);
  }
  return signers;
}
