// vouch witness: a third party that says of a log "this is the largest checkpoint I have seen, and it only grew".
//
//   serve    C2SP tlog-witness over HTTP; on this machine alone unless another address is named
//   cosign   the same for a file from a stick: the same checks, the same state
//
//   --state DIR    what it has cosigned (witness/state.ts): whoever loses it begins with a new key
//   --logs FILE    the logs it knows, `log <vkey>` a line; or --log VKEY for each
//
// The key is one of type 04 (`vouch keygen NAME --cosigner`). Several processes may share a state.

import { existsSync } from "node:fs";
import { utf8Decode } from "@vouch/shared/bytes";
import { parseCheckpoint } from "@vouch/shared/checkpoint";
import { parseNote } from "@vouch/shared/note";
import { quote, Refusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, KEY_COSIGNATURE, KEY_ED25519, parseVkey, sameVkey, type Vkey } from "@vouch/shared/vkey";
import {
  formatAnswer,
  MAX_REQUEST,
  OldSizeMismatch,
  parseAddCheckpoint,
  parseLogs,
} from "@vouch/shared/witness";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, printable, usage } from "../exit";
import { keepFraud } from "../fraudfile";
import type { Io } from "../io";
import { vkeyPathOf } from "../keys";
import { type Address, listenAddress } from "../listen";
import { decimal } from "../output/size";
import { readInput } from "../readfiles";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { makeFolders } from "../tiledlog";
import { readVkey } from "../vkeyfile";
import { type RequestLine, startServer } from "../witness/server";
import { openState } from "../witness/state";
import { type Cosigned, openWitness, type Witness } from "../witness/witness";
import { checkFree, writeOutput } from "../writefiles";

const MAX_LOGS = 1024 * 1024;

interface WitnessOptions extends SignerOptions {
  state: string;
  log?: string[];
  logs?: string;
}

const collect = (value: string, before: readonly string[] = []) => [...before, value];

const witnessOptions = (command: Command): Command =>
  withSigner(command)
    .requiredOption("--state <DIR>", "what this witness has cosigned; made if missing")
    .option("--log <VKEY>", "a log it knows: a verifier key, or a file with one (repeatable)", collect)
    .option("--logs <FILE>", "the logs it knows: `log <vkey>` a line");

export function define(program: Command, io: Io): void {
  const witness = program.command("witness").description("Cosigns the checkpoints of logs that only grow.");
  witnessOptions(witness.command("serve"))
    .description("Answers logs and monitors over HTTP, until SIGTERM or Ctrl-C.")
    .option("--listen <HOST:PORT>", "where; port 0 takes one that is free", listenAddress, {
      host: "127.0.0.1",
      port: 7380,
    })
    .option("--json", "one JSON object when it listens, and one on stderr for each request")
    .action((flags: WitnessOptions & { listen: Address }) => serve(flags, io));
  witnessOptions(witness.command("cosign"))
    .description("Cosigns the checkpoint in a file that `vouch log request` wrote.")
    .argument("<request>", "the file")
    .option("-o, --output <FILE>", "where the signature line goes; stdout unless named")
    .option("--json", "print one JSON object; needs --output")
    .action((file: string, flags: WitnessOptions & { output?: string }) => cosign(file, flags, io));
}

/** Refuses `usage` when none is named, `malformed-logs`, `policy-repeated`, and what is wrong with a key. */
export function readLogs({ log = [], logs }: { log?: readonly string[]; logs?: string }): Vkey[] {
  const listed =
    logs === undefined
      ? []
      : about(logs, () => parseLogs(readInput(logs, MAX_LOGS), (text) => parseVkey(text, nodeCrypto)));
  const keys = [...listed, ...log.map(readVkey)];
  if (keys.length === 0) throw usage("expected --logs FILE or --log VKEY: a witness knows its logs");
  keys.forEach((key, i) => {
    if (key.type !== KEY_ED25519)
      throw new Refusal(
        "malformed-logs",
        `key ${quote(key.name)} is of type ${key.type}, a log's is of type 1`,
      );
    if (keys.slice(0, i).some((other) => sameVkey(other, key)))
      throw new Refusal("malformed-logs", `the log ${quote(key.name)} is named twice with the same key`);
  });
  return keys;
}

const nowSeconds = () => Math.floor(Date.now() / 1000);

export interface WitnessOnState {
  readonly signer: Signer;
  /** Keys of type 01. */
  readonly logs: readonly Vkey[];
  /** The state's folder; made if missing. Fraud proofs go there too. */
  readonly state: string;
  /** Unix seconds; this machine's clock unless said. */
  readonly now?: () => number;
  /** Told when a log signed two histories, with where the proof is. */
  readonly onFork?: (origin: string, hint: string) => void;
}

/** A witness on its state. The caller closes the state. Refuses `state-damaged`, `state-unusable`. */
function openOnState({ signer, logs, state: folder, now = nowSeconds, onFork }: WitnessOnState) {
  makeFolders(folder);
  const state = openState(folder);
  const tell = (known: Uint8Array, submitted: Uint8Array, key: Vkey) => {
    const kept = keepFraud([known, submitted], null, key, folder);
    if (kept !== null) onFork?.(key.name, kept.hint);
  };
  return { witness: openWitness({ signer, logs, state, now, onFork: tell }), close: () => state.close() };
}

