// Keys of ML-DSA-65 as files, protected as the others are (keys.ts): PKCS#8 in PEM, encrypted unless it is plain. RFC 9881 says
// what is in it, and this is its shortest form, the seed alone, which OpenSSL reads from 3.5 on:
//
//   SEQUENCE { INTEGER 0, SEQUENCE { OID 2.16.840.1.101.3.4.3.18 }, OCTET STRING { [0] seed 32 bytes } }
//
// Node's OpenSSL is older and knows none of it, so both ways are here. What is read is PBES2 with PBKDF2-HMAC-SHA-256 and
// AES-256-CBC, whoever wrote it: keygen, or `openssl pkcs8`; a passphrase is asked once the rest of the file is understood.
//
// A passphrase that is wrong and a file that is damaged look alike, as everywhere.

import { createDecipheriv, pbkdf2Sync, randomBytes } from "node:crypto";
import { concatBytes, equalBytes, fromBase64, fromHex, toHex, utf8Decode } from "@vouch/shared/bytes";
import { MLDSA_SEED, type MldsaKey, parseMldsaKey } from "@vouch/shared/mldsakey";
import { Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "./crypto";
import { about } from "./exit";
import type { Io } from "./io";
import {
  MAX_KEY_FILE,
  type NewKey,
  NULL,
  OID_AES256_CBC,
  OID_HMAC_SHA256,
  OID_PBES2,
  OID_PBKDF2,
  sealPkcs8,
  vkeyPathOf,
} from "./keys";
import { loadMldsa } from "./mldsa";
import { readPassphrase } from "./passphrase";
import { readInput } from "./readfiles";

const hex = (text: string) => fromHex(text) as Uint8Array;
const OID_ML_DSA_65 = "0609608648016503040312";
/** Everything before the seed. */
const PKCS8_HEAD = hex(`3034020100300b${OID_ML_DSA_65}04228020`);
const MAX_ITERATIONS = 10_000_000; // a few seconds; a hostile file must not take hours

/** A fresh key; `passphrase` null leaves the file readable to whoever gets it. */
export function createMldsaKey(passphrase: string | null): NewKey {
  const seed = new Uint8Array(randomBytes(MLDSA_SEED));
  const pkcs8 = concatBytes([PKCS8_HEAD, seed]);
  const made = { pem: sealPkcs8(pkcs8, passphrase), publicKey: loadMldsa().mldsaPublicKey(seed) };
  for (const secret of [pkcs8, seed]) secret.fill(0);
  return made;
}

/**
 * The seed in a PEM file. `passphrase` is asked only if the file is encrypted. Refuses `malformed-key`,
 * `wrong-passphrase`, `unsupported-key`.
 */
export async function openMldsaSeed(
  file: Uint8Array,
  passphrase: () => Promise<string>,
): Promise<Uint8Array> {
  const { label, der } = pemOf(utf8Decode(file) ?? "");
  if (label === "PRIVATE KEY") return seedOf(der);
  const sealed = sealedOf(der);
  const pkcs8 = unseal(sealed, await passphrase());
  if (!looksOpened(pkcs8)) throw wrongPassphrase();
  const seed = seedOf(pkcs8);
  pkcs8.fill(0);
  return seed;
}

/** One PEM block with a private key, and nothing else in the file. */
function pemOf(text: string): { label: string; der: Uint8Array } {
  const block = /^-----BEGIN ((?:ENCRYPTED )?PRIVATE KEY)-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END \1-----\s*$/;
  const [, label = "", lines = ""] = block.exec(text) ?? [];
  const der = fromBase64(lines.replace(/\r?\n/g, ""));
  if (label === "" || der === null)
    throw new Refusal("malformed-key", "found no PEM of a PKCS#8 private key");
  return { label, der };
}

function seedOf(pkcs8: Uint8Array): Uint8Array {
  const isSeed = pkcs8.length === PKCS8_HEAD.length + MLDSA_SEED;
  if (!isSeed || !equalBytes(pkcs8.subarray(0, PKCS8_HEAD.length), PKCS8_HEAD))
    throw new Refusal(
      "unsupported-key",
      "found another key, expected one of ML-DSA-65 that is its seed alone",
    );
  return pkcs8.slice(PKCS8_HEAD.length);
}

interface Sealed {
  readonly salt: Uint8Array;
  readonly iterations: number;
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** Takes EncryptedPrivateKeyInfo apart (keys.ts draws it). Refuses `malformed-key`, `unsupported-key`. */
function sealedOf(der: Uint8Array): Sealed {
  const all = derReader(der);
  const outer = all.open(0x30);
  all.end();
  const scheme = outer.open(0x30);
  const ciphertext = outer.take(0x04);
  outer.end();
  scheme.expect(OID_PBES2);
  const parameters = scheme.open(0x30);
  scheme.end();
  const kdf = parameters.open(0x30);
  const cipher = parameters.open(0x30);
  parameters.end();
  kdf.expect(OID_PBKDF2);
  const derivation = kdf.open(0x30);
  kdf.end();
  const salt = derivation.take(0x04);
  const iterations = Number(`0x0${toHex(derivation.take(0x02))}`);
  if (derivation.next() === 0x02) derivation.expect("020120"); // the key's length, where it is said
  derivation.open(0x30).expect(OID_HMAC_SHA256 + NULL);
  derivation.end();
  cipher.expect(OID_AES256_CBC);
  const iv = cipher.take(0x04);
  cipher.end();
  const isSane = iterations >= 1 && iterations <= MAX_ITERATIONS && iv.length === 16 && salt.length <= 64;
  if (!isSane || ciphertext.length % 16 !== 0 || ciphertext.length > 256)
    throw new Refusal("unsupported-key", "the encrypted key has parameters out of bounds");
  return { salt, iterations, iv, ciphertext };
}

function unseal({ salt, iterations, iv, ciphertext }: Sealed, passphrase: string): Uint8Array {
  const key = pbkdf2Sync(passphrase, salt, iterations, 32, "sha256");
  try {
    const decipher = createDecipheriv("aes-256-cbc", key, iv);
    return concatBytes([decipher.update(ciphertext), decipher.final()]);
  } catch (cause) {
    throw wrongPassphrase(cause);
  } finally {
    key.fill(0);
  }
}

// A wrong passphrase shows as bad padding or, once in 256 times, as bytes that are no PrivateKeyInfo at all.
function looksOpened(pkcs8: Uint8Array): boolean {
  try {
    const all = derReader(pkcs8);
    const info = all.open(0x30);
    all.end();
    info.take(0x02); // the version
    return true;
  } catch {
    return false;
  }
}

const wrongPassphrase = (cause?: unknown) =>
  new Refusal("wrong-passphrase", "the passphrase doesn't open this key, or the file is damaged", { cause });

/** DER of lengths below 65536, read front to back. */
function derReader(der: Uint8Array) {
  let at = 0;
  const damaged = () => new Refusal("malformed-key", "found a damaged PKCS#8 private key");
  const take = (tag: number): Uint8Array => {
    if (der[at] !== tag) throw damaged();
    const first = der[at + 1] ?? 0xff;
    const extra = first < 0x80 ? 0 : first - 0x80;
    if (first === 0x80 || extra > 2) throw damaged();
    const length = extra === 0 ? first : Number(`0x${toHex(der.slice(at + 2, at + 2 + extra)) || "0"}`);
    const start = at + 2 + extra;
    if (start + length > der.length) throw damaged();
    at = start + length;
    return der.slice(start, at);
  };
  return {
    next: () => der[at],
    take,
    open: (tag: number) => derReader(take(tag)),
    /** Exactly these bytes, or the key is of a kind not known here. */
    expect(bytes: string): void {
      const wanted = hex(bytes);
      if (!equalBytes(der.slice(at, at + wanted.length), wanted))
        throw new Refusal(
          "unsupported-key",
          "the key is encrypted in another way than with PBKDF2-HMAC-SHA-256 and AES-256-CBC",
        );
      at += wanted.length;
    },
    end(): void {
      if (at !== der.length) throw damaged();
    },
  };
}

export interface Countersigner {
  readonly key: MldsaKey;
  sign(message: Uint8Array, context: Uint8Array): Uint8Array;
}

/**
 * The countersigner whose key file this is. Refuses `not-found`, `malformed-key`, `wrong-passphrase`, `unsupported-key`,
 * `vkey-missing`, `vkey-mismatch`, `unsupported-algorithm` for the verifier key of another algorithm.
 */
export function loadCountersigner(path: string, passphraseFile: string | undefined, io: Io) {
  return about(path, async (): Promise<Countersigner> => {
    const file = readInput(path, MAX_KEY_FILE);
    const key = keyBeside(path);
    const seed = await openMldsaSeed(file, () => readPassphrase({ file: passphraseFile, subject: path }, io));
    file.fill(0);
    const { mldsaPublicKey, signMldsa } = loadMldsa();
    if (!equalBytes(mldsaPublicKey(seed), key.publicKey))
      throw new Refusal("vkey-mismatch", `${vkeyPathOf(path)} is the verifier key of another private key`);
    return {
      key,
      sign: (message, context) => signMldsa(seed, message, context, new Uint8Array(randomBytes(32))),
    };
  });
}

function keyBeside(keyPath: string): MldsaKey {
  const path = vkeyPathOf(keyPath);
  try {
    return about(path, () =>
      parseMldsaKey((utf8Decode(readInput(path, MAX_KEY_FILE)) ?? "").replace(/\r?\n$/, ""), nodeCrypto),
    );
  } catch (error) {
    if ((error as { code?: unknown }).code !== "not-found") throw error;
    throw new Refusal("vkey-missing", `there is no ${path}, which names the key`, {
      hint: `\`vouch keygen NAME --algorithm ml-dsa-65 --existing ${keyPath}\` writes it`,
    });
  }
}
