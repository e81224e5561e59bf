// A thousand runs over a line that drops, repeats, swaps, corrupts and delays
// bytes, with the real agent at its end: the right answer, or a clean refusal
// within the time allowed. Never a wrong answer.
//
// Run n is made of seed n alone, so a failure names the run that repeats it:
// set VOUCH_FAULT_RUN=n to run only that one.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { isRefusal, type Refusal } from "@vouch/shared/refusal";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { attest } from "../src/commands/attest";
import { enrol } from "../src/commands/enrol";
import { withLink } from "../src/device/link";
import { echo, readImages, readParameters } from "../src/device/smp";
import { uploadImage } from "../src/device/upload";
import { type Identity, identify } from "../src/device/vouch";
import { statusOf } from "../src/exit";
import {
  type Bench,
  benchDevice,
  enroller,
  enrolPolicy,
  type Faults,
  logNote,
  makeBench,
  makeImage,
  nodeHash,
  sealed,
} from "./bench";
import { memoryIo } from "./memory-io";

const RUNS = 1000;
const TIMEOUT_MS = 120_000;
const RATES = [0, 0.0002, 0.001, 0.003, 0.01, 0.1]; // of bytes hit; at the last, hardly a frame is whole

type Random = () => number;

/** mulberry32: small, repeatable, good enough to be unfair in many ways. */
function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const below = (random: Random, limit: number) => Math.floor(random() * limit);

/** What a bad line makes of bytes: some gone, doubled, swapped or changed, in pieces that come when they like. */
function faulty(random: Random, rate: number): Faults {
  return (bytes) => {
    const out: number[] = [];
    for (const byte of bytes) {
      if (random() >= rate) out.push(byte);
      else {
        const kind = below(random, 5);
        if (kind === 1) out.push(byte, byte);
        else if (kind === 2) out.push(byte ^ (1 << below(random, 8)));
        else if (kind === 3) out.push(below(random, 256));
        else if (kind === 4 && out.length > 0) out.splice(out.length - 1, 0, byte);
      }
    }
    const pieces: ReturnType<Faults> = [];
    for (let at = 0; at < out.length; ) {
      const length = random() < 0.5 ? out.length - at : 1 + below(random, out.length - at);
      const delayMs = 1 + (random() < rate * 10 ? below(random, 4000) : 0);
      const piece = Uint8Array.from(out.slice(at, at + length));
      pieces.push({ bytes: piece, delayMs });
      // All of it once more, much later: an answer to a question nobody asks any longer.
      if (random() < rate * 5) pieces.push({ bytes: piece, delayMs: 500 + below(random, 8000) });
      at += length;
    }
    return random() < rate * 2 ? [] : pieces;
  };
}

interface Known {
  readonly flash: Uint8Array;
  readonly identity: Identity;
}

/** The device all runs begin with: enrolled, on its first image. */
async function prepare(): Promise<Known> {
  const folder = mkdtempSync(join(tmpdir(), "vouch-faults-"));
  const bench = makeBench();
  const options = {
    port: "bench",
    policy: enrolPolicy,
    signer: enroller,
    product: "pump",
    serial: "SN 1",
    output: join(folder, "pump.enrolment"),
    yes: true,
    nowSeconds: 1767225600,
    link: bench.link,
  };
  await bench.clock.run(enrol(options, memoryIo()));
  rmSync(folder, { recursive: true });
  const device = benchDevice({ flash: bench.device.flash.slice() });
  const identity = await askIdentity(makeBench(device));
  return { flash: bench.device.flash.slice(), identity };
}

const askIdentity = (bench: Bench) =>
  bench.clock.run(withLink("bench", bench.link, (link) => identify(link.session)));

type Task = (bench: Bench, known: Known, random: Random) => Promise<void>;

const IMAGE = makeImage("pump over a bad line", 2000);
const UPLOAD = sealed(IMAGE, { sequence: 2 });

