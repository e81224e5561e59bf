// Judges a bundle's receipts of IOTA's ledger: all that verify loads on demand, since it needs the curves.

import type { JudgedReceipt, OpenRebased } from "../anchoring";
import { equalBytes, fromBase64 } from "../bytes";
import type { Crypto } from "../crypto";
import { makeBlsKeys } from "../curves";
import { ANCHORS } from "./anchors";
import { committeeDigest, decodeCommittee } from "./committee";
import { verifyRebasedReceipt } from "./proof";
import type { Root } from "./root";
import { type Known, makeRatchet } from "./walk";
import { readWalk } from "./walkform";

export { makeRatchet } from "./walk";

export interface RebasedVerifier {
  readonly open: OpenRebased;
  /** What has been proved since this was made: nothing that was known before, unless a walk led there too. */
  proved(): Known[];
}

/** `known` is what earlier runs proved. What one bundle proves is known to the next. */
export function makeRebasedVerifier(known: readonly Known[] = []): RebasedVerifier {
  const keys = makeBlsKeys();
  const opened: { proved(): Known[] }[] = [];
  const proved = () => opened.flatMap((ratchet) => ratchet.proved());
  return {
    proved,
    open(walk, roots, crypto) {
      const ratchet = makeRatchet(readWalk(walk), roots, crypto, { known: [...known, ...proved()], keys });
      opened.push(ratchet);
      return (receipt, note): JudgedReceipt => {
        const proof = verifyRebasedReceipt(receipt, note, ratchet, crypto);
        return { ...proof, captured: capturedOf(proof.root, crypto) };
      };
    },
  };
}

/** When the committee of a root was captured, if it is one that ships with this program. */
export function capturedOf(root: Root, crypto: Crypto): string | null {
  const shipped = ANCHORS.find(({ committee }) =>
    equalBytes(committeeDigest(decodeCommittee(fromBase64(committee)!), crypto), root.digest),
  );
  return shipped?.captured ?? null;
}
