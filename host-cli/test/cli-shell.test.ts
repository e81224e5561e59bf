// The shell around the verbs: help, mistakes, errors and exit status, with
// verbs made up here; then a bar, a table and colour.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Refusal } from "@vouch/shared/refusal";
import { EXIT_STATUS, wordOf } from "@vouch/shared/verdict";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { about, describe, EXIT, REFUTED_CODES, statusOf, UNPROVEN_CODES, usage } from "../src/exit";
import { type Build, run, type VerbModule } from "../src/main";
import { paint, startProgress, table } from "../src/output/terminal";
import { type MemoryIo, type MemoryIoOptions, memoryIo } from "./memory-io";

const loaded: string[] = [];

const VERBS: Record<string, VerbModule> = {
  verify: {
    define(program, io) {
      program
        .command("verify <bundle>")
        .description("made up")
        .option("--image <file>", "an image")
        .option("--version <version>", "a flag the program has too")
        .option("--json", "as JSON")
        .action(async (bundle: string, options: { version?: string }) => {
          if (bundle === "bent")
            throw new Refusal("bad-signature", "signature doesn't verify", { hint: "ask the maker" });
          if (bundle === "bug") throw new TypeError("x is not a function");
          if (bundle === "gone")
            await about("pump.json", async () => Promise.reject(new Refusal("not-found", "no such file")));
          if (bundle === "stale") io.exitCode = 21;
          io.stdout(`${bundle} ${options.version ?? "-"} json=${io.json} quiet=${io.quiet}\n`);
        });
    },
  },
  release: {
    define(program) {
      const release = program.command("release").description("made up");
      release
        .command("new")
        .description("state a release")
        .option("--product <name>", "its name")
        .action(() => {});
    },
  },
};

const build: Build = {
  version: "1.2.3",
  verbs: Object.keys(VERBS),
  load(verb) {
    loaded.push(verb);
    const found = VERBS[verb];
    if (found === undefined) throw new Error(`asked for ${verb}`);
    return found;
  },
};

async function vouch(line: string, options: MemoryIoOptions = {}): Promise<MemoryIo> {
  const io = memoryIo(options);
  loaded.length = 0;
  await run(
    line.split(" ").filter((word) => word !== ""),
    io,
    build,
  );
  return io;
}

const help = suite("help");

help("asked for goes to stdout with status 0 and loads no verb", async () => {
  for (const line of ["--help", "-h", "help"]) {
    const io = await vouch(line);
    assert.is(io.exitCode, 0, line);
    assert.match(io.out(), /^ {2}verify +settle whether/m);
    assert.match(io.out(), /20 refuted, 21 unproven, 22 vulnerable, 23 recalled/);
    assert.is(io.err(), "");
    assert.equal(loaded, []);
  }
});

help("says of every verb there is what it is for", async () => {
  const { findVerbs } = await import(pathToFileURL(resolve("scripts/build.mjs")).href);
  const verbs: string[] = findVerbs();
  assert.ok(verbs.includes("verify"));
  const io = memoryIo();
  await run(["--help"], io, { ...build, verbs });
  for (const verb of verbs) assert.match(io.out(), new RegExp(`^ {2}${verb} +[a-z]`, "m"));
});

help("of a verb loads that verb alone", async () => {
  for (const line of ["verify --help", "help verify"]) {
    const io = await vouch(line);
    assert.is(io.exitCode, 0, line);
    assert.match(io.out(), /--image <file>/);
    assert.match(io.out(), /--debug/);
    assert.is(io.err(), "");
    assert.equal(loaded, ["verify"]);
  }
});

help("because of a mistake goes to stderr with status 1", async () => {
  for (const line of ["", "release"]) {
    const io = await vouch(line);
    assert.is(io.exitCode, 1, line);
    assert.match(io.err(), /^Usage: vouch/);
    assert.is(io.out(), "");
  }
});

