// vouch stream record: a device's readings into a file, and on to where they are read.
//
//   device ──▶ NAME.vstream ──▶ --to tcp://… mqtt://…        at the bench: the file is the queue
//   tcp://… mqtt://… ──▶ NAME.vstream ──▶ --store postgres://…   --from, at the hospital
//   OLD.vstream ──▶ --to …                                    --from a file: what wasn't delivered yet
//
// What is acknowledged, to the device or to whoever delivers, was flushed before. Started again with the same file, it goes
// on where the file ends; when it was killed makes no difference.

import { existsSync } from "node:fs";
import { fromHex } from "@vouch/shared/bytes";
import { MAX_CHALLENGE, MAX_COMPANION, parseChallenge } from "@vouch/shared/companions";
import type { ReadersFile } from "@vouch/shared/readerkey";
import { quote, Refusal } from "@vouch/shared/refusal";
import { MODE_NAMES } from "@vouch/shared/stream";
import type { Announce } from "@vouch/shared/streambody";
import { type Opener, readerOpener } from "@vouch/shared/streamopen";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { resolvePort } from "../device/find";
import { type LineFlags, lineFlags, linkFrom, openLink } from "../device/link";
import { durationMs } from "../every";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { steadyNow } from "../pace";
import { loadReaderKey } from "../readerfile";
import { readInput } from "../readfiles";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { isAddress } from "../stream/address";
import { Recorder } from "../stream/recorder";
import { type Recording, recordedStream, withRecording } from "../stream/recording";
import { openReadingStore, type ReadingStore } from "../stream/store";
import { readVkey } from "../vkeyfile";
import { enrollersOf, newestAnchored, readEnrolment } from "./attest";
import { readPolicyNow } from "./policy";
import { type DeliveryFlags, openDeliveries, withDeliveryFlags } from "./stream-delivery";
import { RecordDesk } from "./stream-desk";
import { recordDevice, type Sampling, Stopper } from "./stream-device";
import { watchReaders } from "./stream-readers";
import { receiveStream } from "./stream-receive";

/** All waiting for a device together is without end while it records; this is how long it may be away. */
const DEFAULT_TIMEOUT_S = 600;
/** A recording may take years. */
const FOR_EVER_MS = 1e13;

export interface RecordFlags extends SignerOptions, LineFlags, DeliveryFlags {
  output?: string;
  from?: string;
  stream?: Uint8Array;
  log?: string;
  challenge?: string;
  policy?: string;
  enrolment?: string;
  mode?: number;
  reader: string[];
  group?: number[];
  checkpoint: { frames?: number; millis?: number };
  readerKey?: string;
  recorderKey: Uint8Array[];
  store?: string;
  for?: number;
  frames?: number;
  keepRunning?: boolean;
  json?: boolean;
}

