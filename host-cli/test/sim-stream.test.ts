// The simulated device streams, as the program runs it: the built agent in QuickJS under its memory limits.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { verifyEd25519 } from "@vouch/shared/sign";
import * as stream from "@vouch/shared/stream";
import * as reading from "@vouch/shared/streamread";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { attestDevice, enrolDevice } from "../src/device/vouch";
import { createFlashFile } from "../src/sim/flash";
import { openSim } from "../src/sim/transport";
import { engineImage, hash, withSession } from "./sim-kit";
import { forMillis, framesOf, readStream, startStream, stopStream } from "./stream-kit";

const sim = suite("sim stream");
const folder = mkdtempSync(join(tmpdir(), "vouch-sim-stream-"));
sim.after(() => rmSync(folder, { recursive: true, force: true }));

const fields = {
  mode: stream.MODE_PRIVATE,
  readers: [x25519Public(hash("a reader"))],
  frames: 8,
  millis: 1000,
};

sim("a private stream of all its sensors, in 64 KiB; power goes, and it goes on", async () => {
  const file = join(folder, "device");
  createFlashFile(file, engineImage(), { random: true });
  const first = await withSession(openSim(`sim:${file}`), async (session) => {
    await enrolDevice(session, hash("enrol"), null);
    await startStream(session, { ...fields, resume: false });
    return framesOf((await readStream(session, forMillis(2500))).bytes);
  });
  const announce = reading.decodeAnnounce(first[0]!.body);
  assert.is(announce.mode, stream.MODE_PRIVATE);
  assert.ok(first.filter(({ type }) => type === stream.FRAME_DATA).length >= 4);
  // Its power went with the session.
  const second = await withSession(openSim(`sim:${file}`), async (session) => {
    await attestDevice(session, hash("again"));
    await startStream(session, { ...fields, resume: true });
    const { bytes } = await readStream(session, forMillis(1200));
    await stopStream(session);
    return framesOf((await readStream(session, forMillis(10_000), bytes)).bytes);
  });
  const resume = reading.decodeResume(second[0]!.body, announce.mode);
  const linked = first.find(({ seq }) => seq === resume.checkpointSeq)!;
  assert.is(toHex(second[0]!.prev), toHex(stream.linkOf(linked.bytes)));
  assert.is(toHex(second[0]!.id), toHex(first[0]!.id));
  assert.ok(second[0]!.epoch > first.at(-1)!.epoch && second[0]!.seq > first.at(-1)!.seq);
  assert.is(resume.bootcount, announce.bootcount + 1);
  assert.is(second.at(-1)!.type, stream.FRAME_CLOSE);
  for (const { signature, unsigned } of [...first, ...second])
    if (signature !== null)
      assert.ok(verifyEd25519(announce.publicKey, stream.streamMessage(unsigned), signature));
});

sim.run();
