// A log read by its tiles alone, from a folder and over HTTP, from servers that are good, ill or hostile.

import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { checkConsistency, checkInclusion, leafHash } from "@vouch/shared/merkle";
import { tilePath } from "@vouch/shared/tiles";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../src/crypto";
import { filesAt, filesIn, type LogFiles, type ReadOptions } from "../src/log/files";
import { fetchCheckpoint, openLogReader, readLogAt } from "../src/log/remote";
import { addToLog, initLog } from "../src/log/store";
import { newFolder, newSigner, refuses, smallRecord } from "./maker-kit";

const remote = suite("log remote");
const signer = newSigner("log.example");
const SIZE = 600;
const records: Uint8Array[] = [];
const folder = newFolder("remote");
const log = join(folder, "log");
const old = join(folder, "old");

remote.before(async () => {
  for (let n = 0; n < SIZE; n++) records.push(await smallRecord(signer, n));
  await initLog(log, undefined, signer);
  await addToLog(log, records.slice(0, 300), signer);
  writeFileSync(old, readFileSync(join(log, "checkpoint")));
  await addToLog(log, records.slice(300), signer);
});
remote.after(() => rmSync(folder, { recursive: true, force: true }));

type Serve = (path: string, response: ServerResponse) => void;

/** The log's files as they are. */
const plainly: Serve = (path, response) => {
  try {
    response.end(readFileSync(join(log, path)));
  } catch {
    response.writeHead(404).end();
  }
};

/** Runs `work` against a server that does as told; gives the paths it was asked for. */
async function withServer(serve: Serve, work: (address: string) => Promise<void>): Promise<string[]> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push((request.url ?? "").slice(1));
    serve((request.url ?? "").slice(1), response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return asked;
}

/** How long is waited for what a server is slow with, and for what it breaks off; all else is told at once. */
const PATIENCE: Readonly<Record<string, ReadOptions>> = {
  "server-slow": { timeoutMs: 900, askMs: 300 },
  "server-cut": { timeoutMs: 1500, askMs: 1000 },
  "server-unreachable": { timeoutMs: 1500, askMs: 1000 },
  "server-answer": { timeoutMs: 1500, askMs: 1000 },
};

remote(
  "every record and its proof, every older size and its proof, from a folder and over HTTP",
  async () => {
    const check = async (where: string) => {
      const reader = await openLogReader(where);
      const { checkpoint, size } = reader;
      let seen = 0;
      for await (const { index, bytes } of reader.entries(0n)) {
        assert.ok(equalBytes(bytes, records[Number(index)] as Uint8Array));
        const proof = await reader.proveInclusion(index);
        checkInclusion(leafHash(bytes, nodeCrypto), index, size, proof, checkpoint.root, nodeCrypto);
        seen++;
      }
      assert.is(seen, SIZE);
      for (let from = 0n; from <= size; from += 13n) {
        const proof = await reader.proveConsistency(from);
        checkConsistency(from, await reader.rootAt(from), size, checkpoint.root, proof, nodeCrypto);
      }
      assert.ok(equalBytes(await reader.entry(599n), records[599] as Uint8Array));
      await refuses("not-in-log", () => reader.entry(600n));
      await refuses("not-in-log", () => reader.proveInclusion(600n));
      await refuses("not-in-log", () => reader.proveConsistency(5n, 601n));
      reader.close();
    };
    await check(log);
    await withServer(plainly, check);
  },
);

remote("a proof fetches the right edge and the record's own tile, no more", async () => {
  const asked = await withServer(plainly, async (address) => {
    const reader = await openLogReader(address);
    await reader.proveInclusion(7n);
    await reader.proveInclusion(9n);
    reader.close();
  });
  assert.equal(asked.sort(), ["checkpoint", tilePath(0, 0n), tilePath(0, 2n, 88), tilePath(1, 0n, 2)]);
});

remote(
  "an older checkpoint is read though its partial tiles are gone, and is proved to be a prefix",
  async () => {
    const files = filesIn(log);
    const reader = await readLogAt(files, await fetchCheckpoint(files));
    const before = await reader.at(new Uint8Array(readFileSync(old)));
    assert.is(before.size, 300n);
    assert.is(toHex(await reader.rootAt(300n)), toHex(before.checkpoint.root));
    assert.ok(equalBytes(await before.entry(299n), records[299] as Uint8Array));
  },
);

