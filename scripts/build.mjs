// Builds what runs: the device agent as one ES5 script a port, and the CLI.
//
//   firmware/src/main.ts          ──▶ host-cli/dist/agent.js            for engines embedded in C
//   firmware/src/main.espruino.ts ──▶ host-cli/dist/agent.espruino.js
//     1. esbuild bundles it for a browser (so tweetnacl leaves require("crypto") out)
//     2. TypeScript 5.9 lowers the bundle to ES5; newer ones dropped that target
//        shorten.mjs has it put numbers in place of constants
//     3. esbuild --target=es5 minifies, and refuses what is not ES5. Short names
//        save a third of the flash, and heap on Espruino, which keeps them in RAM;
//        shorten.mjs says which names of properties are ours to shorten, and one
//        name is kept from being invented: `of` is a keyword there
//     4. language.mjs refuses what is ES5 and yet not everybody's: hoisting, labels
//
//   host-cli/src/commands/X.ts ──▶ host-cli/dist/commands/X.cjs   one bundle a verb
//   package-lock.json           ──▶ host-cli/dist/vouch.cdx.json    what the program is made of (sbom.mjs)
//   shared/src/rebased/judge.ts ─▶ host-cli/dist/commands/rebased.cjs   what a verb loads once it meets a receipt of IOTA's
//   shared/src/stardust/proof.ts ▶ host-cli/dist/commands/stardust.cjs  … or of a Tangle
//   shared/src/mldsa.ts        ──▶ host-cli/dist/commands/mldsa.cjs   … or a countersignature
//   host-cli/src/ledger/stardust-ledger.ts ▶ host-cli/dist/commands/tangle.cjs   what anchors on one: IOTA's library
//   host-cli/src/ledger/pow-worker.ts ─▶ host-cli/dist/pow-worker.cjs   a thread of its
//   host-cli/src/stream/broker.ts ▶ …/broker.cjs   what speaks MQTT
//   host-cli/src/postgres.ts ▶ …/postgres.cjs, worker.ts ▶ …/audit-worker.cjs   a store, and what threads run
//   host-cli/src/main.ts       ──▶ host-cli/dist/main.cjs         knows the verbs by name
//   host-cli/src/commands/verify.ts ▶ host-cli/dist/vouch-verify.cjs   one file that needs Node and nothing else,
//        to be kept beside bundles: verifier.mjs
//        each, compiled by V8  ──▶ host-cli/dist/….cjs.v20.20.2-x64   bin/vouch.cjs says why
//
// A verb loads two files and no more. Packages that hold binaries or find
// files beside themselves stay outside; they resolve from node_modules.
// Everything is built beside the old and then moved over it, so that a
// failed build leaves a working one.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";
import { tableModule } from "./ed25519-table.mjs";
import { judgeLanguage } from "./language.mjs";
import { ownBom } from "./sbom.mjs";
import { inlineNumbers, shortNames } from "./shorten.mjs";
import { buildVerifier, VERIFIER } from "./verifier.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DIST = join(ROOT, "host-cli/dist");

const EXTERNAL = ["serialport", "@lydell/node-pty", "quickjs-emscripten", "lmdb", "pg-native"];

const AGENT_LIMIT = 60 * 1024; // what README.md promises
/** For a build that asks for a table of its own: the engine region of the simulated device less its engine block. */
const AGENT_ROOM = 63 * 1024;

/** The agent's entries: one a port. */
export const AGENTS = {
  "agent.js": join(ROOT, "firmware/src/main.ts"),
  "agent.espruino.js": join(ROOT, "firmware/src/main.espruino.ts"),
};

// What TypeScript emits when ES5 has no direct form: each is a helper that
// needs hoisting or a heap, which the small engines lack.
const HELPERS =
  /\b__(assign|spreadArray|values|read|rest|extends|generator|awaiter|makeTemplateObject|decorate|importStar)\b/g;

