// A stand-in for an Espruino's console: prompt and echo, ENQ, break, lines run as
// JavaScript, packets, Storage that behaves like flash. With faults to order.
//
//   bytes in ─▶ loss ─▶ REPL │ packet ─▶ vm ─▶ Storage
//                         └─▶ XOFF, NAK, garbage, endless output ─▶ bytes out
//
// What a test can learn from it: files, what was lost, what came while the line was
// held. It runs by the clock it is given, on an in-memory transport or on a pty.

import { createHash } from "node:crypto";
import { createContext, runInContext } from "node:vm";
import type { Clock } from "../src/device/clock";
import { crc32 } from "../src/device/espruino";
import type { Transport } from "../src/device/transport";

export interface ConsoleOptions {
  /** Default "2v29": with packets. */
  version?: string;
  /** Default "PUCKJS". */
  board?: string;
  /** What E.getConsole() says. Default "USB". */
  console?: string;
  /** Bytes of Storage. Default 128 KB. */
  capacity?: number;
  hasSha256?: boolean;
  hasCrc32?: boolean;
  /** What is left of bytes on their way to the device. */
  loss?: (bytes: Uint8Array) => Uint8Array;
  /** Sends XOFF after so many bytes, each time, and XON after so long. */
  xoff?: { every: number; forMs: number };
  /** So many DATA packets are answered NAK first. */
  naks?: number;
  /** A bit of what goes to Storage is turned in so many writes. */
  turned?: number;
  /** A program that prints this 20 times a second until reset(). */
  chatter?: string;
  /** A program that never returns until Ctrl-C. */
  busy?: boolean;
  /** Somebody left it in the debugger. */
  debugging?: boolean;
  /** Half a line that somebody typed and left. */
  typed?: string;
  /** Answers every question with this; ENQ too when `deaf`. */
  babble?: string;
  deaf?: boolean;
  /** reset() doesn't stop what runs. */
  keepsRunning?: boolean;
  /** The program that load() starts takes the console. */
  takesConsole?: boolean;
  /** The cable goes after so many bytes. */
  cutAfter?: number;
}

const HEADER = 32;
const PACKET_MS = 5000;
const FILE_MS = 10_000;
const OVERRUN = 1024; // bytes that find room while the line is held

export class ConsoleStandIn {
  readonly files = new Map<string, Buffer>();
  /** Bytes that came while the line was held. */
  whileHeld = 0;
  received = 0;
  resets = 0;
  loads = 0;
  private trash = 0;
  private line = "";
  private isQuiet = false;
  private hadDle = false;
  private escape = "";
  private packet: { head: number[]; data: number[]; stop: () => void } | null = null;
  private upload: { name: string; size: number; at: number; stop: () => void } | null = null;
  private context: object = {};
  private held = false;
  private naks: number;
  private turned: number;
  private isBusy: boolean;
  private isClosed = false;
  private inDebugger: boolean;
  private stopChatter = () => {};
  private out: (bytes: Uint8Array) => void = () => {};
  private cut: () => void = () => {};

  constructor(
    private readonly clock: Clock,
    private readonly options: ConsoleOptions = {},
  ) {
    this.naks = options.naks ?? 0;
    this.turned = options.turned ?? 0;
    this.isBusy = options.busy === true;
    this.inDebugger = options.debugging === true;
    this.line = options.typed ?? "";
    this.clear();
    if (options.chatter !== undefined) this.chat(options.chatter);
  }

  onData(listener: (bytes: Uint8Array) => void): void {
    this.out = listener;
  }

  /** A line to it in memory; each piece takes a millisecond. */
  open(): Transport {
    let closed = () => {};
    let isClosed = false;
    this.cut = () => {
      isClosed = true;
      closed();
    };
    return {
      label: "stand-in",
      write: async (bytes) => {
        if (isClosed) throw new Error("closed");
        const copy = bytes.slice();
        await new Promise<void>((resolve) => void this.clock.after(1, resolve));
        this.receive(copy);
      },
      onData: (listener) => this.onData(listener),
      onClose: (listener) => {
        closed = listener;
      },
      close: async () => {
        this.stopChatter();
        this.out = () => {};
      },
    };
  }

