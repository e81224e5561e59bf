// A witness: keys it trusts, what it remembers, and its own key. Files, HTTP and clocks are its callers'.
//
//   request ──▶ whose is it? ──▶ [ extends what is known? keep it ] ──▶ cosign ──▶ answer
//                                  one transaction (state.ts)
//
// Kept before it is signed: should we be killed in between, or the signer be a card that nobody
// touches, then the same checkpoint is cosigned when it is asked for again, and no other of its size ever.
// The cosignature's time is that of keeping: then it was the largest. It never goes back, whatever the clock does.

import type { Checkpoint } from "@vouch/shared/checkpoint";
import { cosignatureBytes, cosignedMessage } from "@vouch/shared/cosignature";
import { formatNote, parseNote, signatureLine } from "@vouch/shared/note";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import { KEY_COSIGNATURE, makeVkey, type Vkey } from "@vouch/shared/vkey";
import { checkExtends, openSubmitted, parseAddCheckpoint, type Submitted } from "@vouch/shared/witness";
import { nodeCrypto } from "../crypto";
import type { Signer } from "../signer";
import { originKey } from "./origin";
import type { Known, WitnessState } from "./state";

/** A clock may be set back by this much without anybody having to look. */
const MAX_STEP_BACK = 300;

export interface WitnessParts {
  readonly signer: Signer;
  /** Keys of type 01; several of one name are keys of one log. */
  readonly logs: readonly Vkey[];
  readonly state: WitnessState;
  /** Unix seconds. */
  readonly now: () => number;
  /** Told when the key of a log signed two roots of one size: both notes are the proof. */
  readonly onFork?: (known: Uint8Array, submitted: Uint8Array, key: Vkey) => void;
}

export interface Cosigned {
  readonly checkpoint: Checkpoint;
  readonly time: number;
  /** Signature line, without its end. */
  readonly line: string;
  /** The checkpoint with the log's signature and this one. */
  readonly note: Uint8Array;
}

export interface Witness {
  readonly vkey: Vkey;
  /** Refuses as shared/witness.ts says, `clock-behind`, and what the signer does. */
  addCheckpoint(request: Uint8Array): Promise<Cosigned>;
  /** The newest cosigned note of the log with this SHA-256 of its origin, in hex. */
  checkpointOf(originSha256: string): Uint8Array | null;
}

export function openWitness(parts: WitnessParts): Witness {
  const vkey = makeVkey(parts.signer.name, KEY_COSIGNATURE, parts.signer.publicKey, nodeCrypto);
  return {
    vkey,
    async addCheckpoint(bytes) {
      const request = parseAddCheckpoint(bytes);
      const submitted = openSubmitted(request.note, parts.logs, nodeCrypto);
      const { origin } = submitted.checkpoint;
      const decide = (known: Known | null) => {
        checkExtends(request, submitted.checkpoint, known?.checkpoint ?? null, nodeCrypto);
        return { note: keptNote(known, submitted), time: timeAfter(known, parts.now()) };
      };
      const kept = tellingOfForks(parts, submitted, () => parts.state.advance(origin, decide));
      const { text } = parseNote(kept.note);
      const signature = await parts.signer.sign(cosignedMessage(kept.time, text));
      const line = signatureLine(vkey.name, vkey.keyId, cosignatureBytes(kept.time, signature));
      const note = formatNote(text, [...parseNote(kept.note).signatures.map((s) => s.line), line]);
      parts.state.keepCosigned(kept, note);
      return { checkpoint: kept.checkpoint, time: kept.time, line, note };
    },
    checkpointOf: (originSha256) => parts.state.latest(originSha256)?.cosigned ?? null,
  };
}

/** The same checkpoint again keeps the form that it had: its text is the same, to the byte. */
const keptNote = (known: Known | null, { checkpoint, note }: Submitted) =>
  known !== null && known.checkpoint.size === checkpoint.size ? known.note : note;

function timeAfter(known: Known | null, now: number): number {
  const last = known?.time ?? 0;
  if (now < last - MAX_STEP_BACK)
    throw new Refusal("clock-behind", `it is ${isoTime(now)}, the last cosignature is of ${isoTime(last)}`, {
      hint: "set this machine's clock",
    });
  return Math.max(now, last);
}

function tellingOfForks(parts: WitnessParts, submitted: Submitted, advance: () => Known): Known {
  try {
    return advance();
  } catch (error) {
    const known = parts.state.latest(originKey(submitted.checkpoint.origin));
    if (known !== null && isRefusal(error) && error.code === "same-size-other-root")
      for (const key of parts.logs) {
        if (key.name === submitted.checkpoint.origin) parts.onFork?.(known.note, submitted.note, key);
      }
    throw error;
  }
}
