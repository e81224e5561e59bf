// Who was granted what opens exactly that: each of a thousand frames is tried with each grant.

import { toHex } from "@vouch/shared/bytes";
import { formatReader, formatReadersFile, parseReader, parseReadersFile } from "@vouch/shared/readerkey";
import { MODE_PRIVATE, MODE_RESTRICTED } from "@vouch/shared/stream";
import { type GrantPart, grantOpener, grantPart, openGrant, sealGrant } from "@vouch/shared/streamgrant";
import { readerOpener } from "@vouch/shared/streamopen";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { readerKey, StreamMaker } from "./stream-kit";
import { check } from "./stream-run";
import { refusal } from "./vectors";

const grants = suite("streamgrant");

const OWNER = readerKey(21);
const CLINIC = readerKey(22);
const SECRET = new Uint8Array(32).fill(51);

/** A thousand frames and more, 0 to 1,000, a checkpoint after each ninety-nine. */
function thousand(mode = MODE_PRIVATE, readers = [OWNER.publicKey]): StreamMaker {
  const maker = new StreamMaker({ mode, readers, everyFrames: 100 });
  maker.announce();
  while (maker.seq < 1000) {
    if (maker.seq % 100 === 0) maker.checkpoint();
    else maker.data();
  }
  maker.close();
  return maker;
}

const LONG = thousand();

function granted(maker: StreamMaker, parts: GrantPart[], reader = CLINIC) {
  const file = sealGrant({ id: maker.id, parts }, reader.publicKey, SECRET);
  return check(maker.frames, { opener: grantOpener(openGrant(file, reader), nodeCrypto) });
}

const epochOf = (maker: StreamMaker, epoch: number) => ({ epoch, ...maker.epochKeys.get(epoch)! });
const isData = (seq: number) => seq % 100 !== 0;
const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i).filter(isData);

grants("frames 100 to 199 of a thousand open, and no other: all are tried", () => {
  const part = grantPart(epochOf(LONG, 1), 100, 199, nodeCrypto);
  const ran = granted(LONG, [part]);
  assert.is(ran.word, "verified");
  assert.equal(
    ran.blocks.map(({ seq }) => seq),
    numbers(100, 199),
  );
  assert.is(ran.summary.unopened, numbers(0, 999).length - 99);
  assert.ok(ran.blocks.every(({ isProved }) => isProved));
});

grants("many windows of an epoch, and a forward part behind them, open theirs and no frame between", () => {
  const known = epochOf(LONG, 1);
  const windows = numbers(10, 800).filter((seq) => seq % 3 === 0);
  const parts = windows.map((seq) => grantPart(known, seq, seq, nodeCrypto));
  const ran = granted(LONG, [...parts, grantPart(known, 950, null, nodeCrypto)]);
  assert.equal(
    ran.blocks.map(({ seq }) => seq),
    [...windows, ...numbers(950, 999)],
  );
});

grants("the window's keys open nothing else when used for other frames", () => {
  const { keys } = grantPart(epochOf(LONG, 1), 100, 199, nodeCrypto);
  for (const seq of [1, 99, 201, 999]) {
    const ran = granted(LONG, [{ epoch: 1, seq, kind: "window", keys: keys.slice(0, 32) }]);
    assert.equal(ran.codes, ["stream-grant-key", "stream-unread"], `frame ${seq}`);
    assert.is(ran.word, "unproven");
  }
});

grants("keys of which some are wrong, wherever they stand, say nothing of the device", () => {
  const known = epochOf(LONG, 1);
  const window = grantPart(known, 101, 110, nodeCrypto);
  const bent = window.keys.slice();
  bent.fill(7, 5 * 32, 6 * 32);
  const inside = granted(LONG, [{ ...window, keys: bent }]);
  assert.equal(inside.codes, ["stream-grant-key"]);
  assert.is(inside.word, "unproven");
  assert.equal(
    inside.blocks.map(({ seq }) => seq),
    numbers(101, 110).filter((seq) => seq !== 106),
  );
  const forward = { ...grantPart(known, 900, null, nodeCrypto), keys: new Uint8Array(32).fill(7) };
  const behind = granted(LONG, [window, forward]);
  assert.is(behind.word, "unproven");
  assert.ok(behind.codes.every((code) => code === "stream-grant-key"));
});

grants("a forward grant opens from there to the end of the epoch, and nothing before", () => {
  const ran = granted(LONG, [grantPart(epochOf(LONG, 1), 700, null, nodeCrypto)]);
  assert.equal(
    ran.blocks.map(({ seq }) => seq),
    numbers(700, 999),
  );
});

grants("grants over several epochs open what each part is of, and no later epoch", () => {
  const maker = new StreamMaker({ mode: MODE_RESTRICTED, readers: [OWNER.publicKey], everyFrames: 100 });
  maker.announce();
  for (let epoch = 0; epoch < 3; epoch++) {
    for (let i = 0; i < 9; i++) maker.data();
    if (epoch < 2) maker.keyload();
  }
  maker.close();
  const parts = [
    grantPart(epochOf(maker, 1), 5, 9, nodeCrypto),
    grantPart(epochOf(maker, 2), 10, null, nodeCrypto),
  ];
  const ran = granted(maker, parts);
  assert.equal(
    ran.blocks.map(({ seq }) => seq),
    [5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19],
  );
});

