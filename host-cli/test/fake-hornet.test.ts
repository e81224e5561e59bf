// The fake node answers every recorded request as the recording does.
//
// Recordings: shared/vectors/published/stardust/exchanges, of HORNET 2.0.1 and inx-poi 1.0.0. Each is replayed against a
// fake that knows what the real node then knew: the last milestone, the tips, the blocks that the request names, their
// parents. Milestone 115 is not loaded but confirmed by the fake's own white flag over the recorded blocks, which must
// come to the recorded Merkle root.
//
// Compared: the status; every header but Date, Connection, Content-Length and Transfer-Encoding; the body, byte by
// byte. What can't be equal is named in DIFFERS, with the reason, and is taken out of both sides; the rest of that
// answer is compared all the same. No exchange is left out.

import { readdirSync, readFileSync } from "node:fs";
import { request } from "node:http";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type Block,
  blockBytes,
  hex,
  idOf,
  merkleRoot,
  readBlockJson,
  readMilestone,
  unhex,
} from "./fake-blocks";
import { powScore, work } from "./fake-curl";
import { type FakeHornet, startFakeHornet } from "./fake-hornet";
import { SimulatedTangle } from "./fake-tangle";

const FOLDER = "shared/vectors/published/stardust";

type Body = null | { base64?: string; text?: string; json?: unknown; trailingNewline?: boolean };
interface Exchange {
  readonly name: string;
  readonly network: string;
  readonly server: "node" | "inx-poi";
  readonly request: {
    method: string;
    path: string;
    headers: Record<string, string>;
    body: Body;
    bodyLength: number;
  };
  readonly response: { status: number; headers: Record<string, string>; body: Body; bodyLength: number };
}

const read = (path: string) => JSON.parse(readFileSync(`${FOLDER}/${path}`, "utf8"));
const exchanges: Exchange[] = readdirSync(`${FOLDER}/exchanges`).map((file) => read(`exchanges/${file}`));
const named = (name: string) => exchanges.find((x) => x.name === name)!;

function bytesOf(body: Body, length: number): Buffer {
  if (body === null) return Buffer.alloc(length, 7); // only post-huge-raw has one that isn't kept
  if (body.base64 !== undefined) return Buffer.from(body.base64, "base64");
  if (body.text !== undefined) return Buffer.from(body.text);
  return Buffer.from(JSON.stringify(body.json) + (body.trailingNewline ? "\n" : ""));
}

/** What can't be equal: where it is in the answer, and why. */
const METRICS = { what: ["metrics"], why: "how fast the network was in the minute before" };
const CHOICE = {
  what: ["blockId"],
  why: "the node chose parents or a nonce, of which the recording doesn't tell",
};
const DIFFERS: Record<string, { what: string[]; why: string }> = {
  info: METRICS,
  "stale-info": METRICS,
  "pow100-info": METRICS,
  "nopow100-info": METRICS,
  "post-json-no-parents-v2": CHOICE,
  "pow100-post-json-nonce-0": CHOICE,
  "pow100-post-raw-nonce-0": CHOICE,
};

// ---- What the recorded node knew

const json = (x: Exchange) => (x.response.body?.json ?? {}) as Record<string, unknown>;
const isSecond = ({ network }: Exchange) => network.includes("second network");
const secondsOf = ({ response }: Exchange) => {
  const [, h, m, s] = /(\d\d):(\d\d):(\d\d) GMT/.exec(response.headers["Date"] ?? "")!.map(Number);
  return 3600 * h! + 60 * m! + s!;
};
const headOf = (x: Exchange) =>
  (json(x) as { status: { latestMilestone: SimulatedTangle["head"] } }).status.latestMilestone;

/** Bytes of a recorded block, as posted or as given out. */
function postedBytes({ request: { headers, body, bodyLength } }: Exchange): Buffer {
  const bytes = bytesOf(body, bodyLength);
  return /json/.test(headers["Content-Type"] ?? "") ? blockBytes(readBlockJson(bytes.toString())) : bytes;
}
const givenBytes = (name: string) => blockBytes(json(named(name)) as unknown as Block);

const FIRST = ["post-raw", "post-json", "post-json-no-payload", "post-json-tag-absent"];
const OTHERS = new Map(
  ["get-no-parents-raw", "get-milestone-block"].map((name) => [idOf(givenBytes(name)), givenBytes(name)]),
);

