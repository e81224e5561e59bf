// Power is taken from the reference board at random moments of an upload, a test with its restart, a confirm and an
// enrolment: QEMU gets SIGKILL, and a new one starts on the state file it left. The board must then start without a
// fault, run an image it may run and say so truthfully, still hold what it held and what it had answered for, and take
// another image and run it; one in four also signs evidence first.
//
//   cases     200, or VOUCH_POWER_CASES; two boards side by side. What 8 minutes aren't enough for is left out, and said
//   moments   over half before a random word of flash that the work writes (board-monitor.ts), one in ten as the
//             board answers, the others at a random time of what the work took when it was left alone
//   repeat    VOUCH_POWER_CASE=n does the n-th alone: each has its own seed. The word is then the same one
//
// Each kind of work must have been cut before its first write, amid them, and after the answer.

import { closeSync, copyFileSync, openSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { decodeEvidence, evidenceMessage } from "@vouch/shared/evidence";
import { verifyEd25519 } from "@vouch/shared/sign";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readImages } from "../../host-cli/src/device/smp";
import { attestDevice } from "../../host-cli/src/device/vouch";
import { hash } from "../../host-cli/test/sim-kit";
import { skip } from "../../shared/test/skip";
import { type Board, boardMissing, folder, runs } from "./board-kit";
import {
  commit,
  enrol,
  flash,
  IMAGES,
  look,
  prepareStories,
  restart,
  type Seen,
  type Story,
  withBoard,
} from "./board-stories";

const CASES = Number(process.env.VOUCH_POWER_CASES ?? 200);
const ONLY = process.env.VOUCH_POWER_CASE;
const LANES = 2;
const TIME_MS = 480_000; // scripts/test.mjs ends a file after 600 s; a quiet machine needs half of this
const power = suite("board power");
const missing = boardMissing();

// firmware/boards/mps2/board.h
const FLASH_ADDRESS = 0x21000000;
const FLASH_BYTES = 992 * 1024;
const SLOT_BYTES = 244 * 1024;
const MANIFEST_BYTES = 1024;
const ERASED = 0xffffffff;

/** Which story a case tells: the index in what prepareStories returns. */
const ORDER = [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 0, 1, 2];

/** xorshift32: the same moments in each run. */
function makeRandom(seed: number): () => number {
  let x = seed;
  const next = () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
  for (let warm = 0; warm < 8; warm++) next(); // seeds beside each other begin alike
  return next;
}

const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

function readFlash(state: string): Buffer {
  const bytes = Buffer.alloc(FLASH_BYTES);
  const fd = openSync(state, "r");
  readSync(fd, bytes, 0, FLASH_BYTES, 0);
  closeSync(fd);
  return bytes;
}

/** A story as it goes when nobody cuts it. */
interface Course {
  story: Story;
  tookMs: number;
  /** Runs of neighbouring words that it leaves changed, each as [offset, value afterwards]. */
  changes: [number, number][][];
}

function findChanges(before: Buffer, after: Buffer): [number, number][][] {
  const changes: [number, number][][] = [];
  let last = -8;
  for (let at = 0; at < FLASH_BYTES; at += 4) {
    const value = after.readUInt32LE(at);
    if (value === before.readUInt32LE(at)) continue;
    if (at !== last + 4) changes.push([]);
    changes.at(-1)!.push([at, value]);
    last = at;
  }
  return changes;
}

function rehearse(story: Story): Promise<Course> {
  const state = join(folder, "rehearsal");
  copyFileSync(story.state, state);
  return withBoard(state, (board) =>
    board.talk(async (session) => {
      await look(session);
      const before = readFlash(state);
      const started = performance.now();
      await story.act(session);
      const tookMs = performance.now() - started;
      return { story, tookMs, changes: findChanges(before, readFlash(state)) };
    }),
  );
}

type Moment = { kind: "answer" } | { kind: "time"; ms: number } | { kind: "word"; at: number; times: number };

