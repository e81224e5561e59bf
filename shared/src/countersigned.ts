// Whether what a policy wants countersigned is: an ML-DSA-65 key (FIPS 204) beside the Ed25519 keys of the seven claims.
//
//   policy                            met by a good line of that key
//   countersigned release <name>      "of":"release", over the statement that the approvers signed
//   countersigned bundle <name>       "of":"bundle", anywhere in front of the bundle
//   countersigned renewals <name>     "of":"bundle", in front of every renewal; nothing is asked where there is none
//
// It is an AND and never an OR: whoever breaks Ed25519 still lacks the countersignature, and a countersignature makes up
// for nothing that a claim lacks. So no other claim reads anything of it.
//
//   - a line by a key that the policy names as a countersigner is good, or the file is refuted;
//   - one by any other key, or by a key distrusted at its place (distrust.ts), is passed over with a note;
//   - a demand without its line is `countersignature-missing`: unproven.

import type { Bundle } from "./bundle";
import {
  type Countersignature,
  contextName,
  contextOf,
  releaseMessage,
  type VerifyMldsa,
} from "./countersignature";
import type { Crypto } from "./crypto";
import { keyidOf } from "./dsse";
import { ML_DSA_65 } from "./mldsakey";
import type { Policy } from "./policy";
import { Refusal } from "./refusal";
import type { CountersignatureResult, Findings } from "./verdict";

/** A countersignature in front of a bundle. */
export interface Seen {
  readonly countersignature: Countersignature;
  /** Of the policy as it stands at this place; null when it names no such key. */
  readonly by: Policy["countersigners"][number] | null;
  /** How many bytes stand behind the line. */
  readonly behind: number;
  /** No renewal stands in front of it. */
  readonly isOutermost: boolean;
}

/** The lines in front of a bundle. Those of the whole bundle are good: they were checked on the way to it (renewed.ts). */
export interface Lines {
  readonly seen: readonly Seen[];
  readonly renewals: number;
}

/** Of the countersigners that a policy names, the one whose line this is; null when none. */
export const countersignerOf = (
  { keyid }: Countersignature,
  { countersigners }: Policy,
  crypto: Pick<Crypto, "sha256">,
) => countersigners.find(({ vkey }) => keyidOf(vkey.publicKey, crypto) === keyid) ?? null;

/** Refuses `bad-countersignature`, and `unsupported-algorithm` when there is nothing to check it with. */
export function checkSignature(
  { countersignature, by }: Pick<Seen, "countersignature" | "by">,
  message: Uint8Array,
  verify: VerifyMldsa | undefined,
): void {
  if (by === null) return;
  const { of, signature } = countersignature;
  if (verify === undefined)
    throw new Refusal("unsupported-algorithm", `nothing here verifies signatures of ${ML_DSA_65}`);
  if (!verify(by.vkey.publicKey, message, signature, contextOf(of)))
    throw new Refusal("bad-countersignature", `${by.name}'s countersignature of the ${of} doesn't verify`);
}

interface Asked {
  readonly policy: Policy;
  /** Undefined when nobody took the file apart: then nothing is countersigned. */
  readonly lines?: Lines | undefined;
  readonly mldsa?: VerifyMldsa | undefined;
}

/** Checks the lines of the release, and what the policy demands. Returns what holds, newest first. */
export function checkCountersigned(
  { policy, lines, mldsa }: Asked,
  { release }: Pick<Bundle, "release">,
  out: Findings,
): CountersignatureResult[] {
  const good = (lines?.seen ?? []).flatMap((one) => {
    const { countersignature, by } = one;
    const { of, keyid } = countersignature;
    if (by === null) {
      out.note(
        `the policy names no countersigner with key ${keyid.slice(0, 16)}…: its line counts for nothing`,
      );
      return [];
    }
    const held = out.attempt("countersign", () => {
      if (of === "release") checkSignature(one, releaseMessage(release.statement), mldsa);
      return true;
    });
    return held === null ? [] : [{ ...one, by }];
  });
  for (const { countersignature, by, behind } of good) {
    const { of, keyid } = countersignature;
    const what = of === "release" ? "the release" : `the bundle, ${behind} bytes`;
    out.established("countersign", `${what}, by ${by.name} with ${ML_DSA_65} key ${keyid.slice(0, 16)}…`, [
      `rule: a signature of FIPS 204 in context ${contextName(of)}, beside all that other claims ask for`,
      of === "release"
        ? "bytes: DSSE PAE of the release statement"
        : "bytes: all behind the line, renewals there among them",
    ]);
  }
  for (const { what, name } of policy.countersigned) {
    if (what === "renewals" && lines?.renewals === 0) continue;
    if (good.some((one) => one.by.name === name && MEETS[what](one))) continue;
    out.failed(
      "countersign",
      "countersignature-missing",
      `no countersignature of the ${what} by ${name}, and the policy demands one`,
    );
  }
  return good.map(({ countersignature: { of, algorithm, keyid }, by }) => ({
    of,
    by: by.name,
    algorithm,
    keyid,
  }));
}

type Demand = Policy["countersigned"][number]["what"];

const MEETS: Readonly<Record<Demand, (one: Seen) => boolean>> = {
  release: ({ countersignature }) => countersignature.of === "release",
  bundle: ({ countersignature }) => countersignature.of === "bundle",
  renewals: ({ countersignature, isOutermost }) => countersignature.of === "bundle" && isOutermost,
};