/** The network at the moment of an exchange. */
function networkAt(x: Exchange): SimulatedTangle {
  const second = isSecond(x);
  const keys = read("trust.json").publicKeys as string[];
  const tangle = new SimulatedTangle({ name: "fwproof-ci", minPowScore: second ? 100 : 0 });
  tangle.publicKeys = keys;
  const later = secondsOf(x) >= secondsOf(named("metadata-referenced"));
  tangle.head = headOf(named(!second ? "info" : x.name.endsWith("info") ? x.name : "pow100-info"));
  const tips = (json(named(x.name.startsWith("stale") ? "stale-tips" : "tips")) as { tips: string[] }).tips;
  for (const id of tips) {
    tangle.solidEntries.set(id, tangle.index);
    tangle.tips.add(id);
  }
  if (second) return loadMentioned(tangle, x);

  // The block of milestone 114 is known by its id alone; what came after it is attached, as it was.
  const last = "0xb11f44aba7d7b48496b88f6ac1ebd9f4b9037f48f20fa287cd4aa2151ff8a685";
  tangle.solidEntries.delete(last);
  tangle.blocks.set(last, { id: last, parents: [], milestoneIndex: 114 });
  if (later || !FIRST.includes(x.name)) for (const name of FIRST) tangle.attach(postedBytes(named(name)));
  else for (const name of FIRST.slice(0, 2)) if (x.name !== name) tangle.attach(postedBytes(named(name)));
  if (/^tips/.test(x.name)) {
    tangle.tips.clear();
    for (const id of tips) tangle.tips.add(id);
  }
  if (later) tangle.confirm(readMilestone(bytesOf(named("milestone-by-index-raw").response.body, 0)));
  tangle.milestones.set(1, readMilestoneJson(named("milestone-one-json")));
  return loadMentioned(tangle, x);
}

const readMilestoneJson = (x: Exchange) => json(x) as unknown as ReturnType<typeof readMilestone>;

/** The blocks that an exchange names, and the parents of what it posts, as old as the answer shows them to be. */
function loadMentioned(tangle: SimulatedTangle, x: Exchange): SimulatedTangle {
  const { status, body } = x.response;
  const said = JSON.stringify(body);
  const shown = json(x) as { shouldPromote?: boolean; shouldReattach?: boolean; parents?: string[] };
  const age = shown.shouldPromote ? 9 : shown.shouldReattach || said.includes("below max depth") ? 16 : 0;
  const know = (parents: readonly string[]) => {
    for (const id of parents)
      if (!tangle.blocks.has(id) && !said.includes("not solid"))
        tangle.solidEntries.set(id, tangle.index - age);
  };
  const id = /0x[0-9a-f]{64}/.exec(x.request.path)?.[0];
  const bytes = OTHERS.get(id ?? "");
  if (
    id !== undefined &&
    !tangle.blocks.has(id) &&
    (status === 200 || bytes !== undefined || /reattach/.test(x.name))
  ) {
    const { referencedByMilestoneIndex: index, whiteFlagIndex: place } = shown as Record<string, number>;
    const entry = { id, parents: shown.parents ?? [], ...(bytes === undefined ? {} : { bytes }) };
    tangle.blocks.set(id, {
      ...entry,
      ...(x.name.includes("milestone-block") ? { milestoneIndex: 2 } : {}),
      ...(index === undefined ? {} : { referenced: { index, place: place! } }),
    });
    know(entry.parents);
  }
  if (x.name === "poi-create-one-leaf-cone") {
    tangle.blocks.get(id!)!.referenced = { index: 3, place: 0 };
    tangle.cones.set(3, [id!]);
  }
  if (x.request.method === "POST" && x.server === "node" && status !== 413 && status !== 415) {
    try {
      const sent = postedBytes(x);
      know(Array.from({ length: sent[1]! }, (_, i) => hex(sent.subarray(2 + 32 * i, 34 + 32 * i))));
    } catch {
      // not a block, which is what the exchange is about
    }
  }
  if (x.name === "post-no-parents-raw") {
    tangle.tips.clear();
    for (const tip of (json(named("get-no-parents-raw")) as unknown as Block).parents) {
      tangle.solidEntries.set(tip, tangle.index);
      tangle.tips.add(tip);
    }
  }
  return tangle;
}

// ---- Asking

interface Told {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

function ask(fake: FakeHornet, x: Exchange): Promise<Told> {
  const { method, path, headers, body, bodyLength } = x.request;
  return new Promise((resolve, reject) => {
    const url = new URL(path, x.server === "node" ? fake.url : fake.poi);
    const sent = request(url, { method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () =>
        resolve({
          status: response.statusCode!,
          headers: response.headers as Record<string, string>,
          body: Buffer.concat(parts),
        }),
      );
    });
    sent.on("error", reject);
    sent.end(bytesOf(body, bodyLength));
  });
}

const TRANSPORT = ["date", "connection", "content-length", "transfer-encoding", "keep-alive"];

function comparable({ status, headers, body }: Told, without: readonly string[]): string {
  const kept = Object.entries(headers)
    .map(([name, value]) => [name.toLowerCase(), value])
    .filter(([name]) => !TRANSPORT.includes(name!))
    .filter(([name]) => name !== "location" || without.length === 0)
    .toSorted();
  let text = /json/.test(headers["content-type"] ?? headers["Content-Type"] ?? "")
    ? body.toString()
    : hex(body);
  if (without.length > 0) {
    const value = JSON.parse(text);
    for (const name of without) {
      assert.ok(name in value, `the answer has ${name}`);
      value[name] = typeof value[name];
    }
    text = JSON.stringify(value) + (text.endsWith("\n") ? "\n" : "");
  }
  return `${status}\n${JSON.stringify(kept)}\n${text}`;
}