function pickMoment({ tookMs, changes }: Course, random: () => number): Moment {
  const kind = random();
  if (kind >= 0.9) return { kind: "answer" };
  // Half of these early: the first write comes soon after the request.
  if (kind >= 0.55) return { kind: "time", ms: Math.round(random() * (kind < 0.7 ? 0.05 : 1.1) * tookMs) };
  const pick = <T>(list: T[]): T => list[Math.floor(random() * list.length)]!;
  const [at, value] = pick(pick(changes));
  // What an upload writes it has erased first.
  const times = at < 2 * SLOT_BYTES && value !== ERASED && random() < 0.75 ? 2 : 1;
  return { kind: "word", at, times };
}

function momentText(moment: Moment): string {
  if (moment.kind === "answer") return "at its answer";
  if (moment.kind === "time") return `after ${moment.ms} ms`;
  return `before write ${moment.times} of the word at ${(FLASH_ADDRESS + moment.at).toString(16)}`;
}

/** Says where the work was when the power went. */
type Stage = "before" | "amid" | "answered";

interface Cut {
  before: Seen;
  stage: Stage;
}

/** Starts the story's work and takes the power away. */
function cutPower(story: Story, state: string, moment: Moment): Promise<Cut> {
  return withBoard(state, async (board) => {
    const flashBefore = Buffer.alloc(FLASH_BYTES);
    let answered = false;
    const before = await board.talk(async (session) => {
      const seen = await look(session);
      readFlash(state).copy(flashBefore);
      const stop =
        moment.kind === "word" ? await board.stopAtWrite(FLASH_ADDRESS + moment.at, moment.times) : undefined;
      const act = story.act(session).then(
        () => {
          answered = true;
        },
        () => {}, // the line goes with the power
      );
      if (moment.kind === "time") await wait(moment.ms);
      else await Promise.race([act, ...(stop === undefined ? [] : [stop.hit])]);
      stop?.hit.catch(() => {}); // QEMU goes
      board.stop();
      return seen;
    });
    while (runs(board.qemuPid)) await wait(1); // until then it may still write
    if (answered) return { before, stage: "answered" };
    return { before, stage: flashBefore.equals(readFlash(state)) ? "before" : "amid" };
  });
}

const sequences = new Map([
  [1, IMAGES.old],
  [2, IMAGES.next],
]);

/** What it says of itself is so, and what it held before is there. */
function checkHonest(seen: Seen, before: Seen, story: Story, state: string): void {
  const { identity, images } = seen;
  const active = images.filter((slot) => slot.active);
  assert.is(active.length, 1);
  assert.ok(story.runs.includes(identity.sequence), `runs ${identity.sequence}`);
  assert.is(active[0]!.version, `1.0.${identity.sequence}`);
  assert.equal(active[0]!.hash, hash(sequences.get(identity.sequence)!));
  assert.ok(identity.bootCount > before.identity.bootCount, "its count of starts went on");
  assert.is.not(before.identity.ueid, null);
  assert.equal(identity.ueid, before.identity.ueid, "it is the same device");
  if (before.identity.publicKey !== null) assert.equal(identity.publicKey, before.identity.publicKey);
  if (before.identity.enrolled) assert.ok(identity.enrolled);
  if (identity.enrolled) assert.ok(identity.publicKey !== null, "enrolled without a key");
  const cells = readFlash(state);
  for (const slot of images) {
    const image = Object.values(IMAGES).find((one) => slot.hash !== null && equalBytes(hash(one), slot.hash));
    assert.ok(image !== undefined, "lists an image that was never sent");
    const stands = [0, SLOT_BYTES].some((at) =>
      cells.subarray(at + MANIFEST_BYTES, at + MANIFEST_BYTES + image.length).equals(image),
    );
    assert.ok(stands, "lists an image that isn't in flash");
  }
  story.check(seen, before);
}

/** Evidence over what runs, by the key it had. */
function checkEvidence(evidence: Uint8Array, publicKey: Uint8Array, app: Uint8Array): void {
  const { fault, sign1, claims } = decodeEvidence(evidence);
  assert.is(fault, 0);
  assert.ok(verifyEd25519(publicKey, evidenceMessage(sign1), sign1.signature), "not signed by its key");
  const measured = claims!.components.find(({ name }) => name === "app");
  assert.is(measured && toHex(measured.digest), toHex(hash(app)));
}

