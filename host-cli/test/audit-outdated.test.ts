// Devices that name a context which a newer one of their release in the same input contradicts: in whatever order and
// form they come, the summary counts them as what the newer one says, and nobody's bundle turns other people's devices
// but by what the maker signed and logged.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bundle, formatBundle } from "@vouch/shared/bundle";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { formatDevice } from "@vouch/shared/fleetform";
import { leafHash, memoryReader, proveInclusion } from "@vouch/shared/merkle";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { dsse, makeWorld, NOW, T0, type World } from "../../shared/test/world";
import { openFileStore } from "../src/audit/filestore";
import { findInputs } from "../src/audit/inputs";
import { makeJudge } from "../src/audit/judge";
import { localPool } from "../src/audit/pool";
import { runAudit } from "../src/audit/run";
import type { Store } from "../src/audit/store";
import { startTally } from "../src/audit/tally";
import { nodeCrypto } from "../src/crypto";
import type { Io } from "../src/io";
import { auditText } from "../src/output/audit";
import { linesOf, summaryOf } from "./fleet-kit";
import { contextWith } from "./report-kit";
import { makeAlone, vouch } from "./session";

const test = suite("outdated contexts");
const folder = mkdtempSync(join(tmpdir(), "vouch-outdated-"));

const old = makeWorld();
const listed = (affects: boolean, more: object = {}) => ({
  id: "ACME-2026-1",
  affects,
  listed: true,
  ...more,
});

const contextOf = ({ bundle }: World): Uint8Array => formatBundle({ ...bundle, devices: [] });
const lineFor = (context: Uint8Array, { devices: [device] }: Bundle): Uint8Array =>
  formatDevice({ context: toHex(nodeCrypto.sha256(context)), ...device! });
const text = (...items: readonly Uint8Array[]) => Buffer.concat(items.flatMap((i) => [i, Buffer.from("\n")]));

/** Audits files of these contents, in this order. */
async function audit(
  contents: Readonly<Record<string, Uint8Array>>,
  { store = null, brief = false }: { store?: Store | null; brief?: boolean } = {},
) {
  for (const [name, bytes] of Object.entries(contents)) writeFileSync(join(folder, name), bytes);
  const setup = { policy: utf8Encode(old.policyText), at: NOW, now: NOW, images: [], brief };
  const judge = makeJudge(setup);
  let printed = "";
  const outcome = await runAudit(
    {
      judge,
      pool: localPool(judge),
      store,
      fresh: false,
      inFlight: 0,
      print: brief ? null : (line) => (printed += `${line}\n`),
      progress: () => {},
    },
    findInputs(
      Object.keys(contents).map((name) => join(folder, name)),
      () => assert.unreachable(),
    ),
    [],
  );
  return { ...outcome, printed };
}

const before = contextOf(old);
const line = lineFor(before, old.bundle);
const vulnerable = makeWorld({ advisories: [listed(true)] });
const recalled = makeWorld({ advisories: [listed(false)], withdrawn: true });
const clear = makeWorld({
  advisories: [listed(false), listed(false, { id: "ACME-2026-2" }), listed(false, { id: "ACME-2026-3" })],
});

/** A context whose status knew of an advisory and doesn't list it: one that was taken back, for all it shows. */
function unlisted(): Uint8Array {
  let leaves: readonly Uint8Array[] = [];
  let index = -1;
  const world = makeWorld({
    before: {
      status(maker) {
        leaves = maker.leaves;
        index = maker.leaves.length;
        const statement = dsse(
          {
            kind: "advisory",
            subjects: [{ name: "app", sha256: toHex(nodeCrypto.sha256(old.app)) }],
            id: "ACME-2026-9",
            product: maker.product,
            advisoryKind: "security",
            state: "affected",
            fixedVersions: [],
            summary: "taken back since",
            created: isoTime(T0 - 600),
          },
          [maker.status],
        );
        maker.leaves.push(statement);
      },
    },
  });
  const reader = memoryReader(
    leaves.map((leaf) => leafHash(leaf, nodeCrypto)),
    nodeCrypto,
  );
  const proof = proveInclusion(BigInt(index), BigInt(leaves.length), reader, nodeCrypto);
  const advisories = [{ index: BigInt(index), statement: leaves[index]!, proof }];
  return formatBundle({ ...world.bundle, advisories, devices: [] });
}

