// What an MCUboot device says it holds. Claims, all of it, but for which image is active.

import { equalBytes } from "@vouch/shared/bytes";
import type { Request, Session } from "../device/session";
import { type ImageSlot, readImages } from "../device/smp";
import type { CheckedMcuboot } from "../mcuboot";

/** How the device chooses what it boots, as far as it has shown. */
export type Boots = "swap" | "highest" | "recovery";

/** The device's slots of image 0. */
export interface Seen {
  readonly active: ImageSlot | undefined;
  readonly others: readonly ImageSlot[];
}

export async function look(
  session: Session,
  patience: Pick<Request, "tries" | "replyMs"> = {},
): Promise<Seen> {
  const slots = (await readImages(session, patience)).filter(({ image }) => image === 0);
  const active = slots.find((slot) => slot.active);
  return { active, others: slots.filter((slot) => slot !== active) };
}

export function isThis(slot: ImageSlot | undefined, { image }: CheckedMcuboot): boolean {
  return slot?.hash != null && equalBytes(slot.hash, image.digest.value);
}
