// What scripts/shorten.mjs does to the agent: names of the board and of the language stay, its own don't, and what it
// couldn't follow fails the build. That the shortened agent still works, engines.test.ts shows.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import typescript from "typescript";
import { suite } from "uvu";
import * as assert from "uvu/assert";

declare const VOUCH_DIST: string;

const shorten = suite("shorten");

const load = async <T>(script: string) => (await import(pathToFileURL(resolve("scripts", script)).href)) as T;
const { AGENTS, buildAgent, weigh } = await load<{
  AGENTS: Record<string, string>;
  buildAgent(tools: object, entry: string): Promise<string>;
  weigh(name: string, code: string): string;
}>("build.mjs");
const { keptNames } = await load<{ keptNames(ts: typeof typescript, entry: string): Set<string> }>(
  "shorten.mjs",
);

/** The built agent of an entry of this text. */
async function build(source: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "vouch-shorten-"));
  writeFileSync(join(folder, "main.ts"), source);
  try {
    return await buildAgent({ esbuild, typescript }, join(folder, "main.ts"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function refusal(source: string): Promise<string> {
  return build(source).then(
    () => "",
    (error: Error) => error.message,
  );
}

const PRINT = "declare const print: (value: unknown) => void;";

shorten("shortens its own names, keeps those of ES5 and of the types in the entry", async () => {
  const code = await build(
    `interface Board { serialLine: number } declare const board: Board; ${PRINT}
     const mine = { ownWord: board.serialLine, list: [1] }; mine.list.push(2); print(mine.ownWord + mine.list.length);`,
  );
  assert.match(code, /board\.serialLine/);
  assert.match(code, /\.push\(2\)/);
  assert.match(code, /\.length/);
  assert.not.match(code, /ownWord|list/);
});

for (const [name, source, expected] of [
  [
    "a type of the board from elsewhere",
    "declare const board: Elsewhere;",
    "main.ts: Elsewhere is a type of the board, and isn't in ports/",
  ],
  ["… in an interface", "interface Board { line: Line }", "Line is a type of the board"],
  ["… that it extends", "interface Board extends Base { a: number }", "Base is a type of the board"],
  ["a member in quotes", `const a = { own: 1 }; print(a["own"]);`, `a member in quotes: a["own"]`],
  ["a key in quotes", `print({ "own-word": 1 });`, `a member in quotes: "own-word": 1`],
  ["a loop over names", "const a = { own: 1 }; for (const k in a) print(k);", "names are asked for"],
  ["a question for a name", `const a = { own: 1 }; print("own" in a);`, "names are asked for"],
  ["a list of names", "print(Object.keys({ own: 1 }));", "names are asked for: Object.keys"],
  ["JSON", "print(JSON.stringify({ own: 1 }));", "names are asked for: JSON.stringify"],
] as const) {
  shorten(`fails the build: ${name}`, async () => {
    const message = await refusal(`${PRINT} ${source}`);
    assert.match(message, "agent: its property names can't be shortened:");
    assert.match(message, expected);
  });
}

shorten("puts a number in place of its constant, and leaves what only looks like one", async () => {
  const said: unknown[] = [];
  const code = await build(
    `${PRINT} const WORD_BYTES = 4711; const MINUS = -5; let COUNT = 1301; const TWICE = 1302; const FIELD = 1303;
     const show = (TWICE: number) => print(TWICE); COUNT++; show(WORD_BYTES); show(7 - MINUS); show(COUNT);
     print(TWICE); print({ FIELD }.FIELD + 1);`,
  );
  assert.not.match(code, /=4711/);
  assert.match(code, /=1301/);
  new Function("print", code)((value: unknown) => said.push(value));
  assert.equal(said, [4711, 12, 1302, 1302, 1304]);
});

// Whatever this finds has been made up by the minifier, and is one or two letters long.
for (const [name, entry] of Object.entries(AGENTS)) {
  shorten(`${name} has no property of a longer name but those kept`, () => {
    const kept = keptNames(typescript, entry);
    const file = typescript.createSourceFile(
      name,
      readFileSync(join(VOUCH_DIST, name), "latin1"),
      typescript.ScriptTarget.ES5,
    );
    const found = new Set<string>();
    const visit = (node: typescript.Node): void => {
      const isMember = typescript.isPropertyAccessExpression(node) || typescript.isPropertyAssignment(node);
      if (isMember && typescript.isIdentifier(node.name)) found.add(node.name.text);
      typescript.forEachChild(node, visit);
    };
    visit(file);
    assert.ok(found.size > 100);
    assert.equal(
      [...found].filter((word) => word.length > 2 && !kept.has(word)),
      [],
    );
  });
}

shorten("an agent past 60 KB fails the build", () => {
  assert.is(weigh("agent.js", "x".repeat(61_440)), "agent.js 60.0 KB");
  assert.throws(
    () => weigh("agent.js", "x".repeat(61_441)),
    /^agent.js has 61441 bytes, and may have 61440$/,
  );
});

shorten.run();
