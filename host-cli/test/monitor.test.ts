// The monitor over real logs: every pair of a history and a fork of it, kills at every file operation, places that
// disagree, witnesses and anchors that saw something else.

import { cpSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parseFraud, verifyFraud } from "@vouch/shared/fraud";
import { makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deliver } from "../src/commands/monitor";
import { nodeCrypto } from "../src/crypto";
import { initDirectoryLedger, openDirectoryLedger } from "../src/ledger/directory";
import { recordNote } from "../src/ledger/ledger";
import { storeAnchor } from "../src/log/anchors";
import { initLog } from "../src/log/store";
import { monitorPass } from "../src/monitor/pass";
import { openMonitorState } from "../src/monitor/state";
import { NOON, newSigner, refuses, smallRecord, withCut } from "./maker-kit";
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
  station,
  tellAll,
} from "./monitor-kit";

const monitor = suite("monitor");

const folder = fastFolder("monitor");
const MOST = 9;
const FORK_AT = 3;
const SIZES = [0, 1, 3, 4, 5, 8, 9];
let real: (size: number) => string;
let fork: (size: number) => string;
let states = 0;
const newState = () => join(folder, `state-${++states}`);

monitor.before(async () => {
  real = await makeHistory(folder, "real", MOST, (n) => recordOf(0, n));
  const forked = await makeHistory(folder, "fork", MOST, (n) => recordOf(1, n), {
    log: real(FORK_AT),
    at: FORK_AT,
  });
  fork = (size) => (size <= FORK_AT ? real(size) : forked(size));
});
monitor.after(() => rmSync(folder, { recursive: true, force: true }));

const proofIn = (path: string, witnesses: Parameters<typeof verifyFraud>[2] = []) =>
  verifyFraud(parseFraud(new Uint8Array(readFileSync(path))), logSigner.vkey, witnesses, nodeCrypto);

const sizeIn = (state: string) =>
  (JSON.parse(readFileSync(join(state, "state.json"), "utf8")) as { size: string }).size;

monitor(
  "every two sizes of a log and its fork: what contradicts is proved, what doesn't is followed",
  async () => {
    for (const a of SIZES) {
      for (const b of SIZES) {
        const state = newState();
        const what = `${a} records read, then a fork of ${b}`;
        await runMonitor(state, [real(a)]);
        const { pass, told, codes } = await runMonitor(state, [fork(b)]);
        if (Math.min(a, b) > FORK_AT) {
          assert.equal(codes, ["log-forked"], what);
          assert.is(pass.worst, "fraud", what);
          assert.is(pass.size, BigInt(a), what);
          const { kind, first, second } = proofIn(told[0]!.proof!);
          assert.is(kind, a === b ? "split-view" : "rewritten-history", what);
          assert.equal([first.size, second.size], [a, b].sort((x, y) => x - y).map(BigInt), what);
        } else {
          assert.is(pass.size, BigInt(Math.max(a, b)), what);
          assert.is(pass.worst, null, what);
        }
      }
    }
  },
);

monitor(
  "a proven fork stands for ever, is told once, and the log is followed on along what was read",
  async () => {
    const state = newState();
    await runMonitor(state, [real(5)]);
    assert.equal((await runMonitor(state, [fork(7)])).codes, ["log-forked"]);
    const again = await runMonitor(state, [fork(7)]);
    assert.equal(again.codes, []);
    assert.is(again.pass.worst, "fraud");
    const healed = await runMonitor(state, [real(8)]);
    assert.equal(healed.codes, []);
    assert.is(healed.pass.worst, "fraud");
    assert.is(healed.pass.size, 8n);
    assert.equal((await runMonitor(state, [fork(9)])).codes, ["log-forked"], "another pair is another proof");
  },
);

monitor("a place that showed more before has shrunk; when it shows that again, it is over", async () => {
  const state = newState();
  await runMonitor(state, [real(7)]);
  cpPlace(real(4), "shrinking");
  cpPlace(real(7), "shrinking");
  await runMonitor(state, [place("shrinking")]);
  cpPlace(real(4), "shrinking");
  const { pass, codes } = await runMonitor(state, [place("shrinking")]);
  assert.equal(codes, ["checkpoint-shrunk"]);
  assert.is(pass.worst, "unsure");
  assert.equal((await runMonitor(state, [place("shrinking")])).codes, []);
  cpPlace(real(8), "shrinking");
  const over = await runMonitor(state, [place("shrinking")]);
  assert.equal(
    over.told.map(({ code, of }) => [code, of]),
    [["over", "checkpoint-shrunk"]],
  );
  assert.is(over.pass.size, 8n);
});

