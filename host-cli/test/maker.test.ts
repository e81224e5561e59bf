// The maker's verbs from a key to an anchored log, as typed, and the command lines that they refuse. What a status
// comes to list is in maker-status.test.ts.

import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatEnvelope } from "@vouch/shared/dsse";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkLog } from "../src/commands/log-check";
import { initLog } from "../src/log/store";
import { draftEnvelope, readReleaseFile, signStatement } from "../src/statementfile";
import { newSigner, saveSigner, vouch, vouchOk, vouchRefuses } from "./maker-kit";
import {
  advisoryStatement,
  at,
  folder,
  logAdd,
  people,
  releaseNew,
  seal,
  sha256Of,
  withImages,
} from "./pump-kit";

const maker = suite("maker's command line");
withImages(maker);

maker("a session: keys, release, approvals, seal, log, status, anchor, advisory", async () => {
  await people();
  const made = await vouchOk(...releaseNew("--created", "2026-01-15T09:00:00Z"));
  assert.match(made, /release {3}pump 2\.4\.1, patch, of 2026-01-15T09:00:00Z/);
  assert.match(made, new RegExp(`app {7}sha256 ${sha256Of("pump.bin")}, 17 bytes`));

  const approving = await vouch([
    "release",
    "sign",
    at("pump.dsse.json"),
    "--key",
    at("alice.key"),
    "--component",
    `app=${at("pump.bin")}`,
  ]);
  assert.match(
    approving.err(),
    /rollback {2}security version 7; once confirmed, nothing below 5 is accepted/,
  );
  assert.match(approving.out(), /^pump 2\.4\.1 approved by [a-z]+, key [0-9a-f]{16}…, signature 1\n$/);
  const again = await vouchRefuses(
    "already-signed",
    "release",
    "sign",
    at("pump.dsse.json"),
    "--key",
    at("alice.key"),
  );
  assert.match(again, /already carries a signature by key/);
  await vouchRefuses("approvals-missing", ...seal());
  assert.is((await vouch(seal())).exitCode, 21);
  assert.not(existsSync(at("pump.upload")));
  await vouchOk("release", "sign", at("pump.dsse.json"), "--key", at("bob.key"));
  assert.match(
    await vouchOk(...seal()),
    /^pump 2\.4\.1 sealed; approved by (alice, bob|bob, alice)\n.*pump\.upload\n$/,
  );

  const init = await vouchOk(
    "log",
    "init",
    at("log"),
    "--origin",
    "fwlog.acme.example",
    "--key",
    at("fwlog.acme.example.key"),
  );
  assert.is(init, "fwlog.acme.example, size 0\n");
  await vouchRefuses("exists", "log", "init", at("log"), "--key", at("fwlog.acme.example.key"));
  await vouchRefuses(
    "unknown-product",
    "status",
    "new",
    "--log",
    at("log"),
    "--product",
    "pump",
    "--key",
    at("acme-status.key"),
  );
  assert.match(
    await vouchOk(...logAdd("pump.dsse.json")),
    /record 0 {2}.*pump\.dsse\.json\nfwlog\.acme\.example, size 1\n$/,
  );
  assert.match(await vouchOk(...logAdd("pump.dsse.json")), /pump\.dsse\.json, there already\n.*size 1\n$/);

  await vouchOk(
    "status",
    "new",
    "--log",
    at("log"),
    "--product",
    "pump",
    "--key",
    at("acme-status.key"),
    "-o",
    at("status.dsse.json"),
  );
  const added = JSON.parse(await vouchOk(...logAdd("status.dsse.json"), "--json"));
  assert.equal(added.records, [{ file: at("status.dsse.json"), index: 1, added: true }]);
  assert.is(added.size, 2);

  const ledgerVkey = readFileSync(at("ledger.vkey"), "utf8");
  assert.is(
    await vouchOk(
      "ledger",
      "init",
      at("ledger"),
      "--origin",
      "ledger.acme.example",
      "--key",
      at("ledger.key"),
    ),
    ledgerVkey,
  );
  const anchor = [
    "anchor",
    at("log"),
    "--ledger",
    `directory:${at("ledger")}`,
    "--ledger-key",
    at("ledger.key"),
  ];
  assert.match(
    (await vouch([...anchor, "--dry-run"])).out(),
    /^\S+, size \d+: would be anchored on directory:/,
  );
  assert.equal(readdirSync(at("log")).includes("anchors"), false);
  assert.match(
    await vouchOk(...anchor),
    /^size 2 recorded at 20.*Z \(recorded locally, not public\)\n.*anchors\/2\/directory\.tlog-proof\n$/,
  );
  const twice = JSON.parse(await vouchOk(...anchor, "--json"));
  assert.equal([twice.size, twice.fresh, twice.public, twice.ledger], [2, false, false, "directory"]);

  const advisory = [
    "advisory",
    "new",
    "--id",
    "ACME-2026-1",
    "--product",
    "pump",
    "--kind",
    "security",
    "--summary",
    "an input is not checked",
  ];
  const more = [
    "--affects",
    `app=${at("pump.bin")}`,
    "--fixed",
    "2.4.2",
    "--key",
    at("acme-status.key"),
    "-o",
    at("advisory.dsse.json"),
  ];
  await vouchOk(...advisory, ...more);
  await vouchOk(...logAdd("advisory.dsse.json"));
  const status2 = await vouch([
    "status",
    "new",
    "--log",
    at("log"),
    "--product",
    "pump",
    "--policy",
    at("policy"),
    "--key",
    at("acme-status.key"),
    "-o",
    at("status2.dsse.json"),
    "--json",
  ]);
  assert.is(status2.exitCode, 0, status2.err());
  assert.equal(JSON.parse(status2.out()).advisories, [
    { id: "ACME-2026-1", index: 2, sha256: sha256Of("advisory.dsse.json") },
  ]);
  await vouchOk(...logAdd("status2.dsse.json"));

  const text = await vouchOk("log", "check", at("log"), "--policy", at("policy"));
  assert.match(text, /records {4}4: 1 release, 2 status, 1 advisory/);
  assert.match(text, /signature {2}by fwlog\.acme\.example/);
  assert.match(text, /anchor {5}size 2 on directory, recorded 20/);
  const bundle = join(at("log"), "tile/entries/000.p/4");
  const good = readFileSync(bundle);
  writeFileSync(
    bundle,
    good.map((byte, i) => (i === 700 ? byte ^ 1 : byte)),
  );
  await vouchRefuses("log-damaged", "log", "check", at("log"));
  assert.is((await vouch(["log", "check", at("log")])).exitCode, 20);
  writeFileSync(bundle, good);
  const unsigned = JSON.parse(await vouchOk("log", "check", at("log"), "--json"));
  assert.equal([unsigned.size, unsigned.signatureChecked, unsigned.anchors[0].time], [4, false, null]);
});

