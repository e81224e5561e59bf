// What inspect prints of countersignatures, and of keys that make them.

import { toHex } from "@vouch/shared/bytes";
import { type Countersignature, parseCountersignature } from "@vouch/shared/countersignature";
import { parseMldsaKey } from "@vouch/shared/mldsakey";
import { nodeCrypto } from "../crypto";

export const countersignatureFields = ({ of, algorithm, keyid, signature }: Countersignature) => ({
  of,
  algorithm,
  keyid,
  signature: `${signature.length} bytes`,
});

export function tellCountersignature(bytes: Uint8Array) {
  const line = bytes.at(-1) === 10 ? bytes.subarray(0, -1) : bytes;
  return {
    fields: countersignatureFields(parseCountersignature(line)),
    notVerified: "the signature was not checked, nor of which release it is",
  };
}

export function tellMldsaKey(line: string) {
  const { name, algorithm, publicKey } = parseMldsaKey(line);
  return {
    fields: {
      name,
      for: `${algorithm} countersignatures (0xff)`,
      publicKey: toHex(publicKey),
      keyid: toHex(nodeCrypto.sha256(publicKey)),
    },
    notVerified: "whose key this is",
  };
}
