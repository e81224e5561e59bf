// What flashing does on any device, ours or another's: getting consent, sending a
// file across lost lines, and telling a device that is away from one that is gone.

import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { Link } from "../device/link";
import { uploadOverLink } from "../device/resume";
import type { Io } from "../io";
import type { Screen } from "../output/screen";

export const RETURN_MS = 120_000; // a swap of a large slot on a slow part
export const RESET_LOST_MS = 5000;
export const POLL_MS = 250;
export const RETURN_REPLY_MS = 500; // what a starting device misses is asked again

/** Refuses `declined`, or `needs-yes` where nobody can be asked. */
export async function agree(io: Io, question: string): Promise<void> {
  if (!(await io.confirm(question))) throw new Refusal("declined", "nothing was written to the device");
}

export interface Transfer {
  /** Of the whole stream: the device knows an upload it began by it. */
  readonly sha256: Uint8Array;
  /** Called when the line came back: refuses where another device is on it. */
  returned(): Promise<void>;
}

export interface Transferred {
  /** The device's own check of what it stored; null where it has none. */
  readonly match: boolean | null;
}

/** The upload, across lost lines: the device knows how far it came. */
export async function transfer(
  link: Link,
  stream: Uint8Array,
  screen: Screen,
  { sha256, returned }: Transfer,
): Promise<Transferred> {
  const progress = screen.progress("uploading", stream.length);
  try {
    return await uploadOverLink(link, stream, {
      sha256,
      onProgress: progress.update,
      checkDevice: returned,
      onLost: () => screen.say("the line is gone; waiting for the device"),
    });
  } finally {
    progress.end();
  }
}

/** True for what a restarting device looks like: silence, or a line that went away. */
export function isAway(error: unknown): error is Refusal {
  return isRefusal(error) && (error.code === "device-timeout" || error.code === "device-closed");
}

/** The line of a device that restarts, open again; refuses what `notBack` makes when it stays away. */
export async function reopen(link: Link, notBack: (found: string, cause: Refusal) => Refusal): Promise<void> {
  await link.reopen().catch((cause) => {
    throw isRefusal(cause) ? notBack("it didn't come back", cause) : cause;
  });
}
