// Logs, and keys that a policy distrusts from a time on: what the monitor, `log check`, `log prove`, `log read` and
// `verify --fraud` make of what such a key signed before, and after.

import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { trustedAt } from "@vouch/shared/distrust";
import { addSignature, formatEnvelope, IN_TOTO, pae } from "@vouch/shared/dsse";
import { formatStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkLog } from "../src/commands/log-check";
import { printFraud } from "../src/commands/verify-fraud";
import { nodeCrypto } from "../src/crypto";
import { statusOf } from "../src/exit";
import { initDirectoryLedger, openDirectoryLedger } from "../src/ledger/directory";
import { recordNote } from "../src/ledger/ledger";
import { storeAnchor } from "../src/log/anchors";
import { addToLog } from "../src/log/store";
import { inFolder, NOON, newSigner, refuses, smallRecord, type TestSigner, vouch } from "./maker-kit";
import { memoryIo } from "./memory-io";
import {
  type Change,
  cosigned,
  fastFolder,
  ledgerKey,
  logSigner,
  makeHistory,
  noteIn,
  policyOf,
  recordOf,
  runMonitor,
  station,
  type TestWitness,
} from "./monitor-kit";

const distrust = suite("logs and distrusted keys");

const folder = fastFolder("distrusted");
const path = (name: string) => join(folder, name);
const END = NOON + 3600;
const [W, alice, bob] = ["w.example", "alice", "bob"].map(newSigner) as [TestSigner, TestSigner, TestSigner];
const ends = (signer: TestSigner, type: 1 | 4 = 1) =>
  `distrust ${formatVkey(makeVkey(signer.name, type, signer.publicKey))} ${isoTime(END)}`;
const LOG_ENDS = ends(logSigner);
const at = (
  time: number,
  lines: readonly string[] = [LOG_ENDS],
  witnesses: readonly TestWitness[] = [],
): Change => ({
  policy: policyOf(witnesses, lines),
  now: () => time,
});

let real: (size: number) => string;
let fork: (size: number) => string;
let states = 0;
const newState = () => path(`state-${++states}`);

distrust.before(async () => {
  real = await makeHistory(folder, "real", 8, (n) => recordOf(0, n));
  fork = await makeHistory(folder, "fork", 8, (n) => recordOf(1, n), { log: real(3), at: 3 });
  await initDirectoryLedger(path("ledger"), undefined, ledgerKey, NOON);
});
distrust.after(() => rmSync(folder, { recursive: true, force: true }));

let copies = 0;
/** A copy of a log with a receipt for an earlier note of it. */
async function anchored(log: string, note: Uint8Array, time: number): Promise<string> {
  const copy = path(`copy-${++copies}`);
  cpSync(log, copy, { recursive: true });
  // A ledger of its own: time goes on in one.
  const where = path(`ledger-${copies}`);
  await initDirectoryLedger(where, undefined, ledgerKey, NOON - 10);
  const { receipt } = await recordNote(openDirectoryLedger(where, ledgerKey), note, ledgerKey, time);
  storeAnchor(copy, note, "directory", receipt);
  return copy;
}

distrust(
  "a monitor reads on along nothing that a distrusted log key signed, and what it saw before stands",
  async () => {
    const state = newState();
    assert.equal((await runMonitor(state, [real(5)], at(NOON))).codes, []);
    assert.equal((await runMonitor(state, [real(5)], at(END))).codes, [], "it was there before");
    const late = await runMonitor(state, [real(7)], at(END));
    assert.equal(
      late.told.map(({ code, level }) => [code, level]),
      [["log-distrusted", "unsure"]],
    );
    assert.is(late.pass.size, 5n);
    assert.equal((await runMonitor(state, [real(7)], at(END + 9))).codes, [], "once");
    const back = await runMonitor(state, [real(5), real(7)], at(END + 9999));
    assert.equal(back.codes, [], "and nobody is behind it");
    assert.is(back.pass.worst, "unsure");
  },
);

distrust("one that begins afterwards reads what a ledger had before, whole", async () => {
  for (const [what, log, note, time, size] of [
    ["never anchored", real(5), null, 0, 0n],
    ["anchored a second before", real(5), real(5), END - 1, 5n],
    ["anchored that very second", real(5), real(5), END, 0n],
    ["anchored before, and grown since", real(7), real(5), END - 1, 0n],
    ["another history anchored before", real(5), fork(5), END - 1, 0n],
  ] as const) {
    const place = note === null ? log : await anchored(log, noteIn(note), time);
    const { pass, codes } = await runMonitor(newState(), [place], at(END));
    assert.is(pass.size, size, what);
    assert.is(codes.includes("log-distrusted"), size === 0n, `${what}: ${codes}`);
    const trusted = await runMonitor(newState(), [place], at(END - 1));
    assert.not(trusted.codes.includes("log-distrusted"), what);
    const both = at(END, [LOG_ENDS, ends(ledgerKey, 4)]);
    assert.is(
      (await runMonitor(newState(), [place], both)).pass.size,
      0n,
      `${what}, by a ledger that ended too`,
    );
  }
});

