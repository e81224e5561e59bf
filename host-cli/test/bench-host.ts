// The host's side of scripts/bench-flash.mjs: the real port, session and upload.

import { encodeFrame } from "@vouch/shared/smp";
import { openSession } from "../src/device/session";
import { readParameters } from "../src/device/smp";
import { openDevice } from "../src/device/transport";
import { type UploadOutcome, uploadImage } from "../src/device/upload";
import { sha256Of } from "./smp-server";

export async function upload(
  port: string,
  image: Uint8Array,
  window: number | "auto",
): Promise<UploadOutcome> {
  const session = openSession(await openDevice(port), { timeoutMs: 300_000 });
  try {
    const parameters = await readParameters(session);
    return await uploadImage(session, image, { sha256: sha256Of(image), parameters, window });
  } finally {
    await session.close();
  }
}

/** Bytes of image a second that this framing can carry at most, with messages as large as the buffer. */
export function limitOf(baud: number, bufSize: number): number {
  const message = bufSize - 4;
  const data = message - 8 - 16; // the header; {"data": h'…', "off": N} around the bytes, N of three to five
  return ((baud / 10) * data) / encodeFrame(new Uint8Array(message)).length;
}
