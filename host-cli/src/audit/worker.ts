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
  else if (order.order === "bundle")
    port.postMessage({ id: order.id, judged: judge.bundle(order) } satisfies Answer);
  else {
    const { id, bytes } = order;
    port.postMessage({ id, judged: judged(order), bytes } satisfies Answer, [bytes.buffer as ArrayBuffer]);
  }
});

function judged({ bytes, ends, places }: Extract<Order, { readonly order: "devices" }>) {
  return judge.devices(
    ends.map((end, i) => ({ bytes: bytes.subarray(ends[i - 1] ?? 0, end), place: places[i] as string })),
  );
}
