// A whole maker, log, ledger and device in memory, from a seed: what the verifier's tests
// bend and break. Everything is signed for real; nothing here is a mock of a check.

import type { Bundle, BundledCheckpoint, LogRecord } from "@vouch/shared/bundle";
import { concatBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { formatCheckpoint } from "@vouch/shared/checkpoint";
import { commitment, ENROLMENT_TAG, EVIDENCE_TAG } from "@vouch/shared/commitment";
import { kidOf } from "@vouch/shared/cose";
import { cosignatureBytes, cosignedMessage } from "@vouch/shared/cosignature";
import { addSignature, formatEnvelope, IN_TOTO, pae } from "@vouch/shared/dsse";
import {
  type Claims,
  challengeNonce,
  EVIDENCE_PROFILE,
  encodeClaims,
  encodeEvidence,
} from "@vouch/shared/evidence";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import type { Image } from "@vouch/shared/measured";
import {
  type HashReader,
  leafHash,
  memoryReader,
  proveConsistency,
  proveInclusion,
  rootOf,
} from "@vouch/shared/merkle";
import { formatNote, signatureLine } from "@vouch/shared/note";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { formatProof } from "@vouch/shared/proof";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import { type AdvisoryStatement, formatStatement, type Statement } from "@vouch/shared/statement";
import { encodeEnvelope, encodeManifest, type Manifest } from "@vouch/shared/suit";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, KEY_COSIGNATURE, KEY_ED25519, makeVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto as crypto } from "../../host-cli/src/crypto";

export const T0 = 1_795_000_000; // the first anchor; the rest follows in minutes
export const NOW = T0 + 3600;
export const LATE = 86400; // when late advisories are anchored, seconds after T0

export interface Key {
  readonly vkey: Vkey;
  sign(message: Uint8Array): Uint8Array;
}

export interface AdvisoryWish {
  readonly id: string;
  readonly kind?: AdvisoryStatement["advisoryKind"];
  readonly state?: AdvisoryStatement["state"];
  /** What it calls the component; "app" unless said. */
  readonly component?: string;
  /** Names the released image; otherwise some other one. */
  readonly affects: boolean;
  /** Logged before the status and listed by it; otherwise logged after it. */
  readonly listed: boolean;
  /** Logged after everything else, and anchored a day later. */
  readonly late?: boolean;
  /** Unix seconds; ten minutes before the first anchor unless said. */
  readonly created?: number;
  /** What else it says, or says otherwise. */
  readonly more?: Partial<AdvisoryStatement>;
  /** Signed by alice and bob instead of the status key. */
  readonly approved?: boolean;
  /** Who signs a withdrawal of it, logged after the status. */
  readonly withdrawnBy?: "status" | "approvers";
  /** The withdrawal is logged after everything else, and anchored a day later. */
  readonly withdrawnLate?: boolean;
}

export interface WorldOptions {
  readonly seed?: string;
  readonly product?: string;
  /** Releases in the log; the n-th runs on the n-th device. One device each. */
  readonly versions?: readonly string[];
  readonly approve?: string;
  readonly approvers?: readonly string[];
  readonly advisories?: readonly AdvisoryWish[];
  readonly withdrawn?: boolean;
  /** What the status says is newest, and how long the release is supported. */
  readonly newest?: readonly string[];
  readonly supportEnds?: string;
  readonly witnesses?: number;
  readonly policyLines?: readonly string[];
  readonly dropPolicyLines?: RegExp;
  readonly claims?: Partial<Claims>;
  readonly logEvidence?: boolean;
  readonly device?: string;
  readonly statusCreated?: number;
  /** The role in the policy of carol, and who signs the status, when not a status key. */
  readonly carolRole?: string;
  readonly statusSigner?: string;
  /** The EAT profile, when not ours; the key that seals, when not the policy's. */
  readonly profile?: string;
  readonly sealer?: string;
  /** What the status speaks for, when not this log as it stood. */
  readonly statusSize?: number;
  readonly statusOrigin?: string;
  /** What ledgers give for the n-th anchored checkpoint; the directory of the policy unless said. The first counts in the nonce. */
  readonly receipts?: (note: Uint8Array, time: number, n: number) => BundledCheckpoint["receipts"];
  readonly walk?: Bundle["walk"];
}

export interface World {
  readonly policyText: string;
  readonly policy: Policy;
  /** The first release and its device. */
  readonly bundle: Bundle;
  /** One bundle a release, all from the same log. */
  readonly bundles: readonly Bundle[];
  readonly images: readonly Image[];
  readonly app: Uint8Array;
  readonly engine: Uint8Array;
}

