// A bundle and the archives that renew it: real signatures, made-up decades.

import { formatBundle } from "@vouch/shared/bundle";
import { utf8Encode } from "@vouch/shared/bytes";
import { leafHash, memoryReader, proveInclusion } from "@vouch/shared/merkle";
import { formatRenewed, type Renewal, renewalDigests } from "@vouch/shared/renewal";
import type { Statement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, KEY_COSIGNATURE } from "@vouch/shared/vkey";
import { nodeCrypto as crypto } from "../../host-cli/src/crypto";
import { checkpointNote, directoryReceipt, dsse, type Key, keyOf, makeWorld, NOW } from "./world";

export const YEAR = 31_557_600;
export const world = makeWorld();
export const content = formatBundle(world.bundle);

/** An archive: a log, who renews in it, and the ledger it anchors on. */
export const archive = (name: string) => ({
  log: keyOf("archive", `${name}.example/log`),
  renewer: keyOf("archive", `${name}.example/renewer`),
  ledger: keyOf("archive", `${name}.example/ledger`, KEY_COSIGNATURE),
});

export type Archive = ReturnType<typeof archive>;
export const [first, second] = [archive("first"), archive("second")];

interface RenewOptions {
  readonly signers?: readonly Key[];
  /** What is logged, when not the commitment. */
  readonly statement?: Partial<Statement>;
  /** What a ledger gives for the note, when not the archive's directory. */
  readonly receipts?: (note: Uint8Array) => Pick<Renewal, "receipts" | "walk">;
}

/** A file with one more renewal, recorded at `time`. */
export function renewed(
  file: Uint8Array,
  { log, renewer, ledger }: Archive,
  time: number,
  options: RenewOptions = {},
) {
  const found = {
    salt: crypto.sha256(utf8Encode(`${log.vkey.name} ${time}`)),
    policy: world.policy.digest,
    verdict: "patched" as const,
    at: isoTime(NOW),
  };
  const digests = renewalDigests(found, file, crypto);
  const commitment = { kind: "renewal-commitment", ...digests, created: isoTime(time), ...options.statement };
  const statement = dsse(commitment as Statement, options.signers ?? [renewer]);
  const reader = memoryReader(
    [utf8Encode("an earlier record"), statement].map((leaf) => leafHash(leaf, crypto)),
    crypto,
  );
  const note = checkpointNote(2, reader, log, [], time);
  const renewal: Renewal = {
    ...found,
    record: { index: 1n, statement, proof: proveInclusion(1n, 2n, reader, crypto) },
    note,
    receipts: [{ kind: "directory", proof: directoryReceipt([note], ledger, time) }],
    ...options.receipts?.(note),
  };
  return formatRenewed(renewal, file);
}

export const linesOf = ({ log, renewer, ledger }: Archive) => [
  `renewals ${formatVkey(log.vkey)} ${formatVkey(renewer.vkey)}`,
  `ledger directory ${formatVkey(ledger.vkey)}`,
];
