// A pseudo-terminal, by the npm package @lydell/node-pty: the only file that
// imports it. It stands for the USB serial port of a board.
//
//   simulated device ◀─▶ master        slave /dev/pts/N ◀─▶ any serial program
//
// Of the package only openpty() is used, through open(). What it wraps around
// that is left alone, for reasons:
//   - destroy() and kill() would signal process -1, which is everybody's;
//   - its stream on the slave side would take bytes away from the other program;
//   - writes through its stream spin when nobody reads (libuv takes a master
//     for blocking), so we write to the descriptor and wait our own way.
//
// We keep the slave open, without reading, so that a program that closes it
// leaves a line the next one can open; raw mode is set on it at the start, so
// nothing is echoed before a program sets its own. As with a UART that nobody
// listens to, what is not taken for a second is lost.

import * as fs from "node:fs";
import type { ReadStream } from "node:tty";
import { Refusal } from "@vouch/shared/refusal";

export interface Pty {
  /** What the other program opens. */
  readonly path: string;
  write(bytes: Uint8Array): void;
  onData(listener: (bytes: Uint8Array) => void): void;
  close(): void;
}

const RETRY_MS = 2;
const LOST_AFTER_MS = 1000;
const BACKLOG_MAX = 64 * 1024;

/** The parts of the package's object that we use; its types leave open() out. */
interface OpenPty {
  _pty: string;
  _fd: number;
  _master: ReadStream;
  _slave: ReadStream;
}

/** Refuses `no-pty` where there are no pseudo-terminals or the package has no binary. */
export async function openPty(): Promise<Pty> {
  const { _pty: path, _fd: fd, _master: master, _slave: slave } = await open();
  const hold = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_NOCTTY);
  slave.setRawMode(true);
  slave.destroy(); // before it has read anything: reading starts with the next tick
  const writer = makeWriter(fd);
  let listener: (bytes: Uint8Array) => void = () => {};
  master.on("data", (bytes: Buffer) => listener(new Uint8Array(bytes)));
  master.on("error", () => {}); // a hang-up; close() is what ends it
  return {
    path,
    write: writer.write,
    onData: (take) => {
      listener = take;
    },
    close() {
      writer.stop();
      master.destroy();
      fs.closeSync(hold);
    },
  };
}

async function open(): Promise<OpenPty> {
  try {
    if (process.platform === "win32") throw new Error("Windows has none");
    const pty = (await import("@lydell/node-pty")) as unknown as { open(options: object): OpenPty };
    return pty.open({ encoding: null });
  } catch (error) {
    throw new Refusal(
      "no-pty",
      `no pseudo-terminal can be opened here: ${(error as Error).message.split("\n")[0]}`,
      {
        cause: error,
        hint: "make the device with `vouch sim --create --state FILE …` and reach it as --port sim:FILE",
      },
    );
  }
}

/** Writes to a descriptor that doesn't block, in order, and lets go of what nobody takes. */
function makeWriter(fd: number): { write(bytes: Uint8Array): void; stop(): void } {
  let backlog: Uint8Array[] = [];
  let waitingSince = 0;
  let timer: NodeJS.Timeout | undefined;
  const drain = () => {
    timer = undefined;
    for (let next = backlog[0]; next !== undefined; next = backlog[0]) {
      const count = writeSome(fd, next);
      if (count > 0) waitingSince = performance.now();
      if (count === next.length) backlog.shift();
      else {
        backlog[0] = next.subarray(count);
        if (performance.now() - waitingSince > LOST_AFTER_MS) backlog = [];
        else if (count === 0) timer = setTimeout(drain, RETRY_MS);
        if (count === 0) return;
      }
    }
  };
  return {
    write(bytes) {
      if (backlog.reduce((sum, { length }) => sum + length, bytes.length) > BACKLOG_MAX) return;
      if (backlog.length === 0) waitingSince = performance.now();
      backlog.push(bytes);
      if (timer === undefined) drain();
    },
    stop() {
      clearTimeout(timer);
      backlog = [];
    },
  };
}

function writeSome(fd: number, bytes: Uint8Array): number {
  try {
    return fs.writeSync(fd, bytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN" || code === "EIO") return 0;
    throw error;
  }
}
