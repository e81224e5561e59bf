// vouch stream export FILE --fhir|--csv|--senml: the proved readings of a recording, in forms that others read.
//
//   1. the recording is verified, as `stream verify` does it; refuted: nothing is written
//   2. it is verified again, and what is proved goes out as it comes (stream-passes.ts)
//
// The output appears whole or not at all, readable by its owner alone: readings are of a person. The exit status is that of
// the verdict. spec/fhir-export.md has the rules.

import { linkOf } from "@vouch/shared/stream";
import type { CheckOptions, ProvedNote } from "@vouch/shared/streamcheck";
import { isoMillis, type Timeline } from "@vouch/shared/streamtime";
import { Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { durationMs } from "../every";
import { about, EXIT, printable, usage } from "../exit";
import { CsvWriter } from "../export/csv";
import { deviceUrn, SENML_CBOR, SENML_JSON, SenmlWriter } from "../export/senml";
import { type Closing, type FhirFacts, FhirWriter } from "../fhir/bundle";
import type { Named, Proven } from "../fhir/devices";
import { type Feed, writeFed } from "../files";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import type { Choice, Counts, Stamp } from "../readings";
import { VERSION } from "../version";
import { ExportFacts } from "./stream-facts";
import { deviceGiven, gatewayGiven, patientGiven } from "./stream-given";
import { exportAgain, type SignedFrame, type Taker } from "./stream-passes";

/** Readings are of a person. */
const PRIVATE = { mode: 0o600 };
const SECOND_MS = 1000;

type FormName = "fhir" | "csv" | "senml";

interface ExportFlags {
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
    maxUncertainty: (flags.maxUncertainty ?? SECOND_MS) * 1000,
    from,
    to,
  };
}

// ---- Forms

type Out = (bytes: Uint8Array) => void;

/** Takes pieces, is ended once, and has something to say of it. */
interface Writer extends Taker {
  end(): void;
  told(): Record<string, unknown>;
}

function fhirWriter(facts: FhirFacts, timeline: Timeline<Stamp>, isLines: boolean, out: Out): Writer {
  const writer = new FhirWriter(facts, isLines, out);
  const closing = ({ frame, seq, ticks, boot }: SignedFrame): Closing => {
    const placed = timeline.place(boot, ticks);
    if (placed === null) throw new Error("a run that has times, signed at none");
    return { frame, lastSeq: seq, link: linkOf(frame), time: isoMillis(placed.micros) };
  };
  return {
    piece: (piece, signed) => writer.piece(piece, () => closing(signed())),
    proved: (_, signed) => writer.close(() => closing(signed())),
    end: () => writer.end(),
    told: () => ({ resources: writer.written }),
  };
}

function senmlWriter(device: string, isCbor: boolean, out: Out): Writer {
  const writer = new SenmlWriter(device, isCbor ? SENML_CBOR : SENML_JSON, out);
  return {
    piece: (piece) => writer.piece(piece),
    proved: () => {},
    end: () => writer.end(),
    told: () => ({ values: writer.values, unitless: writer.unitless }),
  };
}

function csvWriter(out: Out): Writer {
  const writer = new CsvWriter(out);
  return {
    piece: (piece) => writer.piece(piece),
    proved: () => {},
    end: () => writer.end(),
    told: () => ({ values: writer.values }),
  };
}

// ---- What is told of it

/** What stays behind, as a person reads it. */
const BEHIND: Record<Exclude<keyof Counts, "exported">, string> = {
  unproved: "bound by no signed frame",
  timeless: "of a boot that no named recorder timed: evidence, and no clinical readings",
  uncertain: "whose time is less sure than --max-uncertainty",
  outside: "outside --from and --to",
  repeated: "at ticks that were told before",
};

function remarks(counts: Counts, told: Record<string, unknown>): string[] {
  const lines = Object.entries(BEHIND).flatMap(([word, why]) => {
    const count = counts[word as keyof Counts];
    return count === 0 ? [] : [`${count} left out, ${why} [${word}]`];
  });
  if (typeof told.unitless === "number" && told.unitless > 0)
    lines.push(`${told.unitless} values left out, in units that SenML has no name for [unitless]`);
  return lines;
}

