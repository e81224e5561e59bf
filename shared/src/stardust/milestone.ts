// Milestones: what a Tangle's coordinator signs, at a time that it asserts (TIP-29).
//
//   payload    u32 7 │ essence │ u8 count │ signatures
//   essence    u32 index │ u32 timestamp │ u8 protocol version 2 │ 32 previous milestone's id
//              u8 n │ 32 bytes, n times: parents │ 32 inclusion root │ 32 applied root
//              u16 length │ metadata │ u8 count │ options
//   signature  u8 0 │ 32 Ed25519 public key │ 64 signature over the milestone's id
//   options    u8 0, receipt of migrated funds:
//                u32 │ u8 final │ u16 count │ (49 tail hash │ u8 0 │ 32 address │ u64)… │ u32 length │ treasury
//                treasury  u32 4 │ u8 1 │ 32 milestone id │ u8 2 │ u64
//              u8 1, protocol parameters: u32 │ u8 │ u16 length │ parameters
//
// The id is BLAKE2b-256 over the essence alone. The inclusion root is that of a Merkle tree over the ids of all
// blocks that the milestone referenced first (inclusion.ts). Options are read as far as their length takes.

import { concatBytes, copyBytes } from "../bytes";
import type { Crypto } from "../crypto";
import { blake2b256 } from "../hash";
import { Refusal } from "../refusal";
import { checkVersion, MAX_PARENTS, PROTOCOL_VERSION } from "./block";
import { compareBytes, type LayoutReader, readLayout, uintBytes } from "./layout";
import { MAX_BLOCK } from "./receipt";
import { applies, type Trust } from "./trust";

export const MILESTONE_PAYLOAD = 7;
const ED25519 = 0;
const TREASURY_BYTES = 4 + 1 + 32 + 1 + 8;
const FUND_BYTES = 49 + 1 + 32 + 8;

export interface Milestone {
  readonly id: Uint8Array;
  readonly index: number;
  /** Unix seconds, as the coordinator says. */
  readonly timestamp: number;
  readonly inclusionRoot: Uint8Array;
  /** As they stand there: checkSignatures looks at their order. */
  readonly signatures: readonly { readonly key: Uint8Array; readonly signature: Uint8Array }[];
}

/** Refuses `milestone-malformed`, and `stardust-unsupported` for what a later protocol may have given a meaning. */
export function decodeMilestone(bytes: Uint8Array): Milestone {
  const reader = readLayout(bytes, "the milestone", "milestone-malformed");
  if (bytes.length > MAX_BLOCK) throw reader.malformed(`it has more than ${MAX_BLOCK} bytes`);
  const type = reader.u32();
  if (type !== MILESTONE_PAYLOAD) throw reader.malformed(`a payload of type ${type}, expected 7`);
  const start = reader.at();
  const index = reader.u32();
  const timestamp = reader.u32();
  checkVersion(reader.u8(), "the milestone");
  reader.fixed(32);
  reader.parents(MAX_PARENTS);
  const inclusionRoot = reader.fixed(32);
  reader.fixed(32);
  reader.fixed(reader.u16());
  readOptions(reader);
  const id = milestoneIdOf(copyBytes(bytes, start, reader.at()));
  const signatures = Array.from({ length: reader.u8() }, () => {
    const kind = reader.u8();
    if (kind !== ED25519)
      throw new Refusal(
        "stardust-unsupported",
        `a signature of the milestone is of kind ${kind}, expected Ed25519 (0)`,
      );
    return { key: reader.fixed(32), signature: reader.fixed(64) };
  });
  reader.end();
  return { id, index, timestamp, inclusionRoot, signatures };
}

export interface Essence {
  readonly index: number;
  readonly timestamp: number;
  readonly previous: Uint8Array;
  readonly parents: readonly Uint8Array[];
  readonly inclusionRoot: Uint8Array;
  readonly appliedRoot: Uint8Array;
  readonly metadata: Uint8Array;
  /** Each in its bytes. */
  readonly options: readonly Uint8Array[];
}

