// The whole argument with times of another ledger than a folder: a world whose receipts are of that ledger, under a
// policy that has such lines alone, the question about it, and what of a verdict is compared.

import type { Question } from "@vouch/shared/appraise";
import { formatBundle } from "@vouch/shared/bundle";
import type { Verdict } from "@vouch/shared/verdict";
import { nodeCrypto as crypto } from "../../host-cli/src/crypto";
import { makeWorld, NOW, type World, type WorldOptions } from "./world";

export type Receipts = NonNullable<WorldOptions["receipts"]>;

/** The policy's lines about ledgers are these. */
export const worldUnder = (lines: readonly string[], receipts: Receipts, more: WorldOptions = {}): World =>
  makeWorld({ receipts, dropPolicyLines: /^ledger/, policyLines: lines, ...more });

/** Asked now, with all images at hand. */
export const questionOf = (world: World, more: Partial<Question>): Question => ({
  bundle: formatBundle(world.bundle),
  policy: world.policy,
  crypto,
  at: NOW,
  now: NOW,
  releaseOnly: false,
  images: world.images,
  handed: null,
  ...more,
});

export const codesOf = (verdict: Verdict) => [...new Set(verdict.reasons.map((r) => r.code))].join();

/** What claim 3 rests on. */
export const ledgerLines = (verdict: Verdict) =>
  verdict.steps.filter(({ claim }) => claim === "ledger").map(({ text }) => text);

export const bent = (bytes: Uint8Array, at: number) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
