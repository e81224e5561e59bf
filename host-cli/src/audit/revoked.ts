// Devices' keys that are revoked, from all contexts of an audit's input before any device is judged: a stolen key's
// evidence may name an older context, whose status knew nothing of that yet, and a newer one lies beside it.
//
//   files ──▶ bundles that carry a revocation ──▶ claims 1 and 2, and the approvers' signatures ──▶ keys
//
// A revocation reaches back to the moment that it names, whatever moment is asked about and whatever context a device
// names (shared/spec/key-changes.md). Files are gone through twice for it, the first time for their framing; what can be
// read only once, a pipe, is not looked into beforehand: a revocation there that was news beside another context is trouble,
// since devices of that one may have been judged without it. What is wrong with a file is told the second time.

import { hash } from "node:crypto";
import { type Bundle, parseBundle } from "@vouch/shared/bundle";
import { type AuditQuestion, openContext, type RevokedKey, revokedIn } from "@vouch/shared/fleet";
import { readKeyRecord } from "@vouch/shared/keyring";
import { isRefusal } from "@vouch/shared/refusal";
import { parseRenewed } from "@vouch/shared/renewal";
import { attempt, isReadOnce, type Trouble } from "./inputs";
import { Chunks, isBundle, itemsOf } from "./items";

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
          if (isBundle(bytes)) for (const key of revokedBy(bytes, question)) found.set(nameOf(key), key);
          chunks.release();
        }
      },
    );
  return [...found.values()];
}

const nameOf = ({ log, revocation: { record } }: RevokedKey) => `${record.index} ${log}`;

/** Nothing of what is no bundle. Only one that carries a revocation is verified: changed keys alone are in many. */
function revokedBy(bytes: Uint8Array, question: AuditQuestion): readonly RevokedKey[] {
  if (!Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(KEYS)) return [];
  try {
    const { keys = [] }: Bundle = parseBundle(parseRenewed(bytes).bundle);
    const isAny = keys.some((record) => readKeyRecord(record).kind === "revocation");
    return isAny ? revokedIn(openContext(bytes.slice(), question)) : [];
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return [];
  }
}

/** Revocations that come up while devices are judged: in what is read once, and beside other bundles. */
export class LateRevocations {
  private readonly known: ReadonlySet<string>;
  private first: string | null = null;
  private areSeveral = false;
  private isAny = false;

  constructor(private readonly question: AuditQuestion) {
    this.known = new Set((question.revoked ?? []).map(nameOf));
  }

  bundle(bytes: Uint8Array, isOnce: boolean): void {
    const digest = hash("sha256", bytes, "hex");
    this.first ??= digest;
    this.areSeveral ||= digest !== this.first;
    if (isOnce && !this.isAny)
      this.isAny = revokedBy(bytes, this.question).some((key) => !this.known.has(nameOf(key)));
  }

  get trouble(): Trouble | null {
    return this.isAny && this.areSeveral ? LATE : null;
  }
}

const LATE: Trouble = {
  file: "",
  code: "revocation-late",
  message:
    "standard input or a pipe, which are read only once, revoke a device's key, and devices of another context were judged without that: give them as files",
};
