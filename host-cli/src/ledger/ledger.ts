// Where checkpoints are anchored: one interface for every kind of ledger.
//
//   prepare ──▶ sign ──▶ submit ──▶ confirm ──▶ prove ──▶ verify
//   online      OFFLINE  online     online      online    OFFLINE
//
// Preparing says exactly which bytes want signing, so that the key may live on
// a machine that has no network. The receipt that comes out needs no ledger to
// check: nodes prune, and networks end. Our own verifier runs on it before
// anybody is told that the anchor succeeded.
//
// What is anchored is the checkpoint note itself: two that conflict, on one
// ledger, are a fraud anybody can see.

import { isRefusal } from "@vouch/shared/refusal";
import type { Signer } from "../signer";

/** Bytes that want a signature, and what the ledger needs to go on. */
export interface Prepared {
  readonly note: Uint8Array;
  readonly messages: readonly Uint8Array[];
  /** The ledger's own; another ledger, or a later state of this one, refuses it. */
  readonly draft: string;
  /** What a person agrees to before anything is signed; absent where it costs nothing. */
  readonly asks?: string;
}

export interface Signed extends Prepared {
  /** One for each message, in order; those of a second signer after them. */
  readonly signatures: readonly Uint8Array[];
}

/** Finds a note again on its ledger. */
export interface Submitted {
  readonly note: Uint8Array;
  readonly id: string;
  /** False when the ledger had it already. */
  readonly fresh: boolean;
}

/** What a public ledger's receipt shows besides, in the order to print it; null for what isn't known. */
export type Facts = Readonly<Record<string, string | null>>;

export interface Verified {
  /** When it was recorded, Unix seconds. */
  readonly time: number;
  readonly facts?: Facts;
}

/** Where what is on its way waits for its receipt: the caller's disk. */
export interface DraftStore {
  read(note: Uint8Array): Uint8Array | null;
  /** Atomic, and durable when it returns. */
  write(note: Uint8Array, draft: Uint8Array): void;
  /** Puts a draft aside that failed. */
  retire(note: Uint8Array): void;
}

export interface Ledger {
  /** As in a policy's `ledger` line and in a receipt's file name. */
  readonly kind: string;
  /** What a receipt is worth, in words for a person: "recorded locally, not public". */
  readonly worth: string;
  /** Whether strangers can see what it holds. */
  readonly isPublic: boolean;
  /** Where the note already is, or null: anchoring twice gives the first receipt again. */
  find(note: Uint8Array): Promise<Submitted | null>;
  prepare(note: Uint8Array, now: number): Promise<Prepared>;
  /** Should the note have got there meanwhile, that record is given and no second one is made. */
  submit(signed: Signed): Promise<Submitted>;
  /** Returns once the ledger can't lose it any more. */
  confirm(submitted: Submitted): Promise<void>;
  prove(submitted: Submitted): Promise<Uint8Array>;
  /** Offline. Refuses what is wrong with the receipt. */
  verify(receipt: Uint8Array, note: Uint8Array): Verified;
  /** The note of what was kept on its way, for a ledger that keeps it. */
  readDraft?(draft: Uint8Array): { readonly note: Uint8Array };
  /** Keeps what `prove` learned about the ledger beside the log; a receipt needs it. */
  keepEpochs?(): void;
}

/** The offline half in the middle: needs the keys and nothing else. */
export async function signPrepared(prepared: Prepared, ...signers: Signer[]): Promise<Signed> {
  const signatures: Uint8Array[] = [];
  for (const signer of signers)
    for (const message of prepared.messages) signatures.push(await signer.sign(message));
  return { ...prepared, signatures };
}

export interface Recorded extends Verified {
  readonly receipt: Uint8Array;
  /** False when the note had been anchored before. */
  readonly fresh: boolean;
}

const ATTEMPTS = 5;

/** Refuses, or throws, unless somebody agrees. */
export type Consent = (asks: string) => Promise<void>;

/** All of it, for who has the keys at hand. The receipt has passed our verifier. */
export async function recordNote(
  ledger: Ledger,
  note: Uint8Array,
  signers: Signer | readonly Signer[],
  now: number,
  consent: Consent = async () => {},
): Promise<Recorded> {
  const all = [signers].flat();
  const submitted = (await ledger.find(note)) ?? (await submitNote(ledger, note, all, now, consent));
  return proveNote(ledger, submitted);
}

/** From what is submitted to a receipt that has passed our verifier. */
export async function proveNote(ledger: Ledger, submitted: Submitted): Promise<Recorded> {
  await ledger.confirm(submitted);
  const receipt = await ledger.prove(submitted);
  return { ...ledger.verify(receipt, submitted.note), receipt, fresh: submitted.fresh };
}

/** Others may get in between preparing and submitting; then it is prepared and signed again. */
async function submitNote(
  ledger: Ledger,
  note: Uint8Array,
  signers: Signer[],
  now: number,
  consent: Consent,
): Promise<Submitted> {
  for (let attempt = 1; ; attempt++) {
    try {
      const prepared = await ledger.prepare(note, now);
      if (prepared.asks !== undefined) await consent(prepared.asks);
      return await ledger.submit(await signPrepared(prepared, ...signers));
    } catch (error) {
      if (attempt === ATTEMPTS || !isRefusal(error) || error.code !== "ledger-moved") throw error;
    }
  }
}
