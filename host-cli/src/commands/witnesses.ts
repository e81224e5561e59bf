// A policy's witnesses, asked over HTTP for a log that is about to publish. All at once; each has its own time.
//
//   compare   GET  …/checkpoint       what it has cosigned must lead to our log: asked before anything is signed
//   gather    POST …/add-checkpoint   with a consistency proof from there; a 409 gives the size to go on from
//
// A witness is believed in what it proves. Its cosignature counts once it verifies, over this very checkpoint, and not
// from the future. Its word that the log has forked counts once it shows a checkpoint that the log's own key
// signed and that ours contradicts: then nothing is published, whatever the others say, and a fraud proof is
// written (fraudfile.ts). Without one it is a witness that doesn't cosign, like one that is silent.

import { CLOCK_SKEW } from "@vouch/shared/anchoring";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { type Checkpoint, openCheckpoint, parseCheckpoint } from "@vouch/shared/checkpoint";
import { proveConsistency, rootOf } from "@vouch/shared/merkle";
import { parseNote } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import type { Vkey } from "@vouch/shared/vkey";
import { cosignatureIn, formatAddCheckpoint } from "@vouch/shared/witness";
import { nodeCrypto } from "../crypto";
import { keepFraud } from "../fraudfile";
import { type HttpClient, httpClient, parseBase } from "../http";
import type { Cosigning, Silent } from "../log/cosigning";
import { policyNow, policyOf } from "../log/keys";
import type { TiledLog } from "../tiledlog";
import { addCheckpoint, latestOf } from "../witness/client";

export interface AskOptions {
  readonly timeoutMs: number;
  /** Unix seconds. */
  readonly now: () => number;
  readonly tell?: Cosigning["tell"];
  /** Where a fraud proof goes; the current folder unless said. */
  readonly fraudFolder?: string;
}

type PolicyWitness = Policy["witnesses"][number];

/** Times that a witness may answer with another size: it moves only when somebody else submits for this log. */
const ATTEMPTS = 3;

/** What a question needs. */
interface Asking extends AskOptions {
  readonly policy: Policy;
  readonly http: HttpClient;
}

/** Refuses `usage` when a policy's witness has an address that can't be asked. The caller closes it. */
export function cosigningOverHttp(policy: Policy, options: AskOptions): Cosigning & { close(): void } {
  const http = httpClient();
  const asking: Asking = { ...options, policy, http };
  for (const { url } of policy.witnesses) baseOf(url);
  const known = new Map<string, bigint>(); // sizes that witnesses showed
  const deaf = new Map<string, Silent>(); // those that compare got no answer from
  return {
    policy,
    close: () => http.close(),
    ...(options.tell === undefined ? {} : { tell: options.tell }),
    compare: async (log) => {
      deaf.clear();
      const outcomes = await settle(policyNow(log, policy).witnesses, async (witness) => {
        const base = baseOf(witness.url);
        return base === null ? null : shownBy(asking, witness, base, log, options.timeoutMs);
      });
      for (const [{ name }, outcome] of outcomes) {
        if ("error" in outcome) deaf.set(name, { name, ...toldBy(outcome.error) });
        else if (outcome.value !== null) known.set(name, outcome.value.size);
      }
    },
    gather: async (log, have) => {
      const asked = policyNow(log, policy).witnesses.filter(({ name }) => !have.has(name));
      const outcomes = await settle(asked, async (witness) => {
        const heard = deaf.get(witness.name);
        if (heard !== undefined) throw new Refusal(heard.code, heard.message);
        return cosignedBy(asking, witness, log, known.get(witness.name) ?? 0n);
      });
      const lines = new Map<string, string>();
      const silent: Silent[] = [];
      for (const [{ name }, outcome] of outcomes) {
        if ("error" in outcome) silent.push({ name, ...toldBy(outcome.error) });
        else lines.set(name, outcome.value);
      }
      return { lines, silent };
    },
  };
}

const baseOf = (url: string | undefined) => (url === undefined ? null : parseBase(url));

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

