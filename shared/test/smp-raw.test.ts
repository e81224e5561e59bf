// Raw SMP framing: messages by their length alone, whatever is lost before them.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, toHex } from "../src/bytes";
import { cborMap } from "../src/cbor";
import { encodeMessage, smpHeader } from "../src/smp";
import { makeRawDeframer, pushRawBytes, RAW_SILENCE_MS } from "../src/smp-raw";

const raw = suite("smp raw");

const reply = (sequence: number, text: string) =>
  encodeMessage(smpHeader(3, 1, 0, 0, sequence), cborMap([["r", text]]));
const REPLIES = [reply(1, "one"), reply(2, "a longer one"), reply(3, "")];
const STREAM = concatBytes(REPLIES);

function push(pieces: { bytes: Uint8Array; at: number }[], max = 256) {
  const deframer = makeRawDeframer(max);
  const got: string[] = [];
  for (const { bytes, at } of pieces)
    pushRawBytes(deframer, bytes, at, (message) => void got.push(toHex(message)));
  return { got, dropped: deframer.dropped, have: deframer.have };
}

const all = REPLIES.map(toHex);

raw("messages come out whole, at every cut", () => {
  for (let cut = 0; cut <= STREAM.length; cut++) {
    const { got, dropped } = push([
      { bytes: STREAM.subarray(0, cut), at: 0 },
      { bytes: STREAM.subarray(cut), at: RAW_SILENCE_MS },
    ]);
    assert.equal([got, dropped], [all, 0], `cut at ${cut}`);
  }
});

raw("what is half received is dropped after a silence", () => {
  for (let cut = 1; cut < REPLIES[0]!.length; cut++) {
    const { got, dropped } = push([
      { bytes: REPLIES[0]!.subarray(0, cut), at: 0 },
      { bytes: REPLIES[1]!, at: RAW_SILENCE_MS + 1 },
    ]);
    assert.equal([got, dropped], [[all[1]], cut], `cut at ${cut}`);
  }
});

raw("whichever byte is lost, the message after the next silence is understood", () => {
  for (let lost = 0; lost < STREAM.length; lost++) {
    const { got } = push([
      { bytes: concatBytes([STREAM.subarray(0, lost), STREAM.subarray(lost + 1)]), at: 0 },
      { bytes: reply(9, "after"), at: 2 * RAW_SILENCE_MS },
    ]);
    assert.is(got.at(-1), toHex(reply(9, "after")), `byte ${lost} lost`);
  }
});

raw("what can't begin a message is passed over", () => {
  const noise = Uint8Array.of(0xff, 0x0d, 0x0a, 0x5b, 0x30, 0x04, 0x01);
  const { got, dropped } = push([{ bytes: concatBytes([noise, STREAM]), at: 0 }]);
  assert.equal([got, dropped], [all, noise.length]);
});

raw("a claimed length beyond the buffer is never waited for", () => {
  const huge = Uint8Array.of(0x0b, 0, 0xff, 0xff, 0, 0, 0, 0);
  const { got, have } = push([{ bytes: concatBytes([huge, STREAM]), at: 0 }], 64);
  assert.equal([got.at(-1), have], [all[2], 0]);
});

raw.run();
