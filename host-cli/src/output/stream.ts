// What became of a stream, for people at night: the verdict first, then each boot's part, then what was found and what
// nobody looked at. And the same as one JSON object: spec/stream.md, "Verdict".

import { toHex } from "@vouch/shared/bytes";
import { MODE_NAMES } from "@vouch/shared/stream";
import { isoTime } from "@vouch/shared/time";
import { EXIT_STATUS } from "@vouch/shared/verdict";
import { printable } from "../exit";
import type { Io } from "../io";
import type { Segment, StreamVerdict } from "../streamverdict";
import { kidOfKey } from "../upload";
import { nextStep } from "./nextstep";
import { paint } from "./terminal";
import { COLOUR } from "./verdict";

const MARGIN = 12;
const RUNS_SHOWN = 4;
export function printStream(verdict: StreamVerdict, file: string, explain: boolean, io: Io): void {
  if (io.json) io.stdout(`${JSON.stringify(streamJson(verdict))}\n`);
  else io.stdout(streamText(verdict, explain, io));
  const [reason] = verdict.reasons;
  if (reason !== undefined && !io.json)
    for (const line of [`vouch: ${file}: ${reason.message} [${reason.code}]`, hintOf(reason)].filter(Boolean))
      io.stderr(`${printable(line)}\n`);
}

function hintOf({ code, hint = nextStep(code) }: StreamVerdict["reasons"][number]): string {
  return hint === undefined ? "" : `vouch: hint: ${hint}`;
}

const span = ({ from, to }: { from: number; to: number }, one: string) =>
  from === to ? `${one} ${from}` : `${one}s ${from} to ${to}`;
const moment = (micros: number) => isoTime(Math.floor(micros / 1e6));

function streamText(verdict: StreamVerdict, explain: boolean, io: Io): string {
  const { summary, announce, segments, findings, device } = verdict;
  const lines = [paint(io, "stdout", COLOUR[verdict.word], verdict.word)];
  const line = (label: string, text: string) => lines.push(`${label.padEnd(MARGIN)}${printable(text)}`);
  if (announce !== null && summary.id !== null) {
    const end = summary.isClosed ? "closed" : "open";
    line(
      "stream",
      `${toHex(summary.id)}, ${MODE_NAMES[announce.mode]}, ${end}; ${summary.frames} frames, ${summary.proved} of them evidence`,
    );
    const whose = device === null ? "on the stream's own word" : `by ${device.by}`;
    const serial = device?.serial == null ? "" : `serial ${device.serial}, `;
    line("device", `${serial}ueid ${toHex(announce.ueid)}, key ${kidText(verdict)}, ${whose}`);
  }
  if (summary.head !== null) line("end", endWords(verdict));
  for (const { seq, time } of verdict.anchors)
    if (time !== null) line("anchor", `frame ${seq} was there by ${isoTime(time)}`);
  for (const segment of segments) {
    line("", "");
    const [first = "", ...rest] = segmentLines(segment, summary.unopened > 0);
    line(`boot ${segment.boot.note.boot.bootcount}`, first);
    for (const text of rest) line("", text);
  }
  if (findings.length > 0) line("", "");
  for (const { code, word, message, at } of findings)
    if (explain || code !== "stream-boot-change")
      line(word, `${message} [${code}]${explain && at !== null ? `, byte ${at} of the recording` : ""}`);
  for (const [code, count] of Object.entries(summary.more)) line("", `and ${count} more [${code}]`);
  for (const text of notJudged(verdict)) line("not judged", text);
  return `${lines.map((text) => text.trimEnd()).join("\n")}\n`;
}

/** Where the stream ends, and how far anybody can know: a verified recording that is open isn't all of a stream. */
export function endWords({ summary: { isClosed, head, seen } }: StreamVerdict): string {
  if (head === null) return "no signed frame";
  if (isClosed) return `the device closed the stream with frame ${head.to}`;
  const more = "the device may have sent more since, and this recording can't show whether it did";
  if (seen === null) return `open after frame ${head.to}, the last signed one; ${more}`;
  return `open: at ${moment(seen.micros)} recorder ${toHex(seen.kid)} had received all up to frame ${seen.seq}; ${more}`;
}

const kidText = ({ announce }: StreamVerdict) => toHex(kidOfKey(announce!.publicKey));

