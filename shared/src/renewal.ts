// A renewed bundle: the bundle's very bytes, and in front of them a line that proves when they were there, by
// hashes and keys of today. Format: spec/renewal.md. The idea is that of RFC 4998's evidence records.
//
//   {"version":"vouch-renewal/v1", …}   LF      the newest renewal, of all that follows it
//   {"version":"vouch-renewal/v1", …}   LF      an older one, of all that follows it
//   {"version":"vouch-bundle/v1", …}            the bundle, to the end of the file
//
// Among the renewals may be countersignatures (countersignature.ts), each a line of its own.
//
//   {"version":"vouch-renewal/v1",
//    "salt":"<b64 32>",                 opens the commitment
//    "policy":"<hex sha256>","verdict":"patched","at":"2036-01-15T09:00:00Z",     what the renewer found, and of which moment
//    "record":RECORD,                   the renewer's signed commitment, and its place in the log (bundle.ts)
//    "note":"<b64>","receipts":[…],     the first anchored checkpoint that holds it
//    "walk":WALK}                       only where a receipt is of kind "rebased"
//
//   commitment = H( tag ‖ salt ‖ policy LF verdict LF at LF ‖ all bytes after the line's LF )     H: SHA-256, SHA-512, SHA3-256
//
// The log gets salted commitments and nothing else. Nothing here is verified, only read.

import { type LogRecord, RECEIPTS, RECORD, recordJson } from "./bundle";
import { concatBytes, toBase64, toHex, utf8Encode } from "./bytes";
import { type Countersignature, parseCountersignature } from "./countersignature";
import type { Crypto } from "./crypto";
import { parseEnvelope } from "./dsse";
import { sha3_256, sha512 } from "./hash";
import { base64, formatJson, hex, matching, maybe, object, oneOf, readJson, type Shape } from "./json";
import { MAX_NOTE } from "./note";
import { WALK, type WalkMember, walkMemberJson } from "./rebased/walkform";
import { quote, Refusal } from "./refusal";
import { parseStatement, type RenewalCommitment } from "./statement";
import type { Word } from "./verdict";

export const RENEWAL_VERSION = "vouch-renewal/v1";
const DRAFT_VERSION = "vouch-renewal-draft/v1";
export const RENEWAL_TAG = "vouch/renewal-commitment/v1\n";
export const RENEWAL_SALT = 32;
const MAX_LAYERS = 16;
const MAX_LINE = 4 * 1024 * 1024;
/** A bundle of the largest size and the lines of several renewals. */
export const MAX_RENEWED = 16 * 1024 * 1024;

/** What the renewer found when renewing: the policy's SHA-256, the verdict under it, and the moment asked about. */
export interface Found {
  readonly policy: string;
  readonly verdict: Word;
  readonly at: string;
}

export interface Renewal extends Found {
  readonly salt: Uint8Array;
  readonly record: LogRecord;
  readonly note: Uint8Array;
  readonly receipts: readonly { readonly kind: string; readonly proof: Uint8Array }[];
  readonly walk?: WalkMember;
}

/** A renewal whose commitment is not in a log yet. */
export interface RenewalDraft extends Found {
  readonly salt: Uint8Array;
  /** The signed commitment, for the log. */
  readonly statement: Uint8Array;
}

/** A line in front of a bundle, and the bytes behind it. */
export type Layer = { readonly content: Uint8Array } & (
  | { readonly kind: "renewal"; readonly renewal: Renewal }
  | { readonly kind: "countersignature"; readonly countersignature: Countersignature }
);

export interface Renewed {
  /** Newest first. */
  readonly layers: readonly Layer[];
  /** The bundle that all of them are about. */
  readonly bundle: Uint8Array;
}

const WORDS = oneOf("patched", "verified", "vulnerable", "recalled", "unproven");
const moment = matching(
  /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$/,
  "a time such as 2036-01-15T09:00:00Z",
);
const FOUND = { salt: base64(RENEWAL_SALT), policy: hex(32), verdict: WORDS, at: moment };

const version =
  (known: string): Shape<string> =>
  (value, at) => {
    if (value === known) return known;
    const isLater =
      typeof value === "string" && /^vouch-renewal(-draft)?\/v[0-9]{1,6}$/.test(value) && value !== known;
    throw new Refusal(
      isLater ? "unsupported-version" : "malformed-json",
      `${at} is ${quote(String(value))}, this program reads ${known}`,
    );
  };

const SHAPE = object({
  version: version(RENEWAL_VERSION),
  ...FOUND,
  record: RECORD,
  note: base64(1, MAX_NOTE),
  receipts: RECEIPTS,
  walk: maybe(WALK),
});

const DRAFT = object({ version: version(DRAFT_VERSION), ...FOUND, statement: base64(1, 64 * 1024) });

const HEADS = {
  renewal: utf8Encode('{"version":"vouch-renewal/'),
  countersignature: utf8Encode('{"version":"vouch-countersignature/'),
};

const startsAs = (kind: keyof typeof HEADS, file: Uint8Array) =>
  HEADS[kind].every((byte, i) => file[i] === byte);

