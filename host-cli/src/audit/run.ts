// An audit, start to end:
//
//   items ──▶ batch ──▶ keys ──▶ store ──┬─ known: its line, at this T ─────┐
//                                        └─ new: judge (threads) ──▶ store ─┴─▶ in order: tally, lines
//
// A few batches are under way at a time, so memory doesn't grow with the fleet; rows come out in the order of the
// input, whichever thread was first. What one device's bytes do is a row of its own; what a file does is
// trouble, and the next file follows.

import { hash } from "node:crypto";
import {
  type AuditContext,
  type AuditRecord,
  type AuditSummary,
  BEFORE_KEY,
  formatAuditLine,
  parseAuditLine,
  placesOf,
} from "@vouch/shared/auditline";
import { MAX_BUNDLE } from "@vouch/shared/bundle";
import { utf8Encode } from "@vouch/shared/bytes";
import { type Context, contextLine, type Row, TIMED, textOfKey } from "@vouch/shared/fleet";
import { contextOf } from "@vouch/shared/fleetform";
import { isoTime } from "@vouch/shared/time";
import type { Word } from "@vouch/shared/verdict";
import { Bundles } from "./evidence";
import { attempt, type Inputs, isReadOnce, placeOf, type Trouble } from "./inputs";
import { Chunks, type Item, isBundle, itemsOf } from "./items";
import { apart, type Judge, type Judged, type Piece, TOOL, tooLong } from "./judge";
import type { Pool } from "./pool";
import { LateRevocations } from "./revoked";
import type { Store } from "./store";
import { startTally, type Tally } from "./tally";

const BATCH = 64;
const BATCH_BYTES = 1024 * 1024;
/** Bytes of release contexts kept at a time; those used longest ago are forgotten. */
const MAX_CONTEXTS = 64 * 1024 * 1024;

export interface Audit {
  readonly judge: Judge;
  readonly pool: Pool;
  readonly store: Store | null;
  /** Believe nothing that the store holds. */
  readonly fresh: boolean;
  readonly inFlight: number;
  /** Lines as they come, for --json; null when nobody wants them. */
  readonly print: ((line: string) => void) | null;
  readonly progress: (bytes: number, records: number) => void;
}

export interface Outcome {
  readonly summary: AuditSummary;
  readonly exceptions: readonly AuditRecord[];
  readonly contexts: readonly AuditContext[];
}

interface Remembered {
  readonly context: Context;
  readonly bytes: number;
}

export async function runAudit(audit: Audit, inputs: Inputs, troubles: readonly Trouble[]): Promise<Outcome> {
  const run = new Run(audit, inputs.evidence.length > 0);
  for (const trouble of troubles) run.tally.trouble(trouble);
  for (const path of inputs.streams) await run.stream(path);
  for (const path of inputs.evidence) await run.evidence(path);
  return run.end();
}

class Run {
  readonly tally: Tally = startTally();
  private readonly contexts = new Map<string, Remembered>();
  /** The one used last, which is the last of them. */
  private touched: Remembered | undefined;
  private contextBytes = 0;
  private batch: Piece[] = [];
  private batchBytes = 0;
  private readonly waiting: Promise<() => Promise<void>>[] = [];
  private readonly places = placesOf(TOOL);
  private readonly chunks = new Chunks();
  private readonly at: string;
  private bytesBefore = 0;
  private records = 0;
  private readonly bundles: Bundles;
  /** Contexts whose line was printed for evidence in files. */
  private readonly told = new Set<string>();
  private readonly late: LateRevocations;
  private isOnce = false;

  constructor(
    private readonly audit: Audit,
    isForEvidence: boolean,
  ) {
    this.at = isoTime(audit.judge.question.at);
    this.bundles = new Bundles(isForEvidence);
    this.late = new LateRevocations(audit.judge.question);
  }

  /** One file. What stops its reading is trouble, after what came before. */
  async stream(path: string): Promise<void> {
    let offset = 0;
    this.isOnce = isReadOnce(path);
    const items = itemsOf(path, this.chunks);
    const name = placeOf(path);
    for (;;) {
      let next: IteratorResult<Item> | undefined;
      attempt(path, this.tally.trouble, () => {
        next = items.next();
      });
      if (next === undefined || next.done === true) break;
      const item = next.value;
      offset = item.offset;
      const busy = this.item(name, item);
      if (busy !== null) await busy; // most items only join the batch
      this.audit.progress(this.bytesBefore + offset, this.records);
    }
    await this.flush();
    this.bytesBefore += offset;
  }

