// vouch stream grant, revoke: who reads what of a stream.
//
//   grant FILE --to READER --frames 100-199    what was recorded: keys of those frames, sealed for the reader
//   grant FILE --to READER --next              what will be: the reader is in the next keyload
//   revoke FILE --reader READER                the reader is left out of it
//
// The first asks the owner's key and the recording, nothing of the device. The others change NAME.readers.json; whoever
// records then has the device begin another epoch. What a reader could read stays readable to it: no key is unlearned.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { toHex } from "@vouch/shared/bytes";
import { formatReader, type Reader } from "@vouch/shared/readerkey";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { FRAME_CLOSE, MODE_PUBLIC, readerKid } from "@vouch/shared/stream";
import { type GrantPart, grantPart, sealGrant } from "@vouch/shared/streamgrant";
import { parseFrame } from "@vouch/shared/streamread";
import { Timeline } from "@vouch/shared/streamtime";
import { VstreamReader } from "@vouch/shared/vstream";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { usage } from "../exit";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { changeReaders, loadReaderKey, readersPathOf, readReader } from "../readerfile";
import { readChunks } from "../readfiles";
import { type FrameRange, type OwnedStream, readOwned, readTimes, type Span } from "../streamrange";
import { refuseRefuted } from "../streamverdict";
import { readVkey } from "../vkeyfile";
import { checkFree, writeWhole } from "../writefiles";

interface GrantFlags {
  to: string;
  readerKey?: string;
  passphraseFile?: string;
  frames?: readonly FrameRange[];
  from?: number;
  since?: string;
  until?: string;
  minutes?: number;
  recorderKey?: readonly string[];
  output?: string;
  next?: boolean;
  dryRun?: boolean;
}

/** Parts of a grant: the frames asked for, epoch by epoch. Refuses `grant-range`, `stream-not-reader`. */
export function partsOf(stream: OwnedStream, ranges: readonly FrameRange[]): GrantPart[] {
  const parts: GrantPart[] = [];
  const { epochs, foreign, last } = stream;
  const starts = [...epochs.map(({ seq }) => seq), ...foreign].sort((a, b) => a - b);
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const end = to ?? last;
    if (end < from || end > last)
      throw new Refusal(
        "grant-range",
        `frames ${from} to ${end} were asked for, the recording ends with ${last}`,
      );
    for (const [i, start] of starts.entries()) {
      const stop = (starts[i + 1] ?? last + 1) - 1;
      if (stop < from || start > end) continue;
      const known = epochs.find(({ seq }) => seq === start);
      if (known === undefined)
        throw new Refusal(
          "stream-not-reader",
          `the epoch that begins at frame ${start} has other readers than this key`,
          { hint: "only who reads frames can grant them: --reader-key of the owner" },
        );
      const first = Math.max(from, start);
      parts.push(grantPart(known, first, to === null ? null : Math.min(end, stop), nodeCrypto));
    }
  }
  for (let i = 1; i < parts.length; i++) {
    const [a, b] = [parts[i - 1]!, parts[i]!];
    if (a.epoch > b.epoch) throw usage("the frames overlap: name each once");
    if (a.epoch === b.epoch && (a.kind === "forward" || a.seq + a.keys.length / 32 > b.seq))
      throw usage("the frames overlap: name each once");
  }
  if (parts.length === 0)
    throw new Refusal("grant-range", "no frame of the recording is in what was asked for", {
      hint: "`vouch stream verify` says which frames there are, and when they were received",
    });
  return parts;
}

/** --next is for all that comes: whoever names frames, or a file for them, means something else and less. */
function refuseFrames(flags: GrantFlags): void {
  const { frames = [], from, output, readerKey, passphraseFile } = flags;
  const given: [string, boolean][] = [
    ["--frames", frames.length > 0],
    ["--from", from !== undefined],
    ["--since, --until and --minutes", isTimed(flags)],
    ["--output", output !== undefined],
    ["--reader-key", readerKey !== undefined],
    ["--passphrase-file", passphraseFile !== undefined],
  ];
  for (const [name, isGiven] of given)
    if (isGiven) throw usage(`--next grants all that is recorded from now on, and takes no ${name}`);
}

const isTimed = ({ since, until, minutes }: GrantFlags) =>
  since !== undefined || until !== undefined || minutes !== undefined;

/** The time that flags ask for; `end` is when the recording's last coincidence was. */
function spanOf({ since, until, minutes }: GrantFlags, end: number | null): Span {
  if (end === null)
    throw new Refusal(
      "grant-range",
      "the recording has no coincidence: nothing says when readings were taken",
    );
  const at = (text: string, flag: string) => parseMoment(text, flag) * 1e6;
  const length = minutes === undefined ? null : minutes * 60e6;
  if (since !== undefined && until !== undefined && length !== null)
    throw usage("--minutes goes with --since or --until, not with both");
  if (since !== undefined) {
    const from = at(since, "--since");
    if (until !== undefined) return { since: from, until: at(until, "--until") };
    return { since: from, until: length === null ? Number.POSITIVE_INFINITY : from + length };
  }
  const to = until === undefined ? end : at(until, "--until");
  return { since: length === null ? 0 : to - length, until: to };
}

