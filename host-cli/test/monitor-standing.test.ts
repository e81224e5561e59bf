// When something is over: only once what it is about was asked in that very look, and answered well. Whatever else
// happens, be it that nobody asks or that nobody answers, it stands, and is listed as not asked.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkLog } from "../src/commands/log-check";
import { initDirectoryLedger, openDirectoryLedger } from "../src/ledger/directory";
import { recordNote } from "../src/ledger/ledger";
import { storeAnchor } from "../src/log/anchors";
import { initLog } from "../src/log/store";
import { openMonitorState } from "../src/monitor/state";
import { NOON, newSigner, refuses, withCut } from "./maker-kit";
import {
  type Change,
  cosigned,
  fastFolder,
  ledgerKey,
  logSigner,
  makeHistory,
  noteIn,
  policyOf,
  type Ran,
  recordOf,
  runMonitor,
} from "./monitor-kit";

const standing = suite("what stands in a monitor");

const folder = fastFolder("standing");
const path = (name: string) => join(folder, name);
const W = newSigner("w.example");
const HOUR = 3600;
const hours = (n: number): Change => ({ now: () => NOON + n * HOUR });
let real: (size: number) => string;
let fork: (size: number) => string;

standing.before(async () => {
  real = await makeHistory(folder, "real", 9, (n) => recordOf(0, n));
  fork = await makeHistory(folder, "fork", 24, (n) => recordOf(1, n), { log: real(3), at: 3 });
  await initLog(path("else"), undefined, newSigner("else.example"));
});
standing.after(() => rmSync(folder, { recursive: true, force: true }));

/** The place as a copy of this log. */
function put(log: string, place: string): string {
  rmSync(path(place), { recursive: true, force: true });
  cpSync(log, path(place), { recursive: true });
  return path(place);
}
const gone = (place: string) => {
  rmSync(path(place), { recursive: true, force: true });
  return path(place);
};
function broken(log: string, place: string, part: string): string {
  rmSync(join(put(log, place), part), { recursive: true });
  return path(place);
}
/** With its checkpoint replaced. */
function showing(log: string, place: string, note: Uint8Array | string): string {
  writeFileSync(join(put(log, place), "checkpoint"), note);
  return path(place);
}
/** Another bit in the last signature. */
function bent(note: Uint8Array): string {
  return new TextDecoder()
    .decode(note)
    .replace(/(.)(.{9}\n)$/, (_, c, end) => `${c === "A" ? "B" : "A"}${end}`);
}

const withW = policyOf([{ name: "w", signer: W }]);
const asking = { ...withW, quorum: "w" };
const friend = (log: string): Change => ({ compare: [{ from: "a friend", note: noteIn(log) }] });

interface Look {
  readonly when: string;
  readonly places: () => string[] | Promise<string[]>;
  readonly change?: () => Change | Promise<Change>;
  /** Codes told, those over as `-code`. */
  readonly told: readonly string[];
  /** `source: code`, without the folder. */
  readonly unasked?: readonly string[];
  readonly worst?: string;
}

