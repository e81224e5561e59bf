// `vouch stream grant` and `revoke`, and the keys they are about, as files.

import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concatBytes } from "@vouch/shared/bytes";
import { formatReadersFile, parseReader, parseReadersFile, type Reader } from "@vouch/shared/readerkey";
import { linkOf, MODE_PRIVATE, MODE_RESTRICTED } from "@vouch/shared/stream";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, makeVkey } from "@vouch/shared/vkey";
import { coincidenceMessage, decodeCoincidence, encodeCoincidence, recorderKid } from "@vouch/shared/vstream";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deviceKey } from "../../shared/test/stream-kit";
import { RECORDER, recordedWorld } from "../../shared/test/stream-world";
import { T0 } from "../../shared/test/world";
import * as keygen from "../src/commands/keygen";
import * as stream from "../src/commands/stream";
import { nodeCrypto } from "../src/crypto";
import { run } from "../src/main";
import { memoryIo } from "./memory-io";
import { Recording } from "./stream-sample";

const grants = suite("stream grant");
const folder = mkdtempSync(join(tmpdir(), "vouch-grant-"));
grants.after(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string) => join(folder, name);

async function vouch(...args: string[]) {
  const io = memoryIo();
  const load = (verb: string) => (verb === "keygen" ? keygen : stream);
  await run(args, io, { version: "0.0.0-test", verbs: ["keygen", "stream"], load });
  return io;
}

async function ok(...args: string[]): Promise<string> {
  const io = await vouch(...args);
  assert.is(io.exitCode, 0, io.err());
  return io.out();
}

async function refused(code: string, ...args: string[]): Promise<void> {
  const io = await vouch(...args);
  assert.match(io.err(), new RegExp(`\\[${code}\\]`));
  assert.is.not(io.exitCode, 0);
  assert.is(io.out(), "");
}

async function newReader(name: string): Promise<Reader> {
  await ok("keygen", name, "--reader", "--plain", "-o", path(`${name}.key`));
  return parseReader(readFileSync(path(`${name}.reader`), "utf8").trimEnd());
}

let owner: Reader;
const file = path("pump.vstream");

grants.before(async () => {
  owner = await newReader("owner");
  await newReader("clinic");
  writeFileSync(file, recordedWorld({}, { mode: MODE_PRIVATE, readers: [owner.publicKey] }).file());
});

const asOwner = () => ["--reader-key", path("owner.key")];

/** The owner grants of `file` to the clinic. */
const granting = (...args: string[]) => [
  "stream",
  "grant",
  file,
  "--to",
  path("clinic.reader"),
  ...asOwner(),
  ...args,
];

/** What a reader's key and a grant open: frames and readings of each boot. */
async function opened(
  grant: string,
  key = "clinic",
): Promise<{ opened: number; unopened: number; boots: unknown[] }> {
  const args = ["--reader-key", path(`${key}.key`), "--grant", grant, "--json"];
  const io = await vouch("stream", "verify", file, ...args);
  assert.is(io.exitCode, 0, io.err());
  return JSON.parse(io.out());
}

grants("a reader's key is a file nobody else reads, and a line that names it", () => {
  assert.is(statSync(path("clinic.key")).mode & 0o777, 0o600);
  assert.match(readFileSync(path("clinic.reader"), "utf8"), /^clinic\+[0-9a-f]{16}\+[A-Za-z0-9+/]{43}=\n$/);
  assert.not.ok(existsSync(path("clinic.vkey")));
});

grants("frames by number: those open and no other, for that reader alone", async () => {
  const out = path("frames.grant");
  const text = await ok(...granting("--frames", "11-20", "-o", out));
  assert.is(text, "epoch 1: frames 11 to 20, for clinic\n");
  assert.is(statSync(out).mode & 0o777, 0o600);
  const got = await opened(out);
  // 18 is a checkpoint.
  assert.is(got.opened, 9);
  assert.is(got.unopened, 120 - 9);
  const io = await vouch("stream", "verify", file, "--reader-key", path("owner.key"), "--grant", out);
  assert.match(io.err(), /\[grant-other-reader\]/);
  await refused("exists", ...granting("--frames", "1-2", "-o", out));
});

grants("readings by time: ten seconds' worth is ten readings", async () => {
  const out = path("time.grant");
  const span = ["--since", isoTime(T0 + 210), "--until", isoTime(T0 + 220)];
  await ok(...granting(...span, "-o", out));
  assert.is((await opened(out)).opened, 10);
});