const place = (name: string) => join(folder, name);
function cpPlace(log: string, name: string): void {
  rmSync(place(name), { recursive: true, force: true });
  cpSync(log, place(name), { recursive: true });
}

monitor("of several places the largest is followed; one that shows another history is told", async () => {
  const state = newState();
  const { pass, codes } = await runMonitor(state, [real(4), real(9), fork(6)]);
  assert.is(pass.size, 9n);
  assert.equal(codes, ["log-forked"]);
  const later = await runMonitor(state, [real(4), real(9)], { now: () => NOON + 3600 });
  assert.equal(later.codes, ["log-behind"]);
});

monitor("a place that can't be read is told once, and the others are read all the same", async () => {
  const state = newState();
  const broken = place("broken");
  cpPlace(real(9), "broken");
  rmSync(join(broken, "tile"), { recursive: true });
  const { pass, told } = await runMonitor(state, [broken, join(folder, "nowhere"), real(6)]);
  assert.equal(
    told.map(({ code, level }) => [code, level]),
    [
      ["not-a-log", "trouble"],
      ["log-damaged", "wrong"],
    ],
  );
  assert.is(pass.size, 6n);
  assert.equal((await runMonitor(state, [broken, join(folder, "nowhere"), real(6)])).codes, []);
  cpPlace(real(9), "broken");
  assert.equal((await runMonitor(state, [broken, real(6)])).codes, ["over"], "nowhere wasn't asked");
});

monitor("a checkpoint from elsewhere: compared, or kept until the log gets there", async () => {
  const state = newState();
  const given = (log: string): Change => ({ compare: [{ from: "a friend", note: noteIn(log) }] });
  assert.equal((await runMonitor(state, [real(5)], given(real(3)))).codes, []);
  assert.equal((await runMonitor(state, [real(5)], given(fork(4)))).codes, ["log-forked"]);
  const other = newState();
  const behind = await runMonitor(other, [real(5)], given(fork(8)));
  assert.equal(behind.codes, ["log-behind"]);
  assert.is(behind.pass.worst, "unsure");
  assert.equal((await runMonitor(other, [real(7)])).codes, [], "it waits, and stands");
  const { codes, told } = await runMonitor(other, [real(9)]);
  assert.equal(codes, ["log-forked", "over"]);
  assert.is(proofIn(told[0]!.proof!).kind, "rewritten-history");
  const two = { compare: [real(6), fork(6)].map((log) => ({ from: log, note: noteIn(log) })) };
  assert.equal((await runMonitor(newState(), [real(5)], two)).codes, ["log-forked", "log-behind"]);
  const foreign = { compare: [{ from: "a friend", note: await foreignNote() }] };
  assert.equal((await runMonitor(newState(), [real(5)], foreign)).codes, ["unknown-log"]);
});

async function foreignNote(): Promise<Uint8Array> {
  const path = join(folder, "foreign");
  await initLog(path, undefined, newSigner("log.example"));
  return noteIn(path);
}

monitor("an anchor beside the log that it doesn't lead to, and a receipt that isn't one", async () => {
  cpPlace(real(7), "anchored");
  await initDirectoryLedger(place("ledger"), undefined, ledgerKey, NOON);
  const ledger = openDirectoryLedger(place("ledger"), ledgerKey);
  const anchor = async (log: string) => {
    const { receipt } = await recordNote(ledger, noteIn(log), ledgerKey, NOON);
    storeAnchor(place("anchored"), noteIn(log), "directory", receipt);
    return receipt;
  };
  await anchor(real(5));
  const state = newState();
  assert.equal((await runMonitor(state, [place("anchored")])).codes, []);
  const receipt = await anchor(fork(6));
  const { codes, told } = await runMonitor(state, [place("anchored")]);
  assert.equal(codes, ["log-forked"]);
  assert.match(told[0]!.message, /anchors\/6/);
  storeAnchor(place("anchored"), noteIn(real(7)), "directory", receipt);
  const bad = await runMonitor(state, [place("anchored")]);
  assert.equal(
    bad.told.map(({ code, level }) => [code, level]),
    [["inclusion-mismatch", "wrong"]],
  );
});

