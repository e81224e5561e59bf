// Two tails of one recording: somebody put frames behind the last signed one that the device never sent. Whatever it was, when
// the device's own frames come with their signature the recording is theirs, and nothing that was acknowledged is deleted.

import fs, { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { concatBytes, toHex } from "@vouch/shared/bytes";
import type { Piece } from "@vouch/shared/delivery";
import { linkOf } from "@vouch/shared/stream";
import {
  coincidenceMessage,
  encodeCoincidence,
  encodeEvidenceItem,
  encodeFrameItem,
  encodeVstreamHead,
  recorderKid,
} from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deviceKey, StreamMaker } from "../../shared/test/stream-kit";
import { nodeCrypto } from "../src/crypto";
import { checkItem } from "../src/stream/chain";
import { Intake } from "../src/stream/intake";
import { Recording } from "../src/stream/recording";
import { SettledItems } from "../src/stream/settled";
import { refuses } from "./maker-kit";
import { temporaryFolder } from "./sim-kit";
import { recordingOf } from "./stream-delivery-kit";

const tests = suite("stream tails");
const folder = temporaryFolder();
const RECORDER = deviceKey(7);
const HEAD = encodeVstreamHead().length;

/** What a recorder says after the frame that was made last. */
function said(maker: StreamMaker, change: { seq?: number } = {}, by = RECORDER): Uint8Array {
  const claim = {
    id: maker.id,
    epoch: maker.epoch,
    ticks: maker.ticks,
    micros: 1_700_000_000_000_000 + maker.ticks * 1000,
    uncertainty: 1000,
    seq: maker.seq - 1,
    link: linkOf(maker.frames.at(-1)!),
    ...change,
  };
  const kid = recorderKid(by.publicKey, nodeCrypto);
  return encodeCoincidence(claim, kid, by.sign(coincidenceMessage(claim, kid)));
}

/** The device's recording: signed, then two data frames, which somebody gets ahead of; signed again, and some more. */
function made() {
  const maker = new StreamMaker();
  maker.announce();
  for (let i = 0; i < 4; i++) maker.data(2);
  maker.checkpoint();
  const parts = [recordingOf(maker.frames), said(maker)];
  const proved = parts[0]!.length;
  const settled = proved + parts[1]!.length;
  const forge = (text: number, rows = 1) => encodeFrameItem(maker.data(rows, { isAside: true }, text));
  const one = forge(11);
  const two = (() => {
    const other = new StreamMaker();
    Object.assign(other, {
      id: maker.id,
      seq: maker.seq,
      prev: maker.prev,
      ticks: maker.ticks,
      epoch: maker.epoch,
    });
    return concatBytes(Array.from({ length: 40 }, () => encodeFrameItem(other.data(1, {}, 13))));
  })();
  const strange = said(maker, {}, deviceKey(9));
  const lying = said(maker, { seq: 100 });
  const from = maker.frames.length;
  maker.data(2);
  const first = encodeFrameItem(maker.frames[from]!);
  const afterFirst = encodeFrameItem(maker.data(1, { isAside: true }, 12));
  maker.data(2);
  maker.checkpoint();
  parts.push(...maker.frames.slice(from).map(encodeFrameItem), said(maker));
  const signed = concatBytes(parts).length;
  for (let i = 0; i < 3; i++) {
    maker.data(1);
    parts.push(encodeFrameItem(maker.frames.at(-1)!));
  }
  maker.close();
  parts.push(encodeFrameItem(maker.frames.at(-1)!), said(maker));
  return {
    maker,
    whole: concatBytes(parts),
    proved,
    settled,
    signed,
    one,
    two,
    first,
    afterFirst,
    strange,
    lying,
  };
}

const MADE = made();
const { whole, proved, settled, signed } = MADE;

let count = 0;
function open(path = join(folder, `${count++}.vstream`)) {
  const recording = Recording.open(path);
  const remarks: string[] = [];
  const items = new SettledItems(recording);
  const told: string[] = [];
  const intake = new Intake(recording, {
    check: (item, chain) => checkItem(item, chain, nodeCrypto),
    displaced: (from) => items.displaced(from),
    remark: (text) => remarks.push(text),
  });
  const tell = () => items.tell((item) => item.kind === "frame" && told.push(toHex(item.bytes)));
  const close = () => {
    intake.close();
    recording.close();
  };
  return { path, recording, intake, remarks, told, tell, close };
}

