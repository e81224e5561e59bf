// A thread that judges: obeys the orders of pool.ts, one after another.

import { parentPort, workerData } from "node:worker_threads";
import { makeJudge, type Setup } from "./judge";
import type { Answer, Order } from "./pool";

const port = parentPort;
if (port === null) throw new Error("this file is for a thread of `vouch audit`");
const judge = makeJudge(workerData as Setup);

port.on("message", (order: Order) => {
  if (order.order === "context") judge.context(order.bytes);
  else if (order.order === "forget") judge.forget(order.digest);
  else port.postMessage({ id: order.id, judged: judged(order) } satisfies Answer);
});

function judged(order: Extract<Order, { readonly id: number }>) {
  if (order.order === "bundle") return judge.bundle(order);
  const { bytes, ends, places } = order;
  return judge.devices(
    ends.map((end, i) => ({ bytes: bytes.subarray(ends[i - 1] ?? 0, end), place: places[i] as string })),
  );
}
