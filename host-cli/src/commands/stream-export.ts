// vouch stream export FILE --fhir|--csv|--senml: the proved readings of a recording, in forms that others read.
//
//   1. the recording is verified, as `stream verify` does it; refuted: nothing is written
//   2. it is verified again, and what is proved goes out as it comes (stream-passes.ts)
//
// The output appears whole or not at all, readable by its owner alone: readings are of a person. The exit status is that of
// the verdict. spec/fhir-export.md has the rules.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { Refusal } from "@vouch/shared/refusal";
import type { CheckOptions } from "@vouch/shared/streamcheck";
import type { Timeline } from "@vouch/shared/streamtime";
import { isoTime } from "@vouch/shared/time";
import { EXIT_STATUS, type Word } from "@vouch/shared/verdict";
import type { Command } from "commander";
import { durationMs } from "../every";
import { about, printable, usage } from "../exit";
import { deviceUrn } from "../export/senml";
import type { FhirFacts, PatientGiven } from "../fhir/bundle";
import type { Named, Proven } from "../fhir/devices";
import { niUri, OWN } from "../fhir/names";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { endWords, notJudged } from "../output/stream";
import { type Choice, type Counts, MAX_UNCERTAINTY, type Stamp } from "../readings";
import type { StreamVerdict } from "../streamverdict";
import { VERSION } from "../version";
import { type Feed, writeFed } from "../writefiles";
import { ExportFacts } from "./stream-facts";
import { deviceGiven, gatewayGiven, patientGiven } from "./stream-given";
import { exportAgain } from "./stream-passes";
import { knownFlags, trustFlags, type VerifyStreamOptions, verifyStream } from "./stream-verify";
import { csvWriter, fhirWriter, type Out, senmlWriter, type Told, type Writer } from "./stream-writers";

/** Readings are of a person. */
const PRIVATE = { mode: 0o600 };
/** SenML reads smaller times as counted from now (RFC 8428 section 4.5.3): those of clocks that were never set. */
const SENML_ABSOLUTE = 2 ** 28 * 1e6;
/** Reasons of a verdict that are said. */
const TOLD_MAX = 5;

type FormName = "fhir" | "csv" | "senml";

interface ExportFlags extends VerifyStreamOptions {
  readonly fhir?: boolean;
  readonly csv?: boolean;
  readonly senml?: boolean;
  readonly ndjson?: boolean;
  readonly cbor?: boolean;
  readonly output?: string;
  readonly patient?: string;
  readonly patientIdentifier?: string;
  readonly device?: readonly string[];
  readonly gateway?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly maxUncertainty?: number;
  readonly unproved?: boolean;
}

/** The one form that is asked for, with flags that fit it. */
function formOf(flags: ExportFlags): FormName {
  const asked = (["fhir", "csv", "senml"] as const).filter((name) => flags[name] === true);
  const [form] = asked;
  if (form === undefined || asked.length > 1) throw usage("name one of --fhir, --csv and --senml");
  const only = (flag: string, given: unknown, ...wanted: FormName[]) => {
    if (given !== undefined && !wanted.includes(form))
      throw usage(`${flag} goes with ${wanted.map((name) => `--${name}`).join(" and ")}`);
  };
  if (flags.unproved && form === "fhir")
    throw usage(
      "--unproved doesn't go with --fhir: what nobody signed for is no clinical Observation",
      "--csv and --senml mark it",
    );
  only("--ndjson", flags.ndjson, "fhir");
  only("--cbor", flags.cbor, "senml");
  only("--patient", flags.patient, "fhir");
  only("--patient-identifier", flags.patientIdentifier, "fhir");
  only("--gateway", flags.gateway, "fhir");
  only("--device", flags.device, "fhir", "senml");
  return form;
}

