// What kind of file this is, told from its first bytes and never from its name.
//
//   {"version":"vouch-grant/v1",…     JSON of ours says it at once
//   c2sp.org/tlog-proof@v1            so do formats of others; the rest has a shape of its own
//
// Nothing is parsed: a file that begins as a grant may be a bad one. `vouch inspect` reads it (commands/inspect.ts).
//
// From the same follows whether there is a question at all. Whoever asks about a bundle and names a policy has mistyped a
// name, and nothing is forged: that is trouble, status 1, and no verdict. A file is judged as what it was given for when
//
//   1. it begins as that form does, for as far as it goes: one that is cut short is judged (of JSON, { is enough then);
//   2. or a name of the form stands in its first 64 bytes: one that was bent, once or often, is judged;
//   3. or, where the form is JSON of ours, it begins {"version":" and no other format's name follows.
//
// Everything else is no such file. The rule looks at what a file says it is and at nothing that is to be proved of it, so
// no one byte of a good file, bent or cut away, takes the question from it (kinds.test.ts tries all).

import { equalBytes, utf8Decode, utf8Encode } from "@vouch/shared/bytes";
import { isCoseReceipt } from "@vouch/shared/cosereceipt";
import { parseEnvelope } from "@vouch/shared/dsse";
import { decodeEvidence } from "@vouch/shared/evidence";
import { isMcuboot } from "@vouch/shared/mcuboot";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { parseStatement } from "@vouch/shared/statement";
import { encodeVstreamHead } from "@vouch/shared/vstream";

/** JSON of ours begins with the name of its format: {"version":"NAME/v1". */
const VERSIONED = {
  "vouch-renewal-draft": "renewal draft",
  "vouch-renewal": "renewed bundle",
  "vouch-countersignature": "countersignature",
  "vouch-bundle": "bundle",
  "vouch-challenge": "challenge",
  "vouch-enrolment": "enrolment file",
  "vouch-evidence-salt": "evidence salt",
  "vouch-rebased-receipt": "receipt of IOTA's ledger",
  "vouch-rebased-draft": "draft of an IOTA transaction",
  "vouch-stardust-receipt": "receipt of a Tangle",
  "vouch-stardust-draft": "draft of a Tangle's block",
  "vouch-stardust-trust": "trust file of a Tangle",
  "vouch-fraud": "fraud proof",
  "vouch-device": "fleet file",
  "vouch-fleet-row": "owner's rows of a fleet",
  "vouch-audit-context": "audit result",
  "vouch-audit-record": "audit result",
  "vouch-audit-summary": "audit result",
  "vouch-report": "report",
  "vouch-grant": "grant",
  "vouch-readers": "readers' file",
  "vouch-stream-head": "head of a stream",
  "vouch-stream-heads": "state of `stream verify`",
  "vouch-cursor": "state of a delivery",
  "vouch-monitor": "state of a monitor",
  "vouch-sim": "simulated device",
} as const;

/** The rest, in the order in which they are tried. */
const SHAPED = {
  "countersigned bundle": (_, text) => versionOf(text) === "vouch-countersignature" && /\n./.test(text ?? ""),
  "fleet file": (bytes, text) => isFleetOfLines(text) || isFleetSequence(bytes),
  walk: (_, text) => begins(text, '{"keys":"'),
  "DSSE statement": (_, text) => begins(text, '{"payload"'),
  "COSE receipt": (bytes) => isCoseReceipt(bytes),
  "device evidence": (bytes) => startsWith(bytes, 0xd2, 0x84),
  "SUIT manifest": (bytes) => startsWith(bytes, 0xd8, 0x6b),
  upload: (bytes) => startsWith(bytes.subarray(4), 0xd8, 0x6b),
  "MCUboot image": (bytes) => isMcuboot(bytes),
  "recording of a stream": (bytes) => isRecording(bytes),
  "index of an audit's store": (bytes) => startsWith(bytes, ...utf8Encode("vouch-audit-index/v")),
  "simulated device": (bytes) => startsWith(bytes, ...utf8Encode('{"version":"vouch-sim/v')), // the rest isn't text
  "tlog-proof": (_, text) => begins(text, "c2sp.org/tlog-proof@"),
  "consistency proof": (_, text) => /^old (0|[1-9][0-9]*)\n/.test(text ?? ""),
  "signed checkpoint": (_, text) => text?.includes("\n\n\u2014 ") === true,
  "cosignature of a checkpoint": (_, text) => begins(text, "\u2014 "),
  "reader's key": (_, text) => isLine(text, /^[^+\s]+\+[0-9a-f]{16}\+\S+\r?\n?$/),
  "verifier key": (_, text) => isLine(text, /^\S+\+[0-9a-f]{8}\+\S+\n?$/),
  policy: (_, text) => POLICY.test(text ?? ""),
} as const satisfies Record<string, (bytes: Uint8Array, text: string | null) => boolean>;