/** Readings have numbers only where all were opened: those before a frame that wasn't are not known. */
function segmentLines({ boot, frames, readings, times }: Segment, isPartial: boolean): string[] {
  const { verdict, word } = boot;
  const runs = frames
    .slice(0, RUNS_SHOWN)
    .map(({ from, to }) => (from === to ? `${from}` : `${from} to ${to}`));
  const more = frames.length > RUNS_SHOWN ? ", and more" : "";
  const what = frames.length === 0 ? "no evidence" : `frames ${runs.join(", ")}${more}`;
  const opened = readings === null ? 0 : readings.to - readings.from + 1;
  const numbered =
    readings === null || isPartial
      ? `${opened} reading${opened === 1 ? "" : "s"} opened`
      : span(readings, "reading");
  const counted = readings === null ? what : `${numbered} (${what})`;
  const release = verdict?.product == null ? "" : ` on ${verdict.product} ${verdict.version}`;
  const asOf = verdict?.asOf == null ? "" : `, as of log size ${verdict.asOf.logSize}`;
  return [
    word === null ? counted : `${word}: ${counted}${release}${asOf}`,
    ...(times === null
      ? []
      : [
          `received ${moment(times.from)} to ${moment(times.to)}${times.isChecked ? "" : ", by a recorder that nobody named"}`,
        ]),
    ...boot.reasons.map((reason) => `${reason.word}: ${reason.message} [${reason.code}]`),
  ];
}

/** What nobody asked about, so that a verdict isn't taken for more than it is. */
export function notJudged({ device, at, announce, summary, segments }: StreamVerdict): string[] {
  if (announce === null) return [];
  // streamjudge.ts goes back to the evidence's time where a status is too old for the moment that was asked about.
  const old = segments.filter(({ boot }) => boot.verdict !== null && boot.verdict.at !== at);
  return [
    ...(device === null ? ["whose key it is: --policy and an enrolment, or --device-key, tell"] : []),
    ...(at !== null ? [] : ["what software took the readings: --policy and --bundle tell"]),
    ...old.map(
      ({ boot: { note, verdict } }) =>
        `what was said of boot ${note.boot.bootcount}'s release after ${isoTime(verdict!.at)}: the bundle's status is too old to tell; a newer bundle does`,
    ),
    ...(summary.unopened > 0 ? [`${summary.unopened} masked frames weren't opened`] : []),
  ];
}

function streamJson(verdict: StreamVerdict): object {
  const { word, summary, announce, device, segments, findings, at } = verdict;
  const { head } = summary;
  return {
    verdict: word,
    exit: EXIT_STATUS[word],
    stream: summary.id && toHex(summary.id),
    mode: announce === null ? null : MODE_NAMES[announce.mode],
    closed: summary.isClosed,
    end: head && {
      closed: summary.isClosed,
      frame: head.to,
      seen: summary.seen && {
        frame: summary.seen.seq,
        time: moment(summary.seen.micros),
        recorder: toHex(summary.seen.kid),
      },
      mayHaveMore: !summary.isClosed,
    },
    device: announce && {
      ueid: toHex(announce.ueid),
      kid: kidText(verdict),
      by: device?.by ?? null,
      serial: device?.serial ?? null,
    },
    frames: summary.frames,
    proved: summary.proved,
    opened: summary.opened,
    unopened: summary.unopened,
    head: head && { epoch: head.epoch, seq: head.to, link: toHex(head.link) },
    appraised: at !== null,
    anchors: verdict.anchors.map(({ seq, time }) => ({ frame: seq, time: time && isoTime(time) })),
    boots: segments.map(bootJson),
    reasons: verdict.reasons,
    findings: findings.map(({ code, word: level, message, seq, at, other }) => ({
      code,
      word: level,
      message,
      frame: seq,
      at,
      ...(other && { other }),
    })),
    more: summary.more,
    notJudged: notJudged(verdict),
  };
}

const bootJson = ({ boot, frames, readings, times }: Segment) => ({
  bootcount: boot.note.boot.bootcount,
  epoch: boot.note.epoch,
  frame: boot.note.seq,
  evidence: toHex(boot.note.boot.evidence),
  image: boot.note.boot.image && toHex(boot.note.boot.image),
  frames,
  readings,
  times: times && {
    from: moment(times.from),
    to: moment(times.to),
    checked: times.isChecked,
  },
  verdict: boot.word,
  product: boot.verdict?.product ?? null,
  version: boot.verdict?.version ?? null,
  asOf: boot.verdict?.asOf?.logSize ?? null,
  reasons: boot.reasons,
});
