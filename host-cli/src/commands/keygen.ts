// vouch keygen NAME: a signing key, and the verifier key that others put in a policy.
//
//   NAME.key    PKCS#8 PEM, encrypted unless --plain, 0600
//   NAME.vkey   NAME+id+base64, one line; also on stdout
//
// Ed25519, or with --algorithm ml-dsa-65 a key that countersigns and does nothing else (mldsakeys.ts).
// With --reader, an X25519 key that reads streams, and NAME.reader: NAME+kid+base64 (shared/src/readerkey.ts).
//
// Neither is ever overwritten. The private half is written first: a cut in
// between leaves a key that --existing can name, never a name without a key. A
// kill may leave a hidden copy of it, .NAME.key.<pid>-<random>.tmp, mode 0600,
// which the next keygen of that name removes.

import { existsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { keyidOf } from "@vouch/shared/dsse";
import { formatMldsaKey, ML_DSA_65, makeMldsaKey } from "@vouch/shared/mldsakey";
import { formatReader } from "@vouch/shared/readerkey";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { formatVkey, KEY_COSIGNATURE, KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { createKey, MAX_KEY_FILE, openKey, publicKeyOf, readerPathOf, vkeyPathOf } from "../keys";
import { loadMldsa } from "../mldsa";
import { createMldsaKey, openMldsaSeed } from "../mldsakeys";
import { readPassphrase } from "../passphrase";
import { readInput } from "../readfiles";
import { removeLeftovers, writeWhole } from "../writefiles";

const ED25519 = "ed25519";

export interface KeygenOptions {
  name: string;
  /** A folder to put NAME.key into, or the key file's own path. Default: the folder we are in. */
  output?: string | undefined;
  plain: boolean;
  /** The verifier key is of type 04: for witnesses and directory ledgers. */
  cosigner: boolean;
  /** Of FIPS 204, instead of Ed25519. */
  mldsa?: boolean | undefined;
  passphraseFile?: string | undefined;
  /** A key that reads streams and signs nothing. */
  reader?: boolean;
}

export interface KeyFiles {
  readonly name: string;
  readonly vkey: string;
  readonly keyid: string;
  readonly keyPath: string;
  readonly vkeyPath: string;
  readonly encrypted: boolean;
}

/** Refuses `exists`, `malformed-vkey` for an impossible name, and what passphrases are refused for. */
export async function makeKeyFiles(options: KeygenOptions, io: Io): Promise<KeyFiles> {
  if (options.plain && options.passphraseFile !== undefined)
    throw usage("--plain leaves no use for --passphrase-file");
  checkName(options.name);
  const keyPath = keyPathFor(options.name, options.output);
  const isReader = options.reader === true;
  const vkeyPath = isReader ? readerPathOf(keyPath) : vkeyPathOf(keyPath);
  for (const path of [keyPath, vkeyPath]) removeLeftovers(path);
  // Asked again when writing; here it saves a person from inventing a passphrase for nothing.
  for (const path of [keyPath, vkeyPath]) if (existsSync(path)) throw exists(path);
  const passphrase = options.plain
    ? null
    : await readPassphrase({ file: options.passphraseFile, subject: keyPath, twice: true }, io);
  const key =
    options.mldsa === true
      ? createMldsaKey(passphrase)
      : createKey(passphrase, isReader ? "x25519" : "ed25519");
  const vkey = isReader
    ? formatReader({ name: options.name, publicKey: key.publicKey })
    : vkeyOf(options, key.publicKey);
  writeWhole(keyPath, key.pem, { mode: 0o600, overwrite: false });
  writeWhole(vkeyPath, `${vkey}\n`, { overwrite: false });
  const keyid = keyidOf(key.publicKey, nodeCrypto);
  return { name: options.name, vkey, keyid, keyPath, vkeyPath, encrypted: passphrase !== null };
}

/** Names a key made elsewhere: writes the .vkey beside it. */
export async function nameExistingKey(
  options: Omit<KeygenOptions, "output" | "plain"> & { file: string },
  io: Io,
): Promise<KeyFiles> {
  checkName(options.name);
  const { file } = options;
  const vkeyPath = vkeyPathOf(file);
  if (existsSync(vkeyPath)) throw exists(vkeyPath);
  const pem = readInput(file, MAX_KEY_FILE);
  let encrypted = false;
  const passphrase = () => {
    encrypted = true;
    return readPassphrase({ file: options.passphraseFile, subject: file }, io);
  };
  const publicKey = await about(file, async () =>
    options.mldsa === true
      ? loadMldsa().mldsaPublicKey(await openMldsaSeed(pem, passphrase))
      : publicKeyOf(await openKey(pem, passphrase)),
  );
  const vkey = vkeyOf(options, publicKey);
  writeWhole(vkeyPath, `${vkey}\n`, { overwrite: false });
  const keyid = keyidOf(publicKey, nodeCrypto);
  return { name: options.name, vkey, keyid, keyPath: file, vkeyPath, encrypted };
}

const vkeyOf = (
  { name, cosigner, mldsa }: Pick<KeygenOptions, "name" | "cosigner" | "mldsa">,
  publicKey: Uint8Array,
) =>
  mldsa === true
    ? formatMldsaKey(makeMldsaKey(name, publicKey, nodeCrypto))
    : formatVkey(makeVkey(name, cosigner ? KEY_COSIGNATURE : KEY_ED25519, publicKey, nodeCrypto));

/** Any key would do: it is the name that may be refused. */
function checkName(name: string): void {
  try {
    makeVkey(name, KEY_ED25519, createKey(null).publicKey, nodeCrypto);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const hint =
      "it stands in policies and logs for years: letters, digits, dots and dashes do, such as j.mueller";
    throw new Refusal(error.code, error.message, { cause: error, hint });
  }
}

/** A key without its public half is left by a disk that was full between the two. */
const exists = (path: string) => {
  const isAlone = path.endsWith(".key") && ![vkeyPathOf(path), readerPathOf(path)].some((p) => existsSync(p));
  return new Refusal("exists", `${path} is already there and is never overwritten`, {
    hint: isAlone
      ? `choose another name; to have its missing .vkey made: \`vouch keygen NAME --existing ${path}\``
      : "choose another name, or move the old file away yourself",
  });
};

/** Key names may hold slashes and more; file names here hold letters, digits, dots and dashes. */
function keyPathFor(name: string, output: string | undefined): string {
  const file = `${name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[.-]+/, "") || "key"}.key`;
  if (output === undefined) return file;
  if (/[\\/]$/.test(output) || statSync(output, { throwIfNoEntry: false })?.isDirectory())
    return join(output, file);
  return output.endsWith(".key") || basename(output).includes(".") ? output : `${output}.key`;
}

interface Flags {
  output?: string;
  plain?: boolean;
  cosigner?: boolean;
  algorithm: string;
  passphraseFile?: string;
  existing?: string;
  reader?: boolean;
  json?: boolean;
}

export function define(program: Command, io: Io): void {
  program
    .command("keygen")
    .description("Makes a signing key and prints its verifier key, the line others put in a policy.")
    .argument("<name>", "whose key it is: a person, a role, a log's origin; no spaces, no plus")
    .option("-o, --output <PATH>", "folder or file for the private key (default: NAME.key here)")
    .option("--plain", "leave the private key unencrypted")
    .option("--cosigner", "a key that signs with a time: for a witness or a directory ledger")
    .option("--reader", "an X25519 key that reads streams; its public line goes to NAME.reader")
    .option("--algorithm <NAME>", "ed25519, or ml-dsa-65: a key for `vouch countersign`", ED25519)
    .option("--passphrase-file <FILE>", "read the passphrase from FILE, - is stdin")
    .option("--existing <FILE>", "make no key, only name this one: writes its .vkey")
    .option("--json", "print one JSON object")
    .action(async (name: string, flags: Flags) => {
      const { output, existing, passphraseFile } = flags;
      if (existing !== undefined && (output !== undefined || flags.plain)) {
        throw usage("--existing makes no key, so -o and --plain have no meaning");
      }
      const cosigner = flags.cosigner === true;
      const reader = flags.reader === true;
      if (reader && (cosigner || existing !== undefined))
        throw usage("--reader makes a key that signs nothing, so --cosigner and --existing have no meaning");
      const mldsa = flags.algorithm === ML_DSA_65;
      if (!mldsa && flags.algorithm !== ED25519)
        throw usage(`--algorithm: found ${quote(flags.algorithm)}, expected ${ED25519} or ${ML_DSA_65}`);
      if (mldsa && cosigner) throw usage(`--cosigner keys are of ${ED25519}`);
      if (mldsa && reader) throw usage("--reader keys are of X25519");
      const made =
        existing === undefined
          ? await makeKeyFiles(
              { name, output, plain: flags.plain === true, cosigner, mldsa, reader, passphraseFile },
              io,
            )
          : await nameExistingKey({ name, file: existing, cosigner, mldsa, passphraseFile }, io);
      if (reader && io.json) reportReader(made, io);
      else report(made, io);
    });
}

function reportReader({ name, vkey, keyPath, vkeyPath, encrypted }: KeyFiles, io: Io): void {
  const kid = vkey.split("+")[1];
  io.stdout(
    `${JSON.stringify({ name, reader: vkey, kid, key: keyPath, readerFile: vkeyPath, encrypted })}\n`,
  );
}

function report(made: KeyFiles, io: Io): void {
  if (io.json) {
    const { name, vkey, keyid, keyPath, vkeyPath, encrypted } = made;
    io.stdout(`${JSON.stringify({ name, vkey, keyid, key: keyPath, vkeyFile: vkeyPath, encrypted })}\n`);
    return;
  }
  io.stdout(`${made.vkey}\n`);
  if (!io.quiet) io.stderr(`private key in ${made.keyPath}${made.encrypted ? "" : ", unencrypted"}\n`);
}
