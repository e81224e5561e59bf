#!/usr/bin/env node
// The committed entry: loads what the build made, and says how to make it
// when nothing is there, so that `npx vouch` in a fresh clone is ours and not
// a stranger's package of the same name.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../dist/main.cjs", import.meta.url));
if (existsSync(main)) {
  createRequire(import.meta.url)(main);
} else {
  process.stderr.write("vouch: not built yet\nvouch: hint: `npm ci`, or `npm run build` after it\n");
  process.exitCode = 1;
}
