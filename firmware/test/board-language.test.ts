// Programs on the reference board whose outermost variables are slots and whose functions come and go
// (scripts/slots.mjs, boards/mps2/interpreter.c): they must say what the same text says in Node, in a heap that is filled
// up bit by bit until loading a function fails.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { createContext, runInContext } from "node:vm";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { boardMissing, folder } from "./board-kit";

const BOARD = "firmware/boards/mps2";
const language = suite("board language");
const missing = boardMissing();
const RUN_MS = 300_000; // on a busy machine

/** What programs here use: text to the serial port (the board's arrays can't be joined), and what fills the heap. */
const HEAD = `
  function say(text) {
    var bytes = new Uint8Array(text.length + 1), at;
    for (at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
    bytes[text.length] = 10;
    hostWrite(bytes);
  }
  function list(items) {
    var text = "", at;
    for (at = 0; at < items.length; at++) text += items[at] + " ";
    return text;
  }
  var ticks = 0, hoard = [];
`;
const TAIL = `
  globalThis.agentReceive = function () {};
  globalThis.agentTick = function () {
    if (ticks++ < 3) { run(); return 0; }
    if (ticks === 4) say("end");
    return 100000;
  };
`;

const EVERYTHING = `
  var a = 5, b = -0.5, text = "x", calls = 0, later, twice = function (n) { return n * 2; };
  function counter() {
    var n = 0, a = 100; // hides an outermost one, for the inner function as well
    return { up: function () { n += a; return ++n; }, a: function () { return a--; } };
  }
  var one = counter(), two = counter();
  function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  function even(n) { return n === 0 ? true : odd(n - 1); }
  function odd(n) { return n === 0 ? false : even(n - 1); }
  function replaced() { return "old"; }
  function marked() { return ++marked.count; }
  marked.count = 40;
  function swap() { var was = replaced; replaced = function () { return "new"; }; return was(); }
  function thrower(n) { if (n > 2) throw new Error("at " + n); return thrower(n + 1); }
  function caught() { try { return thrower(0); } catch (error) { return error.message + a + typeof error; } }
  function unset() { try { return later(); } catch (error) { return "no later"; } }
  function gone() { try { return undeclared; } catch (error) { return error.name; } }
  function set() { later = twice; return later(++a) + later(a++) + later(--b) + later(b--); }
  function all() { calls++; return list([a, b, text + calls, one.up(), one.a(), two.up(), fib(9), even(7), marked(),
    replaced(), caught(), unset(), gone(), twice("4"), text++, -text, typeof later, typeof fib]); }
  function run() {
    say(all());
    say(swap() + replaced() + set());
    text = "y" + ticks;
    for (var n = 0; n < 20; n++) { hoard.push(new Uint8Array(200 * n)); all(); }
    hoard = [];
    say(all());
  }
`;

/** 60 functions with constants of their own. */
const many = Array.from(
  { length: 60 },
  (_, n) => `function f${n}(x) { return x + "f${n} is one of many" + ${n}.25 + ("g${n}" + x).length; }`,
);
const MANY = `
  ${many.join("\n")}
  function each() {
    var text = "";
    ${many.map((_, n) => `text = f${n}("${n}") + text.length;`).join("\n")}
    return text;
  }
  function fill(step) { try { for (;;) hoard.push(new Uint8Array(step)); } catch (error) { return error.message; } }
`;

/** Fills the heap, and calls them in what is left, less each time: they go and come. */
const SHORT = `
  ${MANY}
  var said = each();
  function run() {
    var step, wrong = 0;
    for (step = 1600; step > 600; step -= 100 + ticks) {
      fill(step);
      if (each() !== said) wrong++;
    }
    hoard = [];
    say("wrong " + wrong);
  }
`;

/** Fills it before they were ever called. Each start, counted in erased sectors, leaves them less. */
const FULL = `
  ${MANY}
  function run() {
    var count = 0, at = hostLayout().slots[0].address;
    while (hostReadFlash(at + 4096 * count, 1)[0] === 255) count++;
    hostEraseFlash(at + 4096 * count, 4096);
    say("start " + count);
    fill(2000); fill(500); fill([180, 140, 100][count]);
    each();
    say("had room");
  }
`;

/** The image of the board with this bundle as its agent. */
function build(name: string, program: string): string {
  const into = join(folder, name);
  const bundle = join(folder, `${name}.js`);
  writeFileSync(bundle, `(function(){${program}})();\n`);
  cpSync(`${BOARD}/build`, into, { recursive: true, preserveTimestamps: true });
  const make = spawnSync("make", ["-s", "-C", BOARD, `BUILD=${into}`, `AGENT=${resolve(bundle)}`], {
    encoding: "utf8",
  });
  assert.is(make.status, 0, make.stderr);
  return join(into, "mps2.raw");
}

/** What it says until it has ended, or a fault has. */
function said(image: string): Promise<string> {
  const args = ["-machine", "mps2-an386", "-nodefaults", "-display", "none", "-serial", "stdio"];
  const qemu: ChildProcess = spawn("qemu-system-arm", [...args, "-kernel", image], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  return new Promise((done) => {
    let text = "";
    const late = setTimeout(() => qemu.kill("SIGKILL"), RUN_MS);
    qemu.stdout!.on("data", (bytes) => {
      text += bytes;
      if (/^end\n|halted/m.test(text)) qemu.kill("SIGKILL");
    });
    qemu.once("exit", () => {
      clearTimeout(late);
      done(text);
    });
  });
}

/** The same in Node, whose heap has no end: what it says without that. */
function expected(program: string): string {
  let text = "";
  const context = createContext({
    hostWrite(bytes: Uint8Array) {
      text += String.fromCharCode(...bytes);
    },
  });
  runInContext(`(function(){${program}})();`, context);
  for (let tick = 0; tick < 4; tick++) runInContext("agentTick()", context);
  return text;
}

if (missing !== undefined) skip(language, "programs on the board", missing);
else {
  language("outermost variables are as in Node", async () => {
    const program = HEAD + EVERYTHING + TAIL;
    const wanted = expected(program);
    assert.match(wanted, /at 3/);
    assert.is(await said(build("everything", program)), wanted);
  });

  language("functions go when the heap is short, and come again", async () => {
    assert.is(await said(build("short", HEAD + SHORT + TAIL)), `${"wrong 0\n".repeat(3)}end\n`);
  });

  language("a full heap stops the board, whatever of a function it had loaded", async () => {
    const text = await said(build("full", HEAD + FULL + TAIL));
    const fault = "board fault: (RangeError|Error|DoubleError): [a-z ]+";
    assert.match(text, new RegExp(`^start 0\\s+${fault}start 1\\s+${fault}start 2\\s+${fault}; halted`));
  });

  language("what has no slot is refused", () => {
    for (const [name, text] of [
      ["hidden", "var a = 1; function f() { try { g(); } catch (a) { return a; } }"],
      ["deleted", "var a = 1; function f() { return delete a; }"],
    ]) {
      writeFileSync(join(folder, `${name}.js`), text!);
      const compiled = spawnSync("duk", ["-c", join(folder, name!), join(folder, `${name}.js`)]);
      assert.is(compiled.status, 0);
      const formed = spawnSync(
        process.execPath,
        ["scripts/bytecode.mjs", join(folder, name!), join(folder, "out")],
        {
          encoding: "utf8",
        },
      );
      assert.match(formed.stderr, /bytecode: /);
      assert.not(existsSync(join(folder, "out")));
    }
  });
}

language.run();
