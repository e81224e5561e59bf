// vouch stream verify FILE: whether readings are the device's, which software took them, and what is missing.
//
//   recording ─▶ chain, signatures     shared/src/streamcheck.ts
//             ─▶ whose key             --device-key, --enrolment or the recording's, by the policy's enrollers
//             ─▶ each boot's evidence  --bundle, by the policy: shared/src/streamjudge.ts
//             ─▶ heads seen before     --state; --anchor, by the log and its ledger
//
// The verdict is the worst of them. What nobody asked about is said and doesn't count.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { MAX_COMPANION } from "@vouch/shared/companions";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal } from "@vouch/shared/refusal";
import type { EnrolmentStatement } from "@vouch/shared/statement";
import type { Announce } from "@vouch/shared/streambody";
import {
  type BootNote,
  type CheckOptions,
  type Coincidence,
  StreamChecker,
  type StreamEvents,
} from "@vouch/shared/streamcheck";
import { grantOpener, MAX_GRANT, openGrant } from "@vouch/shared/streamgrant";
import { type BootAsked, judgeBoot } from "@vouch/shared/streamjudge";
import { type Opener, readerOpener } from "@vouch/shared/streamopen";
import { STREAM_REASONS, type StreamCode, type StreamFinding } from "@vouch/shared/streamreasons";
import { EXIT_STATUS } from "@vouch/shared/verdict";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { openEnrolment } from "../enrolment";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { mldsaOnDemand } from "../mldsa";
import { parseMoment } from "../moment";
import { printStream } from "../output/stream";
import { loadReaderKey } from "../readerfile";
import { readInput } from "../readfiles";
import { rebasedOnDemand } from "../rebased";
import { stardustOnDemand } from "../stardust";
import { type Recorded, readRecording } from "../streamfile";
import { keepHeads, PassingHeads, readHeads } from "../streamheads";
import { type Segment, type StreamVerdict, settleStream } from "../streamverdict";
import { kidOfKey } from "../upload";
import { readVkey } from "../vkeyfile";
import { readPolicyNow } from "./policy";
import { type ProvedHead, proveHead } from "./stream-anchor";
import { readBundle } from "./verify";

export interface VerifyStreamOptions {
  readonly policy?: string;
  readonly bundle?: readonly string[];
  readonly readerKey?: string;
  readonly passphraseFile?: string;
  readonly grant?: string;
  readonly deviceKey?: string;
  readonly enrolment?: string;
  readonly recorderKey?: readonly string[];
  readonly signedOnly?: boolean;
  readonly state?: string;
  readonly at?: string;
  /** Heads as `vouch stream anchor` wrote them, and the log that holds the commitments to them. */
  readonly anchor?: readonly string[];
  readonly log?: string;
}

/** Boots that one run judges. A recording of more is cut in two. */
const BOOTS_MAX = 16384;
/** Runs of frames kept of a boot: a recording with more holes than that is told by its findings. */
const RUNS_MAX = 1000;

interface Seen {
  announces: Announce[];
  boots: { note: BootNote; announce: Announce; segment: Omit<Segment, "boot"> }[];
  findings: StreamFinding[];
  /** Why enrolments in the recording are nobody's word, as far as the policy alone says. */
  strangers: string[];
  readings: number;
  passing: PassingHeads;
  /** There were more boots than are kept. */
  isFull: boolean;
}

