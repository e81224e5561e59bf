// The signer as the device gets it, lowered to ES5 and minified, on engines that aren't Node's, against tweetnacl.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { getQuickJS } from "quickjs-emscripten";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import * as reference from "../src/sign";
import { skip } from "./skip";

const engines = suite("ed25519 on engines");

interface Builder {
  buildAgent(tools: object, entry: string, tableKb?: number): Promise<string>;
}

const SIZES = [0, 1, 63, 64, 127, 128, 700];

// Works in every engine, Node's included: prints a line a key, a signature and a judgement.
const PROGRAM = `
import { keyPairFromSeed, signEd25519, verifyEd25519 } from ${JSON.stringify(resolve("shared/src/ed25519"))};
declare const print: (line: string) => void;
const hex = (bytes: Uint8Array): string => {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += (256 + bytes[i]!).toString(16).substr(1);
  return text;
};
const sizes = ${JSON.stringify(SIZES)};
for (let n = 0; n < sizes.length; n++) {
  const seed = new Uint8Array(32);
  for (let i = 0; i < 32; i++) seed[i] = i * (n + 3) + n;
  const message = new Uint8Array(sizes[n]!);
  for (let i = 0; i < message.length; i++) message[i] = i * 7 + n;
  const pair = keyPairFromSeed(seed);
  const signature = signEd25519(pair.secretKey, message);
  const good = verifyEd25519(pair.publicKey, message, signature);
  signature[n] = signature[n]! ^ 1;
  const bad = verifyEd25519(pair.publicKey, message, signature);
  signature[n] = signature[n]! ^ 1;
  print(hex(pair.secretKey) + " " + hex(signature) + " " + (good ? "good" : "lost") + (bad ? " taken" : " refused"));
}
`;

const EXPECTED = SIZES.map((size, n) => {
  const pair = reference.keyPairFromSeed(Uint8Array.from({ length: 32 }, (_, i) => i * (n + 3) + n));
  const message = Uint8Array.from({ length: size }, (_, i) => i * 7 + n);
  return `${toHex(pair.secretKey)} ${toHex(reference.signEd25519(pair.secretKey, message))} good refused`;
});

async function lower(tableKb?: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "vouch-ed25519-"));
  const tools = { esbuild: await import("esbuild"), typescript: (await import("typescript")).default };
  const builder = (await import(pathToFileURL(resolve("scripts/build.mjs")).href)) as Builder;
  writeFileSync(join(folder, "main.ts"), PROGRAM);
  try {
    return await builder.buildAgent(tools, join(folder, "main.ts"), tableKb);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function runDuktape(code: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "vouch-ed25519-"));
  writeFileSync(join(folder, "main.js"), code);
  const { stdout, stderr, status } = spawnSync("duk", [join(folder, "main.js")], { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  assert.is(status, 0, stderr);
  return stdout.trim().split("\n");
}

async function runQuickJS(code: string): Promise<string[]> {
  const context = (await getQuickJS()).newContext();
  const lines: string[] = [];
  const print = context.newFunction("print", (line) => {
    lines.push(context.getString(line));
  });
  context.setProp(context.global, "print", print);
  print.dispose();
  context.unwrapResult(context.evalCode(code)).dispose();
  context.dispose();
  return lines;
}

// Every table size, since each lays out the scalar's bits in its own way.
for (const tableKb of [undefined, 0.5, 1, 2, 4, 8, 16, 32])
  engines(`QuickJS agrees with tweetnacl, ${tableKb ?? "default"} KB of table`, async () => {
    assert.equal(await runQuickJS(await lower(tableKb)), EXPECTED);
  });

const DUKTAPE = "Duktape agrees with tweetnacl";
if (spawnSync("duk", ["/dev/null"]).error !== undefined) skip(engines, DUKTAPE, "duk is not installed");
else
  engines(DUKTAPE, async () => {
    assert.equal(runDuktape(await lower()), EXPECTED);
  });

engines.run();
