// A fleet's devices: what a key stands for at other moments, and hostile lines. That each device
// gets the word and the reasons that `vouch verify` gives it is tested on every world of
// the verifier's tests: alike.ts.

import { appraise } from "@vouch/shared/appraise";
import { parseAuditLine, placesOf } from "@vouch/shared/auditline";
import { formatBundle } from "@vouch/shared/bundle";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import {
  type AuditQuestion,
  auditDevice,
  type Context,
  contextLine,
  openContext,
  TIMED,
} from "@vouch/shared/fleet";
import { contextOf, formatDevice, formatDeviceItem, MAX_DEVICE, parseDevice } from "@vouch/shared/fleetform";
import { checkRow, formatRow, parseRow, rowLeaf } from "@vouch/shared/fleetrows";
import { memoryReader, proveInclusion, rootOf } from "@vouch/shared/merkle";
import { isoTime, secondsOf } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { refusal } from "./vectors";
import { LATE, makeWorld, NOW, T0, type World } from "./world";

const DAY = 86400;
const test = suite("fleet");

const world = makeWorld();

const questionAt = (w: World, at: number, now = at): AuditQuestion => ({
  policy: w.policy,
  crypto: nodeCrypto,
  at,
  now,
  images: w.images,
  tool: "vouch test",
});

function fleetOf(w: World) {
  const context = formatBundle({ ...w.bundle, devices: [] });
  const digest = toHex(nodeCrypto.sha256(context));
  const device = w.bundle.devices[0]!;
  return {
    context,
    line: formatDevice({ context: digest, ...device }),
    item: formatDeviceItem({ context: digest, ...device }),
  };
}

function recordOf(line: string) {
  const read = parseAuditLine(utf8Encode(line));
  if (read.kind !== "record") throw new Error("no record");
  return read;
}

const judgeAt = (w: World, at: number, now = at) => {
  const { context, line } = fleetOf(w);
  const question = questionAt(w, at, now);
  return auditDevice(line, openContext(context, question), "fleet:2", question);
};

test("a line and an item say the same, in one form each", () => {
  const { line, item } = fleetOf(world);
  assert.is(toHex(formatDevice(parseDevice(item))), toHex(line)); // the one has Buffers where the other has views
  assert.is(toHex(formatDevice(parseDevice(line))), toHex(line));
  assert.is(toHex(formatDeviceItem(parseDevice(item))), toHex(item));
  assert.is(contextOf(line), parseDevice(line).context);
  assert.is(contextOf(item), parseDevice(line).context);
});

test("a record stands where the store looks for its moment and its verdict", () => {
  const { line } = judgeAt(world, NOW);
  const places = placesOf("vouch test");
  assert.is(line.slice(places.at, places.at + 20), isoTime(NOW));
  assert.is(line.slice(places.word, places.word + 8), 'patched"');
});

test("a context's line says what holds of its release", () => {
  const { context } = fleetOf(world);
  const line = contextLine(openContext(context, questionAt(world, NOW)));
  assert.is(line.word, "verified");
  assert.is(line.recorded, isoTime(T0));
  assert.equal(line.approvers, ["alice (engineering)", "bob (quality)"]);
  assert.equal(parseAuditLine(utf8Encode(JSON.stringify(line))), { kind: "context", ...line });
});

// Worlds whose verdict changes as time goes by, each for another reason.
const late = { id: "A-9", affects: true, listed: false, late: true, created: T0 + LATE } as const;
const changing: readonly [string, World][] = [
  ["evidence and status grow old", world],
  ["evidence that no log holds", makeWorld({ logEvidence: false })],
  ["an advisory comes a day later", makeWorld({ advisories: [late] })],
  [
    "an advisory has a deadline",
    makeWorld({
      advisories: [{ id: "A-1", affects: true, listed: true, more: { deadline: isoTime(T0 + 2 * DAY) } }],
    }),
  ],
  ["support ends", makeWorld({ supportEnds: isoTime(T0 + 3 * DAY).slice(0, 10) })],
  [
    "an advisory is taken back",
    makeWorld({
      advisories: [
        {
          id: "A-2",
          affects: true,
          listed: true,
          approved: true,
          withdrawnBy: "approvers",
          withdrawnLate: true,
        },
      ],
    }),
  ],
];

