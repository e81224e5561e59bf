// Requests and replies over a line scripted by the test: what counts as an
// answer, how long is waited, and what a lost line does.

import { type CborMap, type CborValue, cborMap, mapGet } from "@vouch/shared/cbor";
import { isRefusal } from "@vouch/shared/refusal";
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  makeDeframer,
  pushBytes,
  type SmpHeader,
  smpHeader,
} from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openSession, type Request } from "../src/device/session";
import { echo, readImages, readParameters } from "../src/device/smp";
import type { Transport } from "../src/device/transport";
import { virtualClock } from "./bench";

const session = suite("session");

type Answer = (header: SmpHeader, body: CborMap, count: number) => Uint8Array[];

/** A line on which every request is answered by `answer`, at once. */
function scripted(answer: Answer, timeoutMs = 60_000) {
  const clock = virtualClock();
  const deframer = makeDeframer(4096);
  const requests: SmpHeader[] = [];
  let data: (bytes: Uint8Array) => void = () => {};
  let closed = () => {};
  const transport: Transport = {
    label: "scripted",
    write: async (bytes) =>
      pushBytes(
        deframer,
        bytes,
        (message) => {
          const { header, body } = decodeMessage(message);
          requests.push(header!);
          for (const reply of answer(header!, body!, requests.length)) clock.after(1, () => data(reply));
        },
        () => {},
      ),
    onData: (listener) => {
      data = listener;
    },
    onClose: (listener) => {
      closed = listener;
    },
    close: async () => {},
  };
  return { clock, requests, session: openSession(transport, { clock, timeoutMs }), pull: () => closed() };
}

const replyTo = (header: SmpHeader, body: CborValue, change: Partial<SmpHeader> = {}) =>
  encodeFrame(encodeMessage({ ...header, op: header.op + 1, ...change }, body));

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => "answered",
    (error) => {
      if (!isRefusal(error)) throw error;
      return error.code;
    },
  );

const said = (text: string) => cborMap([["r", text]]);

session("an echo comes back", async () => {
  const s = scripted((header, body) => [replyTo(header, said(String(mapGet(body, "d"))))]);
  assert.is(await s.clock.run(echo(s.session, "hello")), "hello");
  assert.is(s.requests.length, 1);
});

session("a lost request is sent again, with another sequence number", async () => {
  const s = scripted((header, _, count) => (count < 4 ? [] : [replyTo(header, said("late"))]));
  assert.is(await s.clock.run(echo(s.session, "x")), "late");
  assert.is(new Set(s.requests.map(({ sequence }) => sequence)).size, 4);
});

session("an answer to an earlier try settles the exchange", async () => {
  let first: SmpHeader | undefined;
  const s = scripted((header, _, count) => {
    first ??= header;
    return count === 2 ? [replyTo(first, said("the first"))] : [];
  });
  assert.is(await s.clock.run(echo(s.session, "x")), "the first");
});

for (const [name, change] of [
  ["another sequence number", (sent: SmpHeader) => ({ sequence: (sent.sequence + 100) & 0xff })],
  ["another group", () => ({ group: 64 })],
  ["another command", () => ({ command: 6 })],
  ["the operation of a read", () => ({ op: 1 })],
  ["the operation of a request", () => ({ op: 2 })],
] as const) {
  session(`an answer with ${name} is nobody's`, async () => {
    const s = scripted((header) => [replyTo(header, said("wrong"), change(header))]);
    assert.is(await s.clock.run(codeOf(echo(s.session, "x"))), "device-timeout");
  });
}

session("a repeated answer doesn't answer the next request", async () => {
  const s = scripted((header, body) => {
    const reply = replyTo(header, said(String(mapGet(body, "d"))));
    return [reply, reply, reply];
  });
  for (const text of ["one", "two", "three"]) assert.is(await s.clock.run(echo(s.session, text)), text);
});

session("garbage, log text and half frames before an answer are passed over", async () => {
  const s = scripted((header) => {
    const reply = replyTo(header, said("ok"));
    const noise = Buffer.from("\x06\t????\n<inf> log\r\n\x04\x14AAAA\n\xff\xfe");
    return [noise, reply.subarray(0, 9), Buffer.from("\n"), reply];
  });
  assert.is(await s.clock.run(echo(s.session, "x")), "ok");
});

session("waiting ends at the session's deadline, however many tries are left", async () => {
  const s = scripted(() => [], 2500);
  assert.is(await s.clock.run(codeOf(echo(s.session, "x"))), "device-timeout");
  assert.ok(s.clock.now() <= 2500, `${s.clock.now()} ms`);
  assert.is(s.requests.length, 2);
  assert.is(await s.clock.run(codeOf(echo(s.session, "x"))), "device-timeout");
  assert.is(s.requests.length, 2, "nothing is sent after it");
});