const displaced = (path: string): Buffer[] =>
  readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((name) => name.startsWith(`${path}.`) && name.endsWith(".displaced"))
    .map((name) => readFileSync(name));

const put = (intake: Intake, at: number, bytes: Uint8Array) => intake.take({ at, bytes });

/** As a sender over TCP: from where the receiver stands, in pieces of so many bytes; a line of its own. */
function deliver({ intake, tell }: ReturnType<typeof open>, bytes: Uint8Array, size: number): number {
  let { next } = intake.greet();
  let stand = next;
  while (next < bytes.length) {
    const piece: Piece = { at: next, bytes: bytes.subarray(next, next + size) };
    assert.ok(["new", "again"].includes(intake.take(piece)), `at ${next}`);
    next += piece.bytes.length;
    const { next: now } = intake.flush();
    assert.ok(now <= next && now <= bytes.length, "a stand covers what this sender never sent");
    stand = now;
    tell();
  }
  return stand;
}

/** As over a broker: pieces that may have been taken by it, and those that the receiver asks for. */
function publish(
  { intake, tell }: ReturnType<typeof open>,
  bytes: Uint8Array,
  from: number,
  size: number,
): number {
  let next = from;
  for (let asked = 0; next < bytes.length; ) {
    const piece: Piece = { at: next, bytes: bytes.subarray(next, next + size) };
    const taken = intake.take(piece);
    next += piece.bytes.length;
    if (taken === "missing" || taken === "astray") {
      next = intake.flush().next;
      assert.ok(asked++ < 3, "it asks again and again");
    }
  }
  const stand = intake.flush().next;
  tell();
  return stand;
}

for (const [what, forged] of [
  ["a data frame", MADE.one],
  ["forty data frames, more than the device sent", MADE.two],
  ["a frame behind one that is the device's", concatBytes([MADE.first, MADE.afterFirst])],
  ["half a frame", MADE.one.subarray(0, 50)],
  ["evidence of nothing", encodeEvidenceItem({ evidence: new Uint8Array(80) })],
  ["a coincidence by somebody", MADE.strange],
] as const) {
  for (const size of [7, 300, 32_768]) {
    tests(`${what} appended by another sender: the device's tail is taken, in pieces of ${size}`, () => {
      const receiver = open();
      deliver(receiver, whole.subarray(0, settled), 32_768);
      const begun = receiver.intake.greet().next;
      assert.ok(begun < proved, "a greeting is answered with the last signed frame");
      put(receiver.intake, begun, whole.subarray(begun, settled));
      assert.is(put(receiver.intake, settled, forged), "new");
      receiver.intake.flush();
      receiver.tell();
      assert.is(deliver(receiver, whole, size), whole.length, "all is acknowledged");
      receiver.close();
      assert.ok(readFileSync(receiver.path).equals(whole), "another recording stands there");
      assert.equal(receiver.told, MADE.maker.frames.map(toHex), "others heard of other frames");
      const kept = displaced(receiver.path);
      const isWhole = what !== "half a frame";
      assert.is(kept.length, isWhole ? 1 : 0);
      if (isWhole) assert.ok(kept[0]!.equals(concatBytes([encodeVstreamHead(), said5(), forged])));
      assert.not.ok(existsSync(`${receiver.path}.rival`));
    });

    tests(`${what} published beside the device's: its tail is taken, in pieces of ${size}`, () => {
      const receiver = open();
      publish(receiver, whole.subarray(0, settled), HEAD, 32_768);
      put(receiver.intake, settled, forged);
      receiver.intake.flush();
      // What the broker took of the device's meanwhile is gone: the next piece begins in the middle of what was forged.
      const lost = Math.min(20, forged.length - 1);
      assert.is(publish(receiver, whole, settled + lost, size), whole.length);
      receiver.close();
      assert.ok(readFileSync(receiver.path).equals(whole));
      assert.equal(receiver.told, MADE.maker.frames.map(toHex));
    });
  }
}

/** The coincidence after the first checkpoint: part of what is provisional. */
const said5 = () => whole.subarray(proved, settled);

tests("a forger who comes again and again: each signature of the device's gets through", () => {
  const receiver = open();
  for (let end = settled; end <= whole.length; end += 1) {
    if (end % 97 !== 0 && end !== whole.length) continue;
    const { next } = receiver.intake.greet();
    put(receiver.intake, next, whole.subarray(next, Math.min(settled, whole.length)));
    try {
      put(receiver.intake, receiver.recording.end, MADE.one);
    } catch {
      // it doesn't fit behind every frame
    }
    receiver.intake.flush();
    deliver(receiver, whole.subarray(0, end), 100);
  }
  assert.is(deliver(receiver, whole, 100), whole.length);
  receiver.close();
  assert.ok(readFileSync(receiver.path).equals(whole));
});

