// What the reference board needs, against firmware/boards/mps2/budgets.json: `npm run board:size`.
//
// Heap and stack are high-water marks of a board started anew for each piece of work, start included, read
// through QEMU's monitor. How high depends on where an interrupt and a collection fall, so a peak past its budget is
// measured again, and fails when it is there on every board; an overflow of either fails on the first (`faults`,
// `heapFails`). The table is printed either way.

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

/** Boards that must all be past a budget: now and then a peak is some hundred bytes higher than the others. */
const STARTS = 3;

const WHAT: Record<string, string> = {
  bundle: "agent bundle, ES5 text",
  bytecode: "agent, bytecode in flash",
  text: "interpreter and board",
  image: "both, of 524288",
  ram: "RAM beside heap and stack",
  heapIdentify: "peak JavaScript heap, identify",
  stackIdentify: "peak C stack, identify",
  heapRest: "JavaScript heap at rest",
  heapUpload: "peak JavaScript heap, upload",
  stackUpload: "peak C stack, upload",
  heapAttest: "peak JavaScript heap, attest",
  stackAttest: "peak C stack, attest",
  heapStream: "peak JavaScript heap, stream",
  stackStream: "peak C stack, stream",
};

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

/** Bytes of each figure, by its name in the budgets. */
type Figures = Record<string, number>;

function ofImage(): Figures {
  const parts = sections();
  const sum = (...names: string[]) => names.reduce((total, name) => total + (parts.get(name) ?? 0), 0);
  return {
    bundle: statSync("host-cli/dist/agent.js").size,
    bytecode: sum(".agent"),
    text: sum(".vectors", ".text", ".rodata", ".data"),
    image: sum(".vectors", ".text", ".rodata", ".data", ".agent"),
    ram: sum(".counters", ".noinit", ".data", ".bss"),
  };
}

async function ofWork(): Promise<Figures> {
  const state = newState();
  const identified = await after(state, (session) => identify(session));
  const uploaded = await after(state, (session) =>
    sendUpload(session, makeUpload(makeImage("pump", 64 * 1024))),
  );
  await after(state, (session) => enrolDevice(session, hash("enrol"), null));
  const attested = await after(state, (session) => attestDevice(session, hash("nonce")));
  const streamed = await after(state, streamLife);
  return {
    heapIdentify: identified.heapPeak,
    stackIdentify: identified.stackPeak,
    heapRest: identified.heapBoot,
    heapUpload: uploaded.heapPeak,
    stackUpload: uploaded.stackPeak,
    heapAttest: attested.heapPeak,
    stackAttest: attested.stackPeak,
    heapStream: streamed.heapPeak,
    stackStream: streamed.stackPeak,
  };
}

const least = (one: Figures, other: Figures): Figures =>
  Object.fromEntries(Object.entries(one).map(([name, bytes]) => [name, Math.min(bytes, other[name]!)]));

const past = (figures: Figures) => Object.keys(figures).filter((name) => !(figures[name]! <= budgets[name]!));

function table(figures: Figures): string {
  const rows = Object.entries(figures).map(([name, bytes]) => {
    const verdict = past({ [name]: bytes }).length > 0 ? "PAST ITS BUDGET" : "ok";
    return `${WHAT[name]!.padEnd(38)}${String(bytes).padStart(8)}${String(budgets[name]).padStart(10)}  ${verdict}`;
  });
  return [`${"mps2, bytes".padEnd(38)}${"measured".padStart(8)}${"budget".padStart(10)}`, ...rows].join("\n");
}

if (missing !== undefined) skip(size, "the board keeps its budgets", missing);
else {
  size("the board keeps its budgets", async () => {
    const image = ofImage();
    let work = await ofWork();
    for (let starts = 1; starts < STARTS && past(work).length > 0; starts++) {
      console.log(`\n${table({ ...image, ...work })}\nmeasured again: ${past(work).join(", ")}`);
      work = least(work, await ofWork());
    }
    const figures = { ...image, ...work };
    assert.equal(Object.keys(figures).sort(), Object.keys(budgets).sort());
    console.log(`\n${table(figures)}`);
    assert.equal(past(figures), [], `past the budget in ${BOARD}/budgets.json:\n${table(figures)}`);
  });
}

size.run();