async function grantFrames(file: string, flags: GrantFlags, reader: Reader, io: Io): Promise<void> {
  const { readerKey, output, frames = [], from } = flags;
  const isDryRun = flags.dryRun === true;
  if (readerKey === undefined)
    throw usage(
      "expected --reader-key FILE, the owner's own key",
      "--next grants what is recorded from now on, and needs none",
    );
  if (output === undefined && !isDryRun) throw usage("expected -o FILE, where the grant is written");
  const asked = [frames.length > 0, from !== undefined, isTimed(flags)].filter(Boolean).length;
  if (asked !== 1) throw usage("expected one of --frames, --from, and a time: --since, --until, --minutes");
  if (file === "-" && isTimed(flags)) throw usage("a time is looked for in a file, not in stdin");
  if (output !== undefined) checkFree(output);
  const owner = await loadReaderKey(readerKey, flags.passphraseFile, io);
  const recorders = (flags.recorderKey ?? []).map((key) => readVkey(key).publicKey);
  const times = isTimed(flags) ? readTimes(file, recorders) : null;
  if (times !== null && recorders.length === 0 && !io.quiet)
    io.stderr("no --recorder-key: times are those of anybody who wrote into the recording\n");
  const span = times === null ? null : spanOf(flags, times.end);
  const stream = readOwned(file, owner, span, times?.times ?? new Timeline());
  refuseRefuted(stream.findings);
  if (stream.unsure > 0 && !io.quiet)
    io.stderr(`${stream.unsure} frames left out: nobody can say within a second when they were taken\n`);
  if (stream.mode === MODE_PUBLIC)
    throw new Refusal("stream-public", "a public stream is readable to all: there is nothing to grant");
  const ranges = span !== null ? stream.ranges : from === undefined ? frames : [{ from, to: null }];
  const parts = partsOf(stream, ranges);
  const secret = new Uint8Array(randomBytes(32));
  const grant = sealGrant({ id: stream.id, parts }, reader.publicKey, secret);
  secret.fill(0);
  if (output !== undefined && !isDryRun) writeWhole(output, grant, { mode: 0o600, overwrite: false });
  const shown = parts.map(({ epoch, seq, kind, keys }) => ({
    epoch,
    from: seq,
    to: kind === "forward" ? null : seq + keys.length / 32 - 1,
  }));
  const kid = toHex(readerKid(reader.publicKey));
  if (io.json) {
    io.stdout(
      `${JSON.stringify({ grant: output ?? null, stream: toHex(stream.id), reader: reader.name, kid, parts: shown })}\n`,
    );
    return;
  }
  for (const part of shown)
    io.stdout(`epoch ${part.epoch}: ${wordsOf(part.from, part.to)}, for ${reader.name}\n`);
  if (!io.quiet)
    io.stderr(
      isDryRun
        ? `nothing is written; a grant would open them with key ${kid} and no other\n`
        : `${output} opens them with key ${kid} and no other; who has it can pass them on\n`,
    );
}

function wordsOf(from: number, to: number | null): string {
  if (to === null) return `frame ${from} and all after it`;
  return from === to ? `frame ${from}` : `frames ${from} to ${to}`;
}

function rangeOf(text: string, before: readonly FrameRange[] = []): FrameRange[] {
  const [, from, to] = /^(0|[1-9][0-9]{0,14})-(0|[1-9][0-9]{0,14})$/.exec(text) ?? [];
  if (from === undefined || Number(to) < Number(from))
    throw usage(`found ${quote(text)}, expected two frames, such as 100-199`);
  return [...before, { from: Number(from), to: Number(to) }];
}

function whole(text: string): number {
  if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) throw usage(`found ${quote(text)}, expected a whole number`);
  return Number(text);
}

