// Duktape 2.7 bytecode, as Debian's `duk -c` writes it, turned into the form that the board runs from flash.
//
//   duk -c    BF function; all numbers big endian
//   function  u32 instructions, constants, functions │ u16 registers, arguments │ u32 0, 0 │ u32 flags
//             instructions, u32 each │ constants │ functions │ u32 length │ name │ file name
//             │ pc-to-line bytes │ (name, u32 register)… and an empty name │ u32 n or none, n × argument name
//   constant  00 string, or 01 and a double
//   string    u32 length, bytes (as does the pc-to-line part)
//
//   board     'vbc2' │ u32 strings, numbers, slots, offset of the outermost function
//             │ u32 offset of each string, and of the end │ u32 per slot: offset of the function it starts with, plus 1;
//             or of the one it will get; or 0
//             │ numbers, doubles │ string bytes, 0 after each │ function
//             all little endian; functions at multiples of 4
//   function  u32 instructions │ u16 constants, functions │ u16 registers, arguments │ u32 flags │ u16 variables, 0
//             │ instructions │ u16 constants: a string's number, or past those a double's
//             │ u16 pairs: name of a variable, its register │ 0 to a multiple of 4 │ functions
//
// The board's interpreter executes the instructions where they lie (firmware/boards/mps2/interpreter.c). Variables of
// the outermost code are numbered slots, most of them for one function: slots.mjs.
//
// What is left out: file names and line numbers, which the interpreter is built without; argument names, which tie
// `arguments` to them and nothing here wants; names of functions. No function of the agent is called with
// `new`, so none gets a prototype object.

import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { replaceVariables, unwrap } from "./slots.mjs";

const MARKER = 0xbf;
const MAGIC = 0x32636276; // 'vbc2'
const NO_NAMES = 0xffffffff;
const CONSTRUCTABLE = 1 << 8;
const STARTS = 1; // in the offset of a slot's function
const NAME_BINDING = 1 << 19; // the function's own name is a variable in it

/** The outermost function of a bytecode file of `duk`. */
export function parseBytecode(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 1;
  const skip = (count) => {
    at += count;
    return at - count;
  };
  const u16 = () => view.getUint16(skip(2));
  const u32 = () => view.getUint32(skip(4));
  const string = () => {
    const length = u32();
    return Buffer.from(bytes.subarray(skip(length), at));
  };
  const list = (count, read) => Array.from({ length: count }, read);
  const constant = () => {
    const kind = view.getUint8(skip(1));
    if (kind === 0) return string();
    if (kind !== 1) throw new Error(`bytecode: constant of kind ${kind}`);
    return view.getFloat64(skip(8));
  };
  const readFunction = () => {
    const [instructions, constants, functions] = [u32(), u32(), u32()];
    const f = { registers: u16(), args: u16() };
    skip(8);
    f.flags = u32();
    f.code = list(instructions, u32);
    f.constants = list(constants, constant);
    f.functions = list(functions, readFunction);
    f.length = u32();
    f.name = string();
    f.file = string();
    f.lines = string();
    f.variables = [];
    for (let name = string(); name.length > 0; name = string()) f.variables.push([name, u32()]);
    const names = u32();
    f.formals = names === NO_NAMES ? undefined : list(names, string);
    return f;
  };
  if (bytes[0] !== MARKER) throw new Error("bytecode: not a file of Duktape 2");
  const outermost = readFunction();
  if (at !== bytes.length) throw new Error(`bytecode: ${bytes.length - at} bytes are left over`);
  return outermost;
}

/** The numbers of what functions share: each string and each double once. */
function makePool(outermost) {
  const strings = new Map();
  const numbers = new Map();
  const note = (value) => {
    if (typeof value !== "number") strings.set(value.toString("latin1"), strings.size);
    else numbers.set(bitsOf(value), numbers.size);
  };
  const noteNew = (value) => {
    const known =
      typeof value === "number" ? numbers.has(bitsOf(value)) : strings.has(value.toString("latin1"));
    if (!known) note(value);
  };
  const walk = (f) => {
    f.constants.forEach(noteNew);
    for (const [name] of f.variables) noteNew(name);
    f.functions.forEach(walk);
  };
  walk(outermost);
  for (const { starts } of outermost.slots) if (starts !== undefined) walk(starts);
  return {
    strings: [...strings.keys()].map((text) => Buffer.from(text, "latin1")),
    numbers: [...numbers.keys()],
    indexOf: (value) =>
      typeof value === "number"
        ? strings.size + numbers.get(bitsOf(value))
        : strings.get(value.toString("latin1")),
  };
}

/** Tells 0 from -0. */
function bitsOf(value) {
  const double = Buffer.alloc(8);
  double.writeDoubleLE(value);
  return double.toString("hex");
}

/** The same function in the board's form, its outermost variables being slots. */
export function formatBytecode(outermost) {
  replaceVariables(outermost);
  const pool = makePool(outermost);
  const words = [];
  const places = new Map();
  const writeFunction = (f) => {
    places.set(f, 4 * words.length);
    if (f.flags & NAME_BINDING)
      throw new Error(`bytecode: ${f.name} is a function expression that uses its own name`);
    const halves = [
      ...f.constants.map(pool.indexOf),
      ...f.variables.flatMap(([name, register]) => [pool.indexOf(name), register]),
    ];
    if (halves.length % 2 > 0) halves.push(0);
    words.push(
      f.code.length,
      pair(f.constants.length, f.functions.length),
      pair(f.registers, f.args),
      (f.flags & ~CONSTRUCTABLE) >>> 0,
      pair(f.variables.length, 0),
      ...f.code,
    );
    for (let at = 0; at < halves.length; at += 2) words.push(pair(halves[at], halves[at + 1]));
    f.functions.forEach(writeFunction);
  };
  writeFunction(outermost);
  for (const { starts } of outermost.slots) if (starts !== undefined) writeFunction(starts);

  const head = 20 + 4 * (pool.strings.length + 1 + outermost.slots.length);
  const offsets = [head + 8 * pool.numbers.length];
  for (const { length } of pool.strings) offsets.push(offsets[offsets.length - 1] + length + 1);
  const end = offsets[offsets.length - 1];
  const at = end + (-end & 3);
  const slots = outermost.slots.map(({ starts, gets }) => {
    if (starts !== undefined) return at + places.get(starts) + STARTS;
    return gets === undefined ? 0 : at + places.get(gets);
  });
  const bytecode = [
    ...[MAGIC, pool.strings.length, pool.numbers.length, slots.length, at, ...offsets].map(u32),
    ...slots.map(u32),
    ...pool.numbers.map((bits) => Buffer.from(bits, "hex")),
    ...pool.strings.flatMap((string) => [string, Buffer.alloc(1)]),
    Buffer.alloc(at - end),
    ...words.map(u32),
  ];
  return Buffer.concat(bytecode);
}

function pair(low, high) {
  if (low > 0xffff || high > 0xffff) throw new Error(`bytecode: ${low} or ${high} is more than 16 bits hold`);
  return (low | (high << 16)) >>> 0;
}

function u32(value) {
  const word = Buffer.alloc(4);
  word.writeUInt32LE(value);
  return word;
}

// bytecode.mjs BUNDLE FILE: what `duk -c` is to compile; bytecode.mjs FILE FILE: what it compiled, for the board.
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [from, to] = process.argv.slice(2);
  const bytes = readFileSync(from);
  writeFileSync(to, bytes[0] === MARKER ? formatBytecode(parseBytecode(bytes)) : unwrap(String(bytes)));
}
