import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { formatEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import { parsePolicy } from "@vouch/shared/policy";
import { type AdvisoryStatement, parseStatement, type StatusStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { newAdvisory } from "../src/commands/advisory";
import { checkLog } from "../src/commands/log-check";
import { newRelease } from "../src/commands/release";
import { newStatus } from "../src/commands/status";
import { nodeCrypto } from "../src/crypto";
import { addToLog, initLog, openLog } from "../src/log/store";
import { draftEnvelope, signEnvelope, signStatement } from "../src/statementfile";
import { NOON, newFolder, newSigner, refuses, saveSigner, vouch, vouchOk, vouchRefuses } from "./maker-kit";

const maker = suite("maker's command line");
let folder = "";
const at = (name: string) => join(folder, name);
const sha256Of = (name: string) => toHex(nodeCrypto.sha256(readFileSync(at(name))));

maker.before.each(() => {
  folder = newFolder("maker");
  writeFileSync(at("pump.bin"), "application image");
  writeFileSync(at("engine.bin"), "engine image");
});
maker.after.each(() => rmSync(folder, { recursive: true, force: true }));

const names = ["acme-vendor", "alice", "bob", "acme-status", "fwlog.acme.example"];

/** Keys by `vouch keygen`, and the policy that names them. */
async function people(): Promise<void> {
  const vkeys: Record<string, string> = {};
  for (const name of names) vkeys[name] = (await vouchOk("keygen", name, "-o", folder, "--plain")).trim();
  const ledger = await vouchOk(
    "keygen",
    "ledger.acme.example",
    "-o",
    at("ledger.key"),
    "--plain",
    "--cosigner",
  );
  writeFileSync(
    at("policy"),
    [
      `log ${vkeys["fwlog.acme.example"]}`,
      "quorum none",
      `vendor pump ${vkeys["acme-vendor"]}`,
      `approver alice engineering ${vkeys["alice"]}`,
      `approver bob quality ${vkeys["bob"]}`,
      "approve pump 2 engineering quality",
      `status ${vkeys["acme-status"]}`,
      `ledger directory ${ledger.trim()}`,
      "max-age status 30d",
      "",
    ].join("\n"),
  );
}

const releaseNew = (...more: string[]) => [
  ...["release", "new", "--product", "pump", "--version", "2.4.1", "--security-version", "7", "--floor", "5"],
  ...["--model", "PUMP400", "--rev", "A", "B", "--vendor", at("acme-vendor.vkey"), "-o", at("pump")],
  ...["--component", `app=${at("pump.bin")}`, `engine=${at("engine.bin")}`],
  ...more,
];
const seal = () => [
  ...["release", "seal", at("pump.dsse.json"), "--suit", at("pump.suit"), "--image", at("pump.bin")],
  ...["--policy", at("policy"), "--key", at("acme-vendor.key"), "-o", at("pump.upload")],
];
const logAdd = (...files: string[]) => [
  "log",
  "add",
  at("log"),
  ...files.map(at),
  "--key",
  at("fwlog.acme.example.key"),
];

async function released(): Promise<void> {
  await people();
  await vouchOk(...releaseNew());
  await vouchOk("release", "sign", at("pump.dsse.json"), "--key", at("alice.key"));
  await vouchOk("release", "sign", at("pump.dsse.json"), "--key", at("bob.key"));
  await vouchOk(...seal());
  await vouchOk(
    "log",
    "init",
    at("log"),
    "--origin",
    "fwlog.acme.example",
    "--key",
    at("fwlog.acme.example.key"),
  );
  await vouchOk(...logAdd("pump.dsse.json"));
}

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

const advisoryStatement = (changes: Partial<AdvisoryStatement>): AdvisoryStatement => ({
  kind: "advisory",
  subjects: [{ name: "app", sha256: "ab".repeat(32) }],
  id: "A-1",
  product: "pump",
  advisoryKind: "security",
  state: "affected",
  fixedVersions: [],
  summary: "x",
  created: "2026-01-15T12:00:00Z",
  ...changes,
});

maker(
  "an advisory names an image by file, by its release and by digest alike; on stdout it is the exact bytes",
  async () => {
    await released();
    const alice = newSigner("s");
    const base = {
      id: "A-1",
      product: "pump",
      fixed: [],
      kind: "recall",
      state: "affected",
      summary: "x",
    } as const;
    const subjects: unknown[] = [];
    for (const affects of [at("pump.bin"), at("pump.dsse.json"), sha256Of("pump.bin")]) {
      const bytes = await newAdvisory({ ...base, affects: [`app=${affects}`] }, alice, NOON);
      subjects.push((parseStatement(parseEnvelope(bytes).payload) as AdvisoryStatement).subjects);
    }
    const expected = [{ name: "app", sha256: sha256Of("pump.bin") }];
    assert.equal(subjects, [expected, expected, expected]);
    await refuses("component-unnamed", () =>
      newAdvisory({ ...base, affects: [`boot=${at("pump.dsse.json")}`] }, alice, NOON),
    );
    saveSigner(folder, alice);
    const args = [
      "advisory",
      "new",
      "--id",
      "A-1",
      "--product",
      "pump",
      "--kind",
      "recall",
      "--summary",
      "x",
    ];
    const out = await vouchOk(...args, "--affects", `app=${at("pump.bin")}`, "--key", at("s.key"));
    assert.is(parseEnvelope(new TextEncoder().encode(out)).signatures.length, 1);
  },
);

/** A log with a release of `pump`, and what adds more to it. */
async function statusLog() {
  const signer = newSigner("log.example");
  const status = newSigner("status");
  const log = at("log");
  const { statement } = newRelease(
    {
      product: "pump",
      version: "1.0.0",
      securityVersion: 1,
      floor: 1,
      model: "M",
      revisions: ["A"],
      components: [{ name: "app", path: at("pump.bin") }],
      vendor: newSigner("v").vkey,
      output: at("pump"),
    },
    NOON,
  );
  await initLog(log, undefined, signer);
  const add = async (bytes: Uint8Array) => (await addToLog(log, [bytes], signer)).records[0]?.index;
  await add(await signStatement(statement, status));
  const advise = async (changes: Partial<AdvisoryStatement>, by = status) =>
    add(await signStatement(advisoryStatement(changes), by));
  const gather = (changes: Partial<Parameters<typeof newStatus>[0]> = {}) =>
    newStatus({ log, product: "pump", withdraw: [], ...changes }, status, NOON);
  return { log, signer, status, add, advise, gather };
}

const listed = ({ statement }: { statement: StatusStatement }) =>
  statement.advisories.map(({ id, index }) => `${id}@${index}`);

maker("a status lists every advisory of its product in the log, sorted, as of the whole log", async () => {
  const { log, advise, gather } = await statusLog();
  const empty = await gather();
  assert.equal(listed(empty), []);
  assert.is(empty.statement.logSize, 1);
  await advise({ id: "B-2" });
  await advise({ id: "A-9" });
  await advise({ id: "X-1", product: "scale" });
  await advise({ id: "A-10" });
  const { statement } = await gather();
  assert.equal(listed({ statement }), ["A-10@4", "A-9@2", "B-2@1"]);
  assert.is(statement.logSize, 5);
  assert.is(statement.rootSha256, toHex(openLog(log).checkpoint.root));
  assert.is(statement.origin, "log.example");
  assert.is(statement.advisories[0]?.sha256, toHex(nodeCrypto.sha256(openLog(log).entry(4n))));
});

maker(
  "an update under the same id counts when it affects no less; a narrower one is passed over and said so",
  async () => {
    const { advise, gather } = await statusLog();
    const app = { name: "app", sha256: "ab".repeat(32) };
    const other = { name: "app", sha256: "cd".repeat(32) };
    await advise({ id: "A-1", state: "under_investigation" });
    await advise({ id: "A-1", subjects: [app, other] });
    assert.equal(listed(await gather()), ["A-1@2"]);
    for (const narrower of [
      { subjects: [other] },
      { state: "under_investigation", subjects: [app, other] },
    ] as const) {
      await advise({ id: "A-1", ...narrower });
    }
    const { remarks, ...status } = await gather();
    assert.equal(listed(status), ["A-1@2"]);
    assert.is(remarks.length, 2);
    assert.match(remarks[0] ?? "", /record 3 would narrow advisory A-1: record 2 stays in force/);
    await advise({ id: "A-1", subjects: [app, other], advisoryKind: "recall" });
    assert.equal(listed(await gather()), ["A-1@5"]);
  },
);

maker("withdrawals carry over, more can be added, and they are of releases the log knows", async () => {
  const { add, gather } = await statusLog();
  const digest = sha256Of("pump.bin");
  const first = await gather({ withdraw: [at("pump.bin")], reason: "battery runs hot" });
  assert.equal(first.statement.withdrawn, [{ sha256: digest, reason: "battery runs hot" }]);
  await add(first.bytes);
  const second = await gather();
  assert.equal(second.statement.withdrawn, first.statement.withdrawn);
  const same = await gather({ withdraw: [digest], reason: "said again" });
  assert.equal(same.statement.withdrawn, first.statement.withdrawn);
  await refuses("unknown-release", () => gather({ withdraw: ["00".repeat(32)], reason: "x" }));
  await refuses("unknown-release", () => gather({ withdraw: [at("engine.bin")], reason: "x" }));
  await refuses("usage", () => gather({ withdraw: [digest] }));
});

maker("an advisory that the newest status lists can't be dropped", async () => {
  const { add, status, log, gather } = await statusLog();
  const { checkpoint } = openLog(log);
  const earlier: StatusStatement = {
    kind: "status",
    origin: checkpoint.origin,
    rootSha256: toHex(checkpoint.root),
    product: "pump",
    logSize: 1,
    advisories: [{ id: "GONE-1", index: 0, sha256: "ab".repeat(32) }],
    withdrawn: [],
    created: "2026-01-15T12:00:00Z",
  };
  await add(await signStatement(earlier, status));
  const error = await refuses("status-drops-advisory", () => gather());
  assert.match(error.message, /lists "GONE-1", which the log no longer gives/);
});

maker("with a policy, what others than its status key or approvers signed doesn't count", async () => {
  const { advise, gather, status, add } = await statusLog();
  const approvers = [newSigner("alice"), newSigner("bob")] as const;
  const policy = parsePolicy(
    new TextEncoder().encode(
      [
        `log ${formatVkey(newSigner("log.example").vkey)}`,
        "quorum none",
        `status ${formatVkey(status.vkey)}`,
        ...approvers.map((a) => `approver ${a.name} quality ${formatVkey(a.vkey)}`),
        "approve pump 2 quality",
      ].join("\n"),
    ),
    nodeCrypto,
  );
  await advise({ id: "GOOD-1" });
  await advise({ id: "SPAM-1" }, newSigner("mallory"));
  await advise({ id: "ONE-1" }, approvers[0]);
  let both = draftEnvelope(advisoryStatement({ id: "BOTH-1" }));
  for (const approver of approvers) both = await signEnvelope(both, approver);
  await add(formatEnvelope(both));
  const { remarks, ...gathered } = await gather({ policy });
  assert.equal(listed(gathered), ["BOTH-1@4", "GOOD-1@1"]);
  assert.equal(
    remarks.map((remark) => /\[(.*)\]$/.exec(remark)?.[1]),
    ["unknown-signer", "approvals-missing"],
  );
  assert.equal(listed(await gather()), ["BOTH-1@4", "GOOD-1@1", "ONE-1@3", "SPAM-1@2"]);
});

maker("policy check says what it understood, and what a careful reader would ask", async () => {
  await people();
  const io = await vouch(["policy", "check", at("policy")]);
  assert.is(io.exitCode, 0);
  assert.match(io.out(), /^log {11}fwlog\.acme\.example\nquorum {8}no cosignature is asked for\n/);
  assert.match(io.out(), /approve {7}pump: 2 approvers, engineering and quality among them\n/);
  assert.match(io.out(), /max-age {7}status 30 days, evidence not said\n/);
  const codes = [...io.err().matchAll(/\[(.*)\]/g)].map((m) => m[1]);
  assert.equal(codes, [
    "quorum-none",
    "no-public-ledger",
    "no-max-age-evidence",
    "no-enroller",
    "image-not-required",
  ]);
  const json = JSON.parse(await vouchOk("policy", "check", at("policy"), "--json"));
  assert.equal(
    json.warnings.map((w: { code: string }) => w.code),
    codes,
  );
  assert.is(`${json.vendors[0].vkey}\n`, readFileSync(at("acme-vendor.vkey"), "utf8"));
  assert.is(json.digest, sha256Of("policy"));
});

maker("policy check says which ledgers are a keeper's word, and which are retired", async () => {
  await people();
  const [shimmer] = await vouchOk("ledger", "trust", "show", "shimmer").then((out) => out.split("\n"));
  const tangles = [`ledger stardust ward@${"0".repeat(64)}`, shimmer!];
  const before = readFileSync(at("policy"), "utf8");
  writeFileSync(at("policy"), `${before}${tangles.map((line) => `${line}\n`).join("")}`);
  const io = await vouch(["policy", "check", at("policy")]);
  assert.match(io.err(), /coordinator's keys \[no-public-ledger\]/);
  const retired = [...io.err().matchAll(/warning: (\S+) is retired: .*\[retired-ledger\]/g)].map((m) => m[1]);
  assert.equal(retired, ["shimmer"]);
  assert.match(io.out(), /ledger +stardust, the coordinator of ward, trust file 0{64}\n/);
  const rebased = ["mainnet", "testnet"].map((network) => `ledger rebased ${network}@1:${"0".repeat(64)}\n`);
  writeFileSync(at("policy"), `${before}${rebased.join("")}`);
  assert.not.match((await vouch(["policy", "check", at("policy")])).err(), /public-ledger/);
});

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
