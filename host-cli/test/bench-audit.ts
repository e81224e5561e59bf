// The fleet, the peers and the store of scripts/bench-audit.mjs, which bundles this file and calls it:
//
//   fleet FOLDER N     a context and N devices with keys of their own: three signatures each to check
//   cose FILE SECONDS  @auth0/cose over the file's evidence, each with its key imported once
//   node FILE SECONDS  node:crypto alone over the same, as an audit asks it: two in three by a key at hand, one by a new one
//   postgres FILE      the record lines of a store's file into a real PostgreSQL

import { createPrivateKey, createPublicKey, randomBytes, sign, verify } from "node:crypto";
import { appendFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sign1 } from "@auth0/cose";
import { BEFORE_KEY } from "@vouch/shared/auditline";
import { formatBundle, type LogRecord } from "@vouch/shared/bundle";
import { concatBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { commitment, ENROLMENT_TAG } from "@vouch/shared/commitment";
import { decodeSign1, kidOf } from "@vouch/shared/cose";
import { parseEnvelope } from "@vouch/shared/dsse";
import { challengeNonce, encodeClaims, encodeEvidence, evidenceMessage } from "@vouch/shared/evidence";
import { formatDevice, parseDevice } from "@vouch/shared/fleetform";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { leafHash, memoryReader, proveConsistency, proveInclusion, rootOf } from "@vouch/shared/merkle";
import { parseStatement } from "@vouch/shared/statement";
import { encodeEnvelope, encodeManifest } from "@vouch/shared/suit";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, KEY_COSIGNATURE, KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import { checkpointNote, directoryReceipt, dsse, type Key } from "../../shared/test/world";
import { openPostgres } from "../src/audit/postgres";
import { nodeCrypto as crypto } from "../src/crypto";
import { freshKeyPair } from "../src/keys";
import { startCluster } from "./postgres-kit";

const CHUNK = 2000;

/** As freshKeyPair, whose DER takes longer to read than three signatures to make. */
function quickKeyPair() {
  const d = randomBytes(32).toString("base64url");
  const privateKey = createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", x: "", d }, format: "jwk" });
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return { privateKey, publicKey: new Uint8Array(Buffer.from(x, "base64url")) };
}

function newKey(name: string, type: typeof KEY_ED25519 | typeof KEY_COSIGNATURE = KEY_ED25519): Key {
  const { privateKey, publicKey } = freshKeyPair();
  return {
    vkey: makeVkey(name, type, publicKey, crypto),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

/** A fleet of `count`, and `more` further devices in a file of their own. */
function makeFleet(folder: string, count: number, more: number): void {
  const now = Math.floor(Date.now() / 1000) - 600;
  const created = isoTime(now - 60);
  const [alice, vendor, status, enroller, log] = ["alice", "vendor", "status", "enroller", "log.example"].map(
    (n) => newKey(n),
  ) as [Key, Key, Key, Key, Key];
  const ledger = newKey("ledger.example", KEY_COSIGNATURE);
  const app = randomBytes(1000);
  const manifest = {
    sequence: 7,
    floor: 5,
    version: "2.4.1",
    revisions: ["B"],
    vendorId: vendorIdOf("vendor", crypto),
    classId: classIdOf("pump", "P", crypto),
    digest: crypto.sha256(app),
    size: app.length,
  };
  const manifestBytes = encodeManifest(manifest);
  const kidOfKey = (key: Key) => kidOf(crypto.sha256(key.vkey.publicKey));
  const release = dsse(
    {
      kind: "release",
      subjects: [{ name: "app", sha256: toHex(manifest.digest) }],
      product: "pump",
      version: "2.4.1",
      securityVersion: 7,
      floor: 5,
      hardware: { model: "P", revisions: ["B"] },
      entry: { offset: 0, length: app.length },
      suitDigest: toHex(crypto.sha256(manifestBytes)),
      changeClass: "patch",
      created,
    },
    [alice],
  );
  const hashes = [leafHash(release, crypto)];
  const rootSha256 = toHex(rootOf(1n, memoryReader(hashes, crypto), crypto));
  const stated = dsse(
    {
      kind: "status",
      origin: "log.example",
      rootSha256,
      product: "pump",
      logSize: 1,
      advisories: [],
      withdrawn: [],
      created,
    },
    [status],
  );
  hashes.push(leafHash(stated, crypto));
  const devices = Array.from({ length: count + more }, (_, i) => {
    const key = quickKeyPair();
    const ueid = concatBytes([Uint8Array.of(1), new Uint8Array(randomBytes(16))]);
    const enrolment = dsse(
      {
        kind: "enrolment",
        product: "pump",
        model: "P",
        serial: `SN-${i}`,
        ueid: toHex(ueid),
        publicKey: key.publicKey,
        keyOrigin: "device",
        created,
      },
      [enroller],
    );
    const salt = new Uint8Array(randomBytes(16));
    const committed = dsse(
      {
        kind: "enrolment-commitment",
        sha256: toHex(commitment(ENROLMENT_TAG, salt, enrolment, crypto)),
        created,
      },
      [enroller],
    );
    hashes.push(leafHash(committed, crypto));
    return { ...key, ueid, enrolment, salt, committed };
  });
  const size = hashes.length;
  const reader = memoryReader(hashes, crypto);
  const note = checkpointNote(size, reader, log, [], now);
  const receipt = directoryReceipt([note], ledger, now);
  const record = (index: number, statement: Uint8Array): LogRecord => ({
    index: BigInt(index),
    statement,
    proof: proveInclusion(BigInt(index), BigInt(size), reader, crypto),
  });
  const context = formatBundle({
    release: record(0, release),
    manifest: encodeEnvelope(manifestBytes, crypto.sha256, kidOfKey(vendor), vendor.sign),
    status: record(1, stated),
    consistency: proveConsistency(1n, BigInt(size), reader, crypto),
    advisories: [],
    checkpoints: [{ note, consistency: [], receipts: [{ kind: "directory", proof: receipt }] }],
    devices: [],
  });
  writeFileSync(
    join(folder, "policy"),
    [
      `log ${formatVkey(log.vkey)}`,
      "quorum none",
      `approver alice quality ${formatVkey(alice.vkey)}`,
      "approve pump 1 quality",
      `vendor pump ${formatVkey(vendor.vkey)}`,
      `status ${formatVkey(status.vkey)}`,
      `enroller ${formatVkey(enroller.vkey)}`,
      `ledger directory ${formatVkey(ledger.vkey)}`,
      "max-age status 30d",
      "max-age evidence 7d",
      "",
    ].join("\n"),
  );
  writeFileSync(join(folder, "context.vouch.json"), context);
  const digest = toHex(crypto.sha256(context));
  let lines: Uint8Array[] = [];
  devices.forEach(({ privateKey, publicKey, ueid, enrolment, salt, committed }, i) => {
    const random = new Uint8Array(randomBytes(32));
    const nonce = challengeNonce(crypto.sha256, note, receipt, random);
    const claims = encodeClaims({
      nonce,
      ueid,
      hwmodel: utf8Encode("P"),
      hwversion: "B",
      uptime: i,
      dbgstat: 2,
      bootcount: 1,
      bootseed: new Uint8Array(16),
      components: [
        {
          name: "app",
          version: "2.4.1",
          digest: manifest.digest,
          regionLength: 2048,
          keyedDigest: crypto.sha256(nonce),
        },
      ],
      vendorKid: kidOfKey(vendor),
      floor: 5,
      sequence: 7,
      confirmed: true,
      manifestDigest: crypto.sha256(manifestBytes),
    });
    const evidence = encodeEvidence(
      claims,
      kidOf(crypto.sha256(publicKey)),
      (message) => new Uint8Array(sign(null, message, privateKey)),
    );
    lines.push(
      formatDevice({
        context: digest,
        evidence,
        challenge: { size: BigInt(size), ledger: "directory", random },
        enrolment,
        salt,
        commitment: record(2 + i, committed),
        logged: null,
      }),
      Buffer.from("\n"),
    );
    if (lines.length >= 2 * CHUNK || i === count - 1 || i === devices.length - 1) {
      appendFileSync(join(folder, i < count ? "fleet.jsonl" : "new.jsonl"), Buffer.concat(lines));
      lines = [];
    }
  });
}

/** A thousand devices' evidence, and the keys that signed it. */
function evidenceOf(file: string) {
  const text = readFileSync(file, "utf8").slice(0, 8_000_000).split("\n").slice(0, -1);
  return text.slice(0, 1000).map((line) => {
    const { evidence, enrolment } = parseDevice(utf8Encode(line));
    const statement = parseStatement(parseEnvelope(enrolment).payload);
    if (statement.kind !== "enrolment") throw new Error("no enrolment");
    const x = Buffer.from(statement.publicKey).toString("base64url");
    const jwk = { key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" } as const;
    return { evidence, jwk, key: createPublicKey(jwk) };
  });
}

interface Rate {
  readonly wall: number;
  readonly cpu: number;
}

/** Verifies a second by the clock on the wall and by the processor's, over and over for so long. */
async function rateOf<T>(
  each: readonly T[],
  seconds: number,
  work: (one: T) => Promise<void>,
): Promise<Rate> {
  const started = performance.now();
  const before = process.cpuUsage();
  let count = 0;
  while (performance.now() - started < seconds * 1000)
    for (const one of each) {
      await work(one);
      count++;
    }
  const { user, system } = process.cpuUsage(before);
  return {
    wall: (count * 1000) / (performance.now() - started),
    cpu: (count * 1_000_000) / (user + system),
  };
}

const coseRate = (file: string, seconds: number) =>
  rateOf(evidenceOf(file), seconds, async ({ evidence, key }) => {
    await Sign1.decode(evidence).verify(key);
  });

async function nodeRate(file: string, seconds: number): Promise<Rate> {
  const asked = evidenceOf(file).map(({ evidence, ...keys }) => {
    const sign1 = decodeSign1(evidence);
    return { ...keys, message: evidenceMessage(sign1), signature: sign1.signature };
  });
  const rate = await rateOf(asked, seconds, async ({ message, signature, key, jwk }) => {
    const good = [key, key, jwk].filter((by) => verify(null, message, by, signature));
    if (good.length !== 3) throw new Error("the fleet's evidence does not verify");
  });
  return { wall: 3 * rate.wall, cpu: 3 * rate.cpu };
}

/** Rows a second into an empty table, and found again a second. */
async function postgresRate(file: string): Promise<{ add: number; find: number } | string> {
  const cluster = await startCluster();
  if (typeof cluster === "string") return cluster;
  try {
    const rows = readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.startsWith('{"version":"vouch-audit-record'))
      .map((line) => ({ key: line.slice(BEFORE_KEY.length, BEFORE_KEY.length + 64), line }));
    const store = await openPostgres(cluster.url, process.env);
    const timed = async (work: (batch: typeof rows) => Promise<unknown>) => {
      const started = performance.now();
      for (let at = 0; at < rows.length; at += 128) await work(rows.slice(at, at + 128));
      return (rows.length * 1000) / (performance.now() - started);
    };
    const add = await timed((batch) => store.add(batch));
    const find = await timed((batch) => store.find(batch.map(({ key }) => key)));
    await store.close();
    return { add, find };
  } finally {
    cluster.stop();
  }
}

const [what, where = "", ...numbers] = process.argv.slice(2);
if (what === "fleet") makeFleet(where, Number(numbers[0]), Number(numbers[1]));
else if (what === "cose") console.log(JSON.stringify(await coseRate(where, Number(numbers[0]))));
else if (what === "node") console.log(JSON.stringify(await nodeRate(where, Number(numbers[0]))));
else if (what === "postgres") console.log(JSON.stringify(await postgresRate(where)));
