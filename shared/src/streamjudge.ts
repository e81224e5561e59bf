// What software took the readings: each boot of a stream names the evidence that it signed, and that is appraised as
// evidence is everywhere (appraise.ts). A boot is judged when, in this order,
//   1. the recording holds evidence with the digest that the announce or resume names;
//   2. it is signed by the stream's key, and of that boot, device and image;
//   3. a bundle whose release names that image, and the policy, say what becomes of it.
//
// Evidence is as old as the boot, and says what ran then: its age is no reason here. A status that is too old for now is
// judged at the evidence's time; what is known now still counts: an advisory that came later is one.

import { appraise, type Question } from "./appraise";
import { parseBundle } from "./bundle";
import { equalBytes, toHex } from "./bytes";
import { parseChallenge } from "./companions";
import { kidOf } from "./cose";
import type { Crypto } from "./crypto";
import { parseEnvelope } from "./dsse";
import { decodeEvidence, evidenceMessage } from "./evidence";
import { FAULT_NONE } from "./fault";
import { faultRefusal, isRefusal, Refusal } from "./refusal";
import { isRenewed, parseRenewed } from "./renewal";
import { parseStatement } from "./statement";
import type { Announce } from "./streambody";
import type { BootNote } from "./streamevents";
import { type Verdict, type Word, wordOf, worst } from "./verdict";
import type { EvidenceItem } from "./vstream";

export interface BootAsked extends Omit<Question, "bundle" | "handed" | "images" | "releaseOnly"> {
  /** Bundle files' bytes. */
  readonly bundles: readonly Uint8Array[];
}

export interface BootReason {
  readonly code: string;
  readonly word: Word;
  readonly message: string;
  readonly hint?: string;
}

/** What became of one boot's evidence; `word` is null when nobody asked. */
export interface BootResult {
  readonly note: BootNote;
  readonly word: Word | null;
  readonly reasons: readonly BootReason[];
  /** The appraisal, when there was one. */
  readonly verdict: Verdict | null;
}

const APP = "app";

/** Judges a boot by the evidence recorded for it; `asked` null settles only whose evidence it is. */
export function judgeBoot(
  note: BootNote,
  announce: Announce,
  item: EvidenceItem | undefined,
  asked: BootAsked | null,
  crypto: Crypto,
): BootResult {
  const told = (reasons: BootReason[], verdict: Verdict | null = null): BootResult => {
    const words = [...(verdict === null ? [] : [verdict.word]), ...reasons.map(({ word }) => word)];
    return { note, word: words.length === 0 ? null : worst(words), reasons, verdict };
  };
  if (item?.evidence === undefined) {
    const message = `the recording holds no evidence for boot ${note.boot.bootcount}`;
    return told(asked === null ? [] : [{ code: "stream-evidence-missing", word: "unproven", message }]);
  }
  try {
    const image = checkBootEvidence(note, announce, item.evidence, crypto);
    if (asked === null) return told([]);
    const verdict = appraiseBoot(item.evidence, item.challenge, image, asked);
    const reasons = verdict.reasons.map(({ code, word, message, hint }) => ({
      code,
      word,
      message,
      ...(hint !== undefined && { hint }),
    }));
    return told(reasons, verdict);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const word = UNPROVEN.has(error.code) ? "unproven" : wordOf(error.code);
    return told([{ code: error.code, word, message: error.message }]);
  }
}

const UNPROVEN: ReadonlySet<string> = new Set(["stream-release-missing"]);

/** The digest of the image that the evidence names. Refuses `stream-evidence-boot`, and what isn't evidence. */
function checkBootEvidence(note: BootNote, announce: Announce, evidence: Uint8Array, crypto: Crypto): string {
  const { boot } = note;
  const { fault, sign1, claims } = decodeEvidence(evidence);
  if (fault !== FAULT_NONE || claims === null)
    throw faultRefusal(fault, `the evidence of boot ${boot.bootcount}`);
  const no = (found: string) =>
    new Refusal("stream-evidence-boot", `boot ${boot.bootcount} names evidence ${found}`);
  const kid = kidOf(crypto.sha256(announce.publicKey));
  const isSigned = crypto.verifyEd25519(announce.publicKey, evidenceMessage(sign1), sign1.signature);
  if (sign1.kid === null || !equalBytes(sign1.kid, kid) || !isSigned)
    throw no("that the stream's key didn't sign");
  if (!equalBytes(claims.ueid, announce.ueid)) throw no("of another device");
  if (claims.bootcount !== boot.bootcount || !equalBytes(claims.bootseed, boot.bootseed))
    throw no(`of boot ${claims.bootcount}`);
  const app = claims.components.find(({ name }) => name === APP);
  if (boot.image !== null && app !== undefined && !equalBytes(app.digest, boot.image))
    throw no(`over image ${toHex(app.digest)}, it runs ${toHex(boot.image)}`);
  return app === undefined ? "" : toHex(app.digest);
}

function appraiseBoot(
  evidence: Uint8Array,
  challenge: Uint8Array | undefined,
  image: string,
  asked: BootAsked,
): Verdict {
  if (challenge === undefined)
    throw new Refusal("challenge-missing", "the recording holds no challenge for the evidence");
  const handed = [{ evidence, challenge: parseChallenge(challenge) }];
  const fitting = asked.bundles.filter((bundle) => namesImage(bundle, image));
  if (fitting.length === 0)
    throw new Refusal("stream-release-missing", `no bundle's release names image ${image}`);
  // Several bundles of one release: what the worst of them says counts, whatever another leaves out.
  const verdicts = fitting.map((bundle) =>
    judgeAtItsTime({ ...asked, bundle, handed, images: [], releaseOnly: false }),
  );
  const word = worst(verdicts.map((verdict) => verdict.word));
  return verdicts.find((verdict) => verdict.word === word)!;
}

/** A file that can't be read is taken: the appraisal tells what is wrong with it. */
function namesImage(file: Uint8Array, image: string): boolean {
  try {
    const bundle = parseBundle(isRenewed(file) ? parseRenewed(file).bundle : file);
    const statement = parseStatement(parseEnvelope(bundle.release.statement).payload);
    return statement.kind !== "release" || statement.subjects.some(({ sha256 }) => sha256 === image);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return true;
  }
}

/** What was known then of when: whether a device still runs that isn't asked, so its evidence is neither old nor new. */
const AGES: ReadonlySet<string> = new Set(["evidence-stale", "evidence-after-t"]);

function judgeAtItsTime(question: Question): Verdict {
  const now = appraise(question);
  const times = [now.asOf?.time, ...now.devices.map((d) => d.notAfter ?? d.notBefore)];
  const moment = Math.max(...times.map((time) => time ?? 0));
  const isOld = now.reasons.some(({ code }) => code === "status-stale");
  if (!isOld || moment === 0 || moment >= question.at) return without(AGES, now, []);
  const then = appraise({ ...question, at: moment });
  // By their words, too: each advisory has a reason of one code.
  const isKnown = ({ code, message }: Verdict["reasons"][number]) =>
    then.reasons.some((reason) => reason.code === code && reason.message === message);
  const later = now.reasons.filter((reason) => reason.code !== "status-stale" && !isKnown(reason));
  return without(AGES, then, later);
}

/** The verdict less what is said of its age, and with what came later. */
function without(codes: ReadonlySet<string>, verdict: Verdict, later: Verdict["reasons"]): Verdict {
  const reasons = [...verdict.reasons, ...later].filter(({ code }) => !codes.has(code));
  return { ...verdict, reasons, word: worst(["patched", ...reasons.map(({ word }) => word)]) };
}
