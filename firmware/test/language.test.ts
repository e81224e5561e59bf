// The gate that the built agent passes (scripts/language.mjs): what it refuses, what it lets through, and
// that a build that breaks its rules fails.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import typescript from "typescript";
import { suite } from "uvu";
import * as assert from "uvu/assert";

declare const VOUCH_DIST: string;

const language = suite("language");

const { judgeLanguage } = (await import(pathToFileURL(resolve("scripts/language.mjs")).href)) as {
  judgeLanguage(ts: typeof typescript, code: string): string[];
};
const judge = (code: string) => judgeLanguage(typescript, code);

for (const [name, code, expected] of [
  [
    "a call before the function",
    "f(); function f() {}",
    "1:1: `f` is used before its definition has run: f();",
  ],
  ["a value before its line", "g(x); var x = 1; function g() {}", "`x` is used before"],
  ["an assignment before the var", "x = 1; var x;", "`x` is used before"],
  [
    "a var of a branch, used after it",
    "if (c()) { var x = 1; } y(x);",
    "`x` is used before its definition has run",
  ],
  ["a var of a branch without braces", "if (c()) var x = 1; y(x);", "`x` is used before"],
  [
    "a var of one case, used in another",
    "switch (c()) { case 1: var x = 1; break; default: y(x); }",
    "`x` is used",
  ],
  ["a var of a loop's body, used after it", "while (c()) { var x = 1; } y(x);", "`x` is used before"],
  ["a var of a try, used in its catch", "try { var x = 1; c(); } catch (e) { y(x); }", "`x` is used before"],
  [
    "a function that needs a later one",
    "function f() { return h(); } f(); function h() {}",
    "`f` is used where `h`, which it needs, isn't defined yet",
  ],
  [
    "… through a third",
    "function f() { g(); } function g() { h(); } f(); function h() {}",
    "where `h`, which it needs",
  ],
  [
    "… as a value handed on",
    "function f() { return h(); } k(f); function h() {}",
    "where `h`, which it needs",
  ],
  [
    "… inside an object",
    "var o = { f: function () { return h; } }; o.f(); var h = 1;",
    "where `h`, which it needs",
  ],
  [
    "… called where it stands",
    "var a = (function () { return h(); })(); function h() {}",
    "`h` is used before",
  ],
  ["… in a callback", "k(function () { return h(); }); function h() {}", "`h` is used before"],
  ["… below the top", "function outer() { in1(); function in1() {} } outer();", "`in1` is used before"],
  [
    "a function made in a loop over its var",
    "for (var i = 0; i < 3; i++) { var x = i; k(function () { return x; }); }",
    "a function made in a loop uses `x` of that loop",
  ],
  [
    "… over the loop's counter",
    "for (var i = 0; i < 3; i++) k(function () { return i; });",
    "uses `i` of that loop",
  ],
  [
    "… over an outer loop's",
    "for (var i in o()) for (;;) k(function () { return i; });",
    "uses `i` of that loop",
  ],
  ["a label", "out: for (;;) break out;", "a label"],
  ["a name that is a keyword", "var of = 1;", "`of` as a name"],
  ["a parameter of that name", "function f(of) {}", "`of` as a name"],
  [
    "a division behind ++",
    "var i = 8; k(i++ / 2);",
    "a division that could be a regular expression: i++ / 2",
  ],
  ["slice", "var b = k(); b.slice(1);", "1:16: typed arrays lack it, use subarray, set or a loop"],
  ["fill", "var b = k(); b.fill(0);", "typed arrays lack it"],
  ["let", "let a = 1;", "not ES5"],
  ["an arrow", "var a = () => 1;", "not ES5"],
  ["for … of", "for (var a of b()) k(a);", "not ES5"],
  ["an accessor", "var a = { get b() { return 1; } };", "an accessor"],
  ["what doesn't parse", "var = 1;", "expected"],
] as const) {
  language(`refuses: ${name}`, () => {
    const problems = judge(code);
    assert.ok(
      problems.some((problem) => problem.includes(expected)),
      problems.join("\n") || "nothing found",
    );
  });
}

for (const [name, code] of [
  ["functions in order", "function f() { return 1; } function g() { return f(); } g();"],
  ["functions that call each other, once all are there", "function f() { g(); } function g() { f(); } f();"],
  ["a function that calls itself", "function f() { f(); } f(); var g = function h() { h(); }; g();"],
  ["a name of two branches, each with its own", "if (c()) { var x = 1; k(x); } else { var x = 2; k(x); }"],
  ["a counter after its loop", "for (var i = 0; i < 3; i++) k(i); k(i);"],
  ["an object whose callbacks name it", "var a = { b: k(function () { return a; }) };"],
  ["a function in a loop over what is outside", "var x = 1; for (;;) k(function () { return x; });"],
  ["a function in a loop over its own", "for (;;) k(function (y) { var z = y; return z; });"],
  ["parameters that hide later names", "function f(h) { return h(); } f(k); function h() {}"],
  ["a property that is called like a keyword", "var a = { of: 1 }; k(a.of);"],
  ["property names are not names", "function f() { return k().h; } f(); var h = { f: 1 };"],
] as const) {
  language(`lets through: ${name}`, () => assert.equal(judge(code), []));
}

language("both built agents pass it", () => {
  for (const name of ["agent.js", "agent.espruino.js"])
    assert.equal(judge(readFileSync(join(VOUCH_DIST, name), "latin1")), [], name);
});

language("a build that would break the rules fails, and names the line", async () => {
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      "--input-type=module",
      "-e",
      `import * as esbuild from "esbuild"; import typescript from "typescript";
       import { writeFileSync, mkdtempSync, rmSync } from "node:fs"; import { join } from "node:path"; import { tmpdir } from "node:os";
       const { buildAgent } = await import(${JSON.stringify(pathToFileURL(resolve("scripts/build.mjs")).href)});
       const folder = mkdtempSync(join(tmpdir(), "vouch-language-")), entry = join(folder, "main.ts");
       process.on("exit", () => rmSync(folder, { recursive: true }));
       writeFileSync(entry, "k(early()); function early() { return later; } const later = k(1); declare function k(x: number): number;");
       await buildAgent({ esbuild, typescript }, entry);`,
    ],
    { encoding: "utf8" },
  );
  assert.is(status, 1);
  assert.match(stderr, /agent: not what every engine reads alike:\n {2}\d+:\d+: `/);
});

language.run();