distrust("two histories by a distrusted key are proved, and it is said whose they may be", async () => {
  const state = newState();
  await runMonitor(state, [real(5)], at(NOON));
  const { told, pass } = await runMonitor(state, [real(5), fork(5)], at(END));
  assert.equal(
    told.map(({ code }) => code),
    ["log-forked"],
  );
  assert.match(
    told[0]!.message,
    /the policy distrusts that key since 2026-01-15T..:..:..Z: others may have it/,
  );
  assert.is(pass.worst, "fraud");
});

distrust("checkpoints from elsewhere by such a key wait for nothing, also those that waited", async () => {
  const state = newState();
  const friend: Change = { compare: [{ from: "a friend", note: noteIn(fork(8)) }] };
  assert.equal((await runMonitor(state, [real(5)], { ...at(NOON), ...friend })).codes, ["log-behind"]);
  const { codes, pass } = await runMonitor(state, [real(5)], at(END));
  assert.equal(codes, ["log-distrusted"]);
  assert.equal(
    pass.unasked.map(({ code }) => code),
    [],
    "both are of the friend, of whom it is told now",
  );
  const given = await runMonitor(newState(), [real(5)], { ...at(END - 1), ...friend });
  assert.equal(given.codes, ["log-behind"], "not yet");
});

const makers = [
  `approver alice eng ${formatVkey(alice.vkey)}`,
  `approver bob qa ${formatVkey(bob.vkey)}`,
  "approve pump 2 qa",
];

distrust("the successor of a distrusted log key is believed, with all that came before it", async () => {
  const next = newSigner("log.example");
  const payload = formatStatement({
    kind: "rotation",
    role: "log",
    log: "log.example",
    from: 6,
    old: formatVkey(logSigner.vkey),
    new: formatVkey(next.vkey),
    reason: "leaked",
    created: isoTime(NOON),
  });
  let envelope = { payloadType: IN_TOTO, payload, signatures: [] } as Parameters<typeof addSignature>[0];
  for (const signer of [alice, bob])
    envelope = addSignature(envelope, signer.publicKey, await signer.sign(pae(IN_TOTO, payload)), nodeCrypto);
  const log = await anchored(real(5), noteIn(real(4)), END + 5); // by the old key, and late
  const policy = policyOf([], makers);
  await addToLog(log, [formatEnvelope(envelope)], next, 5, null, policy);
  await addToLog(log, [await smallRecord(station, 99)], next, 5, null, policy);
  const lines = [...makers, LOG_ENDS];
  for (const state of [newState(), path("state-seen")]) {
    if (state.endsWith("seen")) await runMonitor(state, [real(3)], at(NOON, lines));
    const { codes, pass } = await runMonitor(state, [log], at(END + 9, lines));
    assert.equal(codes, ["key-changed"]);
    assert.is(pass.size, 7n);
    const beside = await runMonitor(state, [log, real(5)], at(END + 9, lines));
    assert.equal(beside.codes, [], "an old copy is a beginning of what the successor signed");
    const ended = await runMonitor(state, [log], at(END + 9, [...lines, ends(bob)]));
    assert.equal(ended.codes, [], "a change that counted when it was read");
  }
  const never = await runMonitor(newState(), [log], at(END + 9, [...lines, ends(bob)]));
  assert.equal(
    never.codes,
    ["unknown-log", "log-distrusted"],
    "one that is read when its approver is nobody, and the anchor of before",
  );
  assert.is(checkLog(log, trustedAt(policyOf([], lines), END + 9)).distrusted, null);
});

