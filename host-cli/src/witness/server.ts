// The witness over HTTP, C2SP tlog-witness v1.0.0: two paths, and nothing else is there.
//
//   POST /add-checkpoint                      200 signature lines, or why not, in a line of text
//   GET  /<sha256hex(origin)>/checkpoint      the newest note with our cosignature, for monitors
//
//   400 not a request, old size beyond new     409 other old size: `Content-Type: text/x.tlog.size`, the size
//   403 no signature that is trusted           422 not an extension of what was cosigned
//   404 unknown log                            413, 415, 405, 408, 431 what HTTP has a word for
//   500 our signer or our disk                 503 our clock
//
// Whoever asks is not known, so everything has a bound: heads, bodies, their time, connections, requests on one.
// A body is read whole before anything is looked at; one that is too long is not read on.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { utf8Encode } from "@vouch/shared/bytes";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { formatAnswer, MAX_REQUEST, OldSizeMismatch, statusOfRefusal } from "@vouch/shared/witness";
import type { Witness } from "./witness";

export interface ServerLimits {
  /** For the head of a request, and for all of it. */
  readonly headMs: number;
  readonly requestMs: number;
  readonly idleMs: number;
  readonly connections: number;
  /** How long requests in the making may go on after close(). */
  readonly graceMs: number;
}

export const DEFAULT_LIMITS: ServerLimits = {
  headMs: 5_000,
  requestMs: 10_000,
  idleMs: 15_000,
  connections: 256,
  graceMs: 5_000,
};

const MAX_HEAD = 8 * 1024;
const MAX_HEADERS = 64;
const REQUESTS_ON_ONE = 1000;

/** One request, for the log. Nothing in it is secret; what the client chose is the caller's to quote. */
export interface RequestLine {
  readonly from: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  /** Why not; null for 200. */
  readonly code: string | null;
  readonly message: string | null;
  readonly origin: string | null;
  readonly size: bigint | null;
  readonly ms: number;
}

export interface ServerParts {
  readonly witness: Witness;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly limits?: Partial<ServerLimits>;
  readonly onRequest?: (line: RequestLine) => void;
}

export interface WitnessServer {
  readonly url: string;
  /** No new requests; those in the making are finished. */
  close(): Promise<void>;
}

/** Refuses `listen-failed`. */
export async function startServer(parts: ServerParts): Promise<WitnessServer> {
  const limits = { ...DEFAULT_LIMITS, ...parts.limits };
  const server = createServer({
    maxHeaderSize: MAX_HEAD,
    headersTimeout: limits.headMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.idleMs,
    connectionsCheckingInterval: Math.min(1000, limits.headMs),
  });
  server.maxHeadersCount = MAX_HEADERS;
  server.maxConnections = limits.connections;
  server.maxRequestsPerSocket = REQUESTS_ON_ONE;
  server.timeout = limits.requestMs + limits.idleMs; // a client that stops reading
  const report = parts.onRequest ?? (() => {});
  const busy = new Set<Promise<void>>();
  server.on("request", (request, response) => {
    const work = answer(parts.witness, request, response, report).finally(() => busy.delete(work));
    busy.add(work);
  });
  server.on("clientError", (error, socket) => refuseRaw(error, socket as Socket, report));
  await listening(server, parts.host, parts.port);
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === "IPv6" ? `[${address}]` : address}:${port}`,
    close: () => stop(server, busy, limits.graceMs),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: Error & { code?: string }) =>
      reject(
        new Refusal("listen-failed", `can't listen on ${host} port ${port}: ${cause.code ?? cause.message}`, {
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
}

async function stop(server: Server, busy: ReadonlySet<Promise<void>>, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
  await Promise.all(busy); // what is being kept or signed needs the state and the key
}

interface Reply {
  readonly status: number;
  readonly body: Uint8Array;
  readonly type?: string;
  readonly code?: string;
  readonly message?: string;
  readonly origin?: string;
  readonly size?: bigint;
  readonly close?: boolean;
  readonly headers?: Record<string, string>;
}