export function defineGrant(stream: Command, io: Io): void {
  stream
    .command("grant")
    .description("Grants frames of a recording to a reader; or, with --next, what is recorded from now on.")
    .argument("<file>", "the recording (.vstream), or - for stdin")
    .requiredOption("--to <READER>", "who may read: a line name+kid+key, or a file with it")
    .option("--reader-key <FILE>", "the owner's own key")
    .option("--passphrase-file <FILE>", "read its passphrase from FILE, - is stdin")
    .option("--frames <A-B>", "these frames, and no other (repeatable)", rangeOf)
    .option("--from <A>", "frame A and all after it, to the end of each epoch that is there", whole)
    .option("--since <TIME>", "readings taken from this moment on (2026-01-15T09:00:00Z)")
    .option("--until <TIME>", "readings taken before this moment")
    .option("--minutes <N>", "so long after --since, or before --until or the end", whole)
    .option(
      "--recorder-key <VKEY>",
      "whose coincidences say when readings were taken (repeatable)",
      (key: string, before: readonly string[] = []) => [...before, key],
    )
    .option("--next", "put the reader among those of the next epoch, in NAME.readers.json")
    .option("-o, --output <FILE>", "the grant; never overwritten")
    .option("--dry-run", "say what would be granted, and write nothing")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: GrantFlags) => {
      if (flags.next === true) refuseFrames(flags);
      const reader = readReader(flags.to);
      if (flags.next !== true) return grantFrames(file, flags, reader, io);
      const name = toHex(reader.publicKey);
      const path = readersPathOf(file);
      const next = await changeReaders(path, flags.dryRun === true, ({ readers }) => {
        if (readers.some(({ publicKey }) => toHex(publicKey) === name))
          throw new Refusal("reader-twice", `${reader.name} is among the readers already`);
        return [...readers, reader];
      });
      reportReaders(path, next.readers, flags.dryRun === true, io);
      remarkOnEnd(file, io);
    });
}

export function defineRevoke(stream: Command, io: Io): void {
  stream
    .command("revoke")
    .description("Leaves a reader out of the next epoch's keyload.")
    .argument("<file>", "the recording (.vstream) beside which NAME.readers.json lies, or that file")
    .requiredOption(
      "--reader <READER>",
      "whom: a name or kid in the file, a line name+kid+key, or a file with it",
    )
    .option("--dry-run", "say who would be left, and write nothing")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: { reader: string; dryRun?: boolean }) => {
      const path = readersPathOf(file);
      const isDryRun = flags.dryRun === true;
      const next = await changeReaders(path, isDryRun, ({ readers }) => withoutReader(readers, flags.reader));
      reportReaders(path, next.readers, isDryRun, io);
      if (!io.json && !io.quiet)
        io.stderr("from the next epoch on; what was readable until then stays so, and so does every copy\n");
      remarkOnEnd(file, io);
    });
}

/** A stream that was closed has no next epoch: who changes its readers wanted something else. */
function remarkOnEnd(file: string, io: Io): void {
  if (io.quiet || io.json || !file.endsWith(".vstream") || !existsSync(file)) return;
  if (hasClosed(file))
    io.stderr(
      "but this recording's stream is closed: no epoch comes after, and who reads it stays as it was\n",
    );
}

function hasClosed(path: string): boolean {
  const reader = new VstreamReader();
  let last: number | null = null;
  try {
    readChunks(path, Number.MAX_SAFE_INTEGER, (chunk) => {
      reader.push(chunk, (item) => {
        if (item.kind === "frame") last = parseFrame(item.bytes).type;
      });
    });
  } catch (error) {
    if (!isRefusal(error)) throw error; // damaged: `stream verify` says so
  }
  return last === FRAME_CLOSE;
}

function withoutReader(readers: readonly Reader[], wanted: string): Reader[] {
  const kidOf = (reader: Reader) => toHex(readerKid(reader.publicKey));
  const named = readers.filter((reader) => reader.name === wanted || kidOf(reader) === wanted);
  const key = named.length > 0 ? null : keyOf(wanted, readers);
  const out = key === null ? named : readers.filter(({ publicKey }) => toHex(publicKey) === key);
  if (out.length === 0) throw new Refusal("reader-unknown", `${quote(wanted)} isn't among the readers`);
  if (out.length > 1) throw usage(`${out.length} readers are named ${quote(wanted)}`, "name it by its kid");
  if (out.length === readers.length)
    throw new Refusal("reader-last", "nobody would be left to read the stream", {
      hint: "add another reader first: `vouch stream grant --next`",
    });
  return readers.filter((reader) => reader !== out[0]);
}

/** The key in a line or a file of that name; refuses `reader-unknown` where it is neither. */
function keyOf(wanted: string, readers: readonly Reader[]): string {
  try {
    return toHex(readReader(wanted).publicKey);
  } catch (error) {
    if (!isRefusal(error) || error.code !== "not-found") throw error;
    const names = readers.map(({ name }) => name).join(", ");
    throw new Refusal("reader-unknown", `found ${quote(wanted)}, expected one of the readers: ${names}`, {
      hint: "a grant of what was recorded isn't listed there, and can't be taken back",
    });
  }
}

function reportReaders(path: string, readers: readonly Reader[], isDryRun: boolean, io: Io): void {
  if (io.json) {
    io.stdout(`${JSON.stringify({ file: path, written: !isDryRun, readers: readers.map(formatReader) })}\n`);
    return;
  }
  for (const reader of readers) io.stdout(`${formatReader(reader)}\n`);
}