const recorded = suite("recorded exchanges with HORNET");

for (const x of exchanges) {
  const { what = [], why } = DIFFERS[x.name] ?? {};
  recorded(`${x.name}${why === undefined ? "" : `, less ${what.join(", ")}: ${why}`}`, async () => {
    const nodePow = !x.name.startsWith("nopow");
    const fake = await startFakeHornet({ tangle: networkAt(x), intervalMs: 0, nodePow });
    try {
      const told = await ask(fake, x);
      const { status, headers, body, bodyLength } = x.response;
      const expected = { status, headers, body: bytesOf(body, bodyLength) };
      assert.is(comparable(told, what), comparable(expected, what));
    } finally {
      await fake.stop();
    }
  });
}

recorded("they are all there, and every difference is of one of them", () => {
  assert.is(exchanges.length, 124);
  for (const name of Object.keys(DIFFERS)) assert.ok(named(name) !== undefined, name);
});
recorded.run();

const laws = suite("fake network");

laws("its Merkle trees are TIP-4's", () => {
  const ids =
    "52fdfc072182654f163f5f0f9a621d729566c74d10037c4d7bbb0407d1e2c649 81855ad8681d0d86d1e91e00167939cb6694d2c422acd208a0072939487f6999 eb9d18a44784045d87f3c67cf22746e995af5a25367951baa2ff6cd471c483f1 5fb90badb37c5821b6d95526a41a9504680b4e7c8b763a1b1d49d4955c848621 6325253fec738dd7a9e28bf921119c160f0702448615bbda08313f6a8eb668d2 0bf5059875921e668a5bdf2c7fc4844592d2572bcd0668d2d6c52f5054e2d083 6bf84c7174cb7476364cc3dbd968b0f7172ed85794bb358b0c3b525da1786f9f";
  const root = hex(merkleRoot(ids.split(" ").map((id) => `0x${id}`)));
  assert.is(root, "0xbf67ce7ba23e8c0951b5abaec4f5524360d2c26d971ff226d3359fa70cdb0beb");
});

laws("its proof of work is worth what HORNET took it for", async () => {
  assert.ok(powScore(postedBytes(named("pow100-post-raw-sufficient"))) >= 100);
  assert.ok(powScore(postedBytes(named("nopow100-post-raw-sufficient"))) >= 100);
  assert.ok(powScore(postedBytes(named("pow100-post-raw-insufficient"))) < 100);
  const block = postedBytes(named("post-raw"));
  const done = await work(block, 20);
  assert.ok(powScore(done) >= 20);
  assert.is(hex(done.subarray(0, -8)), hex(block.subarray(0, -8)));
});

const post = (tangle: SimulatedTangle, parents: readonly string[], data: string) =>
  tangle.attach(
    blockBytes({ protocolVersion: 2, parents, payload: { type: 5, tag: "0x01", data }, nonce: "0" }),
  );

laws(
  "of a burst a few are referenced; the others are saved by a block above them, until they are too old",
  () => {
    const tangle = new SimulatedTangle();
    tangle.issue();
    const tips = tangle.selectTips();
    const ids = Array.from({ length: 50 }, (_, i) => post(tangle, tips, hex(Uint8Array.of(i))));
    tangle.issue();
    const left = ids.filter((id) => tangle.blocks.get(id)!.referenced === undefined);
    assert.is(left.length, 45);
    for (let i = 0; i < 8; i++) tangle.issue();
    assert.is(tangle.scoreOf(left[0]!), "healthy");
    tangle.issue();
    assert.is(tangle.scoreOf(left[0]!), "promote");
    post(tangle, [left[0]!, tangle.selectTips()[0]!].toSorted(), "0x02");
    tangle.issue();
    assert.ok(tangle.blocks.get(left[0]!)!.referenced !== undefined);
    for (let i = 0; i < 7; i++) tangle.issue();
    assert.is(tangle.scoreOf(left[1]!), "below max depth");
    assert.throws(() => post(tangle, [left[1]!], "0x03"), /below max depth/);
  },
);

laws("every milestone's root and signatures are those of its blocks and keys", () => {
  const tangle = new SimulatedTangle();
  for (let n = 0; n < 40; n++) {
    tangle.issue();
    for (let i = 0; i < n % 7; i++) post(tangle, tangle.selectTips(), hex(Uint8Array.of(n, i)));
  }
  for (const [index, milestone] of tangle.milestones) {
    assert.ok(tangle.isSigned(milestone));
    assert.is(hex(merkleRoot(tangle.cones.get(index)!)), milestone.inclusionMerkleRoot);
    for (const id of tangle.cones.get(index)!) assert.is(idOf(tangle.blocks.get(id)!.bytes!), id);
  }
  assert.is(unhex(tangle.head.milestoneId).length, 32);
});
laws.run();
