// A recording read once, front to back: frames and coincidences to a checker, what boots attested kept by its digest.

import { closeSync, openSync, readSync } from "node:fs";
import { toHex } from "@vouch/shared/bytes";
import { isRefusal } from "@vouch/shared/refusal";
import type { ReadAgain, StreamChecker, StreamSummary } from "@vouch/shared/streamcheck";
import { type EvidenceItem, frameOfItem, VstreamReader } from "@vouch/shared/vstream";
import { nodeCrypto } from "./crypto";
import { fileTrouble } from "./filetrouble";
import { readChunks } from "./readfiles";

/** A recording may be as long as a disk; it is never in memory at once. */
const MAX_RECORDING = 2 ** 44;
/** Boots whose evidence is kept, and bytes of it. */
const MAX_EVIDENCE = 1024;
const MAX_EVIDENCE_BYTES = 64 * 1024 * 1024;

/** What says nothing about the recording: another file, or one that is being changed. */
const TROUBLE: ReadonlySet<string> = new Set([
  "not-a-vstream",
  "recording-changed",
  "unreadable",
  "not-found",
]);

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
      if (!isRefusal(error) || TROUBLE.has(error.code)) throw error;
      isDamaged = true;
      checker.damaged(error, reader.at);
    }
  });
  return { summary: checker.end(isDamaged ? 0 : reader.end()), evidence, enrolments };
}

/** Long enough that frames which follow one another are one read. */
const WINDOW = 256 * 1024;

/** Frames once more, in any order, `read` being where the recording's bytes come from. */
export function framesAgain(read: (into: Uint8Array, at: number) => number): ReadAgain {
  let window: Uint8Array = new Uint8Array(0);
  let from = 0;
  const buffer = new Uint8Array(WINDOW);
  return {
    frame(at) {
      const near = at < from || at >= from + window.length ? null : frameOfItem(window.subarray(at - from));
      if (near !== null) return near;
      from = at;
      window = buffer.subarray(0, read(buffer, at));
      return frameOfItem(window) ?? new Uint8Array(0);
    },
  };
}

/** Frames of a file by their places; it is opened when one is asked for. */
export function openFrames(path: string): ReadAgain & { close(): void } {
  let fd: number | null = null;
  const read = (into: Uint8Array, at: number) => {
    try {
      fd ??= openSync(path, "r");
      return readSync(fd, into, 0, into.length, at);
    } catch (error) {
      throw fileTrouble(error, "unreadable", "can't be read");
    }
  };
  return {
    ...framesAgain(read),
    close() {
      if (fd !== null) closeSync(fd);
      fd = null;
    },
  };
}

/** Runs `work`, which may read frames of the file again. */
export function withFramesOf<T>(path: string, work: (again: ReadAgain) => T): T {
  const frames = openFrames(path);
  try {
    return work(frames);
  } finally {
    frames.close();
  }
}
