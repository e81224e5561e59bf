// The form of a receipt of a Tangle (spec/stardust-receipt.md). proof.ts says what it proves.
//
//   {"version":"vouch-stardust-receipt/v1","trust":{…},"milestone":b64,"path":[{"left":b64}|{"right":b64},…],"block":b64}
//
// `trust` is what a trust file says (trust.ts); `path` runs from the leaf up, each step a sibling and its side.

import { toBase64 } from "../bytes";
import { base64, list, matching, maybe, object, readJson, type Shape } from "../json";
import { Refusal } from "../refusal";
import { TRUST, type Trust, trustJson } from "./trust";

export interface PathStep {
  /** Where the sibling stands. */
  readonly side: "left" | "right";
  readonly hash: Uint8Array;
}

export interface StardustReceipt {
  readonly trust: Trust;
  /** Payload type 7: u32 type, essence, u8 count, signatures. */
  readonly milestone: Uint8Array;
  readonly path: readonly PathStep[];
  readonly block: Uint8Array;
}

const VERSION = "vouch-stardust-receipt/v1";
export const MAX_BLOCK = 32768; // TIP-24; a milestone travels in a block too
export const MAX_PATH = 64;
/** All keys, the longest block, milestone and path, in base64. */
export const MAX_STARDUST_RECEIPT = 128 * 1024;

const step: Shape<PathStep> = (value, at) => {
  const { left, right } = object({ left: maybe(base64(32)), right: maybe(base64(32)) })(value, at);
  if ((left === undefined) === (right === undefined))
    throw new Refusal("malformed-receipt", `${at} has no one sibling, expected left or right`);
  return left === undefined ? { side: "right", hash: right! } : { side: "left", hash: left };
};

const SHAPE = object({
  version: matching(/^vouch-stardust-receipt\/v1$/, VERSION),
  trust: TRUST,
  milestone: base64(1, MAX_BLOCK),
  path: list(step, 0, MAX_PATH),
  block: base64(1, MAX_BLOCK),
});

const receiptJson = ({ trust, milestone, path, block }: StardustReceipt) => ({
  version: VERSION,
  trust: trustJson(trust),
  milestone: toBase64(milestone),
  path: path.map(({ side, hash }) => ({ [side]: toBase64(hash) })),
  block: toBase64(block),
});

export const formatStardustReceipt = (receipt: StardustReceipt): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(receiptJson(receipt)));

/** Refuses `malformed-receipt`, `malformed-trust`, `too-large`, `not-canonical-json`. */
export function parseStardustReceipt(bytes: Uint8Array): StardustReceipt {
  const { trust, milestone, path, block } = readJson(
    bytes,
    "the receipt",
    MAX_STARDUST_RECEIPT,
    "malformed-receipt",
    SHAPE,
    receiptJson,
  );
  return { trust, milestone, path, block };
}