function choiceOf(form: FormName, flags: ExportFlags): Choice {
  const moment = (text: string | undefined, flag: string) =>
    text === undefined ? null : parseMoment(text, flag) * 1e6;
  const from = moment(flags.from, "--from");
  const to = moment(flags.to, "--to");
  if (from !== null && to !== null && to <= from) throw usage("--to must be later than --from");
  return {
    isStrict: form !== "csv",
    takesUnproved: flags.unproved === true,
    maxUncertainty: flags.maxUncertainty === undefined ? MAX_UNCERTAINTY : flags.maxUncertainty * 1000,
    from: form === "senml" ? Math.max(from ?? 0, SENML_ABSOLUTE) : from,
    to,
  };
}

/** What a command line asks for, all of it looked at before a file is read. */
interface Asked {
  readonly form: FormName;
  readonly flags: ExportFlags;
  readonly choice: Choice;
  readonly device: Named;
  readonly gateway: Named;
  readonly patient: PatientGiven | null;
  readonly output: string | undefined;
}

function askedOf(file: string, flags: ExportFlags, io: Io): Asked {
  const { output } = flags;
  const form = formOf(flags);
  if (file === "-") throw usage("a recording is read twice: name a file", "stdin can be read once");
  if (io.json && (output === undefined || output === "-"))
    throw usage("--json needs --output FILE", "without it stdout is the export");
  if (flags.cbor === true && output === undefined && io.tty.stdout)
    throw new Refusal("binary-to-terminal", "the output is binary and stdout is a terminal", {
      hint: "name a file with -o FILE, or insist with -o -",
    });
  return {
    form,
    flags,
    choice: choiceOf(form, flags),
    device: deviceGiven(flags.device ?? []),
    gateway: gatewayGiven(flags.gateway ?? []),
    patient: form === "fhir" ? patientGiven(flags.patient, flags.patientIdentifier) : null,
    output,
  };
}

// ---- What is told of it

/** What stays behind, as a person reads it. */
const BEHIND: Record<Exclude<keyof Counts, "exported" | "lost">, string> = {
  unproved: "bound by no signed frame",
  timeless: "of a boot that no named recorder timed: evidence, and no clinical readings",
  uncertain: "whose time is less sure than --max-uncertainty",
  outside: "outside --from and --to",
  repeated: "at ticks that were told before",
};

function remarks(counts: Counts, told: Told): string[] {
  const lines = Object.entries(BEHIND).flatMap(([word, why]) => {
    const count = counts[word as keyof Counts];
    return count === 0 ? [] : [`${count} left out, ${why} [${word}]`];
  });
  if (counts.lost > 0) lines.push(`${counts.lost} missing, which the device says it lost [lost]`);
  if ((told.unitless ?? 0) > 0)
    lines.push(`${told.unitless} values left out, in units that SenML has no name for [unitless]`);
  return lines;
}

/** What the first reading established. */
interface Verified {
  readonly facts: ExportFacts;
  readonly check: CheckOptions;
  readonly verdict: StreamVerdict;
}

/** Reads all of it. Throws `stream-refuted` when it isn't what a device sent. */
async function verified(file: string, flags: ExportFlags, now: number, io: Io): Promise<Verified> {
  const facts = new ExportFacts();
  let check: CheckOptions | undefined;
  const verdict = await verifyStream(file, flags, now, io, {
    events: facts.events,
    check: (options) => {
      check = options;
    },
  });
  about(file, () => refuseIfRefuted(verdict));
  return { facts, check: check!, verdict };
}

function refuseIfRefuted({ word, reasons: [reason] }: StreamVerdict): void {
  if (word !== "refuted") return;
  throw new Refusal("stream-refuted", `nothing is exported: ${reason?.message} [${reason?.code}]`, {
    hint: "`vouch stream verify --explain` shows all that was found",
  });
}

/** Whose release is what ran. */
const SOUND: ReadonlySet<Word> = new Set<Word>(["patched", "vulnerable", "recalled"]);

/** Versions of releases by the digest of their image, hex, where the policy's approvers say so. */
function releasesOf({ segments }: StreamVerdict): Map<string, string> {
  return new Map(
    segments.flatMap(({ boot: { note, verdict } }) => {
      const { image } = note.boot;
      const version = verdict !== null && SOUND.has(verdict.word) ? verdict.version : null;
      return image === null || version === null ? [] : [[toHex(image), version] as const];
    }),
  );
}

