// Whether a node is on the network that was meant, and keeps up with it; and how fast that network goes.
//
//   the last milestone is signed by the coordinator's keys of the trust file, and of now
//   a milestone each `intervalMs`: measured over the last ten, in whole seconds
//   tips are good for parents until `belowMaxDepth` milestones later: work over them ends after half of that
//
// So nothing is submitted to another network that calls itself the same, where it could never be proved. A node whose
// coordinator is gone answers like any other, with a last milestone that gets older and older: its time, which is
// signed, is compared with this machine's clock. The node's own health() is no measure, it asks for neighbours.

import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { PROTOCOL_VERSION } from "@vouch/shared/stardust/block";
import { checkSignatures, decodeMilestone, type Milestone } from "@vouch/shared/stardust/milestone";
import type { Trust } from "@vouch/shared/stardust/trust";
import { isoTime } from "@vouch/shared/time";
import { nodeCrypto } from "../crypto";
import type { Deadline } from "./deadline";
import type { NodeInfo, TangleNode } from "./stardust";

const SPAN = 10;
const USUAL_INTERVAL_MS = 5000; // of the networks that were public
const LEAST_MS = 500; // times are in whole seconds
const MOST_MS = 60_000; // or the coordinator has paused among those ten
const STALE_MS = 30_000; // clocks are seldom that far off
const STALE_INTERVALS = 6;

export interface TangleState extends NodeInfo {
  readonly intervalMs: number;
  /** How long work may go on over tips that are fresh now. */
  readonly tipsMs: number;
}

/** Refuses `wrong-network`, `stardust-unsupported`, `node-stale`, and as the node does. */
export async function readNetwork(
  node: TangleNode,
  trust: Trust,
  nowMs: number,
  deadline: Deadline,
): Promise<TangleState> {
  const info = await node.info(deadline);
  if (info.network !== trust.network)
    throw new Refusal(
      "wrong-network",
      `${node.host} is on network ${quote(info.network)}, the trust file is of ${quote(trust.network)}`,
    );
  if (info.version !== PROTOCOL_VERSION)
    throw new Refusal(
      "stardust-unsupported",
      `${node.host} speaks protocol version ${info.version}, known here is ${PROTOCOL_VERSION}`,
    );
  if (info.milestone === 0)
    throw new Refusal("node-unreachable", `${node.host} has no milestone yet: it may be starting`);
  const last = await milestoneOf(node, info.milestone, trust, deadline);
  if (last === null)
    throw new Refusal("node-answer", `${node.host} doesn't have milestone ${info.milestone}, its last`);
  const intervalMs = await measureInterval(node, last, trust, deadline);
  checkFresh(node, last, nowMs, Math.max(STALE_MS, STALE_INTERVALS * intervalMs));
  return { ...info, intervalMs, tipsMs: (info.belowMaxDepth * intervalMs) / 2 };
}

/** Verified against the trust; null when the node doesn't have it. */
async function milestoneOf(
  node: TangleNode,
  index: number,
  trust: Trust,
  deadline: Deadline,
): Promise<Milestone | null> {
  const bytes = await node.milestone(index, deadline);
  if (bytes === null) return null;
  const milestone = decodeMilestone(bytes);
  if (milestone.index !== index)
    throw new Refusal("node-answer", `${node.host} gives milestone ${milestone.index}, asked was ${index}`);
  checkSigned(node, milestone, trust);
  return milestone;
}

function checkSigned(node: TangleNode, milestone: Milestone, trust: Trust): void {
  try {
    checkSignatures(milestone, trust, nodeCrypto);
  } catch (cause) {
    if (!isRefusal(cause)) throw cause;
    throw new Refusal(
      "wrong-network",
      `${node.host} is on another network than the trust file's, or its coordinator has new keys: ${cause.message}`,
      { cause },
    );
  }
}

async function measureInterval(
  node: TangleNode,
  last: Milestone,
  trust: Trust,
  deadline: Deadline,
): Promise<number> {
  const index = Math.max(1, last.index - SPAN);
  const earlier = index < last.index ? await milestoneOf(node, index, trust, deadline) : null;
  if (earlier === null) return USUAL_INTERVAL_MS;
  const measured = ((last.timestamp - earlier.timestamp) * 1000) / (last.index - index);
  return Math.min(MOST_MS, Math.max(LEAST_MS, measured));
}

function checkFresh(node: TangleNode, last: Milestone, nowMs: number, staleMs: number): void {
  const ageMs = nowMs - last.timestamp * 1000;
  if (Math.abs(ageMs) <= staleMs) return;
  const seconds = Math.round(Math.abs(ageMs) / 1000);
  throw new Refusal(
    "node-stale",
    `${node.host}: its last milestone, ${last.index}, is of ${isoTime(last.timestamp)}, ${seconds} s ${ageMs > 0 ? "ago" : "ahead of this machine's clock"}`,
    { hint: "ask a node that keeps up, see whether the coordinator runs, or set this machine's clock" },
  );
}
