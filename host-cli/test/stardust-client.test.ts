// The ledger of Tangles against the fake node, in one process: what becomes of a block, who works for it, and a node
// that lies, stalls or never stops talking.

import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { toHex } from "@vouch/shared/bytes";
import { isRefusal } from "@vouch/shared/refusal";
import { blockIdOf } from "@vouch/shared/stardust/block";
import { parseStardustReceipt } from "@vouch/shared/stardust/receipt";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { recordNote } from "../src/ledger/ledger";
import { hexOf, openNode } from "../src/ledger/stardust";
import { formatDraft, parseDraft, parseTag } from "../src/ledger/stardust-draft";
import { openStardustLedger, type StardustOptions } from "../src/ledger/stardust-ledger";
import { parseWhere } from "../src/ledger/stardust-where";
import { type FakeHornet, type FakeOptions, type Faults, startFakeHornet } from "./fake-hornet";
import { coordinatorKey } from "./fake-tangle";
import { carriers, trustOf } from "./stardust-kit";

const client = suite("client of a Tangle");

const NOTE = new TextEncoder().encode("log.example\n1\nroot\n\n— log.example signature\n");

interface Setting {
  readonly node: FakeHornet;
  readonly drafts: Map<string, Uint8Array>;
  open(more?: Partial<StardustOptions>): ReturnType<typeof openStardustLedger>;
  record(more?: Partial<StardustOptions>): ReturnType<typeof recordNote>;
}

async function setting(options: FakeOptions, work: (setting: Setting) => Promise<void>): Promise<void> {
  const node = await startFakeHornet({ intervalMs: 100, ...options });
  const drafts = new Map<string, Uint8Array>();
  const store = {
    read: (note: Uint8Array) => drafts.get(toHex(note)) ?? null,
    write: (note: Uint8Array, draft: Uint8Array) => void drafts.set(toHex(note), draft),
    retire: (note: Uint8Array) => void drafts.delete(toHex(note)),
  };
  const open = (more: Partial<StardustOptions> = {}) =>
    openStardustLedger({
      where: parseWhere(node.where.slice("stardust:".length)),
      trust: trustOf(node),
      store,
      tag: parseTag("vouch/v1"),
      pow: "auto",
      timeoutMs: 10_000,
      ...more,
    });
  try {
    await work({ node, drafts, open, record: (more) => recordNote(open(more), NOTE, [], 0) });
  } finally {
    await node.stop();
  }
}

