// What the tests of witnesses share: a log in memory, requests for it, a witness that serves, and servers that lie.

import { createServer, type RequestListener } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { formatCheckpoint } from "@vouch/shared/checkpoint";
import { cosignatureBytes, cosignedMessage } from "@vouch/shared/cosignature";
import { leafHash, memoryReader, proveConsistency, rootOf } from "@vouch/shared/merkle";
import { formatNote, signatureLine } from "@vouch/shared/note";
import { KEY_COSIGNATURE, makeVkey, type Vkey } from "@vouch/shared/vkey";
import { formatAddCheckpoint } from "@vouch/shared/witness";
import { nodeCrypto } from "../src/crypto";
import { makeFolders } from "../src/tiledlog";
import { type RequestLine, type ServerLimits, startServer } from "../src/witness/server";
import { openState } from "../src/witness/state";
import { openWitness } from "../src/witness/witness";
import type { TestSigner } from "./maker-kit";

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

/** A log in memory: its records by a word each. */
export function treeFrom(labels: readonly string[]) {
  return memoryReader(
    labels.map((label) => leafHash(bytes(label), nodeCrypto)),
    nodeCrypto,
  );
}

/** One of `count` records, which are another history's from record `forkAt` on. */
export const treeOf = (count: number, forkAt = count) =>
  treeFrom(Array.from({ length: count }, (_, i) => (i < forkAt ? `record ${i}` : `other ${i}`)));

export type Tree = ReturnType<typeof treeOf>;

/** A signed checkpoint of the tree's first `size` records. */
export async function noteOf(log: TestSigner, tree: Tree, size: number): Promise<Uint8Array> {
  const root = rootOf(BigInt(size), tree, nodeCrypto);
  const text = formatCheckpoint({ origin: log.name, size: BigInt(size), root });
  return formatNote(text, [signatureLine(log.name, log.vkey.keyId, await log.sign(bytes(text)))]);
}

export async function requestOf(
  log: TestSigner,
  tree: Tree,
  from: number,
  size: number,
): Promise<Uint8Array> {
  const proof = proveConsistency(BigInt(from), BigInt(size), tree, nodeCrypto);
  return formatAddCheckpoint({ oldSize: BigInt(from), proof, note: await noteOf(log, tree, size) });
}

export const witnessKeyOf = (signer: TestSigner): Vkey =>
  makeVkey(signer.name, KEY_COSIGNATURE, signer.publicKey);

/** The line that a witness of this key writes, true or not. */
export async function lineBy(signer: TestSigner, text: string, time: number): Promise<string> {
  const { name, keyId } = witnessKeyOf(signer);
  return signatureLine(name, keyId, cosignatureBytes(time, await signer.sign(cosignedMessage(time, text))));
}

export interface Serving {
  readonly url: string;
  readonly lines: RequestLine[];
  readonly forks: number;
  close(): Promise<void>;
}

/** A real witness on a free port, with its state in `folder`. */
export async function serveWitness(
  folder: string,
  signer: TestSigner,
  logs: readonly Vkey[],
  options: { now?: () => number; limits?: Partial<ServerLimits>; port?: number } = {},
): Promise<Serving> {
  makeFolders(folder);
  const state = openState(folder);
  const lines: RequestLine[] = [];
  let forks = 0;
  const witness = openWitness({
    signer,
    logs,
    state,
    now: options.now ?? (() => Math.floor(Date.now() / 1000)),
    onFork: () => {
      forks++;
    },
  });
  const server = await startServer({
    witness,
    host: "127.0.0.1",
    port: options.port ?? 0,
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    onRequest: (line) => lines.push(line),
  });
  return {
    url: server.url,
    lines,
    get forks() {
      return forks;
    },
    close: async () => {
      await server.close();
      await state.close();
    },
  };
}

/** A server of somebody who isn't a witness. */
export async function serveAnything(
  answer: RequestListener,
): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(answer);
  return started(server);
}

export async function started(server: Server): Promise<{ url: string; close(): Promise<void> }> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        (server as { closeAllConnections?: () => void }).closeAllConnections?.();
      }),
  };
}

export interface Said {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

export async function post(
  url: string,
  body: Uint8Array,
  headers: Record<string, string> = {},
): Promise<Said> {
  const answer = await fetch(`${url}/add-checkpoint`, { method: "POST", body, headers });
  return { status: answer.status, type: answer.headers.get("content-type"), body: await answer.text() };
}
