// From a signed checkpoint to a published one, by way of its witnesses.
//
//   pending ──▶ ask those who haven't cosigned ──▶ keep what came ──▶ quorum? ──▶ publish
//                                                                       └─ no: it stays pending, and says who is missing
//
// The published note holds the log's signature and every valid cosignature by a witness of the policy, in
// the policy's order; 15 at most, those that the quorum takes first. More than one auditor's quorum asks for does
// no harm (shared/history.ts), and another auditor may ask for others.
//
// How witnesses are asked is the caller's: over HTTP, or by files on a stick.

import { equalBytes } from "@vouch/shared/bytes";
import { verifyCosignature } from "@vouch/shared/cosignature";
import { formatNote, MAX_SIGNATURES, parseNote } from "@vouch/shared/note";
import type { Policy } from "@vouch/shared/policy";
import { evalQuorum } from "@vouch/shared/quorum";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { publishStaged, type TiledLog } from "../tiledlog";
import { policyNow } from "./keys";
import { dropPending, keepPending } from "./pending";

export interface Silent {
  /** The witness, by its name in the policy. */
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

export interface Gathered {
  /** Verified signature lines, by the witness's name in the policy. */
  readonly lines: ReadonlyMap<string, string>;
  readonly silent: readonly Silent[];
}

export interface Cosigning {
  /** As its file has it: with the keys of record 0. */
  readonly policy: Policy;
  /** Whether what the witnesses have cosigned leads to this log, or comes from it. Refuses `log-forked`. */
  compare(log: TiledLog): Promise<void>;
  /** Asks every witness that isn't in `have` for its cosignature of the log's checkpoint. Refuses `log-forked`. */
  gather(log: TiledLog, have: ReadonlySet<string>): Promise<Gathered>;
  /** Told of the outcome, for people. */
  readonly tell?: (cosigned: readonly string[], silent: readonly Silent[]) => void;
}

/** The caller holds the log's lock. Refuses `quorum-missing` and `log-forked`: then `pending` stays as it is, with what came. */
export async function cosignAndPublish(
  log: TiledLog,
  pending: TiledLog,
  cosigning: Cosigning,
): Promise<TiledLog> {
  const policy = policyNow(pending, cosigning.policy); // a witness's key is that of the place, like all others
  const have = cosignaturesIn(pending.note, policy);
  const { lines, silent } = await cosigning.gather(pending, new Set(have.keys()));
  const all = new Map([...have, ...lines]);
  const note = noteWith(pending.note, all, policy);
  if (!equalBytes(note, pending.note)) keepPending(log, note);
  if (!evalQuorum(policy, new Set(all.keys()))) throw quorumMissing(pending, policy, all, silent);
  const published = publishStaged(log, note);
  dropPending(log);
  cosigning.tell?.([...all.keys()], silent);
  return published;
}

/** The valid lines of the policy's witnesses; a line that doesn't verify is as good as none. */
export function cosignaturesIn(bytes: Uint8Array, policy: Policy): Map<string, string> {
  const note = parseNote(bytes);
  const found = new Map<string, string>();
  for (const { name, vkey } of policy.witnesses) {
    try {
      verifyCosignature(note, vkey, nodeCrypto);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      continue;
    }
    const line = note.signatures.find((s) => s.name === vkey.name && equalBytes(s.keyId, vkey.keyId));
    found.set(name, line!.line);
  }
  return found;
}

/** The note with these cosignatures, after the lines that are nobody's of the policy: the log's own. */
export function noteWith(bytes: Uint8Array, lines: ReadonlyMap<string, string>, policy: Policy): Uint8Array {
  const { text, signatures } = parseNote(bytes);
  const own = signatures.filter(
    ({ name, keyId }) =>
      !policy.witnesses.some(({ vkey }) => vkey.name === name && equalBytes(vkey.keyId, keyId)),
  );
  const kept = chosen([...lines.keys()], policy, MAX_SIGNATURES - own.length);
  const inOrder = policy.witnesses.flatMap(({ name }) => (kept.has(name) ? [lines.get(name)!] : []));
  return formatNote(text, [...own.map(({ line }) => line), ...inOrder]);
}

/** All of them, or as many as fit: a minimal quorum first, the others in the policy's order. */
function chosen(names: readonly string[], policy: Policy, most: number): Set<string> {
  if (names.length <= most) return new Set(names);
  const all = policy.witnesses.map(({ name }) => name).filter((name) => names.includes(name));
  const quorum = new Set(all);
  for (const name of all.toReversed()) {
    quorum.delete(name);
    if (!evalQuorum(policy, quorum)) quorum.add(name);
  }
  const others = all.filter((name) => !quorum.has(name));
  return new Set([...quorum, ...others].slice(0, most));
}

function quorumMissing(
  pending: TiledLog,
  policy: Policy,
  have: ReadonlyMap<string, string>,
  silent: readonly Silent[],
): Refusal {
  const got = have.size === 0 ? "nobody" : [...have.keys()].join(", ");
  const why = silent.map(({ name, message }) => `${name}: ${message}`).join("; ");
  return new Refusal(
    "quorum-missing",
    `size ${pending.size} was cosigned by ${got}, the quorum ${policy.quorum} is not met (${why}); the log still shows its last checkpoint`,
    { hint: "what was to be added waits, signed: try again, or take `vouch log request` to the witnesses" },
  );
}
