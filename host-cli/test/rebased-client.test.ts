// Anchoring on IOTA's ledger, against the replay node: the whole way, every fault of a node, several keys, and a
// key without a network. What must hold whatever the node does: a receipt beside the log is right, or there is none.

import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { addressText } from "@vouch/shared/rebased/root";
import { ed25519Address, multisigAddress } from "@vouch/shared/rebased/signature";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { openLog } from "../src/log/store";
import { readWalkFile } from "../src/log/walk";
import { type Bench, makeBench, proveAll, ROOT } from "./rebased-kit";
import { FIRST_EPOCH, rootAt, SIMULATED_CHAIN } from "./replay-chain";
import type { Faults } from "./replay-node";

const rebased = suite("anchors on a simulated IOTA");
let bench: Bench;
rebased.before.each(async () => {
  bench = await makeBench();
});
rebased.after.each(() => bench.close());

const receiptOf = (size: number) => join(bench.log, `anchors/${size}/rebased.receipt`);
const draftOf = (size: number) => join(bench.log, `anchors/${size}/rebased.draft`);
const paid = () => bench.node.chain.executed.size;

rebased("a checkpoint is anchored once, and proved when the node is gone", async () => {
  await bench.grow(1);
  const { status, stdout, stderr } = await bench.vouch(bench.anchor());
  assert.is(status, 0, stderr);
  const payer = addressText(ed25519Address(bench.payer.publicKey));
  assert.match(
    stderr,
    `submit to chain-${SIMULATED_CHAIN} (chain ${SIMULATED_CHAIN}), paid by ${payer}, gas budget 0.005 IOTA?`,
  );
  assert.match(stdout, /^size 1 recorded at .*Z \(public\)\n/);
  assert.match(stdout, /\ngas {10}0\.001 IOTA\nfinal {8}[0-9.]+ s\n/);
  assert.not(existsSync(draftOf(1)));
  bench.node.chain.advance(2);
  await bench.grow(2);
  assert.is((await bench.vouch(bench.anchor("--json"))).status, 0);
  const first = readFileSync(receiptOf(1));
  await bench.node.close();
  const again = await bench.vouch(bench.anchor("--json"));
  assert.is(again.status, 0, again.stderr);
  assert.is(JSON.parse(again.stdout).fresh, false);
  assert.equal(readFileSync(receiptOf(1)), first);
  assert.equal(
    proveAll(bench.log).map(({ size, epoch, sender }) => [size, epoch, addressText(sender)]),
    [
      [1n, 5n, payer],
      [2n, 7n, payer],
    ],
  );
  assert.is(readWalkFile(bench.log)?.closes.length, 2);
  assert.is(paid(), 2);
});

rebased(
  "a root is walked to the node's epoch, each committee proved; a node with other committees leads nowhere",
  async () => {
    bench.node.chain.advance(3);
    const update = (...more: string[]) =>
      bench.vouch(["ledger", "root", "update", "--ledger", bench.node.where, ...more]);
    const { status, stdout, stderr } = await update("--root", ROOT);
    assert.is(status, 0, stderr);
    assert.is(stdout, `ledger rebased ${rootAt(FIRST_EPOCH + 3n)}\n`);
    assert.is(stderr, "proved from epoch 5 to 8\n");
    assert.match(
      (await update()).stderr,
      /\[ledger-not-trusted\]/,
      "the root that ships is of another chain",
    );
    assert.match(
      (
        await update(
          "--root",
          ROOT.replace(/.$/, (c) => (c === "0" ? "1" : "0")),
        )
      ).stderr,
      /\[ledger-not-trusted\]/,
    );
    assert.match((await update("--root", rootAt(FIRST_EPOCH + 4n))).stderr, /\[epoch-missing\]/);
    assert.match((await update("--root", ROOT, "--walk", "x")).stderr, /exactly one of --walk/);
  },
);

