// An MCUboot image, on any device with MCUboot and an SMP server.
//
//   check the file ─ image state ─ slot size ─┐ refusals up to here wrote nothing
//                                             │
//   upload ─▶ device's check ─▶ test ─▶ restart ─▶ runs it? ─▶ confirm
//                │                │                   │ no: image-reverted
//                │                └ rc 8: this boot loader takes the highest version
//                └ verified, mismatch, or the device can't tell
//
// Image state is asked first and always: a boot loader in serial recovery answers
// nothing else for sure, and lists no image as active. What it lists is a claim that
// nobody checked, until the image is active: only then has MCUboot checked it. So
// "the device can't tell" is said where the upload's answer has no `match`.
//
//   swap       test, restart, confirm; the image from before is kept until then
//   highest    RAM_LOAD, DIRECT_XIP: restart; the higher version boots from now on
//   recovery   the upload replaces what the boot loader starts, at once and for good

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { formatVersion, type McubootVersion, parseVersion } from "@vouch/shared/mcuboot";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { type Link, type LinkOptions, withLink } from "../device/link";
import type { Session } from "../device/session";
import { readUploadSlot, testOnce } from "../device/slots";
import { confirmImage, eraseImage, type ImageSlot } from "../device/smp";
import { identify } from "../device/vouch";
import { printable } from "../exit";
import type { Io } from "../io";
import { type CheckedMcuboot, checkMcubootTarget } from "../mcuboot";
import { plainScreen, type Screen } from "../output/screen";
import { restart } from "./restart";
import { type Boots, isThis, look, type Seen } from "./seen";
import { agree, transfer } from "./steps";

export interface McubootOptions {
  readonly port: string;
  /** From checkMcuboot: the file's own flaws are refused before a port is opened. */
  readonly checked: CheckedMcuboot;
  readonly allowDowngrade?: boolean;
  readonly dryRun?: boolean;
  /** Consent was given on the command line. */
  readonly yes?: boolean;
  /** False leaves the image on trial: the next restart goes back. */
  readonly confirm?: boolean;
  readonly link: LinkOptions;
}

export interface McubootReport {
  readonly result: "flashed" | "already-running" | "would-flash";
  readonly port: string;
  readonly boots: Boots;
  readonly image: {
    readonly version: string;
    readonly digest: string;
    readonly size: number;
    readonly securityCounter: number | null;
    readonly signer: string;
  };
  /** What ran before, as the device says it; null where nothing did. */
  readonly before: { readonly version: string | null };
  /** Null where nothing was uploaded. */
  readonly deviceCheck: "verified" | "cannot-tell" | null;
  readonly confirmed: boolean;
}

/** Refuses what checkMcubootTarget refuses before anything is written; then the rest. */
export async function flashMcuboot(
  options: McubootOptions,
  io: Io,
  screen: Screen = plainScreen(io),
): Promise<McubootReport> {
  const { port, checked, confirm = true } = options;
  return withLink(port, options.link, async (link) => {
    const seen = await look(link.session);
    const { active, others } = seen;
    const runs = isThis(active, checked);
    const next = others.find((slot) => slot.pending);
    const settled = runs && next === undefined && (active?.confirmed === true || !confirm);
    const report = reportOf(options, seen);
    if (settled) return { ...report, result: "already-running", confirmed: active?.confirmed === true };
    const slotBytes = runs ? null : await checkDevice(link.session, seen, options);
    await announce(options, seen, slotBytes, planOf(seen, runs, next, confirm), io, screen);
    if (options.dryRun === true) return report;
    if (runs) return { ...report, ...(await finishRunning(link, options, next)) };
    return { ...report, ...(await install(link, seen, options, screen)) };
  });
}

/** Checks the image against what is there; the size of the slot it goes to. */
async function checkDevice(session: Session, seen: Seen, options: McubootOptions): Promise<number | null> {
  const { checked, allowDowngrade = false } = options;
  const { active } = seen;
  if (active !== undefined && !active.confirmed) {
    throw new Refusal(
      "image-on-trial",
      `the device runs an image on trial (${quote(active.version)}), and keeps the other to go back to`,
      { hint: "flash the image on trial again to confirm it, or restart the device to go back" },
    );
  }
  const slotBytes = await readUploadSlot(session);
  checkMcubootTarget(checked, { ...runningVersion(seen), slotBytes }, { allowDowngrade });
  return slotBytes;
}

