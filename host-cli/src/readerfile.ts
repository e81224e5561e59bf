// Readers of streams on the command line: whose key is public, a file of one line or the line itself; one's own, a key file.

import { utf8Decode } from "@vouch/shared/bytes";
import {
  checkReaders,
  formatReadersFile,
  MAX_READERS_FILE,
  parseReader,
  parseReadersFile,
  type Reader,
  type ReadersFile,
} from "@vouch/shared/readerkey";
import type { ReaderKey } from "@vouch/shared/streamopen";
import { about } from "./exit";
import type { Io } from "./io";
import { MAX_KEY_FILE, openKey, publicKeyOf, secretKeyOf } from "./keys";
import { withFileLock } from "./lock";
import { readPassphrase } from "./passphrase";
import { readInput } from "./readfiles";
import { refusePrivate } from "./vkeyfile";
import { writeWhole } from "./writefiles";

const MAX_READER_FILE = 16 * 1024;

/** The reader in a one-line file, or given as the argument itself. */
export function readReader(fileOrText: string): Reader {
  if (/^[^+\s]+\+[0-9a-f]{16}\+/.test(fileOrText)) return parseReader(fileOrText);
  return about(fileOrText, () => {
    const text = utf8Decode(readInput(fileOrText, MAX_READER_FILE)) ?? "";
    refusePrivate(text, ".reader");
    return parseReader(text.replace(/\r?\n$/, ""));
  });
}

/** Who reads a recording's stream: NAME.readers.json beside NAME.vstream. */
export const readersPathOf = (recording: string): string =>
  recording.endsWith(".readers.json") ? recording : `${recording.replace(/\.vstream$/, "")}.readers.json`;

const LOCK_MS = 10_000;

/** Changes who reads a stream from its next epoch on; whole or not at all, and nobody else's change is lost. */
export function changeReaders(
  path: string,
  isDryRun: boolean,
  change: (now: ReadersFile) => readonly Reader[],
): Promise<ReadersFile> {
  return withFileLock(path, LOCK_MS, () =>
    about(path, async () => {
      const now = parseReadersFile(readInput(path, MAX_READERS_FILE));
      const next = { mode: now.mode, readers: change(now) };
      checkReaders(next);
      if (!isDryRun) writeWhole(path, formatReadersFile(next));
      return next;
    }),
  );
}

/** A reader's own key. Refuses as openKey does. */
export function loadReaderKey(path: string, passphraseFile: string | undefined, io: Io): Promise<ReaderKey> {
  return about(path, async () => {
    const file = readInput(path, MAX_KEY_FILE);
    const passphrase = () => readPassphrase({ file: passphraseFile, subject: path }, io);
    const key = await openKey(file, passphrase, "x25519");
    file.fill(0);
    return { secret: secretKeyOf(key), publicKey: publicKeyOf(key) };
  });
}
