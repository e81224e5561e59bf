// Anchored checkpoints that lie beside a log in a folder: each must be a beginning of what was read, and what its
// receipts say must be so.

import { statSync } from "node:fs";
import { rebasedJudge } from "@vouch/shared/anchoring";
import { rebasedLines } from "@vouch/shared/policy";
import { walkMember } from "@vouch/shared/rebased/walkform";
import { ledgerFor, verifyDirectoryReceipt } from "@vouch/shared/receipt";
import { isRefusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { isAddress } from "../http";
import { type Anchor, listAnchors } from "../log/anchors";
import { readWalkFile } from "../log/walk";
import { rebasedOnDemand } from "../rebased";
import type { Round } from "./pass";
import type { Shown } from "./state";

const nameOf = (place: string, { size }: Anchor) => `${place}/anchors/${size}`;

function anchorsOf({ board }: Round, place: string): readonly Anchor[] {
  if (isAddress(place) || !statSync(place, { throwIfNoEntry: false })?.isDirectory()) return [];
  try {
    return listAnchors(place);
  } catch (error) {
    board.trouble(`${place}/anchors`, error);
    return [];
  }
}

export const anchorsIn = (round: Round): Shown[] =>
  round.places.flatMap((place) =>
    anchorsOf(round, place).map((anchor) => ({ from: nameOf(place, anchor), note: anchor.note })),
  );

/** Receipts that weren't checked before. One of a ledger that the policy doesn't name says nothing here. */
export function checkReceipts(round: Round): void {
  const { state, policy, board } = round;
  let highest = state.anchored;
  for (const place of round.places) {
    const rebased = rebasedOnDemand(null); // what one receipt proves is known to the next
    for (const anchor of anchorsOf(round, place)) {
      if (anchor.size <= state.anchored) continue;
      if (anchor.size > highest) highest = anchor.size;
      for (const { kind, proof } of anchor.receipts) {
        try {
          checkReceipt(kind, proof, anchor.note, place);
        } catch (error) {
          if (!isRefusal(error)) throw error;
          const message = `the ${kind} receipt of ${nameOf(place, anchor)}: ${error.message}`;
          board.once({ code: error.code, message, source: place });
        }
      }
    }
    function checkReceipt(kind: string, proof: Uint8Array, note: Uint8Array, folder: string): void {
      if (kind === "rebased") {
        const walk = rebasedLines(policy.ledgers).length > 0 ? readWalkFile(folder) : null;
        if (walk === null) return;
        rebasedJudge({ policy, crypto: nodeCrypto, rebased: rebased.open, walk: walkMember(walk) })(
          proof,
          note,
        );
      } else if (kind === "directory") {
        const named = policy.ledgers.flatMap((l) => (l.kind === "directory" ? [l.root] : []));
        const ledger = ledgerFor(proof, named);
        if (ledger !== undefined) verifyDirectoryReceipt(proof, note, ledger, nodeCrypto);
      }
    }
  }
  state.anchored = highest;
}
