// vouch ledger root: the committee of IOTA's validators that ships, and the way from it to a newer one. Neither
// changes a policy: whoever relies on it reads the line and decides.
// vouch ledger trust (ledger-trust.ts): the same for Tangles.
//
// vouch ledger init: a directory ledger, for demos, tests and sites without a
// network. What it records is proved to whoever trusts its keeper, nobody else.

import { fromBase64 } from "@vouch/shared/bytes";
import { ANCHORS } from "@vouch/shared/rebased/anchors";
import { committeeDigest, decodeCommittee, rootOf } from "@vouch/shared/rebased/committee";
import { formatRoot, parseRoot, type Root } from "@vouch/shared/rebased/root";
import { lastEpochOf, type Walk } from "@vouch/shared/rebased/walkform";
import { formatVkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { initDirectoryLedger } from "../ledger/directory";
import { MAX_WALK, parseWalk } from "../log/walk";
import { readInput } from "../readfiles";
import { loadJudge } from "../rebased";
import { loadSigner, type SignerOptions, seconds, withSigner } from "../signer";
import { defineTrust } from "./ledger-trust";

const DAY = 86400;

/** The committee that ships with the program. */
function shipped() {
  const [anchor] = ANCHORS;
  if (anchor === undefined) throw new Error("no committee ships with this program");
  const root = rootOf(anchor.network, decodeCommittee(fromBase64(anchor.committee)!), nodeCrypto);
  return { root, captured: anchor.captured, chain: anchor.chain };
}

const lineOf = (root: Root) => `ledger rebased ${formatRoot(root)}`;

export interface ShownRoot {
  readonly root: Root;
  readonly captured: string;
  readonly chain: string;
  readonly ageDays: number;
}

/** `now` is Unix seconds. */
export function showRoot(now: number): ShownRoot {
  const { captured, ...rest } = shipped();
  const ageDays = Math.floor((now - Date.parse(`${captured}T00:00:00Z`) / 1000) / DAY);
  return { ...rest, captured, ageDays };
}

/** From a root (the one that ships, unless given) to the last committee of a walk. Refuses what the ratchet does. */
export function updateRoot(walk: Walk, from: Root = shipped().root): Root {
  const ratchet = loadJudge().makeRatchet(walk, [from], nodeCrypto);
  const epoch = lastEpochOf(walk);
  return { network: from.network, epoch, digest: committeeDigest(ratchet.committeeOf(epoch), nodeCrypto) };
}

interface UpdateFlags {
  walk?: string;
  ledger?: string;
  root?: string;
  timeout: number;
}

async function readOrAsk({ walk, ledger, root, timeout }: UpdateFlags): Promise<Walk> {
  if ((walk === undefined) === (ledger === undefined))
    throw usage("expected exactly one of --walk FILE and --ledger rebased:WHERE");
  if (walk !== undefined) return parseWalk(readInput(walk, MAX_WALK));
  const [, where] = /^rebased:(.+)$/s.exec(ledger ?? "") ?? [];
  if (where === undefined) throw usage("--ledger: expected rebased:mainnet, rebased:testnet or rebased:URL");
  const { walkFrom } = await import("../ledger/roots");
  return walkFrom(where, root === undefined ? null : parseRoot(root), timeout * 1000);
}

function defineRoot(ledger: Command, io: Io): void {
  const root = ledger
    .command("root")
    .description("The committee of IOTA's validators that trust begins with.");
  root
    .command("show")
    .description("Prints the root that ships, its age, and the line that a policy names it by.")
    .option("--json", "print one JSON object")
    .action(() => {
      const { root, captured, chain, ageDays } = showRoot(Math.floor(Date.now() / 1000));
      if (io.json) {
        const epoch = Number(root.epoch);
        const shown = { network: root.network, chain, epoch, captured, ageDays, root: formatRoot(root) };
        io.stdout(`${JSON.stringify(shown)}\n`);
        return;
      }
      io.stdout(`${lineOf(root)}\n`);
      if (!io.quiet)
        io.stderr(
          `${root.network} (chain ${chain}), epoch ${root.epoch}, captured on ${captured}, ${ageDays} days ago\n`,
        );
    });
  root
    .command("update")
    .description("Walks a root forward and prints the line for the newest committee; changes no policy.")
    .option("--walk <FILE>", "the epochs to walk, such as LOG/anchors/rebased.walk.json")
    .option(
      "--ledger <KIND:WHERE>",
      "or ask a node for them: rebased:mainnet, rebased:testnet, rebased:URL[,grpc=URL]",
    )
    .option("--timeout <SECONDS>", "how long the node may take in all", seconds, 600)
    .option("--root <ROOT>", "where trust begins, as in a policy; the root that ships unless given")
    .option("--json", "print one JSON object")
    .action(async (flags: UpdateFlags) => {
      const from = flags.root === undefined ? shipped().root : parseRoot(flags.root);
      const to = await about(flags.walk ?? flags.ledger ?? "", async () =>
        updateRoot(await readOrAsk(flags), from),
      );
      if (io.json) io.stdout(`${JSON.stringify({ from: formatRoot(from), root: formatRoot(to) })}\n`);
      else io.stdout(`${lineOf(to)}\n`);
      if (!io.quiet && !io.json) io.stderr(`proved from epoch ${from.epoch} to ${to.epoch}\n`);
    });
}

export function define(program: Command, io: Io): void {
  const ledger = program.command("ledger").description("Makes and looks at ledgers.");
  defineRoot(ledger, io);
  defineTrust(ledger, io);
  withSigner(ledger.command("init"))
    .description(
      "Makes an empty directory ledger and prints the key that a policy's `ledger directory` line names.",
    )
    .argument("<path>", "the folder; made if missing")
    .option("--origin <NAME>", "refuse unless this is the key's name, which becomes the ledger's")
    .option("--json", "print one JSON object")
    .action(async (path: string, flags: SignerOptions & { origin?: string }) => {
      const signer = await loadSigner(flags, io);
      const vkey = await initDirectoryLedger(path, flags.origin, signer, Math.floor(Date.now() / 1000));
      const line = formatVkey(vkey);
      io.stdout(io.json ? `${JSON.stringify({ kind: "directory", path, vkey: line })}\n` : `${line}\n`);
      if (!io.quiet) io.stderr("what it records is recorded locally, not public\n");
    });
}
