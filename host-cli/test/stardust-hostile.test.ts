// A node that lies, stalls or never stops talking, and what our ledger makes of it, in one process.

import { createServer } from "node:http";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { recordNote } from "../src/ledger/ledger";
import { openNode } from "../src/ledger/stardust";
import type { StardustOptions } from "../src/ledger/stardust-ledger";
import { type Faults, startFakeHornet } from "./fake-hornet";
import { coordinatorKey } from "./fake-tangle";
import { carriers, NOTE, refusalOf, setting, trustOf, urlOf } from "./stardust-kit";

const client = suite("a Tangle's node that isn't what it should be");

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
  ["no proof", { noProof: true }, "node-refused", { timeoutMs: 4000 }],
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
    const { code, hint } = await refusalOf(record({ timeoutMs: 3000 }));
    assert.is(code, "anchor-pending");
    assert.match(hint ?? "", /goes on/);
    node.faults = { slow: 300 };
    const again = await refusalOf(record({ timeoutMs: 1400 }));
    assert.is(again.code, "anchor-pending", "a question asked just before the end is still answered");
    node.faults = {};
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

client.run();
