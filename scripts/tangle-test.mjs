// `npm run tangle:test`: the end-to-end tests of Tangles against a real one, in full: 200 checkpoints, 50 kills. A program
// that isn't there is a failure. The last line is "N passed, N failed".

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const run = (...args) =>
  spawnSync(process.execPath, args, {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, VOUCH_TANGLE: "real", VOUCH_TEST_TIMEOUT_MS: "1800000" },
  }).status ?? 1;

process.exitCode = run("scripts/build.mjs") || run("scripts/test.mjs", "host-cli/test/tangle.test.ts");