rebased("nothing is paid for while no committee is known to begin with", async () => {
  const args = bench.anchor();
  const at = args.indexOf("--root");
  assert.ok(at > 0);
  const { status, stderr } = await bench.vouch(args.toSpliced(at, 2));
  assert.is(status, 21, stderr);
  assert.match(stderr, /\[ledger-not-trusted\]\nvouch: hint: --root/);
  assert.is(paid(), 0);
  assert.is((await bench.vouch(args)).status, 0);
  assert.is(paid(), 1);
});

rebased("nothing is submitted without a yes, nor by --dry-run", async () => {
  const args = bench.anchor();
  const without = args.filter((arg) => arg !== "--yes");
  const refused = await bench.vouch(without);
  assert.is(refused.status, 1);
  assert.match(refused.stderr, /\[needs-yes\]/);
  assert.is((await bench.vouch([...without, "--dry-run"])).status, 0);
  assert.is(paid(), 0);
  assert.not(existsSync(draftOf(0)));
});

rebased("a late checkpoint is waited for, within --timeout; the same command then goes on", async () => {
  bench.node.faults = { late: 4 };
  assert.is((await bench.vouch(bench.anchor())).status, 0);
  bench.node.faults = {};
  bench.node.chain.sealsAtOnce = false;
  await bench.grow(1);
  const pending = await bench.vouch(bench.anchor("--timeout", PENDING_S));
  assert.match(pending.stderr, /\[anchor-pending\]/);
  assert.is(statSync(draftOf(1)).mode & 0o777, 0o600);
  const told = (await bench.vouch(["inspect", draftOf(1)])).stdout;
  assert.match(told, /^draft of an IOTA transaction\n/);
  assert.match(told, /^ +0 +[0-9a-f]{64} signed$/m);
  assert.not(existsSync(receiptOf(1)));
  bench.node.chain.advance(1);
  assert.is((await bench.vouch(bench.anchor())).status, 0);
  assert.is(proveAll(bench.log).length, 2);
  assert.is(paid(), 2);
});

/** Seconds to wait in vain: enough to submit in, on a busy machine too. */
const PENDING_S = "5";

// Each is met with a refusal of that code, leaves no receipt, and the honest node's receipt comes of the same transaction.
const FAULTS: [string, Faults, RegExp, submitted: boolean, seconds?: string][] = [
  ["another chain", { chain: "6364aad5" }, /\[wrong-network\]/, false],
  ["pruned", { pruned: true }, /\[node-pruned\]\nvouch: hint: /, true],
  ["a lying digest", { digest: true }, /\[node-answer\]/, true],
  ["another transaction", { transaction: true }, /\[node-answer\]/, true],
  ["other effects", { effects: true }, /\[effects-mismatch\]/, true],
  ["another committee", { committee: true }, /\[certificate-(bitmap|signature|quorum)\]/, true],
  ["a stale sequence", { stale: true }, /\[node-answer\]/, true],
  ["a truncated stream", { truncated: true }, /\[node-answer\]/, false],
  ["too slow", { slow: 1500 }, /\[node-unreachable\]/, false, "1"],
  ["an answer without end", { huge: true }, /\[node-answer\]/, false],
  ["refuses to execute", { refuse: true }, /\[node-refused\]/, false],
  ["denies the transaction", { unknown: true }, /\[anchor-pending\]/, true, PENDING_S],
];
for (const [name, faults, code, submitted, seconds = "60"] of FAULTS)
  rebased(`a node's fault, ${name}, gives a refusal and no receipt`, async () => {
    bench.node.faults = { ...faults };
    const where = `${bench.node.where},chain=${SIMULATED_CHAIN}`;
    const args = bench.anchor("--timeout", seconds).map((arg) => (arg === bench.node.where ? where : arg));
    const { status, stdout, stderr } = await bench.vouch(args);
    assert.is.not(status, 0);
    assert.match(stderr, code);
    assert.is(stdout, "");
    assert.not(existsSync(receiptOf(0)));
    assert.is(paid(), submitted ? 1 : 0);
    bench.node.faults = {};
    const honest = await bench.vouch(bench.anchor());
    assert.is(honest.status, 0, honest.stderr);
    assert.is(proveAll(bench.log).length, 1);
    assert.is(paid(), 1);
  });

