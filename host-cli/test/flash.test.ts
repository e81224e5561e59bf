// vouch flash against the real agent in memory: what is refused before a byte is
// written, and what happens when it isn't.

import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { isRefusal } from "@vouch/shared/refusal";
import { decodeMessage, makeDeframer, pushBytes } from "@vouch/shared/smp";
import { KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../src/crypto";
import { type Link, withLink } from "../src/device/link";
import { readImages, readParameters, resetDevice, testImage } from "../src/device/smp";
import { uploadImage } from "../src/device/upload";
import { identify } from "../src/device/vouch";
import { statusOf } from "../src/exit";
import { type FlashOptions, type FlashReport, flashDevice } from "../src/flash/ours";
import { checkUpload, type Vendor } from "../src/upload";
import {
  type Bench,
  benchDevice,
  clean,
  type Faults,
  MODEL,
  makeBench,
  makeImage,
  makeLine,
  nodeHash,
  PRODUCT,
  sealed,
  stranger,
  vendorVkey,
  wroteAnything,
} from "./bench";
import { type MemoryIo, memoryIo } from "./memory-io";

const flash = suite("flash");

const VENDORS: Vendor[] = [{ product: PRODUCT, vkey: vendorVkey }];
const IMAGE = makeImage("pump 2.4.1");
const OLDER = makeImage("pump 2.4.0");
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

interface Run extends Partial<Omit<FlashOptions, "upload" | "port" | "link">> {
  vendors?: Vendor[];
  io?: MemoryIo;
}

/** What `vouch flash` does with the bytes of a file. */
function run(bench: Bench, file: Uint8Array, options: Run = {}): Promise<FlashReport> {
  const { vendors = VENDORS, io = memoryIo(), ...rest } = options;
  const work = async () => {
    const upload = checkUpload(file, vendors);
    return flashDevice({ port: "bench", upload, yes: true, link: bench.link, ...rest }, io);
  };
  return bench.clock.run(work());
}

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  return assert.unreachable("it was not refused") as never;
}

function isReset(bytes: Uint8Array): boolean {
  let found = false;
  pushBytes(
    makeDeframer(4096),
    bytes,
    (message) => {
      const { header } = decodeMessage(message);
      found ||= header?.group === 0 && header.command === 5;
    },
    () => {},
  );
  return found;
}

const imagesOf = (bench: Bench) =>
  bench.clock.run(withLink("bench", bench.link, (link) => readImages(link.session)));

flash("an image is uploaded, tested, restarted into and confirmed", async () => {
  const bench = makeBench();
  const io = memoryIo();
  const report = await run(bench, sealed(IMAGE, { sequence: 3, floor: 2, version: "2.4.1" }), { io });
  assert.is(report.result, "flashed");
  assert.is(report.confirmed, true);
  assert.is(report.image.sha256, hex(nodeHash(IMAGE)));
  assert.equal(report.before, { securityVersion: 0, floor: 0 });
  const [active] = await imagesOf(bench);
  assert.equal([active?.active, active?.confirmed, hex(active!.hash!)], [true, true, hex(nodeHash(IMAGE))]);
  assert.is(bench.device.resets(), 1);
  assert.match(io.err(), /plan {4}erase the other slot, upload, test, restart, confirm/);
  assert.match(io.err(), /uploading 100%\nchecked by the device/);
  assert.match(io.err(), /^image {3}2\.4\.1, security version 3, 3001 bytes, sha256 [0-9a-f]{64}$/m);
});

flash("the image that runs already is left alone", async () => {
  const bench = makeBench();
  await run(bench, sealed(IMAGE, { sequence: 3 }));
  bench.line.sent.length = 0;
  const report = await run(bench, sealed(IMAGE, { sequence: 3 }));
  assert.is(report.result, "already-running");
  assert.is(wroteAnything(bench.line), false);
});

flash("a confirmed image that rotted is repaired by the same command", async () => {
  const bench = makeBench();
  const file = sealed(IMAGE, { sequence: 3, floor: 3 });
  await run(bench, file);
  const at = bench.device.layout.slots[0]!.address + 1024 + 100;
  bench.device.flash[at]! ^= 1;
  bench.device.powerCycle();
  assert.is((await run(bench, file)).result, "flashed");
  assert.is((await imagesOf(bench))[0]!.confirmed, true);
});

