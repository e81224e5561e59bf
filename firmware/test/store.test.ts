import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Port } from "../src/port";
import { loadRecord, openStore, replaceRecord, type Store, saveRecord } from "../src/store";

// Flash of two halves that ends power after so many bytes, wherever that is.
class Cut extends Error {}
const SECTOR = 256;
function makePort(bytes: Uint8Array, half: number, writeSize = 8) {
  const power = { left: Number.POSITIVE_INFINITY };
  const touch = (at: number, value: number) => {
    if (power.left-- <= 0) throw new Cut();
    bytes[at] = value;
  };
  const fail = () => {
    throw new Error("not used by the store");
  };
  const port: Port = {
    layout: {
      engine: { address: 0, length: 0 },
      slots: [],
      store: { address: 0, length: 2 * half, sectorSize: SECTOR },
      writeSize,
    },
    readFlash: (address, length) => bytes.slice(address, address + length),
    writeFlash: (address, data) => {
      if (address % writeSize !== 0 || data.length % writeSize !== 0) throw new Error("unaligned write");
      if (bytes.subarray(address, address + data.length).some((b) => b !== 0xff))
        throw new Error("written twice");
      for (const [i, b] of data.entries()) touch(address + i, b);
    },
    eraseFlash: (address, length) => {
      if (address % SECTOR !== 0 || length % SECTOR !== 0) throw new Error("not whole sectors");
      for (let i = 0; i < length; i++) touch(address + i, 0xff);
    },
    write: fail,
    millis: fail,
    hashFlash: null,
    random: null,
    reset: fail,
    debugStatus: fail,
    sensor: null,
  };
  return { port, power };
}
const blank = (length: number) => new Uint8Array(length).fill(0xff);
const text = (value: Uint8Array | null) => (value === null ? null : Buffer.from(value).toString());
const bytes = (value: string) => new Uint8Array(Buffer.from(value));
const survives = (work: () => void): boolean => {
  try {
    work();
    return true;
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    return false;
  }
};

const store = suite("store");

store("a record outlives a restart, and the newest counts", () => {
  const flash = blank(1024);
  const first = openStore(makePort(flash, 512).port);
  assert.is(loadRecord(first, 1), null);
  for (const value of ["one", "two", "three"]) assert.is(saveRecord(first, 1, bytes(value)), 0);
  saveRecord(first, 2, bytes("other"));
  const again = openStore(makePort(flash, 512).port);
  assert.is(text(loadRecord(again, 1)), "three");
  assert.is(text(loadRecord(again, 2)), "other");
  assert.is(loadRecord(again, 3), null);
});

for (const unit of [1, 4, 8, 32]) {
  store(`a thousand saves go round both halves, in write units of ${unit}`, () => {
    const flash = blank(1024);
    let s = openStore(makePort(flash, 512, unit).port);
    saveRecord(s, 2, bytes("stays"));
    for (let i = 0; i < 1000; i++) {
      assert.is(saveRecord(s, 1, bytes(`value ${i}`)), 0);
      if (i % 7 === 0) s = openStore(makePort(flash, 512, unit).port);
      assert.is(text(loadRecord(s, 1)), `value ${i}`);
      assert.is(text(loadRecord(s, 2)), "stays");
    }
  });
}

store("an empty value removes the record, across a move too", () => {
  const flash = blank(1024);
  const s = openStore(makePort(flash, 512).port);
  saveRecord(s, 1, bytes("gone"));
  saveRecord(s, 1, new Uint8Array(0));
  assert.is(loadRecord(s, 1), null);
  for (let i = 0; i < 50; i++) saveRecord(s, 2, bytes(`fill ${i}`));
  assert.is(loadRecord(openStore(makePort(flash, 512).port), 1), null);
});

