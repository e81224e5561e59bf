// Whom a policy trusts on a Tangle: a network's coordinator, by the digest of a trust file (trust.ts).
//
//   hospital-tangle@0b1f…     the network's name │ SHA-256 of the trust file
//
// The digest decides; the name is for people, and must be the file's. Reading one takes none of the ledger's
// cryptography, so that policies stay cheap to read.

import { fromHex, toHex } from "../bytes";
import { quote, Refusal } from "../refusal";

export interface StardustRoot {
  readonly network: string;
  readonly digest: Uint8Array;
}

/** What protocol parameters call a network, as far as trust files take it. */
export const NETWORK_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const DIGEST = /^[0-9a-f]{64}$/;

/** Refuses `malformed-root`. */
export function parseStardustRoot(text: string): StardustRoot {
  const [network = "", digest = "", ...rest] = text.split("@");
  if (rest.length > 0 || !NETWORK_NAME.test(network) || !DIGEST.test(digest))
    throw new Refusal("malformed-root", `found ${quote(text)}, expected NETWORK@SHA256 of a trust file`);
  return { network, digest: fromHex(digest)! };
}

export const formatStardustRoot = ({ network, digest }: StardustRoot) => `${network}@${toHex(digest)}`;
