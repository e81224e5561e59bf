// The monitor against servers that lie, stall, or never stop talking: a named finding, a bound on what is taken, a state
// as it was; and after that an honest server, which shows that nothing was lost.

import { cpSync, readFileSync, rmSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addToLog, initLog } from "../src/log/store";
import { NOON, newSigner, smallRecord } from "./maker-kit";
import {
  fastFolder,
  logSigner,
  makeHistory,
  noteIn,
  policyOf,
  recordOf,
  runMonitor,
  station,
} from "./monitor-kit";

const hostile = suite("monitor and hostile servers");

const folder = fastFolder("hostile");
let real: (size: number) => string;
let fork: (size: number) => string;

hostile.before(async () => {
  real = await makeHistory(folder, "real", 9, (n) => recordOf(0, n));
  fork = await makeHistory(folder, "fork", 9, (n) => recordOf(1, n), { log: real(3), at: 3 });
  await initLog(join(folder, "else"), undefined, newSigner("else.example"));
  await initLog(join(folder, "namesake"), undefined, newSigner("log.example"));
});
hostile.after(() => rmSync(folder, { recursive: true, force: true }));

type Serve = (path: string, response: ServerResponse) => void;

const fromFolder =
  (log: () => string): Serve =>
  (path, response) => {
    try {
      response.end(readFileSync(join(log(), path)));
    } catch {
      response.writeHead(404).end();
    }
  };

/** The log of nine records, but for the paths that match. */
const except =
  (pattern: RegExp, serve: Serve): Serve =>
  (path, response) =>
    (pattern.test(path) ? serve : fromFolder(() => real(9)))(path, response);

/** Sends for ever; `sent` counts what the socket took. */
const sent = { bytes: 0 };
const endless: Serve = (_path, response) => {
  const part = Buffer.alloc(64 * 1024, 65);
  const more = () => {
    while (!response.destroyed) {
      sent.bytes += part.length;
      if (!response.write(part)) return;
    }
  };
  response.on("drain", more);
  more();
};

const drips: Serve = (_path, response) => {
  const timer = setInterval(() => response.write("a"), 20);
  response.on("close", () => clearInterval(timer));
};

const bytesOf = (path: string, change: (bytes: Buffer) => Buffer | string): Serve => {
  return (_path, response) => response.end(change(readFileSync(join(real(9), path))));
};

const bent = (bytes: Buffer): Buffer => {
  const copy = Buffer.from(bytes);
  copy[copy.length - 20]! ^= 1;
  return copy;
};

/** A note whose last signature has another bit, and is base64 all the same. */
const bentSignature = (bytes: Buffer): Buffer => {
  const [, head = "", signature = ""] = /^(.* )(\S+)\n$/s.exec(bytes.toString("utf8")) ?? [];
  return Buffer.from(`${head}${bent(Buffer.from(signature, "base64")).toString("base64")}\n`);
};

const HASHES = "tile/0/000.p/9";
const ENTRIES = "tile/entries/000.p/9";
const BOMB = gzipSync(Buffer.alloc(64 * 1024 * 1024));

const redirect: Serve = (path, response) =>
  response.writeHead(302, { location: `http://127.0.0.1:1/${path}` }).end();
const packed: Serve = (_path, response) => response.writeHead(200, { "content-encoding": "gzip" }).end(BOMB);
const wrongLength: Serve = (_path, response) => {
  response.writeHead(200, { "content-length": "50000" });
  response.write("log.example\n9\n");
  setTimeout(() => response.destroy(), 20);
};
const hugeLength: Serve = (_path, response) =>
  response.writeHead(200, { "content-length": "99999999999" }).write("x");
const busy: Serve = (_path, response) => response.writeHead(503, { "retry-after": "3600" }).end();
const silence: Serve = () => {};
const hangUp: Serve = (_path, response) => response.destroy();

