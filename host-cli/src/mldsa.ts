// ML-DSA-65, loaded when a countersignature is met or made: the build keeps it in a file of its own (scripts/build.mjs).

import type { VerifyMldsa } from "@vouch/shared/countersignature";

type Mldsa = typeof import("@vouch/shared/mldsa");

export const loadMldsa = (): Mldsa => require("@vouch/shared/mldsa") as Mldsa;

export const mldsaOnDemand: VerifyMldsa = (publicKey, message, signature, context) =>
  loadMldsa().verifyMldsa(publicKey, message, signature, context);