/** Each does one thing over the line and throws an AssertionError when the answer is wrong. */
const TASKS: Record<string, Task> = {
  async identify(bench, { identity }) {
    assert.equal(await withLink("bench", bench.link, (link) => identify(link.session)), identity);
  },
  async echo(bench, _known, random) {
    await withLink("bench", bench.link, async ({ session }) => {
      for (let i = 0; i < 5; i++) {
        const text = `${i}:${String.fromCharCode(97 + below(random, 26)).repeat(below(random, 100))}`;
        assert.is(await echo(session, text), text);
      }
    });
  },
  async upload(bench) {
    await withLink("bench", bench.link, async ({ session }) => {
      const parameters = await readParameters(session);
      await uploadImage(session, UPLOAD, { sha256: nodeHash(UPLOAD), parameters });
      const stored = (await readImages(session)).find((slot) => !slot.active);
      assert.is(toHex(stored?.hash ?? new Uint8Array(0)), toHex(nodeHash(IMAGE)));
      assert.is(stored?.bootable, true);
    });
  },
  async attest(bench, { identity }, random) {
    const nonceBytes = Uint8Array.from({ length: 32 }, () => below(random, 256));
    const options = {
      port: "bench",
      anchor: { checkpoint: logNote(3), ledger: "directory", receipt: new Uint8Array(9) },
      enrolment: null,
      random: nonceBytes,
      link: bench.link,
    };
    const { claims } = await attest(options, memoryIo());
    assert.is(toHex(claims.ueid), toHex(identity.ueid!));
    assert.is(claims.components.length, 1);
  },
};

const CLEAN = new Set(["device-timeout", "device-malformed", "device-error", "transfer-resumable"]);

interface Outcome {
  readonly name: string;
  readonly refused: Refusal | null;
  readonly rate: number;
}

async function runOnce(run: number, known: Known): Promise<Outcome> {
  const random = seeded(run);
  const rate = RATES[below(random, RATES.length)]!;
  const name = Object.keys(TASKS)[run % Object.keys(TASKS).length]!;
  const device = benchDevice({ flash: known.flash.slice() });
  const bench = makeBench(device, {
    toDevice: faulty(random, rate),
    toHost: faulty(random, rate),
    timeoutMs: TIMEOUT_MS,
  });
  let refused: Refusal | null = null;
  try {
    await bench.clock.run(TASKS[name]!(bench, known, random));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    refused = error;
    assert.ok(CLEAN.has(error.code), `${error.code}: ${error.message}`);
    assert.is(statusOf(error), 1, error.code);
  }
  assert.ok(bench.clock.now() <= TIMEOUT_MS, `${bench.clock.now()} ms`);
  return { name, refused, rate };
}

const faults = suite("line faults");

faults(`${RUNS} runs: the right answer or a clean refusal, in bounded time`, async () => {
  const known = await prepare();
  const only = process.env["VOUCH_FAULT_RUN"];
  const outcomes: Outcome[] = [];
  for (let run = 0; run < RUNS; run++) {
    if (only !== undefined && Number(only) !== run) continue;
    try {
      outcomes.push(await runOnce(run, known));
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      assert.unreachable(`run ${run}: ${text}`);
    }
  }
  if (only !== undefined) return;
  // Both must really have happened, or the line was not what it says it is.
  for (const task of Object.keys(TASKS)) {
    const of = outcomes.filter(({ name }) => name === task);
    const answered = of.filter(({ refused }) => refused === null);
    assert.ok(answered.length >= of.length / 2, `${task}: ${answered.length} of ${of.length} answered`);
    assert.ok(answered.length < of.length, `${task}: some line was too bad for it`);
    const quiet = of.filter(({ rate, refused }) => rate === 0 && refused !== null);
    assert.is(quiet.length, 0, `${task} fails on a clean line`);
    const some = answered.filter(({ rate }) => rate >= 0.001);
    assert.ok(some.length > 20, `${task}: ${some.length} answers over a bad line`);
  }
});

faults("the faults are repeatable: the same seed gives the same outcome", async () => {
  const known = await prepare();
  for (const run of [2, 3, 14, 15]) {
    const [first, second] = [await runOnce(run, known), await runOnce(run, known)];
    assert.is(first.refused?.message, second.refused?.message, `run ${run}`);
  }
});

faults.run();
