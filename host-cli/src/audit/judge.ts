// What judges, in this thread or in another: a question that stays, contexts that come and go, and work.
//
//   setup      once            policy, T, images
//   context    a bundle's bytes, before the devices that name it
//   forget     a digest, when there are too many
//   devices    a batch of items of fleet files
//   bundle     a bundle with devices of its own
//
// Orders are obeyed in the order in which they are given, so every thread knows the same contexts at
// the same place of the input.

import { formatAuditLine } from "@vouch/shared/auditline";
import {
  type AuditQuestion,
  auditBundle,
  auditDevice,
  auditUnreadable,
  type Context,
  contextLine,
  openContext,
  type Row,
} from "@vouch/shared/fleet";
import { contextOf } from "@vouch/shared/fleetform";
import { parsePolicy } from "@vouch/shared/policy";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { bulkCrypto } from "../bulkcrypto";
import { nodeCrypto } from "../crypto";
import { openImages } from "../image";
import { rebasedOnDemand } from "../rebased";
import { stardustOnDemand } from "../stardust";
import { VERSION } from "../version";

export const TOOL = `vouch ${VERSION}`;

/** What can cross to another thread. */
export interface Setup {
  readonly policy: Uint8Array;
  readonly at: number;
  readonly now: number;
  readonly images: readonly string[];
}

export interface Piece {
  readonly bytes: Uint8Array;
  /** How a record without a key is called. */
  readonly place: string;
}

export interface Judged {
  readonly rows: readonly Row[];
  /** The context's line, of a bundle with devices. */
  readonly context: string | null;
}

export interface Judge {
  readonly question: AuditQuestion;
  /** Null for what is no bundle. */
  context(bytes: Uint8Array): Context | null;
  forget(digest: string): void;
  devices(pieces: readonly Piece[]): Judged;
  bundle(piece: Piece): Judged;
}

/** Refuses as reading policy and images does. */
export function makeJudge(setup: Setup): Judge {
  const question: AuditQuestion = {
    policy: parsePolicy(setup.policy, nodeCrypto),
    crypto: bulkCrypto(),
    at: setup.at,
    now: setup.now,
    images: setup.images.flatMap((path) => openImages([path])),
    rebased: rebasedOnDemand(null).open,
    stardust: stardustOnDemand,
    tool: TOOL,
  };
  const contexts = new Map<string, Context>();
  return {
    question,
    context(bytes) {
      try {
        const context = openContext(bytes, question);
        contexts.set(context.digest, context);
        return context;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        return null;
      }
    },
    forget: (digest) => contexts.delete(digest),
    devices: (pieces) => ({
      context: null,
      rows: pieces.map(({ bytes, place }) => {
        const context = contexts.get(contextOf(bytes) ?? "") ?? null;
        return auditDevice(bytes, context, place, question);
      }),
    }),
    bundle({ bytes, place }) {
      try {
        const context = openContext(bytes, question);
        const rows = auditBundle(context, place, question);
        return { rows, context: formatAuditLine(contextLine(context)) };
      } catch (error) {
        if (!isRefusal(error)) throw error;
        const again = (): never => {
          throw error;
        };
        return { rows: [auditUnreadable(bytes, place, again, question)], context: null };
      }
    },
  };
}

/** A row for an item that is longer than any may be: it was not kept. */
export function tooLong(judge: Judge, place: string, length: number, max: number): Row {
  const refuse = (): never => {
    throw new Refusal("too-large", `the item is ${length} bytes, at most ${max} are accepted`);
  };
  return auditUnreadable(new Uint8Array(0), place, refuse, judge.question);
}