  receive(bytes: Uint8Array): void {
    const { cutAfter, xoff, loss } = this.options;
    if (this.held) this.whileHeld += bytes.length;
    if (this.held && this.whileHeld > OVERRUN) return;
    const before = this.received;
    this.received += bytes.length;
    if (cutAfter !== undefined && this.received > cutAfter) {
      this.cut();
      return;
    }
    if (xoff !== undefined && Math.floor(before / xoff.every) !== Math.floor(this.received / xoff.every))
      this.hold(xoff.forMs);
    for (const byte of loss?.(bytes) ?? bytes) this.take(byte);
  }

  private hold(forMs: number): void {
    this.held = true;
    this.out(Uint8Array.of(0x13));
    this.clock.after(forMs, () => {
      this.held = false;
      this.out(Uint8Array.of(0x11));
    });
  }

  private say(text: string): void {
    const bytes = new Uint8Array(Buffer.from(text, "latin1"));
    this.clock.after(1, () => this.out(bytes));
  }

  private chat(text: string): void {
    this.stopChatter = this.clock.after(50, () => {
      this.out(new Uint8Array(Buffer.from(text, "latin1")));
      this.chat(text);
    });
  }

  private take(byte: number): void {
    if (this.isClosed) return;
    if (this.packet !== null) {
      this.takePacket(byte);
      return;
    }
    if (this.isBusy) {
      this.isBusy = byte !== 3;
      this.inDebugger = byte === 3;
      if (this.inDebugger) this.say("\r\nat line 1\r\n      ^\r\ndebug>");
      return;
    }
    const had = this.hadDle;
    this.hadDle = byte === 0x10;
    const char = String.fromCharCode(byte);
    if (this.escape !== "") {
      this.escape += char;
      if (this.escape === "\x1b[2H") this.line = "";
      if (this.escape.length > 3 || !"\x1b[2".startsWith(this.escape)) this.escape = "";
    } else if (byte === 1 && had) this.beginPacket();
    else if (byte === 3) this.interrupt();
    else if (byte === 5 && this.line === "" && this.options.deaf !== true) this.identify();
    else if (byte === 0x10 && this.line === "") this.isQuiet = true;
    else if (byte === 0x1b) this.escape = char;
    else if (byte === 10 || byte === 13) this.enter();
    else if (byte >= 0x20) {
      this.line += char;
      if (!this.isQuiet) this.say(char);
    }
  }

  private interrupt(): void {
    this.line = "";
    this.inDebugger = false;
  }

  private identify(): void {
    this.say(`Espruino ${this.options.version ?? "2v29"} ${this.options.board ?? "PUCKJS"}\r\n`);
  }

  private enter(): void {
    const code = this.line;
    if (isOpen(code)) {
      this.line += "\n";
      return;
    }
    const wasQuiet = this.isQuiet;
    this.line = "";
    this.isQuiet = false;
    if (this.inDebugger) {
      this.say("In debug mode: Expected a simple ID, type 'help' for more info.\r\n");
      return;
    }
    if (this.options.babble !== undefined) {
      this.say(this.options.babble);
      return;
    }
    try {
      const value = runInContext(code, this.context);
      if (!wasQuiet) this.say(`\r\n=${String(value)}`);
    } catch (error) {
      this.say(`Uncaught ${String(error)}\r\n at line 1 col 1\r\n`);
    }
    this.say("\r\n>");
  }

  private beginPacket(): void {
    const stop = this.clock.after(PACKET_MS, () => {
      this.packet = null;
      this.say("\x15");
    });
    this.isQuiet = false;
    this.packet = { head: [], data: [], stop };
  }

  private takePacket(byte: number): void {
    const { packet } = this;
    if (packet === null) return;
    (packet.head.length < 2 ? packet.head : packet.data).push(byte);
    const [high = 0, low = 0] = packet.head;
    if (packet.head.length < 2 || packet.data.length < (((high & 0x1f) << 8) | low)) return;
    packet.stop();
    this.packet = null;
    const hasPackets = !/^[01]v|^2v([01]\d|2[0-4])$/.test(this.options.version ?? "2v29");
    if (hasPackets) this.obey(high >> 5, Buffer.from(packet.data));
  }