rebased("a redirect isn't followed", async () => {
  let followed = 0;
  const elsewhere = createServer((_request, response) => {
    followed++;
    response.end("{}");
  });
  await new Promise<void>((done) => elsewhere.listen(0, "127.0.0.1", done));
  bench.node.faults = { redirect: `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/` };
  const { status, stderr } = await bench.vouch(bench.anchor());
  await new Promise((done) => elsewhere.close(done));
  assert.is(status, 1);
  assert.match(stderr, /HTTP status 307 \[node-answer\]/);
  assert.is(followed, 0);
});

rebased("a committee that the root doesn't name is refused, as is none at all", async () => {
  const args = bench.anchor();
  const at = args.indexOf("--root");
  const other = args.with(at + 1, `simulated@5:${"0".repeat(64)}`);
  assert.match((await bench.vouch(other)).stderr, /\[ledger-not-trusted\]/);
  const none = args.filter((_, i) => i !== at && i !== at + 1);
  assert.match((await bench.vouch(none)).stderr, /\[ledger-not-trusted\]\nvouch: hint: --root/);
  assert.is((await bench.vouch(args)).status, 0);
  await bench.grow(1);
  assert.is((await bench.vouch(none)).status, 0, "the walk beside the log is known");
  assert.is(paid(), 2);
});

rebased(
  "a failure that validators certified is refused, and the next try has a transaction of its own",
  async () => {
    bench.node.chain.failsNext = true;
    const failed = await bench.vouch(bench.anchor());
    assert.is.not(failed.status, 0);
    assert.match(failed.stderr, /\[transaction-failed\]/);
    assert.is((await bench.vouch(bench.anchor())).status, 0);
    assert.is(proveAll(bench.log).length, 1);
  },
);

rebased("one that nobody executed in time has a successor on the same coin, or none", async () => {
  bench.node.faults = { refuse: true };
  assert.match((await bench.vouch(bench.anchor())).stderr, /\[node-refused\]/);
  const first = readFileSync(draftOf(0));
  bench.node.faults = {};
  bench.node.chain.advance(3);
  const coin = bench.node.chain.coinOf(ed25519Address(bench.payer.publicKey)).version;
  assert.is((await bench.vouch(bench.anchor())).status, 0);
  const [executed] = [...bench.node.chain.executed.values()];
  assert.is(executed?.parsed.gas.coins[0]?.version, coin);
  assert.is(proveAll(bench.log).length, 1);

  await bench.grow(1);
  bench.node.faults = { refuse: true };
  await bench.vouch(bench.anchor());
  assert.not(readFileSync(draftOf(1)).equals(first));
  bench.node.faults = {};
  bench.node.chain.advance(3);
  bench.node.chain.spend(ed25519Address(bench.payer.publicKey));
  assert.match((await bench.vouch(bench.anchor())).stderr, /\[anchor-unsettled\]/);
  await bench.grow(2); // a later checkpoint covers it
  assert.is((await bench.vouch(bench.anchor())).status, 0);
  assert.is(paid(), 2);
});

rebased("a receipt whose epochs were lost from beside the log is refused, not a bug", async () => {
  assert.is((await bench.vouch(bench.anchor())).status, 0);
  rmSync(join(bench.log, "anchors/rebased.walk.json"));
  assert.match((await bench.vouch(bench.anchor())).stderr, /rebased\.receipt: .*\[epoch-missing\]/);
});

