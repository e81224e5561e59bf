// No personal data in a log or on a ledger: every byte that the tests put there is looked through for it.
//
//   a test file's process, before it removes            the runner, when that process
//   a temporary folder, and at its end                  has ended
//
//   files of logs and ledgers in it ─▶ KEPT  ◀──────▶  judge(KEPT): which file holds what
//   values of enrolments in it      ─▶ KEPT
//   what a ledger was handed        ─▶ KEPT
//
//   KEPT   {"value":"SN-1042"} LF …      {"file":"log/tile/entries/000","length":712} LF and so many bytes, each content once
//
// A log or ledger is a folder with tile/entries in it (host-cli/src/tiledlog.ts); all files in it are looked at, drafts of
// ledger transactions included. What is looked for: serial numbers and UEIDs of every enrolment that the tests' own
// files hold, those of the list below, and the members that would carry them. In each of these spellings:
//
//   V   as UTF-8, in small and capital letters; the bytes that it is the hex of; its hex, base64 and base64url
//   H   SHA-256, SHA-512 and SHA-1 of V, without a salt: bytes, hex, base64, base64url
//
// also within base64 that is within base64 within base64, from any of its letters on. A value of less than six bytes is
// looked for as a whole JSON string only, since a few bytes are anywhere by chance.

import { createHash } from "node:crypto";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join, resolve, sep } from "node:path";

const DEEPEST = 3; // a statement in an envelope in a draft
const SHORT = 6;
const MAX_PRIVATE = 4 * 1024 * 1024; // of files that values are read from

/** Personal strings that tests use beside those that enrolments hold. */
export const KNOWN = [
  ...["SN 1042", "SN 1043", "SN1042", "SN-1042", "SN-7", "SN-8", "SER7"], // serial numbers
  ...Array.from({ length: 200 }, (_, i) => `SN-${1001 + i}`), // of `vouch demo --fleet`
  ...["A99912345", "(21)SN1042", "(21)5678CD", "A600b30P"], // production identifiers of UDIs
  ...["st-anne", "lakeside", "St. Anne"], // owners
];

/** Members of an enrolment, which is the owner's: as JSON they are in no log, whatever their value. */
const MEMBERS = ['"serial":"', '"ueid":"', '"predicateType":"https://vouch.example/enrolment/'];

const digestsOf = (bytes) =>
  ["sha256", "sha512", "sha1"].map((name) => createHash(name).update(bytes).digest());

function spellings(value) {
  const plain = [value, value.toLowerCase(), value.toUpperCase()].map((text) => Buffer.from(text));
  if (/^(?:[0-9a-f]{2}){6,}$/.test(value)) plain.push(Buffer.from(value, "hex")); // a UEID's own bytes
  const hashes = plain.flatMap(digestsOf);
  if (plain[0].length < SHORT) plain.splice(0, 3, Buffer.from(JSON.stringify(value)));
  const texts = [...plain, ...hashes].flatMap((bytes) => {
    const hex = bytes.toString("hex");
    return [hex, hex.toUpperCase(), bytes.toString("base64").replace(/=+$/, ""), bytes.toString("base64url")];
  });
  return [
    ...plain,
    ...hashes,
    ...texts.filter((text) => text.length > SHORT).map((text) => Buffer.from(text)),
  ];
}

/** Looks for many needles at once: two bytes tell in a table whether any needle begins so. */
export class Search {
  #begins = new Uint8Array(1 << 16);
  #needles = new Map();

  constructor(values) {
    for (const value of values) for (const needle of spellings(value)) this.#add(needle, value);
    for (const member of MEMBERS) this.#add(Buffer.from(member), member);
  }

  #add(needle, value) {
    this.#begins[needle[0] | (needle[1] << 8)] = 1;
    const head = needle.readUInt32LE(0);
    const same = this.#needles.get(head) ?? [];
    if (!same.some((other) => other.needle.equals(needle))) same.push({ needle, value });
    this.#needles.set(head, same);
  }

  /** The values that are in it, each once. */
  in(bytes) {
    const found = new Set();
    this.#within(bytes, 0, found);
    return [...found];
  }

  #within(bytes, depth, found) {
    const last = bytes.length - 4;
    for (let at = 0; at <= last; at++) {
      if (this.#begins[bytes[at] | (bytes[at + 1] << 8)] === 0) continue;
      for (const { needle, value } of this.#needles.get(bytes.readUInt32LE(at)) ?? [])
        if (bytes.subarray(at, at + needle.length).equals(needle)) found.add(value);
    }
    if (depth === DEEPEST) return;
    for (const [run] of bytes.toString("latin1").matchAll(/[A-Za-z0-9+/_-]{16,}/g))
      for (const inner of decoded(run)) this.#within(inner, depth + 1, found);
  }
}

/** What base64 holds that begins at one of the run's first four letters: text where one of them gives text, else whatever each gives. */
function decoded(run) {
  const all = [0, 1, 2, 3].map((skip) => Buffer.from(skip === 0 ? run : run.slice(skip), "base64"));
  const text = all.find((bytes) => bytes.subarray(0, 12).every((byte) => byte >= 0x20 && byte < 0x7f));
  return text === undefined ? all : [text];
}

