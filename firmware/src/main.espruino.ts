// The agent on Espruino: a module in Storage that the boot code loads when it has described the board
// (ports/espruino.ts). Nothing else knows this engine.

import { makeAgent, receive, tick } from "./agent";
import { type Board, claimLine, espruinoPort, serve } from "./ports/espruino";

declare const vouchBoard: Board;

claimLine(vouchBoard);
const agent = makeAgent(espruinoPort(vouchBoard));
serve(
  vouchBoard,
  (bytes) => receive(agent, bytes),
  () => tick(agent),
);
