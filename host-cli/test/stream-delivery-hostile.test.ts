// What a receiver is sent that isn't a recording: each is refused with its code, the line is closed, and the file holds
// what it held. Over real sockets, and the messages alone.

import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import {
  checkTopicBase,
  DELIVERY_HELLO,
  DELIVERY_PIECE,
  decodeHello,
  decodePayload,
  decodePiece,
  decodeRefusal,
  decodeStand,
  encodeHello,
  encodePiece,
  encodeStand,
  frameMessage,
  MessageReader,
  readTopic,
} from "@vouch/shared/delivery";
import { encodeFrameItem, encodeVstreamHead } from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deviceKey, StreamMaker } from "../../shared/test/stream-kit";
import { nodeCrypto } from "../src/crypto";
import { parseAddress } from "../src/stream/address";
import { checkItem } from "../src/stream/chain";
import { Intake } from "../src/stream/intake";
import { Recording } from "../src/stream/recording";
import { listenOnTcp } from "../src/stream/tcp";
import { refuses } from "./maker-kit";
import { temporaryFolder } from "./sim-kit";
import { receivingInto, recordingOf } from "./stream-delivery-kit";

const tests = suite("stream delivery, hostile");
const folder = temporaryFolder();

const maker = new StreamMaker();
maker.announce();
for (let i = 0; i < 5; i++) maker.data(3);
maker.checkpoint();
const good = recordingOf(maker.frames);
const HEAD = encodeVstreamHead().length;
const id = maker.id;
const forged = new StreamMaker({ device: deviceKey(9) });
forged.announce();

const next = new StreamMaker();
next.announce();
for (let i = 0; i < 5; i++) next.data(3);
next.checkpoint();
const unsigned = next.data(1, { isAside: true });
const badSignature = next.checkpoint({ by: deviceKey(9), isAside: true });

let name = 0;
/** A receiver that has `good`, sent these bytes; what it answers, and what its file holds. */
async function receive(bytes: Uint8Array): Promise<{ code: string | null; file: Buffer }> {
  const path = join(folder, `${name++}.vstream`);
  const recording = Recording.open(path);
  const intake = new Intake(recording, {
    check: (item, chain) => checkItem(item, chain, nodeCrypto),
  });
  intake.take({ at: HEAD, bytes: good.subarray(HEAD) });
  intake.flush();
  const listening = await listenOnTcp(parseAddress("tcp://127.0.0.1:0"), {}, receivingInto(intake));
  const code = await new Promise<string | null>((resolve) => {
    let found: string | null = null;
    const reader = new MessageReader();
    const socket = connect(listening.port, "127.0.0.1", () => socket.end(bytes));
    socket.on("data", (data) =>
      reader.push(data, (type, body) => {
        if (type === 4) found = decodeRefusal(body);
      }),
    );
    socket.on("error", () => {});
    socket.on("close", () => resolve(found));
  });
  await listening.close();
  recording.close();
  return { code, file: readFileSync(path) };
}

const hello = frameMessage(DELIVERY_HELLO, encodeHello(id));
const piece = (at: number, bytes: Uint8Array) => frameMessage(DELIVERY_PIECE, encodePiece({ at, bytes }));
const after = (bytes: Uint8Array) => concatBytes([hello, piece(good.length, bytes)]);

