// vouch flash FILE: onto one device or several. What is done depends on what the
// file is, told from its bytes:
//
//   .upload of ours      flash/ours.ts      a vendor key of the policy must have signed it
//   MCUboot image        flash/mcuboot.ts   the key given with --key must have signed it
//   FILE.js              flash/espruino.ts  a file for the Storage of an Espruino
//
// The file is judged before any port is opened.

import { utf8Decode } from "@vouch/shared/bytes";
import { isMcuboot } from "@vouch/shared/mcuboot";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { resolvePort } from "../device/find";
import { type LineFlags, type LinkOptions, lineFlags, linkFrom } from "../device/link";
import { identify } from "../device/vouch";
import { about, usage } from "../exit";
import { choosePorts, type Suits } from "../flash/choose";
import { type EspruinoFlags, isEspruino, runEspruino, withEspruino } from "../flash/espruino";
import { flashMcuboot, mcubootLine } from "../flash/mcuboot";
import { flashDevice, flashLine } from "../flash/ours";
import { look } from "../flash/seen";
import { type Done, flashSeveral } from "../flash/several";
import type { Io } from "../io";
import { type CheckedMcuboot, checkCounter, checkMcuboot, type PinnedKey, readPinnedKey } from "../mcuboot";
import { plainScreen, type Screen } from "../output/screen";
import { readInput } from "../readfiles";
import { type CheckedUpload, checkTarget, checkUpload, MAX_UPLOAD, type Vendor } from "../upload";
import { readVkey } from "../vkeyfile";
import { readPolicyNow } from "./policy";

const MAX_KEY = 4096;
const DEFAULT_TIMEOUT_S = 600;
const PROBE = { tries: 2, replyMs: 700 };
const NOT_FOR_IT = new Set(["wrong-model", "wrong-revision", "vendor-key-mismatch"]);

interface Flags extends Omit<LineFlags, "port">, Omit<EspruinoFlags, "port"> {
  port?: string[];
  usb?: string;
  all?: boolean;
  wait?: number;
  policy?: string;
  vendor?: string;
  key?: string;
  minCounter?: number;
  allowDowngrade?: boolean;
  dryRun?: boolean;
  yes?: boolean;
  confirm: boolean;
}

/** A file that may be sent, and how. */
interface Work {
  suits: Suits;
  flash(port: string, yes: boolean, io: Io, screen: Screen): Promise<Done>;
}

export function define(program: Command, io: Io): void {
  const command = program
    .command("flash")
    .description("Uploads an image to devices, has it tested and restarted, and confirms it.")
    .argument(
      "<file>",
      "an .upload that `vouch release seal` wrote, an MCUboot image, or FILE.js for an Espruino",
    )
    .option("--all", "every serial port behind which a device for this file answers")
    .option("--policy <FILE>", "for an .upload: take the vendor keys from this policy")
    .option("--vendor <VKEY>", "or this one vendor key, as text or a .vkey file")
    .option("--key <FILE>", "for an MCUboot image: the key that must have signed it, PEM or .vkey")
    .option("--min-counter <N>", "and the least security counter it must carry", counter)
    .option("--allow-downgrade", "accept an older image, where the device permits it")
    .option("--no-confirm", "leave the image on trial: the next restart goes back")
    .option("--dry-run", "check everything and say what would be done, write nothing")
    .option("-y, --yes", "don't ask before a device is changed")
    .option("--json", "print one JSON object; of several devices, one a line");
  lineFlags(withEspruino(command), DEFAULT_TIMEOUT_S).action(async (file: string, flags: Flags) =>
    flashFile(file, flags, io),
  );
  const port = command.options.find(({ long }) => long === "--port");
  port?.argParser((value: string, so: string[] = []) => [...so, value]);
}

function counter(text: string): number {
  if (/^(0|[1-9][0-9]{0,9})$/.test(text)) return Number(text);
  throw usage(`found ${quote(text)}, expected a security counter such as 7`);
}