tests("without a signature both are kept, and no sender is told that all of its own is here", () => {
  const receiver = open();
  deliver(receiver, whole.subarray(0, settled), 32_768);
  put(receiver.intake, settled, MADE.two);
  const open_ = whole.subarray(0, settled + MADE.first.length);
  const stand = deliver(receiver, open_, 64);
  assert.ok(stand < open_.length, "the end of a tail that may be given up was acknowledged");
  assert.ok(stand >= settled, "what both have wasn't");
  receiver.close();
  assert.ok(readFileSync(receiver.path).equals(concatBytes([whole.subarray(0, settled), MADE.two])));
  assert.ok(readFileSync(`${receiver.path}.rival`).includes(Buffer.from(MADE.first)));
  assert.equal(receiver.remarks.length, 1);

  // Another run goes on with both.
  const again = open(receiver.path);
  assert.is(deliver(again, whole, 64), whole.length);
  again.close();
  assert.ok(readFileSync(receiver.path).equals(whole));
  assert.is(displaced(receiver.path).length, 1);
});

tests("the file's own tail is signed for: the rival is nobody's", () => {
  const receiver = open();
  deliver(receiver, whole.subarray(0, settled + MADE.first.length), 32_768);
  const { next } = receiver.intake.greet();
  put(receiver.intake, next, concatBytes([whole.subarray(next, settled), MADE.one]));
  assert.ok(existsSync(`${receiver.path}.rival`));
  assert.is(receiver.intake.flush().next, settled, "a rival's end was acknowledged");
  assert.is(deliver(receiver, whole, 50), whole.length);
  receiver.close();
  assert.ok(readFileSync(receiver.path).equals(whole));
  assert.not.ok(existsSync(`${receiver.path}.rival`));
  assert.equal(displaced(receiver.path), []);
});

tests("a stand covers nothing that its sender skipped, though it is there", () => {
  const receiver = open();
  deliver(receiver, whole.subarray(0, settled), 32_768);
  put(receiver.intake, settled, MADE.two);
  const { next } = receiver.intake.greet();
  assert.is(put(receiver.intake, settled, MADE.two), "again");
  assert.is(receiver.intake.flush().next, next);
  receiver.close();
});

tests("what stands before a signed frame is never put in question", async () => {
  const receiver = open();
  deliver(receiver, whole.subarray(0, signed), 32_768);
  const before = readFileSync(receiver.path);
  await refuses("delivery-conflict", () => put(receiver.intake, settled, MADE.one));
  await refuses("delivery-conflict", () => put(receiver.intake, settled, MADE.two));
  receiver.close();
  assert.ok(readFileSync(receiver.path).equals(before));
  assert.not.ok(existsSync(`${receiver.path}.rival`));
});

tests(
  "a coincidence about another frame than the last is refused: it would have the recording refuted",
  async () => {
    const receiver = open();
    deliver(receiver, whole.subarray(0, settled), 32_768);
    const { next } = receiver.intake.greet();
    const lying = concatBytes([whole.subarray(next, settled), MADE.lying]);
    await refuses("stream-coincidence", () => put(receiver.intake, next, lying));
    assert.is(deliver(receiver, whole, 500), whole.length);
    receiver.close();
  },
);

tests("a resume that leaves out what was acknowledged is refused, first come or not", async () => {
  const maker = new StreamMaker();
  maker.announce();
  maker.data(1);
  maker.checkpoint();
  const start = recordingOf(maker.frames);
  maker.data(1);
  maker.data(1);
  const power = recordingOf(maker.frames);
  maker.resume();
  maker.data(1);
  maker.checkpoint();
  const all = recordingOf(maker.frames);
  for (const known of [start, power]) {
    const receiver = open();
    deliver(receiver, known, 32_768);
    receiver.intake.greet();
    const resume = encodeFrameItem(maker.frames[5]!);
    await refuses("stream-truncated", () => put(receiver.intake, start.length, resume));
    assert.is(deliver(receiver, all, 100), all.length);
    receiver.close();
    assert.ok(readFileSync(receiver.path).equals(all));
  }
});

// ---- Killed

