// The commands of a stream: what is refused, what repeating does, and what becomes of readings when the host is slow,
// changes its readers, stops, or asks for something else meanwhile.

import { toHex } from "@vouch/shared/bytes";
import { FAULT_STREAM_READER } from "@vouch/shared/fault";
import { VALUE_NAN } from "@vouch/shared/readings";
import {
  GROUP_OS,
  GROUP_VOUCH,
  OS_RESET,
  RC_BAD_STATE,
  RC_BUSY,
  RC_INVALID,
  RC_NOT_SUPPORTED,
  RC_TOO_LARGE,
} from "@vouch/shared/smp";
import * as stream from "@vouch/shared/stream";
import * as reading from "@vouch/shared/streamread";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FIFO_ROWS, makeSensors, SENSOR_GROUPS } from "../../host-cli/src/sim/sensors";
import type { Sensor } from "../src/ports/sensor";
import { enrol, flash, lastFault, makeImage, makeUploadFile, NONCE, order, upload } from "./kit";
import {
  announceOf,
  attest,
  clinic,
  contents,
  drain,
  type Fields,
  finish,
  follow,
  makeHost,
  makeReader,
  makeReady,
  makeSensing,
  openingOf,
  owner,
  PRIVATE,
  PUBLIC,
  read,
  resumeOf,
  start,
  stop,
  unwrap,
} from "./stream-kit";

const wire = suite("stream wire");
const refused = (rc: number) => ({ err: { group: GROUP_VOUCH, rc } });

const five = ["a", "b", "c", "d", "e"].map((name) => makeReader(name).key);
const REFUSED: [string, Fields, number][] = [
  ["no mode", { mode: null }, RC_INVALID],
  ["a mode of its own", { mode: 3 }, RC_INVALID],
  ["readers of a public stream", { readers: [owner.key] }, RC_INVALID],
  ["a private stream for nobody", { mode: 1 }, RC_INVALID],
  ["a private stream for two", { mode: 1, readers: [owner.key, clinic.key] }, RC_INVALID],
  ["a restricted stream for nobody", { mode: 2 }, RC_INVALID],
  ["a restricted stream for five", { mode: 2, readers: five }, RC_INVALID],
  ["a reader twice", { mode: 2, readers: [owner.key, clinic.key, owner.key] }, RC_INVALID],
  ["a reader's key that is short", { mode: 1, readers: [owner.key.subarray(1)] }, RC_INVALID],
  ["readers that are no list", { mode: 1, readers: owner.key }, RC_INVALID],
  ["no groups", { groups: [] }, RC_INVALID],
  ["a group there isn't", { groups: [3] }, RC_INVALID],
  ["a group below the first", { groups: [-1] }, RC_INVALID],
  ["a group twice", { groups: [0, 0] }, RC_INVALID],
  ["groups that are no list", { groups: 1 }, RC_INVALID],
  ["no frames until a checkpoint", { frames: 0 }, RC_INVALID],
  ["more frames than an epoch has", { frames: 65536 }, RC_INVALID],
  ["no milliseconds until a checkpoint", { millis: 0 }, RC_INVALID],
  ["more than a day until a checkpoint", { millis: 86_400_001 }, RC_INVALID],
  ["neither resume nor not", { resume: null }, RC_INVALID],
  ["resume as a number", { resume: 1 }, RC_INVALID],
  ["a short seed", { seed: new Uint8Array(31) }, RC_INVALID],
  ["nothing to resume", { resume: true }, RC_BAD_STATE],
];

const ready = makeReady();
for (const [name, fields, rc] of REFUSED)
  wire(`start is refused: ${name}`, () => {
    const operations = ready.operations();
    assert.equal(start(ready, { ...PUBLIC, ...fields }), refused(rc));
    assert.is(ready.operations(), operations, "and nothing is written");
    assert.is(read(ready, 0).state, 0);
  });

