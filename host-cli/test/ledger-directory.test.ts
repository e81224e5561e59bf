import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex, utf8Decode, utf8Encode } from "@vouch/shared/bytes";
import { openCheckpoint } from "@vouch/shared/checkpoint";
import { cosignatureBytes, cosignedMessage } from "@vouch/shared/cosignature";
import { portableCrypto } from "@vouch/shared/crypto";
import { formatNote, parseNote, signatureLine } from "@vouch/shared/note";
import { parsePolicy } from "@vouch/shared/policy";
import { formatProof, parseProof } from "@vouch/shared/proof";
import { ledgerFor, verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { isRefusal } from "@vouch/shared/refusal";
import { formatVkey, makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anchorLog, openLedger } from "../src/commands/anchor";
import { checkLog } from "../src/commands/log-check";
import { nodeCrypto } from "../src/crypto";
import { EXIT, statusOf } from "../src/exit";
import { initDirectoryLedger, openDirectoryLedger } from "../src/ledger/directory";
import { recordNote, signPrepared } from "../src/ledger/ledger";
import { withLock } from "../src/lock";
import { listAnchors } from "../src/log/anchors";
import { addToLog, initLog, openLog } from "../src/log/store";
import { openTiledLog } from "../src/tiledlog";
import { inFolder, NOON, newFolder, newSigner, refuses, smallRecord, withCut } from "./maker-kit";

const directory = suite("directory ledger");
const logSigner = newSigner("log.example");
const keeper = newSigner("ledger.example");
const ledgerKey = makeVkey("ledger.example", 4, keeper.publicKey);
let folder = "";
let log = "";
let where = "";

directory.before.each(async () => {
  folder = newFolder("ledger");
  log = join(folder, "log");
  where = join(folder, "ledger");
  await initLog(log, undefined, logSigner);
  await initDirectoryLedger(where, "ledger.example", keeper, NOON);
});
directory.after.each(() => rmSync(folder, { recursive: true, force: true }));

const grow = async (n: number) => addToLog(log, [await smallRecord(logSigner, n)], logSigner);
const ledgerOf = (path = where) => openDirectoryLedger(path, keeper);
const anchor = (now: number) => anchorLog(log, ledgerOf(), keeper, now);

directory("init gives the verifier key of type 04 and a checkpoint with exactly the two lines", async () => {
  const vkey = await initDirectoryLedger(join(folder, "two"), undefined, keeper, NOON);
  assert.is(formatVkey(vkey), formatVkey(ledgerKey));
  const { signatures } = parseNote(openTiledLog(join(folder, "two")).note);
  assert.equal(
    signatures.map(({ keyId }) => toHex(keyId)),
    [toHex(keeper.vkey.keyId), toHex(ledgerKey.keyId)],
  );
  await refuses("exists", () => initDirectoryLedger(where, undefined, keeper, NOON));
  await refuses("origin-mismatch", () => initDirectoryLedger(join(folder, "x"), "other", keeper, NOON));
});

directory("a log's checkpoints, an empty log's too, are anchored with the ledger's time", async () => {
  for (let n = 0; n <= 12; n++) {
    if (n > 0) await grow(n);
    const anchored = await anchor(NOON + n);
    assert.equal([anchored.size, anchored.time, anchored.fresh], [BigInt(n), NOON + n, true]);
  }
  const anchors = listAnchors(log);
  assert.equal(
    anchors.map(({ size }) => Number(size)),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  );
  for (const [n, { note, receipts }] of anchors.entries()) {
    const [receipt] = receipts;
    assert.is(receipt?.kind, "directory");
    for (const crypto of [nodeCrypto, portableCrypto]) {
      const proved = verifyDirectoryReceipt(receipt?.proof ?? new Uint8Array(), note, ledgerKey, crypto);
      assert.equal(proved, { time: NOON + n, ledgerSize: BigInt(n + 1) });
    }
  }
});

directory("one note anchored twice, later and after others, gives the first receipt again", async () => {
  await grow(1);
  const first = await anchor(NOON + 1);
  const receipt = readFileSync(first.receiptPath);
  const note = openLog(log).note;
  await grow(2);
  await anchor(NOON + 2);
  const again = await recordNote(ledgerOf(), note, keeper, NOON + 99);
  assert.is(toHex(again.receipt), toHex(receipt));
  assert.equal([again.time, again.fresh], [NOON + 1, false]);
  assert.is(openTiledLog(where).size, 2n);
});

directory("log check takes the ledger's key from the policy, and tells a forked anchor", async () => {
  await grow(1);
  await anchor(NOON + 1);
  const policy = (ledger: string) =>
    parsePolicy(utf8Encode(`log ${formatVkey(logSigner.vkey)}\nquorum none\n${ledger}`), nodeCrypto);
  const named = policy(`ledger directory ${formatVkey(ledgerKey)}\n`);
  assert.equal(checkLog(log, named).anchors, [{ size: 1n, kind: "directory", time: NOON + 1 }]);
  assert.equal(checkLog(log, policy("")).anchors, [{ size: 1n, kind: "directory", time: null }]);
  const strange = makeVkey("ledger.example", 4, newSigner("x").publicKey);
  const unknown = await refuses("ledger-not-trusted", () =>
    checkLog(log, policy(`ledger directory ${formatVkey(strange)}\n`)),
  );
  assert.is(statusOf(unknown), EXIT.unproven);
  // Another history of the same log, beside the receipts of this one.
  rmSync(log, { recursive: true });
  await initLog(log, undefined, logSigner);
  await grow(7);
  const fork = join(folder, "fork");
  cpSync(log, fork, { recursive: true });
  rmSync(log, { recursive: true });
  await initLog(log, undefined, logSigner);
  await grow(1);
  await anchor(NOON + 2);
  cpSync(join(log, "anchors"), join(fork, "anchors"), { recursive: true });
  const refused = await inFolder(folder, () => refuses("log-forked", () => checkLog(fork, named)));
  assert.match((refused as { hint?: string }).hint ?? "", /\.fraud\.json proves it to anybody/);
});

directory("of several ledgers the key decides by which a receipt is judged, not the name", async () => {
  // The ledger of the one name has had two keys, and each has given receipts.
  const second = newSigner("ledger.example");
  const secondKey = makeVkey("ledger.example", 4, second.publicKey);
  const place = join(folder, "second");
  await initDirectoryLedger(place, undefined, second, NOON);
  const note = openLog(log).note;
  const old = (await recordNote(ledgerOf(), note, keeper, NOON + 1)).receipt;
  const late = (await recordNote(openDirectoryLedger(place, second), note, second, NOON + 2)).receipt;
  const other = makeVkey("other.example", 4, newSigner("x").publicKey);
  for (const named of [
    [ledgerKey, secondKey, other],
    [other, secondKey, ledgerKey],
  ]) {
    assert.is(ledgerFor(old, named), ledgerKey);
    assert.is(ledgerFor(late, named), secondKey);
  }
  assert.is(ledgerFor(late, []), undefined);
  for (const named of [[ledgerKey], [ledgerKey, other], [other]]) {
    await refuses("ledger-not-trusted", () => ledgerFor(late, named));
  }
  // A receipt that only says it is of a ledger we know is wrong, not unknown.
  const proof = parseProof(late);
  const { text, signatures } = parseNote(proof.checkpoint);
  const lines = signatures.map(({ line, signature }, i) =>
    i === 0 ? line : signatureLine("ledger.example", ledgerKey.keyId, signature),
  );
  const forged = formatProof({ ...proof, checkpoint: formatNote(text, lines) });
  assert.is(ledgerFor(forged, [ledgerKey]), ledgerKey);
  assert.is.not(refusalOf(forged, note), null);
});

/** A good receipt and the note it is for. */
async function goodReceipt() {
  for (let n = 1; n <= 3; n++) {
    await grow(n);
    await anchor(NOON + n);
  }
  return {
    receipt: new Uint8Array(readFileSync(join(log, "anchors/3/directory.tlog-proof"))),
    note: openLog(log).note,
  };
}

const refusalOf = (receipt: Uint8Array, note: Uint8Array): string | null => {
  try {
    verifyDirectoryReceipt(receipt, note, ledgerKey, nodeCrypto);
    return null;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.code;
  }
};

directory(
  "a receipt with any bit bent, cut anywhere or longer by a byte is refused, and so is a bent note",
  async () => {
    const { receipt, note } = await goodReceipt();
    assert.is(refusalOf(receipt, note), null);
    for (let at = 0; at < receipt.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bent = receipt.slice();
        bent[at] = (bent[at] as number) ^ (1 << bit);
        assert.is.not(refusalOf(bent, note), null, `bit ${bit} of byte ${at}`);
      }
      assert.is.not(refusalOf(receipt.subarray(0, at), note), null, `cut at ${at}`);
    }
    for (const extra of ["\n", " ", "x"]) {
      assert.is.not(refusalOf(utf8Encode(`${utf8Decode(receipt)}${extra}`), note), null);
    }
    for (let at = 0; at < note.length; at++) {
      const bent = note.slice();
      bent[at] = (bent[at] as number) ^ 1;
      assert.is(refusalOf(receipt, bent), "inclusion-mismatch");
    }
  },
);