flash("what the device checked is said once it has agreed to run the image", async () => {
  const bench = makeBench();
  const { open } = bench.line;
  const refusesTest = async () => {
    const transport = await open();
    const write = async (bytes: Uint8Array) => {
      await transport.write(bytes);
      const last = bench.line.sent.at(-1);
      if (last?.group === 1 && last.command === 0 && last.op === 2) bench.line.pull();
    };
    return { ...transport, write };
  };
  const io = memoryIo();
  const upload = checkUpload(sealed(IMAGE), VENDORS);
  const link = { ...bench.link, open: refusesTest };
  const refused = await refusal(bench.clock.run(flashDevice({ port: "bench", upload, yes: true, link }, io)));
  assert.is(refused.code, "device-closed");
  assert.not.match(io.err(), /checked by the device/);
});

flash("the same image under a new manifest is flashed", async () => {
  const bench = makeBench();
  await run(bench, sealed(IMAGE, { sequence: 3 }));
  assert.is((await run(bench, sealed(IMAGE, { sequence: 4 }))).result, "flashed");
});

flash("another release of the same image and number is flashed, and is the one that runs", async () => {
  const bench = makeBench();
  await run(bench, sealed(IMAGE, { sequence: 3, version: "2.4.1" }));
  const other = sealed(IMAGE, { sequence: 3, version: "2.4.1-eu" });
  const report = await run(bench, other);
  assert.is(report.result, "flashed");
  const device = await bench.clock.run(withLink("bench", bench.link, (link) => identify(link.session)));
  assert.is(hex(device.manifestDigest!), report.image.manifestSha256);
  assert.is((await run(bench, other)).result, "already-running");
});

for (const confirmed of [true, false]) {
  flash(
    `an image left pending by a killed flash doesn't run next, ${confirmed ? "confirmed" : "on trial"} image`,
    async () => {
      const bench = makeBench();
      const file = sealed(IMAGE, { sequence: 2 });
      await run(bench, file, { confirm: confirmed });
      const { open } = bench.line;
      const killedAtReset = async () => {
        const transport = await open();
        const write = async (bytes: Uint8Array) => {
          if (isReset(bytes)) throw new Error("killed");
          await transport.write(bytes);
        };
        return { ...transport, write };
      };
      const other = checkUpload(sealed(OLDER, { sequence: 2 }), VENDORS);
      const link = { ...bench.link, open: killedAtReset, timeoutMs: 10_000 };
      if (confirmed) {
        const options = { port: "bench", upload: other, yes: true, link };
        await refusal(bench.clock.run(flashDevice(options, memoryIo())));
      } else {
        const left = async ({ session }: Link) => {
          const parameters = await readParameters(session);
          await uploadImage(session, other.stream, { sha256: nodeHash(other.stream), parameters });
          await testImage(session, other.manifest.digest);
        };
        await bench.clock.run(withLink("bench", bench.link, left));
      }
      assert.ok((await imagesOf(bench))[1]!.pending);
      const dry = await run(bench, file, { dryRun: true });
      assert.is(dry.result, "would-flash");
      const report = await run(bench, file);
      assert.equal([report.result, report.confirmed], [confirmed ? "already-running" : "flashed", true]);
      bench.device.powerCycle();
      const [active] = await imagesOf(bench);
      assert.equal([hex(active!.hash!), active!.confirmed], [hex(nodeHash(IMAGE)), true]);
    },
  );
}

flash("--no-confirm leaves it on trial, flashing it again confirms it", async () => {
  const bench = makeBench();
  await run(bench, sealed(OLDER, { sequence: 1 }));
  const file = sealed(IMAGE, { sequence: 2 });
  assert.is((await run(bench, file, { confirm: false })).confirmed, false);
  assert.is((await imagesOf(bench))[0]!.confirmed, false);
  const other = await refusal(run(bench, sealed(makeImage("third"), { sequence: 2 })));
  assert.is(other.code, "image-on-trial");
  assert.is((await run(bench, file)).confirmed, true);
  assert.is(bench.device.resets(), 2);
});

