// A ledger that is a folder: for demos, tests and sites without a network. It
// proves an order and a time to whoever trusts its keeper, and is not public.
//
//   LEDGER/checkpoint, tile/…          a C2SP log (tiledlog.ts) of anchored notes
//   LEDGER/receipts/<index>.tlog-proof the receipt of each record
//
// Its checkpoints carry two lines by one key, 01 and 04 (shared/receipt.ts). A
// record's receipt is made from the very checkpoint that took it in, so its time
// is the earliest this ledger can prove, and asking again gives the same bytes.
// Should a cut come between the two, whoever comes next writes the missing
// receipt first: until then that checkpoint is still the current one.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { equalBytes, utf8Encode } from "@vouch/shared/bytes";
import { openCheckpoint } from "@vouch/shared/checkpoint";
import { cosignatureBytes, cosignedMessage, verifyCosignature } from "@vouch/shared/cosignature";
import { proveInclusion } from "@vouch/shared/merkle";
import { formatNote, signatureLine } from "@vouch/shared/note";
import { formatProof } from "@vouch/shared/proof";
import { verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import { KEY_COSIGNATURE, KEY_ED25519, makeVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { withLock } from "../lock";
import { readInput } from "../readfiles";
import type { Signer } from "../signer";
import {
  commitAppend,
  initTiledLog,
  makeFolders,
  openTiledLog,
  planAppend,
  type TiledLog,
} from "../tiledlog";
import { writeWhole } from "../writefiles";
import type { Ledger, Prepared, Signed, Submitted } from "./ledger";

const LOCK_TIMEOUT_S = 30;
const MAX_RECEIPT = 256 * 1024;

/** The ledger's two verifier keys over one public key: 01 for its tree, 04 for its time. */
interface Keys {
  readonly tree: Vkey;
  readonly time: Vkey;
}

const keysOf = (name: string, publicKey: Uint8Array): Keys => ({
  tree: makeVkey(name, KEY_ED25519, publicKey, nodeCrypto),
  time: makeVkey(name, KEY_COSIGNATURE, publicKey, nodeCrypto),
});

/** Makes an empty ledger; gives the verifier key for a policy's `ledger directory` line. Refuses `exists`, `origin-mismatch`. */
export async function initDirectoryLedger(
  folder: string,
  origin: string | undefined,
  signer: Signer,
  now: number,
): Promise<Vkey> {
  if (origin !== undefined && origin !== signer.name) {
    throw new Refusal(
      "origin-mismatch",
      `the origin is ${quote(origin)}, the ledger's key is named ${quote(signer.name)}`,
    );
  }
  const keys = keysOf(signer.name, signer.publicKey);
  await initTiledLog(folder, signer.name, async (text) =>
    noteOf(
      text,
      keys,
      now,
      await signer.sign(utf8Encode(text)),
      await signer.sign(cosignedMessage(now, text)),
    ),
  );
  return keys.time;
}

function noteOf(
  text: string,
  keys: Keys,
  time: number,
  signature: Uint8Array,
  cosignature: Uint8Array,
): Uint8Array {
  return formatNote(text, [
    signatureLine(keys.tree.name, keys.tree.keyId, signature),
    signatureLine(keys.time.name, keys.time.keyId, cosignatureBytes(time, cosignature)),
  ]);
}

/** The ledger in a folder, by the key that keeps it (either type). Another writer is waited for, then `locked`. */
export function openDirectoryLedger(
  folder: string,
  key: { name: string; publicKey: Uint8Array },
  lockTimeoutS: number = LOCK_TIMEOUT_S,
): Ledger {
  const timeoutMs = lockTimeoutS * 1000;
  const keys = keysOf(key.name, key.publicKey);
  const open = () => openKept(folder, keys);
  return {
    kind: "directory",
    worth: "recorded locally, not public",
    isPublic: false,
    find: async (note) => {
      const index = open().findLeaf(note);
      return index === null ? null : { note, id: String(index), fresh: false };
    },
    prepare: async (note, now) => prepare(open(), keys, note, now),
    submit: (signed) => submit(folder, keys, signed, timeoutMs),
    confirm: async ({ note, id }) => {
      if (!equalBytes(open().entry(BigInt(id)), note))
        throw new Error(`record ${id} of the ledger isn't the note`);
    },
    prove: async ({ id }) => prove(folder, keys, BigInt(id), timeoutMs),
    verify: (receipt, note) => verifyDirectoryReceipt(receipt, note, keys.time, nodeCrypto),
  };
}

/** Opens the folder as a ledger of this key. Refuses `wrong-ledger-key`, and what is wrong with its signatures. */
function openKept(folder: string, keys: Keys): TiledLog {
  const log = openTiledLog(folder);
  return about(folder, () => {
    if (log.checkpoint.origin !== keys.tree.name) {
      throw new Refusal(
        "wrong-ledger-key",
        `the ledger is ${quote(log.checkpoint.origin)}, the key is ${quote(keys.tree.name)}`,
        { hint: "it takes the key that `vouch ledger init` made it with" },
      );
    }
    timeOf(log, keys);
    return log;
  });
}

function timeOf(log: TiledLog, keys: Keys): number {
  try {
    const { note } = openCheckpoint(log.note, keys.tree, nodeCrypto);
    return verifyCosignature(note, keys.time, nodeCrypto).time;
  } catch (error) {
    if (!isRefusal(error) || error.code !== "unknown-log") throw error;
    throw new Refusal(
      "wrong-ledger-key",
      `the ledger's checkpoint is signed by another key named ${quote(keys.tree.name)}`,
      { hint: "it takes the key that `vouch ledger init` made it with, also where another has its name" },
    );
  }
}

// The draft is the checkpoint to be, and its time. `submit` publishes it only on top of the tree it was made for.
function prepare(log: TiledLog, keys: Keys, note: Uint8Array, now: number): Prepared {
  const last = timeOf(log, keys);
  if (now < last) {
    throw new Refusal(
      "clock-behind",
      `it is ${isoTime(now)}, the ledger's last record is of ${isoTime(last)}`,
      {
        hint: "set this machine's clock",
      },
    );
  }
  const text = planAppend(log, [note]).checkpointText;
  return {
    note,
    messages: [utf8Encode(text), cosignedMessage(now, text)],
    draft: JSON.stringify({ time: now, text }),
  };
}

function submit(folder: string, keys: Keys, signed: Signed, timeoutMs: number): Promise<Submitted> {
  const { note } = signed;
  const { time, text } = JSON.parse(signed.draft) as { time: number; text: string };
  const [signature, cosignature] = signed.signatures;
  if (signature === undefined || cosignature === undefined)
    throw new Error("the ledger needs two signatures");
  return withLock(folder, timeoutMs, async () => {
    const log = openKept(folder, keys);
    const known = log.findLeaf(note); // another process may have anchored the same checkpoint meanwhile
    if (known !== null) return { note, id: String(known), fresh: false };
    const plan = planAppend(log, [note]);
    if (plan.checkpointText !== text || time < timeOf(log, keys)) {
      throw new Refusal("ledger-moved", "the ledger took another record since this one was prepared", {
        hint: "prepare and sign it again",
      });
    }
    const published = noteOf(text, keys, time, signature, cosignature);
    verifyCosignature(openCheckpoint(published, keys.tree, nodeCrypto).note, keys.time, nodeCrypto);
    if (log.size > 0n) writeReceipt(log, log.size - 1n);
    writeReceipt(commitAppend(log, plan, published), log.size);
    return { note, id: String(log.size), fresh: true };
  });
}

async function prove(folder: string, keys: Keys, index: bigint, timeoutMs: number): Promise<Uint8Array> {
  const path = receiptPath(folder, index);
  if (!existsSync(path)) {
    await withLock(folder, timeoutMs, async () => {
      const log = openKept(folder, keys);
      if (log.size === index + 1n) writeReceipt(log, index);
    });
  }
  return readInput(path, MAX_RECEIPT);
}

const receiptPath = (folder: string, index: bigint) => join(folder, "receipts", `${index}.tlog-proof`);

/** Writes the receipt of the log's last record, unless it is there. */
function writeReceipt(log: TiledLog, index: bigint): void {
  const path = receiptPath(log.folder, index);
  if (existsSync(path)) return;
  makeFolders(dirname(path));
  const hashes = proveInclusion(index, log.size, log.hashReader, nodeCrypto);
  writeWhole(path, formatProof({ index, hashes, checkpoint: log.note }));
}