/** What the first reading established. */
export interface Verified {
  readonly facts: ExportFacts;
  readonly head: ProvedNote | null;
  /** Of the verdict: 0, 20, 21, 22 or 23. */
  readonly status: number;
  readonly word: string;
  readonly check: CheckOptions;
  /** Releases by the digest of their image, hex. */
  readonly releases: ReadonlyMap<string, string>;
  /** The policy's digest as a URI; null without one. */
  readonly policy: string | null;
  readonly unopened: number;
}

function provenOf({ facts, releases }: Verified): Proven {
  const [first] = facts.announces;
  if (first === undefined) throw new Refusal("stream-empty", "the recording holds no stream");
  return {
    ueid: first.ueid,
    publicKey: facts.announces.at(-1)!.publicKey,
    images: [...facts.images].map(([digest, sha256]) => ({ sha256, release: releases.get(digest) ?? null })),
    groups: facts.announces.flatMap(({ groups }) => groups),
  };
}

/** Writes the readings of a recording that was verified. */
export function exportVerified(file: string, verified: Verified, flags: ExportFlags, io: Io): void {
  const form = formOf(flags);
  const choice = choiceOf(form, flags);
  const device: Named = deviceGiven(flags.device ?? []);
  const proven = provenOf(verified);
  const { facts } = verified;
  const timeline = choice.takesUnproved ? facts.anybody : facts.named;
  const writerFor = (out: Out): Writer => {
    if (form === "csv") return csvWriter(out);
    if (form === "senml") return senmlWriter(deviceUrn(device.eui, proven.ueid), flags.cbor === true, out);
    const given: FhirFacts = {
      proven,
      device,
      gateway: gatewayGiven(flags.gateway ?? []),
      recorder: facts.recorder,
      software: VERSION,
      patient: patientGiven(flags.patient, flags.patientIdentifier),
      policy: verified.policy,
      anchor: null,
    };
    return fhirWriter(given, timeline, flags.ndjson === true, out);
  };
  let summary: Record<string, unknown> = {};
  const feed: Feed = (write) =>
    about(file, () => {
      const writer = writerFor(write);
      const { counts } = exportAgain(file, verified.check, verified.head, timeline, choice, writer);
      const told = writer.told();
      const lines = remarks(counts, told);
      if (counts.exported === 0 || told.values === 0) throw nothing(lines, verified);
      writer.end();
      summary = { counts, ...told };
      tell(io, [`${counts.exported} readings exported`, ...lines, ...timing(facts)]);
    });
  if (flags.output !== undefined && flags.output !== "-") writeFed(flags.output, feed, PRIVATE);
  else if (form === "senml" && flags.cbor && flags.output === undefined && io.tty.stdout)
    throw new Refusal("binary-to-terminal", "the output is binary and stdout is a terminal", {
      hint: "name a file with -o FILE, or insist with -o -",
    });
  else feed((bytes) => io.stdout(bytes));
  if (io.json) io.stdout(`${JSON.stringify({ form, file: flags.output, verdict: verified.word, ...summary })}\n`);
}

function nothing(lines: readonly string[], { facts, unopened }: Verified): Refusal {
  const why = [...lines, ...(unopened > 0 ? [`${unopened} frames are masked and no key given opens them`] : [])];
  const hint =
    facts.recorder === null && facts.unnamed > 0
      ? "times count that are by a recorder whom you name: --recorder KEY"
      : undefined;
  return new Refusal(
    "no-readings",
    `no reading to export${why.length === 0 ? "" : `: ${why.join("; ")}`}`,
    hint === undefined ? {} : { hint },
  );
}

function timing({ named, unnamed }: ExportFacts): string[] {
  const jumps = named.jumps();
  return [
    ...(jumps > 0 ? [`${jumps} times a clock was set between two coincidences [stream-clock-jump]`] : []),
    ...(unnamed > 0 ? [`${unnamed} coincidences are by recorders whom nobody named [stream-recorder]`] : []),
  ];
}

function tell(io: Io, lines: readonly string[]): void {
  if (!io.quiet) for (const line of lines) io.stderr(`${printable(`vouch: ${line}`)}\n`);
}
