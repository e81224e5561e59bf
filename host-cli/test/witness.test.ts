// The witness as others meet it: every status of the protocol, limits over raw sockets, conflicting checkpoints at
// once. As a process: witness-process.test.ts.

import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { openCheckpoint } from "@vouch/shared/checkpoint";
import { verifyCosignature } from "@vouch/shared/cosignature";
import { formatNote, parseNote, signatureLine } from "@vouch/shared/note";
import { Refusal } from "@vouch/shared/refusal";
import { cosignatureIn, formatAddCheckpoint, parseAnswer } from "@vouch/shared/witness";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../src/crypto";
import { originKey } from "../src/witness/origin";
import { openState } from "../src/witness/state";
import { openWitness } from "../src/witness/witness";
import { NOON, newFolder, newSigner, refuses } from "./maker-kit";
import { noteOf, post, requestOf, type Serving, serveWitness, treeOf, witnessKeyOf } from "./witness-kit";

const log = newSigner("log.example");
const signer = newSigner("witness.example");
const vkey = witnessKeyOf(signer);
const tree = treeOf(64);
const fork = treeOf(64, 2);

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const textOf = (body: Uint8Array) => Buffer.from(body).toString();

const protocol = suite("witness protocol");
let folder = "";
let witness: Serving;

protocol.before.each(async () => {
  folder = newFolder("witness");
  witness = await serveWitness(join(folder, "state"), signer, [log.vkey], { now: () => NOON });
});
protocol.after.each(async () => {
  await witness.close();
  rmSync(folder, { recursive: true });
});

const grow = async (from: number, size: number) => post(witness.url, await requestOf(log, tree, from, size));

protocol("cosigns a log that grows, and again what it has cosigned", async () => {
  let from = 0;
  for (const size of [0, 1, 1, 7, 8, 40, 40]) {
    const { status, type, body } = await grow(from, size);
    assert.is(status, 200);
    assert.is(type, "text/plain; charset=utf-8");
    const text = parseNote(await noteOf(log, tree, size)).text;
    assert.is(cosignatureIn(parseAnswer(bytes(body)), text, vkey, nodeCrypto).time, NOON);
    from = size;
  }
});

protocol("shows monitors the newest note, with the log's signature and its own", async () => {
  const url = `${witness.url}/${originKey("log.example")}/checkpoint`;
  assert.is((await fetch(url)).status, 404);
  await grow(0, 5);
  await grow(5, 9);
  const answer = await fetch(url);
  assert.is(answer.status, 200);
  assert.is(answer.headers.get("content-type"), "text/plain; charset=utf-8");
  const { checkpoint, note } = openCheckpoint(
    new Uint8Array(await answer.arrayBuffer()),
    log.vkey,
    nodeCrypto,
  );
  assert.is(checkpoint.size, 9n);
  assert.is(verifyCosignature(note, vkey, nodeCrypto).time, NOON);
  const head = await fetch(url, { method: "HEAD" });
  assert.is(await head.text(), "");
  assert.is(head.status, 200);
});

const stranger = newSigner("stranger.example");
const impostor = newSigner("log.example");

// What is asked of a witness that has cosigned size 7.
const TABLE: readonly [name: string, status: number, code: string, ask: () => Promise<Uint8Array>][] = [
  ["not a request", 400, "malformed-request", async () => bytes("hello\n")],
  ["nothing at all", 400, "malformed-request", async () => bytes("")],
  ["no note behind the proof", 400, "malformed-note", async () => bytes("old 7\n\nhello\n")],
  [
    "64 proof lines",
    400,
    "malformed-request",
    async () => bytes(`old 7\n${`${Buffer.alloc(32).toString("base64")}\n`.repeat(64)}\n`),
  ],
  [
    "an old size beyond the new one",
    400,
    "old-size-beyond",
    async () => bytes(textOf(await requestOf(log, tree, 7, 7)).replace("old 7", "old 8")),
  ],
  ["another log", 404, "unknown-log", () => requestOf(stranger, tree, 0, 9)],
  ["another key of that name", 403, "untrusted-signature", () => requestOf(impostor, tree, 7, 9)],
  [
    "a signature over something else",
    403,
    "bad-signature",
    async () => bytes(textOf(await requestOf(log, tree, 7, 9)).replace("\n9\n", "\n10\n")),
  ],
  ["an old size of 0", 409, "old-size-mismatch", () => requestOf(log, tree, 0, 9)],
  ["an old size of 6", 409, "old-size-mismatch", () => requestOf(log, tree, 6, 9)],
  ["a smaller tree", 409, "old-size-mismatch", () => requestOf(log, tree, 5, 6)],
  ["an old size of 8", 409, "old-size-mismatch", () => requestOf(log, tree, 8, 9)],
  ["another history", 422, "consistency-mismatch", () => requestOf(log, fork, 7, 9)],
  ["another root of that size", 422, "same-size-other-root", () => requestOf(log, fork, 7, 7)],
  [
    "a proof that is too short",
    422,
    "malformed-proof",
    async () => bytes(textOf(await requestOf(log, tree, 7, 9)).replace(/^(old 7\n).*\n/, "$1")),
  ],
];

