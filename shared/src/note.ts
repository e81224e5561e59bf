// Signed notes: text that people can read, and signatures under it.
// C2SP signed-note v1.0.0.
//
//   This is an example message.                                        ┐ text, ends in LF
//                                                                      ┘ one empty line
//   — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ON…     signature lines
//   │ └ key name       └ base64(4-byte key id ‖ signature)
//   └ em dash (U+2014), space
//
// The text is everything up to the last empty line. No control characters but LF.
// Signatures by keys nobody asked about are carried along, which is how witnesses and
// key rotation work; a signature by a known key that fails condemns the whole note.
// What a signature covers depends on the key's type: for 0x01 the text itself
// (verifyNote, here), for 0x04 a message made from it (cosignature.ts).

import { concatBytes, copyBytes, equalBytes, fromBase64, toBase64, utf8Decode, utf8Encode } from "./bytes";
import type { Crypto } from "./crypto";
import { quote, Refusal } from "./refusal";
import { isKeyName, KEY_ED25519, type Vkey } from "./vkey";

export const MAX_NOTE = 64 * 1024;
export const MAX_SIGNATURES = 16; // what the specification asks every verifier to accept

const DASH = "— "; // U+2014, U+0020

export interface NoteSignature {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
  /** The line as it stands in the note, without its end. */
  readonly line: string;
}

export interface Note {
  readonly text: string;
  readonly textBytes: Uint8Array;
  readonly signatures: readonly NoteSignature[];
}

/** Splits a note; verifies nothing. Throws `malformed-note` or `too-large`. */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > MAX_NOTE) {
    throw new Refusal("too-large", `note is ${bytes.length} bytes, at most ${MAX_NOTE} are accepted`);
  }
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte < 0x20 && byte !== 0x0a) throw malformed(`it holds the control character ${byte}`);
  }
  const all = utf8Decode(bytes);
  if (all === null) throw malformed("it isn't UTF-8");
  const split = all.lastIndexOf("\n\n");
  if (split < 0) throw malformed("no empty line separates text and signatures");
  const tail = all.slice(split + 2);
  if (tail === "") throw malformed("it has no signature");
  if (!tail.endsWith("\n")) throw malformed("the last signature line doesn't end");
  const lines = tail.slice(0, -1).split("\n");
  if (lines.length > MAX_SIGNATURES)
    throw malformed(`it has ${lines.length} signatures, at most ${MAX_SIGNATURES} are accepted`);
  const text = all.slice(0, split + 1);
  return {
    text,
    textBytes: copyBytes(bytes, 0, utf8Encode(text).length),
    signatures: lines.map(parseSignatureLine),
  };
}

/** Reads one signature line without its end. Throws `malformed-note`. */
export function parseSignatureLine(line: string): NoteSignature {
  const space = line.indexOf(" ", DASH.length);
  if (!line.startsWith(DASH) || space < 0) throw malformed(`${quote(line)} isn't a signature line`);
  const name = line.slice(DASH.length, space);
  if (!isKeyName(name)) throw malformed(`${quote(name)} isn't a key name`);
  const blob = fromBase64(line.slice(space + 1));
  if (blob === null) throw malformed(`the signature of ${quote(name)} isn't canonical base64`);
  if (blob.length < 5)
    throw malformed(`the signature of ${quote(name)} is ${blob.length} bytes, expected an id and more`);
  return { name, keyId: blob.slice(0, 4), signature: blob.slice(4), line };
}

/** One line, without its end. */
export function signatureLine(name: string, keyId: Uint8Array, signature: Uint8Array): string {
  return `${DASH}${name} ${toBase64(concatBytes([keyId, signature]))}`;
}

/** A note of `text`, which must end in LF, and lines from signatureLine. */
export function formatNote(text: string, lines: readonly string[]): Uint8Array {
  return utf8Encode(`${text}\n${lines.map((line) => `${line}\n`).join("")}`);
}

/** The lines that claim to be by this key: same name and id. */
export function signaturesBy(note: Note, vkey: Vkey): NoteSignature[] {
  return note.signatures.filter((s) => s.name === vkey.name && equalBytes(s.keyId, vkey.keyId));
}

/**
 * Whether the key signed the note: false when no line claims so. Throws `bad-signature`
 * when a line claims so and lies.
 */
export function verifyNote(note: Note, vkey: Vkey, crypto: Crypto): boolean {
  if (vkey.type !== KEY_ED25519) throw new Error("verifyNote is for keys of type 1");
  const claimed = signaturesBy(note, vkey);
  for (const { signature } of claimed) {
    if (!crypto.verifyEd25519(vkey.publicKey, note.textBytes, signature)) {
      throw new Refusal("bad-signature", `the note's signature by ${quote(vkey.name)} doesn't verify`);
    }
  }
  return claimed.length > 0;
}

/** Opens a note that at least one of the keys (of type 1) signed. Throws `unknown-signer` if none did. */
export function openNote(
  bytes: Uint8Array,
  keys: readonly Vkey[],
  crypto: Crypto,
): { note: Note; verified: Vkey[] } {
  const note = parseNote(bytes);
  const verified = keys.filter((key) => verifyNote(note, key, crypto));
  if (verified.length === 0) {
    const names = note.signatures.map((s) => quote(s.name)).join(", ");
    throw new Refusal("unknown-signer", `the note is signed by ${names}, none of them expected`);
  }
  return { note, verified };
}

function malformed(message: string): Refusal {
  return new Refusal("malformed-note", `note: ${message}`);
}