  private item(name: string, { bytes, length, at }: Item): Promise<void> | null {
    const place = `${name}:${at}`;
    if (length > 0 && bytes.length === 0) return this.beyond(place, length);
    if (isBundle(bytes)) return this.bundle(bytes, place);
    this.batch.push({ bytes, place });
    this.batchBytes += bytes.length;
    return this.batch.length >= BATCH || this.batchBytes >= BATCH_BYTES ? this.flush() : null;
  }

  private async beyond(place: string, length: number): Promise<void> {
    await this.flush();
    const row = tooLong(this.audit.judge, place, length, MAX_BUNDLE);
    return this.enqueue(Promise.resolve({ rows: [row], context: null }));
  }

  private async bundle(bytes: Uint8Array, place: string): Promise<void> {
    await this.flush();
    this.bundles.add(bytes);
    this.late.bundle(bytes, this.isOnce);
    if (isContext(bytes) && (await this.remember(bytes))) return;
    await this.enqueue(this.audit.pool.bundle({ bytes: bytes.slice(), place }));
  }

  /** A bundle without devices; false when it isn't one after all. */
  private async remember(bytes: Uint8Array): Promise<boolean> {
    const own = bytes.slice();
    const context = this.audit.judge.context(own);
    if (context === null || context.bundle.devices.length > 0) return false;
    const { digest } = context;
    if (this.contexts.has(digest)) {
      this.touch(digest);
      return true;
    }
    this.audit.pool.context(own);
    this.touched = undefined;
    this.contexts.set(digest, { context, bytes: own.length });
    this.contextBytes += own.length;
    for (const [oldest, { bytes: size }] of this.contexts) {
      if (this.contextBytes <= MAX_CONTEXTS) break;
      this.contexts.delete(oldest);
      this.contextBytes -= size;
      this.audit.judge.forget(oldest);
      this.audit.pool.forget(oldest);
    }
    const line = contextLine(context);
    await this.enqueue(Promise.resolve({ rows: [], context: formatAuditLine(line) }));
    return true;
  }

  private touch(digest: string): Remembered | undefined {
    const known = this.contexts.get(digest);
    if (known === undefined || this.touched === known) return known;
    this.contexts.delete(digest);
    this.contexts.set(digest, known);
    this.touched = known;
    return known;
  }

  /** Sends the batch on its way. */
  private async flush(): Promise<void> {
    if (this.batch.length === 0) return this.chunks.release();
    const batch = this.batch;
    this.batch = [];
    this.batchBytes = 0;
    if (this.audit.store === null || this.audit.fresh) {
      const judged = this.audit.pool.devices(batch);
      this.chunks.release(); // all of the batch is judged, or on its way in memory of its own
      return this.enqueue(judged);
    }
    const keys = batch.map(({ bytes }) => this.keyOf(bytes));
    const found = (await this.audit.store.find(keys)).map((line) => line !== null && this.usable(line));
    const news = batch.filter((_, i) => found[i] === false);
    const judged =
      news.length === 0 ? Promise.resolve({ rows: [], context: null }) : this.audit.pool.devices(news);
    this.chunks.release();
    await this.enqueue(judged, found);
  }

  private keyOf(bytes: Uint8Array): string {
    const { question } = this.audit.judge;
    const context = this.touch(contextOf(bytes) ?? "")?.context ?? null;
    return hash("sha256", textOfKey(context, hash("sha256", bytes, "hex"), question), "hex");
  }

  /** The line as an audit at this T would have written it; false when it must be judged again. */
  private usable(line: string): Hit | false {
    const { at, word } = this.places;
    const isPatched = line.startsWith('patched"', word) && line.startsWith('","word":"', at + this.at.length);
    if (isPatched && !line.includes("DEBUG_OPEN"))
      return {
        line: this.audit.print === null ? "" : this.atT(line),
        word: "patched",
        context: contextIn(line),
        record: null,
      };
    const record = readRecord(line);
    if (record === null) return false;
    if (record.at !== this.at && record.reasons.some(({ code }) => TIMED.has(code))) return false;
    const now = { ...record, at: this.at };
    return { line: formatAuditLine(now), word: record.word, context: record.context, record: now };
  }

  private atT(line: string): string {
    const { at } = this.places;
    return `${line.slice(0, at)}${this.at}${line.slice(at + this.at.length)}`;
  }