/** All of them at once; a proven fork ends it for all, and what is no refusal is a bug. */
async function settle<T>(
  witnesses: readonly PolicyWitness[],
  ask: (witness: PolicyWitness) => Promise<T>,
): Promise<[PolicyWitness, Outcome<T>][]> {
  const outcomes = await Promise.all(
    witnesses.map(async (witness): Promise<[PolicyWitness, Outcome<T>]> => {
      try {
        return [witness, { value: await ask(witness) }];
      } catch (error) {
        return [witness, { error }];
      }
    }),
  );
  for (const [, outcome] of outcomes) {
    if ("error" in outcome && (!isRefusal(outcome.error) || outcome.error.code === "log-forked"))
      throw outcome.error;
  }
  return outcomes;
}

const toldBy = (error: unknown) => {
  const { code, message } = error as Refusal;
  return { code, message };
};

/** One witness's verified line. Refuses why there is none. */
async function cosignedBy(
  asking: Asking,
  witness: PolicyWitness,
  log: TiledLog,
  knownSize: bigint,
): Promise<string> {
  const base = baseOf(witness.url);
  if (base === null)
    throw new Refusal("no-url", "the policy names no address; `vouch log request` writes what to take to it");
  const end = performance.now() + asking.timeoutMs;
  const leftMs = () => Math.max(1, end - performance.now());
  let oldSize = knownSize;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const proof = proveConsistency(oldSize, log.size, log.hashReader, nodeCrypto);
    const request = formatAddCheckpoint({ oldSize, proof, note: log.note });
    const answer = await addCheckpoint(asking.http, base, request, leftMs());
    if (answer.kind === "cosigned") return verifiedLine(answer.lines, log, witness, asking.now());
    if (answer.kind === "refused")
      throw new Refusal(
        "witness-refused",
        `it answers with HTTP status ${answer.status}: ${quote(answer.text)}`,
      );
    if (answer.kind === "not-consistent" || answer.size > log.size) {
      await shownBy(asking, witness, base, log, leftMs());
      const claim =
        answer.kind === "not-consistent"
          ? "that the checkpoint is no extension of what it has cosigned"
          : `that it has cosigned size ${answer.size}`;
      throw new Refusal("unproven-conflict", `it says ${claim}, and shows no checkpoint that proves it`);
    }
    oldSize = answer.size;
  }
  throw new Refusal("witness-answer", `it asked for another old size ${ATTEMPTS} times`);
}

function verifiedLine(lines: readonly string[], log: TiledLog, { vkey }: PolicyWitness, now: number): string {
  const { line, time } = cosignatureIn(lines, parseNote(log.note).text, vkey, nodeCrypto);
  checkNotFuture(time, now);
  return line;
}

/** Verifiers refuse such a note until then. Refuses `cosignature-from-future`. */
export function checkNotFuture(time: number, now: number): void {
  if (time > now + CLOCK_SKEW)
    throw new Refusal("cosignature-from-future", `it cosigned at ${isoTime(time)}, it is ${isoTime(now)}`, {
      hint: "set the clock of the witness, or this machine's",
    });
}

/** The checkpoint that a witness shows of this log, if it shows one that the log signed. Refuses `log-forked` when ours contradicts it. */
async function shownBy(
  { policy, http, fraudFolder }: Asking,
  { name }: PolicyWitness,
  base: URL,
  log: TiledLog,
  timeoutMs: number,
): Promise<Checkpoint | null> {
  const note = await latestOf(http, base, log.checkpoint.origin, timeoutMs);
  if (note === null) return null;
  let shown: Checkpoint;
  let key: Vkey;
  try {
    key = policyOf(log, policy, parseCheckpoint(parseNote(note).text).size).log;
    shown = openCheckpoint(note, key, nodeCrypto).checkpoint;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null; // it proves nothing; whether it cosigns is another matter
  }
  const ours = shown.size <= log.size ? rootOf(shown.size, log.hashReader, nodeCrypto) : null;
  if (ours !== null && equalBytes(ours, shown.root)) return shown;
  const found =
    ours === null
      ? `this log has ${log.size} records: it was put back to an earlier state, or there are two`
      : `this log's first ${shown.size} records have the root ${toHex(ours)}`;
  const kept = ours === null ? null : keepFraud([note, log.note], log.hashReader, key, fraudFolder);
  throw new Refusal(
    "log-forked",
    `A SECOND HISTORY of ${quote(log.checkpoint.origin)}: witness ${name} has cosigned size ${shown.size}, root ${toHex(shown.root)}, signed by this log's key; ${found}. Nothing was published`,
    {
      hint:
        kept?.hint ?? `put the log of at least ${shown.size} records back, or start one under another name`,
    },
  );
}