rebased("an empty purse is said", async () => {
  bench.node.chain.empty(ed25519Address(bench.payer.publicKey));
  assert.match((await bench.vouch(bench.anchor())).stderr, /its largest has 1 \[no-gas-coin\]/);
});

rebased("two of three keys pay together, from their own address; one isn't enough", async () => {
  const keys = ["a", "b", "c"].map((name) => bench.key(name));
  const sender = "2:a.vkey,b.vkey,c.vkey";
  const common = ["anchor", bench.log, "--ledger", bench.node.where, "--root", bench.anchor()[5]!, "--yes"];
  const one = await bench.vouch([...common, "--sender", sender, "--ledger-key", "c.key"]);
  assert.match(one.stderr, /\[signatures-missing\]/);
  assert.is(paid(), 0);
  const two = await bench.vouch([
    ...common,
    "--sender",
    sender,
    "--ledger-key",
    "c.key",
    "--ledger-key",
    "a.key",
  ]);
  assert.is(two.status, 0, two.stderr);
  const members = keys.map(({ publicKey }) => ({ publicKey, weight: 1 }));
  const [proved] = proveAll(bench.log);
  assert.is(addressText(proved!.sender), addressText(multisigAddress({ members, threshold: 2 })));
});

rebased("an outside program signs", async () => {
  const program = join(bench.folder, "signer.mjs");
  writeFileSync(
    program,
    `import { createPrivateKey, sign } from "node:crypto"; import { readFileSync } from "node:fs";
if (process.argv[2] === "public") process.stdout.write(readFileSync("payer.vkey"));
else process.stdout.write(sign(null, readFileSync(0), createPrivateKey(readFileSync("payer.key"))).toString("base64"));`,
  );
  chmodSync(program, 0o700);
  const args = ["anchor", bench.log, "--ledger", bench.node.where, "--root", bench.anchor()[5]!, "--yes"];
  const { status, stderr } = await bench.vouch([
    ...args,
    "--signer-cmd",
    `"${process.execPath}" '${program}'`,
  ]);
  assert.is(status, 0, stderr);
  assert.is(proveAll(bench.log).length, 1);
});

rebased("three steps with a key that has no network", async () => {
  for (const name of ["a", "b", "c"]) bench.key(name);
  const online = ["anchor", bench.log, "--ledger", bench.node.where];
  const prepared = await bench.vouch([
    ...online,
    "--sender",
    "2:a.vkey,b.vkey,c.vkey",
    "--prepare",
    "x.draft",
  ]);
  assert.is(prepared.status, 0, prepared.stderr);
  assert.match(prepared.stdout, /\nsignatures {3}0, 2 more needed\nx\.draft\n$/);
  const asked = bench.node.asked.length;
  const sign = (key: string) => bench.vouch(["anchor", "--sign", "x.draft", "--ledger-key", key]);
  assert.match((await sign("b.key")).stdout, /\nsignatures {3}1, 1 more needed\n/);
  assert.match((await sign("payer.key")).stderr, /\[wrong-ledger-key\]/);
  const submit = (...more: string[]) =>
    bench.vouch([...online, "--root", bench.anchor()[5]!, "--submit", "x.draft", ...more]);
  assert.match((await submit("--yes")).stderr, /\[signatures-missing\]/);
  assert.match((await sign("a.key")).stdout, /\nsignatures {3}2, enough\n/);
  assert.is(bench.node.asked.length, asked, "signing asks nobody");
  assert.match((await submit()).stderr, /\[needs-yes\]/);
  assert.is(paid(), 0);
  const done = await submit("--yes");
  assert.is(done.status, 0, done.stderr);
  assert.is((await submit("--yes")).status, 0, "once more is the same");
  assert.is(paid(), 1);
  assert.is(proveAll(bench.log).length, 1);
});