/** The n-th key of a world; also what signs for it. */
export function keyOf(
  seed: string,
  name: string,
  type: typeof KEY_ED25519 | typeof KEY_COSIGNATURE = KEY_ED25519,
): Key {
  const pair = keyPairFromSeed(crypto.sha256(utf8Encode(`${seed}/${name}`)));
  return {
    vkey: makeVkey(name, type, pair.publicKey, crypto),
    sign: (message) => signEd25519(pair.secretKey, message),
  };
}

/** A statement in its envelope, signed by these keys. */
export function dsse(statement: Statement, signers: readonly Key[]): Uint8Array {
  const payload = formatStatement(statement);
  const message = pae(IN_TOTO, payload);
  const unsigned = { payloadType: IN_TOTO, payload, signatures: [] };
  const signed = signers.reduce(
    (envelope, key) => addSignature(envelope, key.vkey.publicKey, key.sign(message), crypto),
    unsigned as ReturnType<typeof addSignature>,
  );
  return formatEnvelope(signed);
}

/** A checkpoint of the first `size` leaves, cosigned by the witnesses. */
export function checkpointNote(
  size: number,
  reader: HashReader,
  log: Key,
  witnesses: readonly Key[],
  time: number,
): Uint8Array {
  const text = formatCheckpoint({
    origin: log.vkey.name,
    size: BigInt(size),
    root: rootOf(BigInt(size), reader, crypto),
  });
  return formatNote(text, [
    signatureLine(log.vkey.name, log.vkey.keyId, log.sign(utf8Encode(text))),
    ...witnesses.map((w) =>
      signatureLine(w.vkey.name, w.vkey.keyId, cosignatureBytes(time, w.sign(cosignedMessage(time, text)))),
    ),
  ]);
}

/** What a directory ledger answers for the last of these notes, recorded at `time`. */
export function directoryReceipt(notes: readonly Uint8Array[], ledger: Key, time: number): Uint8Array {
  const reader = memoryReader(
    notes.map((note) => leafHash(note, crypto)),
    crypto,
  );
  const size = BigInt(notes.length);
  const text = formatCheckpoint({ origin: ledger.vkey.name, size, root: rootOf(size, reader, crypto) });
  const signer = makeVkey(ledger.vkey.name, KEY_ED25519, ledger.vkey.publicKey, crypto);
  const checkpoint = formatNote(text, [
    signatureLine(signer.name, signer.keyId, ledger.sign(utf8Encode(text))),
    signatureLine(
      ledger.vkey.name,
      ledger.vkey.keyId,
      cosignatureBytes(time, ledger.sign(cosignedMessage(time, text))),
    ),
  ]);
  return formatProof({
    index: size - 1n,
    hashes: proveInclusion(size - 1n, size, reader, crypto),
    checkpoint,
  });
}

export function imageOf(component: string, bytes: Uint8Array): Image {
  return {
    component,
    size: bytes.length,
    sha256: crypto.sha256(bytes),
    keyed: (nonce, length) => crypto.sha256(concatBytes([nonce, padded(bytes, length)])),
  };
}

function padded(bytes: Uint8Array, length: number): Uint8Array {
  const region = new Uint8Array(length).fill(0xff);
  region.set(bytes);
  return region;
}

const fill = (text: string, length: number) => {
  const block = crypto.sha256(utf8Encode(text));
  return Uint8Array.from({ length }, (_, i) => block[i % 32]! ^ (i & 0xff));
};

