// Fails when an import points the wrong way. The arrows there may be:
//
//   firmware ──▶ shared ◀── host-cli          main ──▶ commands ──▶ device, ledger, log, fhir, output
//                                                                     └──────▶ shared
//
//   - shared imports tweetnacl and three of noble's packages, and nothing else from outside; no Node
//   - firmware imports shared and itself; what it reaches never holds refusal.ts,
//     which is for hosts: a device answers with fault numbers
//   - device, ledger, log, fhir, export, output, sim, monitor, witness, audit, report and stream don't import each other: commands introduce
//     them; files directly in host-cli/src belong to all of them. One door: the device
//     side opens a simulated board for the port `sim:`, and nothing above knows
//   - flash is the work of one verb on several kinds of device: it may use device and output,
//     and commands alone use it; so monitor may use log
//   - nothing but main and commands may import commands; demo-story alone imports main, since
//     it hands command lines to the dispatcher
//   - each npm package has exactly one importing file, named below
//
// Type-only imports leave no arrow: they are gone when the code runs.

import { readdirSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The one file that imports each package; replacing a package is then that file's work. */
const IMPORTERS = {
  tweetnacl: "shared/src/sign.ts",
  "@noble/curves": "shared/src/curves.ts",
  "@noble/hashes": "shared/src/hash.ts",
  "@noble/post-quantum": "shared/src/mldsa.ts",
  "@iota/crypto.js": "host-cli/src/ledger/stardust-pow.ts",
  "@iota/iota.js": "host-cli/src/ledger/stardust.ts",
  "@iota/util.js": "host-cli/src/ledger/stardust.ts",
  commander: "host-cli/src/main.ts",
  serialport: "host-cli/src/device/serial.ts",
  "quickjs-emscripten": "host-cli/src/sim/quickjs.ts",
  "@lydell/node-pty": "host-cli/src/sim/pty.ts",
  lmdb: "host-cli/src/witness/state.ts",
  pg: "host-cli/src/postgres.ts", // audits and streams keep things there, and neither room imports the other
  mqtt: "host-cli/src/stream/broker.ts",
  uqr: "host-cli/src/report/qr.ts",
};

/** Types command lines into the program, as a person would. */
const TYPIST = "host-cli/src/commands/demo-story.ts";

const ROOMS = [
  "device",
  "ledger",
  "log",
  "fhir",
  "export",
  "output",
  "sim",
  "flash",
  "monitor",
  "witness",
  "audit",
  "report",
  "stream",
];

/** host-cli/src/device/x.ts is in "device", host-cli/src/io.ts in "host-cli", shared/src/x.ts in "shared". */
function roomOf(file) {
  const [workspace, , folder, rest] = file.split("/");
  return workspace === "host-cli" && rest !== undefined ? folder : workspace;
}

/** Why `from` must not import `to`, or undefined when it may. */
export function forbidden(from, to, importers = IMPORTERS) {
  const here = roomOf(from);
  if (to.startsWith("node:"))
    return here === "shared" || here === "firmware" ? `${here} knows no Node` : undefined;
  if (!/^(shared|firmware|host-cli)\//.test(to)) {
    if (to.startsWith(".")) return "there is no such file";
    const only = importers[to];
    if (only === undefined) return "no file is named for this package in scripts/boundaries.mjs";
    return only === from ? undefined : `only ${only} may import ${to}`;
  }
  const there = roomOf(to);
  if (here === there || there === "shared") return undefined;
  if (here === "shared" || here === "firmware")
    return `${here} imports only ${here === "shared" ? "itself" : "shared and itself"}`;
  if (there === "firmware") return "the host reads the built agent, never its source";
  if (there === "commands") return "only main and the commands themselves know the commands";
  if (there === "host-cli")
    return to === "host-cli/src/main.ts" && from !== TYPIST ? "nothing imports main" : undefined;
  if (here === "host-cli") return "files directly in host-cli/src serve every room and import none";
  if (from === "host-cli/src/device/transport.ts" && there === "sim") return undefined; // the port named `sim:`
  if (here === "flash" && (there === "device" || there === "output")) return undefined;
  if (here === "monitor" && there === "log") return undefined;
  if (ROOMS.includes(here)) return `${here} and ${there} meet only in commands`;
  return undefined;
}

/** Every import of every source file under the workspaces' src, as [from, to] relative to `root`. */
async function readArrows(root) {
  const sources = ["shared/src", "firmware/src", "host-cli/src"].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true })
      .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
      .map((name) => join(folder, name)),
  );
  const arrows = [];
  await build({
    absWorkingDir: root,
    entryPoints: sources,
    outdir: "unused",
    write: false,
    bundle: true,
    platform: "neutral",
    format: "esm",
    logLevel: "silent",
    plugins: [{ name: "arrows", setup: (b) => recordArrows(b, root, arrows) }],
  });
  return arrows;
}

function recordArrows(b, root, arrows) {
  b.onResolve({ filter: /.*/ }, async ({ path, importer, resolveDir, kind, pluginData }) => {
    if (kind === "entry-point" || pluginData === "seen") return undefined;
    const from = relative(root, importer).replaceAll("\\", "/");
    const shared = /^@vouch\/shared\/(.*)$/.exec(path);
    const bare = path.replace(/^node:/, "");
    if (shared !== null) {
      arrows.push([from, `shared/src/${shared[1]}.ts`]);
    } else if (path.startsWith(".")) {
      const found = await b.resolve(path, { resolveDir, kind, importer, pluginData: "seen" });
      const to = found.path === "" ? path : relative(root, found.path).replaceAll("\\", "/");
      arrows.push([from, to]);
    } else if (builtinModules.includes(bare.split("/")[0])) {
      arrows.push([from, `node:${bare}`]);
    } else {
      arrows.push([
        from,
        path
          .split("/")
          .slice(0, path.startsWith("@") ? 2 : 1)
          .join("/"),
      ]);
    }
    return { path, external: true }; // each source is an entry of its own; following would count arrows twice
  });
}

/** The path from firmware's entry to refusal.ts, or undefined when there is none. */
function deviceReaches(arrows, target) {
  const paths = arrows.filter(([from]) => from.startsWith("firmware/")).map(([from, to]) => [from, to]);
  const seen = new Set();
  for (let path = paths.shift(); path !== undefined; path = paths.shift()) {
    const last = path[path.length - 1];
    if (last === target) return path;
    if (seen.has(last)) continue;
    seen.add(last);
    for (const [from, to] of arrows) if (from === last) paths.push([...path, to]);
  }
  return undefined;
}

/** What is wrong with the imports below `root`: one sentence an arrow. */
export async function judge(root, importers = IMPORTERS) {
  const arrows = await readArrows(root);
  const wrong = [];
  for (const [from, to] of arrows) {
    const why = forbidden(from, to, importers);
    if (why !== undefined) wrong.push(`${from} ──▶ ${to}: ${why}`);
  }
  const leak = deviceReaches(arrows, "shared/src/refusal.ts");
  if (leak !== undefined) wrong.push(`${leak.join(" ──▶ ")}: device code answers with fault numbers`);
  for (const name of Object.keys(importers)) {
    if (!arrows.some(([, to]) => to === name))
      wrong.push(`${name}: named in scripts/boundaries.mjs, imported by nobody`);
  }
  return { count: arrows.length, wrong };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { count, wrong } = await judge(process.argv[2] ?? ROOT);
  for (const line of wrong) console.error(`boundaries: ${line}`);
  console.log(`boundaries: ${count} imports, ${wrong.length} pointing the wrong way`);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}