/** Every moment at which something may change, the second before and the second after. */
function moments(w: World): number[] {
  const edges = [T0, T0 + 120, T0 + LATE, T0 + 2 * DAY, T0 - 300];
  const ages = [T0, T0 + 120, T0 - 300, T0 + LATE].flatMap((t) => [t + 7 * DAY, t + 30 * DAY]);
  const support =
    w.bundle === world.bundle ? [] : [secondsOf(`${isoTime(T0 + 3 * DAY).slice(0, 10)}T00:00:00Z`) + DAY];
  const all = [...edges, ...ages, ...support].flatMap((t) => [t, t - 300].flatMap((e) => [e - 1, e, e + 1]));
  return [...new Set([...all, NOW])]
    .filter((t) => t > T0 + LATE + 400 || t < T0 + 40 * DAY)
    .sort((a, b) => a - b);
}

for (const [name, w] of changing) {
  test(`two moments with one key have one outcome: ${name}`, () => {
    const seen = new Map<string, { at: number; line: string }>();
    const words = new Set<string>();
    const now = T0 + 60 * DAY;
    for (const at of moments(w)) {
      for (const row of [judgeAt(w, at), judgeAt(w, at, now)]) {
        const record = recordOf(row.line);
        words.add(row.word);
        if (record.reasons.some(({ code }) => TIMED.has(code))) continue; // judged again at every T
        const same = JSON.stringify({ ...record, at: "" });
        const before = seen.get(row.key);
        assert.is(before?.line ?? same, same, `${isoTime(at)} and ${isoTime(before?.at ?? 0)}`);
        seen.set(row.key, { at, line: same });
      }
    }
    assert.ok(words.size > 1, [...words].join());
    assert.ok(seen.size > 1 && seen.size < 2 * moments(w).length, `${seen.size} keys`);
  });
}

test("a patched device's key is another one once its evidence is too old", () => {
  const [young, old] = [judgeAt(world, NOW), judgeAt(world, T0 + 7 * DAY + 1)];
  assert.is(young.word, "patched");
  assert.is(old.word, "unproven");
  assert.is.not(young.key, old.key);
  assert.is(judgeAt(world, NOW + 60).key, young.key);
});

test("a key is of one policy, program, context and device", () => {
  const { context, line, item } = fleetOf(world);
  const question = questionAt(world, NOW);
  const keyOf = (bytes: Uint8Array, c: Context | null, q = question) => auditDevice(bytes, c, "x", q).key;
  const opened = openContext(context, question);
  const other = openContext(
    formatBundle({ ...makeWorld({ versions: ["2.4.2"] }).bundle, devices: [] }),
    question,
  );
  const keys = [
    keyOf(line, opened),
    keyOf(item, opened),
    keyOf(line, other),
    keyOf(line, null),
    keyOf(line, opened, { ...question, tool: "vouch next" }),
    keyOf(line, opened, { ...question, policy: { ...world.policy, digest: "00".repeat(32) } }),
  ];
  assert.is(new Set(keys).size, keys.length);
});

test("evidence of one release under another's context is never patched", () => {
  const [first, second] = makeWorld({ versions: ["2.4.1", "2.4.2"] }).bundles;
  const two = makeWorld({ versions: ["2.4.1", "2.4.2"] });
  const context = formatBundle({ ...first!, devices: [] });
  const digest = toHex(nodeCrypto.sha256(context));
  const line = formatDevice({ context: digest, ...second!.devices[0]! });
  const question = questionAt(two, NOW);
  const row = auditDevice(line, openContext(context, question), "x", question);
  assert.is(row.word, "refuted");
  assert.equal(
    recordOf(row.line).reasons.map(({ code }) => code),
    ["measurement-mismatch"],
  );
});

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

