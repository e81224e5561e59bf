// A client by strangers, smpmgr from PyPI, takes the simulated device through an
// update over its pseudo-terminal. It knows nothing of us: what it accepts, real
// SMP servers answer too.
//
// It is taken from PATH, or installed once into a folder of ours below the
// system's temporary one. Where neither works the tests say so and are skipped.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { hash, MODEL, makeImage, makeUpload, PRODUCT, temporaryFolder, VENDOR_VKEY } from "./sim-kit";

const VERSION = "0.19.1";
const BIN = fileURLToPath(new URL("../bin/vouch.mjs", import.meta.url));

const peers = suite("smpmgr");

/** The command, or why there is none. */
function findSmpmgr(): { command: string } | { why: string } {
  if (process.platform === "win32") return { why: "no pseudo-terminals on Windows" };
  if (spawnSync("smpmgr", ["--version"], { timeout: 20_000 }).status === 0) return { command: "smpmgr" };
  const cache = join(tmpdir(), `vouch-test-${process.getuid?.() ?? 0}`);
  mkdirSync(cache, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(cache);
  // What lies in a folder that others can write to isn't run.
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) return { why: `${cache} isn't ours alone` };
  const venv = join(cache, `smpmgr-${VERSION}`);
  const command = join(venv, "bin/smpmgr");
  const whole = join(venv, "whole");
  if (existsSync(whole)) return { command };
  rmSync(venv, { recursive: true, force: true });
  const steps = [
    ["python3", ["-c", "import sys; sys.exit(sys.version_info < (3, 10))"], "Python 3.10 or later"],
    ["python3", ["-m", "venv", venv], "Python's venv"],
    [join(venv, "bin/pip"), ["install", "-q", "--retries", "1", `smpmgr==${VERSION}`], "smpmgr from PyPI"],
  ] as const;
  for (const [program, args, what] of steps) {
    if (spawnSync(program, args, { timeout: 90_000 }).status !== 0)
      return { why: `${what} isn't to be had here` };
  }
  writeFileSync(whole, "");
  return { command };
}

const found = findSmpmgr();
const folder = temporaryFolder();
const image = makeImage("for a stranger", 24_000);
const upload = join(folder, "pump.upload");
writeFileSync(upload, makeUpload(image, 3));
const raw = join(folder, "raw.bin");
writeFileSync(raw, makeImage("without a manifest", 4000));

let child: ChildProcess;
let port = "";

/** Runs smpmgr on the device's port; its output on one line, without the spinner. */
function smpmgr(...args: string[]): { status: number | null; text: string } {
  if (!("command" in found)) throw new Error(found.why);
  const { status, stdout, stderr } = spawnSync(found.command, ["--port", port, "--timeout", "10", ...args], {
    encoding: "utf8",
    timeout: 60_000,
    env: { ...process.env, COLUMNS: "200", NO_COLOR: "1", TERM: "dumb" },
  });
  return { status, text: `${stdout}${stderr}`.replace(/\s+/g, " ") };
}

function accepts(...args: string[]): string {
  const { status, text } = smpmgr(...args);
  assert.is(status, 0, text);
  return text;
}

const HASH = Buffer.from(hash(image)).toString("hex");
const states = () => accepts("image", "state-read");

const steps: [string, () => void][] = [
  ["echoes", () => assert.match(accepts("os", "echo", "hello pump"), "r='hello pump'")],
  ["lists no image on a new device", () => assert.match(states(), "No images on device")],
  [
    "uploads a signed image, which is then listed and can boot",
    () => {
      assert.match(accepts("image", "upload", "--format", "any", upload), "100.0%");
      assert.match(states().toLowerCase(), HASH);
      assert.match(
        states(),
        /version='1\.0\.3'.*bootable=True, pending=False, confirmed=False, active=False/,
      );
    },
  ],
  [
    "marks it for test, and after a reset it runs",
    () => {
      accepts("image", "state-write", HASH);
      assert.match(states(), /pending=True/);
      accepts("os", "reset");
      // The reply to reset comes first; the restart takes a moment.
      for (let tries = 0; tries < 10 && !/active=True/.test(states()); tries++);
      assert.match(states(), /pending=False, confirmed=False, active=True/);
    },
  ],
  [
    "confirms it",
    () => {
      accepts("image", "state-write", "--confirm");
      assert.match(states(), /confirmed=True, active=True/);
    },
  ],
  [
    "may upload an image without a manifest, which is never bootable, and erase it",
    () => {
      smpmgr("image", "upload", "--format", "any", raw);
      assert.is((states().match(/bootable=True/g) ?? []).length, 1);
      accepts("image", "erase", "1");
      assert.is((states().match(/ImageState/g) ?? []).length, 1);
    },
  ],
];

if ("why" in found) for (const [name] of steps) skip(peers, name, found.why);
else {
  peers.before(async () => {
    const device = ["--vendor", VENDOR_VKEY, "--product", PRODUCT, "--model", MODEL, "--hw", "B"];
    child = spawn(process.execPath, [BIN, "sim", "--json", ...device], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(createInterface(child.stdout!), "line");
    port = JSON.parse(line).port;
  });
  for (const [name, work] of steps) peers(name, work);
  peers.after(async () => {
    child.kill("SIGTERM");
    assert.equal(await once(child, "exit"), [0, null]);
  });
}

peers.run();