const ATTACKS: readonly (readonly [what: string, serve: Serve, code: string, level: string])[] = [
  ["an endless checkpoint", except(/^checkpoint/, endless), "server-too-large", "trouble"],
  ["an endless tile", except(/^tile\/0/, endless), "server-too-large", "trouble"],
  ["an endless entry bundle", except(/^tile\/entries/, endless), "server-too-large", "trouble"],
  ["a checkpoint that comes a byte at a time", except(/^checkpoint/, drips), "server-slow", "trouble"],
  ["entries that come a byte at a time", except(/^tile\/entries/, drips), "server-slow", "trouble"],
  ["a server that says nothing", silence, "server-slow", "trouble"],
  ["a server that hangs up", hangUp, "server-unreachable", "trouble"],
  ["fewer bytes than promised", except(/^checkpoint/, wrongLength), "server-cut", "trouble"],
  [
    "more bytes promised than a checkpoint has",
    except(/^checkpoint/, hugeLength),
    "server-too-large",
    "trouble",
  ],
  ["a redirect", redirect, "server-redirect", "trouble"],
  ["a redirect of the entries", except(/^tile\/entries/, redirect), "server-redirect", "trouble"],
  ["a gzip bomb for a checkpoint", except(/^checkpoint/, packed), "server-encoding", "trouble"],
  ["a gzip bomb for entries", except(/^tile\/entries/, packed), "server-encoding", "trouble"],
  ["a server that is busy for an hour", busy, "server-answer", "trouble"],
  [
    "a page instead of a checkpoint",
    except(/^checkpoint/, (_p, r) => r.end("<html>sign in</html>")),
    "malformed-note",
    "trouble",
  ],
  ["an empty checkpoint", except(/^checkpoint/, (_p, r) => r.end()), "malformed-note", "trouble"],
  ["no checkpoint", except(/^checkpoint/, (_p, r) => r.writeHead(404).end()), "not-a-log", "trouble"],
  [
    "a checkpoint that nobody signed",
    except(
      /^checkpoint/,
      bytesOf("checkpoint", (b) => `${b.toString().split("\n\n")[0]}\n\n`),
    ),
    "malformed-note",
    "trouble",
  ],
  [
    "a checkpoint with a bad signature",
    except(/^checkpoint/, bytesOf("checkpoint", bentSignature)),
    "bad-signature",
    "wrong",
  ],
  [
    "another log's checkpoint",
    except(/^checkpoint/, (_p, r) => r.end(noteIn(join(folder, "else")))),
    "unknown-log",
    "unsure",
  ],
  [
    "one by another key of that name",
    except(/^checkpoint/, (_p, r) => r.end(noteIn(join(folder, "namesake")))),
    "unknown-log",
    "unsure",
  ],
  ["a tile with a bent hash", except(/^tile\/0/, bytesOf(HASHES, bent)), "log-damaged", "wrong"],
  [
    "a tile that is too short",
    except(
      /^tile\/0/,
      bytesOf(HASHES, (b) => b.subarray(1)),
    ),
    "log-damaged",
    "wrong",
  ],
  ["no tiles", except(/^tile/, (_p, r) => r.writeHead(404).end()), "log-damaged", "wrong"],
  ["an entry with a bent byte", except(/^tile\/entries/, bytesOf(ENTRIES, bent)), "log-damaged", "wrong"],
  [
    "entries that are cut off",
    except(
      /^tile\/entries/,
      bytesOf(ENTRIES, (b) => b.subarray(0, 300)),
    ),
    "log-damaged",
    "wrong",
  ],
  [
    "entries of another log",
    except(/^tile\/entries/, (p, r) => fromFolder(() => fork(9))(p, r)),
    "log-damaged",
    "wrong",
  ],
  [
    "the checkpoint of a fork over the tiles of the log",
    except(/^checkpoint/, (_p, r) => r.end(noteIn(fork(9)))),
    "log-damaged",
    "wrong",
  ],
  ["a fork", fromFolder(() => fork(9)), "log-forked", "fraud"],
  ["a fork of the size that was read", fromFolder(() => fork(5)), "log-forked", "fraud"],
  ["a smaller fork", fromFolder(() => fork(4)), "log-forked", "fraud"],
];

/** For servers that would never end it. What comes of one that does must not hang on how busy this machine is. */
const QUICK = { read: { timeoutMs: 1500, askMs: 1000 } };
const PATIENT = { read: { timeoutMs: 300_000, askMs: 300_000 } };
const limitsFor = (code: string) => (code === "server-slow" ? QUICK : PATIENT);

/** What is asked again for as long as there is time. */
const PATIENCE = new Set(["server-slow", "server-unreachable", "server-cut", "server-answer"]);