/** Goes through the recording and judges it. `now` is Unix seconds. Throws for trouble with files and keys, never for the recording. */
export async function verifyStream(
  file: string,
  options: VerifyStreamOptions,
  now: number,
  io: Io,
  also?: Listening,
): Promise<StreamVerdict> {
  refuseIdleFlags(options);
  const policy = options.policy === undefined ? null : readPolicyNow(options.policy);
  const anchored = anchoredHeads(options, policy);
  const passing = new PassingHeads();
  const seen: Seen = {
    announces: [],
    boots: [],
    findings: [],
    strangers: [],
    readings: 0,
    passing,
    isFull: false,
  };
  const check: CheckOptions = {
    crypto: nodeCrypto,
    opener: options.signedOnly === true ? null : await openerOf(options, io),
    recorders: (options.recorderKey ?? []).map((key) => readVkey(key).publicKey),
    heads: [...anchored, ...(options.state === undefined ? [] : readHeads(options.state))],
  };
  also?.check(check);
  const elsewhere = new Set(anchored.map(({ id }) => toHex(id)));
  const announced: StreamEvents = { announce: (_, id) => void elsewhere.delete(toHex(id)) };
  const checker = new StreamChecker(check, both(both(eventsInto(seen), announced), also?.events));
  const recorded = readRecording(file, checker);
  for (const { seq, trouble } of anchored)
    if (trouble !== null) find(seen, "stream-anchor", `the anchor of frame ${seq}: ${trouble}`);
  const own = anchored.filter(({ id }) => !elsewhere.has(toHex(id)));
  for (const { id, seq } of anchored)
    if (elsewhere.has(toHex(id)))
      find(
        seen,
        "stream-anchor",
        `the anchor is of frame ${seq} of stream ${toHex(id)}, of which the recording holds nothing`,
      );
  const device = whoseKey(seen, recorded, policy, options);
  const asked = askedOf(policy, options, now);
  const segments = seen.boots.map(({ note, announce, segment }) => ({
    ...segment,
    boot: judgeBoot(note, announce, recorded.evidence.get(toHex(note.boot.evidence)), asked, nodeCrypto),
  }));
  const { summary } = recorded;
  const verdict = settleStream({
    summary,
    announce: seen.announces[seen.announces.length - 1] ?? null,
    findings: seen.findings,
    segments,
    device: device !== null && seen.strangers.length === 0 ? device : enrolledIn(segments, policy, seen),
    at: asked?.at ?? null,
    anchors: own.map(({ id, seq, time }) => ({ id, seq, time })),
  });
  const isRefuted = verdict.findings.some((finding) => finding.word === "refuted");
  if (options.state !== undefined && !isRefuted) await keepHeads(options.state, passing.heads.values());
  return verdict;
}

/** A verb that takes readings: it hears what the verdict is made of, and how to read the recording again. */
export interface Listening {
  check(options: CheckOptions): void;
  readonly events: StreamEvents;
}

function both(first: StreamEvents, second: StreamEvents = {}): StreamEvents {
  return {
    announce: (announce, id) => {
      first.announce?.(announce, id);
      second.announce?.(announce, id);
    },
    boot: (note) => {
      first.boot?.(note);
      second.boot?.(note);
    },
    finding: (finding) => first.finding?.(finding),
    proved: (note) => first.proved?.(note),
    rows: (count, isProved) => first.rows?.(count, isProved),
    coincidence: (coincidence, isChecked) => {
      first.coincidence?.(coincidence, isChecked);
      second.coincidence?.(coincidence, isChecked);
    },
  };
}

function eventsInto(seen: Seen): ConstructorParameters<typeof StreamChecker>[1] {
  const last = () => (seen.isFull ? undefined : seen.boots[seen.boots.length - 1]?.segment);
  return {
    announce: (announce) => {
      if (seen.announces.length < BOOTS_MAX) seen.announces.push(announce);
    },
    boot: (note) => {
      const announce = seen.announces[seen.announces.length - 1]!;
      if (seen.boots.length === BOOTS_MAX) {
        if (!seen.isFull) find(seen, "stream-evidence-missing", `no more than ${BOOTS_MAX} boots are judged`);
        seen.isFull = true;
        return;
      }
      seen.boots.push({ note, announce, segment: { frames: [], readings: null, times: null } });
    },
    finding: (finding) => seen.findings.push(finding),
    proved: (note) => {
      const { from, to } = note;
      seen.passing.proved(note);
      const segment = last();
      const run = segment?.frames[segment.frames.length - 1];
      if (run !== undefined && run.to === from - 1) run.to = to;
      else if (segment !== undefined && segment.frames.length < RUNS_MAX) segment.frames.push({ from, to });
    },
    rows: (rows, isProved) => {
      const segment = last();
      if (!isProved || segment === undefined) return;
      const from = segment.readings?.from ?? seen.readings;
      seen.readings += rows;
      segment.readings = { from, to: seen.readings - 1 };
    },
    coincidence: ({ micros }: Coincidence, isChecked) => {
      const segment = last();
      if (segment === undefined) return;
      const { from = micros } = segment.times ?? {};
      segment.times = { from, to: micros, isChecked: isChecked && segment.times?.isChecked !== false };
    },
  };
}

