// What went over a line, for --trace FILE: a line of text for each message, and
// for each piece of what is none.
//
//   2026-11-22T21:50:01.123Z open /dev/ttyACM0
//   2026-11-22T21:50:01.130Z > smp read group 1 command 0 seq 7 v1, 9 bytes: 0800000100010700a0
//   2026-11-22T21:50:01.155Z < smp read-reply group 1 command 0 seq 7 v1, 80 bytes: 0900…
//   2026-11-22T21:50:01.190Z < text 31 bytes: 5b30303a… "[00:00:01] <inf> pump: rate 12"
//   2026-11-22T21:50:02.001Z closed
//
// It holds no key material. One secret crosses the wire, the seed that an
// enrolment station sends to a board without randomness (group 64 enrol), so
//   - of enrol, in either direction, a trace has header, nonce and commit only;
//   - a frame is written as its message. Its base64, whole or in part, never is,
//     however reads and writes cut it: what a deframer takes for part of a
//     frame goes nowhere else;
//   - whoever is about to send a secret says so with keepOut(). From then on, and
//     while a frame is half sent, text is written as its length (a console echoes what it gets, with the marker
//     of a frame in other letters), and so is a message in which any of it is.
//
// A line is one write to a file opened for appending: whole, whenever the
// process is killed, and several processes may share the file.

