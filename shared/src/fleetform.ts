// Fleet files: what an auditor of many devices is handed. Format: spec/fleet.md.
//
//   fleet.jsonl   BUNDLE LF                       a release context: a bundle, most often without devices
//                 DEVICE LF DEVICE LF …           each names its context by digest
//   fleet.cborseq bstr(BUNDLE) bstr(DEVICE) …     the same, as a CBOR sequence (RFC 8742) of byte strings
//
//   DEVICE = {"version":"vouch-device/v1","context":"<hex>",KEYS}    KEYS: those of a bundle's device
//          | ["vouch-device/v1", h'context', h'evidence', [size, "ledger", h'random'], h'enrolment', h'salt',
//             RECORD, null / [h'salt', RECORD]]       RECORD = [index, h'statement', h'hash ‖ hash ‖ …']
//
// A bundle of 64 devices holds the release, its status and its checkpoints once; a fleet of a million
// holds them once too, and each device's own proofs beside it. Every proof is one in the head of the
// context that it names. One encoding; nothing here is verified, only read.

import { type BundledDevice, DEVICE, deviceJson, type LogRecord, MAX_MEMBER, MAX_PROOF } from "./bundle";
import { concatBytes, fromHex, toHex } from "./bytes";
import { CBOR_STRICT, type CborValue, decodeCbor, encodeCbor, isBytes } from "./cbor";
import { formatJson, hex, object, readJson, type Shape } from "./json";
import { faultRefusal, quote, Refusal } from "./refusal";
import { base64Next, hexNext, isNext, pass, type Scan, startScan, textNext, wordOf } from "./scan";

export const DEVICE_VERSION = "vouch-device/v1";
/** The longest DEVICE; four DSSE envelopes and two proofs take about six thousand bytes. */
export const MAX_DEVICE = 384 * 1024;
const MAX_PROOF_BYTES = 64 * 32;

export interface DeviceRecord extends BundledDevice {
  /** Digest of the context's bytes, hex. */
  readonly context: string;
}

const version: Shape<string> = (value, at) => {
  if (value === DEVICE_VERSION) return DEVICE_VERSION;
  const later = typeof value === "string" && /^vouch-device\/v[0-9]{1,6}$/.test(value);
  throw new Refusal(
    later ? "unsupported-version" : "malformed-json",
    `${at} is ${quote(String(value))}, this program reads ${DEVICE_VERSION}`,
  );
};

const SHAPE = object({ version, context: hex(32), ...DEVICE });

const recordJson = ({ context, ...device }: DeviceRecord) => ({
  version: DEVICE_VERSION,
  context,
  ...deviceJson(device),
});

/** A line of a fleet file, without its LF, or an item of a sequence. Throws `malformed-device`, `unsupported-version`, `too-large`, CBOR's faults, and as parseJson. */
export function parseDevice(bytes: Uint8Array): DeviceRecord {
  if (bytes.length > MAX_DEVICE)
    throw new Refusal(
      "too-large",
      `a device takes ${bytes.length} bytes, at most ${MAX_DEVICE} are accepted`,
    );
  if (bytes[0] !== OPEN_BRACE) return fromItem(bytes);
  return scanDevice(bytes) ?? readDevice(bytes);
}

/** A line, the long way. */
export const readDevice = (bytes: Uint8Array): DeviceRecord =>
  readJson(bytes, "the device", MAX_DEVICE, "malformed-device", SHAPE, recordJson);

const WORDS = {
  start: wordOf(`{"version":"${DEVICE_VERSION}","context":"`),
  evidence: wordOf(',"evidence":"'),
  challenge: wordOf(',"challenge":{"size":"'),
  ledger: wordOf(',"ledger":"'),
  random: wordOf(',"random":"'),
  enrolment: wordOf('},"enrolment":"'),
  salt: wordOf(',"salt":"'),
  commitment: wordOf(',"commitment":{"index":"'),
  statement: wordOf(',"statement":"'),
  proof: wordOf(',"proof":['),
  quote: wordOf('"'),
  comma: wordOf(","),
  close: wordOf("]}"),
  logged: wordOf(',"logged":'),
  nothing: wordOf("null"),
  loggedSalt: wordOf('{"salt":"'),
  loggedRecord: wordOf(',"record":{"index":"'),
  end: wordOf("}"),
};
const NUMBER = /^(0|[1-9][0-9]{0,14})$/; // larger ones are read the long way
const LEDGER = /^[a-z][a-z0-9-]{0,31}$/;

/** A line as it nearly always is (scan.ts); null for what is odd. */
export function scanDevice(bytes: Uint8Array): DeviceRecord | null {
  if (bytes.length > MAX_DEVICE) return null;
  const scan = startScan(bytes);
  pass(scan, WORDS.start);
  const context = hexNext(scan, 32);
  pass(scan, WORDS.evidence);
  const evidence = base64Next(scan, 1, MAX_MEMBER);
  pass(scan, WORDS.challenge);
  const size = textNext(scan, NUMBER, 15);
  pass(scan, WORDS.ledger);
  const ledger = textNext(scan, LEDGER, 32);
  pass(scan, WORDS.random);
  const random = base64Next(scan, 32, 32);
  pass(scan, WORDS.enrolment);
  const enrolment = base64Next(scan, 1, MAX_MEMBER);
  pass(scan, WORDS.salt);
  const salt = base64Next(scan, 16, 16);
  pass(scan, WORDS.commitment);
  const commitment = scanRecord(scan);
  pass(scan, WORDS.logged);
  const logged = isNext(scan, WORDS.nothing) ? null : scanLogged(scan);
  pass(scan, WORDS.end);
  if (scan.at !== bytes.length || commitment === null) return null;
  const challenge = { size: BigInt(size), ledger, random };
  return { context, evidence, challenge, enrolment, salt, commitment, logged };
}

