// A fleet's evidence in a salted Merkle tree, and what one owner gets of it. Spec: spec/fleet.md.
//
//   leaf = SHA-256( 00 ‖ salt (16 random bytes) ‖ the device's line of a fleet file )
//   tree   RFC 6962 (merkle.ts); its root stands in a fleet-commitment that is logged and anchored
//
//   x.rows  {"version":"vouch-fleet-row/v1","root":"<hex>","size":"200","index":"17","salt":b64,"record":b64,"proof":[b64…]} LF …
//
// The root tells nothing: every leaf has a salt of its own, so not even somebody who guesses a whole line can tell
// whether it is there. An owner who has a row can show anybody that this very evidence was committed to, and learns
// nothing of others but how many there are.

import { concatBytes, fromHex, toBase64 } from "./bytes";
import type { Crypto } from "./crypto";
import { MAX_DEVICE } from "./fleetform";
import { base64, formatJson, hex, list, matching, object, readJson, type Shape } from "./json";
import { checkInclusion, leafHash } from "./merkle";
import { quote, Refusal } from "./refusal";

export const ROW_VERSION = "vouch-fleet-row/v1";
export const MAX_ROW = 1024 * 1024;
export const ROW_SALT = 16;

export interface FleetRow {
  readonly root: string;
  readonly size: bigint;
  readonly index: bigint;
  readonly salt: Uint8Array;
  readonly record: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

const version: Shape<string> = (value, at) => {
  if (value === ROW_VERSION) return ROW_VERSION;
  const later = typeof value === "string" && /^vouch-fleet-row\/v[0-9]{1,6}$/.test(value);
  throw new Refusal(
    later ? "unsupported-version" : "malformed-json",
    `${at} is ${quote(String(value))}, this program reads ${ROW_VERSION}`,
  );
};
const decimal: Shape<bigint> = (value, at) =>
  BigInt(matching(/^(0|[1-9][0-9]{0,18})$/, "a decimal number as text")(value, at));

const SHAPE = object({
  version,
  root: hex(32),
  size: decimal,
  index: decimal,
  salt: base64(ROW_SALT),
  record: base64(1, MAX_DEVICE),
  proof: list(base64(32), 0, 64),
});

const rowJson = ({ root, size, index, salt, record, proof }: FleetRow) => ({
  version: ROW_VERSION,
  root,
  size: String(size),
  index: String(index),
  salt: toBase64(salt),
  record: toBase64(record),
  proof: proof.map(toBase64),
});

/** Reads a row, without its LF. Throws `malformed-row`, `unsupported-version`, and as parseJson. */
export const parseRow = (bytes: Uint8Array): FleetRow =>
  readJson(bytes, "the row", MAX_ROW, "malformed-row", SHAPE, rowJson);

export const formatRow = (row: FleetRow): Uint8Array => formatJson(rowJson(row));

export const rowLeaf = (salt: Uint8Array, record: Uint8Array, crypto: Crypto): Uint8Array =>
  leafHash(concatBytes([salt, record]), crypto);

/**
 * The row's evidence is in the tree that was committed to: root and size of a fleet-commitment.
 * Throws `other-commitment`, and what merkle.ts throws.
 */
export function checkRow(
  row: FleetRow,
  committed: { readonly sha256: string; readonly size: number },
  crypto: Crypto,
): void {
  if (row.root !== committed.sha256 || row.size !== BigInt(committed.size))
    throw new Refusal(
      "other-commitment",
      `the row is of a tree of ${row.size} with root ${row.root.slice(0, 16)}…, committed to is one of ${committed.size} with root ${committed.sha256.slice(0, 16)}…`,
    );
  const root = fromHex(row.root) as Uint8Array;
  checkInclusion(rowLeaf(row.salt, row.record, crypto), row.index, row.size, [...row.proof], root, crypto);
}