/** Builds the world. Same options, same bytes. */
export function makeWorld(options: WorldOptions = {}): World {
  const seed = options.seed ?? "acme";
  const product = options.product ?? "pump-400";
  const versions = options.versions ?? ["2.4.1"];
  const key = (name: string) => keyOf(seed, `${seed}.example/${name}`);
  const log = key("log");
  const ledger = keyOf(seed, `${seed}.example/ledger`, KEY_COSIGNATURE);
  const witnesses = Array.from({ length: options.witnesses ?? 0 }, (_, i) =>
    keyOf(seed, `${seed}.example/w${i}`, KEY_COSIGNATURE),
  );
  const [alice, bob, carol] = [key("alice"), key("bob"), key("carol")];
  const [vendor, status, enroller] = [key("vendor"), key("status"), key("enroller")];
  const policyText = [
    `log ${formatVkey(log.vkey)}`,
    ...witnesses.map((w, i) => `witness w${i} ${formatVkey(w.vkey)}`),
    ...(witnesses.length > 0
      ? [`group all all ${witnesses.map((_, i) => `w${i}`).join(" ")}`, "quorum all"]
      : ["quorum none"]),
    `approver alice engineering ${formatVkey(alice.vkey)}`,
    `approver bob quality ${formatVkey(bob.vkey)}`,
    `approver carol ${options.carolRole ?? "security"} ${formatVkey(carol.vkey)}`,
    options.approve ?? `approve ${product} 2 quality`,
    `vendor ${product} ${formatVkey(vendor.vkey)}`,
    `status ${formatVkey(status.vkey)}`,
    `enroller ${formatVkey(enroller.vkey)}`,
    `ledger directory ${formatVkey(ledger.vkey)}`,
    "max-age status 30d",
    "max-age evidence 7d",
  ]
    .filter((line) => options.dropPolicyLines?.test(line) !== true)
    .concat(options.policyLines ?? [])
    .map((line) => `${line}\n`)
    .join("");

  const maker: Maker = {
    key,
    options,
    seed,
    product,
    log,
    ledger,
    witnesses,
    vendor,
    status,
    enroller,
    leaves: [],
  };
  const named: Readonly<Record<string, Key>> = { alice, bob, carol };
  const approvers = (options.approvers ?? ["alice", "bob"]).map((name) => named[name]!);
  const byVersion = new Map([...new Set(versions)].map((v) => [v, logRelease(maker, v, approvers)]));
  const releases = versions.map((version) => byVersion.get(version)!);
  const { status: statusIndex, advisories, withdrawnLate } = logStatus(maker, releases[0]!);
  const enrolled = versions.map((_, i) => logEnrolment(maker, `${options.device ?? "sn"}${i}`));

  const challenged = checkpointNow(maker, T0);
  const receiptsFor =
    options.receipts ??
    ((_note, time, n) => [
      { kind: "directory", proof: directoryReceipt(notes.slice(0, n + 1), ledger, time) },
    ]);
  const notes = [challenged.note];
  const [dating] = receiptsFor(challenged.note, T0, 0);
  const dated = { note: challenged.note, receipt: dating!.proof };
  const evidence = enrolled.map((device, i) => logEvidence(maker, device, releases[i]!, dated));
  const stages = [challenged];
  if (options.logEvidence !== false) stages.push(checkpointNow(maker, T0 + 120));
  const late = (options.advisories ?? []).filter((wish) => wish.late === true);
  const lateRecords = [
    ...late.map((wish) => logAdvisory(maker, releases[0]!, wish)),
    ...withdrawnLate.map(({ wish, index }) => logWithdrawal(maker, index, wish)),
  ];
  if (lateRecords.length > 0) stages.push(checkpointNow(maker, T0 + LATE));
  const head = stages[stages.length - 1]!;
  const reader = readerOf(maker);
  const record = (index: number): LogRecord => ({
    index: BigInt(index),
    statement: maker.leaves[index]!,
    proof: proveInclusion(BigInt(index), head.size, reader, crypto),
  });
  notes.push(...stages.slice(1).map((stage) => stage.note));
  const checkpoints = stages.map(
    (stage, i): BundledCheckpoint => ({
      note: stage.note,
      consistency: proveConsistency(stage.size, head.size, reader, crypto),
      receipts: receiptsFor(stage.note, stage.time, i),
    }),
  );
  const bundles = releases.map(
    (release, i): Bundle => ({
      release: record(release.index),
      manifest: release.suit,
      status: record(statusIndex.index),
      consistency: proveConsistency(BigInt(statusIndex.logSize), head.size, reader, crypto),
      advisories: [...advisories, ...lateRecords].map(record),
      checkpoints,
      devices: [
        {
          evidence: evidence[i]!.bytes,
          challenge: { size: challenged.size, ledger: dating!.kind, random: evidence[i]!.random },
          enrolment: enrolled[i]!.statement,
          salt: enrolled[i]!.salt,
          commitment: record(enrolled[i]!.index),
          logged:
            evidence[i]!.index === null
              ? null
              : { salt: evidence[i]!.salt, record: record(evidence[i]!.index!) },
        },
      ],
      ...(options.walk === undefined ? {} : { walk: options.walk }),
    }),
  );
  return {
    policyText,
    policy: parsePolicy(utf8Encode(policyText), crypto),
    bundle: bundles[0]!,
    bundles,
    app: releases[0]!.app,
    engine: engineOf(seed),
    images: [imageOf("app", releases[0]!.app), imageOf("engine", engineOf(seed))],
  };
}