function scanLogged(scan: Scan): DeviceRecord["logged"] {
  pass(scan, WORDS.loggedSalt);
  const salt = base64Next(scan, 16, 16);
  pass(scan, WORDS.loggedRecord);
  const record = scanRecord(scan);
  pass(scan, WORDS.end);
  return record && { salt, record };
}

/** Behind `{"index":"`, up to its closing brace. */
function scanRecord(scan: Scan): LogRecord | null {
  const index = textNext(scan, NUMBER, 15);
  pass(scan, WORDS.statement);
  const statement = base64Next(scan, 1, MAX_MEMBER);
  pass(scan, WORDS.proof);
  const proof: Uint8Array[] = [];
  while (isNext(scan, WORDS.quote) && proof.length < MAX_PROOF) {
    proof.push(base64Next(scan, 32, 32));
    // A comma, and another one must follow; without one the list ends.
    if (!isNext(scan, WORDS.comma)) break;
    if (scan.bytes[scan.at] !== QUOTE) scan.at = -1;
  }
  pass(scan, WORDS.close);
  return scan.at < 0 ? null : { index: BigInt(index), statement, proof };
}

const QUOTE = 0x22;

const OPEN_BRACE = 0x7b;

/** The one line of a device, without its LF. */
export const formatDevice = (device: DeviceRecord): Uint8Array => formatJson(recordJson(device));

/** The same as an item of a CBOR sequence, without the byte string around it. */
export function formatDeviceItem(device: DeviceRecord): Uint8Array {
  const record = (r: LogRecord): CborValue => [Number(r.index), r.statement, concatBytes([...r.proof])];
  const { challenge, logged } = device;
  return encodeCbor([
    DEVICE_VERSION,
    fromHex(device.context) as Uint8Array,
    device.evidence,
    [Number(challenge.size), challenge.ledger, challenge.random],
    device.enrolment,
    device.salt,
    record(device.commitment),
    logged && [logged.salt, record(logged.record)],
  ]);
}

const malformed = (what: string) => new Refusal("malformed-device", `the device: ${what}`);

function fromItem(bytes: Uint8Array): DeviceRecord {
  const { fault, value } = decodeCbor(bytes, CBOR_STRICT);
  if (fault !== 0) throw faultRefusal(fault, "the device");
  const items = tuple(value, 8, "the item");
  version(items[0], "the device's version");
  const [size, ledger, random] = tuple(items[3], 3, "the challenge");
  if (typeof ledger !== "string" || !/^[a-z][a-z0-9-]{0,31}$/.test(ledger))
    throw malformed("its challenge names no kind of ledger");
  const logged = items[7] === null ? null : tuple(items[7], 2, "logged");
  return {
    context: toHex(sized(items[1], 32, 32, "the context")),
    evidence: member(items[2], "the evidence"),
    challenge: { size: count(size, "the size"), ledger, random: sized(random, 32, 32, "the random bytes") },
    enrolment: member(items[4], "the enrolment"),
    salt: sized(items[5], 16, 16, "the salt"),
    commitment: recordOf(items[6], "the commitment"),
    logged: logged && {
      salt: sized(logged[0], 16, 16, "the evidence's salt"),
      record: recordOf(logged[1], "the evidence's record"),
    },
  };
}

function tuple(value: CborValue | undefined, length: number, what: string): CborValue[] {
  if (Array.isArray(value) && value.length === length) return value;
  throw malformed(`${what} isn't an array of ${length}`);
}

function sized(value: CborValue | undefined, least: number, most: number, what: string): Uint8Array {
  if (isBytes(value) && value.length >= least && value.length <= most) return value;
  throw malformed(`${what} isn't a byte string of ${least === most ? least : `${least} to ${most}`} bytes`);
}

const member = (value: CborValue | undefined, what: string) => sized(value, 1, 64 * 1024, what);

function count(value: CborValue | undefined, what: string): bigint {
  if (typeof value === "number" && value >= 0) return BigInt(value);
  throw malformed(`${what} isn't a number`);
}

function recordOf(value: CborValue | undefined, what: string): LogRecord {
  const [index, statement, proof] = tuple(value, 3, what);
  const hashes = sized(proof, 0, MAX_PROOF_BYTES, `${what}'s proof`);
  if (hashes.length % 32 !== 0) throw malformed(`${what}'s proof isn't made of hashes`);
  return {
    index: count(index, `${what}'s index`),
    statement: member(statement, what),
    proof: Array.from({ length: hashes.length / 32 }, (_, i) => hashes.subarray(32 * i, 32 * i + 32)),
  };
}

const ITEM_HEAD = encodeCbor([DEVICE_VERSION, new Uint8Array(32)]).subarray(1, -32);

/** Which context a device names, told without reading it; null when it isn't told where it should be. */
export function contextOf(bytes: Uint8Array): string | null {
  if (bytes[0] === OPEN_BRACE) {
    const scan = startScan(bytes);
    pass(scan, WORDS.start);
    const digest = hexNext(scan, 32);
    return scan.at < 0 ? null : digest;
  }
  const end = 1 + ITEM_HEAD.length;
  const isDevice = ITEM_HEAD.every((byte, i) => bytes[1 + i] === byte);
  return isDevice && bytes.length >= end + 32 ? toHex(bytes.subarray(end, end + 32)) : null;
}
