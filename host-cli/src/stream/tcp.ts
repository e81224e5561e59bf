// Delivery over TCP, plain or with TLS: messages of shared/src/delivery.ts.
//
//   sender                             receiver
//     │  hello id                         │   who it is for
//     │◀──────────────────── stand next ──┤   from there on
//     ├─ piece ─ piece ─ piece ──────────▶│
//     │◀──────────────────── stand next ──┤   flushed so far
//     │◀──────────────────── refusal code ┤   and the line is closed
//
// A line that goes away is made again, for as long as the recorder runs. The receiver takes one sender of a stream
// at a time, the newest; what a peer may do is bounded: connections, the time for a greeting, silence, lengths.

import { connect, createServer, type Server, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from "node:tls";
import {
  DELIVERY_HELLO,
  DELIVERY_PIECE,
  DELIVERY_REFUSAL,
  DELIVERY_STAND,
  decodeHello,
  decodePiece,
  decodeRefusal,
  decodeStand,
  encodeHello,
  encodePiece,
  encodeRefusal,
  encodeStand,
  frameMessage,
  MessageReader,
  type Piece,
  type Stand,
} from "@vouch/shared/delivery";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { type Address, formatAddress, pem, servername, TLS_MIN, type TlsFiles } from "./address";
import type { Taken } from "./intake";
import { type Delivery, Outgoing, type Queue, retryMs, WINDOW_BYTES } from "./outgoing";

/** What the other side may do, and how long it may take. */
export interface TcpLimits {
  /** Until a line is made, TLS and all. */
  connectMs: number;
  /** From a line to its greeting, and from a greeting to its answer, however the bytes of it dribble in. */
  greetingMs: number;
  /** A receiver says where it stands at least so often. */
  keepaliveMs: number;
  silenceMs: number;
  connections: number;
  /** Bytes that the other side may leave unread: of a receiver's words, of a sender's pieces. */
  unreadWords: number;
  unreadPieces: number;
}

export const TCP_LIMITS: TcpLimits = {
  connectMs: 10_000,
  greetingMs: 10_000,
  keepaliveMs: 15_000,
  silenceMs: 60_000,
  connections: 64,
  unreadWords: 64 * 1024,
  unreadPieces: WINDOW_BYTES,
};

/** What went wrong with a line, in our words. */
function lineTrouble(error: unknown): Refusal {
  if (isRefusal(error)) return error;
  const { message, code, reason } = error as { message?: string; code?: string; reason?: string };
  const said = reason ?? (message || code || String(error)); // OpenSSL's own message is a page of numbers
  return new Refusal("delivery-unreachable", said, { cause: error });
}

function openSocket(address: Address, tls: TlsFiles): Socket {
  const { host, port } = address;
  if (!address.isTls) return connect({ host, port, noDelay: true });
  return connectTls({ host, port, ...servername(host), ...pem(tls), minVersion: TLS_MIN });
}

/** Sends a recording, from where the receiver stands. */
export function deliverOverTcp(
  address: Address,
  tls: TlsFiles,
  queue: Queue,
  limits: TcpLimits = TCP_LIMITS,
): Delivery {
  const out = new Outgoing(queue, 0);
  let socket: Socket | null = null;
  let isOpen = false; // the receiver has said where it stands
  let isClosed = false;
  let tries = 0;
  let timer: NodeJS.Timeout | undefined;
  let greeting: NodeJS.Timeout | undefined; // runs until the receiver has answered

  const pump = () => {
    if (!isOpen || socket === null) return;
    // A receiver that says it has what it never read, or asks again and again, gets no more than it takes off the line.
    while (socket.writableLength < limits.unreadPieces) {
      const piece = out.piece();
      if (piece === null) return;
      socket.write(frameMessage(DELIVERY_PIECE, encodePiece(piece)));
    }
  };
  const heard = (type: number, body: Uint8Array) => {
    if (type === DELIVERY_REFUSAL)
      throw new Refusal("delivery-refused", `the receiver refuses: ${decodeRefusal(body)}`);
    if (type !== DELIVERY_STAND)
      throw new Refusal("delivery-malformed", `a receiver sends messages of type ${type}`);
    const stand = decodeStand(body);
    if (!isOpen) out.withdraw(stand.next); // what an earlier greeting was told may not be so any more
    if (!isOpen || stand.isMissing) out.rewind(stand.next);
    isOpen = true;
    clearTimeout(greeting);
    tries = 0;
    out.isConnected = true;
    out.trouble = null;
    out.taken = Math.max(out.taken, stand.next);
    out.next = Math.max(out.next, out.taken);
    out.confirm(stand);
    pump();
  };
  const lost = (why: unknown) => {
    if (socket === null) return;
    socket.destroy();
    clearTimeout(greeting);
    socket = null;
    isOpen = false;
    out.isConnected = false;
    out.trouble = lineTrouble(why);
    out.changed();
    if (!isClosed) timer = setTimeout(open, retryMs(tries++));
  };
  const open = () => {
    timer = undefined;
    if (queue.id === null) return; // wake() comes when the stream has its name
    const line = openSocket(address, tls);
    socket = line;
    const reader = new MessageReader();
    const mine = (act: () => void) => () => {
      if (socket === line) act();
    };
    const late = mine(() => lost(new Refusal("delivery-unreachable", "no answer in time")));
    line.setTimeout(limits.connectMs, late);
    greeting = setTimeout(late, limits.connectMs + limits.greetingMs);
    line.once(address.isTls ? "secureConnect" : "connect", () => {
      line.setTimeout(limits.silenceMs);
      if (queue.id !== null) line.write(frameMessage(DELIVERY_HELLO, encodeHello(queue.id)));
    });
    line.on("drain", mine(pump));
    line.on("error", (error) => mine(() => lost(error))());
    line.on(
      "close",
      mine(() => lost(new Refusal("delivery-unreachable", "the line was closed"))),
    );
    line.on("data", (bytes) => {
      if (socket !== line) return;
      try {
        reader.push(bytes, heard);
      } catch (error) {
        lost(error);
      }
    });
  };
  open();
  return {
    where: formatAddress(address),
    get standing() {
      return out.standing;
    },
    wake() {
      // Only before the first frame there is neither a line nor a time to make one.
      if (socket === null && timer === undefined && !isClosed) open();
      pump();
    },
    displaced(from) {
      out.withdraw(from);
      pump();
    },
    drain: (timeoutMs) => out.until(() => out.confirmed >= queue.flushed, timeoutMs),
    async close() {
      isClosed = true;
      clearTimeout(timer);
      clearTimeout(greeting);
      socket?.destroy();
      socket = null;
    },
  };
}

export interface Listening {
  readonly port: number;
  close(): Promise<void>;
}

/** What a receiver does with what comes. Errors it throws are told to the sender and end the line. */
export interface Receiving {
  /** A sender greets: where its stream stands here. Refuses what is for somebody else. */
  hello(id: Uint8Array): Stand;
  piece(piece: Piece): Taken;
  /** Everything so far is flushed, and there is room for more. */
  flush(): Promise<Stand>;
  /** The sender is gone, or another one took its place. */
  gone(): void;
  remark(text: string): void;
}

/** Listens for senders. Refuses `listen-failed`. */
export function listenOnTcp(
  address: Address,
  tls: TlsFiles,
  receiving: Receiving,
  limits: TcpLimits = TCP_LIMITS,
): Promise<Listening> {
  const options = {
    ...pem(tls),
    requestCert: tls.ca !== undefined,
    rejectUnauthorized: tls.ca !== undefined,
    handshakeTimeout: limits.connectMs,
    minVersion: TLS_MIN,
  };
  let current: Socket | null = null;
  const sockets = new Set<Socket>();
  const take = (socket: Socket) => {
    if (sockets.size >= limits.connections) return void socket.destroy();
    sockets.add(socket);
    socket.setNoDelay(true);
    serve(socket, receiving, limits, {
      isCurrent: () => current === socket,
      become() {
        if (current !== null && current !== socket) {
          current.destroy();
          receiving.gone();
        }
        current = socket;
      },
      over() {
        sockets.delete(socket);
        if (current !== socket) return;
        current = null;
        receiving.gone();
      },
    });
  };
  let server: Server;
  try {
    server = address.isTls
      ? createTlsServer(options, (socket: TLSSocket) => take(socket))
      : createServer(take);
  } catch (cause) {
    throw new Refusal(
      "delivery-tls",
      `the TLS files can't be used: ${cause instanceof Error ? cause.message : cause}`,
      { cause },
    );
  }
  server.on("tlsClientError", (error: Error) =>
    receiving.remark(`a sender was turned away: ${lineTrouble(error).message}`),
  );
  return new Promise((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        new Refusal("listen-failed", `can't listen on ${formatAddress(address)}: ${cause.message}`, {
          cause,
        }),
      ),
    );
    server.listen(address.port, address.host, () => {
      const bound = server.address();
      resolve({
        port: typeof bound === "object" && bound !== null ? bound.port : address.port,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            for (const socket of sockets) socket.end();
            setTimeout(() => {
              for (const socket of sockets) socket.destroy();
            }, 500).unref();
          }),
      });
    });
  });
}

