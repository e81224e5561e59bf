// The host against 243 recorded conversations with real servers: a scripted server
// knows a request by its content and answers with the recorded bytes, log text and
// all, the sequence number replaced and the CRC made anew. What the host makes of
// each answer is what was recorded; what got none there gets none here.
//
// That the decoder takes each stream at every cut is in shared/test/smp.test.ts.

import { readdirSync, readFileSync } from "node:fs";
import { concatBytes, fromHex, toHex } from "@vouch/shared/bytes";
import { type CborMap, cborMap, encodeCbor, mapGet } from "@vouch/shared/cbor";
import { isRefusal } from "@vouch/shared/refusal";
import { decodeMessage, encodeFrame, makeDeframer, pushBytes, type SmpHeader } from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSession, type Reply } from "../src/device/session";
import { readImages, readParameters } from "../src/device/smp";
import type { Transport } from "../src/device/transport";
import { uploadImage } from "../src/device/upload";
import { virtualClock } from "./bench";
import { sha256Of } from "./smp-server";

const FOLDER = "shared/vectors/published/smp/exchanges";
const MAX_MESSAGE = 4096;
const WAIT_MS = 100;

interface Exchange {
  name: string;
  server: { mode: string; buf_size: number | null; buf_count: number | null };
  frames: { dir: "h2d" | "d2h"; hex: string }[];
}

interface Message {
  dir: "h2d" | "d2h";
  /** As it was on the line, deframed; null: a line of text. */
  bytes: Uint8Array | null;
  text: Uint8Array | null;
  header: SmpHeader | null;
  body: CborMap | null;
}

const exchanges = readdirSync(FOLDER)
  .sort()
  .map((file) => JSON.parse(readFileSync(`${FOLDER}/${file}`, "utf8")) as Exchange);

/** What was said, in order: each side through a deframer of its own. */
function messagesOf(exchange: Exchange): Message[] {
  const messages: Message[] = [];
  const deframers = { h2d: makeDeframer(MAX_MESSAGE), d2h: makeDeframer(MAX_MESSAGE) };
  for (const { dir, hex } of exchange.frames) {
    pushBytes(
      deframers[dir],
      fromHex(hex)!,
      (bytes) => {
        const { fault, header, body } = decodeMessage(bytes);
        messages.push({ dir, bytes, text: null, header: fault === 0 ? header : null, body });
      },
      (text) => messages.push({ dir, bytes: null, text, header: null, body: null }),
    );
  }
  return messages;
}

const contentOf = ({ op, group, command }: SmpHeader, body: CborMap) =>
  `${op} ${group} ${command} ${toHex(encodeCbor(body))}`;

const isRequest = (m: Message) =>
  m.dir === "h2d" && m.header !== null && m.body !== null && m.header.op % 2 === 0;

/** The same bytes as an answer to another sequence number. */
function resequenced(bytes: Uint8Array, sequence: number): Uint8Array {
  const copy = bytes.slice();
  copy[6] = sequence;
  return encodeFrame(copy);
}

type Answer = (header: SmpHeader, body: CborMap) => Uint8Array[];

function scripted(answer: Answer, version: 0 | 1 = 1) {
  const clock = virtualClock();
  const deframer = makeDeframer(MAX_MESSAGE);
  let data: (bytes: Uint8Array) => void = () => {};
  const transport: Transport = {
    label: "recorded",
    write: async (bytes) =>
      pushBytes(
        deframer,
        bytes,
        (message) => {
          const { header, body } = decodeMessage(message);
          // In pieces of seven: a real line cuts anywhere.
          const all = concatBytes(answer(header!, body!));
          for (let at = 0; at < all.length; at += 7) {
            const piece = all.subarray(at, at + 7);
            clock.after(1, () => data(piece));
          }
        },
        () => {},
      ),
    onData: (listener) => {
      data = listener;
    },
    onClose: () => {},
    close: async () => {},
  };
  const texts: string[] = [];
  const onText = (line: Uint8Array) => void texts.push(toHex(line));
  return { clock, texts, session: openSession(transport, { clock, timeoutMs: 600_000, version, onText }) };
}

