// `vouch verify` opens no socket: under a preload that catches every way out,
// in a network namespace without interfaces, and as the kernel saw it.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";

const PRELOAD = ["--require", "./scripts/no-socket.cjs"];
const VOUCH = "host-cli/bin/vouch.mjs";

const preload = suite("no-socket preload");

for (const [name, code] of [
  ["net.connect", `require("net").connect(9)`],
  ["new net.Socket().connect", `new (require("net").Socket)().connect(9)`],
  ["a unix socket", `require("net").connect("/tmp/none.sock")`],
  ["a server", `require("net").createServer().listen(0)`],
  ["tls", `require("tls").connect(9)`],
  ["dgram", `require("dgram").createSocket("udp4")`],
  ["http", `require("http").get("http://127.0.0.1:9")`],
  ["https", `require("https").request("https://127.0.0.1:9")`],
  ["http2", `require("http2").connect("http://127.0.0.1:9")`],
  ["dns.lookup", `require("dns").lookup("localhost", () => {})`],
  ["dns promises", `require("dns/promises").lookup("localhost")`],
  ["a resolver", `new (require("dns").Resolver)().resolve4("localhost", () => {})`],
  ["an ES import", `import("node:dns/promises").then(({ resolve }) => resolve("localhost"))`],
  ["fetch", `fetch("http://127.0.0.1:9")`],
  ["a child process", `require("child_process").spawnSync("true")`],
  ["one that is swallowed", `try { require("net").connect(9) } catch {}`],
  [
    "one in a worker",
    `new (require("worker_threads").Worker)('require("net").connect(9)', { eval: true }).on("error", () => {})`,
  ],
] as const) {
  preload(`catches: ${name}`, () => {
    const { status, stderr } = spawnSync(process.execPath, [...PRELOAD, "-e", code], { encoding: "utf8" });
    assert.match(stderr, /^no-socket: /m);
    if (name !== "one in a worker") assert.is.not(status, 0); // a worker's exit status is its own
  });
}

preload("lets everything else through", () => {
  const code = `console.log(require("crypto").createHash("sha256").update(require("fs").readFileSync("LICENSE")).digest("hex").length)`;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...PRELOAD, "-e", code], {
    encoding: "utf8",
  });
  assert.equal([status, stdout, stderr], [0, "64\n", ""]);
});
preload.run();

const offline = suite("verify offline");

const folder = mkdtempSync(join(tmpdir(), "vouch-offline-"));
const file = (name: string) => join(folder, name);

const ARGS = [
  "verify",
  file("pump.vouch.json"),
  "--image",
  file("pump.bin"),
  "--image",
  `engine=${file("engine.bin")}`,
  "--evidence",
  file("pump.eat"),
  "--policy",
  file("policy"),
];

const run = (command: string, args: string[]) =>
  spawnSync(command, args, { encoding: "utf8", timeout: 60_000 });
const lastLine = (text: string) => text.trimEnd().split("\n").at(-1);

/** Why a tool can't be used here, or undefined when it can. */
function unusable(command: string, args: string[]): string | undefined {
  const { error, status, stderr } = run(command, args);
  if (error !== undefined) return `${command} is not installed`;
  return status === 0 ? undefined : `${command} is not permitted here (${stderr.trim().split("\n")[0]})`;
}

offline.before(() => {
  const { status, stderr } = run(process.execPath, [VOUCH, "demo", "--keep", folder]);
  assert.is(status, 0, stderr);
  assert.ok(existsSync(file("pump.vouch.json")), "the demo kept its bundle");
});
offline.after(() => rmSync(folder, { recursive: true }));

for (const flags of [[], ["--json"], ["--explain"], ["--offline"]]) {
  offline(`under the preload${flags.length > 0 ? `, with ${flags.join(" ")}` : ""}, says patched`, () => {
    const { status, stdout, stderr } = run(process.execPath, [...PRELOAD, VOUCH, ...ARGS, ...flags]);
    assert.not.match(stderr, /no-socket/);
    assert.is(status, 0, stderr);
    if (flags[0] !== "--json") assert.is(lastLine(stdout), "patched");
  });
}

offline("under the preload, a refutation is as quiet", () => {
  const { status, stderr } = run(process.execPath, [
    ...PRELOAD,
    VOUCH,
    ...ARGS,
    "--image",
    `app=${file("engine.bin")}`,
  ]);
  assert.not.match(stderr, /no-socket/);
  assert.is.not(status, 0);
});

const noNamespace = unusable("unshare", ["-rn", "true"]);
const inNamespace = "in a network namespace without interfaces, says patched";
if (noNamespace !== undefined) skip(offline, inNamespace, noNamespace);
else {
  offline(inNamespace, () => {
    const { status, stdout, stderr } = run("unshare", ["-rn", process.execPath, VOUCH, ...ARGS]);
    assert.is(status, 0, stderr);
    assert.is(lastLine(stdout), "patched");
  });
}

const noTrace = unusable("strace", ["-o", "/dev/null", "true"]);
const traced = "the kernel sees no socket of it";
if (noTrace !== undefined) skip(offline, traced, noTrace);
else {
  offline(traced, () => {
    const calls = (args: string[]) => {
      const log = file("strace.log");
      const { status, stderr } = run("strace", [
        "-f",
        "-e",
        "trace=network",
        "-o",
        log,
        process.execPath,
        ...args,
      ]);
      assert.is(status, 0, stderr);
      return readFileSync(log, "utf8").match(/\b(socket|connect|bind|listen|sendto|sendmsg)\(.*/g) ?? [];
    };
    assert.equal(calls([VOUCH, ...ARGS]), []);
    // And the trace would have shown one:
    const server = `require("net").createServer().listen(0, "127.0.0.1", function () { this.close(); })`;
    assert.ok(calls(["-e", server]).length > 0);
  });
}
offline.run();
