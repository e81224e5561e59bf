// The ledger of Tangles against the fake node, in one process: what becomes of a block, and who works for it.

import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { isRefusal } from "@vouch/shared/refusal";
import { blockIdOf } from "@vouch/shared/stardust/block";
import { parseStardustReceipt } from "@vouch/shared/stardust/receipt";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { tell, toldText } from "../src/commands/inspect";
import { hexOf } from "../src/ledger/stardust";
import { formatDraft, parseDraft, parseTag } from "../src/ledger/stardust-draft";
import { parseWhere } from "../src/ledger/stardust-where";
import { carriers, NOTE, refusalOf, setting, urlOf } from "./stardust-kit";

const client = suite("client of a Tangle");

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
    const { code } = await refusalOf(record({ timeoutMs: 3000 }));
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
    await refusalOf(record({ timeoutMs: 3000 }));
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
    assert.match(toldText(tell(kept)), /^draft of a Tangle's block\n(.*\n)* +tries +1\n/); // as `vouch inspect` prints it
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
