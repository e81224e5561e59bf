// What is on its way to a ledger, beside the log, from before a node sees it until its receipt is kept:
//
//   LOG/anchors/<size>/<kind>.draft      rebased: a signed transaction; stardust: all blocks that were tried
//   LOG/anchors/<size>/<kind>.over-…     one that failed, or that nobody executed while it could be
//
// 0600, and written whole before anything is submitted. A kill at any instant leaves either no draft, and nothing was
// submitted; or a draft, and whoever comes next submits those same bytes.

import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseCheckpoint } from "@vouch/shared/checkpoint";
import { parseNote } from "@vouch/shared/note";
import { readInput } from "../readfiles";
import { makeFolders } from "../tiledlog";
import { flushFolder, writeWhole } from "../writefiles";
import { anchorFolder } from "./anchors";

const MAX_DRAFT = 4 * 1024 * 1024;

export interface Drafts {
  read(note: Uint8Array): Uint8Array | null;
  write(note: Uint8Array, draft: Uint8Array): void;
  retire(note: Uint8Array): void;
  /** The receipt is kept, so the draft needn't be. */
  drop(note: Uint8Array): void;
  /** All there are, ascending by size. */
  list(): { readonly size: bigint; readonly draft: Uint8Array }[];
}

export function draftsOf(logFolder: string, kind: string): Drafts {
  const file = `${kind}.draft`;
  const folderOf = (note: Uint8Array) => anchorFolder(logFolder, parseCheckpoint(parseNote(note).text).size);
  const pathOf = (note: Uint8Array) => join(folderOf(note), file);
  return {
    read: (note) => (existsSync(pathOf(note)) ? readInput(pathOf(note), MAX_DRAFT) : null),
    write(note, draft) {
      makeFolders(folderOf(note));
      writeWhole(pathOf(note), draft, { mode: 0o600 });
    },
    retire(note) {
      if (!existsSync(pathOf(note))) return;
      renameSync(pathOf(note), join(folderOf(note), `${kind}.over-${Date.now()}`));
      flushFolder(folderOf(note));
    },
    drop: (note) => rmSync(pathOf(note), { force: true }),
    list() {
      const folder = join(logFolder, "anchors");
      const names = existsSync(folder) ? readdirSync(folder) : [];
      return names
        .filter((name) => /^(0|[1-9][0-9]{0,18})$/.test(name) && existsSync(join(folder, name, file)))
        .map((name) => ({ size: BigInt(name), draft: readInput(join(folder, name, file), MAX_DRAFT) }))
        .sort((a, b) => (a.size < b.size ? -1 : 1));
    },
  };
}
