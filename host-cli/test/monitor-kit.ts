// Logs for monitors to watch: the real one and the one that an attacker with its key shows to others, both kept as
// they were at every size; and a monitor that runs in this process, on a clock of its own.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { utf8Encode } from "@vouch/shared/bytes";
import { cosignatureBytes, cosignedMessage } from "@vouch/shared/cosignature";
import { formatNote, parseNote, signatureLine } from "@vouch/shared/note";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { formatVkey, KEY_COSIGNATURE, makeVkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../src/crypto";
import { addToLog, initLog } from "../src/log/store";
import { type MonitorOptions, monitorPass, type Pass } from "../src/monitor/pass";
import { type MonitorState, openMonitorState } from "../src/monitor/state";
import { NOON, newFolder, newSigner, smallRecord, type TestSigner } from "./maker-kit";

export const LOG_NAME = "log.example";
export const logSigner = newSigner(LOG_NAME);
export const station = newSigner("station");
export const ledgerKey = newSigner("ledger.example");

/** In memory where there is such a place: a monitor flushes much, and these tests run thousands of them. */
export const fastFolder = (name: string): string =>
  existsSync("/dev/shm") ? mkdtempSync(`/dev/shm/vouch-${name}-`) : newFolder(name);

/** Records that only an enroller may make; the n-th of a history. */
export const recordOf = (history: number, n: number) => smallRecord(station, 10_000 * history + n);

/** LOG as it was at each size to `most`, in `folder`/<name>-<size>. Forked from `before` at size `at`, when given. */
export async function makeHistory(
  folder: string,
  name: string,
  most: number,
  record: (n: number) => Promise<Uint8Array>,
  before?: { readonly log: string; readonly at: number },
): Promise<(size: number) => string> {
  const at = (size: number) => join(folder, `${name}-${size}`);
  const growing = join(folder, `${name}-growing`);
  let start = 0;
  if (before === undefined) {
    await initLog(growing, undefined, logSigner);
    cpSync(growing, at(0), { recursive: true });
  } else {
    cpSync(before.log, growing, { recursive: true });
    start = before.at;
  }
  for (let n = start; n < most; n++) {
    await addToLog(growing, [await record(n)], logSigner);
    cpSync(growing, at(n + 1), { recursive: true });
  }
  rmSync(growing, { recursive: true });
  return at;
}

export interface TestWitness {
  readonly name: string;
  readonly signer: TestSigner;
  readonly url?: string;
}

export function policyOf(witnesses: readonly TestWitness[] = [], lines: readonly string[] = []): Policy {
  const vkey = (signer: TestSigner, type: 1 | 4 = 1) =>
    formatVkey(makeVkey(signer.name, type, signer.publicKey));
  const text = [
    `log ${vkey(logSigner)}`,
    ...witnesses.map(
      ({ name, signer, url }) => `witness ${name} ${vkey(signer, 4)}${url === undefined ? "" : ` ${url}`}`,
    ),
    "quorum none",
    `enroller ${vkey(station)}`,
    `ledger directory ${vkey(ledgerKey, 4)}`,
    ...lines,
    "",
  ].join("\n");
  return parsePolicy(utf8Encode(text), nodeCrypto);
}

/** The note with a witness's cosignature under it. */
export async function cosigned(note: Uint8Array, signer: TestSigner, time: number): Promise<Uint8Array> {
  const { text, signatures } = parseNote(note);
  const { keyId } = makeVkey(signer.name, KEY_COSIGNATURE, signer.publicKey);
  const signature = await signer.sign(cosignedMessage(time, text));
  const line = signatureLine(signer.name, keyId, cosignatureBytes(time, signature));
  return formatNote(text, [...signatures.map((s) => s.line), line]);
}

export const noteIn = (log: string) => new Uint8Array(readFileSync(join(log, "checkpoint")));

export interface Finding {
  readonly n: number;
  readonly level: string;
  readonly code: string;
  readonly index?: number;
  readonly source?: string;
  readonly proof?: string;
  readonly of?: string;
  readonly message: string;
}

export interface Ran {
  readonly pass: Pass;
  /** What was told in this run. */
  readonly told: readonly Finding[];
  readonly codes: readonly string[];
}

export type Change = Partial<Omit<MonitorOptions, "places">>;

/** One run of a monitor: opened, one pass, told, closed. */
export async function runMonitor(
  folder: string,
  places: readonly string[],
  change: Change = {},
): Promise<Ran> {
  const options: MonitorOptions = {
    policy: policyOf(),
    interest: { own: [], made: null, products: [] },
    places,
    compare: [],
    quietAfterS: 24 * 3600,
    staleAfterS: null,
    fraudOut: folder,
    read: {},
    now: () => NOON,
    ...change,
  };
  const state = await openMonitorState(folder, options.policy.log, options.now());
  try {
    const pass = await monitorPass(state, options);
    const told = tellAll(state);
    return { pass, told, codes: told.map(({ code }) => code) };
  } finally {
    state.close();
  }
}

export function tellAll(state: MonitorState): Finding[] {
  return [...state.undelivered()].map(({ line, delivered }) => {
    delivered();
    return JSON.parse(line) as Finding;
  });
}
