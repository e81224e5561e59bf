// What may be wrong with a stream, a row each; and that nothing bent, dropped, swapped or doubled is ever "verified".

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { encodeGap } from "@vouch/shared/readings";
import {
  EPOCH_FRAMES_MAX,
  FRAME_GAP,
  linkOf,
  MODE_PRIVATE,
  MODE_RESTRICTED,
  wrapEpochKey,
} from "@vouch/shared/stream";
import { ratchet, streamHasher } from "@vouch/shared/streamhash";
import { type Opener, type ReaderKey, readerOpener, unwrapEpochKey } from "@vouch/shared/streamopen";
import { STREAM_REASONS } from "@vouch/shared/streamreasons";
import type { CoincidenceStatement } from "@vouch/shared/vstream";
import { coincidenceMessage, recorderKid } from "@vouch/shared/vstream";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import type { CheckOptions } from "../src/streamcheck";
import { deviceKey, type MakerOptions, readerKey, StreamMaker } from "./stream-kit";
import { check, type Item, type Ran } from "./stream-run";

const stream = suite("streamcheck");

const OWNER = readerKey(21);
const CLINIC = readerKey(22);
const RECORDER = deviceKey(31);
const MASKED: MakerOptions = { mode: MODE_PRIVATE, readers: [OWNER.publicKey] };
/** Unwraps a keyload once: a mutated stream has the same ones thousands of times. */
function remembering(reader: ReaderKey): Opener {
  const known = new Map<string, Uint8Array>();
  return {
    open({ epoch, seq, keyload }) {
      if (keyload === null) return null;
      const name = `${epoch} ${toHex(keyload.ephemeral)} ${keyload.readers.map(({ box }) => toHex(box))}`;
      const key = known.get(name) ?? unwrapEpochKey(keyload, epoch, reader);
      known.set(name, key);
      return ratchet(streamHasher(nodeCrypto), key, seq);
    },
  };
}
const asOwner: Partial<CheckOptions> = { opener: remembering(OWNER) };

/** What a recorder says after the frame that was made last. */
function seen(
  maker: StreamMaker,
  micros: number,
  change: Partial<CoincidenceStatement> = {},
): { coincidence: CoincidenceStatement } {
  const claim = {
    id: maker.id,
    epoch: maker.epoch,
    ticks: maker.ticks,
    micros,
    uncertainty: 1000,
    seq: maker.seq - 1,
    link: maker.prev,
    ...change,
  };
  const kid = recorderKid(RECORDER.publicKey, nodeCrypto);
  return { coincidence: { ...claim, kid, signature: RECORDER.sign(coincidenceMessage(claim, kid)) } };
}
const recorded: Partial<CheckOptions> = { recorders: [RECORDER.publicKey] };
const SECOND = 1_000_000;

/** A closed stream: announce, `groups` times three frames and a checkpoint, close. */
function closed(options: MakerOptions = {}, groups = 2): StreamMaker {
  const maker = new StreamMaker(options);
  maker.announce();
  for (let i = 0; i < groups; i++) {
    maker.data(2);
    maker.gap(3);
    maker.data();
    maker.checkpoint();
  }
  maker.close();
  return maker;
}

stream("a stream as it should be is verified, public or masked, and every row is evidence", () => {
  for (const options of [{}, MASKED]) {
    const ran = check(closed(options).frames, asOwner);
    assert.equal(ran.codes, []);
    assert.is(ran.word, "verified");
    assert.equal(
      ran.blocks.map(({ rows, isProved }) => [rows, isProved]),
      [
        [2, true],
        [1, true],
        [2, true],
        [1, true],
      ],
    );
    assert.equal(
      ran.gaps.map(({ seq, rows, isProved }) => [seq, rows, isProved]),
      [
        [2, 3, true],
        [6, 3, true],
      ],
    );
    assert.equal(
      ran.proved.map(({ from, to }) => [from, to]),
      [
        [0, 0],
        [1, 4],
        [5, 8],
        [9, 9],
      ],
    );
    assert.equal([...ran.blocks[0]!.values], [61, 970, 61, 970]);
    assert.ok(ran.summary.isClosed);
  }
});

