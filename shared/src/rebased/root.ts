// A root: the committee that a verifier trusts to begin with, as a policy names it.
//
//   mainnet@514:0b1f…      a name for people │ epoch │ SHA-256 of the committee (committee.ts)
//
// The digest decides. Reading one takes none of the ledger's cryptography, so that policies stay cheap to read.

import { fromHex, toHex } from "../bytes";
import { quote, Refusal } from "../refusal";

export interface Root {
  readonly network: string;
  readonly epoch: bigint;
  readonly digest: Uint8Array;
}

const ROOT = /^([a-z][a-z0-9-]{0,31})@(0|[1-9][0-9]{0,9}):([0-9a-f]{64})$/;
const ADDRESS = /^0x([0-9a-f]{64})$/;

/** Refuses `malformed-root`. */
export function parseRoot(text: string): Root {
  const [, network, epoch, digest] = ROOT.exec(text) ?? [];
  if (digest === undefined)
    throw new Refusal("malformed-root", `found ${quote(text)}, expected NETWORK@EPOCH:SHA256 of a committee`);
  return { network: network!, epoch: BigInt(epoch!), digest: fromHex(digest)! };
}

export const formatRoot = ({ network, epoch, digest }: Root) => `${network}@${epoch}:${toHex(digest)}`;

/** An address, as explorers write it. */
export const addressText = (address: Uint8Array) => `0x${toHex(address)}`;

/** The same read. Refuses `malformed-root`. */
export function parseSender(text: string): Uint8Array {
  const hex = ADDRESS.exec(text)?.[1];
  if (hex === undefined)
    throw new Refusal("malformed-root", `sender is ${quote(text)}, expected 0x and 64 lower-case hex digits`);
  return fromHex(hex)!;
}
