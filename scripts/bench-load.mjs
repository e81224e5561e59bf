// TypeScript of ours, for benchmarks that time it in their own process.

import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Bundles `contents`, whose ./host-cli and ./shared are the repository's, as `name`.cjs in `folder`, and loads it. */
export async function loadModules(folder, name, contents) {
  const [esbuild, { workspace }] = await Promise.all([import("esbuild"), import("./build.mjs")]);
  const outfile = join(folder, `${name}.cjs`);
  await esbuild.build({
    stdin: { contents, resolveDir: join(ROOT, "shared") },
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    outfile,
    plugins: [
      {
        name: "root",
        setup(build) {
          build.onResolve({ filter: /^\.\/(host-cli|shared)\// }, ({ path, importer }) =>
            importer === "<stdin>" ? { path: join(ROOT, `${path}.ts`) } : undefined,
          );
        },
      },
      workspace,
    ],
  });
  return createRequire(import.meta.url)(outfile);
}

/** CPU seconds of `work`. */
export function cpu(work) {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}