const TABLE: readonly (readonly [what: string, ...looks: Look[]])[] = [
  [
    "a place that isn't there",
    { when: "at first", places: () => [real(5), gone("gone")], told: ["not-a-log"] },
    { when: "not named", places: () => [real(5)], told: [], unasked: ["gone: not-a-log"], worst: "trouble" },
    { when: "still gone", places: () => [real(5), path("gone")], told: [], worst: "trouble" },
    { when: "back", places: () => [real(5), put(real(5), "gone")], told: ["-not-a-log"] },
  ],
  [
    "a place that showed a forgery, and is gone",
    { when: "at first", places: () => [real(5), put(real(5), "forging")], told: [] },
    {
      when: "forged",
      places: () => [real(5), showing(real(5), "forging", bent(noteIn(real(5))))],
      told: ["bad-signature"],
    },
    { when: "gone", places: () => [real(5), gone("forging")], told: ["not-a-log"], worst: "wrong" },
    {
      when: "another log's there",
      places: () => [real(5), showing(real(5), "forging", noteIn(path("else")))],
      told: ["unknown-log"],
      worst: "wrong",
    },
    { when: "gone again", places: () => [real(5), gone("forging")], told: ["not-a-log"], worst: "wrong" },
    {
      when: "not named",
      places: () => [real(5)],
      told: [],
      unasked: ["forging: bad-signature", "forging: not-a-log", "forging: unknown-log"],
      worst: "wrong",
    },
    {
      when: "good",
      places: () => [real(5), put(real(5), "forging")],
      told: ["-bad-signature", "-not-a-log", "-unknown-log"],
    },
  ],
  [
    "a place that shrank",
    { when: "at first", places: () => [put(real(7), "shrinks")], told: [] },
    { when: "shrunk", places: () => [put(real(4), "shrinks")], told: ["checkpoint-shrunk"] },
    { when: "not named", places: () => [real(8)], told: [], unasked: ["shrinks: checkpoint-shrunk"] },
    { when: "gone", places: () => [real(8), gone("shrinks")], told: ["not-a-log"], worst: "unsure" },
    {
      when: "as long as it was",
      places: () => [real(8), put(real(8), "shrinks")],
      told: ["-checkpoint-shrunk", "-not-a-log"],
    },
  ],
  [
    "a place that is behind, beside a log that grows faster than anybody waits",
    { when: "at first", places: () => [real(4), real(5)], told: [] },
    { when: "5 min", places: () => [real(4), real(6)], change: () => hours(1 / 12), told: [] },
    { when: "10 min", places: () => [real(4), real(7)], change: () => hours(1 / 6), told: [] },
    { when: "15 min", places: () => [real(4), real(8)], change: () => hours(1 / 4), told: ["log-behind"] },
    {
      when: "20 min",
      places: () => [real(4), real(9)],
      change: () => hours(1 / 3),
      told: [],
      worst: "unsure",
    },
    {
      when: "not named",
      places: () => [real(9)],
      change: () => hours(1 / 3),
      told: [],
      unasked: ["real-4: log-behind"],
    },
  ],
  [
    "a copy that is always a little behind, and follows",
    { when: "at first", places: () => [put(real(4), "copy"), real(5)], told: [] },
    { when: "5 min", places: () => [put(real(5), "copy"), real(6)], change: () => hours(1 / 12), told: [] },
    { when: "10 min", places: () => [put(real(6), "copy"), real(7)], change: () => hours(1 / 6), told: [] },
    { when: "15 min", places: () => [put(real(7), "copy"), real(8)], change: () => hours(1 / 4), told: [] },
    { when: "stays", places: () => [path("copy"), real(8)], change: () => hours(1), told: ["log-behind"] },
    { when: "goes on", places: () => [put(real(8), "copy")], change: () => hours(1), told: ["-log-behind"] },
  ],
  ...(["tile/entries", "tile/0"] as const).map((part): readonly [string, ...Look[]] => [
    `a place without ${part}, and others who show the same`,
    { when: "at first", places: () => [broken(real(9), "torn", part)], told: ["log-damaged"] },
    { when: "read elsewhere", places: () => [real(9)], told: [], unasked: ["torn: log-damaged"] },
    { when: "torn as ever", places: () => [real(9), path("torn")], told: [], worst: "wrong" },
    { when: "gone", places: () => [real(9), gone("torn")], told: ["not-a-log"], worst: "wrong" },
    { when: "torn again", places: () => [broken(real(9), "torn", part)], told: [], worst: "wrong" },
    { when: "whole", places: () => [put(real(9), "torn")], told: ["-log-damaged"] },
  ]),
  [
    "a quorum that isn't met",
    {
      when: "at first",
      places: () => [put(real(5), "bare")],
      change: () => ({ policy: asking }),
      told: ["quorum-missing"],
    },
    {
      when: "met elsewhere",
      places: async () => [showing(real(5), "good", await cosigned(noteIn(real(5)), W, NOON))],
      change: () => ({ policy: asking }),
      told: [],
      unasked: ["bare: quorum-missing"],
    },
    {
      when: "met there",
      places: async () => [showing(real(5), "bare", await cosigned(noteIn(real(5)), W, NOON))],
      change: () => ({ policy: asking }),
      told: ["-quorum-missing"],
    },
  ],
  [
    "a cosignature that doesn't verify",
    {
      when: "at first",
      places: async () => [showing(real(5), "sig", bent(await cosigned(noteIn(real(5)), W, NOON)))],
      change: () => ({ policy: withW }),
      told: ["bad-signature"],
    },
    { when: "not named", places: () => [real(5)], told: [], unasked: ["sig: bad-signature"], worst: "wrong" },
    { when: "gone", places: () => [gone("sig")], told: ["not-a-log"], worst: "wrong" },
    {
      when: "good",
      places: async () => [showing(real(5), "sig", await cosigned(noteIn(real(5)), W, NOON))],
      change: () => ({ policy: withW }),
      told: ["-bad-signature", "-not-a-log"],
    },
  ],
  [
    "a witness that cosigns nothing, of a log that is never the same for a day",
    { when: "at first", places: () => [real(4)], change: () => ({ policy: withW }), told: [] },
    { when: "20 h", places: () => [real(5)], change: () => ({ policy: withW, ...hours(20) }), told: [] },
    {
      when: "40 h",
      places: () => [real(6)],
      change: () => ({ policy: withW, ...hours(40) }),
      told: ["witness-quiet"],
    },
    {
      when: "another record",
      places: () => [real(7)],
      change: () => ({ policy: withW, ...hours(41) }),
      told: [],
      worst: "unsure",
    },
    {
      when: "no place answers",
      places: () => [gone("nowhere")],
      change: () => ({ policy: withW, ...hours(42) }),
      told: ["not-a-log"],
      unasked: ["w: witness-quiet"],
      worst: "unsure",
    },
    {
      when: "somebody is more patient",
      places: () => [real(7)],
      change: () => ({ policy: withW, quietAfterS: 1000 * HOUR, ...hours(42) }),
      told: [],
      unasked: ["nowhere: not-a-log", "w: witness-quiet"],
    },
    {
      when: "a policy without it",
      places: () => [real(7)],
      change: () => hours(43),
      told: [],
      unasked: ["nowhere: not-a-log", "w: witness-quiet"],
    },
    {
      when: "it cosigns",
      places: async () => [showing(real(7), "w", await cosigned(noteIn(real(7)), W, NOON + 43 * HOUR))],
      change: () => ({ policy: withW, ...hours(43) }),
      told: ["-witness-quiet"],
      unasked: ["nowhere: not-a-log"],
    },
  ],
  [
    "a log that stands still",
    { when: "at first", places: () => [real(5)], change: () => ({ staleAfterS: HOUR }), told: [] },
    {
      when: "2 h",
      places: () => [real(5)],
      change: () => ({ staleAfterS: HOUR, ...hours(2) }),
      told: ["checkpoint-stale"],
    },
    {
      when: "no place answers",
      places: () => [gone("nowhere")],
      change: () => ({ staleAfterS: HOUR, ...hours(3) }),
      told: ["not-a-log"],
      unasked: [": checkpoint-stale"],
      worst: "unsure",
    },
    {
      when: "nobody asks how old it is",
      places: () => [real(5)],
      change: () => hours(3),
      told: [],
      unasked: [": checkpoint-stale", "nowhere: not-a-log"],
    },
    {
      when: "it grows",
      places: () => [real(6)],
      change: () => ({ staleAfterS: HOUR, ...hours(3) }),
      told: ["-checkpoint-stale"],
      unasked: ["nowhere: not-a-log"],
    },
  ],
  [
    "a checkpoint that a friend has, and the log doesn't show",
    { when: "at first", places: () => [real(5)], change: () => friend(real(8)), told: ["log-behind"] },
    {
      when: "no place answers",
      places: () => [gone("nowhere")],
      told: ["not-a-log"],
      unasked: ["a friend: log-behind"],
    },
    {
      when: "still behind",
      places: () => [real(7)],
      told: [],
      unasked: ["nowhere: not-a-log"],
      worst: "unsure",
    },
    {
      when: "another of the friend's, while no place answers",
      places: () => [path("nowhere")],
      change: () => friend(real(3)),
      told: [],
      unasked: ["a friend: log-behind"],
    },
    { when: "reached", places: () => [real(9)], told: ["-log-behind"], unasked: ["nowhere: not-a-log"] },
  ],
  [
    "a friend's checkpoint of another log",
    {
      when: "at first",
      places: () => [real(5)],
      change: () => friend(path("else")),
      told: ["unknown-log"],
    },
    {
      when: "not given",
      places: () => [real(5)],
      told: [],
      unasked: ["a friend: unknown-log"],
      worst: "unsure",
    },
    { when: "a good one", places: () => [real(5)], change: () => friend(real(4)), told: ["-unknown-log"] },
  ],
  [
    "an anchor that is none",
    {
      when: "at first",
      places: () => {
        mkdirSync(join(put(real(5), "anchored"), "anchors/3"), { recursive: true });
        writeFileSync(join(path("anchored"), "anchors/3/directory.tlog-proof"), "x");
        return [path("anchored")];
      },
      told: ["not-found"],
    },
    { when: "not named", places: () => [real(5)], told: [], unasked: ["anchored/anchors: not-found"] },
    {
      when: "gone",
      places: () => [gone("anchored")],
      told: ["not-a-log"],
      unasked: ["anchored/anchors: not-found"],
    },
    { when: "in order", places: () => [put(real(5), "anchored")], told: ["-not-a-log", "-not-found"] },
  ],
  [
    "more far checkpoints than are kept, and a near one that contradicts",
    {
      when: "at first",
      places: () => [real(4)],
      change: () => ({
        compare: Array.from({ length: 20 }, (_, i) => ({ from: `far ${i}`, note: noteIn(fork(24 - i)) })),
      }),
      told: Array.from({ length: 16 }, () => "log-behind"),
    },
    { when: "reached", places: () => [real(5)], told: ["-log-behind", "log-forked"], worst: "fraud" },
  ],
  [
    "a checkpoint that nobody but a witness of the year 2100 has seen",
    {
      when: "at first",
      places: () => [real(5)],
      change: async () => ({
        policy: withW,
        compare: [{ from: "a friend", note: await cosigned(noteIn(real(8)), W, NOON + 1e5 * HOUR) }],
      }),
      told: ["log-behind"],
    },
  ],
  [
    "a clock that ran ahead when the state was begun",
    {
      when: "at first",
      places: () => [real(5)],
      change: () => ({ policy: withW, ...hours(9999) }),
      told: [],
    },
    { when: "put right", places: () => [real(5)], change: () => ({ policy: withW }), told: [] },
    {
      when: "two days",
      places: () => [real(5)],
      change: () => ({ policy: withW, ...hours(48) }),
      told: ["witness-quiet"],
    },
  ],
];

