// Devices' keys that are revoked, from all contexts of an audit's input before any device is judged: a stolen key's
// evidence may name an older context, whose status knew nothing of that yet, and a newer one lies beside it.
//
//   files ──▶ bundles that carry a revocation ──▶ claims 1 and 2, and the approvers' signatures ──▶ keys
//
// A revocation reaches back to the moment that it names, whatever moment is asked about and whatever context a device
// names (shared/spec/key-changes.md). Files are gone through twice for it, the first time for their framing; what can be
// read only once, a pipe, is not looked into beforehand. What is wrong with a file is told the second time.

import { type Bundle, parseBundle } from "@vouch/shared/bundle";
import { type AuditQuestion, openContext, type RevokedKey, revokedIn } from "@vouch/shared/fleet";
import { readKeyRecord } from "@vouch/shared/keyring";
import { isRefusal } from "@vouch/shared/refusal";
import { parseRenewed } from "@vouch/shared/renewal";
import { attempt, isReadOnce } from "./inputs";
import { Chunks, itemsOf } from "./items";
import { isBundle } from "./run";

const KEYS = Buffer.from('"keys":[');

export function findRevoked(streams: readonly string[], question: AuditQuestion): RevokedKey[] {
  const found = new Map<string, RevokedKey>();
  const chunks = new Chunks();
  for (const path of streams.filter((file) => !isReadOnce(file)))
    attempt(
      path,
      () => {},
      () => {
        for (const { bytes } of itemsOf(path, chunks)) {
          if (isBundle(bytes) && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(KEYS))
            for (const key of revokedBy(bytes, question)) found.set(nameOf(key), key);
          chunks.release();
        }
      },
    );
  return [...found.values()];
}

const nameOf = ({ log, revocation: { record } }: RevokedKey) => `${record.index} ${log}`;

/** Nothing of what is no bundle. Only one that carries a revocation is verified: changed keys alone are in many. */
function revokedBy(bytes: Uint8Array, question: AuditQuestion): readonly RevokedKey[] {
  try {
    const { keys = [] }: Bundle = parseBundle(parseRenewed(bytes).bundle);
    const isAny = keys.some((record) => readKeyRecord(record).kind === "revocation");
    return isAny ? revokedIn(openContext(bytes.slice(), question)) : [];
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return [];
  }
}
