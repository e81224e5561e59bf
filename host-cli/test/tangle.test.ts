// Anchoring on a Tangle from end to end, with the built command: one set of tests, two nodes.
//
//   the fake HORNET     always (fake-hornet.ts), smaller numbers
//   a real one          when its programs are found (scripts/tangle-programs.mjs); `npm run tangle:test` asks for it alone,
//                       with the numbers of a day's work, and a missing program is then a failure
//
// The last test ends the network, deletes what it had, and only then proves every receipt of all the tests before it.

import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { blockIdOf } from "@vouch/shared/stardust/block";
import { parseStardustReceipt } from "@vouch/shared/stardust/receipt";
import { parseTrust } from "@vouch/shared/stardust/trust";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { parseDraft } from "../src/ledger/stardust-draft";
import { isWorkedFor } from "../src/ledger/stardust-pow";
import type { Ended } from "./child";
import { hex as hexOf } from "./fake-blocks";
import { coordinatorKey } from "./fake-tangle";
import {
  carrying,
  crawl,
  flood,
  head,
  isKnown,
  type Maker,
  makeMaker,
  type Network,
  newFolder,
  type Start,
  startFake,
  startReal,
  whyNotReal,
} from "./tangle-kit";

interface Numbers {
  readonly makers: number;
  /** Checkpoints of each maker. */
  readonly each: number;
  readonly kills: number;
  readonly bursts: number;
  /** When the node is killed, in parts of what an anchor takes. */
  readonly cuts: readonly number[];
}

const SMALL: Numbers = { makers: 4, each: 2, kills: 4, bursts: 2, cuts: [0.3, 0.8] };
const FULL: Numbers = { makers: 4, each: 50, kills: 50, bursts: 5, cuts: [0.2, 0.4, 0.6, 0.8, 1] };

const pause = (ms: number) => new Promise((done) => setTimeout(done, ms));

const ok = (ended: Ended) => {
  assert.is(ended.status, 0, ended.stderr);
  return JSON.parse(ended.stdout);
};

function refused(ended: Ended, code: string): void {
  assert.is.not(ended.status, 0, ended.stdout);
  assert.match(ended.stderr, new RegExp(`\\[${code}\\]`));
}

