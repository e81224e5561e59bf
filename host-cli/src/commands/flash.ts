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
import { parsePolicy } from "@vouch/shared/policy";
import { faultCode, faultRefusal, isRefusal, Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { sleep } from "../device/clock";
import { type LineFlags, type Link, type LinkOptions, linkFrom, withLine, withLink } from "../device/link";
import { uploadOverLink } from "../device/resume";
import { confirmImage, eraseImage, type ImageSlot, readImages, resetDevice, testImage } from "../device/smp";
import { type Identity, identify, lastFault } from "../device/vouch";
import { about, printable, usage } from "../exit";
import { readInput } from "../files";
import { isEspruino, runEspruino, withEspruino } from "../flash/espruino";
import type { Io } from "../io";
import { startProgress } from "../output/terminal";
import { readVkey } from "../signer";
import { type CheckedUpload, checkTarget, checkUpload, MAX_UPLOAD, type Vendor } from "../upload";

const MAX_POLICY = 64 * 1024;
const DEFAULT_TIMEOUT_S = 600;
const RETURN_MS = 120_000; // a swap of a large slot on a slow part
const RESET_LOST_MS = 5000;
const POLL_MS = 250;
const RETURN_REPLY_MS = 500; // what a starting device misses is asked again

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
export async function flashDevice(options: FlashOptions, io: Io): Promise<FlashReport> {
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
    await announce(options, upload, device, plan, io);
    if (options.dryRun === true) return reportOf("would-flash", false);
    if (!runs) await install(link, upload, device, io);
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
): Promise<void> {
  const { manifest, vendor } = upload;
  const say = (line: string) => {
    if (!io.quiet && !io.json) io.stderr(`${printable(line)}\n`);
  };
  const ueid = device.ueid === null ? "no device id yet" : `device id ${toHex(device.ueid).slice(0, 16)}…`;
  say(`image   ${nameOf(manifest)}, ${upload.size} bytes, sha256 ${toHex(manifest.digest)}`);
  say(`signed  by ${vendor.name}, the key this device boots by`);
  say(`device  ${device.model} on ${options.port}, ${ueid}, runs security version ${device.sequence}`);
  say(`plan    ${plan.join(", ")}`);
  if (options.dryRun === true || options.yes === true) return;
  if (!(await io.confirm(`change the device on ${options.port}?`))) {
    throw new Refusal("declined", "nothing was written to the device");
  }
}

/** Upload, test, restart: the device then runs the image, on trial. */
async function install(link: Link, upload: CheckedUpload, device: Identity, io: Io): Promise<void> {
  const { digest } = upload.manifest;
  await send(link, upload, device, io);
  const stored = (await readImages(link.session)).find((slot) => !slot.active && isImage(slot, upload));
  if (stored === undefined || !stored.bootable) {
    throw await refusedByDevice(link, "image-refused", "the device didn't take the image as bootable");
  }
  await testImage(link.session, digest);
  if (!io.quiet && !io.json) io.stderr("checked by the device: signature, model, rollback and digest hold\n");
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

/** The upload, across lost lines: the device knows how far it came. */
async function send(link: Link, upload: CheckedUpload, device: Identity, io: Io): Promise<void> {
  const sha256 = nodeCrypto.sha256(upload.stream);
  const progress = startProgress(io, "uploading", upload.stream.length);
  try {
    await uploadOverLink(link, upload.stream, {
      sha256,
      onProgress: progress.update,
      checkDevice: async (session) => checkSameDevice(await identify(session), device),
      onLost: () => {
        if (!io.quiet && !io.json) io.stderr("the line is gone; waiting for the device\n");
      },
    });
  } catch (error) {
    if (!isRefusal(error) || error.code !== "device-error") throw error;
    throw await refusedByDevice(link, error.code, error.message, error);
  } finally {
    progress.end();
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
    if (now !== null && now.bootCount !== before.bootCount) {
      checkSameDevice(now, before);
      return now;
    }
    if (now !== null && clock.now() >= end) throw notBack("it answers, and did not restart");
    // It answers, and hasn't restarted: the request was lost.
    if (now !== null && clock.now() - asked > RESET_LOST_MS) {
      await resetDevice(link.session);
      asked = clock.now();
    }
  }
}

const notBack = (found: string, cause?: Refusal) =>
  new Refusal("device-timeout", `the device was asked to restart: ${found}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "power it off and on: it then runs the new image on trial, or the one from before; flash again",
  });

/** What the device says, or null while it is away. */
async function identifyAgain(link: Link, end: number): Promise<Identity | null> {
  const { clock } = link.session;
  try {
    return await identify(link.session, { tries: 1, replyMs: RETURN_REPLY_MS });
  } catch (error) {
    if (!isRefusal(error) || (error.code !== "device-timeout" && error.code !== "device-closed")) throw error;
    if (clock.now() >= end) {
      throw notBack("it doesn't answer", error);
    }
    if (error.code === "device-closed") await link.reopen();
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

interface Flags extends LineFlags {
  policy?: string;
  vendor?: string;
  allowDowngrade?: boolean;
  dryRun?: boolean;
  yes?: boolean;
  confirm: boolean;
}

export function define(program: Command, io: Io): void {
  const command = program
    .command("flash")
    .description("Uploads an image to a device, has it tested and restarted, and confirms it.")
    .argument("<file>", "the .upload file that `vouch release seal` wrote")
    .option("--policy <FILE>", "take the vendor keys from this policy")
    .option("--vendor <VKEY>", "or this one vendor key, as text or a .vkey file")
    .option("--allow-downgrade", "accept an older image, where the device's floor permits it")
    .option("--no-confirm", "leave the image on trial: the next restart goes back")
    .option("--dry-run", "check everything and say what would be done, write nothing")
    .option("-y, --yes", "don't ask before the device is changed")
    .option("--json", "print one JSON object");
  withLine(withEspruino(command), DEFAULT_TIMEOUT_S).action(async (file: string, flags: Flags) => {
    if (isEspruino(file, flags)) return runEspruino(file, flags, io);
    const options: FlashOptions = {
      port: flags.port,
      upload: readUpload(file, vendorsFrom(flags)),
      allowDowngrade: flags.allowDowngrade === true,
      dryRun: flags.dryRun === true,
      yes: flags.yes === true,
      confirm: flags.confirm,
      link: linkFrom(flags),
    };
    report(await flashDevice(options, io), io);
  });
}

/** The file, when all of it holds. Refuses what checkUpload refuses. */
export function readUpload(file: string, vendors: readonly Vendor[]): CheckedUpload {
  return about(file, () => checkUpload(readInput(file, MAX_UPLOAD), vendors));
}

function vendorsFrom(flags: Flags): readonly Vendor[] {
  const { policy, vendor } = flags;
  if ((policy === undefined) === (vendor === undefined)) {
    throw usage("expected exactly one of --policy FILE and --vendor VKEY");
  }
  if (vendor !== undefined) return [{ product: null, vkey: readVkey(vendor) }];
  return about(policy ?? "", () => {
    const { vendors } = parsePolicy(readInput(policy ?? "", MAX_POLICY), nodeCrypto);
    if (vendors.length === 0) throw new Refusal("no-vendor", "the policy has no vendor line");
    return vendors;
  });
}

function report(flash: FlashReport, io: Io): void {
  if (io.json) {
    io.stdout(`${JSON.stringify(flash)}\n`);
    return;
  }
  const { sha256, version, securityVersion } = flash.image;
  const words = {
    flashed: flash.confirmed ? "flashed and confirmed" : "flashed, on trial until confirmed",
    "already-running": flash.confirmed ? "already runs, confirmed" : "already runs, on trial",
    "would-flash": "would be flashed",
  };
  const name = nameOf({ version, sequence: securityVersion });
  io.stdout(`${printable(`${flash.model}: ${name}, sha256 ${sha256}: ${words[flash.result]}`)}\n`);
}
