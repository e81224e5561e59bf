// vouch flash against answers that real servers gave: Zephyr 4.4.0 and MCUboot, of
// three modes. The script answers as recorded; only the upload's offsets are made
// here, since they follow the chunks that we send.
//
//   swap      state, test, state after a reset: the random payload never starts
//   highest   RAM load: test and confirm answer rc 8
//   recovery  the boot loader's own server: rc 8 to all but state, upload and reset

import { cborMap, isBytes, mapGet } from "@vouch/shared/cbor";
import { isRefusal } from "@vouch/shared/refusal";
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  makeDeframer,
  pushBytes,
  SMP_WRITE,
  smpHeader,
} from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hex, publishedBytes, publishedJson } from "../../shared/test/vectors";
import type { Clock } from "../src/device/clock";
import type { Transport } from "../src/device/transport";
import { flashMcuboot, type McubootOptions } from "../src/flash/mcuboot";
import { checkMcuboot, readPinnedKey } from "../src/mcuboot";
import { virtualClock } from "./bench";
import { memoryIo } from "./memory-io";

const recorded = suite("flash, recorded servers");

interface Exchange {
  frames: { dir: string; hex: string }[];
}

const key = readPinnedKey(Buffer.from(publishedBytes("smp/images/trusted-public.pem")).toString());
const image = (file: string) => publishedBytes(`smp/images/${file}`);

/** The messages a server sent in a recorded exchange, in order. */
function answersIn(name: string): Uint8Array[] {
  const { frames } = publishedJson<Exchange>(`smp/exchanges/${name}.json`);
  const messages: Uint8Array[] = [];
  const deframer = makeDeframer(4096);
  for (const { dir, hex: bytes } of frames) {
    if (dir === "d2h")
      pushBytes(
        deframer,
        hex(bytes),
        (message) => messages.push(message),
        () => {},
      );
  }
  return messages;
}

type Script = Record<string, readonly string[]>;
const kind = (group: number, command: number, isWrite: boolean) =>
  `${isWrite ? "write" : "read"} ${group}/${command}`;

/** A server that answers with the first answer of recorded exchanges; the last one for a request stays its answer. */
class Recorded {
  readonly heard: string[] = [];
  private readonly left = new Map<string, Uint8Array[]>();
  private stored = 0;

  constructor(
    private readonly clock: Clock,
    script: Script,
  ) {
    for (const [request, names] of Object.entries(script)) {
      this.left.set(
        request,
        names.map((name) => answersIn(name)[0] ?? assert.unreachable(name)) as Uint8Array[],
      );
    }
  }

  readonly open = async (): Promise<Transport> => {
    const deframer = makeDeframer(4096);
    let listener = (_: Uint8Array) => {};
    return {
      label: "recorded",
      write: async (bytes) => {
        pushBytes(
          deframer,
          bytes,
          (message) => this.answer(message, (frame) => listener(frame)),
          () => {},
        );
      },
      onData: (take) => {
        listener = take;
      },
      onClose() {},
      close: async () => {},
    };
  };

  private answer(request: Uint8Array, send: (frame: Uint8Array) => void): void {
    const { header, body } = decodeMessage(request);
    if (header === null || body === null) return;
    const what = kind(header.group, header.command, header.op === SMP_WRITE);
    this.heard.push(what);
    let message: Uint8Array;
    if (what === "write 1/1") {
      const [off, data] = [mapGet(body, "off"), mapGet(body, "data")];
      if (off === 0) this.stored = 0;
      if (off === this.stored && isBytes(data)) this.stored += data.length;
      message = encodeMessage(smpHeader(3, 1, 1, 1, header.sequence), cborMap([["off", this.stored]]));
    } else {
      const answers = this.left.get(what);
      if (answers?.[0] === undefined) return; // as a server that was never asked this
      message = answers[0].slice();
      if (answers.length > 1) answers.shift();
      // An answer to an unknown command is the same for every one.
      message[0] = (message[0]! & 0x18) + header.op + 1;
      message.set([header.group >> 8, header.group & 0xff, header.sequence, header.command], 4);
    }
    this.clock.after(3, () => send(encodeFrame(message)));
  }
}

