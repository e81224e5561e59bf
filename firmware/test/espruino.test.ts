// ports/espruino.ts over a stand-in for Espruino's functions: what it asks of them and what it makes
// of the answers. The agent inside is the built module, and the conversation is that of every engine.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mapGet } from "@vouch/shared/cbor";
import { decodeEvidence } from "@vouch/shared/evidence";
import { GROUP_OS, GROUP_VOUCH, OS_PARAMS, VOUCH_ENROL, VOUCH_IDENTIFY } from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  askProgress,
  bodyOf,
  evidenceIn,
  LAYOUT,
  makeConversation,
  pair,
  requestFrame,
  without,
} from "./engines/conversation";
import { playInNode } from "./engines/hosts";
import { makeStandIn, playOnStandIn, type StandInOptions } from "./engines/standin";
import { classId, engineImage, NONCE, plain, vendor, vendorId } from "./kit";
import { makeEngine } from "./sim";

declare const VOUCH_DIST: string;

const bundle = readFileSync(join(VOUCH_DIST, "agent.espruino.js"), "latin1");
const steps = makeConversation();
const reference = playInNode(readFileSync(join(VOUCH_DIST, "agent.js"), "latin1"), steps).then((replies) =>
  pair(steps, replies),
);
reference.catch(() => {}); // whoever awaits it reports it

const LENGTH_AND_CRC = 4; // of a message on the line
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const port = suite("espruino port");

async function converse(options: StandInOptions) {
  const standIn = makeStandIn(bundle, options);
  const found = pair(steps, await playOnStandIn(() => standIn)(bundle, steps));
  return { standIn, found };
}

const WHOLE_FLASH = { address: 1, length: 1 << 20 };
const HOME = 0x1000;
const SPLIT = [
  { address: HOME, length: 1500 },
  { address: 0x20000, length: engineImage.length - 1500 },
];

for (const [name, options, natives] of [
  ["flash that isn't mapped is read, and hashed by the agent", {}, []],
  ["a firmware without SHA-256 has the agent hash", { mapped: WHOLE_FLASH, hasSha256: false }, []],
  [
    "mapped flash is hashed natively: plain digests, the keyed ones by the agent",
    { mapped: WHOLE_FLASH },
    [2500, 4096],
  ],
  [
    "an engine in two runs is one region; only what lies in one piece is hashed natively",
    { mapped: WHOLE_FLASH, engine: SPLIT },
    [2500],
  ],
  [
    "an engine at address 0, which E.memoryArea doesn't take, is read",
    { mapped: { address: 0, length: 1 << 20 }, engine: [{ address: 0, length: 4096 }] },
    [2500],
  ],
  ["mapping that ends inside a run doesn't count", { mapped: { address: HOME, length: 4095 } }, []],
] as [string, StandInOptions, number[]][]) {
  port(name, async () => {
    const { standIn, found } = await converse(options);
    for (const [at, { name: asked, reply }] of (await reference).entries()) {
      const ours = found[at]!.reply;
      const told = asked.startsWith("identify") ? without(ours, "heap") : ours;
      assert.is(hex(told), hex(reply), `reply ${at} to ${asked}`);
    }
    const lengths = standIn.events.flatMap((event) =>
      event.startsWith("native") ? [Number(event.slice(7))] : [],
    );
    assert.equal([...new Set(lengths)].sort(), natives);
  });
}

port("the console leaves the line before the agent says anything, and again after a reset", async () => {
  const { standIn } = await converse({});
  const { events } = standIn;
  assert.is(
    events.find((event) => !event.startsWith("native")),
    "console null",
  );
  const after = events.slice(events.indexOf("reboot") + 1);
  assert.is(after[0], "console null");
});