function provenOf({ facts, verdict }: Verified): Proven {
  const [first] = facts.announces;
  if (first === undefined) throw new Refusal("no-readings", "the recording holds no stream");
  const releases = releasesOf(verdict);
  return {
    ueid: first.ueid,
    publicKey: facts.announces.at(-1)!.publicKey,
    images: [...facts.images].map(([digest, sha256]) => ({ sha256, release: releases.get(digest) ?? null })),
    groups: facts.announces.flatMap(({ groups }) => groups),
  };
}

/**
 * The earliest that a ledger had of a signed head of a stream that leads back to a frame, where --anchor proved it. Those that
 * were signed for before a restart, and after what its resume is linked to, no later head leads to.
 */
export function anchorsOf({ anchors, segments }: StreamVerdict): FhirFacts["anchorOf"] {
  const loose = segments.flatMap(({ boot: { note } }, i) => {
    const before = segments[i - 1]?.frames.at(-1)?.to ?? 0;
    return note.kind === "resume" && before > note.linked ? [note] : [];
  });
  const proved = anchors.flatMap(({ id, seq, time }) => (time === null ? [] : [{ id, seq, time }]));
  proved.sort((a, b) => a.time - b.time);
  return (streamId, lastSeq) => {
    const leads = (head: number) =>
      head >= lastSeq &&
      !loose.some(
        ({ id, linked, seq }) => equalBytes(id, streamId) && linked < lastSeq && lastSeq < seq && seq <= head,
      );
    const found = proved.find(({ id, seq }) => equalBytes(id, streamId) && leads(seq));
    if (found === undefined) return null;
    return {
      system: `${OWN}/NamingSystem/stream-head`,
      value: `${toHex(streamId)}/${found.seq}`,
      display: `Signed head, committed to on a ledger by ${isoTime(found.time)}`,
    };
  };
}

function policyOf({ segments }: StreamVerdict): string | null {
  const digest = segments.find(({ boot }) => boot.verdict !== null)?.boot.verdict?.policyDigest;
  return digest === undefined ? null : niUri(Buffer.from(digest, "hex"));
}

/** The readings of a recording that was verified, to where they were asked for. */
function write(file: string, asked: Asked, verified: Verified, io: Io): void {
  const { choice, output } = asked;
  const { facts, check, verdict } = verified;
  const proven = provenOf(verified);
  const timeline = choice.takesUnproved ? facts.others.under(facts.named) : facts.named;
  let report: object = {};
  let said: string[] = [];
  const feed: Feed = (out) =>
    about(file, () => {
      const writer = writerFor(asked, verified, proven, timeline, out);
      const { counts } = exportAgain(
        file,
        check,
        { head: verdict.summary.head, ids: facts.ids },
        timeline,
        choice,
        writer,
      );
      const told = writer.told();
      const lines = remarks(counts, told);
      if (counts.exported === 0 || told.values === 0) throw nothing(lines, verified);
      writer.end();
      report = { counts, ...told };
      const { values = counts.exported } = told;
      const each = values === counts.exported ? "" : `, ${values} values`; // those are CSV's lines
      said = [`${counts.exported} readings exported${each}`, ...lines, ...timing(facts, choice)];
    });
  if (output === undefined || output === "-") feed((bytes) => io.stdout(bytes));
  else writeFed(output, feed, { ...PRIVATE, overwrite: "same" });
  tell(io, said);
  if (io.json)
    io.stdout(`${JSON.stringify({ form: asked.form, file: output, verdict: verdict.word, ...report })}\n`);
}

function writerFor(
  { form, flags, choice, device, gateway, patient }: Asked,
  { facts, verdict }: Verified,
  proven: Proven,
  timeline: Timeline<Stamp>,
  out: Out,
): Writer {
  if (form === "csv") return csvWriter(out);
  if (form === "senml") return senmlWriter(deviceUrn(device.eui, proven.ueid), flags.cbor === true, out);
  const given: FhirFacts = {
    proven,
    device,
    gateway,
    recorder: facts.recorder,
    software: VERSION,
    patient: patient!,
    policy: policyOf(verdict),
    anchorOf: anchorsOf(verdict),
  };
  return fhirWriter(given, timeline, choice.maxUncertainty, flags.ndjson === true, out);
}