wire(
  "start is refused without a sensor, before a key, before an attestation, and by one of an earlier start",
  () => {
    assert.equal(start(makeReady({ sensor: () => null as unknown as Sensor }), PUBLIC), {
      rc: RC_NOT_SUPPORTED,
    });
    const device = makeSensing();
    assert.equal(start(device, PUBLIC), refused(RC_BAD_STATE));
    flash(device, makeImage("pump", 1500), { sequence: 3, floor: 2 });
    enrol(device);
    device.powerCycle();
    assert.equal(start(device, PUBLIC), refused(RC_BAD_STATE));
    attest(device);
    assert.is(start(device, PUBLIC).state, 1);
  },
);

wire("start is refused while a job or an upload runs", () => {
  const device = makeReady();
  order(device, GROUP_VOUCH, 2, { nonce: NONCE });
  assert.equal(start(device, PUBLIC), refused(RC_BUSY));
  device.run();
  const file = makeUploadFile(makeImage("next", 900), { sequence: 4 });
  order(device, 1, 1, { off: 0, len: file.length, data: file.subarray(0, 300) });
  assert.equal(start(device, PUBLIC), refused(RC_BUSY));
  upload(device, file);
  assert.is(start(device, PUBLIC).state, 1);
});

wire("start is refused when the groups don't fit an announce", () => {
  const channels = SENSOR_GROUPS[0]!.channels;
  const wide = { ...SENSOR_GROUPS[0]!, channels: [...channels, ...channels, ...channels, ...channels] };
  const device = makeReady({
    sensor: (millis) => ({ ...makeSensors(millis), groups: () => Array(8).fill(wide) }),
  });
  assert.equal(start(device, PUBLIC), refused(RC_TOO_LARGE));
  assert.equal(start(device, { ...PUBLIC, groups: [0, 1, 5] }), refused(RC_TOO_LARGE));
  assert.is(start(device, { ...PUBLIC, groups: [0, 5] }).state, 1);
});

wire("the longest announce fits a frame: four readers, a parent, all groups there is room for", () => {
  const channels = SENSOR_GROUPS[0]!.channels;
  const wide = { ...SENSOR_GROUPS[0]!, channels: [...channels, ...channels, ...channels, ...channels] };
  const device = makeReady({
    sensor: (millis) => ({ ...makeSensors(millis), groups: () => Array(8).fill(wide) }),
  });
  const fields = {
    ...PUBLIC,
    mode: 2,
    readers: five.slice(1),
    groups: [0, 1],
    frames: 65535,
    millis: 86_400_000,
  };
  start(device, fields);
  device.runFor(500);
  device.powerCycle();
  attest(device);
  start(device, fields);
  device.runFor(500);
  const [frame] = drain(device, makeHost()).frames;
  assert.ok(announceOf([frame!]).parent !== null);
  assert.ok(frame!.bytes.length > 800 && frame!.bytes.length <= stream.STREAM_FRAME_MAX);
});

wire("a reader's key of small order ends a stream before it begins, and says why", () => {
  const device = makeReady();
  const bad = new Uint8Array(32);
  assert.is(start(device, { ...PRIVATE, readers: [bad] }).state, 1);
  device.runFor(500);
  assert.is(read(device, 0).state, 0);
  assert.is(lastFault(device), 0, "read is a write, and forgets");
  start(device, { ...PRIVATE, readers: [bad] });
  device.runFor(500);
  assert.is(lastFault(device), FAULT_STREAM_READER);
  // One that runs goes on for those it has.
  start(device, PRIVATE);
  const host = follow(device, makeHost(), 2000);
  start(device, { ...PRIVATE, readers: [bad] });
  follow(device, host, 3000);
  assert.is(host.state, 2);
  assert.not(host.frames.some(({ type }) => type === stream.FRAME_KEYLOAD));
  assert.ok(contents(finish(device, host).frames, owner).some((content) => content !== null));
});

wire("start for a stream that runs answers the same, and refuses what it would have to change", () => {
  const device = makeReady();
  start(device, PRIVATE);
  device.runFor(500);
  const answer = start(device, PRIVATE);
  const [announce] = drain(device, makeHost()).frames;
  assert.equal(answer, { id: toHex(announce!.id), epoch: announce!.epoch, state: 2 });
  const operations = device.operations();
  assert.equal(start(device, { ...PRIVATE, resume: true }), answer);
  for (const other of [{ frames: 21 }, { millis: 9 }, { groups: [0] }, { mode: 2 }])
    assert.equal(start(device, { ...PRIVATE, ...other }), refused(RC_BAD_STATE));
  assert.is(device.operations(), operations);
});

