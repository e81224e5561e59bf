// The agent's outermost variables as numbered slots, in the bytecode that the reference board gets.
//
// A bundle is one function which runs once, with some 500 variables and functions that see each other. By the book
// the interpreter keeps each variable by name, each name as a string, and looks for it at each use. Here the
// function that the bundle is wrapped into is taken off, so that `duk` compiles the rest as outermost code,
// where a variable has no register: every use of one names it. Those uses become instructions of ours.
//
//   outermost code   CLOSURE r, function │ DECLVAR name, r      gone: slot n starts with that function
//                    DECLVAR name                               gone: slot n starts undefined
//                    CLOSURE r, function │ PUTVAR name, r       slot n is known to get that function
//   any function     GETVAR, PUTVAR, CSVAR … name              SLOT_GET, SLOT_PUT, SLOT_CALL … n
//
// What a function declares itself stays as it is, as do names nobody here declares: those are global.

// An instruction: u8 operation, u8 A, u8 B, u8 C; BC is the upper half.
const LDCONST = 3;
const GETVAR = 11;
const PREINCV = 124; // PREDECV, POSTINCV, POSTDECV follow
const DECLVAR = 144;
const IS_FUNCTION = 16; // in A of DECLVAR
const CLOSURE = 152;
const TYPEOFID = 154;
const PUTVAR = 155;
const DELVAR = 156;
const TRYCATCH = 165;
const CATCH_BINDING = 4; // in A of TRYCATCH
const CSVAR = 172; // puts a function and an undefined `this` into A and A + 1, for a call
const NOP = 205;
// Numbers that Duktape leaves unused: firmware/boards/mps2/slots.c.
const SLOT_GET = 240;
const SLOT_PUT = 241;
const SLOT_CALL = 242;
const SLOT_TYPEOF = 243;
const SLOT_PREINC = 244; // SLOT_PREDEC, SLOT_POSTINC, SLOT_POSTDEC follow

/** BC is the number of a constant. 49, 51: IFTRUE and IFFALSE of one; 159, 160: RETCONST, RETCONSTN. */
const OF_CONSTANT = new Set([
  ...[LDCONST, GETVAR, 49, 51, PREINCV, PREINCV + 1, PREINCV + 2, PREINCV + 3],
  ...[TYPEOFID, PUTVAR, DELVAR, 159, 160],
]);
/** From, to: operations that come in four kinds. Bit 0: B is a constant and no register; bit 1: C is. */
const IN_FOUR_KINDS = [
  [16, 47],
  [52, 119],
  [128, 151],
  [CSVAR, CSVAR + 3],
  [208, 211],
];

const operation = (ins) => ins & 255;
const fieldA = (ins) => (ins >>> 8) & 255;
const fieldB = (ins) => (ins >>> 16) & 255;
const fieldC = (ins) => ins >>> 24;
const fieldBC = (ins) => ins >>> 16;
const encode = (op, a, bc) => (op | (a << 8) | (bc << 16)) >>> 0;
const isFourKinds = (op) => IN_FOUR_KINDS.some(([from, to]) => op >= from && op <= to);

/** A bundle without the function around it. */
export function unwrap(text) {
  const [, inside] = /^\(function\(\)\{(.*)\}\)\(\);\s*$/s.exec(text) ?? [undefined, text];
  return inside;
}

/**
 * Replaces the outermost variables by slots, in place. `outermost.slots` says of each what it `starts` with, a
 * function or undefined, or what function it `gets` later. Throws when something here can't be a slot.
 */
export function replaceVariables(outermost) {
  const slots = takeDeclarations(outermost);
  const numbers = new Map([...slots.keys()].map((name, number) => [name, number]));
  const starts = [...slots.values()].filter((f) => f !== undefined);
  const inner = outermost.functions.filter((f) => !starts.includes(f));
  const numberOf = new Map(inner.map((f, number) => [outermost.functions.indexOf(f), number]));
  outermost.code = outermost.code.map((ins) =>
    operation(ins) === CLOSURE ? encode(CLOSURE, fieldA(ins), numberOf.get(fieldBC(ins))) : ins,
  );
  outermost.functions = inner;
  const walk = (f, known) => {
    const names = new Map(known);
    for (const [name] of f.variables) names.delete(String(name));
    replaceNames(f, names);
    dropConstants(f);
    for (const child of f.functions) walk(child, names);
  };
  walk(outermost, numbers);
  for (const f of starts) walk(f, numbers);
  const given = new Map();
  outermost.code.forEach((ins, at) => {
    const before = outermost.code[at - 1];
    if (operation(ins) === SLOT_PUT && operation(before) === CLOSURE && fieldA(before) === fieldA(ins))
      given.set(fieldBC(ins), inner[fieldBC(before)]);
  });
  outermost.slots = [...slots.values()].map((f, number) => ({ starts: f, gets: given.get(number) }));
}

