#!/usr/bin/env node
// What vouch.mjs starts: loads what the build made, and says how to make it
// when nothing is there, so that `npx vouch` in a fresh clone is ours and not
// a stranger's package of the same name.
//
//   dist/main.cjs                 a module like any other
//   dist/main.cjs.v20.20.2-x64    what that Node compiled of it, at build time
//
// Compiling itself is most of what a short command does. V8 takes the second
// file only if the same V8 made it, of a text as long; else, and under --debug,
// where stacks need a source map, the first is loaded as usual. CommonJS, which
// can be compiled ahead; vouch.mjs is the name that others know.

"use strict";

const { existsSync, readFileSync } = require("node:fs");
const { dirname, join } = require("node:path");
const { Script } = require("node:vm");

const MAIN = join(__dirname, "../dist/main.cjs");

// The build compiles exactly this text and puts it there. Joined as bytes, it is one string
// on the heap and not three, of which the last made V8 collect garbage in every run.
const HEAD = Buffer.from("(function(exports,require,module,__filename,__dirname){");
const TAIL = Buffer.from("\n})");
const textOf = (file) => Buffer.concat([HEAD, readFileSync(file), TAIL]).toString();
const compiledOf = (file) => `${file}.${process.version}-${process.arch}`;

function load(file) {
  let cachedData;
  try {
    cachedData = readFileSync(compiledOf(file));
  } catch {
    return require(file);
  }
  const script = new Script(textOf(file), { filename: file, cachedData });
  const module = { exports: {} };
  const folder = dirname(file);
  const near = (id) => (id.startsWith("./") ? load(join(folder, id)) : require(id));
  script.runInThisContext()(module.exports, near, module, file, folder);
  return module.exports;
}

function start() {
  try {
    if (process.argv.includes("--debug")) require(MAIN);
    else load(MAIN);
  } catch (error) {
    if (existsSync(MAIN)) throw error;
    process.stderr.write("vouch: not built yet\nvouch: hint: `npm ci`, or `npm run build` after it\n");
    process.exitCode = 1;
  }
}

module.exports = { compiledOf, start, textOf };
if (require.main === module) start();
