// Claims 5 to 7: what one device showed.
//
//   5. enrolment   the key is this device's: enrolled.ts;
//   6. evidence    that key signed an EAT (RFC 9711) over the nonce that an anchored
//                  checkpoint, its receipt and 32 random bytes give: not before that
//                  receipt's time; where the log holds a commitment to it: not after
//                  that one's;
//   7. measured    every component the device measured is one the release names, with the
//                  digest it names: measured.ts

import type { Receipt } from "./anchoring";
import type { Bundle, BundledDevice } from "./bundle";
import { equalBytes, fromHex, toHex, utf8Decode } from "./bytes";
import { commitment, EVIDENCE_TAG } from "./commitment";
import type { Challenge } from "./companions";
import { kidOf } from "./cose";
import type { Crypto } from "./crypto";
import { checkEnrolment, type EnrolledKey, keyidOnce, type Member, openEnrollers } from "./enrolled";
import { type Claims, challengeBase, decodeEvidence, evidenceMessage, nonceAt } from "./evidence";
import { type Anchored, type Case, checkLogged, type History, horizonOf, timedBy } from "./history";
import { checkNotRevoked, enrolledKeyHash } from "./keyrecords";
import { checkMeasured, type Image } from "./measured";
import type { Release } from "./published";
import { faultRefusal, quote, Refusal } from "./refusal";
import { ageText, isoTime } from "./time";
import type { DeviceResult } from "./verdict";

/** Evidence as presented for judgement: from the bundle, or handed over beside it. */
export interface Presented {
  readonly evidence: Uint8Array;
  /** The bundle names its challenge's checkpoint by size, a challenge file carries note and receipt. */
  readonly challenge: BundledDevice["challenge"] | Challenge;
  /** Null when the bundle says nowhere whose key this is. */
  readonly member: Member | null;
  /** The evidence taken apart; nothing of it is verified. */
  readonly decoded: ReturnType<typeof decodeEvidence>;
}

export function presentMember(device: BundledDevice): Presented {
  const { evidence, challenge } = device;
  return { evidence, challenge, member: device, decoded: decodeEvidence(evidence) };
}

/** Evidence from a file, with what the bundle knows of its key. Reads the key id only: nothing is verified here. */
export function presentFile(
  evidence: Uint8Array,
  challenge: Challenge,
  { devices }: Pick<Bundle, "devices">,
  crypto: Crypto,
): Presented {
  const same = devices.find((d) => equalBytes(d.evidence, evidence));
  const decoded = decodeEvidence(evidence);
  const kid = decoded.sign1?.kid ?? null;
  const enrolled = devices.find((d) => kid !== null && equalBytes(enrolledKid(d, crypto), kid));
  const member = same ?? (enrolled === undefined ? null : { ...enrolled, logged: null });
  return { evidence, challenge, member, decoded };
}

/** What reasons and results call a device: the key id its evidence names, else its place. */
export function labelOf(device: Presented, place: number): string {
  const kid = device.decoded.sign1?.kid;
  return kid == null ? `device-${place + 1}` : toHex(kid);
}

function enrolledKid(device: BundledDevice, crypto: Crypto): Uint8Array {
  const hash = enrolledKeyHash(device, crypto);
  return hash === null ? new Uint8Array(0) : kidOf(hash);
}

interface Shown {
  readonly claims: Claims;
  readonly notBefore: number | null;
  readonly notAfter: number | null;
}

/** Claims 5 to 7 for one device. Findings go to the case. */
export function checkDevice(
  c: Case,
  device: Presented,
  label: string,
  release: Release,
  history: History,
  images: readonly Image[],
): DeviceResult {
  c.out.device = label;
  // What names no enrolled key may be no evidence at all: that is wrong, not merely unknown.
  if (device.member === null) c.out.attempt("evidence", () => openEvidence(device));
  const key = c.out.attempt("enrolment", () => checkEnrolment(c, device.member, release, history));
  const shown = key && c.out.attempt("evidence", () => checkEvidence(c, device, key, release, history));
  const components = shown ? checkMeasured(c, shown.claims, release, images) : [];
  c.out.device = null;
  return {
    label,
    kid: key ? toHex(key.kid) : "",
    serial: key?.enrolment.serial ?? null,
    ueid: key?.enrolment.ueid ?? null,
    nonce: shown?.claims.nonce ?? null, // only one that was found in the evidence is echoed
    notBefore: shown?.notBefore ?? null,
    notAfter: shown?.notAfter ?? null,
    enroller: key?.enroller ?? null,
    enrolled: key?.enrolled ?? null,
    dbgstat: shown?.claims.dbgstat ?? null,
    components,
  };
}