help("of a subcommand is reached", async () => {
  const io = await vouch("release new --help");
  assert.is(io.exitCode, 0);
  assert.match(io.out(), /--product <name>/);
});

help("--version prints the version, and after a verb is the verb's own", async () => {
  assert.is((await vouch("--version")).out(), "vouch 1.2.3\n");
  assert.is((await vouch("verify b --version 2.4.1")).out(), "b 2.4.1 json=false quiet=false\n");
});
help.run();

const mistakes = suite("mistakes");

for (const [line, err] of [
  ["verfy x", 'vouch: no verb "verfy" [usage]\nvouch: hint: did you mean `vouch verify`?\n'],
  ["relaese", 'vouch: no verb "relaese" [usage]\nvouch: hint: did you mean `vouch release`?\n'],
  ["frobnicate", 'vouch: no verb "frobnicate" [usage]\nvouch: hint: `vouch --help` lists the verbs\n'],
  ["__proto__", 'vouch: no verb "__proto__" [usage]\nvouch: hint: `vouch --help` lists the verbs\n'],
  ["../verify", 'vouch: no verb "../verify" [usage]\nvouch: hint: `vouch --help` lists the verbs\n'],
  [
    "--frob verify",
    "vouch: unknown option --frob before the verb [usage]\nvouch: hint: `vouch --help` lists the verbs\n",
  ],
  [
    "verify x --imge f",
    "vouch: verify: unknown option '--imge' [usage]\nvouch: hint: did you mean --image?\n",
  ],
  [
    "verify",
    "vouch: verify: missing required argument 'bundle' [usage]\nvouch: hint: `vouch verify --help` shows what it takes\n",
  ],
  ["release nwe", "vouch: release: unknown command 'nwe' [usage]\nvouch: hint: did you mean new?\n"],
  ["verify a b", /^vouch: verify: too many arguments.* \[usage\]\n/],
  ["verify a --image", /^vouch: verify: option '--image <file>' argument missing \[usage\]\n/],
] as const) {
  mistakes(`"vouch ${line}" is status 1, on stderr alone`, async () => {
    const io = await vouch(line);
    if (typeof err === "string") assert.is(io.err(), err);
    else assert.match(io.err(), err);
    assert.is(io.out(), "");
    assert.is(io.exitCode, 1);
  });
}
mistakes.run();

const outcomes = suite("outcomes");

outcomes("a command's own exit status stands", async () => {
  const io = await vouch("verify stale");
  assert.is(io.exitCode, 21);
  assert.is(io.err(), "");
});

outcomes("--json, --quiet and --debug reach the command from anywhere", async () => {
  assert.is((await vouch("--quiet verify a --json")).out(), "a - json=true quiet=true\n");
  assert.is((await vouch("verify a --quiet")).out(), "a - json=false quiet=true\n");
  assert.is((await vouch("verify -- --quiet")).out(), "--quiet - json=false quiet=false\n");
});

outcomes("a refusal prints its code and hint, and a wrong signature is status 20", async () => {
  const io = await vouch("verify bent");
  assert.is(io.err(), "vouch: signature doesn't verify [bad-signature]\nvouch: hint: ask the maker\n");
  assert.is(io.exitCode, 20);
  assert.is(io.out(), "");
});

outcomes("the subject of an error comes first", async () => {
  const io = await vouch("verify gone");
  assert.is(io.err(), "vouch: pump.json: no such file [not-found]\n");
  assert.is(io.exitCode, 1);
});

outcomes("a bug is status 1 and shows its stack under --debug alone", async () => {
  const plain = await vouch("verify bug");
  assert.is(plain.exitCode, 1);
  assert.is(
    plain.err(),
    "vouch: a bug in vouch: TypeError: x is not a function [internal]\nvouch: hint: --debug shows where\n",
  );
  assert.match((await vouch("verify bug --debug")).err(), /\n {4}at /);
});