for (const [name, status, code, ask] of TABLE)
  protocol(`${status} for ${name}, and size 7 stays`, async () => {
    await grow(0, 7);
    const said = await post(witness.url, await ask());
    assert.is(said.status, status, said.body);
    assert.is(witness.lines.at(-1)?.code, code);
    if (status === 409) {
      assert.is(said.type, "text/x.tlog.size");
      assert.is(said.body, "7\n");
    }
    assert.is(witness.forks, code === "same-size-other-root" ? 1 : 0);
    assert.is((await grow(7, 9)).status, 200);
  });

protocol("422 for size 0 with another root than the empty one, and for a needless proof", async () => {
  const text = `log.example\n0\n${Buffer.alloc(32).toString("base64")}\n`;
  const note = formatNote(text, [signatureLine("log.example", log.vkey.keyId, await log.sign(bytes(text)))]);
  const ask = async (proof: Uint8Array[], asked: Uint8Array) =>
    (await post(witness.url, formatAddCheckpoint({ oldSize: 0n, proof, note: asked }))).status;
  assert.is(await ask([], note), 422);
  assert.is(witness.lines.at(-1)?.code, "empty-root");
  assert.is(await ask([new Uint8Array(32)], await noteOf(log, tree, 1)), 422);
  assert.is(await ask([], await noteOf(log, tree, 1)), 200);
});

protocol("a clock that goes back is held, and one that goes back far is refused", async () => {
  let now = NOON;
  const state = openState(join(folder, "other"));
  const own = openWitness({ signer, logs: [log.vkey], state, now: () => now });
  const add = async (from: number, size: number) =>
    (await own.addCheckpoint(await requestOf(log, tree, from, size))).time;
  assert.is(await add(0, 3), NOON);
  now = NOON - 200;
  assert.is(await add(3, 4), NOON);
  now = NOON - 400;
  await refuses("clock-behind", () => add(4, 5));
  now = NOON + 1;
  assert.is(await add(4, 5), NOON + 1);
  await state.close();
});

protocol(
  "a signer that fails costs nothing: the same checkpoint is cosigned when asked again, no other",
  async () => {
    const state = openState(join(folder, "other"));
    let broken = true;
    const moody = {
      ...signer,
      sign: (message: Uint8Array) => {
        if (broken) throw new Refusal("signer-failed", "the card isn't there");
        return signer.sign(message);
      },
    };
    const own = openWitness({ signer: moody, logs: [log.vkey], state, now: () => NOON });
    await refuses("signer-failed", async () => own.addCheckpoint(await requestOf(log, tree, 0, 5)));
    assert.is(own.checkpointOf(originKey("log.example")), null);
    broken = false;
    await refuses("same-size-other-root", async () => own.addCheckpoint(await requestOf(log, fork, 5, 5)));
    await refuses("old-size-mismatch", async () => own.addCheckpoint(await requestOf(log, fork, 0, 6)));
    assert.is((await own.addCheckpoint(await requestOf(log, tree, 5, 5))).checkpoint.size, 5n);
    await state.close();
  },
);

protocol("of conflicting checkpoints that come at once exactly one is cosigned", async () => {
  await grow(0, 2);
  const trees = Array.from({ length: 12 }, (_, i) => treeOf(64, i % 2 === 0 ? 64 : 2));
  const asked = await Promise.all(trees.map((t, i) => requestOf(log, t, 2, 3 + (i % 4))));
  const said = await Promise.all(asked.map((request) => post(witness.url, request)));
  assert.is(said.filter(({ status }) => status === 200).length, 1);
  assert.ok(said.every(({ status }) => [200, 409, 422].includes(status)));
});

protocol("logs don't get in each other's way, and may change their key", async () => {
  const next = newSigner("log.example");
  const other = newSigner("other.example");
  const logs = [log.vkey, next.vkey, other.vkey];
  const wide = await serveWitness(join(folder, "wide"), signer, logs);
  const ask = async (by: typeof log, from: number, size: number) =>
    (await post(wide.url, await requestOf(by, tree, from, size))).status;
  assert.is(await ask(log, 0, 5), 200);
  assert.is(await ask(other, 0, 9), 200);
  assert.is(await ask(next, 5, 6), 200);
  assert.is(await ask(log, 6, 7), 200);
  await wide.close();
});

