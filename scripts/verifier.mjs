// The verifier that stands alone: what settles and shows, as one CommonJS file, kept beside evidence for
// the day when there is no registry to install anything from.
//
//   host-cli/src/main.ts + commands/{verify,audit,report,fleet-*}.ts + all they reach ──▶ dist/vouch-verify.cjs
//
//   verify          needn't be typed: node vouch-verify.cjs BUNDLE … (what is no file, and near a verb, is that one mistyped)
//   audit           without --store and --jobs: it keeps nothing and is one thread
//   report          makes a report again, from the same code, to be compared with the one that was handed over
//   fleet           check and pick
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

// A bundle may be called like a verb: `verify audit` and `./audit` are files.
const entry = (version) => `
  import { existsSync } from "node:fs";
  import { nearest, start } from "./main";
  import * as verify from "./commands/verify";
  import * as audit from "./commands/audit";
  import * as report from "./commands/report";
  import { defineCheck } from "./commands/fleet-check";
  import { definePick } from "./commands/fleet-pick";
  const fleet = {
    define(program, io) {
      const verb = program.command("fleet").description("Takes devices out of fleet files, and checks an owner's rows.");
      defineCheck(verb, io, null);
      definePick(verb, io);
    },
  };
  const verbs = { verify, audit, report, fleet };
  const first = process.argv[2] ?? "";
  const isVerb = Object.hasOwn(verbs, first) || /^(-V|--version|-h|--help|help)$/.test(first);
  const isTypo = !existsSync(first) && nearest(first, Object.keys(verbs)) !== undefined;
  if (!isVerb && !isTypo) process.argv.splice(2, 0, "verify");
  void start({
    version: ${JSON.stringify(version)},
    verbs: Object.keys(verbs),
    load: (verb) => verbs[verb],
    summaries: { fleet: "take devices out of fleet files, and check an owner's rows" },
  });
`;

/** No database and no folder of results: --store isn't offered and an address is refused, so nothing asks. */
const storeless = {
  name: "storeless",
  setup(build) {
    build.onResolve({ filter: /^\.\.\/audit\/(store|postgres)$/ }, () => ({
      path: "store",
      namespace: "storeless",
    }));
    build.onLoad({ filter: /.*/, namespace: "storeless" }, () => ({
      contents: 'export const openStore = () => { throw new Error("this program keeps nothing"); };',
    }));
  },
};

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
    plugins: [workspace, lazyChildren, storeless],
    define: {
      "process.env.NODE_ENV": '"production"',
      VOUCH_VERSION: JSON.stringify(version),
      VOUCH_ALONE: "true",
    },
  });
  const needs = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  const foreign = needs.filter((path) => !isBuiltin(path));
  if (foreign.length > 0) throw new Error(`${VERIFIER} would need ${foreign.join(", ")} beside it`);
  const head = [
    `vouch-verify ${version}: settles whether bundle, image and device hold up, of one device or a fleet, offline.`,
    "  node vouch-verify.cjs BUNDLE --policy FILE [--image [COMPONENT=]FILE] …     --help shows the rest",
    "  node vouch-verify.cjs audit FILES… --policy FILE",
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