outcomes("the innermost subject wins, and nothing but errors is touched", () => {
  const error = new Refusal("x", "found");
  assert.throws(
    () => about("outer", () => about("inner", () => thrower(error))),
    (e: unknown) => e === error,
  );
  assert.is(describe(error, false), "vouch: inner: found [x]");
  assert.is(
    about("s", () => 7),
    7,
  );
});

outcomes("an error can't move the cursor", () => {
  const text = describe(new Refusal("x", "a\u001b[2Jb\u202ec\rd\ne", { hint: "\u0007" }), false);
  assert.is(text, "vouch: a\\u{1b}[2Jb\\u{202e}c\\u{d}d\\u{a}e [x]\nvouch: hint: \\u{7}");
});

outcomes("a code means the same to every command as it does to verify, and a usage error is trouble", () => {
  for (const code of REFUTED_CODES) assert.is(wordOf(code), "refuted", code);
  for (const code of UNPROVEN_CODES) assert.is(wordOf(code), "unproven", code);
  for (const word of ["refuted", "unproven", "vulnerable", "recalled"] as const) {
    assert.is(EXIT[word], EXIT_STATUS[word]);
  }
  assert.is(statusOf(usage("no")), 1);
  assert.is(statusOf(new Error("bug")), 1);
  assert.is(statusOf("thrown text"), 1);
});
for (const [status, codes] of [
  [
    EXIT.refuted,
    [
      "block-malformed",
      "block-not-included",
      "milestone-malformed",
      "milestone-signature",
      "milestone-signer-repeated",
      "milestone-signer-unknown",
      "milestone-signers-unsorted",
      "milestone-threshold",
    ],
  ],
  [EXIT.unproven, ["stardust-unsupported"]],
] as const)
  outcomes(`a receipt of a Tangle is no trouble when it proves nothing: ${status}`, () => {
    for (const code of codes) assert.is(statusOf(new Refusal(code, "no")), status, code);
  });
outcomes.run();

function thrower(error: Error): never {
  throw error;
}

const terminal = suite("terminal");

terminal("off a terminal, progress is a line each tenth and never goes back", () => {
  const io = memoryIo();
  const progress = startProgress(io, "flashing", 200);
  for (let done = 0; done <= 200; done++) progress.update(done);
  progress.update(10);
  progress.end();
  assert.is(io.err(), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100].map((n) => `flashing ${n}%\n`).join(""));
  assert.is(io.out(), "");
});

terminal("on a terminal, it is one line drawn over", () => {
  const io = memoryIo({ tty: true });
  const progress = startProgress(io, "flashing", 4);
  progress.update(2);
  progress.update(2);
  progress.end();
  assert.is(io.err(), "\rflashing [##########----------]  50%\n");
});

terminal("--quiet and --json have none, and TERM=dumb has no bar", () => {
  for (const silent of ["quiet", "json"] as const) {
    const io = memoryIo({ tty: true });
    io[silent] = true;
    startProgress(io, "x", 1).update(1);
    assert.is(io.err(), "");
  }
  const dumb = memoryIo({ tty: true, env: { TERM: "dumb" } });
  startProgress(dumb, "x", 1).update(1);
  assert.is(dumb.err(), "x 100%\n");
});

terminal("a table lines up and carries no control characters", () => {
  assert.is(
    table([
      ["port", "what"],
      ["/dev/ttyACM0", "pump\u001b[31m"],
    ]),
    "port          what\n/dev/ttyACM0  pump\\u{1b}[31m\n",
  );
});

terminal("colour appears only where the stream allows it", () => {
  const io = memoryIo();
  assert.is(paint(io, "stdout", "red", "refuted"), "refuted");
  const colored = { ...io, color: { stdout: true, stderr: false } };
  assert.is(paint(colored, "stdout", "red", "refuted"), "\u001b[31mrefuted\u001b[0m");
  assert.is(paint(colored, "stderr", "red", "refuted"), "refuted");
});
terminal.run();
