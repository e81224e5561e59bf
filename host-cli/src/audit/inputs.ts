// Which files an audit reads, in which order:
//
//   *.vouch.json                       bundles: release contexts, or devices with theirs
//   *.jsonl *.fleet *.cborseq, -       fleet files (shared/spec/fleet.md)
//   *.eat                              evidence with its .challenge beside it, for a device of some bundle above
//
// Capitals make no difference. Contexts first, since devices name them; within a kind by name, as given. A file named on the command line
// that has another name is read as a fleet file. In a folder other files are none of ours.

import { readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { besideEvidence, isEvidenceName } from "../beside";
import { subjectOf } from "../exit";
import { fileTrouble } from "../filetrouble";

export interface Trouble {
  readonly file: string;
  readonly code: string;
  readonly message: string;
}

export interface Inputs {
  /** Bundles, then fleet files. */
  readonly streams: readonly string[];
  readonly evidence: readonly string[];
  /** Bytes of the streams, as far as that is known. */
  readonly bytes: number;
}

// A stick that went through other systems brings WARD.JSONL: passed over in silence, its devices would count as none.
const isBundle = (name: string) => /\.vouch\.json$/i.test(name);
const isFleet = (name: string) => /\.(jsonl|fleet|cborseq)$/i.test(name);

/** Finds them. What can't be read is told to `troubled`; the rest goes on. */
export function findInputs(args: readonly string[], troubled: (trouble: Trouble) => void): Inputs {
  const found: string[] = [];
  for (const arg of args) {
    if (arg === "-") found.push(arg);
    else attempt(arg, troubled, () => found.push(...filesOf(arg, troubled)));
  }
  const streams = [...found.filter(isBundle), ...found.filter((f) => !isBundle(f) && !isEvidenceName(f))];
  return {
    streams,
    evidence: found.filter(isEvidenceName),
    bytes: streams.reduce((sum, f) => sum + sizeOf(f), 0),
  };
}

function filesOf(path: string, troubled: (trouble: Trouble) => void): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return namesIn(path, troubled)
    .sort()
    .filter((file) => isRead(file, troubled));
}

/** Folder by folder: one that can't be read hides what is in it, and nothing else. */
function namesIn(folder: string, troubled: (trouble: Trouble) => void, found: string[] = []): string[] {
  attempt(folder, troubled, () => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const { name } = entry;
      const isOurs = !name.startsWith(".") && (isBundle(name) || isEvidenceName(name) || isFleet(name));
      if (entry.isDirectory()) namesIn(join(folder, name), troubled, found);
      else if (isOurs) found.push(join(folder, name));
    }
  });
  return found;
}

/** A pipe in a delivered folder would be waited for without end, and a device read so. What is gone is told by who opens it. */
function isRead(file: string, troubled: (trouble: Trouble) => void): boolean {
  const parts = isEvidenceName(file) ? [file, besideEvidence(file, "challenge")] : [file];
  const kinds = parts.map((part) => statSync(part, { throwIfNoEntry: false }));
  if (kinds[0]?.isDirectory() === true) return false;
  const odd = parts.find((_, i) => kinds[i]?.isFile() === false);
  if (odd === undefined) return true;
  troubled({ file: odd, code: "not-a-file", message: "found a pipe, a device or a folder, expected a file" });
  return false;
}

/** Stdin and pipes. A folder, or nothing at all, is told by who opens it. */
export function isReadOnce(path: string): boolean {
  const found = path === "-" ? null : statSync(path, { throwIfNoEntry: false });
  return found === null || (found !== undefined && !found.isFile() && !found.isDirectory());
}

const sizeOf = (path: string) => (path === "-" ? 0 : (statSync(path, { throwIfNoEntry: false })?.size ?? 0));

/** Runs `work`; a refusal or an error about a file becomes trouble. Anything else is a bug and passes through. */
export function attempt(file: string, troubled: (trouble: Trouble) => void, work: () => void): void {
  try {
    work();
  } catch (error) {
    troubled(troubleOf(file, error));
  }
}

export function troubleOf(path: string, thrown: unknown): Trouble {
  const file = subjectOf(thrown) ?? path; // of evidence, it may be what lies beside it
  const error = fileTrouble(thrown, "unreadable", "can't be read");
  if (isRefusal(error)) return { file, code: error.code, message: error.message };
  if (error instanceof Error && "syscall" in error && "code" in error)
    return { file, code: String(error.code).toLowerCase(), message: error.message };
  throw error;
}

/** How a record without a key is called: the file's own name, and where in it. */
export const placeIn = (file: string, at: number) => `${placeOf(file)}:${at}`;
export const placeOf = (file: string) => (file === "-" ? "stdin" : basename(file));

export const notAFleet = () =>
  new Refusal("unknown-input", "found neither a bundle nor a fleet file", {
    hint: "`vouch inspect` tells what it is",
  });

/** Told and not passed over, or a first line could hide the devices after it. */
export const areResults = () =>
  new Refusal("unknown-input", "found results of an audit, expected evidence", {
    hint: "keep results and stores out of the folder that is audited",
  });
