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
  type RevokedKey,
  type Row,
} from "@vouch/shared/fleet";
import { contextOf } from "@vouch/shared/fleetform";
import { parsePolicy } from "@vouch/shared/policy";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { openImages } from "../image";
import { mldsaOnDemand } from "../mldsa";
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
  /** Lines that nobody wants to see are left out: AuditQuestion says which. */
  readonly brief: boolean;
  /** Keys that contexts of the input show to be revoked: revoked.ts. */
  readonly revoked?: readonly RevokedKey[];
}

export interface Piece {
  readonly bytes: Uint8Array;
  /** How a record without a key is called. */
  readonly place: string;
}

export interface Judged {
  /** Where the question is brief, those that have a line. */
  readonly rows: readonly Row[];
  /** How many there were without, of each context. */
  readonly plain?: readonly { readonly context: string | null; readonly count: number }[];
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
    crypto: nodeCrypto,
    at: setup.at,
    now: setup.now,
    images: setup.images.flatMap((path) => openImages([path])),
    rebased: rebasedOnDemand(null).open,
    stardust: stardustOnDemand,
    mldsa: mldsaOnDemand,
    tool: TOOL,
    brief: setup.brief,
    revoked: setup.revoked,
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
    devices(pieces) {
      const rows = pieces.map(({ bytes, place }) => {
        const context = contexts.get(contextOf(bytes) ?? "") ?? null;
        return auditDevice(bytes, context, place, question);
      });
      return { ...apart(rows), context: null };
    },
    bundle({ bytes, place }) {
      try {
        const context = openContext(bytes, question);
        const rows = auditBundle(context, place, question);
        return { ...apart(rows), context: formatAuditLine(contextLine(context)) };
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

/** Rows without a line are only counted: what crosses between threads is copied. */
export function apart(rows: readonly Row[]): Pick<Judged, "rows" | "plain"> {
  const plain = new Map<string | null, number>();
  for (const { line, context } of rows) if (line === "") plain.set(context, (plain.get(context) ?? 0) + 1);
  if (plain.size === 0) return { rows };
  return {
    rows: rows.filter(({ line }) => line !== ""),
    plain: [...plain].map(([context, count]) => ({ context, count })),
  };
}

/** A row for an item that is longer than any may be: it was not kept. */
export function tooLong(judge: Judge, place: string, length: number, max: number): Row {
  const refuse = (): never => {
    throw new Refusal("too-large", `the item is ${length} bytes, at most ${max} are accepted`);
  };
  return auditUnreadable(new Uint8Array(0), place, refuse, judge.question);
}