stream("without a key the chain is verified and no body is read", () => {
  const ran = check(closed(MASKED).frames);
  assert.is(ran.word, "verified");
  assert.is(ran.blocks.length, 0);
  assert.is(ran.summary.unopened, 6);
});

stream(
  "power lost: frames that hang are shown as such, and those after the resume are evidence again",
  () => {
    const maker = new StreamMaker(MASKED);
    maker.announce();
    maker.data();
    maker.checkpoint();
    maker.data();
    maker.data();
    maker.resume({ acknowledged: 4 });
    maker.data();
    maker.close();
    const ran = check(maker.frames, asOwner);
    assert.equal(ran.codes, ["stream-boot-change", "stream-hanging"]);
    assert.is(ran.word, "verified");
    assert.equal(
      ran.blocks.map(({ seq, boot, isProved }) => [seq, boot.bootcount, isProved]),
      [
        [1, 7, true],
        [3, 7, false],
        [4, 7, false],
        [65, 8, true],
      ],
    );
  },
);

stream("a rekey: another epoch, other readers, and who is left out reads none of it", () => {
  const maker = new StreamMaker({ mode: MODE_RESTRICTED, readers: [OWNER.publicKey, CLINIC.publicKey] });
  maker.announce();
  maker.data();
  maker.keyload([OWNER.publicKey]);
  maker.data();
  maker.close();
  assert.equal(
    check(maker.frames, asOwner).blocks.map(({ seq }) => seq),
    [1, 3],
  );
  const clinic = check(maker.frames, { opener: readerOpener(CLINIC, nodeCrypto) });
  assert.equal(clinic.codes, ["stream-not-reader"]);
  assert.is(clinic.word, "verified");
  assert.equal(
    clinic.blocks.map(({ seq }) => seq),
    [1],
  );
});

stream("a recorder whose key is known says where an open stream stood", () => {
  const maker = new StreamMaker();
  const items: Item[] = [maker.announce(), maker.data(), maker.checkpoint(), maker.data()];
  assert.equal(check(items).codes, ["stream-open", "stream-unsigned-tail"]);
  assert.is(check(items).word, "unproven");
  items.push(seen(maker, 0));
  assert.equal(check(items, recorded).codes, ["stream-unsigned-tail"]);
  assert.is(check(items, recorded).word, "verified");
  assert.equal(check(items).codes, ["stream-open", "stream-recorder", "stream-unsigned-tail"]);
});

// ---- A row each

type Row = [name: string, code: string, make: () => [items: Item[], options?: Partial<CheckOptions>]];

function two(): [StreamMaker, StreamMaker] {
  const one = new StreamMaker({ ueid: new Uint8Array(17).fill(1) });
  one.announce();
  const other = new StreamMaker({ ueid: new Uint8Array(17).fill(2) });
  other.announce();
  return [one, other];
}

/** Announce, data, checkpoint of a masked stream. */
function begun(options: MakerOptions = MASKED): StreamMaker {
  const maker = new StreamMaker(options);
  maker.announce();
  maker.data();
  maker.checkpoint();
  return maker;
}

const head = (maker: StreamMaker, from: "state" | "anchor", change: object = {}) => ({
  heads: [{ id: maker.id, seq: maker.signed.seq, link: maker.signed.link, from, ...change }],
});