export interface StartOptions extends WitnessOnState {
  readonly host?: string;
  /** 0, the default, takes a free one. */
  readonly port?: number;
  readonly onRequest?: (line: RequestLine) => void;
}

export interface StartedWitness {
  readonly url: string;
  /** Of type 04: what a policy's `witness` line names. */
  readonly vkey: Vkey;
  close(): Promise<void>;
}

/** A witness that answers over HTTP, in this process. Refuses as opening its state does, and `listen-failed`. */
export async function startWitness(options: StartOptions): Promise<StartedWitness> {
  const { host = "127.0.0.1", port = 0, onRequest } = options;
  const { witness, close } = openOnState(options);
  try {
    const server = await startServer({
      witness,
      host,
      port,
      ...(onRequest === undefined ? {} : { onRequest }),
    });
    return { url: server.url, vkey: witness.vkey, close: () => server.close().finally(close) };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A key of another role isn't a witness's as well. Refuses `unsupported-key`. */
function checkCosigner(keyFile: string): void {
  const path = vkeyPathOf(keyFile);
  if (!existsSync(path)) return; // loadSigner says what is missing
  const { type } = readVkey(path);
  if (type !== KEY_COSIGNATURE)
    throw new Refusal("unsupported-key", `${path} is of type ${type}, a witness's key is of type 4`, {
      hint: "`vouch keygen NAME --cosigner` makes one",
    });
}

/** From the flags of both verbs. */
async function readOptions(flags: WitnessOptions, io: Io): Promise<WitnessOnState> {
  const logs = readLogs(flags);
  if (flags.key !== undefined) checkCosigner(flags.key);
  const signer = await loadSigner(flags, io);
  const onFork = (origin: string, hint: string) =>
    io.stderr(`A SECOND HISTORY of ${quote(origin)}: ${hint}\n`);
  return { signer, logs, state: flags.state, onFork };
}

async function serve(flags: WitnessOptions & { listen: Address }, io: Io): Promise<void> {
  const options = await readOptions(flags, io);
  const onRequest = (line: RequestLine) => io.stderr(`${io.json ? jsonLine(line) : textLine(line)}\n`);
  const { url, vkey, close } = await startWitness({
    ...options,
    ...flags.listen,
    ...(io.quiet ? {} : { onRequest }),
  });
  const key = formatVkey(vkey);
  if (io.json) io.stdout(`${JSON.stringify({ url, vkey: key, logs: options.logs.map(formatVkey) })}\n`);
  else io.stdout(`${key}\nlistening at ${url}\n`);
  await stopped();
  await close();
}

/** Until somebody says so. */
function stopped(): Promise<void> {
  const signals = ["SIGTERM", "SIGINT"] as const;
  return new Promise((resolve) => {
    const stop = () => {
      for (const signal of signals) process.off(signal, stop);
      resolve();
    };
    for (const signal of signals) process.on(signal, stop);
  });
}

const jsonLine = (line: RequestLine) =>
  JSON.stringify({
    time: new Date().toISOString(),
    ...line,
    path: line.path.slice(0, 200),
    size: line.size === null ? null : String(line.size),
  });

function textLine({ from, method, path, status, code, message, origin, size, ms }: RequestLine): string {
  const what = origin === null ? "" : ` ${origin} size ${size}`;
  const why = code === null ? "" : ` ${message ?? ""} [${code}]`;
  const asked = method === "" ? "-" : `${method} ${printable(path.slice(0, 100))}`;
  return `${isoTime(nowSeconds())} ${from} ${asked} ${status}${what}${why} ${ms} ms`;
}

async function cosign(file: string, flags: WitnessOptions & { output?: string }, io: Io): Promise<void> {
  if (io.json && (flags.output === undefined || flags.output === "-"))
    throw usage("--json needs --output FILE", "the line itself is the product");
  // What is cosigned is remembered, and its line would be lost.
  if (flags.output !== undefined && flags.output !== "-") checkFree(flags.output);
  const request = readInput(file, MAX_REQUEST);
  about(file, () => parseAddCheckpoint(request));
  const { witness, close } = openOnState(await readOptions(flags, io));
  try {
    const { checkpoint, line, time } = await about(file, () => cosignWith(witness, request));
    writeOutput(io, flags.output, utf8Decode(formatAnswer([line])) ?? "");
    const { origin, size } = checkpoint;
    if (io.json)
      io.stdout(
        `${JSON.stringify({ file: flags.output, origin, size: decimal(size), time: isoTime(time) })}\n`,
      );
    else if (!io.quiet) io.stderr(`cosigned ${origin}, size ${size}, at ${isoTime(time)}\n`);
  } finally {
    await close();
  }
}

/** A log that has fewer records than were cosigned can't write a request from there. */
const isSmaller = (request: Uint8Array, knownSize: bigint) =>
  parseCheckpoint(parseNote(parseAddCheckpoint(request).note).text).size < knownSize;

async function cosignWith(witness: Witness, request: Uint8Array): Promise<Cosigned> {
  try {
    return await witness.addCheckpoint(request);
  } catch (error) {
    if (!(error instanceof OldSizeMismatch)) throw error;
    const { knownSize } = error;
    throw new Refusal(error.code, error.message, {
      cause: error,
      hint: isSmaller(request, knownSize)
        ? "the log is smaller than that: an old copy, or put back from a backup? Ask whoever keeps it"
        : `\`vouch log request LOG --from ${knownSize}\` writes one that begins there`,
    });
  }
}
