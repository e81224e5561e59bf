// A maker may be killed at any instant: each question to the node is one, before it is answered and after. Whatever
// was begun, the next run finishes: one block for one checkpoint, and its receipt.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { listAnchors } from "../src/log/anchors";
import { openLog } from "../src/log/store";
import { type Bench, carriers, makeBench } from "./stardust-kit";

const kill = suite("killed while anchoring on a Tangle");

/** Anchors a new checkpoint each time, killed at the next place among those not seen so far; ends with one that isn't. */
async function killEverywhere(bench: Bench, flags: readonly string[] = [], places: readonly string[] = []) {
  const seen: string[] = [];
  for (let at = 0; ; at++) {
    if (at > 0) await bench.grow(at);
    const { note } = openLog(bench.log);
    let killed = "";
    const { status, stderr } = await bench.vouch(bench.anchor("--quiet", ...flags), (child) => {
      bench.node.onRequest = async (name, when) => {
        const place = `${name}, ${when}`;
        if (killed !== "" || seen.includes(place) || (places.length > 0 && !places.includes(name))) return;
        killed = place;
        child.kill("SIGKILL");
        await new Promise((done) => child.once("close", done));
      };
    });
    bench.node.onRequest = () => {};
    if (killed !== "") {
      seen.push(killed);
      assert.is.not(status, 0, killed);
      const again = await bench.vouch(bench.anchor(...flags));
      assert.is(again.status, 0, `${killed}: ${again.stderr}`);
    } else assert.is(status, 0, stderr);
    assert.is(carriers(bench.node, note).length, 1, killed);
    assert.is(bench.proofs().length, at + 1);
    assert.equal(bench.drafts(), []);
    if (killed === "") return seen;
  }
}

kill("before and after each answer of the node, the next run finishes with one block", async () => {
  const bench = await makeBench({ intervalMs: 150 });
  try {
    const seen = await killEverywhere(bench);
    for (const place of ["POST blocks, asked", "POST blocks, done", "GET tips, done", "GET create, done"])
      assert.ok(seen.includes(place), place);
  } finally {
    await bench.close();
  }
});

kill("where the node does the work, the block that it made is found again", async () => {
  const bench = await makeBench({ intervalMs: 150, minPowScore: 5 });
  try {
    const seen = await killEverywhere(bench, ["--pow", "node"], ["POST blocks", "GET blocks"]);
    assert.equal(seen.length, 4);
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
