// vouch fleet pick FILES… --device ID: some devices of a fleet as a fleet file of their own, for whom only these concern.
//
//   contexts that the devices picked name      as they stood in the files
//   the devices' lines                         byte for byte: an audit's record of each stays the same
//
// By serial number or key id, as the device's own line says them: nothing is verified here, and who audits what was
// picked settles it. Lines give lines, and items of CBOR sequences a sequence.

import { toHex } from "@vouch/shared/bytes";
import { encodeCbor } from "@vouch/shared/cbor";
import { decodeSign1 } from "@vouch/shared/cose";
import { parseEnvelope } from "@vouch/shared/dsse";
import { contextOf, type DeviceRecord, parseDevice } from "@vouch/shared/fleetform";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { parseStatement } from "@vouch/shared/statement";
import type { Command } from "commander";
import { findInputs, placeIn } from "../audit/inputs";
import { isBundle, itemsOf } from "../audit/items";
import { nodeCrypto } from "../crypto";
import { about, printable, usage } from "../exit";
import type { Io } from "../io";
import { plural } from "../output/size";
import { writeOutput } from "../writefiles";

const MAX_CONTEXTS = 64 * 1024 * 1024;
const MAX_PICKED = 64 * 1024 * 1024;
const MAX_TOLD = 10;
const OPEN_BRACE = 0x7b;

interface PickOptions {
  readonly device: readonly string[];
  readonly output?: string;
}

interface Picked {
  readonly contexts: readonly Uint8Array[];
  readonly devices: readonly Uint8Array[];
  /** Lines that can't be read, so that nobody can say whose they are: the first of them. */
  readonly unread: readonly string[];
}

const repeat = (value: string, before: readonly string[] = []) => [...before, value];

export function definePick(fleet: Command, io: Io): void {
  fleet
    .command("pick")
    .description("Copies some devices of fleet files into one of their own, with their releases' contexts.")
    .argument("<files...>", "fleet files and release contexts, folders of them; - for stdin")
    .requiredOption("--device <ID>", "a serial number or key id (repeatable)", repeat)
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was picked as one JSON object; needs --output")
    .action((files: string[], options: PickOptions) => {
      if (io.json && (options.output === undefined || options.output === "-"))
        throw usage("--json needs --output FILE");
      const { contexts, devices, unread } = pick(files, options.device);
      writeOutput(io, options.output, joined([...contexts, ...devices]), { mode: 0o600 });
      for (const why of unread) io.stderr(`${printable(`vouch: ${why}`)}\n`);
      const counts = { contexts: contexts.length, devices: devices.length };
      if (io.json) io.stdout(`${JSON.stringify({ file: options.output, ...counts })}\n`);
      else if (!io.quiet)
        io.stderr(`${plural(counts.devices, "device")}, ${plural(counts.contexts, "context")}\n`);
    });
}

/** Refuses `device-missing` for an id that nothing answers to, `context-missing`, `too-large`, and as reading does. */
function pick(files: readonly string[], ids: readonly string[]): Picked {
  const contexts = new Map<string, Uint8Array>();
  const needed = new Set<string>();
  const devices: Uint8Array[] = [];
  const unread: string[] = [];
  const found = new Set<string>();
  const room = { contexts: MAX_CONTEXTS, devices: MAX_PICKED };
  const { streams } = findInputs(files, ({ file, code, message }) => {
    throw new Refusal(code, `${file}: ${message}`);
  });
  for (const path of streams)
    about(path, () => {
      for (const { bytes, at } of itemsOf(path)) {
        const context = contextOf(bytes);
        if (isBundle(bytes)) {
          const own = bytes.slice();
          contexts.set(toHex(nodeCrypto.sha256(own)), own);
          room.contexts -= own.length;
        } else {
          const answers = idsOf(bytes, placeIn(path, at), unread).filter((id) => ids.includes(id));
          for (const id of answers) found.add(id);
          if (answers.length === 0 || context === null) continue;
          needed.add(context);
          devices.push(bytes.slice());
          room.devices -= bytes.length;
        }
        if (room.contexts < 0 || room.devices < 0)
          throw new Refusal("too-large", "contexts and devices picked are at most 64 MiB each", {
            hint: "name fewer files, or fewer devices",
          });
      }
    });
  const missing = ids.filter((id) => !found.has(id));
  if (missing.length > 0)
    throw new Refusal("device-missing", `no device here is ${missing.map((id) => quote(id)).join(", ")}`, {
      hint: "give a serial number or key id as `vouch audit` prints it; files of evidence (.eat) stand alone already",
    });
  return { contexts: [...needed].map((digest) => contextFor(digest, contexts)), devices, unread };
}

function contextFor(digest: string, contexts: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const found = contexts.get(digest);
  if (found !== undefined) return found;
  throw new Refusal("context-missing", `no bundle here is the context ${digest}`, {
    hint: "name the .vouch.json files of the releases, too",
  });
}

/** Key id and serial number; none of a line that can't be read, which is told. */
function idsOf(bytes: Uint8Array, place: string, unread: string[]): string[] {
  try {
    const device = parseDevice(bytes);
    const { kid } = decodeSign1(device.evidence);
    return [...(kid === null ? [] : [toHex(kid)]), ...serialOf(device)];
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (unread.length < MAX_TOLD) unread.push(`${place}: ${error.message} [${error.code}]`);
    return [];
  }
}

function serialOf({ enrolment }: DeviceRecord): string[] {
  try {
    const statement = parseStatement(parseEnvelope(enrolment).payload);
    return statement.kind === "enrolment" ? [statement.serial] : [];
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return []; // its key id still names it
  }
}

/** Lines when the devices are lines, else a sequence. */
function joined(items: readonly Uint8Array[]): Uint8Array {
  const last = items.at(-1);
  if (last === undefined) return new Uint8Array(0);
  const isLine = last[0] === OPEN_BRACE;
  const devices = items.filter((item) => contextOf(item) !== null);
  if (devices.some((item) => (item[0] === OPEN_BRACE) !== isLine))
    throw usage("lines and CBOR items don't go into one file", "pick from files of one kind at a time");
  return Buffer.concat(items.flatMap((item) => (isLine ? [item, Buffer.from("\n")] : [encodeCbor(item)])));
}