/** What the host must understand of a recorded answer. */
function understood(message: Message): string {
  const { body } = message;
  const error = mapGet(body!, "err") as CborMap | undefined;
  if (error !== undefined) return `error ${mapGet(error, "group")} ${mapGet(error, "rc")}`;
  const rc = mapGet(body!, "rc");
  return typeof rc === "number" && rc !== 0 ? `error null ${rc}` : `ok ${toHex(encodeCbor(body!))}`;
}

const told = (reply: Reply) =>
  reply.kind === "error" ? `error ${reply.group} ${reply.rc}` : `ok ${toHex(encodeCbor(reply.body))}`;

const recorded = suite("recorded servers");

let answers = 0;
let silences = 0;

for (const exchange of exchanges) {
  recorded(`${exchange.name}: the host understands what was answered`, async () => {
    const messages = messagesOf(exchange);
    const requests = messages.filter(isRequest);
    const replies = messages.filter((m) => m.dir === "d2h" && m.header !== null && m.body !== null);
    const texts = messages.filter((m) => m.dir === "d2h" && m.text !== null).map((m) => m.text!);
    const usedUp = new Set<Message>();
    for (const request of requests) {
      const reply = replies.find(
        (m) =>
          !usedUp.has(m) &&
          m.header!.sequence === request.header!.sequence &&
          m.header!.op === request.header!.op + 1 &&
          m.header!.group === request.header!.group &&
          m.header!.command === request.header!.command,
      );
      if (reply !== undefined) usedUp.add(reply);
      const want = contentOf(request.header!, request.body!);
      const line = texts.length === 0 ? [] : [concatBytes([texts[0]!, Uint8Array.of(13, 10)])];
      const version = request.header!.version === 0 ? 0 : 1;
      const s = scripted((header, body) => {
        assert.is(contentOf(header, body), want, "what the host sends is what was sent then");
        assert.is(header.version, version);
        if (reply === undefined) return line;
        return [...line, resequenced(reply.bytes!, header.sequence)];
      }, version);
      const { op, group, command } = request.header!;
      const got = await s.clock.run(
        s.session
          .exchange({
            what: "it",
            write: op === 2,
            group,
            command,
            body: request.body!,
            tries: 1,
            replyMs: WAIT_MS,
          })
          .then(told, (error) => (isRefusal(error) ? error.code : Promise.reject(error))),
      );
      assert.is(got, reply === undefined ? "device-timeout" : understood(reply));
      if (line.length > 0 && reply !== undefined) assert.ok(s.texts.length > 0, "the log line is passed on");
      if (reply === undefined) silences++;
      else answers++;
    }
    // What the host would never send, and what came back: no answer to anything it asks.
    const noise = messages.filter((m) => m.dir === "d2h" && m.bytes !== null && !usedUp.has(m));
    const s = scripted((header) => noise.map((m) => resequenced(m.bytes!, (header.sequence + 1) & 0xff)));
    const request = { what: "it", write: false, group: 0, command: 6, body: cborMap([]), tries: 1 };
    const code = await s.clock.run(s.session.exchange(request).catch((error) => error.code));
    assert.is(code, "device-timeout");
  });
}

recorded("nearly all of it was answered, so the above says something", () => {
  assert.ok(answers > 1000, `${answers} answers`);
  assert.ok(silences > 10 && silences < answers / 10, `${silences} silences`);
});

/** The image of a complete upload, put together from its chunks. */
function imageOf(messages: Message[]): Uint8Array {
  const chunks = messages.filter((m) => isRequest(m) && m.header!.group === 1 && m.header!.command === 1);
  const length = mapGet(chunks.find((m) => mapGet(m.body!, "len") !== undefined)!.body!, "len") as number;
  const image = new Uint8Array(length);
  for (const { body } of chunks)
    image.set(mapGet(body!, "data") as Uint8Array, mapGet(body!, "off") as number);
  return image;
}