wire("read is refused: places that are none", () => {
  const device = makeReady();
  start(device, PUBLIC);
  device.runFor(3000);
  const { data, left } = read(device, 0);
  const all = data.length / 2 + left;
  for (const [ack, at] of [
    [-1, 0],
    [5, 4],
    [0, all + 1],
    [all + 1, all + 1],
  ])
    assert.equal(read(device, ack!, at!), refused(RC_INVALID), `${ack}, ${at}`);
  assert.is(read(device, 0, all).left, 0);
  assert.equal(order(device, GROUP_VOUCH, 8, { ack: 0 }), refused(RC_INVALID));
});

wire("a checkpoint comes after so many frames at the latest, and so long after the first that waits", () => {
  const device = makeReady();
  start(device, { ...PUBLIC, frames: 5, millis: 3000 });
  const host = follow(device, makeHost(), 30_000);
  let waiting = 0;
  let checkpoints = 0;
  for (const { type } of host.frames) {
    waiting = stream.isSignedType(type) ? 0 : waiting + 1;
    if (type === stream.FRAME_CHECKPOINT) checkpoints++;
    assert.ok(waiting <= 5, `${waiting} frames without a signature`);
  }
  assert.ok(checkpoints >= 8, `${checkpoints} in 30 s`);
  const slow = makeReady();
  start(slow, { ...PUBLIC, groups: [1], frames: 65535, millis: 7000 });
  const signed = follow(slow, makeHost(), 60_000)
    .frames.filter(({ type }) => type === stream.FRAME_CHECKPOINT)
    .map(({ body }) => reading.decodeCheckpoint(body).ticks);
  assert.is(signed.length, 6, "seven seconds after the first of each two frames");
});

for (const frames of [1, 2, 20])
  wire(
    `a host that stalls: it is told, and what the FIFO lost is a gap, with ${frames} frames to a checkpoint`,
    () => {
      const device = makeReady();
      start(device, { ...PRIVATE, frames });
      const host = follow(device, makeHost(), 2000);
      device.runFor(60_000); // nobody reads
      assert.is(read(device, host.kept).state, 4, "full");
      follow(device, host, 5000);
      assert.is(host.state, 2);
      finish(device, host);
      const opened = contents(host.frames, owner);
      const groups = announceOf(host.frames).groups;
      const next = groups.map(() => -1);
      const lost = groups.map(() => 0);
      for (const [at, frame] of host.frames.entries()) {
        if (frame.type === stream.FRAME_GAP) {
          const gap = reading.decodeGap(opened[at]!, groups);
          assert.is(gap.ticks, next[gap.group], "it begins where the last row ended");
          next[gap.group] = gap.ticks + gap.rows * groups[gap.group]!.period;
          lost[gap.group]! += gap.rows;
        } else if (frame.type === stream.FRAME_DATA) {
          const rows = reading.decodeReadings(opened[at]!, groups);
          if (next[rows.group] !== -1) assert.is(rows.ticks, next[rows.group], "a row is there, or in a gap");
          next[rows.group] = rows.ticks + rows.rows * groups[rows.group]!.period;
        }
      }
      assert.ok(lost[2]! > 10_000 && lost[2]! < 15_000 - FIFO_ROWS[2]!, `${lost} rows lost`);
      assert.is(lost[1], 0, "a slow sensor's FIFO holds a minute");
    },
  );

