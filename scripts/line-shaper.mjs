// A bad serial line by hand: bundles host-cli/test/line-shaper.ts and runs its main().

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import { workspace } from "./build.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CACHE = join(ROOT, "node_modules/.cache/vouch-line"); // packages resolve from here

/** Bundles a source of the repository for this process, and imports it. */
export async function importSource(source) {
  mkdirSync(CACHE, { recursive: true });
  const outfile = join(CACHE, `${process.pid}-${source.replaceAll("/", "-")}.mjs`);
  await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: [source],
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    packages: "external",
    outfile,
    plugins: [workspace],
  });
  try {
    return await import(pathToFileURL(outfile).href);
  } finally {
    rmSync(outfile);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { main } = await importSource("host-cli/test/line-shaper.ts");
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(`line-shaper: ${error.message}`);
    process.exitCode = 1;
  }
}