export function defineRecord(stream: Command, io: Io): void {
  const command = stream
    .command("record")
    .description("Records a device's readings into a file, delivers recordings, and takes what is delivered.")
    .argument("[PORT]", "the device's port, as --port")
    .option("-o, --output <FILE>", "the recording; one that is there is carried on")
    .option(
      "--from <WHERE>",
      "no device: tcp://, tls://, mqtt:// or mqtts:// to receive from, or a recording to deliver",
    )
    .option("--stream <ID>", "with --from: take only this stream", streamId)
    .option("--log <DIR>", "the log; its newest anchored checkpoint dates the device's evidence")
    .option("--challenge <FILE>", "what dates the evidence, as `vouch attest` writes it, instead of --log")
    .option("--policy <FILE>", "check that the log and the enroller are ones it names")
    .option("--enrolment <FILE>", "the device must sign with the key enrolled here")
    .option("--mode <MODE>", "public, private or restricted (default: by the number of readers)", modeOf)
    .option("--reader <PUBLIC>", "who may read, a reader's public key or its file; repeatable", collect, [])
    .option("--group <INDEXES>", "sample only these groups of sensors: 0,2", groupsOf)
    .option(
      "--checkpoint <EVERY>",
      "have the device sign after so many frames (64) or so long (10s), or both: 64,10s",
      everyOf,
      {},
    )
    .option("--reader-key <FILE>", "show and check what this reader's secret key opens")
    .option(
      "--recorder-key <VKEY>",
      "whose coincidences count, a verifier key or its file; repeatable",
      recorderOf,
      [],
    )
    .option("--store <URL>", "postgres://USER@HOST:PORT/DATABASE: keep checked readings there, too")
    .option("--for <DURATION>", "stop after so long: 30s, 10m, 6h", durationMs)
    .option("--frames <N>", "stop after so many frames", countOf)
    .option("--keep-running", "leave the stream running on the device at the end")
    .option("--json", "print events as JSON lines");
  withDeliveryFlags(command);
  lineFlags(command, DEFAULT_TIMEOUT_S);
  withSigner(command).action(async (port: string | undefined, flags: RecordFlags) => {
    if (flags.from !== undefined && (port !== undefined || flags.port !== undefined))
      throw usage("expected a port or --from, found both");
    const store = flags.store === undefined ? null : await openReadingStore(flags.store, io.env);
    try {
      if (store !== null && flags.output !== undefined) await store.resume(recordedStream(flags.output));
      if (flags.from === undefined) await recordFromDevice(port, flags, store, io);
      else await recordFrom(flags.from, flags, store, io);
    } finally {
      await store?.close();
    }
  });
}

const collect = (text: string, before: string[]): string[] => [...before, text];

const recorderOf = (text: string, before: Uint8Array[]): Uint8Array[] => [
  ...before,
  readVkey(text).publicKey,
];

function streamId(text: string): Uint8Array {
  const id = fromHex(text);
  if (id?.length === 16) return id;
  throw usage(`found ${quote(text)}, expected a stream's id, 32 hexadecimal digits`);
}

function modeOf(text: string): number {
  const mode = MODE_NAMES.indexOf(text);
  if (mode >= 0) return mode;
  throw usage(`found ${quote(text)}, expected ${MODE_NAMES.join(", ")}`);
}

function groupsOf(text: string): number[] {
  const groups = text.split(",");
  if (groups.every((group) => /^[0-7]$/.test(group)) && new Set(groups).size === groups.length)
    return groups.map(Number);
  throw usage(`found ${quote(text)}, expected numbers of groups, 0 to 7, such as 0,2`);
}

function countOf(text: string): number {
  if (/^[1-9][0-9]{0,11}$/.test(text)) return Number(text);
  throw usage(`found ${quote(text)}, expected a number of frames`);
}

function everyOf(text: string): { frames?: number; millis?: number } {
  const every: { frames?: number; millis?: number } = {};
  for (const part of text.split(",")) {
    if (/^[1-9][0-9]{0,4}$/.test(part) && Number(part) <= 65535) every.frames = Number(part);
    else every.millis = durationMs(part, 86_400_000);
  }
  return every;
}

// ---- From a device

const EVERY_FRAMES = 64;
const EVERY_MILLIS = 10_000;

