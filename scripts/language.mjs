// What an engine takes for granted that another lacks, found in the text of the built agent.
//
//   esbuild refuses what is not ES5; a missing method does not compile (lib: ["ES5"]).
//   What is left is ES5 that Espruino reads otherwise, or nobody as it was meant, and this page refuses:
//
//     f(); function f() {}        nothing is hoisted there: a name exists once its line has run
//     if (c) var x = 1; use(x)    … if it has run
//     for (…) { var x; k = function () { return x } }     all such functions share one x, everywhere
//     out: for (;;) break out     labels don't exist
//     var of                      a keyword
//     i++ / 2                     the beginning of a regular expression
//     bytes.slice(1)              an Array there, and missing on typed arrays of Duktape
//
// The check is of the text, so it is careful where the text can't tell: a function counts as called
// wherever its name stands outside a function, and so does all it needs, through any number of
// functions; one without a name of its own counts as called where it stands. Functions may call each
// other in circles as long as nobody calls one before all of them are there.

/** What is wrong with `code`, one sentence each. `ts` is the TypeScript API. */
export function judgeLanguage(ts, code) {
  const file = ts.createSourceFile("agent.js", code, ts.ScriptTarget.ES5, true, ts.ScriptKind.JS);
  const problems = [];
  const report = (node, what) => {
    const { line, character } = file.getLineAndCharacterOfPosition(node.getStart(file));
    const near = code.slice(node.getStart(file), node.getStart(file) + 40).replace(/\s+/g, " ");
    problems.push(`${line + 1}:${character + 1}: ${what}: ${near}`);
  };
  for (const problem of file.parseDiagnostics)
    problems.push(ts.flattenDiagnosticMessageText(problem.messageText, "\n"));
  judgeForms(ts, file, report);
  const root = readScopes(ts, file);
  for (const scope of allScopes(root)) {
    judgeOrder(ts, scope, report);
    judgeLoops(ts, scope, report);
  }
  return problems;
}

/** Methods that ES5 libraries give typed arrays in name only; a bundle has no types, so they go by name. */
const METHODS = new Set(["slice", "fill", "find", "findIndex", "copyWithin"]);

function judgeForms(ts, file, report) {
  const { SyntaxKind: Kind } = ts;
  const visit = (node) => {
    if (node.kind === Kind.LabeledStatement) report(node, "a label");
    if (node.kind === Kind.WithStatement) report(node, "with");
    if (node.kind === Kind.GetAccessor || node.kind === Kind.SetAccessor) report(node, "an accessor");
    if (node.kind === Kind.ArrowFunction || node.kind === Kind.ForOfStatement) report(node, "not ES5");
    if (ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.BlockScoped) !== 0)
      report(node, "not ES5");
    if (ts.isIdentifier(node) && node.text === "of" && !isPropertyName(ts, node))
      report(node.parent, "`of` as a name");
    if (
      ts.isBinaryExpression(node) &&
      node.operatorToken.kind === Kind.SlashToken &&
      /(\+\+|--|\}|\bthis)$/.test(node.left.getText())
    )
      report(node, "a division that could be a regular expression");
    if (
      ts.isCallExpression(node) &&
      ts.isPropertyAccessExpression(node.expression) &&
      METHODS.has(node.expression.name.text)
    )
      report(node.expression.name, "typed arrays lack it, use subarray, set or a loop");
    ts.forEachChild(node, visit);
  };
  visit(file);
}

// A scope is a function: names it declares, where, and every use of them in it and below it.
//
//   declarations  name -> [{node, at, block}]   block: what must be entered for the line to run
//   uses          [{name, node, holders, loops}]  holders: functions of this scope around it, outermost first

function readScopes(ts, file) {
  const root = makeScope(file, null);
  declare(ts, file, root);
  read(ts, file, root, []);
  return root;
}

function makeScope(node, parent) {
  const scope = { node, parent, children: [], declarations: new Map(), uses: [] };
  parent?.children.push(scope);
  return scope;
}

function* allScopes(scope) {
  yield scope;
  for (const child of scope.children) yield* allScopes(child);
}

const addName = (scope, name, declaration) =>
  scope.declarations.set(name, [...(scope.declarations.get(name) ?? []), declaration]);

/** Notes what `scope` declares, without entering functions. */
function declare(ts, within, scope) {
  const visit = (node) => {
    if (ts.isVariableDeclaration(node) && ts.isIdentifier(node.name)) {
      addName(scope, node.name.text, { node, at: node.getStart(), block: blockOf(ts, node, scope.node) });
    }
    if (ts.isFunctionDeclaration(node) && node.name !== undefined) {
      addName(scope, node.name.text, { node, at: node.getStart(), block: blockOf(ts, node, scope.node) });
    }
    if (!ts.isFunctionLike(node)) ts.forEachChild(node, visit);
  };
  ts.forEachChild(within, visit);
}