function bench(script: Script) {
  const clock = virtualClock();
  const server = new Recorded(clock, script);
  const run = async (file: string, options: Partial<McubootOptions> = {}) => {
    const io = memoryIo();
    const link = { clock, open: server.open, timeoutMs: 120_000, firstSequence: 0 };
    const checked = checkMcuboot(image(file), key);
    try {
      const report = await clock.run(
        flashMcuboot({ port: "recorded", checked, yes: true, link, ...options }, io),
      );
      return { code: report.result, message: "", err: io.err() };
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return { code: error.code, message: error.message, err: io.err() };
    }
  };
  return { server, run };
}

const SWAP: Script = {
  "read 1/0": [
    "mcuboot-m0-app-image-state-after-reset",
    "mcuboot-m0-app-image-state-read-two-images",
    "mcuboot-m0-app-image-state-after-reset",
  ],
  "read 0/6": ["mcuboot-m0-app-os-mcumgr-params"],
  "read 1/6": ["mcuboot-m0-app-unknown-command"],
  "read 64/0": ["mcuboot-m0-app-unknown-group"],
  "write 1/0": ["mcuboot-m0-app-image-test"],
  "write 0/5": ["mcuboot-m0-app-os-reset"],
};

recorded("swap: tested, restarted once, and the image that didn't start is named", async () => {
  const { server, run } = bench(SWAP);
  const { code, message, err } = await run("good-ed25519.bin");
  assert.is(code, "image-reverted", message);
  assert.match(message, /restarted into the image from before, "0\.0\.0"/);
  assert.match(err, /the device can't tell whether it stored what was sent/);
  assert.is(server.heard.filter((what) => what === "write 0/5").length, 1);
  assert.ok(!server.heard.includes("write 0/0"), "no echo");
});

recorded("RAM load: rc 8 to the test means that the highest version boots", async () => {
  const { server, run } = bench({
    "read 1/0": [
      "mcuboot-rec-app-image-state-after-reset",
      "mcuboot-rec-app-image-state-read-two-images",
      "mcuboot-rec-app-image-state-after-reset",
    ],
    "read 0/6": ["mcuboot-rec-app-os-mcumgr-params"],
    "read 1/6": ["mcuboot-rec-app-image-slot-info"],
    "write 1/0": ["mcuboot-rec-app-image-test"],
    "write 0/5": ["mcuboot-2048-app-os-reset"],
  });
  const { code, message, err } = await run("good-ed25519.bin");
  assert.is(code, "image-reverted", message);
  assert.match(err, /runs 0\.0\.0, slot of 524288 bytes$/m);
  assert.match(err, /this boot loader starts the highest version/);
  assert.ok(server.heard.includes("write 1/0"));
});

recorded("serial recovery: known by its image list, never asked to test or echo", async () => {
  const { server, run } = bench({
    "read 1/0": ["mcuboot-rec-recovery-image-state-read", "mcuboot-rec-app-image-state-after-reset"],
    "read 0/6": ["mcuboot-rec-recovery-os-mcumgr-params"],
    "read 1/6": ["mcuboot-2048-recovery-image-slot-info"],
    "write 0/5": ["mcuboot-2048-recovery-os-reset"],
  });
  const { code, message, err } = await run("good-ed25519.bin");
  assert.is(code, "image-reverted", message);
  assert.match(err, /in its boot loader, which starts 0\.0\.0/);
  assert.ok(!server.heard.includes("write 1/0") && !server.heard.includes("write 0/0"));
});

recorded("a server that takes what it was sent for invalid: the device's own words", async () => {
  const { run } = bench({
    ...SWAP,
    "read 1/0": ["mcuboot-m0-app-image-state-after-reset", "mcuboot-m0-app-image-state-read-two-images"],
    "write 1/0": ["mcuboot-m0-app-image-test-unknown-hash"],
  });
  const { code, message } = await run("good-ed25519.bin");
  assert.is(code, "image-refused");
  assert.match(message, /error 8 \(no image with this hash\) of group 1/);
});

recorded("a dry run asks, and writes nothing", async () => {
  const { server, run } = bench(SWAP);
  assert.is((await run("counter-7.bin", { dryRun: true })).code, "would-flash");
  assert.ok(server.heard.every((what) => what.startsWith("read ")));
});

recorded.run();
