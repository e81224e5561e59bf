// A maker may be killed at any instant: each question to the node is one, before it is answered and after. Whatever
// was begun, the next run finishes: one block for one checkpoint, and its receipt.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { listAnchors } from "../src/log/anchors";
import { openLog } from "../src/log/store";
import { type Bench, carriers, makeBench } from "./stardust-kit";

const kill = suite("killed while anchoring on a Tangle");

/** Anchors one checkpoint, killed at each place that no run before was killed at, until there is none left. */
async function killEverywhere(bench: Bench, flags: readonly string[], places = /./) {
  const { note } = openLog(bench.log);
  const seen: string[] = [];
  for (;;) {
    let killed = "";
    const { status, stderr } = await bench.vouch(bench.anchor("--quiet", ...flags), (child) => {
      bench.node.onRequest = async (name, when) => {
        const place = `${carriers(bench.node, note).length === 0 ? "before" : "after"} ${name}, ${when}`;
        if (killed !== "" || seen.includes(place) || !places.test(place)) return;
        killed = place;
        child.kill("SIGKILL");
        await new Promise((done) => child.once("close", done));
      };
    });
    bench.node.onRequest = () => {};
    assert.ok(carriers(bench.node, note).length <= 1, killed);
    if (killed === "") {
      assert.is(status, 0, stderr);
      assert.is(carriers(bench.node, note).length, 1);
      assert.is(bench.proofs().length, listAnchors(bench.log).length);
      assert.equal(bench.drafts(), []);
      return seen;
    }
    seen.push(killed);
    assert.is.not(status, 0, killed);
  }
}

kill("before and after each answer of the node, the next run goes on, to one block", async () => {
  const bench = await makeBench({ intervalMs: 150 });
  try {
    const seen = await killEverywhere(bench, []);
    for (const place of ["before GET tips, done", "before POST blocks, asked", "after GET create, done"])
      assert.ok(seen.includes(place), place);
    await bench.grow(1);
    assert.equal(await killEverywhere(bench, [], /blocks, done/), ["after POST blocks, done"]);
    assert.is(bench.proofs().length, 2);
  } finally {
    await bench.close();
  }
});

kill("where the node does the work, the block that it made is found again", async () => {
  const bench = await makeBench({ intervalMs: 150, minPowScore: 5 });
  try {
    const seen = await killEverywhere(bench, ["--pow", "node"], /blocks, done/);
    assert.equal(seen, ["after POST blocks, done", "after GET blocks, done"]);
  } finally {
    await bench.close();
  }
});

kill("killed twice at different places, with the log grown in between, no receipt is lost", async () => {
  const bench = await makeBench({ intervalMs: 150 });
  try {
    let size = 0;
    for (const name of ["POST blocks", "GET metadata", "GET create"]) {
      await bench.vouch(bench.anchor("--quiet"), (child) => {
        bench.node.onRequest = (asked, when) => {
          if (asked === name && when === "done") child.kill("SIGKILL");
        };
      });
      bench.node.onRequest = () => {};
      await bench.grow(++size);
    }
    assert.is((await bench.vouch(bench.anchor())).status, 0);
    const found = listAnchors(bench.log).map((anchor) => Number(anchor.size));
    assert.equal(found, [0, size], "what was begun, and what covers the rest");
    assert.is(bench.proofs().length, 2);
    assert.equal(bench.drafts(), []);
  } finally {
    await bench.close();
  }
});

kill.run();
