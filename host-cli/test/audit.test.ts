// vouch audit and vouch fleet as built, on the fleet of `vouch demo --fleet`: who is not patched and why, whatever
// form the fleet comes in; hostile and missing files; the store, killed and damaged; and that nothing
// personal reaches log or ledger.

import { createHash } from "node:crypto";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { formatBundle, parseBundle } from "@vouch/shared/bundle";
import { toHex } from "@vouch/shared/bytes";
import { parseEnvelope } from "@vouch/shared/dsse";
import { formatDeviceItem, parseDevice } from "@vouch/shared/fleetform";
import { parseRow } from "@vouch/shared/fleetrows";
import { parseStatement } from "@vouch/shared/statement";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../src/crypto";
import { demoFleet, linesOf, recordsOf, summaryOf } from "./fleet-kit";
import { vouch } from "./session";

const fleet = await demoFleet();
const { folder } = fleet;
const WARDS = ["st-anne", "mercy", "lakeside", "north"].map((ward) => `pumps/${ward}.jsonl`);
const CONTEXTS = readdirSync(join(folder, "pumps"))
  .filter((name) => name.endsWith(".vouch.json"))
  .map((name) => `pumps/${name}`);
const POLICY = ["--policy", "pumps/policy"];
const run = (...args: string[]) => vouch(folder, args);
const audit = (...args: string[]) => run("audit", ...args, ...POLICY);
const read = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const lines = (name: string) =>
  readFileSync(join(folder, name), "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => new TextEncoder().encode(line));

const EXPECTED: Readonly<Record<string, [word: string, code: string]>> = {
  "SN-1007": ["vulnerable", "advisory-in-force"],
  "SN-1041": ["vulnerable", "advisory-in-force"],
  "SN-1088": ["vulnerable", "advisory-in-force"],
  "SN-1163": ["vulnerable", "advisory-in-force"],
  "SN-1023": ["recalled", "advisory-recall"],
  "SN-1120": ["recalled", "advisory-recall"],
  "SN-1059": ["refuted", "measurement-mismatch"],
  "SN-1178": ["refuted", "nonce-mismatch"],
  "SN-1072": ["unproven", "evidence-stale"],
  "SN-1145": ["unproven", "evidence-stale"],
  "SN-1131": ["unproven", "image-not-confirmed"],
};

const test = suite("audit");

const whole = audit("pumps", "--json");

test("finds the 13 of 200 that are not patched, and why", () => {
  assert.is(whole.status, 20, whole.stderr);
  const records = recordsOf(whole.stdout);
  assert.is(records.length, 200);
  const found = records.filter(({ word }) => word !== "patched");
  assert.is(found.length, 13);
  const named = found.filter(({ serial }) => serial !== null);
  assert.equal(
    Object.fromEntries(named.map(({ serial, word, reasons }) => [serial, [word, reasons[0]?.code]])),
    EXPECTED,
  );
  const unnamed = found.filter(({ serial }) => serial === null).map(({ reasons }) => reasons[0]?.code);
  assert.equal(unnamed.sort(), ["enrolment-missing", "unknown-signer"]);
  const summary = summaryOf(whole.stdout);
  assert.equal(summary.words, { refuted: 2, recalled: 2, vulnerable: 4, unproven: 5, patched: 187 });
  assert.equal(
    summary.releases.map(({ release, advisories }) => [release, advisories]),
    [
      ["2.3.9", { "ACME-2026-01": 4 }],
      ["2.3.10", {}],
      ["2.4.0", { "ACME-2026-02": 2 }],
      ["2.4.1", {}],
    ],
  );
  assert.is(summary.exit, 20);
});

test("tells a person the same: exceptions first, then releases, the worst verdict last", () => {
  const { stdout, status } = audit("pumps");
  assert.is(status, 20);
  const text = stdout.split("\n");
  assert.match(text[0]!, /^13 of 200 records not patched as of /);
  assert.match(text[3]!, /^refuted {5}SN-1059 .* app measures [0-9a-f]{16}…, .* \[measurement-mismatch\]$/);
  assert.match(stdout, /^pump-400 2\.4\.1 +2 +- +- +5 +169 +none in force$/m);
  assert.is(text.at(-2), "refuted");
});

test("each device gets the word and the codes that vouch verify gives its own bundle", () => {
  const records = recordsOf(whole.stdout);
  const contexts = new Map(CONTEXTS.map((name) => [toHex(nodeCrypto.sha256(read(name))), read(name)]));
  const chosen = WARDS.flatMap(lines).filter((line, i) => {
    const record = records.find(({ input }) => input === toHex(nodeCrypto.sha256(line)));
    return record?.word !== "patched" || i % 60 === 0;
  });
  assert.ok(chosen.length > 14);
  for (const line of chosen) {
    const { context, ...device } = parseDevice(line);
    const bundle = parseBundle(contexts.get(context)!);
    writeFileSync(join(folder, "one.vouch.json"), formatBundle({ ...bundle, devices: [device] }));
    const { stdout } = run("verify", "one.vouch.json", ...POLICY, "--json");
    const { vouch: verdict } = JSON.parse(stdout) as {
      vouch: { verdict: string; reasons: { code: string }[] };
    };
    const record = records.find(({ input }) => input === toHex(nodeCrypto.sha256(line)))!;
    // Such a bundle isn't minimal: it holds the checkpoints of all devices. Nothing else may differ.
    const codes = verdict.reasons.map(({ code }) => code).filter((code) => code !== "surplus-checkpoint");
    assert.equal(
      codes,
      record.reasons.map(({ code }) => code),
      record.device,
    );
    if (codes.length > 0) assert.is(verdict.verdict, record.word, record.device);
  }
});

test("the order of rows and all they say are the same on one thread and on several", () => {
  const many = Array.from({ length: 5 }, () => WARDS).flat();
  const [one, three] = ["1", "3"].map((jobs) =>
    audit(...CONTEXTS, ...many, "--json", "--jobs", jobs, "--at", past),
  );
  assert.is(recordsOf(one!.stdout).length, 995);
  assert.is(three!.stdout, one!.stdout);
});

/** A moment of this run, so that two runs ask the same. */
const past = new Date(fleet.now * 1000).toISOString().replace(/\.\d+Z$/, "Z");

test("a CBOR sequence, and stdin, say what the lines say", () => {
  const item = (bytes: Uint8Array) => {
    const head = Buffer.alloc(5);
    head[0] = 0x5a;
    head.writeUInt32BE(bytes.length, 1);
    return Buffer.concat([head, bytes]);
  };
  const items = [
    ...CONTEXTS.map(read),
    ...WARDS.flatMap(lines).map((line) => formatDeviceItem(parseDevice(line))),
  ];
  writeFileSync(join(folder, "fleet.cborseq"), Buffer.concat(items.map(item)));
  const sequence = audit("fleet.cborseq", "--json", "--at", past);
  const all = Buffer.concat(
    [...CONTEXTS.map(read), ...WARDS.map(read)].flatMap((part) => [part, Buffer.from("\n")]),
  );
  const stdin = vouch(folder, ["audit", "-", "--json", "--at", past, ...POLICY], all);
  const outcome = (stdout: string) =>
    recordsOf(stdout).map(({ device, word, reasons }) => [device, word, reasons]);
  assert.is(recordsOf(stdin.stdout).length, 199);
  assert.equal(outcome(sequence.stdout), outcome(stdin.stdout));

  const picked = run("fleet", "pick", "fleet.cborseq", "--device", "SN-1059", "-o", "one.cborseq", "--json");
  assert.is(picked.stdout, '{"file":"one.cborseq","contexts":1,"devices":1}\n');
  const [alone] = recordsOf(audit("one.cborseq", "--json", "--at", past).stdout);
  assert.equal(
    alone,
    recordsOf(sequence.stdout).find(({ serial }) => serial === "SN-1059"),
  );
  const twice = run("fleet", "pick", "fleet.cborseq", "pumps", "--device", "SN-1059", "-o", "both.cborseq");
  assert.match(twice.stderr, /lines and CBOR items don't go into one file \[usage\]/);
  assert.not.ok(existsSync(join(folder, "both.cborseq")));
});

test("hostile lines are refuted by their place, and the others judged", () => {
  const good = lines(WARDS[0]!);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const bad = [
    "{",
    "{}",
    "\u0000\u001b[2J",
    text(good[0]!).slice(0, -1),
    text(good[1]!).replace("device/v1", "device/v7"),
    '{"version":"vouch-bundle/v1"}',
    "[".repeat(100_000),
    `{"version":"vouch-device/v1","context":"${"ab".repeat(32)}"}`,
  ];
  writeFileSync(
    join(folder, "hostile.jsonl"),
    [...bad.flatMap((line, i) => [line, text(good[i + 2]!)]), ""].join("\n"),
  );
  const { stdout, status } = audit(...CONTEXTS, "hostile.jsonl", "--json");
  assert.is(status, 20);
  const records = recordsOf(stdout);
  assert.is(records.length, 16);
  records.forEach(({ device, word, kid }, i) => {
    if (i % 2 === 0) assert.match(device, /^hostile\.jsonl:\d+$/);
    assert.is(kid === null, i % 2 === 0);
    assert.ok(i % 2 === 1 || word === "refuted" || word === "unproven", word);
  });
});

for (const [name, make, status] of [
  ["a missing file beside devices that are refuted", () => [WARDS[2]!], 20],
  ["a missing file beside devices that are all patched", () => ["patched.jsonl"], 1],
  ["a missing file beside one that is unproven", () => ["unproven.jsonl"], 1],
] as const) {
  test(`${name}: status ${status}, after the rest is judged`, () => {
    const records = recordsOf(whole.stdout);
    for (const word of ["patched", "unproven"]) {
      const some = WARDS.flatMap(lines).filter((line) =>
        records.some((r) => r.word === word && r.input === toHex(nodeCrypto.sha256(line))),
      );
      writeFileSync(
        join(folder, `${word}.jsonl`),
        Buffer.concat(some.slice(0, 5).flatMap((line) => [line, Buffer.from("\n")])),
      );
    }
    const ended = audit(...CONTEXTS, "gone.jsonl", ...make(), "--json");
    assert.is(ended.status, status, ended.stdout.slice(-500));
    const summary = summaryOf(ended.stdout);
    assert.equal(
      summary.trouble.map(({ file, code }) => [file, code]),
      [["gone.jsonl", "not-found"]],
    );
    assert.ok(summary.records > 0);
    assert.match(ended.stderr, /gone\.jsonl: no such file or folder \[not-found\]/);
  });
}

for (const [name, args, code] of [
  ["nothing to judge", [...CONTEXTS], "evidence-missing"],
  ["a file that is no fleet", ["pumps/policy"], "unknown-input"],
  ["--at in the future", ["pumps", "--at", "2100-01-01T00:00:00Z"], "usage"],
  ["--jobs 0", ["pumps", "--jobs", "0"], "usage"],
  ["--fresh without a store", ["pumps", "--fresh"], "usage"],
  ["a store of an unknown kind", ["pumps", "--store", "mysql://root:hunter2@db/x"], "usage"],
  ["a password in the address", ["pumps", "--store", "postgres://u:hunter2@localhost/x"], "usage"],
  [
    "a password among the parameters",
    ["pumps", "--store", "postgres://localhost/x?password=hunter2"],
    "usage",
  ],
] as const) {
  test(`${name} is trouble: ${code}`, () => {
    const { status, stderr, stdout } = audit(...args);
    assert.is(status, 1);
    assert.match(stderr, new RegExp(`\\[${code}\\]`));
    assert.not.match(stdout + stderr, /hunter2/);
  });
}

const store = suite("a store in a folder");
const stored = (...args: string[]) => audit("pumps", "--store", "kept", "--json", ...args);

store("the second audit judges only what changed, and prints the same", () => {
  const first = stored();
  const second = stored();
  assert.is(summaryOf(first.stdout).reused, 0);
  // 200 less the two that are stale, whose reason quotes T, and the stray one, which no fleet file holds.
  assert.ok(summaryOf(second.stdout).reused >= 197, String(summaryOf(second.stdout).reused));
  const outcome = (stdout: string) =>
    recordsOf(stdout).map((r) =>
      r.reasons.some(({ code }) => code === "evidence-stale") ? [r.device, r.word] : { ...r, at: "" },
    );
  assert.equal(outcome(second.stdout), outcome(first.stdout));
  assert.is(statSync(join(folder, "kept/audit.jsonl")).mode & 0o777, 0o600);
});

store("a patched device is not taken from the store once its evidence is too old", () => {
  const in8days = fleet.now - 86400 + 7 * 86400 + 100;
  const judged = recordsOf(stored("--at", past).stdout);
  assert.ok(judged.every(({ at }) => at === past));
  // What a later audit finds is seen by asking about a time when the evidence was not there yet.
  const early = stored(
    "--at",
    new Date((fleet.now - 20 * 86400) * 1000).toISOString().replace(/\.\d+Z$/, "Z"),
  );
  assert.is(summaryOf(early.stdout).words["patched"] ?? 0, 0, String(in8days));
});

store("an index that is missing or damaged is made again", () => {
  // At one moment, or two runs within a second would find the results that quote it, too.
  const again = () => summaryOf(stored("--at", past).stdout);
  again();
  const { reused } = again();
  rmSync(join(folder, "kept/index"));
  assert.is(again().reused, reused);
  writeFileSync(join(folder, "kept/index"), "vouch-audit-index/v1\nrubbish");
  assert.is(again().reused, reused);
  const index = readFileSync(join(folder, "kept/index"));
  for (let at = 29; at < index.length; at += 7) index[at] = index[at]! ^ 0x55;
  writeFileSync(join(folder, "kept/index"), index);
  assert.equal(again().words, summaryOf(whole.stdout).words);
});

store("a last line cut anywhere is cut off, told, and judged again", () => {
  rmSync(join(folder, "kept"), { recursive: true });
  stored();
  const path = join(folder, "kept/audit.jsonl");
  const size = statSync(path).size;
  for (const cut of [1, 40, 500, 2500]) {
    cpSync(join(folder, "kept"), join(folder, "torn"), { recursive: true });
    truncateSync(join(folder, "torn/audit.jsonl"), size - cut);
    const ended = audit("pumps", "--store", "torn");
    assert.is(ended.status, 20);
    assert.match(ended.stderr, /was cut short by \d+ bytes; it is judged again/);
    for (const line of readFileSync(join(folder, "torn/audit.jsonl"), "utf8").split("\n").slice(0, -1))
      assert.type(JSON.parse(line), "object");
    assert.match(
      audit("pumps", "--store", "torn").stdout,
      /^store +19\d of 200 records known from the store$/m,
    );
    rmSync(join(folder, "torn"), { recursive: true });
  }
});

store("a line that claims another's key is not believed", () => {
  const path = join(folder, "kept/audit.jsonl");
  const kept = readFileSync(path, "utf8").split("\n").slice(0, -1);
  const bad = kept.find((line) => line.includes('"word":"vulnerable","product"'))!;
  const forged = kept.map((line) => (line === bad ? line.replace(/"key":"../, '"key":"zz') : line));
  writeFileSync(path, `${forged.join("\n")}\n`);
  const after = stored();
  assert.equal(summaryOf(after.stdout).words, summaryOf(whole.stdout).words);
  appendFileSync(path, "no json\n");
  assert.equal(summaryOf(stored("--fresh").stdout).words, summaryOf(whole.stdout).words);
});

const owners = suite("vouch fleet");

owners("commits to a fleet, logs the root, and each owner's rows check against it", () => {
  assert.is(run("keygen", "auditor", "--plain", "--quiet", "-o", "auditor.key").status, 0);
  const made = run("fleet", "commit", ...WARDS, "-k", "auditor.key", "-o", "committed", "--json");
  assert.is(made.status, 0, made.stderr);
  const statement = "committed/fleet-commitment.dsse.json";
  assert.is((JSON.parse(made.stdout) as { size: number }).size, 199);
  let rows = 0;
  for (const ward of ["st-anne", "mercy", "lakeside", "north"]) {
    const checked = run(
      "fleet",
      "check",
      `committed/${ward}.rows`,
      "--statement",
      statement,
      "--signer",
      "auditor.vkey",
      "--json",
    );
    assert.is(checked.status, 0, checked.stderr);
    rows += (JSON.parse(checked.stdout) as { rows: number }).rows;
    const own = lines(`committed/${ward}.rows`).map((line) => toHex(parseRow(line).record));
    assert.equal(
      own,
      lines(`pumps/${ward}.jsonl`).map((line) => toHex(line)),
      "its own rows, and nothing else",
    );
  }
  assert.is(rows, 199);
  const again = run("fleet", "commit", ...WARDS, "-k", "auditor.key", "-o", "committed");
  assert.match(again.stderr, /\[exists\]/);
});

owners("a row with a bit bent is refuted; a stranger's statement is not believed", () => {
  const file = readFileSync(join(folder, "committed/mercy.rows"), "utf8");
  const bent = file.replace(/"index":"(\d+)"/, (_, i: string) => `"index":"${(Number(i) + 1) % 199}"`);
  writeFileSync(join(folder, "bent.rows"), bent);
  const check = (rows: string, signer: string) =>
    run("fleet", "check", rows, "--statement", "committed/fleet-commitment.dsse.json", "--signer", signer);
  const refuted = check("bent.rows", "auditor.vkey");
  assert.is(refuted.status, 20);
  assert.match(refuted.stderr, /\[inclusion-mismatch\]/);
  run("keygen", "auditor", "--plain", "--quiet", "-o", "other.key");
  const unknown = check("committed/mercy.rows", "other.vkey");
  assert.is(unknown.status, 21);
  assert.match(unknown.stderr, /\[unknown-signer\]/);
});

const privacy = suite("no personal data");

/** Every file of a folder, as latin1 text; base64 in it decoded beside it, twice over. */
function everything(path: string): string {
  const files = readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, path: before, name }) => readFileSync(join(parentPath ?? before, name), "latin1"));
  let all = files.join("\n");
  for (let depth = 0, more = all; depth < 3; depth++) {
    more = [...more.matchAll(/[A-Za-z0-9+/_-]{24,}={0,2}/g)]
      .map(([found]) => Buffer.from(found, "base64").toString("latin1"))
      .join("\n");
    all += more;
  }
  return all;
}

const spellings = (secret: string) => {
  const bytes = Buffer.from(secret);
  const hash = createHash("sha256").update(bytes).digest();
  const forms = [bytes, hash].flatMap((b) => [
    b.toString("latin1"),
    b.toString("hex"),
    b.toString("base64").replace(/=+$/, ""),
    b.toString("base64url"),
  ]);
  return [...new Set([...forms, secret.toLowerCase()])];
};

/** Which of the secrets stand anywhere in a text, in any spelling: every offset is looked at once. */
function foundIn(all: string, secrets: readonly string[]): string[] {
  const HEAD = 6;
  const byHead = new Map<string, string[]>();
  for (const form of secrets.flatMap(spellings))
    byHead.set(form.slice(0, HEAD), [...(byHead.get(form.slice(0, HEAD)) ?? []), form]);
  const found = new Set<string>();
  for (let at = 0; at + HEAD <= all.length; at++)
    for (const form of byHead.get(all.slice(at, at + HEAD)) ?? [])
      if (all.startsWith(form, at)) found.add(form);
  return [...found];
}

privacy(
  "no serial number, name or key that would tell a device reaches log or ledger, not even as a plain hash",
  () => {
    const secrets = WARDS.flatMap(lines).flatMap((line) => {
      const { enrolment, evidence } = parseDevice(line);
      const statement = parseStatement(parseEnvelope(enrolment).payload);
      if (statement.kind !== "enrolment") throw new Error("no enrolment");
      const { serial, ueid, publicKey } = statement;
      return [
        serial,
        ueid,
        ueid.slice(2),
        toHex(publicKey),
        `(01)09506000134352(21)${serial}`,
        toHex(evidence).slice(-128),
      ];
    });
    assert.is(secrets.length, 199 * 6);
    run("log", "add", "pumps/log", "committed/fleet-commitment.dsse.json");
    for (const where of ["pumps/log", "pumps/ledger", "committed-public"]) {
      if (where === "committed-public") {
        mkdirSync(join(folder, where));
        cpSync(join(folder, "committed/fleet-commitment.dsse.json"), join(folder, where, "s.json"));
      }
      const all = everything(join(folder, where));
      assert.ok(all.length > 100);
      for (const secret of secrets)
        for (const form of spellings(secret)) assert.not(all.includes(form), `${where} holds ${secret}`);
      for (const ward of ["st-anne", "mercy", "lakeside"]) assert.not(all.includes(ward));
    }
    // The scan would find what it looks for: it does in the owner's own files.
    mkdirSync(join(folder, "one-ward"));
    cpSync(join(folder, WARDS[0]!), join(folder, "one-ward/devices"));
    assert.ok(foundIn(everything(join(folder, "one-ward")), secrets).length > 100);
  },
);

privacy.after(() => fleet.remove());

test("context lines come first, once a release, and the summary last", () => {
  const kinds = linesOf(whole.stdout).map(({ kind }) => kind);
  assert.equal(kinds.slice(0, 4), Array(4).fill("context"));
  assert.is(kinds.at(-1), "summary");
  assert.ok(existsSync(folder));
});

test.run();
store.run();
owners.run();
privacy.run();
