// Power is cut at every flash operation (a write, or one sector of an erase) of everything that
// changes a device, before it, half way through it and with every other byte of it done. After
// the restart the device must run the old image or the new one, tell the truth about it, take
// another image, and hold either no key or a whole one.

import { decodeEvidence, evidenceMessage } from "@vouch/shared/evidence";
import { verifyEd25519 } from "@vouch/shared/sign";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MANIFEST_AREA } from "../src/slots";
import {
  confirm,
  ENGINE_BYTES,
  ENROLMENT,
  enrol,
  finishJob,
  flash,
  identify,
  images,
  lastFault,
  makeImage,
  makeDevice as makeKitDevice,
  makeUploadFile,
  NoAnswer,
  nodeHash,
  order,
  reset,
  test as testImage,
  upload,
} from "./kit";
import { type CutPart, type SimDevice, type SimOptions, simLayout } from "./sim";

const power = suite("power");
// Slots of four sectors: small enough to try everything.
const makeDevice = (options: Partial<SimOptions> = {}) =>
  makeKitDevice({ layout: simLayout(3072, ENGINE_BYTES), ...options });
const PARTS: CutPart[] = ["before", "half", "scattered"];
const old = makeImage("old", 1500);
const next = makeImage("next", 1700);
const third = makeImage("third", 900);
const VERSIONS = new Map([
  ["3.0.0", { image: old, floor: 2 }],
  ["5.0.0", { image: next, floor: 4 }],
]);
const nonce = nodeHash(Buffer.from("after the cut"));

const holds = (device: SimDevice, image: Uint8Array): boolean =>
  device.layout.slots.some((slot) => {
    const start = slot.address + MANIFEST_AREA;
    return Buffer.compare(device.flash.subarray(start, start + image.length), image) === 0;
  });

// Everything the device says of itself holds against its flash and against each other.
function checkHonest(device: SimDevice, allowed: (string | null)[], where: string): void {
  const list = images(device);
  const active = list.filter((i) => i.active);
  assert.ok(active.length <= 1, where);
  const version = active[0]?.version ?? null;
  assert.ok(allowed.includes(version), `${where}: runs ${version}`);
  const id = identify(device);
  assert.is(id.seq, version === null ? 0 : Number.parseInt(version, 10), where);
  for (const entry of list) {
    assert.is(entry.bootable, true, `${where}: lists what it can't boot`);
    const image = VERSIONS.get(entry.version)?.image ?? third;
    assert.is(entry.hash, Buffer.from(nodeHash(image)).toString("hex"), where);
    assert.ok(holds(device, image), `${where}: lists ${entry.version}, which isn't in flash`);
  }
  const confirmed = list.find((i) => i.confirmed);
  assert.is(id.floor, confirmed ? VERSIONS.get(confirmed.version)?.floor : 0, `${where}: floor`);
  if (id.enrolled) assert.ok(id.pub, `${where}: enrolled without a key`);
  if (id.pub) checkKey(device, id.pub, version, where);
}

// The key signs, and what it signs names what runs.
function checkKey(device: SimDevice, pub: string, version: string | null, where: string): void {
  order(device, 64, 2, { nonce });
  const { fault, sign1, claims } = decodeEvidence(finishJob(device));
  assert.is(fault, 0, where);
  assert.ok(verifyEd25519(Buffer.from(pub, "hex"), evidenceMessage(sign1), sign1.signature), `${where}: key`);
  const image = version === null ? null : (VERSIONS.get(version)?.image ?? null);
  const app = claims?.components.find((c) => c.name === "app");
  assert.is(
    app ? Buffer.from(app.digest).toString("hex") : null,
    image ? Buffer.from(nodeHash(image)).toString("hex") : null,
    where,
  );
}

// It can go on: another image, and an enrolment if it has none.
function checkUsable(device: SimDevice, where: string): void {
  // Nothing is written while a trial runs; a start without confirm ends it.
  if (images(device).some((i) => i.active && !i.confirmed)) reset(device);
  flash(device, third, { sequence: 9 });
  assert.is(images(device)[0].version, "9.0.0", where);
  if (!identify(device).enrolled) {
    enrol(device);
    assert.is(identify(device).enrolled, true, where);
  }
}

const survives = (work: () => void): void => {
  try {
    work();
  } catch (error) {
    if (!(error instanceof NoAnswer)) throw error;
  }
};

interface Story {
  /** Done once; each case starts a device from the flash it leaves, which is a start. */
  prepare: (device: SimDevice) => void;
  /** Done in each case before the cut is set. */
  ready?: (device: SimDevice) => void;
  act: (device: SimDevice) => void;
  allowed: (string | null)[];
  /** What runs when nothing was cut. */
  after: string | null;
  check?: (device: SimDevice, where: string) => void;
}

function cutEverywhere(name: string, story: Story): void {
  power(`cut at every flash operation of ${name}`, () => {
    const start = makeDevice();
    story.prepare(start);
    const begin = (): SimDevice => {
      const device = makeDevice({ flash: start.flash.slice() });
      story.ready?.(device);
      return device;
    };
    const run = begin();
    const before = run.operations();
    story.act(run);
    const total = run.operations() - before;
    assert.ok(total > 0);
    checkHonest(run, [story.after], "uncut");
    for (let cut = 0; cut < total; cut++) {
      for (const part of PARTS) {
        const where = `${part} operation ${cut} of ${total}`;
        const device = begin();
        device.cutAt(cut, part);
        survives(() => story.act(device));
        assert.is(device.agent(), null, `${where}: power was cut`);
        device.powerCycle();
        checkHonest(device, story.allowed, where);
        story.check?.(device, where);
        checkUsable(device, where);
      }
    }
  });
}

