// What the maker of `vouch demo --fleet` (demo-fleet.ts) does and keeps: keys, releases that two people approved,
// advisories, statuses, and the log and ledger they stand in; and the policy that names all of them.

import { randomBytes, sign } from "node:crypto";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import { kidOf } from "@vouch/shared/cose";
import { addSignature, formatEnvelope, IN_TOTO, pae } from "@vouch/shared/dsse";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { rootOf } from "@vouch/shared/merkle";
import { type AdvisoryStatement, formatStatement, type Statement } from "@vouch/shared/statement";
import { encodeEnvelope, encodeManifest, type Manifest } from "@vouch/shared/suit";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, KEY_COSIGNATURE, KEY_ED25519, makeVkey, type Vkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { signStatement } from "../endorse";
import { freshKeyPair } from "../keys";
import { openDirectoryLedger } from "../ledger/directory";
import { recordNote } from "../ledger/ledger";
import { storeAnchor } from "../log/anchors";
import type { FleetRelease } from "../log/fleet";
import { addToLog, openLog } from "../log/store";
import type { Signer } from "../signer";

export const PRODUCT = "pump-400";
export const MODEL = "PUMP-400";
export const DAY = 86400;
const IMAGE_BYTES = 4096;

interface Key extends Signer {
  readonly vkey: Vkey;
  /** For what signs many times. */
  readonly signNow: (message: Uint8Array) => Uint8Array;
}

export function newKey(name: string, type: typeof KEY_ED25519 | typeof KEY_COSIGNATURE = KEY_ED25519): Key {
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

export const kidOfKey = ({ publicKey }: Key) => kidOf(nodeCrypto.sha256(publicKey));
export const random = (size: number) => new Uint8Array(randomBytes(size));

export interface Released extends FleetRelease {
  readonly version: string;
  readonly app: Uint8Array;
  readonly manifestDigest: Uint8Array;
  readonly securityVersion: number;
}

export interface Enrolled {
  readonly key: Key;
  readonly ueid: Uint8Array;
  readonly statement: Uint8Array;
  readonly salt: Uint8Array;
}

/** Everything that the story's people keep while it is told. */
export class Fleet {
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

export function release(fleet: Fleet, version: string, securityVersion: number, time: number): void {
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

export const PROBLEMS: readonly Pick<AdvisoryStatement, "id" | "advisoryKind" | "summary" | "aliases">[] = [
  {
    id: "ACME-2026-01",
    advisoryKind: "security",
    summary: "a crafted rate table stops the motor without an alarm",
    aliases: ["CVE-2026-1234"],
  },
  { id: "ACME-2026-02", advisoryKind: "recall", summary: "the occlusion alarm may stay silent" },
];

export async function advise(fleet: Fleet, id: string, version: string, time: number): Promise<void> {
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
export async function stateStatus(fleet: Fleet, advisories: readonly Placed[], time: number): Promise<void> {
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

export interface Placed {
  readonly id: string;
  readonly index: number;
  readonly bytes: Uint8Array;
}
