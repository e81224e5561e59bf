// A maker may be killed at any instant: each question to the node is one, before it is answered and after. Whatever
// was begun, the next run finishes: one transaction for one checkpoint, and its receipt.

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openLog } from "../src/log/store";
import { makeBench, proveAll } from "./rebased-kit";

const kill = suite("killed while anchoring");

kill("before and after each answer of the node, the next run finishes with one transaction", async () => {
  const bench = await makeBench();
  let size = 0;
  const seen: string[] = [];
  try {
    for (let at = 0; ; at++) {
      if (at > 0) await bench.grow(++size);
      let count = 0;
      let killed = "";
      const { status } = await bench.vouch(bench.anchor("--quiet"), (child) => {
        bench.node.onRequest = async (name, when) => {
          if (count++ !== at) return;
          killed = `${name}, ${when}`;
          child.kill("SIGKILL");
          await new Promise((done) => child.once("close", done));
        };
      });
      bench.node.onRequest = () => {};
      if (killed === "") {
        assert.is(status, 0);
        break;
      }
      seen.push(killed);
      assert.is.not(status, 0, killed);
      const again = await bench.vouch(bench.anchor());
      assert.is(again.status, 0, `${killed}: ${again.stderr}`);
      assert.is(bench.node.chain.anchorsOf(openLog(bench.log).note).length, 1, killed);
    }
    assert.ok(seen.includes("iota_executeTransactionBlock, asked"));
    assert.ok(seen.includes("iota_executeTransactionBlock, done"));
    assert.ok(seen.includes("GetCheckpoint, done"));
    assert.is(proveAll(bench.log).length, size + 1);
    assert.is(bench.node.chain.executed.size, size + 1);
    const left = readdirSync(join(bench.log, "anchors"), { recursive: true, encoding: "utf8" });
    assert.equal(
      left.filter((name) => /draft|over/.test(name)),
      [],
    );
  } finally {
    await bench.close();
  }
});

kill("killed twice at different places, with the log grown in between, no receipt is lost", async () => {
  const bench = await makeBench();
  try {
    for (const name of ["iota_executeTransactionBlock", "GetTransactions", "iotax_getCoins"]) {
      await bench.vouch(bench.anchor("--quiet"), (child) => {
        bench.node.onRequest = (asked, when) => {
          if (asked === name && when === "done") child.kill("SIGKILL");
        };
      });
      bench.node.onRequest = () => {};
      await bench.grow(Math.floor(Math.random() * 1e6));
    }
    assert.is((await bench.vouch(bench.anchor())).status, 0);
    assert.is(proveAll(bench.log).length, bench.node.chain.executed.size);
  } finally {
    await bench.close();
  }
});
kill.run();
