import { cborMap, encodeCbor } from "@vouch/shared/cbor";
import { faultCode } from "@vouch/shared/refusal";
import { sha256 } from "@vouch/shared/sha256";
import { encodeUpload } from "@vouch/shared/suit";
import { suite } from "uvu";
import * as assert from "uvu/assert";
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
  PAYLOAD_BYTES,
  plain,
  type ReleaseOptions,
  request,
  reset,
  stranger,
  test as testImage,
  upload,
} from "./kit";
import type { SimDevice } from "./sim";

const uploads = suite("upload");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const slotBytes = (device: SimDevice, slot: number) => {
  const region = device.layout.slots[slot];
  assert.ok(region);
  return device.flash.subarray(region?.address, (region?.address ?? 0) + (region?.length ?? 0));
};

for (const length of [1, 7, 8, 9, 1024, 3001, PAYLOAD_BYTES]) {
  uploads(
    `an image of ${length} bytes arrives whole, whatever the chunk size, and the slot ends in blanks`,
    () => {
      for (const chunk of [1, 3, 64, 300, 440]) {
        if (chunk === 1 && length > 1024) continue;
        const device = makeDevice();
        const image = makeImage("any", length);
        assert.equal(upload(device, makeUploadFile(image), chunk)?.match, true);
        assert.is(images(device)[0].hash, hex(nodeHash(image)));
        const slot = slotBytes(device, 0);
        assert.is(hex(slot.subarray(1024, 1024 + length)), hex(image));
        assert.ok(slot.subarray(1024 + length).every((b) => b === 0xff));
      }
    },
  );
}

uploads("off is a cumulative acknowledgement: late, early and repeated chunks change nothing", () => {
  const device = makeDevice();
  const stream = makeUploadFile(makeImage("window"));
  const sha = nodeHash(stream);
  const send = (off: number, end = off + 400) =>
    order(device, 1, 1, {
      ...(off === 0 ? { len: stream.length, sha } : {}),
      off,
      data: stream.subarray(off, end),
    });
  assert.equal(send(400), { off: 0 });
  assert.equal(send(0), { off: 400 });
  assert.equal(send(800), { off: 400 });
  assert.equal(send(0), { off: 400 });
  assert.equal(send(400), { off: 800 });
  assert.equal(send(400), { off: 800 });
  assert.equal(send(1200), { off: 800 });
  let last: { off: number; match?: boolean } = { off: 800 };
  while (last.match !== true) last = send(last.off, Math.min(stream.length, last.off + 400));
  assert.is(last.off, stream.length);
  const tail = stream.length - (stream.length % 400 || 400);
  assert.equal(send(tail, stream.length), { off: stream.length, match: true }, "the last chunk again");
  assert.equal(send(0), { off: stream.length, match: true }, "all of it again");
});

uploads("the same sha resumes after the host went away, another one starts over", () => {
  const device = makeDevice();
  const stream = makeUploadFile(makeImage("resume"));
  const start = { len: stream.length, off: 0, data: stream.subarray(0, 300) };
  assert.equal(order(device, 1, 1, { ...start, sha: nodeHash(stream) }), { off: 300 });
  assert.equal(order(device, 1, 1, { off: 300, data: stream.subarray(300, 600) }), { off: 600 });
  assert.equal(order(device, 1, 1, { ...start, sha: nodeHash(stream) }), { off: 600 });
  assert.equal(order(device, 1, 1, { ...start, sha: new Uint8Array(32) }), { off: 300 });
});

uploads("without a sha, chunk 0 starts over and the image is accepted all the same", () => {
  const device = makeDevice();
  const stream = makeUploadFile(makeImage("anonymous"));
  for (let off = 0; off < stream.length; ) {
    const first = off === 0 ? { len: stream.length } : {};
    off = order(device, 1, 1, { ...first, off, data: stream.subarray(off, off + 400) }).off;
  }
  assert.is(images(device)[0].bootable, true);
});

uploads("an image that is there already, running or not, is known from its manifest: match at once", () => {
  const device = makeDevice();
  const stream = makeUploadFile(makeImage("same"));
  upload(device, stream);
  const before = hex(device.flash);
  const first = { len: stream.length, off: 0, sha: nodeHash(stream), data: stream.subarray(0, 440) };
  assert.equal(order(device, 1, 1, first), { off: stream.length, match: true });
  assert.is(hex(device.flash), before);
  testImage(device, makeImage("same"));
  reset(device);
  confirm(device);
  const running = hex(device.flash);
  assert.equal(order(device, 1, 1, first), { off: stream.length, match: true });
  assert.is(hex(device.flash), running);
});

uploads("a manifest that names no hardware revision is for all of them", () => {
  const device = makeDevice();
  assert.is(upload(device, makeUploadFile(makeImage("any"), { revisions: [] }))?.match, true);
});

