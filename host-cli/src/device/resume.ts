// An upload that outlives its line: a pulled cable, a hub that resets, a board that
// comes back under another name.
//
//   upload ──▶ line closed ──▶ link.reopen ──▶ the same device? ──▶ upload goes on
//                 ▲                               │ no: refused          │
//                 └────────────── 10 times ───────┴──────────────────────┘
//
// The device says how far it came: what was on the way when the line went is all
// that may be sent twice. The deadline is the link's, for everything together.

import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { Link } from "./link";
import type { Session } from "./session";
import { readParameters } from "./smp";
import { type UploadOptions, type UploadOutcome, uploadImage } from "./upload";

const RECONNECTS_MAX = 10; // without a byte more on the device

export interface ResumeOptions extends Omit<UploadOptions, "parameters"> {
  /** Refuses a device that isn't the one the upload began with. */
  checkDevice(session: Session): Promise<void>;
  /** The line is gone, and waited for. */
  onLost?: () => void;
}

/**
 * Uploads over a link, across lost lines. The outcome counts from where the last of them began. Refuses
 * `transfer-resumable` when the device doesn't come back before the link's deadline.
 */
export async function uploadOverLink(
  link: Link,
  stream: Uint8Array,
  options: ResumeOptions,
): Promise<UploadOutcome> {
  let furthest = 0;
  let reconnects = 0;
  const onProgress = (done: number) => {
    if (done > furthest) reconnects = 0;
    furthest = Math.max(furthest, done);
    options.onProgress?.(done);
  };
  for (let isBack = false; ; isBack = true) {
    try {
      if (isBack) {
        await link.reopen().catch((cause) => {
          throw isRefusal(cause) ? notBack(furthest, stream.length, cause) : cause;
        });
        await options.checkDevice(link.session);
      }
      const parameters = await readParameters(link.session);
      return await uploadImage(link.session, stream, { ...options, parameters, onProgress });
    } catch (error) {
      if (!isRefusal(error) || error.code !== "device-closed") throw error;
      if (reconnects++ >= RECONNECTS_MAX) throw error;
      options.onLost?.();
    }
  }
}

const notBack = (at: number, total: number, cause: Refusal) =>
  new Refusal(
    "transfer-resumable",
    `the device went away at ${at} of ${total} bytes and didn't come back in time`,
    {
      cause,
      hint: "the image it runs is untouched: plug it in and run the same command again, it goes on from there",
    },
  );
