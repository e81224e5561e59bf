// The verifier that stands alone: `vouch verify` as one CommonJS file, kept beside a bundle for
// the day when there is no registry to install anything from.
//
//   host-cli/src/main.ts + commands/verify.ts + all they reach ──▶ dist/vouch-verify.cjs
//
//   #!/usr/bin/env node
//   // vouch-verify 0.1.0: … and whose work is in it, with their licences
//   <the code; requires node:crypto, node:fs and the like, and no other file>
//
// What the verbs load when they first need it (the judges of public ledgers) is inside, and still runs only then.
// The same sources and packages give the same bytes, wherever they lie: whoever doubts a file builds their own.

import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { lazyChildren, readVersion, workspace } from "./build.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

export const VERIFIER = "vouch-verify.cjs";

// `verify` is the only verb, and needn't be typed.
const entry = (version) => `
  import { start } from "./main";
  import * as verify from "./commands/verify";
  if (!/^(-V|--version)$/.test(process.argv[2] ?? "")) process.argv.splice(2, 0, "verify");
  void start({ version: ${JSON.stringify(version)}, verbs: ["verify"], load: () => verify });
`;

/** The file's bytes. Throws when it would need anything but Node. */
export async function buildVerifier({ esbuild }) {
  const version = readVersion();
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: ROOT,
    stdin: {
      contents: entry(version),
      loader: "ts",
      resolveDir: join(ROOT, "host-cli/src"),
      sourcefile: "verifier.ts",
    },
    bundle: true,
    write: false,
    metafile: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    // Found by the bundler itself, a file now and then goes without: one build in fifty lacked a "use strict".
    tsconfigRaw: readFileSync(join(ROOT, "tsconfig.base.json"), "utf8"),
    minify: true,
    charset: "utf8",
    legalComments: "none", // the licences stand in front, whole
    logLevel: "warning",
    plugins: [workspace, lazyChildren],
    define: { "process.env.NODE_ENV": '"production"', VOUCH_VERSION: JSON.stringify(version) },
  });
  const needs = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  const foreign = needs.filter((path) => !isBuiltin(path));
  if (foreign.length > 0) throw new Error(`${VERIFIER} would need ${foreign.join(", ")} beside it`);
  const head = [
    `vouch-verify ${version}: settles whether a bundle, image and device hold up, offline.`,
    "  node vouch-verify.cjs BUNDLE --policy FILE [--image [COMPONENT=]FILE] …     --help shows the rest",
    "",
    "vouch is under the Apache License, Version 2.0. This file holds work of others, under these licences:",
    ...packagesOf(metafile).flatMap(licenceOf),
  ];
  const banner = head.map((line) => `// ${line}`.trimEnd()).join("\n");
  return Buffer.from(`#!/usr/bin/env node\n${banner}\n${outputFiles[0].text}`);
}

/** The packages whose code is in the bundle, by name. */
function packagesOf({ inputs }) {
  const names = Object.keys(inputs).flatMap((path) => {
    const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)\/(?!.*node_modules\/)/.exec(path) ?? [];
    return name ?? [];
  });
  return [...new Set(names)].sort();
}

function licenceOf(name) {
  const folder = join(ROOT, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const text = readFileSync(join(folder, "LICENSE"), "utf8").trim();
  return ["", `${name} ${version} (${license})`, "", ...text.split(/\r?\n/)];
}