/** Runs `work` with the address of a server that does as told last. */
async function withServer(work: (address: string, serve: (serve: Serve) => void) => Promise<void>) {
  let now: Serve = silence;
  const server = createServer((request, response) => now((request.url ?? "").slice(1), response));
  server.keepAliveTimeout = 300_000; // one that it closes while it is asked again looks like another server's trick
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, (serve) => {
      now = serve;
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const membersOf = (state: string) => {
  const { size, done, memory, findings } = JSON.parse(readFileSync(join(state, "state.json"), "utf8"));
  return { size, done, memory, findings };
};

async function attack(i: number): Promise<void> {
  const [what, serve, code, level] = ATTACKS[i]!;
  const state = join(folder, `state-${i}`);
  await withServer(async (address, serves) => {
    serves(fromFolder(() => real(5)));
    assert.equal((await runMonitor(state, [address])).codes, []);
    const before = membersOf(state);
    const memory = process.memoryUsage().rss;
    sent.bytes = 0;
    serves(serve);
    const { told, pass } = await runMonitor(state, [address], limitsFor(code));
    assert.equal(
      told.slice(0, 1).map((found) => [found.code, found.level]),
      [[code, level]],
      JSON.stringify(told),
    );
    assert.is(told.filter((found) => found.code !== "checkpoint-shrunk").length, 1);
    assert.is(pass.worst, level);
    const after = membersOf(state);
    assert.equal({ ...after, findings: null }, { ...before, findings: null });
    // 16 MB is what an entry bundle may hold; the rest is buffers of both ends, which are in this process.
    assert.ok(sent.bytes < 40 * 1024 * 1024, `${sent.bytes} bytes were taken`);
    assert.ok(process.memoryUsage().rss - memory < 200 * 1024 * 1024, "memory stays bounded");
    if (!PATIENCE.has(code)) assert.equal((await runMonitor(state, [address])).codes, [], "told once");
    serves(fromFolder(() => real(9)));
    const honest = await runMonitor(state, [address]);
    assert.is(honest.pass.size, 9n);
    // A checkpoint that the log signed is kept, and compared once its size is read.
    const isProven = level === "fraud" || what.includes("of a fork");
    assert.is(honest.pass.worst, isProven ? "fraud" : "news", "over, unless it is proven");
  });
}

/** Those that are waited for, all at once. */
const waitedFor = new Map<number, Promise<void>>();
hostile.before(async () => {
  for (const [i, [, , code]] of ATTACKS.entries()) if (PATIENCE.has(code)) waitedFor.set(i, attack(i));
  await Promise.allSettled(waitedFor.values());
});

for (const [i, [what, , code]] of ATTACKS.entries())
  hostile(`${what}: ${code}`, () => waitedFor.get(i) ?? attack(i));

hostile("what was verified before a server broke off is kept, and read once", async () => {
  const state = join(folder, "state-half");
  const strangers = newSigner("stranger");
  const log = join(folder, "long");
  cpSync(real(0), log, { recursive: true });
  const records: Uint8Array[] = [];
  for (let n = 0; n < 600; n++) records.push(await smallRecord(n % 100 === 0 ? strangers : station, n));
  await addToLog(log, records, logSigner);
  await withServer(async (address, serves) => {
    serves((path, response) =>
      path === "tile/entries/001" ? hangUp(path, response) : fromFolder(() => log)(path, response),
    );
    const first = await runMonitor(state, [address], PATIENT);
    assert.is(first.pass.size, 256n);
    assert.equal(
      first.told.map(({ code, index }) => index ?? code),
      [0, 100, 200, "server-unreachable"],
    );
    serves(fromFolder(() => log));
    const second = await runMonitor(state, [address]);
    assert.is(second.pass.size, 600n);
    assert.equal(
      second.told.flatMap(({ index }) => index ?? []),
      [300, 400, 500],
    );
  });
});

hostile("a witness that lies, stalls or talks for ever says nothing, and stops nobody", async () => {
  const w = newSigner("w.example");
  for (const serve of [endless, drips, redirect, packed, hangUp, wrongLength] as const) {
    await withServer(async (address, serves) => {
      serves(serve);
      const policy = policyOf([{ name: "w", signer: w, url: address }]);
      const state = join(folder, `witness-${serve.name}`);
      const { codes, pass } = await runMonitor(state, [real(9)], { ...QUICK, policy, now: () => NOON });
      assert.equal(codes, []);
      assert.is(pass.size, 9n);
    });
  }
  await withServer(async (address, serves) => {
    serves((_path, response) => response.end(noteIn(join(folder, "else"))));
    const policy = policyOf([{ name: "w", signer: w, url: address }]);
    const { codes } = await runMonitor(join(folder, "witness-else"), [real(9)], { policy });
    assert.equal(codes, ["unknown-log"]);
  });
});
hostile.run();
