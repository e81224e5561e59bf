// Who coordinates a Tangle, as one of its nodes shows it: for a person to compare, and then to trust.
//
//   GET /api/core/v2/info                     the network's name, the last milestone
//   GET /api/core/v2/milestones/by-index/N    raw, for the last 24: whose signatures they carry
//
// Every signature is verified, so the keys are those of somebody who signs what this node shows. Whether that is the
// coordinator no node can prove. A coordinator with more keys than it needs signs with some of them at random: 24
// milestones miss a key of "7 of 10" once in 10^11. Ranges of milestones that keys are for can't be seen.

import { integer, text } from "@vouch/shared/json";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { PROTOCOL_VERSION } from "@vouch/shared/stardust/block";
import { compareBytes } from "@vouch/shared/stardust/layout";
import { checkSignatures, decodeMilestone, type Milestone } from "@vouch/shared/stardust/milestone";
import { MAX_BLOCK } from "@vouch/shared/stardust/receipt";
import { NETWORK_NAME } from "@vouch/shared/stardust/root";
import { makeTrust, type Trust } from "@vouch/shared/stardust/trust";
import { nodeCrypto } from "../crypto";
import { type Deadline, deadlineIn } from "./deadline";
import { askHttp } from "./http";
import { some } from "./json-rpc";
import { below } from "./stardust-where";

const MILESTONES = 24;
const FEWEST = 2;
const MAX_INFO = 64 * 1024;
const RAW = "application/vnd.iota.serializer-v1";

export interface SeenKey {
  readonly key: Uint8Array;
  /** Of the milestones that were looked at, how many it signed. */
  readonly signed: number;
}

export interface SeenCoordinator {
  readonly trust: Trust;
  /** In the order of the trust file. */
  readonly keys: readonly SeenKey[];
  /** The milestones that were looked at: how many, the last, and the time it claims. */
  readonly milestones: number;
  readonly last: { readonly index: number; readonly time: number };
}

const INFO = some({
  protocol: some({ version: integer(0, 255), networkName: text(255) }),
  status: some({ confirmedMilestone: some({ index: integer(0, 0xffffffff) }) }),
});

/**
 * Refuses `node-unreachable`, `node-answer`, `stardust-unsupported`, `too-few-milestones`, and `milestone-…` for what
 * the node shows that no coordinator signed.
 */
export async function askCoordinator(node: URL, timeoutMs: number): Promise<SeenCoordinator> {
  const deadline = deadlineIn(timeoutMs);
  const { network, index } = await askInfo(node, deadline);
  const seen: Milestone[] = [];
  for (let i = index; i > 0 && seen.length < MILESTONES; i--) {
    const milestone = await askMilestone(node, i, deadline);
    if (milestone === null) break; // pruned, and so are those before it
    seen.push(milestone);
  }
  if (seen.length < FEWEST)
    throw new Refusal(
      "too-few-milestones",
      `${node.host} shows ${seen.length} milestones, ${FEWEST} at least are needed`,
      { hint: "wait for the coordinator to issue some more" },
    );
  return { ...coordinatorOf(network, seen, node.host), milestones: seen.length, last: lastOf(seen[0]!) };
}

const lastOf = ({ index, timestamp }: Milestone) => ({ index, time: timestamp });

/** Signatures are verified before a key counts. */
function coordinatorOf(network: string, seen: readonly Milestone[], host: string) {
  const keys: { key: Uint8Array; signed: number }[] = [];
  for (const milestone of seen) {
    for (const { key } of milestone.signatures) {
      const known = keys.find((entry) => compareBytes(entry.key, key) === 0);
      if (known === undefined) keys.push({ key, signed: 1 });
      else known.signed++;
    }
    checkSignatures(milestone, trustOf(network, 1, keys), nodeCrypto);
  }
  const counts = seen.map(({ signatures }) => signatures.length);
  const threshold = Math.min(...counts);
  if (threshold !== Math.max(...counts))
    throw new Refusal(
      "node-answer",
      `${host}: milestones carry ${threshold} to ${Math.max(...counts)} signatures, so how many must sign can't be seen`,
      { hint: "ask whoever keeps the coordinator, and write the trust file by hand" },
    );
  keys.sort((a, b) => compareBytes(a.key, b.key));
  return { trust: trustOf(network, threshold, keys), keys };
}

const trustOf = (
  network: string,
  threshold: number,
  keys: readonly { readonly key: Uint8Array }[],
): Trust => {
  if (keys.length === 0) throw new Refusal("milestone-threshold", "a milestone without any signature");
  return makeTrust({ network, threshold, keys: keys.map(({ key }) => ({ key, start: 0, end: 0 })) });
};

async function askInfo(node: URL, deadline: Deadline): Promise<{ network: string; index: number }> {
  const url = below(node, "/api/core/v2/info");
  const { status, body } = await askHttp(url, {
    method: "GET",
    headers: { accept: "application/json" },
    maxBytes: MAX_INFO,
    timeoutMs: deadline.askMs(),
  });
  if (status !== 200)
    throw new Refusal("node-answer", `${node.host} answers with HTTP status ${status}`, {
      hint: "is it the API of a HORNET node?",
    });
  const { protocol, status: state } = readInfo(body, node.host);
  if (protocol.version !== PROTOCOL_VERSION)
    throw new Refusal(
      "stardust-unsupported",
      `${node.host} speaks protocol version ${protocol.version}, known here is ${PROTOCOL_VERSION}`,
    );
  if (!NETWORK_NAME.test(protocol.networkName))
    throw new Refusal(
      "node-answer",
      `${node.host}: the network is called ${quote(protocol.networkName)}, which no trust file can hold`,
    );
  return { network: protocol.networkName, index: state.confirmedMilestone.index };
}

function readInfo(body: Buffer, host: string): ReturnType<typeof INFO> {
  try {
    return INFO(JSON.parse(body.toString("utf8")), "info");
  } catch (cause) {
    if (!isRefusal(cause) && !(cause instanceof SyntaxError)) throw cause;
    const found = isRefusal(cause) ? cause.message : "it isn't JSON";
    throw new Refusal("node-answer", `${host}: what it says of itself: ${found}`, { cause });
  }
}

/** Null for one that the node doesn't have. */
async function askMilestone(node: URL, index: number, deadline: Deadline): Promise<Milestone | null> {
  const { status, body } = await askHttp(below(node, `/api/core/v2/milestones/by-index/${index}`), {
    method: "GET",
    headers: { accept: RAW },
    maxBytes: MAX_BLOCK,
    timeoutMs: deadline.askMs(),
  });
  if (status === 404) return null;
  if (status !== 200)
    throw new Refusal("node-answer", `${node.host}: milestone ${index}: HTTP status ${status}`);
  const milestone = decodeMilestone(new Uint8Array(body));
  if (milestone.index !== index)
    throw new Refusal("node-answer", `${node.host} gives milestone ${milestone.index} for ${index}`);
  return milestone;
}
