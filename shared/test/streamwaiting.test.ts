// What waits for a signature leaves the same whether it was held or read again; and isn't believed when it changed.

import { concatBytes, toHex } from "@vouch/shared/bytes";
import { MODE_PRIVATE } from "@vouch/shared/stream";
import { readerOpener } from "@vouch/shared/streamopen";
import { encodeFrameItem, frameOfItem } from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { framesAgain } from "../../host-cli/src/streamfile";
import { type CheckOptions, StreamChecker, type StreamEvents } from "../src/streamcheck";
import { type MakerOptions, readerKey, StreamMaker } from "./stream-kit";
import { refusal } from "./vectors";

const waiting = suite("streamwaiting");
const OWNER = readerKey(21);
const MASKED: MakerOptions = { mode: MODE_PRIVATE, readers: [OWNER.publicKey] };

/** Epochs, gaps, a resume with frames that hang, a break with some that do, and an unsigned tail. */
function manyEnds(options: MakerOptions): Uint8Array[] {
  const maker = new StreamMaker({ ...options, everyFrames: 40 });
  maker.announce();
  const some = (count: number) => {
    for (let i = 0; i < count; i++) {
      if (i % 5 === 4) maker.gap(3);
      else maker.data(1 + (i % 4));
    }
  };
  some(30);
  maker.checkpoint();
  some(20);
  if (options.mode === MODE_PRIVATE) maker.keyload();
  some(25);
  maker.checkpoint();
  some(12);
  maker.resume();
  some(30);
  maker.checkpoint();
  some(20);
  const [lost] = maker.frames.splice(maker.frames.length - 8, 1);
  assert.ok(lost);
  some(10);
  maker.checkpoint();
  some(7);
  return maker.frames;
}

interface Heard {
  lines: string[];
  rows: { [isProved: string]: number };
  /** Frames that were read again. */
  again: number;
}

function hear(
  frames: readonly Uint8Array[],
  options: Partial<CheckOptions>,
  heldBytes: number | null,
  file = concatBytes(frames.map(encodeFrameItem)),
): Heard {
  const heard: Heard = { lines: [], rows: {}, again: 0 };
  const events: StreamEvents = {
    block: ({ values, boot, group, ...block }) =>
      heard.lines.push(JSON.stringify([block, boot.bootcount, group.code, [...values]])),
    gap: ({ boot, ...gap }) => heard.lines.push(JSON.stringify([gap, boot.bootcount])),
    rows: (count, isProved) => {
      heard.rows[`${isProved}`] = (heard.rows[`${isProved}`] ?? 0) + count;
    },
    finding: ({ code, seq }) => heard.lines.push(`${code} ${seq}`),
    proved: ({ from, to }) => heard.lines.push(`proved ${from} ${to}`),
  };
  const source = framesAgain((into, at) => {
    const bytes = file.subarray(at, at + into.length);
    into.set(bytes);
    return bytes.length;
  });
  const frame = (at: number) => {
    heard.again++;
    return source.frame(at);
  };
  const again = heldBytes === null ? {} : { again: { frame, heldBytes } };
  const checker = new StreamChecker({ crypto: nodeCrypto, ...options, ...again }, events);
  let at = 0;
  for (const bytes of frames) {
    checker.frame(bytes, at);
    at += encodeFrameItem(bytes).length;
  }
  checker.end();
  return heard;
}

for (const [what, made, options] of [
  ["readable", {}, {}],
  ["masked", MASKED, { opener: readerOpener(OWNER, nodeCrypto) }],
  ["masked, without the key,", MASKED, {}],
] as const) {
  waiting(`${what} readings leave the same, in the same order, however few are held`, () => {
    const frames = manyEnds(made);
    const all = hear(frames, options, null);
    assert.is(all.again, 0);
    const isOpened = what !== "masked, without the key,";
    for (const heldBytes of [0, 1, 16, 64, 1e9]) {
      const some = hear(frames, options, heldBytes);
      assert.equal(some.lines, all.lines, `${heldBytes} bytes held`);
      assert.equal(some.rows, all.rows);
      assert.is(some.again > 0, isOpened && heldBytes < 1e9, `${some.again} frames were read again`);
    }
    const counted = Object.values(all.rows).reduce((sum, rows) => sum + rows, 0);
    assert.is(counted > 200, isOpened, `${counted} rows`);
  });
}

waiting("a frame that changed since is refused, and so is one that is gone", () => {
  const frames = manyEnds({});
  const file = concatBytes(frames.map(encodeFrameItem));
  let at = 0;
  for (const frame of frames.slice(0, 20)) at += encodeFrameItem(frame).length;
  const bent = file.slice();
  bent[at + encodeFrameItem(frames[20]!).length - 1]! ^= 2; // the last reading's last digit
  assert.not.equal(toHex(bent), toHex(file));
  assert.throws(() => hear(frames, {}, 0, bent), refusal("recording-changed"));
  assert.throws(() => hear(frames, {}, 0, file.subarray(0, at)), refusal("recording-changed"));
});

waiting("who takes no readings keeps none", () => {
  const frames = manyEnds({});
  const rows: [number, boolean][] = [];
  const checker = new StreamChecker(
    {
      crypto: nodeCrypto,
      again: {
        heldBytes: 0,
        frame: () => {
          throw new Error("nothing is read again for nobody");
        },
      },
    },
    { rows: (count, isProved) => rows.push([count, isProved]) },
  );
  for (const frame of frames) checker.frame(frame);
  checker.end();
  assert.ok(rows.some(([, isProved]) => isProved) && rows.some(([, isProved]) => !isProved));
});

waiting("an item that begins no frame, or isn't all there, is none", () => {
  const item = encodeFrameItem(new Uint8Array(300).fill(7));
  assert.is(frameOfItem(item)?.length, 300);
  assert.is(frameOfItem(item.subarray(0, 302)), null);
  assert.is(frameOfItem(item.subarray(0, 1)), null);
  assert.is(frameOfItem(item.subarray(0, 0)), null);
  assert.is(frameOfItem(new Uint8Array([0xd2, 0x84])), null);
});

waiting.run();