wire("another set of readers is another epoch: who is left out reads none of it", () => {
  const device = makeReady();
  const both = { ...PRIVATE, mode: 2, readers: [owner.key, clinic.key] };
  start(device, both);
  const host = follow(device, makeHost(), 5000);
  const answer = start(device, { ...both, readers: [owner.key] });
  assert.is(answer.state, 1);
  assert.equal(start(device, { ...both, readers: [clinic.key] }), refused(RC_BUSY));
  assert.equal(start(device, { ...both, readers: [owner.key] }), answer, "the same again");
  follow(device, host, 5000);
  finish(device, host);
  const [first, second] = host.frames
    .map((frame) => openingOf(frame, 2))
    .filter((opening) => opening !== null);
  assert.is(second!.kind, "keyload");
  assert.is(second!.frame.epoch, answer.epoch);
  assert.is(unwrap(second!.keyload!, answer.epoch, clinic), null);
  const mine = contents(host.frames, owner);
  const theirs = contents(host.frames, clinic);
  for (const [at, frame] of host.frames.entries()) {
    if (stream.isSignedType(frame.type)) continue;
    assert.is.not(mine[at], null);
    assert.is(theirs[at] === null, frame.epoch !== first!.frame.epoch);
  }
});

wire("an epoch ends before its frames are used up, by itself", () => {
  const device = makeReady();
  start(device, { ...PUBLIC, groups: [2] });
  const host = follow(device, makeHost(), 2000);
  device.agent()!.stream!.first -= stream.EPOCH_FRAMES_MAX - 1030; // as if it had run for a day
  follow(device, host, 10_000);
  const epochs = new Set(host.frames.map(({ epoch }) => epoch));
  assert.is(epochs.size, 2);
  assert.is(host.frames.filter(({ type }) => type === stream.FRAME_KEYLOAD).length, 1);
  assert.is(host.state, 2);
});

wire("stop: what the FIFOs had is framed, the close is last, and then there is no stream", () => {
  const device = makeReady();
  start(device, PRIVATE);
  const host = follow(device, makeHost(), 2000);
  device.advance(3000); // rows that nobody took yet
  assert.equal(stop(device), { state: 3 });
  assert.equal(stop(device), { state: 3 });
  assert.equal(start(device, PRIVATE), refused(RC_BUSY));
  device.runFor(2000);
  drain(device, host);
  assert.is(host.state, 0);
  const rows = contents(host.frames, owner)
    .filter((content) => content !== null)
    .map((content) => reading.decodeReadings(content, SENSOR_GROUPS))
    .filter(({ group }) => group === 2);
  const sum = rows.reduce((count, { rows }) => count + rows, 0);
  assert.ok(sum > 1200 && sum <= 1252, `${sum} rows of 5 s`);
  assert.equal(read(device, 0), { at: 0, data: "", left: 0, now: read(device, 0).now, state: 0 });
  assert.equal(stop(device), { state: 0 });
  assert.equal(start(device, { ...PRIVATE, resume: true }), refused(RC_BAD_STATE), "it was closed");
  start(device, PRIVATE);
  assert.is(announceOf(follow(device, makeHost(), 500).frames).parent, null);
});

wire("stop before the announce is signed leaves nothing", () => {
  const device = makeReady();
  start(device, PRIVATE);
  assert.equal(stop(device), { state: 0 });
  device.runFor(1000);
  assert.equal(start(device, { ...PRIVATE, resume: true }), refused(RC_BAD_STATE));
});

wire("an unfinished stream is resumed with what was announced, or named by the next one", () => {
  const device = makeReady();
  const fields = { ...PRIVATE, groups: [0, 1], frames: 3 };
  start(device, fields);
  const before = follow(device, makeHost(), 20_000);
  device.powerCycle();
  attest(device);
  for (const other of [{ mode: 2 }, { frames: 4 }, { millis: 1 }, { groups: [0, 1, 2] }])
    assert.equal(
      start(device, { ...fields, ...other, resume: true }),
      refused(RC_INVALID),
      JSON.stringify(other),
    );
  const { groups: _, ...rest } = fields;
  const answer = start(device, { ...rest, resume: true });
  assert.is(answer.id, toHex(before.frames[0]!.id), "without groups: those it had");
  const after = follow(device, makeHost(), 10_000);
  const resume = resumeOf(after.frames[0]!, 1);
  const last = before.frames.at(-1)!;
  assert.ok(resume.acknowledged <= last.seq + 1 && resume.acknowledged > resume.checkpointSeq);
  assert.ok(after.frames.slice(1).some(({ type }) => type === stream.FRAME_DATA));
  device.powerCycle();
  attest(device);
  start(device, PUBLIC);
  const announce = announceOf(follow(device, makeHost(), 500).frames);
  assert.is(toHex(announce.parent!.id), answer.id);
  const linked = after.frames.find(({ seq }) => seq === announce.parent!.seq)!;
  assert.is(toHex(announce.parent!.link), toHex(stream.linkOf(linked.bytes)));
});

