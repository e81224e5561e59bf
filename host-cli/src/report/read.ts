// Results of audits, from files of lines, stores in folders and stdin, for a report.
//
//   results.jsonl   what `vouch audit --json` printed
//   DIR             a store: DIR/audit.jsonl. Its last line may be cut by a kill, and is then left out
//
// Only what fits in memory: a report is read by people.

import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { MAX_AUDIT_LINE, parseAuditLine } from "@vouch/shared/auditline";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { Gathering } from "@vouch/shared/report";
import { about } from "../exit";
import { readChunks } from "../files";

const MAX_BYTES = 512 * 1024 * 1024;
const MAX_LINES = 300_000;
const LF = 0x0a;

/** Refuses as readChunks and parseAuditLine, and `too-large`. */
export function gather(paths: readonly string[]): Gathering {
  const gathering = new Gathering();
  const room = { lines: MAX_LINES, bytes: MAX_BYTES };
  for (const path of paths) readResults(path, room, gathering);
  return gathering;
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
  const lines = new Lines(file === "-" ? "stdin" : file, room.lines, gathering);
  readChunks(file, room.bytes, (chunk) => {
    room.bytes -= chunk.length;
    hash.update(chunk);
    lines.take(chunk);
  });
  lines.end(isStore);
  const name = file === "-" ? "stdin" : isStore ? `${basename(path)}/audit.jsonl` : basename(path);
  gathering.source({ name, sha256: hash.digest("hex"), lines: lines.count }, !isStore);
  room.lines -= lines.count;
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
        throw new Refusal("too-large", `more than ${MAX_LINES} lines of results, which no report can show`);
      this.gathering.line(parseAuditLine(bytes));
    });
  }
}