/** What runs; in recovery, what the boot loader would start. */
function runningVersion({ active, others }: Seen): {
  version: McubootVersion | null;
  versionText: string | null;
} {
  const slot = active ?? others.find((other) => other.slot === 0);
  return slot === undefined
    ? { version: null, versionText: null }
    : { version: parseVersion(slot.version), versionText: slot.version };
}

function planOf(seen: Seen, runs: boolean, next: ImageSlot | undefined, confirm: boolean): string[] {
  if (runs) {
    return [
      ...(next === undefined ? [] : ["erase the other image, which is set to run next"]),
      ...(seen.active?.confirmed === true || !confirm ? [] : ["confirm the image that runs on trial"]),
    ];
  }
  if (seen.active === undefined) return ["upload in place of what the boot loader starts", "restart"];
  return ["upload", "test", "restart", ...(confirm ? ["confirm"] : [])];
}

/** Says what will be done, and gets consent for it. */
async function announce(
  { port, checked, dryRun, yes }: McubootOptions,
  seen: Seen,
  slotBytes: number | null,
  plan: readonly string[],
  io: Io,
  { say }: Screen,
): Promise<void> {
  const { image, key } = checked;
  const counter = image.securityCounter === null ? "" : `, security counter ${image.securityCounter}`;
  const { versionText } = runningVersion(seen);
  const state =
    seen.active === undefined
      ? `in its boot loader, ${versionText === null ? "with no image" : `which starts ${versionText || "?"}`}`
      : `runs ${versionText || "?"}`;
  const slot = slotBytes === null ? "" : `, slot of ${slotBytes} bytes`;
  say(
    `image   ${formatVersion(image.version)}${counter}, ${image.bytes.length} bytes, ${digestText(checked)}`,
  );
  say(`signed  by ${key.name}, the key that was given`);
  say(`device  MCUboot on ${port}, ${state}${slot}`);
  say(`plan    ${plan.join(", ")}`);
  if (dryRun !== true && yes !== true) await agree(io, `change the device on ${port}?`);
}

type Outcome = Pick<McubootReport, "result" | "boots" | "deviceCheck" | "confirmed">;

/** The image runs already: what is left is to keep it. */
async function finishRunning(
  link: Link,
  { checked, confirm = true }: McubootOptions,
  next: ImageSlot | undefined,
): Promise<Outcome> {
  if (next !== undefined) await eraseImage(link.session, next.slot);
  const confirmed = confirm
    ? await keep(link.session, checked)
    : (await look(link.session)).active?.confirmed;
  return { result: "flashed", boots: "swap", deviceCheck: null, confirmed: confirmed === true };
}

/** Upload, test, restart, confirm. */
async function install(link: Link, before: Seen, options: McubootOptions, screen: Screen): Promise<Outcome> {
  const { checked, confirm = true } = options;
  const deviceCheck = await upload(link, before, checked, screen);
  const boots = await chooseNext(link.session, before, checked);
  if (boots === "highest") {
    screen.say("nothing to test here: this boot loader starts the highest version, for good");
  }
  const seen = await restart(link, before, checked, boots);
  if (!isThis(seen.active, checked)) throw notRunning(before, seen, boots, checked);
  screen.say("restarted: the boot loader checked the image, and runs it");
  await tellNext(link.session, options.port, screen);
  const done = { result: "flashed", boots, deviceCheck } as const;
  const isKept = seen.active?.confirmed === true;
  if (isKept || !confirm) return { ...done, confirmed: isKept };
  return { ...done, confirmed: await keep(link.session, checked) };
}

/** Sends the file, and says what the device's own check came to. */
async function upload(
  link: Link,
  before: Seen,
  checked: CheckedMcuboot,
  screen: Screen,
): Promise<"verified" | "cannot-tell"> {
  const { match } = await transfer(link, checked.image.bytes, screen, {
    sha256: checked.fileSha256,
    returned: async () => checkSame(before, await look(link.session), checked),
  }).catch((error: unknown) => {
    if (!isRefusal(error) || error.code !== "device-error") throw error;
    throw new Refusal("image-refused", `${error.message}; what it runs is unchanged`, { cause: error });
  });
  if (match === false) {
    throw new Refusal(
      "verify-mismatch",
      "what the device stored isn't what was sent; what it runs is unchanged",
      {
        hint: "flash again: the upload starts over",
      },
    );
  }
  if (match === true) {
    screen.say("checked by the device: what it stored is what was sent");
    return "verified";
  }
  screen.say("the device can't tell whether it stored what was sent; its boot loader will check");
  return "cannot-tell";
}