for (const [name, contents, words] of [
  ["the older context alone: patched", { "1.vouch.json": before, "w.jsonl": text(line) }, { patched: 1 }],
  [
    "a newer one that holds an advisory, after it",
    { "1.vouch.json": before, "2.vouch.json": contextOf(vulnerable), "w.jsonl": text(line) },
    { vulnerable: 1 },
  ],
  [
    "a newer one, before it",
    { "1.vouch.json": contextOf(vulnerable), "2.vouch.json": before, "w.jsonl": text(line) },
    { vulnerable: 1 },
  ],
  [
    "a newer one after the rows, in one stream",
    { "w.jsonl": text(before, line, line, contextOf(vulnerable)) },
    { vulnerable: 2 },
  ],
  [
    "a newer one that withdraws the release",
    { "1.vouch.json": before, "2.vouch.json": contextOf(recalled), "w.jsonl": text(line) },
    { recalled: 1 },
  ],
  [
    "a newer one with a device of its own",
    { "1.vouch.json": before, "2.vouch.json": formatBundle(vulnerable.bundle), "w.jsonl": text(line) },
    { vulnerable: 2 },
  ],
  [
    "bundles with devices, the older of which is patched alone",
    { "1.vouch.json": formatBundle(old.bundle), "2.vouch.json": formatBundle(vulnerable.bundle) },
    { vulnerable: 2 },
  ],
  [
    "the newest one holds nothing against the release any more",
    { "w.jsonl": text(before, line, contextOf(vulnerable), contextOf(clear)) },
    { patched: 1 },
  ],
  [
    "an advisory that came after the status, of as large a log",
    {
      "w.jsonl": text(
        before,
        line,
        contextOf(makeWorld({ advisories: [{ ...listed(true), listed: false }] })),
      ),
    },
    { vulnerable: 1 },
  ],
  [
    "one under investigation",
    {
      "w.jsonl": text(
        before,
        line,
        contextOf(makeWorld({ advisories: [listed(true, { state: "under_investigation" })] })),
      ),
    },
    { unproven: 1 },
  ],
  [
    "an older one that is worse",
    { "w.jsonl": text(contextOf(clear), lineFor(contextOf(clear), clear.bundle), contextOf(vulnerable)) },
    { patched: 1 },
  ],
  [
    "another release's",
    {
      "w.jsonl": text(
        before,
        line,
        contextOf(makeWorld({ versions: ["2.4.2"], advisories: [listed(true)] })),
      ),
    },
    { patched: 1 },
  ],
  [
    "another maker's, whom the policy doesn't know",
    { "w.jsonl": text(before, line, contextOf(makeWorld({ seed: "mallory", advisories: [listed(true)] }))) },
    { patched: 1 },
  ],
  [
    "one whose advisory is not among its status's",
    { "w.jsonl": text(before, line, unlisted()) },
    { patched: 1 },
  ],
  [
    "one without the checkpoint's receipts",
    {
      "w.jsonl": text(
        before,
        line,
        formatBundle({
          ...vulnerable.bundle,
          devices: [],
          checkpoints: vulnerable.bundle.checkpoints.map((c) => ({ ...c, receipts: [] })),
        }),
      ),
    },
    { patched: 1 },
  ],
] as const) {
  test(`${name}: ${Object.keys(words)}`, async () => {
    for (const brief of [false, true]) {
      const { summary } = await audit(contents as Record<string, Uint8Array>, { brief });
      assert.equal(summary.words, words);
    }
  });
}

test("a context that decides nothing for others still counts for its own devices, and says why", async () => {
  const own = unlisted();
  const { contexts, summary } = await audit({ "w.jsonl": text(before, line, own, lineFor(own, old.bundle)) });
  assert.equal(
    contexts.map(({ word, flags }) => [word, flags]),
    [
      ["verified", []],
      ["vulnerable", ["UNLISTED_ADVISORY"]],
    ],
  );
  assert.is(summary.words["patched"], 1);
  assert.is(
    summary.words["patched"]! + (summary.words["vulnerable"] ?? 0) + (summary.words["refuted"] ?? 0),
    2,
  );
});

test("the summary and the text name sizes, count and next step, and the exit status is that of the newer context", async () => {
  const contents = { "w.jsonl": text(before, line, line, contextOf(vulnerable)) };
  const outcome = await audit(contents);
  const { summary, printed } = outcome;
  assert.equal([summary.word, summary.exit], ["vulnerable", 22]);
  assert.equal(summary.releases, [
    { product: "pump-400", release: "2.4.1", words: { vulnerable: 2 }, advisories: { "ACME-2026-1": 2 } },
  ]);
  assert.equal(summaryOf(printed), { kind: "summary", ...summary });
  const [outdated] = "outdated" in summary ? summary.outdated : [];
  const sizes = linesOf(printed).flatMap((l) => (l.kind === "context" ? [l.asOf?.logSize] : []));
  assert.equal([outdated?.code, outdated?.records], ["context-outdated", 2]);
  assert.equal([outdated?.from, outdated?.to, outdated?.size], [sizes[0], sizes[0], sizes[1]]);
  const io = { color: { stdout: false, stderr: false } } as Io;
  const shown = auditText({ ...summary, word: null }, outcome.exceptions, outcome.contexts, io);
  assert.match(shown, /^2 of 2 records not patched as of /);
  assert.match(
    shown,
    /^vulnerable +2 records +patched by a context as of log size \d+, and the one as of log size \d+ says of pump-400 2\.4\.1: vulnerable \[context-outdated\]$/m,
  );
  assert.not.match(shown, /more; --json lists all/);
});