/** Evidence in its one form. Who signed it is another question. */
function openEvidence({ decoded: { fault, sign1, claims } }: Presented) {
  if (fault !== 0 || sign1 === null || claims === null) throw faultRefusal(fault, "the evidence");
  return { sign1, claims };
}

/** 6. The device signed this, over our nonce, between two times. */
function checkEvidence(
  c: Case,
  device: Presented,
  key: EnrolledKey,
  release: Release,
  history: History,
): Shown {
  const { sign1, claims } = openEvidence(device);
  if (sign1.kid === null || !equalBytes(sign1.kid, key.kid)) {
    throw new Refusal(
      "evidence-other-key",
      `the evidence names key ${sign1.kid ? toHex(sign1.kid) : "none"}, the enrolment ${toHex(key.kid)}`,
    );
  }
  if (!c.crypto.verifyEd25519(key.publicKey, evidenceMessage(sign1), sign1.signature)) {
    throw new Refusal("evidence-bad-signature", `the evidence's signature is not by key ${toHex(key.kid)}`);
  }
  const challenge = findChallenge(device.challenge, history);
  const { anchored, receipt } = challenge;
  history.used.add(anchored);
  const nonce = nonceAt(c.crypto.sha256, baseOf(c, challenge), device.challenge.random);
  if (!equalBytes(nonce, claims.nonce)) {
    throw new Refusal(
      "nonce-mismatch",
      `the evidence answers ${toHex(claims.nonce)}, the challenge is ${toHex(nonce)}`,
    );
  }
  checkIdentity(key, claims, release, c.crypto);
  const logged = device.member?.logged ?? null;
  const notAfter = logged && checkLoggedEvidence(c, device.evidence, challenge, logged, history);
  const shown = { claims, notBefore: receipt.time, notAfter: notAfter?.time ?? null };
  const ages = c.out.reasons.length;
  checkEvidenceAge(c, receipt.time, notAfter);
  checkNotRevoked(c, key, shown.notAfter);
  if (!claims.confirmed)
    c.out.failed(
      "evidence",
      "image-not-confirmed",
      "the device runs this image on trial and goes back at the next reset",
      "confirm the image, then attest again",
    );
  if (c.out.reasons.length === ages)
    c.out.establishedAs("evidence", () => ({
      text: evidenceText(shown),
      explain: [
        `rule: COSE_Sign1 by key ${toHex(key.kid)} over the nonce of the challenge; max-age ${c.policy.maxAge.evidence} s`,
        `bytes: EAT of ${device.evidence.length} bytes, nonce ${toHex(nonce)}; boot ${claims.bootcount}, floor ${claims.floor}`,
      ],
    }));
  if (claims.dbgstat === 0)
    c.out.flag(
      "DEBUG_OPEN",
      "a debugger or console was open on the device (dbgstat 0): its memory could be changed after measuring",
    );
  return shown;
}

interface Dated {
  readonly anchored: Anchored;
  /** The receipt in the nonce: its ledger's clock is what nobody could have known before. */
  readonly receipt: Receipt;
}

/** A receipt belongs to one checkpoint of one bundle; all devices asked by it share this. */
const bases = new WeakMap<Receipt, Uint8Array>();

function baseOf(c: Case, { anchored, receipt }: Dated): Uint8Array {
  const known = bases.get(receipt);
  if (known !== undefined) return known;
  const base = challengeBase(c.crypto.sha256, anchored.note, receipt.proof);
  bases.set(receipt, base);
  return base;
}

/** The checkpoint and the receipt the nonce was made from, as claims 2 and 3 went over them. */
function findChallenge(asked: Presented["challenge"], history: History): Dated {
  for (const anchored of history.anchored) {
    const receipt = anchored.receipts.find((r) =>
      "size" in asked
        ? anchored.checkpoint.size === asked.size && r.kind === asked.ledger
        : equalBytes(anchored.note, asked.checkpoint) && equalBytes(r.proof, asked.receipt),
    );
    if (receipt !== undefined) return { anchored, receipt };
  }
  throw new Refusal(
    "challenge-not-anchored",
    "the challenge rests on a checkpoint or receipt that the bundle does not hold",
    { hint: "make the bundle again from the log that the challenge was made from" },
  );
}

function evidenceText({ notBefore, notAfter }: Shown): string {
  if (notBefore === null && notAfter === null) return "when it was measured isn't proved";
  if (notBefore === null) return `measured not after ${isoTime(notAfter!)}; since when isn't proved`;
  if (notAfter === null) return `measured not before ${isoTime(notBefore)}; until when isn't proved`;
  return `measured not before ${isoTime(notBefore)}, not after ${isoTime(notAfter)}`;
}

