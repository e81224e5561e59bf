// vouch key: replacing and revoking keys, by statements that approvers sign.
//
//   rotate   an approver's, a status, an enroller's, a witness's or the log's key has a new one,
//            from a size of the log on
//   retire   such a key has no successor
//   revoke   a device's key isn't to be trusted, as of a time
//   sign     one approver's signature more, in place, after showing what the statement says
//
// The drafts carry no signature. Once enough approvers have signed, `vouch log add --policy`
// takes them: from there on every verifier who has the old policy knows, by the log.

import { existsSync } from "node:fs";
import { toHex } from "@vouch/shared/bytes";
import { MAX_COMPANION, parseEnrolmentFile } from "@vouch/shared/companions";
import { formatEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import {
  isKeyStatement,
  KEY_ROLES,
  type KeyRole,
  type KeyStatement,
  keyTypeOf,
  type RevocationStatement,
  type RotationStatement,
} from "@vouch/shared/keychange";
import { quote, Refusal } from "@vouch/shared/refusal";
import { parseStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, parseVkey, type Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { countersign } from "../countersign";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { changesOf, keptKeyRecords } from "../log/keys";
import { openLog } from "../log/store";
import { parseMoment } from "../moment";
import { table } from "../output/terminal";
import { readInput } from "../readfiles";
import { loadSigner, type SignerOptions, withSigner } from "../signer";
import { draftEnvelope, readStatementFile, type StatementFile } from "../statementfile";
import { readVkey } from "../vkeyfile";
import { writeWhole } from "../writefiles";

export interface NewRotation {
  /** The log's folder: its origin, and its size, after which the change takes effect. */
  readonly log: string;
  readonly role: KeyRole;
  readonly old: Vkey;
  /** Null: the key has no successor. */
  readonly successor: Vkey | null;
  /** The log's size plus one unless said: right after the statement's own record, if that comes next. */
  readonly from?: number | undefined;
  readonly reason: string;
}

/** The statement. `now` is its `created`. Refuses `wrong-key-type`, `rotation-conflict`, `malformed-statement` on printing. */
export function newRotation(wanted: NewRotation, now: number): RotationStatement {
  const { role, old, successor, reason } = wanted;
  for (const key of [old, ...(successor === null ? [] : [successor])]) {
    if (key.type === keyTypeOf(role)) continue;
    const found = `verifier key ${quote(key.name)} is of type ${key.type}, a key for ${role} is of type ${keyTypeOf(role)}`;
    throw new Refusal("wrong-key-type", found);
  }
  const log = openLog(wanted.log);
  const before = changesOf(keptKeyRecords(log)).find((change) => formatVkey(change.old) === formatVkey(old));
  if (before !== undefined) {
    const found = `record ${before.index} replaces ${quote(old.name)} already, from size ${before.from} on`;
    throw new Refusal("rotation-conflict", found);
  }
  return {
    kind: "rotation",
    role,
    log: log.checkpoint.origin,
    from: wanted.from ?? Number(log.size) + 1,
    old: formatVkey(old),
    ...(successor !== null && { new: formatVkey(successor) }),
    reason,
    created: isoTime(now),
  };
}

/** The device key that a person names: an .enrolment file, or the SHA-256 of the key. Hex text. */
export function deviceKeyNamed(value: string): string {
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  return about(value, () => {
    const { statement } = parseEnrolmentFile(readInput(value, MAX_COMPANION));
    const enrolment = parseStatement(parseEnvelope(statement).payload);
    if (enrolment.kind === "enrolment") return toHex(nodeCrypto.sha256(enrolment.publicKey));
    throw new Refusal(
      "wrong-statement",
      `found a statement of kind ${enrolment.kind}, expected an enrolment`,
    );
  });
}

/** Reads a statement about keys. Refuses `wrong-statement`. */
export function readKeyFile(path: string): StatementFile<KeyStatement> {
  const { statement, ...rest } = readStatementFile(path);
  if (isKeyStatement(statement)) return { ...rest, statement };
  throw new Refusal("wrong-statement", `${path} is a statement of kind ${statement.kind}, about no key`, {
    hint:
      statement.kind === "release" ? "`vouch release sign` approves releases" : "`vouch inspect` shows it",
  });
}

/** What an approver is about to put their name to, a line each. */
export function describeKeyStatement(statement: KeyStatement): string {
  const rest = [
    ["reason", statement.reason],
    ["written", statement.created],
  ];
  const named = (text: string) => `${parseVkey(text, nodeCrypto).name}, ${text}`;
  switch (statement.kind) {
    case "rotation":
      return table([
        [statement.new === undefined ? "retire" : "rotate", `${statement.role} of ${statement.log}`],
        ["old key", named(statement.old)],
        ["new key", statement.new === undefined ? "none" : named(statement.new)],
        ["from", `record ${statement.from} and checkpoints of size ${statement.from} on`],
        ...rest,
      ]);
    case "revocation":
      return table([
        ["revoke", `key of a ${statement.product}, sha256 ${statement.keySha256}`],
        ["as of", `${statement.since}: evidence counts when it was recorded before`],
        ...rest,
      ]);
    case "closing":
      return table([
        ["close", `${statement.origin}, with record ${statement.size} as its last`],
        ["root", `sha256 ${statement.rootSha256} of the records before`],
        ["successor", named(statement.successor)],
        ...rest,
      ]);
    default:
      return statement satisfies never;
  }
}

/** Writes the draft and shows it. Refuses `exists`: others may have signed what is there. */
export function writeKeyDraft(path: string, statement: KeyStatement, io: Io): void {
  const bytes = formatEnvelope(draftEnvelope(statement));
  if (existsSync(path))
    throw new Refusal("exists", `${path} is already there and is never overwritten`, {
      hint: "choose another -o, or move the old draft away yourself",
    });
  writeWhole(path, bytes, { overwrite: false });
  if (io.json) io.stdout(`${JSON.stringify({ statement: path, ...statement })}\n`);
  else io.stdout(`${describeKeyStatement(statement)}${path}\n`);
}

interface DraftFlags {
  reason: string;
  created?: string;
  output: string;
}

interface ChangeFlags extends DraftFlags {
  log: string;
  role: KeyRole;
  old: string;
  new?: string;
  from?: number;
}

function roleOf(text: string): KeyRole {
  const role = KEY_ROLES.find((word) => word === text);
  if (role === undefined) throw usage(`--role: found ${quote(text)}, expected ${KEY_ROLES.join(", ")}`);
  return role;
}

function sizeOf(text: string): number {
  if (!/^[1-9][0-9]{0,14}$/.test(text))
    throw usage(`--from: found ${quote(text)}, expected a size of the log`);
  return Number(text);
}

/** When a draft says it was written. */
export const draftTime = (created: string | undefined) =>
  created === undefined ? Math.floor(Date.now() / 1000) : parseMoment(created, "--created");

/** The flags of every draft about keys. */
export const withDraft = (command: Command): Command =>
  command
    .requiredOption("--reason <TEXT>", "why, in a line that the log keeps for ever: nothing personal")
    .requiredOption("-o, --output <FILE>", "where to write the unsigned statement")
    .option("--created <TIME>", "instead of now, for a reproducible draft")
    .option("--json", "print one JSON object");

function defineChange(key: Command, io: Io, name: "rotate" | "retire", description: string): void {
  const change = key
    .command(name)
    .description(description)
    .requiredOption("--log <DIR>", "the log in which it will stand")
    .requiredOption("--role <ROLE>", KEY_ROLES.join(", "), roleOf)
    .requiredOption("--old <VKEY>", "the key that the policy names now, or its .vkey file");
  if (name === "rotate")
    change.requiredOption("--new <VKEY>", "the one that takes its line, or its .vkey file");
  withDraft(change)
    .option("--from <SIZE>", "takes effect at this size of the log (default: its size now, plus one)", sizeOf)
    .action((flags: ChangeFlags) => {
      const successor = flags.new === undefined ? null : readVkey(flags.new);
      const wanted = { ...flags, old: readVkey(flags.old), successor };
      writeKeyDraft(flags.output, newRotation(wanted, draftTime(flags.created)), io);
    });
}

interface RevokeFlags extends DraftFlags {
  device: string;
  product: string;
  since: string;
}

function defineRevoke(key: Command, io: Io): void {
  withDraft(
    key
      .command("revoke")
      .description("Drafts a revocation: a device's key counts for nothing that was recorded since.")
      .requiredOption("--device <FILE>", "its .enrolment, or the SHA-256 of its public key")
      .requiredOption("--product <NAME>", "the product, as in its releases")
      .requiredOption(
        "--since <TIME>",
        "as of when: the earliest moment at which somebody else may have had it",
      ),
  ).action((flags: RevokeFlags) => {
    const now = draftTime(flags.created);
    const since = parseMoment(flags.since, "--since");
    if (since > now) throw usage(`--since: ${isoTime(since)} is yet to come, it is ${isoTime(now)}`);
    const statement: RevocationStatement = {
      kind: "revocation",
      keySha256: deviceKeyNamed(flags.device),
      product: flags.product,
      since: isoTime(since),
      reason: flags.reason,
      created: isoTime(now),
    };
    writeKeyDraft(flags.output, statement, io);
  });
}

function defineSign(key: Command, io: Io): void {
  withSigner(key.command("sign"))
    .description("Adds one approver's signature to such a statement, in place, after showing what it says.")
    .argument("<file>", "the .dsse.json of `key rotate`, `retire`, `revoke`, or `log close`")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: SignerOptions) => {
      const shown = readKeyFile(file); // asking for a passphrase takes time
      if (!io.quiet) io.stderr(describeKeyStatement(shown.statement));
      const signer = await loadSigner(flags, io);
      const signed = await countersign(file, readKeyFile, signer, undefined, shown);
      const { statement, keyid, signatures } = signed;
      if (io.json) io.stdout(`${JSON.stringify({ kind: statement.kind, keyid, signatures })}\n`);
      else
        io.stdout(
          `${statement.kind} signed by ${signer.name}, key ${keyid.slice(0, 16)}…, signature ${signatures}\n`,
        );
    });
}

export function define(program: Command, io: Io): void {
  const key = program
    .command("key")
    .description("Replaces and revokes keys, by statements of the approvers.");
  defineChange(key, io, "rotate", "Drafts a rotation: a key of the policy is replaced by another.");
  defineChange(
    key,
    io,
    "retire",
    "Drafts a rotation without a successor: a key of the policy stops counting.",
  );
  defineRevoke(key, io);
  defineSign(key, io);
}
