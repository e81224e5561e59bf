// What is in force: which images an advisory names, and what a new status lists of all that a log holds.

import { toHex } from "@vouch/shared/bytes";
import { formatEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import { parsePolicy } from "@vouch/shared/policy";
import { type AdvisoryStatement, parseStatement, type StatusStatement } from "@vouch/shared/statement";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { newAdvisory } from "../src/commands/advisory";
import { newRelease } from "../src/commands/release";
import { newStatus } from "../src/commands/status";
import { nodeCrypto } from "../src/crypto";
import { addToLog, initLog, openLog } from "../src/log/store";
import { draftEnvelope, signEnvelope, signStatement } from "../src/statementfile";
import { NOON, newSigner, refuses, saveSigner, vouchOk } from "./maker-kit";
import { advisoryStatement, at, folder, released, sha256Of, withImages } from "./pump-kit";

const maker = suite("maker's advisories and statuses");
withImages(maker);

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

maker.run();