interface Maker {
  key(name: string): Key;
  readonly options: WorldOptions;
  readonly seed: string;
  readonly product: string;
  readonly log: Key;
  readonly ledger: Key;
  readonly witnesses: readonly Key[];
  readonly vendor: Key;
  readonly status: Key;
  readonly enroller: Key;
  readonly leaves: Uint8Array[];
}

const CREATED = isoTime(T0 - 600);
const MODEL = "PUMP-400";
const engineOf = (seed: string) => fill(`${seed} engine`, 700);
const add = (maker: Maker, leaf: Uint8Array) => maker.leaves.push(leaf) - 1;
const readerOf = (maker: Maker) =>
  memoryReader(
    maker.leaves.map((leaf) => leafHash(leaf, crypto)),
    crypto,
  );

function checkpointNow(maker: Maker, time: number) {
  const size = maker.leaves.length;
  return {
    time,
    size: BigInt(size),
    note: checkpointNote(size, readerOf(maker), maker.log, maker.witnesses, time),
  };
}

function logRelease(maker: Maker, version: string, approvers: readonly Key[]) {
  const { seed, product, vendor } = maker;
  const app = fill(`${seed} ${product} ${version} app`, 1000);
  const manifest: Manifest = {
    sequence: 7,
    floor: 5,
    version,
    revisions: ["B", "C"],
    vendorId: vendorIdOf(vendor.vkey.name, crypto),
    classId: classIdOf(product, MODEL, crypto),
    digest: crypto.sha256(app),
    size: app.length,
  };
  const manifestBytes = encodeManifest(manifest);
  const statement = dsse(
    {
      kind: "release",
      subjects: [
        { name: "app", sha256: toHex(manifest.digest) },
        { name: "engine", sha256: toHex(crypto.sha256(engineOf(seed))) },
      ],
      product,
      version,
      securityVersion: manifest.sequence,
      floor: manifest.floor,
      hardware: { model: MODEL, revisions: ["B", "C"] },
      entry: { offset: 0, length: app.length },
      suitDigest: toHex(crypto.sha256(manifestBytes)),
      changeClass: "patch",
      created: CREATED,
      ...(maker.options.supportEnds !== undefined && { supportEnds: maker.options.supportEnds }),
    },
    approvers,
  );
  const sealer = maker.options.sealer === undefined ? vendor : maker.key(maker.options.sealer);
  const suit = encodeEnvelope(manifestBytes, crypto.sha256, kidOfKey(sealer), sealer.sign);
  return { app, manifest, manifestBytes, suit, index: add(maker, statement) };
}

const kidOfKey = (key: Key) => kidOf(crypto.sha256(key.vkey.publicKey));

function logAdvisory(maker: Maker, release: { readonly manifest: Manifest }, wish: AdvisoryWish): number {
  const statement = dsse(
    {
      kind: "advisory",
      subjects: [
        {
          name: wish.component ?? "app",
          sha256: wish.affects ? toHex(release.manifest.digest) : "ab".repeat(32),
        },
      ],
      id: wish.id,
      product: maker.product,
      advisoryKind: wish.kind ?? "security",
      state: wish.state ?? "affected",
      fixedVersions: ["9.9.9"],
      summary: "the flow sensor can be misread",
      created: wish.created === undefined ? CREATED : isoTime(wish.created),
      ...wish.more,
    },
    wish.approved === true ? approversOf(maker) : [maker.status],
  );
  return add(maker, statement);
}

const approversOf = (maker: Maker) => [maker.key("alice"), maker.key("bob")];

function logWithdrawal(maker: Maker, index: number, { id, withdrawnBy }: AdvisoryWish): number {
  const statement = dsse(
    {
      kind: "advisory-withdrawal",
      records: [toHex(crypto.sha256(maker.leaves[index]!))],
      id,
      product: maker.product,
      reason: "it was another pump",
      created: CREATED,
    },
    withdrawnBy === "approvers" ? approversOf(maker) : [maker.status],
  );
  return add(maker, statement);
}

