// vouch flash with an MCUboot image, against a device that keeps its slots, and
// against answers that real servers gave.

import { readMcuboot } from "@vouch/shared/mcuboot";
import { isRefusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { statusOf } from "../src/exit";
import { flashMcuboot, type McubootOptions, mcubootLine } from "../src/flash/mcuboot";
import { checkMcuboot } from "../src/mcuboot";
import { type VirtualClock, virtualClock } from "./bench";
import { type McubootOptions as DeviceOptions, McubootDevice } from "./mcuboot-device";
import { KEY, makeMcuboot } from "./mcuboot-kit";
import { type MemoryIo, memoryIo } from "./memory-io";
import { hash, makeImage } from "./sim-kit";

const flash = suite("flash mcuboot");

const payload = (label: string) => makeImage(label, 6000);
const OLD = makeMcuboot({ version: "1.0.0", payload: payload("old") });
const NEW = makeMcuboot({ version: "1.1.0+7", payload: payload("new") });

type Run = Partial<Omit<McubootOptions, "port" | "checked">> & { io?: MemoryIo; timeoutMs?: number };

function bench(options: Partial<Omit<DeviceOptions, "clock">> = {}) {
  const clock = virtualClock();
  const device = new McubootDevice({ clock, slots: [OLD, null], ...options });
  const run = (file: Uint8Array, { io = memoryIo(), timeoutMs = 600_000, ...rest }: Run = {}) => {
    const link = { clock, open: device.open, timeoutMs, firstSequence: 0 };
    const options = { port: "bench", checked: checkMcuboot(file, KEY), yes: true, link, ...rest };
    return clock.run(flashMcuboot(options, io));
  };
  return { clock, device, run };
}

const sameImage = (device: McubootDevice, file: Uint8Array) =>
  device.running !== null &&
  Buffer.compare(device.running.digest.value, readMcuboot(file).digest.value) === 0;
const wrote = (device: McubootDevice) => device.heard.some(({ write }) => write);

const later = (clock: VirtualClock, ms: number) =>
  clock.run(new Promise<void>((resolve) => void clock.after(ms, resolve)));

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  return assert.unreachable("it was not refused") as never;
}

