// Keys and signed notes made from fixed seeds, for tests that need somebody to sign.

import { createHash, createPublicKey, verify } from "node:crypto";
import { utf8Encode } from "../src/bytes";
import { type Checkpoint, formatCheckpoint } from "../src/checkpoint";
import { cosignatureBytes, cosignedMessage } from "../src/cosignature";
import type { Crypto } from "../src/crypto";
import { formatNote, signatureLine } from "../src/note";
import { keyPairFromSeed, signEd25519 } from "../src/sign";
import { checkPublicKey, checkSignature } from "../src/strict";
import { type KeyType, makeVkey, type Vkey } from "../src/vkey";

const SPKI = Buffer.from("302a300506032b6570032100", "hex"); // RFC 8410: an Ed25519 key follows

/** Fast enough for tests that build every small tree and bend every byte of a note. */
export const testCrypto: Crypto = {
  sha256: (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()),
  verifyEd25519: (publicKey, message, signature) => {
    if (checkPublicKey(publicKey) !== 0 || checkSignature(signature) !== 0) return false;
    const der = Buffer.concat([SPKI, publicKey]);
    return verify(null, message, createPublicKey({ key: der, format: "der", type: "spki" }), signature);
  },
};

export interface TestKey {
  readonly vkey: Vkey;
  readonly sign: (message: Uint8Array) => Uint8Array;
}

export function testKey(name: string, type: KeyType = 1): TestKey {
  const pair = keyPairFromSeed(testCrypto.sha256(utf8Encode(`test key ${name}`)));
  return {
    vkey: makeVkey(name, type, pair.publicKey),
    sign: (message) => signEd25519(pair.secretKey, message),
  };
}

/** Signature line of a key of type 1 over a note's text. */
export const lineBy = ({ vkey, sign }: TestKey, text: string): string =>
  signatureLine(vkey.name, vkey.keyId, sign(utf8Encode(text)));

/** Signature line of a key of type 4. */
export const cosignedBy = ({ vkey, sign }: TestKey, text: string, time: number): string =>
  signatureLine(vkey.name, vkey.keyId, cosignatureBytes(time, sign(cosignedMessage(time, text))));

/** A checkpoint note signed by the log and cosigned by each witness at `time`. */
export function checkpointNote(
  log: TestKey,
  checkpoint: Omit<Checkpoint, "origin">,
  witnesses: readonly TestKey[] = [],
  time = 1768467600,
): Uint8Array {
  const text = formatCheckpoint({ origin: log.vkey.name, ...checkpoint });
  return formatNote(text, [lineBy(log, text), ...witnesses.map((w) => cosignedBy(w, text, time))]);
}
