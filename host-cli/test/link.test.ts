// A link whose line goes away: where it is opened again, and for how long.

import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openLink } from "../src/device/link";
import { uploadOverLink } from "../src/device/resume";
import { makeImage, virtualClock } from "./bench";
import { bothWays, shapeMemory } from "./line-shaper";
import { makeServer, sha256Of } from "./smp-server";

const links = suite("link");

/** A device whose cable is pulled during an upload, and which then is at another port. */
async function moves(settings: { find: () => Promise<string>; checkDevice?: () => Promise<void> }) {
  const clock = virtualClock();
  const server = makeServer({ clock });
  const line = shapeMemory(server, bothWays({ baud: 921_600, latencyMs: 1 }), clock);
  const opened: [string, number][] = [];
  const image = makeImage("elsewhere", 40_000);
  const work = async () => {
    const open = async (port: string) => {
      const transport = await line.open();
      opened.push([port, clock.now()]);
      return transport;
    };
    const link = await openLink("/dev/ttyACM0", { timeoutMs: 60_000, clock, open, find: settings.find });
    clock.after(300, () => {
      line.cut();
      line.plug();
    });
    return uploadOverLink(link, image, {
      sha256: sha256Of(image),
      checkDevice: settings.checkDevice ?? (async () => {}),
    });
  };
  const outcome = await clock.run(work()).catch((error) => {
    if (!isRefusal(error)) throw error;
    return error;
  });
  return { outcome, opened, server, image };
}

links("a device that comes back under another name is found there, and the upload goes on", async () => {
  let asked = 0;
  const find = async () => {
    if (++asked < 4) throw new Refusal("no-device", "not there yet");
    return "/dev/ttyACM1";
  };
  const { outcome, opened, server, image } = await moves({ find });
  assert.ok(!(outcome instanceof Refusal) && outcome.resumedAt > 0);
  assert.equal(
    opened.map(([port]) => port),
    ["/dev/ttyACM0", "/dev/ttyACM1"],
  );
  assert.is(opened[1]![1], 300 + 3 * 250, "looked for four times a second");
  assert.is(Buffer.compare(server.stored!, image), 0);
});

links(
  "a device that never comes back is waited for until the deadline; the upload can go on later",
  async () => {
    const find = async () => {
      throw new Refusal("transfer-resumable", "not there yet");
    };
    const { outcome, opened } = await moves({ find });
    assert.ok(outcome instanceof Refusal);
    assert.equal([outcome.code, opened.length], ["transfer-resumable", 1]);
  },
);

links("another device at the port gets nothing of the image", async () => {
  const checkDevice = async () => {
    throw new Refusal("device-changed", "another device answers");
  };
  const { outcome, server } = await moves({ find: async () => "/dev/ttyACM1", checkDevice });
  assert.ok(outcome instanceof Refusal);
  assert.is(outcome.code, "device-changed");
  assert.is(server.stored, null);
});

links.run();
