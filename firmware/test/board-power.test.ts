// Power is taken from the reference board at random moments of an upload, a test with its restart, a confirm and an
// enrolment: QEMU gets SIGKILL, and a new one starts on the state file it left. The board must then start without a
// fault, run an image it may run and say so truthfully, still hold what it held before, and take another image.
//
//   cases    VOUCH_POWER_CASES, 40 when not set, for the time they take
//   moments  from a fixed seed; when they fall is still the scheduler's, so a failure prints its case's files
//
// Each story starts from a copy of a state prepared once. An upload in most cases has no manifest, since checking
// one's signature takes the interpreter seconds in which nothing is written.

import { copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Session } from "../../host-cli/src/device/session";
import {
  confirmImage,
  type ImageSlot,
  readImages,
  resetDevice,
  testImage,
} from "../../host-cli/src/device/smp";
import { commitEnrolment, enrolDevice, type Identity, identify } from "../../host-cli/src/device/vouch";
import { hash, makeImage, makeUpload, sendUpload } from "../../host-cli/test/sim-kit";
import { skip } from "../../shared/test/skip";
import { type Board, boardMissing, folder, newState, startTestBoard } from "./board-kit";

const CASES = Number(process.env.VOUCH_POWER_CASES ?? 40);
const power = suite("board power");
const missing = boardMissing();

const old = makeImage("old", 3000);
const next = makeImage("next", 5000);
const third = makeImage("third", 2000);
const enrolment = hash("enrolment");

/** xorshift32: the same moments in each run. */
function makeRandom(seed: number): () => number {
  let x = seed;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) / 2 ** 32;
  };
}

const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

async function withBoard<T>(state: string, work: (board: Board) => Promise<T>): Promise<T> {
  const board = await startTestBoard(state);
  try {
    return await work(board);
  } finally {
    board.stop();
  }
}

/** Waits until the board has started once more than `before`. */
async function restarted(session: Session, before: number): Promise<void> {
  await resetDevice(session);
  for (let tries = 0; tries < 100; tries++) {
    if ((await identify(session)).bootCount > before) return;
    await wait(50);
  }
  assert.unreachable("it did not restart");
}

async function flash(session: Session, upload: Uint8Array, image: Uint8Array): Promise<void> {
  await sendUpload(session, upload);
  await testImage(session, hash(image));
  await restarted(session, (await identify(session)).bootCount);
  await confirmImage(session);
}

interface Seen {
  identity: Identity;
  images: ImageSlot[];
}

interface Story {
  name: string;
  state: string;
  /** Longest time until the cut. */
  withinMs: number;
  share: number;
  act(session: Session): Promise<unknown>;
  /** Which sequence numbers may run afterwards. */
  runs: number[];
  check?(seen: Seen, before: Seen): void;
}

const look = async (session: Session): Promise<Seen> => ({
  identity: await identify(session),
  images: await readImages(session),
});

const DIGESTS = new Map([
  [1, toHex(hash(old))],
  [2, toHex(hash(next))],
]);

/** What it says of itself agrees, and what it held before is there. */
function checkHonest({ identity, images }: Seen, before: Seen, story: Story): void {
  const active = images.filter((slot) => slot.active);
  assert.is(active.length, 1);
  assert.ok(story.runs.includes(identity.sequence), `runs ${identity.sequence}`);
  assert.is(active[0]!.version, `1.0.${identity.sequence}`);
  assert.is(active[0]!.hash && toHex(active[0]!.hash), DIGESTS.get(identity.sequence));
  assert.ok(identity.bootCount > before.identity.bootCount, "its count of starts went on");
  assert.equal(identity.ueid, before.identity.ueid, "it is the same device");
  if (before.identity.publicKey !== null) assert.equal(identity.publicKey, before.identity.publicKey);
  if (before.identity.enrolled) assert.ok(identity.enrolled);
  if (identity.enrolled) assert.ok(identity.publicKey !== null, "enrolled without a key");
  for (const slot of images) assert.ok(slot.hash !== null, "lists a slot it can't name");
  story.check?.({ identity, images }, before);
}

/** What a story may have changed. A trial that nobody confirmed ends at the start after it. */
const outcome = ({ identity, images }: Seen): string =>
  JSON.stringify([identity.sequence, identity.enrolled, identity.publicKey, images]);