const ROWS: Row[] = [
  [
    "nonce reuse after rollback: one key and one nonce, two texts",
    "stream-nonce-reuse",
    () => {
      const maker = begun();
      const aside = maker.data(1, { isAside: true }, 99);
      maker.data();
      const bent = aside.slice();
      bent.set(maker.frames[3]!.subarray(66, 90), 66);
      return [[...maker.frames, bent, maker.close()]];
    },
  ],
  [
    "nonce reuse after rollback: a number of an epoch twice, with other text",
    "stream-fork",
    () => {
      const maker = begun();
      const aside = maker.data(1, { isAside: true }, 99);
      maker.data();
      return [[...maker.frames, aside, maker.close()]];
    },
  ],
  [
    "rollback: a resume takes numbers again that were used",
    "stream-rollback",
    () => {
      const maker = begun();
      maker.data();
      maker.data();
      return [[...maker.frames, maker.resume({ seq: 4 }), maker.data(), maker.close()]];
    },
  ],
  [
    "rollback: a number long gone by",
    "stream-rollback",
    () => {
      const maker = begun({ everyFrames: 3000 });
      const old = maker.frames[1]!;
      for (let i = 0; i < 2100; i++) maker.data();
      return [[...maker.frames, old, maker.close()]];
    },
  ],
  [
    "rollback across runs: an older end than was seen",
    "stream-rollback",
    () => {
      const maker = closed();
      return [maker.frames.slice(0, 5), head(maker, "state")];
    },
  ],
  [
    "cut across runs: the stream that came before isn't here",
    "stream-cut",
    () => {
      const [before, maker] = [closed(), closed({ epoch: 2 })];
      const known = head(maker, "state", { after: [before.id] });
      assert.is(check([...before.frames, ...maker.frames], known).word, "verified");
      assert.is(check(closed({ epoch: 3 }).frames, known).word, "verified", "another recording");
      return [maker.frames, known];
    },
  ],
  [
    "cut across runs: the stream that came after isn't here",
    "stream-cut",
    () => {
      const [maker, after] = [closed(), closed({ epoch: 2 })];
      return [maker.frames, head(after, "state", { after: [maker.id] })];
    },
  ],
  [
    "fork across runs: another frame than was seen",
    "stream-fork",
    () => {
      const maker = closed();
      return [maker.frames, head(maker, "state", { link: new Uint8Array(32) })];
    },
  ],
  [
    "fork: two frames of one number, both signed",
    "stream-fork",
    () => {
      const maker = begun({});
      maker.data();
      const aside = maker.checkpoint({ isAside: true }, 99_999);
      return [[...maker.frames, maker.checkpoint(), aside, maker.close()]];
    },
  ],
  [
    "fork: a resume that names another checkpoint than was recorded",
    "stream-fork",
    () => {
      const maker = begun({});
      return [
        [...maker.frames, maker.resume({ checkpoint: { seq: 2, link: new Uint8Array(32) } }), maker.close()],
      ];
    },
  ],
  [
    "replay to another stream",
    "stream-other",
    () => {
      const [one, other] = two();
      const strange = other.data();
      return [[...one.frames, strange, one.data(), one.close()]];
    },
  ],
  [
    "replay: an announce under another id",
    "stream-id",
    () => {
      const maker = new StreamMaker();
      return [[maker.announce({}, { id: new Uint8Array(16).fill(9) })]];
    },
  ],
  [
    "truncation: frames below `acknowledged` of a resume are missing",
    "stream-truncated",
    () => {
      const maker = begun({});
      maker.data();
      maker.data();
      const resume = maker.resume({ acknowledged: 5 });
      return [[...maker.frames.slice(0, 4), resume, maker.close()]];
    },
  ],
  [
    "truncation: a resume names a checkpoint that is missing",
    "stream-truncated",
    () => {
      const maker = begun({});
      maker.data();
      maker.checkpoint();
      const resume = maker.resume({ acknowledged: 0 });
      return [[...maker.frames.slice(0, 3), resume, maker.close()]];
    },
  ],
  [
    "truncation: a coincidence names a head beyond the end",
    "stream-truncated",
    () => {
      const maker = begun({});
      maker.data();
      return [[...maker.frames.slice(0, 3), seen(maker, 0)], recorded];
    },
  ],
  [
    "truncation: an anchor names a head beyond the end",
    "stream-truncated",
    () => {
      const maker = closed();
      return [maker.frames.slice(0, 5), head(maker, "anchor")];
    },
  ],
  ["truncation: nothing says where it ended", "stream-open", () => [closed().frames.slice(0, -1)]],
  [
    "truncation: stale, no signed frame for twice the interval",
    "stream-stale",
    () => {
      const maker = begun({});
      maker.data(23);
      return [[...maker.frames, seen(maker, 0)], recorded];
    },
  ],
  [
    "a device that doesn't sign as often as it promised",
    "stream-stale",
    () => {
      const maker = begun({ everyFrames: 4 });
      for (let i = 0; i < 30; i++) maker.data();
      return [[...maker.frames, maker.close()]];
    },
  ],
  [
    "reorder: two frames in each other's place",
    "stream-reordered",
    () => {
      const { frames } = closed();
      return [[...frames.slice(0, 5), frames[6]!, frames[5]!, ...frames.slice(7)]];
    },
  ],
  ["gap: a frame is missing", "stream-gap", () => [closed().frames.filter((_, i) => i !== 5)]],
  [
    "a frame twice",
    "stream-repeated",
    () => {
      const { frames } = closed();
      return [[...frames.slice(0, 6), frames[5]!, ...frames.slice(6)]];
    },
  ],
  [
    "a frame in another's place",
    "stream-link",
    () => {
      const maker = begun({});
      const aside = maker.data(1, { isAside: true }, 99);
      maker.data();
      return [[...maker.frames.slice(0, 3), aside, maker.close()]];
    },
  ],
  [
    "rotated key: the old key goes on beyond the head that its successor names",
    "stream-superseded",
    () => {
      const old = begun({});
      const parent = { id: old.id, ...old.signed };
      old.data();
      old.checkpoint();
      const maker = new StreamMaker({ device: deviceKey(2), parent, epoch: 2 });
      maker.announce();
      return [[...old.frames, ...maker.frames, maker.close()]];
    },
  ],
  [
    "rotated key: a frame of the old stream after its successor began",
    "stream-superseded",
    () => {
      const old = begun({});
      const maker = new StreamMaker({
        device: deviceKey(2),
        parent: { id: old.id, ...old.signed },
        epoch: 2,
      });
      maker.announce();
      return [[...old.frames, ...maker.frames, old.data(), maker.close()]];
    },
  ],
  [
    "rotated key: a stream that names another parent",
    "stream-parent",
    () => {
      const old = begun({});
      const parent = { id: new Uint8Array(16).fill(3), ...old.signed };
      const maker = new StreamMaker({ device: deviceKey(2), parent, epoch: 2 });
      maker.announce();
      return [[...old.frames, ...maker.frames, maker.close()]];
    },
  ],
  [
    "revoked reader",
    "stream-not-reader",
    () => [closed(MASKED).frames, { opener: readerOpener(CLINIC, nodeCrypto) }],
  ],
  [
    "a key that opens nothing at all",
    "stream-unread",
    () => [closed(MASKED).frames, { opener: readerOpener(CLINIC, nodeCrypto) }],
  ],
  [
    "unsigned tail",
    "stream-unsigned-tail",
    () => {
      const maker = begun({});
      maker.data();
      return [[...maker.frames, seen(maker, 0)], recorded];
    },
  ],
  [
    "clock jump: rows go on later, and no gap says why",
    "stream-clock-jump",
    () => {
      const maker = begun({});
      maker.ticks += 60_000;
      return [[...maker.frames, maker.data(), maker.close()]];
    },
  ],
  [
    "clock jump: the device counts another time than the recorder",
    "stream-clock-jump",
    () => {
      const maker = begun({});
      const before = seen(maker, 0);
      return [[...maker.frames, before, maker.data(5), seen(maker, 60 * SECOND), maker.close()], recorded];
    },
  ],
  [
    "clock jump: rows that are signed for before they were taken",
    "stream-clock-jump",
    () => {
      const maker = begun({});
      maker.data(20);
      maker.ticks -= 15_000;
      return [[...maker.frames, maker.checkpoint(), maker.close()]];
    },
  ],
  [
    "clock back",
    "stream-clock-back",
    () => {
      const maker = begun({});
      maker.ticks -= 3000;
      return [[...maker.frames, maker.checkpoint(), maker.close()]];
    },
  ],
  [
    "tick wrap",
    "stream-tick-wrap",
    () => {
      const maker = new StreamMaker();
      maker.ticks = 2 ** 32 - 2000;
      maker.announce();
      maker.data(3);
      maker.ticks -= 2 ** 32;
      return [[...maker.frames, maker.data(), maker.close()]];
    },
  ],
  [
    "boot change",
    "stream-boot-change",
    () => {
      const maker = begun({});
      return [[...maker.frames, maker.resume(), maker.close()]];
    },
  ],
  [
    "a resume of a boot that isn't later",
    "stream-boot",
    () => {
      const maker = begun({});
      return [[...maker.frames, maker.resume({ bootcount: 7 }), maker.close()]];
    },
  ],
  [
    "a resume that is linked to a frame nobody signed",
    "stream-resume-link",
    () => {
      const maker = begun({});
      const { seq } = maker;
      const link = linkOf(maker.data());
      return [[...maker.frames, maker.resume({ checkpoint: { seq, link } }), maker.close()]];
    },
  ],
  [
    "hostile keyload: a point of small order",
    "stream-keyload-order",
    () => {
      const maker = begun({ ...MASKED, mode: MODE_RESTRICTED });
      const keyload = { ...maker.makeKeyload()!, ephemeral: new Uint8Array(32) };
      return [[...maker.frames, maker.keyload(undefined, { keyload }), maker.close()], asOwner];
    },
  ],
  [
    "hostile keyload: not for this reader",
    "stream-not-reader",
    () => {
      const maker = begun({ ...MASKED, mode: MODE_RESTRICTED });
      return [[...maker.frames, maker.keyload([CLINIC.publicKey]), maker.close()], asOwner];
    },
  ],
  [
    "hostile keyload: the key inside opens nothing",
    "stream-keyload-key",
    () => {
      const maker = begun({ ...MASKED, mode: MODE_RESTRICTED });
      maker.epoch++;
      const keyload = maker.makeKeyload([OWNER.publicKey], new Uint8Array(32).fill(99))!;
      maker.epoch--;
      return [[...maker.frames, maker.keyload(undefined, { keyload }), maker.data(), maker.close()], asOwner];
    },
  ],
  [
    "hostile keyload: another's box under this reader's kid",
    "stream-keyload-box",
    () => {
      const maker = begun({ ...MASKED, mode: MODE_RESTRICTED });
      const { ephemeral, readers } = maker.makeKeyload()!;
      const box = wrapEpochKey(
        new Uint8Array(32),
        new Uint8Array(32).fill(5),
        ephemeral,
        CLINIC.publicKey,
        2,
      )!;
      const keyload = { ephemeral, readers: [{ kid: readers[0]!.kid, box }] };
      return [[...maker.frames, maker.keyload(undefined, { keyload }), maker.close()], asOwner];
    },
  ],
  [
    "hostile keyload: more readers than there may be",
    "stream-malformed",
    () => {
      const maker = begun({ ...MASKED, mode: MODE_RESTRICTED });
      const readers = [1, 2, 3, 4, 5].map((byte) => readerKey(byte).publicKey);
      return [[...maker.frames, maker.keyload(readers), maker.close()], asOwner];
    },
  ],
  [
    "hostile keyload: one kid twice",
    "stream-malformed",
    () => {
      const maker = begun({ ...MASKED, mode: MODE_RESTRICTED });
      return [[...maker.frames, maker.keyload([OWNER.publicKey, OWNER.publicKey]), maker.close()], asOwner];
    },
  ],
  [
    "after close",
    "stream-after-close",
    () => {
      const maker = closed();
      return [[...maker.frames, maker.data()]];
    },
  ],
  [
    "epoch reuse: a resume begins an epoch that was used",
    "stream-epoch-reuse",
    () => {
      const maker = begun({});
      return [[...maker.frames, maker.resume({ epoch: 1 }), maker.close()]];
    },
  ],
  [
    "epoch reuse: a keyload does",
    "stream-epoch-reuse",
    () => {
      const maker = begun({ ...MASKED, mode: MODE_RESTRICTED });
      return [[...maker.frames, maker.keyload(undefined, { epoch: 1 }), maker.close()]];
    },
  ],
  [
    "an epoch that isn't here",
    "stream-epoch-skipped",
    () => {
      const maker = begun({});
      return [[...maker.frames, maker.resume({ epoch: 5 }), maker.close()]];
    },
  ],
  [
    "more frames in an epoch than one key is good for",
    "stream-epoch-long",
    () => {
      const maker = begun({ everyFrames: 65_535 });
      const gap = encodeGap(0, maker.ticks, 1);
      const lose = () => maker.emit(FRAME_GAP, gap, {});
      while (maker.seq < EPOCH_FRAMES_MAX) lose();
      const kept = maker.frames.length;
      assert.equal(check(maker.frames.slice(0, kept)).codes, ["stream-open", "stream-unsigned-tail"]);
      lose();
      return [[...maker.frames, maker.close()]];
    },
  ],
  [
    "a frame of another epoch",
    "stream-epoch",
    () => {
      const maker = begun({});
      return [[...maker.frames, maker.data(1, { epoch: 9 }), maker.close()]];
    },
  ],
  [
    "wrong signer: not the enrolled device's key",
    "stream-wrong-signer",
    () => [closed().frames, { refuseSigner: () => "enrolled is another key" }],
  ],
  [
    "wrong signer: an announce that another key signed",
    "stream-signature",
    () => [[new StreamMaker().announce({}, { by: deviceKey(2) })]],
  ],
  [
    "wrong signer: a checkpoint that another key signed",
    "stream-signature",
    () => {
      const maker = begun({});
      return [[...maker.frames, maker.checkpoint({ by: deviceKey(2) }), maker.close()]];
    },
  ],
  [
    "a readable body in a masked stream",
    "stream-mask",
    () => {
      const maker = begun();
      return [[...maker.frames, maker.data(1, { flags: 0 }), maker.close()], asOwner];
    },
  ],
  [
    "a masked body in a public stream",
    "stream-mask",
    () => {
      const maker = begun({});
      return [[...maker.frames, maker.data(1, { flags: 1 }), maker.close()]];
    },
  ],
  [
    "a body that no key of the epoch opens",
    "stream-mac",
    () => {
      const maker = begun();
      return [[...maker.frames, maker.data(1, { body: new Uint8Array(72) }), maker.close()], asOwner];
    },
  ],
  [
    "a body that was masked for another header",
    "stream-unbound",
    () => {
      const maker = begun();
      const aside = maker.data(1, { isAside: true, prev: new Uint8Array(32) });
      return [[...maker.frames, maker.data(1, { body: aside.subarray(66) }), maker.close()], asOwner];
    },
  ],
  ["no frame", "stream-malformed", () => [[...begun({}).frames, new Uint8Array(70)]]],
  ["frames before an announce", "stream-unannounced", () => [closed().frames.slice(1)]],
  [
    "a stream of a later version",
    "unsupported-version",
    () => {
      const maker = new StreamMaker();
      const frame = maker.announce({}, { isAside: true });
      const at = frame.indexOf(0x01, 67);
      assert.is(frame[at - 1], 0xad);
      frame[at + 1] = 2;
      return [[frame]];
    },
  ],
  ["nothing", "stream-empty", () => [[]]],
  [
    "a recorder that had another frame",
    "stream-coincidence",
    () => {
      const maker = begun({});
      return [[...maker.frames, seen(maker, 0, { link: new Uint8Array(32) }), maker.close()], recorded];
    },
  ],
  [
    "a coincidence that its recorder didn't sign",
    "stream-coincidence",
    () => {
      const maker = begun({});
      const { coincidence } = seen(maker, 0);
      return [[...maker.frames, { coincidence: { ...coincidence, micros: 1 } }, maker.close()], recorded];
    },
  ],
  [
    "a coincidence that is shown again in the next boot",
    "stream-coincidence",
    () => {
      const maker = begun({});
      const said = seen(maker, 0);
      maker.data();
      maker.checkpoint();
      maker.resume();
      return [[...maker.frames, said, maker.close()], recorded];
    },
  ],
  [
    "clocks that differ, with a vague word by nobody put between",
    "stream-clock-jump",
    () => {
      const maker = begun({});
      const before = seen(maker, 0);
      const vague = seen(maker, 30 * SECOND, {
        uncertainty: Number.MAX_SAFE_INTEGER,
      });
      vague.coincidence.kid = new Uint8Array(8);
      return [
        [...maker.frames, before, vague, maker.data(5), seen(maker, 60 * SECOND), maker.close()],
        recorded,
      ];
    },
  ],
  [
    "clocks that differ, with a vague word by the same recorder between",
    "stream-clock-jump",
    () => {
      const maker = begun({});
      const before = seen(maker, 0);
      const vague = seen(maker, 30 * SECOND, { uncertainty: 60 * SECOND });
      return [
        [...maker.frames, before, vague, maker.data(5), seen(maker, 60 * SECOND), maker.close()],
        recorded,
      ];
    },
  ],
  [
    "a recorder whom nobody named",
    "stream-recorder",
    () => {
      const maker = begun({});
      return [[...maker.frames, seen(maker, 0), maker.close()]];
    },
  ],
];

