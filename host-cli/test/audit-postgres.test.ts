// The store in PostgreSQL, against a real server that this test starts in a folder of its own: schema,
// several auditors at once, passwords that never show. Debian: apt-get install postgresql.

import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { openPostgres } from "../src/audit/postgres";
import { demoFleet, recordsOf, summaryOf } from "./fleet-kit";
import { refuses } from "./maker-kit";
import { queryOnce, startCluster } from "./postgres-kit";

const test = suite("a store in PostgreSQL");

const cluster = await startCluster();
const VOUCH = resolve("host-cli/bin/vouch.mjs");

if (typeof cluster === "string") {
  for (const name of ["judges once", "several auditors", "reports", "passwords", "migrations"])
    skip(test, name, cluster);
  test.run();
} else {
  const fleet = await demoFleet();
  const { url } = cluster;

  const audit = (args: readonly string[], env: Record<string, string | undefined> = {}) =>
    new Promise<{ status: number | null; stdout: string; stderr: string }>((done) => {
      const child = spawn(process.execPath, [VOUCH, "audit", "pumps", "--policy", "pumps/policy", ...args], {
        cwd: fleet.folder,
        env: { ...process.env, ...env },
      });
      let [stdout, stderr] = ["", ""];
      child.stdout.setEncoding("utf8").on("data", (text: string) => {
        stdout += text;
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
      });
      child.on("close", (status) => done({ status, stdout, stderr }));
    });

  const query = (text: string) => queryOnce(url, text);

  const at = ["--at", new Date(fleet.now * 1000).toISOString().replace(/\.\d+Z$/, "Z"), "--json"];
  const withStore = ["--store", url, ...at];

  test("three auditors at once make one schema, and each gets the same answers", async () => {
    const ended = await Promise.all([1, 2, 3].map(() => audit(withStore)));
    const plain = await audit(at);
    for (const { status, stdout, stderr } of ended) {
      assert.is(status, 20, stderr);
      assert.equal(recordsOf(stdout), recordsOf(plain.stdout));
    }
    const [{ count } = {}] = await query("select count(*)::int as count from vouch_audit_record");
    assert.is(count, 200);
    const [{ versions } = {}] = await query("select count(*)::int as versions from vouch_audit_schema");
    assert.is(versions, 2);
  });

  test("what is wrong in it is put right by an audit with --fresh", async () => {
    await query(
      `update vouch_audit_record set line = replace(line, '"word":"refuted","product"', '"word":"unproven","product"')`,
    );
    const plain = recordsOf((await audit(at)).stdout);
    assert.not.equal(recordsOf((await audit(withStore)).stdout), plain);
    assert.equal(recordsOf((await audit([...withStore, "--fresh"])).stdout), plain);
    assert.equal(recordsOf((await audit(withStore)).stdout), plain);
  });

  test("the second audit judges nothing again, and SQL can read what was found", async () => {
    const { stdout } = await audit(withStore);
    assert.is(summaryOf(stdout).reused, 199); // all but the stray one, which stands in a file of its own
    const rows = await query(
      "select record->>'word' as word, count(*)::int as n from vouch_audit group by 1 order by 1",
    );
    assert.equal(rows, [
      { word: "patched", n: 187 },
      { word: "recalled", n: 2 },
      { word: "refuted", n: 2 },
      { word: "unproven", n: 5 },
      { word: "vulnerable", n: 4 },
    ]);
  });

  const report = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [VOUCH, "report", ...args, "--json"], {
      cwd: fleet.folder,
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  };

  test("a report of the database says what one of the lines says, but for where they were", async () => {
    writeFileSync(join(fleet.folder, "results.jsonl"), (await audit(at)).stdout);
    const [stored, printed] = [url, "results.jsonl"].map((from) => {
      const { status, stdout, stderr } = report(from);
      assert.is(status, 0, stderr);
      return JSON.parse(stdout) as Record<string, unknown> & { sources: { name: string }[] };
    });
    assert.is(stored!.sources[0]!.name, "PostgreSQL");
    const without = (data: object) => ({ ...data, sources: null, trend: null, notes: null });
    assert.equal(without(stored!), without(printed!));
    assert.equal(JSON.parse(report(url).stdout), stored);
    assert.not.ok(report(url).stdout.includes("auditor@"), "the address is not told");
  });

  test("an audit that was stopped before its summary is in the report", async () => {
    await query("create table kept as select * from vouch_audit_note");
    await query("delete from vouch_audit_note where line like '%audit-summary%'");
    const { status, stdout, stderr } = report(url);
    await query(
      "insert into vouch_audit_note (added, line) select added, line from kept where line like '%audit-summary%'",
    );
    await query("drop table kept");
    assert.is(status, 0, stderr);
    const { devices, metrics } = JSON.parse(stdout) as { devices: number; metrics: { patched: object } };
    assert.is(devices, 200);
    assert.equal(metrics.patched, { devices: 200, patched: 187 });
  });

  test("a report may be made by whoever may only read, and writes nothing", async () => {
    await query("create role reader login password 'correct-horse-battery'");
    await query("grant select on all tables in schema public to reader");
    assert.is(report(url.replace("auditor@", "reader@")).status, 0);
    await query("create database empty");
    const none = report(url.replace(/postgres$/, "empty"));
    assert.is(none.status, 1);
    assert.match(none.stderr, /no results \[evidence-missing\]/);
  });

  test("a row whose line is another record's is not believed", async () => {
    await query(
      'update vouch_audit_record set line = (select line from vouch_audit_record where line like \'%"word":"patched"%\' limit 1) where line like \'%"word":"recalled"%\'',
    );
    const { stdout } = await audit(withStore);
    assert.is(summaryOf(stdout).words["recalled"], 2);
  });

  for (const [name, store, env, code] of [
    ["a wrong password", url, { PGPASSWORD: "wrong-hunter2" }, "store-unreachable"],
    ["no password", url, { PGPASSWORD: "", PGPASSFILE: "/dev/null" }, "store-unreachable"],
    ["a password in the address", url.replace("auditor@", "auditor:hunter2@"), {}, "usage"],
    ["nobody listening", "postgres://auditor@127.0.0.1:1/postgres", {}, "store-unreachable"],
    ["no such database", url.replace(/postgres$/, "nowhere"), {}, "store-unreachable"],
  ] as const) {
    test(`${name}: ${code}, status 1, and no password shows`, async () => {
      const { status, stdout, stderr } = await audit(["--store", store, "--debug"], env);
      assert.is(status, 1);
      assert.match(stderr, new RegExp(`\\[${code}\\]`));
      assert.not.match(stdout + stderr, /hunter2|correct-horse/);
      assert.not.ok((stdout + stderr).includes(store), "the address is not repeated");
    });
  }

  test("a schema of a later program is refused", async () => {
    await query("insert into vouch_audit_schema values (99)");
    await refuses("unsupported-version", () => openPostgres(url, process.env));
    await query("delete from vouch_audit_schema where version = 99");
  });

  test("what a lost connection does is a refusal, not a crash", async () => {
    const store = await openPostgres(url, process.env);
    await query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'vouch'");
    await refuses("store-failed", () => store.find(["00".repeat(32)]));
    await store.close().catch(() => {});
  });

  test.after(() => {
    cluster.stop();
    fleet.remove();
  });
  test.run();
}
