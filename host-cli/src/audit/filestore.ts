// A store in a folder:
//
//   DIR/audit.jsonl   context, record and summary lines, each ended by LF; only ever appended to. Mode 0600
//   DIR/index         which line a key's record is: "vouch-audit-index/v1\n", u64 bytes of audit.jsonl that it
//                     covers, then a table (keytable.ts). Made again from audit.jsonl when it is missing or odd
//   DIR/.lock         who writes (lock.ts)
//
// A kill may cut the last line: it is cut off when the store is opened next, and judged again. Lines reach the disk
// when the store is closed; what a power cut takes before that is judged again, too. The index is a hint: a record
// counts when its line holds the whole key.

import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { BEFORE_KEY } from "@vouch/shared/auditline";
import { Refusal } from "@vouch/shared/refusal";
import { about } from "../exit";
import { fileTrouble } from "../filetrouble";
import { takeLock } from "../lock";
import { writeWhole } from "../writefiles";
import { KeyTable, LONG_LINE, type Place } from "./keytable";
import type { Kept, Store } from "./store";

const LOCK_TIMEOUT_MS = 30_000;
const INDEX_HEAD = Buffer.from("vouch-audit-index/v1\n");
const CHUNK = 256 * 1024;
const MAX_LINE = 2 * 1024 * 1024;
const LINES_ROOM = 512 * 1024;
const LF = 0x0a;
const KEY_START = BEFORE_KEY.length;
const KEY_END = KEY_START + 64;

export async function openFileStore(folder: string, told: (remark: string) => void): Promise<Store> {
  return about(folder, async () => {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw fileTrouble(error, "unwritable", "can't be made");
    }
    const unlock = await takeLock(join(folder, ".lock"), LOCK_TIMEOUT_MS);
    try {
      return new FileStore(folder, unlock, told);
    } catch (error) {
      unlock();
      throw error;
    }
  });
}

class FileStore implements Store {
  private readonly fd: number;
  private readonly table: KeyTable;
  private size: number;
  private readonly window: Window;
  private lines: Buffer | null = null;

  constructor(
    private readonly folder: string,
    private readonly unlock: () => void,
    told: (remark: string) => void,
  ) {
    this.fd = openSync(join(folder, "audit.jsonl"), "a+", 0o600);
    this.size = fstatSync(this.fd).size;
    const whole = endOfLastLine(this.fd, this.size);
    if (whole < this.size) {
      told(
        `the last line of ${join(folder, "audit.jsonl")} was cut short by ${this.size - whole} bytes; it is judged again`,
      );
      ftruncateSync(this.fd, whole);
      this.size = whole;
    }
    const { table, covered } = readIndex(join(folder, "index"), this.size);
    this.table = table;
    this.window = new Window(this.fd);
    indexLines(this.fd, covered, this.size, table);
  }

  async find(keys: readonly string[]): Promise<(string | null)[]> {
    return keys.map((key) => {
      const place = this.table.find(key);
      const line = place && this.window.line(place, this.size);
      return line?.startsWith(BEFORE_KEY) && line.slice(KEY_START, KEY_END) === key ? line : null;
    });
  }

  async add(records: readonly Kept[]): Promise<void> {
    const lengths = records.map(({ line }) => Buffer.byteLength(line));
    const bytes = this.room(lengths.reduce((sum, length) => sum + length + 1, 0));
    let at = 0;
    const places = records.map(({ line }, i) => {
      const place = { offset: this.size + at, length: lengths[i] as number };
      at += bytes.write(line, at);
      at = bytes.writeUInt8(LF, at);
      return place;
    });
    this.append(bytes);
    records.forEach(({ key }, i) => {
      this.table.set(key, places[i] as Place);
    });
  }

  /** The later line of two counts. */
  replace(records: readonly Kept[]): Promise<void> {
    return this.add(records);
  }

  /** Memory for a batch of lines, the same for each: a new one each time is garbage that a collector takes long to notice. */
  private room(length: number): Buffer {
    if (length > LINES_ROOM) return Buffer.allocUnsafe(length);
    this.lines ??= Buffer.allocUnsafeSlow(LINES_ROOM);
    return this.lines.subarray(0, length);
  }