session(
  "what would be asked after the deadline is told as time that is up, not as a mute device",
  async () => {
    const s = scripted((header) => [replyTo(header, said("x"))], 3000);
    await s.clock.run(new Promise<void>((resolve) => void s.clock.after(4000, resolve)));
    const message = await s.clock.run(
      echo(s.session, "x").catch((error: Error & { code: string }) => `${error.code}: ${error.message}`),
    );
    assert.is(message, "device-timeout: time is up (--timeout) during echo");
  },
);

session("what may not happen twice is sent once", async () => {
  const s = scripted(() => []);
  const request: Request = {
    what: "reset",
    write: true,
    group: 0,
    command: 5,
    body: cborMap([]),
    tries: 1,
  };
  assert.is(await s.clock.run(codeOf(s.session.exchange(request))), "device-timeout");
  assert.is(s.requests.length, 1);
});

session("a line that goes away ends the wait at once", async () => {
  const s = scripted(() => []);
  s.clock.after(300, s.pull);
  assert.is(await s.clock.run(codeOf(echo(s.session, "x"))), "device-closed");
  assert.is(s.clock.now(), 300);
  assert.is(await s.clock.run(codeOf(echo(s.session, "x"))), "device-closed");
});

session("errors of version 1 and version 2 are told with their numbers", async () => {
  const v1 = scripted((header) => [replyTo(header, cborMap([["rc", 8]]), { version: 0 })]);
  const v2 = scripted((header) => {
    const detail = cborMap([
      ["group", 1],
      ["rc", 27],
    ]);
    return [replyTo(header, cborMap([["err", detail]]))];
  });
  const request = { what: "x", write: false, group: 1, command: 0, body: cborMap([]) };
  assert.equal(await v1.clock.run(v1.session.exchange(request)), { kind: "error", group: null, rc: 8 });
  assert.equal(await v2.clock.run(v2.session.exchange(request)), { kind: "error", group: 1, rc: 27 });
  assert.is(await v1.clock.run(codeOf(readImages(v1.session))), "device-error");
});

session("a result code of 0 is no error", async () => {
  const s = scripted((header) => [
    replyTo(
      header,
      cborMap([
        ["rc", 0],
        ["r", "fine"],
      ]),
    ),
  ]);
  assert.is(await s.clock.run(echo(s.session, "x")), "fine");
});

session("a server without parameters gets the smallest buffer of the field", async () => {
  const s = scripted((header) => [replyTo(header, cborMap([["rc", 8]]))]);
  assert.equal(await s.clock.run(readParameters(s.session)), { bufferSize: 256, bufferCount: 1 });
});

session("maps without a length are understood", async () => {
  const s = scripted((header) => {
    // {_ "r": "hi"} as Zephyr writes it
    const body = Buffer.from("bf6172626869ff", "hex");
    const message = encodeMessage(smpHeader(3, 1, 0, 0, header.sequence), cborMap([]));
    const whole = Buffer.concat([message.subarray(0, 8), body]);
    whole[3] = body.length;
    return [encodeFrame(whole)];
  });
  assert.is(await s.clock.run(echo(s.session, "x")), "hi");
});

for (const [name, body] of [
  ["no images", cborMap([])],
  ["images that are a text", cborMap([["images", "none"]])],
  ["a slot that is a number", cborMap([["images", [1]]])],
  ["a slot without its number", cborMap([["images", [cborMap([["version", "1.0.0"]])]]])],
  [
    "a hash that is text",
    cborMap([
      [
        "images",
        [
          cborMap([
            ["slot", 0],
            ["hash", "no"],
          ]),
        ],
      ],
    ]),
  ],
  ["a list of seventeen", cborMap([["images", Array.from({ length: 17 }, () => cborMap([["slot", 0]]))]])],
] as const) {
  session(`an image list with ${name} is refused, not believed`, async () => {
    const s = scripted((header) => [replyTo(header, body as CborValue)]);
    assert.is(await s.clock.run(codeOf(readImages(s.session))), "device-malformed");
  });
}

session("an answer that is no CBOR counts as garbled, and is told as such", async () => {
  const s = scripted((header) => {
    const message = encodeMessage({ ...header, op: header.op + 1 }, cborMap([]));
    return [encodeFrame(Uint8Array.from([...message.subarray(0, 8), 0xff]))];
  });
  assert.is(await s.clock.run(codeOf(echo(s.session, "x"))), "device-malformed");
});

session.run();