directory("signature lines in another order, of other kinds, more or fewer are refused", async () => {
  const { receipt, note } = await goodReceipt();
  const proof = parseProof(receipt);
  const { text, textBytes, signatures } = parseNote(proof.checkpoint);
  const [tree = "", time = ""] = signatures.map(({ line }) => line);
  const other = newSigner("other.example");
  const stranger = signatureLine("other.example", other.vkey.keyId, await other.sign(textBytes));
  const later = signatureLine(
    ledgerKey.name,
    ledgerKey.keyId,
    cosignatureBytes(NOON + 9, await keeper.sign(cosignedMessage(NOON + 9, text))),
  );
  const untimed = signatureLine(ledgerKey.name, ledgerKey.keyId, await keeper.sign(textBytes));
  for (const [name, code, lines] of [
    ["the order reversed", "receipt-signatures", [time, tree]],
    ["only the tree's", "receipt-signatures", [tree]],
    ["only the time's", "unknown-log", [time]],
    ["a stranger's after them", "receipt-signatures", [tree, time, stranger]],
    ["a stranger's between them", "receipt-signatures", [tree, stranger, time]],
    ["the tree's twice", "receipt-signatures", [tree, tree]],
    ["two times", "receipt-signatures", [tree, time, later]],
    ["a cosignature without a time", "malformed-cosignature", [tree, untimed]],
  ] as const) {
    const changed = formatProof({ ...proof, checkpoint: formatNote(text, lines) });
    assert.is(refusalOf(changed, note), code, name);
  }
  // The same tree signed for at another time is another statement by the keeper, and as good.
  assert.is(refusalOf(formatProof({ ...proof, checkpoint: formatNote(text, [tree, later]) }), note), null);
});