export type Kind = (typeof VERSIONED)[keyof typeof VERSIONED] | keyof typeof SHAPED;

const POLICY =
  /^(#.*\n|\n)*(log|witness|group|quorum|vendor|approver|approve|status|enroller|renewals|countersigner|countersigned|distrust|max-age|ledger|require-image|allow) ?/;

/** Formats by name, for a test that none was forgotten. */
export const FORMATS: readonly string[] = [...Object.keys(VERSIONED), "vouch-audit-index"];

const startsWith = (bytes: Uint8Array, ...start: number[]) => start.every((byte, i) => bytes[i] === byte);
/** Of a key; a longer text is none, and could keep the pattern busy for hours. */
const isLine = (text: string | null, form: RegExp) => text !== null && text.length <= 8192 && form.test(text);
const begins = (text: string | null, start: string) => text?.startsWith(start) === true;

type Format = keyof typeof VERSIONED;

/** The format that JSON of ours names, known here; or null. */
function versionOf(text: string | null): Format | null {
  const name = /^\{"version":"([a-z-]{1,64})\/v/.exec(text ?? "")?.[1] ?? "";
  return Object.hasOwn(VERSIONED, name) ? (name as Format) : null;
}

/** Releases' contexts are bundles, and come first. */
const isFleetOfLines = (text: string | null) =>
  versionOf(text) === "vouch-bundle" && /^\{.*\n\{/.test(text ?? "");

/** A CBOR sequence of byte strings: devices, and bundles as they are. */
const isFleetSequence = (bytes: Uint8Array) =>
  (bytes[0] ?? 0) >> 5 === 2 && namesOne(bytes, ["vouch-device/v", "vouch-bundle/v"]);

function isRecording(bytes: Uint8Array): boolean {
  const head = encodeVstreamHead();
  return equalBytes(bytes.subarray(0, head.length), head);
}

/** What it begins as; null for what is none of ours. Private keys are nobody's business and have no kind. */
export function kindOf(bytes: Uint8Array): Kind | null {
  const text = utf8Decode(bytes);
  const shaped = Object.entries(SHAPED).find(([, matches]) => matches(bytes, text))?.[0] as Kind | undefined;
  const format = versionOf(text);
  // What names a format is of it, however the rest looks; but for two that say so only further on.
  const later: readonly (Kind | undefined)[] = ["countersigned bundle", "fleet file"];
  return format === null || later.includes(shaped) ? (shaped ?? null) : VERSIONED[format];
}

// ---- Whether there is a question

/** What a file may be given for, and judged as. */
interface Form {
  readonly code: string;
  /** As in "expected a bundle". */
  readonly expected: string;
  /** Its formats, where it is JSON of ours. */
  readonly formats: readonly Format[];
  readonly names: readonly string[];
  begins(bytes: Uint8Array): boolean;
}

const VERSION = utf8Encode('{"version":"');
/** As far as both go. Nothing begins as an empty file does. */
const agree = (bytes: Uint8Array, start: Uint8Array) =>
  bytes.length > 0 && start.every((byte, i) => i >= bytes.length || bytes[i] === byte);

const json = (code: string, expected: string, ...formats: Format[]): Form => ({
  code,
  expected,
  formats,
  names: formats.map((name) => `${name}/`),
  // Too short to say what it is.
  begins: (bytes) => bytes.length < VERSION.length && bytes[0] === VERSION[0],
});

const PROOF_HEAD = utf8Encode("c2sp.org/tlog-proof@");

const FORMS = {
  bundle: json(
    "not-a-bundle",
    "a bundle (.vouch.json)",
    "vouch-bundle",
    "vouch-renewal",
    "vouch-countersignature",
  ),
  fraud: json("not-a-fraud-proof", "a fraud proof (.fraud.json)", "vouch-fraud"),
  proof: {
    code: "not-a-proof",
    expected: "a tlog-proof or a COSE receipt",
    formats: [],
    names: ["c2sp.org", "tlog-proof@"], // no bend reaches both
    // Either of its two bytes tells a COSE receipt that has the other bent; but what is evidence from end to end is none.
    begins: (bytes) =>
      agree(bytes, PROOF_HEAD) ||
      (bytes.subarray(0, 3).some((byte) => byte === 0xd2 || byte === 0x84) && !isEvidence(bytes)),
  },
} as const satisfies Record<string, Form>;

function isEvidence(bytes: Uint8Array): boolean {
  const { fault, claims } = decodeEvidence(bytes);
  return fault === 0 && claims !== null;
}

const NAMED_WITHIN = 64;

/** Whether one of these stands among the first bytes. */
function namesOne(bytes: Uint8Array, names: readonly string[]): boolean {
  const head = Buffer.from(bytes.subarray(0, NAMED_WITHIN)).toString("latin1");
  return names.some((name) => head.includes(name));
}

function isGivenFor({ formats, names, begins: starts }: Form, bytes: Uint8Array): boolean {
  if (starts(bytes) || namesOne(bytes, names)) return true;
  if (formats.length === 0 || !startsWith(bytes, ...VERSION)) return false;
  const head = Buffer.from(bytes.subarray(0, NAMED_WITHIN)).toString("latin1");
  return versionOf(head) === null; // that of the form itself stands there, or was bent
}

/** Refuses with the form's code, which is trouble and no verdict, a file that plainly is something else. */
export function checkForm(form: keyof typeof FORMS, bytes: Uint8Array): void {
  const { code, expected } = FORMS[form];
  if (isGivenFor(FORMS[form], bytes)) return;
  const kind = kindOf(bytes);
  const name = nameOf(bytes, kind);
  const hint = name === "a release statement" ? INTO_BUNDLE : kind === null ? undefined : GOES[kind];
  throw new Refusal(code, `found ${name}, expected ${expected}`, hint ? { hint } : {});
}

const INTO_BUNDLE = "`vouch bundle` makes a bundle of it and of its log";

/** Where it belongs, for what is easily mistaken for something to judge. */
const GOES: Partial<Record<Kind, string>> = {
  bundle: "`vouch verify BUNDLE --policy FILE` judges it",
  "renewed bundle": "`vouch verify BUNDLE --policy FILE` judges it",
  "countersigned bundle": "`vouch verify BUNDLE --policy FILE` judges it",
  "device evidence": "evidence goes with --evidence, beside a bundle",
  "fleet file": "`vouch audit FILES… --policy FILE` judges it",
  "owner's rows of a fleet": "`vouch fleet check` judges them",
  "fraud proof": "`vouch verify --fraud FILE` judges it",
  "tlog-proof": "`vouch verify --proof FILE --entry FILE` judges it",
  "COSE receipt": "`vouch verify --proof FILE --entry FILE` judges it",
  "recording of a stream": "`vouch stream verify` judges it",
  "audit result": "`vouch report` reads it",
  policy: "a policy goes with --policy",
  upload: "an image goes with --image, as it was before `vouch release seal`",
};

/** As in "found a policy". */
function nameOf(bytes: Uint8Array, kind: Kind | null): string {
  if (bytes.length === 0) return "an empty file";
  if (kind === null) {
    const text = utf8Decode(bytes);
    if (text?.includes("PRIVATE KEY-----")) return "a private key";
    return `${bytes.length} bytes ${text === null ? "" : "of text "}that are no artefact of vouch`;
  }
  const name = kind === "DSSE statement" ? statementName(bytes) : kind;
  if (name === "device evidence") return name;
  return `${/^[aeiou]|^MC/i.test(name) ? "an" : "a"} ${name}`;
}

/** Which statement, for as much as anybody can claim. */
function statementName(bytes: Uint8Array): string {
  try {
    return `${parseStatement(parseEnvelope(bytes).payload).kind} statement`;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return "DSSE statement";
  }
}