/** The advisories wished for and the status between them. */
function logStatus(maker: Maker, release: { readonly manifest: Manifest }) {
  const { options, product, log, leaves } = maker;
  const app = toHex(release.manifest.digest);
  const advisory = (wish: AdvisoryWish) => logAdvisory(maker, release, wish);
  const wishes = (options.advisories ?? []).filter((wish) => wish.late !== true);
  const listed = wishes.filter((w) => w.listed).map((w) => ({ wish: w, id: w.id, index: advisory(w) }));
  const logSize = options.statusSize ?? leaves.length;
  const signer = options.statusSigner === undefined ? maker.status : maker.key(options.statusSigner);
  const statement = dsse(
    {
      kind: "status",
      origin: options.statusOrigin ?? log.vkey.name,
      rootSha256: toHex(rootOf(BigInt(logSize), readerOf(maker), crypto)),
      product,
      logSize,
      advisories: listed
        .map(({ id, index }) => ({ id, index, sha256: toHex(crypto.sha256(leaves[index]!)) }))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
      withdrawn: options.withdrawn === true ? [{ sha256: app, reason: "bricks rev B boards" }] : [],
      created: isoTime(options.statusCreated ?? T0 - 300),
      ...(options.newest && { newest: options.newest }),
    },
    [signer],
  );
  const status = { index: add(maker, statement), logSize };
  const later = wishes.filter((w) => !w.listed).map((wish) => ({ wish, index: advisory(wish) }));
  const all = [...listed, ...later];
  const withdrawals = all
    .filter(({ wish }) => wish.withdrawnBy !== undefined && wish.withdrawnLate !== true)
    .map(({ wish, index }) => logWithdrawal(maker, index, wish));
  const withdrawnLate = all.filter(({ wish }) => wish.withdrawnLate === true);
  return { status, advisories: [...all.map(({ index }) => index), ...withdrawals], withdrawnLate };
}

function logEnrolment(maker: Maker, name: string) {
  const { seed, product, enroller } = maker;
  const key = keyOf(seed, `${seed}.example/${name}`);
  const ueid = concatBytes([Uint8Array.of(1), fill(`${seed} ueid ${name}`, 16)]);
  const statement = dsse(
    {
      kind: "enrolment",
      product,
      model: MODEL,
      serial: `SN-${name}`,
      ueid: toHex(ueid),
      publicKey: key.vkey.publicKey,
      keyOrigin: "device",
      created: CREATED,
    },
    [enroller],
  );
  const salt = fill(`${seed} salt ${name}`, 16);
  const sha256 = toHex(commitment(ENROLMENT_TAG, salt, statement, crypto));
  const index = add(maker, dsse({ kind: "enrolment-commitment", sha256, created: CREATED }, [enroller]));
  return { name, key, ueid, statement, salt, index };
}

/** The claims under another profile, which an encoder of ours never writes. */
function withProfile(claims: Uint8Array, profile: string | undefined): Uint8Array {
  if (profile === undefined) return claims;
  const text = Buffer.from(claims).toString("latin1").replace(EVIDENCE_PROFILE, profile);
  return new Uint8Array(Buffer.from(text, "latin1"));
}

type Enrolled = ReturnType<typeof logEnrolment>;
type Logged = ReturnType<typeof logRelease>;

/** Evidence of the device over a nonce that this receipt dates, and its place in the log if it gets one. */
function logEvidence(
  maker: Maker,
  device: Enrolled,
  release: Logged,
  { note, receipt }: { readonly note: Uint8Array; readonly receipt: Uint8Array },
) {
  const { options, seed, vendor, enroller } = maker;
  const engine = engineOf(seed);
  const random = fill(`${seed} random ${device.name}`, 32);
  const nonce = challengeNonce(crypto.sha256, note, receipt, random);
  const component = (name: string, image: Uint8Array, regionLength: number) => ({
    name,
    version: "1.0.0",
    digest: crypto.sha256(image),
    regionLength,
    keyedDigest: crypto.sha256(concatBytes([nonce, padded(image, regionLength)])),
  });
  const claims: Claims = {
    nonce,
    ueid: device.ueid,
    hwmodel: utf8Encode(MODEL),
    hwversion: "B",
    uptime: 4000,
    dbgstat: 2,
    bootcount: 3,
    bootseed: fill("boot", 16),
    components: [component("engine", engine, 1024), component("app", release.app, 2048)],
    vendorKid: kidOfKey(vendor),
    floor: 5,
    sequence: 7,
    confirmed: true,
    manifestDigest: crypto.sha256(release.manifestBytes),
    ...options.claims,
  };
  const bytes = encodeEvidence(
    withProfile(encodeClaims(claims), options.profile),
    kidOfKey(device.key),
    device.key.sign,
  );
  const salt = fill(`${seed} evidence salt ${device.name}`, 16);
  if (options.logEvidence === false) return { bytes, random, salt, index: null };
  const sha256 = toHex(commitment(EVIDENCE_TAG, salt, bytes, crypto));
  const statement = dsse({ kind: "evidence-commitment", sha256, created: isoTime(T0 + 60) }, [enroller]);
  return { bytes, random, salt, index: add(maker, statement) };
}