flash("a trial that wasn't confirmed is reported as what it became: the image before", async () => {
  const bench = makeBench();
  await run(bench, sealed(OLDER, { sequence: 1 }));
  const file = sealed(IMAGE, { sequence: 2 });
  await run(bench, file, { confirm: false });
  await bench.clock.run(withLink("bench", bench.link, (link) => resetDevice(link.session)));
  bench.device.run();
  assert.is(hex((await imagesOf(bench))[0]!.hash!), hex(nodeHash(OLDER)));
});

flash(
  "another device that answers after the restart, as often started, is named and not restarted",
  async () => {
    const bench = makeBench();
    const other = benchDevice({ random: 77 });
    const theirs = makeLine(other, bench.clock);
    const { open } = bench.line;
    let isSwapped = false;
    const swapped = async () => {
      if (isSwapped) return theirs.open();
      const transport = await open();
      const write = async (bytes: Uint8Array) => {
        if (isReset(bytes)) {
          isSwapped = true;
          bench.line.pull();
        } else await transport.write(bytes);
      };
      return { ...transport, write };
    };
    const upload = checkUpload(sealed(IMAGE), VENDORS);
    const link = { ...bench.link, open: swapped };
    const refused = await refusal(
      bench.clock.run(flashDevice({ port: "bench", upload, yes: true, link }, memoryIo())),
    );
    assert.is(refused.code, "device-changed");
    assert.is(other.resets(), 0);
  },
);

flash("a device that restarts once more before the confirmation is not called flashed", async () => {
  const bench = makeBench();
  await run(bench, sealed(OLDER, { sequence: 1 }));
  const { open } = bench.line;
  let restarted = false;
  const nervous = async () => {
    const transport = await open();
    return {
      ...transport,
      write: async (bytes: Uint8Array) => {
        await transport.write(bytes);
        if (bench.device.resets() === 2 && !restarted) {
          restarted = true;
          bench.device.powerCycle();
        }
      },
    };
  };
  const link = { ...bench.link, open: nervous };
  const upload = checkUpload(sealed(IMAGE, { sequence: 2 }), VENDORS);
  const io = memoryIo();
  const refused = await refusal(bench.clock.run(flashDevice({ port: "bench", upload, yes: true, link }, io)));
  assert.is(refused.code, "image-reverted");
  assert.is(io.out(), "");
});

// What DESIGN.md section 7 promises: refused before a byte is written, exit 20.
const bent = (file: Uint8Array, at: number) => {
  const copy = file.slice();
  copy[at]! ^= 1;
  return copy;
};
const good = () => sealed(IMAGE, { sequence: 3 });
const otherName = makeVkey("other-medical", KEY_ED25519, vendorVkey.publicKey);

for (const [name, code, file, options] of [
  ["an unsigned manifest", "image-unsigned", () => sealed(IMAGE, { unsigned: true }), {}],
  ["a manifest signed by a stranger", "image-unknown-signer", () => sealed(IMAGE, { key: stranger }), {}],
  [
    "a manifest of a vendor the policy names otherwise",
    "image-unknown-signer",
    good,
    { vendors: [{ product: PRODUCT, vkey: otherName }] },
  ],
  ["a bent bit in the signature", "image-bad-signature", () => bentSignature(), {}],
  ["an altered image", "image-mismatch", () => bent(good(), good().length - 1), {}],
  ["an image with a byte more", "image-mismatch", () => Buffer.concat([good(), Buffer.of(0)]), {}],
  ["an image with a byte less", "image-truncated", () => good().subarray(0, good().length - 1), {}],
  ["no image behind the manifest", "image-truncated", () => good().subarray(0, 300), {}],
  ["half a manifest", "image-truncated", () => good().subarray(0, 100), {}],
  ["an empty file", "image-truncated", () => new Uint8Array(0), {}],
  ["a file that is something else", "image-malformed", () => Buffer.from("#!/bin/sh\nexit 0\n"), {}],
  [
    "an image for another model",
    "wrong-model",
    () => sealed(IMAGE, { sequence: 3, classId: classIdOf(PRODUCT, "PUMP-500", nodeCrypto) }),
    {},
  ],
  [
    "an image for another hardware revision",
    "wrong-revision",
    () => sealed(IMAGE, { sequence: 6, revisions: ["C", "D"] }),
    {},
  ],
  ["an image below the floor", "rolled-back", () => sealed(IMAGE, { sequence: 1 }), { allowDowngrade: true }],
  ["an image older than the one running", "rolled-back", () => sealed(IMAGE, { sequence: 4 }), {}],
  ["an image too large", "image-too-large", () => sealed(makeImage("big", 8193), { sequence: 6 }), {}],
] as [string, string, () => Uint8Array, Run][]) {
  flash(`refuses before anything is written: ${name}`, async () => {
    const bench = makeBench();
    await run(bench, sealed(OLDER, { sequence: 5, floor: 2 }));
    bench.line.sent.length = 0;
    const operations = bench.device.operations();
    const refused = await refusal(run(bench, file(), options));
    assert.is(refused.code, code, refused.message);
    assert.is(statusOf(refused), 20);
    assert.is(wroteAnything(bench.line), false, "no write command left the host");
    assert.is(bench.device.operations(), operations, "flash was not touched");
  });
}

