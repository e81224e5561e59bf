// COSE receipts, RFC 9942: a log's inclusion proof as SCITT peers read it.
//
//   d2 84                     tag 18, COSE_Sign1
//      bstr                   protected: 1 alg, 4 kid, 15 CWT claims {1 iss: the log's origin}, 395 vds: 1
//      a1 19018c a1 20 81     unprotected {396 proofs: {-1 inclusion: [ one ]}}
//         bstr                   [tree size, leaf index, [hash, …]], leaf side first
//      f6                     the payload, which is the tree's root, travels nowhere: the reader computes it
//      58 40 …                Ed25519 over the Sig_structure with that root
//
// vds 1 is RFC9162_SHA256: trees as in RFC 6962, so the same hashes stand in a tlog-proof. The
// signature covers the root alone. Tree size and index stand unprotected and only have to fold to
// it: they are the bearer's word, and several sizes may lead to one root. A path must hold a hash
// (`[+ bstr]`), so a tree of one record has no receipt.
//
// Ours are written in one form. Those of others are read in any encoding: what is signed is taken
// as it came, and the rest must fold to the root.

import { toHex } from "./bytes";
import {
  CBOR_LENIENT,
  type CborValue,
  cborMap,
  decodeCbor,
  encodeCbor,
  isBytes,
  isMap,
  isTag,
  mapGet,
} from "./cbor";
import {
  COSE_ALG,
  COSE_ALG_ED25519,
  COSE_ALG_EDDSA,
  COSE_CRIT,
  COSE_KID,
  COSE_TYP,
  kidOf,
  sigStructure,
} from "./cose";
import type { Crypto } from "./crypto";
import { FAULT_COSE_ALGORITHM, FAULT_COSE_CRITICAL } from "./fault";
import { leafHash, rootFromInclusion } from "./merkle";
import { faultRefusal, Refusal } from "./refusal";
import type { Vkey } from "./vkey";

const TAG_SIGN1 = 18;
const CWT_CLAIMS = 15;
const ISS = 1;
const VDS = 395;
const PROOFS = 396;
const INCLUSION = -1;
const RFC9162_SHA256 = 1;
const KNOWN = [COSE_ALG, COSE_KID, CWT_CLAIMS, COSE_TYP, VDS];
const NO_AAD = new Uint8Array(0);
const MAX_RECEIPT = 16 * 1024;
const MAX_PATH = 64;

export interface InclusionPath {
  readonly size: bigint;
  readonly index: bigint;
  readonly hashes: readonly Uint8Array[];
}

export interface DraftReceipt {
  readonly protectedBytes: Uint8Array;
  /** What the log's key signs. */
  readonly message: Uint8Array;
}

/** A receipt to be signed for this root. */
export function draftReceipt(root: Uint8Array, log: Vkey, crypto: Pick<Crypto, "sha256">): DraftReceipt {
  const protectedBytes = encodeCbor(
    cborMap([
      [COSE_ALG, COSE_ALG_EDDSA],
      [COSE_KID, kidOf(crypto.sha256(log.publicKey))],
      [CWT_CLAIMS, cborMap([[ISS, log.name]])],
      [VDS, RFC9162_SHA256],
    ]),
  );
  return { protectedBytes, message: sigStructure(protectedBytes, NO_AAD, root) };
}

/** Its bytes. Refuses `receipt-empty-path` and `receipt-range`, for what the format can't say. */
export function formatReceipt(
  { protectedBytes }: DraftReceipt,
  { size, index, hashes }: InclusionPath,
  signature: Uint8Array,
): Uint8Array {
  if (hashes.length === 0)
    throw new Refusal("receipt-empty-path", "RFC 9942 has no receipt for a tree of one record", {
      hint: "add another record, then take the receipt",
    });
  if (size > BigInt(Number.MAX_SAFE_INTEGER))
    throw new Refusal("receipt-range", `a tree of ${size} records is larger than is written here`);
  const proof = encodeCbor([Number(size), Number(index), [...hashes]]);
  const unprotectedMap = cborMap([[PROOFS, cborMap([[INCLUSION, [proof]]])]]);
  return encodeCbor({ tag: TAG_SIGN1, value: [protectedBytes, unprotectedMap, null, signature] });
}

export interface OpenedReceipt extends InclusionPath {
  /** The root that the log signed. */
  readonly root: Uint8Array;
  /** Whom it names as issuer, under the signature; null when nobody. */
  readonly issuer: string | null;
}

/**
 * Settles that `record` is in a tree that this key signed. Throws `malformed-cose-receipt`, `cbor-…`, `too-large`,
 * `cose-unsupported-algorithm`, `cose-unsupported-critical`, `unsupported-structure`, `inclusion-mismatch`, `bad-signature`.
 */
