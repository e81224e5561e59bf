// Streams as the device makes them, read back by streamread.ts: what is in a frame, how frames hang together, who can
// read them, what a host is refused, and what becomes of readings when the host is slow.

import { toHex } from "@vouch/shared/bytes";
import { decodeEvidence } from "@vouch/shared/evidence";
import { verifyEd25519 } from "@vouch/shared/sign";
import * as stream from "@vouch/shared/stream";
import * as reading from "@vouch/shared/streamread";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SENSOR_GROUPS, valuesAt } from "../../host-cli/src/sim/sensors";
import { identify, nodeHash } from "./kit";
import type { SimDevice } from "./sim";
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
  makeReady,
  owner,
  PRIVATE,
  PUBLIC,
  read,
  start,
  stop,
} from "./stream-kit";

const streams = suite("stream");

/** Every link, number and signature of frames that begin with an announce and lose nothing. */
function checkChain(device: SimDevice, frames: reading.Frame[]): void {
  const publicKey = Buffer.from(identify(device).pub, "hex");
  let prev = new Uint8Array(32);
  for (const [at, frame] of frames.entries()) {
    assert.is(frame.seq, at, `frame ${at}`);
    assert.is(toHex(frame.prev), toHex(prev), `link of frame ${at}`);
    assert.is(toHex(frame.id), toHex(frames[0]!.id));
    if (frame.signature !== null)
      assert.ok(
        verifyEd25519(publicKey, stream.streamMessage(frame.unsigned), frame.signature),
        `signature of frame ${at}`,
      );
    prev = stream.linkOf(frame.bytes) as Uint8Array<ArrayBuffer>;
  }
  assert.is(toHex(frames[0]!.id), toHex(stream.streamIdOf(reading.unsignedWithoutId(frames[0]!))));
}

/** Rows by group, as they were framed; checks ticks on the way: nothing is missing between them. */
function rowsOf(frames: reading.Frame[], opened: (Uint8Array | null)[]): number[][] {
  const groups = announceOf(frames).groups;
  const rows: number[][] = groups.map(() => []);
  const next: number[] = [];
  for (const [at, frame] of frames.entries()) {
    if (frame.type !== stream.FRAME_DATA) continue;
    const found = reading.decodeReadings(opened[at]!, groups);
    const expected = next[found.group] ?? found.ticks;
    assert.is(found.ticks, expected, `ticks of frame ${at}`);
    next[found.group] = found.ticks + found.rows * groups[found.group]!.period;
    rows[found.group]!.push(...found.values);
  }
  return rows;
}

/** What the simulated sensors have in their first rows. */
const sampled = (group: number, rows: number): number[] =>
  Array.from({ length: rows }, (_, row) => valuesAt(1, group, row)).flat();

const MODES: [string, Fields, typeof owner | null][] = [
  ["public", PUBLIC, null],
  ["private", PRIVATE, owner],
  ["restricted", { ...PUBLIC, mode: 2, readers: [owner.key, clinic.key] }, clinic],
];

for (const [name, fields, reader] of MODES) {
  streams(`a ${name} stream has every row that was sampled, in frames that are linked and signed`, () => {
    const device = makeReady();
    const first = start(device, fields);
    assert.is(first.state, 1, "it is being signed");
    const host = follow(device, makeHost(), 25_000);
    assert.is(host.state, 2);
    finish(device, host);
    assert.is(host.state, 0, "all is read");
    checkChain(device, host.frames);
    const opened = contents(host.frames, reader);
    const rows = rowsOf(host.frames, opened);
    const lengths = rows.map((values, group) => values.length / SENSOR_GROUPS[group]!.channels.length);
    for (const [group, values] of rows.entries())
      assert.equal(values, sampled(group, lengths[group]!), `group ${group}`);
    assert.ok(lengths[0]! >= 24 && lengths[1]! >= 5 && lengths[2]! >= 6000, `${lengths} rows`);
    assert.is(host.frames.at(-1)!.type, stream.FRAME_CLOSE);
    if (reader !== null) assert.ok(host.frames.every((f) => f.isMasked === !stream.isSignedType(f.type)));
  });
}

streams("an announce names the device, its boot, the evidence and the image that runs", () => {
  const device = makeReady();
  const evidence = attest(device);
  start(device, PUBLIC);
  device.runFor(300);
  const [frame] = drain(device, makeHost()).frames;
  const announce = reading.decodeAnnounce(frame!.body);
  const { claims } = decodeEvidence(evidence);
  assert.is(toHex(announce.evidence), toHex(nodeHash(evidence)));
  assert.is(toHex(announce.image!), toHex(claims!.components[1]!.digest));
  assert.is(toHex(announce.bootseed), toHex(claims!.bootseed));
  assert.is(announce.bootcount, claims!.bootcount);
  assert.is(toHex(announce.publicKey), identify(device).pub);
  assert.is(toHex(announce.ueid), identify(device).ueid);
  assert.equal(announce.groups, SENSOR_GROUPS);
  assert.is(announce.parent, null);
});

streams("what is read can be read again until it is acknowledged", () => {
  const device = makeReady();
  start(device, PUBLIC);
  device.runFor(3000);
  const first = read(device, 0);
  assert.equal(read(device, 0), first);
  assert.is(read(device, 0, 10).data, read(device, 0, 10).data);
  const kept = first.data.length / 2;
  const second = read(device, kept);
  assert.is(read(device, kept).data, second.data);
  assert.equal(read(device, 0), { err: { group: 64, rc: 3 } }, "those bytes are gone");
  stop(device);
});

streams.run();