/** The signature is the end of the envelope's first byte string, right before key 3 and the manifest. */
function bentSignature(): Uint8Array {
  const file = good();
  const manifestAt = Buffer.from(file).indexOf(Buffer.from("0358", "hex"), 100);
  return bent(file, manifestAt - 1);
}

flash("no bent bit of an upload passes, and each is exit 20 or unsupported", () => {
  const file = good();
  const codes = new Set<string>();
  for (let at = 0; at < file.length; at++) {
    for (const flip of [0x01, 0x80]) {
      const copy = file.slice();
      copy[at]! ^= flip;
      try {
        checkUpload(copy, VENDORS);
        assert.unreachable(`byte ${at} flipped by ${flip} passes`);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        codes.add(error.code);
        const allowed = error.code === "cose-unsupported-algorithm" ? 21 : 20;
        assert.is(statusOf(error), allowed, `${error.code} at byte ${at}`);
      }
    }
  }
  for (const code of ["image-mismatch", "image-malformed", "image-bad-signature", "image-unknown-signer"]) {
    assert.ok(codes.has(code), code);
  }
});

flash("no truncated upload passes", () => {
  const file = good();
  for (let end = 0; end < file.length; end++) {
    try {
      checkUpload(file.subarray(0, end), VENDORS);
    } catch (error) {
      if (isRefusal(error) && statusOf(error) === 20) continue;
      throw error;
    }
    assert.unreachable(`${end} bytes of ${file.length} pass`);
  }
});

flash("refuses a device that boots by another vendor's key", async () => {
  const block = {
    vendorKey: stranger.publicKey,
    vendorId: vendorIdOf(vendorVkey.name, nodeCrypto),
    classId: classIdOf(PRODUCT, MODEL, nodeCrypto),
  };
  const bench = makeBench(benchDevice({}, block));
  const refused = await refusal(run(bench, good()));
  assert.is(refused.code, "vendor-key-mismatch");
  assert.is(wroteAnything(bench.line), false);
});

flash("--allow-downgrade goes back as far as the floor permits", async () => {
  const bench = makeBench();
  await run(bench, sealed(OLDER, { sequence: 5, floor: 2 }));
  const report = await run(bench, sealed(IMAGE, { sequence: 2 }), { allowDowngrade: true });
  assert.equal([report.result, report.before.securityVersion], ["flashed", 5]);
});

flash("a device whose words would move a terminal's cursor is refused, others are escaped", async () => {
  const escapes = makeBench(benchDevice({}, { model: "PUMP\u001b[2J\u001b]0;x\u0007" }));
  const io = memoryIo();
  assert.is((await refusal(run(escapes, good(), { dryRun: true, io }))).code, "device-malformed");
  assert.is(
    (await refusal(run(makeBench(benchDevice({}, { hardwareVersion: "B\u009b1m" })), good()))).code,
    "device-malformed",
  );
  const direction = makeBench(benchDevice({}, { model: "PUMP\u202e004" }));
  await run(direction, good(), { dryRun: true, io });
  assert.match(io.err(), /PUMP\\u\{202e\}004/);
  assert.not.match(io.err(), /\p{Cf}|\p{Cc}(?<!\n)/u);
});

