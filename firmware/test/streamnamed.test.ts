// Whose bytes a host acknowledges: two streams of one start count their bytes from 0, each for itself, so a place in the
// first is a place in the second, too. A host that names its stream can't have another's bytes dropped.

import { toHex } from "@vouch/shared/bytes";
import { GROUP_VOUCH, RC_BAD_STATE, RC_INVALID, VOUCH_STREAM_READ } from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { order, type Plain } from "./kit";
import type { SimDevice } from "./sim";
import {
  attest,
  drain,
  type Fields,
  finish,
  follow,
  type Host,
  makeHost,
  makeReady,
  PUBLIC,
  read,
  start,
  stop,
} from "./stream-kit";

const named = suite("stream named");
const refused = (rc: number) => ({ err: { group: GROUP_VOUCH, rc } });

const ask = (device: SimDevice, fields: Fields): Plain =>
  order(device, GROUP_VOUCH, VOUCH_STREAM_READ, fields);

interface Two {
  device: SimDevice;
  /** What was read of the first one, and kept. */
  first: Host;
  old: Uint8Array;
}

/** A first stream, recorded to its end; then a second one, in the same start, of which nobody has read more than is kept. */
function twoStreams(): Two {
  const device = makeReady();
  start(device, PUBLIC);
  const first = finish(device, follow(device, makeHost(), 1500));
  assert.is(first.state, 0);
  start(device, PUBLIC);
  device.runFor(6000);
  return { device, first, old: first.frames[0]!.id };
}

/** Bytes of whole frames, as a recording that ends after so many of them counts them. */
const placeAfter = ({ frames }: Host, count: number): number =>
  frames.slice(0, count).reduce((sum, { bytes }) => sum + bytes.length, 0);

named("a place in an earlier stream, acknowledged under its name: another stream's frames stay", () => {
  const { device, first, old } = twoStreams();
  const all = read(device, 0);
  for (let count = 1; count <= first.frames.length; count++) {
    const place = placeAfter(first, count);
    if (place > all.data.length / 2 + all.left) break;
    assert.equal(ask(device, { stream: old, ack: place, at: place }), refused(RC_BAD_STATE), `${count}`);
  }
  assert.equal({ ...read(device, 0), now: 0 }, { ...all, now: 0 }, "not a byte is gone");
  const second = drain(device, makeHost());
  assert.is(second.frames[0]!.seq, 0);
  assert.is.not(toHex(second.frames[0]!.id), toHex(old));
});

named("nor while the other one is being announced, or closed", () => {
  const { device, first, old } = twoStreams();
  const place = placeAfter(first, 2);
  stop(device);
  device.runFor(1000);
  assert.equal(ask(device, { stream: old, ack: place, at: place }), refused(RC_BAD_STATE));
  assert.is(follow(device, makeHost(), 1000).state, 0, "it has all to its close");
  start(device, PUBLIC);
  assert.equal(ask(device, { stream: old, ack: 0, at: 0 }), refused(RC_BAD_STATE));
});

named("who names it and no place is told where it stands, and acknowledges nothing", () => {
  const device = makeReady();
  assert.is(ask(device, { stream: new Uint8Array(16).fill(1) }).state, 0, "no stream is no other one");
  start(device, PUBLIC);
  const host = follow(device, makeHost(), 3000);
  device.runFor(2000);
  const stream = host.frames[0]!.id;
  const kept = placeAfter(host, host.frames.length);
  const stands = ask(device, { stream });
  assert.is(stands.at, kept);
  assert.is.not(stands.data, "");
  assert.equal({ ...ask(device, { stream }), now: 0 }, { ...stands, now: 0 });
  assert.equal(ask(device, { stream, ack: kept, at: kept }).data, stands.data);
  assert.equal(ask(device, { stream, at: kept - 1 }), refused(RC_INVALID), "what is gone");
  device.powerCycle();
  attest(device);
  start(device, { ...PUBLIC, resume: true });
  assert.is(ask(device, { stream }).state, 1, "it is its own before its first frame is signed");
  device.runFor(500);
  assert.is(ask(device, { stream }).at, 0);
});

named("a name that is none is refused, and no name is the wire as it was", () => {
  const { device } = twoStreams();
  for (const stream of [new Uint8Array(15), new Uint8Array(17), "0011223344556677", 7, null])
    assert.equal(ask(device, { stream, ack: 0, at: 0 }), refused(RC_INVALID), String(stream));
  assert.equal(ask(device, {}), refused(RC_INVALID));
  assert.equal(ask(device, { at: 0 }), refused(RC_INVALID));
  assert.is(ask(device, { ack: 0, at: 0 }).at, 0);
});

named.run();
