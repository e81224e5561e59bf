// vouch countersign: an ML-DSA-65 signature beside those that everything else rests on (shared/src/countersignature.ts).
//
//   release  pump.dsse.json         a line of its own      pump.countersignature
//   bundle   pump.vouch.json        the key's line in front of the bundle, over all of its bytes
//   attach   pump.vouch.json        a release's line in front of the bundle
//
// A release is countersigned once, by the maker, whose key may lie in a safe; whoever makes bundles of it puts the line in
// front. A bundle is countersigned as it is, with its renewals. Nothing behind a line ever changes.

import { parseBundle } from "@vouch/shared/bundle";
import { concatBytes } from "@vouch/shared/bytes";
import {
  type Countersignature,
  type Covered,
  contextOf,
  formatCountersignature,
  MAX_COUNTERSIGNATURE,
  parseCountersignature,
  releaseMessage,
} from "@vouch/shared/countersignature";
import { formatEnvelope, keyidOf } from "@vouch/shared/dsse";
import { ML_DSA_65 } from "@vouch/shared/mldsakey";
import { Refusal } from "@vouch/shared/refusal";
import { parseRenewed } from "@vouch/shared/renewal";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { mldsaOnDemand } from "../mldsa";
import { type Countersigner, loadCountersigner } from "../mldsakeys";
import { readInput } from "../readfiles";
import { readReleaseFile } from "../statementfile";
import { writeOutput } from "../writefiles";
import { describeRelease } from "./release";
import { readRenewable } from "./renew";

function signLine(of: Covered, message: Uint8Array, signer: Countersigner): Countersignature {
  const { publicKey } = signer.key;
  const signature = signer.sign(message, contextOf(of));
  // A fault while signing gives a signature that is wrong, and may tell of the key: it doesn't leave here.
  if (!mldsaOnDemand(publicKey, message, signature, contextOf(of)))
    throw new Error("the signature just made doesn't verify");
  return { of, algorithm: ML_DSA_65, keyid: keyidOf(publicKey, nodeCrypto), signature };
}

const inFront = (line: Countersignature, content: Uint8Array) =>
  concatBytes([formatCountersignature(line), Uint8Array.of(10), content]);

interface Flags {
  key: string;
  passphraseFile?: string;
  output?: string;
}

const LF = 10;

/** A file of one line. Throws as parseCountersignature; `wrong-countersignature` for one that is of a bundle. */
function readLine(path: string): Countersignature {
  return about(path, () => {
    const bytes = readInput(path, MAX_COUNTERSIGNATURE);
    const line = parseCountersignature(bytes.at(-1) === LF ? bytes.subarray(0, -1) : bytes);
    if (line.of !== "release")
      throw new Refusal("wrong-countersignature", `found one of a ${line.of}, expected one of a release`);
    return line;
  });
}

async function countersignRelease(path: string, flags: Flags, io: Io): Promise<void> {
  requireFile(flags, io);
  const { envelope, statement } = readReleaseFile(path);
  if (!io.quiet) io.stderr(describeRelease(statement));
  const signer = await loadCountersigner(flags.key, flags.passphraseFile, io);
  const line = signLine("release", releaseMessage(formatEnvelope(envelope)), signer);
  const text = `${new TextDecoder().decode(formatCountersignature(line))}\n`;
  writeOutput(io, flags.output, text);
  tell({ file: flags.output, of: line.of, by: signer.key.name, keyid: line.keyid }, io);
}

async function countersignBundle(path: string, flags: Flags, io: Io): Promise<void> {
  requireFile(flags, io);
  const content = readRenewable(path);
  const signer = await loadCountersigner(flags.key, flags.passphraseFile, io);
  const line = signLine("bundle", content, signer);
  writeBundle(path, flags, inFront(line, content), io);
  tell({ file: flags.output, of: line.of, by: signer.key.name, keyid: line.keyid }, io);
}

function attach(path: string, flags: { countersignature: string; output?: string }, io: Io): void {
  requireFile(flags, io);
  const content = readRenewable(path);
  const line = readLine(flags.countersignature);
  const { bundle } = parseRenewed(content);
  about(path, () => releaseMessage(parseBundle(bundle).release.statement));
  writeBundle(path, flags, inFront(line, content), io);
  tell({ file: flags.output, of: line.of, keyid: line.keyid }, io);
  if (!io.json && !io.quiet)
    io.stderr(
      "not checked: that it is of this release; `vouch verify` does, by a policy that names its key\n",
    );
}

const requireFile = ({ output }: { output?: string }, io: Io) => {
  if (io.json && (output === undefined || output === "-"))
    throw usage("--json needs --output FILE", "the product itself goes to stdout otherwise");
};

/** More lines than a reader takes are refused here, not when it matters. */
function writeBundle(path: string, { output }: { output?: string }, bytes: Uint8Array, io: Io): void {
  about(path, () => parseRenewed(bytes));
  writeOutput(io, output, new TextDecoder().decode(bytes));
}

function tell(made: { file: string | undefined; of: Covered; by?: string; keyid: string }, io: Io): void {
  const { of, by, keyid } = made;
  if (io.json) io.stdout(`${JSON.stringify(made)}\n`);
  else if (!io.quiet)
    io.stderr(
      `countersignature of the ${of}${by === undefined ? "" : ` by ${by}`}, key ${keyid.slice(0, 16)}…\n`,
    );
}

const withKey = (command: Command) =>
  command
    .requiredOption("-k, --key <FILE>", "sign with this key file, of `keygen --algorithm ml-dsa-65`")
    .option("--passphrase-file <FILE>", "read the key's passphrase from FILE, - is stdin")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was made as one JSON object; needs --output");

export function define(program: Command, io: Io): void {
  const countersign = program
    .command("countersign")
    .description("Signs with ML-DSA-65 beside all else, for policies that demand it.");
  withKey(countersign.command("release"))
    .description("Countersigns a release statement, after showing what it says.")
    .argument("<file>", "the .dsse.json, signed or not")
    .action((file: string, flags: Flags) => countersignRelease(file, flags, io));
  withKey(countersign.command("bundle"))
    .description("Puts a countersignature of a bundle, and of the renewals in front of it, in front of it.")
    .argument("<bundle>", "the bundle, renewed or not")
    .action((bundle: string, flags: Flags) => countersignBundle(bundle, flags, io));
  countersign
    .command("attach")
    .description("Puts a release's countersignature in front of a bundle of it.")
    .argument("<bundle>", "the bundle, renewed or not")
    .requiredOption("--countersignature <FILE>", "what `countersign release` wrote")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was made as one JSON object; needs --output")
    .action((bundle: string, flags: { countersignature: string; output?: string }) =>
      attach(bundle, flags, io),
    );
}
