// The replay node: JSON-RPC over HTTP and gRPC v1 over h2, on loopback, in front of a SIMULATED chain
// (replay-chain.ts). It answers honestly until it is told a fault; `scripts/replay-node.mjs` starts it by hand.
//
//   faults.late = n         the transaction has no checkpoint for the next n questions
//   faults.pruned           FAILED_PRECONDITION for checkpoints and transactions
//   faults.chain = "…"      another chain's identifier
//   faults.digest           the digest of what was executed is another's
//   faults.transaction      bytes of another transaction
//   faults.effects          bytes of other effects
//   faults.committee        certificates by validators of nobody's
//   faults.stale            an older checkpoint than was asked for
//   faults.truncated        streams end in the middle of a message
//   faults.slow = ms        every answer waits
//   faults.huge             answers without end
//   faults.redirect = url   HTTP redirects there
//   faults.refuse           executes nothing
//   faults.unknown          denies every transaction
//
// The messages are written here by hand, apart from the client's reader, with the field numbers of iota.grpc.v1.

import { createServer } from "node:http";
import { createServer as createServer2, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { equalBytes, fromBase64, fromHex, toHex } from "@vouch/shared/bytes";
import { base58 } from "@vouch/shared/rebased/digest";
import { addressText, encodeTransaction } from "@vouch/shared/rebased/transaction";
import { isRefusal } from "@vouch/shared/refusal";
import { encodeEffects, makeValidators } from "../../shared/test/rebased-kit";
import {
  type Certified,
  type Executed,
  PRICE,
  SIMULATED_CHAIN,
  SimulatedChain,
  validatorsOf,
} from "./replay-chain";

export interface Faults {
  late?: number;
  pruned?: boolean;
  chain?: string;
  digest?: boolean;
  transaction?: boolean;
  effects?: boolean;
  committee?: boolean;
  stale?: boolean;
  truncated?: boolean;
  slow?: number;
  huge?: boolean;
  redirect?: string;
  refuse?: boolean;
  unknown?: boolean;
}

export interface ReplayNode {
  readonly chain: SimulatedChain;
  faults: Faults;
  /** `http://127.0.0.1:…`, and the same of gRPC. */
  readonly rpc: string;
  readonly grpc: string;
  /** For --ledger. */
  readonly where: string;
  /** What was asked, in order; `onRequest` is told before and after each is answered. */
  readonly asked: string[];
  onRequest: (name: string, when: "asked" | "done") => void | Promise<void>;
  close(): Promise<void>;
}

const IMPOSTORS = makeValidators("impostors", [5000, 5000]);

export async function startReplayNode(chain = new SimulatedChain()): Promise<ReplayNode> {
  const http = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", async () => {
      const { id, method, params } = JSON.parse(Buffer.concat(parts).toString());
      await before(node, method);
      const { huge, redirect } = node.faults;
      if (redirect !== undefined) return response.writeHead(307, { location: redirect }).end();
      if (huge) {
        const more = () => {
          while (!response.destroyed && response.write("9".repeat(65_536)));
        };
        response.on("drain", more);
        return more();
      }
      let body: object;
      try {
        body = { jsonrpc: "2.0", id, result: answer(node, method, params) };
        await node.onRequest(method, "done");
      } catch (error) {
        body = { jsonrpc: "2.0", id, error: { code: -32002, message: (error as Error).message } };
      }
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  const http2 = createServer2();
  http2.on("stream", (stream: ServerHttp2Stream, headers) => {
    const parts: Buffer[] = [];
    stream.on("error", () => {});
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("end", async () => {
      const method = String(headers[":path"]).replace("/iota.grpc.v1.ledger_service.LedgerService/", "");
      await before(node, method);
      if (!stream.destroyed) serve(node, stream, method, new Uint8Array(Buffer.concat(parts).subarray(5)));
      await node.onRequest(method, "done");
    });
  });
  const sessions = new Set<{ destroy(): void }>();
  http2.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  const rpc = `http://127.0.0.1:${await listen(http)}`;
  const grpc = `http://127.0.0.1:${await listen(http2)}`;
  const node: ReplayNode = {
    chain,
    faults: {},
    rpc,
    grpc,
    where: `rebased:${rpc},grpc=${grpc}`,
    asked: [],
    onRequest: () => {},
    close: async () => {
      for (const session of sessions) session.destroy();
      http.closeAllConnections();
      await Promise.all([http, http2].map((server) => new Promise((done) => server.close(done))));
    },
  };
  return node;
}

const listen = (server: {
  listen(port: number, host: string, done: () => void): unknown;
  address(): unknown;
}) =>
  new Promise<number>((done) => {
    server.listen(0, "127.0.0.1", () => done((server.address() as AddressInfo).port));
  });

async function before(node: ReplayNode, name: string): Promise<void> {
  node.asked.push(name);
  await node.onRequest(name, "asked");
  const { slow } = node.faults;
  if (slow !== undefined) await new Promise((done) => setTimeout(done, slow));
}

// ---- JSON-RPC

function answer(node: ReplayNode, method: string, params: unknown[]): unknown {
  const { chain, faults } = node;
  switch (method) {
    case "iota_getChainIdentifier":
      return faults.chain ?? SIMULATED_CHAIN;
    case "iotax_getReferenceGasPrice":
      return String(PRICE);
    case "iotax_getCoins": {
      const owner = fromHex(String(params[0]).slice(2))!;
      const { objectId, version, digest, balance } = chain.coinOf(owner);
      const coin = {
        coinType: "0x2::iota::IOTA",
        coinObjectId: addressText(objectId),
        version: String(version),
        digest: base58(digest),
        balance: String(balance),
        previousTransaction: base58(digest),
      };
      return { data: [coin], nextCursor: addressText(objectId), hasNextPage: false };
    }
    case "iota_executeTransactionBlock": {
      if (faults.refuse) throw new Error("validators are not available");
      const signatures = (params[1] as string[]).map((text) => fromBase64(text)!);
      const executed = chain.execute(fromBase64(params[0] as string)!, signatures);
      return { digest: faults.digest ? base58(new Uint8Array(32).fill(7)) : base58(executed.id) };
    }
    case "iota_getTransactionBlock": {
      const found = find(node, (e) => base58(e.id) === params[0]);
      if (found === undefined)
        throw new Error(`Could not find the referenced transaction [TransactionDigest(${params[0]})].`);
      const digest = faults.digest ? base58(new Uint8Array(32).fill(7)) : base58(found.id);
      if (faults.late !== undefined && faults.late-- > 0) return { digest };
      if (found.checkpoint === null) return { digest };
      return { digest, checkpoint: String(found.checkpoint), timestampMs: String(Date.now()) };
    }
    default:
      throw new Error("Method not found");
  }
}

const find = (node: ReplayNode, test: (e: Executed) => boolean): Executed | undefined =>
  node.faults.unknown ? undefined : [...node.chain.executed.values()].find(test);

// ---- gRPC

const varint = (value: bigint): number[] =>
  value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)];
