// vouch fleet check ROWS --statement F --signer K: whether an owner's rows are in the tree that was committed to
// (shared/src/fleetrows.ts), and, with --log, whether that commitment is in a log.
//
//   x.rows ──▶ root, size ◀── fleet-commitment.dsse.json ◀── its signer ── a record of the log ◀── the log's key

import { toHex } from "@vouch/shared/bytes";
import { decodeSign1 } from "@vouch/shared/cose";
import { MAX_DSSE, openEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import { parseDevice } from "@vouch/shared/fleetform";
import { checkRow, parseRow } from "@vouch/shared/fleetrows";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { type FleetCommitment, parseStatement } from "@vouch/shared/statement";
import type { Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { itemsOf } from "../audit/items";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { decimal, plural } from "../output/size";
import { readInput } from "../readfiles";
import { readVkey } from "../vkeyfile";

/** Where a statement's bytes stand in the log in a folder, whose checkpoint `key` must have signed. */
export type LookUp = (
  folder: string,
  key: Vkey,
  bytes: Uint8Array,
) => { readonly origin: string; readonly index: bigint; readonly size: bigint };

interface CheckOptions {
  readonly statement: string;
  readonly signer: string;
  readonly log?: string;
  readonly logKey?: string;
}

/** Without `lookUp` there is no --log: the verifier that stands alone reads no logs. */
export function defineCheck(fleet: Command, io: Io, lookUp: LookUp | null): void {
  const command = fleet
    .command("check")
    .description("Settles whether an owner's rows are in the tree that was committed to.")
    .argument("<rows>", "NAME.rows, or - for stdin")
    .requiredOption("--statement <FILE>", "fleet-commitment.dsse.json")
    .requiredOption("--signer <VKEY>", "who must have signed it: a verifier key, or a file with one");
  if (lookUp !== null)
    command
      .option("--log <DIR>", "the statement must be a record of this log, too")
      .option("--log-key <VKEY>", "of --log: the log's verifier key, or a file with it");
  command
    .option("--json", "print one JSON object")
    .action((rows: string, options: CheckOptions) => check(rows, options, io, lookUp));
}

function check(path: string, options: CheckOptions, io: Io, lookUp: LookUp | null): void {
  const { log: folder, logKey } = options;
  if ((folder === undefined) !== (logKey === undefined))
    throw usage("--log and --log-key go together", "a log is whose key signed its checkpoint");
  const key = readVkey(options.signer);
  const bytes = readInput(options.statement, MAX_DSSE);
  const committed = about(options.statement, () => openCommitment(bytes, key));
  const devices = about(path === "-" ? "stdin" : path, () => checkRows(path, committed));
  const logged =
    lookUp === null || folder === undefined || logKey === undefined
      ? null
      : about(folder, () => lookUp(folder, readVkey(logKey), bytes));
  const { sha256, size, created } = committed;
  if (io.json) {
    const place = logged && { ...logged, index: decimal(logged.index), size: decimal(logged.size) };
    io.stdout(
      `${JSON.stringify({ rows: devices.length, root: sha256, size, created, by: key.name, devices, ...(place && { log: place }) })}\n`,
    );
    return;
  }
  io.stdout(`${plural(devices.length, "row")} of ${size} committed to by ${key.name}, ${created}\n`);
  if (logged !== null) io.stdout(`record ${logged.index} of ${logged.size}, ${logged.origin}\n`);
  io.stdout("verified\n");
}

function openCommitment(bytes: Uint8Array, key: Vkey): FleetCommitment {
  const envelope = parseEnvelope(bytes);
  checkKind(envelope.payload);
  openEnvelope(envelope, [key], nodeCrypto);
  const statement = parseStatement(envelope.payload);
  if (statement.kind === "fleet-commitment") return statement;
  throw wrongKind(statement.kind);
}

/** Another file than was meant is no question of whose signature it has; one that says nothing legible is. */
function checkKind(payload: Uint8Array): void {
  let kind: string;
  try {
    ({ kind } = parseStatement(payload));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return;
  }
  if (kind !== "fleet-commitment") throw wrongKind(kind);
}

const wrongKind = (kind: string) =>
  new Refusal("wrong-statement", `found a statement of kind ${kind}, expected a fleet-commitment`);

/** The key ids of the rows' devices, in their order. */
function checkRows(path: string, committed: FleetCommitment): string[] {
  const seen = new Set<bigint>();
  const devices: string[] = [];
  for (const { bytes } of itemsOf(path)) {
    const row = parseRow(bytes);
    checkRow(row, committed, nodeCrypto);
    if (seen.has(row.index)) throw new Refusal("surplus-member", `row ${row.index} stands there twice`);
    seen.add(row.index);
    const { kid } = decodeSign1(parseDevice(row.record).evidence);
    devices.push(kid === null ? "none" : toHex(kid));
  }
  if (seen.size === 0) throw new Refusal("evidence-missing", "the file holds no row");
  return devices;
}
