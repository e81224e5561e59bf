// What the documentation says is tried: sessions are typed, the table of refusals is
// held against the tables that decide, the man page against --help, links must lead
// somewhere.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { Refusal } from "@vouch/shared/refusal";
import { EXIT_STATUS, wordOf } from "@vouch/shared/verdict";
import { Command } from "commander";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { EXIT, statusOf } from "../src/exit";
import { openPty } from "../src/sim/pty";
import { isLike, normal, readConsole, runConsole } from "./console";
import { memoryIo } from "./memory-io";
import { vouch } from "./session";

const read = (file: string) => readFileSync(file, "utf8");

const sessions = suite("sessions in the documentation");

const noShell = process.platform === "win32" ? "the sessions are for sh" : undefined;
const noPty =
  noShell ??
  (await openPty().then(
    (pty) => pty.close(),
    (error: Error) => error.message,
  ));

/** Why OpenSSL can't do what a page asks of it, or undefined when it can. */
const noOpenssl = (() => {
  const { error, stdout } = spawnSync("openssl", ["version"], { encoding: "utf8" });
  if (error !== undefined) return "openssl is not installed";
  return /^OpenSSL [3-9]\./.test(stdout) ? undefined : `openssl is ${stdout.trim()}, expected OpenSSL 3`;
})();

for (const [page, pty, needs] of [
  ["README.md", true, noPty],
  ["README.md", false, noShell],
  ["host-cli/README.md", false, noShell],
  ["host-cli/BENCH.md", false, noShell],
  ["host-cli/LOG.md", false, noShell],
  ["host-cli/AUDIT.md", false, noShell],
  ["host-cli/REPORT.md", false, noShell],
  ["host-cli/WITHOUT-US.md", false, noShell ?? noOpenssl],
] as const) {
  const name = `${page} prints what it says${pty ? ", over a pseudo-terminal" : ""}`;
  if (needs !== undefined) skip(sessions, name, needs);
  else sessions(name, () => runConsole(read(page), { pty }));
}

sessions("a session that prints something else is noticed", async () => {
  const page = (output: string) => `\`\`\`console\n$ vouch --version \\\n    --quiet\n${output}\n\`\`\`\n`;
  const [step] = readConsole(page("vouch 1"));
  assert.equal(step, { command: "vouch --version --quiet", expected: ["vouch 1"] });
  let message = "";
  await runConsole(page("vouch 999"), { pty: false }).catch((error: Error) => {
    message = error.message;
  });
  assert.match(message, /^\$ vouch --version --quiet\n-- it prints\nvouch \d/);
  assert.not(isLike(["a", "b"], ["a"]));
  assert.not(isLike(["a"], ["a", "b"]));
  assert.not(isLike(["a", "x"], ["…", "b"]));
  assert.ok(isLike(["a", "b", "c"], ["a", "…", "c"]));
  assert.ok(isLike(["a"], ["…", "a", "…"]));
  assert.is.not(normal("record 5"), normal("record 6"));
});
sessions.run();

const pages = suite("pages");

pages("each refusal the README explains has the exit status it says", () => {
  const rows = [...read("README.md").matchAll(/^\| (`.*?`) \| (\d+) \|/gm)];
  assert.ok(rows.length > 15);
  const sources = ["host-cli/src", "shared/src"].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !/^(exit|verdict)\.ts$/.test(file))
      .map((file) => read(join(folder, file))),
  );
  for (const [, codes = "", exit] of rows) {
    for (const [, code = ""] of codes.matchAll(/`([a-z-]+)`/g)) {
      assert.ok(
        sources.some((text) => text.includes(`"${code}"`)),
        `${code} is a code that something refuses with`,
      );
      const inVerdict = EXIT_STATUS[wordOf(code)];
      const elsewhere = statusOf(new Refusal(code, ""));
      if (exit === "1") assert.is(elsewhere, 1, code);
      else assert.is(inVerdict, Number(exit), code);
    }
  }
});

pages("the agent has the size that the README says", () => {
  const said = Number(/It takes (\d+) KB of flash/.exec(read("README.md"))?.[1]);
  const kilobytes = statSync("host-cli/dist/agent.js").size / 1024;
  assert.ok(Math.abs(kilobytes - said) < 2, `${kilobytes.toFixed(1)} KB`);
});