for (const [name, code, make] of ROWS) {
  stream(`${name}: ${code}`, () => {
    const [items, options] = make();
    const ran = check(items, options);
    assert.ok(ran.codes.includes(code), `${ran.codes}`);
    const word = STREAM_REASONS[code as keyof typeof STREAM_REASONS];
    if (word === "note") return;
    assert.is.not(ran.word, "verified");
    assert.is(ran.findings.find((finding) => finding.code === code)?.word, word);
  });
}

stream("a fork tells where both frames are, and whether the device signed both", () => {
  const maker = begun({});
  maker.data();
  const aside = maker.checkpoint({ isAside: true }, 99_999);
  const items = [...maker.frames, maker.checkpoint(), aside];
  const [fork] = check(items).findings;
  assert.is(fork?.code, "stream-fork");
  const places = items.map((_, i) => items.slice(0, i).reduce((sum, item) => sum + item.length, 0));
  assert.is(fork?.at, places[5]!);
  assert.equal(fork?.other, { at: places[4], isSigned: true });
});

stream("a torn end is unproven, whatever was before it", () => {
  assert.equal(check(closed().frames, {}, 5).codes, ["stream-torn"]);
  assert.is(check(closed().frames, {}, 5).word, "unproven");
});

// ---- Everything, when everything is small

