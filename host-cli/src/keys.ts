// Keys as files: Ed25519 to sign with, X25519 to read streams with; PKCS#8, PEM, so that openssl and every HSM
// importer read them. Encrypted ones are PBES2 (RFC 8018, appendix A.4):
//
//   EncryptedPrivateKeyInfo = SEQUENCE {
//     SEQUENCE { pbes2, SEQUENCE {
//       SEQUENCE { pbkdf2, SEQUENCE { salt 16 bytes, iterations, hmacWithSHA256 } },
//       SEQUENCE { aes256-CBC, iv 16 bytes } } },
//     ciphertext of the PKCS#8 }
//
// Written here and not by node:crypto, whose exporter is fixed at 2,048
// iterations: a stolen file would then fall to a few days of guessing. Reading
// takes whatever OpenSSL reads, so keys made elsewhere work as well.
//
// Beside NAME.key lies NAME.vkey, one line, the C2SP verifier key: a PKCS#8
// file has no room for the name that C2SP signatures carry.

import {
  createCipheriv,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  pbkdf2Sync,
  randomBytes,
} from "node:crypto";
import { concatBytes, fromHex, toBase64, utf8Decode } from "@vouch/shared/bytes";
import { Refusal } from "@vouch/shared/refusal";

const PBKDF2_ITERATIONS = 600_000; // OWASP's figure for HMAC-SHA-256, 2023: about 0.3 s
export const MAX_KEY_FILE = 16 * 1024;

// Also what mldsakeys.ts reads.
export const OID_PBES2 = "06092a864886f70d01050d";
export const OID_PBKDF2 = "06092a864886f70d01050c";
export const OID_HMAC_SHA256 = "06082a864886f70d0209";
export const OID_AES256_CBC = "060960864801650304012a";
export const NULL = "0500";

export interface NewKey {
  /** The file's content. */
  readonly pem: string;
  readonly publicKey: Uint8Array;
}

/** Ed25519 signs; X25519 reads streams. */
export type KeyKind = "ed25519" | "x25519";

/** A fresh key pair; `passphrase` null leaves the file readable to whoever gets it. */
export function createKey(passphrase: string | null, kind: KeyKind = "ed25519"): NewKey {
  const { privateKey, publicKey } = freshKeyPair(kind);
  const pkcs8 = privateKey.export({ type: "pkcs8", format: "der" });
  const pem = sealPkcs8(pkcs8, passphrase);
  pkcs8.fill(0);
  return { pem, publicKey };
}

/** PKCS#8 of a key of RFC 8410, up to its 32 bytes; and how many bytes come before those of the public one. */
const PKCS8_HEAD = {
  ed25519: Buffer.from("302e020100300506032b657004220420", "hex"),
  x25519: Buffer.from("302e020100300506032b656e04220420", "hex"),
};
const SPKI_HEAD = 12;

/**
 * A key pair from 32 random bytes, which is what a key of either kind is. Not generateKeyPairSync: in Node 20 its
 * KeyObject and the job that made it share a lock, export({format: "jwk"}) allocates with the lock held, and a garbage
 * collection there that frees the job waits for it for ever. It took some twenty thousand keys to happen.
 */
export function freshKeyPair(kind: KeyKind = "ed25519"): {
  readonly privateKey: KeyObject;
  readonly publicKey: Uint8Array;
} {
  const seed = randomBytes(32);
  const pkcs8 = Buffer.concat([PKCS8_HEAD[kind], seed]);
  seed.fill(0);
  const privateKey = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
  pkcs8.fill(0);
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return { privateKey, publicKey: new Uint8Array(spki.subarray(SPKI_HEAD)) };
}

/** A PKCS#8 key as a PEM, encrypted unless `passphrase` is null. */
export const sealPkcs8 = (pkcs8: Uint8Array, passphrase: string | null): string =>
  passphrase === null
    ? armour("PRIVATE KEY", pkcs8)
    : armour("ENCRYPTED PRIVATE KEY", encrypt(pkcs8, passphrase));

/**
 * The private key in a PEM file. `passphrase` is asked only if the file is encrypted.
 * Refuses `malformed-key`, `wrong-passphrase`, `unsupported-key`.
 */
