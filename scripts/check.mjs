// What CI runs, in this order, stopping at the first that fails: cheap and
// telling before slow and thorough.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const node = (...args) => [process.execPath, args];
const bin = (path, ...args) => node(`node_modules/${path}`, ...args);

const STEPS = [
  ["typecheck host", bin("typescript/bin/tsc", "-p", "tsconfig.json")],
  ["typecheck firmware (ES5 library)", bin("typescript/bin/tsc", "-p", "firmware/tsconfig.json")],
  ["format and lint", bin("@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".")],
  ["boundaries", node("scripts/boundaries.mjs")],
  ["build", node("scripts/build.mjs")],
  ["test", node("scripts/test.mjs", "--no-build")],
];

for (const [name, [command, args]] of STEPS) {
  console.log(`check: ${name}`);
  const { status, signal, error } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit" });
  if (status === 0) continue;
  console.error(`check: ${name} failed (${error?.message ?? signal ?? `status ${status}`})`);
  process.exitCode = 1;
  break;
}
if (process.exitCode === undefined) console.log("check: all good");
