// vouch fleet: what an auditor is handed, and what owners get back.
//
//   collect   log, releases and a folder of evidence  ──▶  a fleet file       log/fleet.ts
//   commit    fleet files, one an owner  ──▶  a statement for the log, and rows for each owner
//   check     an owner's rows against the statement                           fleet-check.ts
//   pick      some devices of a fleet file, with their contexts               fleet-pick.ts

import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { parseBundle } from "@vouch/shared/bundle";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { MAX_COMPANION, parseEnrolmentFile } from "@vouch/shared/companions";
import { decodeSign1, kidOf } from "@vouch/shared/cose";
import { MAX_DSSE, parseEnvelope } from "@vouch/shared/dsse";
import { formatDevice, MAX_DEVICE, parseDevice } from "@vouch/shared/fleetform";
import { formatRow, ROW_SALT, rowLeaf } from "@vouch/shared/fleetrows";
import { checkInclusion, leafHash, memoryReader, proveInclusion, rootOf } from "@vouch/shared/merkle";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { parseRenewed } from "@vouch/shared/renewal";
import { parseStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { isReadOnce } from "../audit/inputs";
import { isBundle, itemsOf } from "../audit/items";
import { isEvidenceName } from "../beside";
import { nodeCrypto } from "../crypto";
import { signStatement } from "../endorse";
import { about, describe, usage } from "../exit";
import type { Io } from "../io";
import { type FleetDevice, makeFleet } from "../log/fleet";
import { findRecord } from "../log/lookup";
import { checkLogKey, openLog } from "../log/store";
import { plural } from "../output/size";
import { readInput } from "../readfiles";
import { loadSigner, type SignerOptions, withSigner } from "../signer";
import { writeOutput, writeWhole } from "../writefiles";
import { readDevice } from "./bundle";
import { defineCheck, type LookUp } from "./fleet-check";
import { definePick } from "./fleet-pick";

const MAX_MANIFEST = 64 * 1024;
const repeat = (value: string, before: readonly string[] = []) => [...before, value];

export function define(program: Command, io: Io): void {
  const fleet = program.command("fleet").description("Collects a fleet's evidence, and commits to it.");
  fleet
    .command("collect")
    .description("Puts releases and the evidence in folders into one fleet file for `vouch audit`.")
    .argument(
      "<folders...>",
      "where .eat files lie, with .challenge and .salt beside them, and .enrolment files",
    )
    .requiredOption("--log <DIR>", "the release log, with its anchors")
    .requiredOption("--release <FILE>", "a release statement (.dsse.json), as logged (repeatable)", repeat)
    .requiredOption(
      "--manifest <FILE>",
      "its sealed manifest (.suit), in the same order (repeatable)",
      repeat,
    )
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was collected as one JSON object; needs --output")
    .action((folders: string[], options: CollectOptions) => collect(folders, options, io));
  const commit = fleet
    .command("commit")
    .description(
      "Commits to the devices of fleet files: a statement for the log, and rows for each file's owner.",
    )
    .argument("<files...>", "fleet files, one an owner")
    .requiredOption("-o, --output <DIR>", "a folder for fleet-commitment.dsse.json and NAME.rows")
    .option("--json", "print what was committed to as one JSON object");
  withSigner(commit).action((files: string[], options: CommitOptions) => commitTo(files, options, io));
  defineCheck(fleet, io, lookUp);
  definePick(fleet, io);
}

/** A statement's place in a log that `key` signed. Its inclusion is proved on the way. */
const lookUp: LookUp = (folder, key, bytes) => {
  const log = openLog(folder);
  checkLogKey(log, key);
  const { origin } = log.checkpoint;
  const index = findRecord(log, bytes);
  if (index === null)
    throw new Refusal("commitment-not-logged", `it is none of the ${log.size} records of ${origin}`, {
      hint: "`vouch log add` puts it there",
    });
  const proof = proveInclusion(index, log.size, log.hashReader, nodeCrypto);
  checkInclusion(leafHash(bytes, nodeCrypto), index, log.size, proof, log.checkpoint.root, nodeCrypto);
  return { origin, index, size: log.size };
};

interface CollectOptions {
  readonly log: string;
  readonly release: readonly string[];
  readonly manifest: readonly string[];
  readonly output?: string;
}

function collect(folders: readonly string[], options: CollectOptions, io: Io): void {
  if (options.release.length !== options.manifest.length)
    throw usage("each --release goes with a --manifest, in the same order");
  if (io.json && (options.output === undefined || options.output === "-"))
    throw usage("--json needs --output FILE");
  const releases = options.release.map((path, i) => ({
    release: readInput(path, MAX_DSSE),
    manifest: readInput(options.manifest[i] as string, MAX_MANIFEST),
  }));
  const files = folders.flatMap(filesIn);
  let left = 0;
  // What is wrong with one device is its own; the status tells that this isn't the whole fleet.
  const leaveOut = (refusal: unknown) => {
    left++;
    io.stderr(`${describe(refusal, io.debug)}\n`);
  };
  const readable = <T>(path: string, read: (path: string) => T): T[] => {
    try {
      return [about(path, () => read(path))];
    } catch (error) {
      if (!isRefusal(error)) throw error;
      leaveOut(error);
      return [];
    }
  };
  const named = (isNamed: (file: string) => boolean) => files.filter(isNamed).sort();
  // Two for one key: the later name counts, as it would at the station.
  const enrolments = new Map(
    named((file) => /\.enrolment$/i.test(file)).flatMap((path) => readable(path, readEnrolment)),
  );
  const evidence = named(isEvidenceName).filter(
    (path) => readable(path, () => readFleetDevice(path, enrolments)).length > 0,
  );
  const fleet = makeFleet(options.log, releases, function* () {
    for (const path of evidence) yield readFleetDevice(path, enrolments);
  });
  const lines: Uint8Array[] = [...fleet.contexts];
  let at = 0;
  for (const record of fleet.devices()) {
    const path = evidence[at++] as string;
    readable(path, () => {
      if (isRefusal(record)) throw record;
      lines.push(formatDevice(record));
    });
  }
  const devices = lines.length - fleet.contexts.length;
  const text = Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")])).toString("utf8");
  writeOutput(io, options.output, text, { mode: 0o600 });
  if (io.json)
    io.stdout(
      `${JSON.stringify({ file: options.output, releases: fleet.contexts.length, devices, left })}\n`,
    );
  else if (!io.quiet)
    io.stderr(
      `${plural(fleet.contexts.length, "release")}, ${plural(devices, "device")}${left === 0 ? "" : `, ${left} left out`}\n`,
    );
  if (left > 0) io.exitCode = 1; // an auditor must not take it for the whole fleet
}

function filesIn(folder: string): string[] {
  return about(folder, () =>
    readdirSync(folder, { withFileTypes: true, recursive: true })
      .filter((entry) => entry.isFile())
      .map(({ name, parentPath, path }) => join(parentPath ?? path, name)),
  );
}

type Enrolments = ReadonlyMap<string, FleetDevice["enrolment"]>;

/** With the id of the key that it is about. */
function readEnrolment(path: string): [string, FleetDevice["enrolment"]] {
  const enrolment = parseEnrolmentFile(readInput(path, MAX_COMPANION));
  const statement = parseStatement(parseEnvelope(enrolment.statement).payload);
  if (statement.kind !== "enrolment")
    throw new Refusal(
      "wrong-statement",
      `found a statement of kind ${statement.kind}, expected an enrolment`,
    );
  return [toHex(kidOf(nodeCrypto.sha256(statement.publicKey))), enrolment];
}

function readFleetDevice(path: string, enrolments: Enrolments): FleetDevice {
  const files = readDevice(path);
  const { kid } = decodeSign1(files.evidence);
  return { files, enrolment: (kid && enrolments.get(toHex(kid))) || null };
}

interface CommitOptions extends SignerOptions {
  readonly output: string;
}

/** The devices of a fleet file; its contexts are public, and no part of a commitment. Nothing else may be left out of one. */
function* devicesOf(path: string): Generator<Uint8Array> {
  for (const { bytes, length, at } of itemsOf(path)) {
    const isDevice = about(`${path}, item ${at}`, () => {
      if (bytes.length < length)
        throw new Refusal("too-large", `it is ${length} bytes, at most ${MAX_DEVICE} are accepted`);
      const isContext = isBundle(bytes);
      if (isContext) checkContext(bytes);
      else parseDevice(bytes);
      return !isContext;
    });
    if (isDevice) yield bytes;
  }
}

/** Refuses a bundle with devices of its own, which have no lines that could be committed to. */
function checkContext(bytes: Uint8Array): void {
  const { devices } = parseBundle(parseRenewed(bytes).bundle);
  if (devices.length > 0)
    throw new Refusal(
      "surplus-member",
      "a bundle with devices of its own can't be committed to, only lines of devices can",
      { hint: "`vouch fleet collect` makes such lines of evidence in files" },
    );
}

const changed = (file: string) =>
  new Refusal("file-changed", `${file} changed while it was read`, {
    hint: "start again when nobody writes to it, with the .rows files of this try removed",
  });

async function commitTo(files: readonly string[], options: CommitOptions, io: Io): Promise<void> {
  if (files.some(isReadOnce))
    throw usage("fleet files are read twice: name files", "stdin and pipes can be read once");
  const names = files.map((file) => basename(file).replace(/\.[a-z]+$/, ""));
  if (new Set(names).size < names.length)
    throw usage("two files have one name: owners couldn't be told apart");
  const signer = await loadSigner(options, io);
  const folder = options.output;
  mkdirSync(folder, { recursive: true });
  const taken = ["fleet-commitment.dsse.json", ...names.map((name) => `${name}.rows`)].find((name) =>
    existsSync(join(folder, name)),
  );
  if (taken !== undefined) throw new Refusal("exists", `${join(folder, taken)} is there already`);
  // The second time through a file must give what the first gave: each leaf is compared, and their number.
  const salts: Uint8Array[] = [];
  const leaves: Uint8Array[] = [];
  const ends: number[] = [];
  for (const file of files) {
    for (const record of about(file, () => devicesOf(file))) {
      const salt = new Uint8Array(randomBytes(ROW_SALT));
      salts.push(salt);
      leaves.push(rowLeaf(salt, record, nodeCrypto));
    }
    ends.push(leaves.length);
  }
  if (leaves.length === 0) throw new Refusal("evidence-missing", "the files hold no device");
  const size = BigInt(leaves.length);
  const reader = memoryReader(leaves, nodeCrypto);
  const root = toHex(rootOf(size, reader, nodeCrypto));
  let index = 0;
  for (const [i, file] of files.entries()) {
    const rows: Uint8Array[] = [];
    for (const record of devicesOf(file)) {
      const salt = salts[index];
      const leaf = leaves[index];
      if (salt === undefined || leaf === undefined || !equalBytes(rowLeaf(salt, record, nodeCrypto), leaf))
        throw changed(file);
      const proof = proveInclusion(BigInt(index), size, reader, nodeCrypto);
      rows.push(formatRow({ root, size, index: BigInt(index), salt, record, proof }), Buffer.from("\n"));
      index++;
    }
    if (index !== ends[i]) throw changed(file);
    writeWhole(join(folder, `${names[i]}.rows`), Buffer.concat(rows), { mode: 0o600, overwrite: false });
  }
  const created = isoTime(Math.floor(Date.now() / 1000));
  const statement = await signStatement(
    { kind: "fleet-commitment", sha256: root, size: leaves.length, created },
    signer,
  );
  const path = join(folder, "fleet-commitment.dsse.json");
  writeWhole(path, statement, { overwrite: false });
  if (io.json) io.stdout(`${JSON.stringify({ statement: path, root, size: leaves.length })}\n`);
  else
    io.stdout(
      `${plural(leaves.length, "device")} committed to under root ${root}\n${path}, for \`vouch log add\`\n`,
    );
}
