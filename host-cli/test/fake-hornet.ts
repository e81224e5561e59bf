// The fake node: HORNET 2.0.1's and inx-poi 1.0.0's HTTP on loopback, each on a port of its own, in front of a
// SIMULATED network (fake-tangle.ts). It answers honestly until it is told a fault; `npm run tangle -- --simulated`
// starts it by hand. fake-hornet.test.ts holds it against recordings of real ones.
//
//   faults.lost = n          accepts the next n blocks and forgets them
//   faults.abandon = n       takes the next n blocks, and nothing will reference them unasked
//   faults.belowMaxDepth = n refuses the next n blocks with that
//   faults.status = 503      answers with it; faults.times = n ends it after n answers, faults.only = "blocks" spares others
//   faults.slow = ms         every answer waits
//   faults.pruned            knows no block and no milestone but the last
//   faults.network = "…"     another network's name
//   faults.alteredId         201 with the id of something else
//   faults.rewrite           changes the nonce of what was sent, as a node does that works for its clients
//   faults.twice             proofs with the first signature twice and no other
//   faults.foreign           proofs with a milestone that a stranger signed
//   faults.otherBlock        proofs of another block
//   faults.noProof           500 at inx-poi
//   faults.huge              answers without end
//   faults.redirect = url    307 there
//
// pause() and resume() are the coordinator's, kill() and restart() the node's: the ports stay, what no milestone
// references yet is lost.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { blockBytes, hex, milestoneBytes, RAW, type Signed } from "./fake-blocks";
import { type Answer, answerNode, answerPoi, failure } from "./fake-routes";
import { coordinatorKey, type NetworkOptions, SimulatedTangle } from "./fake-tangle";

export interface Faults {
  lost?: number;
  abandon?: number;
  belowMaxDepth?: number;
  status?: number;
  times?: number;
  only?: string;
  slow?: number;
  pruned?: boolean;
  network?: string;
  alteredId?: boolean;
  rewrite?: boolean;
  twice?: boolean;
  foreign?: boolean;
  otherBlock?: boolean;
  noProof?: boolean;
  huge?: boolean;
  redirect?: string;
}

export interface FakeOptions extends NetworkOptions {
  /** Milestones come in this interval; 0 is none, `tangle.issue()` makes one. */
  readonly intervalMs?: number;
  /** Whether the node does proof of work for clients. */
  readonly nodePow?: boolean;
  readonly tangle?: SimulatedTangle;
}

export interface FakeHornet {
  readonly tangle: SimulatedTangle;
  readonly nodePow: boolean;
  readonly intervalMs: number;
  faults: Faults;
  readonly url: string;
  readonly poi: string;
  /** For --ledger. */
  readonly where: string;
  readonly trust: { readonly network: string; readonly threshold: number; readonly keys: readonly string[] };
  /** What was asked, in order, as "GET info"; `onRequest` is told before and after each is answered. */
  readonly asked: string[];
  onRequest: (name: string, when: "asked" | "done") => void | Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const MAX_BODY = 1_000_000;

export async function startFakeHornet(options: FakeOptions = {}): Promise<FakeHornet> {
  const tangle = options.tangle ?? new SimulatedTangle(options);
  if (tangle.index === 0) for (let n = 0; n < 2; n++) tangle.issue(); // as old as a real one that is ready
  const intervalMs = options.intervalMs ?? 100;
  let clock: NodeJS.Timeout | undefined;
  const servers = [answerNode, answerPoi].map((answer) =>
    createServer((request, response) => {
      serve(fake, answer, request, response).catch((error) => {
        console.error(error);
        response.destroy();
      });
    }),
  );
  const ports = await Promise.all(servers.map((server) => listen(server, 0)));
  const [url = "", poi = ""] = ports.map((port) => `http://127.0.0.1:${port}`);
  const close = () =>
    Promise.all(
      servers.map((server) => {
        server.closeAllConnections();
        return new Promise((done) => server.close(done));
      }),
    );
  const fake: FakeHornet = {
    tangle,
    nodePow: options.nodePow ?? true,
    intervalMs,
    faults: {},
    url,
    poi,
    where: `stardust:${url},poi=${poi}`,
    trust: {
      network: tangle.name,
      threshold: tangle.threshold,
      keys: tangle.publicKeys.map((k) => k.slice(2)),
    },
    asked: [],
    onRequest: () => {},
    pause: async () => clearInterval(clock),
    resume: async () => {
      clearInterval(clock);
      tangle.forgetFresh();
      if (intervalMs > 0) clock = setInterval(() => tangle.issue(), intervalMs);
    },
    kill: async () => {
      await close();
      tangle.dropPending();
    },
    restart: async () => {
      await Promise.all(servers.map((server, i) => listenAgain(server, ports[i] as number)));
    },
    stop: async () => {
      clearInterval(clock);
      await close();
    },
  };
  await fake.resume();
  return fake;
}

const listen = (server: Server, port: number) =>
  new Promise<number>((done, fail) => {
    server.once("error", fail);
    server.listen(port, "127.0.0.1", () => done((server.address() as AddressInfo).port));
  });

/** At the port it had. While nobody listened there, the system may have given it to whoever asked for the node. */
async function listenAgain(server: Server, port: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await listen(server, port);
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "EADDRINUSE" || tries === 600) throw error;
      await new Promise((later) => setTimeout(later, 50));
    }
  }
}

