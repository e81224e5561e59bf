// vouch verify --fraud FILE: whether a file proves that a log contradicted itself.
//
// The question is whether the proof holds, so 0 says that it does: the worst news there is of a log.
// 20 says that the file proves nothing, 21 that these keys can't tell; 1 that the file is no such proof at all. A key that
// the policy distrusts has contradicted itself all the same; then it is said that somebody else may have it.

import { type Bundle, parseBundle } from "@vouch/shared/bundle";
import { toBase64 } from "@vouch/shared/bytes";
import { endOf } from "@vouch/shared/distrust";
import { MAX_FRAUD, type ProvenFraud, parseFraud, verifyFraud } from "@vouch/shared/fraud";
import { isRefusal } from "@vouch/shared/refusal";
import { parseRenewed } from "@vouch/shared/renewal";
import { isoTime } from "@vouch/shared/time";
import { EXIT_STATUS, wordOf } from "@vouch/shared/verdict";
import { KEY_ED25519, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { about, describe, usage } from "../exit";
import { keepFraud } from "../fraudfile";
import type { Io } from "../io";
import { checkForm } from "../kinds";
import { paint, table } from "../output/terminal";
import { readInput } from "../readfiles";
import { readVkey } from "../vkeyfile";
import { readPolicy } from "./policy";

export interface FraudOptions {
  readonly fraud: string;
  readonly logKey?: string;
  readonly policy?: string;
}

interface Keys {
  readonly log: Vkey;
  readonly witnesses: readonly Vkey[];
  /** Those that the policy distrusts by now. */
  readonly ended: readonly { readonly key: Vkey; readonly time: number }[];
}

function keysOf({ logKey, policy: path }: FraudOptions, now: number): Keys {
  if ((logKey === undefined) === (path === undefined))
    throw usage("--fraud takes the log's key: --log-key VKEY or --policy FILE");
  if (path !== undefined) {
    const policy = readPolicy(path);
    const witnesses = policy.witnesses.map(({ vkey }) => vkey);
    const ended = [policy.log, ...witnesses].flatMap((key) => {
      const time = endOf(policy, key, now);
      return time === null ? [] : [{ key, time }];
    });
    return { log: policy.log, witnesses, ended };
  }
  const log = readVkey(logKey!);
  if (log.type !== KEY_ED25519)
    throw usage(`--log-key: ${log.name} is a cosigner's key`, "a log signs with a key of type 1");
  return { log, witnesses: [], ended: [] };
}

/**
 * The proof, written to the current folder, that checkpoints which a verification has met contradict each other: those of
 * the bundle, and those that challenges rest on. Null when nothing is proved.
 */
export function keepFraudIn(
  file: Uint8Array,
  challenges: readonly Uint8Array[],
  logKey: Vkey,
): string | null {
  let checkpoints: Bundle["checkpoints"];
  try {
    ({ checkpoints } = parseBundle(parseRenewed(file).bundle));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null; // the verdict has said so
  }
  const notes = [...checkpoints.map(({ note }) => note), ...challenges];
  for (const [i, one] of notes.entries()) {
    for (const other of notes.slice(i + 1)) {
      const kept = keepFraud([one, other], null, logKey);
      if (kept !== null) return kept.hint;
    }
  }
  const head = checkpoints[checkpoints.length - 1]!;
  for (const { note, consistency } of checkpoints.slice(0, -1)) {
    // As a bundle has it, it begins with the first root itself where that is one subtree: then it proves nothing here.
    const kept = keepFraud([note, head.note], consistency, logKey);
    if (kept !== null) return kept.hint;
  }
  return null;
}

/** Prints the outcome and sets the exit status: 0 proven, 20 not, 21 can't tell. Throws what isn't about the proof. */
export function printFraud(options: FraudOptions, now: number, io: Io): void {
  const keys = keysOf(options, now); // a policy that can't be read says nothing of the proof
  const bytes = readInput(options.fraud, MAX_FRAUD);
  about(options.fraud, () => checkForm("fraud", bytes));
  let proven: ProvenFraud;
  try {
    proven = about(options.fraud, () => verifyFraud(parseFraud(bytes), keys.log, keys.witnesses, nodeCrypto));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (io.json)
      io.stdout(`${JSON.stringify({ proven: false, code: error.code, message: error.message })}\n`);
    io.stderr(`${describe(error, io.debug)}\n`);
    io.exitCode = EXIT_STATUS[wordOf(error.code)];
    return;
  }
  const ended = keys.ended.filter(({ key }) => key === keys.log || key.name === proven.witness?.name);
  io.stdout(io.json ? `${JSON.stringify(fraudJson(proven, ended))}\n` : fraudText(proven, ended, io));
}

const fraudJson = ({ kind, origin, first, second, implied, witness }: ProvenFraud, ended: Keys["ended"]) => ({
  proven: true,
  kind,
  origin,
  first: { size: String(first.size), root: toBase64(first.root) },
  second: { size: String(second.size), root: toBase64(second.root) },
  implied: implied === null ? null : toBase64(implied),
  witness: witness === null ? null : { name: witness.name, times: witness.times.map(isoTime) },
  distrusted: ended.map(({ key, time }) => ({ name: key.name, since: isoTime(time) })),
});

function fraudText(proven: ProvenFraud, ended: Keys["ended"], io: Io): string {
  const { kind, origin, first, second, implied, witness } = proven;
  const signed = ({ size, root }: typeof first) => `size ${size}, root ${toBase64(root)}`;
  const rows = [
    ["log", origin],
    ["first", signed(first)],
    ["second", signed(second)],
  ];
  if (kind === "rewritten-history")
    rows.push(["implied", `size ${first.size}, root ${toBase64(implied!)}, by the second one's own hashes`]);
  if (witness !== null) {
    const [later, earlier] = witness.times.map(isoTime);
    rows.push(["witness", `${witness.name} cosigned the second at ${earlier}, the first at ${later}`]);
  }
  for (const { key, time } of ended)
    rows.push([
      "distrusted",
      `${key.name} since ${isoTime(time)}: others may have its key, and date what they sign`,
    ]);
  return `${table(rows)}${paint(io, "stdout", "red", conclusion(proven))}\n`;
}

function conclusion({ kind, origin, first, second, witness }: ProvenFraud): string {
  switch (kind) {
    case "split-view":
      return `fraud proven: ${origin} signed two trees of size ${first.size}`;
    case "rewritten-history":
      return `fraud proven: ${origin} signed size ${second.size}, and other records before as its first ${first.size}`;
    case "stale-checkpoint":
      return `stale checkpoint proven: ${witness!.name} went back from size ${second.size} to ${first.size}; nothing is proven against ${origin}`;
    default:
      return kind satisfies never;
  }
}
