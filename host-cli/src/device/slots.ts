// What MCUboot servers answer beyond the image list: how large the slots are, and
// whether an image can be tested at all.
//
//   state {hash, confirm: false}   set            it boots once, then goes back unless confirmed
//                                  rc 8           RAM_LOAD, DIRECT_XIP, serial recovery: nothing to set,
//                                                 the highest version boots
//   slots                          sizes, or rc 8 from servers that are older or recovering

import { cborMap } from "@vouch/shared/cbor";
import { GROUP_IMAGE, GROUP_OS, IMAGE_SLOTS, IMAGE_STATE, RC_NOT_SUPPORTED } from "@vouch/shared/smp";
import { hasField, listField, uintField } from "./body";
import type { Reply, Session } from "./session";
import { deviceError, expectOk } from "./smp";

const TEST_MS = 2000;

/** Result codes from group 1 are of its own list, where 8 is something else. */
function isUnsupported(reply: Reply): boolean {
  return (
    reply.kind === "error" &&
    reply.rc === RC_NOT_SUPPORTED &&
    (reply.group === null || reply.group === GROUP_OS)
  );
}

/** Bytes of the smallest slot that an upload for image 0 may go to; null where the server doesn't tell. */
export async function readUploadSlot(session: Session): Promise<number | null> {
  const what = "slot info";
  const request = { what, write: false, group: GROUP_IMAGE, command: IMAGE_SLOTS, body: cborMap([]) };
  const reply = await session.exchange(request);
  if (reply.kind === "error") return null; // a courtesy of newer servers: the device refuses what doesn't fit
  const images = listField({ what, body: expectOk(what, reply) }, "images", 16);
  const image = images.find((one) => !hasField(one, "image") || uintField(one, "image", 255) === 0);
  if (image === undefined || !hasField(image, "slots")) return null;
  const largest = hasField(image, "max_image_size") ? [uintField(image, "max_image_size")] : [];
  const slots = listField(image, "slots", 16).filter((slot) => hasField(slot, "upload_image_id"));
  const sizes = [
    ...largest,
    ...slots.filter((slot) => hasField(slot, "size")).map((s) => uintField(s, "size")),
  ];
  return sizes.length === 0 ? null : Math.min(...sizes);
}

/** Marks an image to be booted once; false where the device has nothing to mark. Saying it twice changes nothing. */
export async function testOnce(session: Session, hash: Uint8Array): Promise<boolean> {
  const what = "test";
  const reply = await session.exchange({
    what,
    write: true,
    group: GROUP_IMAGE,
    command: IMAGE_STATE,
    body: cborMap([
      ["confirm", false],
      ["hash", hash],
    ]),
    replyMs: TEST_MS,
  });
  if (isUnsupported(reply)) return false;
  if (reply.kind === "error") throw deviceError(what, reply);
  return true;
}
