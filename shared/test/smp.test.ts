// The SMP codec against every recorded exchange of real servers: what they
// sent and what was sent to them, whole, byte by byte and cut in two at every
// place; then what the recordings don't hold, one flaw a row.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, fromHex, toHex, utf8Encode } from "../src/bytes";
import { type CborValue, cborMap, isBytes, isMap, isTag } from "../src/cbor";
import { FAULT_SMP_BODY, FAULT_SMP_HEADER, FAULT_SMP_LENGTH, FAULT_SMP_TRUNCATED } from "../src/fault";
import {
  crc16,
  decodeMessage,
  encodeFrame,
  encodeMessage,
  makeDeframer,
  pushBytes,
  smpHeader,
} from "../src/smp";

const FOLDER = "shared/vectors/published/smp/exchanges";
const MAX_MESSAGE = 4096;
const CUT_IN_TWO_MAX = 3000; // trying every cut is quadratic; longer streams go byte by byte

interface Recorded {
  dir: "h2d" | "d2h";
  header?: {
    version: number;
    op: number;
    flags: number;
    length: number;
    group: number;
    seq: number;
    id: number;
  };
  body_length?: number;
  body?: unknown;
  trailing_bytes?: number;
  crc_ok?: boolean;
  text_line?: string;
}
interface Exchange {
  name: string;
  frames: { dir: "h2d" | "d2h"; hex: string }[];
  messages: Recorded[];
}

const exchanges = readdirSync(FOLDER)
  .sort()
  .map((file) => JSON.parse(readFileSync(`${FOLDER}/${file}`, "utf8")) as Exchange);

const hex = (text: string) => fromHex(text) ?? assert.unreachable(`not hex: ${text}`);

function streamOf(exchange: Exchange, dir: "h2d" | "d2h"): Uint8Array {
  return concatBytes(exchange.frames.filter((f) => f.dir === dir).map((f) => hex(f.hex) as Uint8Array));
}

/** All that comes out of a deframer fed these pieces, as text that two runs can be compared by. */
function deframe(pieces: Uint8Array[]): { messages: Uint8Array[]; text: string; trace: string } {
  const deframer = makeDeframer(MAX_MESSAGE);
  const messages: Uint8Array[] = [];
  const lines: string[] = [];
  const trace: string[] = [];
  for (const piece of pieces) {
    pushBytes(
      deframer,
      piece,
      (message) => {
        messages.push(message);
        trace.push(`message ${toHex(message)}`);
      },
      (line) => {
        lines.push(Buffer.from(line).toString("latin1"));
        trace.push(`text ${toHex(line)}`);
      },
    );
  }
  return { messages, text: lines.join("\n"), trace: trace.concat(`dropped ${deframer.dropped}`).join("\n") };
}

/** CBOR as the recordings write it. */
function asRecorded(value: CborValue): unknown {
  if (isBytes(value)) {
    if (value.length <= 64) return { $bytes: toHex(value) };
    return {
      $bytes_length: value.length,
      $bytes_first16: toHex(value.subarray(0, 16)),
      $sha256: createHash("sha256").update(value).digest("hex"),
    };
  }
  if (Array.isArray(value)) return value.map(asRecorded);
  if (isMap(value)) {
    return Object.fromEntries(value.keys.map((key, at) => [String(key), asRecorded(value.values[at]!)]));
  }
  assert.is(isTag(value), false);
  return value;
}

