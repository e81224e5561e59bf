// vouch ledger trust: what a node shows of its coordinator, what it may not get away with, and that nothing is written
// unless a person, or --yes, agreed.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { decodeMilestone, encodeMilestone } from "@vouch/shared/stardust/milestone";
import { PRESETS } from "@vouch/shared/stardust/presets";
import { parseTrust, rootOfTrust, trustDigest } from "@vouch/shared/stardust/trust";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anchorOnTangle, makeTangle, someId } from "../../shared/test/stardust-kit";
import { publishedBytes, publishedJson } from "../../shared/test/vectors";
import { nodeCrypto } from "../src/crypto";
import { vouch as run } from "./maker-kit";
import type { MemoryIoOptions } from "./memory-io";

const trust = suite("ledger trust");
const folder = mkdtempSync(join(tmpdir(), "vouch-trust-"));
const at = (name: string) => join(folder, name);
trust.after(() => rmSync(folder, { recursive: true, force: true }));

const tangle = makeTangle("hospital-tangle", 5, 3);
const LAST = 40;
const SIGNERS = [
  [0, 1, 2],
  [0, 2, 4],
  [1, 3, 4],
];
const milestoneOf = (index: number): Uint8Array =>
  anchorOnTangle(tangle, someId(`${index}`), {
    time: 1_795_000_000 + 2 * index,
    index,
    signers: SIGNERS[index % 3]!,
  }).milestone;

// biome-ignore lint/suspicious/noExplicitAny: JSON as it was served, to be bent
type Json = any;
const info = (): Json => {
  const { response } = publishedJson<Json>("stardust/exchanges/info.json");
  const told = structuredClone(response.body.json);
  told.protocol.networkName = "hospital-tangle";
  told.status.confirmedMilestone.index = LAST;
  return told;
};

interface Node {
  info?: (response: ServerResponse) => unknown;
  milestone?: (index: number, response: ServerResponse) => Uint8Array | null;
  asked?: string[];
}

