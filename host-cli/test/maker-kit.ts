// What the maker's tests share: refusals by code, keys in memory, statements to
// log, the real command line over modules, and a file system that dies to order.

import { type KeyObject, sign } from "node:crypto";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { utf8Encode } from "@vouch/shared/bytes";
import type { StatementKind } from "@vouch/shared/predicates";
import { isRefusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import { formatVkey, makeVkey, type Vkey } from "@vouch/shared/vkey";
import * as assert from "uvu/assert";
import * as advisory from "../src/commands/advisory";
import * as anchor from "../src/commands/anchor";
import * as keygen from "../src/commands/keygen";
import * as ledger from "../src/commands/ledger";
import * as log from "../src/commands/log";
import * as policy from "../src/commands/policy";
import * as release from "../src/commands/release";
import * as status from "../src/commands/status";
import { freshKeyPair } from "../src/keys";
import { run, type VerbModule } from "../src/main";
import type { Signer } from "../src/signer";
import { draftEnvelope, signStatement } from "../src/statementfile";
import { type MemoryIo, type MemoryIoOptions, memoryIo } from "./memory-io";

export const NOON = 1_768_478_400; // 2026-01-15T12:00:00Z

/** Runs `work`, which must be refused with this code. */
export async function refuses(code: string, work: () => unknown): Promise<Error> {
  let error: unknown;
  try {
    await work();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) assert.unreachable(`nothing was refused, expected ${code}`);
  if (!isRefusal(error)) throw error;
  assert.is(error.code, code, error.message);
  return error;
}

/** Runs `work` with this as the current folder: proofs of fraud go there. */
export async function inFolder<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const before = process.cwd();
  process.chdir(folder);
  try {
    return await work();
  } finally {
    process.chdir(before);
  }
}

export const newFolder = (name: string) => fs.mkdtempSync(join(tmpdir(), `vouch-${name}-`));

export interface TestSigner extends Signer {
  readonly key: KeyObject;
  readonly vkey: Vkey;
}

/** A key in memory. */
export function newSigner(name: string): TestSigner {
  const { privateKey, publicKey } = freshKeyPair();
  return {
    name,
    publicKey,
    key: privateKey,
    vkey: makeVkey(name, 1, publicKey),
    sign: async (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

/** The key as the two files of `keygen --plain`; the path of the private one. */
export function saveSigner(folder: string, signer: TestSigner, type: 1 | 4 = 1): string {
  const path = join(folder, `${signer.name}.key`);
  fs.writeFileSync(path, signer.key.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
  const vkey = makeVkey(signer.name, type, signer.publicKey);
  fs.writeFileSync(join(folder, `${signer.name}.vkey`), `${formatVkey(vkey)}\n`);
  return path;
}

/** The n-th of many small records, each another statement. */
export function smallRecord(signer: Signer, n: number): Promise<Uint8Array> {
  const sha256 = n.toString(16).padStart(64, "0");
  return signStatement(
    { kind: "evidence-commitment" satisfies StatementKind, sha256, created: isoTime(NOON + n) },
    signer,
  );
}

/** A statement with a signature by nobody: a log looks at its form only. */
export function quickRecord(n: number): Uint8Array {
  const sha256 = n.toString(16).padStart(64, "0");
  const draft = draftEnvelope({ kind: "evidence-commitment", sha256, created: isoTime(NOON) });
  const payload = Buffer.from(draft.payload).toString("base64");
  const signature = `{"keyid":"${"ab".repeat(32)}","sig":"${Buffer.alloc(64, n).toString("base64")}"}`;
  return utf8Encode(
    `{"payload":"${payload}","payloadType":"${draft.payloadType}","signatures":[${signature}]}`,
  );
}

const VERBS: Record<string, VerbModule> = { advisory, anchor, keygen, ledger, log, policy, release, status };

/** One command line through the real program, less the process. */
export async function vouch(args: readonly string[], options: MemoryIoOptions = {}): Promise<MemoryIo> {
  const io = memoryIo(options);
  const load = (verb: string) => VERBS[verb] as VerbModule;
  await run(args, io, { version: "0.0.0-test", verbs: Object.keys(VERBS), load });
  return io;
}

/** A command line that must work; its stdout. */
export async function vouchOk(...args: string[]): Promise<string> {
  const io = await vouch(args);
  assert.is(io.exitCode, 0, io.err());
  return io.out();
}

/** A command line that must be refused with this code, and print nothing on stdout. */
export async function vouchRefuses(code: string, ...args: string[]): Promise<string> {
  const io = await vouch(args);
  assert.not.equal(io.exitCode, 0, `nothing was refused, expected ${code}: ${io.out()}`);
  assert.match(io.err(), new RegExp(`\\[${code}\\]`));
  assert.is(io.out(), "");
  return io.err();
}

// Everything the product uses that changes files. Reading goes on after a cut: nobody is left to read.
const WRITERS = [
  "openSync",
  "writeSync",
  "fsyncSync",
  "ftruncateSync",
  "linkSync",
  "renameSync",
  "mkdirSync",
  "rmSync",
  "writeFileSync",
  "copyFileSync",
] as const;

export class Cut extends Error {}

export interface FsOperation {
  readonly name: string;
  readonly paths: readonly string[];
}

/**
 * Runs `work` and kills it before its file-system operation number `cut` (from 0): that one and all after it
 * fail, clean-up included, as for a process that is gone. A cut write leaves half of its bytes when `torn`.
 * Says whether it finished, and which operations took place.
 */
export async function withCut(
  cut: number,
  torn: boolean,
  work: () => unknown,
): Promise<{ finished: boolean; operations: FsOperation[] }> {
  const original = Object.fromEntries(WRITERS.map((name) => [name, fs[name]]));
  const patched = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const operations: FsOperation[] = [];
  const opened = new Map<unknown, string>();
  for (const name of WRITERS) {
    const real = original[name] as (...args: unknown[]) => unknown;
    patched[name] = (...args) => {
      if (name === "openSync" && args[1] === "r") {
        const fd = real(...args);
        opened.set(fd, String(args[0]));
        return fd;
      }
      if (operations.length >= cut) {
        if (torn && name === "writeSync" && operations.length === cut) {
          const bytes = args[1] as Uint8Array;
          real(args[0], bytes.subarray(0, bytes.length >> 1));
          cut = 0;
        }
        throw new Cut(`cut before ${name}`);
      }
      const paths = args
        .slice(0, 2)
        .map((arg) => (typeof arg === "number" ? (opened.get(arg) ?? "") : String(arg)));
      operations.push({ name, paths: name === "writeSync" ? paths.slice(0, 1) : paths });
      const result = real(...args);
      if (name === "openSync") opened.set(result, String(args[0]));
      return result;
    };
  }
  syncBuiltinESMExports();
  try {
    await work();
    return { finished: true, operations };
  } catch (error) {
    if (!(error instanceof Cut)) throw error;
    return { finished: false, operations };
  } finally {
    Object.assign(fs, original);
    syncBuiltinESMExports();
  }
}