/** A recorded answer to a chunk, in its server's own form, with another offset. */
function withOffset(bytes: Uint8Array, off: number): Uint8Array {
  const name = Buffer.from("636f6666", "hex");
  const at = Buffer.from(bytes).indexOf(name) + name.length;
  const was = bytes[at]! < 24 ? 1 : bytes[at] === 0x18 ? 2 : bytes[at] === 0x19 ? 3 : 5;
  const out = concatBytes([bytes.subarray(0, at), encodeCbor(off), bytes.subarray(at + was)]);
  out[3] = out.length - 8;
  return out;
}

for (const exchange of exchanges.filter(({ name }) => name.endsWith("-upload-complete"))) {
  recorded(
    `${exchange.name}: a whole upload of ours is answered in its server's form, and ends`,
    async () => {
      const messages = messagesOf(exchange);
      const image = imageOf(messages);
      const template = messages.find(
        (m) => m.dir === "d2h" && m.body !== null && mapGet(m.body, "off") !== undefined,
      )!;
      const texts = messages.filter((m) => m.dir === "d2h" && m.text !== null).map((m) => m.text!);
      const stored = new Uint8Array(image.length);
      let base = 0;
      const s = scripted((header, body) => {
        const off = mapGet(body, "off") as number;
        const data = mapGet(body, "data") as Uint8Array;
        if (off === base) {
          stored.set(data, off);
          base += data.length;
        }
        const log = texts[base % Math.max(1, texts.length)];
        const line = log === undefined ? [] : [concatBytes([log, Uint8Array.of(10)])];
        return [...line, resequenced(withOffset(template.bytes!, base), header.sequence)];
      });
      const { buf_size: bufferSize, buf_count: bufferCount } = exchange.server;
      const outcome = await s.clock.run(
        uploadImage(s.session, image, {
          sha256: sha256Of(image),
          parameters: { bufferSize: bufferSize ?? 256, bufferCount: bufferCount ?? 1 },
        }),
      );
      assert.is(toHex(stored), toHex(image));
      assert.equal([outcome.match, outcome.retransmitted], [null, 0]);
    },
  );
}

for (const [name, expected] of [
  ["native-serial-os-mcumgr-params", [384, 4]],
  ["mcuboot-2048-app-os-mcumgr-params", [2048, 4]],
  ["mcuboot-rec-recovery-os-mcumgr-params", [1024, 1]],
  ["mcuboot-2048-recovery-os-mcumgr-params", [256, 1]],
] as const) {
  recorded(`${name}: the buffers are what the server says, or the smallest there are`, async () => {
    const reply = messagesOf(exchanges.find((exchange) => exchange.name === name)!).find(
      (m) => m.dir === "d2h",
    )!;
    const s = scripted((header) => [resequenced(reply.bytes!, header.sequence)]);
    const { bufferSize, bufferCount } = await s.clock.run(readParameters(s.session));
    assert.equal([bufferSize, bufferCount], expected);
  });
}

recorded("every image list of every server reads as slots", async () => {
  let lists = 0;
  for (const exchange of exchanges) {
    for (const reply of messagesOf(exchange)) {
      if (reply.dir !== "d2h" || reply.body === null || mapGet(reply.body, "images") === undefined) continue;
      if (reply.header!.command !== 0) continue;
      const s = scripted((header) => {
        const answer = reply.bytes!.slice();
        answer[0] = (answer[0]! & ~7) | 1; // to a read, whatever it answered then
        return [resequenced(answer, header.sequence)];
      });
      const slots = await s.clock.run(readImages(s.session));
      assert.ok(slots.every(({ hash }) => hash === null || hash.length === 32));
      lists++;
    }
  }
  assert.ok(lists > 30, `${lists} lists`);
});

recorded.run();