directory(
  "a receipt for another note, by another ledger, or under the key as type 01 proves nothing",
  async () => {
    const { receipt, note } = await goodReceipt();
    assert.is(refusalOf(receipt, readFileSync(join(log, "anchors/2/checkpoint"))), "inclusion-mismatch");
    const impostor = makeVkey("ledger.example", 4, newSigner("x").publicKey);
    await refuses("unknown-log", () => verifyDirectoryReceipt(receipt, note, impostor, nodeCrypto));
    const renamed = makeVkey("other.example", 4, keeper.publicKey);
    await refuses("unknown-log", () => verifyDirectoryReceipt(receipt, note, renamed, nodeCrypto));
    assert.throws(
      () => verifyDirectoryReceipt(receipt, note, keeper.vkey, nodeCrypto),
      (e: Error) => !isRefusal(e) && /type 4/.test(e.message),
    );
  },
);

directory("an extra line, which nothing authenticates, is refused by name", async () => {
  const { receipt, note } = await goodReceipt();
  const text = utf8Decode(receipt) ?? "";
  assert.is(refusalOf(utf8Encode(text.replace("\nindex", "\nextra aGk=\nindex")), note), "proof-extra");
  assert.is(refusalOf(utf8Encode(text.replace("index 2", "index 02")), note), "malformed-proof");
  assert.is(refusalOf(utf8Encode(text.replace("@v1", "@v2")), note), "unsupported-version");
});