remote("verified tiles are kept for the next run; a kept one that was changed is fetched again", async () => {
  const cache = join(folder, "cache");
  await withServer(plainly, async (address) => {
    const prove = async () => {
      const reader = await openLogReader(address, { cache });
      for (const index of [7n, 300n, 599n]) {
        await reader.entry(index);
        await reader.proveInclusion(index);
      }
      reader.close();
      return reader.traffic;
    };
    const full = { fetched: 4, cached: 0, poisoned: 0 }; // two tiles, two bundles
    const edge = 3; // two partial tiles, a partial bundle
    assert.equal(await prove(), { ...full, fetched: full.fetched + edge });
    assert.equal(await prove(), { fetched: edge, cached: 4, poisoned: 0 });
    const kept = readdirSync(cache, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
    assert.is(kept.length, 4);
    for (const path of kept) {
      const good = readFileSync(path);
      for (const bad of [
        Buffer.alloc(0),
        good.subarray(1),
        Buffer.concat([good, Buffer.alloc(1)]),
        Buffer.alloc(statSync(path).size, 7),
        Buffer.from(good).fill((good[good.length - 1] as number) ^ 1, good.length - 1),
      ]) {
        writeFileSync(path, bad);
        assert.equal(await prove(), { fetched: edge + 1, cached: 3, poisoned: 1 }, path);
        assert.equal(readFileSync(path), good);
      }
    }
  });
});

for (const file of [tilePath(0, 0n), tilePath(1, 0n, 2), tilePath(0, 2n, 88), tilePath("entries", 0n)])
  remote(`a bent byte in ${file} is refused by its name`, async () => {
    const bend: Serve = (path, response) => {
      if (path !== file) return plainly(path, response);
      const bytes = readFileSync(join(log, path));
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
      response.end(bytes);
    };
    await withServer(bend, async (address) => {
      const error = await refuses("log-damaged", async () => {
        const reader = await openLogReader(address);
        await reader.entry(5n);
      });
      if (file === tilePath(0, 0n) || file.includes("entries")) assert.ok(error.message.includes(file));
    });
  });

const BOMB = gzipSync(Buffer.alloc(1 << 24)); // packing it takes longer than a server has to answer
/** Each answers one file wrongly. */
const HOSTILE: [name: string, code: string, serve: Serve][] = [
  ["never ends its body", "server-too-large", (_, response) => void drip(response, Buffer.alloc(65536), 0)],
  ["sends a byte now and then", "server-slow", (_, response) => void drip(response, Buffer.alloc(1), 20)],
  ["never answers", "server-slow", () => {}],
  [
    "promises more than it sends",
    "server-cut",
    (_, r) => void r.writeHead(200, { "content-length": 9 }).write("x", () => r.destroy()),
  ],
  [
    "announces too much",
    "server-too-large",
    (_, r) => void r.writeHead(200, { "content-length": 1e12 }).write("x"),
  ],
  [
    "sends elsewhere",
    "server-redirect",
    (_, r) => r.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  ],
  [
    "sends a gzip bomb",
    "server-encoding",
    (_, r) => r.writeHead(200, { "content-encoding": "gzip" }).end(BOMB),
  ],
  ["answers with an error", "server-answer", (_, r) => r.writeHead(503).end()],
  ["refuses", "server-answer", (_, r) => r.writeHead(403).end()],
  ["hangs up", "server-unreachable", (_, r) => r.destroy()],
  ["has no tiles", "log-damaged", (_, r) => r.writeHead(404).end()],
  ["sends a tile that is too short", "log-damaged", (_, r) => r.end(Buffer.alloc(31))],
];

function drip(response: ServerResponse, piece: Buffer, everyMs: number): void {
  const timer = setInterval(() => {
    if (response.destroyed) clearInterval(timer);
    else response.write(piece);
  }, everyMs);
}

for (const [name, code, serve] of HOSTILE)
  remote(`a server that ${name} is given up, with a name for it`, async () => {
    await withServer(
      (path, response) => (path === tilePath(0, 0n) ? serve(path, response) : plainly(path, response)),
      async (address) => {
        // All but the tile comes from an honest server, however busy the machine is.
        const [honest, hostile] = [filesAt(new URL(address)), filesAt(new URL(address), PATIENCE[code])];
        const files: LogFiles = {
          name: address,
          read: (path, most) => (path === tilePath(0, 0n) ? hostile : honest).read(path, most),
          close() {
            for (const one of [honest, hostile]) one.close();
          },
        };
        const reader = await readLogAt(files, await fetchCheckpoint(files));
        const error = await refuses(code, () => reader.proveInclusion(3n));
        assert.ok(error.message.length < 300);
        reader.close();
      },
    );
  });

remote("what a server did is told, and not that the time was up as it was asked again", async () => {
  for (const [code, first] of [
    ["server-unreachable", (r: ServerResponse) => void r.destroy()],
    ["server-answer", (r: ServerResponse) => void r.writeHead(503).end()],
  ] as const) {
    let asked = 0;
    await withServer(
      (_, response) => (asked++ === 0 ? first(response) : undefined),
      async (address) => {
        const files = filesAt(new URL(address), { timeoutMs: 1500, askMs: 20_000 });
        await refuses(code, () => fetchCheckpoint(files));
        files.close();
      },
    );
    assert.is(asked, 2);
  }
});

remote("a server that is busy twice is asked a third time", async () => {
  let busy = 2;
  const asked = await withServer(
    (path, response) => (busy-- > 0 ? response.writeHead(429).end() : plainly(path, response)),
    async (address) => {
      const files = filesAt(new URL(address), { timeoutMs: 20_000 });
      assert.equal(await fetchCheckpoint(files), new Uint8Array(readFileSync(join(log, "checkpoint"))));
      files.close();
    },
  );
  assert.is(asked.length, 3);
});

for (const where of ["http://u:p@127.0.0.1/", "http://127.0.0.1/?x", "http://127.0.0.1/#x", "https://"])
  remote(`an address isn't ${where}`, async () => {
    await refuses("usage", () => openLogReader(where));
  });

remote.run();