grants(
  "readings by a named recorder's time: what anybody else wrote moves no frame into the span",
  async () => {
    const world = recordedWorld({}, { mode: MODE_PRIVATE, readers: [owner.publicKey] });
    world.file();
    const said = decodeCoincidence(world.items[3]!);
    const moved = { ...said, micros: said.micros + 5e6 };
    const liar = deviceKey(55);
    const kid = recorderKid(liar.publicKey, nodeCrypto);
    world.items.splice(3, 0, encodeCoincidence(moved, kid, liar.sign(coincidenceMessage(moved, kid))));
    writeFileSync(path("moved.vstream"), concatBytes(world.items));
    const span = ["--since", isoTime(T0 + 210), "--until", isoTime(T0 + 220)];
    const partsOf = async (recording: string, name: string, ...more: string[]) => {
      const args = [
        "--to",
        path("clinic.reader"),
        ...asOwner(),
        ...span,
        ...more,
        "-o",
        path(name),
        "--json",
      ];
      return JSON.parse(await ok("stream", "grant", recording, ...args)).parts;
    };
    const right = await partsOf(file, "right.grant");
    const named = ["--recorder-key", formatVkey(makeVkey("gateway", 1, RECORDER.publicKey))];
    assert.equal(await partsOf(path("moved.vstream"), "named.grant", ...named), right);
    // Without a name, two say otherwise than each other: then nobody knows.
    const moved5 = ["--to", path("clinic.reader"), ...asOwner(), ...span, "-o", path("anybody.grant")];
    await refused("grant-range", "stream", "grant", path("moved.vstream"), ...moved5);
  },
);

grants(
  "readings by a clock that was set: of that boot nobody knows which they are, and no frame goes out",
  async () => {
    const world = recordedWorld({}, { mode: MODE_PRIVATE, readers: [owner.publicKey] });
    world.file();
    const said = decodeCoincidence(world.items[3]!);
    const early = { ...said, micros: said.micros - 3600e6 };
    world.items[3] = encodeCoincidence(early, said.kid, RECORDER.sign(coincidenceMessage(early, said.kid)));
    writeFileSync(path("set.vstream"), concatBytes(world.items));
    const of = (...span: string[]) => [
      ...["stream", "grant", path("set.vstream"), "--to", path("clinic.reader"), ...asOwner()],
      ...["--recorder-key", formatVkey(makeVkey("gateway", 1, RECORDER.publicKey)), "--dry-run", ...span],
    ];
    const hour = ["--since", isoTime(T0 - 3600 + 210), "--until", isoTime(T0 - 3600 + 220)];
    await refused("grant-range", ...of(...hour));
    const io = await vouch(...of("--since", isoTime(T0)));
    assert.match(io.err(), /^60 frames left out: nobody can say within a second when they were taken$/m);
    assert.match(io.out(), /^epoch 2: frames [0-9]+ to [0-9]+, for clinic\n$/);
  },
);

grants("from a moment on is to the end, also past the last coincidence", async () => {
  const world = recordedWorld({}, { mode: MODE_PRIVATE, readers: [owner.publicKey] });
  world.maker.frames.pop(); // its close
  world.maker.seq--;
  world.maker.prev = linkOf(world.maker.frames.at(-1)!);
  const rows = 10;
  for (let row = 0; row < rows; row++) world.maker.data();
  writeFileSync(path("on.vstream"), world.file());
  const args = [
    "--to",
    path("clinic.reader"),
    ...asOwner(),
    "--since",
    isoTime(T0 + 1000),
    "--dry-run",
    "--json",
  ];
  const { parts } = JSON.parse(await ok("stream", "grant", path("on.vstream"), ...args));
  assert.is(parts.at(-1).to, world.maker.seq - 1);
});

grants("the last minute before the end, of the boot that ran then", async () => {
  const out = path("minute.grant");
  const last = ["--minutes", "1"];
  const json = JSON.parse(await ok(...granting(...last, "-o", out, "--json")));
  assert.ok(json.parts.every((part: { epoch: number }) => part.epoch === 2));
  assert.is((await opened(out)).opened, 60);
});

grants("from a frame on: to the end of its epoch, and of those that follow in the recording", async () => {
  const out = path("from.grant");
  const text = await ok(...granting("--from", "60", "-o", out));
  assert.match(
    text,
    /^epoch 1: frame 60 and all after it, for clinic\nepoch 2: frame 128 and all after it, for clinic\n$/,
  );
});

