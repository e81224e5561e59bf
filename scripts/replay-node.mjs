// Starts the replay node (host-cli/test/replay-node.ts) by hand: a SIMULATED network on loopback, to anchor on
// without one. Lines on stdin change it; any other line says which there are.
//
//   $ node scripts/replay-node.mjs
//   simulated     nothing here is IOTA's
//   --ledger      rebased:http://127.0.0.1:41234,grpc=http://127.0.0.1:41235
//   --root        simulated@5:0c7a…

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";
import { workspace } from "./build.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const folder = join(ROOT, "node_modules/.cache/vouch-replay"); // packages resolve from here
mkdirSync(folder, { recursive: true });
const outfile = join(folder, `${process.pid}.mjs`);
await build({
  stdin: {
    contents: 'export * from "./replay-node"; export { rootAt, FIRST_EPOCH } from "./replay-chain";',
    resolveDir: join(ROOT, "host-cli/test"),
    loader: "ts",
  },
  outfile,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  plugins: [workspace],
  logLevel: "warning",
});
const { startReplayNode, command, rootAt, FIRST_EPOCH } = await import(pathToFileURL(outfile).href);
const node = await startReplayNode();
console.log(
  `simulated     nothing here is IOTA's\n--ledger      ${node.where}\n--root        ${rootAt(FIRST_EPOCH)}`,
);
const lines = createInterface({ input: process.stdin });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => lines.close());
for await (const line of lines) console.log(command(node, line));
await node.close();
