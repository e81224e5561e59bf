// Restarting a device that doesn't count its restarts, and telling whether it did.
//
//   swap       the image that was set to boot next no longer is: it restarted
//   highest,   something else runs; or it was away and came back, and a while later
//   recovery   nothing changed: it doesn't boot the new image
//
// In swap mode a second restart would end the trial, so it is asked for again only
// while the device says that the trial has yet to come. Elsewhere a second one is harmless.

import { Refusal } from "@vouch/shared/refusal";
import { sleep } from "../device/clock";
import type { Link } from "../device/link";
import { resetDevice } from "../device/smp";
import type { CheckedMcuboot } from "../mcuboot";
import { type Boots, isThis, look, type Seen } from "./seen";
import { isAway, POLL_MS, RESET_LOST_MS, RETURN_MS, RETURN_REPLY_MS, reopen } from "./steps";

const SETTLED_MS = 8000; // away and back, and still the old image: it stays that
const RESETS_MAX = 3;
const LAST_WORD_MS = 2000; // a reset and a look, so that what it answers last is known

/** What the device says once it is back. Refuses `did-not-return`. */
export async function restart(
  link: Link,
  before: Seen,
  checked: CheckedMcuboot,
  boots: Boots,
): Promise<Seen> {
  const { clock } = link.session;
  const end = Math.min(link.deadline - LAST_WORD_MS, clock.now() + RETURN_MS);
  let asked = clock.now();
  let resets = 1;
  let wasAway = false;
  await resetDevice(link.session);
  for (;;) {
    await sleep(clock, POLL_MS);
    const seen = await lookAgain(link, end, boots);
    const since = clock.now() - asked;
    if (seen === null) {
      wasAway = true;
      continue;
    }
    const told = boots !== "recovery" || before.active === undefined || wasAway;
    if (told && hasRestarted(seen, checked, boots)) return seen;
    const isSettled = boots !== "swap" && since > SETTLED_MS && (wasAway || resets === RESETS_MAX);
    if (isSettled) return seen;
    if (clock.now() >= end) throw notBack("it answers, and did not restart");
    // It answers, and hasn't restarted: the request was lost.
    const mayAsk = boots === "swap" || (!wasAway && resets < RESETS_MAX);
    if (mayAsk && since > RESET_LOST_MS) {
      await resetDevice(link.session);
      asked = clock.now();
      resets++;
    }
  }
}

function hasRestarted({ active, others }: Seen, checked: CheckedMcuboot, boots: Boots): boolean {
  if (isThis(active, checked)) return true;
  if (boots !== "swap") return boots === "recovery" && active !== undefined;
  // Without an active image it waits in its boot loader: neither image would start.
  return active === undefined || !others.some((slot) => isThis(slot, checked) && slot.pending);
}

const notBack = (found: string, cause?: Refusal) =>
  new Refusal("did-not-return", `the device was asked to restart: ${found}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "power it off and on, then flash again; an image without an SMP server looks like this too",
  });

/** What the device says, or null while it is away. */
async function lookAgain(link: Link, end: number, boots: Boots): Promise<Seen | null> {
  const { clock } = link.session;
  try {
    return await look(link.session, { tries: 1, replyMs: RETURN_REPLY_MS });
  } catch (error) {
    if (!isAway(error)) throw error;
    if (clock.now() >= end) {
      throw notBack(
        boots === "recovery" ? "nothing answers where its boot loader did" : "it doesn't answer",
        error,
      );
    }
    if (error.code === "device-closed") await reopen(link, notBack);
    return null;
  }
}