const uint = (field: number, value: bigint) => Buffer.from([...varint(BigInt(field << 3)), ...varint(value)]);
const bytes = (field: number, ...parts: Uint8Array[]) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([
    Buffer.from([...varint(BigInt((field << 3) | 2)), ...varint(BigInt(body.length))]),
    body,
  ]);
};
const text = (field: number, value: string) => bytes(field, Buffer.from(value));
const versioned = (data: Uint8Array) => Buffer.concat([Buffer.from([0]), data]);

/** Fields of a request, good enough for ours: number to value, the first of each. */
function read(message: Uint8Array): Map<number, bigint | Uint8Array> {
  const out = new Map<number, bigint | Uint8Array>();
  let at = 0;
  const number = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const key = Number(number());
    const value = number();
    if ((key & 7) === 0) out.set(key >> 3, value);
    else {
      out.set(key >> 3, message.slice(at, at + Number(value)));
      at += Number(value);
    }
  }
  return out;
}
const inner = (message: Uint8Array, ...path: number[]): Uint8Array =>
  path.reduce((m, field) => read(m).get(field) as Uint8Array, message);

class Status extends Error {
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

function serve(node: ReplayNode, stream: ServerHttp2Stream, method: string, request: Uint8Array): void {
  const head = { ":status": 200, "content-type": "application/grpc+proto" };
  try {
    const messages = grpcAnswer(node, method, request);
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.respond(head, { waitForTrailers: true });
    for (const message of messages) {
      const frame = Buffer.alloc(5 + message.length);
      frame.writeUInt32BE(message.length, 1);
      frame.set(message, 5);
      if (node.faults.truncated) return void stream.end(frame.subarray(0, frame.length - 9));
      stream.write(frame);
    }
    if (node.faults.huge) {
      const frame = Buffer.alloc(5 + 65_536);
      frame.writeUInt32BE(65_536, 1);
      const more = () => {
        while (!stream.destroyed && stream.write(frame));
      };
      stream.on("drain", more);
      more();
      return;
    }
    stream.end();
  } catch (error) {
    if (!(error instanceof Status) && !isRefusal(error)) console.error(error);
    const code = error instanceof Status ? error.code : 13;
    const message = encodeURIComponent((error as Error).message);
    stream.respond({ ...head, "grpc-status": String(code), "grpc-message": message }, { endStream: true });
  }
}

function grpcAnswer(node: ReplayNode, method: string, request: Uint8Array): Uint8Array[] {
  const { chain, faults } = node;
  switch (method) {
    case "GetServiceInfo": {
      const id = Buffer.concat([fromHex(faults.chain ?? SIMULATED_CHAIN)!, Buffer.alloc(28)]);
      return [Buffer.concat([bytes(1, bytes(1, id)), text(2, "simulated"), uint(3, chain.epoch)])];
    }
    case "GetTransactions": {
      const digest = inner(request, 1, 1, 1, 1);
      if (faults.pruned) throw new Status(9, "transaction data is pruned");
      const found = find(node, (e) => equalBytes(e.id, digest));
      if (found === undefined)
        return [bytes(1, bytes(2, uint(1, 5n), text(2, `Transaction ${base58(digest)} not found`)))];
      const other = encodeTransaction({ ...found.parsed, payload: new Uint8Array(3) });
      const transaction = faults.transaction ? other : found.transaction;
      const effects = faults.effects ? encodeEffects(found.id, chain.epoch + 1n) : found.effects;
      return [
        bytes(
          1,
          bytes(
            1,
            bytes(1, bytes(1, bytes(1, found.id)), bytes(2, bytes(1, transaction))),
            bytes(3, bytes(2, bytes(1, effects))),
            found.checkpoint === null ? Buffer.alloc(0) : uint(5, found.checkpoint),
          ),
        ),
      ];
    }
    case "GetCheckpoint": {
      if (faults.pruned) throw new Status(9, `lowest_available_checkpoint is ${1000n * chain.epoch + 900n}`);
      const asked = read(request).get(2) as bigint;
      const found = faults.stale ? chain.certified(asked - 1n, []) : chain.checkpoints.get(asked);
      if (found === undefined) throw new Status(5, `checkpoint ${asked} not found`);
      const executed = [...chain.executed.values()].filter((e) => e.checkpoint === asked);
      const given = faults.committee ? chain.certified(asked, executed, IMPOSTORS) : found;
      const number = faults.stale ? asked - 1n : asked;
      return [bytes(1, uint(1, number), checkpoint(given)), bytes(5, uint(1, number))];
    }
    case "GetEpoch": {
      const epoch = (read(request).get(1) as bigint | undefined) ?? chain.epoch;
      if (epoch > chain.epoch) throw new Status(5, `epoch ${epoch} not found`);
      const members = validatorsOf(epoch).map((v) => bytes(1, bytes(1, v.publicKey), uint(2, v.stake)));
      const committee = bytes(2, uint(1, epoch), bytes(2, ...members));
      const close = chain.closes.get(epoch);
      const proof = close === undefined ? Buffer.alloc(0) : bytes(10, bytes(1, checkpoint(close)));
      return [bytes(1, uint(1, epoch), committee, proof)];
    }
    default:
      throw new Status(12, `${method} is unimplemented`);
  }
}

/** Fields 2, 3 and 4 of a Checkpoint: the version byte stands before summary and signature, not before the contents. */
const checkpoint = ({ summary, certificate, contents }: Certified) =>
  Buffer.concat([
    bytes(2, bytes(2, bytes(1, versioned(summary)))),
    bytes(3, bytes(2, bytes(1, contents))),
    bytes(4, bytes(1, bytes(1, versioned(certificate)))),
  ]);

/** Told by a line: what the hand-started node understands. Gives what to print. */
export function command(node: ReplayNode, line: string): string {
  const [verb = "", arg = "", value] = line.trim().split(/\s+/);
  const { chain } = node;
  if (verb === "epoch") chain.advance(Number(arg || 1));
  else if (verb === "seal") chain.seal();
  else if (verb === "hold") chain.sealsAtOnce = arg === "off";
  else if (verb === "spend") chain.spend(fromHex(arg.slice(2))!);
  else if (verb === "honest") node.faults = {};
  else if (verb === "fault")
    node.faults = {
      ...node.faults,
      [arg]: value === undefined ? true : /^[0-9]+$/.test(value) && arg !== "chain" ? Number(value) : value,
    };
  else if (verb === "list")
    return [...chain.executed.values()]
      .map(
        (e) =>
          `${base58(e.id)} in ${e.checkpoint ?? "no checkpoint"} by 0x${toHex(e.parsed.sender).slice(0, 8)}…`,
      )
      .join("\n");
  else return "epoch [N] | seal | hold [off] | spend 0x… | fault NAME [VALUE] | honest | list";
  return `epoch ${chain.epoch}, faults ${JSON.stringify(node.faults)}`;
}
