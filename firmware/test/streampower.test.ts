// Power is cut at every flash operation of a stream's life, before it, half way through it and with every other byte of
// it done: start, checkpoints that the host acknowledges, sequence numbers reserved, other readers, stop, and what a
// resume writes. Then the device starts again and streams on, or anew. Whatever left the device in both lives must
// have no number twice, no key twice and no nonce twice; every frame of it is linked and signed as the
// page says; and what a resume continues from is a signed frame that the host has.
//
// The board has no randomness, so that nothing but counters keeps keys apart.

import { toHex } from "@vouch/shared/bytes";
import { verifyEd25519 } from "@vouch/shared/sign";
import { RC_BAD_STATE } from "@vouch/shared/smp";
import * as stream from "@vouch/shared/stream";
import * as reading from "@vouch/shared/streamread";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { enrol, flash, identify, makeImage, NoAnswer, nodeHash } from "./kit";
import type { CutPart, SimDevice } from "./sim";
import {
  attest,
  clinic,
  type Fields,
  finish,
  follow,
  type Host,
  makeHost,
  makeSensing,
  openingOf,
  owner,
  start,
  unwrap,
} from "./stream-kit";

const power = suite("stream power");
const PARTS: CutPart[] = ["before", "half", "scattered"];

/** Two groups, slow ones: a frame a second or so. */
const BOTH: Fields = {
  mode: 2,
  readers: [owner.key, clinic.key],
  groups: [0, 1],
  frames: 40,
  millis: 60_000,
};
const OWNER: Fields = { ...BOTH, readers: [owner.key] };

const factory = makeSensing({ random: null });
flash(factory, makeImage("pump", 1500), { sequence: 3, floor: 2 });
enrol(factory, { seed: nodeHash(Buffer.from("seed")) });
const PUBLIC_KEY = Buffer.from(identify(factory).pub, "hex");

/** What a host has got in one start of the device. */
type Run = reading.Frame[];

/** Runs until done or the power goes; whether it was done. */
function survives(work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
    return false;
  }
}

/** Everything that writes: more than a block of sequence numbers, checkpoints, another epoch, an end. */
function live(device: SimDevice, host: Host): void {
  follow(device, host, 300_000, 1000);
  start(device, { ...OWNER, resume: false }); // another epoch: without the clinic
  follow(device, host, 100_000, 1000);
  finish(device, host);
}

/** Starts again after a cut: what the device can go on with, or another stream. */
function liveAgain(device: SimDevice, host: Host, where: string): void {
  attest(device);
  const answer = start(device, { ...BOTH, resume: true });
  if (answer.err !== undefined) {
    assert.is(answer.err.rc, RC_BAD_STATE, where);
    assert.is(start(device, { ...BOTH, resume: false }).state, 1, where);
  }
  follow(device, host, 5000, 1000);
  finish(device, host);
  assert.is(host.state, 0, `${where}: read to its end`);
}

interface Opened {
  key: string;
  nonce: string;
}

/** Checks the frames of a stream against each other, and returns the keys and nonces used. */
function checkRun(run: Run, before: Run[], opened: Opened[], keys: Set<string>, where: string): void {
  let chain: Uint8Array | null = null;
  for (const [at, frame] of run.entries()) {
    const what = `${where}, frame ${frame.seq} of epoch ${frame.epoch}`;
    if (at > 0) {
      assert.is(toHex(frame.prev), toHex(stream.linkOf(run[at - 1]!.bytes)), `${what}: link`);
      assert.is(frame.seq, run[at - 1]!.seq + 1, what);
    } else checkFirst(frame, before, what);
    if (frame.signature !== null)
      assert.ok(verifyEd25519(PUBLIC_KEY, stream.streamMessage(frame.unsigned), frame.signature), what);
    const opening = openingOf(frame, BOTH.mode as number);
    if (opening !== null) {
      chain = unwrap(opening.keyload!, frame.epoch, owner)!;
      assert.not(keys.has(toHex(chain)), `${what}: the epoch's key is new`);
      keys.add(toHex(chain));
    }
    if (frame.isMasked) {
      const key = stream.frameKey(chain!);
      reading.unmaskBody(frame, key);
      opened.push({ key: toHex(key), nonce: toHex(frame.body.subarray(0, stream.STREAM_NONCE_BYTES)) });
    }
    chain = stream.nextChain(chain!);
  }
}