/** Announce, three frames, checkpoint, rekey, a frame, lost power, a frame, close: each type of frame. */
function small(): StreamMaker {
  const maker = new StreamMaker({ mode: MODE_RESTRICTED, readers: [OWNER.publicKey] });
  maker.announce();
  maker.data();
  maker.gap();
  maker.checkpoint();
  maker.keyload();
  maker.data();
  maker.checkpoint();
  maker.data();
  maker.resume();
  maker.data();
  maker.close();
  return maker;
}

/** The readings that count, and where: what no change may add to or alter. */
const evidence = ({ blocks }: Ran) =>
  blocks
    .filter(({ isProved }) => isProved)
    .map(({ seq, values, ticks, boot }) => `${seq} ${ticks} ${boot.bootcount} ${[...values]}`);

stream("every byte bent: never verified, and nothing that wasn't evidence becomes it", () => {
  const { frames } = small();
  const good = evidence(check(frames, asOwner));
  assert.is(good.length, 3);
  // Frame 7 hangs: nobody signed for it, so a bend in it may pass where the key to open it isn't there.
  for (const [i, frame] of frames.entries()) {
    for (let at = 0; at < frame.length; at++) {
      const bent = frame.slice();
      bent[at]! ^= 1 << (at % 8);
      const ran = check([...frames.slice(0, i), bent, ...frames.slice(i + 1)], asOwner);
      assert.is.not(ran.word, "verified", `byte ${at} of frame ${i}`);
      for (const row of evidence(ran)) assert.ok(good.includes(row), `byte ${at} of frame ${i}: ${row}`);
    }
  }
});

