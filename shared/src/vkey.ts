// Verifier keys: a public key, what it signs with and whose it is, on one line.
// C2SP signed-note v1.0.0, "Verifier keys".
//
//   example.org/log+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k
//   └── name ─────┘ └ id ──┘ └── base64(type ‖ public key) ─────────────┘
//
//   id = SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]
//
// Types known here: 0x01 Ed25519, 0x04 timestamped Ed25519 cosignature. The id is
// recomputed, so a typo in any part is noticed; it is a hint, not a commitment.

import { concatBytes, equalBytes, fromBase64, fromHex, toBase64, toHex, utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { faultRefusal, quote, Refusal } from "./refusal";
import { sha256 } from "./sha256";
import { checkPublicKey } from "./strict";

export const KEY_ED25519 = 1;
export const KEY_COSIGNATURE = 4;
export type KeyType = typeof KEY_ED25519 | typeof KEY_COSIGNATURE;

export interface Vkey {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly type: KeyType;
  readonly publicKey: Uint8Array;
}

const MAX_NAME = 128;
const MAX_VKEY = 3072; // so that a key of another kind is told by its type

/** Names go into note lines: no spaces of any script, no plus, nothing invisible. */
export function isKeyName(name: string): boolean {
  if (name === "" || name.length > MAX_NAME) return false;
  // Most names are these; properties are slow to make a regex of.
  return /^[!-*,-~]+$/.test(name) || !/[\s+\p{C}\p{Z}]/u.test(name);
}

export function keyIdOf(
  name: string,
  type: number,
  publicKey: Uint8Array,
  crypto: Pick<Crypto, "sha256"> = { sha256 },
): Uint8Array {
  return crypto.sha256(concatBytes([utf8Encode(`${name}\n`), Uint8Array.of(type), publicKey])).subarray(0, 4);
}

/** A Vkey from its parts. Throws `malformed-vkey` or what a weak key is refused with. */
export function makeVkey(
  name: string,
  type: KeyType,
  publicKey: Uint8Array,
  crypto: Pick<Crypto, "sha256"> = { sha256 },
): Vkey {
  if (!isKeyName(name)) throw malformed(`the name is ${quote(name)}, expected no spaces and no plus`);
  const fault = checkPublicKey(publicKey);
  if (fault !== 0) throw faultRefusal(fault, `verifier key ${quote(name)}`);
  return { name, type, publicKey, keyId: keyIdOf(name, type, publicKey, crypto) };
}

/** The line, without an end of line. */
export function formatVkey(vkey: Vkey): string {
  return `${vkey.name}+${toHex(vkey.keyId)}+${toBase64(concatBytes([Uint8Array.of(vkey.type), vkey.publicKey]))}`;
}

/** Reads one line without its end. Throws `malformed-vkey`, `unsupported-algorithm`, or as makeVkey. */
export function parseVkey(line: string, crypto: Pick<Crypto, "sha256"> = { sha256 }): Vkey {
  if (line.length > MAX_VKEY)
    throw malformed(`it is ${line.length} characters, at most ${MAX_VKEY} are accepted`);
  // The base64 part may hold plus signs of its own: only the first two separate.
  const first = line.indexOf("+");
  const second = line.indexOf("+", first + 1);
  if (first < 0 || second < 0) throw malformed(`${quote(line)} isn't name+id+key`);
  const keyId = fromHex(line.slice(first + 1, second));
  const typed = fromBase64(line.slice(second + 1));
  if (keyId === null || keyId.length !== 4)
    throw malformed(`the id in ${quote(line)} isn't 8 lower-case hex digits`);
  if (typed === null || typed.length === 0)
    throw malformed(`the key in ${quote(line)} isn't canonical base64`);
  const type = typed[0]!;
  if (type !== KEY_ED25519 && type !== KEY_COSIGNATURE) {
    const hint = type === 255 ? { hint: "a key of ML-DSA-65 countersigns, and does nothing else" } : {};
    throw new Refusal(
      "unsupported-algorithm",
      `verifier key ${quote(line)} is of type ${type}, known are 1 and 4`,
      hint,
    );
  }
  const vkey = makeVkey(line.slice(0, first), type, typed.slice(1), crypto);
  if (!equalBytes(vkey.keyId, keyId)) {
    throw malformed(`${quote(vkey.name)} has id ${toHex(keyId)}, its key gives ${toHex(vkey.keyId)}`);
  }
  return vkey;
}

/** Same name, type and key. */
export function sameVkey(a: Vkey, b: Vkey): boolean {
  return a.name === b.name && a.type === b.type && equalBytes(a.publicKey, b.publicKey);
}

function malformed(message: string): Refusal {
  return new Refusal("malformed-vkey", `verifier key: ${message}`);
}
