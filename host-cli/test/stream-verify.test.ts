// `vouch stream verify` on files: the chain, whose key it is, and what software took the readings.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concatBytes, utf8Encode } from "@vouch/shared/bytes";
import { contextOf, formatCountersignature } from "@vouch/shared/countersignature";
import { keyidOf } from "@vouch/shared/dsse";
import { mldsaPublicKey, signMldsa } from "@vouch/shared/mldsa";
import { formatMldsaKey, makeMldsaKey } from "@vouch/shared/mldsakey";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RECORDER, type RecordedWorld, recordedWorld } from "../../shared/test/stream-world";
import { keyOf, LATE, logKeys, type Maker, NOW, T0 } from "../../shared/test/world";
import * as stream from "../src/commands/stream";
import { type VerifyStreamOptions, verifyStream } from "../src/commands/stream-verify";
import { nodeCrypto } from "../src/crypto";
import { run } from "../src/main";
import { printStream } from "../src/output/stream";
import type { StreamVerdict } from "../src/streamverdict";
import { memoryIo } from "./memory-io";
import { DEVICE_VKEY, RECORDER_VKEY, Recording as SampleRecording } from "./stream-sample";

const verify = suite("stream verify");
const folder = mkdtempSync(join(tmpdir(), "vouch-stream-"));
verify.after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

function save(bytes: Uint8Array | string, name: string): string {
  const path = join(folder, `${count++}-${name}`);
  writeFileSync(path, bytes);
  return path;
}

async function vouch(...args: string[]) {
  const io = memoryIo();
  await run(["stream", ...args], io, { version: "0.0.0-test", verbs: ["stream"], load: () => stream });
  return io;
}

const recorderKey = formatVkey(makeVkey("gateway", 1, RECORDER.publicKey));

/** Judged with the world's policy and bundles, by the world's clock. */
function judged(
  world: RecordedWorld,
  file: Uint8Array,
  more: VerifyStreamOptions = {},
): Promise<StreamVerdict> {
  const options = {
    policy: save(world.policyText, "policy"),
    bundle: world.bundles.map((bundle, i) => save(bundle, `release${i}.vouch.json`)),
    recorderKey: [recorderKey],
    ...more,
  };
  return verifyStream(save(file, "pump.vstream"), options, NOW, memoryIo());
}

const GOOD = recordedWorld();

verify("two boots on good releases: verified, a segment each, with readings, frames and times", async () => {
  const verdict = await judged(GOOD, GOOD.file());
  assert.equal(verdict.reasons, []);
  assert.is(verdict.word, "verified");
  const [first, second] = verdict.segments;
  assert.equal(
    verdict.segments.map(({ boot }) => [boot.note.boot.bootcount, boot.word, boot.verdict?.version]),
    [
      [3, "patched", "2.4.0"],
      [4, "patched", "2.4.1"],
    ],
  );
  assert.equal(first?.readings, { from: 0, to: 59 });
  assert.equal(second?.readings, { from: 60, to: 119 });
  assert.equal(first?.frames, [{ from: 0, to: 68 }]);
  assert.is(first?.times?.isChecked, true);
  assert.is(verdict.device?.serial, "SN-sn0");
});

verify(
  "an advisory in force for one release: its readings are told, the others stand, status 22",
  async () => {
    const world = recordedWorld({ advisories: [{ id: "ACME-2026-1", affects: true, listed: true }] });
    const verdict = await judged(world, world.file());
    assert.is(verdict.word, "vulnerable");
    assert.equal(
      verdict.segments.map(({ boot }) => boot.word),
      ["vulnerable", "patched"],
    );
    assert.equal(
      verdict.segments[0]?.boot.reasons.map(({ code }) => code),
      ["advisory-in-force"],
    );
  },
);