wire(
  "an upload, an erase, a key's clearing and a reset wait for the stream's end; a forced reset doesn't",
  () => {
    const device = makeReady();
    start(device, PUBLIC);
    device.runFor(500);
    const busy = { rc: RC_BUSY };
    const file = makeUploadFile(makeImage("next", 900), { sequence: 4 });
    assert.equal(order(device, 1, 1, { off: 0, len: file.length, data: file.subarray(0, 300) }), busy);
    assert.equal(order(device, 1, 5), busy);
    assert.equal(order(device, GROUP_VOUCH, 5, { order: new Uint8Array(100) }), refused(RC_BUSY));
    assert.equal(order(device, GROUP_OS, OS_RESET), busy);
    assert.is(read(device, 0).state, 2);
    const resets = device.resets();
    assert.equal(order(device, GROUP_OS, OS_RESET, { force: 1 }), {});
    device.runFor(1000);
    assert.is(device.resets(), resets + 1);
    assert.is(read(device, 0).state, 0);
    assert.is(upload(device, file)?.match, true);
  },
);

wire("a device is attested while it streams", () => {
  const device = makeReady();
  start(device, PUBLIC);
  const host = follow(device, makeHost(), 2000);
  order(device, GROUP_VOUCH, 2, { nonce: NONCE });
  follow(device, host, 3000);
  assert.is(
    order(device, GROUP_VOUCH, 2, { nonce: NONCE }).job,
    order(device, GROUP_VOUCH, 2, { nonce: NONCE }).job,
  );
  assert.is(host.state, 2);
  finish(device, host);
});

wire("keys are wiped when a stream ends", () => {
  const device = makeReady();
  start(device, { ...PRIVATE, seed: new Uint8Array(32).fill(9) });
  const host = follow(device, makeHost(), 1000);
  const { chain, wanted } = device.agent()!.stream!;
  assert.ok(chain!.some((byte) => byte !== 0) && wanted.seed!.some((byte) => byte !== 0));
  finish(device, host);
  assert.is(device.agent()!.stream, null);
  assert.ok([...chain!, ...wanted.seed!].every((byte) => byte === 0));
});

wire("ticks go on where 32 bits of milliseconds end", () => {
  const since = 2 ** 32 - 3000;
  const device = makeReady({ sensor: (millis) => makeSensors(() => millis() + since) });
  device.agent()!.port.millis = (
    (millis) => () =>
      millis() + since
  )(device.agent()!.port.millis);
  start(device, { ...PUBLIC, groups: [2] });
  const host = finish(device, follow(device, makeHost(), 8000));
  const rows = contents(host.frames, null)
    .filter((content) => content !== null)
    .map((content) => reading.decodeReadings(content, [SENSOR_GROUPS[2]!]));
  for (const [at, { ticks, rows: count }] of rows.entries())
    if (at > 0) assert.is(ticks, rows[at - 1]!.ticks + 4 * rows[at - 1]!.rows, `${count} rows`);
  assert.ok(rows[0]!.ticks < 2 ** 32 && rows.at(-1)!.ticks > 2 ** 32);
});

wire("the finger is out now and then, and that is a reading", () => {
  const device = makeReady();
  start(device, { ...PUBLIC, groups: [0] });
  const host = finish(device, follow(device, makeHost(), 200_000, 1000));
  const values = contents(host.frames, null)
    .filter((content) => content !== null)
    .flatMap((content) => [...reading.decodeReadings(content, [SENSOR_GROUPS[0]!]).values]);
  const none = values.filter((value) => value === VALUE_NAN).length;
  assert.ok(none >= 12 && none < values.length / 10, `${none} of ${values.length}`);
  for (const value of values) assert.ok(value === VALUE_NAN || (value >= 60 && value <= 100), String(value));
});

wire.run();
