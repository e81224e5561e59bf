import { cborMap } from "@vouch/shared/cbor";
import { encodeFrame, encodeMessage, smpHeader } from "@vouch/shared/smp";
import { decodeEnvelope, splitUpload } from "@vouch/shared/suit";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  ask,
  classId,
  confirm,
  enrol,
  exchange,
  flash,
  frame,
  identify,
  images,
  lastFault,
  makeDevice,
  makeImage,
  makeUploadFile,
  nodeHash,
  order,
  plain,
  request,
  reset,
  test as testImage,
  upload,
  vendor,
  vendorId,
} from "./kit";
import { makeEngine, type SimDevice } from "./sim";

const commands = suite("commands");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

commands("echo answers with the text, read or write, and an empty one for none", () => {
  const device = makeDevice();
  assert.equal(order(device, 0, 0, { d: "hello" }), { r: "hello" });
  assert.equal(ask(device, 0, 0, { d: "hällo" }), { r: "hällo" });
  assert.equal(order(device, 0, 0), { r: "" });
  assert.equal(order(device, 0, 0, { d: 7 }), { rc: 3 });
});

commands("a reply mirrors version, group, command and sequence of its request", () => {
  const device = makeDevice();
  for (const version of [0, 1]) {
    const sent = smpHeader(2, version, 0, 0, 0xa7);
    const [answer] = exchange(device, encodeFrame(encodeMessage(sent, cborMap([["d", "x"]]))));
    assert.equal(answer?.header, { ...sent, op: 3, length: 5 });
  }
});

commands("parameters name a buffer that a frame of that size really fits", () => {
  const device = makeDevice();
  const params = ask(device, 0, 6);
  assert.equal(params, { buf_size: 512, buf_count: 4 });
  const room = params.buf_size - 4 - 8 - 6; // frame, header, map and text heads
  assert.is(order(device, 0, 0, { d: "e".repeat(room) }).r.length, room);
  assert.equal(exchange(device, frame(true, 0, 0, cborMap([["d", "e".repeat(room + 1)]]))), []);
  assert.equal(order(device, 0, 0, { d: "after" }), { r: "after" });
});

commands("reset is answered first and happens once", () => {
  const device = makeDevice();
  const before = identify(device).bootcount;
  assert.equal(order(device, 0, 5), {});
  assert.equal(order(device, 0, 5, { force: 1 }), {});
  assert.is(device.resets(), 0);
  device.run();
  assert.is(device.resets(), 1);
  assert.is(identify(device).bootcount, before + 1);
});

commands("a fresh device lists no image", () => {
  assert.equal(ask(makeDevice(), 1, 0), { images: [], splitStatus: 0 });
});

commands("slot info tells how long an upload may be", () => {
  const info = ask(makeDevice(), 1, 6);
  assert.equal(info.images[0].slots, [
    { slot: 0, size: 9216 },
    { slot: 1, size: 9216, upload_image_id: 0 },
  ]);
  assert.is(identify(makeDevice()).max, 9216);
});

commands("the list has the fields that MCUboot's has, through test, confirm and a second image", () => {
  const device = makeDevice();
  const first = makeImage("first");
  const flags = (entry: { [key: string]: unknown }) =>
    ["bootable", "pending", "confirmed", "active", "permanent"].filter((name) => entry[name] === true);
  upload(device, makeUploadFile(first));
  assert.equal(images(device), [
    {
      slot: 1,
      version: "1.0.0",
      hash: hex(nodeHash(first)),
      bootable: true,
      pending: false,
      confirmed: false,
      active: false,
      permanent: false,
    },
  ]);
  assert.equal(flags(testImage(device, first).images[0]), ["bootable", "pending"]);
  reset(device);
  assert.equal(
    images(device).map((i) => [i.slot, ...flags(i)]),
    [[0, "bootable", "active"]],
  );
  assert.equal(flags(confirm(device).images[0]), ["bootable", "confirmed", "active"]);
  const second = makeImage("second");
  upload(device, makeUploadFile(second, { sequence: 2 }));
  testImage(device, second);
  reset(device);
  assert.equal(
    images(device).map((i) => [i.slot, i.version, ...flags(i)]),
    [
      [0, "2.0.0", "bootable", "active"],
      [1, "1.0.0", "bootable", "confirmed"],
    ],
  );
});

