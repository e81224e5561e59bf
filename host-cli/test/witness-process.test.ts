// `vouch witness serve` as people run it: what it prints, how it ends, two processes on one state, a kill at any moment.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { formatCheckpoint } from "@vouch/shared/checkpoint";
import { formatNote, signatureLine } from "@vouch/shared/note";
import { formatVkey } from "@vouch/shared/vkey";
import { formatAddCheckpoint } from "@vouch/shared/witness";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readLogs } from "../src/commands/witness";
import { listenAddress } from "../src/listen";
import { originKey } from "../src/witness/origin";
import { openState } from "../src/witness/state";
import { openWitness } from "../src/witness/witness";
import { newFolder, newSigner, refuses, saveSigner } from "./maker-kit";
import { vouch } from "./session";
import { post, requestOf, treeFrom, treeOf, witnessKeyOf } from "./witness-kit";

const log = newSigner("log.example");
const signer = newSigner("witness.example");
const vkey = witnessKeyOf(signer);
const tree = treeOf(64);

const processes = suite("witness processes");
const running: ChildProcess[] = [];
let folder = "";

processes.before.each(() => {
  folder = newFolder("witness");
  saveSigner(folder, signer, 4);
  writeFileSync(join(folder, "logs"), `# ours\nlog ${formatVkey(log.vkey)}\n`);
});
processes.after.each(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

/** `vouch witness serve` as a process, once it listens. */
async function startProcess(...more: string[]) {
  const args = ["witness", "serve", "--listen", "127.0.0.1:0", "--state", "state", "--logs", "logs"];
  const child = spawn(
    process.execPath,
    [join(process.cwd(), "host-cli/bin/vouch.mjs"), ...args, "--key", "witness.example.key", ...more],
    { cwd: folder, stdio: ["ignore", "pipe", "pipe"] },
  );
  running.push(child);
  let err = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  let out = "";
  for await (const text of child.stdout.setEncoding("utf8")) {
    out += text;
    if (/listening at|"url"/.test(out)) break;
  }
  const [url = ""] = /http:\/\/[0-9.:]+/.exec(out) ?? [];
  return { child, url, out, err: () => err };
}

processes(
  "serve says where and with which key, a line for each request, and ends well on SIGTERM",
  async () => {
    const { child, url, out, err } = await startProcess();
    assert.is(out, `${formatVkey(vkey)}\nlistening at ${url}\n`);
    assert.is((await post(url, await requestOf(log, tree, 0, 5))).status, 200);
    assert.is((await post(url, await requestOf(log, tree, 0, 5))).status, 409);
    await fetch(`${url}/%1b[2J`);
    child.kill("SIGTERM");
    assert.equal(await once(child, "close"), [0, null]);
    const lines = err().trimEnd().split("\n");
    assert.match(lines[0]!, /^\S+Z 127\.0\.0\.1 POST \/add-checkpoint 200 log\.example size 5 \d+ ms$/);
    assert.match(
      lines[1]!,
      / 409 the old size is 0, this witness has cosigned size 5 \[old-size-mismatch\] \d+ ms$/,
    );
    assert.match(lines[2]!, / GET \/%1b\[2J 404 /);
    assert.is(lines.length, 3);
  },
);

processes("serve --json is JSON lines, and no key is ever in them", async () => {
  const { child, url, out, err } = await startProcess("--json");
  assert.equal(JSON.parse(out), { url, vkey: formatVkey(vkey), logs: [formatVkey(log.vkey)] });
  await post(url, await requestOf(log, tree, 0, 5));
  child.kill("SIGINT");
  assert.equal(await once(child, "close"), [0, null]);
  const { time, from, ms, ...line } = JSON.parse(err());
  assert.match(time, /Z$/);
  assert.is(from, "127.0.0.1");
  assert.ok(ms >= 0);
  assert.equal(line, {
    method: "POST",
    path: "/add-checkpoint",
    status: 200,
    code: null,
    message: null,
    origin: "log.example",
    size: "5",
  });
});

processes("two processes on one state cosign one of two conflicting checkpoints", async () => {
  const [a, b] = await Promise.all([startProcess(), startProcess()]);
  let labels: string[] = [];
  for (let round = 0; round < 40; round++) {
    const more = (i: number) => Array.from({ length: 1 + (round % 3) }, (_, n) => `${round} ${i} ${n}`);
    const grown = [0, 1].map((i) => [...labels, ...more(i)]);
    const asked = await Promise.all(grown.map((g) => requestOf(log, treeFrom(g), labels.length, g.length)));
    const said = await Promise.all([post(a.url, asked[0]!), post(b.url, asked[1]!)]);
    assert.equal(said.map(({ status }) => status).sort(), [200, 409], `round ${round}`);
    labels = grown[said.findIndex(({ status }) => status === 200)]!;
  }
});

processes("killed at any moment, it remembers what it has cosigned", async () => {
  const long = treeOf(3000);
  const other = treeOf(3000, 0);
  let size = 0;
  for (let round = 0; round < 8; round++) {
    const { child, url } = await startProcess("--quiet");
    let asked = size;
    let answers = 0;
    for (;;) {
      asked = size + 1;
      const said = await post(url, await requestOf(log, long, size, asked)).catch(() => null);
      if (said === null) break;
      assert.is(said.status, 200, said.body);
      size = asked;
      // However slow it is, it has cosigned something by then; what it does as it dies is left to chance.
      if (++answers === 2) setTimeout(() => child.kill("SIGKILL"), round * 17);
    }
    const state = openState(join(folder, "state"));
    const known = Number(state.latest(originKey("log.example"))?.checkpoint.size ?? 0n);
    assert.ok(known === size || known === asked, `remembers ${known}, cosigned ${size}, asked for ${asked}`);
    size = known;
    const own = openWitness({ signer, logs: [log.vkey], state, now: () => Math.floor(Date.now() / 1000) });
    if (size > 0)
      await refuses("same-size-other-root", async () =>
        own.addCheckpoint(await requestOf(log, other, size, size)),
      );
    await state.close();
  }
  assert.ok(size > 8, `${size} checkpoints in all`);
});

processes("a state that can't be written to is told as that, and nothing is cosigned", async () => {
  const words = ["witness", "cosign", "ask", "--state", "state", "--logs", "logs", "--key"];
  const bin = join(process.cwd(), "host-cli/bin/vouch.mjs");
  writeFileSync(join(folder, "ask"), await requestOf(log, tree, 0, 5));
  const limited = ["-c", 'ulimit -f 12; exec "$@"', "-", process.execPath, bin, ...words];
  const ended = spawnSync("bash", [...limited, "witness.example.key", "-o", "line"], {
    cwd: folder,
    encoding: "utf8",
  });
  assert.is(ended.status, 1, ended.stderr);
  assert.match(ended.stderr, /vouch: .*state can't be written to: .* \[unwritable\]$/m);
  assert.match(ended.stderr, /^vouch: hint: /m);
  assert.not(existsSync(join(folder, "line")));
});

processes("cosign --json says a size past 2^53 exactly", async () => {
  const size = 2n ** 53n + 1n;
  const text = formatCheckpoint({ origin: log.name, size, root: new Uint8Array(32).fill(7) });
  const line = signatureLine(log.name, log.vkey.keyId, await log.sign(utf8Encode(text)));
  const request = formatAddCheckpoint({ oldSize: 0n, proof: [], note: formatNote(text, [line]) });
  writeFileSync(join(folder, "ask"), request);
  const words = ["witness", "cosign", "ask", "--state", "state", "--logs", "logs", "--key"];
  const ended = vouch(folder, [...words, "witness.example.key", "-o", "line", "--json"]);
  assert.is(ended.status, 0, ended.stderr);
  assert.is(JSON.parse(ended.stdout).size, "9007199254740993");
});

processes("an address must be one, and other than loopback only when it is named", () => {
  assert.equal(listenAddress("127.0.0.1:7380"), { host: "127.0.0.1", port: 7380 });
  assert.equal(listenAddress("[::1]:0"), { host: "::1", port: 0 });
  for (const bad of ["7380", ":7380", "127.0.0.1", "127.0.0.1:70000", "[::1]"]) {
    const ended = vouch(folder, ["witness", "serve", "--listen", bad, "--state", "s", "--logs", "logs"]);
    assert.is(ended.status, 1);
    assert.match(ended.stderr, /\[usage\]/);
  }
  assert.not(existsSync(join(folder, "s")));
});

processes("a witness knows at least one log, each key once and of type 01", async () => {
  await refuses("usage", () => readLogs({}));
  const path = join(folder, "logs");
  assert.is(readLogs({ logs: path }).length, 1);
  await refuses("malformed-logs", () => readLogs({ logs: path, log: [formatVkey(log.vkey)] }));
  await refuses("malformed-logs", () => readLogs({ log: [formatVkey(vkey)] }));
  assert.is(toHex(readLogs({ log: [formatVkey(log.vkey)] })[0]!.keyId), toHex(log.vkey.keyId));
});
processes.run();