verify("people read the verdict first, then each boot's part; programs the same", async () => {
  const world = recordedWorld({ advisories: [{ id: "ACME-2026-1", affects: true, listed: true }] });
  const verdict = await judged(world, world.file());
  const io = memoryIo();
  printStream(verdict, "pump.vstream", false, io);
  assert.match(io.out(), /^vulnerable\nstream {6}[0-9a-f]{32}, public, closed; /);
  assert.match(
    io.out(),
    /\nboot 3 {6}vulnerable: readings 0 to 59 \(frames 0 to 68\) on pump-400 2\.4\.0, as of log size 3\n/,
  );
  assert.match(
    io.out(),
    /\nboot 4 {6}patched: readings 60 to 119 \(frames 128 to 197\) on pump-400 2\.4\.1, /,
  );
  assert.match(io.err(), /^vouch: pump\.vstream: advisory ACME-2026-1 .*\[advisory-in-force\]\n/);
  const json = memoryIo();
  json.json = true;
  printStream(verdict, "pump.vstream", false, json);
  const { verdict: word, exit, boots } = JSON.parse(json.out());
  assert.equal([word, exit], ["vulnerable", 22]);
  assert.equal(
    boots.map((boot: { verdict: string }) => boot.verdict),
    ["vulnerable", "patched"],
  );
  assert.is(json.err(), "");
});

verify("a hole in a boot's frames is a hole in its runs", async () => {
  const world = recordedWorld();
  world.file();
  const file = Buffer.concat(world.items.filter((_, i) => i !== 20));
  const verdict = await judged(world, new Uint8Array(file));
  assert.is(verdict.word, "refuted");
  assert.is(verdict.segments[0]?.frames.length, 2);
});

verify(
  "what a policy wants countersigned is verified here as elsewhere, and missed here as elsewhere",
  async () => {
    const seed = nodeCrypto.sha256(utf8Encode("maker"));
    const key = makeMldsaKey("maker.example/pq", mldsaPublicKey(seed), nodeCrypto);
    const inFront = (file: Uint8Array) => {
      const signature = signMldsa(seed, file, contextOf("bundle"), new Uint8Array(32));
      const keyid = keyidOf(key.publicKey, nodeCrypto);
      const line = formatCountersignature({ of: "bundle", algorithm: "ml-dsa-65", keyid, signature });
      return concatBytes([line, Uint8Array.of(10), file]);
    };
    const demanded = `${GOOD.policyText}countersigner maker ${formatMldsaKey(key)}\ncountersigned bundle maker\n`;
    const policy = save(demanded, "policy");
    const bundle = GOOD.bundles.map((file, i) => save(inFront(file), `release${i}.vouch.json`));
    const good = await judged(GOOD, GOOD.file(), { policy, bundle });
    assert.is(good.word, "verified", JSON.stringify(good.reasons));
    const bare = await judged(GOOD, GOOD.file(), { policy });
    assert.is(bare.word, "unproven");
    assert.ok(bare.reasons.every(({ code }) => code === "countersignature-missing"));
  },
);

verify("a recalled release: status 23", async () => {
  const world = recordedWorld({
    advisories: [{ id: "ACME-2026-1", kind: "recall", affects: true, listed: true }],
  });
  assert.is((await judged(world, world.file())).word, "recalled");
});

