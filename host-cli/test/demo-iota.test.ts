// The demo on a simulated IOTA network: anchored through the replay node, verified when the node is gone.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FIRST_EPOCH, rootAt } from "./replay-chain";
import { startReplayNode } from "./replay-node";
import { makeAlone, vouch } from "./session";

const demo = suite("demo on a simulated IOTA");
const folder = mkdtempSync(join(tmpdir(), "vouch-demo-iota-"));
demo.after(() => rmSync(folder, { recursive: true }));

demo("a bundle anchored there is patched by that network's root, and unproven by mainnet's", async () => {
  const node = await startReplayNode();
  const root = rootAt(FIRST_EPOCH);
  const args = ["demo", "--keep", "pump", "--ledger", node.where, "--root", root, "--json"];
  // The node lives in this process, so this one may not wait for the other without turning its loop.
  const child = spawn(process.execPath, [resolve("host-cli/bin/vouch.mjs"), ...args], { cwd: folder });
  let said = "";
  child.stdout.on("data", (text) => {
    said += text;
  });
  child.stderr.on("data", (text) => {
    said += text;
  });
  const [status] = await once(child, "close");
  await node.close();
  assert.is(status, 0, said);
  assert.match(said, /"verdict":"patched".*"after":"vulnerable"/);

  const verify = (policy: string) => vouch(folder, ["verify", "pump/pump.vouch.json", "--policy", policy]);
  const good = verify("pump/policy");
  assert.is(good.status, 0, good.stdout);
  assert.match(
    good.stdout,
    /^ledger +simulated: size \d+ included and executed at .* in checkpoint \d+, by sender 0x/m,
  );
  assert.match(good.stdout, /^note +time-source: validators$/m);
  const [alone, asked] = [makeAlone(folder), ["pump/pump.vouch.json", "--policy", "pump/policy", "--json"]];
  const verdictOf = (json: string) =>
    JSON.parse(json, (key, value) => (key === "iat" || key === "at" ? null : value));
  const again = alone(folder, asked);
  assert.is(again.status, 0, again.stderr);
  assert.equal(verdictOf(again.stdout), verdictOf(vouch(folder, ["verify", ...asked]).stdout));

  const mainnet = vouch(folder, ["ledger", "root", "show"]).stdout.trim();
  const policy = readFileSync(join(folder, "pump/policy"), "utf8").replace(/^ledger .*$/m, mainnet);
  writeFileSync(join(folder, "mainnet.policy"), policy);
  const other = verify("mainnet.policy");
  assert.is(other.status, 21, other.stdout);
  assert.match(other.stdout, /\[ledger-not-trusted\]/);
});

demo("half of what an IOTA network needs is refused", () => {
  for (const half of [
    ["--ledger", "rebased:http://127.0.0.1:1"],
    ["--root", rootAt(FIRST_EPOCH)],
  ]) {
    const { status, stderr } = vouch(folder, ["demo", ...half]);
    assert.is(status, 1);
    assert.match(stderr, /--ledger and --root belong together.*\[usage\]/);
  }
});

demo.run();
