// Logs on disk of the first of 600 small records, in a folder that each test has to itself.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { leafHash, memoryReader, rootOf } from "@vouch/shared/merkle";
import type { suite } from "uvu";
import { nodeCrypto } from "../src/crypto";
import { addToLog, initLog } from "../src/log/store";
import { newFolder, newSigner, smallRecord } from "./maker-kit";

export const signer = newSigner("log.example");
export const records: Uint8Array[] = [];
export let folder = "";

/** Makes the records once, and each test of the suite a folder of its own. */
export function withRecords(store: ReturnType<typeof suite>): void {
  store.before(async () => {
    for (let n = 0; n < 600; n++) records.push(await smallRecord(signer, n));
  });
  store.before.each(() => {
    folder = newFolder("log");
  });
  store.after.each(() => rmSync(folder, { recursive: true, force: true }));
}

export const first = (count: number) => records.slice(0, count);
export const rootHex = (count: number) =>
  toHex(
    rootOf(
      BigInt(count),
      memoryReader(
        first(count).map((r) => leafHash(r, nodeCrypto)),
        nodeCrypto,
      ),
      nodeCrypto,
    ),
  );

/** A log in `folder/name` of the first records, added in one go. */
export async function logOf(count: number, name = "log") {
  const path = join(folder, name);
  await initLog(path, undefined, signer);
  if (count > 0) await addToLog(path, first(count), signer);
  return path;
}