store("what doesn't fit is refused with a fault, and what was there stays", () => {
  const s = openStore(makePort(blank(1024), 512).port);
  saveRecord(s, 1, bytes("here"));
  assert.is(saveRecord(s, 2, new Uint8Array(600)), 0x0701);
  assert.is(saveRecord(s, 2, new Uint8Array(5000)), 0x0701);
  assert.is(text(loadRecord(s, 1)), "here");
  assert.is(loadRecord(s, 2), null);
});

store("a replaced secret is nowhere in flash any more", () => {
  const flash = blank(1024);
  const s = openStore(makePort(flash, 512).port);
  saveRecord(s, 1, bytes("SECRET-KEY"));
  saveRecord(s, 2, bytes("other"));
  replaceRecord(s, 1, bytes("cleared"));
  assert.not.ok(Buffer.from(flash).includes("SECRET-KEY"));
  assert.is(text(loadRecord(s, 1)), "cleared");
  assert.is(text(loadRecord(s, 2)), "other");
});

// Every byte the operation writes or erases is a place to lose power; and the recovery is cut as well.
function cutEverywhere(
  name: string,
  prepare: (s: Store) => void,
  act: (s: Store) => void,
  wanted: (string | null)[],
) {
  store(`power cut at every byte: ${name}`, () => {
    const before = blank(1024);
    prepare(openStore(makePort(before, 512).port));
    for (let cut = 0; ; cut++) {
      const flash = before.slice();
      const { port, power } = makePort(flash, 512);
      const s = openStore(port);
      power.left = cut;
      const finished = survives(() => act(s));
      for (const second of [0, 1, 9, 300]) {
        const later = flash.slice();
        const recovery = makePort(later, 512);
        recovery.power.left = second;
        survives(() => openStore(recovery.port));
        const s2 = openStore(makePort(later, 512).port);
        const found = text(loadRecord(s2, 1));
        assert.ok(
          finished ? found === wanted[1] : wanted.includes(found),
          `cut after ${cut} bytes leaves ${found}`,
        );
        assert.is(text(loadRecord(s2, 2)), "other", `cut after ${cut} bytes`);
        assert.is(saveRecord(s2, 1, bytes("next")), 0);
        assert.is(text(loadRecord(openStore(makePort(later, 512).port), 1)), "next");
      }
      if (finished) return;
    }
  });
}
const both = (s: Store) => {
  saveRecord(s, 2, bytes("other"));
  saveRecord(s, 1, bytes("old"));
};
cutEverywhere("a save into free space", both, (s) => saveRecord(s, 1, bytes("new value")), [
  "old",
  "new value",
]);
cutEverywhere(
  "a save that moves to the other half",
  (s) => {
    both(s);
    for (let i = 0; i < 28; i++) saveRecord(s, 1, bytes("old"));
  },
  (s) => saveRecord(s, 1, bytes("new value, too long for what is left")),
  ["old", "new value, too long for what is left"],
);
cutEverywhere("a replacement", both, (s) => replaceRecord(s, 1, bytes("new")), ["old", "new"]);

store("power cut at every byte of the very first format leaves a store that opens", () => {
  for (let cut = 0; cut < 40; cut++) {
    const flash = blank(1024);
    flash[700] = 0; // what the factory left
    const { port, power } = makePort(flash, 512);
    power.left = cut;
    survives(() => openStore(port));
    const s = openStore(makePort(flash, 512).port);
    saveRecord(s, 1, bytes("works"));
    assert.is(text(loadRecord(openStore(makePort(flash, 512).port), 1)), "works");
  }
});

store("flipping any bit of the log never yields a value that was not saved", () => {
  const before = blank(1024);
  both(openStore(makePort(before, 512).port));
  for (let bit = 0; bit < 512 * 8; bit++) {
    const flash = before.slice();
    flash[bit >> 3] = (flash[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const s = openStore(makePort(flash, 512).port);
    assert.ok([null, "old"].includes(text(loadRecord(s, 1))), `bit ${bit}`);
    assert.ok([null, "other"].includes(text(loadRecord(s, 2))), `bit ${bit}`);
  }
});

store.run();
