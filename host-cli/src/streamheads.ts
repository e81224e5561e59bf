// Heads of streams that an earlier run saw, in a file: against an older recording, or another one, shown later.
//
//   {"version":"vouch-stream-heads/v2","heads":[{"stream":hex,"seq":1204,"link":hex,"after":[hex,…]},…]}
//
// One a stream, its last signed frame; ascending by stream. A head only ever rises: what was refuted leaves it as it is.
// `after` has the streams that came right before this one in a recording, ascending, and only where there are any: without
// them a recording that is cut between two streams is two good ones. It only ever grows. Without any it is written as v1,
// which had none; a vouch that knows v1 alone would leave them out when it writes, and so refuses v2.

import { existsSync } from "node:fs";
import { equalBytes, fromHex, toHex } from "@vouch/shared/bytes";
import { formatJson, parseJson } from "@vouch/shared/json";
import { Refusal } from "@vouch/shared/refusal";
import type { KnownHead, ProvedNote } from "@vouch/shared/streamcheck";
import { about } from "./exit";
import { withFileLock } from "./lock";
import { readInput } from "./readfiles";
import { writeWhole } from "./writefiles";

const ALONE = "vouch-stream-heads/v1";
const TOGETHER = "vouch-stream-heads/v2";
const MAX_HEADS = 16 * 1024 * 1024;
const LOCK_MS = 10_000;

/** Streams of one recording that are kept: more boots than that aren't judged, and stay unproven. */
const STREAMS_MAX = 16384;

export interface SeenHead {
  readonly id: Uint8Array;
  readonly seq: number;
  readonly link: Uint8Array;
  /** Streams that came right before it in a recording. */
  readonly after: readonly Uint8Array[];
}

/** The heads of a recording's streams, as they go by. */
export class PassingHeads {
  readonly heads = new Map<string, SeenHead>();
  private before: Uint8Array | null = null;

  proved({ id, to: seq, link }: Pick<ProvedNote, "id" | "to" | "link">): void {
    const name = toHex(id);
    const known = this.heads.get(name);
    if (known === undefined && this.heads.size === STREAMS_MAX) return;
    const after = known?.after ?? (this.before === null ? [] : [this.before]);
    this.heads.set(name, { id, seq, link, after });
    this.before = known === undefined ? id : this.before;
  }
}

/** Refuses `malformed-heads`, and as parseJson. */
export function parseHeads(file: Uint8Array): SeenHead[] {
  const malformed = () => new Refusal("malformed-heads", "found no file of heads of streams");
  const idOf = (text: unknown) => {
    const id = typeof text === "string" ? fromHex(text) : null;
    if (id?.length !== 16) throw malformed();
    return id;
  };
  const json = parseJson(file, "heads", MAX_HEADS) as { version?: unknown; heads?: unknown } | null;
  if ((json?.version !== ALONE && json?.version !== TOGETHER) || !Array.isArray(json.heads))
    throw malformed();
  return json.heads.map((head: { [key: string]: unknown } | null) => {
    const { stream, seq, link: linkHex, after = [] } = head ?? {};
    const link = typeof linkHex === "string" ? fromHex(linkHex) : null;
    if (link?.length !== 32 || !Number.isSafeInteger(seq) || Number(seq) < 0 || !Array.isArray(after))
      throw malformed();
    return { id: idOf(stream), seq: Number(seq), link, after: after.map(idOf) };
  });
}

/** None when there is no such file yet. */
export function readHeads(path: string): (SeenHead & KnownHead)[] {
  if (!existsSync(path)) return [];
  return about(path, () =>
    parseHeads(readInput(path, MAX_HEADS)).map((head) => ({ ...head, from: "state" as const })),
  );
}

/** Puts heads among those in the file; a later one of a stream that is there stays, and so does what it came after. */
export function keepHeads(path: string, passed: Iterable<SeenHead>): Promise<void> {
  return withFileLock(path, LOCK_MS, async () => {
    const byStream = new Map(readHeads(path).map((known) => [toHex(known.id), known as SeenHead]));
    let isNew = false;
    for (const head of passed) {
      const name = toHex(head.id);
      const known = byStream.get(name);
      const added = head.after.filter((id) => known?.after.some((other) => equalBytes(other, id)) !== true);
      if (known !== undefined && known.seq >= head.seq && added.length === 0) continue;
      const last = known !== undefined && known.seq >= head.seq ? known : head;
      byStream.set(name, { ...last, after: [...(known?.after ?? []), ...added] });
      isNew = true;
    }
    if (!isNew) return;
    const bytes = formatHeads(byStream);
    if (bytes.length > MAX_HEADS)
      throw new Refusal("too-large", `${path}: heads of ${byStream.size} streams are more than it may hold`, {
        hint: "keep another state for other devices",
      });
    writeWhole(path, bytes, { mode: 0o600 });
  });
}

function formatHeads(byStream: ReadonlyMap<string, SeenHead>): Uint8Array {
  const heads = [...byStream.keys()].sort().map((stream) => {
    const { seq, link, after } = byStream.get(stream)!;
    const head = { stream, seq, link: toHex(link) };
    return after.length === 0 ? head : { ...head, after: after.map(toHex).sort() };
  });
  const version = heads.some((head) => "after" in head) ? TOGETHER : ALONE;
  return formatJson({ version, heads });
}