for (const ownUsb of [false, true]) {
  flash(
    `uploaded, tested, restarted once, confirmed${ownUsb ? ", over USB that goes away" : ""}`,
    async () => {
      const { device, run } = bench({ ownUsb });
      const io = memoryIo();
      const report = await run(NEW, { io });
      assert.equal(
        [report.result, report.boots, report.confirmed, report.deviceCheck, report.before.version],
        ["flashed", "swap", true, "cannot-tell", "1.0.0"],
      );
      assert.ok(sameImage(device, NEW) && device.confirmed);
      assert.is(device.boots, 1);
      assert.match(io.err(), /^image {3}1\.1\.0\+7, \d+ bytes, sha256 [0-9a-f]{64}$/m);
      assert.match(io.err(), /^signed {2}by the maker, the key that was given$/m);
      assert.match(io.err(), /^device {2}MCUboot on bench, runs 1\.0\.0, slot of 65536 bytes$/m);
      assert.match(io.err(), /^plan {4}upload, test, restart, confirm$/m);
      assert.match(io.err(), /uploading 100%\nthe device can't tell whether it stored/);
      assert.match(
        mcubootLine(report),
        /^MCUboot on bench: 1\.1\.0\+7, digest [0-9a-f]{64}: flashed and confirmed$/,
      );
      device.powerCycle();
      assert.ok(sameImage(device, NEW), "it stays");
    },
  );
}

flash("the image that runs already is left alone: one exchange, under 2 KB and 1.5 s", async () => {
  const { clock, device, run } = bench();
  const report = await run(OLD, { yes: false });
  assert.equal([report.result, report.confirmed], ["already-running", true]);
  assert.equal(device.heard, [{ group: 1, command: 0, write: false }]);
  assert.ok(device.wireBytes < 2048, `${device.wireBytes} bytes`);
  assert.ok(clock.now() < 1500, `${clock.now()} ms`);
});

flash(
  "a device that compares what it stored says so: verified, or a mismatch that changes nothing",
  async () => {
    const good = bench({ hasImageCheck: true });
    const io = memoryIo();
    assert.is((await good.run(NEW, { io })).deviceCheck, "verified");
    assert.match(io.err(), /checked by the device: what it stored is what was sent/);

    const store = (chunk: Uint8Array, off: number) =>
      off > 3000 && off < 5000 ? chunk.map((byte) => byte ^ 1) : chunk;
    const bad = bench({ hasImageCheck: true, store });
    const refused = await refusal(bad.run(NEW));
    assert.equal([refused.code, statusOf(refused)], ["verify-mismatch", 20]);
    assert.equal([bad.device.boots, sameImage(bad.device, OLD)], [0, true]);
  },
);

flash("stored wrongly on a device that can't tell: its boot loader drops it, and that is said", async () => {
  const store = (chunk: Uint8Array, off: number) =>
    off > 3000 && off < 5000 ? chunk.map((byte) => byte ^ 1) : chunk;
  const { device, run } = bench({ store });
  const refused = await refusal(run(NEW));
  assert.equal([refused.code, statusOf(refused)], ["image-reverted", 1]);
  assert.match(refused.message, /restarted into the image from before, "1\.0\.0"/);
  assert.equal([device.boots, sameImage(device, OLD)], [1, true]);
});

flash("a boot loader with another key doesn't start it", async () => {
  const { run } = bench({ bootKey: hash("nobody's key"), slots: [OLD, null] });
  const refused = await refusal(run(NEW));
  assert.is(refused.code, "image-refused", refused.message); // nor the old one, now that it restarted
  assert.match(refused.message, /doesn't start the image, and waits for another/);
  const other = bench({ bootKey: null });
  assert.is((await other.run(NEW)).result, "flashed", "one without a key takes any digest that holds");
});

flash("an image that crashes is watched going back", async () => {
  const behave = (image: { version: { minor: number } }) =>
    image.version.minor === 1 ? "crashes" : "serves";
  const { device, run } = bench({ behave });
  const refused = await refusal(run(NEW));
  assert.is(refused.code, "image-reverted");
  assert.equal([device.boots, sameImage(device, OLD), device.confirmed], [2, true, true]);
});

flash("an image that never answers ends in did-not-return, in time", async () => {
  const behave = (image: { version: { minor: number } }) => (image.version.minor === 1 ? "hangs" : "serves");
  const { clock, device, run } = bench({ behave });
  const refused = await refusal(run(NEW));
  assert.equal([refused.code, statusOf(refused)], ["did-not-return", 1]);
  assert.match(refused.hint ?? "", /power it off and on/);
  assert.ok(clock.now() < 150_000, `${clock.now()} ms`);
  device.powerCycle();
  await later(clock, 5000);
  assert.ok(sameImage(device, OLD), "what the hint says: the one from before is back");
});

flash("--no-confirm leaves it on trial; flashed again it is confirmed, restarted it is gone", async () => {
  const { device, run } = bench();
  const trial = await run(NEW, { confirm: false });
  assert.equal([trial.result, trial.confirmed, device.confirmed], ["flashed", false, false]);
  assert.equal([(await run(NEW, { confirm: false })).result, device.confirmed], ["already-running", false]);
  assert.is((await refusal(run(makeMcuboot({ version: "3.0.0" })))).code, "image-on-trial");
  const kept = await run(NEW);
  assert.equal([kept.result, kept.confirmed, device.confirmed, device.boots], ["flashed", true, true, 1]);

  const second = bench();
  await second.run(NEW, { confirm: false });
  second.device.powerCycle();
  await later(second.clock, 3000);
  assert.ok(sameImage(second.device, OLD));
});

flash("an image that a run left set to run next is erased when the one that runs should stay", async () => {
  let isDeaf = true;
  const { clock, device, run } = bench({
    loses: ({ group, command }) => isDeaf && group === 0 && command === 5,
  });
  const cut = await refusal(run(NEW, { timeoutMs: 30_000 }));
  assert.equal([cut.code, device.boots], ["did-not-return", 0]);
  assert.match(cut.message, /it answers, and did not restart/);
  isDeaf = false;
  const io = memoryIo();
  const report = await run(OLD, { io });
  assert.equal([report.result, report.confirmed, report.deviceCheck], ["flashed", true, null]);
  assert.match(io.err(), /plan {4}erase the other image, which is set to run next$/m);
  device.powerCycle();
  await later(clock, 3000);
  assert.ok(sameImage(device, OLD));
});

flash("an older version is refused before a byte is written, and taken with --allow-downgrade", async () => {
  const { device, run } = bench({ slots: [NEW, null] });
  const refused = await refusal(run(OLD));
  assert.equal([refused.code, statusOf(refused)], ["rolled-back", 20]);
  assert.is(wrote(device), false);
  assert.is((await run(OLD, { allowDowngrade: true })).result, "flashed");
  assert.ok(sameImage(device, OLD));
});

flash("an image larger than its slot, consent withheld, and a dry run write nothing", async () => {
  const small = bench({ slotBytes: 4096 });
  const refused = await refusal(small.run(NEW));
  assert.equal([refused.code, wrote(small.device)], ["image-too-large", false]);
  const { device, run } = bench();
  const io = memoryIo({ tty: true, answers: ["n"] });
  assert.is((await refusal(run(NEW, { yes: false, io }))).code, "declined");
  const report = await run(NEW, { yes: false, dryRun: true });
  assert.equal([report.result, report.before.version], ["would-flash", "1.0.0"]);
  assert.is(wrote(device), false);
});

flash("where the highest version boots there is nothing to test, and a lower one can't win", async () => {
  const { device, run } = bench({ mode: "highest" });
  const io = memoryIo();
  const report = await run(NEW, { io });
  assert.equal([report.result, report.boots, report.confirmed], ["flashed", "highest", true]);
  assert.match(io.err(), /nothing to test here: this boot loader starts the highest version/);
  assert.match(mcubootLine(report), /flashed and running$/);
  assert.is(device.boots, 1);
  const refused = await refusal(run(OLD, { allowDowngrade: true }));
  assert.is(refused.code, "image-reverted");
  assert.match(refused.message, /1\.0\.0 is not higher than 1\.1\.0\+7/);
  assert.ok(sameImage(device, NEW));
});

flash("in serial recovery the image takes the place of the one there", async () => {
  const { device, run } = bench({ mode: "recovery" });
  const io = memoryIo();
  const report = await run(NEW, { io });
  assert.equal([report.result, report.boots, device.boots], ["flashed", "recovery", 1]);
  assert.match(io.err(), /in its boot loader, which starts 1\.0\.0$/m);
  assert.match(io.err(), /plan {4}upload in place of what the boot loader starts, restart/);
  assert.ok(!device.heard.some(({ group, command }) => group === 0 && command === 0), "never an echo");
  assert.ok(sameImage(device, NEW));
  const empty = bench({ mode: "recovery", slots: [null, null] });
  assert.equal((await empty.run(NEW)).before, { version: null });
  const wrongKey = bench({ mode: "recovery", bootKey: hash("nobody's key") });
  assert.match((await refusal(wrongKey.run(NEW))).message, /doesn't start the image, and waits for another/);
});

flash("a lost reset is asked for again, and the device restarts once", async () => {
  let lost = 0;
  const { device, run } = bench({
    loses: ({ group, command }) => group === 0 && command === 5 && lost++ < 2,
  });
  assert.is((await run(NEW)).result, "flashed");
  assert.equal([lost, device.boots], [3, 1]);
});

/** Does something once, when so many chunks of an upload have arrived. */
function atChunk(count: number, work: () => void) {
  let chunks = 0;
  const loses: DeviceOptions["loses"] = ({ group, command }) => {
    if (group === 1 && command === 1 && ++chunks === count) work();
    return false;
  };
  return { loses, chunks: () => chunks };
}

flash("a cable pulled in mid-upload is waited for, and the upload goes on", async () => {
  const pull = atChunk(6, () => device.pull());
  const { device, run } = bench({ loses: pull.loses });
  const io = memoryIo();
  assert.is((await run(NEW, { io })).result, "flashed");
  assert.match(io.err(), /the line is gone; waiting for the device/);
  assert.ok(pull.chunks() <= Math.ceil(NEW.length / 200) + 8, `${pull.chunks()} chunks`);
});

flash(
  "power lost at each of the first chunks leaves what ran, and the same run ends with the new image",
  async () => {
    for (let count = 1; count <= 12; count++) {
      const cut = atChunk(count, () => device.powerCycle());
      const { device, run } = bench({ loses: cut.loses });
      assert.is((await run(NEW)).result, "flashed", `cut at chunk ${count}`);
      assert.ok(sameImage(device, NEW) && device.confirmed);
      assert.ok(cut.chunks() >= count, "it was cut");
    }
  },
);

flash("a device that never answers is a timeout, within the time allowed", async () => {
  const { clock, run } = bench({ loses: () => true });
  assert.is((await refusal(run(NEW, { timeoutMs: 30_000 }))).code, "device-timeout");
  assert.ok(clock.now() <= 30_000);
});

flash.run();