rebased("a draft that was changed on its way is refused at every step", async () => {
  const online = ["anchor", bench.log, "--ledger", bench.node.where];
  await bench.vouch([...online, "--sender", "payer.vkey", "--prepare", "x.draft"]);
  await bench.vouch(["anchor", "--sign", "x.draft", "--ledger-key", "payer.key"]);
  const path = join(bench.folder, "x.draft");
  const good = JSON.parse(readFileSync(path, "utf8"));
  const bent = (text: string, at: number) =>
    text.slice(0, at) + (text[at] === "A" ? "B" : "A") + text.slice(at + 1);
  for (const [name, bad] of [
    ["its note", { ...good, note: bent(good.note, 8) }],
    ["its transaction", { ...good, transaction: bent(good.transaction, 40) }],
    [
      "its signature",
      { ...good, signers: [{ ...good.signers[0], signature: bent(good.signers[0].signature, 8) }] },
    ],
    ["its key", { ...good, signers: [{ key: bent(good.signers[0].key, 8) }] }],
    ["a member more", { ...good, more: 1 }],
  ] as const) {
    writeFileSync(path, JSON.stringify(bad));
    for (const args of [
      ["anchor", "--sign", "x.draft", "--ledger-key", "payer.key"],
      [...online, "--submit", "x.draft", "--yes"],
    ]) {
      const { status, stderr } = await bench.vouch(args);
      assert.is.not(status, 0, name);
      assert.match(stderr, /x\.draft: .*\[(malformed-draft|bad-signature|bcs-[a-z]+)\]/, name);
    }
  }
  writeFileSync(path, JSON.stringify(good));
  await bench.grow(1);
  assert.match(
    (await bench.vouch([...online, "--submit", "x.draft", "--yes"])).stderr,
    /\[draft-not-current\]/,
  );
  assert.is(paid(), 0);
});

rebased("anchoring now and then takes all that was logged into one, and ends at a signal", async () => {
  await bench.grow(1);
  let stop = () => {};
  const grown = (async () => {
    const until = async (size: number) => {
      while (!existsSync(receiptOf(size))) await new Promise((done) => setTimeout(done, 50));
    };
    await until(1);
    // What is begun now waits for its answers until the log has grown, however long that takes.
    let letGo = () => {};
    const gate = new Promise<void>((open) => {
      letGo = open;
    });
    bench.node.onRequest = () => gate;
    for (let n = 2; n <= 5; n++) await bench.grow(n);
    letGo();
    await until(5);
    stop();
  })();
  const { status, stdout, stderr } = await bench.vouch(bench.anchor("--every", "2s", "--json"), (child) => {
    stop = () => child.kill("SIGTERM");
  });
  await grown;
  assert.is(status, 0, stderr);
  const sizes = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line).size);
  assert.is(sizes[0], 1);
  assert.is(sizes.at(-1), 5);
  assert.is(paid(), sizes.length);
  assert.ok(sizes.length <= 3, "one anchor for several entries");
  assert.is(bench.node.chain.anchorsOf(openLog(bench.log).note).length, 1);
});

const live = process.env.VOUCH_LIVE === "1";
const NAME = "testnet, a live node: tells its chain, its price and its epoch";
if (!live) skip(rebased, NAME, "VOUCH_LIVE=1 asks IOTA's testnet; no live node is exercised otherwise");
else
  rebased(NAME, async () => {
    const { parseNetwork } = await import("../src/ledger/networks");
    const { askChain, askGasPrice, withProver } = await import("../src/ledger/node");
    const { deadlineIn } = await import("../src/ledger/deadline");
    const network = parseNetwork("testnet");
    assert.is(await askChain(network, deadlineIn(20_000)), network.chain);
    assert.ok((await askGasPrice(network, deadlineIn(20_000))) > 0n);
    await withProver(network, deadlineIn(60_000), async (prover) => {
      const { chain, epoch } = await prover.info();
      assert.is(chain, network.chain);
      assert.ok((await prover.close(epoch - 1n)).summary.length > 1000);
    });
  });
rebased.run();
