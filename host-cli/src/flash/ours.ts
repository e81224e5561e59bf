// vouch flash FILE.upload: from the maker's file to a confirmed image, or a
// refusal that says what the device runs now.
//
//   check the file ─ identify ─ check the target ─┐ refusals up to here wrote nothing
//                                                 │
//   upload ─▶ device checks ─▶ test ─▶ restart ─▶ runs it? ─▶ confirm
//     ▲ resumes where the device    │                │ no: image-reverted, the old
//     └── is, after a lost line     └ boots once     └     image runs on
//
// Nothing here is trusted twice: that the new image runs is what the device says,
// and `vouch attest` is what proves it.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { faultCode, faultRefusal, isRefusal, Refusal } from "@vouch/shared/refusal";
import { nodeCrypto } from "../crypto";
import { sleep } from "../device/clock";
import { type Link, type LinkOptions, withLink } from "../device/link";
import { confirmImage, eraseImage, type ImageSlot, readImages, resetDevice, testImage } from "../device/smp";
import { type Identity, identify, lastFault } from "../device/vouch";
import { printable } from "../exit";
import type { Io } from "../io";
import { plainScreen, type Screen } from "../output/screen";
import { type CheckedUpload, checkTarget } from "../upload";
import { agree, isAway, POLL_MS, RESET_LOST_MS, RETURN_MS, RETURN_REPLY_MS, reopen, transfer } from "./steps";

export interface FlashOptions {
  readonly port: string;
  /** From checkUpload: the file's own flaws are refused before a port is opened. */
  readonly upload: CheckedUpload;
  readonly allowDowngrade?: boolean;
  readonly dryRun?: boolean;
  /** Consent was given on the command line. */
  readonly yes?: boolean;
  /** False leaves the image on trial: the next restart goes back. */
  readonly confirm?: boolean;
  readonly link: LinkOptions;
}

export interface FlashReport {
  readonly result: "flashed" | "already-running" | "would-flash";
  readonly port: string;
  readonly model: string;
  readonly ueid: string | null;
  readonly image: {
    /** As the maker wrote it in the manifest; "" where that has none. */
    readonly version: string;
    readonly sha256: string;
    readonly size: number;
    readonly securityVersion: number;
    readonly manifestSha256: string;
  };
  /** What ran and what was the least accepted, before. */
  readonly before: { readonly securityVersion: number; readonly floor: number };
  readonly confirmed: boolean;
}

/** Refuses what checkTarget refuses before anything is written; then the rest. */
export async function flashDevice(
  options: FlashOptions,
  io: Io,
  screen: Screen = plainScreen(io),
): Promise<FlashReport> {
  const { port, upload } = options;
  return withLink(port, options.link, async (link) => {
    const device = await identify(link.session);
    checkTarget(upload, device, options.allowDowngrade === true);
    const images = await readImages(link.session);
    const active = images.find((slot) => slot.active);
    // A run that was cut before its restart left it: the next start would take it.
    const other = images.find((slot) => !slot.active && slot.pending);
    const runs = isRunning(device, upload);
    const reportOf = (result: FlashReport["result"], confirmed: boolean) =>
      reportFor(result, confirmed, port, device, upload);
    const settled = runs && (active?.confirmed === true || options.confirm === false);
    const done = () => reportOf(runs ? "already-running" : "flashed", active?.confirmed === true && runs);
    if (settled && other === undefined) return done();
    if (!runs && active !== undefined && !active.confirmed) throw onTrial();
    const plan = runs ? planRunning(other !== undefined, settled) : planNew(options.confirm !== false);
    await announce(options, upload, device, plan, io, screen);
    if (options.dryRun === true) return reportOf("would-flash", false);
    if (!runs) await install(link, upload, device, screen);
    else if (other !== undefined) await eraseImage(link.session, other.slot);
    if (settled || options.confirm === false) return done();
    await keep(link, upload);
    return reportOf("flashed", true);
  });
}

function planRunning(otherPending: boolean, settled: boolean): string[] {
  return [
    ...(otherPending ? ["erase the other image, which is set to run next"] : []),
    ...(settled ? [] : ["confirm the image that runs on trial"]),
  ];
}

const planNew = (confirm: boolean) => [
  "erase the other slot",
  "upload",
  "test",
  "restart",
  ...(confirm ? ["confirm"] : []),
];

/** Two releases may have the same image; the manifest tells them apart. */
function isRunning(device: Identity, upload: CheckedUpload): boolean {
  return device.manifestDigest !== null && equalBytes(device.manifestDigest, upload.manifestDigest);
}

function isImage(slot: ImageSlot | undefined, upload: CheckedUpload): boolean {
  return slot?.hash != null && equalBytes(slot.hash, upload.manifest.digest);
}

const onTrial = () =>
  new Refusal("image-on-trial", `the device runs an image on trial, and keeps the other to go back to`, {
    hint: "flash the image on trial again to confirm it, or restart the device to go back",
  });

/** The release's version, which nothing is decided by, and the number that counts. */
function nameOf({ version, sequence }: { version: string; sequence: number }): string {
  return `${version === "" ? "" : `${version}, `}security version ${sequence}`;
}

/** Says what will be done, and gets consent for it. */
async function announce(
  options: FlashOptions,
  upload: CheckedUpload,
  device: Identity,
  plan: readonly string[],
  io: Io,
  { say }: Screen,
): Promise<void> {
  const { manifest, vendor } = upload;
  const ueid = device.ueid === null ? "no device id yet" : `device id ${toHex(device.ueid).slice(0, 16)}…`;
  say(`image   ${nameOf(manifest)}, ${upload.size} bytes, sha256 ${toHex(manifest.digest)}`);
  say(`signed  by ${vendor.name}, the key this device boots by`);
  say(`device  ${device.model} on ${options.port}, ${ueid}, runs security version ${device.sequence}`);
  say(`plan    ${plan.join(", ")}`);
  if (options.dryRun !== true && options.yes !== true)
    await agree(io, `change the device on ${options.port}?`);
}

