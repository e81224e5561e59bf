// A consistency proof as a file: that a log of `old` records is the beginning of the one a checkpoint states.
// C2SP tlog-witness v1.0.0, the body of add-checkpoint; as a file it can be carried to a witness without a network.
//
//   old 20852014                                     size of the earlier checkpoint
//   PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=     one base64 hash a line, RFC 6962 order, at most 63
//   jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
//                                                    an empty line
//   example.org/firmware-log                         the checkpoint note, verbatim
//   …

import { concatBytes, toBase64, utf8Decode, utf8Encode } from "./bytes";
import { parseSize } from "./checkpoint";
import { MAX_NOTE } from "./note";
import { parseHashes } from "./proof";
import { quote, Refusal } from "./refusal";

export const MAX_CONSISTENCY = MAX_NOTE + 4096; // 63 lines of 45 bytes and the size fit in 4096

export interface ConsistencyFile {
  readonly old: bigint;
  readonly hashes: readonly Uint8Array[];
  /** The checkpoint note, as it came. */
  readonly checkpoint: Uint8Array;
}

export function formatConsistency({ old, hashes, checkpoint }: ConsistencyFile): Uint8Array {
  const lines = hashes.map((hash) => `${toBase64(hash)}\n`).join("");
  return concatBytes([utf8Encode(`old ${old}\n${lines}\n`), checkpoint]);
}

/** Reads a proof; verifies nothing. Throws `malformed-proof`, `too-large`. */
export function parseConsistency(bytes: Uint8Array): ConsistencyFile {
  if (bytes.length > MAX_CONSISTENCY) {
    throw new Refusal(
      "too-large",
      `consistency proof is ${bytes.length} bytes, at most ${MAX_CONSISTENCY} are accepted`,
    );
  }
  const text = utf8Decode(bytes);
  if (text === null) throw malformed("it isn't UTF-8");
  const blank = text.indexOf("\n\n");
  if (blank < 0) throw malformed("no empty line comes before the checkpoint");
  const [first = "", ...lines] = text.slice(0, blank).split("\n");
  const old = first.startsWith("old ") ? parseSize(first.slice(4)) : null;
  if (old === null) throw malformed(`the first line is ${quote(first)}, expected "old" and a size`);
  const hashes = parseHashes(lines, malformed);
  // What comes before the checkpoint is ASCII by now, so text and bytes count alike.
  return { old, hashes, checkpoint: bytes.slice(blank + 2) };
}

const malformed = (message: string) => new Refusal("malformed-proof", `consistency proof: ${message}`);