async function cutOnce(
  story: Story,
  afterMs: number,
  number: number,
): Promise<{ cut: boolean; changed: boolean }> {
  const state = join(folder, `case${number}`);
  copyFileSync(story.state, state);
  let cut = true;
  let changed = false;
  const before = await withBoard(state, (board) =>
    board.talk(async (session) => {
      const seen = await look(session);
      void story.act(session).then(
        () => {
          cut = false;
        },
        () => {}, // the line goes with the power
      );
      await wait(afterMs);
      board.stop();
      await wait(0);
      return seen;
    }),
  );
  await withBoard(state, async (board) => {
    const where = `${story.name}, case ${number}, power taken after ${afterMs} ms`;
    try {
      await board.talk(async (session) => {
        const seen = await look(session);
        checkHonest(seen, before, story);
        changed = outcome(seen) !== outcome(before);
        if ((await readImages(session)).some((slot) => slot.active && !slot.confirmed)) {
          await restarted(session, (await identify(session)).bootCount); // ends the trial
        }
        await sendUpload(session, third);
        const stored = (await readImages(session)).find((slot) => !slot.active);
        assert.is(stored?.hash && toHex(stored.hash), toHex(hash(third)), "takes another image");
      });
      const counters = await board.counters();
      assert.is(counters.faults, 0);
      assert.is(counters.refusals, 0);
    } catch (error) {
      throw new Error(
        `${where}: ${(error as Error).message} ${(error as { details?: string }).details ?? ""}`,
      );
    }
  });
  rmSync(state);
  return { cut, changed };
}

/** The states that the stories start from. */
async function prepare(): Promise<Story[]> {
  const base = newState();
  const copy = (name: string) => {
    const state = join(folder, name);
    copyFileSync(base, state);
    return state;
  };
  const grow = (work: (session: Session) => Promise<unknown>) => withBoard(base, (board) => board.talk(work));
  await grow((session) => flash(session, makeUpload(old, 1), old));
  const plain = copy("plain");
  await grow((session) => sendUpload(session, makeUpload(next, 2)));
  const uploaded = copy("uploaded");
  await grow((session) => enrolDevice(session, hash("nonce"), null));
  const keyed = copy("keyed");
  rmSync(base);
  copyFileSync(uploaded, base);
  await grow(async (session) => testImage(session, hash(next)));
  const tested = copy("tested");
  rmSync(base);
  return [
    {
      name: "upload",
      state: plain,
      withinMs: 900,
      share: 0.34,
      act: (session) => sendUpload(session, makeImage("stored", 9000)),
      runs: [1],
    },
    {
      name: "upload with a manifest",
      state: plain,
      withinMs: 6000,
      share: 0.04,
      act: (session) => sendUpload(session, makeUpload(next, 2)),
      runs: [1],
    },
    {
      name: "test",
      state: uploaded,
      withinMs: 700,
      share: 0.24,
      act: async (session) => {
        await testImage(session, hash(next));
        await restarted(session, (await identify(session)).bootCount);
      },
      runs: [1, 2],
      check: ({ identity, images }) => {
        if (identity.sequence === 2) assert.not(images[0]!.confirmed, "nobody confirmed it");
      },
    },
    {
      name: "confirm",
      state: tested, // its first start runs the image on trial
      withinMs: 300,
      share: 0.24,
      act: confirmImage,
      runs: [1, 2],
      check: ({ images }, before) => {
        assert.is(before.identity.sequence, 2);
        assert.ok(images[0]!.confirmed, "a start without confirm goes back, and with it stays");
      },
    },
    {
      name: "enrol, to the key",
      state: plain,
      withinMs: 9000,
      share: 0.04,
      act: (session) => enrolDevice(session, hash("nonce"), null),
      runs: [1],
    },
    {
      name: "enrol, the commitment",
      state: keyed,
      withinMs: 40,
      share: 0.1,
      act: (session) => commitEnrolment(session, enrolment),
      runs: [1],
      check: ({ identity }) => assert.ok(identity.publicKey !== null),
    },
  ];
}

if (missing !== undefined) skip(power, "a board survives losing power at any moment", missing);
else {
  power("a board survives losing power at any moment", async () => {
    const random = makeRandom(0x5eed);
    const total = { cases: 0, cuts: 0, changes: 0 };
    for (const story of await prepare()) {
      const count = Math.max(2, Math.round(CASES * story.share));
      let cuts = 0;
      let changes = 0;
      for (let done = 0; done < count; done++) {
        const afterMs = Math.round(random() * story.withinMs);
        const { cut, changed } = await cutOnce(story, afterMs, total.cases++);
        if (cut) cuts++;
        if (changed) changes++;
      }
      console.log(`${story.name}: ${count} cases, ${cuts} before it was done, ${changes} left another state`);
      total.cuts += cuts;
      total.changes += changes;
    }
    // How far each came is up to the scheduler; but most must have been stopped on the way, and some have got somewhere.
    assert.ok(total.cuts > total.cases / 2, `${total.cuts} of ${total.cases} before it was done`);
    assert.ok(total.changes > 0, "none left another state");
  });
}

power.run();
