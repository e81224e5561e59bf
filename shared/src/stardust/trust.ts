// A trust file: the coordinator of one Tangle, as somebody who relies on it has written it down.
//
//   {"version":"vouch-stardust-trust/v1","network":"hospital-tangle","threshold":2,
//    "keys":[{"key":b64,"start":0,"end":0},…]}
//
// A milestone of index i counts when `threshold` of the keys that apply to i signed it: start <= i, and i <= end unless
// end is 0. Keys ascend, each once. The file is canonical JSON, so its SHA-256, which a policy names, is that of
// what it says. Whoever holds the keys of `threshold` of its entries can write any time they like into a milestone.

import { toBase64 } from "../bytes";
import type { Crypto } from "../crypto";
import { base64, type Fields, integer, list, matching, object, readJson, type Shape } from "../json";
import { Refusal } from "../refusal";
import { compareBytes } from "./layout";
import { NETWORK_NAME, type StardustRoot } from "./root";

export interface TrustKey {
  readonly key: Uint8Array;
  /** Milestones from `start` to `end`; an end of 0 is none. */
  readonly start: number;
  readonly end: number;
}

export interface Trust {
  readonly network: string;
  readonly threshold: number;
  readonly keys: readonly TrustKey[];
}

const VERSION = "vouch-stardust-trust/v1";
const MAX_KEYS = 255; // a milestone counts its signatures in a byte
export const MAX_TRUST = 64 * 1024;

const u32 = integer(0, 0xffffffff);
const MEMBERS = {
  network: matching(NETWORK_NAME, "the network's name"),
  threshold: integer(1, MAX_KEYS),
  keys: list(object({ key: base64(32), start: u32, end: u32 }), 1, MAX_KEYS),
};
const FILE = { version: matching(/^vouch-stardust-trust\/v1$/, VERSION), ...MEMBERS };

/** What a trust file says, as the member of a receipt. Refuses `malformed-trust` too. */
export const TRUST: Shape<Trust> = (value, at) => checkTrust(object(MEMBERS)(value, at));

export const trustJson = ({ network, threshold, keys }: Trust) => ({
  network,
  threshold,
  keys: keys.map(({ key, start, end }) => ({ key: toBase64(key), start, end })),
});

const fileJson = (trust: Trust) => ({ version: VERSION, ...trustJson(trust) });

/** Refuses `malformed-trust`, `too-large`, `not-canonical-json`. */
export const parseTrust = (bytes: Uint8Array): Trust =>
  checkTrust(
    readJson<Fields<typeof FILE>>(
      bytes,
      "the trust file",
      MAX_TRUST,
      "malformed-trust",
      object(FILE),
      fileJson,
    ),
  );

export const formatTrust = (trust: Trust): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(fileJson(trust)));

/** SHA-256 of the file. */
export const trustDigest = (trust: Trust, crypto: Pick<Crypto, "sha256">) =>
  crypto.sha256(formatTrust(trust));

/** How a policy names it. */
export const rootOfTrust = (trust: Trust, crypto: Pick<Crypto, "sha256">): StardustRoot => ({
  network: trust.network,
  digest: trustDigest(trust, crypto),
});

/** Makes a trust of what somebody gathered: keys in any order. Refuses `malformed-trust`. */
export const makeTrust = ({ keys, ...rest }: Trust): Trust =>
  checkTrust({ ...rest, keys: [...keys].sort((a, b) => compareBytes(a.key, b.key)) });

export const applies = ({ start, end }: TrustKey, index: number) =>
  start <= index && (end === 0 || index <= end);

/** For people. */
export const rangeText = (start: number, end: number) =>
  end === 0 ? `from milestone ${start}` : `for milestones ${start} to ${end}`;

function checkTrust({ network, threshold, keys }: Trust): Trust {
  keys.forEach(({ key, start, end }, i) => {
    if (i > 0 && compareBytes(keys[i - 1]!.key, key) >= 0)
      throw malformed("the keys aren't ascending, each once");
    if (end !== 0 && end < start) throw malformed(`a key is for milestones ${start} to ${end}`);
  });
  if (threshold > keys.length) throw malformed(`the threshold is ${threshold} of ${keys.length} keys`);
  return { network, threshold, keys };
}

const malformed = (found: string) => new Refusal("malformed-trust", `of the coordinator's keys: ${found}`);