commands("confirm with the other image's hash runs it for good at the next start", () => {
  const device = makeDevice();
  const image = makeImage("permanent");
  upload(device, makeUploadFile(image, { sequence: 4, floor: 3 }));
  const [entry] = order(device, 1, 0, { hash: nodeHash(image), confirm: true }).images;
  assert.is(entry.permanent, true);
  assert.is(identify(device).floor, 0);
  reset(device);
  assert.is(images(device)[0].confirmed, true);
  assert.is(identify(device).floor, 3);
});

// Version 1 has numbers of the group, version 0 the common ones; the pairs are Zephyr's.
function flashed(): { device: SimDevice; image: Uint8Array } {
  const device = makeDevice();
  const image = makeImage("runs");
  flash(device, image);
  return { device, image };
}
for (const [name, command, fields, groupRc, rc, fault] of [
  ["test of what runs", 0, (i: Uint8Array) => ({ hash: nodeHash(i), confirm: false }), 33, 1, 0x0709],
  ["test of an unknown hash", 0, () => ({ hash: new Uint8Array(32), confirm: false }), 8, 1, 0x0707],
  ["test without a hash", 0, () => ({ confirm: false }), 24, 3, 0],
  ["a short hash", 0, () => ({ hash: new Uint8Array(16), confirm: true }), 24, 3, 0],
  ["upload without len", 1, () => ({ off: 0, data: new Uint8Array(8) }), 21, 3, 0],
  ["upload of nothing", 1, () => ({ off: 0, len: 0, data: new Uint8Array(0) }), 21, 3, 0],
  [
    "a sha of 33 bytes",
    1,
    () => ({ off: 0, len: 64, sha: new Uint8Array(33), data: new Uint8Array(8) }),
    24,
    3,
    0,
  ],
  ["upload of image 1", 1, () => ({ off: 0, len: 64, image: 1, data: new Uint8Array(8) }), 9, 6, 0],
  ["an upload longer than a slot", 1, () => ({ off: 0, len: 9217, data: new Uint8Array(8) }), 30, 1, 0x0703],
  ["erase of what runs", 5, () => ({ slot: 0 }), 9, 6, 0],
  ["erase of slot 9", 5, () => ({ slot: 9 }), 14, 3, 0],
] as const) {
  commands(`refuses in both versions: ${name}`, () => {
    const { device, image } = flashed();
    const before = hex(device.flash);
    assert.equal(plain(request(device, true, 1, command, fields(image))), { err: { group: 1, rc: groupRc } });
    assert.is(lastFault(device), fault);
    assert.equal(plain(request(device, true, 1, command, fields(image), 0)), { rc });
    assert.is(hex(device.flash), before);
  });
}

commands("unknown commands, groups and operations are rc 8 in both versions, and change nothing", () => {
  const { device } = flashed();
  enrol(device);
  const known = new Set([
    "2/0/5",
    "0/0/6",
    "0/1/0",
    "2/1/0",
    "2/1/1",
    "2/1/5",
    "0/1/6",
    "0/64/0",
    "2/64/1",
    "2/64/2",
    "0/64/3",
    "0/64/4",
    "2/64/5",
    "0/64/6",
    "0/0/0",
    "2/0/0",
  ]);
  const before = hex(device.flash);
  const idBefore = identify(device);
  for (const group of [0, 1, 2, 8, 63, 64, 65, 0xffff]) {
    for (let command = 0; command < 256; command++) {
      for (const op of [0, 2]) {
        if (known.has(`${op}/${group}/${command}`)) continue;
        for (const version of [0, 1]) {
          const body = plain(
            request(device, op === 2, group, command, { slot: 1, confirm: true, off: 0 }, version),
          );
          assert.equal(body, { rc: 8 }, `op ${op} group ${group} command ${command}`);
        }
      }
    }
  }
  assert.is(hex(device.flash), before);
  assert.equal(identify(device), idBefore);
});