/** Nothing is checked: decodeMilestone reads what comes of it. */
export function encodeEssence(essence: Essence): Uint8Array {
  return concatBytes([
    uintBytes(essence.index, 4),
    uintBytes(essence.timestamp, 4),
    uintBytes(PROTOCOL_VERSION, 1),
    essence.previous,
    uintBytes(essence.parents.length, 1),
    ...essence.parents,
    essence.inclusionRoot,
    essence.appliedRoot,
    uintBytes(essence.metadata.length, 2),
    essence.metadata,
    uintBytes(essence.options.length, 1),
    ...essence.options,
  ]);
}

export const milestoneIdOf = (essence: Uint8Array) => blake2b256(essence);

/** The payload, with signatures in the order given. */
export function encodeMilestone(essence: Uint8Array, signatures: Milestone["signatures"]): Uint8Array {
  return concatBytes([
    uintBytes(MILESTONE_PAYLOAD, 4),
    essence,
    uintBytes(signatures.length, 1),
    ...signatures.flatMap(({ key, signature }) => [uintBytes(ED25519, 1), key, signature]),
  ]);
}

/** Each kind at most once, in their order. */
function readOptions(reader: LayoutReader): void {
  const count = reader.u8();
  for (let i = 0, least = 0; i < count; i++) {
    const kind = reader.u8();
    if (kind > 1)
      throw new Refusal(
        "stardust-unsupported",
        `the milestone has an option of kind ${kind}, 0 and 1 are known`,
      );
    if (kind < least) throw reader.malformed("the options aren't ascending, each once");
    least = kind + 1;
    if (kind === 0) readMigration(reader);
    else {
      reader.fixed(4 + 1);
      reader.fixed(reader.u16());
    }
  }
}

function readMigration(reader: LayoutReader): void {
  reader.u32();
  if (reader.u8() > 1) throw reader.malformed("a flag is neither 0 nor 1");
  reader.fixed(reader.u16() * FUND_BYTES);
  const length = reader.u32();
  if (length !== TREASURY_BYTES)
    throw reader.malformed(`a treasury transaction has ${length} bytes, expected ${TREASURY_BYTES}`);
  reader.fixed(length);
}

/**
 * The coordinator that `trust` writes down signed the milestone; gives how many of its keys did. All signatures
 * must count, and each key once: inx-poi counts signatures, so for it one key may stand for several. Refuses
 * `milestone-signer-repeated`, `milestone-signers-unsorted`, `milestone-signer-unknown`,
 * `milestone-threshold` and `milestone-signature`.
 */
export function checkSignatures(milestone: Milestone, trust: Trust, crypto: Crypto): number {
  const { id, index, signatures } = milestone;
  const refuse = (code: string, found: string) => new Refusal(code, `milestone ${index}: ${found}`);
  signatures.forEach(({ key }, i) => {
    if (signatures.slice(0, i).some((other) => compareBytes(other.key, key) === 0))
      throw refuse("milestone-signer-repeated", "a key signed it twice");
  });
  signatures.forEach(({ key }, i) => {
    if (i > 0 && compareBytes(signatures[i - 1]!.key, key) > 0)
      throw refuse("milestone-signers-unsorted", "the signatures aren't in the order of their keys");
  });
  for (const { key } of signatures) {
    const known = trust.keys.find((entry) => compareBytes(entry.key, key) === 0);
    if (known === undefined || !applies(known, index))
      throw refuse(
        "milestone-signer-unknown",
        `a signature is by a key that ${trust.network} has not for that index`,
      );
  }
  if (signatures.length < trust.threshold)
    throw refuse(
      "milestone-threshold",
      `${signatures.length} keys signed it, expected ${trust.threshold} at least`,
    );
  for (const { key, signature } of signatures)
    if (!crypto.verifyEd25519(key, id, signature))
      throw refuse("milestone-signature", "a signature of the coordinator doesn't verify");
  return signatures.length;
}