stream("every frame dropped, doubled or put after the next: never verified", () => {
  const { frames } = small();
  for (let i = 0; i < frames.length; i++) {
    const [before, frame, after] = [frames.slice(0, i), frames[i]!, frames.slice(i + 1)];
    assert.is.not(check([...before, ...after], asOwner).word, "verified", `without ${i}`);
    assert.is.not(check([...before, frame, frame, ...after], asOwner).word, "verified", `twice ${i}`);
    if (i < frames.length - 1)
      assert.is.not(
        check([...before, after[0]!, frame, ...after.slice(1)], asOwner).word,
        "verified",
        `late ${i}`,
      );
  }
});

stream("what a device doesn't know to be acknowledged may be dropped unseen, and is never evidence", () => {
  const maker = begun({});
  const kept = [...maker.frames];
  maker.data();
  const hanging = maker.data();
  const after = [maker.resume({ acknowledged: 3 }), maker.close()];
  const whole = check([...kept, maker.frames[3]!, hanging, ...after]);
  const dropped = check([...kept, ...after]);
  assert.is(dropped.word, "verified");
  assert.equal(evidence(dropped), evidence(whole));
});

stream("a whole boot that is dropped is missed by the next one", () => {
  const maker = begun({});
  const lost = [maker.resume(), maker.data(), maker.checkpoint()];
  const rest = [maker.resume({ acknowledged: 0 }), maker.close()];
  const kept = maker.frames.filter((frame) => !lost.includes(frame));
  assert.is(kept.length + lost.length, maker.frames.length);
  assert.ok(rest.every((frame) => kept.includes(frame)));
  assert.ok(check(kept).codes.includes("stream-truncated"));
});