const refusalOf = async (asked: Promise<unknown>) => {
  try {
    await asked;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  throw new Error("wasn't refused");
};

client("a note in one block, with the receipt that proves it", () =>
  setting({}, async ({ node, record, drafts }) => {
    const { receipt, facts, fresh } = await record();
    const { block } = parseStardustReceipt(receipt);
    assert.equal(carriers(node, NOTE), [hexOf(blockIdOf(block))]);
    assert.is(facts?.block, hexOf(blockIdOf(block)));
    assert.is(facts?.tag, "vouch/v1");
    assert.ok(fresh && drafts.size === 1, "the draft is the caller's to drop");
    assert.is(node.asked.filter((name) => name === "POST blocks").length, 1);
  }),
);

client("the same note again, while its draft is kept, is the same block", () =>
  setting({}, async ({ node, record }) => {
    const first = await record();
    const second = await record();
    assert.is(second.facts?.block, first.facts?.block);
    assert.is(carriers(node, NOTE).length, 1);
  }),
);

client("a block that the coordinator passed over is promoted before it is too late", () =>
  setting({ belowMaxDepth: 60 }, async ({ node, record }) => {
    node.faults = { abandon: 1 };
    const { facts } = await record();
    assert.equal(carriers(node, NOTE), [facts?.block]);
    assert.ok(node.asked.filter((name) => name === "POST blocks").length >= 2);
  }),
);

client("a block that is over is attached anew, and neither id is forgotten", () =>
  setting({ belowMaxDepth: 4 }, async ({ node, record, drafts }) => {
    node.faults = { abandon: 1 };
    const { facts } = await record();
    const { tries } = parseDraft([...drafts.values()][0]!);
    const ids = tries.map((each) => ("block" in each ? hexOf(blockIdOf(each.block)) : ""));
    assert.is(ids.length, 2);
    assert.is(facts?.block, ids[1]);
    assert.equal([...carriers(node, NOTE)].sort(), [...ids].sort());
  }),
);

client("a block that the node has lost is handed in again, the same", () =>
  setting({}, async ({ node, record }) => {
    node.faults = { lost: 1 };
    const { facts } = await record();
    assert.equal(carriers(node, NOTE), [facts?.block]);
  }),
);

client("a node that is killed and comes back gets the same block again", () =>
  setting({ intervalMs: 0 }, async ({ node, record }) => {
    node.onRequest = async (name, when) => {
      if (name !== "GET metadata" || when !== "asked") return;
      node.onRequest = () => {};
      await node.kill();
      setTimeout(async () => {
        await node.restart();
        setTimeout(() => node.tangle.issue(), 300);
      }, 300);
    };
    const { facts } = await record();
    assert.equal(carriers(node, NOTE), [facts?.block]);
  }),
);

for (const [pow, nodePow, name] of [
  ["local", true, "here"],
  ["auto", false, "here, where the node doesn't"],
  ["node", true, "by the node"],
  ["auto", true, "by the node, where it does"],
] as const)
  client(`work is done ${name}`, () =>
    setting({ minPowScore: 20, nodePow }, async ({ node, record, drafts }) => {
      const { facts } = await record({ pow });
      assert.equal(carriers(node, NOTE), [facts?.block]);
      const { tries } = parseDraft([...drafts.values()][0]!);
      assert.ok(tries.length === 1 && "block" in tries[0]!, "what the node made is kept");
      const readBack = node.asked.includes("GET blocks");
      assert.is(readBack, name.startsWith("by the node"));
    }),
  );

client("work that isn't done in time is told, and nothing was submitted", () =>
  setting({ minPowScore: 1_000_000_000, nodePow: false }, async ({ node, record, drafts }) => {
    const { code } = await refusalOf(record({ timeoutMs: 1000 }));
    assert.is(code, "pow-unfinished");
    assert.is(drafts.size, 0);
    assert.not(node.asked.includes("POST blocks"));
  }),
);

client("a node that doesn't do the work it is asked for is told", () =>
  setting({ minPowScore: 20, nodePow: false }, async ({ record }) => {
    const { code, message } = await refusalOf(record({ pow: "node" }));
    assert.is(code, "node-refused");
    assert.match(message, /503.*proof of work is not available/);
  }),
);

client("a node that makes another block of the order isn't believed", () =>
  setting({ minPowScore: 20 }, async ({ node, record }) => {
    node.onRequest = (name, when) => {
      if (name !== "GET blocks" || when !== "asked") return;
      // What it gives by that id: the same note over parents that nobody chose.
      for (const { bytes } of node.tangle.blocks.values())
        if (bytes?.includes(Buffer.from(NOTE))) bytes.set(randomBytes(32), 2);
    };
    assert.is((await refusalOf(record({ pow: "node" }))).code, "node-answer");
  }),
);

client("an order whose block the node has lost is followed by another", () =>
  setting({ minPowScore: 20 }, async ({ node, record, drafts }) => {
    await node.pause();
    node.onRequest = (name, when) => {
      if (name === "GET blocks" && when === "asked") node.tangle.dropPending();
    };
    const { code, message } = await refusalOf(record({ pow: "node" }));
    assert.is(code, "node-answer");
    assert.match(message, /made block 0x[0-9a-f]{64}, and doesn't know it/);
    const [lost] = parseDraft([...drafts.values()][0]!).tries;
    assert.ok(lost !== undefined && "order" in lost && lost.id !== null, "its id is kept");
    node.onRequest = () => {};
    await node.resume();
    const { facts } = await record({ pow: "node" });
    assert.equal(carriers(node, NOTE), [facts?.block]);
  }),
);

client("503 for a block that is kept says nothing of it: no other is made", () =>
  setting({ intervalMs: 0 }, async ({ node, record, drafts }) => {
    await refusalOf(record({ timeoutMs: 500 }));
    node.tangle.dropPending();
    node.faults = { status: 503, only: "blocks" };
    assert.is((await refusalOf(record())).code, "node-refused");
    assert.is(parseDraft([...drafts.values()][0]!).tries.length, 1);
    node.faults = {};
    node.onRequest = (name, when) => {
      if (name === "POST blocks" && when === "done") node.tangle.issue();
    };
    const { facts } = await record();
    assert.equal(carriers(node, NOTE), [facts?.block]);
  }),
);

client("a block that its milestone references alone gets another, which isn't", () =>
  setting({}, async ({ node, record }) => {
    const answer = {
      error: { code: "500", message: "you need at lest 2 items to create an inclusion proof" },
    };
    let asked = 0; // whether there is a plugin at all is the first question
    const plugin = createServer(async (request, response) => {
      if (asked++ === 1) return void response.writeHead(500).end(JSON.stringify(answer));
      response.end(await (await fetch(`${node.poi}${request.url}`)).text());
    });
    const { facts } = await record({ where: { node: new URL(node.url), poi: await urlOf(plugin) } });
    plugin.close();
    const [alone, other, ...more] = carriers(node, NOTE);
    assert.ok(alone !== undefined && other === facts?.block && more.length === 0);
  }),
);

async function urlOf(server: Server): Promise<URL> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

// ---- A node that isn't what it should be

const HOSTILE: readonly [name: string, faults: Faults, code: string, more?: Partial<StardustOptions>][] = [
  ["another network", { network: "somebody-elses" }, "wrong-network"],
  ["answers without end", { huge: true }, "node-answer"],
  ["answers that don't come", { slow: 3000 }, "node-unreachable", { timeoutMs: 500 }],
  ["a redirect, which isn't followed", { redirect: "http://127.0.0.1:1/" }, "node-answer"],
  ["503 to everything", { status: 503 }, "node-refused"],
  ["401 to everything", { status: 401 }, "node-refused"],
  ["500 to a block", { status: 500, only: "blocks" }, "node-refused"],
  ["another id than the block's", { alteredId: true }, "node-answer"],
  ["a block of its own for ours", { rewrite: true }, "node-answer"],
  ["a proof by one signature, twice", { twice: true }, "milestone-signer-repeated"],
  ["a proof by a stranger's signature", { foreign: true }, "milestone-signers-unsorted"],
  ["a proof of another block", { otherBlock: true }, "malformed-poi"],
  ["no proof", { noProof: true }, "node-refused", { timeoutMs: 1500 }],
];

for (const [name, faults, code, more] of HOSTILE)
  client(`a node gives ${name}`, () =>
    setting({}, async ({ node, record, drafts }) => {
      node.faults = faults;
      const refused = await refusalOf(record(more));
      assert.is(refused.code, code, refused.message);
      node.faults = {};
      const { facts } = await record();
      assert.ok(carriers(node, NOTE).includes(facts?.block ?? ""), "honest again, it goes on");
      assert.ok(drafts.size === 1);
    }),
  );

client("another network of the same name is told before anything is submitted", () =>
  setting({}, async ({ node, record }) => {
    const other = await startFakeHornet({ coordinators: ["three", "four"].map(coordinatorKey) });
    const { code, message } = await refusalOf(record({ trust: trustOf(other) }));
    await other.stop();
    assert.is(code, "wrong-network");
    assert.match(message, /new keys/);
    assert.not(node.asked.includes("POST blocks"));
  }),
);

client("parents that are too old by the time the block is handed in are chosen anew", () =>
  setting({}, async ({ node, record, open }) => {
    node.faults = { belowMaxDepth: 2 };
    const { facts } = await record();
    assert.equal(carriers(node, NOTE), [facts?.block]);
    node.faults = { belowMaxDepth: 9 };
    const another = new TextEncoder().encode("another note");
    assert.is((await refusalOf(recordNote(open(), another, [], 0))).code, "node-refused");
  }),
);

client("a node whose coordinator has stopped is stale; so is a clock that is off", () =>
  setting({}, async ({ record, node }) => {
    await node.pause();
    for (const [later, told] of [
      [40_000, /last milestone, \d+, is of .* 40 s ago/],
      [-40_000, /ahead of this machine's clock/],
    ] as const) {
      const now = () => node.tangle.head.timestamp * 1000 + later;
      const { code, message } = await refusalOf(record({ now }));
      assert.is(code, "node-stale");
      assert.match(message, told);
    }
  }),
);

client("a node that is starting, without a milestone yet, isn't there yet", () =>
  setting({}, async ({ node, record }) => {
    const { head } = node.tangle;
    await node.pause();
    node.tangle.head = { ...head, index: 0 };
    const { code, message } = await refusalOf(record());
    assert.is(code, "node-unreachable");
    assert.match(message, /may be starting/);
  }),
);

client("without a milestone in time it is pending, and the next run goes on with the same block", () =>
  setting({ intervalMs: 0 }, async ({ node, record }) => {
    const { code, hint } = await refusalOf(record({ timeoutMs: 700 }));
    assert.is(code, "anchor-pending");
    assert.match(hint ?? "", /goes on/);
    node.tangle.issue();
    const { facts } = await record();
    assert.equal(carriers(node, NOTE), [facts?.block]);
  }),
);

client("where nobody makes proofs nothing is submitted, and it is said where inx-poi would be", () =>
  setting({}, async ({ node, record }) => {
    const { code, hint } = await refusalOf(record({ where: { node: new URL(node.url), poi: null } }));
    assert.is(code, "node-not-found");
    assert.match(hint ?? "", /poi=/);
    assert.not(node.asked.includes("POST blocks"));
  }),
);

client("answers of the wrong shape are no answers", async () => {
  const good = { status: { confirmedMilestone: { index: 1, timestamp: 1 } }, features: [] };
  const protocol = { version: 2, networkName: "x", minPowScore: 0, belowMaxDepth: 15 };
  for (const body of [
    "",
    "null",
    "[]",
    "<html>",
    "{}",
    JSON.stringify({ ...good, protocol: { ...protocol, minPowScore: -1 } }),
    JSON.stringify({ ...good, protocol: { ...protocol, minPowScore: "100" } }),
    JSON.stringify({ ...good, protocol: { ...protocol, belowMaxDepth: 0 } }),
    JSON.stringify({ ...good, protocol: { ...protocol, networkName: "a\u0007b" } }),
    JSON.stringify({ ...good, protocol, features: "pow" }),
  ]) {
    const server = createServer((_, response) => void response.end(body));
    const node = openNode(await urlOf(server));
    const deadline = { askMs: () => 2000, allows: () => true };
    assert.is((await refusalOf(node.info(deadline))).code, "node-answer", body);
    server.close();
  }
});

// ---- Words

client("where a Tangle answers", () => {
  const { node, poi } = parseWhere("https://tangle.example/base,poi=http://127.0.0.1:9687");
  assert.is(node.href, "https://tangle.example/base");
  assert.is(poi?.href, "http://127.0.0.1:9687/");
  for (const wrong of [
    "",
    "127.0.0.1:14265",
    "ftp://x",
    "http://u:p@x",
    "http://x?y",
    "http://x#y",
    "http://x,poi=",
    "http://x,grpc=http://y",
    "http://x,poi=http://y,poi=http://z",
  ]) {
    let code = "";
    try {
      parseWhere(wrong);
    } catch (error) {
      code = isRefusal(error) ? error.code : String(error);
    }
    assert.is(code, "usage", wrong);
  }
});

client("tags have 1 to 63 bytes, all visible", () => {
  assert.is(parseTag("a".repeat(63)).length, 63);
  assert.is(parseTag("ä".repeat(31)).length, 62);
  for (const wrong of ["", "a".repeat(64), "ä".repeat(32), "a\u0000", "a\u202eb"])
    assert.throws(
      () => parseTag(wrong),
      (error: unknown) => isRefusal(error) && error.code === "usage",
    );
});

client("a draft that carries something else is refused", () =>
  setting({}, async ({ record, drafts, open }) => {
    await record();
    const [key, kept] = [...drafts][0]!;
    const draft = parseDraft(kept);
    assert.equal(formatDraft(draft), kept);
    const [first] = draft.tries;
    const order = { order: (first as { block: Uint8Array }).block, id: new Uint8Array(32) };
    assert.equal(parseDraft(formatDraft({ ...draft, tries: [order, first!] })).tries, [order, first]);

    const text = new TextDecoder().decode(kept);
    for (const [changed, code] of [
      [text.replace("draft/v1", "draft/v2"), "malformed-draft"],
      [text.replace('"tries":[{', '"tries":[{},{'), "malformed-draft"],
      [text.replace('"note":"', '"note":"AAAA'), "malformed-draft"],
      [text.replace('"tag":"d', '"tag":"e'), "malformed-draft"],
      [text.replace(/"tries":\[.*\]/, '"tries":[]'), "malformed-draft"],
      [text.replace(/"block":"(.{8})/, '"block":"AAAAAAAA'), "stardust-unsupported"],
      [` ${text}`, "not-canonical-json"],
    ] as const) {
      assert.is.not(changed, text, code);
      drafts.set(key, new TextEncoder().encode(changed));
      const refused = await refusalOf(open().find(NOTE));
      assert.is(refused.code, code, changed.slice(0, 80));
    }
    drafts.set(key, formatDraft({ ...draft, network: "elsewhere" }));
    assert.is((await refusalOf(open().find(NOTE))).code, "wrong-network");
  }),
);

client.run();