/** No serial number of its own: what runs is all that tells one device from another. */
function checkSame(before: Seen, now: Seen, checked: CheckedMcuboot): void {
  const [was, is] = [before.active?.hash, now.active?.hash];
  const same = was == null || is == null ? was === is : equalBytes(was, is);
  if (same || isThis(now.active, checked)) return;
  throw new Refusal("device-changed", "the device runs something else than when this began");
}

/** Has the device boot the image next, where that is for us to say. */
async function chooseNext(session: Session, before: Seen, checked: CheckedMcuboot): Promise<Boots> {
  if (before.active === undefined) return "recovery";
  const { active, others } = await look(session);
  if (isThis(active, checked)) return "recovery"; // a boot loader that does flag what it starts
  if (!others.some((slot) => isThis(slot, checked) && slot.bootable)) {
    throw new Refusal("image-refused", "the device doesn't list the image as one it could boot", {
      hint: "what it runs is unchanged; is the image for this device's image 0?",
    });
  }
  try {
    return (await testOnce(session, checked.image.digest.value)) ? "swap" : "highest";
  } catch (error) {
    // Set already, by a run that was cut after it.
    const set = (await look(session)).others.some((slot) => isThis(slot, checked) && slot.pending);
    if (set || !isRefusal(error)) return "swap";
    throw new Refusal("image-refused", error.message, { cause: error });
  }
}

function notRunning(before: Seen, seen: Seen, boots: Boots, { image }: CheckedMcuboot): Refusal {
  if (seen.active === undefined) {
    return new Refusal("image-refused", "the boot loader doesn't start the image, and waits for another", {
      hint: "is it signed by the key that this boot loader has, and linked for its slot?",
    });
  }
  const runs = quote(seen.active.version);
  const wasLower = parseVersion(before.active?.version ?? "");
  const why =
    boots === "highest"
      ? `${formatVersion(image.version)} is not higher than ${wasLower === null ? "what runs" : formatVersion(wasLower)}, or not valid to it`
      : "the boot loader found the new one invalid, or it didn't stay up";
  return new Refusal("image-reverted", `the device restarted into the image from before, ${runs}: ${why}`, {
    hint: "is the image signed by the key that this boot loader has, and linked for its slot?",
  });
}

/** Confirms, and looks whether the image that was confirmed is the one meant. */
async function keep(session: Session, checked: CheckedMcuboot): Promise<boolean> {
  if ((await look(session)).active?.confirmed !== true) await confirmImage(session);
  const { active } = await look(session);
  if (isThis(active, checked) && active?.confirmed === true) return true;
  throw new Refusal(
    "image-reverted",
    "the device went back to the image from before ahead of the confirmation",
  );
}

/** A device with our agent beside its server can prove what it runs. */
async function tellNext(session: Session, port: string, screen: Screen): Promise<void> {
  try {
    await identify(session, { tries: 2 });
    screen.say(`next: vouch attest --port ${port} proves what it runs`);
  } catch (error) {
    if (!isRefusal(error)) throw error; // most devices: no agent
  }
}

const digestText = ({ image: { digest } }: CheckedMcuboot) => `${digest.name} ${toHex(digest.value)}`;

function reportOf({ port, checked }: McubootOptions, seen: Seen): McubootReport {
  const { image, key } = checked;
  return {
    result: "would-flash",
    port,
    boots: seen.active === undefined ? "recovery" : "swap",
    image: {
      version: formatVersion(image.version),
      digest: toHex(image.digest.value),
      size: image.bytes.length,
      securityCounter: image.securityCounter,
      signer: key.name,
    },
    before: { version: runningVersion(seen).versionText },
    deviceCheck: null,
    confirmed: false,
  };
}

/** What came of it, in a line. */
export function mcubootLine({ port, image, result, confirmed, boots }: McubootReport): string {
  const kept = boots === "swap" ? "flashed and confirmed" : "flashed and running";
  const words = {
    flashed: confirmed ? kept : "flashed, on trial until confirmed",
    "already-running": confirmed ? "already runs, confirmed" : "already runs, on trial",
    "would-flash": "would be flashed",
  };
  return printable(`MCUboot on ${port}: ${image.version}, digest ${image.digest}: ${words[result]}`);
}