/** Where `@vouch/shared/x` lives, without going through node_modules (absent links must not matter to a build). */
export const workspace = {
  name: "workspace",
  setup(build) {
    build.onResolve({ filter: /^@vouch\/shared\// }, ({ path }) => ({
      path: join(ROOT, "shared/src", `${path.slice("@vouch/shared/".length)}.ts`),
    }));
  },
};

/** What few verdicts need, and takes long to load: files of their own, beside the verbs, when they are required. */
const APART = {
  rebased: "@vouch/shared/rebased/judge",
  stardust: "@vouch/shared/stardust/proof",
  mldsa: "@vouch/shared/mldsa",
  tangle: "./host-cli/src/ledger/stardust-ledger",
  postgres: "./host-cli/src/postgres",
  "audit-worker": "./host-cli/src/audit/worker",
  broker: "./host-cli/src/stream/broker",
};
const apart = {
  name: "apart",
  setup(build) {
    build.onResolve(
      {
        filter:
          /\/(rebased\/judge|stardust\/proof|shared\/mldsa|ledger\/stardust-ledger)$|^\.\.\/postgres$|^\.\/broker$/,
      },
      ({ kind, path }) => {
        const [name] =
          Object.entries(APART).find(([, module]) => module.endsWith(path.replace(/^\.+/, ""))) ?? [];
        return kind === "require-call" && name !== undefined
          ? { path: `./${name}.cjs`, external: true }
          : undefined;
      },
    );
  },
};

/** Commander loads child_process for a feature we don't use; loading it costs a command 4 ms of its 80. */
export const lazyChildren = {
  name: "lazy-children",
  setup(build) {
    build.onResolve({ filter: /^node:child_process$/ }, ({ importer }) =>
      /[\\/]commander[\\/]/.test(importer) ? { path: "child_process", namespace: "lazy" } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: "lazy" }, () => ({
      contents: 'exports.spawn = (...args) => require("node:child_process").spawn(...args);',
    }));
  },
};

/**
 * tweetnacl as the agent needs it: signatures. The package is one function around everything it can do, out of
 * which no bundler can leave anything; without that wrapper its functions stand at the top level and the
 * unused ones (boxes, Salsa20, X25519) fall away: 20 KB less. Each piece is kept as it is in the package, and
 * a package that reads differently fails here.
 */
const signatures = {
  name: "signatures",
  setup(build) {
    build.onLoad({ filter: /[\\/]tweetnacl[\\/]nacl-fast\.js$/ }, ({ path }) => {
      const source = readFileSync(path, "utf8");
      const cut = (from, to) => {
        const [start, end] = [from, to].map((mark) => source.indexOf(mark));
        const twice = [from, to].some((mark) => source.indexOf(mark) !== source.lastIndexOf(mark));
        if (start < 0 || end < start || twice)
          throw new Error(`tweetnacl has changed between ${from} and ${to}`);
        return source.slice(start, end);
      };
      const contents = [
        "var nacl = {};",
        cut("var gf = function(init)", "/*\n* Port of Andrew Moon's Poly1305"),
        cut("function crypto_onetimeauth(", "nacl.lowlevel = {"),
        cut("/* High-level API */", "nacl.randomBytes = "),
        cut("nacl.sign = ", "nacl.hash = "),
        "export default nacl;",
      ].join("\n");
      return { contents, loader: "js" };
    });
  },
};

/** The signer's table in another size than the one that is committed. */
const signerTable = (kilobytes) => ({
  name: "signer-table",
  setup(build) {
    build.onLoad({ filter: /[\\/]ed25519-table\.ts$/ }, () => ({
      contents: tableModule(kilobytes),
      loader: "ts",
    }));
  },
});

/** The program's version. */
export const readVersion = () =>
  JSON.parse(readFileSync(join(ROOT, "host-cli/package.json"), "utf8")).version;

/** The verbs: one file each. */
export function findVerbs() {
  const folder = join(ROOT, "host-cli/src/commands");
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => /^[a-z]+\.ts$/.test(name));
  return names
    .filter((name) => /^export function define\(/m.test(readFileSync(join(folder, name), "utf8")))
    .map((name) => name.slice(0, -".ts".length))
    .sort();
}