async function openerOf(options: VerifyStreamOptions, io: Io): Promise<Opener | null> {
  const { readerKey, grant, passphraseFile } = options;
  if (readerKey === undefined) {
    if (grant !== undefined) throw usage("--grant goes with --reader-key, which it was made for");
    return null;
  }
  const reader = await loadReaderKey(readerKey, passphraseFile, io);
  if (grant === undefined) return readerOpener(reader, nodeCrypto);
  return about(grant, () => grantOpener(openGrant(readInput(grant, MAX_GRANT), reader), nodeCrypto));
}

/** A flag that would change nothing was meant to change something. */
function refuseIdleFlags(options: VerifyStreamOptions): void {
  const { readerKey, passphraseFile, signedOnly, grant, at, bundle = [], log, anchor = [] } = options;
  if (signedOnly === true && (readerKey !== undefined || grant !== undefined))
    throw usage("--signed-only opens nothing: it goes with neither --reader-key nor --grant");
  if (passphraseFile !== undefined && readerKey === undefined)
    throw usage("--passphrase-file goes with --reader-key");
  if (at !== undefined && bundle.length === 0)
    throw usage("--at goes with --bundle: it is software that is judged for a moment");
  if (log !== undefined && anchor.length === 0) throw usage("--log goes with --anchor");
}

function askedOf(policy: Policy | null, options: VerifyStreamOptions, now: number): BootAsked | null {
  const { bundle: bundles = [], at } = options;
  if (bundles.length === 0) return null;
  if (policy === null) throw usage("--bundle goes with --policy", "nothing is trusted that no policy names");
  const moment = at === undefined ? now : parseMoment(at, "--at");
  if (moment > now) throw usage(`--at ${at} is in the future`, "leave --at out to ask about now");
  return {
    bundles: bundles.map(readBundle),
    policy,
    crypto: nodeCrypto,
    at: moment,
    now,
    rebased: rebasedOnDemand(null).open,
    stardust: stardustOnDemand,
    mldsa: mldsaOnDemand,
  };
}

function anchoredHeads(options: VerifyStreamOptions, policy: Policy | null): ProvedHead[] {
  const { anchor = [], log } = options;
  if (anchor.length === 0) return [];
  if (log === undefined || policy === null) throw usage("--anchor goes with --log DIR and --policy FILE");
  return anchor.map((path) => proveHead(path, log, policy));
}

// ---- Whose key

/** Who says that each announce's key is the device's; what contradicts it is a finding. */
function whoseKey(
  seen: Seen,
  recorded: Recorded,
  policy: Policy | null,
  options: VerifyStreamOptions,
): StreamVerdict["device"] {
  const { deviceKey, enrolment } = options;
  let device: StreamVerdict["device"] = null;
  if (deviceKey !== undefined) {
    const key = readVkey(deviceKey);
    device = { by: `key ${key.name}, as given`, serial: null };
    for (const announce of seen.announces)
      if (!equalBytes(announce.publicKey, key.publicKey))
        find(
          seen,
          "stream-wrong-signer",
          `the stream is by key ${kid(announce)}, expected that of ${key.name}`,
        );
  }
  const files = enrolment === undefined ? recorded.enrolments : [readInput(enrolment, MAX_COMPANION)];
  if (policy === null && enrolment === undefined) return device;
  const statements = files.flatMap((file) => enrolmentIn(file, policy, enrolment, seen));
  if (statements.length === 0) return device;
  tellStrangers(seen);
  for (const announce of seen.announces) {
    const own = statements.find(({ publicKey }) => equalBytes(publicKey, announce.publicKey));
    if (own === undefined || own.ueid !== toHex(announce.ueid))
      find(
        seen,
        "stream-wrong-signer",
        `the stream's key ${kid(announce)} isn't the one enrolled for its device`,
      );
    else
      device = {
        by: policy === null ? "an enrolment that no policy checked" : "enrolment",
        serial: own.serial,
      };
  }
  return device;
}

