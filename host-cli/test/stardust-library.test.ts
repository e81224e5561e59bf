// What is wrong with @iota/iota.js 2.0.0-rc.4, shown; and that none of it reaches a block of ours. Should a test of the
// library's part fail, the library has changed: see which guard in ledger/stardust.ts it may do without.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import {
  deserializeTaggedDataPayload,
  type IClient,
  type IPowProvider,
  type ITaggedDataPayload,
  SingleNodeClient,
  sendData,
  serializeTaggedDataPayload,
  TAGGED_DATA_PAYLOAD_TYPE,
} from "@iota/iota.js";
import { ReadStream, WriteStream } from "@iota/util.js";
import { isRefusal } from "@vouch/shared/refusal";
import { decodeBlock } from "@vouch/shared/stardust/block";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deadlineIn } from "../src/ledger/deadline";
import { recordNote } from "../src/ledger/ledger";
import { buildBlock, openNode } from "../src/ledger/stardust";
import { parseTag } from "../src/ledger/stardust-draft";
import { openStardustLedger } from "../src/ledger/stardust-ledger";
import { parseWhere } from "../src/ledger/stardust-where";
import { type FakeHornet, type FakeOptions, startFakeHornet } from "./fake-hornet";
import { carriers, trustOf, urlOf } from "./stardust-kit";

const library = suite("defects of iota.js 2.0.0-rc.4");

const NOTE = new TextEncoder().encode("a note");
const PARENT = new Uint8Array(32).fill(7);
const hexOf = (bytes: Uint8Array) => `0x${Buffer.from(bytes).toString("hex")}`;

function serialized(payload: { tag?: string; data: string }): Uint8Array {
  const stream = new WriteStream();
  const whole = { type: TAGGED_DATA_PAYLOAD_TYPE, ...payload } as ITaggedDataPayload;
  serializeTaggedDataPayload(stream, whole);
  return stream.finalBytes();
}

async function withNode(options: FakeOptions, work: (node: FakeHornet) => Promise<void>): Promise<void> {
  const node = await startFakeHornet({ intervalMs: 100, ...options });
  try {
    await work(node);
  } finally {
    await node.stop();
  }
}

/** Anchors the note by our ledger. */
function anchor(node: FakeHornet) {
  const drafts: Uint8Array[] = [];
  const ledger = openStardustLedger({
    where: parseWhere(node.where.slice("stardust:".length)),
    trust: trustOf(node),
    store: {
      read: () => drafts[0] ?? null,
      write: (_, draft) => void drafts.splice(0, 1, draft),
      retire() {},
    },
    tag: parseTag("vouch/v1"),
    pow: "auto",
    timeoutMs: 20_000,
  });
  return recordNote(ledger, NOTE, [], 0);
}

const count = (node: FakeHornet, name: string) => node.asked.filter((asked) => asked === name).length;

const isUsage = (error: unknown) => isRefusal(error) && error.code === "usage";

library(
  "1. without a tag it writes bytes that it can't read itself: a tag of ours has a byte at least",
  () => {
    const broken = serialized({ data: hexOf(NOTE) });
    assert.is(broken.length, 4 + 4 + 4 + NOTE.length, "the tag's length in four bytes, where it has one");
    assert.throws(() => deserializeTaggedDataPayload(new ReadStream(broken)), /exceeds the remaining data/);

    assert.throws(() => parseTag(""), isUsage);
    const block = decodeBlock(buildBlock([PARENT], { tag: parseTag("t"), data: NOTE }));
    assert.equal([block.tag, block.data], [parseTag("t"), NOTE]);
  },
);

library("2. a tag of 64 bytes counts as 65: ours have 63 at most", () => {
  assert.throws(() => serialized({ tag: hexOf(new Uint8Array(64)), data: hexOf(NOTE) }), /tag length is 65/);

  assert.throws(() => parseTag("t".repeat(64)), isUsage);
  const longest = parseTag("t".repeat(63));
  assert.equal(decodeBlock(buildBlock([PARENT], { tag: longest, data: NOTE })).tag, longest);
});