interface Turn {
  isCurrent(): boolean;
  become(): void;
  over(): void;
}

function serve(socket: Socket, receiving: Receiving, limits: TcpLimits, turn: Turn): void {
  const reader = new MessageReader();
  let isFlushing = false;
  const say = (stand: Stand) => {
    // Who sends and never reads would have us keep all that was said.
    if (socket.writableLength > limits.unreadWords) socket.destroy();
    else socket.write(frameMessage(DELIVERY_STAND, encodeStand(stand)));
  };
  const refuse = (error: unknown) => {
    const refusal = lineTrouble(error);
    receiving.remark(
      `a sender at ${socket.remoteAddress ?? "?"} is refused: ${refusal.message} [${refusal.code}]`,
    );
    socket.end(frameMessage(DELIVERY_REFUSAL, encodeRefusal(refusal.code)));
    setTimeout(() => socket.destroy(), 500).unref();
  };
  const flushSoon = () => {
    if (isFlushing) return;
    isFlushing = true;
    setImmediate(async () => {
      isFlushing = false;
      if (!turn.isCurrent()) return;
      try {
        say(await receiving.flush());
      } catch (error) {
        refuse(error);
      }
    });
  };
  const heard = (type: number, body: Uint8Array) => {
    if (type === DELIVERY_HELLO) {
      const stand = receiving.hello(decodeHello(body));
      clearTimeout(greeting);
      turn.become();
      say(stand);
      return;
    }
    if (type !== DELIVERY_PIECE || !turn.isCurrent())
      throw new Refusal("delivery-malformed", `a message of type ${type} from a sender that hasn't greeted`);
    const taken = receiving.piece(decodePiece(body));
    if (taken === "missing" || taken === "astray")
      throw new Refusal("delivery-malformed", "a piece that doesn't begin where the one before it ended");
    flushSoon();
  };
  const keepAlive = setInterval(() => {
    if (turn.isCurrent()) flushSoon();
  }, limits.keepaliveMs);
  // Who never greets would have one of the few lines for as long as it says a byte now and then.
  const greeting = setTimeout(() => socket.destroy(), limits.greetingMs);
  socket.setTimeout(limits.silenceMs, () => socket.destroy());
  socket.on("error", () => {}); // close follows
  socket.on("close", () => {
    clearInterval(keepAlive);
    clearTimeout(greeting);
    turn.over();
  });
  socket.on("data", (bytes) => {
    if (socket.writableEnded) return;
    try {
      reader.push(bytes, heard);
    } catch (error) {
      refuse(error);
    }
  });
}
