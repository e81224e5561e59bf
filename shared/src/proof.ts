// Inclusion proofs as text. C2SP tlog-proof v1.
//
//   c2sp.org/tlog-proof@v1
//   index 2
//   ycS/r7B0IXR9Gi1Ps5L3D9jbGMZMRcGQTlHZAdGYjJA=     one base64 hash a line, leaf side first
//   OcaLq9QahtlQgT3ey9+h5mzvl1EuAjlHkMbdGx+BZF8=
//                                                    an empty line
//   example.org/firmware-log                         the checkpoint note, verbatim
//   …
//
// The format allows one `extra` line after the first, which nothing authenticates. We
// write none and refuse one by name, so that nobody comes to rely on it; where proofs of
// others are imported it is passed over, and said to be (imported.ts).

import { concatBytes, fromBase64, toBase64, utf8Decode, utf8Encode } from "./bytes";
import { type Checkpoint, openCheckpoint, parseSize } from "./checkpoint";
import type { Crypto } from "./crypto";
import { checkInclusion, leafHash } from "./merkle";
import { MAX_NOTE, type Note } from "./note";
import { quote, Refusal } from "./refusal";
import type { Vkey } from "./vkey";

const HEADER = "c2sp.org/tlog-proof@v1";
const MAX_HASHES = 63; // one a level of a tree of 2^63 - 1
const MAX_PROOF = MAX_NOTE + 4096; // 63 lines of 45 bytes, header and index fit in 4096

export interface TlogProof {
  readonly index: bigint;
  readonly hashes: readonly Uint8Array[];
  /** The checkpoint note, as it came. */
  readonly checkpoint: Uint8Array;
  /** Only of somebody else's proof: what nothing authenticates. */
  readonly extra?: Uint8Array;
}

export function formatProof(proof: TlogProof): Uint8Array {
  const hashes = proof.hashes.map((hash) => `${toBase64(hash)}\n`).join("");
  return concatBytes([utf8Encode(`${HEADER}\nindex ${proof.index}\n${hashes}\n`), proof.checkpoint]);
}

/** Reads a proof of ours; verifies nothing. Throws as parseForeignProof does, and `proof-extra`. */
export function parseProof(bytes: Uint8Array): TlogProof {
  const proof = parseForeignProof(bytes);
  if (proof.extra === undefined) return proof;
  throw new Refusal("proof-extra", "proof: it has an extra line, which nothing authenticates");
}

/** Reads anybody's proof; verifies nothing. Throws `malformed-proof`, `unsupported-version`, `too-large`. */
export function parseForeignProof(bytes: Uint8Array): TlogProof {
  if (bytes.length > MAX_PROOF) {
    throw new Refusal("too-large", `proof is ${bytes.length} bytes, at most ${MAX_PROOF} are accepted`);
  }
  const text = utf8Decode(bytes);
  if (text === null) throw malformed("it isn't UTF-8");
  const blank = text.indexOf("\n\n");
  if (blank < 0) throw malformed("no empty line comes before the checkpoint");
  const [header = "", ...afterHeader] = text.slice(0, blank).split("\n");
  if (header !== HEADER) {
    if (/^c2sp\.org\/tlog-proof@v[0-9]+$/.test(header)) {
      throw new Refusal(
        "unsupported-version",
        `proof is of version ${quote(header)}, known is ${quote(HEADER)}`,
      );
    }
    throw malformed(`the first line is ${quote(header)}, expected ${quote(HEADER)}`);
  }
  const hasExtra = afterHeader[0]?.startsWith("extra ") === true;
  const extra = hasExtra ? fromBase64(afterHeader[0]!.slice(6)) : undefined;
  if (extra === null) throw malformed("the extra line isn't canonical base64");
  const [second = "", ...lines] = afterHeader.slice(hasExtra ? 1 : 0);
  const index = second.startsWith("index ") ? parseSize(second.slice(6)) : null;
  if (index === null) throw malformed(`the second line is ${quote(second)}, expected an index`);
  const hashes = parseHashes(lines, malformed);
  // What comes before the checkpoint is ASCII by now, so text and bytes count alike.
  return { index, hashes, checkpoint: bytes.slice(blank + 2), ...(extra !== undefined && { extra }) };
}

/** One base64 hash a line, as every proof in a file has them. Throws what `malformed` makes. */
export function parseHashes(lines: readonly string[], malformed: (message: string) => Refusal): Uint8Array[] {
  if (lines.length > MAX_HASHES)
    throw malformed(`it has ${lines.length} hashes, at most ${MAX_HASHES} are possible`);
  return lines.map((line) => {
    const hash = fromBase64(line);
    if (hash === null || hash.length !== 32) throw malformed(`${quote(line)} isn't a hash`);
    return hash;
  });
}

/** Settles that `record` is in the log of this key. Throws what the steps throw. */
export function openProof(
  bytes: Uint8Array,
  record: Uint8Array,
  logKey: Vkey,
  crypto: Crypto,
): { index: bigint; checkpoint: Checkpoint; note: Note } {
  const proof = parseProof(bytes);
  const { checkpoint, note } = openCheckpoint(proof.checkpoint, logKey, crypto);
  checkInclusion(
    leafHash(record, crypto),
    proof.index,
    checkpoint.size,
    proof.hashes,
    checkpoint.root,
    crypto,
  );
  return { index: proof.index, checkpoint, note };
}

function malformed(message: string): Refusal {
  return new Refusal("malformed-proof", `proof: ${message}`);
}