for (const [name, code, word, bend] of [
  ["no JSON", "malformed-json", "refuted", () => utf8Encode("{")],
  [
    "another version",
    "unsupported-version",
    "unproven",
    (l) => utf8Encode(text(l).replace("device/v1", "device/v2")),
  ],
  ["a space", "not-canonical-json", "refuted", (l) => utf8Encode(text(l).replace(",", ", "))],
  [
    "a key twice",
    "not-canonical-json",
    "refuted",
    (l) => utf8Encode(text(l).replace('"salt"', '"salt":"","salt"')),
  ],
  ["a key more", "malformed-device", "refuted", (l) => utf8Encode(text(l).replace(/}$/, ',"x":1}'))],
  ["too long", "too-large", "unproven", () => new Uint8Array(MAX_DEVICE + 1).fill(0x7b)],
  ["no CBOR", "cbor-truncated", "refuted", (_, i) => i.subarray(0, 100)],
  ["an array of seven", "malformed-device", "refuted", (_, i) => Uint8Array.of(0x87, ...i.subarray(1, -1))],
] as const satisfies readonly (readonly [
  string,
  string,
  string,
  (line: Uint8Array, item: Uint8Array) => Uint8Array,
])[]) {
  test(`a device that is ${name}: ${word}, and named by its place`, () => {
    const { context, line, item } = fleetOf(world);
    const question = questionAt(world, NOW);
    const bytes = bend(line, item);
    const named = contextOf(bytes) === null ? null : openContext(context, question);
    const row = auditDevice(bytes, named, "fleet.jsonl:17", question);
    const record = recordOf(row.line);
    const found = record.reasons.map((r) => r.code).filter((c) => c !== "context-missing");
    assert.is(
      found[0],
      name === "an array of seven" && found[0] === "cbor-trailing" ? "cbor-trailing" : code,
    );
    assert.is(row.word, word);
    assert.is(record.device, "fleet.jsonl:17");
  });
}

test("a device whose context was not given is unproven", () => {
  const row = auditDevice(fleetOf(world).line, null, "fleet:1", questionAt(world, NOW));
  assert.is(row.word, "unproven");
  assert.equal(
    recordOf(row.line).reasons.map(({ code }) => code),
    ["context-missing"],
  );
});

test("an image counts for the release that names it, and for no other", () => {
  const { context, line } = fleetOf(world);
  const strict = makeWorld({ policyLines: ["require-image"] });
  const question = { ...questionAt(strict, NOW), images: world.images };
  assert.is(auditDevice(line, openContext(context, question), "x", question).word, "patched");
  const none = { ...question, images: [] };
  assert.is(auditDevice(line, openContext(context, none), "x", none).word, "unproven");
  assert.is(
    appraise({ ...none, bundle: formatBundle(world.bundle), releaseOnly: false, handed: null }).word,
    "unproven",
  );
});

const rows = suite("rows of a committed fleet");

rows("every row of every tree up to 9 is good, and none with a bit bent", () => {
  const line = (i: number) => utf8Encode(`{"device":${i}}`);
  for (let size = 1; size <= 9; size++) {
    const salts = Array.from({ length: size }, (_, i) => new Uint8Array(16).fill(i));
    const reader = memoryReader(
      salts.map((salt, i) => rowLeaf(salt, line(i), nodeCrypto)),
      nodeCrypto,
    );
    const sha256 = toHex(rootOf(BigInt(size), reader, nodeCrypto));
    for (let i = 0; i < size; i++) {
      const proof = proveInclusion(BigInt(i), BigInt(size), reader, nodeCrypto);
      const row = {
        root: sha256,
        size: BigInt(size),
        index: BigInt(i),
        salt: salts[i]!,
        record: line(i),
        proof,
      };
      checkRow(parseRow(formatRow(row)), { sha256, size }, nodeCrypto);
      const bent = { ...row, record: line(i + 100) };
      assert.throws(() => checkRow(bent, { sha256, size }, nodeCrypto), refusal("inclusion-mismatch"));
      const salted = { ...row, salt: new Uint8Array(16).fill(99) };
      assert.throws(() => checkRow(salted, { sha256, size }, nodeCrypto), refusal("inclusion-mismatch"));
      assert.throws(() => checkRow(row, { sha256, size: size + 1 }, nodeCrypto), refusal("other-commitment"));
    }
  }
});

test.run();
rows.run();
