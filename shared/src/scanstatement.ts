// The statements of which a fleet has one or more a device, read in one go (scan.ts): enrolments and commitments.
// Null for every other statement, and for these where anything is odd or wrong: statement.ts reads it then.

import { toHex } from "./bytes";
import { isMoment, WORD } from "./predicates";
import { base64Next, hexNext, isNext, pass, type Scan, startScan, textNext, wordOf } from "./scan";
import type { EnrolmentCommitment, EnrolmentStatement, EvidenceCommitment } from "./statement";
import { checkPublicKey } from "./strict";

const subject = (name: string) =>
  wordOf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"${name}","digest":{"sha256":"`);
const predicate = (kind: string, first: string) =>
  wordOf(`}}],"predicateType":"https://vouch.example/${kind}/v1","predicate":{"${first}":"`);

const key = {
  subject: subject("device-key"),
  predicate: predicate("enrolment", "product"),
  model: wordOf(',"model":"'),
  serial: wordOf(',"serial":"'),
  ueid: wordOf(',"ueid":"01'),
  publicKey: wordOf(',"publicKey":"'),
  device: wordOf(',"keyOrigin":"device","created":"'),
  station: wordOf(',"keyOrigin":"station","created":"'),
};
const COMMITMENTS = (["enrolment", "evidence"] as const).map((name) => ({
  kind: `${name}-commitment` as const,
  subject: subject(name),
  predicate: predicate(`${name}-commitment`, "created"),
}));
const END = wordOf("}}");
/** What JSON prints as it stands. */
const PLAIN = /^[ !#-[\]-~]{1,64}$/;
const MAX = 2048; // these are shorter

export function scanStatement(
  bytes: Uint8Array,
  hash: (bytes: Uint8Array) => Uint8Array,
): EnrolmentStatement | EnrolmentCommitment | EvidenceCommitment | null {
  if (bytes.length > MAX) return null;
  const scan = startScan(bytes);
  if (isNext(scan, key.subject)) return scanEnrolment(scan, hash);
  for (const { kind, subject, predicate } of COMMITMENTS) {
    if (!isNext(scan, subject)) continue;
    const sha256 = hexNext(scan, 32);
    pass(scan, predicate);
    const created = createdNext(scan);
    return scan.at === bytes.length ? { kind, sha256, created } : null;
  }
  return null;
}

function createdNext(scan: Scan): string {
  const created = textNext(scan, PLAIN, 20);
  pass(scan, END);
  if (scan.at >= 0 && !isMoment(created)) scan.at = -1;
  return created;
}

function scanEnrolment(scan: Scan, hash: (bytes: Uint8Array) => Uint8Array): EnrolmentStatement | null {
  const sha256 = hexNext(scan, 32);
  pass(scan, key.predicate);
  const product = textNext(scan, WORD, 64);
  pass(scan, key.model);
  const model = textNext(scan, WORD, 64);
  pass(scan, key.serial);
  const serial = textNext(scan, PLAIN, 64);
  pass(scan, key.ueid);
  const ueid = `01${hexNext(scan, 16)}`;
  pass(scan, key.publicKey);
  const publicKey = base64Next(scan, 32, 32);
  const keyOrigin = isNext(scan, key.device) ? "device" : "station";
  if (keyOrigin === "station") pass(scan, key.station);
  const created = createdNext(scan);
  if (scan.at !== scan.bytes.length || checkPublicKey(publicKey) !== 0) return null;
  if (toHex(hash(publicKey)) !== sha256) return null;
  return { kind: "enrolment", product, model, serial, ueid, publicKey, keyOrigin, created };
}