async function answer(
  witness: Witness,
  request: IncomingMessage,
  response: ServerResponse,
  report: (line: RequestLine) => void,
): Promise<void> {
  const began = performance.now();
  request.on("error", () => {}); // a client that goes away in the middle
  response.on("error", () => {});
  let reply: Reply;
  try {
    reply = await route(witness, request);
  } catch (error) {
    reply = refusal(error);
  }
  const { status, body, type, code, message, origin, size, close, headers } = reply;
  response.writeHead(status, {
    "content-type": type ?? "text/plain; charset=utf-8",
    "content-length": body.length,
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    ...(close === true ? { connection: "close" } : {}),
    ...headers,
  });
  response.end(request.method === "HEAD" ? undefined : body);
  if (close === true) response.on("finish", () => request.socket.destroySoon());
  report({
    from: request.socket.remoteAddress ?? "",
    method: request.method ?? "",
    path: request.url ?? "",
    status,
    code: code ?? null,
    message: message ?? null,
    origin: origin ?? null,
    size: size ?? null,
    ms: Math.round(performance.now() - began),
  });
}

async function route(witness: Witness, request: IncomingMessage): Promise<Reply> {
  const { method = "", url = "" } = request;
  if (url === "/add-checkpoint") {
    if (method !== "POST") return notAllowed(method, "POST");
    return addCheckpoint(witness, request);
  }
  const [, hash] = /^\/([0-9a-f]{64})\/checkpoint$/.exec(url) ?? [];
  if (hash === undefined) return no(404, "no-such-path", "there is no such path");
  if (method !== "GET" && method !== "HEAD") return notAllowed(method, "GET, HEAD");
  const note = witness.checkpointOf(hash);
  return note === null
    ? no(404, "nothing-cosigned", "this witness has cosigned no checkpoint of that log")
    : { status: 200, body: note };
}

async function addCheckpoint(witness: Witness, request: IncomingMessage): Promise<Reply> {
  const encoding = request.headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity")
    return { ...no(415, "encoded", "bodies are taken as they are, not compressed"), close: true };
  const body = await readBody(request);
  if (body === null)
    return { ...no(413, "too-large", `a request has at most ${MAX_REQUEST} bytes`), close: true };
  const { line, checkpoint } = await witness.addCheckpoint(body);
  const { origin, size } = checkpoint;
  return { status: 200, body: formatAnswer([line]), origin, size };
}

/** Null when there is more than a request can have. */
async function readBody(request: IncomingMessage): Promise<Uint8Array | null> {
  if (Number(request.headers["content-length"] ?? 0) > MAX_REQUEST) return null;
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let size = 0;
    request.on("data", (part: Buffer) => {
      size += part.length;
      if (size > MAX_REQUEST) {
        request.pause();
        request.removeAllListeners("data");
        return resolve(null);
      }
      parts.push(part);
    });
    request.on("end", () => resolve(Uint8Array.from(Buffer.concat(parts))));
    request.on("close", () => reject(new Refusal("client-gone", "the client went away")));
  });
}

const no = (status: number, code: string, message: string): Reply => ({
  status,
  code,
  message,
  body: utf8Encode(`${message}\n`),
});

const notAllowed = (method: string, allow: string): Reply => ({
  ...no(405, "method", `${/^[A-Z]{1,20}$/.test(method) ? method : "that"} isn't a method of this path`),
  headers: { allow },
  close: true,
});

/** Ours are told apart from theirs: what went wrong on this side is for the log, not for strangers. */
function refusal(error: unknown): Reply {
  if (error instanceof OldSizeMismatch)
    return {
      status: 409,
      code: error.code,
      message: error.message,
      type: "text/x.tlog.size",
      body: utf8Encode(`${error.knownSize}\n`),
    };
  if (isRefusal(error)) {
    if (error.code === "client-gone") return { ...no(400, error.code, error.message), close: true };
    const status = error.code === "clock-behind" ? 503 : statusOfRefusal(error.code);
    if (status < 500) return no(status, error.code, error.message);
    return { ...no(status, error.code, error.message), body: utf8Encode("the witness can't sign now\n") };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return { ...no(500, "internal", message), body: utf8Encode("the witness can't sign now\n") };
}

const RAW: Record<string, readonly [status: number, words: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [408, "Request Timeout"],
  HPE_HEADER_OVERFLOW: [431, "Request Header Fields Too Large"],
};

/** What never became a request. */
function refuseRaw(
  error: Error & { code?: string },
  socket: Socket,
  report: (line: RequestLine) => void,
): void {
  const [status, words] = RAW[error.code ?? ""] ?? [400, "Bad Request"];
  const from = socket.remoteAddress ?? "";
  if (socket.writable && error.code !== "ECONNRESET")
    socket.end(`HTTP/1.1 ${status} ${words}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  else socket.destroy();
  setTimeout(() => socket.destroy(), 1000).unref();
  const code = (error.code ?? "malformed-http").toLowerCase().replaceAll("_", "-");
  report({ from, method: "", path: "", status, code, message: null, origin: null, size: null, ms: 0 });
}