/** The innermost part of a function that may be passed by and holds `node`, or the function. */
function blockOf(ts, node, owner) {
  for (let at = node; at !== owner; at = at.parent) {
    const { parent } = at;
    const isBranch = ts.isIfStatement(parent) && at !== parent.expression;
    const isBody = ts.isIterationStatement(parent, false) && at === parent.statement;
    if (isBranch || isBody || ts.isCaseOrDefaultClause(at) || ts.isTryStatement(parent)) return at;
    if (ts.isCatchClause(at)) return at;
  }
  return owner;
}

/** Notes uses, each in the scope that declares the name; `functions` are those entered so far, outermost first. */
function read(ts, node, scope, functions) {
  const visit = (child) => {
    if (ts.isFunctionLike(child)) {
      const inner = makeScope(child, scope);
      for (const { name } of child.parameters)
        if (ts.isIdentifier(name)) addName(inner, name.text, { node: name, at: -1, block: child });
      if (ts.isFunctionExpression(child) && child.name !== undefined)
        addName(inner, child.name.text, { node: child.name, at: -1, block: child });
      declare(ts, child, inner);
      read(ts, child, inner, [...functions, { node: child, scope }]);
      return;
    }
    if (ts.isIdentifier(child) && isUse(ts, child)) noteUse(child, scope, functions);
    ts.forEachChild(child, visit);
  };
  ts.forEachChild(node, visit);
}

const isPropertyName = (ts, id) =>
  (ts.isPropertyAccessExpression(id.parent) || ts.isPropertyAssignment(id.parent)) && id.parent.name === id;

function isUse(ts, id) {
  const { parent } = id;
  if (isPropertyName(ts, id)) return false;
  if (ts.isVariableDeclaration(parent) || ts.isParameter(parent) || ts.isFunctionLike(parent))
    return parent.name !== id;
  return !ts.isLabeledStatement(parent) && !ts.isBreakOrContinueStatement(parent);
}

function noteUse(id, from, functions) {
  for (let scope = from; scope !== null; scope = scope.parent) {
    if (!scope.declarations.has(id.text)) continue;
    const holders = functions.filter((entered) => isWithin(entered.scope, scope)).map(({ node }) => node);
    scope.uses.push({ name: id.text, node: id, holders });
    return;
  }
}

function isWithin(inner, outer) {
  for (let scope = inner; scope !== null; scope = scope.parent) if (scope === outer) return true;
  return false;
}

const isInside = (node, outer) => node.pos >= outer.pos && node.end <= outer.end;

/** Every use must come after a line that surely ran. */
function judgeOrder(ts, scope, report) {
  const needs = new Map(); // name -> names its functions use when they are called
  const direct = [];
  for (const use of scope.uses) {
    const { owner, isHandedOn } = ownerOf(ts, scope, use);
    if (owner !== undefined) needs.set(owner, (needs.get(owner) ?? new Set()).add(use.name));
    if (owner === undefined || (isHandedOn && owner !== use.name)) direct.push(use);
  }
  for (const { name, node } of direct) {
    if (!isDefined(scope, name, node, true))
      report(node, `\`${name}\` is used before its definition has run`);
    for (const needed of reach(needs, name)) {
      if (needed !== name && !isDefined(scope, needed, node, false))
        report(node, `\`${name}\` is used where \`${needed}\`, which it needs, isn't defined yet`);
    }
  }
}

/** The declared name whose function holds the use, and whether that function is also called, or handed to a call, where it stands. */
function ownerOf(ts, scope, { holders }) {
  const [outermost] = holders;
  if (outermost === undefined) return { owner: undefined, isHandedOn: false };
  for (const [owner, list] of scope.declarations) {
    const found = list.find(({ node, at }) => at >= 0 && isInside(outermost, node));
    if (found === undefined) continue;
    let isHandedOn = false;
    for (let at = outermost; at !== found.node; at = at.parent)
      isHandedOn ||= ts.isCallExpression(at) || ts.isNewExpression(at);
    return { owner, isHandedOn };
  }
  return { owner: undefined, isHandedOn: false };
}

function isDefined(scope, name, where, strictly) {
  const at = where.getStart();
  return scope.declarations
    .get(name)
    .some((d) => d.at < at && (!strictly || d.block === scope.node || isInside(where, d.block)));
}

function reach(needs, name) {
  const seen = new Set();
  const queue = [name];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const needed of needs.get(next) ?? []) {
      if (!seen.has(needed)) queue.push(needed);
      seen.add(needed);
    }
  }
  return seen;
}

/** A function made in a loop must not use what the loop declares. */
function judgeLoops(ts, scope, report) {
  for (const { name, node, holders } of scope.uses) {
    const [outermost] = holders;
    if (outermost === undefined) continue;
    for (let loop = outermost.parent; loop !== scope.node; loop = loop.parent) {
      if (!ts.isIterationStatement(loop, false)) continue;
      if (scope.declarations.get(name).some((d) => d.at >= 0 && isInside(d.node, loop))) {
        report(node, `a function made in a loop uses \`${name}\` of that loop`);
        break;
      }
    }
  }
}
