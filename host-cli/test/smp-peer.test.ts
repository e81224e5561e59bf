// Against an SMP server of somebody else's, where one is offered:
//
//   SMP_PEER=/dev/pts/7              the path of its port
//   SMP_PEER="./zephyr.exe …"        or a command that prints such a path: a Zephyr
//                                    executable says "uart connected to /dev/pts/7"
//   SMP_PEER_FRAMING=raw             where it doesn't speak base64 lines
//   SMP_PEER_IMAGE=FILE              an image that it takes: uploaded, and found listed
//
// Nothing is tested, confirmed or reset: the device stays on the image it runs.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import type { FramingName } from "../src/device/framing";
import { openLink, withLink } from "../src/device/link";
import { uploadOverLink } from "../src/device/resume";
import { echo, readImages, readParameters } from "../src/device/smp";
import { sha256Of } from "./smp-server";

const offered = process.env["SMP_PEER"];
const framing: FramingName = process.env["SMP_PEER_FRAMING"] === "raw" ? "raw" : "console";
const imageFile = process.env["SMP_PEER_IMAGE"];
const START_MS = 20_000;

const peer = suite("SMP peer");
let child: ChildProcess | undefined;

/** The port of the peer: as given, or the first path of a terminal that the command prints. */
async function findPort(peerText: string): Promise<string> {
  if (existsSync(peerText) && peerText.startsWith("/dev/")) return peerText;
  const started = spawn("sh", ["-c", peerText], { stdio: ["ignore", "pipe", "pipe"], detached: true });
  child = started;
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`no port in ${JSON.stringify(text)}`)), START_MS);
    const read = (piece: Buffer) => {
      text += piece;
      const [path] = /\/(?:dev|tmp)\/[\w./-]+(?=[^\w./-])/.exec(text) ?? [];
      if (path === undefined) return;
      clearTimeout(timer);
      resolve(path);
    };
    started.stdout!.on("data", read);
    started.stderr!.on("data", read);
  });
}

const NAMES = {
  params: "tells its buffers, or that it can't",
  echo: "echoes what fits in one line, ten times",
  images: "lists its images, or says that it has no such group",
  upload: "takes an upload, and lists it",
};

if (offered === undefined) {
  for (const name of Object.values(NAMES)) skip(peer, name, "SMP_PEER names no server");
} else {
  let port = "";
  const options = { timeoutMs: 120_000, framing };
  peer.before(async () => {
    port = await findPort(offered);
  });
  peer.after(() => {
    if (child?.pid !== undefined) process.kill(-child.pid, "SIGTERM");
  });
  peer(NAMES.params, async () => {
    const { bufferSize, bufferCount } = await withLink(port, options, (link) => readParameters(link.session));
    assert.ok(bufferSize >= 96 && bufferCount >= 1, `${bufferSize} x ${bufferCount}`);
  });
  peer(NAMES.echo, async () => {
    const link = await openLink(port, options);
    for (let i = 0; i < 10; i++) assert.is(await echo(link.session, `vouch ${i}`), `vouch ${i}`);
    await link.close();
  });
  peer(NAMES.images, async () => {
    const images = await withLink(port, options, (link) =>
      readImages(link.session).catch((error) => {
        assert.is(error.code, "device-error", error.message);
        return [];
      }),
    );
    assert.ok(images.every(({ slot }) => slot >= 0));
  });
  if (imageFile === undefined) skip(peer, NAMES.upload, "SMP_PEER_IMAGE names no image");
  else {
    peer(NAMES.upload, async () => {
      const image = new Uint8Array(readFileSync(imageFile));
      await withLink(port, options, async (link) => {
        const sha256 = sha256Of(image);
        const outcome = await uploadOverLink(link, image, { sha256, checkDevice: async () => {} });
        assert.is.not(outcome.match, false);
        assert.ok(
          (await readImages(link.session)).some(({ active }) => !active),
          "another image is listed",
        );
      });
    });
  }
}

peer.run();
