// What a verified stream tells, as it goes: streamcheck.ts makes these, and whoever reads a stream takes them.

import type { Crypto } from "./crypto";
import type { Group } from "./readings";
import type { Announce, Boot } from "./streambody";
import type { Opener } from "./streamopen";
import type { StreamCode, StreamFinding } from "./streamreasons";
import type { Coincidence } from "./vstream";

export type { Coincidence } from "./vstream";

/** How a finding is told of the frame in hand. */
export type Tell = (code: StreamCode, message: string) => void;

/** Rows of one data frame, opened. */
export interface ReadingBlock {
  seq: number;
  epoch: number;
  boot: Boot;
  groupIndex: number;
  group: Group;
  ticks: number;
  rows: number;
  /** Row-major mantissas. */
  values: Int32Array;
  /** A signed frame later links back to it. */
  isProved: boolean;
}

export interface GapNote {
  seq: number;
  epoch: number;
  boot: Boot;
  groupIndex: number;
  ticks: number;
  rows: number;
  isProved: boolean;
}

/** A boot that sends: what its announce or resume says. */
export interface BootNote {
  id: Uint8Array;
  kind: "announce" | "resume";
  boot: Boot;
  epoch: number;
  seq: number;
  /** The signed frame that a resume is linked to: it, and what follows, says nothing of frames between the two. */
  linked: number;
  at: number;
}

/** Frames from..to, one after another, that a signed frame binds; `ticks` and `link` are the signed one's. */
export interface ProvedNote {
  id: Uint8Array;
  epoch: number;
  from: number;
  to: number;
  ticks: number;
  link: Uint8Array;
}

export interface StreamEvents {
  announce?(announce: Announce, id: Uint8Array): void;
  boot?(note: BootNote): void;
  block?(block: ReadingBlock): void;
  gap?(gap: GapNote): void;
  /** Rows of all blocks that leave together, for who counts and needs no values. */
  rows?(count: number, isProved: boolean): void;
  proved?(note: ProvedNote): void;
  /** `isChecked`: by a recorder's key that was named. */
  coincidence?(coincidence: Coincidence, isChecked: boolean): void;
  finding?(finding: StreamFinding): void;
}

/** A signed head that somebody else has seen. */
export interface KnownHead {
  id: Uint8Array;
  seq: number;
  link: Uint8Array;
  /** An earlier run of this verifier, or a log's record. */
  from: "state" | "anchor";
  /** Streams that an earlier run saw before this one in one recording: where one of two is, the other is to be, too. */
  after?: readonly Uint8Array[];
}

/** The recording's frames once more, so that those which wait for a signature needn't be in memory. */
export interface ReadAgain {
  /** The frame whose item begins at this place. Its bytes are good until the next call. */
  frame(at: number): Uint8Array;
  /** How many bytes of readings are held nevertheless. */
  heldBytes?: number;
}

export interface CheckOptions {
  crypto: Crypto;
  /** Without it, who takes readings has all that wait in memory. */
  again?: ReadAgain;
  /** Why this announce isn't by an enrolled device, or null when it is; without it the announce's word is taken. */
  refuseSigner?: (announce: Announce) => string | null;
  /** Keys of recorders whose coincidences count. */
  recorders?: readonly Uint8Array[];
  opener?: Opener | null;
  heads?: readonly KnownHead[];
}

export interface StreamSummary {
  /** Of the stream that the recording ends in. */
  id: Uint8Array | null;
  isClosed: boolean;
  /** The last signed frame. */
  head: ProvedNote | null;
  /** Where a recorder who was named last saw the stream stand, at its head or after it; null when none did. */
  seen: Coincidence | null;
  /** Number of the last frame, signed or not. */
  last: number;
  frames: number;
  proved: number;
  /** Bodies that were masked and have been opened, and that weren't. */
  opened: number;
  unopened: number;
  /** Findings beyond what was told one by one, by code. */
  more: { [code: string]: number };
}
