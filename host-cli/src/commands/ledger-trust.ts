// vouch ledger trust: whom to believe on a Tangle. What ships is of networks that are gone; a private network's
// coordinator is asked for at a node, shown to a person, and written down once. Neither changes a policy.

import { toHex } from "@vouch/shared/bytes";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { PRESETS, retiredPreset } from "@vouch/shared/stardust/presets";
import { formatStardustRoot } from "@vouch/shared/stardust/root";
import {
  formatTrust,
  MAX_TRUST,
  parseTrust,
  rangeText,
  rootOfTrust,
  type Trust,
  trustJson,
} from "@vouch/shared/stardust/trust";
import { isoTime } from "@vouch/shared/time";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, printable, usage } from "../exit";
import type { Io } from "../io";
import type { SeenCoordinator } from "../ledger/tangle-keys";
import { readInput } from "../readfiles";
import { seconds } from "../signer";
import { checkFree, writeWhole } from "../writefiles";

const rootText = (trust: Trust) => formatStardustRoot(rootOfTrust(trust, nodeCrypto));
const lineOf = (trust: Trust) => `ledger stardust ${rootText(trust)}\n`;

/** What a policy may hold as it is: the line, and the rest as comments. */
export function trustText(trust: Trust): string {
  const retired = retiredPreset(trust)?.retired;
  return [
    lineOf(trust),
    ...(retired === undefined ? [] : [`# retired: ${retired}; whoever holds its old keys could back-date\n`]),
    `# ${trust.threshold} of ${trust.keys.length} keys must have signed a milestone:\n`,
    ...trust.keys.map(({ key, start, end }) => `# ${toHex(key)} ${rangeText(start, end)}\n`),
  ].join("");
}

const shownJson = (trust: Trust) => ({
  ...trustJson(trust),
  root: rootText(trust),
  retired: retiredPreset(trust)?.retired ?? null,
});

/** The preset of that name, or what a trust file says. */
function readTrust(what: string): Trust {
  const preset = PRESETS.find(({ trust }) => trust.network === what);
  if (preset !== undefined) return preset.trust;
  return about(what, () => {
    try {
      return parseTrust(readInput(what, MAX_TRUST));
    } catch (error) {
      if (!isRefusal(error) || error.code !== "not-found") throw error;
      const ships = PRESETS.map(({ trust }) => trust.network).join(" and ");
      throw new Refusal(error.code, error.message, {
        hint: `${ships} ship; all else is a file`,
        cause: error,
      });
    }
  });
}

/** What a person compares, before it is written. */
function seenText(node: URL, { trust, keys, milestones, last }: SeenCoordinator): string {
  const retired = retiredPreset(trust)?.retired;
  return [
    `${node.host} is on network ${trust.network}; its last milestone is ${last.index}, of ${isoTime(last.time)}`,
    `the last ${milestones} milestones each carry ${trust.threshold} signatures, by these keys:`,
    ...keys.map(({ key, signed }) => `  ${toHex(key)}  signed ${signed} of ${milestones}`),
    `digest of the trust file: ${toHex(rootOfTrust(trust, nodeCrypto).digest)}`,
    ...(retired === undefined
      ? []
      : [`these are keys of a network that is retired: ${retired}; whoever holds them could back-date`]),
    "This is trust on first use: a node, or whoever stands before it, can show any keys. Compare them with",
    "protocol.publicKeyRanges of the node's configuration, as whoever keeps the coordinator gives it to you.",
  ]
    .map((line) => `${printable(line)}\n`)
    .join("");
}

interface TrustFlags {
  from?: string;
  output?: string;
  timeout: number;
  dryRun?: boolean;
  yes?: boolean;
}

function nodeOf(from: string): URL {
  const url = URL.canParse(from) ? new URL(from) : null;
  const more = url === null ? "" : url.username + url.password + url.search + url.hash;
  if (url === null || !/^https?:$/.test(url.protocol) || more !== "")
    throw usage("--from: expected the node's address, such as http://127.0.0.1:14265");
  return url;
}

async function trustFrom({ from, output, timeout, dryRun, yes }: TrustFlags, io: Io): Promise<void> {
  if (from === undefined)
    throw usage("expected --from NODE", "`vouch ledger trust show` prints what ships, or a file");
  if (output === undefined && dryRun !== true) throw usage("expected --output FILE, or --dry-run");
  const node = nodeOf(from);
  if (output !== undefined && dryRun !== true) checkFree(output);
  const { askCoordinator } = await import("../ledger/tangle-keys");
  const seen = await askCoordinator(node, timeout * 1000);
  const isAsking = dryRun !== true && yes !== true; // nobody is asked about what they can't see
  if (!io.quiet || isAsking) io.stderr(seenText(node, seen));
  if (output !== undefined && dryRun !== true) {
    if (yes !== true && !(await io.confirm(`trust these keys, and write ${output}?`)))
      throw usage("nothing was written");
    writeWhole(output, formatTrust(seen.trust), { overwrite: false });
  }
  const file = dryRun === true ? null : output;
  if (io.json) {
    const milestones = { seen: seen.milestones, last: seen.last.index, time: isoTime(seen.last.time) };
    io.stdout(`${JSON.stringify({ ...shownJson(seen.trust), milestones, file })}\n`);
  } else io.stdout(lineOf(seen.trust));
}

export function defineTrust(ledger: Command, io: Io): void {
  const trust = ledger
    .command("trust")
    .description("Writes down whom to believe on a private Tangle, as one of its nodes shows it.")
    .option("--from <NODE>", "the node to ask, such as http://127.0.0.1:14265")
    .option("-o, --output <FILE>", "where the trust file goes; never overwritten")
    .option("--timeout <SECONDS>", "how long the node may take in all", seconds, 60)
    .option("--dry-run", "show what the node shows, write nothing")
    .option("-y, --yes", "write it without asking")
    .option("--json", "print one JSON object")
    .action((flags: TrustFlags) => trustFrom(flags, io));
  trust
    .command("show")
    .description("Prints a trust file's keys, and the line that a policy names it by.")
    .argument("[what]", "iota-mainnet, shimmer (both retired) or FILE; what ships unless given")
    .option("--save <FILE>", "write what ships as a trust file; never overwritten")
    .option("--json", "print one JSON object")
    .action((what: string | undefined, flags: { save?: string }) => {
      const shown = what === undefined ? PRESETS.map((preset) => preset.trust) : [readTrust(what)];
      if (flags.save !== undefined) {
        if (what === undefined) throw usage("--save needs a name: iota-mainnet or shimmer");
        writeWhole(flags.save, formatTrust(shown[0]!), { overwrite: false });
      }
      if (!io.json) io.stdout(shown.map(trustText).join("\n"));
      else io.stdout(`${JSON.stringify(what === undefined ? shown.map(shownJson) : shownJson(shown[0]!))}\n`);
    });
}