async function recordFromDevice(
  given: string | undefined,
  flags: RecordFlags,
  store: ReadingStore | null,
  io: Io,
): Promise<void> {
  if ((flags.log === undefined) === (flags.challenge === undefined))
    throw usage(
      "expected exactly one of --log DIR and --challenge FILE",
      "a stream begins with evidence, and they date it",
    );
  if (flags.stream !== undefined) throw usage("--stream goes with --from");
  const output = outputOf(flags);
  const policy = flags.policy === undefined ? null : readPolicyNow(flags.policy);
  const challenge = flags.challenge === undefined ? null : readChallenge(flags.challenge);
  const { log } = flags;
  const anchor = challenge ?? about(log ?? "", () => newestAnchored(log ?? "", policy));
  const enrolment =
    flags.enrolment === undefined
      ? null
      : readEnrolment(flags.enrolment, log === undefined ? policy : enrollersOf(log, policy));
  const enrolmentFile = flags.enrolment === undefined ? null : readInput(flags.enrolment, MAX_COMPANION);
  const signer = await recorderSigner(flags, io);
  const port = given ?? (await resolvePort(flags));
  const desk = new RecordDesk(flags, io, {
    path: output,
    enrolment,
    recorders: [...flags.recorderKey, ...(signer === null ? [] : [signer.publicKey])],
    store,
    opener: await openerOf(flags, io),
  });
  await withRecording(output, { take: (item, at) => desk.past(item, at) }, async (recording) => {
    desk.opened(recording);
    const begun = recording.chain?.announce.mode ?? null;
    const readers = watchReaders(output, flags, begun, (text) => desk.say(text));
    const recorder = new Recorder(recording, recording.chain?.announce.publicKey ?? null, {
      crypto: nodeCrypto,
      signer,
      watchers: desk.watchers,
      now: steadyNow,
    });
    const sampling = () => samplingOf(flags, readers.now(), recording);
    sampling(); // refused before anybody waits for a device
    const deliveries = await openDeliveries(flags, recording, io);
    const stopper = new Stopper();
    const stop = () => (flags.keepRunning ? stopper.leave() : stopper.stop());
    const release = desk.watchForEnd(stopper, stop);
    try {
      await about(port, async () => {
        const link = await openLink(port, { ...linkFrom(flags), timeoutMs: FOR_EVER_MS });
        try {
          const ended = await recordDevice(
            {
              link,
              recorder,
              anchor,
              random: challenge?.random ?? null,
              enrolment,
              enrolmentFile,
              sampling,
              patienceMs: flags.timeout * 1000,
              say: (text) => desk.say(text),
              goesOn: flags.to.length > 0 || store !== null,
              async flushed() {
                await desk.stored();
                for (const delivery of deliveries) delivery.wake();
                desk.flushed(recording, deliveries);
                if (desk.isRefuted) stopper.leave();
                if (flags.frames !== undefined && desk.frames >= flags.frames) stop();
              },
            },
            stopper,
            io,
          );
          desk.ended(ended);
        } finally {
          await link.close();
        }
      });
    } finally {
      release();
      await desk.finish(recording, deliveries);
    }
  });
}

/** What the reader's own key opens, when one is named. */
async function openerOf({ readerKey, passphraseFile, key }: RecordFlags, io: Io): Promise<Opener | null> {
  if (readerKey === undefined) return null;
  return readerOpener(
    await loadReaderKey(readerKey, key === undefined ? passphraseFile : undefined, io),
    nodeCrypto,
  );
}

function readChallenge(path: string): ReturnType<typeof parseChallenge> {
  return about(path, () => parseChallenge(readInput(path, MAX_CHALLENGE)));
}

async function recorderSigner(flags: RecordFlags, io: Io): Promise<Signer | null> {
  if (flags.key !== undefined || flags.signerCmd !== undefined) return loadSigner(flags, io);
  if (!io.quiet) io.stderr("no -k: nobody vouches for when readings were taken\n");
  return null;
}

/**
 * What a stream has is what goes on; flags say what a new one gets, and may say the same again. Refuses a readers' file of
 * another mode.
 */
function samplingOf(flags: RecordFlags, { mode, readers }: ReadersFile, recording: Recording): Sampling {
  const { chain } = recording;
  if (chain !== null) refuseOtherSampling(flags, chain.announce);
  if (chain !== null && chain.announce.mode !== mode)
    throw usage(
      `the recording is of a ${MODE_NAMES[chain.announce.mode]} stream, its readers are those of a ${MODE_NAMES[mode]} one`,
    );
  return {
    mode,
    readers: readers.map(({ publicKey }) => publicKey),
    groups: flags.group ?? null,
    everyFrames: chain?.announce.everyFrames ?? flags.checkpoint.frames ?? EVERY_FRAMES,
    everyMillis: chain?.announce.everyMillis ?? flags.checkpoint.millis ?? EVERY_MILLIS,
  };
}

