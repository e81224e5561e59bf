// A TypeScript source of the repository, bundled for Node where packages resolve.

import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import { workspace } from "./build.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const CACHE = join(ROOT, "node_modules/.cache/vouch-source");

/** The path of the bundle, which is gone when this process ends. */
export async function bundleSource(source) {
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
  process.on("exit", () => rmSync(outfile, { force: true }));
  return outfile;
}

export const importSource = async (source) => import(pathToFileURL(await bundleSource(source)).href);