function tests(name: string, start: Start, numbers: Numbers): void {
  const tangle = suite(`a Tangle: ${name}`);
  const { folder, remove } = newFolder();
  const makers: Maker[] = [];
  let network: Network;
  const maker = async (who: string, on = network) => {
    const made = await makeMaker(folder, who, on);
    if (on === network) makers.push(made);
    return made;
  };

  tangle.before(async () => {
    network = await start({ keeper: true });
  });
  tangle.after(async () => {
    await network.stop();
    remove();
  });

  tangle(
    "a checkpoint is anchored, and anchored again it has the same receipt and no second block",
    async () => {
      const anna = await maker("anna");
      ok(await anna.anchor());
      const [first] = anna.proved();
      assert.is(first?.size, 1n);
      ok(await anna.anchor());
      const again = anna.proved();
      assert.is(again.length, 1);
      assert.equal(again[0]?.receipt, first?.receipt);
      assert.is(carrying(await crawl(network), first!.note), 1);
      assert.equal(drafts(anna), []);
    },
  );

  tangle("another network is refused, by its name or by its keys, and keeps no receipt", async () => {
    const strangers = [coordinatorKey("somebody"), coordinatorKey("else")].map(({ publicKey }) => ({
      key: new Uint8Array(Buffer.from(publicKey.slice(2), "hex")),
      start: 0,
      end: 0,
    }));
    const keys = strangers.toSorted((a, b) => Buffer.compare(a.key, b.key));
    const bert = await maker("bert", { ...network, trust: { ...network.trust, network: "other" } });
    refused(await bert.anchor(), "wrong-network");
    const carl = await maker("carl", { ...network, trust: { ...network.trust, keys } });
    refused(await carl.anchor(), "wrong-network");
    assert.equal([...bert.proved(), ...carl.proved()], []);
  });

  tangle("with work for each block, done here or by the node", async () => {
    const working = await start({ minPowScore: 100, networkName: "working", unhurried: true });
    try {
      for (const pow of ["local", "node"]) {
        const dora = await maker(`dora-${pow}`, working);
        ok(await dora.anchor(["--pow", pow]));
        const [found] = dora.proved();
        const { block } = parseStardustReceipt(found!.receipt);
        assert.ok(isWorkedFor(block, 100));
        assert.is(carrying(await crawl(working), found!.note), 1);
      }
    } finally {
      await working.stop();
    }
  });

  tangle("in a burst that the coordinator mostly leaves behind, the checkpoint isn't", async () => {
    const emil = await maker("emil");
    for (let n = 0; n < numbers.bursts; n++) {
      if (n > 0) await emil.grow();
      const floods: Promise<void>[] = [];
      ok(
        await emil.anchor([], () => {
          for (let at = 0; at < 8; at++) floods.push(pause(150 * at).then(() => flood(network, 20)));
        }),
      );
      await Promise.all(floods);
    }
    assert.is(emil.proved().length, numbers.bursts);
    const blocks = await crawl(network);
    for (const { note } of emil.proved()) assert.is(carrying(blocks, note), 1);
  });

  // A coordinator that was away never comes back for what arrived meanwhile: measured, and so in the fake.
  tangle("a block that the coordinator missed is saved by one above it", async () => {
    const hans = await maker("hans");
    await network.pause();
    let resumed: Promise<void> | undefined;
    ok(
      await hans.anchor([], () => {
        resumed = sent(hans, network).then(() => network.resume());
      }),
    );
    await resumed;
    const [found] = hans.proved();
    const others = (await crawl(network)).filter(({ parents }) =>
      parents.includes(hexOf(found!.proof.blockId)),
    );
    assert.ok(others.length >= 1);
    assert.is(carrying(await crawl(network), found!.note), 1);
  });

  tangle("one that is too old to be saved is sent anew, and only the new one counts", async () => {
    const ines = await maker("ines");
    await network.pause();
    let victim: ChildProcess | undefined;
    const ended = ines.anchor([], (child) => {
      victim = child;
    });
    const first = await sent(ines, network);
    victim?.kill("SIGKILL");
    await ended;
    await network.resume();
    const { index } = await head(network);
    while ((await head(network)).index < index + 17) await pause(network.intervalMs);
    ok(await ines.anchor());
    const [found] = ines.proved();
    assert.is.not(hexOf(found!.proof.blockId), first);
    assert.is(carrying(await crawl(network), found!.note), 1);
    assert.equal(drafts(ines), []);
  });

  tangle("a node killed on the way and started again: the same command finishes", async () => {
    const fred = await maker("fred");
    for (const after of numbers.cuts) {
      if (fred.proved().length > 0) await fred.grow();
      const killed: Promise<void>[] = [];
      await fred.anchor(["--timeout", "5"], () => {
        const usual = 500 + network.intervalMs; // to load, and to wait for a milestone
        killed.push(pause(after * usual).then(() => network.kill()));
      });
      await Promise.all(killed);
      await network.restart();
      ok(await fred.anchor());
      assert.is(fred.proved().length, Number(fred.size()));
    }
    const blocks = await crawl(network);
    for (const { note } of fred.proved()) assert.is(carrying(blocks, note), 1);
    assert.equal(drafts(fred), []);
  });

  tangle(
    `a maker killed at ${numbers.kills} moments, and started again, loses and doubles nothing`,
    async () => {
      const gerd = await maker("gerd");
      const timed = async (started?: (child: ChildProcess) => void) => {
        const begun = performance.now();
        const ended = await gerd.anchor([], started);
        if (ended.status !== null) usual = performance.now() - begun;
        return ended;
      };
      let usual = 0;
      ok(await timed());
      await gerd.grow();
      for (let kills = 0; kills < numbers.kills; ) {
        let timer: NodeJS.Timeout | undefined;
        const ended = await timed((child) => {
          timer = setTimeout(() => child.kill("SIGKILL"), Math.random() * 1.2 * usual);
        });
        clearTimeout(timer);
        if (ended.status === null) kills++;
        else {
          ok(ended);
          await gerd.grow();
        }
      }
      ok(await gerd.anchor());
      const proved = gerd.proved();
      assert.is(proved.length, Number(gerd.size()));
      const blocks = await crawl(network);
      for (const { note } of proved) assert.is(carrying(blocks, note), 1);
      assert.equal(drafts(gerd), []);
    },
  );

  tangle(
    `${numbers.makers} makers at once, ${numbers.each} checkpoints each: none lost, none doubled`,
    async () => {
      const work = async (n: number) => {
        const each = await maker(`maker-${n}`);
        for (let i = 0; i < numbers.each; i++) {
          if (i > 0) await each.grow();
          ok(await each.anchor());
        }
        return each;
      };
      const all = await Promise.all(Array.from({ length: numbers.makers }, (_, n) => work(n)));
      const blocks = await crawl(network);
      for (const each of all) {
        const proved = each.proved();
        assert.is(proved.length, numbers.each);
        for (const { note } of proved) assert.is(carrying(blocks, note), 1);
      }
    },
  );

  tangle("when the network is gone with all it had, every receipt is still proved", async () => {
    await network.stop();
    const answer = await fetch(network.url).catch((error: Error) => error);
    assert.instance(answer, Error);
    let count = 0;
    for (const each of makers) {
      const proved = each.proved();
      assert.is(proved.length, Number(each.size()), each.log);
      count += proved.length;
    }
    assert.ok(count >= numbers.makers * numbers.each);
    assert.equal(parseTrust(readFileSync(join(folder, "anna.trust"))), network.trust);
  });
  tangle.run();
}

/** Resolves once the node has the block that a maker is about to send; gives its id. */
async function sent({ log }: Maker, network: Network): Promise<string> {
  const path = join(log, "anchors", "1", "stardust.draft");
  for (let tries = 0; ; tries++) {
    if (tries > 3000) assert.unreachable("no block, after a minute");
    await pause(20);
    if (!existsSync(path)) continue;
    const last = parseDraft(readFileSync(path)).tries.at(-1);
    if (last === undefined || !("block" in last)) continue;
    const id = hexOf(blockIdOf(last.block));
    if (await isKnown(network, id)) return id;
  }
}

/** What a maker still has on its way. */
function drafts({ log }: Maker): string[] {
  const folder = join(log, "anchors");
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.filter((name) => /draft/.test(name));
}

const why = await whyNotReal();
const onlyReal = process.env["VOUCH_TANGLE"] === "real";
if (!onlyReal) tests("fake HORNET", startFake, SMALL);
if (why === undefined) tests("HORNET 2.0.1", startReal, onlyReal ? FULL : SMALL);
else if (onlyReal) {
  const missing = suite("a Tangle: HORNET 2.0.1");
  missing("its programs are here", () => assert.unreachable(why));
  missing.run();
} else {
  const real = suite("a Tangle: HORNET 2.0.1");
  skip(real, "anchoring on a real network", why);
  real.run();
}