function nothing(lines: readonly string[], { facts, verdict }: Verified): Refusal {
  const { unopened } = verdict.summary;
  const why = [...lines, ...(unopened > 0 ? [`${unopened} masked frames were not opened`] : [])];
  const isUntimed = facts.recorder === null && facts.unnamed > 0;
  return new Refusal(
    "no-readings",
    `no reading to export${why.length === 0 ? "" : `: ${why.join("; ")}`}`,
    unopened > 0
      ? { hint: "--reader-key opens them for a reader, and with --grant what was granted" }
      : isUntimed
        ? { hint: "only times by a recorder whom you name count: --recorder-key KEY" }
        : {},
  );
}

function timing({ named, unnamed, recorder }: ExportFacts, { takesUnproved }: Choice): string[] {
  const jumps = named.jumps();
  const isUntimed = recorder === null && !takesUnproved; // which takes anybody's times, and flags them
  const cost = isUntimed ? ", so that no reading has a time: --recorder-key names one" : "";
  return [
    ...(jumps > 0 ? [`${jumps} times a clock was set between two coincidences [stream-clock-jump]`] : []),
    ...(unnamed > 0
      ? [`${unnamed} coincidences are by recorders whom nobody named [stream-recorder]${cost}`]
      : []),
  ];
}

function tell(io: Io, lines: readonly string[]): void {
  if (!io.quiet) for (const line of lines) io.stderr(`${printable(`vouch: ${line}`)}\n`);
}

const collect = (value: string, before: readonly string[] = []) => [...before, value];

export function defineExport(stream: Command, io: Io): void {
  const command = stream
    .command("export")
    .description("Writes the proved readings of a recording as FHIR R4, CSV or SenML.")
    .argument("<file>", "the recording (.vstream)")
    .option("--fhir", "a FHIR R4 transaction, in the shape of the Personal Health Device guide")
    .option("--csv", "a line for each value")
    .option("--senml", "SenML (RFC 8428), JSON")
    .option("--ndjson", "with --fhir: a resource a line, instead of a transaction")
    .option("--cbor", "with --senml: CBOR")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--patient <REF>", "whose readings they are: Patient/ID")
    .option("--patient-identifier <ID>", "the same by an identifier, or beside it: SYSTEM|VALUE")
    .option(
      "--device <KEY=VALUE>",
      "what to say of the device: eui, name, manufacturer, model, serial, hardware, udi (repeatable)",
      collect,
    )
    .option(
      "--gateway <KEY=VALUE>",
      "what to say of the recorder: eui, name, manufacturer, model, clock=ntp (repeatable)",
      collect,
    )
    .option("--from <TIME>", "readings from this moment on (2026-01-15T09:00:00Z)")
    .option("--to <TIME>", "readings before this moment")
    .option("--max-uncertainty <TIME>", "how far off a clinical time may be, 1s unless named", durationMs)
    .option("--unproved", "with --csv and --senml: also what nobody signed for, marked");
  knownFlags(trustFlags(command))
    .option("--json", "print what was written as one JSON object; needs --output")
    .action(async (file: string, flags: ExportFlags) => {
      const asked = askedOf(file, flags, io);
      const result = await verified(file, flags, Math.floor(Date.now() / 1000), io);
      write(file, asked, result, io);
      const { word, reasons, summary } = result.verdict;
      tell(
        io,
        notJudged(result.verdict).map((text) => `not judged: ${text}`),
      );
      if (!summary.isClosed) tell(io, [`the stream is ${endWords(result.verdict)}`]);
      tell(
        io,
        word === "verified"
          ? []
          : reasons.slice(0, TOLD_MAX).map(({ code, message }) => `${message} [${code}]`),
      );
      io.exitCode = EXIT_STATUS[word];
    });
}
