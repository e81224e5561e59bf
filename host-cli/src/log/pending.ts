// A checkpoint that is signed and not yet published, since witnesses have to agree first:
//
//   LOG/pending      the note: the log's signature, and the cosignatures that came so far
//
// Its tiles lie in their places already, under names that the published tree doesn't use. From the moment
// that the file is there a witness may have cosigned the checkpoint, and will cosign no other of its size: so
// it is published sooner or later, and nothing else is signed before. A kill at any instant leaves either
// no file, and nobody has seen the checkpoint; or the file, and whoever comes next goes on with it; or both the
// published checkpoint and the file, which is then removed.

import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { equalBytes } from "@vouch/shared/bytes";
import { rootOf } from "@vouch/shared/merkle";
import { MAX_NOTE } from "@vouch/shared/note";
import { Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import { readStored } from "../readfiles";
import { openTiledLogAt, type TiledLog } from "../tiledlog";
import { flushFolder, writeWhole } from "../writefiles";

const pathOf = (log: TiledLog) => join(log.folder, "pending");

/** The log as it will be, or null when nothing waits. Changes nothing: readers ask too. Refuses `log-damaged`, `log-forked`. */
export function readPending(log: TiledLog): TiledLog | null {
  const path = pathOf(log);
  if (!existsSync(path)) return null;
  const pending = about(path, () => openTiledLogAt(log.folder, () => readStored(path, MAX_NOTE)));
  const [small, large] = pending.size > log.size ? [log, pending] : [pending, log];
  const prefix = rootOf(small.size, large.hashReader, nodeCrypto);
  if (pending.checkpoint.origin !== log.checkpoint.origin || !equalBytes(prefix, small.checkpoint.root))
    throw new Refusal(
      "log-forked",
      `${path} is a checkpoint of size ${pending.size} that the log of ${log.size} records doesn't lead to, or from`,
    );
  return pending.size > log.size ? pending : null;
}

/** Keeps a note, over an earlier form of it, and gives the log as it will be. Durable when this returns. */
export function keepPending(log: TiledLog, note: Uint8Array): TiledLog {
  writeWhole(pathOf(log), note);
  return openTiledLogAt(log.folder, () => note);
}

/** For the writer alone, under the lock: anybody else might remove the next one, just put there. */
export function dropPending(log: TiledLog): void {
  if (!existsSync(pathOf(log))) return;
  rmSync(pathOf(log), { force: true });
  flushFolder(log.folder);
}