async function flashFile(file: string, flags: Flags, io: Io): Promise<void> {
  if (isEspruino(file, flags)) {
    return runEspruino(file, { ...flags, port: await onlyPort(flags) }, io);
  }
  const link = linkFrom({ ...flags, port: "" });
  const work = readWork(file, flags, link);
  const ports = await choosePorts(flags, { link, suits: work.suits }, plainScreen(io));
  const [port] = ports;
  if (port === undefined || ports.length > 1 || flags.all === true) {
    const isAgreed = flags.yes === true || flags.dryRun === true;
    return flashSeveral(ports, isAgreed, (one, screen) => work.flash(one, true, io, screen), io);
  }
  const { report, line } = await work.flash(port, flags.yes === true, io, plainScreen(io));
  io.stdout(io.json ? `${JSON.stringify(report)}\n` : `${line}\n`);
}

/** For what goes to one device. */
async function onlyPort({ port = [], all, ...rest }: Flags): Promise<string> {
  if (port.length > 1 || all === true) throw usage("a file for an Espruino goes to one device at a time");
  return resolvePort({ ...rest, ...(port[0] === undefined ? {} : { port: port[0] }) });
}

/** The file, when all of it holds. Refuses what checkUpload and checkMcuboot refuse. */
function readWork(file: string, flags: Flags, link: LinkOptions): Work {
  return about(file, () => {
    const bytes = readInput(file, MAX_UPLOAD);
    if (!isMcuboot(bytes)) return oursWork(checkUpload(bytes, vendorsFrom(flags)), flags, link);
    const checked = checkMcuboot(bytes, keyFrom(flags));
    checkCounter(checked, flags.minCounter ?? null);
    return mcubootWork(checked, flags, link);
  });
}

function oursWork(upload: CheckedUpload, flags: Flags, link: LinkOptions): Work {
  return {
    async suits(session) {
      const device = await identify(session, PROBE);
      try {
        checkTarget(upload, device, true);
      } catch (error) {
        if (isRefusal(error) && NOT_FOR_IT.has(error.code)) throw error;
      }
    },
    async flash(port, yes, io, screen) {
      const report = await flashDevice({ ...manners(flags), port, upload, yes, link }, io, screen);
      return { report, line: flashLine(report) };
    },
  };
}

function mcubootWork(checked: CheckedMcuboot, flags: Flags, link: LinkOptions): Work {
  return {
    async suits(session) {
      await look(session, PROBE);
      const isOurs = await identify(session, PROBE).then(
        () => true,
        () => false,
      );
      if (isOurs) throw new Refusal("other-device", "its agent takes .upload files");
    },
    async flash(port, yes, io, screen) {
      const report = await flashMcuboot({ ...manners(flags), port, checked, yes, link }, io, screen);
      return { report, line: mcubootLine(report) };
    },
  };
}

const manners = ({ allowDowngrade, dryRun, confirm }: Flags) => ({
  allowDowngrade: allowDowngrade === true,
  dryRun: dryRun === true,
  confirm,
});

function keyFrom({ key, policy, vendor }: Flags): PinnedKey {
  if (key === undefined || policy !== undefined || vendor !== undefined) {
    throw usage(
      "this is an MCUboot image: expected --key FILE, and neither --policy nor --vendor",
      "`imgtool getpub -k KEY.pem -e pem` writes the key that must have signed it",
    );
  }
  if (/^[^+\s]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/.test(key)) return readPinnedKey(key);
  return about(key, () => {
    const text = utf8Decode(readInput(key, MAX_KEY));
    if (text === null) throw new Refusal("malformed-key", "it isn't text, so no key in PEM");
    return readPinnedKey(text);
  });
}

function vendorsFrom({ policy, vendor, key, minCounter }: Flags): readonly Vendor[] {
  if (key !== undefined || minCounter !== undefined) {
    throw usage("--key and --min-counter are for MCUboot images, and this is none");
  }
  if ((policy === undefined) === (vendor === undefined)) {
    throw usage(
      "expected exactly one of --policy FILE and --vendor VKEY",
      "they say whose seal an image must have: a policy's vendor, or the key given",
    );
  }
  if (vendor !== undefined) return [{ product: null, vkey: readVkey(vendor) }];
  return about(policy ?? "", () => {
    const { vendors } = readPolicyNow(policy ?? "");
    if (vendors.length === 0) throw new Refusal("no-vendor", "the policy has no vendor line");
    return vendors;
  });
}