for (const [name, code, args] of [
  ["frames past the end", "grant-range", ["--frames", "100-9999"]],
  ["a time before anything was taken", "grant-range", ["--until", isoTime(T0)]],
  ["nothing named", "usage", []],
  ["two ways of naming frames", "usage", ["--frames", "1-2", "--from", "3"]],
  ["frames named twice", "usage", ["--frames", "1-20", "--frames", "20-30"]],
] as const) {
  grants(`refuses: ${name}`, () => refused(code, ...granting(...args, "-o", path("no.grant"))));
}

grants("who isn't a reader can't grant, and no grant is made from a recording that was altered", async () => {
  const frames = ["--frames", "1-2", "-o", path("no.grant")];
  await refused(
    "stream-not-reader",
    "stream",
    "grant",
    file,
    "--to",
    path("clinic.reader"),
    "--reader-key",
    path("clinic.key"),
    ...frames,
  );
  const bent = readFileSync(file);
  bent[bent.length - 500]! ^= 1;
  writeFileSync(path("bent.vstream"), bent);
  const io = await vouch(
    "stream",
    "grant",
    path("bent.vstream"),
    "--to",
    path("clinic.reader"),
    ...asOwner(),
    ...frames,
  );
  assert.is(io.exitCode, 20);
  assert.not.ok(existsSync(path("no.grant")));
  await refused("unsupported-key", "stream", "verify", file, "--reader-key", await signingKey());
});

async function signingKey(): Promise<string> {
  await ok("keygen", "signer", "--plain", "-o", path("signer.key"));
  return path("signer.key");
}

grants("the readers of the next epoch: one more, one less, and never none", async () => {
  const readers = path("pump.readers.json");
  writeFileSync(readers, formatReadersFile({ mode: MODE_RESTRICTED, readers: [owner] }));
  const names = () => parseReadersFile(readFileSync(readers)).readers.map(({ name }) => name);
  await ok("stream", "grant", file, "--to", path("clinic.reader"), "--next", "--dry-run");
  assert.equal(names(), ["owner"]);
  await ok("stream", "grant", file, "--to", path("clinic.reader"), "--next");
  assert.equal(names(), ["owner", "clinic"]);
  await refused("reader-twice", "stream", "grant", file, "--to", path("clinic.reader"), "--next");
  await refused("reader-unknown", "stream", "revoke", file, "--reader", await stranger());
  await refused("reader-unknown", "stream", "revoke", file, "--reader", "nobody-of-that-name");
  await refused("private-key", "stream", "grant", file, "--to", path("clinic.key"), "--next");
  await refused("private-key", "stream", "revoke", file, "--reader", path("clinic.key"));
  const io = await vouch("stream", "revoke", file, "--reader", "clinic");
  assert.match(io.err(), /what was readable until then stays so/);
  assert.equal(names(), ["owner"]);
  await refused("reader-last", "stream", "revoke", readers, "--reader", path("owner.reader"));
});

grants("a stream that is closed has no next epoch, and whoever changes its readers is told", async () => {
  const over = path("over.vstream");
  writeFileSync(over, new Recording(owner.publicKey).seconds(5).closed());
  writeFileSync(path("over.readers.json"), formatReadersFile({ mode: MODE_RESTRICTED, readers: [owner] }));
  const granted = await vouch("stream", "grant", over, "--to", path("clinic.reader"), "--next");
  assert.match(granted.err(), /^but this recording's stream is closed: no epoch comes after/m);
  const revoked = await vouch("stream", "revoke", over, "--reader", "clinic");
  assert.match(revoked.err(), /^but this recording's stream is closed: no epoch comes after/m);
  assert.is(revoked.exitCode, 0);
  writeFileSync(over, new Recording(owner.publicKey).seconds(5).bytes());
  const open = await vouch("stream", "grant", over, "--to", path("clinic.reader"), "--next");
  assert.not.match(open.err(), /stream is closed/);
  assert.is(open.exitCode, 0);
});

grants("a private stream has one reader for good, and the refusal says what others are granted", async () => {
  writeFileSync(path("over.readers.json"), formatReadersFile({ mode: MODE_PRIVATE, readers: [owner] }));
  const io = await vouch("stream", "grant", path("over.vstream"), "--to", path("clinic.reader"), "--next");
  assert.match(io.err(), /\[too-many-readers\]\n.*hint: what was recorded is granted without --next/);
});

async function stranger(): Promise<string> {
  await newReader("stranger");
  return path("stranger.reader");
}

grants.run();