/** Everything that must hold at the start after a cut, and after it. */
async function checkAfter(
  board: Board,
  story: Story,
  { before, stage }: Cut,
  state: string,
  isSigned: boolean,
): Promise<void> {
  await board.talk(async (session) => {
    const seen = await look(session);
    checkHonest(seen, before, story, state);
    if (stage === "answered") story.checkDone(seen);
    if (!seen.identity.enrolled) {
      await enrol(session);
      await commit(session);
    }
    const { identity, images } = await look(session);
    if (seen.identity.publicKey !== null) assert.equal(identity.publicKey, seen.identity.publicKey);
    assert.ok(identity.enrolled);
    if (isSigned) {
      const evidence = await attestDevice(session, hash("after the cut"));
      checkEvidence(evidence, identity.publicKey!, sequences.get(identity.sequence)!);
    }
    if (images.some((slot) => slot.active && !slot.confirmed)) await restart(session); // ends the trial
    await flash(session, IMAGES.third, 3);
    const after = await look(session);
    assert.is(after.identity.sequence, 3);
    assert.equal((await readImages(session))[0]!.hash, hash(IMAGES.third), "runs another image");
    assert.equal(after.identity.publicKey, identity.publicKey);
  });
  const counters = await board.counters();
  assert.is(counters.faults, 0);
  assert.is(counters.refusals, 0);
}

async function runCase(course: Course, number: number): Promise<Stage> {
  const { story } = course;
  const moment = pickMoment(course, makeRandom(0x5eed + number));
  const state = join(folder, `case${number}`);
  copyFileSync(story.state, state);
  try {
    const cut = await cutPower(story, state, moment);
    await withBoard(state, (board) => checkAfter(board, story, cut, state, number % 4 === 0));
    return cut.stage;
  } catch (error) {
    const { message, details = "" } = error as { message: string; details?: string };
    throw new Error(
      `VOUCH_POWER_CASE=${number}: ${story.name}, power taken ${momentText(moment)}: ${message} ${details}`,
      { cause: error },
    );
  } finally {
    rmSync(state);
  }
}

if (missing !== undefined) skip(power, "a board survives losing power at any moment", missing);
else {
  power("a board survives losing power at any moment", async () => {
    const started = performance.now();
    const courses: Course[] = [];
    for (const story of await prepareStories()) courses.push(await rehearse(story));
    const todo = ONLY === undefined ? [...Array(CASES).keys()] : [Number(ONLY)];
    const tally = courses.map(() => ({ before: 0, amid: 0, answered: 0 }));
    const failures: Error[] = [];
    const lane = async () => {
      for (let number = todo.shift(); number !== undefined; number = todo.shift()) {
        const which = ORDER[number % ORDER.length]!;
        if (performance.now() - started > TIME_MS) {
          todo.unshift(number);
          return;
        }
        try {
          tally[which]![await runCase(courses[which]!, number)]++;
        } catch (error) {
          todo.splice(0); // the other lane ends with its case
          failures.push(error as Error);
        }
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    if (failures.length > 0) throw failures[0];
    courses.forEach(({ story, tookMs }, which) => {
      const { before, amid, answered } = tally[which]!;
      const sum = before + amid + answered;
      console.log(
        `${story.name}, ${Math.round(tookMs)} ms: cut ${sum} times, ${before} before its first write, ${amid} amid, ${answered} after the answer`,
      );
    });
    console.log(`${Math.round((performance.now() - started) / 1000)} s`);
    if (todo.length > 0) {
      const reason = `${TIME_MS / 1000} s are over, this machine is too slow or too busy`;
      skip(power, `${todo.length} of ${CASES} moments`, reason); // told, and counted
    }
    if (ONLY !== undefined || CASES < 100 || todo.length > 0) return; // too few to tell
    courses.forEach(({ story }, which) => {
      const { before, amid, answered } = tally[which]!;
      assert.ok(before > 0, `${story.name} was never cut before its first write`);
      assert.ok(amid > 2, `${story.name} was cut amid its writes ${amid} times`);
      assert.ok(answered > 0, `${story.name} was never cut after its answer`);
    });
  });
}

power.run();