/** What the device says of itself must be what the enrolment and the release say. */
function checkIdentity(key: EnrolledKey, claims: Claims, release: Release, crypto: Crypto): void {
  const { hardware, securityVersion } = release.statement;
  if (toHex(claims.ueid) !== key.enrolment.ueid)
    throw new Refusal(
      "ueid-mismatch",
      `the evidence is from ${toHex(claims.ueid)}, enrolled is ${key.enrolment.ueid}`,
    );
  const model = utf8Decode(claims.hwmodel) ?? toHex(claims.hwmodel);
  if (model !== hardware.model)
    throw new Refusal(
      "wrong-model",
      `the device is a ${quote(model)}, the release is for ${quote(hardware.model)}`,
    );
  if (!hardware.revisions.includes(claims.hwversion)) {
    throw new Refusal(
      "wrong-revision",
      `the device is of revision ${quote(claims.hwversion)}, the release is for ${hardware.revisions.join(", ")}`,
    );
  }
  const vendorKid = kidOf(fromHex(keyidOnce(release.vendor, crypto)) as Uint8Array);
  if (!equalBytes(claims.vendorKid, vendorKid)) {
    throw new Refusal(
      "vendor-key-mismatch",
      `the device boots by manifest key ${toHex(claims.vendorKid)}, the policy names ${toHex(vendorKid)}`,
    );
  }
  if (claims.manifestDigest === null || !equalBytes(claims.manifestDigest, release.manifestDigest)) {
    throw new Refusal(
      "measurement-mismatch",
      `the device runs by manifest ${claims.manifestDigest ? toHex(claims.manifestDigest) : "none"}, the release names ${toHex(release.manifestDigest)}`,
    );
  }
  if (claims.confirmed && claims.floor < release.statement.floor)
    throw new Refusal(
      "floor-mismatch",
      `the device confirmed this release and keeps the rollback floor ${claims.floor}, the release sets ${release.statement.floor}`,
    );
  if (claims.sequence !== securityVersion)
    throw new Refusal(
      "measurement-mismatch",
      `the device runs security version ${claims.sequence}, the release has ${securityVersion}`,
    );
}

/** The log holds a salted commitment to the evidence: it existed when that was anchored. */
function checkLoggedEvidence(
  c: Case,
  evidence: Uint8Array,
  challenge: Dated,
  logged: NonNullable<Member["logged"]>,
  history: History,
): Anchored {
  const { statement } = openEnrollers(c, logged.record.statement, logged.record.index);
  if (statement.kind !== "evidence-commitment")
    throw new Refusal("wrong-statement", `the evidence's record is a statement of kind ${statement.kind}`);
  const digest = toHex(commitment(EVIDENCE_TAG, logged.salt, evidence, c.crypto));
  if (statement.sha256 !== digest)
    throw new Refusal(
      "commitment-mismatch",
      `salt and evidence hash to ${digest}, the log's commitment is ${statement.sha256}`,
    );
  checkLogged(c, logged.record, history.head);
  const { size } = challenge.anchored.checkpoint;
  if (logged.record.index < size) {
    throw new Refusal(
      "evidence-order",
      `the evidence is record ${logged.record.index}, inside the tree of size ${size} that its challenge came from`,
    );
  }
  const holder = timedBy(history, logged.record);
  const asked = challenge.receipt.time;
  if (holder.time !== null && asked !== null && holder.time < asked) {
    throw new Refusal(
      "evidence-order",
      `the evidence was recorded at ${isoTime(holder.time)}, before its challenge at ${isoTime(asked)}`,
    );
  }
  return holder;
}

/** Both ends of the bracket must lie within max-age before T: hoarded evidence is stale evidence. */
function checkEvidenceAge(c: Case, notBefore: number | null, logged: Anchored | null): void {
  const limit = c.policy.maxAge.evidence;
  if (limit === null) {
    c.out.failed("evidence", "no-max-age", "the policy sets no max-age for evidence");
    return;
  }
  const latest = logged === null ? c.now : logged.time;
  if (latest === null || notBefore === null) return; // claim 3 has said which receipt is missing
  if (Math.max(latest, notBefore) > horizonOf(c)) {
    const found =
      logged === null ? "nothing proves when at the latest" : `it was recorded at ${isoTime(latest)}`;
    c.out.failed(
      "evidence",
      "evidence-after-t",
      `the evidence may be younger than ${isoTime(c.at)}: ${found}`,
    );
  } else if (c.at - notBefore > limit) {
    c.out.failed(
      "evidence",
      "evidence-stale",
      `the evidence may be as old as its challenge, ${isoTime(notBefore)}: more than ${ageText(limit)} before ${isoTime(c.at)}`,
      "attest again",
    );
  }
}
