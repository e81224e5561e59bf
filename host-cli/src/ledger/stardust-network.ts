// Whether a node is on the network that was meant, and keeps up with it; and how fast that network goes.
//
//   a milestone each `intervalMs`: measured over the last ten, in whole seconds
//   tips are good for parents until `belowMaxDepth` milestones later: work over them ends after half of that
//
// A node whose coordinator is gone answers like any other, with a last milestone that gets older and older. So its time
// is compared with this machine's clock; the node's own health() is no measure, it asks for neighbours.

import { quote, Refusal } from "@vouch/shared/refusal";
import { PROTOCOL_VERSION } from "@vouch/shared/stardust/block";
import { isoTime } from "@vouch/shared/time";
import type { Deadline } from "./deadline";
import type { NodeInfo, TangleNode } from "./stardust";

const SPAN = 10;
const USUAL_INTERVAL_MS = 5000; // of the networks that were public
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
  network: string,
  nowMs: number,
  deadline: Deadline,
): Promise<TangleState> {
  const info = await node.info(deadline);
  if (info.network !== network)
    throw new Refusal(
      "wrong-network",
      `${node.host} is on network ${quote(info.network)}, the trust file is of ${quote(network)}`,
    );
  if (info.version !== PROTOCOL_VERSION)
    throw new Refusal(
      "stardust-unsupported",
      `${node.host} speaks protocol version ${info.version}, known here is ${PROTOCOL_VERSION}`,
    );
  const intervalMs = await measureInterval(node, info, deadline);
  checkFresh(node, info, nowMs, Math.max(STALE_MS, STALE_INTERVALS * intervalMs));
  return { ...info, intervalMs, tipsMs: (info.belowMaxDepth * intervalMs) / 2 };
}

async function measureInterval(node: TangleNode, { milestone }: NodeInfo, deadline: Deadline) {
  const earlier = Math.max(1, milestone.index - SPAN);
  if (earlier >= milestone.index) return USUAL_INTERVAL_MS;
  const time = await node.milestoneTime(earlier, deadline);
  if (time === null || time > milestone.time) return USUAL_INTERVAL_MS;
  return Math.max(500, ((milestone.time - time) * 1000) / (milestone.index - earlier));
}

function checkFresh(node: TangleNode, { milestone }: NodeInfo, nowMs: number, staleMs: number): void {
  const ageMs = nowMs - milestone.time * 1000;
  if (Math.abs(ageMs) <= staleMs) return;
  const seconds = Math.round(Math.abs(ageMs) / 1000);
  throw new Refusal(
    "node-stale",
    `${node.host}: its last milestone, ${milestone.index}, is of ${isoTime(milestone.time)}, ${seconds} s ${ageMs > 0 ? "ago" : "ahead of this machine's clock"}`,
    { hint: "ask a node that keeps up, see whether the coordinator runs, or set this machine's clock" },
  );
}