grants("after revocation none of the new frames opens: all are tried, by keyload and by grant", () => {
  const maker = new StreamMaker({
    mode: MODE_RESTRICTED,
    readers: [OWNER.publicKey, CLINIC.publicKey],
    everyFrames: 100,
  });
  maker.announce();
  for (let i = 0; i < 50; i++) maker.data();
  const forward = grantPart(epochOf(maker, 1), 1, null, nodeCrypto);
  maker.keyload([OWNER.publicKey]);
  for (let i = 0; i < 50; i++) maker.data();
  maker.close();
  const before = numbers(1, 50);
  const byKeyload = check(maker.frames, { opener: readerOpener(CLINIC, nodeCrypto) });
  assert.equal(
    byKeyload.blocks.map(({ seq }) => seq),
    before,
  );
  assert.equal(byKeyload.codes, ["stream-not-reader"]);
  assert.equal(
    granted(maker, [forward]).blocks.map(({ seq }) => seq),
    before,
  );
  // What the clinic has of the old epoch, tried on each frame of the new one.
  for (const { epoch, keys } of [forward, { epoch: 1, keys: new Uint8Array(32).fill(1) }]) {
    assert.is(epoch, 1);
    for (let seq = 52; seq <= 101; seq++)
      assert.equal(granted(maker, [{ epoch: 2, seq, kind: "window", keys }]).blocks, [], `frame ${seq}`);
  }
  assert.is(check(maker.frames, { opener: readerOpener(OWNER, nodeCrypto) }).blocks.length, 100);
});

grants("a grant is its reader's alone, and not in any byte another's", () => {
  const file = sealGrant(
    { id: LONG.id, parts: [grantPart(epochOf(LONG, 1), 100, 101, nodeCrypto)] },
    CLINIC.publicKey,
    SECRET,
  );
  assert.throws(() => openGrant(file, OWNER), refusal("grant-other-reader"));
  const text = new TextDecoder().decode(file);
  const forged = text.replace(
    /"reader":"[0-9a-f]*"/,
    `"reader":"${formatReader({ name: "o", publicKey: OWNER.publicKey }).split("+")[1]}"`,
  );
  assert.throws(() => openGrant(new TextEncoder().encode(forged), OWNER), refusal("grant-box"));
  const codes = new Set([
    "malformed-grant",
    "grant-other-reader",
    "grant-order",
    "grant-box",
    "malformed-json",
    "not-canonical-json",
    "unsupported-version",
  ]);
  for (let at = 0; at < file.length; at++) {
    const bent = file.slice();
    bent[at]! ^= 1;
    assert.throws(
      () => openGrant(bent, CLINIC),
      (error: { code?: string }) => codes.has(error.code ?? ""),
      `byte ${at}`,
    );
  }
});

for (const [name, code, parts] of [
  ["nothing", "malformed-grant", []],
  ["parts that overlap", "malformed-grant", [1, 1]],
  ["parts that fall", "malformed-grant", [2, 1]],
] as const) {
  grants(`refuses a grant of ${name}`, () => {
    const made = parts.map(
      (epoch): GrantPart => ({ epoch, seq: 5, kind: "window", keys: new Uint8Array(64) }),
    );
    const file = sealGrant({ id: LONG.id, parts: made }, CLINIC.publicKey, SECRET);
    assert.throws(() => openGrant(file, CLINIC), refusal(code));
  });
}

grants("a reader's line is read back, and a typing error in it is not", () => {
  const line = formatReader({ name: "clinic.example", publicKey: CLINIC.publicKey });
  assert.is(toHex(parseReader(line).publicKey), toHex(CLINIC.publicKey));
  fc.assert(
    fc.property(fc.nat(line.length - 16), fc.constantFrom(..."0aZ+ "), (at, char) => {
      const typed = line.slice(0, at + 15) + char + line.slice(at + 16);
      if (typed === line) return;
      assert.throws(
        () => parseReader(typed),
        (error: { code?: string }) => ["malformed-reader", "reader-mismatch"].includes(error.code ?? ""),
      );
    }),
  );
  const zero = formatReader({ name: "all", publicKey: new Uint8Array(32) });
  assert.throws(() => parseReader(zero), refusal("reader-order"));
});

grants("a readers file is read back; too many, none or one twice are refused", () => {
  const reader = (byte: number) => ({ name: `r${byte}`, publicKey: readerKey(byte).publicKey });
  const two = { mode: MODE_RESTRICTED, readers: [reader(1), reader(2)] };
  assert.equal(parseReadersFile(formatReadersFile(two)), two);
  for (const [mode, bytes, code] of [
    [MODE_PRIVATE, [1, 2], "too-many-readers"],
    [MODE_RESTRICTED, [1, 2, 3, 4, 5], "too-many-readers"],
    [MODE_RESTRICTED, [], "too-many-readers"],
    [0, [1], "too-many-readers"],
    [MODE_RESTRICTED, [1, 1], "reader-twice"],
  ] as const) {
    const file = formatReadersFile({ mode, readers: bytes.map(reader) });
    assert.throws(() => parseReadersFile(file), refusal(code));
  }
});

grants.run();