for (const [name, options, expected] of [
  ["a closed console and a locked debugger: disabled", {}, 1],
  ["more than disabled is never claimed: the REPL was there at power on", { debugStatus: 3 }, 1],
  ["no read-out protection: debug enabled", { debugStatus: 0 }, 0],
  [
    "a console on another device: debug enabled, whatever the board claims",
    { console: "USB", debugStatus: 3 },
    0,
  ],
] as [string, StandInOptions, number][]) {
  port(`dbgstat: ${name}`, async () => {
    const { found } = await converse(options);
    assert.is(decodeEvidence(evidenceIn(found, "attest")).claims?.dbgstat, expected);
  });
}

port("identify tells the heap in bytes, parameters tell of one buffer", () => {
  const standIn = makeStandIn(bundle);
  standIn.boot();
  const [identity] = standIn.ask(requestFrame(1, false, GROUP_VOUCH, VOUCH_IDENTIFY));
  assert.equal(plain(mapGet(bodyOf(identity!), "heap")!), { used: 14_000, total: 36_400 });
  const [parameters] = standIn.ask(requestFrame(2, false, GROUP_OS, OS_PARAMS));
  assert.equal(plain(bodyOf(parameters!)), { buf_size: 512, buf_count: 1 });
});

port("with a hardware generator the key is the device's own", () => {
  const standIn = makeStandIn(bundle, { random: true });
  standIn.boot();
  const [answer] = standIn.ask(requestFrame(1, true, GROUP_VOUCH, VOUCH_ENROL, [["nonce", NONCE]]));
  assert.equal(plain(bodyOf(answer!)), { job: 1 });
  standIn.run();
  const [identity] = standIn.ask(requestFrame(2, false, GROUP_VOUCH, VOUCH_IDENTIFY));
  const { origin, ueid } = plain(bodyOf(identity!)) as { origin: string; ueid: string };
  assert.is(origin, "device");
  assert.is(ueid, `01${"07".repeat(16)}`, "bytes of E.hwRand");
});

port("after an exception it is mute until its next start, which finds its state", () => {
  const standIn = makeStandIn(bundle);
  standIn.boot();
  standIn.breakFlash();
  const enrol = requestFrame(1, true, GROUP_VOUCH, VOUCH_ENROL, [
    ["nonce", NONCE],
    ["seed", NONCE],
  ]);
  assert.is(standIn.ask(enrol).length, 1, "the job is accepted");
  assert.throws(
    () => standIn.run(),
    (error: Error) => error.message === "flash is broken",
  );
  assert.equal(standIn.ask(askProgress(2)), []);
  standIn.boot();
  const [identity] = standIn.ask(requestFrame(3, false, GROUP_VOUCH, VOUCH_IDENTIFY));
  assert.is(mapGet(bodyOf(identity!), "bootcount"), 2);
});

port("the longest identify, heap and all, fits a buffer of the agent's size", () => {
  const text = "x".repeat(40);
  const image = makeEngine(
    {
      vendorKey: vendor.publicKey,
      vendorId,
      classId,
      model: text,
      hardwareVersion: text,
      name: text,
      version: text,
    },
    new Uint8Array(1),
    engineImage.length,
  );
  const standIn = makeStandIn(bundle, { image });
  standIn.boot();
  standIn.ask(
    requestFrame(1, true, GROUP_VOUCH, VOUCH_ENROL, [
      ["nonce", NONCE],
      ["seed", NONCE],
    ]),
  );
  standIn.run();
  const [identity] = standIn.ask(requestFrame(2, false, GROUP_VOUCH, VOUCH_IDENTIFY));
  const { pub, engine } = plain(bodyOf(identity!)) as { pub: string; engine: { name: string } };
  assert.is(pub.length, 64);
  assert.is(engine.name, text);
  assert.ok(identity!.length + LENGTH_AND_CRC <= 512, `${identity!.length} bytes`);
});

port("the slots and the store are all it writes to", async () => {
  const { standIn } = await converse({});
  const before = standIn.flash.subarray(HOME, HOME + engineImage.length);
  assert.is(hex(before), hex(engineImage));
  const end = HOME + LAYOUT.store.address + LAYOUT.store.length;
  assert.ok(standIn.flash.subarray(end).every((byte) => byte === 0xff));
});

port.run();
