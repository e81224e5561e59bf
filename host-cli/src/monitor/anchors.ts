// Anchored checkpoints that lie beside a log in a folder: each must be a beginning of what was read, and what its
// receipts say must be so.

import { statSync } from "node:fs";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { isRefusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { isAddress } from "../http";
import { type Anchor, listAnchors } from "../log/anchors";
import { receiptTime } from "../log/receipts";
import { rebasedOnDemand } from "../rebased";
import { isRefused } from "./board";
import type { Proven, Round } from "./round";
import { partsOf, type Shown } from "./state";

const nameOf = (place: string, { size }: Anchor) => `${place}/anchors/${size}`;

function anchorsOf({ board, state }: Pick<Round, "board" | "state">, place: string): readonly Anchor[] {
  if (isAddress(place) || !statSync(place, { throwIfNoEntry: false })?.isDirectory()) return [];
  const folder = `${place}/anchors`;
  try {
    const found = listAnchors(place);
    const known = [...state.standing.keys()].map((key) => partsOf(key).source);
    // One that was refused, and isn't now or is gone, is over: all that lie there were looked at.
    for (const source of new Set([folder, ...known.filter((name) => name.startsWith(`${folder}/`))]))
      board.well(source, isRefused);
    return found;
  } catch (error) {
    board.trouble(folder, error);
    return [];
  }
}

export const anchorsIn = (round: Round): Shown[] =>
  round.places.flatMap((place) =>
    anchorsOf(round, place).map((anchor) => ({ from: nameOf(place, anchor), note: anchor.note })),
  );

/** Receipts that weren't checked before. One of a ledger that the policy doesn't name says nothing here, until it does. */
export function checkReceipts(round: Round): void {
  const { state, policy, board } = round;
  for (const place of round.places) {
    const rebased = rebasedOnDemand(null); // what one receipt proves is known to the next
    for (const anchor of anchorsOf(round, place)) {
      for (const receipt of anchor.receipts) {
        const mark = markOfReceipt(anchor, receipt);
        if (state.receipts.has(mark)) continue;
        try {
          if (receiptTime(anchor, receipt, place, policy, rebased) !== null) state.receipts.add(mark);
        } catch (error) {
          if (!isRefusal(error)) throw error;
          const message = `the ${receipt.kind} receipt of ${nameOf(place, anchor)}: ${error.message}`;
          board.once({ code: error.code, message, source: place });
          state.receipts.add(mark);
        }
      }
    }
  }
}

/** What the receipts prove to have been there, and when. One that proves nothing is told of by checkReceipts. */
export function provenIn(round: Omit<Round, "proven">): Proven[] {
  const { places, policy } = round;
  return places.flatMap((place) => {
    const rebased = rebasedOnDemand(null);
    return anchorsOf(round, place).flatMap((anchor) => {
      const times = anchor.receipts.flatMap((receipt) => {
        try {
          return receiptTime(anchor, receipt, place, policy, rebased) ?? [];
        } catch (error) {
          if (!isRefusal(error)) throw error;
          return [];
        }
      });
      const { size, root } = anchor.checkpoint;
      return times.map((time): Proven => ({ size, root, time }));
    });
  });
}

/** What was checked: this receipt for this note, wherever it lies. A later one may well be of a smaller size. */
const markOfReceipt = ({ note }: Anchor, { kind, proof }: Anchor["receipts"][number]): string => {
  const digest = (bytes: Uint8Array) => toHex(nodeCrypto.sha256(bytes));
  return digest(utf8Encode(`${kind} ${digest(note)} ${digest(proof)}`));
};
