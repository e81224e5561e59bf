// Passphrases for key files: asked at the terminal without echo, or read from a
// file named by --passphrase-file. Never an argument's value and never an
// environment variable, since other users and crash reports see both; never
// part of an error.
//
//   --passphrase-file F   the first line of F, without its line end
//   --passphrase-file -   the same from stdin

import { utf8Decode } from "@vouch/shared/bytes";
import { Refusal } from "@vouch/shared/refusal";
import { about } from "./exit";
import type { Io } from "./io";
import { readInput } from "./readfiles";

const MAX_PASSPHRASE = 1024; // bytes; OpenSSL's own prompt stops there too

export interface PassphraseSource {
  /** A file's path, or "-"; undefined asks at the terminal. */
  file?: string | undefined;
  /** What it is for, as the prompt shows it. */
  subject: string;
  /** Ask a second time and compare: for a passphrase nobody has typed before. */
  twice?: boolean;
}

/**
 * A passphrase for `subject`. Refuses `empty-passphrase`, `passphrase-mismatch`, `passphrase-not-text`,
 * `too-large` and, when there is nobody to ask, `not-a-terminal`.
 */
export async function readPassphrase(source: PassphraseSource, io: Io): Promise<string> {
  if (source.file !== undefined) return fromFile(source.file);
  const passphrase = checked(await ask(io, `passphrase for ${source.subject}: `));
  if (source.twice && (await ask(io, "the same again: ")) !== passphrase) {
    throw new Refusal("passphrase-mismatch", "the two passphrases differ");
  }
  return passphrase;
}

async function ask(io: Io, question: string): Promise<string> {
  if (!io.tty.stdin) {
    throw new Refusal("not-a-terminal", `found no terminal to ask: ${question.replace(/: $/, "")}`, {
      hint: "--passphrase-file FILE reads it from a file, or from stdin with -",
    });
  }
  return io.prompt(question, { hidden: true });
}

function fromFile(path: string): string {
  return about(path === "-" ? "stdin" : path, () => {
    const text = utf8Decode(readInput(path, MAX_PASSPHRASE + 2));
    if (text === null) throw new Refusal("passphrase-not-text", "the passphrase is not UTF-8");
    return checked((text.split("\n")[0] ?? "").replace(/\r$/, ""));
  });
}

function checked(passphrase: string): string {
  if (passphrase === "") {
    throw new Refusal("empty-passphrase", "the passphrase is empty", {
      hint: "`keygen --plain` makes a key without one",
    });
  }
  return passphrase;
}