directory(
  "killed before any file operation, anchoring again gives one record and a good receipt",
  async () => {
    await grow(1);
    await anchor(NOON + 1);
    await grow(2);
    const note = openLog(log).note;
    for (const torn of [false, true]) {
      for (let cut = 0; ; cut++) {
        const path = join(folder, `cut${torn}${cut}`);
        cpSync(log, join(path, "log"), { recursive: true });
        cpSync(where, join(path, "ledger"), { recursive: true });
        const again = (now: number) =>
          anchorLog(join(path, "log"), ledgerOf(join(path, "ledger")), keeper, now);
        const { finished } = await withCut(cut, torn, () => again(NOON + 2));
        for (const left of listAnchors(join(path, "log"))) {
          verifyDirectoryReceipt(
            left.receipts[0]?.proof ?? new Uint8Array(),
            left.note,
            ledgerKey,
            nodeCrypto,
          );
        }
        const ledger = openTiledLog(join(path, "ledger"));
        const committed = ledger.size === 2n;
        openCheckpoint(ledger.note, keeper.vkey, nodeCrypto);
        // Had the record got in, its time is that of the first attempt.
        const retried = await again(NOON + 3);
        assert.is(retried.time, committed ? NOON + 2 : NOON + 3, `cut ${cut}`);
        const [, second] = listAnchors(join(path, "log"));
        assert.is(toHex(second?.note ?? new Uint8Array()), toHex(note));
        assert.is(openTiledLog(join(path, "ledger")).size, 2n);
        rmSync(path, { recursive: true });
        if (finished) break;
      }
    }
  },
);

directory(
  "a receipt lost to a cut is written by whoever anchors next, from the checkpoint of its own record",
  async () => {
    await grow(1);
    await anchor(NOON + 1);
    const path = join(where, "receipts/0.tlog-proof");
    const receipt = readFileSync(path);
    rmSync(path);
    await grow(2);
    await anchor(NOON + 2);
    assert.is(toHex(readFileSync(path)), toHex(receipt));
  },
);

directory("a clock that runs behind the ledger's last record is refused", async () => {
  await anchor(NOON + 5);
  await grow(1);
  await refuses("clock-behind", () => anchor(NOON + 4));
  assert.is(openTiledLog(where).size, 1n);
  await anchor(NOON + 5);
});

directory(
  "a note signed away from the ledger is taken while the ledger stands still, and only then",
  async () => {
    await grow(1);
    const { note } = openLog(log);
    const prepared = await ledgerOf().prepare(note, NOON + 1);
    const signed = await signPrepared(JSON.parse(JSON.stringify(prepared), revive), keeper); // over a USB stick, say
    const later = await ledgerOf().prepare(utf8Encode("another note"), NOON + 2);
    const submitted = await ledgerOf().submit({ ...signed, note });
    const receipt = await ledgerOf().prove(submitted);
    assert.equal(ledgerOf().verify(receipt, note), { time: NOON + 1, ledgerSize: 1n });
    await refuses("ledger-moved", async () => ledgerOf().submit(await signPrepared(later, keeper)));
    const stranger = newSigner("ledger.example");
    const third = await ledgerOf().prepare(utf8Encode("third"), NOON + 3);
    await refuses("bad-signature", async () => ledgerOf().submit(await signPrepared(third, stranger)));
    assert.is(openTiledLog(where).size, 1n);
  },
);

// Bytes come out of JSON as {"0":1,…}; the real thing would travel as files.
const revive = (_key: string, value: unknown) =>
  typeof value === "object" && value !== null && "0" in value && !Array.isArray(value)
    ? Uint8Array.from(Object.values(value as Record<string, number>))
    : value;

