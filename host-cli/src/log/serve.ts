// A log's folder over HTTP, to be read only. Any file host does as well; this one knows what belongs to a log.
//
//   checkpoint                          no-cache: it is the one file that changes
//   tile/<L>/<N>, tile/entries/<N>      immutable: a full tile never changes
//   tile/….p/<W>                        for minutes: the same for ever, but gone once the tile is full
//   anchors/<size>/…                    receipts of ledgers for earlier checkpoints
//
// A path is compared with the forms above and never followed: there is nothing in it that could lead elsewhere.
// A tile that the checkpoint doesn't commit to isn't offered, even if it lies there: an append may be under way, or
// was cut short and its tiles will be written again with other content, and somebody would keep the first for ever.

import { createReadStream, fstatSync, type Stats, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream";
import { parseCheckpoint } from "@vouch/shared/checkpoint";
import { MAX_NOTE, parseNote } from "@vouch/shared/note";
import { isRefusal } from "@vouch/shared/refusal";
import { parseTilePath, TILE_WIDTH } from "@vouch/shared/tiles";
import { readInput } from "../readfiles";

const YEAR_S = 31_536_000;
const PARTIAL_S = 300;
const SLOW_MS = 30_000;
const ANCHOR =
  /^anchors\/(?:(0|[1-9][0-9]{0,18})\/(?:checkpoint|[a-z][a-z0-9-]{0,31}\.tlog-proof|(?:rebased|stardust)\.receipt)|rebased\.walk\.json)$/;

interface Offered {
  readonly type: string;
  readonly cache: string;
}

const BYTES = "application/octet-stream";
const TEXT = "text/plain; charset=utf-8";

/** What is offered under a path, or null. `size` is asked for when the path is a tile's. */
export function offered(path: string, size: () => bigint): Offered | null {
  if (path === "checkpoint") return { type: TEXT, cache: "no-cache" };
  const tile = parseTilePath(path);
  if (tile !== null) {
    const stored = tile.level === "entries" ? size() : size() >> BigInt(8 * tile.level);
    if (tile.index * 256n + BigInt(tile.width) > stored) return null;
    const full = tile.width === TILE_WIDTH;
    return { type: BYTES, cache: full ? `max-age=${YEAR_S}, immutable` : `max-age=${PARTIAL_S}` };
  }
  if (ANCHOR.test(path))
    return { type: path.endsWith(".json") ? "application/json" : TEXT, cache: "no-cache" };
  return null;
}

/** The size of the log as of its checkpoint, read again when that file is another. */
function sizeIn(folder: string): () => bigint {
  const path = join(folder, "checkpoint");
  let known: { stamp: string; size: bigint } | undefined;
  return () => {
    const { ino, mtimeMs } = statSync(path);
    const stamp = `${ino} ${mtimeMs}`;
    if (known?.stamp !== stamp)
      known = { stamp, size: parseCheckpoint(parseNote(readInput(path, MAX_NOTE)).text).size };
    return known.size;
  };
}

/** A server for the folder, not listening yet. `told` hears of each answer. */
export function logServer(
  folder: string,
  told: (method: string, path: string, status: number) => void,
): Server {
  const size = sizeIn(folder);
  const answering = new WeakSet<Socket>();
  const server = createServer(
    { headersTimeout: SLOW_MS, requestTimeout: SLOW_MS, keepAliveTimeout: 5000, maxHeaderSize: 16 * 1024 },
    (request, response) => {
      const { method = "", url = "", socket } = request;
      // Answers that nobody waits for would open a file each, thousands on one connection.
      if (answering.has(socket)) return void socket.destroy();
      answering.add(socket);
      for (const over of ["finish", "close"]) response.on(over, () => answering.delete(socket));
      const path = url.replace(/^\//, "").replace(/\?.*$/s, "");
      response.on("close", () => told(method, path, response.statusCode));
      answer(folder, path, size, request, response);
    },
  );
  server.maxConnections = 512;
  server.maxRequestsPerSocket = 10_000;
  server.setTimeout(SLOW_MS); // a reader that takes nothing for so long is let go
  return server;
}

function answer(
  folder: string,
  path: string,
  size: () => bigint,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const refuse = (status: number, headers: Record<string, string> = {}) =>
    response.writeHead(status, { "content-type": TEXT, "cache-control": "no-cache", ...headers }).end();
  request.resume(); // whatever body there is says nothing to us
  if (request.method !== "GET" && request.method !== "HEAD") return void refuse(405, { allow: "GET, HEAD" });
  let found: Offered | null;
  let stat: Stats | undefined;
  const file = join(folder, path);
  try {
    found = offered(path, size);
    stat = found === null ? undefined : statSync(file, { throwIfNoEntry: false });
  } catch (error) {
    if (!isRefusal(error) && !(error instanceof Error && "syscall" in error)) throw error;
    return void refuse(500);
  }
  if (found === null || stat?.isFile() !== true) return void refuse(404);
  const headers = {
    "content-type": found.type,
    "cache-control": found.cache,
    "x-content-type-options": "nosniff",
  };
  if (request.method === "HEAD") {
    response.writeHead(200, { ...headers, "content-length": stat.size }).end();
    return;
  }
  // As long as the file that was opened, which for a checkpoint may be the next one already.
  const stream = createReadStream(file);
  stream.on("error", () => (response.headersSent ? response.destroy() : refuse(404)));
  stream.on("open", (fd) => {
    const { size: length } = fstatSync(fd);
    response.writeHead(200, { ...headers, "content-length": length });
    pipeline(stream, response, () => {});
  });
}
