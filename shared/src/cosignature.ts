// Timestamped cosignatures: a third party's "this is the largest consistent checkpoint
// of that log I have seen, as of this time". C2SP tlog-cosignature v1.0, key type 0x04.
//
//   signature line:  key id (4) ‖ time, u64 big endian, Unix seconds (8) ‖ Ed25519 (64)
//
//   signed message:  cosignature/v1
//                    time 1768467600
//                    <the whole text of the checkpoint note>
//
// Directory ledgers sign in this way too, over their own checkpoints.

import { concatBytes, utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { type Note, signaturesBy } from "./note";
import { quote, Refusal } from "./refusal";
import { KEY_COSIGNATURE, type Vkey } from "./vkey";

const MAX_TIME = 253402300799; // 9999-12-31T23:59:59Z, the last second RFC 3339 can write

/** The bytes a cosigner signs. `checkpointText` is the note's text, LF at its end included. */
export function cosignedMessage(time: number, checkpointText: string): Uint8Array {
  return utf8Encode(`cosignature/v1\ntime ${time}\n${checkpointText}`);
}

/** What follows the key id in the signature line. */
export function cosignatureBytes(time: number, signature: Uint8Array): Uint8Array {
  const out = new Uint8Array(8);
  const view = new DataView(out.buffer);
  view.setUint32(0, Math.floor(time / 2 ** 32));
  view.setUint32(4, time % 2 ** 32);
  return concatBytes([out, signature]);
}

/**
 * When the key cosigned the note, in Unix seconds. Throws `cosignature-missing`,
 * `malformed-cosignature`, `surplus-signature` or `bad-signature`.
 */
export function verifyCosignature(note: Note, vkey: Vkey, crypto: Crypto): { time: number } {
  if (vkey.type !== KEY_COSIGNATURE) throw new Error("verifyCosignature is for keys of type 4");
  const [line, second] = signaturesBy(note, vkey);
  const who = quote(vkey.name);
  if (line === undefined) throw new Refusal("cosignature-missing", `${who} has not cosigned the checkpoint`);
  if (second !== undefined) throw new Refusal("surplus-signature", `${who} cosigned the checkpoint twice`);
  const blob = line.signature;
  if (blob.length !== 72) {
    throw new Refusal(
      "malformed-cosignature",
      `the cosignature of ${who} is ${blob.length} bytes, expected 72`,
    );
  }
  const view = new DataView(blob.buffer, blob.byteOffset, 8);
  const time = view.getUint32(0) * 2 ** 32 + view.getUint32(4); // inexact only far beyond MAX_TIME
  if (time === 0 || time > MAX_TIME) {
    throw new Refusal("malformed-cosignature", `the cosignature of ${who} has time ${time}`);
  }
  if (!crypto.verifyEd25519(vkey.publicKey, cosignedMessage(time, note.text), blob.subarray(8))) {
    throw new Refusal("bad-signature", `the cosignature by ${who} doesn't verify`);
  }
  return { time };
}