for (const [what, bytes, code] of [
  ["no message of ours", new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), "delivery-malformed"],
  ["a message longer than any", new Uint8Array([0xff, 0xff, 0xff, 0xff, 1]), "delivery-malformed"],
  ["a message of no length", new Uint8Array([0, 0, 0, 0, 1]), "delivery-malformed"],
  ["another protocol's greeting", frameMessage(DELIVERY_HELLO, new Uint8Array(34)), "unsupported-version"],
  ["a piece before a greeting", piece(good.length, unsigned), "delivery-malformed"],
  [
    "a piece of nothing",
    concatBytes([hello, frameMessage(DELIVERY_PIECE, new Uint8Array(8))]),
    "delivery-malformed",
  ],
  [
    "a piece that leaves some out",
    concatBytes([hello, piece(good.length + 1, unsigned)]),
    "delivery-malformed",
  ],
  [
    "a piece past 2^53",
    concatBytes([hello, frameMessage(DELIVERY_PIECE, new Uint8Array(20).fill(0xff))]),
    "delivery-malformed",
  ],
  [
    "other bytes for what is recorded",
    concatBytes([hello, piece(HEAD, good.subarray(0, 40))]),
    "delivery-conflict",
  ],
  ["what isn't an item", after(new Uint8Array([0, 1, 2, 3])), "vstream-damaged"],
  ["a frame that isn't one", after(encodeFrameItem(new Uint8Array(80))), "stream-malformed"],
  ["a frame of another stream", after(encodeFrameItem(forged.data(1))), "stream-other"],
  ["a frame out of its turn", after(encodeFrameItem(maker.frames[2]!)), "stream-link"],
  ["a checkpoint by another key", after(encodeFrameItem(badSignature)), "stream-signature"],
] as const) {
  tests(`refuses ${what}: ${code}`, async () => {
    const { code: found, file } = await receive(bytes);
    assert.is(found, code);
    assert.ok(file.equals(good), "the file holds what it held");
  });
}

tests("takes what comes again, and what overlaps, once", async () => {
  const frame = encodeFrameItem(unsigned);
  const overlapping = concatBytes([good.subarray(good.length - 50), frame]);
  const { code, file } = await receive(
    concatBytes([hello, piece(good.length - 50, overlapping), piece(good.length, frame)]),
  );
  assert.is(code, null);
  assert.ok(file.equals(concatBytes([good, frame])));
});

tests("of half an item nothing is written", async () => {
  const { code, file } = await receive(after(encodeFrameItem(unsigned).subarray(0, 30)));
  assert.is(code, null);
  assert.ok(file.equals(good));
});

for (const [what, code, work] of [
  [
    "a stand of another length",
    "delivery-malformed",
    () => decodeStand(encodeStand({ next: 1, isMissing: true }).subarray(1)),
  ],
  ["flags that no stand has", "delivery-malformed", () => decodeStand(new Uint8Array(9).fill(2))],
  ["an empty message of a broker's", "delivery-malformed", () => decodePayload(new Uint8Array(0))],
  ["a message of another version", "unsupported-version", () => decodePayload(new Uint8Array([2, 0]))],
  [
    "a piece of more than its most",
    "delivery-malformed",
    () => decodePiece(new Uint8Array(8 + 32 * 1024 + 1)),
  ],
  ["a greeting that is cut", "delivery-malformed", () => decodeHello(encodeHello(id).subarray(1))],
  [
    "a refusal that is no code",
    "delivery-malformed",
    () => decodeRefusal(new TextEncoder().encode("\u001b[31mno")),
  ],
  ["a topic with a wildcard", "delivery-topic", () => checkTopicBase("ward/#")],
  ["a topic with an empty level", "delivery-topic", () => checkTopicBase("ward//3")],
  ["an address with a password", "usage", () => parseAddress("mqtt://u:secret@host/t")],
  ["an address without a topic", "usage", () => parseAddress("mqtt://host")],
  ["an address without a port", "usage", () => parseAddress("tcp://host")],
  ["an address of another kind", "usage", () => parseAddress("http://host:1/")],
] as const) {
  tests(`refuses ${what}`, async () => {
    await refuses(code, work);
  });
}

tests("a topic is ours or nobody's", () => {
  const hex = "00112233445566778899aabbccddeeff";
  assert.equal(readTopic("ward/3", `ward/3/${hex}/piece`), { id: hex, part: "piece" });
  for (const topic of [
    `ward/30/${hex}/piece`,
    `ward/3/${hex}`,
    `ward/3/${hex}/piece/x`,
    `ward/3/${hex.toUpperCase()}/piece`,
    `ward/3/${hex}/other`,
  ])
    assert.is(readTopic("ward/3", topic), null);
});

tests.run();
