// Records about keys in a log on disk: who may put them there, what a kill at any instant
// leaves, and what everybody who appends then obeys.

import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { addSignature, formatEnvelope, IN_TOTO, pae } from "@vouch/shared/dsse";
import type { KeyStatement } from "@vouch/shared/keychange";
import { parseNote } from "@vouch/shared/note";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { formatStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkLog } from "../src/commands/log-check";
import { newClosing } from "../src/commands/log-close";
import { cosignFromFiles } from "../src/commands/log-witnesses";
import { newStatus } from "../src/commands/status";
import { cosigningOverHttp } from "../src/commands/witnesses";
import { nodeCrypto } from "../src/crypto";
import { keptKeyRecords } from "../src/log/keys";
import { readPending } from "../src/log/pending";
import { addToLog, initLog, openLog } from "../src/log/store";
import {
  addUnder,
  alice,
  bob,
  enroller,
  line,
  log,
  log2,
  newLogIn,
  policyWith,
  rotation,
  signed,
} from "./keychange-kit";
import { NOON, newFolder, newSigner, refuses, smallRecord, type TestSigner, withCut } from "./maker-kit";
import { lineBy, witnessKeyOf } from "./witness-kit";

const keys = suite("key records");

const folder = newFolder("keys");
keys.after(() => rmSync(folder, { recursive: true }));

const named = (name: string) => newSigner(name);
const [alice2, status, status2] = [named("alice2"), named("status"), named("status2")];
const policy = policyWith(`status ${line(status)}\nenroller ${line(enroller)}\n`);
const newLog = (size: number) => newLogIn(folder, size);
const add = (path: string, record: Uint8Array, signer: TestSigner) => addUnder(policy, path, record, signer);

keys("a rotation enters by the policy's approvers alone, and only after what it follows", async () => {
  const path = await newLog(3);
  const both = await signed(rotation("approver", 4, alice, alice2), alice, bob);
  await refuses("policy-needed", () => addToLog(path, [both], log));
  const alone = await signed(rotation("approver", 4, alice, alice2), alice);
  await refuses("approvals-missing", () => add(path, alone, log));
  const late = await signed(rotation("approver", 3, alice, alice2), alice, bob);
  await refuses("rotation-overreach", () => add(path, late, log));
  const stranger = await signed(rotation("approver", 4, alice, alice2), alice, status);
  await refuses("approvals-missing", () => add(path, stranger, log));
  assert.is(openLog(path).size, 3n);
  assert.is((await add(path, both, log)).records[0]?.index, 3n);
  assert.equal(readdirSync(join(path, "keys")), ["3.dsse.json"]);
  const again = await signed(rotation("approver", 9, alice, status2), alice, bob);
  await refuses("key-replaced", () => add(path, again, log));
  const rival = await signed(rotation("approver", 9, alice, status2), alice2, bob);
  await refuses("rotation-conflict", () => add(path, rival, log));
});

keys("a policy of another log doesn't open this one", async () => {
  const path = join(folder, "other");
  const other = named("other.example");
  await initLog(path, undefined, other);
  const record = await signed(rotation("approver", 1, alice, alice2), alice, bob);
  await refuses("wrong-log-key", () => add(path, record, other));
});

keys("from its size on the log is the new key's, the rotation itself included", async () => {
  const path = await newLog(2);
  const record = await signed(rotation("log", 3, log, log2), alice, bob);
  await refuses("wrong-log-key", () => add(path, record, log));
  await add(path, record, log2);
  const next = await smallRecord(enroller, 7);
  await refuses("wrong-log-key", () => addToLog(path, [next], log));
  await addToLog(path, [next], log2);
  assert.is(checkLog(path, policy).log.size, 4n);
});

keys("until its size the log is the old key's", async () => {
  const path = await newLog(2);
  await add(path, await signed(rotation("log", 5, log, log2), alice, bob), log);
  await refuses("wrong-log-key", async () => addToLog(path, [await smallRecord(enroller, 8)], log2));
  await addToLog(path, [await smallRecord(enroller, 8)], log);
  checkLog(path, policy);
  await refuses("wrong-log-key", async () => addToLog(path, [await smallRecord(enroller, 9)], log));
  await addToLog(path, [await smallRecord(enroller, 9)], log2);
  checkLog(path, policy);
});