/** An announce, or a resume of a stream that the host has. */
function checkFirst(frame: reading.Frame, before: Run[], what: string): void {
  if (frame.type === stream.FRAME_ANNOUNCE) {
    assert.is(toHex(frame.id), toHex(stream.streamIdOf(reading.unsignedWithoutId(frame))), what);
    return;
  }
  assert.is(frame.type, stream.FRAME_RESUME, what);
  const kept = before.flat().filter(({ id }) => toHex(id) === toHex(frame.id));
  const resume = reading.decodeResume(frame.body, BOTH.mode as number);
  const last = kept.at(-1);
  // An announce is on record before anybody got it; nothing else is.
  if (last === undefined) {
    assert.is(resume.checkpointSeq, 0, what);
    assert.is(resume.acknowledged, 0, what);
    return;
  }
  const linked = kept.find(({ seq }) => seq === resume.checkpointSeq)!;
  assert.ok(stream.isSignedType(linked.type), `${what}: goes on from a signed frame`);
  assert.is(toHex(frame.prev), toHex(stream.linkOf(linked.bytes)), what);
  assert.ok(resume.acknowledged <= last.seq + 1, `${what}: ${resume.acknowledged} acknowledged`);
  assert.ok(frame.seq > last.seq && frame.epoch > last.epoch, `${what}: behind all that went out`);
}

function checkAll(runs: Run[], where: string): void {
  const opened: Opened[] = [];
  const keys = new Set<string>();
  for (const [at, run] of runs.entries()) checkRun(run, runs.slice(0, at), opened, keys, where);
  const frames = runs.flat();
  const places = frames.map(({ epoch, seq }) => `${epoch} ${seq}`);
  assert.is(new Set(places).size, frames.length, `${where}: (epoch, seq) twice`);
  const inStream = frames.map(({ id, seq }) => `${toHex(id)} ${seq}`);
  assert.is(new Set(inStream).size, frames.length, `${where}: a sequence number twice in a stream`);
  assert.is(new Set(opened.map(({ key }) => key)).size, opened.length, `${where}: a frame's key twice`);
  assert.is(new Set(opened.map(({ nonce }) => nonce)).size, opened.length, `${where}: a nonce twice`);
}

/** From this flash, attested: a device that is about to do `act`, which is cut everywhere. */
function cutEverywhere(
  name: string,
  flashed: Uint8Array,
  earlier: Run[],
  act: (device: SimDevice, host: Host) => void,
): void {
  power(`cut at every flash operation of ${name}`, () => {
    const begin = () => {
      const device = makeSensing({ random: null, flash: flashed.slice() });
      attest(device);
      return { device, host: makeHost(), before: device.operations() };
    };
    const uncut = begin();
    act(uncut.device, uncut.host);
    const total = uncut.device.operations() - uncut.before;
    assert.ok(total > 3, `${total} operations`);
    assert.ok(uncut.host.frames.at(-1)!.seq > 256, "more than a block of sequence numbers");
    checkAll([...earlier, uncut.host.frames], "uncut");
    for (let cut = 0; cut < total; cut++)
      for (const part of PARTS) {
        const where = `${part} operation ${cut} of ${total}`;
        const { device, host } = begin();
        device.cutAt(cut, part);
        survives(() => act(device, host));
        assert.is(device.agent(), null, `${where}: power was cut`);
        device.powerCycle();
        const again = makeHost();
        liveAgain(device, again, where);
        checkAll([...earlier, host.frames, again.frames], where);
      }
  });
}

cutEverywhere("a whole stream", factory.flash, [], (device, host) => {
  start(device, { ...BOTH, resume: false });
  live(device, host);
});

// A stream that lost its power once, and is resumed.
const broken = makeSensing({ random: null, flash: factory.flash.slice() });
attest(broken);
start(broken, { ...BOTH, resume: false });
const first = follow(broken, makeHost(), 90_000, 1000);

cutEverywhere("a resumed stream", broken.flash, [first.frames], (device, host) => {
  assert.is(start(device, { ...BOTH, resume: true }).state, 1);
  follow(device, host, 60_000, 1000);
  finish(device, host);
});

power("a cut while recovering from a cut: every pair around start and resume", () => {
  for (let one = 0; one < 4; one++)
    for (let two = 0; two < 4; two++)
      for (const part of PARTS) {
        const where = `${part} ${one}, ${two}`;
        const device = makeSensing({ random: null, flash: broken.flash.slice() });
        const hosts: Host[] = [];
        for (const cut of [one, two]) {
          const host = makeHost();
          hosts.push(host);
          attest(device);
          device.cutAt(cut, part);
          survives(() => {
            start(device, { ...BOTH, resume: true });
            follow(device, host, 130_000, 1000);
          });
          device.cutAt(Number.POSITIVE_INFINITY, part);
          device.powerCycle();
        }
        const last = makeHost();
        liveAgain(device, last, where);
        checkAll([first.frames, ...hosts.map(({ frames }) => frames), last.frames], where);
      }
});

power("the store wears by blocks and checkpoints, not by frames", () => {
  const device = makeSensing({ random: null, flash: factory.flash.slice() });
  attest(device);
  const before = device.operations();
  start(device, { ...BOTH, frames: 65535, millis: 86_400_000, resume: false });
  const host = follow(device, makeHost(), 800_000, 2000);
  const frames = host.frames.length;
  assert.ok(frames > 512, `${frames} frames`);
  // An epoch, an announce, and a block for each 256 frames.
  assert.is(device.operations() - before, 2 + Math.floor((frames - 1) / 256));
});

power.run();