commands("a body that isn't a map, a cut one, and none at all are rc 3", () => {
  const device = makeDevice();
  const header = smpHeader(2, 1, 0, 0, 9);
  for (const bytes of [[], [0x83, 1, 2, 3], [0xa1, 0x61], [0xff]]) {
    const message = new Uint8Array([...encodeMessage(header, cborMap([])).subarray(0, 8), ...bytes]);
    message[3] = bytes.length;
    const [answer] = exchange(device, encodeFrame(message));
    assert.equal(plain(answer?.body ?? null), { rc: 3 });
  }
});

commands("a message whose own length is off is rc 9, and replies are not answered", () => {
  const device = makeDevice();
  const message = encodeMessage(smpHeader(2, 1, 0, 0, 9), cborMap([["d", "x"]]));
  message[3] = 40;
  assert.equal(plain(exchange(device, encodeFrame(message))[0]?.body ?? null), { rc: 9 });
  assert.equal(exchange(device, encodeFrame(encodeMessage(smpHeader(3, 1, 0, 0, 9), cborMap([])))), []);
});

commands("identify says who the device is, before and after it is flashed and enrolled", () => {
  const device = makeDevice();
  const fresh = identify(device);
  assert.is(fresh.ueid.length, 34);
  assert.equal(fresh, {
    v: 1,
    model: "PUMP-400",
    hwver: "B",
    agent: "0.1.0",
    engine: { name: "vouch-sim", version: "0.1.0" },
    ueid: fresh.ueid,
    enrolled: false,
    pub: null,
    origin: "none",
    clears: 0,
    vendor: fresh.vendor,
    vid: hex(vendorId),
    cid: hex(classId),
    floor: 0,
    seq: 0,
    mdig: null,
    bootcount: 1,
    slots: 2,
    max: 9216,
    random: true,
    job: "idle",
  });
  flash(device, makeImage("app"), { sequence: 7, floor: 5 });
  const sent = splitUpload(makeUploadFile(makeImage("app"), { sequence: 7, floor: 5 }));
  enrol(device);
  const later = identify(device);
  assert.equal(later, {
    ...fresh,
    enrolled: true,
    pub: later.pub,
    origin: "device",
    floor: 5,
    seq: 7,
    mdig: hex(nodeHash(decodeEnvelope(sent.envelope).manifestBytes)),
    bootcount: 2,
    job: "ready",
  });
  assert.is(later.pub.length, 64);
});

commands("an identify reply fits the buffer that is advertised", () => {
  const longest = "x".repeat(40);
  const texts = { model: longest, hardwareVersion: longest, name: longest, version: longest };
  const engine = makeEngine(
    { vendorKey: vendor.publicKey, vendorId, classId, ...texts },
    makeImage("js"),
    4096,
  );
  const device = makeDevice({ engine });
  flash(device, makeImage("app"), {
    sequence: Number.MAX_SAFE_INTEGER,
    floor: Number.MAX_SAFE_INTEGER,
    revisions: [],
  });
  enrol(device);
  const [answer] = exchange(device, frame(false, 64, 0, cborMap([])));
  assert.is(identify(device).seq, Number.MAX_SAFE_INTEGER);
  assert.ok((answer?.header.length ?? 999) + 8 <= 508);
});

commands("noise, cut frames and wild bytes get no reply and harm nothing", () => {
  const device = makeDevice();
  const noise = makeImage("noise", 40000);
  const before = hex(device.flash);
  assert.equal(exchange(device, noise), []);
  const whole = frame(true, 0, 0, cborMap([["d", "y".repeat(300)]]));
  for (let cut = 1; cut < whole.length - 1; cut++) assert.equal(exchange(device, whole.subarray(0, cut)), []);
  assert.is(hex(device.flash), before);
  assert.equal(order(device, 0, 0, { d: "after" }), { r: "after" });
});

commands.run();