const W = newSigner("w.example");
const wKey = makeVkey(W.name, 4, W.publicKey);

/** A place with this log, its checkpoint cosigned. */
async function cosignedPlace(log: string, name: string, time: number): Promise<string> {
  cpPlace(log, name);
  writeFileSync(join(place(name), "checkpoint"), await cosigned(noteIn(log), W, time));
  return place(name);
}

monitor("a witness that hasn't cosigned what is there for a day is quiet, until it has", async () => {
  const policy = policyOf([{ name: "w", signer: W }]);
  const state = newState();
  const at = (hours: number): Change => ({ policy, now: () => NOON + hours * 3600 });
  assert.equal((await runMonitor(state, [await cosignedPlace(real(5), "w", NOON - 60)], at(0))).codes, []);
  assert.equal((await runMonitor(state, [place("w")], at(1000))).codes, [], "nothing new, so nobody asks it");
  assert.equal((await runMonitor(state, [real(6)], at(1001))).codes, []);
  assert.equal((await runMonitor(state, [real(6)], at(1025))).codes, [], "one day");
  const quiet = await runMonitor(state, [real(6)], at(1026));
  assert.equal(quiet.codes, ["witness-quiet"]);
  assert.is(quiet.pass.worst, "unsure");
  const back = await runMonitor(state, [await cosignedPlace(real(6), "w", NOON + 1026 * 3600)], at(1027));
  assert.equal(back.codes, ["over"]);
});

monitor(
  "a cosignature that doesn't verify, or comes from the future, and a quorum that isn't met",
  async () => {
    const policy = { ...policyOf([{ name: "w", signer: W }]), quorum: "w" };
    const good = await cosigned(noteIn(real(5)), W, NOON);
    const bent = new TextDecoder()
      .decode(good)
      .replace(/(— w\.example .{30})(.)/, (_, head, c) => `${head}${c === "A" ? "B" : "A"}`);
    cpPlace(real(5), "bent");
    writeFileSync(join(place("bent"), "checkpoint"), bent);
    assert.equal((await runMonitor(newState(), [place("bent")], { policy })).codes, [
      "bad-signature",
      "quorum-missing",
    ]);
    const early = await cosignedPlace(real(5), "early", NOON + 3600);
    assert.equal((await runMonitor(newState(), [early], { policy })).codes, [
      "cosignature-from-future",
      "quorum-missing",
    ]);
    assert.equal((await runMonitor(newState(), [real(5)], { policy })).codes, ["quorum-missing"]);
    assert.equal(
      (await runMonitor(newState(), [await cosignedPlace(real(5), "on-time", NOON)], { policy })).codes,
      [],
    );
  },
);

monitor("a witness that goes back to a smaller tree is proved to, and the log isn't accused", async () => {
  const policy = policyOf([{ name: "w", signer: W }]);
  const state = newState();
  await runMonitor(state, [await cosignedPlace(real(7), "back", NOON)], { policy });
  await cosignedPlace(real(5), "back", NOON + 60);
  const { told, pass } = await runMonitor(state, [place("back")], { policy });
  assert.equal(
    told.map(({ code }) => code),
    ["checkpoint-shrunk", "witness-went-back"],
  );
  assert.is(pass.worst, "wrong");
  const proven = proofIn(told[1]!.proof!, [wKey]);
  assert.is(proven.kind, "stale-checkpoint");
  assert.equal(proven.witness, { name: "w.example", times: [NOON + 60, NOON] });
  assert.throws(
    () => proofIn(told[1]!.proof!),
    (error: { code: string }) => error.code === "unknown-cosigner",
  );
});

