// The demo on a simulated Tangle: anchored through the fake node, verified when its node is gone.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeBench } from "./stardust-kit";

const demo = suite("demo on a simulated Tangle");

demo("a bundle anchored there is patched by its coordinator's keys, and unproven by another's", async () => {
  const bench = await makeBench({ intervalMs: 100 });
  try {
    const told = await bench.vouch(["demo", "--keep", "pump", "--ledger", bench.node.where, "--json"]);
    assert.is(told.status, 0, told.stderr);
    assert.match(told.stdout, /"verdict":"patched".*"after":"vulnerable"/);
    await bench.node.stop();

    const verify = (policy: string) => bench.vouch(["verify", "pump/pump.vouch.json", "--policy", policy]);
    const good = await verify("pump/policy");
    assert.is(good.status, 0, good.stdout);
    assert.match(good.stdout, /^ledger +simulated-tangle: size \d+ referenced at .* by milestone \d+/m);
    assert.match(good.stdout, /^note +time-source: coordinator$/m);

    const mainnet = (await bench.vouch(["ledger", "trust", "show", "iota-mainnet"])).stdout;
    const line = /^ledger stardust .*$/m.exec(mainnet)![0];
    const policy = readFileSync(join(bench.folder, "pump/policy"), "utf8").replace(/^ledger .*$/m, line);
    writeFileSync(join(bench.folder, "mainnet.policy"), policy);
    const other = await verify("mainnet.policy");
    assert.is(other.status, 21, other.stdout);
    assert.match(other.stdout, /\[ledger-not-trusted\]/);
  } finally {
    await bench.close();
  }
});

demo("a Tangle takes no root, and other networks are refused", async () => {
  const bench = await makeBench();
  try {
    for (const [args, told] of [
      [["--ledger", bench.node.where, "--root", `simulated@1:${"0".repeat(64)}`], /expected rebased:URL/],
      [["--ledger", "elsewhere:http://127.0.0.1:1"], /belong together/],
    ] as const) {
      const { status, stderr } = await bench.vouch(["demo", ...args]);
      assert.is(status, 1);
      assert.match(stderr, told);
      assert.match(stderr, /\[usage\]/);
    }
  } finally {
    await bench.close();
  }
});

demo.run();
