// From a log folder, some releases and what many devices showed, to a fleet file (shared/spec/fleet.md):
// one context a release, and one line a device with its proofs in the contexts' one head.
//
// Of the anchored checkpoints the contexts hold those that a status, a challenge or a logged evidence
// needs, as a bundle would. So devices are gone through twice: to see which those are, then to write.

import { type Bundle, formatBundle, MAX_KEYS } from "@vouch/shared/bundle";
import { toHex } from "@vouch/shared/bytes";
import { commitment, ENROLMENT_TAG, EVIDENCE_TAG } from "@vouch/shared/commitment";
import type { EnrolmentFile } from "@vouch/shared/companions";
import { parseEnvelope } from "@vouch/shared/dsse";
import { decodeEvidence } from "@vouch/shared/evidence";
import type { DeviceRecord } from "@vouch/shared/fleetform";
import { proveConsistency } from "@vouch/shared/merkle";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { parseStatement } from "@vouch/shared/statement";
import { nodeCrypto } from "../crypto";
import type { Anchor } from "./anchors";
import {
  advisoriesBeside,
  challengeAnchor,
  type DeviceFiles,
  enrolledKeyHash,
  firstHolding,
  keysBeside,
  type Log,
  larger,
  newestStatus,
  placeOf,
  prefixesOf,
  readLog,
  recordIn,
  walkFor,
} from "./bundling";

export interface FleetRelease {
  readonly release: Uint8Array;
  readonly manifest: Uint8Array;
}

export interface FleetDevice {
  readonly files: DeviceFiles;
  /** Null when nobody has one for its key. */
  readonly enrolment: EnrolmentFile | null;
}

export interface Fleet {
  /** Bundles without devices, in the order of the releases. */
  readonly contexts: readonly Uint8Array[];
  /** Each device in turn: its record, or why it has none. */
  devices(): Iterable<DeviceRecord | Refusal>;
}

/**
 * Refuses as making a bundle does where that is about the log or a release; what is wrong with one device is
 * its own. `devices` may be called several times. A device goes under the release whose manifest its evidence
 * names, else under the first one.
 */
export function makeFleet(
  logFolder: string,
  releases: readonly FleetRelease[],
  devices: () => Iterable<FleetDevice>,
): Fleet {
  const log = readLog(logFolder);
  const commitments = commitmentsOf(log);
  const stated = releases.map((parts) => placeRelease(log, parts));
  const needed = new Set<Anchor>(stated.map(({ status }) => firstHolding(log, status.index)));
  let head = stated.flatMap(({ records }) => records.map((i) => firstHolding(log, i))).reduce(larger);
  const enrolled = new Set<string>();
  for (const device of devices()) {
    const placed = orRefusal(() => placeDevice(log, commitments, device));
    if (isRefusal(placed)) continue;
    needed.add(placed.challenge);
    if (placed.logged !== null) needed.add(firstHolding(log, placed.logged));
    head = larger(head, firstHolding(log, placed.commitment));
    enrolled.add(placed.keySha256);
  }
  const keys = stated.map(({ status }) => keysFor(log, status, enrolled));
  head = [...needed, ...keys.flat().map((i) => firstHolding(log, i)), head].reduce(larger);
  needed.add(head);
  const record = recordIn(log, head);
  const checkpoints = [...needed].sort((a, b) => (a.size < b.size ? -1 : 1));
  const walk = walkFor(logFolder, checkpoints);
  const contexts = stated.map(({ manifest, index, status, advisories }, i) =>
    formatBundle({
      release: record(index),
      manifest,
      status: record(status.index),
      consistency: proveConsistency(BigInt(status.statement.logSize), head.size, log.hashReader, nodeCrypto),
      advisories: advisories.map(record),
      checkpoints: prefixesOf(log, checkpoints, head),
      devices: [],
      ...(walk === null ? {} : { walk }),
      ...(keys[i]?.length ? { keys: keys[i].map(record) } : {}),
    } satisfies Bundle),
  );
  const digests = contexts.map((context) => toHex(nodeCrypto.sha256(context)));
  const contextFor = (suitDigest: string | null) => {
    const known = stated.findIndex((release) => release.suitDigest === suitDigest);
    return digests[Math.max(0, known)] as string;
  };
  return {
    contexts,
    *devices() {
      for (const device of devices()) {
        yield orRefusal((): DeviceRecord => {
          const placed = placeDevice(log, commitments, device);
          const { files, enrolment } = placed;
          return {
            context: contextFor(placed.runs),
            evidence: files.evidence,
            challenge: {
              size: placed.challenge.size,
              ledger: files.challenge.ledger,
              random: files.challenge.random,
            },
            enrolment: enrolment.statement,
            salt: enrolment.salt,
            commitment: record(placed.commitment),
            logged:
              files.salt === null || placed.logged === null
                ? null
                : { salt: files.salt, record: record(placed.logged) },
          };
        });
      }
    },
  };
}

