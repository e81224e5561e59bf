// The application itself, over the global functions an embedding gives: exactly those of the table
// in ports/native.ts, and nothing of Node.

import { cborMap } from "@vouch/shared/cbor";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { engineImage, frame, NONCE } from "./kit";
import { simLayout } from "./sim";

const native = suite("native");

native("evaluating the bundle boots; agentReceive and agentTick do the rest", async () => {
  const layout = simLayout(3072, engineImage.length);
  const flash = new Uint8Array(layout.store.address + layout.store.length).fill(0xff);
  flash.set(engineImage);
  let out = "";
  let clock = 0;
  let resets = 0;
  Object.assign(globalThis, {
    hostLayout: () => layout,
    hostWrite: (bytes: Uint8Array) => {
      out += Buffer.from(bytes).toString("latin1");
    },
    hostMillis: () => clock,
    hostReadFlash: (address: number, length: number) => flash.slice(address, address + length),
    hostWriteFlash: (address: number, bytes: Uint8Array) => flash.set(bytes, address),
    hostEraseFlash: (address: number, length: number) => flash.fill(0xff, address, address + length),
    hostReset: () => {
      resets++;
    },
  });
  await import("../src/main");
  const { agentReceive, agentTick } = globalThis as unknown as {
    agentReceive: (bytes: Uint8Array) => void;
    agentTick: () => number;
  };
  assert.is(agentTick(), 1000, "nothing to do");
  agentReceive(frame(true, 0, 0, cborMap([["d", "hello"]])));
  assert.equal([out.slice(0, 2), out.slice(-1)], ["\x06\x09", "\n"]);
  // Without hostRandom there is no key but from a seed.
  agentReceive(
    frame(
      true,
      64,
      1,
      cborMap([
        ["nonce", NONCE],
        ["seed", new Uint8Array(32).fill(7)],
      ]),
    ),
  );
  let slices = 0;
  while (agentTick() === 0) slices++;
  assert.is(slices, engineImage.length / 1024 + 1, "key, one slice a page, signature");
  agentReceive(frame(true, 0, 5, cborMap([])));
  assert.is(agentTick(), 20, "the reply has time to leave");
  clock = 20;
  agentTick();
  assert.is(resets, 1);
});

native.run();