uploads("without a manifest an image is stored and listed, and never boots", () => {
  const device = makeDevice();
  const raw = makeImage("raw", 900);
  assert.equal(upload(device, raw), { off: 900, match: true });
  assert.equal(images(device), [
    {
      slot: 1,
      version: "0.0.0",
      hash: hex(nodeHash(raw)),
      bootable: false,
      pending: false,
      confirmed: false,
      active: false,
      permanent: false,
    },
  ]);
  assert.equal(testImage(device, raw), { err: { group: 1, rc: 22 } });
  assert.is(faultCode(lastFault(device)), "slot-not-bootable");
  reset(device);
  assert.is(images(device)[0].active, false);
  const tiny = makeImage("tiny", 3);
  assert.equal(upload(device, tiny, 1), { off: 3, match: true });
  assert.is(images(device)[0].hash, hex(nodeHash(tiny)));
});

uploads("erase empties the other slot for good", () => {
  const device = makeDevice();
  const image = makeImage("to erase");
  upload(device, makeUploadFile(image));
  testImage(device, image);
  assert.equal(order(device, 1, 5), {});
  assert.equal(images(device), []);
  assert.ok(slotBytes(device, 0).every((b) => b === 0xff));
  reset(device);
  assert.equal(images(device), []);
});

uploads("while an image is on trial, what it would revert to can't be overwritten or erased", () => {
  const device = makeDevice();
  flash(device, makeImage("old"));
  upload(device, makeUploadFile(makeImage("new"), { sequence: 2 }));
  testImage(device, makeImage("new"));
  reset(device);
  const before = hex(device.flash);
  const stream = makeUploadFile(makeImage("third"), { sequence: 3 });
  assert.equal(upload(device, stream), { err: { group: 1, rc: 9 } });
  assert.is(faultCode(lastFault(device)), "slot-busy");
  assert.equal(order(device, 1, 5), { err: { group: 1, rc: 9 } });
  const running = makeUploadFile(makeImage("new"), { sequence: 2 });
  assert.is(upload(device, running)?.match, true, "what is there already is no conflict");
  assert.is(hex(device.flash), before);
  confirm(device);
  assert.is(upload(device, stream)?.match, true);
});

uploads("an upload takes back the test that was asked for the image it overwrites", () => {
  const device = makeDevice();
  flash(device, makeImage("old"));
  upload(device, makeUploadFile(makeImage("new"), { sequence: 2 }));
  testImage(device, makeImage("new"));
  const stream = makeUploadFile(makeImage("newer"), { sequence: 3 });
  const first = { len: stream.length, off: 0, sha: nodeHash(stream) };
  assert.equal(order(device, 1, 1, { ...first, data: stream.subarray(0, 400) }), { off: 400 });
  reset(device);
  assert.equal(
    images(device).map((i) => [i.version, i.active]),
    [["1.0.0", true]],
  );
});

// What must be refused. `early`: before a byte of flash changes, which is possible wherever the
// manifest alone shows it.
const good = makeImage("refused", 2000);
const bent = (bytes: Uint8Array, at: number) => {
  const out = bytes.slice();
  out[at < 0 ? out.length + at : at] = (out[at < 0 ? out.length + at : at] ?? 0) ^ 1;
  return out;
};
const file = (options: ReleaseOptions = {}) => makeUploadFile(good, { sequence: 5, ...options });
const envelopeLength = (stream: Uint8Array) => (stream[0] ?? 0) + 256 * (stream[1] ?? 0);
const refusals: [string, Uint8Array, string, "early" | "late", number][] = [
  ["no signature", file({ unsigned: true }), "suit-unsigned", "early", 22],
  ["signed by a stranger", file({ key: stranger }), "suit-wrong-signer", "early", 22],
  ["a bent signature", bent(file(), 100), "bad-signature", "early", 22],
  ["another vendor's", file({ vendorId: new Uint8Array(16) }), "suit-vendor-mismatch", "early", 22],
  ["another model's", file({ classId: new Uint8Array(16) }), "suit-class-mismatch", "early", 22],
  ["another hardware revision's", file({ revisions: ["A", "C"] }), "suit-revision-mismatch", "early", 22],
  ["below the floor", file({ sequence: 2 }), "suit-rollback", "early", 27],
  ["a floor above its own number", file({ floor: 6 }), "suit-unsupported", "early", 22],
  ["a manifest of another digest", file({ digest: new Uint8Array(32) }), "suit-image-mismatch", "late", 24],
  ["a manifest of a shorter image", file({ size: 1999 }), "suit-image-size", "early", 21],
  ["a manifest of a longer image", file({ size: 2001 }), "suit-image-size", "early", 21],
  ["an image cut at the end", file().subarray(0, -1), "suit-image-size", "early", 21],
  ["an image with a byte more", new Uint8Array([...file(), 0]), "suit-image-size", "early", 21],
  ["a bent bit in the image", bent(file(), -1), "suit-image-mismatch", "late", 24],
  [
    "a bent bit in the manifest's sequence of commands",
    bent(file({ revisions: [] }), envelopeLength(file({ revisions: [] })) + 2),
    "suit-unsupported",
    "early",
    22,
  ],
  [
    "an image longer than a slot",
    makeUploadFile(makeImage("long", PAYLOAD_BYTES + 1), { sequence: 5 }),
    "slot-too-large",
    "early",
    30,
  ],
  ["only the envelope", file().subarray(0, 4 + envelopeLength(file())), "suit-upload", "early", 22],
  ["a cut envelope", file().subarray(0, 150), "suit-upload", "early", 22],
  [
    "garbage where the envelope should be",
    new Uint8Array([200, 0, 0, 0, ...makeImage("garbage", 2000)]),
    "cbor-",
    "early",
    22,
  ],
  [
    "CBOR that is no envelope",
    encodeUpload(encodeCbor(cborMap([[1, new Uint8Array(40)]])), good),
    "suit-malformed",
    "early",
    22,
  ],
];
for (const [name, stream, code, when, rc] of refusals) {
  uploads(`refuses and stays as it was: ${name}`, () => {
    const device = makeDevice();
    flash(device, makeImage("runs"), { sequence: 4, floor: 3 });
    const before = hex(device.flash);
    const idBefore = identify(device);
    for (const chunk of [90, 440]) {
      const answer = upload(device, stream, chunk);
      assert.equal(answer, { err: { group: 1, rc } });
      const found = faultCode(lastFault(device));
      assert.ok(found.startsWith(code), `${found} for ${code}`);
      if (when === "early") assert.is(hex(device.flash), before, "flash changed");
      assert.ok(
        slotBytes(device, 1).every((b) => b === 0xff),
        "something of it stayed",
      );
      assert.equal(
        images(device).map((i) => i.version),
        ["4.0.0"],
      );
      assert.equal(testImage(device, good), { err: { group: 1, rc: 8 } });
    }
    reset(device);
    assert.equal(identify(device), { ...idBefore, bootcount: idBefore.bootcount + 1 });
    assert.is(upload(device, file())?.match, true, "a good one is still taken");
  });
}

