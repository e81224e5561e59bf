// A log offered over HTTP: what belongs to it, with its media type and how long it may be kept, and nothing else.

import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { request, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { equalBytes } from "@vouch/shared/bytes";
import { parseCheckpoint } from "@vouch/shared/checkpoint";
import { parseConsistency } from "@vouch/shared/consistency";
import { checkConsistency, checkInclusion, leafHash } from "@vouch/shared/merkle";
import { parseNote } from "@vouch/shared/note";
import { parseProof } from "@vouch/shared/proof";
import { tilePath } from "@vouch/shared/tiles";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../src/crypto";
import { listenAddress } from "../src/listen";
import { openLogReader } from "../src/log/remote";
import { logServer } from "../src/log/serve";
import { addToLog, initLog } from "../src/log/store";
import { newFolder, newSigner, refuses, smallRecord, vouchOk, vouchRefuses } from "./maker-kit";

const serve = suite("log serve");
const signer = newSigner("log.example");
const records: Uint8Array[] = [];
const folder = newFolder("serve");
const log = join(folder, "log");
let server: Server;
let port = 0;

serve.before(async () => {
  for (let n = 0; n < 300; n++) records.push(await smallRecord(signer, n));
  await initLog(log, undefined, signer);
  await addToLog(log, records, signer);
  mkdirSync(join(log, "anchors/300"), { recursive: true });
  writeFileSync(join(log, "anchors/300/checkpoint"), "note");
  for (const kind of ["directory.tlog-proof", "rebased.receipt", "stardust.receipt"])
    writeFileSync(join(log, "anchors/300", kind), "proof");
  for (const kind of ["rebased", "stardust"])
    writeFileSync(join(log, `anchors/300/${kind}.draft`), "not submitted");
  writeFileSync(join(log, ".lock"), "{}");
  writeFileSync(join(folder, "secret"), "secret");
  mkdirSync(join(log, "tile/2/000.p"), { recursive: true });
  for (const path of ["tile/0/001", "tile/0/001.p/45", "tile/2/000.p/1"]) writeFileSync(join(log, path), "x");
  symlinkSync(join(folder, "secret"), join(log, "link"));
  server = logServer(log, () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});
serve.after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  status: number | undefined;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}

const ask = (path: string, method = "GET"): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const asked = request({ port, path, method, agent: false }, (response) => {
      let body = "";
      response.setEncoding("latin1").on("data", (text) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    asked.on("error", reject);
    asked.end();
  });

serve(
  "requests sent without waiting for answers open one file at a time, and end the connection",
  async () => {
    const fds = () => (existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0);
    const before = fds();
    const socket = connect(port, "127.0.0.1").pause();
    socket.on("error", () => {}); // it is cut in the middle of our writing
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    const begun = once(server, "request");
    socket.write(`GET /${tilePath("entries", 0n)} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(500));
    await begun;
    for (let look = 0; look < 60; look++) {
      assert.ok(fds() < before + 20, `${fds() - before} files are open`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    let answers = "";
    socket.setEncoding("latin1").on("data", (text) => {
      answers += text;
    });
    socket.resume();
    await closed;
    assert.ok(answers.split("HTTP/1.1 200").length <= 2);
    assert.is((await ask("/checkpoint")).status, 200);
  },
);

for (const [path, type, cache, length] of [
  ["checkpoint", "text/plain; charset=utf-8", "no-cache", null],
  [tilePath(0, 0n), "application/octet-stream", "max-age=31536000, immutable", 8192],
  [tilePath("entries", 0n), "application/octet-stream", "max-age=31536000, immutable", null],
  [tilePath(0, 1n, 44), "application/octet-stream", "max-age=300", 44 * 32],
  [tilePath(1, 0n, 1), "application/octet-stream", "max-age=300", 32],
  ["anchors/300/checkpoint", "text/plain; charset=utf-8", "no-cache", 4],
  ["anchors/300/directory.tlog-proof", "text/plain; charset=utf-8", "no-cache", 5],
  ["anchors/300/rebased.receipt", "text/plain; charset=utf-8", "no-cache", 5],
  ["anchors/300/stardust.receipt", "text/plain; charset=utf-8", "no-cache", 5],
] as const)
  serve(`${path} is ${type}, ${cache}`, async () => {
    const { status, headers, body } = await ask(`/${path}`);
    assert.equal([status, headers["content-type"], headers["cache-control"]], [200, type, cache]);
    assert.is(Number(headers["content-length"]), body.length);
    if (length !== null) assert.is(body.length, length);
    const head = await ask(`/${path}`, "HEAD");
    assert.equal(
      [head.status, head.headers["content-length"], head.body],
      [200, headers["content-length"], ""],
    );
  });

for (const path of [
  "/",
  "/tile",
  "/tile/0",
  "/tile/0/001", // there, but not committed to
  "/tile/0/001.p/45",
  "/tile/2/000.p/1",
  "/tile/0/002",
  "/tile/00/000",
  "/tile/0/x000/000",
  "/tile/0/000.p/0",
  "/tile/entries/999",
  "/.lock",
  "/.index/0-300",
  "/link",
  "/anchors/300/rebased.draft",
  "/anchors/300/stardust.draft",
  "/anchors/../checkpoint",
  "/../secret",
  "/..%2fsecret",
  "/%2e%2e/secret",
  "//checkpoint",
  "/checkpoint/",
  "/checkpoint%00",
  "/tile/0/000\\..\\..\\..\\..\\secret",
])
  serve(`${path} isn't there`, async () => {
    const { status, body } = await ask(path);
    assert.equal([status, body], [404, ""]);
  });

serve("it can only be read", async () => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"]) {
    const { status, headers } = await ask("/checkpoint", method);
    assert.equal([status, headers.allow], [405, "GET, HEAD"], method);
  }
});

serve("what is no HTTP, or an endless header, is answered shortly and let go", async () => {
  for (const text of ["nonsense\r\n\r\n", `GET / HTTP/1.1\r\nX: ${"x".repeat(100_000)}`]) {
    const answer = await new Promise<string>((resolve) => {
      let all = "";
      const socket = connect(port, "127.0.0.1", () => socket.write(text));
      socket.on("data", (bytes) => {
        all += bytes;
      });
      socket.on("error", () => {});
      socket.on("close", () => resolve(all));
    });
    assert.match(answer, /^HTTP\/1\.1 4[0-9][0-9] /);
  }
});

serve("a reader needs nothing else, and sees the log grow", async () => {
  const address = `http://127.0.0.1:${port}/`;
  const reader = await openLogReader(address);
  assert.is(reader.size, 300n);
  assert.ok(equalBytes(await reader.entry(299n), records[299] as Uint8Array));
  reader.close();
  for (const made of [".lock", "anchors"]) rmSync(join(log, made), { recursive: true });
  await addToLog(log, [await smallRecord(signer, 300)], signer);
  const grown = await openLogReader(address);
  assert.is(grown.size, 301n);
  assert.is((await grown.proveConsistency(300n)).length > 0, true);
  grown.close();
  const proof = join(folder, "proof");
  await vouchOk("log", "prove", address, "77", "-o", proof);
  const other = join(folder, "other");
  await vouchOk("log", "prove", log, "77", "-o", other);
  assert.equal(readFileSync(other), readFileSync(proof));
  const { index, hashes, checkpoint } = parseProof(new Uint8Array(readFileSync(proof)));
  assert.is(index, 77n);
  const head = parseCheckpoint(parseNote(checkpoint).text);
  const leaf = leafHash(records[77] as Uint8Array, nodeCrypto);
  checkInclusion(leaf, index, head.size, hashes, head.root, nodeCrypto);
  const old = join(folder, "old");
  await vouchOk("log", "prove", address, "--consistency", "300", "-o", old, "--json");
  const file = parseConsistency(new Uint8Array(readFileSync(old)));
  assert.is(file.old, 300n);
  checkConsistency(300n, await rootAt300(), head.size, head.root, file.hashes, nodeCrypto);
  await vouchRefuses("not-in-log", "log", "prove", address, "301", "-o", proof);
  await vouchRefuses("usage", "log", "prove", address);
  await vouchRefuses("usage", "log", "prove", address, "1", "--consistency", "2");
  await vouchRefuses("usage", "log", "prove", address, "01");
});

async function rootAt300(): Promise<Uint8Array> {
  const reader = await openLogReader(log);
  return reader.rootAt(300n);
}

serve("log serve tells its address and ends at SIGTERM", async () => {
  const program = fileURLToPath(new URL("../bin/vouch.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, "log", "serve", log, "--listen", "127.0.0.1:0", "--json"]);
  let out = "";
  const url = await new Promise<string>((resolve) => {
    child.stdout.on("data", (text) => {
      out += text;
      if (out.includes("\n")) resolve(JSON.parse(out.slice(0, out.indexOf("\n"))).url);
    });
  });
  const reader = await openLogReader(url);
  assert.is(reader.size, 301n);
  reader.close();
  const ended = new Promise((resolve) => child.on("close", (code) => resolve(code)));
  child.kill("SIGTERM");
  assert.is(await ended, 0);
  assert.match(out, /\{"method":"GET","path":"checkpoint","status":200\}/);
});

serve("an address to listen at is read strictly", async () => {
  assert.equal(listenAddress("[::1]:80"), { host: "::1", port: 80 });
  for (const text of ["", "80", "localhost", "localhost:", "localhost:65536", "::1:80", "a b:80", ":80"])
    await refuses("usage", () => listenAddress(text));
});

serve.run();
