// Picks a port and starts the agent; nothing else knows the board.
//
// The bundle is a script: evaluating it boots, and leaves two functions behind for the host
// (ports/native.ts lists those it needs).

import { makeAgent, receive, tick } from "./agent";
import { nativePort } from "./ports/native";

interface Root {
  agentReceive: (bytes: Uint8Array) => void;
  agentTick: () => number;
}

const agent = makeAgent(nativePort());
// Engines of ES5 have no globalThis, and in strict code a plain assignment makes no global.
const root = (typeof globalThis !== "undefined" ? globalThis : Function("return this")()) as unknown as Root;
root.agentReceive = (bytes) => receive(agent, bytes);
root.agentTick = () => tick(agent);
