// vouch enrol against the real agent in memory: what is signed, when, and what
// is left behind when something goes wrong in between.

import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { commitment, ENROLMENT_TAG } from "@vouch/shared/commitment";
import { parseEnrolmentFile } from "@vouch/shared/companions";
import { openEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal } from "@vouch/shared/refusal";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import { decodeMessage, encodeFrame, encodeMessage, makeDeframer, pushBytes } from "@vouch/shared/smp";
import { parseStatement } from "@vouch/shared/statement";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type EnrolOptions, enrol } from "../src/commands/enrol";
import { nodeCrypto } from "../src/crypto";
import { type Link, withLink } from "../src/device/link";
import { enrolDevice, identify } from "../src/device/vouch";
import { statusOf } from "../src/exit";
import { type Bench, benchDevice, enroller, enrolPolicy, makeBench, nodeHash, wroteAnything } from "./bench";
import { type MemoryIo, memoryIo } from "./memory-io";

const suiteOf = suite("enrol");
let folder = "";

suiteOf.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "vouch-enrol-"));
});
suiteOf.after.each(() => rmSync(folder, { recursive: true, force: true }));

const NOW = 1767225600;

function run(bench: Bench, options: Partial<EnrolOptions> = {}, io: MemoryIo = memoryIo()) {
  const whole: EnrolOptions = {
    port: "bench",
    policy: enrolPolicy,
    signer: enroller,
    product: "pump",
    serial: "SN 1042",
    output: join(folder, "pump.enrolment"),
    yes: true,
    nowSeconds: NOW,
    link: bench.link,
    ...options,
  };
  return bench.clock.run(enrol(whole, io));
}

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  return assert.unreachable("it was not refused") as never;
}

const identityOf = (bench: Bench) =>
  bench.clock.run(withLink("bench", bench.link, (link) => identify(link.session)));

suiteOf(
  "the statement ties the device's key to the serial number, and the commitment to the statement",
  async () => {
    const bench = makeBench();
    const enrolled = await run(bench);
    assert.is(enrolled.result, "enrolled");
    assert.is(enrolled.keyOrigin, "device");
    const { salt, statement } = parseEnrolmentFile(readFileSync(enrolled.enrolment));
    const envelope = parseEnvelope(statement);
    assert.equal(openEnvelope(envelope, [enroller], nodeCrypto), [enroller]);
    const device = await identityOf(bench);
    assert.equal(parseStatement(envelope.payload), {
      kind: "enrolment",
      product: "pump",
      model: "PUMP-400",
      serial: "SN 1042",
      ueid: toHex(device.ueid!),
      publicKey: device.publicKey!,
      keyOrigin: "device",
      created: "2026-01-01T00:00:00Z",
    });
    const committed = parseStatement(parseEnvelope(readFileSync(enrolled.commitment)).payload);
    assert.is(committed.kind, "enrolment-commitment");
    const expected = toHex(commitment(ENROLMENT_TAG, salt, statement, nodeCrypto));
    assert.is("sha256" in committed ? committed.sha256 : "", expected);
    assert.is(device.enrolled, true);
    assert.is(statSync(enrolled.enrolment).mode & 0o777, 0o600);
  },
);

suiteOf("what goes to the log holds neither serial number nor device id nor key", async () => {
  const { commitment: path, ueid, kid } = await run(makeBench());
  const { payload } = parseEnvelope(readFileSync(path));
  const committed = parseStatement(payload);
  assert.equal(Object.keys(committed).sort(), ["created", "kind", "sha256"]);
  const digest = "sha256" in committed ? committed.sha256 : "";
  assert.match(digest, /^[0-9a-f]{64}$/);
  // Four digits are in one salted digest of a thousand by chance; they are looked for in all else.
  const text = Buffer.from(payload).toString("latin1").replace(digest, "");
  for (const secret of ["1042", ueid!, kid!, "PUMP"]) assert.not.ok(text.includes(secret), secret);
});

suiteOf("a board without randomness gets its key from the station, and the statement says so", async () => {
  const bench = makeBench(benchDevice({ random: null }));
  assert.is((await identityOf(bench)).ueid, null);
  assert.is((await run(bench)).keyOrigin, "station");
});

suiteOf("a key that somebody else seeded before is replaced by the station's", async () => {
  const bench = makeBench(benchDevice({ random: null }));
  const seed = nodeHash(Buffer.from("who came first"));
  const first = ({ session }: Link) => enrolDevice(session, nodeHash(seed), seed);
  await bench.clock.run(withLink("bench", bench.link, first));
  const { enrolment } = await run(bench);
  const statement = parseStatement(
    parseEnvelope(parseEnrolmentFile(readFileSync(enrolment)).statement).payload,
  );
  const enrolled = "publicKey" in statement ? toHex(statement.publicKey) : "";
  assert.is(enrolled, toHex((await identityOf(bench)).publicKey!));
  assert.is.not(enrolled, toHex(keyPairFromSeed(seed).publicKey));
});

suiteOf("a board that doesn't take the station's seed isn't enrolled", async () => {
  const bench = makeBench(benchDevice({ random: 9 }));
  const { open } = bench.line;
  // Says that it has no randomness, and makes a key of its own.
  const lying = async () => {
    const transport = await open();
    const onData: typeof transport.onData = (listener) => {
      const deframer = makeDeframer(4096);
      transport.onData((bytes) =>
        pushBytes(
          deframer,
          bytes,
          (message) => listener(altered(message)),
          () => {},
        ),
      );
    };
    return { ...transport, onData };
  };
  const refused = await refusal(run(bench, { link: { ...bench.link, open: lying } }));
  assert.is(refused.code, "enrol-other-key");
  assert.is(statusOf(refused), 20);
  assert.is((await identityOf(bench)).enrolled, false);
  assert.is(existsSync(join(folder, "pump.enrolment")), false);
});

