// What is remembered of a delivery beside its recording, NAME.vstream.HASH.cursor:
//
//   {"version":"vouch-cursor/v1","to":"mqtt://…","client":"vouch-<random>","stream":"<hex>","taken":8192}
//
// It says how far the other side has taken the recording and by what name it knows us, so that a broker finds the
// session of before. Written now and then: what is sent again for the lack of it comes twice, and counts once.

import { createHash, randomBytes } from "node:crypto";
import { isRefusal } from "@vouch/shared/refusal";
import { readInput } from "../readfiles";
import { writeWhole } from "../writefiles";

const EVERY_MS = 1000;
const FILE_MAX = 4096;

export class Cursor {
  readonly client: string;
  taken = 0;
  private stream = "";
  private written = "";
  private lastMs = Number.NEGATIVE_INFINITY;
  readonly path: string;

  /** `to` is the address as a message has it: nothing secret. A file that isn't a cursor counts as none. */
  constructor(
    recording: string,
    private readonly to: string,
  ) {
    this.path = `${recording}.${createHash("sha256").update(to).digest("hex").slice(0, 8)}.cursor`;
    const found = readCursor(this.path, to);
    this.client = found?.client ?? `vouch-${randomBytes(8).toString("hex")}`;
    this.stream = found?.stream ?? "";
    this.taken = found?.taken ?? 0;
    this.save(); // the name, before anybody is told it
  }

  /** Of another stream nothing is taken yet. */
  begin(stream: string, flushed: number): void {
    if (this.stream !== stream || this.taken > flushed) this.taken = 0;
    this.stream = stream;
  }

  move(taken: number): void {
    this.taken = taken;
    if (performance.now() - this.lastMs >= EVERY_MS) this.save();
  }

  save(): void {
    const { to, client, stream, taken } = this;
    const text = `${JSON.stringify({ version: "vouch-cursor/v1", to, client, stream, taken })}\n`;
    this.lastMs = performance.now();
    if (text === this.written) return;
    writeWhole(this.path, text);
    this.written = text;
  }
}

interface Found {
  client: string;
  stream: string;
  taken: number;
}

function readCursor(path: string, to: string): Found | null {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(Buffer.from(readInput(path, FILE_MAX)).toString("utf8")) as Record<string, unknown>;
  } catch (error) {
    if (error instanceof SyntaxError || (isRefusal(error) && ["not-found", "too-large"].includes(error.code)))
      return null;
    throw error;
  }
  const { client, stream, taken } = value ?? {};
  const fits =
    value?.["version"] === "vouch-cursor/v1" &&
    value["to"] === to &&
    typeof client === "string" &&
    /^vouch-[0-9a-f]{16}$/.test(client) &&
    typeof stream === "string" &&
    typeof taken === "number" &&
    Number.isSafeInteger(taken) &&
    taken >= 0;
  return fits ? { client, stream, taken } : null;
}