function orRefusal<T>(work: () => T): T | Refusal {
  try {
    return work();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error;
  }
}

function placeRelease(log: Log, { release, manifest }: FleetRelease) {
  const statement = parseStatement(parseEnvelope(release).payload);
  if (statement.kind !== "release")
    throw new Refusal("wrong-statement", `found a statement of kind ${statement.kind}, expected a release`);
  const index = placeOf(log, release, `release ${statement.product} ${statement.version}`);
  const status = newestStatus(log, statement.product, index);
  const advisories = advisoriesBeside(log, status);
  const { suitDigest } = statement;
  return { manifest, suitDigest, index, status, advisories, records: [index, status.index, ...advisories] };
}

/** Every change of a key, and the revocations of the fleet's devices. Refuses `too-large`. */
function keysFor(log: Log, status: Parameters<typeof keysBeside>[1], enrolled: ReadonlySet<string>) {
  const keys = keysBeside(log, status, enrolled);
  if (keys.length <= MAX_KEYS) return keys;
  throw new Refusal(
    "too-large",
    `${keys.length} records change or revoke keys of this fleet, a context holds at most ${MAX_KEYS}`,
    { hint: "collect the fleet in parts: revocations go only with their own devices" },
  );
}

/** Every salted commitment of the log, by what it says. */
const commitmentsOf = (log: Log): ReadonlyMap<string, bigint> =>
  new Map(
    log.statements.flatMap(({ index, statement: s }) =>
      s.kind === "enrolment-commitment" || s.kind === "evidence-commitment"
        ? [[`${s.kind} ${s.sha256}`, index] as const]
        : [],
    ),
  );

function placeDevice(log: Log, commitments: ReadonlyMap<string, bigint>, { files, enrolment }: FleetDevice) {
  if (enrolment === null)
    throw new Refusal("enrolment-missing", "no enrolment is given for the key that signed the evidence");
  const find = (kind: string, tag: string, salt: Uint8Array, bytes: Uint8Array) => {
    const sha256 = toHex(commitment(tag, salt, bytes, nodeCrypto));
    const index = commitments.get(`${kind} ${sha256}`);
    if (index !== undefined) return index;
    throw new Refusal("not-logged", `the ${kind} ${sha256.slice(0, 16)}… is no record of the log`);
  };
  const { claims } = decodeEvidence(files.evidence);
  return {
    files,
    enrolment,
    keySha256: toHex(enrolledKeyHash(enrolment)),
    runs: claims?.manifestDigest ? toHex(claims.manifestDigest) : null,
    challenge: challengeAnchor(log, files.challenge),
    commitment: find("enrolment-commitment", ENROLMENT_TAG, enrolment.salt, enrolment.statement),
    logged:
      files.salt === null ? null : find("evidence-commitment", EVIDENCE_TAG, files.salt, files.evidence),
  };
}
