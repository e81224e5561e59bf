// What one signed frame says of those before it: a resume of the checkpoint it goes on from, an announce of the
// stream that it follows. What is provable about frames around them is argued in spec/stream.md, "Rules".

import { copyBytes, equalBytes } from "./bytes";
import type { Announce, Boot, Resume } from "./streambody";
import type { StreamClock } from "./streamclock";
import type { ProvedNote, Tell } from "./streamevents";
import type { Numbers } from "./streamnumbers";
import type { FrameKeys } from "./streamopen";
import type { Frame } from "./streamread";

/** A stream as far as it has been read. */
export interface Stream {
  id: Uint8Array;
  announce: Announce;
  isClosed: boolean;
  boot: Boot;
  epoch: number;
  epochSeq: number;
  /** Of the epoch's frames; null where nobody gave them to us. */
  keys: FrameKeys | null;
  /** Whether one of the epoch's bodies was tried. */
  isKeyTried: boolean;
  last: { seq: number; link: Uint8Array };
  head: ProvedNote;
  numbers: Numbers;
  clock: StreamClock;
  /** Links of the last signed frames, by their numbers. */
  signed: Map<number, Uint8Array>;
}

/** Whether a signed frame that the device names is the one we have; false when it has none to be. */
function checkNamed(stream: Stream, seq: number, link: Uint8Array, who: string, tell: Tell): boolean {
  const known = stream.signed.get(seq);
  if (known === undefined) {
    if (seq <= stream.last.seq) return false;
    tell("stream-truncated", `${who} names frame ${seq}, the recording has none after ${stream.last.seq}`);
  } else if (!equalBytes(known, link))
    tell("stream-fork", `${who} names another frame ${seq} than was recorded`);
  return true;
}

/** A resume: the checkpoint it names is here, all that was acknowledged is here, and its boot is a later one. */
export function checkResume(stream: Stream, frame: Frame, resume: Resume, tell: Tell): void {
  const { last, boot } = stream;
  const { checkpointSeq, acknowledged } = resume;
  if (!checkNamed(stream, checkpointSeq, frame.prev, `resume ${frame.seq}`, tell))
    tell(
      "stream-resume-link",
      `resume ${frame.seq} is linked to frame ${checkpointSeq}, which isn't among the last signed ones`,
    );
  if (acknowledged > frame.seq)
    tell("stream-malformed", `resume ${frame.seq} says that ${acknowledged} frames were acknowledged`);
  else if (acknowledged > last.seq + 1)
    tell(
      "stream-truncated",
      `frames up to ${acknowledged - 1} were acknowledged, the recording has none after ${last.seq}`,
    );
  const isSameSeed = equalBytes(resume.bootseed, boot.bootseed);
  if (resume.bootcount <= boot.bootcount || isSameSeed)
    tell(
      "stream-boot",
      `a resume of boot ${resume.bootcount} follows boot ${boot.bootcount}${isSameSeed ? ", with its seed" : ""}`,
    );
}

/** Another stream begins where one stands: it says which, and up to where that one is the device's. */
export function checkSuccessor(before: Stream, announce: Announce, tell: Tell): void {
  const { parent } = announce;
  if (!equalBytes(announce.ueid, before.announce.ueid))
    tell("stream-parent", "another device's stream begins");
  else if (parent === null) {
    if (!before.isClosed) tell("stream-parent", "another stream begins, and names no parent");
  } else if (!equalBytes(parent.id, before.id))
    tell("stream-parent", "another stream begins, and names a parent that isn't the stream before it");
  else if (!checkNamed(before, parent.seq, parent.link, "the stream's successor", tell))
    tell("stream-parent", `another stream begins after frame ${parent.seq}, which isn't signed`);
  else if (!equalBytes(announce.publicKey, before.announce.publicKey) && before.head.to > parent.seq)
    tell(
      "stream-superseded",
      `the old key signed up to frame ${before.head.to}, the new key's stream takes over after ${parent.seq}`,
    );
}

// What is kept must not be views of a buffer that is used again.
const own = (bytes: Uint8Array) => copyBytes(bytes, 0, bytes.length);

/** A boot to keep; its keyload was for those who open it. */
export function ownBoot(boot: Boot): Boot {
  const { bootcount, ticks, image } = boot;
  return {
    bootcount,
    ticks,
    bootseed: own(boot.bootseed),
    evidence: own(boot.evidence),
    image: image && own(image),
    keyload: null,
  };
}

export function ownAnnounce(a: Announce): Announce {
  const parent = a.parent && { id: own(a.parent.id), seq: a.parent.seq, link: own(a.parent.link) };
  return { ...a, ...ownBoot(a), ueid: own(a.ueid), publicKey: own(a.publicKey), parent };
}