/** The agent as ES5 text. Throws when the source leaves the language subset that lowers without help. */
export async function buildAgent(
  { esbuild, typescript },
  entry = AGENTS["agent.js"],
  tableKb = process.env.VOUCH_TABLE_KB, // scripts/ed25519-table.mjs says which there are
) {
  const bundled = await esbuild.build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "iife",
    platform: "browser",
    target: "es2020",
    define: { "process.env.NODE_ENV": '"production"', Buffer: "undefined" }, // no host here: shared/src/bytes.ts
    logLevel: "warning",
    plugins: [workspace, signatures, ...(tableKb === undefined ? [] : [signerTable(tableKb)])],
    // Without this esbuild defines class fields and module objects through helpers of its own.
    tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
  });
  const lowered = typescript.transpileModule(bundled.outputFiles[0].text, {
    reportDiagnostics: true,
    transformers: { before: [inlineNumbers(typescript)] },
    compilerOptions: {
      target: typescript.ScriptTarget.ES5,
      module: typescript.ModuleKind.ESNext,
      allowJs: true,
      removeComments: true,
      ignoreDeprecations: "5.0",
    },
  });
  const [problem] = lowered.diagnostics ?? [];
  if (problem !== undefined) {
    throw new Error(`agent: ${typescript.flattenDiagnosticMessageText(problem.messageText, "\n")}`);
  }
  const helpers = [...new Set(lowered.outputText.match(HELPERS) ?? [])];
  if (helpers.length > 0) {
    throw new Error(
      `agent: ES5 needs ${helpers.join(", ")}; write the spread, class or for-of in firmware/ another way`,
    );
  }
  // The minifier never invents a name that the text uses for a global, so we use `of` for one, in front, and cut it off.
  const small = await esbuild.transform(`of;${lowered.outputText}`, {
    target: "es5",
    minify: true,
    charset: "ascii",
    legalComments: "none",
    ...shortNames(typescript, lowered.outputText, entry),
    define: { espruinoRequire: "require" }, // named otherwise until here: a bundler takes `require` for its own
  });
  if (!/^of[,;]/.test(small.code))
    throw new Error("agent: the minifier moved the `of` that keeps it from inventing one");
  const code = small.code.slice("of;".length);
  const problems = judgeLanguage(typescript, code);
  if (problems.length > 0)
    throw new Error(`agent: not what every engine reads alike:\n  ${problems.slice(0, 10).join("\n  ")}`);
  return code;
}

/** Name and size, for people. Throws when the agent is larger than it may be. */
export function weigh(name, code) {
  const bytes = Buffer.byteLength(code);
  const limit = process.env.VOUCH_TABLE_KB === undefined ? AGENT_LIMIT : AGENT_ROOM;
  if (bytes > limit) throw new Error(`${name} has ${bytes} bytes, and may have ${limit}`);
  return `${name} ${(bytes / 1024).toFixed(1)} KB`;
}