maker("keys stay secret: 0600, encrypted by default, opened by a passphrase file", async () => {
  writeFileSync(at("pass"), "correct horse\n");
  const vkey = await vouchOk("keygen", "alice", "-o", folder, "--passphrase-file", at("pass"));
  assert.match(vkey, /^alice\+[0-9a-f]{8}\+[A-Za-z0-9+/=]{44}\n$/);
  assert.match(readFileSync(at("alice.key"), "utf8"), /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  assert.is(statSync(at("alice.key")).mode & 0o777, 0o600);
  await vouchRefuses("exists", "keygen", "alice", "-o", folder, "--plain");
  const init = (...more: string[]) => ["log", "init", at("log"), "--key", at("alice.key"), ...more];
  await vouchRefuses("not-a-terminal", ...init());
  writeFileSync(at("wrong"), "battery staple\n");
  const said = await vouchRefuses("wrong-passphrase", ...init("--passphrase-file", at("wrong"), "--debug"));
  assert.not.match(said, /battery/);
  assert.not(existsSync(at("log")));
  await vouchOk(...init("--passphrase-file", at("pass")));
});

maker("what is signed is what was shown, though the file changed before the key was there", async () => {
  await people();
  await vouchOk(...releaseNew());
  const file = at("pump.dsse.json");
  const { statement } = readReleaseFile(file);
  const other = formatEnvelope(draftEnvelope({ ...statement, version: "2.4.0" }));
  writeFileSync(at("other.dsse.json"), other);
  writeFileSync(
    at("swap.mjs"),
    `import { createPrivateKey, sign } from "node:crypto"; import { copyFileSync, readFileSync } from "node:fs";
const [, , folder, verb] = process.argv;
if (verb === "public") {
  process.stdout.write(readFileSync(folder + "/alice.vkey"));
  copyFileSync(folder + "/other.dsse.json", folder + "/pump.dsse.json");
} else console.log(sign(null, readFileSync(0), createPrivateKey(readFileSync(folder + "/alice.key"))).toString("base64"));`,
  );
  const cmd = `"${process.execPath}" "${at("swap.mjs")}" "${folder}"`;
  const said = await vouchRefuses("changed-meanwhile", "release", "sign", file, "--signer-cmd", cmd);
  assert.match(said, new RegExp(`release +${statement.product} ${statement.version}`));
  assert.equal(new Uint8Array(readFileSync(file)), other);
});

maker("an outside signer does what a key file does", async () => {
  await people();
  writeFileSync(
    at("hsm.mjs"),
    `import { createPrivateKey, sign } from "node:crypto"; import { readFileSync } from "node:fs";
const [, , folder, name, verb] = process.argv;
if (verb === "public") process.stdout.write(readFileSync(folder + "/" + name + ".vkey"));
else console.log(sign(null, readFileSync(0), createPrivateKey(readFileSync(folder + "/" + name + ".key"))).toString("base64"));`,
  );
  const cmd = (name: string) => [
    "--signer-cmd",
    `"${process.execPath}" "${at("hsm.mjs")}" "${folder}" ${name}`,
  ];
  await vouchOk(...releaseNew());
  await vouchOk("release", "sign", at("pump.dsse.json"), ...cmd("alice"));
  await vouchOk("release", "sign", at("pump.dsse.json"), ...cmd("bob"));
  const sealWith = seal().filter((arg) => arg !== "--key" && arg !== at("acme-vendor.key"));
  await vouchRefuses("wrong-vendor-key", ...sealWith, ...cmd("alice"));
  assert.is((await vouch([...sealWith, ...cmd("alice")])).exitCode, 20);
  await vouchOk(...sealWith, ...cmd("acme-vendor"));
  await vouchOk("log", "init", at("log"), ...cmd("fwlog.acme.example"));
  await vouchOk("log", "add", at("log"), at("pump.dsse.json"), ...cmd("fwlog.acme.example"));
  await vouchOk(
    "ledger",
    "init",
    at("ledger"),
    ...cmd("ledger").slice(0, 1),
    `"${process.execPath}" "${at("hsm.mjs")}" "${folder}" ledger`,
  );
  await vouchOk("anchor", at("log"), "--ledger", `directory:${at("ledger")}`, ...cmd("ledger"));
  await vouchOk("log", "check", at("log"), "--policy", at("policy"));
});

for (const [name, code, args] of [
  ["no key", "usage", () => ["log", "init", at("log")]],
  ["key and signer at once", "usage", () => ["log", "init", at("log"), "--key", "a", "--signer-cmd", "b"]],
  [
    "an origin that isn't the key's name",
    "origin-mismatch",
    () => ["log", "init", at("log"), "--origin", "other", "--key", at("alice.key")],
  ],
  ["a log that isn't there", "not-a-log", () => addTo("nowhere", "advisory.dsse.json")],
  ["an unsigned draft", "unsigned", () => addTo("made", "draft.dsse.json")],
  [
    "a good record with a bad one",
    "malformed-json",
    () => addTo("made", "advisory.dsse.json", "bad.dsse.json"),
  ],
  [
    "another log's key",
    "wrong-log-key",
    () => addTo("made", "advisory.dsse.json", "--key", at("acme-vendor.key")),
  ],
  ["a security version that is no number", "usage", () => releaseNew("--security-version", "0x7")],
  ["a component without a name", "usage", () => releaseNew("--component", at("pump.bin"))],
  ["a change class of neither kind", "usage", () => releaseNew("--change-class", "minor")],
  ["a time without a zone", "usage", () => releaseNew("--created", "2026-01-15T09:00:00")],
  ["an SBOM's type without the SBOM", "usage", () => releaseNew("--sbom-type", "application/spdx+json")],
  [
    "a vendor key with another's id",
    "malformed-vkey",
    () =>
      releaseNew(
        "--vendor",
        readFileSync(at("alice.vkey"), "utf8")
          .trim()
          .replace(/\+.{8}\+/, "+00000000+"),
      ),
  ],
  ["a kind of advisory not known", "usage", () => advisoryNew("--kind", "cve")],
  ["an affected digest in capitals", "usage", () => advisoryNew("--affects", `app=${"AB".repeat(32)}`)],
  [
    "a release used as an image",
    "malformed-json",
    () => advisoryNew("--affects", `app=${at("bad.dsse.json")}`),
  ],
  ["statement and JSON on one stdout", "usage", () => advisoryNew("--json")],
  [
    "a reason without a withdrawal",
    "usage",
    () => [
      "status",
      "new",
      "--log",
      at("log"),
      "--product",
      "pump",
      "--reason",
      "x",
      "--key",
      at("alice.key"),
    ],
  ],
  [
    "a status of tomorrow",
    "usage",
    () => [
      ...["status", "new", "--log", at("made"), "--product", "pump", "--key", at("alice.key")],
      ...["--created", isoTime(Math.floor(Date.now() / 1000) + 86400), "-o", at("status.dsse.json")],
    ],
  ],
  [
    "a ledger kind not known",
    "usage",
    () => ["anchor", at("made"), "--ledger", "stardust:testnet", "--ledger-key", at("alice.key")],
  ],
  ["no ledger key", "usage", () => ["anchor", at("made"), "--ledger", `directory:${at("ledger")}`]],
  ["a policy that is none", "policy-unknown-line", () => ["policy", "check", at("pump.bin")]],
] as const) {
  maker(`refuses: ${name}`, async () => {
    const alice = newSigner("alice");
    saveSigner(folder, alice);
    saveSigner(folder, newSigner("acme-vendor"));
    writeFileSync(at("advisory.dsse.json"), await signStatement(advisoryStatement({}), alice));
    writeFileSync(at("bad.dsse.json"), "not one");
    writeFileSync(at("draft.dsse.json"), formatEnvelope(draftEnvelope(advisoryStatement({}))));
    await initLog(at("made"), undefined, alice);
    const before = readdirSync(folder);
    await vouchRefuses(code, ...args());
    assert.equal(readdirSync(folder), before, "something was written");
  });
}

const addTo = (log: string, ...files: string[]) => [
  ...["log", "add", at(log), ...files.map((file) => (/^[a-z.]+json$/.test(file) ? at(file) : file))],
  ...(files.includes("--key") ? [] : ["--key", at("alice.key")]),
];

const advisoryNew = (...more: string[]) => [
  ...[
    "advisory",
    "new",
    "--id",
    "A-1",
    "--product",
    "pump",
    "--kind",
    "security",
    "--summary",
    "x",
    "--key",
    at("alice.key"),
  ],
  ...["--affects", `app=${"ab".repeat(32)}`, ...more],
];

maker("--json prints one object for every verb that answers something", async () => {
  const key = JSON.parse(await vouchOk("keygen", "x", "-o", folder, "--plain", "--json"));
  assert.equal(Object.keys(key), ["name", "vkey", "keyid", "key", "vkeyFile", "encrypted"]);
  await people();
  const made = JSON.parse(await vouchOk(...releaseNew("--json")));
  assert.equal(
    [made.statement, made.manifest, made.release.version],
    [at("pump.dsse.json"), at("pump.suit"), "2.4.1"],
  );
  for (const [i, name] of ["alice", "bob"].entries()) {
    const signed = JSON.parse(
      await vouchOk("release", "sign", at("pump.dsse.json"), "--key", at(`${name}.key`), "--json"),
    );
    assert.equal([signed.product, signed.version, signed.signatures], ["pump", "2.4.1", i + 1]);
  }
  const sealed = JSON.parse(await vouchOk(...seal(), "--json"));
  assert.equal(
    [sealed.approvers.sort(), sealed.dropped, sealed.upload],
    [["alice", "bob"], [], at("pump.upload")],
  );
  const log = JSON.parse(
    await vouchOk("log", "init", at("log"), "--key", at("fwlog.acme.example.key"), "--json"),
  );
  assert.equal([log.origin, log.size], ["fwlog.acme.example", 0]);
  const ledger = JSON.parse(
    await vouchOk("ledger", "init", at("ledger"), "--key", at("ledger.key"), "--json"),
  );
  assert.is(`${ledger.vkey}\n`, readFileSync(at("ledger.vkey"), "utf8"));
  assert.is(checkLog(at("log"), null).log.size, 0n);
});

maker.run();
