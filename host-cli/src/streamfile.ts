// A recording read once, front to back: frames and coincidences to a checker, what boots attested kept by its digest.

import { toHex } from "@vouch/shared/bytes";
import { isRefusal } from "@vouch/shared/refusal";
import type { StreamChecker, StreamSummary } from "@vouch/shared/streamcheck";
import { type EvidenceItem, VstreamReader } from "@vouch/shared/vstream";
import { nodeCrypto } from "./crypto";
import { readChunks } from "./files";

/** A recording may be as long as a disk; it is never in memory at once. */
const MAX_RECORDING = 2 ** 44;
/** Boots whose evidence is kept, and bytes of it. */
const MAX_EVIDENCE = 1024;
const MAX_EVIDENCE_BYTES = 64 * 1024 * 1024;

export interface Recorded {
  readonly summary: StreamSummary;
  /** By the SHA-256 of the evidence, hex. */
  readonly evidence: ReadonlyMap<string, EvidenceItem>;
  readonly enrolments: readonly Uint8Array[];
}

/** All of a recording. What is wrong with it is the checker's to tell; throws for trouble with the file, and `not-a-vstream`. */
export function readRecording(path: string, checker: StreamChecker): Recorded {
  const reader = new VstreamReader();
  const evidence = new Map<string, EvidenceItem>();
  const enrolments: Uint8Array[] = [];
  let kept = 0;
  let isDamaged = false;
  readChunks(path, MAX_RECORDING, (chunk) => {
    if (isDamaged) return;
    try {
      reader.push(chunk, (item, at) => {
        if (item.kind === "frame") checker.frame(item.bytes, at);
        else if (item.kind === "coincidence") checker.coincidence(item.statement, at);
        else {
          const { evidence: bytes, challenge, enrolment } = item;
          kept += (bytes?.length ?? 0) + (challenge?.length ?? 0) + (enrolment?.length ?? 0);
          if (evidence.size >= MAX_EVIDENCE || kept > MAX_EVIDENCE_BYTES) return;
          if (enrolment !== undefined && enrolments.length < MAX_EVIDENCE) enrolments.push(enrolment.slice());
          if (bytes !== undefined)
            evidence.set(toHex(nodeCrypto.sha256(bytes)), {
              evidence: bytes.slice(),
              ...(challenge && { challenge: challenge.slice() }),
            });
        }
      });
    } catch (error) {
      if (!isRefusal(error) || error.code === "not-a-vstream") throw error;
      isDamaged = true;
      checker.damaged(error, reader.at);
    }
  });
  return { summary: checker.end(isDamaged ? 0 : reader.end()), evidence, enrolments };
}