/** Cuts the declarations off the start of the outermost code: each name, and its function if it is one's. */
function takeDeclarations(outermost) {
  const { code, constants, functions } = outermost;
  const slots = new Map();
  const loaded = new Map(); // registers
  let at = 0;
  for (let isOne = true; isOne; at++) {
    const ins = code[at];
    const op = operation(ins);
    if (op === CLOSURE) loaded.set(fieldA(ins), functions[fieldBC(ins)]);
    else if (op === LDCONST) loaded.set(fieldA(ins), constants[fieldBC(ins)]);
    else if ((op & ~1) === DECLVAR) {
      const name = String(op & 1 ? constants[fieldB(ins)] : loaded.get(fieldB(ins)));
      const value = loaded.get(fieldC(ins));
      slots.set(name, fieldA(ins) & IS_FUNCTION ? value : slots.get(name));
    } else isOne = false;
  }
  // What loads a register before the first statement may belong to that.
  at--;
  while (at > 0 && (operation(code[at - 1]) & ~1) !== DECLVAR) at--;
  code.splice(0, at);
  return slots;
}

function replaceNames(f, numbers) {
  f.code.forEach((ins, at) => {
    const op = operation(ins);
    const a = fieldA(ins);
    if ((op & ~3) === DECLVAR) throw new Error("bytecode: a declaration in the middle of code");
    if (op === TRYCATCH && a & CATCH_BINDING) {
      // Its variable has no register, so inside the clause it is used by name like an outermost one.
      const name = String(f.constants[fieldBC(f.code[at - 1])]);
      if (operation(f.code[at - 1]) !== LDCONST || numbers.has(name))
        throw new Error(`bytecode: the variable ${name} of a catch clause hides an outermost one`);
    }
    if ((op & ~3) === CSVAR) {
      // With more constants than B counts, the instruction before loads the name.
      const isLoaded = (op & 1) === 0;
      const name = isLoaded ? fieldBC(f.code[at - 1]) : fieldB(ins);
      if (isLoaded && operation(f.code[at - 1]) !== LDCONST) throw new Error("bytecode: a call by no name");
      const number = numbers.get(String(f.constants[name]));
      if (number === undefined) return;
      if (isLoaded) f.code[at - 1] = NOP;
      f.code[at] = encode(SLOT_CALL, a, number);
      return;
    }
    if (![GETVAR, PUTVAR, TYPEOFID, DELVAR].includes(op) && (op & ~3) !== PREINCV) return;
    const number = numbers.get(String(f.constants[fieldBC(ins)]));
    if (number === undefined) return;
    if (op === DELVAR) throw new Error("bytecode: an outermost variable is deleted");
    if (op === TYPEOFID) f.code[at] = encode(SLOT_TYPEOF, a, number);
    else if (op === GETVAR) f.code[at] = encode(SLOT_GET, a, number);
    else if (op === PUTVAR) f.code[at] = encode(SLOT_PUT, a, number);
    else f.code[at] = encode(SLOT_PREINC + (op & 3), a, number);
  });
}

/** Constants that no instruction names any more go, and the others move up. */
function dropConstants(f) {
  const used = new Map();
  const renumber = (old) => {
    if (!used.has(old)) used.set(old, used.size);
    return used.get(old);
  };
  // In order, so that no number grows past what its field holds.
  const noted = new Set();
  const visit = (change) =>
    f.code.map((ins) => {
      const op = operation(ins);
      if (OF_CONSTANT.has(op)) return encode(op, fieldA(ins), change(fieldBC(ins)));
      if (!isFourKinds(op)) return ins;
      const b = op & 1 ? change(fieldB(ins)) : fieldB(ins);
      const c = op & 2 ? change(fieldC(ins)) : fieldC(ins);
      return encode(op, fieldA(ins), b | (c << 8));
    });
  visit((old) => {
    noted.add(old);
    return old;
  });
  [...noted].sort((x, y) => x - y).forEach(renumber);
  f.code = visit(renumber);
  f.constants = [...used.keys()].map((old) => f.constants[old]);
}
