// The scripts that judge this repository, judged: each false green of uvu must
// come out red, the last line must be true even when a file crashes, an arrow
// the wrong way must be named, and an agent that needs an ES5 helper must not
// build.

import { spawnSync } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const folder = mkdtempSync(join(tmpdir(), "vouch-scripts-"));

const HEAD = `import { suite } from "uvu"; import * as assert from "uvu/assert"; const s = suite("s");\n`;
const SKIP = `import { skip } from ${JSON.stringify(resolve("shared/test/skip"))};\n`;

/** Runs scripts/test.mjs on files of these contents; returns its lines and status. */
function runTests(sources: string[], env: Record<string, string> = {}) {
  const files = sources.map((source, i) => {
    const file = join(folder, `case${i}.test.ts`);
    writeFileSync(file, source);
    return file;
  });
  const { stdout, status } = spawnSync(process.execPath, ["scripts/test.mjs", ...files], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  const lines = stdout.trimEnd().split("\n");
  return { status, stdout, last: lines.at(-1), lines };
}

const runner = suite("test runner");

runner("passes what passes", () => {
  const { status, last } = runTests([`${HEAD}s("one", () => assert.is(1, 1)); s("two", () => {}); s.run();`]);
  assert.is(last, "2 passed, 0 failed");
  assert.is(status, 0);
});

// What must not pass, the counts of its file, and what is said of it.
const BAD = [
  [
    "a failing test",
    `${HEAD}s("a", () => assert.is(1, 2)); s("b", () => {}); s.run();`,
    "1 passed, 1 failed",
    /FAIL.*"a"/,
  ],
  [
    "a rejected async test",
    `${HEAD}s("a", async () => { throw new Error("late"); }); s.run();`,
    "0 passed, 1 failed",
    /late/,
  ],
  [
    "a suite that is never run",
    `${HEAD}s("a", () => {});`,
    "0 passed, 1 failed",
    /suite s: has tests but \.run\(\) is missing/,
  ],
  [
    "a suite with tests after its run()",
    `${HEAD}s("a", () => {}); s.run(); s("b", () => {});`,
    "1 passed, 1 failed",
    /\.run\(\) is missing/,
  ],
  [
    "a before() that throws",
    `${HEAD}s.before(() => { throw new Error("boo"); }); s("a", () => {}); s.run();`,
    "0 passed, 2 failed",
    /before\(\) threw Error: boo/,
  ],
  [
    "an after() that throws",
    `${HEAD}s.after(() => { throw new Error("boo"); }); s("a", () => {}); s.run();`,
    "0 passed, 2 failed",
    /after\(\) threw Error: boo/,
  ],
  [
    "an .only left in",
    `${HEAD}s("a", () => {}); s.only("b", () => {}); s.run();`,
    "1 passed, 1 failed",
    /\.only is left in at b/,
  ],
  [
    "a skip without a reason",
    `${HEAD}s("a", () => {}); s.skip("b", () => {}); s.run();`,
    "1 passed, 1 failed",
    /b is skipped without a reason/,
  ],
  [
    "a test without a body",
    `${HEAD}s("a", () => {}); s("b"); s.run();`,
    "1 passed, 2 failed",
    /b has no body/,
  ],
  ["a file without tests", "export {};", "0 passed, 1 failed", /holds no tests/],
  ["a file that crashes at import", `throw new Error("at import");`, "0 passed, 1 failed", /at import/],
  [
    "process.exit(0) in a test",
    `${HEAD}s("a", () => process.exit(0)); s("b", () => {}); s.run();`,
    "0 passed, 1 failed",
    /ended before its tests did \(status 0\)/,
  ],
  [
    "a promise that never settles",
    `${HEAD}s("a", () => new Promise(() => {})); s.run();`,
    "0 passed, 1 failed",
    /ended before its tests did/,
  ],
  [
    "an error nobody waits for",
    `${HEAD}s("a", () => { Promise.reject(new Error("lost")); }); s("b", () => new Promise((r) => setTimeout(r, 50))); s.run();`,
    "0 passed, 1 failed",
    /lost/,
  ],
] as const;

let bad = { status: 0 as number | null, stdout: "", last: "" as string | undefined };
runner.before(() => {
  bad = runTests(BAD.map(([, source]) => source)); // in one run: starting it costs more than all of them
});

BAD.forEach(([name, , counts, why], i) => {
  runner(`fails: ${name}`, () => {
    const block =
      bad.stdout.split(/^(?=ok {3}|FAIL )/m).find((text) => text.includes(`case${i}.test.ts  `)) ?? "";
    assert.ok(block.includes(`case${i}.test.ts  ${counts}, `), block);
    assert.match(block, /^FAIL /);
    assert.match(block, why);
  });
});

runner("fails: all of these together, with the sum in the last line", () => {
  const sum = (word: string) =>
    BAD.reduce((total, [, , counts]) => total + Number(new RegExp(`(\\d+) ${word}`).exec(counts)?.[1]), 0);
  assert.is(bad.last, `${sum("passed")} passed, ${sum("failed")} failed`);
  assert.is(bad.status, 1);
});

runner("fails: no file of that name, and a skip as the only thing", () => {
  const missing = spawnSync(process.execPath, ["scripts/test.mjs", "no/such.test.ts"], { encoding: "utf8" });
  assert.is(missing.stdout, "FAIL no/such.test.ts: no such file\n0 passed, 1 failed\n");
  assert.is(missing.status, 1);
  const skipped = runTests([`${HEAD}${SKIP}skip(s, "a", "no such tool"); s.run();`]);
  assert.is(skipped.last, "0 passed, 0 failed, 1 skipped");
  assert.is(skipped.status, 1);
});

runner("stops a file that hangs or leaves something open, names it, and goes on", () => {
  const open = `${HEAD}s("a", () => { setInterval(() => {}, 1000); }); s.run();`;
  const hang = `${HEAD}s("a", () => {}); s("hangs", () => { for (;;) {} }); s.run();`;
  const fine = `${HEAD}s("b", () => {}); s.run();`;
  const seen = runTests([hang, fine, open], { VOUCH_TEST_TIMEOUT_MS: "10000" });
  assert.match(seen.stdout, /FAIL .*case0\.test\.ts.*\n(.*\n)* {5}hung: stopped after 10 s/);
  assert.match(
    seen.stdout,
    /FAIL .*case2\.test\.ts.*\n(.*\n)* {5}passed its last test but left something open/,
  );
  assert.is(seen.last, "2 passed, 2 failed");
  assert.is(seen.status, 1);
});

runner("counts skips and lists each with its reason above the last line", () => {
  const seen = runTests([
    `${HEAD}${SKIP}s("a", () => {}); skip(s, "judge", "go is not installed"); s.run();`,
  ]);
  assert.is(seen.last, "1 passed, 0 failed, 1 skipped");
  assert.match(seen.lines.at(-2) ?? "", /^skipped: .*case0\.test\.ts: s: judge: go is not installed$/);
  assert.is(seen.status, 0);
});

runner("adds up files, and a crash in one leaves the others their counts", () => {
  const fine = `${HEAD}s("a", () => {}); s("b", () => {}); s.run();`;
  const seen = runTests([fine, `${fine}\nprocess.abort();`, `import "./nowhere";`]);
  assert.is(seen.last, "2 passed, 2 failed");
  assert.is(seen.status, 1);
});

runner.after(() => rmSync(folder, { recursive: true }));
runner.run();

const boundaries = suite("boundaries");

interface Boundaries {
  judge(root: string, importers?: Record<string, string>): Promise<{ count: number; wrong: string[] }>;
}
interface Builder {
  buildAgent(tools: unknown, entry?: string): Promise<string>;
}
const load = async <T>(script: string) => (await import(pathToFileURL(resolve("scripts", script)).href)) as T;

/** Writes a small workspace and judges it. */
async function judge(
  files: Record<string, string>,
  importers: Record<string, string> = {},
): Promise<string[]> {
  const root = mkdtempSync(join(tmpdir(), "vouch-arrows-"));
  const empty = { "shared/src/a.ts": "", "firmware/src/a.ts": "", "host-cli/src/a.ts": "" };
  for (const [name, text] of Object.entries({ ...empty, ...files })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  try {
    return (await (await load<Boundaries>("boundaries.mjs")).judge(root, importers)).wrong;
  } finally {
    rmSync(root, { recursive: true });
  }
}

const B = {
  "host-cli/src/device/b.ts": "export const b = 1;",
  "host-cli/src/commands/b.ts": "export const b = 1;",
};

for (const [name, files, wrong] of [
  [
    "shared and Node",
    { "shared/src/x.ts": `import "node:fs";` },
    "shared/src/x.ts ──▶ node:fs: shared knows no Node",
  ],
  [
    "shared and Node by its old name",
    { "shared/src/x.ts": `import "fs";` },
    "shared/src/x.ts ──▶ node:fs: shared knows no Node",
  ],
  [
    "firmware and Node",
    { "firmware/src/x.ts": `import "os";` },
    "firmware/src/x.ts ──▶ node:os: firmware knows no Node",
  ],
  [
    "shared and host",
    { "shared/src/x.ts": `import "../../host-cli/src/a";` },
    "shared/src/x.ts ──▶ host-cli/src/a.ts: shared imports only itself",
  ],
  [
    "host and firmware's source",
    { "host-cli/src/x.ts": `import "../../firmware/src/a";` },
    "host-cli/src/x.ts ──▶ firmware/src/a.ts: the host reads the built agent, never its source",
  ],
  [
    "log and device",
    { ...B, "host-cli/src/log/x.ts": `export { b } from "../device/b";` },
    "host-cli/src/log/x.ts ──▶ host-cli/src/device/b.ts: log and device meet only in commands",
  ],
  [
    "a lazy import is an arrow too",
    { ...B, "host-cli/src/log/x.ts": `export const x = () => import("../device/b");` },
    "host-cli/src/log/x.ts ──▶ host-cli/src/device/b.ts: log and device meet only in commands",
  ],
  [
    "flash and log",
    {
      ...B,
      "host-cli/src/log/b.ts": "",
      "host-cli/src/flash/x.ts": `import "../log/b"; import "../device/b";`,
    },
    "host-cli/src/flash/x.ts ──▶ host-cli/src/log/b.ts: flash and log meet only in commands",
  ],
  [
    "log and monitor",
    { ...B, "host-cli/src/monitor/b.ts": "", "host-cli/src/log/x.ts": `import "../monitor/b";` },
    "host-cli/src/log/x.ts ──▶ host-cli/src/monitor/b.ts: log and monitor meet only in commands",
  ],
  [
    "device and flash",
    { ...B, "host-cli/src/flash/b.ts": "", "host-cli/src/device/x.ts": `import "../flash/b";` },
    "host-cli/src/device/x.ts ──▶ host-cli/src/flash/b.ts: device and flash meet only in commands",
  ],
  [
    "device and commands",
    { ...B, "host-cli/src/device/x.ts": `import "../commands/b";` },
    "host-cli/src/device/x.ts ──▶ host-cli/src/commands/b.ts: only main and the commands themselves know the commands",
  ],
  [
    "a package nobody named",
    { "host-cli/src/x.ts": `import "left-pad/sub";` },
    "host-cli/src/x.ts ──▶ left-pad: no file is named for this package in scripts/boundaries.mjs",
  ],
  [
    "device code and refusals",
    {
      "shared/src/refusal.ts": "",
      "shared/src/x.ts": `import "./refusal";`,
      "firmware/src/x.ts": `import "@vouch/shared/x";`,
    },
    "firmware/src/x.ts ──▶ shared/src/x.ts ──▶ shared/src/refusal.ts: device code answers with fault numbers",
  ],
] as const) {
  boundaries(`refuses: ${name}`, async () => {
    assert.equal(await judge(files), [wrong]);
  });
}

boundaries("each package has one importer, and one that is named must be used", async () => {
  const files = { "shared/src/sign.ts": `import "tweetnacl";`, "shared/src/x.ts": `import "tweetnacl";` };
  const importers = { tweetnacl: "shared/src/sign.ts", "@scope/gone": "host-cli/src/a.ts" };
  assert.equal(await judge(files, importers), [
    "shared/src/x.ts ──▶ tweetnacl: only shared/src/sign.ts may import tweetnacl",
    "@scope/gone: named in scripts/boundaries.mjs, imported by nobody",
  ]);
});

boundaries("lets commands introduce the rooms, and types go anywhere", async () => {
  const wrong = await judge({
    ...B,
    "host-cli/src/commands/x.ts": `import "../device/b"; import "./b"; import "../a"; import "@vouch/shared/a"; import "node:fs";`,
    "host-cli/src/log/x.ts": `import type { b } from "../device/b"; export type B = typeof b;`,
  });
  assert.equal(wrong, []);
});
boundaries.run();

const agent = suite("agent build");

async function lower(source: string): Promise<string> {
  const root = mkdtempSync(join(tmpdir(), "vouch-agent-"));
  const tools = { esbuild: await import("esbuild"), typescript: (await import("typescript")).default };
  writeFileSync(join(root, "main.ts"), source);
  try {
    return await (await load<Builder>("build.mjs")).buildAgent(tools, join(root, "main.ts"));
  } finally {
    rmSync(root, { recursive: true });
  }
}

agent("lowers arrows, const and templates to ES5", async () => {
  const code = await lower(
    `declare const print: (s: string) => void; const greet = (who: string) => \`hi \${who}\`; print(greet("x")); print(greet("y"));`,
  );
  assert.not.match(code, /=>|`|const|let/);
  const said: string[] = [];
  runInNewContext(code, { print: (text: string) => said.push(text) });
  assert.equal(said, ["hi x", "hi y"]);
});

agent("never invents the name `of`, which Espruino takes for a keyword", async () => {
  // As many names in one scope as there are of one and two letters, so that a minifier would get there.
  const names = Array.from({ length: 54 * 64 + 54 }, (_, i) => `n${i}`);
  const code = await lower(
    `declare const f: (x: unknown) => number; (function () { ${names.map((n) => `var ${n} = f(0);`).join("")} f([${names.join()}]); })();`,
  );
  assert.match(code, /\bog\b/);
  assert.not.match(code, /\bof\b/);
});

agent("signs and verifies as node:crypto does, with the part of tweetnacl that is left", async () => {
  const code = await lower(
    `import { keyPairFromSeed, signEd25519, verifyEd25519 } from "@vouch/shared/sign";
     interface Pair { publicKey: Uint8Array; secretKey: Uint8Array } // names we ask for below
     declare const judge: (...parts: unknown[]) => Pair; judge(keyPairFromSeed, signEd25519, verifyEd25519);`,
  );
  const scope = { judge: (...parts: unknown[]) => given.push(...parts), Uint8Array, Float64Array };
  const given: unknown[] = [];
  runInNewContext(code, scope);
  const [keyPairFromSeed, signEd25519, verifyEd25519] = given as [
    typeof import("@vouch/shared/sign").keyPairFromSeed,
    typeof import("@vouch/shared/sign").signEd25519,
    typeof import("@vouch/shared/sign").verifyEd25519,
  ];
  for (let i = 0; i < 20; i++) {
    const message = new Uint8Array(i * 7).map((_, j) => i + j);
    const pair = keyPairFromSeed(new Uint8Array(32).fill(i));
    const signature = signEd25519(pair.secretKey, message);
    const x = Buffer.from(pair.publicKey).toString("base64url");
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
    assert.ok(verify(null, message, key, signature), `node accepts signature ${i}`);
    assert.ok(verifyEd25519(pair.publicKey, message, signature), `the agent accepts signature ${i}`);
    signature[i] = (signature[i] ?? 0) ^ 1;
    assert.not(verifyEd25519(pair.publicKey, message, signature), `the agent refuses bent signature ${i}`);
  }
});

for (const [name, source] of [
  ["object spread", "declare const a: object; declare const f: (x: object) => void; f({ ...a, b: 1 });"],
  ["array spread", "declare const a: number[]; declare const f: (x: number[]) => void; f([...a, 1]);"],
  ["a class that extends", "declare const f: (x: unknown) => void; class A {} class B extends A {} f(B);"],
  ["a generator", "declare const f: (x: unknown) => void; f(function* () { yield 1; });"],
] as const) {
  agent(`refuses: ${name}`, async () => {
    let message = "";
    await lower(source).catch((error: Error) => {
      message = error.message;
    });
    assert.match(message, /^agent: ES5 needs __/);
  });
}
agent.run();
