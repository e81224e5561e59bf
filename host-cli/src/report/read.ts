// Results of audits, from files of lines, stores in folders and stdin, for a report.
//
//   results.jsonl   what `vouch audit --json` printed
//   DIR             a store: DIR/audit.jsonl. Its last line may be cut by a kill, and is then left out
//   postgres://…    a store: its lines, which the command has read (audit/postgres.ts)
//
// Only what fits in memory: a report is read by people.

import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type AuditLine, MAX_AUDIT_LINE, parseAuditLine } from "@vouch/shared/auditline";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { Gathering } from "@vouch/shared/report";
import { about } from "../exit";
import { readChunks } from "../readfiles";
import { DATABASE, STDIN } from "./wording";

/** What a report may be made of. */
export const MOST = { lines: 300_000, bytes: 512 * 1024 * 1024 };
const LF = 0x0a;
const HOW = "`vouch audit --json` writes what a report is made of";

/** Refuses as readChunks and parseAuditLine, and `too-large`. `databases`: the lines of those among the paths. */
export function gather(
  paths: readonly string[],
  databases: ReadonlyMap<string, readonly string[]> = new Map(),
): Gathering {
  const gathering = new Gathering();
  const room = { ...MOST };
  for (const path of paths) {
    const lines = databases.get(path);
    if (lines === undefined) readResults(path, room, gathering);
    else readDatabase(lines, room, gathering);
  }
  return gathering;
}

function readDatabase(stored: readonly string[], room: Room, gathering: Gathering): void {
  const hash = createHash("sha256");
  const lines = new Lines(DATABASE, room.lines, gathering);
  for (const line of stored) {
    const bytes = Buffer.from(`${line}\n`);
    room.bytes -= bytes.length;
    hash.update(bytes);
    lines.take(bytes);
  }
  if (room.bytes < 0) throw new Refusal("too-large", `more than ${MOST.bytes} bytes of results`);
  lines.end(true);
  gathering.source({ name: DATABASE, sha256: hash.digest("hex"), lines: lines.count }, false);
  room.lines -= lines.count;
}

/** What may still be read. */
interface Room {
  lines: number;
  bytes: number;
}

function readResults(path: string, room: Room, gathering: Gathering): void {
  const isStore = path !== "-" && statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  const file = isStore ? join(path, "audit.jsonl") : path;
  const hash = createHash("sha256");
  const lines = new Lines(file === "-" ? STDIN : file, room.lines, gathering);
  if (isStore && !existsSync(file))
    throw new Refusal("not-found", `${path}: found a folder without audit.jsonl, expected an audit's store`, {
      hint: HOW,
    });
  readChunks(file, room.bytes, (chunk) => {
    room.bytes -= chunk.length;
    hash.update(chunk);
    lines.take(chunk);
  });
  lines.end(isStore);
  const name = file === "-" ? STDIN : isStore ? `${basename(path)}/audit.jsonl` : basename(path);
  gathering.source({ name, sha256: hash.digest("hex"), lines: lines.count }, !isStore);
  room.lines -= lines.count;
}

/** As parseAuditLine. Who names another file, the evidence itself for one, is told which one is meant. */
function firstLine(bytes: Uint8Array): AuditLine {
  try {
    return parseAuditLine(bytes);
  } catch (error) {
    if (!isRefusal(error) || error.code === "unsupported-version" || error.hint !== undefined) throw error;
    throw new Refusal(error.code, error.message, { cause: error, hint: HOW });
  }
}

/** Cuts bytes into lines. */
class Lines {
  count = 0;
  private rest: Buffer[] = [];
  private held = 0;

  constructor(
    private readonly file: string,
    private readonly room: number,
    private readonly gathering: Gathering,
  ) {}

  take(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    let start = 0;
    for (let lf = bytes.indexOf(LF); lf >= 0; lf = bytes.indexOf(LF, start)) {
      this.line(Buffer.concat([...this.rest, bytes.subarray(start, lf)]));
      this.rest = [];
      this.held = 0;
      start = lf + 1;
    }
    if (start === bytes.length) return;
    this.rest.push(Buffer.from(bytes.subarray(start)));
    this.held += bytes.length - start;
    if (this.held > MAX_AUDIT_LINE) this.line(Buffer.concat(this.rest)); // refused as too large
  }

  /** A store's last line may be one that nobody finished. */
  end(isStore: boolean): void {
    if (this.held === 0) return;
    try {
      this.line(Buffer.concat(this.rest));
    } catch (error) {
      if (!isStore || !isRefusal(error)) throw error;
      this.count--;
    }
  }

  private line(bytes: Uint8Array): void {
    this.count++;
    about(`${this.file}:${this.count}`, () => {
      if (this.count > this.room)
        throw new Refusal("too-large", `more than ${MOST.lines} lines of results, which no report can show`);
      this.gathering.line(this.count === 1 ? firstLine(bytes) : parseAuditLine(bytes));
    });
  }
}