uploads("refuses every flip of a bit in the first chunk's envelope, and takes the rest", () => {
  const stream = makeUploadFile(good, { sequence: 5 });
  const device = makeDevice();
  for (let at = 4; at < 4 + envelopeLength(stream); at++) {
    for (const bit of [0, 7]) {
      const wrong = stream.slice();
      wrong[at] = (wrong[at] ?? 0) ^ (1 << bit);
      const answer = upload(device, wrong, 440);
      assert.ok(answer?.err !== undefined, `byte ${at} bit ${bit}: ${JSON.stringify(answer)}`);
    }
  }
  assert.equal(images(device), []);
  assert.is(upload(device, stream)?.match, true);
});

uploads("a stream that isn't what its sha says is refused even without a manifest", () => {
  const device = makeDevice();
  const raw = makeImage("raw", 300);
  const body = { len: 300, off: 0, sha: new Uint8Array(32), data: raw };
  assert.equal(order(device, 1, 1, body), { err: { group: 1, rc: 24 } });
  assert.is(faultCode(lastFault(device)), "slot-stream-mismatch");
  assert.equal(images(device), []);
});

uploads("more bytes than announced end the session and leave nothing", () => {
  const device = makeDevice();
  const stream = makeUploadFile(good);
  order(device, 1, 1, { len: stream.length, off: 0, sha: nodeHash(stream), data: stream.subarray(0, 440) });
  let off = 440;
  while (off + 400 < stream.length)
    off = order(device, 1, 1, { off, data: stream.subarray(off, off + 400) }).off;
  const past = order(device, 1, 1, { off, data: new Uint8Array([...stream.subarray(off), 1, 2, 3]) });
  assert.equal(past, { err: { group: 1, rc: 31 } });
  assert.is(faultCode(lastFault(device)), "slot-overrun");
  assert.equal(order(device, 1, 1, { off, data: stream.subarray(off) }), { off: 0 });
  assert.equal(images(device), []);
});

uploads("the fault stays readable while chunks of the same window still arrive", () => {
  const device = makeDevice();
  const stream = file({ key: stranger });
  assert.ok(upload(device, stream, 440)?.err);
  order(device, 1, 1, { off: 440, data: stream.subarray(440, 800) });
  assert.is(faultCode(lastFault(device)), "suit-wrong-signer");
  order(device, 1, 5);
  assert.is(lastFault(device), 0);
});

uploads("an engine without a readable block trusts no manifest, and says why", () => {
  const engine = makeDevice().flash.slice(0, 4096);
  engine[4096 - 512] = 0xff;
  const device = makeDevice({ engine });
  assert.equal(upload(device, file()), { err: { group: 1, rc: 22 } });
  assert.is(faultCode(lastFault(device)), "engine-block");
  assert.is(identify(device).vendor, null);
});

uploads("version 0 of the protocol is told the common numbers", () => {
  const device = makeDevice();
  const stream = file({ key: stranger });
  const body = request(device, true, 1, 1, { len: stream.length, off: 0, data: stream.subarray(0, 440) }, 0);
  assert.equal(plain(body), { rc: 1 });
});

assert.is(hex(sha256(good)), hex(nodeHash(good)));
uploads.run();