stream("whatever frames come in whatever order: findings, and no other error", () => {
  const { frames } = small();
  const strange = closed({ ueid: new Uint8Array(17).fill(5), device: deviceKey(4) }).frames;
  const any = fc.oneof(
    fc.constantFrom(...frames, ...strange),
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(fc.constantFrom(...frames), fc.nat(), fc.nat(255)).map(([frame, at, byte]) => {
      const bent = frame.slice();
      bent[at % bent.length] = byte;
      return bent;
    }),
  );
  const good = new Set([...evidence(check(frames, asOwner)), ...evidence(check(strange))]);
  fc.assert(
    fc.property(fc.array(any, { maxLength: 14 }), (items) => {
      for (const row of evidence(check(items, asOwner))) assert.ok(good.has(row), row);
    }),
    { numRuns: 400 },
  );
});

stream("the spec's table of reasons is the checker's", () => {
  const page = readFileSync(resolve("shared/spec/stream.md"), "utf8");
  const rows = [...page.matchAll(/^\| `([a-z-]+)` \| (refuted|unproven|note) \|/gm)].map(([, code, word]) => [
    code,
    word,
  ]);
  assert.equal(Object.fromEntries(rows), { ...STREAM_REASONS });
  const tested = new Set(ROWS.map(([, code]) => code));
  const elsewhere = [
    "vstream-damaged",
    "coincidence-malformed",
    "stream-torn",
    "stream-hanging",
    "stream-grant-key",
    "stream-enrolment",
    "stream-anchor",
    "stream-evidence-boot",
    "stream-evidence-missing",
    "stream-release-missing",
  ];
  for (const code of Object.keys(STREAM_REASONS))
    assert.ok(tested.has(code) || elsewhere.includes(code), code);
});

stream.run();
