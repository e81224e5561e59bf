// What makes the agent shorter than a minifier may make it on its own: numbers in place of constants, and short
// property names. Both save heap as well: engines keep global names in RAM, and Espruino property names.
//
// A property may get another name when nobody but the agent reads or writes it. Kept are
//
//   the language's   what TypeScript's lib.es5.d.ts declares; nothing else of an engine compiles (lib: ["ES5"])
//   the board's      the members of the types in firmware/src/ports/ and in the entry
//
// so nobody has a list to forget: to read a field of the board is to declare it, and a type of the board that
// names one from elsewhere fails the build. What travels by name, in CBOR maps, has its names in strings, and
// those stay; code that takes a property by such a string, or lists names, would miss: it fails the build too.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";

const PORTS = fileURLToPath(new URL("../firmware/src/ports", import.meta.url));
/** Resolved when it is wanted: the build says itself what it lacks in a clone where nothing is installed. */
const languageFile = () => createRequire(import.meta.url).resolve("typescript/lib/lib.es5.d.ts");

/** For ts.transpileModule: a `var NAME = number` whose name means nothing else is gone, and the number stands where it was used. */
export function inlineNumbers(ts) {
  return (context) => (file) => {
    const numbers = findNumbers(ts, file);
    const put = (node) => {
      if (ts.isIdentifier(node)) return numbers.get(node.text) ?? node;
      if (!ts.isVariableStatement(node)) return ts.visitEachChild(node, put, context);
      const rest = node.declarationList.declarations.filter(({ name }) => !numbers.has(name.text));
      if (rest.length === 0) return undefined;
      const list = ts.factory.updateVariableDeclarationList(node.declarationList, rest);
      return ts.visitEachChild(ts.factory.updateVariableStatement(node, node.modifiers, list), put, context);
    };
    return ts.visitNode(file, put);
  };
}

/** name -> number, for names in capitals that stand once on the left of a `var`, and else only where they are read. */
function findNumbers(ts, file) {
  const numbers = new Map();
  const named = new Map(); // how often something is called so, or assigned
  const note = (node) => {
    if (ts.isVariableStatement(node)) {
      for (const { name, initializer } of node.declarationList.declarations)
        if (/^[A-Z][A-Z0-9_]+$/.test(name.text) && isNumber(ts, initializer))
          numbers.set(name.text, initializer);
    }
    const target = node.name ?? assigned(ts, node);
    if (target !== undefined && ts.isIdentifier(target))
      named.set(target.text, (named.get(target.text) ?? 0) + 1);
    ts.forEachChild(node, note);
  };
  note(file);
  for (const [name, count] of named) if (count > 1) numbers.delete(name);
  return numbers;
}

function isNumber(ts, node) {
  if (node === undefined || ts.isNumericLiteral(node)) return node !== undefined;
  const isMinus = ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.MinusToken;
  return isMinus && ts.isNumericLiteral(node.operand);
}

function assigned(ts, node) {
  const { SyntaxKind: Kind } = ts;
  if (ts.isBinaryExpression(node)) {
    const { kind } = node.operatorToken;
    return kind >= Kind.FirstAssignment && kind <= Kind.LastAssignment ? node.left : undefined;
  }
  const isUnary = ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node);
  const counts = [Kind.PlusPlusToken, Kind.MinusMinusToken];
  return isUnary && counts.includes(node.operator) ? node.operand : undefined;
}

/** Options for esbuild that shorten the agent's own property names. Throws where that could change what the agent does. */
export function shortNames(ts, code, entry) {
  const problems = judgeStrings(ts, code);
  const kept = keptNames(ts, entry, problems);
  if (problems.length > 0)
    throw new Error(`agent: its property names can't be shortened:\n  ${problems.join("\n  ")}`);
  return { mangleProps: /./, reserveProps: new RegExp(`^(${[...kept].join("|")})$`) };
}

const parse = (ts, path, text = readFileSync(path, "utf8")) =>
  ts.createSourceFile(path, text, ts.ScriptTarget.ES2020, true);

/** The names of properties that aren't the agent's own, for the build of this entry. */
export function keptNames(ts, entry, problems = []) {
  const language = parse(ts, languageFile());
  const files = boardFiles(ts, entry);
  const names = new Set();
  const types = new Set();
  for (const file of [language, ...files]) collectNames(ts, file, names, types);
  for (const file of files) {
    for (const name of typesOfBoard(ts, file))
      if (!types.has(name))
        problems.push(`${file.fileName}: ${name} is a type of the board, and isn't in ports/`);
  }
  return names;
}

/** The entry, and what it imports from ports/, types included. */
function boardFiles(ts, entry) {
  const files = new Map();
  const read = (path) => {
    if (files.has(path)) return;
    const file = parse(ts, path);
    files.set(path, file);
    for (const { fileName } of ts.preProcessFile(file.text).importedFiles) {
      const imported = `${join(dirname(path), fileName)}.ts`;
      if (imported.startsWith(PORTS + sep)) read(imported);
    }
  };
  read(entry);
  return [...files.values()];
}

function collectNames(ts, file, names, types) {
  const visit = (node) => {
    const isMember =
      ts.isPropertySignature(node) || ts.isMethodSignature(node) || ts.isPropertyDeclaration(node);
    if (isMember && ts.isIdentifier(node.name)) names.add(node.name.text);
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) types.add(node.name.text);
    ts.forEachChild(node, visit);
  };
  visit(file);
}

/** The names of types that its interfaces and its `declare`s are made of. */
function typesOfBoard(ts, file) {
  const found = new Set();
  const visit = (node) => {
    if (ts.isTypeReferenceNode(node) || ts.isExpressionWithTypeArguments(node))
      found.add((node.typeName ?? node.expression).getText());
    ts.forEachChild(node, visit);
  };
  for (const statement of file.statements) {
    const isDeclared = statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.DeclareKeyword);
    if (isDeclared || ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement))
      visit(statement);
  }
  return found;
}

/** Where the lowered agent takes a property by a string, or could see what its properties are called. */
function judgeStrings(ts, code) {
  const file = parse(ts, "agent.js", code);
  const problems = [];
  const report = (node, what) => problems.push(`${what}: ${node.getText().slice(0, 60)}`);
  const visit = (node) => {
    if (ts.isElementAccessExpression(node) && ts.isStringLiteralLike(node.argumentExpression))
      report(node, "a member in quotes");
    if (ts.isPropertyAssignment(node) && ts.isStringLiteral(node.name)) report(node, "a member in quotes");
    if (ts.isForInStatement(node) || node.operatorToken?.kind === ts.SyntaxKind.InKeyword)
      report(node, "names are asked for");
    if (ts.isIdentifier(node) && ["Object", "JSON", "hasOwnProperty"].includes(node.text))
      report(node.parent, "names are asked for");
    ts.forEachChild(node, visit);
  };
  visit(file);
  return problems;
}