const withOld = (device: SimDevice) => {
  flash(device, old, { sequence: 3, floor: 2 });
  enrol(device);
};
const newFile = makeUploadFile(next, { sequence: 5, floor: 4 });
const uploaded = (device: SimDevice) => {
  withOld(device);
  upload(device, newFile);
};
const tested = (device: SimDevice) => {
  uploaded(device);
  testImage(device, next);
};

cutEverywhere("an upload", {
  prepare: withOld,
  act: (d) => upload(d, newFile),
  allowed: ["3.0.0"],
  after: "3.0.0",
});
cutEverywhere("an upload over an image that is set to run", {
  prepare: uploaded,
  ready: (d) => testImage(d, next),
  act: (d) => upload(d, makeUploadFile(third, { sequence: 9 })),
  allowed: ["3.0.0", "5.0.0"],
  after: "3.0.0",
});
cutEverywhere("an upload over an image that waits", {
  prepare: uploaded,
  act: (d) => upload(d, makeUploadFile(third, { sequence: 9 })),
  allowed: ["3.0.0"],
  after: "3.0.0",
});
cutEverywhere("a refused upload", {
  prepare: withOld,
  act: (d) => upload(d, makeUploadFile(next, { sequence: 5, digest: new Uint8Array(32) })),
  allowed: ["3.0.0"],
  after: "3.0.0",
});
cutEverywhere("test", {
  prepare: uploaded,
  act: (d) => testImage(d, next),
  allowed: ["3.0.0", "5.0.0"],
  after: "3.0.0",
});
cutEverywhere("the start of a trial", {
  prepare: uploaded,
  ready: (d) => testImage(d, next),
  act: reset,
  allowed: ["3.0.0", "5.0.0"],
  after: "5.0.0",
});
cutEverywhere("confirm", {
  prepare: tested,
  act: (d) => confirm(d),
  allowed: ["3.0.0", "5.0.0"],
  after: "5.0.0",
});
cutEverywhere("a start that reverts", { prepare: tested, act: reset, allowed: ["3.0.0"], after: "3.0.0" });
cutEverywhere("erase", { prepare: uploaded, act: (d) => order(d, 1, 5), allowed: ["3.0.0"], after: "3.0.0" });
cutEverywhere("all of a first flashing", {
  prepare: () => {},
  act: (d) => flash(d, next, { sequence: 5, floor: 4 }),
  allowed: [null, "5.0.0"],
  after: "5.0.0",
});
cutEverywhere("enrolling", {
  prepare: (d) => flash(d, old, { sequence: 3, floor: 2 }),
  act: enrol,
  allowed: ["3.0.0"],
  after: "3.0.0",
});

power("cut at every flash operation of the very first start leaves a device that starts", () => {
  for (let cut = 0; ; cut++) {
    for (const part of PARTS) {
      const device = makeDevice({ off: true });
      device.cutAt(cut, part);
      device.powerCycle();
      if (device.agent() !== null) {
        assert.ok(cut >= 3, "store header, count of starts and ueid are written");
        return;
      }
      device.powerCycle();
      checkHonest(device, [null], `${part} ${cut}`);
      checkUsable(device, `${part} ${cut}`);
    }
  }
});

power("a cut while recovering from a cut is as harmless: every pair around the start of a trial", () => {
  const start = makeDevice();
  uploaded(start);
  for (let first = 0; first < 4; first++) {
    for (let second = 0; second < 4; second++) {
      for (const part of PARTS) {
        const device = makeDevice({ flash: start.flash.slice() });
        testImage(device, next);
        device.cutAt(first, part);
        survives(() => reset(device));
        device.cutAt(second, part);
        device.powerCycle();
        if (device.agent() === null) device.powerCycle();
        device.cutAt(Number.POSITIVE_INFINITY, part);
        checkHonest(device, ["3.0.0", "5.0.0"], `${part} ${first}, ${second}`);
        checkUsable(device, `${part} ${first}, ${second}`);
      }
    }
  }
});

power("a host that uploads again after a cut in the middle gets the image through", () => {
  const start = makeDevice();
  withOld(start);
  for (const cut of [2, 5, 9]) {
    const device = makeDevice({ flash: start.flash.slice() });
    device.cutAt(cut, "half");
    assert.is(upload(device, newFile), null);
    device.powerCycle();
    assert.is(
      order(device, 1, 1, { off: 900, data: new Uint8Array(8) }).off,
      0,
      "the session is gone, and said so",
    );
    assert.is(upload(device, newFile)?.match, true);
    testImage(device, next);
    reset(device);
    confirm(device);
    assert.is(images(device)[0].version, "5.0.0");
    assert.is(lastFault(device), 0);
  }
});

power("the store wears evenly: a thousand starts fit, and nothing is forgotten", () => {
  const device = makeDevice();
  withOld(device);
  const before = identify(device);
  for (let i = 0; i < 1000; i++) device.powerCycle();
  assert.equal(identify(device), { ...before, bootcount: before.bootcount + 1000, job: "idle" });
  assert.equal(order(device, 64, 1, { commit: ENROLMENT }), {});
});

power.run();