function altered(message: Uint8Array): Uint8Array {
  const { header, body } = decodeMessage(message);
  assert.ok(header !== null && body !== null);
  const at = body.keys.indexOf("random");
  if (at >= 0) body.values[at] = false;
  return encodeFrame(encodeMessage(header, body));
}

suiteOf("an enrolled device is refused", async () => {
  const bench = makeBench();
  await run(bench);
  bench.line.sent.length = 0;
  const refused = await refusal(run(bench, { output: join(folder, "again.enrolment") }));
  assert.is(refused.code, "already-enrolled");
  assert.is(wroteAnything(bench.line), false);
  assert.is(existsSync(join(folder, "again.enrolment")), false);
});

suiteOf("when the device can't be told, the same command again goes on where it stopped", async () => {
  const bench = makeBench();
  const output = join(folder, "pump.enrolment");
  const { open } = bench.line;
  const cutWhenWritten = async () => {
    const transport = await open();
    const write = async (bytes: Uint8Array) => {
      if (existsSync(output)) throw new Error("the cable is out");
      await transport.write(bytes);
    };
    return { ...transport, write };
  };
  const refused = await refusal(run(bench, { link: { ...bench.link, open: cutWhenWritten } }));
  assert.is(refused.code, "device-closed");
  assert.is((await identityOf(bench)).enrolled, false);
  const before = readFileSync(output);
  assert.is((await run(bench)).result, "enrolled");
  assert.equal(readFileSync(output), before);
  assert.is((await identityOf(bench)).enrolled, true);
  assert.is((await run(bench)).result, "enrolled", "and once more is harmless");
});

suiteOf("a file that holds another device's enrolment is not overwritten", async () => {
  const bench = makeBench();
  await run(bench);
  const other = makeBench(benchDevice({ random: 7 }));
  const refused = await refusal(run(other));
  assert.is(refused.code, "exists");
  assert.is((await identityOf(other)).publicKey, null);
});

suiteOf("the commitment of the device before is not overwritten", async () => {
  const { enrolment, commitment: path } = await run(makeBench());
  const before = readFileSync(path);
  renameSync(enrolment, join(folder, "for the owner"));
  const next = makeBench(benchDevice({ random: 2 }));
  const refused = await refusal(run(next, { serial: "SN 1043" }));
  assert.is(refused.code, "exists");
  assert.is(wroteAnything(next.line), false);
  assert.equal(readFileSync(path), before);
});

suiteOf("a commitment that was lost is made again from the enrolment's salt", async () => {
  const bench = makeBench();
  const { enrolment, commitment: path } = await run(bench);
  rmSync(path);
  const { salt, statement } = parseEnrolmentFile(readFileSync(enrolment));
  assert.is((await run(bench, { nowSeconds: NOW + 60 })).result, "enrolled");
  const made = parseStatement(parseEnvelope(readFileSync(path)).payload);
  const expected = toHex(commitment(ENROLMENT_TAG, salt, statement, nodeCrypto));
  assert.is("sha256" in made ? made.sha256 : "", expected);
  writeFileSync(path, readFileSync(path).toString().replace("{", "["));
  assert.is((await refusal(run(bench))).code, "malformed-json", "something else of that name is left alone");
});

suiteOf("a file that is no enrolment is not overwritten", async () => {
  writeFileSync(join(folder, "pump.enrolment"), "notes");
  const refused = await refusal(run(makeBench()));
  assert.is(refused.code, "malformed-json");
  assert.is(readFileSync(join(folder, "pump.enrolment"), "utf8"), "notes");
});

const otherKey = keyPairFromSeed(nodeHash(Buffer.from("another enroller")));
const otherEnroller = {
  name: "other",
  publicKey: otherKey.publicKey,
  sign: async (message: Uint8Array) => signEd25519(otherKey.secretKey, message),
};
const otherVendor: Policy = {
  ...enrolPolicy,
  vendors: enrolPolicy.vendors.map(({ product, vkey }) => ({
    product,
    vkey: { ...vkey, publicKey: otherKey.publicKey },
  })),
};

for (const [name, code, status, options] of [
  ["an enroller the policy doesn't name", "not-an-enroller", 1, { signer: otherEnroller }],
  ["a product the policy doesn't name", "wrong-model", 20, { product: "monitor" }],
  ["another model than expected", "wrong-model", 20, { model: "PUMP-500" }],
  ["a device that boots by another vendor's key", "vendor-key-mismatch", 20, { policy: otherVendor }],
  ["a serial number that is no text", "malformed-statement", 1, { serial: "SN\u001b[2J" }],
] as [string, string, number, Partial<EnrolOptions>][]) {
  suiteOf(`refuses before the device is changed: ${name}`, async () => {
    const bench = makeBench();
    const refused = await refusal(run(bench, options));
    assert.is(refused.code, code, refused.message);
    assert.is(statusOf(refused), status);
    assert.is(wroteAnything(bench.line), false);
    assert.is(existsSync(join(folder, "pump.enrolment")), false);
  });
}

suiteOf("--dry-run and a no leave the device and the folder as they were", async () => {
  const bench = makeBench();
  assert.is((await run(bench, { dryRun: true, yes: false })).result, "would-enrol");
  const no = memoryIo({ tty: true, answers: ["n"] });
  assert.is((await refusal(run(bench, { yes: false }, no))).code, "declined");
  assert.is(wroteAnything(bench.line), false);
  assert.is(existsSync(join(folder, "pump.enrolment")), false);
});

suiteOf.run();
