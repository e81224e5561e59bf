// What the tests of IOTA's ledger share: a log, keys, the replay node, and the built command as a child that can be killed.

import type { ChildProcess } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { portableCrypto } from "@vouch/shared/crypto";
import { verifyRebasedReceipt } from "@vouch/shared/rebased/proof";
import { parseRoot } from "@vouch/shared/rebased/root";
import { makeRatchet } from "@vouch/shared/rebased/walk";
import { listAnchors } from "../src/log/anchors";
import { addToLog, initLog } from "../src/log/store";
import { readWalkFile } from "../src/log/walk";
import { type Ended, runVouch } from "./child";
import { newFolder, newSigner, saveSigner, smallRecord, type TestSigner } from "./maker-kit";
import { FIRST_EPOCH, rootAt } from "./replay-chain";
import { type ReplayNode, startReplayNode } from "./replay-node";

export const ROOT = rootAt(FIRST_EPOCH);

export interface Bench {
  readonly folder: string;
  readonly log: string;
  readonly node: ReplayNode;
  readonly logSigner: TestSigner;
  readonly payer: TestSigner;
  readonly payerKey: string;
  /** Files of that name, .key and .vkey, in the folder. */
  key(name: string): TestSigner;
  grow(n: number): Promise<unknown>;
  /** `vouch ARGS`, in the folder. `started` gets the process. */
  vouch(args: readonly string[], started?: (child: ChildProcess) => void): Promise<Ended>;
  /** Arguments of an anchor by the payer. */
  anchor(...more: string[]): string[];
  close(): Promise<void>;
}

export async function makeBench(): Promise<Bench> {
  const folder = newFolder("rebased");
  const log = join(folder, "log");
  const logSigner = newSigner("log.example");
  await initLog(log, undefined, logSigner);
  const node = await startReplayNode();
  const key = (name: string) => {
    const signer = newSigner(name);
    saveSigner(folder, signer);
    return signer;
  };
  const payer = key("payer");
  const payerKey = join(folder, "payer.key");
  return {
    folder,
    log,
    node,
    logSigner,
    payer,
    payerKey,
    key,
    grow: async (n) => addToLog(log, [await smallRecord(logSigner, n)], logSigner),
    vouch: (args, started) => runVouch(folder, args, started),
    anchor: (...more) => [
      "anchor",
      log,
      "--ledger",
      node.where,
      "--root",
      ROOT,
      "--ledger-key",
      payerKey,
      "--yes",
      ...more,
    ],
    close: async () => {
      await node.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What a stranger finds proved, from the simulated root alone: sizes of the log, and when. */
export function proveAll(log: string) {
  const walk = readWalkFile(log);
  if (walk === null) return [];
  const ratchet = makeRatchet(walk, [parseRoot(ROOT)], portableCrypto);
  return listAnchors(log).flatMap(({ size, note, receipts }) =>
    receipts.map(({ proof }) => ({ size, ...verifyRebasedReceipt(proof, note, ratchet, portableCrypto) })),
  );
}
