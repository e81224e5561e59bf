// What the end-to-end tests of Tangles share: one network in two makes, the fake node and the real HORNET; makers, who are
// the built command as processes that can be killed; and a stranger who crawls the network from its last milestone.

import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { equalBytes } from "@vouch/shared/bytes";
import { portableCrypto } from "@vouch/shared/crypto";
import { type StardustProof, verifyStardustReceipt } from "@vouch/shared/stardust/proof";
import { formatTrust, makeTrust, rootOfTrust, type Trust } from "@vouch/shared/stardust/trust";
import { listAnchors } from "../src/log/anchors";
import { addToLog, initLog, openLog } from "../src/log/store";
import { type Ended, runVouch } from "./child";
import { hex, RAW, readBlock, unhex } from "./fake-blocks";
import { startFakeHornet } from "./fake-hornet";
import { newSigner, smallRecord } from "./maker-kit";

export interface NetworkOptions {
  readonly minPowScore?: number;
  readonly nodePow?: boolean;
  readonly networkName?: string;
  /** Milestones as far apart as a real network's: tips that are 15 milestones old are no good, and work takes time. */
  readonly unhurried?: boolean;
  /** The node may be killed: what is referenced comes back. */
  readonly keeper?: boolean;
}

export interface Network {
  readonly url: string;
  readonly poi: string;
  readonly where: string;
  readonly trust: Trust;
  readonly intervalMs: number;
  /** As SIGKILL does; nothing answers until `restart` resolves. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends it and deletes all it had. */
  stop(): Promise<void>;
}

interface Started extends Omit<Network, "trust"> {
  readonly trust: { network: string; threshold: number; keys: readonly string[] };
}

const trustOf = ({ trust: { network, threshold, keys } }: Started): Trust =>
  makeTrust({
    network,
    threshold,
    keys: keys.map((key) => ({ key: new Uint8Array(Buffer.from(key, "hex")), start: 0, end: 0 })),
  });

export type Start = (options?: NetworkOptions) => Promise<Network>;

/** Milestones fast enough that a test needn't wait, slow enough that each has work to do. */
export const startFake: Start = async ({ networkName = "vouch-tangle", unhurried, ...options } = {}) => {
  const started = await startFakeHornet({
    ...options,
    name: networkName,
    intervalMs: unhurried ? 1000 : 200,
  });
  return { ...started, trust: trustOf(started) };
};

const library = <T>(file: string): Promise<T> => import(pathToFileURL(resolve("scripts", file)).href);

/** Why the real programs can't be run, or undefined. */
export async function whyNotReal(): Promise<string | undefined> {
  const { findPrograms } = await library<{ findPrograms(): { why?: string } }>("tangle-programs.mjs");
  return findPrograms().why;
}

export const startReal: Start = async (options) => {
  const { startTangle } = await library<{ startTangle(options: object): Promise<Started> }>(
    "tangle-network.mjs",
  );
  const started = await startTangle({ ...options, intervalMs: 1000 });
  return { ...started, trust: trustOf(started) };
};

// ---- Makers

export interface Maker {
  readonly log: string;
  /** One more record: a new checkpoint. */
  grow(): Promise<void>;
  size(): bigint;
  /** `vouch anchor`, with JSON. */
  anchor(more?: readonly string[], started?: (child: ChildProcess) => void): Promise<Ended>;
  /** What a stranger finds proved, who has the trust file and no network. Throws for a receipt that isn't. */
  proved(): { size: bigint; note: Uint8Array; receipt: Uint8Array; proof: StardustProof }[];
}

/** A maker with a log of one record and a trust file. */
export async function makeMaker(folder: string, name: string, network: Network): Promise<Maker> {
  const log = join(folder, name);
  const signer = newSigner(`${name}.example`);
  await initLog(log, undefined, signer);
  const trustPath = join(folder, `${name}.trust`);
  writeFileSync(trustPath, formatTrust(network.trust));
  let records = 0;
  const grow = async () => {
    await addToLog(log, [await smallRecord(signer, ++records)], signer);
  };
  await grow();
  const roots = [rootOfTrust(network.trust, portableCrypto)];
  return {
    log,
    grow,
    size: () => openLog(log).size,
    anchor: (more = [], started) =>
      runVouch(
        folder,
        [
          ...["anchor", log, "--ledger", network.where, "--trust", trustPath],
          ...["--timeout", "120", "--yes", "--json", ...more],
        ],
        started,
      ),
    proved: () =>
      listAnchors(log).flatMap(({ size, note, receipts }) =>
        receipts.map(({ proof }) => ({
          size,
          note,
          receipt: proof,
          proof: verifyStardustReceipt(proof, note, portableCrypto, roots),
        })),
      ),
  };
}

export const newFolder = () => {
  const folder = mkdtempSync(join(tmpdir(), "vouch-e2e-"));
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
};

// ---- The network itself, as anybody sees it

const core = (network: Network, path: string, headers = {}) =>
  fetch(`${network.url}/api/core/v2/${path}`, { headers, signal: AbortSignal.timeout(10_000) });

/** The last milestone. */
export async function head(network: Network): Promise<{ index: number }> {
  const answer = await core(network, "info");
  const { status } = (await answer.json()) as { status: { confirmedMilestone: { index: number } } };
  return status.confirmedMilestone;
}

export const isKnown = async (network: Network, id: string) =>
  (await core(network, `blocks/${id}/metadata`)).status === 200;

export interface Seen {
  readonly id: string;
  readonly parents: readonly string[];
  /** What it carries, if that is tagged data. */
  readonly data: Uint8Array;
}

/** Every block below the last milestone. Throws for a hole. */
export async function crawl(network: Network): Promise<Seen[]> {
  const last = await core(network, `milestones/by-index/${(await head(network)).index}`);
  const found: Seen[] = [];
  const seen = new Set<string>([`0x${"00".repeat(32)}`]);
  const visit = [...((await last.json()) as { parents: string[] }).parents];
  for (let id = visit.pop(); id !== undefined; id = visit.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const answer = await core(network, `blocks/${id}`, { accept: RAW });
    if (answer.status !== 200) throw new Error(`block ${id}: HTTP status ${answer.status}`);
    const { parents, payload } = readBlock(Buffer.from(await answer.arrayBuffer()));
    found.push({ id, parents, data: payload?.type === 5 ? unhex(payload.data ?? "0x") : new Uint8Array() });
    visit.push(...parents);
  }
  return found;
}

/** How many referenced blocks carry exactly this note. */
export const carrying = (blocks: readonly { data: Uint8Array }[], note: Uint8Array) =>
  blocks.filter(({ data }) => equalBytes(data, note)).length;

/** Blocks all over the same tips, so that an idle network leaves most of them behind. */
export async function flood(network: Network, count: number): Promise<void> {
  const { tips } = (await (await core(network, "tips")).json()) as { tips: string[] };
  const send = (n: number) =>
    fetch(`${network.url}/api/core/v2/blocks`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        protocolVersion: 2,
        parents: tips,
        payload: { type: 5, tag: hex(Buffer.from("flood")), data: hex(Buffer.from(`${n}/${Math.random()}`)) },
        nonce: "0",
      }),
    });
  await Promise.all(Array.from({ length: count }, (_, n) => send(n)));
}
