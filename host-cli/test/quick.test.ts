// The short cut around commander: what it reads it reads as commander would, what it can't it leaves alone.

import type { Command } from "commander";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as bundle from "../src/commands/bundle";
import * as inspect from "../src/commands/inspect";
import * as policy from "../src/commands/policy";
import * as release from "../src/commands/release";
import * as verify from "../src/commands/verify";
import type { Io } from "../src/io";
import { run, type VerbModule } from "../src/main";
import { readLine, runQuickly } from "../src/quick";
import { memoryIo } from "./memory-io";

const quick = suite("quick");

/** verify's flags in verify's order of words, with an action that tells what it was called with. */
const echo: VerbModule = {
  define(program: Command, io: Io) {
    program
      .command("verify")
      .description("made up")
      .argument("<bundle>", "the bundle")
      .requiredOption("--policy <file>", "whom to trust")
      .option(
        "--image <[component=]file>",
        "an image",
        (value: string, before: string[]) => [...before, value],
        [],
      )
      .option("--count <n>", "a number", (text: string) => {
        if (!/^\d+$/.test(text)) throw new Error(`${text} is no number`);
        return Number(text);
      })
      .option("--level <word>", "with a value of its own", "low")
      .option("--release-only", "stop early")
      .option("--json", "as JSON")
      .action((file: string, options: Record<string, unknown>) => {
        if (file === "bent") throw new Error("bent");
        const sorted = Object.entries(options).sort(([a], [b]) => (a < b ? -1 : 1));
        io.stdout(JSON.stringify([file, sorted, io.json, io.quiet]));
      });
  },
};
const build = { version: "1.2.3", verbs: ["verify"], load: () => echo };

const WORDS = [
  "verify",
  "a.json",
  "bent",
  "-",
  "--",
  "",
  "12",
  "-1",
  "--policy",
  "--policy=p",
  "--polic",
  "-p",
  "--image",
  "app=x",
  "--count",
  "--level",
  "--release-only",
  "--json",
  "--no-json",
  "--help",
  "-h",
  "help",
  "--debug",
  "--quiet",
];
const usual = ["verify", "a.json", "--policy", "p"];
const lines = fc.oneof(
  fc.array(fc.constantFrom(...WORDS), { maxLength: 8 }).map((rest) => ["verify", ...rest]),
  fc.array(fc.constantFrom(...WORDS), { maxLength: 5 }).map((rest) => [...usual, ...rest]),
  fc
    .shuffledSubarray(["--release-only", "--json", "--image=x", "--quiet"])
    .chain((flags) =>
      fc.nat(3).map((at) => [...usual.slice(0, 1), ...flags.slice(0, at), ...usual.slice(1)]),
    ),
  fc
    .array(fc.constantFrom("--image x", "--count 3", "--level high", "--json", "--count x"), { maxLength: 5 })
    .map((flags) => ["verify", ...flags.flatMap((flag) => flag.split(" ")), ...usual.slice(1)]),
);

quick("reads a line as commander does, or leaves it alone", async () => {
  let read = 0;
  await fc.assert(
    fc.asyncProperty(lines, async (line) => {
      const [short, long] = [memoryIo(), memoryIo()];
      if (!(await runQuickly(line, short, build))) {
        assert.equal(
          [short.out(), short.err(), short.exitCode],
          ["", "", 0],
          "a line left alone is untouched",
        );
        return;
      }
      read++;
      await run(line, long, build);
      assert.equal(
        [short.out(), short.err(), short.exitCode, short.json, short.quiet],
        [long.out(), long.err(), long.exitCode, long.json, long.quiet],
        line.join(" "),
      );
    }),
    { numRuns: 2000 },
  );
  assert.ok(read > 100, `${read} of 2000 lines were simple`);
});

for (const [name, line, module] of [
  [
    "verify",
    "verify b.vouch.json --policy p --image a.bin --image engine=e.bin --release-only --json",
    verify,
  ],
  ["inspect", "inspect b.vouch.json", inspect],
] as const)
  quick(`${name}'s usual line is read without commander`, () => {
    assert.type(readLine(line.split(" "), module, memoryIo()), "function");
  });

for (const [name, line, module] of [
  ["a verb with verbs of its own", "release new --product p", release],
  ["one verb below another", "policy check p", policy],
  ["a short flag", "bundle -o x --log l --release r --manifest m", bundle],
  ["a missing operand", "verify --policy p", verify],
  ["one operand too many", "verify a b --policy p", verify],
  ["a required flag missing", "verify a", verify],
  ["a flag nobody knows", "verify a --policy p --fast", verify],
  ["a value that looks like a flag", "verify a --policy --json", verify],
  ["a value joined to its flag", "verify a --policy=p", verify],
  ["stdin", "verify - --policy p", verify],
  ["help", "verify --help", verify],
  ["another verb's module", "inspect a", verify],
] as const)
  quick(`leaves alone: ${name}`, () => {
    assert.is(readLine(line.split(" "), module, memoryIo()), null);
  });

quick("leaves a verb to commander that says what the short cut doesn't know", () => {
  const define = (change: (command: Command) => Command): VerbModule => ({
    define: (program) => void change(program.command("verify")).action(() => {}),
  });
  assert.type(
    readLine(
      ["verify"],
      define((c) => c),
      memoryIo(),
    ),
    "function",
  );
  for (const change of [
    (c: Command) => c.alias("v"),
    (c: Command) => c.argument("[bundle]"),
    (c: Command) => c.argument("<bundles...>"),
    (c: Command) => c.option("--image [file]"),
    (c: Command) => c.option("--image <files...>"),
    (c: Command) => c.option("--no-image"),
    (c: Command) => c.command("all"),
  ])
    assert.is(readLine(["verify"], define(change), memoryIo()), null);
  const asks: VerbModule = {
    define: (p) => void p.command("verify").action((_o: unknown, _c: unknown) => {}),
  };
  assert.is(readLine(["verify"], asks, memoryIo()), null, "an action that wants the Command");
});

quick.run();