import { closeSync, fchmodSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import { toHex } from "@vouch/shared/bytes";
import { isBytes, mapGet } from "@vouch/shared/cbor";
import {
  decodeMessage,
  GROUP_VOUCH,
  makeDeframer,
  pushBytes,
  SMP_HEADER_BYTES,
  type SmpHeader,
  VOUCH_ENROL,
} from "@vouch/shared/smp";
import type { Transport } from "./transport";

const MAX_MESSAGE = 65535;
const OPS = ["read", "read-reply", "write", "write-reply"];
const WINDOW = 8; // as much of a secret as may be in a line by chance

/** Every secret that this process is about to send. */
const secrets: Uint8Array[] = [];

/** Keeps a secret out of all traces of this process, from now on. Call it before the first byte is sent. */
export function keepOut(secret: Uint8Array): void {
  secrets.push(secret.slice());
}

export interface Trace {
  /** The same line, with all that goes over it written down. */
  over(transport: Transport): Transport;
}

/** Opens the file, mode 0600, to append to. Throws the system's error where it can't. */
export function openTrace(file: string): Trace {
  const fd = openSync(file, "a+", 0o600);
  const stat = fstatSync(fd);
  if (stat.isFile()) {
    fchmodSync(fd, 0o600);
    if (stat.size > 0 && !endsLine(fd, stat.size)) writeSync(fd, "\n"); // a full disk cut the last one
  }
  return { over: (transport) => traced(transport, lineWriter(fd)) };
}

function endsLine(fd: number, size: number): boolean {
  const last = new Uint8Array(1);
  return readSync(fd, last, 0, 1, size - 1) === 1 && last[0] === 0x0a;
}

type Write = (text: string) => void;

/** A trace that can't be written ends; what it was of goes on. */
function lineWriter(fd: number): Write {
  let broken = false;
  return (text) => {
    if (broken) return;
    try {
      writeSync(fd, `${new Date().toISOString()} ${text}\n`);
    } catch (error) {
      broken = true;
      process.emitWarning(`the trace ends here: ${(error as Error).message}`);
      closeSync(fd);
    }
  };
}

function traced(transport: Transport, write: Write): Transport {
  const sent = reader(">", write, () => false);
  const received = reader("<", write, sent.isInFrame);
  let closeListener = () => {};
  let dataListener: (bytes: Uint8Array) => void = () => {};
  let isOpen = true;
  const closed = () => {
    if (isOpen) {
      sent.end();
      received.end();
      write("closed");
    }
    isOpen = false;
  };
  write(`open ${JSON.stringify(transport.label)}`);
  transport.onData((bytes) => {
    received.push(bytes);
    dataListener(bytes);
  });
  transport.onClose(() => {
    closed();
    closeListener();
  });
  return {
    label: transport.label,
    write: (bytes) => {
      sent.push(bytes); // first, so that a secret is known before it can come back
      return transport.write(bytes);
    },
    onData: (listener) => {
      dataListener = listener;
    },
    onClose: (listener) => {
      closeListener = listener;
    },
    close: async () => {
      await transport.close();
      closed();
    },
  };
}

interface Reader {
  push(bytes: Uint8Array): void;
  /** Writes what waits for the end of its line. */
  end(): void;
  isInFrame(): boolean;
}

function reader(direction: string, write: Write, otherIsInFrame: () => boolean): Reader {
  const deframer = makeDeframer(MAX_MESSAGE);
  const isInFrame = () => deframer.open || deframer.state !== 0;
  const onMessage = (message: Uint8Array) => {
    learnSecrets(message);
    write(`${direction} ${tellMessage(message)}`);
  };
  const onText = (text: Uint8Array) => {
    if (isRawMessage(text)) return onMessage(text);
    const isShown = secrets.length === 0 && !otherIsInFrame();
    write(
      `${direction} text ${text.length} bytes${isShown ? `: ${toHex(text)} ${quoted(text)}` : ", not shown"}`,
    );
  };
  return {
    push(bytes) {
      const before = deframer.dropped;
      pushBytes(deframer, bytes, onMessage, onText);
      if (deframer.dropped > before) write(`${direction} broken frame, not shown`);
    },
    // A line end ends a text; of a frame that is cut off nothing is written.
    end: () => pushBytes(deframer, Uint8Array.of(0x0a), onMessage, onText),
    isInFrame,
  };
}

/** Whether the bytes are one SMP message without framing. */
const isRawMessage = (bytes: Uint8Array) => decodeMessage(bytes).fault === 0;

function tellMessage(message: Uint8Array): string {
  const { header, body, fault } = decodeMessage(message);
  if (header === null) return `smp, ${message.length} bytes, not shown`;
  const { op, group, command, sequence, version } = header;
  const what = `smp ${OPS[op] ?? op} group ${group} command ${command} seq ${sequence} v${version}`;
  const size = `${what}, ${message.length} bytes`;
  if (isEnrol(header)) {
    const open = ["nonce", "commit"].flatMap((key) => {
      const value = body === null || fault !== 0 ? undefined : mapGet(body, key);
      return value !== undefined && isBytes(value) && !holdsSecret(value) ? [`${key} ${toHex(value)}`] : [];
    });
    return `${size}: ${toHex(message.subarray(0, SMP_HEADER_BYTES))} ${["body not shown", ...open].join(", ")}`;
  }
  return holdsSecret(message) ? `${size}, not shown` : `${size}: ${toHex(message)}`;
}

/** What enrol holds beside nonce and commit is a secret, should nobody have said so. */
function learnSecrets(message: Uint8Array): void {
  const { header, body } = decodeMessage(message);
  if (header === null || body === null || !isEnrol(header)) return;
  body.keys.forEach((key, at) => {
    const value = body.values[at];
    if (key !== "nonce" && key !== "commit" && value !== undefined && isBytes(value)) keepOut(value);
  });
}

const isEnrol = (header: SmpHeader) => header.group === GROUP_VOUCH && header.command === VOUCH_ENROL;

/** Whether any eight bytes of a secret are in there, or eight characters of it as hex or base64. */
export function holdsSecret(bytes: Uint8Array): boolean {
  if (secrets.length === 0) return false;
  const text = Buffer.from(bytes).toString("latin1");
  const lower = text.toLowerCase();
  return secrets.some((secret) => {
    const buffer = Buffer.from(secret);
    if (hasPiece(text, buffer.toString("latin1")) || hasPiece(lower, buffer.toString("hex"))) return true;
    // Base64 depends on where in its three bytes the secret begins.
    return [0, 1, 2].some((shift) => {
      const base64 = Buffer.concat([Buffer.alloc(shift), buffer]).toString("base64");
      return hasPiece(text, base64.slice(shift + 1, -4));
    });
  });
}

function hasPiece(text: string, whole: string): boolean {
  for (let at = 0; at + WINDOW <= whole.length; at++) {
    if (text.includes(whole.slice(at, at + WINDOW))) return true;
  }
  return false;
}

/** As text, safe to print. */
const quoted = (bytes: Uint8Array) =>
  JSON.stringify(Buffer.from(bytes).toString("latin1")).replace(/[^ -~]/g, ".");
