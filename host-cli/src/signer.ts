// Whoever signs: a key file, or a program outside that guards one.
//
//   --key FILE          PKCS#8 PEM, with FILE's .vkey beside it for the name
//   --signer-cmd CMD    `CMD public` prints the verifier key; `CMD sign` reads
//                       the message on stdin and prints the base64 signature
//
// CMD is split into words (quotes group, nothing else is special) and run
// without a shell. It is how an HSM, a KMS or a smart card joins in: its stderr
// is ours, so that it can say "touch the card", and what it signs is verified
// before anyone uses it.

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { sign as signDetached } from "node:crypto";
import type { Readable, Writable } from "node:stream";
import { fromBase64, toHex, utf8Decode } from "@vouch/shared/bytes";
import { quote, Refusal } from "@vouch/shared/refusal";
import { parseVkey, type Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { nodeCrypto } from "./crypto";
import { about, usage } from "./exit";
import type { Io } from "./io";
import { MAX_KEY_FILE, openKey, publicKeyOf, vkeyPathOf } from "./keys";
import { readPassphrase } from "./passphrase";
import { readInput } from "./readfiles";
import { readVkey } from "./vkeyfile";

export interface Signer {
  readonly publicKey: Uint8Array;
  readonly name: string;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

export interface SignerOptions {
  key?: string | undefined;
  signerCmd?: string | undefined;
  passphraseFile?: string | undefined;
  /** How long an outside signer may take, in seconds. A person may have to find the card. */
  signerTimeout?: number | undefined;
}

const DEFAULT_TIMEOUT_S = 120;
const MAX_ANSWER = 4096;

/** Adds the flags that name a signer. */
export function withSigner(command: Command): Command {
  return command
    .option("-k, --key <FILE>", "sign with this key file")
    .option("--signer-cmd <CMD>", "sign with an outside program (HSM, KMS, smart card)")
    .option("--passphrase-file <FILE>", "read the key's passphrase from FILE, - is stdin")
    .option(
      "--signer-timeout <SECONDS>",
      "how long the outside program may take",
      seconds,
      DEFAULT_TIMEOUT_S,
    );
}

/** A flag's value as a number of seconds. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,6}$/.test(text) || value === 0)
    throw usage(`found ${quote(text)}, expected whole seconds, 1 to 999999`);
  return value;
}

/**
 * The signer that the flags name. Refuses `usage` unless exactly one is named, `not-found`, `malformed-key`,
 * `wrong-passphrase`, `unsupported-key`, `vkey-missing`, `vkey-mismatch`, `signer-failed`, `signer-timeout`.
 */
export async function loadSigner(options: SignerOptions, io: Io): Promise<Signer> {
  if (options.key !== undefined && options.signerCmd === undefined) {
    return fileSigner(options.key, options.passphraseFile, io);
  }
  if (options.signerCmd !== undefined && options.key === undefined) {
    const timeoutMs = (options.signerTimeout ?? DEFAULT_TIMEOUT_S) * 1000;
    return about("--signer-cmd", () => outsideSigner(options.signerCmd ?? "", timeoutMs));
  }
  throw usage(
    "expected exactly one of --key FILE and --signer-cmd CMD",
    "-k takes the NAME.key that `vouch keygen NAME` wrote",
  );
}

function fileSigner(path: string, passphraseFile: string | undefined, io: Io): Promise<Signer> {
  return about(path, async (): Promise<Signer> => {
    const file = readInput(path, MAX_KEY_FILE);
    if (/^[^\s+]+\+[0-9a-f]{8}\+/.test(utf8Decode(file) ?? "")) {
      throw new Refusal(
        "malformed-key",
        "found a verifier key, expected the private key that belongs to it",
        {
          hint: "name the .key file beside it",
        },
      );
    }
    const { name, publicKey } = vkeyBeside(path);
    const key = await openKey(file, () => readPassphrase({ file: passphraseFile, subject: path }, io));
    file.fill(0);
    const actual = publicKeyOf(key);
    if (toHex(actual) !== toHex(publicKey)) {
      throw new Refusal(
        "vkey-mismatch",
        `${vkeyPathOf(path)} holds the public key ${toHex(publicKey).slice(0, 16)}…, this private key belongs to ${toHex(actual).slice(0, 16)}…`,
      );
    }
    return { name, publicKey, sign: async (message) => new Uint8Array(signDetached(null, message, key)) };
  });
}

function vkeyBeside(keyPath: string): Vkey {
  const path = vkeyPathOf(keyPath);
  try {
    return readVkey(path);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "not-found") throw error;
    throw new Refusal("vkey-missing", `there is no ${path}, which names the key`, {
      hint: `\`vouch keygen NAME --existing ${keyPath}\` writes it`,
    });
  }
}

async function outsideSigner(command: string, timeoutMs: number): Promise<Signer> {
  const words = splitWords(command);
  const answer = await runSigner(words, "public", new Uint8Array(0), timeoutMs);
  const { name, publicKey } = parseVkey(answer, nodeCrypto);
  const sign = (message: Uint8Array): Promise<Uint8Array> =>
    about("--signer-cmd", async () => {
      const signature = fromBase64(await runSigner(words, "sign", message, timeoutMs));
      if (signature === null || signature.length !== 64) {
        throw new Refusal("signer-failed", "the signer's answer is not a base64 Ed25519 signature");
      }
      if (!nodeCrypto.verifyEd25519(publicKey, message, signature)) {
        throw new Refusal("signer-failed", `the signer's signature doesn't verify under its key ${name}`);
      }
      return signature;
    });
  return { name, publicKey, sign };
}

/** Words, with '…' and "…" grouping; no variable, no escape, no pipe means anything. */
export function splitWords(command: string): string[] {
  const words: string[] = [];
  const piece = /\s*((?:"[^"]*"|'[^']*'|[^\s"'])+)/y;
  while (piece.lastIndex < command.trimEnd().length) {
    const match = piece.exec(command.trimEnd());
    if (match === null) throw usage(`found an unclosed quote in ${quote(command)}`);
    words.push((match[1] ?? "").replace(/"([^"]*)"|'([^']*)'/g, (_, a, b) => a ?? b));
  }
  if (words.length === 0) throw usage("found an empty command");
  return words;
}

/**
 * Waits for nothing of the child any more. Programs of its own may outlive it and hold its stdout; without this we
 * would wait for them. They are not killed with it: that takes a process group, and in one of its own a program
 * that asks for a PIN at the terminal has no terminal.
 */
function letGo(child: ChildProcessByStdio<Writable, Readable, null>): void {
  child.stdin.destroy();
  child.stdout.destroy();
  child.unref();
}

/** One run of the outside program; its one-line answer. */
function runSigner(words: string[], verb: string, input: Uint8Array, timeoutMs: number): Promise<string> {
  const [program = "", ...rest] = words;
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...rest, verb], { stdio: ["pipe", "pipe", "inherit"] });
    const refuse = (code: string, message: string, cause?: unknown) => {
      clearTimeout(timer);
      child.kill();
      letGo(child);
      reject(new Refusal(code, message, { cause }));
    };
    const timer = setTimeout(() => {
      refuse("signer-timeout", `the signer gave no answer to \`${verb}\` in ${timeoutMs / 1000} s`);
    }, timeoutMs);
    const answer: Buffer[] = [];
    let length = 0;
    child.on("error", (error) => refuse("signer-failed", `the signer can't be run: ${error.message}`, error));
    child.stdin.on("error", () => {}); // it may answer `public` without reading
    child.stdin.end(input);
    child.stdout.on("data", (chunk: Buffer) => {
      answer.push(chunk);
      length += chunk.length;
      if (length > MAX_ANSWER)
        refuse("signer-failed", `the signer answered with more than ${MAX_ANSWER} bytes`);
    });
    child.on("close", (status, signal) => {
      if (status !== 0)
        return refuse("signer-failed", `the signer ended with ${signal ?? `status ${status}`}`);
      clearTimeout(timer);
      resolve(
        Buffer.concat(answer)
          .toString("latin1")
          .replace(/\r?\n$/, ""),
      );
    });
  });
}