keys(
  "a kill at any instant leaves the log before the rotation or after it, and the next append works",
  async () => {
    const record = await signed(rotation("approver", 4, alice, alice2), alice, bob);
    const other = await smallRecord(enroller, 99);
    const base = await newLog(3);
    for (const torn of [false, true])
      for (let cut = 0; ; cut++) {
        const path = join(folder, `cut-${torn}-${cut}`);
        cpSync(base, path, { recursive: true });
        const { finished } = await withCut(cut, torn, () => add(path, record, log));
        const { size } = openLog(path);
        assert.is(keptKeyRecords(openLog(path)).length, size === 4n ? 1 : 0, `cut ${cut}`);
        // Something else takes the place that the rotation would have had.
        await addToLog(path, [other], log);
        assert.is(checkLog(path, policy).keys.length, size === 4n ? 1 : 0, `cut ${cut}`);
        if (finished) break;
      }
  },
);

keys("`log check` finds a kept record that is lost, bent, or was never a record", async () => {
  const path = await newLog(1);
  const record = await signed(rotation("approver", 2, alice, alice2), alice, bob);
  await add(path, record, log);
  const kept = join(path, "keys/1.dsse.json");
  rmSync(kept);
  await refuses("log-damaged", () => checkLog(path, policy));
  writeFileSync(kept, await signed(rotation("approver", 2, alice, status2), alice, bob));
  await refuses("log-damaged", () => checkLog(path, policy));
  writeFileSync(kept, record);
  writeFileSync(join(path, "keys/0.dsse.json"), openLog(path).entry(0n));
  await refuses("log-damaged", () => checkLog(path, policy));
  rmSync(join(path, "keys/0.dsse.json"));
  assert.equal(checkLog(path, policy).keys, [
    "record 1: approver alice is replaced by alice2 from size 2 on",
  ]);
});

keys("a closing is for this log at this size, and nothing follows it", async () => {
  const path = await newLog(3);
  const successor = makeVkey("log.example/2027", 1, log2.publicKey);
  const closing = newClosing(path, successor, "one log a year", NOON);
  const wrong: [string, KeyStatement, string][] = [
    ["another size", { ...closing, size: 2 }, "closing-misplaced"],
    ["another root", { ...closing, rootSha256: "11".repeat(32) }, "closing-misplaced"],
    ["another log", { ...closing, origin: "log.example/2025" }, "closing-misplaced"],
  ];
  for (const [, statement, code] of wrong) {
    const record = await signed(statement, alice, bob);
    await refuses(code, () => add(path, record, log));
  }
  const record = await signed(closing, alice, bob);
  const follows = await smallRecord(enroller, 50);
  await refuses("closing-misplaced", () => addToLog(path, [record, follows], log, 5, null, policy));
  await add(path, record, log);
  await refuses("log-closed", () => addToLog(path, [follows], log));
  await refuses("log-closed", () => newClosing(path, successor, "again", NOON));
  assert.is(
    (await add(path, record, log)).records[0]?.added,
    false,
    "what is there already may be asked for",
  );
  assert.equal(checkLog(path, policy).keys, ["record 3: closed, log.example/2027 goes on"]);
});

