// Proofs of others: that a record is in a log, and nothing more. Claim 2 of seven.
//
//   c2sp.org/tlog-proof@v1 …   a C2SP proof with its checkpoint and cosignatures     proof.ts
//   d2 84 …                    a COSE receipt, RFC 9942                              cosereceipt.ts
//
// A log named by its key alone is asked for no witness; a policy's quorum must be met, by
// witnesses that it names. Unlike in a bundle, lines by others are passed over: the file was
// not made for this policy. Neither word of ours for a good device comes out of this.
//
// Such a proof is known to be there now, and no earlier: its cosignatures are by keys that may have leaked as well. So a
// key that the policy distrusts by now is as if no line named it, and the log's own says nothing.

import { CLOCK_SKEW } from "./anchoring";
import { openCheckpoint } from "./checkpoint";
import { openCoseReceipt } from "./cosereceipt";
import { verifyCosignature } from "./cosignature";
import type { Crypto } from "./crypto";
import { endOf, trustedAt } from "./distrust";
import { checkInclusion, leafHash } from "./merkle";
import { type Note, signaturesBy } from "./note";
import type { Policy } from "./policy";
import { parseForeignProof } from "./proof";
import { evalQuorum } from "./quorum";
import { quote, Refusal } from "./refusal";
import { isoTime } from "./time";
import type { Vkey } from "./vkey";

export interface Included {
  readonly form: "tlog-proof" | "cose-receipt";
  readonly origin: string;
  readonly index: bigint;
  readonly size: bigint;
  readonly root: Uint8Array;
  readonly witnesses: readonly { readonly name: string; readonly time: number }[];
  /** The quorum that was met; null when no policy asked for one. */
  readonly quorum: string | null;
  readonly notes: readonly string[];
}

/**
 * Settles that `record` is in the log of this key; with a policy, seen by its quorum of witnesses. `now` is Unix
 * seconds. Throws what proof.ts, checkpoint.ts, cosignature.ts, merkle.ts and cosereceipt.ts do, `quorum-missing`,
 * `cosignature-from-future`, `log-distrusted`.
 */
export function openImported(
  proof: Uint8Array,
  record: Uint8Array,
  log: Vkey,
  policy: Policy | null,
  now: number,
  crypto: Crypto,
): Included {
  const trusted = policy && trustedAt(policy, now);
  // What is wrong is wrong, whoever signed it.
  const included =
    proof[0] === 0xd2
      ? openReceipt(proof, record, log, trusted, crypto)
      : openTlogProof(proof, record, log, trusted, now, crypto);
  const end = trusted && endOf(trusted, log, now);
  if (end === null) return included;
  throw new Refusal(
    "log-distrusted",
    `the policy distrusts the key of ${quote(log.name)} since ${isoTime(end)}, and the proof doesn't show that it was there before`,
  );
}

function openTlogProof(
  ...[proof, record, log, policy, now, crypto]: Parameters<typeof openImported>
): Included {
  const { index, hashes, checkpoint: noteBytes, extra } = parseForeignProof(proof);
  const { checkpoint, note } = openCheckpoint(noteBytes, log, crypto);
  checkInclusion(leafHash(record, crypto), index, checkpoint.size, [...hashes], checkpoint.root, crypto);
  return {
    form: "tlog-proof",
    ...checkpoint,
    index,
    witnesses: policy === null ? [] : cosigners(note, policy, now, crypto),
    quorum: policy === null ? null : policy.quorum,
    notes:
      extra === undefined ? [] : [`extra data of ${extra.length} bytes is nobody's word and was passed over`],
  };
}

function openReceipt(
  proof: Uint8Array,
  record: Uint8Array,
  log: Vkey,
  policy: Policy | null,
  crypto: Crypto,
): Included {
  const { size, index, root, issuer } = openCoseReceipt(proof, record, log, crypto);
  if (policy !== null && policy.quorum !== "none")
    throw new Refusal(
      "quorum-missing",
      `a COSE receipt has no cosignatures, the policy's quorum is ${policy.quorum}`,
    );
  const by = issuer === null || issuer === log.name ? [] : [`the receipt calls its issuer ${quote(issuer)}`];
  return {
    form: "cose-receipt",
    origin: log.name,
    size,
    index,
    root,
    witnesses: [],
    quorum: policy === null ? null : policy.quorum,
    notes: ["the log signed the root; size and index are the receipt's bearer's word", ...by],
  };
}

/** The policy's witnesses who cosigned, once they are enough. */
function cosigners(note: Note, policy: Policy, now: number, crypto: Crypto) {
  const cosigned = policy.witnesses
    .filter(({ vkey }) => signaturesBy(note, vkey).length > 0)
    .map(({ name, vkey }) => {
      const { time } = verifyCosignature(note, vkey, crypto);
      if (time > now + CLOCK_SKEW)
        throw new Refusal(
          "cosignature-from-future",
          `${name} cosigned at ${isoTime(time)}, it is ${isoTime(now)}`,
        );
      return { name, time };
    });
  if (!evalQuorum(policy, new Set(cosigned.map(({ name }) => name))))
    throw new Refusal(
      "quorum-missing",
      `the checkpoint has ${cosigned.length} cosignatures that count, the policy's quorum ${policy.quorum} is not met`,
    );
  return cosigned;
}
