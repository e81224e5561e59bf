// Who may read a stream that is recorded: NAME.readers.json beside NAME.vstream, which `vouch stream grant` and `revoke`
// change. A recorder that runs looks at it with each round, and a change is another epoch at once.
//
//   no file     --mode and --reader say who, and the file is written
//   a file      it says who; flags that say otherwise are refused, since they would undo a grant or, worse, a revocation

import { statSync } from "node:fs";
import { toHex } from "@vouch/shared/bytes";
import {
  checkReaders,
  formatReadersFile,
  MAX_READERS_FILE,
  parseReadersFile,
  type ReadersFile,
} from "@vouch/shared/readerkey";
import { isRefusal } from "@vouch/shared/refusal";
import { MODE_NAMES, MODE_RESTRICTED } from "@vouch/shared/stream";
import { about, usage } from "../exit";
import { readersPathOf, readReader } from "../readerfile";
import { readInput } from "../readfiles";
import { writeWhole } from "../writefiles";

export interface WatchedReaders {
  readonly path: string;
  /** As the file has them now. */
  now(): ReadersFile;
}

export interface ReaderFlags {
  mode?: number;
  reader: readonly string[];
}

/**
 * `begun` is the mode of the stream in the recording, null before there is one. Refuses `usage`, and what the file or a
 * reader's key is refused for; a file that would not fit the stream isn't written.
 */
export function watchReaders(
  recording: string,
  flags: ReaderFlags,
  begun: number | null,
  say: (text: string) => void,
): WatchedReaders {
  const path = readersPathOf(recording);
  const readers = flags.reader.map(readReader);
  const wanted = { mode: flags.mode ?? Math.min(readers.length, MODE_RESTRICTED), readers };
  let seen = stampOf(path); // before it is read or made: a change in between is seen later
  let current = readFile(path);
  if (current === null) {
    if (begun !== null && begun !== wanted.mode)
      throw usage(
        `${path} is missing, and the recording is of a ${MODE_NAMES[begun]} stream, not a ${MODE_NAMES[wanted.mode]} one`,
        "put that file back beside the recording, or name with --mode and --reader who reads from here on",
      );
    checkReaders(wanted);
    writeWhole(path, formatReadersFile(wanted), { overwrite: false });
    current = wanted;
  } else if (isOther(flags, wanted, current)) {
    throw usage(
      `${path} says who reads this stream, and --mode or --reader says otherwise`,
      begun === null
        ? "no stream is begun yet: without that file, the flags say who reads"
        : "`vouch stream grant` and `vouch stream revoke` change it",
    );
  }
  let known = current;
  return {
    path,
    now() {
      const stamp = stampOf(path);
      if (stamp === seen) return known;
      seen = stamp;
      try {
        const next = readFile(path);
        if (next?.mode === known.mode) known = next;
        else say(`${path} is ${next === null ? "gone" : "of another mode"}; the readers stay as they were`);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        say(`${path}: ${error.message}; the readers stay as they were [${error.code}]`);
      }
      return known;
    },
  };
}

function readFile(path: string): ReadersFile | null {
  try {
    return about(path, () => parseReadersFile(readInput(path, MAX_READERS_FILE)));
  } catch (error) {
    if (isRefusal(error) && error.code === "not-found") return null;
    throw error;
  }
}

function isOther(flags: ReaderFlags, wanted: ReadersFile, current: ReadersFile): boolean {
  if (flags.mode !== undefined && flags.mode !== current.mode) return true;
  const keys = ({ readers }: ReadersFile) => readers.map(({ publicKey }) => toHex(publicKey)).sort();
  return flags.reader.length > 0 && keys(wanted).join() !== keys(current).join();
}

/** Changes when the file does: it is replaced whole. */
function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? "" : `${stat.ino} ${stat.mtimeMs} ${stat.size}`;
}