class Killed extends Error {}
const CHANGING = [
  "writeSync",
  "ftruncateSync",
  "renameSync",
  "rmSync",
  "unlinkSync",
  "linkSync",
  "openSync",
] as const;

/** Runs `work` as a process that is killed at its n-th change of the disk, which may be half done. False when it wasn't. */
function killedAt(n: number, isHalf: boolean, work: () => void): boolean {
  const real = Object.fromEntries(CHANGING.map((name) => [name, fs[name]]));
  let left = n;
  for (const name of CHANGING)
    Object.assign(fs, {
      [name]: (...args: unknown[]) => {
        const call = real[name] as unknown as (...args: unknown[]) => unknown;
        if (name === "openSync" && !`${args[1] ?? "r"}`.match(/[wa]|^[0-9]+$/)) return call(...args);
        if (left-- > 0) return call(...args);
        if (isHalf && left === -1 && name === "writeSync") {
          const [fd, bytes, offset, length, at] = args as [number, Uint8Array, number, number?, number?];
          if (length !== undefined) call(fd, bytes, offset, length >> 1, at);
        }
        throw new Killed(name);
      },
    });
  syncBuiltinESMExports();
  try {
    work();
    return false;
  } catch (error) {
    let cause: unknown = error;
    while (cause instanceof Error && !(cause instanceof Killed)) cause = cause.cause;
    if (cause instanceof Killed) return true;
    throw error;
  } finally {
    Object.assign(fs, real);
    syncBuiltinESMExports();
  }
}

for (const isHalf of [false, true]) {
  tests(
    `killed at any change of the disk${isHalf ? ", half done" : ""}: nothing acknowledged is lost`,
    () => {
      let kills = 0;
      for (let n = 0; ; n++) {
        const before = open();
        deliver(before, whole.subarray(0, settled), 32_768);
        put(before.intake, settled, MADE.two);
        before.intake.flush();
        before.close();
        const { path } = before;
        // Acknowledged to whoever sent it, true or not: it is to be somewhere, whenever we are killed.
        const acknowledged = Buffer.from(concatBytes([whole.subarray(0, settled), MADE.two]));
        let stand = 0;
        const isKilled = killedAt(n, isHalf, () => {
          const receiver = open(path);
          const { next } = receiver.intake.greet();
          for (let at = next; at < whole.length; at += 200) {
            put(receiver.intake, at, whole.subarray(at, at + 200));
            stand = receiver.intake.flush().next;
          }
          receiver.close();
        });
        kills += isKilled ? 1 : 0;
        // As another process finds it, before anything is mended.
        const after = readFileSync(path);
        assert.ok(after.subarray(0, proved).equals(whole.subarray(0, proved)), "what was proved is gone");
        const copies = [
          after,
          ...displaced(path).map((part) => Buffer.concat([whole.subarray(0, proved), part.subarray(HEAD)])),
        ];
        assert.ok(
          copies.some((copy) => copy.subarray(0, acknowledged.length).equals(acknowledged)),
          `kill ${n}: the first tail is gone`,
        );
        const rival = existsSync(`${path}.rival`)
          ? readFileSync(`${path}.rival`).subarray(HEAD)
          : Buffer.alloc(0);
        const ours = [after, Buffer.concat([whole.subarray(0, proved), rival])];
        assert.ok(
          stand <= proved || ours.some((copy) => copy.subarray(0, stand).equals(whole.subarray(0, stand))),
          `kill ${n}: ${stand} bytes were acknowledged`,
        );
        const again = open(path);
        assert.is(deliver(again, whole, 333), whole.length, `kill ${n}`);
        again.close();
        assert.ok(readFileSync(path).equals(whole), `kill ${n}: another recording stands there`);
        assert.not.ok(existsSync(`${path}.rival`));
        if (!isKilled) break;
      }
      assert.ok(kills > 15, `${kills} kills`);
    },
  );
}

tests("a rival's file that is no recording, or of a tail that was settled, is removed", () => {
  for (const bytes of [
    new Uint8Array([1, 2, 3]),
    recordingOf(MADE.maker.frames.slice(6, 9)),
    encodeVstreamHead(),
  ]) {
    const path = join(folder, `${count++}.vstream`);
    writeFileSync(path, whole);
    writeFileSync(`${path}.rival`, bytes);
    const receiver = open(path);
    assert.is(deliver(receiver, whole, 32_768), whole.length);
    receiver.close();
    assert.ok(readFileSync(path).equals(whole));
  }
});

tests.run();