test("rows that a store knows are counted so, when the newer context comes in a later audit only", async () => {
  const inStore = async (contents: Readonly<Record<string, Uint8Array>>) => {
    const store = await openFileStore(join(folder, "kept"), () => assert.unreachable());
    try {
      return (await audit(contents, { store })).summary;
    } finally {
      await store.close();
    }
  };
  assert.equal((await inStore({ "w.jsonl": text(before, line) })).words, { patched: 1 });
  const later = await inStore({ "w.jsonl": text(before, line, contextOf(vulnerable)) });
  assert.equal([later.reused, later.words, later.exit], [1, { vulnerable: 1 }, 22]);
});

test("who is patched by a context that decides nothing for others is patched, until a newer one says worse", () => {
  const tally = startTally();
  const own = contextWith({ flags: ["UNLISTED_ADVISORY"] }); // one under investigation, which the policy allows
  tally.context(own);
  tally.row("patched", own.context, null, false);
  const about = { at: "", policy: "", tool: "" };
  assert.equal([tally.summary(about).word, tally.summary(about).exit], ["patched", 0]);
  const finding = { code: "release-withdrawn", word: "recalled", claim: "advisories", message: "" } as const;
  const asOf = { logSize: 9999, time: null };
  tally.context(contextWith({ context: "ab".repeat(32), word: "recalled", reasons: [finding], asOf }));
  assert.equal([tally.summary(about).word, tally.summary(about).exit], ["recalled", 23]);
});

test("beyond a thousand releases nobody is called patched by the exit status", () => {
  const tally = startTally();
  const hex = (n: number) => n.toString(16).padStart(64, "0");
  for (let n = 0; n < 1100; n++) {
    tally.context(contextWith({ context: hex(n), release: `1.0.${n}` }));
    tally.row("patched", hex(n), null, false);
  }
  const summary = tally.summary({ at: "", policy: "", tool: "" });
  const { exit, trouble } = summary;
  assert.is(exit, 1);
  const io = { color: { stdout: false, stderr: false } } as Io;
  const shown = auditText(summary, [], [], io);
  assert.match(shown, "all 1100 records patched, some perhaps by an outdated context, as of");
  assert.not.match(shown, /^patched$/m);
  assert.equal(
    trouble.map(({ code }) => code),
    ["too-many-contexts"],
  );
});

test("devices of an early context are still its devices after a thousand others", () => {
  const tally = startTally();
  const hex = (n: number) => n.toString(16).padStart(64, "0");
  for (let n = 0; n < 3000; n++) tally.context(contextWith({ context: hex(n) }));
  tally.row("patched", hex(0), null, false);
  const { releases, exit } = tally.summary({ at: "", policy: "", tool: "" });
  assert.equal([releases[0]?.release, exit], ["2.4.1", 0]);
});

test("vouch, and the verifier that stands alone, say and end so; a report counts one device", () => {
  writeFileSync(join(folder, "policy"), old.policyText);
  writeFileSync(join(folder, "w.jsonl"), text(before, line, line, contextOf(vulnerable)));
  const args = ["audit", "w.jsonl", "--policy", "policy", "--at", isoTime(NOW)];
  const alone = makeAlone(folder);
  const [ours, theirs] = [vouch(folder, args), alone(folder, args)];
  for (const { status, stdout, stderr } of [ours, theirs]) {
    assert.is(status, 22, stderr);
    assert.match(stdout, /^2 of 2 records not patched as of /);
    assert.match(stdout, /\[context-outdated\]\n/);
    assert.match(stderr, /^vouch: hint: judge them with the newer bundle: /m);
  }
  assert.is(theirs.stdout, ours.stdout);
  writeFileSync(join(folder, "results.jsonl"), vouch(folder, [...args, "--json"]).stdout);
  const inspected = JSON.parse(vouch(folder, ["inspect", "results.jsonl", "--json"]).stdout);
  const told = JSON.stringify(inspected);
  assert.match(told, '"records":2,"words":{"patched":2},"summaries":[');
  assert.match(told, '"records":2,"word":"vulnerable","trouble":0,"outdated":2}');
  const report = (...more: string[]) => vouch(folder, ["report", "results.jsonl", ...more]).stdout;
  const data = JSON.parse(report("--json"));
  assert.equal(
    [data.word, data.words, data.metrics.patched],
    ["vulnerable", { vulnerable: 1 }, { devices: 1, patched: 0 }],
  );
  assert.equal([data.rows[0].reasons[0].code, data.rows[0].records], ["context-outdated", 2]);
  assert.match(report(), "1 of 1 device is not shown to be patched");
  assert.match(report(), "2 records of audits stand behind these 1 rows");
  assert.match(report("--csv", "-"), /^vulnerable,context-outdated advisory-in-force,.*,2$/m);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
