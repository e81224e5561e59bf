// What the tests of Tangles share: a log, the fake node, its trust file, and the built command as a child that can be killed.

import type { ChildProcess } from "node:child_process";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fromHex, toHex } from "@vouch/shared/bytes";
import { portableCrypto } from "@vouch/shared/crypto";
import { isRefusal } from "@vouch/shared/refusal";
import { type StardustProof, verifyStardustReceipt } from "@vouch/shared/stardust/proof";
import { formatTrust, makeTrust, rootOfTrust, type Trust } from "@vouch/shared/stardust/trust";
import { recordNote } from "../src/ledger/ledger";
import { parseTag } from "../src/ledger/stardust-draft";
import { openStardustLedger, type StardustOptions } from "../src/ledger/stardust-ledger";
import { parseWhere } from "../src/ledger/stardust-where";
import { listAnchors } from "../src/log/anchors";
import { addToLog, initLog } from "../src/log/store";
import { type Ended, runVouch } from "./child";
import { type FakeHornet, type FakeOptions, startFakeHornet } from "./fake-hornet";
import { newFolder, newSigner, smallRecord, type TestSigner } from "./maker-kit";

export const trustOf = ({ trust }: FakeHornet): Trust =>
  makeTrust({
    network: trust.network,
    threshold: trust.threshold,
    keys: trust.keys.map((key) => ({ key: fromHex(key)!, start: 0, end: 0 })),
  });

export interface Bench {
  readonly folder: string;
  readonly log: string;
  readonly node: FakeHornet;
  readonly trust: Trust;
  readonly trustFile: string;
  readonly logSigner: TestSigner;
  grow(n: number): Promise<unknown>;
  /** `vouch ARGS`, in the folder. `started` gets the process. */
  vouch(args: readonly string[], started?: (child: ChildProcess) => void): Promise<Ended>;
  /** Arguments of an anchor on the node. */
  anchor(...more: string[]): string[];
  /** All receipts beside the log, verified from the trust file alone. */
  proofs(): StardustProof[];
  /** What is left of drafts. */
  drafts(): string[];
  close(): Promise<void>;
}

export async function makeBench(options: FakeOptions = {}): Promise<Bench> {
  const folder = newFolder("stardust");
  const log = join(folder, "log");
  const logSigner = newSigner("log.example");
  await initLog(log, undefined, logSigner);
  const node = await startFakeHornet(options);
  const trust = trustOf(node);
  const trustFile = join(folder, "tangle.trust");
  writeFileSync(trustFile, formatTrust(trust));
  const roots = [rootOfTrust(trust, portableCrypto)];
  return {
    folder,
    log,
    node,
    trust,
    trustFile,
    logSigner,
    grow: async (n) => addToLog(log, [await smallRecord(logSigner, n)], logSigner),
    vouch: (args, started) => runVouch(folder, args, started),
    anchor: (...more) => ["anchor", log, "--ledger", node.where, "--trust", trustFile, "--yes", ...more],
    proofs: () =>
      listAnchors(log).flatMap(({ note, receipts }) =>
        receipts.map(({ proof }) => verifyStardustReceipt(proof, note, portableCrypto, roots)),
      ),
    drafts: () =>
      readdirSync(join(log, "anchors"), { recursive: true, encoding: "utf8" }).filter((name) =>
        /draft|over/.test(name),
      ),
    close: async () => {
      await node.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Blocks of the network that carry this note. */
export const carriers = (node: FakeHornet, note: Uint8Array): readonly string[] =>
  [...node.tangle.blocks.values()]
    .filter(({ bytes }) => bytes?.includes(Buffer.from(note)))
    .map(({ id }) => id);

// ---- In one process

export const NOTE = new TextEncoder().encode(
  `log.example\n1\n${"A".repeat(43)}=\n\n— log.example ${"A".repeat(91)}=\n`, // read and never verified here
);

export interface Setting {
  readonly node: FakeHornet;
  readonly drafts: Map<string, Uint8Array>;
  open(more?: Partial<StardustOptions>): ReturnType<typeof openStardustLedger>;
  record(more?: Partial<StardustOptions>): ReturnType<typeof recordNote>;
}

/** Our ledger in front of a fake node, with drafts in memory. */
export async function setting(
  options: FakeOptions,
  work: (setting: Setting) => Promise<void>,
): Promise<void> {
  const node = await startFakeHornet({ intervalMs: 100, ...options });
  const drafts = new Map<string, Uint8Array>();
  const store = {
    read: (note: Uint8Array) => drafts.get(toHex(note)) ?? null,
    write: (note: Uint8Array, draft: Uint8Array) => void drafts.set(toHex(note), draft),
    retire: (note: Uint8Array) => void drafts.delete(toHex(note)),
  };
  const open = (more: Partial<StardustOptions> = {}) =>
    openStardustLedger({
      where: parseWhere(node.where.slice("stardust:".length)),
      trust: trustOf(node),
      store,
      tag: parseTag("vouch/v1"),
      pow: "auto",
      timeoutMs: 60_000,
      ...more,
    });
  try {
    await work({ node, drafts, open, record: (more) => recordNote(open(more), NOTE, [], 0) });
  } finally {
    await node.stop();
  }
}

export const refusalOf = async (asked: Promise<unknown>) => {
  try {
    await asked;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  throw new Error("wasn't refused");
};

export async function urlOf(server: Server): Promise<URL> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}
