// The log's key may have changed in records that weren't read yet:
//
//   read so far ……… record 41: log key → its successor, from 42 ……… checkpoint of size 50, signed by the successor
//
// Then the checkpoint is by nobody known, and yet the log's. The change itself needs no word of the log's: t approvers
// signed it. So what lies between is looked through for such records, under the checkpoint as it is claimed, and nothing
// of it is believed but those; they are kept once the key that they lead to has signed this very checkpoint.

import { equalBytes } from "@vouch/shared/bytes";
import { openCheckpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { type PlacedRecord, policyAt } from "@vouch/shared/keyring";
import { rootOf } from "@vouch/shared/merkle";
import { parseNote } from "@vouch/shared/note";
import { isRefusal } from "@vouch/shared/refusal";
import { ringWith } from "@vouch/shared/watchkeys";
import { nodeCrypto } from "../crypto";
import type { LogFiles } from "../log/files";
import { readLogAt } from "../log/remote";
import { openSigned, type Round } from "./round";

/** Whoever shows an unsigned tree can make it as long as they like. */
const MOST = 1_000_000n;
const BREATH = 256n;

/** As openSigned, also when the key that signed it is in records which weren't read. */
export async function openScouted(round: Round, files: LogFiles, bytes: Uint8Array) {
  try {
    return openSigned(round, bytes);
  } catch (error) {
    if (!isRefusal(error) || error.code !== "unknown-log" || !mayBeLater(round, bytes)) throw error;
    if (!(await scout(round, files, bytes))) throw error;
    return openSigned(round, bytes);
  }
}

/** Signed in the log's name, and there is something unread. */
function mayBeLater({ state, policy }: Round, bytes: Uint8Array): boolean {
  const note = parseNote(bytes);
  const { origin, size } = parseCheckpoint(note.text);
  const ahead = size - state.size;
  const isNamed = origin === policy.log.name && note.signatures.some(({ name }) => name === origin);
  return isNamed && ahead > 0n && ahead <= MOST;
}

async function scout(round: Round, files: LogFiles, bytes: Uint8Array): Promise<boolean> {
  const { state } = round;
  const reader = await readLogAt(files, bytes);
  const own = rootOf(state.size, state.hashes.readerAt(state.size), nodeCrypto);
  if (!equalBytes(own, await reader.rootAt(state.size))) return false;
  let { ring } = round;
  const found: PlacedRecord[] = [];
  for await (const { index, bytes: statement } of reader.entries(state.size)) {
    if (index % BREATH === 0n) await new Promise((resolve) => setImmediate(resolve));
    if (round.stopped?.()) return false;
    const grown = ringWith(ring, { index, statement }, nodeCrypto);
    if (grown === null || grown === ring) continue;
    ring = grown;
    found.push({ index, statement });
  }
  try {
    openCheckpoint(bytes, policyAt(ring, reader.size).log, nodeCrypto);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  }
  for (const record of found) state.memory.keepKeyRecord(record);
  round.ring = ring;
  return true;
}
