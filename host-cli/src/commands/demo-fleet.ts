// vouch demo --fleet DIR: 200 simulated pumps, as an auditor is handed them. The maker, the log, the ledger and
// every device have keys of their own; all is signed for real, by the code that signs for real devices. Two
// things are simulated: the devices' memory, and the time, since a fleet's story takes ninety days:
//
//   day -90  releases 2.3.9 and 2.4.0; 199 devices enrolled      day -21  two devices attest, and then no more
//   day -60  releases 2.3.10 and 2.4.1                           day  -1  status; the others attest
//   day -50  an advisory on 2.3.9, a recall of 2.4.0
//
//   DIR/policy                whom the auditor trusts       DIR/log, DIR/ledger   public, as files
//   DIR/pump-400-V.vouch.json what holds of release V       DIR/WARD.jsonl        devices, a file an owner
//   DIR/stray.eat             one that nobody enrolled, with its challenge
//
// Thirteen are not patched: FAULTS below says which and why. The keys are forgotten at the end.

import { randomBytes, sign } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { concatBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { formatChallenge } from "@vouch/shared/companions";
import { kidOf } from "@vouch/shared/cose";
import { addSignature, formatEnvelope, IN_TOTO, pae } from "@vouch/shared/dsse";
import { type Claims, challengeNonce, encodeClaims, encodeEvidence } from "@vouch/shared/evidence";
import { formatDevice } from "@vouch/shared/fleetform";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { rootOf } from "@vouch/shared/merkle";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { type AdvisoryStatement, formatStatement, type Statement } from "@vouch/shared/statement";
import { encodeEnvelope, encodeManifest, type Manifest } from "@vouch/shared/suit";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, KEY_COSIGNATURE, KEY_ED25519, makeVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { commitTo, signStatement } from "../endorse";
import { makeFolder, writeWhole } from "../files";
import { freshKeyPair } from "../keys";
import { initDirectoryLedger, openDirectoryLedger } from "../ledger/directory";
import { recordNote } from "../ledger/ledger";
import { storeAnchor } from "../log/anchors";
import type { FleetDevice, FleetRelease } from "../log/fleet";
import { makeFleet } from "../log/fleet";
import { addToLog, initLog, openLog } from "../log/store";
import type { Signer } from "../signer";

const PRODUCT = "pump-400";
const MODEL = "PUMP-400";
const DAY = 86400;
const DEVICES = 200;
const IMAGE_BYTES = 4096;
const REGION_BYTES = 8192;
const WARDS = ["st-anne", "mercy", "lakeside", "north"];

/** What is the matter with a device, by its number. */
const FAULTS: Readonly<Record<number, Fault>> = {
  7: "old", // 2.3.9, which an advisory affects
  41: "old",
  88: "old",
  163: "old",
  23: "recalled", // 2.4.0
  120: "recalled",
  59: "altered", // 2.4.1 by name, other bytes
  72: "stale", // last attested three weeks ago
  145: "stale",
  97: "foreign", // enrolled by a station that the policy doesn't know
  131: "trial", // runs 2.4.1 on trial: falls back at the next reset
  178: "replayed", // an answer to another challenge
  200: "stray", // nobody enrolled it
};
type Fault = "old" | "recalled" | "altered" | "stale" | "foreign" | "trial" | "replayed" | "stray";

interface Key extends Signer {
  readonly vkey: Vkey;
  /** For what signs many times. */
  readonly signNow: (message: Uint8Array) => Uint8Array;
}

function newKey(name: string, type: typeof KEY_ED25519 | typeof KEY_COSIGNATURE = KEY_ED25519): Key {
  const { privateKey, publicKey: bytes } = freshKeyPair();
  const signNow = (message: Uint8Array) => new Uint8Array(sign(null, message, privateKey));
  return {
    name,
    publicKey: bytes,
    vkey: makeVkey(name, type, bytes, nodeCrypto),
    signNow,
    sign: async (message) => signNow(message),
  };
}

const kidOfKey = ({ publicKey }: Key) => kidOf(nodeCrypto.sha256(publicKey));
const random = (size: number) => new Uint8Array(randomBytes(size));

interface Released extends FleetRelease {
  readonly version: string;
  readonly app: Uint8Array;
  readonly manifestDigest: Uint8Array;
  readonly securityVersion: number;
}

interface Enrolled {
  readonly key: Key;
  readonly ueid: Uint8Array;
  readonly statement: Uint8Array;
  readonly salt: Uint8Array;
}

/** Everything that the story's people keep while it is told. */
class Fleet {
  readonly keys = {
    alice: newKey("alice"),
    bob: newKey("bob"),
    vendor: newKey("acme-vendor"),
    status: newKey("acme-status"),
    enroller: newKey("acme-enroller"),
    foreign: newKey("other-enroller"),
    log: newKey("fwlog.acme.example"),
    ledger: newKey("ledger.acme.example", KEY_COSIGNATURE),
  };
  readonly engine = random(IMAGE_BYTES);
  readonly releases = new Map<string, Released>();
  readonly enrolled = new Map<number, Enrolled>();
  private pending: Uint8Array[] = [];

  constructor(
    readonly folder: string,
    readonly now: number,
  ) {}

  get logFolder(): string {
    return join(this.folder, "log");
  }

  record(bytes: Uint8Array): void {
    this.pending.push(bytes);
  }

  /** Logs what is pending and anchors the checkpoint as of `time`. Gives the note and the receipt. */
  async anchor(time: number): Promise<{ note: Uint8Array; receipt: Uint8Array }> {
    if (this.pending.length > 0) await addToLog(this.logFolder, this.pending, this.keys.log);
    this.pending = [];
    const { note } = openLog(this.logFolder);
    const ledger = openDirectoryLedger(join(this.folder, "ledger"), this.keys.ledger);
    const { receipt } = await recordNote(ledger, note, this.keys.ledger, time);
    storeAnchor(this.logFolder, note, ledger.kind, receipt);
    return { note, receipt };
  }

  policy(): string {
    const { alice, bob, vendor, status, enroller, log, ledger } = this.keys;
    return [
      `log ${formatVkey(log.vkey)}`,
      "quorum none",
      `approver alice engineering ${formatVkey(alice.vkey)}`,
      `approver bob quality ${formatVkey(bob.vkey)}`,
      `approve ${PRODUCT} 2 quality`,
      `vendor ${PRODUCT} ${formatVkey(vendor.vkey)}`,
      `status ${formatVkey(status.vkey)}`,
      `enroller ${formatVkey(enroller.vkey)}`,
      `ledger directory ${formatVkey(ledger.vkey)}`,
      "max-age status 30d",
      "max-age evidence 7d",
      "",
    ].join("\n");
  }
}

function release(fleet: Fleet, version: string, securityVersion: number, time: number): void {
  const { vendor, alice, bob } = fleet.keys;
  const app = random(IMAGE_BYTES);
  const manifest: Manifest = {
    sequence: securityVersion,
    floor: securityVersion - 1,
    version,
    revisions: ["B"],
    vendorId: vendorIdOf(vendor.name, nodeCrypto),
    classId: classIdOf(PRODUCT, MODEL, nodeCrypto),
    digest: nodeCrypto.sha256(app),
    size: app.length,
  };
  const bytes = encodeManifest(manifest);
  const statement: Statement = {
    kind: "release",
    subjects: [
      { name: "app", sha256: toHex(manifest.digest) },
      { name: "engine", sha256: toHex(nodeCrypto.sha256(fleet.engine)) },
    ],
    product: PRODUCT,
    version,
    securityVersion,
    floor: manifest.floor,
    hardware: { model: MODEL, revisions: ["B"] },
    entry: { offset: 0, length: app.length },
    suitDigest: toHex(nodeCrypto.sha256(bytes)),
    changeClass: "patch",
    created: isoTime(time),
  };
  const envelope = approved(statement, [alice, bob]);
  const suit = encodeEnvelope(bytes, nodeCrypto.sha256, kidOfKey(vendor), vendor.signNow);
  const manifestDigest = nodeCrypto.sha256(bytes);
  fleet.releases.set(version, {
    version,
    app,
    manifestDigest,
    securityVersion,
    release: envelope,
    manifest: suit,
  });
  fleet.record(envelope);
}

function approved(statement: Statement, keys: readonly Key[]): Uint8Array {
  const payload = formatStatement(statement);
  const message = pae(IN_TOTO, payload);
  const start = { payloadType: IN_TOTO, payload, signatures: [] } as ReturnType<typeof addSignature>;
  return formatEnvelope(
    keys.reduce(
      (signed, key) => addSignature(signed, key.publicKey, key.signNow(message), nodeCrypto),
      start,
    ),
  );
}

async function enrol(fleet: Fleet, number: number, time: number): Promise<void> {
  const by = FAULTS[number] === "foreign" ? fleet.keys.foreign : fleet.keys.enroller;
  const key = newKey(`device-${number}`);
  const ueid = concatBytes([Uint8Array.of(1), random(16)]);
  const statement = await signStatement(
    {
      kind: "enrolment",
      product: PRODUCT,
      model: MODEL,
      serial: serialOf(number),
      ueid: toHex(ueid),
      publicKey: key.publicKey,
      keyOrigin: "device",
      created: isoTime(time),
    },
    by,
  );
  const commitment = await commitTo("enrolment", statement, by, time);
  fleet.enrolled.set(number, { key, ueid, statement, salt: commitment.salt });
  fleet.record(commitment.statement);
}

const serialOf = (number: number) => `SN-${String(1000 + number)}`;

const PROBLEMS: readonly Pick<AdvisoryStatement, "id" | "advisoryKind" | "summary" | "aliases">[] = [
  {
    id: "ACME-2026-01",
    advisoryKind: "security",
    summary: "a crafted rate table stops the motor without an alarm",
    aliases: ["CVE-2026-1234"],
  },
  { id: "ACME-2026-02", advisoryKind: "recall", summary: "the occlusion alarm may stay silent" },
];

async function advise(fleet: Fleet, id: string, version: string, time: number): Promise<void> {
  const problem = PROBLEMS.find((known) => known.id === id);
  const affected = fleet.releases.get(version);
  if (problem === undefined || affected === undefined)
    throw new Error(`the story knows no ${id}, ${version}`);
  const statement: AdvisoryStatement = {
    kind: "advisory",
    subjects: [{ name: "app", sha256: toHex(nodeCrypto.sha256(affected.app)) }],
    ...problem,
    product: PRODUCT,
    state: "affected",
    fixedVersions: ["2.3.10", "2.4.1"],
    created: isoTime(time),
    ...(problem.advisoryKind === "security" && { class: "regular", deadline: isoTime(time + 30 * DAY) }),
  };
  fleet.record(await signStatement(statement, fleet.keys.status));
}

/** What is in force: every advisory logged so far. */
async function stateStatus(fleet: Fleet, advisories: readonly Placed[], time: number): Promise<void> {
  const log = openLog(fleet.logFolder);
  const statement: Statement = {
    kind: "status",
    origin: log.checkpoint.origin,
    rootSha256: toHex(rootOf(log.size, log.hashReader, nodeCrypto)),
    product: PRODUCT,
    logSize: Number(log.size),
    advisories: advisories.map(({ id, index, bytes }) => ({
      id,
      index,
      sha256: toHex(nodeCrypto.sha256(bytes)),
    })),
    withdrawn: [],
    created: isoTime(time),
    newest: ["2.4.1"],
  };
  fleet.record(await signStatement(statement, fleet.keys.status));
}

interface Placed {
  readonly id: string;
  readonly index: number;
  readonly bytes: Uint8Array;
}

interface Dated {
  readonly note: Uint8Array;
  readonly receipt: Uint8Array;
}

/** The release that a device runs. One in ten of the good ones has the older line's backport. */
function runs(fleet: Fleet, number: number): Released {
  const fault = FAULTS[number];
  const version =
    fault === "old" ? "2.3.9" : fault === "recalled" ? "2.4.0" : number % 10 === 0 ? "2.3.10" : "2.4.1";
  return fleet.releases.get(fault === undefined || version !== "2.3.10" ? version : "2.4.1") as Released;
}

/** A device answers a challenge. */
function attest(fleet: Fleet, number: number, { note, receipt }: Dated, device: Enrolled) {
  const fault = FAULTS[number];
  const released = runs(fleet, number);
  const challenge = { checkpoint: note, ledger: "directory", receipt, random: random(32) };
  const asked = fault === "replayed" ? { ...challenge, random: random(32) } : challenge;
  const nonce = challengeNonce(nodeCrypto.sha256, note, receipt, asked.random);
  const app = released.app.slice();
  if (fault === "altered") app[100] = (app[100] as number) ^ 1;
  const component = (name: string, image: Uint8Array) => {
    const region = new Uint8Array(REGION_BYTES).fill(0xff);
    region.set(image);
    return {
      name,
      version: name === "app" ? released.version : "1.0.0",
      digest: nodeCrypto.sha256(image),
      regionLength: REGION_BYTES,
      keyedDigest: nodeCrypto.sha256(concatBytes([nonce, region])),
    };
  };
  const claims: Claims = {
    nonce,
    ueid: device.ueid,
    hwmodel: utf8Encode(MODEL),
    hwversion: "B",
    uptime: 3600 + number,
    dbgstat: number % 67 === 0 ? 0 : 2,
    bootcount: 3,
    bootseed: random(16),
    components: [component("engine", fleet.engine), component("app", app)],
    vendorKid: kidOfKey(fleet.keys.vendor),
    floor: released.securityVersion - 1,
    sequence: released.securityVersion,
    confirmed: fault !== "trial",
    manifestDigest: released.manifestDigest,
  };
  const evidence = encodeEvidence(encodeClaims(claims), kidOfKey(device.key), device.key.signNow);
  return { evidence, challenge };
}

/** Evidence, and its salted commitment for the log. */
async function attestAndLog(fleet: Fleet, number: number, dated: Dated, time: number): Promise<FleetDevice> {
  const device = fleet.enrolled.get(number) as Enrolled;
  const { evidence, challenge } = attest(fleet, number, dated, device);
  const commitment = await commitTo("evidence", evidence, fleet.keys.enroller, time);
  fleet.record(commitment.statement);
  const { statement, salt } = device;
  return { files: { evidence, challenge, salt: commitment.salt }, enrolment: { statement, salt } };
}

/** Plays the ninety days into a new folder. Refuses `exists`. `now` is Unix seconds. */
export async function makeDemoFleet(folder: string, now: number): Promise<{ devices: number }> {
  if (existsSync(folder) && readdirSync(folder).length > 0)
    throw new Refusal("exists", `${folder} is not empty`, { hint: "name a new folder" });
  makeFolder(folder);
  const fleet = new Fleet(folder, now);
  await initLog(fleet.logFolder, undefined, fleet.keys.log);
  await initDirectoryLedger(join(folder, "ledger"), undefined, fleet.keys.ledger, now - 91 * DAY);
  const evidence = await playStory(fleet);
  const numbers = [...evidence.keys()].sort((a, b) => a - b);
  const releases = ["2.4.1", "2.3.10", "2.4.0", "2.3.9"].map((v) => fleet.releases.get(v) as Released);
  const made = makeFleet(fleet.logFolder, releases, () => numbers.map((n) => evidence.get(n) as FleetDevice));
  const lines = [...made.devices()].map((record) => {
    if (isRefusal(record)) throw record;
    return Buffer.concat([formatDevice(record), Buffer.from("\n")]);
  });
  writeWhole(join(folder, "policy"), fleet.policy());
  made.contexts.forEach((context, i) => {
    writeWhole(join(folder, `${PRODUCT}-${releases[i]?.version}.vouch.json`), context);
  });
  WARDS.forEach((ward, i) => {
    const theirs = lines.filter((_, at) => at % WARDS.length === i);
    writeWhole(join(folder, `${ward}.jsonl`), Buffer.concat(theirs), { mode: 0o600 });
  });
  return { devices: DEVICES };
}

/** Everything up to now. Gives the devices by number; the stray one's files are written. */
async function playStory(fleet: Fleet): Promise<Map<number, FleetDevice>> {
  const day = (n: number) => fleet.now + n * DAY;
  release(fleet, "2.3.9", 5, day(-90));
  release(fleet, "2.4.0", 6, day(-90));
  for (let n = 1; n < DEVICES; n++) await enrol(fleet, n, day(-90));
  await fleet.anchor(day(-90));
  release(fleet, "2.3.10", 7, day(-60));
  release(fleet, "2.4.1", 8, day(-60));
  await fleet.anchor(day(-60));
  await advise(fleet, "ACME-2026-01", "2.3.9", day(-50));
  await advise(fleet, "ACME-2026-02", "2.4.0", day(-50));
  await fleet.anchor(day(-50));
  const log = openLog(fleet.logFolder);
  const advisories = PROBLEMS.map(({ id }, i): Placed => {
    const index = log.size - BigInt(PROBLEMS.length - i);
    return { id, index: Number(index), bytes: log.entry(index) };
  });
  const evidence = new Map<number, FleetDevice>();
  const attestAll = async (
    isTheirTurn: (fault: Fault | undefined) => boolean,
    dated: Dated,
    time: number,
  ) => {
    for (let n = 1; n < DEVICES; n++)
      if (isTheirTurn(FAULTS[n])) evidence.set(n, await attestAndLog(fleet, n, dated, time));
    await fleet.anchor(time);
  };
  await stateStatus(fleet, advisories, day(-21));
  const early = await fleet.anchor(day(-21));
  await attestAll((fault) => fault === "stale", early, day(-21) + 3600);
  await stateStatus(fleet, advisories, day(-1));
  const late = await fleet.anchor(day(-1));
  await attestAll((fault) => fault !== "stale", late, day(-1) + 3600);
  const stray: Enrolled = {
    key: newKey("stray"),
    ueid: concatBytes([Uint8Array.of(1), random(16)]),
    statement: new Uint8Array(0),
    salt: new Uint8Array(0),
  };
  const answer = attest(fleet, DEVICES, late, stray);
  writeWhole(join(fleet.folder, "stray.eat"), answer.evidence);
  writeWhole(join(fleet.folder, "stray.challenge"), formatChallenge(answer.challenge));
  return evidence;
}