keys("a status lists what counts, under the policy's keys of each place, and never drops it", async () => {
  const path = await newLog(0);
  const release = formatStatement({
    kind: "release",
    subjects: [{ name: "app", sha256: "11".repeat(32) }],
    product: "pump",
    version: "1.0.0",
    securityVersion: 1,
    floor: 1,
    hardware: { model: "P", revisions: ["A"] },
    entry: { offset: 0, length: 1 },
    suitDigest: "22".repeat(32),
    changeClass: "patch",
    created: isoTime(NOON),
  });
  const envelope = { payloadType: IN_TOTO, payload: release, signatures: [] };
  const approved = addSignature(envelope, bob.publicKey, await bob.sign(pae(IN_TOTO, release)), nodeCrypto);
  await addToLog(path, [formatEnvelope(approved)], log);
  const ask = (signer: TestSigner, by = policy) =>
    newStatus({ log: path, product: "pump", withdraw: [], policy: by }, signer, NOON);
  const plain = (await ask(status)).statement;
  assert.equal([plain.rotations, plain.revocations], [undefined, undefined]);

  await add(path, await signed(rotation("status", 2, status, status2), alice, bob), log);
  const device = (since: number): KeyStatement => ({
    kind: "revocation",
    keySha256: toHex(nodeCrypto.sha256(utf8Encode("device"))),
    product: "pump",
    since: isoTime(since),
    reason: "stolen",
    created: isoTime(NOON),
  });
  await add(path, await signed(device(NOON - 10), alice, bob), log);
  await add(path, await signed(device(NOON - 99), alice, bob), log);
  await add(path, await signed({ ...device(NOON - 99), product: "other" } as KeyStatement, alice, bob), log);
  const { statement, bytes } = await ask(status2);
  assert.equal(
    statement.rotations?.map(({ index }) => index),
    [1],
  );
  assert.equal(
    statement.revocations?.map(({ index }) => index),
    [3],
    "of two the one that reaches back further, and of this product",
  );
  await addToLog(path, [bytes], log);
  assert.equal((await ask(status2)).remarks, []);

  // The old status key's word counts no more, and isn't taken in.
  const old = (await ask(status)).bytes;
  await refuses("key-replaced", () => addToLog(path, [old], log));

  // A policy under which the change doesn't count would drop it.
  const narrow = parsePolicy(
    utf8Encode(
      `log ${line(log)}\nquorum none\napprover carol qa ${line(alice2)}\napprove pump 1 qa\nstatus ${line(status2)}\n`,
    ),
    nodeCrypto,
  );
  const error = await refuses("status-drops-key-change", () => ask(status2, narrow));
  assert.match(error.message, /lists record 1, about a key/);
});

keys("nothing of it touches a log without such records", async () => {
  const path = await newLog(2);
  assert.not(existsSync(join(path, "keys")));
  assert.ok(readFileSync(join(path, "checkpoint")).length > 0);
  const { keys: told } = checkLog(path, null);
  assert.equal(told, []);
});

keys("many at once obey the changes of keys, and are none themselves", async () => {
  const path = await newLog(3);
  const many = await Promise.all(Array.from({ length: 300 }, (_, i) => smallRecord(enroller, 1000 + i)));
  const record = await signed(rotation("log", 5, log, log2), alice, bob);
  await refuses("not-in-bulk", () => addToLog(path, [...many, record], log, 5, null, policy));
  assert.is(openLog(path).size, 3n);
  await add(path, record, log);
  await refuses("wrong-log-key", () => addToLog(path, many, log));
  // What an append that was cut short has left would stand for a record of theirs.
  cpSync(join(path, "keys/3.dsse.json"), join(path, "keys/9.dsse.json"));
  await addToLog(path, [...many, record], log2);
  assert.equal(readdirSync(join(path, "keys")), ["3.dsse.json"]);
  const { log: grown, keys: told } = checkLog(path, policy);
  assert.is(grown.size, 304n);
  assert.is(told.length, 1);
  const gone = await signed(rotation("status", 305, status, status2), alice, bob);
  await add(path, gone, log2);
  const old = await smallRecord(status, 1);
  const more = await Promise.all(Array.from({ length: 300 }, (_, i) => smallRecord(enroller, 2000 + i)));
  await refuses("key-replaced", () => addToLog(path, [...more, old], log2));
  const end = newClosing(path, named("next.example").vkey, "moved", NOON);
  await add(path, await signed(end, alice, bob), log2);
  await refuses("log-closed", () => addToLog(path, more, log2));
  assert.is((await addToLog(path, many, log2)).records[299]?.index, 303n, "what is there already is no news");
});

