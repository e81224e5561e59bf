// Heads of streams that an earlier run saw, in a file: against an older recording, or another one, shown later.
//
//   {"version":"vouch-stream-heads/v1","heads":[{"stream":hex,"seq":1204,"link":hex},…]}
//
// One a stream, its last signed frame; ascending by stream. A head only ever rises: what was refuted leaves it as it is.

import { existsSync } from "node:fs";
import { fromHex, toHex } from "@vouch/shared/bytes";
import { formatJson, parseJson } from "@vouch/shared/json";
import { Refusal } from "@vouch/shared/refusal";
import type { KnownHead } from "@vouch/shared/streamcheck";
import { about } from "./exit";
import { readInput, writeWhole } from "./files";
import { withFileLock } from "./lock";

const VERSION = "vouch-stream-heads/v1";
const MAX_HEADS = 16 * 1024 * 1024;
const LOCK_MS = 10_000;

export interface SeenHead {
  readonly id: Uint8Array;
  readonly seq: number;
  readonly link: Uint8Array;
}

/** Refuses `malformed-heads`, and as parseJson. */
export function parseHeads(file: Uint8Array): SeenHead[] {
  const malformed = () => new Refusal("malformed-heads", "found no file of heads of streams");
  const json = parseJson(file, "heads", MAX_HEADS) as { version?: unknown; heads?: unknown } | null;
  if (json?.version !== VERSION || !Array.isArray(json.heads)) throw malformed();
  return json.heads.map((head: { stream?: unknown; seq?: unknown; link?: unknown }) => {
    const id = typeof head?.stream === "string" ? fromHex(head.stream) : null;
    const link = typeof head?.link === "string" ? fromHex(head.link) : null;
    if (id?.length !== 16 || link?.length !== 32 || !Number.isSafeInteger(head.seq)) throw malformed();
    return { id, seq: head.seq as number, link };
  });
}

/** None when there is no such file yet. */
export function readHeads(path: string): KnownHead[] {
  if (!existsSync(path)) return [];
  return about(path, () =>
    parseHeads(readInput(path, MAX_HEADS)).map((head) => ({ ...head, from: "state" as const })),
  );
}

/** Puts a head among those in the file, unless a later one of its stream is there. */
export function keepHead(path: string, head: SeenHead): Promise<void> {
  return withFileLock(path, LOCK_MS, async () => {
    const byStream = new Map(readHeads(path).map((known) => [toHex(known.id), known as SeenHead]));
    const name = toHex(head.id);
    if ((byStream.get(name)?.seq ?? -1) >= head.seq) return;
    byStream.set(name, head);
    const heads = [...byStream.keys()].sort().map((stream) => {
      const { seq, link } = byStream.get(stream)!;
      return { stream, seq, link: toHex(link) };
    });
    writeWhole(path, formatJson({ version: VERSION, heads }), { mode: 0o600 });
  });
}
