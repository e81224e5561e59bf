import { faultCode } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MANIFEST_AREA } from "../src/slots";
import {
  confirm,
  flash,
  identify,
  images,
  lastFault,
  makeDevice,
  makeImage,
  makeUploadFile,
  nodeHash,
  order,
  reset,
  test as testImage,
  upload,
} from "./kit";

const boot = suite("boot");
const old = makeImage("old");
const next = makeImage("next");
const running = (device: Parameters<typeof images>[0]) =>
  images(device).find((i) => i.active)?.version ?? null;

// Old at number 3, floor 2; next at number 5, floor 4, uploaded.
function prepared() {
  const device = makeDevice();
  flash(device, old, { sequence: 3, floor: 2 });
  upload(device, makeUploadFile(next, { sequence: 5, floor: 4 }));
  return device;
}

boot("an image that was uploaded and not tested never runs", () => {
  const device = prepared();
  reset(device);
  reset(device);
  assert.is(running(device), "3.0.0");
});

boot("a tested image runs once: without confirm the next start reverts, and says so", () => {
  const device = prepared();
  testImage(device, next);
  reset(device);
  assert.equal([running(device), lastFault(device)], ["5.0.0", 0]);
  reset(device);
  assert.equal([running(device), faultCode(lastFault(device))], ["3.0.0", "boot-reverted"]);
  reset(device);
  assert.equal([running(device), lastFault(device)], ["3.0.0", 0]);
});

boot("a reverted image may be tested again", () => {
  const device = prepared();
  testImage(device, next);
  reset(device);
  reset(device);
  testImage(device, next);
  reset(device);
  confirm(device);
  reset(device);
  assert.is(running(device), "5.0.0");
});

boot("the floor rises at confirm, not before, and never falls", () => {
  const device = prepared();
  assert.is(identify(device).floor, 2);
  testImage(device, next);
  reset(device);
  assert.is(identify(device).floor, 2, "on trial");
  reset(device);
  assert.is(identify(device).floor, 2, "after the revert");
  testImage(device, next);
  reset(device);
  confirm(device);
  assert.is(identify(device).floor, 4);
  reset(device);
  assert.is(identify(device).floor, 4);
  const low = makeImage("no floor of its own");
  flash(device, low, { sequence: 4, floor: 0 });
  assert.equal([running(device), identify(device).floor], ["4.0.0", 4]);
});

boot(
  "an image at the floor is taken, one below is refused; above the floor older numbers may come back",
  () => {
    const device = makeDevice();
    flash(device, old, { sequence: 9, floor: 4 });
    assert.is(upload(device, makeUploadFile(next, { sequence: 4 }))?.match, true);
    assert.equal(upload(device, makeUploadFile(next, { sequence: 3 })), { err: { group: 1, rc: 27 } });
    assert.is(faultCode(lastFault(device)), "suit-rollback");
  },
);

boot("the floor holds for an image that was uploaded before it rose", () => {
  const device = makeDevice();
  flash(device, old, { sequence: 3 });
  upload(device, makeUploadFile(next, { sequence: 5, floor: 5 }));
  testImage(device, next);
  reset(device);
  confirm(device);
  assert.equal(order(device, 1, 0, { hash: nodeHash(old), confirm: false }), { err: { group: 1, rc: 27 } });
  assert.is(faultCode(lastFault(device)), "suit-rollback");
});

boot("confirming what runs while another is set to run is refused, twice confirming is not", () => {
  const device = prepared();
  assert.ok(confirm(device).images);
  testImage(device, next);
  assert.equal(confirm(device), { err: { group: 1, rc: 28 } });
  assert.ok(testImage(device, next).images, "testing it again changes nothing");
  reset(device);
  assert.ok(confirm(device).images);
  assert.ok(confirm(device).images);
});

boot("with no image at all there is nothing to confirm", () => {
  assert.equal(confirm(makeDevice()), { err: { group: 1, rc: 8 } });
});

boot("a first image that isn't confirmed leaves a device without one, that can be flashed again", () => {
  const device = makeDevice();
  upload(device, makeUploadFile(old));
  testImage(device, old);
  reset(device);
  assert.is(running(device), "1.0.0");
  reset(device);
  assert.is(running(device), null);
  flash(device, next, { sequence: 2 });
  assert.is(running(device), "2.0.0");
});

// Flash that changed behind the agent's back: found at the start, not run, and said.
const payload = 4096 + 1024;
for (const [name, at] of [
  ["the payload", payload + 100],
  ["the manifest", 4096 + 230],
  ["the length before it", 4096 + 1],
] as const) {
  boot(`a confirmed image is not run once a bit of ${name} changed`, () => {
    const device = makeDevice();
    flash(device, old, { sequence: 3 });
    device.flash[at] = (device.flash[at] ?? 0) ^ 0x10;
    reset(device);
    assert.equal([running(device), identify(device).seq], [null, 0]);
    assert.is(faultCode(lastFault(device)), "boot-image-changed");
    flash(device, next, { sequence: 4 });
    assert.is(running(device), "4.0.0");
  });
}

boot("a pending image that changed is not run: the confirmed one is, and says why", () => {
  const device = prepared();
  testImage(device, next);
  const slot = device.layout.slots[1]?.address ?? 0;
  device.flash[slot + 1024 + 7] = 0;
  reset(device);
  assert.equal([running(device), faultCode(lastFault(device))], ["3.0.0", "boot-image-changed"]);
  assert.is(images(device).length, 1);
});

boot("a confirmed image that rotted is repaired by the release it came from", () => {
  const device = makeDevice();
  const release = makeUploadFile(old, { sequence: 3, floor: 3 });
  flash(device, old, { sequence: 3, floor: 3 });
  const at = device.layout.slots[0]!.address + MANIFEST_AREA + 100;
  device.flash[at] = (device.flash[at] ?? 0) ^ 1;
  device.powerCycle();
  assert.is(identify(device).seq, 0, "nothing runs");
  assert.is(upload(device, release)?.match, true);
  assert.is(testImage(device, old).images[1].pending, true);
  reset(device);
  confirm(device);
  assert.equal([identify(device).seq, identify(device).floor], [3, 3]);
  assert.equal([images(device)[0].active, images(device)[0].confirmed], [true, true]);
});

boot("an image in the slot that isn't written next counts for nothing", () => {
  const device = makeDevice();
  upload(device, makeUploadFile(old, { sequence: 3 }));
  testImage(device, old);
  reset(device); // on trial, and nothing confirmed
  const release = makeUploadFile(next, { sequence: 4 });
  upload(device, release);
  device.powerCycle();
  assert.is(upload(device, release)?.match, true);
  testImage(device, next);
  reset(device);
  assert.is(identify(device).seq, 4);
});

boot("images swap places in the list, and the running one is slot 0 wherever it lies", () => {
  const device = prepared();
  for (let n = 6; n < 12; n++) {
    flash(device, makeImage(`n${n}`), { sequence: n });
    assert.equal(
      images(device).map((i) => [i.slot, i.active, i.confirmed]),
      [
        [0, true, true],
        [1, false, false],
      ],
    );
    assert.is(images(device)[0].version, `${n}.0.0`);
  }
});

boot.run();