library("3. sendData with a tag or data alone sends an empty block: ours carry both", async () => {
  const sent: object[] = [];
  const client = { blockSubmit: async (block: object) => `0x${sent.push(block)}` } as unknown as IClient;
  await sendData(client, undefined, NOTE);
  await sendData(client, "vouch/v1", undefined);
  assert.equal(sent, [{ payload: undefined }, { payload: undefined }]);

  await withNode({}, async (node) => {
    await anchor(node);
    assert.is(carriers(node, NOTE).length, 1);
  });
});

library("4. where no work is wanted it asks for tips 42 times: ours are asked for once", async () => {
  await withNode({}, async (node) => {
    const powProvider: IPowProvider = { pow: async () => "0" };
    const client = new SingleNodeClient(node.url, { powProvider });
    await client.blockSubmit({ payload: { type: TAGGED_DATA_PAYLOAD_TYPE, tag: "0x00", data: "0x00" } });
    assert.is(count(node, "GET tips"), 42);
    node.asked.length = 0;
    await anchor(node);
    assert.is(count(node, "GET tips"), 1);
  });
});

library(
  "5. without a provider it leaves parents to the node, which gives none where it should work and won't: ours have them",
  async () => {
    await withNode({ nodePow: false, minPowScore: 5 }, async (node) => {
      const client = new SingleNodeClient(node.url);
      const payload = { type: TAGGED_DATA_PAYLOAD_TYPE, tag: "0x00", data: "0x00" } as const;
      let failed = "";
      await client.blockSubmit({ payload }).catch((error) => {
        failed = String(error);
      });
      assert.match(failed, /no parents given and node PoW is disabled/);
      await anchor(node);
    });
  },
);

library(
  "6. it follows redirects, and changes what it is given: ours goes nowhere else, and stays",
  async () => {
    const elsewhere: string[] = [];
    const other = createServer((request, response) => {
      elsewhere.push(request.url ?? "");
      response.end('{"tips":[]}');
    });
    const there = (await urlOf(other)).origin;
    const redirecting = createServer((request, response) => {
      response.writeHead(307, { location: `${there}${request.url}` }).end();
    });
    const url = (await urlOf(redirecting)).origin;
    await new SingleNodeClient(url).tips();
    assert.equal(elsewhere, ["/api/core/v2/tips"]);
    const refused = await openNode(new URL(url))
      .tips(deadlineIn(5000))
      .catch((error) => error);
    assert.is(refused.code, "node-answer");
    assert.is(elsewhere.length, 1);
    for (const server of [other, redirecting]) server.close();

    await withNode({}, async (node) => {
      const tips = await openNode(new URL(node.url)).tips(deadlineIn(5000));
      const bytes = buildBlock(tips, { tag: parseTag("t"), data: NOTE });
      bytes[0] = 9; // another version
      await new SingleNodeClient(node.url).blockSubmitRaw(bytes);
      assert.is(bytes[0], 2, "written into the caller's bytes");
      bytes[0] = 9;
      await openNode(new URL(node.url))
        .submit(bytes, deadlineIn(5000))
        .catch(() => {});
      assert.is(bytes[0], 9);
    });
  },
);

library("7. its packages for work take no deadline, and aren't among ours", () => {
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")) as { packages: Record<string, unknown> };
  const names = Object.keys(lock.packages).filter((path) => /@iota\/[a-z-]+\.js$/.test(path));
  assert.equal(
    names.sort(),
    ["crypto", "iota", "util"].map((name) => `node_modules/@iota/${name}.js`),
  );
});

library("8. it calls a node without neighbours ill: ours looks at milestones", async () => {
  await withNode({}, async (node) => {
    assert.is(await new SingleNodeClient(node.url).health(), false);
    await anchor(node);
    assert.is(count(node, "GET health"), 1);
  });
});

library.run();