function refuseOtherSampling(
  { group, checkpoint }: RecordFlags,
  { groups, everyFrames, everyMillis }: Announce,
): void {
  // Which they are, the device knows: it is told, and refuses others.
  if (group !== undefined && group.length !== groups.length)
    throw usage(`--group: the stream in the recording has ${groups.length} groups, and goes on with them`);
  const { frames = everyFrames, millis = everyMillis } = checkpoint;
  if (frames !== everyFrames || millis !== everyMillis)
    throw usage(
      `--checkpoint: the stream in the recording is signed after ${everyFrames} frames or ${everyMillis} ms, and goes on so`,
    );
}

// ---- From elsewhere

/** What only a device can be asked, and what a delivery has no use for. Passed over, it would look as if it had been done. */
function refuseIdleFlags(flags: RecordFlags): void {
  const isDelivery = flags.from !== undefined && !isAddress(flags.from);
  const given: [string, boolean, string][] = [
    ["--log", flags.log !== undefined, "a device"],
    ["--challenge", flags.challenge !== undefined, "a device"],
    ["--mode", flags.mode !== undefined, "a device"],
    ["--reader", flags.reader.length > 0, "a device"],
    ["--group", flags.group !== undefined, "a device"],
    ["--checkpoint", Object.keys(flags.checkpoint).length > 0, "a device"],
    ["--keep-running", flags.keepRunning === true, "a device"],
    ["--key", flags.key !== undefined, "a device: who receives vouches for no time"],
    ["--signer-cmd", flags.signerCmd !== undefined, "a device: who receives vouches for no time"],
  ];
  if (isDelivery)
    given.push(
      ["--stream", flags.stream !== undefined, "an address to receive from"],
      ["--policy", flags.policy !== undefined, "what is recorded"],
      ["--enrolment", flags.enrolment !== undefined, "what is recorded"],
      ["--reader-key", flags.readerKey !== undefined, "what is recorded"],
      ["--recorder-key", flags.recorderKey.length > 0, "what is recorded"],
      ["--store", flags.store !== undefined, "what is recorded"],
      ["--for", flags.for !== undefined, "what is recorded"],
      ["--frames", flags.frames !== undefined, "what is recorded"],
    );
  for (const [name, isGiven, what] of given)
    if (isGiven)
      throw usage(`${name} is about ${what}; --from ${isDelivery ? "a recording" : "an address"} takes none`);
  if (flags.policy !== undefined && flags.enrolment === undefined)
    throw usage(
      "--policy goes with --enrolment: where no device is asked, only an enroller is checked by it",
    );
}

async function recordFrom(
  from: string,
  flags: RecordFlags,
  store: ReadingStore | null,
  io: Io,
): Promise<void> {
  refuseIdleFlags(flags);
  const enrolment =
    flags.enrolment === undefined
      ? null
      : readEnrolment(flags.enrolment, flags.policy === undefined ? null : readPolicyNow(flags.policy));
  const desk = new RecordDesk(flags, io, {
    path: isAddress(from) ? outputOf(flags) : null,
    enrolment,
    recorders: flags.recorderKey,
    store,
    opener: await openerOf(flags, io),
  });
  if (isAddress(from)) {
    await withRecording(outputOf(flags), {}, (recording) => receiveStream(from, flags, recording, desk, io));
    return;
  }
  if (flags.output !== undefined)
    throw usage("--from a recording delivers it and takes no -o: nothing is written");
  if (!existsSync(from)) throw new Refusal("not-found", `${from}: no such file or folder`);
  if (flags.to.length === 0) throw usage("--from a recording needs --to, where it is delivered");
  await withRecording(from, {}, async (recording) => {
    const deliveries = await openDeliveries(flags, recording, io);
    await desk.deliver(recording, deliveries);
  });
}

function outputOf(flags: RecordFlags): string {
  if (flags.output !== undefined && flags.output !== "-") return flags.output;
  throw usage(
    "expected -o FILE, the recording",
    "it is read again when recording goes on, so it can't be stdout",
  );
}
