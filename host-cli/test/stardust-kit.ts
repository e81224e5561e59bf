// What the tests of Tangles share: a log, the fake node, its trust file, and the built command as a child that can be killed.

import type { ChildProcess } from "node:child_process";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fromHex } from "@vouch/shared/bytes";
import { portableCrypto } from "@vouch/shared/crypto";
import { type StardustProof, verifyStardustReceipt } from "@vouch/shared/stardust/proof";
import { formatTrust, makeTrust, rootOfTrust, type Trust } from "@vouch/shared/stardust/trust";
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