protocol("a state that is no database, or has a bent record, is refused by name", async () => {
  await grow(0, 5);
  for (const [name, content] of [
    ["words", Buffer.from("not a database\n")],
    ["noise", Buffer.alloc(16384, 7)],
  ] as const) {
    const path = join(folder, name);
    mkdirSync(path);
    writeFileSync(join(path, "data.mdb"), content);
    await refuses("state-damaged", () => openState(path));
  }
});
protocol.run();

const sockets = suite("witness sockets");

/** Sends bytes, and gives what comes back until the server ends the connection. */
async function raw(url: string, ...parts: readonly (string | (() => Promise<unknown>))[]): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  let said = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    said += text;
  });
  socket.on("error", () => {});
  const closed = once(socket, "close");
  await once(socket, "connect");
  for (const part of parts) {
    if (typeof part === "string") socket.write(part);
    else await part();
  }
  await closed;
  return said;
}

const CLOSE = "Host: x\r\nConnection: close\r\n";
const HOSTILE: readonly [name: string, status: number, request: string][] = [
  ["no HTTP", 400, "hello\r\n\r\n"],
  ["a head without an end", 431, `GET / HTTP/1.1\r\nX: ${"x".repeat(20_000)}`],
  ["two lengths", 400, "POST /add-checkpoint HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"],
  [
    "a length and chunks",
    400,
    "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ],
  [
    "a chunk that isn't",
    400,
    "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
  ],
  ["no host", 400, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"],
  ["another path", 404, `GET / HTTP/1.1\r\n${CLOSE}\r\n`],
  ["a path with dots", 404, `GET /../add-checkpoint HTTP/1.1\r\n${CLOSE}\r\n`],
  ["a query", 404, `POST /add-checkpoint?x HTTP/1.1\r\n${CLOSE}Content-Length: 0\r\n\r\n`],
  ["another method", 405, "PUT /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"],
  ["GET where POST belongs", 405, "GET /add-checkpoint HTTP/1.1\r\nHost: x\r\n\r\n"],
  [
    "a length beyond the limit",
    413,
    "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
  ],
  [
    "a packed body",
    415,
    "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx",
  ],
  [
    "chunks without an end",
    413,
    `POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${`4000\r\n${"x".repeat(0x4000)}\r\n`.repeat(8)}`,
  ],
];

let small: Serving;
let hasty: Serving; // the one whose patience is tried: with the other a busy machine has its time
sockets.before(async () => {
  folder = newFolder("witness");
  const limits = { headMs: 30_000, requestMs: 60_000, idleMs: 300, connections: 4, graceMs: 200 };
  small = await serveWitness(join(folder, "state"), signer, [log.vkey], { limits });
  // Who is idle is ended without a word: that must be later than the 408, which comes at the next look at connections.
  const short = { limits: { ...limits, headMs: 300, requestMs: 600, idleMs: 30_000 } };
  hasty = await serveWitness(join(folder, "hasty"), signer, [log.vkey], short);
});
sockets.after(async () => {
  await hasty.close();
  await small.close();
  rmSync(folder, { recursive: true });
});

for (const [name, status, request] of HOSTILE)
  sockets(`${status} for ${name}, and the connection ends`, async () => {
    const said = await raw(small.url, request);
    assert.match(said, new RegExp(`^HTTP/1.1 ${status} `));
    assert.is(small.lines.at(-1)?.status, status);
  });

sockets("a head, and a body, that come too slowly are ended with 408", async () => {
  const drip = (request: string) => raw(hasty.url, request);
  for (const request of [
    "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\n",
    "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold 0",
  ])
    assert.match(await drip(request), /^HTTP\/1\.1 408 /);
});

sockets(
  "one connection serves many requests, more than the limit of connections wait for nobody",
  async () => {
    const body = textOf(await requestOf(log, tree, 0, 0));
    const head = `POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
    const said = await raw(
      small.url,
      `${head}\r\n${body}`.repeat(2),
      `${head}Connection: close\r\n\r\n${body}`,
    );
    assert.is([...said.matchAll(/^HTTP\/1\.1 200 /gm)].length, 3);
    const open: Socket[] = [];
    for (let i = 0; i < 4; i++) {
      const socket = connect(Number(new URL(small.url).port), "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "connect");
      open.push(socket);
    }
    assert.is(await raw(small.url, `GET / HTTP/1.1\r\n${CLOSE}\r\n`), "");
    for (const socket of open) socket.destroy();
  },
);

sockets("after the end of it all there is a clean stop, with a request in the making", async () => {
  const own = await serveWitness(join(folder, "own"), signer, [log.vkey], { limits: { graceMs: 100 } });
  const half = raw(
    own.url,
    "POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nold 0",
    () => own.close(),
  );
  assert.is(await half, "");
  const answered = await fetch(own.url).then(
    () => true,
    () => false,
  );
  assert.not(answered);
});
sockets.run();