/** A node's two routes, on loopback. What is given undefined for was answered already. */
async function withNode<T>(node: Node, work: (url: string) => Promise<T>): Promise<T> {
  const server = createServer((request, response) => {
    node.asked?.push(`${request.method} ${request.url} ${request.headers.accept}`);
    const index = /^\/api\/core\/v2\/milestones\/by-index\/(\d+)$/.exec(request.url ?? "")?.[1];
    if (index === undefined) {
      const told = (node.info ?? info)(response);
      if (told !== undefined)
        response.setHeader("content-type", "application/json").end(JSON.stringify(told));
      return;
    }
    const bytes = (node.milestone ?? milestoneOf)(Number(index), response);
    if (bytes === null) response.writeHead(404).end();
    else if (!response.headersSent) response.end(bytes);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

const vouch = (argv: readonly string[], options: MemoryIoOptions = {}) =>
  run(["ledger", "trust", ...argv], options);

trust(
  "the keys of a node's coordinator, shown, agreed to by --yes, written; the policy line is the product",
  async () => {
    const asked: string[] = [];
    const io = await withNode({ asked }, (url) => vouch(["--from", url, "-o", at("tangle.trust"), "--yes"]));
    assert.is(io.exitCode, 0, io.err());
    const written = new Uint8Array(readFileSync(at("tangle.trust")));
    assert.equal(parseTrust(written), tangle.trust);
    assert.is(io.out(), `ledger stardust hospital-tangle@${toHex(nodeCrypto.sha256(written))}\n`);
    for (const { key } of tangle.trust.keys) assert.ok(io.err().includes(toHex(key)));
    assert.match(io.err(), /the last 24 milestones each carry 3 signatures/);
    assert.match(io.err(), /signed 16 of 24/);
    assert.match(io.err(), /trust on first use/);
    assert.is(asked.length, 25);
    assert.is(asked[1], `GET /api/core/v2/milestones/by-index/${LAST} application/vnd.iota.serializer-v1`);
  },
);

trust("a file that is there stays as it is", async () => {
  writeFileSync(at("mine"), "mine");
  const asked: string[] = [];
  const io = await withNode({ asked }, (url) => vouch(["--from", url, "-o", at("mine"), "--yes"]));
  assert.equal(asked, [], "before anybody compares keys for nothing");
  assert.match(io.err(), /\[exists\]/);
  assert.is(io.exitCode, 1);
  assert.is(readFileSync(at("mine"), "utf8"), "mine");
});

trust("a person is asked; no, or nobody there, writes nothing", async () => {
  await withNode({}, async (url) => {
    const no = await vouch(["--from", url, "-o", at("no")], { tty: true, answers: ["n"] });
    assert.match(no.err(), /trust these keys, and write .*no\? \[y\/N\]/);
    assert.match(no.err(), /nothing was written/);
    assert.is(no.exitCode, 1);
    assert.is((await vouch(["--from", url, "-o", at("no")])).exitCode, 1);
    assert.not.ok(existsSync(at("no")));
    const yes = await vouch(["--from", url, "-o", at("yes"), "--quiet"], { tty: true, answers: ["y"] });
    assert.ok(yes.err().includes(toHex(tangle.trust.keys[0]!.key)), "what is agreed to is shown, even so");
    assert.is(yes.exitCode, 0);
    assert.ok(existsSync(at("yes")));
  });
});

trust("--dry-run writes nothing and needs no file; --json is one object", async () => {
  const io = await withNode({}, (url) => vouch(["--from", url, "-o", at("dry"), "--dry-run", "--json"]));
  assert.not.ok(existsSync(at("dry")));
  const json = JSON.parse(io.out());
  assert.is(json.network, "hospital-tangle");
  assert.is(json.threshold, 3);
  assert.is(json.keys.length, 5);
  assert.is(json.file, null);
  assert.is(json.retired, null);
  assert.equal(json.milestones, { seen: 24, last: LAST, time: isoTime(1_795_000_000 + 2 * LAST) });
  assert.is(json.root, `hospital-tangle@${toHex(trustDigest(tangle.trust, nodeCrypto))}`);
});

trust("a young network, and a node that has forgotten the rest, are asked for what there is", async () => {
  const young = () => {
    const told = info();
    told.status.confirmedMilestone.index = 3;
    return told;
  };
  const io = await withNode({ info: young }, (url) => vouch(["--from", url, "--dry-run"]));
  assert.match(io.err(), /the last 3 milestones/);
  const pruned = (index: number) => (index > LAST - 2 ? milestoneOf(index) : null);
  const forgetful = await withNode({ milestone: pruned }, (url) => vouch(["--from", url, "--dry-run"]));
  assert.match(forgetful.err(), /the last 2 milestones/);
});

trust("the recorded network: its own milestone, as served", async () => {
  const raw = publishedJson<Json>("stardust/exchanges/milestone-by-index-raw.json");
  const bytes = new Uint8Array(Buffer.from(raw.response.body.base64, "base64"));
  const { index } = decodeMilestone(bytes);
  const anchor = publishedBytes("stardust/anchors/a1-alone/milestone.bin");
  assert.is(index === decodeMilestone(anchor).index, false);
  // Two milestones that were recorded, shown as neighbours: each is genuine, the index isn't what was asked.
  const told = () => {
    const json = info();
    json.protocol.networkName = "fwproof-ci";
    json.status.confirmedMilestone.index = index;
    return json;
  };
  const io = await withNode({ info: told, milestone: (i) => (i === index ? bytes : anchor) }, (url) =>
    vouch(["--from", url, "--dry-run"]),
  );
  assert.match(io.err(), new RegExp(`gives milestone 151 for ${index - 1} \\[node-answer\\]`));
});

const bent = (index: number, change: (essence: Uint8Array, signatures: Json[]) => Uint8Array) => {
  const milestone = milestoneOf(index);
  const signatures = [...decodeMilestone(milestone).signatures];
  return change(milestone.slice(4, -(1 + 97 * signatures.length)), signatures);
};
const edited = (edit: (told: Json) => void) => () => {
  const told = info();
  edit(told);
  return told;
};
const lies: readonly [name: string, node: Node, code: string][] = [
  ["a name no trust file can hold", { info: edited((t) => (t.protocol.networkName = "a b")) }, "node-answer"],
  [
    "a name with a bidi override",
    { info: edited((t) => (t.protocol.networkName = "a\u202eb")) },
    "node-answer",
  ],
  ["another protocol", { info: edited((t) => (t.protocol.version = 3)) }, "stardust-unsupported"],
  ["no milestone", { info: edited((t) => delete t.status.confirmedMilestone) }, "node-answer"],
  ["an index that is none", { info: edited((t) => (t.status.confirmedMilestone.index = -1)) }, "node-answer"],
  ["no JSON", { info: (r) => void r.end("<html>") }, "node-answer"],
  [
    "a redirect",
    { info: (r) => void r.writeHead(307, { location: "http://127.0.0.1:1/" }).end() },
    "node-answer",
  ],
  ["an error", { info: (r) => void r.writeHead(503).end() }, "node-answer"],
  ["info without end", { info: (r) => void r.end("9".repeat(100_000)) }, "node-answer"],
  ["a milestone too long", { milestone: () => new Uint8Array(40_000) }, "node-answer"],
  ["a milestone that is none", { milestone: () => new Uint8Array(100) }, "milestone-malformed"],
  ["one milestone alone", { milestone: (i) => (i === LAST ? milestoneOf(i) : null) }, "too-few-milestones"],
  ["another milestone", { milestone: () => milestoneOf(7) }, "node-answer"],
  [
    "a milestone nobody signed",
    { milestone: (i) => bent(i, (essence) => encodeMilestone(essence, [])) },
    "milestone-threshold",
  ],
  [
    "a signature that doesn't verify",
    {
      milestone: (i) => {
        const bytes = milestoneOf(i);
        if (i === LAST - 5) bytes[bytes.length - 1]! ^= 1;
        return bytes;
      },
    },
    "milestone-signature",
  ],
  [
    "one signature twice",
    { milestone: (i) => bent(i, (essence, [a, b]) => encodeMilestone(essence, [a, a, b])) },
    "milestone-signer-repeated",
  ],
  [
    "milestones with more signatures now and then",
    { milestone: (i) => bent(i, (essence, s) => encodeMilestone(essence, i % 2 === 0 ? s : s.slice(1))) },
    "node-answer",
  ],
];
for (const [name, node, code] of lies)
  trust(`a node that shows ${name}: ${code}, and nothing is written`, async () => {
    const io = await withNode(node, (url) =>
      vouch(["--from", url, "-o", at("lie"), "--yes", "--timeout", "20"]),
    );
    assert.match(io.err(), new RegExp(`\\[${code}\\]`));
    assert.is(io.out(), "");
    assert.not.equal(io.exitCode, 0);
    assert.not.ok(existsSync(at("lie")));
  });

trust("a node that says nothing is given up", async () => {
  const io = await withNode({ info: () => undefined }, (url) =>
    vouch(["--from", url, "-o", at("lie"), "--yes", "--timeout", "1"]),
  );
  assert.match(io.err(), /\[node-unreachable\]/);
});

for (const argv of [
  [],
  ["--from", "ftp://127.0.0.1", "--dry-run"],
  ["--from", "http://user@127.0.0.1", "--dry-run"],
  ["--from", "http://:secret@127.0.0.1", "--dry-run"],
  ["--from", "http://127.0.0.1?x", "--dry-run"],
  ["--from", "http://127.0.0.1:1"],
  ["show", "--save", at("x")],
])
  trust(`usage: ${argv.join(" ") || "nothing"}`, async () => {
    const io = await vouch(argv);
    assert.match(io.err(), /\[usage\]/);
    assert.not.match(io.err(), /secret/);
    assert.is(io.exitCode, 1);
  });

trust("show: what ships is marked retired, and can go into a policy and a file as it is", async () => {
  const both = await vouch(["show"]);
  for (const { trust: preset } of PRESETS) {
    const one = await vouch(["show", preset.network, "--save", at(preset.network)]);
    assert.is(one.exitCode, 0);
    assert.ok(both.out().includes(one.out()));
    const [line, retired, , ...keys] = one.out().trimEnd().split("\n");
    assert.is(line, `ledger stardust ${preset.network}@${toHex(rootOfTrust(preset, nodeCrypto).digest)}`);
    assert.match(retired!, /^# retired: .*could back-date$/);
    assert.is(keys.length, 10);
    assert.equal(parseTrust(new Uint8Array(readFileSync(at(preset.network)))), preset);
    assert.is((await vouch(["show", at(preset.network)])).out(), one.out());
  }
  const json = JSON.parse((await vouch(["show", "shimmer", "--json"])).out());
  assert.match(json.retired, /Shimmer/);
  assert.match((await vouch(["show", at("absent")])).err(), /\[not-found\]/);
});

trust.run();
