// The search for personal data in logs and on ledgers (scripts/leaks.mjs), searched: what is planted must be found, in every
// spelling and as deep as it may stand, and a log that a test fills with it must turn the run red.

import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";

interface Leaks {
  readonly KNOWN: readonly string[];
  readonly Search: new (values: Iterable<string>) => { in(bytes: Buffer): string[] };
  valuesIn(bytes: Buffer): string[];
}
const { Search, valuesIn, KNOWN }: Leaks = await import(pathToFileURL(resolve("scripts/leaks.mjs")).href);

const SERIAL = "Pump Ä-77";
const search = new Search([SERIAL, "SN-7"]);
const hash = (name: string, text = SERIAL) => createHash(name).update(text).digest();
const plain = Buffer.from(SERIAL);

const leaks = suite("personal data");

const SPELLINGS: readonly [name: string, bytes: Buffer | string][] = [
  ["plain", plain],
  ["in capital letters", SERIAL.toUpperCase()],
  ["hex", plain.toString("hex")],
  ["hex in capital letters", plain.toString("hex").toUpperCase()],
  ["base64", plain.toString("base64")],
  ["base64url", plain.toString("base64url")],
  ["SHA-256", hash("sha256")],
  ["SHA-256 of small letters", hash("sha256", SERIAL.toLowerCase())],
  ["SHA-256 in hex", hash("sha256").toString("hex")],
  ["SHA-256 in base64", hash("sha256").toString("base64")],
  ["SHA-256 in base64url", hash("sha256").toString("base64url")],
  ["SHA-512 in hex", hash("sha512").toString("hex")],
  ["SHA-1", hash("sha1")],
];

for (const [name, bytes] of SPELLINGS) {
  leaks(`is found: ${name}, alone, between other bytes, and in base64 three times over`, () => {
    const within = (bytes: Buffer | string, before: number) =>
      Buffer.concat([randomBytes(before), Buffer.from(bytes as Buffer), randomBytes(9)]);
    for (let before = 0; before < 4; before++) {
      let deep = within(bytes, before);
      assert.equal(search.in(deep), [SERIAL], `${before} bytes before it`);
      for (let depth = 1; depth <= 3; depth++) {
        const text = deep.toString(depth === 2 ? "base64url" : "base64");
        deep = Buffer.from(`{"payloadType":"x","payload":"${text}"}`);
        assert.equal(search.in(deep), [SERIAL], `${before} bytes before it, ${depth} deep`);
      }
    }
  });
}

leaks("is not found in a salted commitment, in random bytes, nor in a public product code", () => {
  const salted = createHash("sha256").update(randomBytes(16)).update(SERIAL).digest();
  assert.equal(search.in(Buffer.from(salted.toString("hex"))), []);
  assert.equal(search.in(randomBytes(100_000)), []);
  assert.equal(new Search(KNOWN).in(Buffer.from('{"udiDi":"(01)09506000134352","subject":"pump-400"}')), []);
});

leaks("of few letters is found as a JSON string and as a digest, not wherever these letters are", () => {
  assert.equal(search.in(Buffer.from('{"x":"SN-7"}')), ["SN-7"]);
  assert.equal(search.in(hash("sha256", "SN-7")), ["SN-7"]);
  assert.equal(search.in(Buffer.from("SN-78901")), []);
});

leaks("as a member of an enrolment is found whatever its value is", () => {
  const enrolment = Buffer.from('{"predicate":{"serial":"0000","ueid":"01"}}').toString("base64");
  assert.equal(search.in(Buffer.from(`"payload":"${enrolment}"`)), ['"serial":"', '"ueid":"']);
});

leaks("as a UEID is found as its own bytes, and as their digest", () => {
  const ueid = `01${"c4".repeat(16)}`;
  const ofUeid = new Search([ueid]);
  const bytes = Buffer.from(ueid, "hex");
  assert.equal(ofUeid.in(Buffer.concat([Buffer.from([0x51]), bytes])), [ueid]);
  assert.equal(ofUeid.in(createHash("sha256").update(bytes).digest()), [ueid]);
});

leaks("is learned from nothing that is no enrolment", () => {
  for (const nonsense of ['"serial":"\\x"', '"serial":"\u0001"', '"serial":7', '"ueid":""', '"serial":"'])
    assert.equal(valuesIn(Buffer.from(nonsense)), []);
});

leaks("is learned from the enrolments that tests leave", () => {
  const statement = Buffer.from(
    `{"predicate":{"serial":${JSON.stringify(SERIAL)},"ueid":"01${"ab".repeat(16)}"}}`,
  );
  const line = `{"enrolment":"${Buffer.from(`{"payload":"${statement.toString("base64")}"}`).toString("base64")}"}`;
  assert.equal(valuesIn(Buffer.from(line)), [SERIAL, `01${"ab".repeat(16)}`]);
});

const runner = suite("a run with personal data in a log");

const HEAD = `import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"; import { tmpdir } from "node:os"; import { join } from "node:path";
import { suite } from "uvu"; import { handed } from ${JSON.stringify(resolve("shared/test/handed"))};
const s = suite("s"); const top = mkdtempSync(join(tmpdir(), "vouch-planted-"));
const file = (name, text) => { mkdirSync(join(top, name, ".."), { recursive: true }); writeFileSync(join(top, name), text); };
`;
const END = "s.run();";
const REMOVE = "rmSync(top, { recursive: true });";

for (const [name, body, wrong] of [
  ["a log without", `file("log/tile/entries/000", "harmless"); ${REMOVE}`, null],
  ["the same outside of any log", `file("SN-1042.txt", "SN-1042"); ${REMOVE}`, null],
  [
    "a log that a test removes",
    `file("a/log/tile/entries/000", "x SN-1042"); ${REMOVE}`,
    /tile\/entries\/000 holds "SN-1042"/,
  ],
  [
    "a draft beside the tiles",
    `file("log/tile/entries/000", ""); file("log/anchors/7/stardust.draft", "U04tMTA0Mg"); ${REMOVE}`,
    /stardust\.draft holds "SN-1042"/,
  ],
  [
    "a ledger that nobody removes, and a serial number that only an enrolment tells",
    `file("ledger/tile/entries/000", "unheard-of"); file("x.enrolment", '{"serial":"unheard-of"}');
     process.on("exit", () => ${REMOVE.replace(";", "")});`,
    /ledger\/tile\/entries\/000 holds "unheard-of"/,
  ],
  ["what a ledger was handed", `handed(Buffer.from("SN 1043")); ${REMOVE}`, /was handed holds "SN 1043"/],
] as const) {
  runner(`${name}: ${wrong === null ? "passes" : "fails, and says where"}`, () => {
    const folder = mkdtempSync(join(tmpdir(), "vouch-leaks-"));
    const file = join(folder, "case.test.ts");
    writeFileSync(file, `${HEAD}s("a", () => { ${body} }); ${END}`);
    const { stdout, status } = spawnSync(process.execPath, ["scripts/test.mjs", file], { encoding: "utf8" });
    rmSync(folder, { recursive: true });
    assert.is(status, wrong === null ? 0 : 1, stdout);
    const last = stdout.trimEnd().split("\n").at(-1);
    assert.is(last, wrong === null ? "1 passed, 0 failed" : "1 passed, 1 failed", stdout);
    if (wrong === null) return;
    assert.match(stdout, /personal data in a log or on a ledger/);
    assert.match(stdout, wrong);
  });
}

leaks.run();
runner.run();