verify(
  "evidence too old for now is judged at its own time, and what is known since still counts",
  async () => {
    const options = {
      policy: save(GOOD.policyText, "policy"),
      bundle: GOOD.bundles.map((b) => save(b, "b")),
    };
    const file = save(GOOD.file(), "pump.vstream");
    const year = NOW + 365 * 86400;
    const verdict = await verifyStream(file, options, year, memoryIo());
    assert.is(verdict.word, "verified", JSON.stringify(verdict.reasons));
    const io = memoryIo();
    printStream(verdict, "pump.vstream", false, io);
    assert.match(io.out(), /not judged {2}what was said of boot 3's release after 2026-[^:]+:/);
    const late = recordedWorld({
      advisories: [{ id: "ACME-2026-1", affects: true, listed: false, late: true }],
    });
    const asked = { policy: save(late.policyText, "policy"), bundle: late.bundles.map((b) => save(b, "b")) };
    const told = await verifyStream(save(late.file(), "late.vstream"), asked, year, memoryIo());
    assert.is(told.word, "vulnerable", JSON.stringify(told.reasons));
  },
);

verify("of two advisories, one in force then and one since, both are told", async () => {
  const world = recordedWorld({
    advisories: [
      { id: "ACME-2026-1", affects: true, listed: true },
      { id: "ACME-2026-2", affects: true, listed: false, late: true, created: T0 + LATE },
    ],
  });
  const asked = { policy: save(world.policyText, "policy"), bundle: world.bundles.map((b) => save(b, "b")) };
  const file = save(world.file(), "both.vstream");
  const { segments } = await verifyStream(file, asked, NOW + 365 * 86400, memoryIo());
  const told = segments[0]!.boot.reasons.map(({ message }) => /ACME-2026-\d/.exec(message)?.[0]);
  assert.equal(told, ["ACME-2026-1", "ACME-2026-2"]);
});

verify("a boot whose release no bundle has is unproven, and so is one without evidence", async () => {
  const one = await judged(GOOD, GOOD.file(), { bundle: [save(GOOD.bundles[0]!, "b")] });
  assert.equal(
    one.reasons.map(({ code }) => code),
    ["stream-release-missing"],
  );
  assert.is(one.word, "unproven");
  const bare = recordedWorld();
  bare.items.splice(1, 1);
  const verdict = await judged(bare, bare.file());
  assert.equal(
    verdict.reasons.map(({ code }) => code),
    ["stream-enrolment", "stream-evidence-missing"],
  );
});

verify(
  "an enroller's successor, whom the log names and the policy doesn't: the bundle says whose key it is",
  async () => {
    const named = (name: string) => keyOf("acme", `acme.example/${name}`);
    const rotate = (maker: Maker) => {
      const [old, successor] = [named("enroller"), named("enroller2")].map(({ vkey }) => formatVkey(vkey));
      const change = {
        kind: "rotation",
        role: "enroller",
        log: "acme.example/log",
        reason: "planned",
      } as const;
      logKeys(
        maker,
        (index) => ({ ...change, from: index + 1, old: old!, new: successor!, created: isoTime(T0 - 700) }),
        [named("alice"), named("bob")],
      );
      maker.enroller = named("enroller2");
    };
    const world = recordedWorld({ before: { enrolment: rotate } });
    const verdict = await judged(world, world.file());
    assert.is(verdict.word, "verified", JSON.stringify(verdict.reasons));
    assert.equal(verdict.device, { by: "the bundle's enrolment", serial: "SN-sn0" });
    const alone = await judged(world, world.file(), { bundle: [] });
    assert.equal(
      alone.reasons.map(({ code }) => code),
      ["stream-enrolment", "stream-enrolment"],
    );
    const deviceKey = formatVkey(named("sn0").vkey);
    const given = await judged(world, world.file(), { bundle: [], deviceKey });
    assert.is(given.word, "unproven", "an enrolment by nobody is told, whoever says whose key it is");
    assert.match(alone.reasons[0]!.message, /^the recording's enrolment: .* \[unknown-signer\]$/);
  },
);

verify("evidence of another boot under the digest that a boot names is refuted", async () => {
  const world = recordedWorld({}, {}, { isSameEvidence: true });
  const verdict = await judged(world, world.file());
  assert.is(verdict.word, "refuted");
  assert.equal(
    verdict.segments.map(({ boot }) => boot.word),
    ["patched", "refuted"],
  );
  assert.equal(
    verdict.reasons.map(({ code }) => code),
    ["stream-evidence-boot"],
  );
});

verify("a device key that isn't the stream's, and an enrolment that isn't: refuted", async () => {
  const file = save(GOOD.file(), "pump.vstream");
  const io = await vouch("verify", file, "--device-key", recorderKey, "--json");
  const json = JSON.parse(io.out());
  assert.is(io.exitCode, 20);
  assert.equal(
    json.reasons.map((reason: { code: string }) => reason.code),
    ["stream-wrong-signer"],
  );
});

verify("without a policy the chain is judged, and what wasn't is said", async () => {
  const io = await vouch("verify", save(GOOD.file(), "pump.vstream"), "--recorder-key", recorderKey);
  assert.is(io.exitCode, 0, io.err());
  assert.match(io.out(), /^verified\n/);
  assert.match(io.out(), /\nnot judged {2}whose key it is: /);
  assert.match(io.out(), /\nnot judged {2}what software took the readings: /);
  assert.match(io.out(), /\nboot 3 {6}readings 0 to 59 \(frames 0 to 68\)\n {12}received /);
});

verify("an open end is told as one, though the recording is verified: more may have been sent", async () => {
  const sample = new SampleRecording().seconds(160).timed();
  const cut = sample.bytes();
  sample.seconds(160).timed();
  sample.maker.close();
  const whole = sample.timed().bytes();
  const head = sample.maker.seq - 1;
  const trust = ["--device-key", DEVICE_VKEY, "--recorder-key", RECORDER_VKEY];
  const open = await vouch("verify", save(cut, "cut.vstream"), ...trust);
  assert.is(open.exitCode, 0, open.err());
  assert.match(
    open.out(),
    /\nend {9}open: at 2026-11-22T15:02:45Z recorder [0-9a-f]{16} had received all up to frame 18; the device may have sent more since, and this recording can't show whether it did\n/,
  );
  const { verdict, end } = JSON.parse(
    (await vouch("verify", save(cut, "cut.vstream"), "--json", ...trust)).out(),
  );
  assert.is(verdict, "verified");
  const { recorder, ...seen } = end.seen;
  assert.match(recorder, /^[0-9a-f]{16}$/);
  assert.equal(
    { ...end, seen },
    {
      closed: false,
      frame: 18,
      seen: { frame: 18, time: "2026-11-22T15:02:45Z" },
      mayHaveMore: true,
    },
  );
  const unseen = await vouch("verify", save(cut, "cut.vstream"), "--device-key", DEVICE_VKEY);
  assert.is(unseen.exitCode, 21);
  assert.match(
    unseen.out(),
    /\nend {9}open after frame 18, the last signed one; the device may have sent more since, /,
  );
  const all = await vouch("verify", save(whole, "whole.vstream"), ...trust);
  assert.is(all.exitCode, 0, all.err());
  assert.match(all.out(), new RegExp(`\\nend {9}the device closed the stream with frame ${head}\\n`));
});

verify("a file that is cut, bent or no recording", async () => {
  const file = GOOD.file();
  const torn = await vouch("verify", save(file.subarray(0, file.length - 3), "torn.vstream"), "--json");
  assert.is(torn.exitCode, 21);
  const codes = JSON.parse(torn.out()).findings.map(({ code }: { code: string }) => code);
  assert.ok(codes.includes("stream-torn") && codes.includes("stream-open"), codes.join());
  const bent = file.slice();
  bent[file.length - 20]! ^= 1;
  assert.is((await vouch("verify", save(bent, "bent.vstream"))).exitCode, 20);
  const damaged = file.slice();
  damaged[10] = 0xff;
  const io = await vouch("verify", save(damaged, "damaged.vstream"));
  assert.is(io.exitCode, 20);
  assert.match(io.err(), /\[vstream-damaged\]/);
  const none = await vouch("verify", save("{}", "none.vstream"));
  assert.is(none.exitCode, 1);
  assert.match(none.err(), /\[not-a-vstream\]/);
});

verify("--state: an end that was seen is asked for again, and another one refused", async () => {
  const state = join(folder, "heads.json");
  const whole = save(GOOD.file(), "pump.vstream");
  assert.is((await vouch("verify", whole, "--state", state)).exitCode, 0);
  assert.is((await vouch("verify", whole, "--state", state)).exitCode, 0);
  const world = recordedWorld();
  world.file();
  const older = save(Buffer.concat(world.items.slice(0, -3)), "older.vstream");
  const io = await vouch("verify", older, "--state", state, "--recorder-key", recorderKey);
  assert.is(io.exitCode, 20);
  assert.match(io.err(), /an earlier run saw frame .* \[stream-rollback\]/);
  assert.is((await vouch("verify", whole, "--state", state)).exitCode, 0);
});

verify.run();