/** Upload, test, restart: the device then runs the image, on trial. */
async function install(link: Link, upload: CheckedUpload, device: Identity, screen: Screen): Promise<void> {
  const { digest } = upload.manifest;
  await send(link, upload, device, screen);
  const stored = (await readImages(link.session)).find((slot) => !slot.active && isImage(slot, upload));
  if (stored === undefined || !stored.bootable) {
    throw await refusedByDevice(link, "image-refused", "the device didn't take the image as bootable");
  }
  await testImage(link.session, digest);
  screen.say("checked by the device: signature, model, rollback and digest hold");
  const ready = await identify(link.session); // power may have failed since the first
  checkSameDevice(ready, device);
  const back = isRunning(ready, upload) ? ready : await restart(link, ready);
  if (!isRunning(back, upload)) {
    const fault = await lastFault(link.session);
    const why = fault === 0 ? "" : `: ${faultCode(fault)}`;
    throw new Refusal(
      "image-reverted",
      `the device restarted into security version ${back.sequence}, not the new image${why}`,
    );
  }
}

/** The upload; another device than the one this began with gets none of it. */
async function send(link: Link, upload: CheckedUpload, device: Identity, screen: Screen): Promise<void> {
  try {
    await transfer(link, upload.stream, screen, {
      sha256: nodeCrypto.sha256(upload.stream),
      returned: async () => checkSameDevice(await identify(link.session), device),
    });
  } catch (error) {
    if (!isRefusal(error) || error.code !== "device-error") throw error;
    throw await refusedByDevice(link, error.code, error.message, error);
  }
}

function checkSameDevice(now: Identity, before: Identity): void {
  const same =
    now.ueid === null || before.ueid === null ? now.ueid === before.ueid : equalBytes(now.ueid, before.ueid);
  if (same) return;
  throw new Refusal("device-changed", `another device answers than the one this began with`);
}

/** The device's own reason where it gives one, else what is given here. */
async function refusedByDevice(link: Link, code: string, message: string, cause?: Refusal): Promise<Refusal> {
  const fault = await lastFault(link.session);
  if (fault !== 0) return faultRefusal(fault, `the device refuses the image`);
  return cause ?? new Refusal(code, `${message}`);
}

/** Restarts the device, once: a second restart would end a trial. Its boot count tells that it did. */
async function restart(link: Link, before: Identity): Promise<Identity> {
  const { clock } = link.session;
  const end = Math.min(link.deadline, clock.now() + RETURN_MS);
  await resetDevice(link.session);
  for (let asked = clock.now(); ; ) {
    await sleep(clock, POLL_MS);
    const now = await identifyAgain(link, end);
    // Another one may have started as often: it must not be restarted.
    if (now !== null) checkSameDevice(now, before);
    if (now !== null && now.bootCount !== before.bootCount) return now;
    if (now !== null && clock.now() >= end) throw notBack("it answers, and did not restart");
    // It answers, and hasn't restarted: the request was lost.
    if (now !== null && clock.now() - asked > RESET_LOST_MS) {
      await resetDevice(link.session);
      asked = clock.now();
    }
  }
}

const notBack = (found: string, cause?: Refusal) =>
  new Refusal("did-not-return", `the device was asked to restart: ${found}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "power it off and on: it then runs the new image on trial, or the one from before; flash again",
  });

/** What the device says, or null while it is away. */
async function identifyAgain(link: Link, end: number): Promise<Identity | null> {
  const { clock } = link.session;
  try {
    return await identify(link.session, { tries: 1, replyMs: RETURN_REPLY_MS });
  } catch (error) {
    if (!isAway(error)) throw error;
    if (clock.now() >= end) {
      throw notBack("it doesn't answer", error);
    }
    if (error.code === "device-closed") await reopen(link, notBack);
    return null;
  }
}

/** Confirms, and looks whether the image that was confirmed is the one meant. */
async function keep(link: Link, upload: CheckedUpload): Promise<void> {
  await confirmImage(link.session);
  const active = (await readImages(link.session)).find((slot) => slot.active);
  if (isRunning(await identify(link.session), upload) && active?.confirmed === true) return;
  throw new Refusal(
    "image-reverted",
    `the device went back to the image from before ahead of the confirmation`,
  );
}

function reportFor(
  result: FlashReport["result"],
  confirmed: boolean,
  port: string,
  device: Identity,
  upload: CheckedUpload,
): FlashReport {
  return {
    result,
    port,
    model: device.model,
    ueid: device.ueid === null ? null : toHex(device.ueid),
    image: {
      version: upload.manifest.version,
      sha256: toHex(upload.manifest.digest),
      size: upload.size,
      securityVersion: upload.manifest.sequence,
      manifestSha256: toHex(upload.manifestDigest),
    },
    before: { securityVersion: device.sequence, floor: device.floor },
    confirmed,
  };
}

/** What came of it, in a line. */
export function flashLine(flash: FlashReport): string {
  const { sha256, version, securityVersion } = flash.image;
  const words = {
    flashed: flash.confirmed ? "flashed and confirmed" : "flashed, on trial until confirmed",
    "already-running": flash.confirmed ? "already runs, confirmed" : "already runs, on trial",
    "would-flash": "would be flashed",
  };
  const name = nameOf({ version, sequence: securityVersion });
  return printable(`${flash.model}: ${name}, sha256 ${sha256}: ${words[flash.result]}`);
}
