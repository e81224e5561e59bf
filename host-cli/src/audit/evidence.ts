// Evidence in files of its own (F.eat, F.challenge), as `vouch verify --evidence` judges it: by a bundle, which
// says whose key it is. Which of the bundles given, each step among those that the one before left:
//
//   1. one whose release the evidence says it runs, else one that knows the key or whose release isn't established: what
//      is held against another release is nothing about this device;
//   2. one that holds against its release what the one with the newest status does, so that an older status hides no
//      advisory, and a newer one's withdrawal counts. A bundle with findings of its own, one that leaves out an advisory
//      say, is no newest one as long as there is another (outdated.ts);
//   3. one that knows the key, else any of those; that holds the challenge, else any; that leaves nothing open at T, else any;
//   4. the one with the newest status, of two the last.
//
// The choice can't make a device patched that isn't: whatever bundle it is, that bundle's release must be what was
// measured, and none here with a newer status holds anything against that.

import { presentFile } from "@vouch/shared/attested";
import type { AuditContext } from "@vouch/shared/auditline";
import { equalBytes } from "@vouch/shared/bytes";
import { type Challenge, MAX_CHALLENGE, parseChallenge } from "@vouch/shared/companions";
import { decodeEvidence } from "@vouch/shared/evidence";
import {
  type AuditQuestion,
  auditFile,
  type Context,
  contextLine,
  openContext,
  type Row,
} from "@vouch/shared/fleet";
import { standingOf } from "@vouch/shared/outdated";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { besideEvidence } from "../beside";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { readInput } from "../readfiles";
import { placeIn } from "./inputs";

const MAX_EVIDENCE = 64 * 1024;
const MAX_BUNDLES = 64 * 1024 * 1024;

export class Bundles {
  private readonly waiting: Uint8Array[] = [];
  private readonly opened: Context[] = [];
  /** Those whose word on their release counts for other bundles' devices. */
  private readonly decisive = new Set<Context>();
  private bytes = 0;

  constructor(private readonly isWanted: boolean) {}

  /** Takes note of a bundle that went by. Beyond 64 MiB of them the rest is not kept. */
  add(bundle: Uint8Array): void {
    this.bytes += bundle.length;
    if (this.isWanted && this.bytes <= MAX_BUNDLES) this.waiting.push(bundle.slice());
  }

  /** `context` is null when no bundle is of its release. Refuses `context-missing` without a bundle, and what reading the two files does. */
  judge(path: string, question: AuditQuestion): { context: AuditContext | null; row: Row } {
    const evidence = readInput(path, MAX_EVIDENCE);
    const beside = besideEvidence(path, "challenge");
    const challenge = about(beside, () => parseChallenge(readInput(beside, MAX_CHALLENGE)));
    const context = this.contextFor(evidence, challenge, question);
    return {
      context: context && contextLine(context),
      row: auditFile(context, evidence, challenge, placeIn(path, 1), question),
    };
  }

  private contextFor(evidence: Uint8Array, challenge: Challenge, question: AuditQuestion): Context | null {
    this.open(question);
    if (this.opened.length === 0)
      throw new Refusal("context-missing", "no bundle was given to judge the evidence by", {
        hint: "name the bundle of its release, too",
      });
    const running = decodeEvidence(evidence).claims?.manifestDigest ?? null;
    const runs = ({ grounds }: Context) =>
      running !== null && grounds.release !== null && equalBytes(running, grounds.release.manifestDigest);
    const knows = ({ bundle }: Context) =>
      presentFile(evidence, challenge, bundle, nodeCrypto).member !== null;
    const holds = ({ bundle }: Context) =>
      bundle.checkpoints.some(({ note }) => equalBytes(note, challenge.checkpoint));
    const ofRelease = this.opened.filter(running === null ? () => true : runs);
    const perhaps = (context: Context) => context.grounds.release === null || knows(context);
    const fitting = ofRelease.length > 0 ? ofRelease : this.opened.filter(perhaps);
    const newest = newestOf(preferred(fitting, (context) => this.decisive.has(context)));
    const agreeing = fitting.filter((context) => newest !== undefined && isBad(context) === isBad(newest));
    return newestOf([knows, holds, isSettled].reduce(preferred, agreeing)) ?? null;
  }

  private open(question: AuditQuestion): void {
    for (const bytes of this.waiting.splice(0)) {
      try {
        const context = openContext(bytes, question);
        this.opened.push(context);
        if (standingOf(contextLine(context)) !== null) this.decisive.add(context);
      } catch (error) {
        if (!isRefusal(error)) throw error; // it has a row of its own
      }
    }
  }
}

/** An advisory or a withdrawal counts against its release. */
const isBad = ({ grounds }: Context) =>
  grounds.c.out.reasons.some(({ word }) => word === "vulnerable" || word === "recalled");

const isSettled = ({ grounds }: Context) => grounds.c.out.reasons.length === 0;

/** The one whose status speaks for most of the log. */
function newestOf(contexts: readonly Context[]): Context | undefined {
  const size = ({ grounds }: Context) => grounds.published?.asOf?.logSize ?? -1;
  return contexts.reduce<Context | undefined>((a, b) => (a && size(a) > size(b) ? a : b), undefined);
}

function preferred(contexts: readonly Context[], is: (context: Context) => boolean): readonly Context[] {
  const some = contexts.filter(is);
  return some.length > 0 ? some : contexts;
}
