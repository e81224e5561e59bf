// vouch anchor on a Tangle: what differs from other ledgers is that nobody signs. A block has no owner and no fee,
// so there is no key to load and nothing to carry to a machine without a network.
//
//   vouch anchor LOG --ledger stardust:http://127.0.0.1:14265,poi=http://127.0.0.1:9687 --trust tangle.trust

import { quote } from "@vouch/shared/refusal";
import { MAX_TRUST } from "@vouch/shared/stardust/trust";
import { about, usage } from "../exit";
import type { Io } from "../io";
import type { Ledger } from "../ledger/ledger";
import type { Work } from "../ledger/stardust-pow";
import { draftsOf } from "../log/drafts";
import { readInput } from "../readfiles";
import type { AnchorFlags } from "./anchor";

// The build keeps it in a file of its own (scripts/build.mjs): IOTA's library is larger than all of the verb.
const tangle = () => require("../ledger/stardust-ledger") as typeof import("../ledger/stardust-ledger");

export const isTangle = (flags: AnchorFlags) => /^stardust:/.test(flags.ledger ?? "");

/** Refuses `usage` for flags that a Tangle has no use for, or that no other ledger has. */
export function checkTangleFlags(flags: AnchorFlags): void {
  const { prepare, sign, submit, trust, pow, tag } = flags;
  if (!isTangle(flags)) {
    if (flags.ledger !== undefined && !/^(directory|rebased):./s.test(flags.ledger))
      throw unknownKind(flags.ledger);
    if ([trust, pow, tag].some((flag) => flag !== undefined))
      throw usage("--trust, --pow and --tag are for --ledger stardust:URL");
    return;
  }
  if ([prepare, sign, submit].some((flag) => flag !== undefined))
    throw usage("blocks of a Tangle aren't signed: there is nothing to --prepare, --sign or --submit");
  if (trust === undefined)
    throw usage(
      "--ledger stardust:URL needs --trust FILE, the keys of the network's coordinator",
      "`vouch ledger trust --from http://HOST:14265 -o FILE` writes it, once you have compared the keys",
    );
}

const KINDS = "directory:PATH, rebased:mainnet, rebased:testnet, rebased:URL or stardust:URL";

/** A URL alone is no ledger: nothing in it says what answers there. */
export const unknownKind = (where: string) => usage(`--ledger: found ${quote(where)}, expected ${KINDS}`);

/** The Tangle that the flags name. Refuses `usage`, and what is wrong with the trust file. */
export function openTangle(logFolder: string, flags: AnchorFlags, io: Io): Ledger {
  const { openStardustLedger, parseTag, parseTrust, parseWhere } = tangle();
  const path = flags.trust as string;
  return openStardustLedger({
    where: parseWhere((flags.ledger ?? "").slice("stardust:".length)),
    trust: about(path, () => parseTrust(readInput(path, MAX_TRUST))),
    store: draftsOf(logFolder, "stardust"),
    tag: parseTag(flags.tag ?? "vouch/v1"),
    pow: powOf(flags.pow ?? "auto"),
    timeoutMs: flags.timeout * 1000,
    onWork: tellWork(io),
  });
}

function powOf(text: string) {
  if (text !== "local" && text !== "node" && text !== "auto")
    throw usage("--pow: expected local, node or auto");
  return text;
}

const REDRAW_MS = 200;

/** Work has no end that could be foreseen, so there is no bar: how much is done, and how much it takes on average. */
function tellWork(io: Io): (work: Work) => void {
  let last = 0;
  return ({ tried, expected, ms, over }) => {
    if (io.quiet || io.json || !io.tty.stderr || (!over && ms - last < REDRAW_MS)) return;
    last = over ? 0 : ms;
    const rate = Math.round(tried / Math.max(1, ms));
    const line = `proof of work: ${count(tried)} tries, ${count(expected)} on average, ${rate} k/s`;
    io.stderr(`\r${line.padEnd(60)}${over ? "\n" : ""}`);
  };
}

const count = (n: number) => (n < 1e5 ? String(n) : `${(n / 1e6).toFixed(1)} M`);
