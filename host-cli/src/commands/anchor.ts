// vouch anchor: a log's current checkpoint on a ledger, and the receipt beside the log.
//
// The receipt passes the offline verifier before anything is said to have worked.
// Anchoring one checkpoint twice gives its first receipt again. The directory
// ledger is a folder of ours: no fee, no network, hence no question asked. A network
// keeps it for good, and IOTA's costs a fee: nobody submits to one without a yes. The forms
// for a key without a network are in anchor-draft.ts, --every in anchor-every.ts, Tangles in anchor-stardust.ts.

import { join } from "node:path";
import { isoTime } from "@vouch/shared/time";
import type { Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { durationMs } from "../every";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { openDirectoryLedger } from "../ledger/directory";
import { type Consent, type Facts, type Ledger, proveNote, recordNote } from "../ledger/ledger";
import { withLock } from "../lock";
import { checkNotForked, keptReceipt, newestAnchored, storeAnchor } from "../log/anchors";
import { draftsOf } from "../log/drafts";
import { openLog } from "../log/store";
import { loadSigner, type Signer, seconds } from "../signer";
import { makeFolders } from "../tiledlog";
import { readVkey } from "../vkeyfile";
import { openPublic, prepareDraft, signDraft, submitDraft } from "./anchor-draft";
import { keepAnchoring } from "./anchor-every";
import { checkTangleFlags, isTangle, openTangle, unknownKind } from "./anchor-stardust";

export interface AnchoredCheckpoint {
  readonly size: bigint;
  /** Unix seconds, as the receipt proves it. */
  readonly time: number;
  readonly fresh: boolean;
  readonly receiptPath: string;
  readonly facts?: Facts | undefined;
}

/** Anchors the log's current checkpoint. Refuses as the ledger does, `log-forked`, `anchor-conflict`, `receipt-conflict`. */
export async function anchorLog(
  logFolder: string,
  ledger: Ledger,
  signers: Signer | readonly Signer[],
  now: number,
  consent?: Consent,
  logKey?: Vkey,
): Promise<AnchoredCheckpoint> {
  const anchored = newestAnchored(logFolder);
  const log = openLog(logFolder);
  const { note, size } = log;
  about(logFolder, () => checkNotForked(log, anchored, logKey));
  if (isNetwork(ledger)) return anchorOnNetwork(logFolder, ledger, note, size, signers, now, consent);
  const { time, receipt, fresh } = await recordNote(ledger, note, signers, now, consent);
  return { size, time, fresh, receiptPath: storeAnchor(logFolder, note, ledger.kind, receipt, logKey) };
}

const LOCK_TIMEOUT_MS = 30_000;

/** Other than a folder: what is on its way there may be cut off, and is gone on with. */
const isNetwork = (ledger: Ledger) => ledger.readDraft !== undefined;

/** One at a time, as each is there for good: what another process has begun is finished before this begins. */
function anchorOnNetwork(
  logFolder: string,
  ledger: Ledger,
  note: Uint8Array,
  size: bigint,
  signers: Signer | readonly Signer[],
  now: number,
  consent: Consent | undefined,
): Promise<AnchoredCheckpoint> {
  const folder = join(logFolder, "anchors");
  makeFolders(folder);
  return withLock(folder, LOCK_TIMEOUT_MS, async () => {
    const kept = keptReceipt(logFolder, note, ledger.kind);
    if (kept !== null) {
      draftsOf(logFolder, ledger.kind).drop(note);
      const verified = about(kept.path, () => ledger.verify(kept.receipt, note));
      return { size, ...verified, fresh: false, receiptPath: kept.path };
    }
    await finishEarlier(logFolder, ledger, size);
    const { time, facts, receipt, fresh } = await recordNote(ledger, note, signers, now, consent);
    return { size, time, facts, fresh, receiptPath: keep(logFolder, ledger, note, receipt) };
  });
}

function keep(logFolder: string, ledger: Ledger, note: Uint8Array, receipt: Uint8Array): string {
  ledger.keepEpochs?.();
  const path = storeAnchor(logFolder, note, ledger.kind, receipt);
  draftsOf(logFolder, ledger.kind).drop(note);
  return path;
}

/** Receipts of smaller sizes that a kill, or a node, has kept from us. One that nobody executed in time isn't tried again: this anchor covers it. */
async function finishEarlier(logFolder: string, ledger: Ledger, size: bigint): Promise<void> {
  const drafts = draftsOf(logFolder, ledger.kind);
  for (const earlier of drafts.list()) {
    if (earlier.size === size) continue;
    const { note } = ledger.readDraft!(earlier.draft);
    const submitted = await ledger.find(note);
    if (submitted === null) drafts.retire(note);
    else keep(logFolder, ledger, note, (await proveNote(ledger, submitted)).receipt);
  }
}

/** The directory ledger that `directory:PATH` names. Refuses `usage` for another kind. */
export function openLedger(where: string, signer: Signer, lockTimeoutS?: number): Ledger {
  const match = /^directory:(.+)$/s.exec(where);
  if (match === null) throw unknownKind(where);
  return openDirectoryLedger(match[1] as string, signer, lockTimeoutS);
}

export interface AnchorFlags {
  ledger?: string;
  ledgerKey?: string[];
  signerCmd?: string;
  passphraseFile?: string;
  signerTimeout?: number;
  sender?: string;
  logKey?: string;
  root?: string;
  gasBudget?: bigint;
  trust?: string;
  pow?: string;
  tag?: string;
  timeout: number;
  every?: number;
  prepare?: string;
  sign?: string;
  submit?: string;
  dryRun?: boolean;
  yes?: boolean;
}

const collect = (value: string, before: readonly string[] = []) => [...before, value];

function nanos(text: string): bigint {
  if (!/^[1-9][0-9]{0,12}$/.test(text)) throw usage(`found ${text.slice(0, 20)}, expected a number of nanos`);
  return BigInt(text);
}

export function define(program: Command, io: Io): void {
  program
    .command("anchor")
    .description("Places a log's current checkpoint on a ledger and keeps the receipt beside the log.")
    .argument("[logdir]", "the log; not for --sign")
    .option(
      "--ledger <KIND:WHERE>",
      "directory:PATH, rebased:mainnet, rebased:testnet, rebased:URL[,grpc=URL][,chain=HEX], stardust:URL[,poi=URL]",
    )
    .option(
      "--ledger-key <FILE>",
      "the key that keeps the directory ledger, or that pays (repeatable)",
      collect,
    )
    .option("--signer-cmd <CMD>", "an outside program instead of --ledger-key")
    .option("--passphrase-file <FILE>", "read the key's passphrase from FILE, - is stdin")
    .option("--signer-timeout <SECONDS>", "how long the outside program may take", seconds, 120)
    .option("--sender <KEYS>", "who pays: a verifier key, or 2:A.vkey,B.vkey,C.vkey for two of three")
    .option("--root <ROOT>", "a committee to begin with: NETWORK@EPOCH:SHA256, as in a policy")
    .option("--gas-budget <NANOS>", "what a transaction may cost at most (default: 5000000)", nanos)
    .option("--trust <FILE>", "the keys of a Tangle's coordinator, from `vouch ledger trust`")
    .option("--pow <WHO>", "who works for a block on a Tangle: local, node, auto")
    .option("--tag <TEXT>", "what blocks on a Tangle are tagged with (default: vouch/v1)")
    .option(
      "--log-key <VKEY>",
      "the log's key: should an anchored checkpoint contradict it, a proof is written",
    )
    .option("--timeout <SECONDS>", "how long to wait for another writer, or for finality", seconds, 30)
    .option(
      "--every <DURATION>",
      "go on: anchor whenever the log has grown, at most every 30s, 15m, 6h, 1d",
      (text: string) => durationMs(text),
    )
    .option("--prepare <FILE>", "write a draft to sign elsewhere, and stop")
    .option("--sign <FILE>", "sign a draft, without a network")
    .option("--submit <FILE>", "submit a signed draft")
    .option("--dry-run", "say what would be anchored, and stop")
    .option("-y, --yes", "agree to submit")
    .option("--json", "print one JSON object")
    .action((logFolder: string | undefined, flags: AnchorFlags) => anchor(logFolder, flags, io));
}

async function anchor(logFolder: string | undefined, flags: AnchorFlags, io: Io): Promise<void> {
  const forms = [flags.prepare, flags.sign, flags.submit, flags.every].filter((form) => form !== undefined);
  if (forms.length > 1) throw usage("expected one of --prepare, --sign, --submit and --every");
  checkTangleFlags(flags);
  refuseIdleFlags(logFolder, flags);
  if (flags.sign !== undefined) return signDraft(flags.sign, await loadSigners(flags, io), io);
  if (logFolder === undefined || flags.ledger === undefined)
    throw usage(
      "expected LOGDIR and --ledger KIND:WHERE",
      "such as `vouch anchor log --ledger directory:ledger --ledger-key ledger.key`",
    );
  const { checkpoint, size } = openLog(logFolder);
  const { origin } = checkpoint;
  if (!io.quiet && !io.json) io.stderr(`anchoring ${origin}, size ${size}, on ${flags.ledger}\n`);
  if (flags.dryRun) {
    if (isTangle(flags)) openTangle(logFolder, flags, io); // reads the trust file, and asks nobody
    if (io.json) io.stdout(`${JSON.stringify({ dryRun: true, origin, size: Number(size) })}\n`);
    else io.stdout(`${origin}, size ${size}: would be anchored on ${flags.ledger}, which wasn't asked\n`);
    return;
  }
  const consent = consentOf(flags, io);
  if (flags.prepare !== undefined) return prepareDraft(logFolder, flags, flags.prepare, io);
  if (flags.submit !== undefined) await submitDraft(logFolder, flags.submit, consent);
  const signers = flags.submit === undefined && !isTangle(flags) ? await loadSigners(flags, io) : [];
  const open = () => openNamed(logFolder, flags, signers, io);
  const logKey = flags.logKey === undefined ? undefined : readVkey(flags.logKey);
  if (flags.every === undefined) {
    const ledger = await open();
    report(await anchorLog(logFolder, ledger, signers, nowSeconds(), consent, logKey), ledger, io);
    return;
  }
  if (!flags.yes && isNetwork(await open())) throw usage("--every submits on its own: it takes --yes");
  await keepAnchoring(flags.every, io, async () => {
    const ledger = await open();
    const anchored = await anchorLog(logFolder, ledger, signers, nowSeconds(), consent, logKey);
    if (anchored.fresh) report(anchored, ledger, io);
  });
}

/** Flags of another ledger or another step. Passed over, a dry run would sign, and a key that was named would not. */
function refuseIdleFlags(logFolder: string | undefined, flags: AnchorFlags): void {
  const {
    ledger = "",
    ledgerKey = [],
    signerCmd,
    sender,
    root,
    gasBudget,
    logKey,
    dryRun,
    sign,
    prepare,
  } = flags;
  if (sign !== undefined) {
    const given = { LOGDIR: logFolder, "--ledger": flags.ledger, "--dry-run": dryRun, "--log-key": logKey };
    for (const [name, value] of Object.entries(given))
      if (value !== undefined) throw usage(`--sign reads a draft and signs it: it takes no ${name}`);
  }
  if (prepare !== undefined && logKey !== undefined)
    throw usage("--prepare submits nothing: it takes no --log-key");
  if (isTangle(flags) && (ledgerKey.length > 0 || signerCmd !== undefined))
    throw usage("blocks of a Tangle aren't signed: it takes neither --ledger-key nor --signer-cmd");
  if (ledger.startsWith("directory:") && ledgerKey.length + (signerCmd === undefined ? 0 : 1) > 1)
    throw usage("a directory ledger is kept by one key: one of --ledger-key and --signer-cmd");
  if (sign === undefined && ledger !== "" && !ledger.startsWith("rebased:")) {
    const given = { "--sender": sender, "--root": root, "--gas-budget": gasBudget };
    for (const [name, value] of Object.entries(given))
      if (value !== undefined) throw usage(`${name} is for --ledger rebased:NETWORK`);
  }
}

const nowSeconds = () => Math.floor(Date.now() / 1000);

async function openNamed(
  logFolder: string,
  flags: AnchorFlags,
  signers: readonly Signer[],
  io: Io,
): Promise<Ledger> {
  if (isTangle(flags)) return openTangle(logFolder, flags, io);
  if (/^rebased:/.test(flags.ledger ?? "")) return openPublic(logFolder, flags, signers);
  return openLedger(flags.ledger ?? "", signers[0]!, flags.timeout);
}

/** Refuses `usage` unless there is a key, or a program that has one. */
async function loadSigners(flags: AnchorFlags, io: Io): Promise<Signer[]> {
  const { ledgerKey = [], signerCmd, passphraseFile, signerTimeout } = flags;
  if (ledgerKey.length === 0 && signerCmd === undefined)
    throw usage("expected --ledger-key FILE or --signer-cmd CMD");
  const signers: Signer[] = [];
  for (const key of ledgerKey) signers.push(await loadSigner({ key, passphraseFile, signerTimeout }, io));
  if (signerCmd !== undefined) signers.push(await loadSigner({ signerCmd, signerTimeout }, io));
  return signers;
}

function consentOf(flags: AnchorFlags, io: Io): Consent {
  return async (asks) => {
    if (flags.yes) {
      if (!io.quiet && !io.json) io.stderr(`${asks} yes\n`);
      return;
    }
    if (!(await io.confirm(asks))) throw usage("nothing was submitted");
  };
}

function report(anchored: AnchoredCheckpoint, ledger: Ledger, io: Io): void {
  const { size, time, fresh, receiptPath, facts } = anchored;
  if (io.json) {
    io.stdout(
      `${JSON.stringify({ ledger: ledger.kind, public: ledger.isPublic, size: Number(size), time: isoTime(time), fresh, receipt: receiptPath, ...facts })}\n`,
    );
    return;
  }
  const known = Object.entries(facts ?? {}).filter(([, value]) => value !== null);
  const lines = known.map(([name, value]) => `${name.padEnd(12)} ${value}\n`).join("");
  io.stdout(
    `size ${size} ${fresh ? "recorded" : "was recorded already,"} at ${isoTime(time)} (${ledger.worth})\n${receiptPath}\n${lines}`,
  );
}
