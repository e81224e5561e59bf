// Files in an Espruino's Storage, asked for and written through its console.
//
//   state     what firmware, memory and file there are, in one question
//   matches   the device's own hash of each 4096 bytes against ours
//   write     one line of JavaScript a piece, which says whether Storage holds it now
//
// A file that exists is marked erased before the new one is begun: Storage can't
// replace one in a single step. So a write that doesn't end leaves neither, and
// whoever calls this says so.

import { Refusal } from "@vouch/shared/refusal";
import { crc32, type EspruinoSession, literal } from "./espruino";

/** A bare name: what Storage holds in a header and what a packet takes as it is. */
export const MAX_NAME = 28;
const HEADER = 32;
const PIECE = 4096;
const PIECES = 8; // hashes in one answer
const LINE_BYTES = 512;
const LINE_CHARS = 1200;
const LINE_MS = 3000;
const TIDY_MS = 30_000; // Storage may have to tidy up before it writes

/** How a device can tell what it holds. A CRC says that the file arrived, not who wrote it. */
export type Check = "sha256" | "crc32";

export interface StorageState {
  /** The file's length, null when there is none. */
  readonly size: number | null;
  /** Bytes free now, and those of erased files, which Storage reclaims when it needs them. */
  readonly free: number;
  readonly trash: number;
  readonly check: Check | null;
  /** What the console is on: "USB", "Serial1", "Bluetooth"…; "" from firmware that doesn't say. */
  readonly console: string;
}

export async function readState(session: EspruinoSession, name: string): Promise<StorageState> {
  const answer = await session.evaluate(
    `(function(){var s=require("Storage"),f=s.read(${literal(name)}),t=s.getStats?s.getStats():{},h=0;` +
      `try{h=require("crypto").SHA256?2:0}catch(e){}` +
      `if(!h&&E.CRC32)h=1;` +
      `return[f===undefined?-1:f.length,s.getFree(),t.trashBytes|0,h,""+(E.getConsole?E.getConsole():"")]})()`,
    { patienceMs: TIDY_MS / 3 },
  );
  const [size, free, trash, check, console] = Array.isArray(answer) ? answer : [];
  if (![size, free, trash, check].every(Number.isSafeInteger) || typeof console !== "string") {
    throw new Refusal("device-error", "the device describes its Storage in a way we don't know");
  }
  return {
    size: size < 0 ? null : size,
    free,
    trash,
    check: check === 2 ? "sha256" : check === 1 ? "crc32" : null,
    console: console.slice(0, MAX_NAME),
  };
}

/** The most bytes that a file of this name can have. */
export function roomFor({ size, free, trash }: StorageState): number {
  return Math.max(0, free + trash + (size ?? 0) - HEADER);
}

export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Whether Storage holds exactly this file. What differs is asked for twice: the line may have lied. */
export async function matches(
  session: EspruinoSession,
  name: string,
  file: Uint8Array,
  check: Check,
  sha256: Sha256,
): Promise<boolean> {
  const { size } = await readState(session, name);
  if (size !== file.length) return false;
  const digest = (piece: Uint8Array) =>
    check === "sha256" ? Buffer.from(sha256(piece)).toString("hex") : crc32(piece);
  for (let from = 0; from < file.length; from += PIECE * PIECES) {
    const to = Math.min(file.length, from + PIECE * PIECES);
    const ours: unknown[] = [];
    for (let at = from; at < to; at += PIECE) ours.push(digest(file.subarray(at, Math.min(to, at + PIECE))));
    const isSame = async () =>
      JSON.stringify(await session.evaluate(digestsOf(name, from, to, check))) === JSON.stringify(ours);
    if (!(await isSame()) && !(await isSame())) return false;
  }
  return true;
}

function digestsOf(name: string, from: number, to: number, check: Check): string {
  const sha256 =
    `function(s){var u=new Uint8Array(require("crypto").SHA256(s)),h="",i;` +
    `for(i=0;i<u.length;i++)h+=(256+u[i]).toString(16).substr(1);return h}`;
  return (
    `(function(n,f){var r=[],a;for(a=${from};a<${to};a+=${PIECE})` +
    `r.push(f(require("Storage").read(n,a,Math.min(${PIECE},${to}-a))));return r})` +
    `(${literal(name)},${check === "sha256" ? sha256 : "E.CRC32"})`
  );
}

export async function eraseFile(session: EspruinoSession, name: string): Promise<void> {
  await session.evaluate(`(require("Storage").erase(${literal(name)}),1)`, { patienceMs: TIDY_MS });
}

/** Writes the file by lines of JavaScript. False when Storage then holds something else. */
export async function writeLines(
  session: EspruinoSession,
  name: string,
  file: Uint8Array,
  onProgress: (done: number) => void,
): Promise<boolean> {
  await eraseFile(session, name);
  for (let at = 0; at < file.length; ) {
    const data = pieceAt(file, at);
    // May be run twice: a piece that is there is left alone.
    const line =
      `(function(s,n,a){if(s.read(n,a,p.length)!==p)s.write(n,p,a,${file.length});` +
      `return s.read(n,a,p.length)===p})(require("Storage"),${literal(name)},${at})`;
    const patienceMs = at === 0 ? TIDY_MS : LINE_MS;
    if ((await session.evaluate(line, { data, patienceMs })) !== true) return false;
    at += data.length;
    onProgress(at);
  }
  return true;
}

function pieceAt(file: Uint8Array, at: number): Uint8Array {
  const whole = file.subarray(at, at + LINE_BYTES);
  return literal(whole).length <= LINE_CHARS ? whole : file.subarray(at, at + LINE_BYTES / 2);
}