/** "POST blocks", "GET metadata", "GET create": what a route is called, without what it is asked for. */
function nameOf({ method, url = "" }: IncomingMessage): string {
  const words = new URL(url, "http://node").pathname.split("/").filter((word) => /^[a-z][a-z-]*$/.test(word));
  return `${method} ${words.at(-1) ?? ""}`;
}

type Asked = { method: string; path: string; search: URLSearchParams; headers: IncomingMessage["headers"] };
export type Question = Asked & { body: Buffer };

async function serve(
  fake: FakeHornet,
  answer: (fake: FakeHornet, question: Question) => Promise<Answer>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const body = await readBody(request);
  const name = nameOf(request);
  fake.asked.push(name);
  await fake.onRequest(name, "asked");
  const { faults } = fake;
  if (faults.slow !== undefined) await new Promise((done) => setTimeout(done, faults.slow));
  if (faults.redirect !== undefined) return void response.writeHead(307, { location: faults.redirect }).end();
  if (faults.huge) return pourOut(response);
  const { pathname, searchParams } = new URL(request.url ?? "", "http://node");
  const { method = "", headers } = request;
  const question = { method, path: pathname, search: searchParams, headers, body: body ?? Buffer.alloc(0) };
  const ordered = orderedFailure(faults, name);
  const {
    status,
    headers: told,
    content,
  } = ordered ?? (body === undefined ? failure(413) : await answer(fake, question));
  if (response.destroyed) return;
  if (content.length > 0 && answer === answerNode) response.setHeader("content-length", content.length);
  response.writeHead(status, told);
  response.end(content);
  await fake.onRequest(name, "done");
}

/** Undefined for one that is too large. */
async function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size <= MAX_BODY) parts.push(part);
  }
  return size > MAX_BODY ? undefined : Buffer.concat(parts);
}

function orderedFailure(faults: Faults, name: string): Answer | undefined {
  const { status, only, times } = faults;
  if (status === undefined || times === 0 || (only !== undefined && !name.endsWith(` ${only}`)))
    return undefined;
  if (times !== undefined) faults.times = times - 1;
  return failure(status);
}

function pourOut(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "application/json" });
  const more = () => {
    while (!response.destroyed && response.write("9".repeat(65_536)));
  };
  response.on("drain", more);
  more();
}

/** Signatures by a key of nobody's. */
export function strangersSignatures(message: Uint8Array): Signed[] {
  return ["stranger", "another"].map((name) => {
    const { publicKey, sign } = coordinatorKey(name);
    return { type: 0, publicKey, signature: hex(sign(message)) };
  });
}

/** Told by a line: what the hand-started node understands. Gives what to print. */
export function command(fake: FakeHornet, line: string): string {
  const [verb = "", arg = "", value] = line.trim().split(/\s+/);
  if (verb === "issue") fake.tangle.issue();
  else if (verb === "pause") void fake.pause();
  else if (verb === "resume") void fake.resume();
  else if (verb === "honest") fake.faults = {};
  else if (verb === "fault")
    fake.faults = {
      ...fake.faults,
      [arg]: value === undefined ? true : /^[0-9]+$/.test(value) ? Number(value) : value,
    };
  else return "issue | pause | resume | fault NAME [VALUE] | honest";
  return `milestone ${fake.tangle.index}, faults ${JSON.stringify(fake.faults)}`;
}

export { blockBytes, milestoneBytes, RAW };
