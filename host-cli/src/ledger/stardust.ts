// What is asked of a Stardust node, and blocks for it, through IOTA's own library: the file that imports
// @iota/iota.js and @iota/util.js.
//
//   GET  /api/core/v2/info  tips  blocks/ID/metadata                     JSON
//        blocks/ID  milestones/by-index/N                                bytes
//   POST /api/core/v2/blocks                                             bytes, never JSON
//
// The library is of release candidates, unmaintained since 2023, and this is how far it is used:
//
//   - its SingleNodeClient knows the routes, and asks through `askHttp`: by itself it waits for ever, follows
//     redirects, and reads answers of any length
//   - it gets no proof-of-work provider: with one it asks for tips 42 times where no work is wanted
//   - it is handed complete blocks as bytes, a copy of them: it writes the version into what it is given, and a block
//     without parents or nonce lets the node send another one than ours
//   - its serializer gets a tag of 1 to 63 bytes: none gives broken bytes, and 64 count as 65; what comes out
//     must be what our own encoder makes
//   - sendData, promote, reattach and health() are left alone: they send empty blocks, blocks without parents, and
//     call a node without neighbours dead
//
// Nothing that comes back is believed: shapes are checked here, the proof by the verifier.

import {
  type IBlock,
  type INodeInfo,
  SingleNodeClient,
  serializeBlock,
  TAGGED_DATA_PAYLOAD_TYPE,
} from "@iota/iota.js";
import { WriteStream } from "@iota/util.js";
import { equalBytes, fromHex, toHex } from "@vouch/shared/bytes";
import { integer, list, matching, type Shape } from "@vouch/shared/json";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { encodeBlock, MAX_PARENTS, PROTOCOL_VERSION } from "@vouch/shared/stardust/block";
import { compareBytes } from "@vouch/shared/stardust/layout";
import { MAX_BLOCK } from "@vouch/shared/stardust/receipt";
import type { Deadline } from "./deadline";
import { askHttp, type HttpAnswer } from "./http";
import { absent, some } from "./json-rpc";

const MAX_ANSWER = 256 * 1024; // the longest block as JSON has 65 KB
const WORK_MS = 10 * 60_000; // a node that does the work for a block answers once it is done

export interface NodeInfo {
  readonly network: string;
  readonly version: number;
  readonly minPowScore: number;
  /** After so many milestones a block that none references can't be any more. */
  readonly belowMaxDepth: number;
  /** Index of the last one that the node has. */
  readonly milestone: number;
  readonly worksForOthers: boolean;
}

export interface BlockState {
  /** The milestone that references it; null when none does. */
  readonly referencedBy: number | null;
  readonly shouldPromote: boolean;
  readonly shouldReattach: boolean;
}

/** All refuse `node-unreachable`, `node-answer`, and `node-refused` for the node's own no. */
export interface TangleNode {
  readonly host: string;
  info(deadline: Deadline): Promise<NodeInfo>;
  /** One to eight ids, ascending: what a new block may take for parents. */
  tips(deadline: Deadline): Promise<Uint8Array[]>;
  /** Null for a block the node doesn't know. */
  state(id: Uint8Array, deadline: Deadline): Promise<BlockState | null>;
  raw(id: Uint8Array, deadline: Deadline): Promise<Uint8Array | null>;
  /** Bytes of a milestone; null when the node doesn't have it. */
  milestone(index: number, deadline: Deadline): Promise<Uint8Array | null>;
  /** Hands a block in; gives the id that the node says it has. */
  submit(block: Uint8Array, deadline: Deadline): Promise<Uint8Array>;
}

const hexId: Shape<Uint8Array> = (value, at) =>
  fromHex(matching(/^0x[0-9a-f]{64}$/, "0x and 64 hex digits")(value, at).slice(2))!;

const u32 = integer(0, 0xffffffff);
const flag: Shape<boolean> = (value) => value === true;

const INFO = some({
  status: some({ confirmedMilestone: some({ index: u32 }) }),
  protocol: some({
    version: integer(0, 255),
    networkName: matching(/^[ -~]{1,255}$/, "a network's name"),
    minPowScore: u32,
    belowMaxDepth: integer(1, 255),
  }),
  features: absent(list(matching(/^[ -~]{0,64}$/, "a feature"), 0, 64)),
});
const TIPS = some({ tips: list(hexId, 1, MAX_PARENTS) });
const STATE = some({
  blockId: hexId,
  referencedByMilestoneIndex: absent(integer(1, 0xffffffff)),
  shouldPromote: flag,
  shouldReattach: flag,
});
const bytes: Shape<Uint8Array> = (value) => value as Uint8Array;