directory("several logs anchored at once on one ledger all get a record", async () => {
  const logs = await Promise.all(
    [0, 1, 2, 3].map(async (n) => {
      const path = join(folder, `log${n}`);
      await initLog(path, undefined, newSigner(`log${n}.example`));
      return path;
    }),
  );
  const anchored = await Promise.all(logs.map((path) => anchorLog(path, ledgerOf(), keeper, NOON + 1)));
  assert.ok(anchored.every(({ fresh, time }) => fresh && time === NOON + 1));
  assert.is(openTiledLog(where).size, 4n);
});

directory(
  "one checkpoint anchored by several at once is one record, whose receipt all of them get",
  async () => {
    await grow(1);
    const anchored = await Promise.all([1, 2, 3, 4].map((n) => anchor(NOON + n)));
    assert.is(openTiledLog(where).size, 1n);
    assert.is(anchored.filter(({ fresh }) => fresh).length, 1);
    assert.is(new Set(anchored.map(({ time }) => time)).size, 1);
    const [kept] = listAnchors(log);
    const receipt = kept?.receipts[0]?.proof ?? new Uint8Array();
    const { time } = verifyDirectoryReceipt(receipt, openLog(log).note, ledgerKey, nodeCrypto);
    assert.is(time, anchored[0]?.time);
  },
);

directory(
  "a note already on the ledger is given its record, also when it was prepared as a new one",
  async () => {
    await grow(1);
    const { note } = openLog(log);
    const signed = await signPrepared(await ledgerOf().prepare(note, NOON + 1), keeper);
    await anchor(NOON + 2);
    assert.equal(await ledgerOf().submit(signed), { note, id: "0", fresh: false });
    assert.is(openTiledLog(where).size, 1n);
  },
);

directory("a ledger that another one keeps writing to is waited for as long as was said", async () => {
  await grow(1);
  const patient = join(folder, "patient");
  cpSync(log, patient, { recursive: true });
  const waitingFor = (seconds: number) => openLedger(`directory:${where}`, keeper, seconds);
  let isThere = false;
  let late: Promise<unknown> | undefined;
  const started = Date.now();
  await withLock(where, 1000, async () => {
    // It was asked to wait longer, and still does when the other has given up.
    late = anchorLog(patient, waitingFor(600), keeper, NOON).then(() => {
      isThere = true;
    });
    await refuses("locked", () => anchorLog(log, waitingFor(1), keeper, NOON));
    assert.not(isThere);
  });
  assert.ok(Date.now() - started >= 1000);
  await late;
  assert.is(openTiledLog(where).size, 1n);
});

directory("another key than the ledger's is refused before anything is written", async () => {
  await refuses("wrong-ledger-key", () =>
    anchorLog(log, openDirectoryLedger(where, newSigner("other")), keeper, NOON),
  );
  const namesake = newSigner("ledger.example");
  await refuses("wrong-ledger-key", () =>
    anchorLog(log, openDirectoryLedger(where, namesake), namesake, NOON),
  );
  await refuses("usage", () => openLedger("rebased:testnet", keeper));
  await refuses("not-a-log", () => anchorLog(log, ledgerOf(join(folder, "nowhere")), keeper, NOON));
  assert.not(existsSync(join(log, "anchors")));
});

directory("an anchor that doesn't match what is there is refused, and left as it was", async () => {
  await anchor(NOON + 1);
  const path = join(log, "anchors/0/directory.tlog-proof");
  writeFileSync(path, "something else");
  // The receipt may be as good as ours: trouble. Another note of one size is another history: refuted.
  assert.is(statusOf(await refuses("receipt-conflict", () => anchor(NOON + 1))), EXIT.trouble);
  assert.is(readFileSync(path, "utf8"), "something else");
  const note = join(log, "anchors/0/checkpoint");
  const { text } = parseNote(readFileSync(note));
  const stranger = signatureLine("log.example", keeper.vkey.keyId, new Uint8Array(64));
  const another = Buffer.from(formatNote(text, [stranger]));
  writeFileSync(note, another);
  assert.is(statusOf(await refuses("anchor-conflict", () => anchor(NOON + 1))), EXIT.refuted);
  assert.equal(readFileSync(note), another);
  assert.equal(readdirSync(join(log, "anchors")), ["0"]);
});

directory.run();