async function buildCli({ esbuild }, verbs, outdir) {
  const version = readVersion();
  const common = {
    bundle: true,
    platform: "node",
    format: "cjs",
    target: "node20",
    external: EXTERNAL,
    outExtension: { ".js": ".cjs" },
    minify: true, // reading the source is most of the start-up time
    sourcemap: "linked", // read only under --debug, for the names in a stack
    sourcesContent: false,
    legalComments: "none",
    logLevel: "warning",
    plugins: [apart, workspace, lazyChildren],
    define: { "process.env.NODE_ENV": '"production"', VOUCH_VERSION: JSON.stringify(version) },
  };
  const entry = [
    'import { start } from "./main";',
    // Through a variable, or the bundler looks for the files itself.
    `const load = (verb) => { const path = "./commands/" + verb + ".cjs"; return require(path); };`,
    `void start({ version: ${JSON.stringify(version)}, verbs: ${JSON.stringify(verbs)}, load });`,
  ].join("\n");
  await Promise.all([
    esbuild.build({
      ...common,
      stdin: {
        contents: entry,
        loader: "ts",
        resolveDir: join(ROOT, "host-cli/src"),
        sourcefile: "entry.ts",
      },
      outfile: join(outdir, "main.cjs"),
      outExtension: undefined,
    }),
    esbuild.build({
      ...common,
      entryPoints: verbs.map((verb) => join(ROOT, "host-cli/src/commands", `${verb}.ts`)),
      outdir: join(outdir, "commands"),
    }),
    esbuild.build({
      ...common,
      entryPoints: [join(ROOT, "host-cli/src/ledger/pow-worker.ts")],
      outfile: join(outdir, "pow-worker.cjs"),
      outExtension: undefined,
    }),
    ...Object.entries(APART).map(([name, module]) =>
      esbuild.build({
        ...common,
        stdin: {
          contents: `export * from "${module}";`,
          resolveDir: ROOT,
          sourcefile: `${name}.ts`,
          loader: "ts",
        },
        outfile: join(outdir, `commands/${name}.cjs`),
        outExtension: undefined,
      }),
    ),
  ]);
}

/** Whole, or each run would compile the rest. Bundles with an import() in them stay with Node's own loader. */
function compileAhead(files) {
  const { compiledOf, textOf } = createRequire(import.meta.url)("../host-cli/bin/vouch.cjs");
  for (const file of files) {
    const text = textOf(file);
    if (/\bimport\(/.test(text)) continue;
    setFlagsFromString("--no-lazy");
    const script = new Script(text, { filename: file });
    setFlagsFromString("--lazy"); // what is written now names its flags, and is refused under others
    writeFileSync(compiledOf(file), script.createCachedData());
  }
}

/** Puts the new build in the old one's place. Somebody else's build may get there first; then theirs goes. */
function replaceFolder(fresh, target) {
  for (let attempt = 1; ; attempt++) {
    rmSync(target, { recursive: true, force: true });
    try {
      renameSync(fresh, target);
      return;
    } catch (error) {
      if (attempt === 5) throw error;
    }
  }
}

async function main() {
  const tools = await import("esbuild")
    .then(async (esbuild) => ({ esbuild, typescript: (await import("typescript")).default }))
    .catch((error) => {
      if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    });
  if (tools === undefined) {
    console.error("build: esbuild and typescript aren't installed; run `npm ci`");
    // `npx vouch` in a fresh clone runs `prepare` before it runs us: that isn't a failure,
    // bin/vouch.cjs then says what to do.
    if (process.env.npm_lifecycle_event !== "prepare") process.exitCode = 1;
    return;
  }
  const started = Date.now();
  const verbs = findVerbs();
  const fresh = `${DIST}.${process.pid}`;
  try {
    mkdirSync(fresh, { recursive: true });
    const weights = [];
    for (const [name, entry] of Object.entries(AGENTS)) {
      const code = await buildAgent(tools, entry);
      weights.push(weigh(name, code));
      writeFileSync(join(fresh, name), code);
    }
    await buildCli(tools, verbs, fresh);
    writeFileSync(join(fresh, "vouch.cdx.json"), ownBom());
    const verifier = await buildVerifier(tools);
    weights.push(`${VERIFIER} ${(verifier.length / 1024).toFixed(1)} KB`);
    writeFileSync(join(fresh, VERIFIER), verifier);
    compileAhead([
      join(fresh, "main.cjs"),
      ...[...verbs, ...Object.keys(APART)].map((verb) => join(fresh, `commands/${verb}.cjs`)),
    ]);
    replaceFolder(fresh, DIST);
    console.log(
      `built ${weights.join(", ")}, vouch with ${verbs.length} verbs, in ${Date.now() - started} ms`,
    );
  } catch (error) {
    console.error(`build: ${error.message}`);
    process.exitCode = 1;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