distrust(
  "a witness that a policy distrusts counts for no quorum, isn't asked, and proves nothing",
  async () => {
    let asked = 0;
    const server = createServer((_request, response) => {
      asked++;
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      const look = (state: string, place: string, time: number) => {
        const change = at(time, [ends(W, 4)], [{ name: "w", signer: W, url }]);
        return runMonitor(state, [place], { ...change, policy: { ...change.policy!, quorum: "w" } });
      };
      const state = newState();
      const place = path("cosigned");
      const show = async (log: string, time: number) => {
        cpSync(log, place, { recursive: true });
        writeFileSync(join(place, "checkpoint"), await cosigned(noteIn(log), W, time));
        return place;
      };
      assert.equal((await look(state, await show(real(7), NOON), NOON)).codes, []);
      assert.is(asked, 1);
      assert.equal((await look(state, place, END)).codes, ["quorum-missing"]);
      assert.is(asked, 1, "it isn't asked any more");
      const smaller = await look(state, await show(real(5), NOON + 60), END);
      assert.equal(smaller.codes, ["checkpoint-shrunk"], "whoever has its key can have it go back");
    } finally {
      server.closeAllConnections();
      server.close();
    }
  },
);

distrust("records by a distrusted enroller are told, unless they were read or anchored before", async () => {
  const lines = [ends(station)];
  const late = await runMonitor(newState(), [real(3)], at(END, lines));
  assert.equal(late.codes, ["signer-distrusted", "signer-distrusted", "signer-distrusted"]);
  const state = newState();
  assert.equal((await runMonitor(state, [real(2)], at(NOON, lines))).codes, []);
  assert.equal((await runMonitor(state, [real(3)], at(END, lines))).codes, ["signer-distrusted"]);
  const place = await anchored(real(3), noteIn(real(2)), END - 1);
  const { told } = await runMonitor(newState(), [place], at(END, lines));
  assert.equal(
    told.map(({ code, index }) => [code, index]),
    [["signer-distrusted", 2]],
  );
});

distrust("log check: 21 for a distrusted key, unless a ledger had this very checkpoint before", async () => {
  const policy = (...lines: string[]) => trustedAt(policyOf([], lines), END);
  const checked = (log: string, ...lines: string[]) => checkLog(log, policy(...lines)).distrusted;
  const good = await anchored(real(5), noteIn(real(5)), END - 1);
  assert.is(checked(real(5)), null);
  assert.is(checked(good), null);
  assert.is(checked(good, LOG_ENDS), END);
  for (const [what, log, lines, hint] of [
    ["never anchored", real(5), [LOG_ENDS], /^$/],
    ["anchored that second", await anchored(real(5), noteIn(real(5)), END), [LOG_ENDS], /^$/],
    [
      "grown since",
      await anchored(real(7), noteIn(real(5)), END - 1),
      [LOG_ENDS],
      /^a ledger had the first 5 records at 2026-01-15T/,
    ],
    ["by a ledger that ended too", good, [LOG_ENDS, ends(ledgerKey, 4)], /^$/],
  ] as const) {
    const error = await refuses("log-distrusted", () => checkLog(log, policy(...lines)));
    assert.is(statusOf(error), 21, what);
    assert.match((error as { hint?: string }).hint ?? "", hint, what);
  }
});

distrust("log check: an anchored note that the log's key didn't sign is no anchor of this log", async () => {
  const text = new TextDecoder().decode(noteIn(real(5)));
  const forged = text.replace(/(.)(.{9}\n)$/, (_, c, end) => `${c === "A" ? "B" : "A"}${end}`);
  const log = await anchored(real(5), new TextEncoder().encode(forged), NOON);
  await refuses("bad-signature", () => checkLog(log, policyOf()));
  assert.is(checkLog(log, null).anchors.length, 1, "without a policy nobody knows the key");
});

distrust("log check: an anchored note without its receipt is compared as well", async () => {
  for (const [note, code] of [
    [fork(5), "log-forked"],
    [real(8), "log-forked"],
    [real(4), ""],
  ] as const) {
    const log = path(`copy-${++copies}`);
    cpSync(real(6), log, { recursive: true });
    const size = note.slice(-1);
    mkdirSync(join(log, "anchors", size), { recursive: true });
    writeFileSync(join(log, "anchors", size, "checkpoint"), noteIn(note));
    if (code === "") assert.is(checkLog(log, policyOf()).log.size, 6n);
    else await inFolder(folder, () => refuses(code, () => checkLog(log, policyOf())));
    const bare = `${new TextDecoder().decode(noteIn(note)).split("\n\n")[0]}\n\n— log.example AAAAAAA=\n`;
    writeFileSync(join(log, "anchors", size, "checkpoint"), bare);
    await refuses("log-damaged", () => checkLog(log, policyOf()));
  }
});

distrust("log prove, log read and verify --fraud, as commands", async () => {
  const lines = (...more: string[]) => `log ${formatVkey(logSigner.vkey)}\nquorum none\n${more.join("\n")}\n`;
  writeFileSync(path("ended.policy"), lines(LOG_ENDS));
  writeFileSync(path("good.policy"), lines());
  for (const verb of ["prove", "read"]) {
    const args = ["log", verb, real(5), "1", "-o", path(`out.${verb}`), "--policy"];
    assert.is((await vouch([...args, path("good.policy")])).exitCode, 0);
    const io = await vouch([...args, path("ended.policy")]);
    assert.is(io.exitCode, 21, io.err());
    assert.match(io.err(), /\[log-distrusted\]$/m);
  }
  const state = newState();
  await runMonitor(state, [real(5)], at(NOON, []));
  const { told } = await runMonitor(state, [fork(5)], { ...at(NOON, []), fraudOut: path("split.json") });
  const proof = told[0]!.proof!;
  const ask = (policy: string, json: boolean) => {
    const io = memoryIo();
    io.json = json;
    printFraud({ fraud: proof, policy: path(policy) }, END, io);
    assert.is(io.exitCode, 0, "the key has signed both, whoever has it");
    return io.out();
  };
  assert.match(
    ask("ended.policy", false),
    /^distrusted +log\.example since 2026-01-15T..:..:..Z: others may have/m,
  );
  assert.match(ask("ended.policy", false), /^fraud proven/m);
  assert.equal(JSON.parse(ask("ended.policy", true)).distrusted, [
    { name: "log.example", since: isoTime(END) },
  ]);
  assert.equal(JSON.parse(ask("good.policy", true)).distrusted, []);
});
distrust.run();