const shortOf = (text: string) => text.replaceAll(`${folder}/`, "");
const codesOf = ({ told }: Ran) => told.map(({ code, of }) => (code === "over" ? `-${of}` : code)).sort();
const listed = ({ pass }: Ran) =>
  pass.unasked.map(({ source, code }) => shortOf(`${source}: ${code}`)).sort();

for (const [i, [what, ...looks]] of TABLE.entries()) {
  standing(`${what}: over when it is asked and answers well, and not before`, async () => {
    const state = path(`state-${i}`);
    for (const { when, places, change, told, unasked = [], worst } of looks) {
      const ran = await runMonitor(state, await places(), await change?.());
      assert.equal(codesOf(ran), [...told].sort(), when);
      if (!told.some((code) => code === "log-forked")) assert.equal(listed(ran), unasked, when);
      if (worst !== undefined) assert.is(ran.pass.worst, worst, when);
      if (unasked.length > 0) assert.ok(!["news", null].includes(ran.pass.worst), when);
    }
  });
}

standing("a witness that showed another log's checkpoint has to answer for it", async () => {
  const state = path("state-witness");
  let shown: (response: import("node:http").ServerResponse) => void = (r) => r.end(noteIn(path("else")));
  const server = createServer((_request, response) => shown(response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const policy = policyOf([{ name: "w", signer: W, url }]);
    const look = async (change: Change = { policy }) => codesOf(await runMonitor(state, [real(5)], change));
    assert.equal(await look(), ["unknown-log"]);
    shown = (r) => r.destroy();
    assert.equal(await look(), [], "it gives no answer");
    assert.equal(await look({ policy: policyOf() }), [], "nobody asks it");
    shown = (r) => r.writeHead(503).end();
    assert.equal(await look(), [], "it is busy");
    assert.is((await runMonitor(state, [real(5)], { policy })).pass.worst, "unsure");
    shown = (r) => r.end(noteIn(real(4)));
    assert.equal(await look(), ["-unknown-log"]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

standing("what is retired is told as that, once; what is proved, and what is met, isn't", async () => {
  const state = path("state-retire");
  await runMonitor(state, [put(real(7), "old"), put(fork(6), "liar"), gone("lost")]);
  put(real(5), "old");
  await runMonitor(state, [path("old"), real(7)]);
  const before = await runMonitor(state, [real(7)]);
  assert.equal(listed(before), ["lost: not-a-log", "old: checkpoint-shrunk"]);
  const retire = ["old", "lost", "liar", "never seen"].map(path);
  const { told, pass } = await runMonitor(state, [real(7)], { retire, ...hours(1) });
  assert.equal(
    told.map(({ code, of, source, level }) => [code, of, shortOf(source ?? ""), level]),
    [
      ["retired", "not-a-log", "lost", "news"],
      ["retired", "checkpoint-shrunk", "old", "news"],
    ],
  );
  assert.equal(pass.unasked, []);
  assert.equal(pass.unknown.map(shortOf), ["liar", "never seen"]);
  assert.is(pass.worst, "fraud", "two histories are two histories");
  assert.equal((await runMonitor(state, [real(7)], { retire })).codes, []);
  const back = await runMonitor(state, [real(7), path("old")]);
  assert.equal(back.codes, ["checkpoint-shrunk"], "one that is named again is asked again");
});

standing("a kill while a place is retired leaves it standing or retired, and told once", async () => {
  for (let cut = 0; ; cut++) {
    const state = path("state-cut");
    await runMonitor(state, [real(5), gone("lost")]);
    const change: Change = { retire: [path("lost")] };
    const { finished } = await withCut(
      cut,
      true,
      async () => void (await runMonitor(state, [real(5)], change)),
    );
    await runMonitor(state, [real(5)], change);
    const lines = readFileSync(join(state, "findings.jsonl"), "utf8").trimEnd().split("\n");
    assert.equal(
      lines.map((line) => JSON.parse(line).code),
      ["not-a-log", "retired"],
      `cut before operation ${cut}`,
    );
    rmSync(state, { recursive: true });
    if (finished) break;
    assert.ok(cut < 100);
  }
});

standing("a state of the first version goes on, and one of a later version is refused by name", async () => {
  const state = path("state-v1");
  await runMonitor(state, [real(5), showing(real(5), "was", bent(noteIn(real(5))))]);
  const file = join(state, "state.json");
  const now = JSON.parse(readFileSync(file, "utf8"));
  const first = {
    ...now,
    version: "vouch-monitor/v1",
    sources: now.sources.map(({ name, size }: Record<string, string>) => ({ name, size })),
    witnesses: [],
    standing: now.standing.map(({ key, code, level }: Record<string, string>) => ({
      key: key!.replace(/^wrong/, "trouble"),
      code,
      level,
    })),
  };
  writeFileSync(file, JSON.stringify(first));
  const ran = await runMonitor(state, [real(5)]);
  assert.equal(listed(ran), ["was: bad-signature"]);
  assert.is(ran.pass.unasked[0]?.asked, null, "that version didn't keep when");
  assert.is(ran.pass.worst, "wrong");
  assert.equal(codesOf(await runMonitor(state, [put(real(5), "was")])), ["-bad-signature"]);
  assert.is(JSON.parse(readFileSync(file, "utf8")).version, "vouch-monitor/v2");
  writeFileSync(file, JSON.stringify({ ...first, version: "vouch-monitor/v9" }));
  await refuses("unsupported-version", () => openMonitorState(state, logSigner.vkey, NOON));
});

standing("a witness that went back is told of, and for ever, when the proof can't be written", async () => {
  const state = path("state-unwritable");
  const change: Change = { policy: withW, fraudOut: path("full/of/nothing") };
  await runMonitor(state, [showing(real(7), "back", await cosigned(noteIn(real(7)), W, NOON))], change);
  const smaller = await cosigned(noteIn(real(5)), W, NOON + 60);
  const { codes, pass } = await runMonitor(state, [showing(real(5), "back", smaller)], change);
  assert.equal(codes, ["checkpoint-shrunk", "witness-went-back"]);
  assert.is(pass.worst, "wrong");
  assert.is((await runMonitor(state, [put(real(8), "back")], change)).pass.worst, "wrong");
});

standing("a pipe in place of a file is trouble, and nobody waits for it", async () => {
  for (const [i, file] of ["checkpoint", "tile/0/000.p/5", "tile/entries/000.p/5"].entries()) {
    const at = put(real(5), "pipe");
    rmSync(join(at, file));
    execFileSync("mkfifo", [join(at, file)]);
    const { codes, pass } = await runMonitor(path(`state-pipe-${i}`), [at]);
    assert.equal(codes, ["not-a-file"], file);
    assert.is(pass.size, 0n);
    await refuses(i === 0 ? "not-a-file" : "log-damaged", () => checkLog(at, policyOf()));
  }
});

standing("an anchor of another log stands until it is gone, and is looked for", async () => {
  const state = path("state-anchor");
  await initDirectoryLedger(path("ledger"), undefined, ledgerKey, NOON);
  const ledger = openDirectoryLedger(path("ledger"), ledgerKey);
  const { receipt } = await recordNote(ledger, noteIn(path("else")), ledgerKey, NOON);
  const at = put(real(5), "misled");
  storeAnchor(at, noteIn(path("else")), "directory", receipt);
  assert.equal(codesOf(await runMonitor(state, [at])), ["unknown-log"]);
  const elsewhere = await runMonitor(state, [real(5)]);
  assert.equal(listed(elsewhere), ["misled/anchors/0: unknown-log"]);
  rmSync(join(at, "anchors"), { recursive: true });
  assert.equal(codesOf(await runMonitor(state, [at])), ["-unknown-log"]);
});
standing.run();