keys("who speaks for the log finds a kept record that is lost", async () => {
  const path = await newLog(1);
  await add(path, await signed(rotation("approver", 2, alice, alice2), alice, bob), log);
  rmSync(join(path, "keys/1.dsse.json"));
  await refuses("log-damaged", () =>
    newStatus({ log: path, product: "pump", withdraw: [], policy }, status, NOON),
  );
});

/** The policy with a witness that no network reaches, which must cosign. */
const vault = named("vault.example");
const witnessed: Policy = {
  ...policy,
  ...policyWith("", `witness vault ${formatVkey(witnessKeyOf(vault))}\nquorum vault\n`),
};

async function addWitnessed(path: string, record: Uint8Array, signer: TestSigner) {
  const cosigning = cosigningOverHttp(witnessed, { timeoutMs: 1000, now: () => NOON });
  try {
    return await addToLog(path, [record], signer, 5, cosigning, witnessed);
  } finally {
    cosigning.close();
  }
}

/** Takes what waits to the witness, and back. */
async function finish(path: string) {
  const pending = readPending(openLog(path));
  if (pending === null) return false;
  const file = join(folder, "vault.line");
  writeFileSync(file, `${await lineBy(vault, parseNote(pending.note).text, NOON)}\n`);
  await cosignFromFiles(path, [file], witnessed, 5);
  return true;
}

keys("a change of the log's key that waits for witnesses is one once it is published", async () => {
  const path = await newLog(2);
  const record = await signed(rotation("log", 3, log, log2), alice, bob);
  await refuses("quorum-missing", () => addWitnessed(path, record, log2));
  assert.equal(keptKeyRecords(openLog(path)), []);
  const next = await smallRecord(enroller, 7);
  await refuses("log-pending", () => addToLog(path, [next], log2));
  await refuses("quorum-missing", () => addWitnessed(path, next, log)); // what waits comes first, and is signed
  assert.ok(await finish(path));
  assert.is(keptKeyRecords(openLog(path)).length, 1);
  checkLog(path, witnessed);
  await refuses("wrong-log-key", () => addWitnessed(path, next, log));
  await refuses("quorum-missing", () => addWitnessed(path, next, log2));
  assert.ok(await finish(path));
  assert.is(checkLog(path, witnessed).log.size, 4n);
});

keys("a witness whose key was replaced counts by the new one", async () => {
  const path = await newLog(2);
  const heir = named("heir.example");
  const change = {
    ...rotation("log", 3, log, log2),
    role: "witness" as const,
    old: formatVkey(witnessKeyOf(vault)),
    new: formatVkey(witnessKeyOf(heir)),
  };
  await refuses("quorum-missing", async () => addWitnessed(path, await signed(change, alice, bob), log));
  await refuses("unknown-cosigner", () => finish(path));
  const file = join(folder, "heir.line");
  writeFileSync(file, `${await lineBy(heir, parseNote(readPending(openLog(path))!.note).text, NOON)}\n`);
  const { cosigned } = await cosignFromFiles(path, [file], witnessed, 5);
  assert.equal(cosigned, ["vault"]);
});

keys("a kill while a change of keys waits for witnesses leaves all of it, or nothing", async () => {
  const record = await signed(rotation("log", 4, log, log2), alice, bob);
  const other = await smallRecord(enroller, 99);
  const base = await newLog(3);
  const seen = new Set<boolean>();
  for (const torn of [false, true])
    for (let cut = 0; ; cut++) {
      const path = join(folder, `waits-${torn}-${cut}`);
      cpSync(base, path, { recursive: true });
      const { finished } = await withCut(cut, torn, async () => {
        await refuses("quorum-missing", () => addWitnessed(path, record, log2));
      });
      const changed = await finish(path);
      if (!changed) await addToLog(path, [other], log);
      seen.add(changed);
      const { log: grown, keys: told } = checkLog(path, changed ? witnessed : policy);
      assert.is(grown.size, 4n);
      assert.is(told.length, changed ? 1 : 0, `cut ${cut}`);
      await refuses("wrong-log-key", () => addToLog(path, [other, record], changed ? log : log2));
      if (finished) break;
    }
  assert.is(seen.size, 2);
});

keys.run();