export async function openKey(
  file: Uint8Array,
  passphrase: () => Promise<string>,
  kind: KeyKind = "ed25519",
): Promise<KeyObject> {
  const pem = utf8Decode(file) ?? "";
  const label = /^-----BEGIN ([A-Z0-9 ]+)-----$/m.exec(pem)?.[1];
  if (label !== "PRIVATE KEY" && label !== "ENCRYPTED PRIVATE KEY") {
    const found = label === undefined ? "no PEM" : `a PEM of ${label}`;
    throw new Refusal("malformed-key", `found ${found}, expected a PKCS#8 private key in PEM`);
  }
  const encrypted = label === "ENCRYPTED PRIVATE KEY";
  const key = encrypted ? decrypt(pem, await passphrase()) : parse(pem);
  if (key.asymmetricKeyType !== kind) {
    const hint = kind === "x25519" ? "`vouch keygen NAME --reader` makes a reader's key" : undefined;
    throw new Refusal("unsupported-key", `found a key of type ${key.asymmetricKeyType}, expected ${kind}`, {
      ...(hint && { hint }),
    });
  }
  return key;
}

/** The 32 bytes of the public half. */
export function publicKeyOf(key: KeyObject): Uint8Array {
  const { x } = key.export({ format: "jwk" });
  return new Uint8Array(Buffer.from(x ?? "", "base64url"));
}

/** The 32 bytes of the secret half. */
export function secretKeyOf(key: KeyObject): Uint8Array {
  const { d } = key.export({ format: "jwk" });
  return new Uint8Array(Buffer.from(d ?? "", "base64url"));
}

/** Where the public line of a reader's key file lies: NAME.key has NAME.reader beside it. */
export const readerPathOf = (keyPath: string): string => vkeyPathOf(keyPath).replace(/\.vkey$/, ".reader");

/** Where the verifier key of a key file lies: NAME.key has NAME.vkey beside it. */
export function vkeyPathOf(keyPath: string): string {
  return keyPath.endsWith(".key") ? `${keyPath.slice(0, -".key".length)}.vkey` : `${keyPath}.vkey`;
}

function parse(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    throw new Refusal("malformed-key", "found a damaged PKCS#8 private key", { cause });
  }
}

// A wrong passphrase shows as bad padding or, once in 256 times, as bad ASN.1: no telling it from damage.
function decrypt(pem: string, passphrase: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, passphrase });
  } catch (cause) {
    throw new Refusal("wrong-passphrase", "the passphrase doesn't open this key, or the file is damaged", {
      cause,
    });
  }
}

function encrypt(pkcs8: Uint8Array, passphrase: string): Uint8Array {
  const salt = randomBytes(16);
  const iv = randomBytes(16);
  const key = pbkdf2Sync(passphrase, salt, PBKDF2_ITERATIONS, 32, "sha256");
  const cipher = createCipheriv("aes-256-cbc", key, iv);
  const ciphertext = concatBytes([cipher.update(pkcs8), cipher.final()]);
  const kdf = sequence(
    hex(OID_PBKDF2),
    sequence(octets(salt), integer(PBKDF2_ITERATIONS), sequence(hex(OID_HMAC_SHA256 + NULL))),
  );
  const scheme = sequence(hex(OID_AES256_CBC), octets(iv));
  return sequence(sequence(hex(OID_PBES2), sequence(kdf, scheme)), octets(ciphertext));
}

// DER, as far as the above needs it: everything is shorter than 256 bytes.
const hex = (text: string) => fromHex(text) as Uint8Array;
const octets = (bytes: Uint8Array) => tagged(0x04, bytes);
const sequence = (...items: Uint8Array[]) => tagged(0x30, concatBytes(items));

function tagged(tag: number, content: Uint8Array): Uint8Array {
  const { length } = content;
  return concatBytes([new Uint8Array(length < 128 ? [tag, length] : [tag, 0x81, length]), content]);
}

function integer(value: number): Uint8Array {
  const digits = value.toString(16);
  const bytes = hex(digits.length % 2 === 0 ? digits : `0${digits}`);
  return tagged(0x02, (bytes[0] ?? 0) < 0x80 ? bytes : concatBytes([new Uint8Array(1), bytes]));
}

function armour(label: string, der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
