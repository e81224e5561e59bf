// Verifier keys of ML-DSA-65 (FIPS 204): a C2SP verifier key whose type has no byte of its own.
//
//   acme.example/pq+1f2e3d4c+/3ZvdWNoLmV4YW1wbGUv…
//   └── name ─────┘ └ id ──┘ └── base64(0xff ‖ "vouch.example/ml-dsa-65/v1" ‖ public key) ──┘
//
//   id = SHA-256(name ‖ 0x0A ‖ 0xff ‖ "vouch.example/ml-dsa-65/v1" ‖ public key)[:4]
//
// C2SP signed-note assigns 0x06 to ML-DSA-44 cosignatures and nothing to ML-DSA-65; 0xff is for types without a byte, and
// should be followed by an identifier that nobody else uses. Such a key signs no note: it stands in policies
// (countersigned.ts). It is another type than Vkey on purpose, so that no place that takes an Ed25519 key can be given it.

import { concatBytes, equalBytes, fromBase64, fromHex, toBase64, toHex, utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { quote, Refusal } from "./refusal";
import { sha256 } from "./sha256";
import { isKeyName, parseVkey, type Vkey } from "./vkey";

export const MLDSA_SEED = 32;
export const MLDSA_PUBLIC_KEY = 1952;
export const MLDSA_SIGNATURE = 3309;
/** What a signer and a verifier key are called. */
export const ML_DSA_65 = "ml-dsa-65";

const UNASSIGNED = 0xff;
const TYPE = concatBytes([Uint8Array.of(UNASSIGNED), utf8Encode("vouch.example/ml-dsa-65/v1")]);
const MAX_LINE = 3072;

export interface MldsaKey {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly algorithm: typeof ML_DSA_65;
  readonly publicKey: Uint8Array;
}

/** A key from its parts. Throws `malformed-vkey`. */
export function makeMldsaKey(
  name: string,
  publicKey: Uint8Array,
  crypto: Pick<Crypto, "sha256"> = { sha256 },
): MldsaKey {
  if (!isKeyName(name)) throw malformed(`the name is ${quote(name)}, expected no spaces and no plus`);
  if (publicKey.length !== MLDSA_PUBLIC_KEY)
    throw malformed(`the key has ${publicKey.length} bytes, ML-DSA-65 has ${MLDSA_PUBLIC_KEY}`);
  const digest = crypto.sha256(concatBytes([utf8Encode(`${name}\n`), TYPE, publicKey]));
  return { name, keyId: digest.subarray(0, 4), algorithm: ML_DSA_65, publicKey };
}

/** The line, without an end of line. */
export const formatMldsaKey = ({ name, keyId, publicKey }: MldsaKey): string =>
  `${name}+${toHex(keyId)}+${toBase64(concatBytes([TYPE, publicKey]))}`;

/** Whether a line is of a type without a byte of its own; says nothing of which. */
export const isMldsaLine = (line: string): boolean => /^[^+]*\+[^+]*\+\/[+/0-9w-z]/.test(line);

/** Reads one line without its end. Throws `malformed-vkey`, `unsupported-algorithm`. */
export function parseMldsaKey(line: string, crypto: Pick<Crypto, "sha256"> = { sha256 }): MldsaKey {
  if (line.length > MAX_LINE)
    throw malformed(`it is ${line.length} characters, at most ${MAX_LINE} are accepted`);
  const [name = "", id = "", ...rest] = line.split("+");
  const keyId = fromHex(id);
  const typed = fromBase64(rest.join("+")); // base64 has plus signs of its own
  if (keyId === null || keyId.length !== 4) throw malformed(`the id of ${quote(line)} isn't 8 hex digits`);
  if (typed === null || typed.length === 0)
    throw malformed(`the key in ${quote(line)} isn't canonical base64`);
  if (!equalBytes(typed.subarray(0, TYPE.length), TYPE))
    throw new Refusal("unsupported-algorithm", `verifier key ${quote(line)} isn't one of ML-DSA-65`);
  const key = makeMldsaKey(name, typed.slice(TYPE.length), crypto);
  if (!equalBytes(key.keyId, keyId))
    throw malformed(`${quote(name)} has id ${toHex(keyId)}, its key gives ${toHex(key.keyId)}`);
  return key;
}

/** A key of either kind, told by its type. Throws as the parser of that kind. */
export const parseAnyKey = (line: string, crypto: Pick<Crypto, "sha256">): Vkey | MldsaKey =>
  isMldsaLine(line) ? parseMldsaKey(line, crypto) : parseVkey(line, crypto);

const malformed = (message: string) => new Refusal("malformed-vkey", `verifier key: ${message}`);