/** A bundle may say whose key it is: claim 5 of each boot's appraisal, by the enrollers of its place in the log. */
function enrolledIn(
  segments: readonly Segment[],
  policy: Policy | null,
  seen: Seen,
): StreamVerdict["device"] {
  const [first] = segments[0]?.boot.verdict?.devices ?? [];
  const kids = new Set(
    segments.flatMap(({ boot }) => boot.verdict?.devices.map((device) => device.kid) ?? []),
  );
  const isWhole = seen.announces.every((announce) => kids.has(kid(announce)));
  if (first?.serial != null && isWhole) return { by: "the bundle's enrolment", serial: first.serial };
  tellStrangers(seen);
  if (policy !== null && seen.announces.length > 0)
    find(seen, "stream-enrolment", "no enrolment says whose key the stream's is");
  return null;
}

function tellStrangers(seen: Seen): void {
  for (const why of seen.strangers.splice(0))
    find(seen, "stream-enrolment", `the recording's enrolment: ${why}`);
}

/** A recording may hold what the policy's enrollers never signed: that is then nobody's word. */
function enrolmentIn(
  file: Uint8Array,
  policy: Policy | null,
  path: string | undefined,
  seen: Seen,
): EnrolmentStatement[] {
  if (path !== undefined) return [about(path, () => openEnrolment(file, policy))];
  try {
    return [openEnrolment(file, policy)];
  } catch (error) {
    if (!isRefusal(error)) throw error;
    seen.strangers.push(`${error.message} [${error.code}]`);
    // Whom the policy doesn't name may be an enroller's successor, which a bundle shows; anything else is wrong with it.
    if (error.code !== "unknown-signer") tellStrangers(seen);
    return [];
  }
}

const kid = ({ publicKey }: Announce) => toHex(kidOfKey(publicKey));

function find(seen: Seen, code: StreamCode, message: string): void {
  seen.findings.push({ code, word: STREAM_REASONS[code], message, seq: null, at: null });
}

interface Flags extends VerifyStreamOptions {
  explain?: boolean;
}

const collect = (value: string, before: readonly string[] = []) => [...before, value];

/** Flags that say whom to trust and whose key opens; the same for each verb that verifies. */
export const trustFlags = (command: Command): Command =>
  command
    .option("--policy <FILE>", "whom to trust: keys, thresholds, ages")
    .option("--bundle <FILE>", "what the software of a boot is judged by (repeatable)", collect)
    .option("--reader-key <FILE>", "open masked readings with this reader's key")
    .option("--grant <FILE>", "open only what this grant opens; goes with --reader-key")
    .option("--passphrase-file <FILE>", "read the reader key's passphrase from FILE, - is stdin")
    .option("--device-key <VKEY>", "the device's key, or a file with it, where no enrolment says whose it is")
    .option("--enrolment <FILE>", "who the device is, instead of what the recording holds")
    .option("--recorder-key <VKEY>", "whose coincidences count (repeatable)", collect);

/** Flags that say what was known before, and of which moment is asked. */
export const knownFlags = (command: Command): Command =>
  command
    .option("--state <FILE>", "keep in FILE how far each stream was seen, and refuse an older or another end")
    .option(
      "--anchor <FILE>",
      "a head that `vouch stream anchor` kept (.head): the recording has it (repeatable)",
      collect,
    )
    .option("--log <DIR>", "of --anchor: the log that holds the commitment, with its anchors")
    .option("--at <TIME>", "judge software for this moment (2026-01-15T09:00:00Z) instead of now");

export function defineVerify(stream: Command, io: Io): void {
  const command = stream
    .command("verify")
    .description("Settles whether readings are the device's, which software took them, and what is missing.")
    .argument("<file>", "the recording (.vstream), or - for stdin");
  trustFlags(command).option("--signed-only", "open no reading: chain and signatures alone");
  knownFlags(command)
    .option("--explain", "all findings, with their places in the recording")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: Flags) => {
      const now = Math.floor(Date.now() / 1000);
      const verdict = await verifyStream(file, flags, now, io);
      printStream(verdict, file, flags.explain === true, io);
      io.exitCode = EXIT_STATUS[verdict.word];
    });
}