export function openCoseReceipt(
  bytes: Uint8Array,
  record: Uint8Array,
  log: Pick<Vkey, "publicKey">,
  crypto: Crypto,
): OpenedReceipt {
  const receipt = readReceipt(bytes);
  const { size, index, hashes, protectedBytes, signature, issuer } = receipt;
  const root = rootFromInclusion(leafHash(record, crypto), index, size, [...hashes], crypto);
  if (!crypto.verifyEd25519(log.publicKey, sigStructure(protectedBytes, NO_AAD, root), signature))
    throw new Refusal(
      "bad-signature",
      `the receipt's signature isn't by this key over the root ${toHex(root)}, to which record and path fold`,
    );
  return { size, index, hashes, root, issuer };
}

/** Whether bytes look like a receipt and not like other COSE: nothing is verified. */
export function isCoseReceipt(bytes: Uint8Array): boolean {
  const parts = partsOf(bytes);
  return parts !== null && mapGet(parts.protectedMap, VDS) !== undefined;
}

/** Takes a receipt apart; verifies nothing. */
export function readReceipt(bytes: Uint8Array) {
  if (bytes.length > MAX_RECEIPT)
    throw new Refusal("too-large", `receipt is ${bytes.length} bytes, at most ${MAX_RECEIPT} are accepted`);
  const parts = partsOf(bytes);
  if (parts === null) throw malformed("it isn't a tagged COSE_Sign1");
  const { protectedMap, protectedBytes, unprotectedMap, payload, signature } = parts;
  checkHeaders(protectedMap);
  if (payload !== null) throw malformed("it carries a payload, expected none: the root is computed");
  if (signature.length !== 64) throw malformed(`its signature is ${signature.length} bytes, expected 64`);
  const claims = mapGet(protectedMap, CWT_CLAIMS);
  const issuer = isMap(claims) ? mapGet(claims, ISS) : undefined;
  return {
    ...readPath(mapGet(unprotectedMap, PROOFS)),
    protectedBytes,
    signature,
    issuer: typeof issuer === "string" ? issuer : null,
  };
}

function partsOf(bytes: Uint8Array) {
  const { value: tagged } = decodeCbor(bytes, CBOR_LENIENT);
  if (tagged === null || !isTag(tagged) || tagged.tag !== TAG_SIGN1) return null;
  if (!Array.isArray(tagged.value) || tagged.value.length !== 4) return null;
  const [protectedBytes, unprotectedMap, payload, signature] = tagged.value;
  if (!isBytes(protectedBytes) || !isMap(unprotectedMap) || !isBytes(signature)) return null;
  const { value: protectedMap } = decodeCbor(protectedBytes, CBOR_LENIENT);
  if (protectedMap === null || !isMap(protectedMap)) return null;
  return { protectedBytes, protectedMap, unprotectedMap, payload, signature };
}

function checkHeaders(header: { keys: CborValue[]; values: CborValue[] }): void {
  const alg = mapGet(header, COSE_ALG);
  if (alg !== COSE_ALG_EDDSA && alg !== COSE_ALG_ED25519)
    throw faultRefusal(FAULT_COSE_ALGORITHM, "the receipt");
  const critical = mapGet(header, COSE_CRIT);
  const isKnown = (label: CborValue) => typeof label === "number" && KNOWN.includes(label);
  if (critical !== undefined && !(Array.isArray(critical) && critical.every(isKnown)))
    throw faultRefusal(FAULT_COSE_CRITICAL, "the receipt");
  const structure = mapGet(header, VDS);
  if (structure !== RFC9162_SHA256)
    throw new Refusal(
      "unsupported-structure",
      `the receipt is of verifiable data structure ${typeof structure === "number" ? structure : "none"}, known is 1 (RFC9162_SHA256)`,
    );
}

function readPath(proofs: CborValue | undefined): InclusionPath {
  const inclusion = proofs !== undefined && isMap(proofs) ? mapGet(proofs, INCLUSION) : undefined;
  const [proof, second] = Array.isArray(inclusion) ? inclusion : [];
  if (!isBytes(proof) || second !== undefined) throw malformed("it doesn't hold one inclusion proof");
  const { value } = decodeCbor(proof, CBOR_LENIENT);
  const [size, index, path] = Array.isArray(value) && value.length === 3 ? value : [];
  const isUint = (n: CborValue | undefined): n is number => typeof n === "number" && n >= 0;
  if (!isUint(size) || !isUint(index) || !Array.isArray(path))
    throw malformed("its proof isn't [tree size, leaf index, path]");
  const hashes = path.filter((hash): hash is Uint8Array => isBytes(hash) && hash.length === 32);
  if (hashes.length !== path.length || path.length === 0 || path.length > MAX_PATH)
    throw malformed(`its path isn't 1 to ${MAX_PATH} hashes`);
  return { size: BigInt(size), index: BigInt(index), hashes };
}

const malformed = (message: string) => new Refusal("malformed-cose-receipt", `receipt: ${message}`);