/** Whether a file begins with a line that stands in front of a bundle: a renewal or a countersignature. */
export const isRenewed = (file: Uint8Array): boolean =>
  startsAs("renewal", file) || startsAs("countersignature", file);

/**
 * Takes a file apart that nobody has verified yet; one without such lines is its bundle alone. Throws `too-large`, `malformed-renewal`,
 * `malformed-json`, `not-canonical-json`, `unsupported-version`, and as parseCountersignature.
 */
export function parseRenewed(file: Uint8Array): Renewed {
  if (file.length > MAX_RENEWED)
    throw new Refusal("too-large", `the file is ${file.length} bytes, at most ${MAX_RENEWED} are accepted`);
  const layers: Renewed["layers"][number][] = [];
  let rest = file;
  while (isRenewed(rest)) {
    const kind = startsAs("renewal", rest) ? "renewal" : "countersignature";
    if (layers.filter((layer) => layer.kind === kind).length === MAX_LAYERS)
      throw new Refusal("too-large", `the file holds more than ${MAX_LAYERS} ${kind}s`);
    const end = rest.indexOf(10);
    if (end < 0)
      throw new Refusal(`malformed-${kind}`, `a ${kind} stands alone, expected a bundle behind it`);
    const line = rest.subarray(0, end);
    rest = rest.subarray(end + 1);
    layers.push(
      kind === "renewal"
        ? { kind, renewal: parseRenewal(line), content: rest }
        : { kind, countersignature: parseCountersignature(line), content: rest },
    );
  }
  return { layers, bundle: rest };
}

/** The renewals of a file, newest first. */
export const renewalsOf = ({ layers }: Renewed) =>
  layers.flatMap((layer) => (layer.kind === "renewal" ? [layer] : []));

const parseRenewal = (line: Uint8Array): Renewal =>
  readJson(line, "the renewal", MAX_LINE, "malformed-renewal", SHAPE, renewalJson);

const renewalJson = (renewal: Renewal) => ({
  version: RENEWAL_VERSION,
  ...foundJson(renewal),
  record: recordJson(renewal.record),
  note: toBase64(renewal.note),
  receipts: renewal.receipts.map((r) => ({ kind: r.kind, proof: toBase64(r.proof) })),
  ...(renewal.walk === undefined ? {} : { walk: walkMemberJson(renewal.walk) }),
});

const foundJson = ({ salt, policy, verdict, at }: Found & { readonly salt: Uint8Array }) => ({
  salt: toBase64(salt),
  policy,
  verdict,
  at,
});

/** The renewed file: the renewal's line, and `content` as it is. */
export const formatRenewed = (renewal: Renewal, content: Uint8Array): Uint8Array =>
  concatBytes([formatJson(renewalJson(renewal)), Uint8Array.of(10), content]);

const draftJson = (draft: RenewalDraft) => ({
  version: DRAFT_VERSION,
  ...foundJson(draft),
  statement: toBase64(draft.statement),
});

export const formatRenewalDraft = (draft: RenewalDraft): Uint8Array => formatJson(draftJson(draft));

/** Reads a draft. Throws `malformed-renewal`, and as parseRenewed. */
export const parseRenewalDraft = (file: Uint8Array): RenewalDraft =>
  readJson(file, "the draft", 128 * 1024, "malformed-renewal", DRAFT, draftJson);

/** What the log holds of a renewal: its digests under three hashes, as hex. */
export function renewalDigests(
  found: Found & { readonly salt: Uint8Array },
  content: Uint8Array,
  crypto: Pick<Crypto, "sha256">,
): Pick<RenewalCommitment, "sha256" | "sha512" | "sha3"> {
  const { salt, policy, verdict, at } = found;
  const bytes = concatBytes([
    utf8Encode(RENEWAL_TAG),
    salt,
    utf8Encode(`${policy}\n${verdict}\n${at}\n`),
    content,
  ]);
  return {
    sha256: toHex(crypto.sha256(bytes)),
    sha512: toHex(sha512(bytes)),
    sha3: toHex(sha3_256(bytes)),
  };
}

/**
 * That a record commits to these bytes, under each of its hashes. Throws `wrong-statement`, `commitment-mismatch`, and as
 * parsing the record does.
 */
export function checkCommitted(
  record: Uint8Array,
  found: Found & { readonly salt: Uint8Array },
  content: Uint8Array,
  crypto: Pick<Crypto, "sha256">,
): void {
  const statement = parseStatement(parseEnvelope(record).payload);
  if (statement.kind !== "renewal-commitment")
    throw new Refusal("wrong-statement", `the renewal's record is a statement of kind ${statement.kind}`);
  const actual = renewalDigests(found, content, crypto);
  for (const name of ["sha256", "sha512", "sha3"] as const) {
    if (actual[name] !== statement[name])
      throw new Refusal(
        "commitment-mismatch",
        `what is renewed hashes to ${name} ${actual[name]}, the renewal's commitment is ${statement[name]}`,
      );
  }
}
