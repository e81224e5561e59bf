// vouch inspect on what concerns a whole fleet: its evidence, an owner's part of it, what audits found, and reports.
//
// Such a file is a line, or an item, for each device. All are read, as strictly as by the verb that judges them; what is
// told is how many there are and of what.

import { type AuditSummary, parseAuditLine } from "@vouch/shared/auditline";
import { parseBundle } from "@vouch/shared/bundle";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { parseDevice } from "@vouch/shared/fleetform";
import { parseRow } from "@vouch/shared/fleetrows";
import { parseJson } from "@vouch/shared/json";
import { Refusal } from "@vouch/shared/refusal";
import { isRenewed, parseRenewed } from "@vouch/shared/renewal";
import { REPORT_VERSION } from "@vouch/shared/report";
import { nodeCrypto } from "../crypto";

const LF = 10;
const BUNDLE = utf8Encode('{"version":"vouch-bundle/');

function linesOf(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(LF, at);
    const line = bytes.subarray(at, end < 0 ? bytes.length : end);
    if (line.length > 0) lines.push(line);
    at += line.length + 1;
  }
  return lines;
}

const LENGTH_BYTES: Readonly<Record<number, number>> = { 24: 1, 25: 2, 26: 4 };

/** The byte strings of a CBOR sequence. Refuses `cbor-framing`, `truncated`. */
function itemsOf(bytes: Uint8Array): Uint8Array[] {
  const items: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const head = bytes[at] as number;
    const more = head >> 5 === 2 ? ((head & 31) < 24 ? 0 : LENGTH_BYTES[head & 31]) : undefined;
    if (more === undefined)
      throw new Refusal("cbor-framing", `item ${items.length + 1} is no byte string shorter than 4 GiB`);
    const digits = bytes.subarray(at + 1, at + 1 + more);
    const length = more === 0 ? head & 31 : digits.reduce((n, byte) => n * 256 + byte, 0);
    at += 1 + more + length;
    if (at > bytes.length)
      throw new Refusal("truncated", `the sequence ends within item ${items.length + 1}`);
    items.push(bytes.subarray(at - length, at));
  }
  return items;
}

export function tellFleet(bytes: Uint8Array) {
  const contexts: string[] = [];
  const named = new Set<string>();
  let devices = 0;
  const isLines = bytes[0] === 0x7b;
  for (const item of isLines ? linesOf(bytes) : itemsOf(bytes)) {
    if (isRenewed(item)) continue; // a line in front of a context
    if (BUNDLE.every((byte, i) => item[i] === byte)) {
      parseBundle(parseRenewed(item).bundle);
      contexts.push(toHex(nodeCrypto.sha256(item)));
    } else {
      named.add(parseDevice(item).context);
      devices++;
    }
  }
  return {
    fields: {
      form: isLines ? "JSON lines" : "CBOR sequence",
      devices,
      contexts,
      contextsElsewhere: [...named].filter((context) => !contexts.includes(context)),
    },
    notVerified: "no device was judged; `vouch audit` does that",
  };
}

export function tellRows(bytes: Uint8Array) {
  const rows = linesOf(bytes).map((line) => parseRow(line));
  return {
    fields: {
      rows: rows.length,
      trees: [...new Set(rows.map(({ root, size }) => `${root} of ${size}`))],
    },
    notVerified: "no row was checked; `vouch fleet check` does that, with the statement",
  };
}

export function tellAudit(bytes: Uint8Array) {
  const counts = { context: 0, record: 0, summary: 0 };
  const words: Record<string, number> = {};
  const summaries: AuditSummary[] = [];
  for (const line of linesOf(bytes).map((each) => parseAuditLine(each))) {
    counts[line.kind]++;
    if (line.kind === "record") words[line.word] = (words[line.word] ?? 0) + 1;
    if (line.kind === "summary") summaries.push(line);
  }
  return {
    fields: {
      releases: counts.context,
      records: counts.record,
      words,
      summaries: summaries.map((summary) => {
        const { at, policy, tool, records, word, trouble } = summary;
        const outdated = "outdated" in summary ? summary.outdated : [];
        return {
          at,
          policy,
          tool,
          records,
          word,
          trouble: trouble.length,
          outdated: outdated.reduce((sum, of) => sum + of.records, 0),
        };
      }),
    },
    notVerified: "nothing was judged again; an audit's result is the word of whoever hands it over",
  };
}

const MAX_REPORT = 16 * 1024 * 1024;

/** What `vouch report --json` prints. It is made for programs, and no verb takes it back. */
export function tellReport(bytes: Uint8Array) {
  const line = bytes.at(-1) === LF ? bytes.subarray(0, -1) : bytes;
  const json = parseJson(line, "the report", MAX_REPORT) as Record<string, unknown>;
  if (json["version"] !== REPORT_VERSION)
    throw new Refusal("unsupported-version", `the report isn't of version ${REPORT_VERSION}`);
  const told = ["at", "word", "words", "devices", "policies", "tools"] as const;
  const missing = told.find((name) => json[name] === undefined);
  if (missing !== undefined) throw new Refusal("malformed-report", `the report has no ${missing}`);
  return {
    fields: Object.fromEntries(told.map((name) => [name, json[name]])),
    notVerified: "nothing was judged again; a report is the word of whoever hands it over",
  };
}