  private obey(type: number, data: Buffer): void {
    if (type === 1) {
      const text = String(runInContext(data.toString("latin1"), this.context));
      this.say(`\x06\x10\x01${String.fromCharCode(text.length >> 8, text.length & 255)}${text}`);
    } else if (type === 3) {
      const { fn, s } = JSON.parse(data.toString("latin1")) as { fn: string; s: number };
      this.upload?.stop();
      this.upload = { name: fn, size: s, at: 0, stop: this.expire() };
      this.say("\x06");
    } else if (type === 4 && this.upload !== null && this.naks === 0) {
      const { name, size, at, stop } = this.upload;
      stop();
      let problem = "";
      try {
        this.write(name, data, at, size);
      } catch (error) {
        problem = `Uncaught ${String(error)}\r\n`; // acknowledged all the same, as Espruino does
      }
      const next = at + data.length;
      this.upload = next >= size ? null : { name, size, at: next, stop: this.expire() };
      this.say(`\x06${problem}`);
    } else {
      this.naks = Math.max(0, this.naks - 1);
      this.say("\x15");
    }
  }

  private expire(): () => void {
    return this.clock.after(FILE_MS, () => {
      this.upload = null;
    });
  }

  /** As jsflash.c does it: the old file goes first; what was written stays. */
  private write(name: string, data: Buffer, at: number, size: number): void {
    if (at === 0) {
      this.erase(name);
      if (size + HEADER > this.free()) this.trash = 0;
      if (size + HEADER > this.free()) throw new Error("Unable to find or create file");
      this.files.set(name, Buffer.alloc(size, 0xff));
    }
    const file = this.files.get(name);
    if (file === undefined) throw new Error("Unable to find or create file");
    if (at + data.length > file.length) throw new Error("Too much data for file size");
    const place = file.subarray(at, at + data.length);
    if (place.some((byte) => byte !== 0xff)) throw new Error("File already written with different data");
    data.copy(place);
    if (this.turned > 0) {
      this.turned--;
      place[0] = (place[0] ?? 0) ^ 0x10;
    }
  }

  private erase(name: string): void {
    const old = this.files.get(name);
    if (old === undefined) return;
    this.trash += old.length + HEADER;
    this.files.delete(name);
  }

  private free(): number {
    const used = [...this.files.values()].reduce((sum, { length }) => sum + length + HEADER, 0);
    return (this.options.capacity ?? 128 * 1024) - used - this.trash;
  }

  private readonly storage = {
    read: (name: string, at = 0, length = 0) => {
      const file = this.files.get(name);
      return file?.subarray(at, length > 0 ? at + length : undefined).toString("latin1");
    },
    write: (name: string, text: string, at = 0, size = 0) => {
      this.write(name, Buffer.from(text, "latin1"), at, size === 0 ? text.length : size);
      return true;
    },
    erase: (name: string) => this.erase(name),
    getFree: () => this.free(),
    getStats: () => ({ trashBytes: this.trash }),
  };

  /** RAM as it is after a start. */
  private clear(): void {
    this.stopChatter();
    const { options } = this;
    const print = (...values: unknown[]) => this.say(`${values.map(String).join(" ")}\r\n`);
    const bytes = (text: string) => Buffer.from(text, "latin1");
    const crypto =
      options.hasSha256 === false
        ? {}
        : {
            SHA256: (text: string) =>
              new Uint8Array(createHash("sha256").update(bytes(text)).digest()).buffer,
          };
    const E = {
      ...(options.hasCrc32 === false ? {} : { CRC32: (text: string) => crc32(bytes(text)) }),
      getConsole: () => options.console ?? "USB",
    };
    const context: Record<string, unknown> = {
      print,
      E,
      require: (name: string) => {
        if (name === "Storage") return this.storage;
        if (name === "crypto") return crypto;
        throw new Error(`Module ${name} not found`);
      },
      reset: () => void (options.keepsRunning === true || this.clock.after(20, () => this.restart(false))),
      load: () => void this.clock.after(20, () => this.restart(true)),
    };
    context["global"] = context;
    this.context = createContext(context);
  }

  private restart(loads: boolean): void {
    if (loads) this.loads++;
    else this.resets++;
    this.clear();
    this.say("\r\n ____                 _ \r\n Espruino\r\n>");
    const boot = this.files.get(".bootcde");
    if (!loads || boot === undefined) return;
    if (this.options.takesConsole === true) {
      this.isClosed = true;
      return;
    }
    try {
      runInContext(boot.toString("latin1"), this.context);
    } catch (error) {
      this.say(`Uncaught ${String(error)}\r\n at line 1 col 1\r\n`);
    }
  }
}

/** Whether a bracket or string waits for its end: then the REPL reads on. */
function isOpen(code: string): boolean {
  const bare = code.replace(/"(\\.|[^"\\])*"/g, "");
  const count = (chars: RegExp) => (bare.match(chars) ?? []).length;
  return count(/[([{]/g) > count(/[)\]}]/g);
}
