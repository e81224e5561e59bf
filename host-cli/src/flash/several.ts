// Several devices at once, each with its own progress. One that fails stops no other;
// the exit status is that of the worst.
//
//   refuted (20)  >  unproven (21)  >  trouble (1)  >  done (0)

import { isRefusal } from "@vouch/shared/refusal";
import { describe, EXIT, statusOf } from "../exit";
import type { Io } from "../io";
import { plainScreen, type Screen, startBoard } from "../output/screen";
import { agree } from "./steps";

const WORST_LAST: readonly number[] = [EXIT.done, EXIT.trouble, EXIT.unproven, EXIT.refuted];

/** What flashing one device came to. */
export interface Done {
  /** The JSON object. */
  readonly report: object;
  /** For a person, on stdout. */
  readonly line: string;
}

/** Flashes the device on a port; consent has been given. */
export type FlashOne = (port: string, screen: Screen) => Promise<Done>;

/** Says which, gets consent for all of them once, and flashes them. Sets the exit status; prints every result. */
export async function flashSeveral(
  ports: readonly string[],
  isAgreed: boolean,
  flashOne: FlashOne,
  io: Io,
): Promise<void> {
  const { say } = plainScreen(io);
  say(`${ports.length} ${ports.length === 1 ? "device" : "devices"}: ${ports.join(", ")}`);
  if (!isAgreed) await agree(io, `change ${ports.length === 1 ? "it" : `these ${ports.length} devices`}?`);
  const board = startBoard(io, ports);
  const late: (() => void)[] = []; // in the order of the ports
  // Lines on the board are redrawn in place: what is printed meanwhile would tear them.
  const print = (index: number, work: () => void) => {
    if (board.isDrawn) late[index] = work;
    else work();
  };
  const statuses = await Promise.all(
    ports.map(async (port, index) => {
      try {
        const { report, line } = await flashOne(port, board.screens[index] ?? plainScreen(io));
        board.settle(index, "done");
        print(index, () => io.stdout(io.json ? `${JSON.stringify(report)}\n` : `${line}\n`));
        return EXIT.done;
      } catch (error) {
        const code = isRefusal(error) ? error.code : "internal";
        const message = error instanceof Error ? error.message : String(error);
        board.settle(index, `[${code}] ${message}`);
        print(index, () => {
          if (io.json) io.stdout(`${JSON.stringify({ result: "failed", port, code, message })}\n`);
          io.stderr(`${describe(error, io.debug)}\n`);
        });
        return statusOf(error);
      }
    }),
  );
  board.end();
  for (const work of late) work();
  io.exitCode = statuses.reduce<number>(
    (worst, status) => (WORST_LAST.indexOf(status) > WORST_LAST.indexOf(worst) ? status : worst),
    EXIT.done,
  );
}
