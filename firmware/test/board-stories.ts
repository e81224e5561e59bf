// What a board is doing when its power goes, for board-power.test.ts: the state each story starts from,
// prepared once, what is done to the board, and what may and must be found afterwards.

import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
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
import { type Board, folder, newState, startTestBoard } from "./board-kit";

/** Small where size doesn't matter: the board hashes 4 KiB a second. */
export const IMAGES = {
  old: makeImage("old", 3000),
  next: makeImage("next", 5000),
  third: makeImage("third", 64),
  newer: makeImage("newer", 1000),
  bare: makeImage("bare", 4500), // up to the second sector
};

export interface Seen {
  identity: Identity;
  images: ImageSlot[];
}

export interface Story {
  name: string;
  state: string;
  act(session: Session): Promise<unknown>;
  /** Sequence numbers of what may run afterwards. */
  runs: number[];
  /** What must hold, whenever the power went. */
  check(seen: Seen, before: Seen): void;
  /** What must hold because the board had answered. */
  checkDone(seen: Seen): void;
}

export const look = async (session: Session): Promise<Seen> => ({
  identity: await identify(session),
  images: await readImages(session),
});

export async function withBoard<T>(state: string, work: (board: Board) => Promise<T>): Promise<T> {
  const board = await startTestBoard(state);
  try {
    return await work(board);
  } finally {
    board.stop();
  }
}

/** Restarts the board, and waits until it has. */
export async function restart(session: Session): Promise<void> {
  const { bootCount } = await identify(session);
  await resetDevice(session);
  for (let tries = 0; tries < 500; tries++) {
    // It answers nothing while it starts: two seconds, and many on a busy machine.
    if ((await identify(session, { replyMs: 100, tries: 200 })).bootCount > bootCount) return;
    await new Promise((done) => setTimeout(done, 20));
  }
  assert.unreachable("it did not restart");
}

/** The whole of `vouch flash`. */
export async function flash(session: Session, image: Uint8Array, sequence: number): Promise<void> {
  await sendUpload(session, makeUpload(image, sequence));
  await testImage(session, hash(image));
  await restart(session);
  await confirmImage(session);
}

export const enrol = (session: Session): Promise<Uint8Array> => enrolDevice(session, hash("nonce"), null);
export const commit = (session: Session): Promise<void> => commitEnrolment(session, hash("enrolment"));

const held = (images: ImageSlot[]): (string | null)[] => images.map(({ hash }) => hash && toHex(hash));
const digest = (image: Uint8Array): string => toHex(hash(image));

/** What runs stays, and what was beside it is whole or gone. */
function checkUpload(image: Uint8Array): Story["check"] {
  return ({ images }) => {
    assert.is(held(images)[0], digest(IMAGES.old));
    assert.ok(
      [undefined, digest(IMAGES.next), digest(image)].includes(held(images)[1] as string | undefined),
    );
  };
}

const checkSameImages: Story["check"] = (seen, before) => {
  assert.equal(held(seen.images).sort(), held(before.images).sort(), "no image was lost");
};

export async function prepareStories(): Promise<Story[]> {
  const state = newState();
  const keep = (name: string) => {
    const path = join(folder, name);
    copyFileSync(state, path);
    return path;
  };
  const grow = (work: (session: Session) => Promise<unknown>) =>
    withBoard(state, (board) => board.talk(work));
  await grow(async (session) => {
    await flash(session, IMAGES.old, 1);
    await sendUpload(session, makeUpload(IMAGES.next, 2));
  });
  const plain = keep("plain");
  await grow(enrol);
  const keyed = keep("keyed");
  await grow(commit);
  const enrolled = keep("enrolled");
  await grow((session) => testImage(session, hash(IMAGES.next)));
  const tested = keep("tested"); // its first start runs the image on trial
  return [
    {
      name: "upload",
      state: enrolled,
      act: (session) => sendUpload(session, IMAGES.bare),
      runs: [1],
      check: checkUpload(IMAGES.bare),
      checkDone: ({ images }) => assert.is(held(images)[1], digest(IMAGES.bare)),
    },
    {
      name: "upload with a manifest",
      state: enrolled,
      act: (session) => sendUpload(session, makeUpload(IMAGES.newer, 4)),
      runs: [1],
      check: checkUpload(IMAGES.newer),
      checkDone({ images }) {
        assert.is(held(images)[1], digest(IMAGES.newer));
        assert.ok(images[1]!.bootable);
      },
    },
    {
      name: "test and restart",
      state: enrolled,
      async act(session) {
        await testImage(session, hash(IMAGES.next));
        await restart(session);
      },
      runs: [1, 2],
      check(seen, before) {
        checkSameImages(seen, before);
        if (seen.identity.sequence === 2) assert.not(seen.images[0]!.confirmed, "nobody confirmed it");
      },
      checkDone: ({ identity }) => assert.is(identity.sequence, 1, "the start after a trial goes back"),
    },
    {
      name: "confirm",
      state: tested,
      act: confirmImage,
      runs: [1, 2],
      check(seen, before) {
        assert.is(before.identity.sequence, 2);
        checkSameImages(seen, before);
        assert.ok(seen.images[0]!.confirmed, "a start without confirm goes back, and with it stays");
      },
      checkDone: ({ identity }) => assert.is(identity.sequence, 2),
    },
    {
      name: "enrol, the key",
      state: plain,
      act: enrol,
      runs: [1],
      check: checkSameImages,
      checkDone: ({ identity }) => assert.is.not(identity.publicKey, null),
    },
    {
      name: "enrol, the commitment",
      state: keyed,
      act: commit,
      runs: [1],
      check: checkSameImages,
      checkDone: ({ identity }) => assert.ok(identity.enrolled),
    },
  ];
}