const DOCS = [
  "README.md",
  "SECURITY.md",
  "DESIGN.md",
  "CHANGELOG.md",
  ...["host-cli", "firmware", "shared", "host-cli/man", "shared/spec", "changelog.d"].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  ),
];

for (const page of DOCS) {
  pages(`${page}: its links lead somewhere, its fences are closed`, () => {
    const text = read(page);
    assert.is((text.match(/^```/gm) ?? []).length % 2, 0, "a fence is open");
    for (const [, target = ""] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(target)) continue;
      assert.ok(existsSync(join(dirname(page), target)), `${target} exists`);
    }
  });
}
pages.run();

const man = suite("man page");

/** A command's line of the SYNOPSIS: what must be given, then what may be; two groups of flags by a word. */
function synopsisOf(path: string, command: Command): string[] {
  const below = command.commands.flatMap((child) => synopsisOf(`${path} ${child.name()}`, child));
  if (below.length > 0 && command.options.length === 0) return below; // else it does something of its own, too
  const groups: [string, string[]][] = [
    ["SIGNER", ["--key", "--signer-cmd", "--passphrase-file", "--signer-timeout"]],
    ["LINE", ["--port", "--usb", "--wait", "--trace", "--baud", "--framing", "--timeout"]],
  ];
  const flags = command.options.map(({ long }) => long ?? "");
  const present = groups.filter(([, members]) => members.every((flag) => flags.includes(flag)));
  const grouped = present.flatMap(([, members]) => members);
  const words = command.options
    .filter(({ long }) => !grouped.includes(long ?? ""))
    .sort((a, b) => Number(b.mandatory) - Number(a.mandatory))
    .map(({ long, flags: spelled, mandatory }) => {
      const value = / <(.*)>$/.exec(spelled)?.[1]?.replace(/\.\.\.$/, "…");
      const word = value === undefined ? `${long}` : `${long} ${value}`;
      return mandatory ? word : `[${word}]`;
    });
  const takes = command.registeredArguments.map(
    (arg) => `${arg.name().toUpperCase()}${arg.variadic ? "…" : ""}`,
  );
  return [[`vouch ${path}`, ...takes, ...present.map(([word]) => word), ...words].join(" "), ...below];
}

man("its SYNOPSIS is what --help of every verb says, and nothing more", () => {
  const { stdout } = vouch(".", ["--help"]);
  const verbs = [.../^Commands:\n(.*?)\n\n/ms.exec(stdout)![1]!.matchAll(/^ {2}(\w+)/gm)].map(
    ([, verb]) => verb!,
  );
  const expected = verbs.flatMap((verb) => {
    const program = new Command();
    createRequire(resolve("host-cli/bin/vouch.mjs"))(`../dist/commands/${verb}.cjs`).define(
      program,
      memoryIo(),
    );
    return synopsisOf(verb, program.commands[0]!);
  });
  const synopsis = /^## SYNOPSIS\n\n(.*?)\n\n[A-Z]/ms.exec(read("host-cli/man/vouch.1.md"))?.[1] ?? "";
  const lines = synopsis
    .replace(/\n {8,}/g, " ")
    .split("\n")
    .map((line) => line.trim());
  assert.is(lines.join("\n"), expected.join("\n"));
});

man("its exit statuses are the program's", () => {
  const rows = [...read("host-cli/man/vouch.1.md").matchAll(/^\| (\d+) \| (\w+)/gm)];
  assert.equal(Object.fromEntries(rows.map(([, status, word]) => [word, Number(status)])), EXIT);
});
man.run();

const security = suite("SECURITY.md");

security("explains every limit and note that a verdict prints", () => {
  const page = read("SECURITY.md").replace(/\s+/g, " ");
  const printed = ["appraise", "attested", "measured", "history", "renewed"].flatMap((file) => {
    const source = read(`shared/src/${file}.ts`);
    const limits = [...source.matchAll(/^const LIMITS_\w+ = \[(.*?)\];/gms)].map(([, list = ""]) => list);
    const notes = [...source.matchAll(/out\.note\(\s*"([^"]+)"/g)].map(([, note = ""]) => note);
    return [
      ...limits.flatMap((list) => [...list.matchAll(/"([^"]+)"/g)].map(([, limit = ""]) => limit)),
      ...notes,
    ];
  });
  assert.ok(printed.length >= 6, printed.join("\n"));
  for (const text of printed) assert.ok(page.includes(`"${text}"`), text);
});
security.run();
