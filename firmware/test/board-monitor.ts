// QEMU's monitor (QMP, one JSON object a line), and its debugger port, by which a board is stopped at a write:
//
//   $Z2,address,4#xx   watch a word of flash         ◀── $OK#9a
//   $c#63              run on                        ◀── $T05…#xx: about to write it
//
// (GDB's remote protocol.) So power can be cut before any word, which a timer would hardly ever hit.

import { createConnection, type Socket } from "node:net";

export interface Monitor {
  execute(command: string, parameters?: Record<string, unknown>): Promise<void>;
  close(): void;
}

/** Rejects when QEMU goes. One at a time per board. */
export async function openMonitor(path: string): Promise<Monitor> {
  const socket = createConnection(path);
  const execute = async (command: string, parameters = {}) => {
    socket.write(JSON.stringify({ execute: command, arguments: parameters }));
    await answer(socket, "return");
  };
  await answer(socket, "QMP");
  await execute("qmp_capabilities");
  return { execute, close: () => socket.destroy() };
}

/** Waits for a line that has this key. */
function answer(socket: Socket, key: string): Promise<void> {
  let text = "";
  return waitFor(socket, (bytes) => {
    const lines = (text + bytes).split("\n");
    text = lines.pop()!;
    return lines.some((line) => {
      const reply = JSON.parse(line) as Record<string, unknown>;
      if ("error" in reply) throw new Error(line);
      return key in reply;
    });
  });
}

function waitFor(socket: Socket, isEnough: (bytes: string) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void) => {
      socket.off("data", take).off("error", fail).off("close", fail);
      settle();
    };
    const fail = (error?: unknown) =>
      finish(() => reject(error instanceof Error ? error : new Error("QEMU has gone")));
    const take = (bytes: Buffer) => {
      try {
        if (isEnough(bytes.toString("latin1"))) finish(resolve);
      } catch (error) {
        fail(error);
      }
    };
    socket.on("data", take).on("error", fail).on("close", fail);
  });
}

const OK = /\$OK#9a/;
const STOPPED = /\$T05[^#]*#../;

const packet = (text: string) =>
  `$${text}#${([...text].reduce((sum, char) => sum + char.charCodeAt(0), 0) & 0xff).toString(16).padStart(2, "0")}`;

/** Stops a running board as it is about to write the word at `address` for the `times`-th time; `hit` settles then. */
export async function stopAtWrite(
  monitor: string,
  address: number,
  times: number,
): Promise<{ hit: Promise<void> }> {
  const path = `${monitor}.gdb`;
  const qemu = await openMonitor(monitor);
  await qemu.execute("human-monitor-command", {
    "command-line": `gdbserver unix:${path},server=on,wait=off`,
  });
  qemu.close();
  const socket = createConnection(path); // this halts the board
  socket.on("error", () => {}); // whoever waits is told by "close"
  const say = async (text: string, expected: RegExp) => {
    let said = "";
    socket.write(packet(text));
    await waitFor(socket, (bytes) => {
      said += bytes;
      return expected.test(said);
    });
    socket.write("+");
  };
  const word = `2,${address.toString(16)},4`;
  const run = async () => {
    for (let time = 1; time < times; time++) {
      await say("c", STOPPED);
      await say(`z${word}`, OK); // else it stops here again
      await say("s", STOPPED);
      await say(`Z${word}`, OK);
    }
    await say("c", STOPPED);
  };
  await say(`Z${word}`, OK);
  return { hit: run() };
}