monitor("a log where nothing is added or cosigned for long is stale", async () => {
  const policy = policyOf([{ name: "w", signer: W }]);
  const state = newState();
  const days = (n: number): Change => ({ policy, staleAfterS: 30 * 86400, now: () => NOON + n * 86400 });
  await runMonitor(state, [await cosignedPlace(real(5), "still", NOON)], days(0));
  assert.equal((await runMonitor(state, [place("still")], days(30))).codes, []);
  assert.equal((await runMonitor(state, [place("still")], days(31))).codes, ["checkpoint-stale"]);
  await cosignedPlace(real(5), "still", NOON + 31 * 86400);
  assert.equal((await runMonitor(state, [place("still")], days(32))).codes, ["over"]);
});

/** A server that shows one note wherever it is asked. */
async function withWitness(
  note: () => Uint8Array | null,
  work: (url: string, asked: string[]) => Promise<void>,
) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const shown = note();
    if (shown === null) response.writeHead(404).end();
    else response.end(shown);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}/w/`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

monitor(
  "a witness is asked what it saw: a fork shown to it is proved, a log that hides is behind",
  async () => {
    let shown: Uint8Array | null = null;
    await withWitness(
      () => shown,
      async (url, asked) => {
        const policy = policyOf([{ name: "w", signer: W, url }]);
        const state = newState();
        assert.equal((await runMonitor(state, [real(5)], { policy })).codes, []);
        assert.equal(asked, [
          `/w/${Buffer.from(nodeCrypto.sha256(Buffer.from("log.example"))).toString("hex")}/checkpoint`,
        ]);
        shown = await cosigned(noteIn(real(8)), W, NOON - 60);
        assert.equal(
          (await runMonitor(state, [real(5)], { policy })).codes,
          [],
          "the maker is still gathering",
        );
        const later = { policy, now: () => NOON + 3600 };
        assert.equal((await runMonitor(state, [real(5)], later)).codes, ["log-behind"]);
        shown = await cosigned(noteIn(fork(5)), W, NOON);
        const { told } = await runMonitor(state, [real(5)], later);
        assert.equal(
          told.map(({ code }) => code),
          ["log-forked"],
        );
        assert.match(told[0]!.message, /witness w/);
        assert.is(proofIn(told[0]!.proof!).kind, "split-view");
      },
    );
  },
);

monitor("a witness that gives no answer is no news for a day", async () => {
  const policy = policyOf([{ name: "w", signer: W, url: "http://127.0.0.1:9/" }]);
  const state = newState();
  const at = (hours: number): Change => ({ policy, now: () => NOON + hours * 3600 });
  const cosignedLog = await cosignedPlace(real(5), "deaf", NOON);
  assert.equal((await runMonitor(state, [cosignedLog], at(0))).codes, []);
  assert.equal((await runMonitor(state, [cosignedLog], at(24))).codes, []);
  assert.equal((await runMonitor(state, [cosignedLog], at(25))).codes, ["witness-quiet"]);
});

/** A log with something to say of every other record. */
async function talkativeLog(): Promise<string> {
  const stranger = newSigner("stranger");
  const at = await makeHistory(folder, "talkative", 7, (n) =>
    smallRecord(n % 2 === 0 ? stranger : station, n),
  );
  return at(7);
}

const filesOf = (state: string) =>
  ["state.json", "findings.jsonl", "hashes.0"]
    .map((name) => readFileSync(join(state, name), "hex"))
    .join("\n");

monitor(
  "a kill before any file operation, whole or torn, loses no finding and writes none twice",
  async () => {
    const log = await talkativeLog();
    const change: Change = { commitEvery: 2n };
    const calm = newState();
    const { told } = await runMonitor(calm, [log], change);
    assert.equal(
      told.map(({ index }) => index),
      [0, 2, 4, 6],
    );
    for (const torn of [false, true]) {
      for (let cut = 0; ; cut++) {
        const state = newState();
        const first: Ran[] = [];
        const { finished } = await withCut(
          cut,
          torn,
          async () => void first.push(await runMonitor(state, [log], change)),
        );
        const second = await runMonitor(state, [log], change);
        const what = `${torn ? "torn, " : ""}cut before operation ${cut}`;
        assert.is(filesOf(state), filesOf(calm), what);
        const all = [...(first[0]?.told ?? []), ...second.told].map(({ n }) => n);
        assert.equal(
          [...new Set(all)],
          [1, 2, 3, 4].filter((n) => n > 4 - second.told.length || all.includes(n)),
          what,
        );
        assert.ok(second.told.length + (first[0]?.told.length ?? 4) >= 4, what);
        rmSync(state, { recursive: true });
        if (finished) {
          assert.equal(second.told, [], "nothing is told again after a run that ended");
          break;
        }
        assert.ok(cut < 200);
      }
    }
  },
);

monitor(
  "a run that is stopped goes on where it stopped, and another history in between is seen",
  async () => {
    for (const [stop, next, codes] of [
      [2, () => real(9), []],
      [5, () => real(9), []],
      [2, () => fork(9), ["log-forked"]],
      [5, () => fork(9), ["log-forked"]],
      [5, () => fork(6), ["log-inconsistent", "log-behind"]],
    ] as const) {
      const state = newState();
      let seen = 0;
      const stopped = await runMonitor(state, [real(8)], { stopped: () => seen++ >= stop });
      assert.is(stopped.pass.size, BigInt(stop));
      const { pass, codes: found } = await runMonitor(state, [next()]);
      assert.equal(found, codes, `${stop}`);
      assert.is(pass.size, codes.length === 0 ? 9n : BigInt(stop));
    }
  },
);

monitor("what a killed run was reading is remembered, whatever smaller tree is shown next", async () => {
  const state = newState();
  const progress = () => {
    throw new Error("killed");
  };
  let killed = "";
  await runMonitor(state, [real(8)], { commitEvery: 2n, progress }).catch((error) => {
    killed = error.message;
  });
  assert.is(killed, "killed", "two records are committed, which both histories begin with");
  const shorter = await runMonitor(state, [fork(6)]);
  assert.equal([shorter.pass.size, shorter.codes], [6n, ["log-behind"]]);
  const { codes } = await runMonitor(state, [fork(9)]);
  assert.ok(codes.includes("log-forked"), codes.join());
});

monitor(
  "refuses: the state of another log, a second monitor on it, and a state that something happened to",
  async () => {
    const state = newState();
    await runMonitor(state, [real(5)]);
    await refuses("state-other-log", () => openMonitorState(state, newSigner("else.example").vkey, NOON));
    const open = await openMonitorState(state, logSigner.vkey, NOON);
    await refuses("locked", () => openMonitorState(state, logSigner.vkey, NOON));
    open.close();
    const damage: readonly (readonly [string, () => void])[] = [
      ["hashes.0 a byte short", () => truncateSync(join(state, "hashes.0"), 5 * 32 - 1)],
      ["no hashes.0", () => rmSync(join(state, "hashes.0"))],
      ["state.json cut", () => truncateSync(join(state, "state.json"), 100)],
      ["state.json empty", () => truncateSync(join(state, "state.json"), 0)],
    ];
    for (const [what, harm] of damage) {
      const before = newState();
      cpSync(state, before, { recursive: true });
      harm();
      const error = await refuses("state-damaged", () => openMonitorState(state, logSigner.vkey, NOON));
      assert.ok(error.message.includes(state), what);
      rmSync(state, { recursive: true });
      cpSync(before, state, { recursive: true });
    }
    assert.is((await runMonitor(state, [real(6)])).pass.size, 6n);
  },
);

monitor("what can't be told waits, in order, and comes again under its number", async () => {
  const state = newState();
  const log = join(folder, "talkative-7");
  assert.ok(existsSync(log));
  await runMonitor(state, [real(0)]);
  const open = await openMonitorState(state, logSigner.vkey, NOON);
  try {
    await monitorPass(open, {
      policy: policyOf(),
      interest: { own: [], made: null, products: [] },
      places: [log],
      compare: [],
      quietAfterS: 1,
      staleAfterS: null,
      fraudOut: state,
      read: {},
      now: () => NOON,
    });
    const told: number[] = [];
    const failing = deliver(open, (line) => {
      told.push((JSON.parse(line) as { n: number }).n);
      if (told.length === 3) throw new Error("the pager is off");
    });
    await failing.then(
      () => assert.unreachable(),
      () => {},
    );
    assert.equal(told, [1, 2, 3]);
    assert.equal(
      tellAll(open).map(({ n }) => n),
      [3, 4],
    );
    assert.equal(tellAll(open), []);
  } finally {
    open.close();
  }
  assert.is(sizeIn(state), "7");
});
monitor.run();