export function openNode(url: URL): TangleNode {
  const { host } = url;
  const ask = async <T>(
    deadline: Deadline,
    what: string,
    question: (client: SingleNodeClient) => Promise<unknown>,
    shape: Shape<T>,
    mostMs?: number,
  ): Promise<T> => {
    const { client, answered } = guardedClient(url, () => deadline.askMs(mostMs));
    let answer: unknown;
    try {
      answer = await question(client);
    } catch (error) {
      throw isRefusal(error) ? error : refusalOf(host, what, answered(), error);
    }
    try {
      return shape(answer, what);
    } catch (cause) {
      if (!isRefusal(cause)) throw cause;
      throw new Refusal("node-answer", `${host}: ${cause.message}`, { cause });
    }
  };
  const known = <T>(asked: Promise<T>): Promise<T | null> =>
    asked.catch((error) => {
      if (isRefusal(error) && error.code === "node-not-found") return null;
      throw error;
    });

  return {
    host,
    async info(deadline) {
      const { status, protocol, features } = await ask(
        deadline,
        "info",
        (client): Promise<INodeInfo> => client.info(),
        INFO,
      );
      const { networkName: network, version, minPowScore, belowMaxDepth } = protocol;
      const milestone = status.confirmedMilestone.index;
      const worksForOthers = features?.includes("pow") === true;
      return { network, version, minPowScore, belowMaxDepth, milestone, worksForOthers };
    },
    async tips(deadline) {
      const { tips } = await ask(deadline, "tips", (client) => client.tips(), TIPS);
      return sortedIds(tips);
    },
    state: (id, deadline) =>
      known(
        ask(deadline, "metadata", (client) => client.blockMetadata(hexOf(id)), STATE).then((found) => {
          checkSame(host, found.blockId, id);
          const { referencedByMilestoneIndex: referencedBy, shouldPromote, shouldReattach } = found;
          return { referencedBy, shouldPromote, shouldReattach };
        }),
      ),
    raw: (id, deadline) => known(ask(deadline, "block", (client) => client.blockRaw(hexOf(id)), bytes)),
    milestone: (index, deadline) =>
      known(ask(deadline, "milestone", (client) => client.milestoneByIndexRaw(index), bytes)),
    submit: (block, deadline) =>
      ask(deadline, "blockId", (client) => client.blockSubmitRaw(block.slice()), hexId, WORK_MS),
  };
}

export const hexOf = (id: Uint8Array) => `0x${toHex(id)}`;

/** Refuses `node-answer`. */
export function checkSame(host: string, found: Uint8Array, asked: Uint8Array): void {
  if (!equalBytes(found, asked))
    throw new Refusal("node-answer", `${host} speaks of block ${hexOf(found)}, asked was ${hexOf(asked)}`);
}

/** Ascending, each once: the only order of parents a node takes. */
export const sortedIds = (ids: readonly Uint8Array[]): Uint8Array[] =>
  [...ids].sort(compareBytes).filter((id, i, all) => i === 0 || !equalBytes(all[i - 1]!, id));

/** The library's client, all of whose questions go through one private method: that one is ours. */
function guardedClient(url: URL, timeoutMs: () => number) {
  let last: HttpAnswer | null = null;
  const client = new SingleNodeClient(url.href.replace(/\/+$/, ""));
  const base = url.href.replace(/\/+$/, "");
  const fetchWithTimeout = async (
    method: string,
    route: string,
    headers: Record<string, string>,
    body?: string | Uint8Array,
  ) => {
    const verb = method === "post" ? "POST" : "GET";
    last = await askHttp(new URL(base + route), {
      method: verb,
      headers,
      body,
      maxBytes: MAX_ANSWER,
      timeoutMs: timeoutMs(),
    });
    return responseOf(last);
  };
  Object.defineProperty(client, "fetchWithTimeout", { value: fetchWithTimeout });
  return { client, answered: () => last };
}

/** As much of fetch's Response as the library looks at. */
const responseOf = ({ status, body }: HttpAnswer) => ({
  ok: status >= 200 && status < 300,
  status,
  statusText: `HTTP status ${status}`,
  json: async () => JSON.parse(body.toString("utf8")),
  text: async () => body.toString("utf8"),
  arrayBuffer: async () => Uint8Array.from(body).buffer,
});

/** What the library threw, as a refusal: it throws for the node's own no and trips over anything else. */
function refusalOf(host: string, what: string, answered: HttpAnswer | null, error: unknown): unknown {
  if (answered === null) return error; // a bug, not an answer
  const { status } = answered;
  const said = quote(ownWords(error instanceof Error ? error.message : String(error)));
  if (status === 404)
    return new Refusal("node-not-found", `${host}: ${what}: ${said}`, {
      ...(what === "info" && { hint: "is it the API of a HORNET node? inx-poi's own port goes behind poi=" }),
    });
  if (status >= 400) return new Refusal("node-refused", `${host}: ${what}: HTTP status ${status}: ${said}`);
  return new Refusal(
    "node-answer",
    `${host}: the answer to ${what}, HTTP status ${status}, isn't one: ${said}`,
  );
}

/** HORNET's reason without what it wraps around: "invalid parameter, error: failed to attach block: REASON: code=400, …" */
const ownWords = (message: string) =>
  message
    .replace(/^.*?, error: /s, "")
    .replace(/^failed to attach block: /, "")
    .replace(/: code=.*$/s, "");

/** Bytes of a block with nonce 0. `payload` null is a block that only refers. Refuses `too-large`. */
export function buildBlock(
  parents: readonly Uint8Array[],
  payload: { readonly tag: Uint8Array; readonly data: Uint8Array } | null,
): Uint8Array {
  const ids = sortedIds(parents);
  const block: IBlock = { protocolVersion: PROTOCOL_VERSION, parents: ids.map(hexOf), nonce: "0" };
  if (payload !== null)
    block.payload = {
      type: TAGGED_DATA_PAYLOAD_TYPE,
      tag: hexOf(payload.tag),
      data: hexOf(payload.data),
    };
  const stream = new WriteStream();
  serializeBlock(stream, block);
  const bytes = stream.finalBytes();
  if (bytes.length > MAX_BLOCK)
    throw new Refusal("too-large", `a block of ${bytes.length} bytes, a Tangle takes ${MAX_BLOCK}`);
  if (payload !== null && !equalBytes(bytes, encodeBlock({ parents: ids, ...payload, nonce: 0n })))
    throw new Error("iota.js builds another block than we do");
  return bytes;
}