flash("--dry-run says what it would do and writes nothing", async () => {
  const bench = makeBench();
  const io = memoryIo();
  const report = await run(bench, good(), { dryRun: true, yes: false, io });
  assert.is(report.result, "would-flash");
  assert.is(wroteAnything(bench.line), false);
  assert.match(io.err(), /plan/);
});

flash("without --yes and without consent nothing is written", async () => {
  const bench = makeBench();
  const refused = await refusal(
    run(bench, good(), { yes: false, io: memoryIo({ tty: true, answers: ["n"] }) }),
  );
  assert.is(refused.code, "declined");
  assert.is(wroteAnything(bench.line), false);
});

flash("a cable pulled mid-upload is waited for, and the upload goes on where it was", async () => {
  const bench = makeBench();
  const uploads = () =>
    bench.line.sent.filter(({ group, command, op }) => group === 1 && command === 1 && op === 2);
  const { open } = bench.line;
  let pulls = 0;
  const pulled = async () => {
    const transport = await open();
    const write = async (bytes: Uint8Array) => {
      await transport.write(bytes);
      if (uploads().length === 4 * (pulls + 1) && pulls < 2) {
        pulls++;
        bench.line.pull();
      }
    };
    return { ...transport, write };
  };
  const io = memoryIo();
  const upload = checkUpload(good(), VENDORS);
  const link = { ...bench.link, open: pulled };
  const report = await bench.clock.run(flashDevice({ port: "bench", upload, yes: true, link }, io));
  assert.is(report.result, "flashed");
  assert.is(pulls, 2);
  assert.match(io.err(), /the line is gone; waiting for the device/);
  const needed = Math.ceil(good().length / 430);
  assert.ok(uploads().length <= needed + 2 * 2 + 1, `${uploads().length} chunks, ${needed} would do`);
});

flash("a device that loses power mid-upload is flashed by the same command", async () => {
  for (const cut of [0, 1, 3, 6]) {
    const bench = makeBench();
    await run(bench, sealed(OLDER, { sequence: 1 }));
    bench.device.cutAt(cut, "half");
    bench.clock.after(20_000, () => bench.device.powerCycle());
    const report = await run(bench, sealed(IMAGE, { sequence: 2 }));
    assert.equal([report.result, report.confirmed], ["flashed", true], `cut before operation ${cut}`);
    assert.is(hex((await imagesOf(bench))[0]!.hash!), hex(nodeHash(IMAGE)));
  }
});

flash("power lost mid-upload and a lost reset are not taken for an image that reverted", async () => {
  let lost = 0;
  let armed = false;
  const toDevice: Faults = (bytes) => (armed && isReset(bytes) && lost++ === 0 ? [] : clean(bytes));
  const bench = makeBench(benchDevice(), { toDevice });
  await run(bench, sealed(OLDER, { sequence: 1 }));
  armed = true;
  bench.device.cutAt(3, "half");
  bench.clock.after(20_000, () => bench.device.powerCycle());
  const report = await run(bench, sealed(IMAGE, { sequence: 2 }));
  assert.equal([report.result, report.confirmed], ["flashed", true]);
  assert.ok(lost > 1, "the reset was lost once and sent again");
});

flash(
  "a device that answers and never restarts ends in a refusal that says so, and its hint works",
  async () => {
    const toDevice: Faults = (bytes) => (isReset(bytes) ? [] : clean(bytes));
    const bench = makeBench(benchDevice(), { toDevice, timeoutMs: 600_000 });
    const file = sealed(IMAGE, { sequence: 2 });
    const refused = await refusal(run(bench, file));
    assert.is(refused.code, "did-not-return");
    assert.match(refused.message, /it answers, and did not restart/);
    assert.ok(bench.clock.now() < 150_000, `${bench.clock.now()} ms`);
    assert.match(refused.hint!, /the new image on trial/);
    bench.device.powerCycle();
    assert.equal([(await imagesOf(bench))[0]!.active, (await run(bench, file)).confirmed], [true, true]);
  },
);

flash("a device that never answers is a timeout within the time allowed", async () => {
  const bench = makeBench();
  bench.device.powerOff();
  const refused = await refusal(run(bench, good()));
  assert.is(refused.code, "device-timeout");
  assert.is(statusOf(refused), 1);
  assert.ok(bench.clock.now() <= bench.link.timeoutMs);
});

flash.run();