  async note(line: string): Promise<void> {
    this.append(Buffer.from(`${line}\n`));
  }

  private append(bytes: Buffer): void {
    about(this.folder, () => {
      for (let at = 0; at < bytes.length; ) at += writeSync(this.fd, bytes, at);
    });
    this.size += bytes.length;
  }

  async close(): Promise<void> {
    try {
      fsyncSync(this.fd);
      const head = Buffer.alloc(8);
      head.writeBigUInt64BE(BigInt(this.size));
      writeWhole(join(this.folder, "index"), Buffer.concat([INDEX_HEAD, head, this.table.bytes]), {
        mode: 0o600,
      });
    } finally {
      closeSync(this.fd);
      this.unlock();
    }
  }
}

/** Bytes up to the last LF. */
function endOfLastLine(fd: number, size: number): number {
  const buffer = Buffer.alloc(CHUNK);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - CHUNK);
    const count = readSync(fd, buffer, 0, end - start, start);
    const found = buffer.subarray(0, count).lastIndexOf(LF);
    if (found >= 0) return start + found + 1;
    end = start;
  }
  return 0;
}

function readIndex(path: string, size: number): { table: KeyTable; covered: number } {
  const nothing = { table: KeyTable.empty(), covered: 0 };
  if (!existsSync(path)) return nothing;
  const bytes = readFileSync(path);
  const start = INDEX_HEAD.length + 8;
  if (bytes.length < start || !bytes.subarray(0, INDEX_HEAD.length).equals(INDEX_HEAD)) return nothing;
  const covered = Number(bytes.readBigUInt64BE(INDEX_HEAD.length));
  const table = KeyTable.from(bytes.subarray(start));
  return table === null || covered > size ? nothing : { table, covered };
}

/** Takes note of the records from `from` on. A line that is no record is passed over. */
function indexLines(fd: number, from: number, size: number, table: KeyTable): void {
  const buffer = Buffer.allocUnsafe(MAX_LINE + CHUNK);
  let held = 0; // bytes of an unfinished line, at the buffer's start
  for (let at = from; at < size; ) {
    const count = readSync(fd, buffer, held, Math.min(CHUNK, size - at), at);
    if (count === 0) break;
    const start = at - held;
    const end = held + count;
    at += count;
    let line = 0;
    for (let lf = buffer.indexOf(LF, line); lf >= 0 && lf < end; lf = buffer.indexOf(LF, line)) {
      takeLine(buffer, line, lf, start, table);
      line = lf + 1;
    }
    held = end - line;
    if (held > MAX_LINE)
      throw new Refusal("malformed-store", "the store holds a line longer than any of an audit");
    buffer.copy(buffer, 0, line, end);
  }
}

function takeLine(buffer: Buffer, line: number, lf: number, start: number, table: KeyTable): void {
  if (lf - line < KEY_END || buffer.toString("latin1", line, line + KEY_START) !== BEFORE_KEY) return;
  const key = buffer.toString("latin1", line + KEY_START, line + KEY_END);
  if (/^[0-9a-f]{64}$/.test(key)) table.set(key, { offset: start + line, length: lf - line });
}

/** Reads lines by place. Places near one another, as an audit asks for them, share one read. */
class Window {
  private readonly buffer = Buffer.allocUnsafe(CHUNK);
  private start = 0;
  private end = 0;

  constructor(private readonly fd: number) {}

  line({ offset, length }: Place, size: number): string | null {
    if (offset + length > size) return null;
    if (length === LONG_LINE) return longLine(this.fd, offset);
    const isNear = offset >= this.start && offset < this.end + CHUNK;
    if (offset < this.start || offset + length > this.end) {
      this.start = offset;
      this.end = offset + readSync(this.fd, this.buffer, 0, isNear ? CHUNK : length, offset);
    }
    if (offset + length > this.end) return null;
    return this.buffer.toString("utf8", offset - this.start, offset - this.start + length);
  }
}

function longLine(fd: number, offset: number): string | null {
  const buffer = Buffer.alloc(MAX_LINE);
  const found = buffer.subarray(0, readSync(fd, buffer, 0, MAX_LINE, offset)).indexOf(LF);
  return found < 0 ? null : buffer.toString("utf8", 0, found);
}