// Colour codes are left out of the recordings' text.
const plain = (text: string) =>
  text
    .split("\u001b")
    .map((part, at) => (at === 0 ? part : part.replace(/^\[[0-9;]*[A-Za-z]/, "")))
    .join("");

const recorded = suite("smp: recorded exchanges");

recorded("there are 243 of them", () => assert.is(exchanges.length, 243));

for (const exchange of exchanges) {
  for (const dir of ["h2d", "d2h"] as const) {
    recorded(`${exchange.name} ${dir} decodes to what was recorded`, () => {
      const { messages, text } = deframe([streamOf(exchange, dir)]);
      const expected = exchange.messages.filter((m) => m.dir === dir && m.header !== undefined && m.crc_ok);
      assert.is(messages.length, expected.length);
      messages.forEach((message, at) => {
        const want = expected[at]!;
        const got = decodeMessage(message);
        const h = got.header!;
        assert.equal(
          [h.version, h.op, h.flags, h.length, h.group, h.sequence, h.command],
          [
            want.header!.version,
            want.header!.op,
            want.header!.flags,
            want.header!.length,
            want.header!.group,
            want.header!.seq,
            want.header!.id,
          ],
        );
        const isMapAlone =
          typeof want.body === "object" &&
          want.trailing_bytes === undefined &&
          want.header!.length === want.body_length;
        if (isMapAlone) assert.equal(asRecorded(got.body!), want.body);
        else assert.is.not(got.fault, 0, "what isn't one CBOR map has a fault");
      });
      const lines = exchange.messages.filter((m) => m.dir === dir && m.text_line !== undefined);
      for (const { text_line } of lines) {
        if (/^[\x20-\x7e]*$/.test(text_line!)) {
          assert.ok(plain(text).includes(text_line!), `log line ${JSON.stringify(text_line)} was passed on`);
        }
      }
    });

    recorded(`${exchange.name} ${dir} decodes alike however it is cut`, () => {
      const stream = streamOf(exchange, dir);
      const whole = deframe([stream]).trace;
      const bytes = Array.from(stream, (byte) => Uint8Array.of(byte));
      assert.is(deframe(bytes).trace, whole);
      if (stream.length > CUT_IN_TWO_MAX) return;
      for (let cut = 0; cut <= stream.length; cut++) {
        const halves = [stream.subarray(0, cut), stream.subarray(cut)];
        if (deframe(halves).trace !== whole) assert.unreachable(`differs when cut at ${cut}`);
      }
    });
  }
}

recorded("what was sent is framed to the same bytes again", () => {
  let same = 0;
  for (const exchange of exchanges) {
    const stream = streamOf(exchange, "h2d");
    const { messages, text, trace } = deframe([stream]);
    // Requests that were broken on purpose, or ended in CRLF, can't come out the same.
    if (text !== "" || !trace.endsWith("dropped 0") || /bad-|frame-|continuation|crlf/.test(exchange.name))
      continue;
    const again = concatBytes(messages.map((message) => encodeFrame(message)));
    assert.is(toHex(again), toHex(stream), exchange.name);
    same++;
  }
  assert.ok(same >= 200, `${same} exchanges compared`);
});

recorded.run();

const codec = suite("smp: codec");

const ECHO = encodeMessage(smpHeader(2, 1, 0, 0, 1), cborMap([["d", "hi"]]));
const NONE = () => {};
const never = () => assert.unreachable("no message is in it");

codec("the example of an echo, to the byte", () => {
  assert.is(toHex(ECHO), "0a000006000001" + "00a161646268" + "69");
  assert.is(Buffer.from(encodeFrame(ECHO)).toString("latin1"), "\x06\tABAKAAAGAAABAKFhZGJoaaWv\n");
});

codec("crc16 of the check string is 0x31c3", () => {
  assert.is(crc16(utf8Encode("123456789"), 0, 9), 0x31c3);
});

codec("messages of every length come through, in lines of at most 127 bytes", () => {
  for (let length = 8; length <= 600; length++) {
    const message = Uint8Array.from({ length }, (_, i) => (i * 7 + length) & 0xff);
    const frame = encodeFrame(message);
    const lines = Buffer.from(frame).toString("latin1").split("\n");
    assert.is(lines.pop(), "");
    for (const line of lines) assert.ok(line.length <= 126, `line of ${line.length + 1} bytes`);
    const { messages } = deframe([frame]);
    assert.equal(messages.map(toHex), [toHex(message)]);
  }
});

codec("a flipped bit anywhere in a frame loses it and never gives another message", () => {
  const frame = encodeFrame(ECHO);
  for (let at = 0; at < frame.length; at++) {
    for (let bit = 0; bit < 8; bit++) {
      const bent = frame.slice();
      bent[at]! ^= 1 << bit;
      // A line that lost its end still holds the whole message.
      const expected = at === frame.length - 1 ? [toHex(ECHO)] : [];
      assert.equal(deframe([bent]).messages.map(toHex), expected, `bit ${bit} of byte ${at}`);
      const after = deframe([bent, utf8Encode("\n"), frame]).messages.map(toHex);
      assert.equal(after, [...expected, toHex(ECHO)], `the next frame after bit ${bit} of byte ${at}`);
    }
  }
});

codec("a frame that lost its end doesn't swallow the next one", () => {
  const long = encodeFrame(encodeMessage(smpHeader(2, 1, 0, 0, 2), cborMap([["d", "x".repeat(300)]])));
  const next = encodeFrame(ECHO);
  for (let cut = 0; cut < long.length - 1; cut++) {
    assert.equal(deframe([long.subarray(0, cut), next]).messages.map(toHex), [toHex(ECHO)], `cut at ${cut}`);
  }
});

codec("log text between, before and behind the lines of a frame is passed on, not taken in", () => {
  const message = encodeMessage(smpHeader(2, 1, 0, 0, 2), cborMap([["d", "x".repeat(150)]]));
  const [first, second] = Buffer.from(encodeFrame(message)).toString("latin1").split("\n");
  const wire = `boot ok\r\n<inf> ${first}\nuart:~$ \n${second}\ntail\n`;
  const { messages, text } = deframe([Buffer.from(wire, "latin1")]);
  assert.equal(messages.map(toHex), [toHex(message)]);
  assert.is(text, "boot ok\n<inf> \nuart:~$ \ntail");
});

for (const [name, wire] of [
  ["a stray bit under the padding", "\x06\tABAKAAAGAAABAKFhZGJoaaWv".replace("aWv", "aX=") + "\n"],
  ["padding in the middle of a line", "\x06\tABA=KAAAGAAABAKFhZGJoaaWv\n"],
  ["one base64 character too many", "\x06\tABAKAAAGAAABAKFhZGJoaaWvA\n".replace("ABAK", "ABEK")],
  ["a length below a header's", "\x06\tAAkKAAAGAAABAKE=\n"],
  ["a length beyond the buffer", "\x06\t//8KAAAGAAABAKFhZGJoaaWv\n"],
  ["a continuation without a start", "\x04\x14ABAKAAAGAAABAKFhZGJoaaWv\n"],
] as const) {
  codec(`drops: ${name}`, () => {
    const { messages } = deframe([Buffer.from(wire, "latin1"), encodeFrame(ECHO)]);
    assert.equal(messages.map(toHex), [toHex(ECHO)]);
  });
}

codec("a flood without an end stays within the deframer's memory", () => {
  const deframer = makeDeframer(256);
  let texts = 0;
  const flood = new Uint8Array(100000).fill(0x41);
  pushBytes(deframer, flood, never, (line) => {
    texts++;
    assert.is(line.length, 160);
  });
  assert.is(texts, 100000 / 160 - 1, "the last piece waits for its end");
  pushBytes(deframer, Buffer.from("\n\x06\t"), never, NONE);
  pushBytes(deframer, flood, never, NONE);
  assert.is(deframer.packet.length, 260);
});

for (const [name, bytes, fault] of [
  ["seven bytes", "0a000000000000", FAULT_SMP_TRUNCATED],
  ["version 2", "12000001000001" + "00a0", FAULT_SMP_HEADER],
  ["a reserved bit", "2a000001000001" + "00a0", FAULT_SMP_HEADER],
  ["an operation of 4", "0c000001000001" + "00a0", FAULT_SMP_HEADER],
  ["a length one short", "0a000000000001" + "00a0", FAULT_SMP_LENGTH],
  ["a length one long", "0a000002000001" + "00a0", FAULT_SMP_LENGTH],
  ["a list for a body", "0a000001000001" + "0080", FAULT_SMP_BODY],
] as const) {
  codec(`refuses a message with ${name}`, () => {
    assert.is(decodeMessage(hex(bytes) as Uint8Array).fault, fault);
  });
}

codec("takes maps without a length, as servers write them", () => {
  const good = decodeMessage(hex("0b000007000001" + "00bf6172626869ff") as Uint8Array);
  assert.is(good.fault, 0);
  assert.equal(asRecorded(good.body!), { r: "hi" });
});

codec.run();