  /** Waits for room, and settles in order what is ready. `found`: hits among the batch, false where a judged row belongs. */
  private async enqueue(judged: Promise<Judged>, found?: readonly (Hit | false)[]): Promise<void> {
    const settle = judged.then((done) => () => this.settle(done, found));
    settle.catch(() => {}); // whoever awaits it hears of it
    this.waiting.push(settle);
    while (this.waiting.length > this.audit.inFlight) await this.settleOldest();
  }

  private async settleOldest(): Promise<void> {
    const settle = await this.waiting.shift();
    await settle?.();
  }

  private async settle(
    { rows, context, plain = [] }: Judged,
    found?: readonly (Hit | false)[],
  ): Promise<void> {
    const { store } = this.audit;
    if (context !== null) {
      const line = parseAuditLine(utf8Encode(context));
      if (line.kind !== "context") throw new Error("a context's line is no context");
      const { kind: _, ...told } = line;
      this.tally.context(told);
      this.audit.print?.(context);
      await store?.note(context);
    }
    let next = 0;
    for (const hit of found ?? rows.map(() => false as const)) {
      if (hit === false) this.count(rows[next++] as Row);
      else this.tell(hit, true);
    }
    for (const { context: of, count } of plain) this.tellPlain(of, count);
    if (store === null || rows.length === 0) return;
    // What was looked up is new; devices of bundles weren't.
    const kept = found === undefined ? await store.find(rows.map(({ key }) => key)) : rows.map(() => null);
    const news = rows.filter((_, i) => kept[i] === null);
    if (news.length > 0) await store.add(news);
    const others = this.audit.fresh ? rows.filter(({ line }, i) => this.isOther(kept[i] ?? null, line)) : [];
    if (others.length > 0) await store.replace(others);
  }

  /** Whether the store says otherwise than what was judged; where a line without a key stood makes no difference. */
  private isOther(kept: string | null, line: string): boolean {
    if (kept === null || this.atT(kept) === line) return false;
    const [before, now] = [kept, line].map((text) => {
      const record = readRecord(text);
      return record && formatAuditLine({ ...record, at: this.at, device: "" });
    });
    return before !== now;
  }

  private count({ line, word, context }: Row): void {
    const isPlain = word === "patched" && !line.includes("DEBUG_OPEN");
    this.tell({ line, word, context, record: isPlain ? null : readRecord(line) }, false);
  }

  private tell({ line, word, context, record }: Hit, isReused: boolean): void {
    this.records++;
    this.tally.row(word, context, record, isReused);
    this.audit.print?.(line);
  }

  private tellPlain(context: string | null, count: number): void {
    this.records += count;
    for (let i = 0; i < count; i++) this.tally.row("patched", context, null, false);
  }

  /** Evidence in a file. */
  async evidence(path: string): Promise<void> {
    const done: Judged[] = [];
    attempt(path, this.tally.trouble, () => {
      const { context, row } = this.bundles.judge(path, this.audit.judge.question);
      const isNew = context !== null && !this.told.has(context.context);
      done.push({ ...apart([row]), context: isNew ? formatAuditLine(context) : null });
      if (isNew) this.told.add(context.context);
    });
    for (const judged of done) await this.enqueue(Promise.resolve(judged));
  }

  async end(): Promise<Outcome> {
    while (this.waiting.length > 0) await this.settleOldest();
    if (this.late.trouble !== null) this.tally.trouble(this.late.trouble);
    const { policy, tool } = this.audit.judge.question;
    const summary = this.tally.summary({ at: this.at, policy: policy.digest, tool });
    this.audit.print?.(formatAuditLine(summary));
    await this.audit.store?.note(formatAuditLine(summary));
    return { summary, exceptions: this.tally.exceptions(), contexts: this.tally.contexts };
  }
}

interface Hit {
  readonly line: string;
  readonly word: Word;
  readonly context: string | null;
  /** Read only where a summary needs more of it than the word. */
  readonly record: AuditRecord | null;
}

/** Whether a bundle may be without devices: reading it tells. */
const isContext = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes('"devices":[]');

/** The context of a record line that was read no further: it stands behind key and input, which have one length. */
function contextIn(line: string): string | null {
  const start = BEFORE_KEY.length + `${"0".repeat(64)}","input":"${"0".repeat(64)}"`.length;
  const before = ',"context":"';
  const end = start + before.length;
  return line.startsWith(before, start) ? line.slice(end, end + 64) : null;
}

function readRecord(line: string): AuditRecord | null {
  const read = parseAuditLine(utf8Encode(line));
  if (read.kind !== "record") return null;
  const { kind: _, ...record } = read;
  return record;
}
