// What the reference board needs, against firmware/boards/mps2/budgets.json: `npm run board:size`.
//
// Heap and stack are high-water marks of a board started anew for each piece of work, start included, read
// through QEMU's monitor. A figure past its budget fails; the table is printed either way.

import { spawnSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import {
  FRAME_ANNOUNCE,
  FRAME_CHECKPOINT,
  FRAME_CLOSE,
  FRAME_DATA,
  FRAME_KEYLOAD,
} from "@vouch/shared/stream";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Session } from "../../host-cli/src/device/session";
import { attestDevice, enrolDevice, identify } from "../../host-cli/src/device/vouch";
import { hash, makeImage, makeUpload, sendUpload } from "../../host-cli/test/sim-kit";
import { forMillis, framesOf, readStream, startStream, stopStream } from "../../host-cli/test/stream-kit";
import { skip } from "../../shared/test/skip";
import { boardMissing, type Counters, newState, startTestBoard } from "./board-kit";

const BOARD = "firmware/boards/mps2";
const size = suite("board size");
const missing = boardMissing();
const budgets = JSON.parse(readFileSync(`${BOARD}/budgets.json`, "utf8")) as Record<string, number>;
const measured: [name: string, what: string, bytes: number][] = [];

/** Sections of the image, as the linker made them. */
function sections(): Map<string, number> {
  const { stdout } = spawnSync("arm-none-eabi-size", ["-A", `${BOARD}/build/mps2.elf`], { encoding: "utf8" });
  return new Map([...stdout.matchAll(/^(\.\S+)\s+(\d+)/gm)].map(([, name, bytes]) => [name!, Number(bytes)]));
}

/** The counters of a board after some work. */
async function after(state: string, work: (session: Session) => Promise<unknown>): Promise<Counters> {
  const board = await startTestBoard(state);
  try {
    await board.talk(work);
    const counters = await board.counters();
    assert.is(counters.faults, 0);
    assert.is(counters.heapFails, 0);
    assert.is(counters.refusals, 0);
    assert.is(counters.rxLost, 0);
    return counters;
  } finally {
    board.stop();
  }
}

/** What takes most: masked, four readers, then four others, and an attestation meanwhile. */
async function streamLife(session: Session): Promise<void> {
  const readers = (names: string) => [...names].map((name) => x25519Public(hash(name)));
  const fields = { mode: 2, frames: 2, millis: 1000, resume: false };
  await attestDevice(session, hash("stream"));
  await startStream(session, { ...fields, readers: readers("abcd") });
  const first = await readStream(session, forMillis(1000));
  await startStream(session, { ...fields, readers: readers("efgh") });
  await attestDevice(session, hash("meanwhile"));
  const second = await readStream(session, forMillis(1000), first.bytes);
  await stopStream(session);
  const { bytes } = await readStream(session, forMillis(60_000), second.bytes);
  const types = framesOf(bytes).map(({ type }) => type);
  for (const type of [FRAME_ANNOUNCE, FRAME_DATA, FRAME_CHECKPOINT, FRAME_KEYLOAD, FRAME_CLOSE])
    assert.ok(types.includes(type), `${types}`);
}

function note(name: string, counters: Counters): void {
  measured.push([`heap${name}`, `peak JavaScript heap, ${name.toLowerCase()}`, counters.heapPeak]);
  measured.push([`stack${name}`, `peak C stack, ${name.toLowerCase()}`, counters.stackPeak]);
}

function table(): string {
  const rows = measured.map(([name, what, bytes]) => {
    const budget = budgets[name] ?? 0;
    return `${what.padEnd(38)}${String(bytes).padStart(8)}${String(budget).padStart(10)}  ${bytes > budget ? "PAST ITS BUDGET" : "ok"}`;
  });
  return [`${"mps2, bytes".padEnd(38)}${"measured".padStart(8)}${"budget".padStart(10)}`, ...rows].join("\n");
}

if (missing !== undefined) skip(size, "the board keeps its budgets", missing);
else {
  size("the board keeps its budgets", async () => {
    const parts = sections();
    const sum = (...names: string[]) => names.reduce((total, name) => total + (parts.get(name) ?? 0), 0);
    measured.push(["bundle", "agent bundle, ES5 text", statSync("host-cli/dist/agent.js").size]);
    measured.push(["bytecode", "agent, bytecode in flash", sum(".agent")]);
    measured.push(["text", "interpreter and board", sum(".vectors", ".text", ".rodata", ".data")]);
    measured.push(["image", "both, of 524288", sum(".vectors", ".text", ".rodata", ".data", ".agent")]);
    measured.push(["ram", "RAM beside heap and stack", sum(".counters", ".noinit", ".data", ".bss")]);

    const state = newState();
    const first = await after(state, (session) => identify(session));
    note("Identify", first);
    measured.push(["heapRest", "JavaScript heap at rest", first.heapBoot]);
    note(
      "Upload",
      await after(state, (session) => sendUpload(session, makeUpload(makeImage("pump", 64 * 1024)))),
    );
    await after(state, (session) => enrolDevice(session, hash("enrol"), null));
    note("Attest", await after(state, (session) => attestDevice(session, hash("nonce"))));
    note("Stream", await after(state, streamLife));

    console.log(`\n${table()}`);
    assert.equal(
      measured.filter(([name, , bytes]) => !(bytes <= budgets[name]!)).map(([name]) => name),
      [],
      `past the budget in ${BOARD}/budgets.json:\n${table()}`,
    );
  });
}

size.run();