/** Tests leave all kinds of nonsense: what is no JSON string is no value of an enrolment. */
function unquoted(text) {
  try {
    return JSON.parse(text);
  } catch {
    return "";
  }
}

/** Serial numbers and UEIDs of the enrolments in a file, however deep in base64. */
export function valuesIn(bytes, depth = 0) {
  const text = bytes.toString("latin1");
  const values = [];
  for (const [, quoted] of text.matchAll(/"(?:serial|ueid)":("(?:[^"\\]|\\.)*")/g)) {
    const value = unquoted(Buffer.from(quoted, "latin1").toString());
    if (Buffer.byteLength(value) > 1) values.push(value);
  }
  if (depth < DEEPEST)
    for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{80,}/g))
      values.push(...valuesIn(Buffer.from(run, "base64"), depth + 1));
  return values;
}

/** Null when it is gone meanwhile, or not to be read by anybody. */
function there(read) {
  try {
    return read();
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "EACCES") return null;
    throw error;
  }
}

const isLog = (folder) => fs.existsSync(join(folder, "tile", "entries"));
const isPrivate = (name) => /\.(enrolment|jsonl|rows|fleet|vouch\.json)$/.test(name);

/** Every file below a folder that is a log's, and every one beside them that may hold an enrolment. */
function walk(folder, ofLog, ofOwner, within = false) {
  const inside = within || isLog(folder);
  for (const entry of there(() => fs.readdirSync(folder, { withFileTypes: true })) ?? []) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) walk(path, ofLog, ofOwner, inside);
    if (!entry.isFile() || !(inside || isPrivate(entry.name))) continue;
    const content = there(() => fs.readFileSync(path));
    if (content !== null) (inside ? ofLog : ofOwner)(path, content);
  }
}

/** In a test's process: from here on no log goes before it was written to the file `kept`. */
export function startKeeping(kept) {
  const { mkdtempSync, rmSync, rm, promises } = fs;
  const promised = { mkdtemp: promises.mkdtemp, rm: promises.rm };
  const made = new Set();
  const seen = new Set();
  const isNew = (key) => !seen.has(key) && seen.add(key);
  const keep = (file, content) => {
    if (!isNew(createHash("sha256").update(content).digest("base64"))) return;
    const head = `${JSON.stringify({ file, length: content.length })}\n`;
    fs.appendFileSync(kept, Buffer.concat([Buffer.from(head), content]));
  };
  const readValues = (_, content) => {
    if (content.length > MAX_PRIVATE || !isNew(createHash("sha256").update(content).digest("base64"))) return;
    for (const value of valuesIn(content))
      if (isNew(value)) fs.appendFileSync(kept, `${JSON.stringify({ value })}\n`);
  };
  const look = (folder) => {
    if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
    walk(folder, keep, readValues);
  };
  const isOurs = (path) => [...made].some((top) => `${path}${sep}`.startsWith(`${top}${sep}`));
  const before = (path, options) => {
    if (options?.recursive && isOurs(resolve(String(path)))) look(resolve(String(path)));
  };
  const note = (folder) => {
    made.add(resolve(folder));
    return folder;
  };
  fs.mkdtempSync = (...args) => note(mkdtempSync(...args));
  promises.mkdtemp = async (...args) => note(await promised.mkdtemp(...args));
  fs.rmSync = (path, options) => {
    before(path, options);
    rmSync(path, options);
  };
  fs.rm = (path, options, done) => {
    before(path, options);
    rm(path, options, done);
  };
  promises.rm = async (path, options) => {
    before(path, options);
    await promised.rm(path, options);
  };
  syncBuiltinESMExports();
  return {
    handed: (bytes) => keep("what a ledger was handed", bytes),
    /** What nobody removed. */
    end: () => {
      for (const folder of made) look(folder);
    },
  };
}

/** What stands in a file of kept things, one after another. */
function* read(kept) {
  const bytes = fs.readFileSync(kept);
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(10, at);
    const { length = 0, ...told } = JSON.parse(bytes.subarray(at, end).toString());
    at = end + 1 + length;
    yield { ...told, content: bytes.subarray(end + 1, at) };
  }
}

/** What a test's process kept: leaks, one a file; how many bytes there were, and how many values they were held against. */
export function judge(kept) {
  if (!fs.existsSync(kept)) return { leaks: [], bytes: 0, values: 0 };
  const things = [...read(kept)];
  const values = new Set([...KNOWN, ...things.flatMap(({ value }) => value ?? [])]);
  const search = new Search(values);
  const leaks = [];
  let bytes = 0;
  for (const { file, content } of things) {
    if (file === undefined) continue;
    bytes += content.length;
    const found = search.in(content);
    if (found.length > 0)
      leaks.push(`${file} holds ${found.map((value) => JSON.stringify(value)).join(", ")}`);
  }
  return { leaks, bytes, values: values.size };
}
