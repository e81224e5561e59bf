// Readings in a real PostgreSQL: once each, marked proved when they are, with decimals and times; through kills of who puts them.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import { VALUE_NAN } from "@vouch/shared/readings";
import { linkOf } from "@vouch/shared/stream";
import { coincidenceMessage, encodeCoincidence, encodeFrameItem, recorderKid } from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { StreamMaker } from "../../shared/test/stream-kit";
import { nodeCrypto } from "../src/crypto";
import { openReadingStore } from "../src/stream/store";
import { runVouch } from "./child";
import { newSigner, refuses, saveSigner } from "./maker-kit";
import { freePort, queryOnce, startCluster } from "./postgres-kit";
import { temporaryFolder } from "./sim-kit";
import { recordingOf } from "./stream-delivery-kit";

const tests = suite("readings in PostgreSQL");
const cluster = await startCluster();
const folder = temporaryFolder();

if (typeof cluster === "string") {
  for (const name of ["once each", "unproved, then proved", "a schema of a later program"])
    skip(tests, name, cluster);
} else {
  const { url } = cluster;
  tests.after(() => cluster.stop());

  const query = (text: string) => queryOnce(url, text);

  /** Delivers a recording to a receiver that stores it. */
  const deliver = async (name: string, frames: readonly Uint8Array[], more: readonly Uint8Array[] = []) => {
    const path = join(folder, `${name}.sent`);
    writeFileSync(path, concatBytes([recordingOf(frames), ...more]));
    const port = await freePort();
    const where = `tcp://127.0.0.1:${port}`;
    const args = [
      "stream",
      "record",
      "--from",
      where,
      "-o",
      `${name}.vstream`,
      "--store",
      url,
      "--for",
      "20s",
      ...options,
    ];
    const [received] = await Promise.all([
      runVouch(folder, args),
      runVouch(folder, ["stream", "record", "--from", path, "--to", where, "--timeout", "8"]),
    ]);
    return received;
  };
  const options: string[] = [];

  const maker = new StreamMaker();
  maker.announce();
  maker.data(2);
  maker.data(1, {}, VALUE_NAN);
  maker.checkpoint();
  const atCheckpoint = maker.frames.length;
  maker.data(1);

  tests("each row is there once, to the digit, with the time that a recorder vouches for", async () => {
    const signer = newSigner("gateway.example");
    saveSigner(folder, signer);
    options.push("--recorder-key", join(folder, "gateway.example.vkey"));
    const kid = recorderKid(signer.publicKey, nodeCrypto);
    const claim = {
      id: maker.id,
      epoch: 1,
      ticks: 5000,
      micros: 1_700_000_000_000_000,
      uncertainty: 2000,
      seq: 3,
      link: linkOf(maker.frames[3]!),
    };
    const said = encodeCoincidence(claim, kid, await signer.sign(coincidenceMessage(claim, kid)));
    const { status, stderr } = await deliver("first", maker.frames.slice(0, atCheckpoint), [
      said,
      encodeFrameItem(maker.frames.at(-1)!),
    ]);
    assert.is(status, 0, stderr);
    const rows = await query(
      "select seq::int, row, channel, value::text, proved, extract(epoch from taken)::text as taken, time_checked from vouch_reading order by 1, 2, 3",
    );
    assert.equal(
      rows.map(({ seq, row, channel, value, proved }) => [seq, row, channel, value, proved]),
      [
        [1, 0, 0, "61", true],
        [1, 0, 1, "97.0", true],
        [1, 1, 0, "61", true],
        [1, 1, 1, "97.0", true],
        [2, 0, 0, null, true],
        [2, 0, 1, "97.0", true],
      ],
    );
    assert.is(Number(rows[2]?.["taken"]), 1_700_000_001);
    assert.is(rows[0]?.["time_checked"], true);
  });

  tests("what is put again is there once, and an unproved row gives way to a proved one", async () => {
    const store = await openReadingStore(url, process.env);
    const [{ group }] = [
      {
        group: {
          kind: 0,
          code: 0,
          period: 1000,
          channels: [
            { code: 1, unit: 1, exponent: 0 },
            { code: 2, unit: 1, exponent: 0 },
          ],
        },
      },
    ];
    const boot = {
      bootcount: 7,
      bootseed: new Uint8Array(16),
      ticks: 0,
      evidence: new Uint8Array(32),
      image: null,
      keyload: null,
    };
    const block = {
      seq: 4,
      epoch: 1,
      boot,
      groupIndex: 0,
      group,
      ticks: 9000,
      rows: 1,
      values: new Int32Array([50, 950]),
    };
    const announce = {
      ...boot,
      ueid: new Uint8Array(17),
      publicKey: new Uint8Array(32),
      mode: 0,
      groups: [group],
      everyFrames: 1,
      everyMillis: 1,
      parent: null,
    };
    store.begin(announce, maker.id);
    const mine = () => query("select mantissas, proved from vouch_stream_row where seq = 4");
    for (const [isProved, values] of [
      [false, [50, 950]],
      [true, [51, 951]],
      [false, [52, 952]],
      [true, [53, 953]],
    ] as const) {
      store.put({ ...block, values: new Int32Array(values), isProved });
      await store.flush();
      const expected =
        isProved || values[0] > 51
          ? { mantissas: [51, 951], proved: true }
          : { mantissas: [50, 950], proved: false };
      assert.equal(await mine(), [expected]);
    }
    await store.close();
  });

  tests(
    "a named recorder's time counts before anybody's, who is nearer or came first; far ones are no date",
    async () => {
      const store = await openReadingStore(url, process.env);
      const id = new Uint8Array(16).fill(8);
      const group = { kind: 0, code: 0, period: 1000, channels: [{ code: 1, unit: 1, exponent: 0 }] };
      const boot = { bootcount: 7, bootseed: id, ticks: 0, evidence: id, image: null, keyload: null };
      const who = { ueid: new Uint8Array(17), publicKey: new Uint8Array(32) };
      store.begin(
        { ...boot, ...who, mode: 0, groups: [group], everyFrames: 1, everyMillis: 1, parent: null },
        id,
      );
      store.booted(7);
      const row = { seq: 1, epoch: 1, boot, groupIndex: 0, group, rows: 1, values: new Int32Array([5]) };
      store.put({ ...row, ticks: 10_000, isProved: true });
      const said = (ticks: number, seconds: number) => ({
        epoch: 1,
        ticks,
        micros: seconds * 1e6,
        uncertainty: 1000,
        seq: 0,
        kid: id,
        signature: id,
      });
      const taken = async () => {
        await store.flush();
        const [found] = await query(
          `select extract(epoch from taken)::text as taken, uncertainty::text from vouch_reading where stream = '\\x${"08".repeat(16)}'`,
        );
        return [found!["taken"] === null ? null : Number(found!["taken"]), Number(found!["uncertainty"])];
      };
      store.time(said(Number.MAX_SAFE_INTEGER, 0), false);
      assert.is((await taken())[0], null);
      store.time(said(10_000, 5), false);
      store.time(said(4000, 5), false);
      assert.equal(await taken(), [5, 1000]);
      store.time(said(4000, 1_700_000_000), true);
      assert.equal(await taken(), [1_700_000_006, 4000]);
      await store.close();
    },
  );

  tests(
    "a password in the address is refused, and a store that fails leaves the recording whole",
    async () => {
      await refuses("usage", () =>
        openReadingStore(url.replace("auditor@", "auditor:hunter2@"), process.env),
      );
      await query("alter table vouch_stream_row rename to gone");
      const other = new StreamMaker({ epoch: 9 });
      other.announce();
      other.data(1);
      other.close();
      options.length = 0;
      const { status, stderr } = await deliver("failed", other.frames);
      await query("alter table gone rename to vouch_stream_row");
      assert.is(status, 1);
      assert.match(stderr, /\[store-failed\]/, stderr);
      assert.ok(readFileSync(join(folder, "failed.vstream")).equals(recordingOf(other.frames)));
    },
  );

  tests("a schema of a later program is refused", async () => {
    await query("insert into vouch_stream_schema values (99)");
    await refuses("unsupported-version", () => openReadingStore(url, process.env));
  });
}

tests.run();
