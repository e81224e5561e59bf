// vouch verify --proof FILE --entry FILE: whether somebody's proof places a record in a log.
//
// A tlog-proof or a COSE receipt, from whoever made it; claim 2 alone (shared/src/imported.ts). It says
// `included`, and never a word about a device.

import { toHex } from "@vouch/shared/bytes";
import { type Included, openImported } from "@vouch/shared/imported";
import { isRefusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import { EXIT_STATUS, wordOf } from "@vouch/shared/verdict";
import { nodeCrypto } from "../crypto";
import { about, describe, usage } from "../exit";
import type { Io } from "../io";
import { checkForm } from "../kinds";
import { table } from "../output/terminal";
import { readInput } from "../readfiles";
import { readVkey } from "../vkeyfile";
import { readPolicy } from "./policy";

const MAX_PROOF = 128 * 1024;
const MAX_ENTRY = 16 * 1024 * 1024; // logs of others have records of other sizes

export interface ProofFlags {
  readonly proof: string;
  readonly entry?: string | undefined;
  readonly logKey?: string | undefined;
  readonly policy?: string | undefined;
}

const LIMIT = "that a record is in a log says nothing of what it states, nor that it is the newest";

/** Reads the files; what settles it. Throws for a call or a file that is no good, the question throws a Refusal of the proof. */
function readQuestion(flags: ProofFlags, now: number): () => Included {
  if (flags.entry === undefined) throw usage("--proof goes with --entry FILE, the record that it is for");
  if ((flags.logKey === undefined) === (flags.policy === undefined))
    throw usage(
      "--proof takes one of --log-key VKEY and --policy FILE",
      "a policy also asks for its witnesses",
    );
  const policy = flags.policy === undefined ? null : readPolicy(flags.policy);
  const log = policy === null ? readVkey(flags.logKey ?? "") : policy.log;
  const [proof, entry] = [readInput(flags.proof, MAX_PROOF), readInput(flags.entry, MAX_ENTRY)];
  about(flags.proof, () => checkForm("proof", proof));
  return () => about(flags.proof, () => openImported(proof, entry, log, policy, now, nodeCrypto));
}

/** Prints what came of it, and sets the exit status: 0, 20 or 21; 1 for a file that can't be read. */
export function printProof(flags: ProofFlags, now: number, io: Io): void {
  const settle = readQuestion(flags, now);
  let included: Included;
  try {
    included = settle();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const word = wordOf(error.code);
    io.exitCode = EXIT_STATUS[word];
    const { code, message } = error;
    if (io.json) io.stdout(`${JSON.stringify({ proof: word, exit: io.exitCode, code, message })}\n`);
    else {
      io.stderr(`${describe(error, io.debug)}\n`);
      io.stdout(`${word}\n`);
    }
    return;
  }
  const { form, origin, index, size, root, witnesses, quorum, notes } = included;
  if (io.json) {
    const cosigned = witnesses.map(({ name, time }) => ({ name, time: isoTime(time) }));
    const told = { form, origin, index: String(index), size: String(size), root: toHex(root) };
    io.stdout(
      `${JSON.stringify({ proof: "included", exit: 0, ...told, witnesses: cosigned, quorum, notes, limits: [LIMIT] })}\n`,
    );
    return;
  }
  io.stdout(
    table([
      ["proof", form === "tlog-proof" ? "C2SP tlog-proof" : "COSE receipt, RFC 9942"],
      ["log", `${origin}, record ${index} of ${size}`],
      ["root", toHex(root)],
      ...witnesses.map(({ name, time }) => ["witness", `${name} cosigned at ${isoTime(time)}`]),
      ["quorum", quorum === null ? "no policy asks for witnesses" : `${quorum} met`],
      ...notes.map((note) => ["note", note]),
      ["limit", LIMIT],
    ]),
  );
  io.stdout("included\n");
}
