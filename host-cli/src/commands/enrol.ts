// vouch enrol: ties a device's key to a serial number.
//
//   1. the device makes a key, and signs evidence over our nonce with it
//   2. that evidence proves possession: the key it names signed it, over this
//      nonce, for this device and model
//   3. only then is the enrolment statement signed, and written        F.enrolment
//      with a commitment for the log                    F.enrolment.commitment.dsse.json
//   4. the device is told, and from then on refuses to be enrolled
//
// A cut after the first file leaves it and a device that isn't told: the same
// command again finds it to be of this device's key, makes the commitment from
// its salt if that is missing, and goes on at 4. Neither file is ever replaced:
// a commitment that isn't in the log yet is the only one of its kind.
// F.enrolment names the serial number: it is the owner's, 0600, never logged.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { equalBytes, toHex, utf8Decode } from "@vouch/shared/bytes";
import { commitment, ENROLMENT_TAG, SALT_LENGTH } from "@vouch/shared/commitment";
import { formatEnrolmentFile, MAX_COMPANION, parseEnrolmentFile } from "@vouch/shared/companions";
import { parseEnvelope } from "@vouch/shared/dsse";
import { enrolNonce } from "@vouch/shared/evidence";
import { classIdOf } from "@vouch/shared/ids";
import type { Policy } from "@vouch/shared/policy";
import { quote, Refusal } from "@vouch/shared/refusal";
import { keyPairFromSeed } from "@vouch/shared/sign";
import { type EnrolmentStatement, formatStatement, parseStatement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { checkUdi } from "@vouch/shared/udi";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { type LineFlags, type Link, type LinkOptions, linkFrom, withLine, withLink } from "../device/link";
import { commitEnrolment, enrolDevice, type Identity, identify } from "../device/vouch";
import { commitTo, signStatement } from "../endorse";
import { openEnrolment } from "../enrolment";
import { outstanding } from "../evidence";
import { about, printable } from "../exit";
import type { Io } from "../io";
import { readInput } from "../readfiles";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { kidOfKey } from "../upload";
import { writeWhole } from "../writefiles";
import { jobProgress } from "./attest";
import { readPolicyNow } from "./policy";

const DEFAULT_TIMEOUT_S = 600; // a signature takes minutes on the slowest engines

export interface EnrolOptions {
  readonly port: string;
  readonly policy: Policy;
  readonly signer: Signer;
  readonly product: string;
  readonly serial: string;
  /** What the device must say it is; undefined takes its word. */
  readonly model?: string | undefined;
  /** F.enrolment; the commitment is written beside it. */
  readonly output: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly nowSeconds: number;
  readonly link: LinkOptions;
}

export interface Enrolled {
  readonly result: "enrolled" | "would-enrol";
  readonly product: string;
  readonly model: string;
  readonly serial: string;
  readonly ueid: string | null;
  /** Null before there is a key. */
  readonly kid: string | null;
  readonly keyOrigin: "device" | "station";
  readonly enrolment: string;
  readonly commitment: string;
}

/** What F.enrolment holds. */
interface Enrolment {
  readonly salt: Uint8Array;
  readonly statement: Uint8Array;
}

/** Refuses `already-enrolled`, `exists`, `not-an-enroller`, `wrong-model`, `vendor-key-mismatch`, and what evidence is refused for. */
export async function enrol(options: EnrolOptions, io: Io): Promise<Enrolled> {
  const { policy, signer } = options;
  if (!policy.enrollers.some((vkey) => equalBytes(vkey.publicKey, signer.publicKey))) {
    throw new Refusal(
      "not-an-enroller",
      `the policy names no enroller with the key of ${quote(signer.name)}`,
    );
  }
  checkWords(options);
  return withLink(options.port, options.link, async (link) => {
    const device = await identify(link.session);
    checkDevice(options, device);
    const earlier = readEarlier(options, device);
    if (earlier === null && device.enrolled) throw alreadyEnrolled();
    checkCommitment(options, earlier);
    if (!(await consent(options, device, io))) return reportOf(options, device, "would-enrol");
    const enrolment = earlier ?? (await makeEnrolment(options, link, device, io));
    await writeCommitment(options, enrolment);
    await commitEnrolment(link.session, nodeCrypto.sha256(enrolment.statement));
    return reportOf(options, await identify(link.session), "enrolled");
  });
}

/** Product and serial number must fit a statement; better said before the device makes a key. */
function checkWords({ product, serial, signer, nowSeconds }: EnrolOptions): void {
  const created = isoTime(nowSeconds);
  const rest = { model: "any", ueid: "01".repeat(17), publicKey: signer.publicKey, created };
  formatStatement({ kind: "enrolment", product, serial, keyOrigin: "device", ...rest });
}

const alreadyEnrolled = () =>
  new Refusal("already-enrolled", "the device is enrolled and refuses to be enrolled again", {
    hint: "only an order signed by the maker clears an enrolment",
  });

/** The device is of the product and model asked for, and boots by the product's vendor key. */
function checkDevice(options: EnrolOptions, device: Identity): void {
  const { product, model } = options;
  if (model !== undefined && model !== device.model) {
    throw new Refusal(
      "wrong-model",
      `the device says it is a ${quote(device.model)}, expected ${quote(model)}`,
    );
  }
  if (!equalBytes(classIdOf(product, device.model, nodeCrypto), device.classId)) {
    throw new Refusal(
      "wrong-model",
      `the device, a ${quote(device.model)} of class ${toHex(device.classId)}, is no ${quote(product)}`,
    );
  }
  const vendor = options.policy.vendors.find((line) => line.product === product);
  if (vendor === undefined) {
    throw new Refusal("no-vendor", `the policy has no vendor line for ${quote(product)}`);
  }
  const kid = kidOfKey(vendor.vkey.publicKey);
  if (!equalBytes(kid, device.vendorKid)) {
    throw new Refusal(
      "vendor-key-mismatch",
      `the device boots images by vendor key ${toHex(device.vendorKid)}, the policy names ${toHex(kid)}`,
    );
  }
}

/** The enrolment of an earlier run that was cut before the device was told; null when there is none. */
function readEarlier(options: EnrolOptions, device: Identity): Enrolment | null {
  const { output, product, serial } = options;
  if (!existsSync(output)) return null;
  return about(output, () => {
    const file = readInput(output, MAX_COMPANION);
    const found = openEnrolment(file, options.policy);
    const isThis =
      device.publicKey !== null &&
      equalBytes(found.publicKey, device.publicKey) &&
      found.product === product &&
      found.serial === serial;
    if (isThis) return parseEnrolmentFile(file);
    throw new Refusal("exists", `a file of this name holds the enrolment of ${quote(found.serial)}`, {
      hint: "choose another name, or move the old file away yourself",
    });
  });
}

/** Refuses `exists` when the commitment's name is taken by anything but the one to this enrolment. */
function checkCommitment({ output }: EnrolOptions, earlier: Enrolment | null): void {
  const path = commitmentPath(output);
  if (!existsSync(path)) return;
  about(path, () => {
    if (earlier !== null) {
      const found = parseStatement(parseEnvelope(readInput(path, MAX_COMPANION)).payload);
      const ours = commitment(ENROLMENT_TAG, earlier.salt, earlier.statement, nodeCrypto);
      if (found.kind === "enrolment-commitment" && found.sha256 === toHex(ours)) return;
    }
    throw new Refusal("exists", "a file of this name holds something else than this enrolment's commitment", {
      hint: "add it to the log if it isn't there yet, then move it away yourself; or choose another name",
    });
  });
}

async function writeCommitment(options: EnrolOptions, enrolment: Enrolment): Promise<void> {
  const { output, signer, nowSeconds } = options;
  const path = commitmentPath(output);
  if (existsSync(path)) return; // this one's: checkCommitment
  const made = await commitTo("enrolment", enrolment.statement, signer, nowSeconds, enrolment.salt);
  writeWhole(path, made.statement, { overwrite: false });
}

/** Says what will be done; true when it may be. */
async function consent(options: EnrolOptions, device: Identity, io: Io): Promise<boolean> {
  const { product, serial, port } = options;
  const say = (line: string) => {
    if (!io.quiet && !io.json) io.stderr(`${printable(line)}\n`);
  };
  say(`device  ${device.model} ${device.hwver} on ${port}`);
  say(`plan    make its key${device.hasRandom ? "" : " (here, the board has no randomness)"}, prove it,`);
  say(`        and sign as ${options.signer.name} that it belongs to ${product}, serial ${serial}`);
  if (device.clears > 0) say(`note    the maker has cleared this device ${device.clears} times`);
  if (options.dryRun === true) return false;
  if (options.yes === true || (await io.confirm(`enrol the device on ${port}? only the maker can undo it`))) {
    return true;
  }
  throw new Refusal("declined", "the device was not enrolled");
}

/** Steps 1 to 3: the enrolment, once it is on disk. */
async function makeEnrolment(
  options: EnrolOptions,
  link: Link,
  device: Identity,
  io: Io,
): Promise<Enrolment> {
  const statement = await proveKey(options, link, device, io);
  const salt = new Uint8Array(randomBytes(SALT_LENGTH));
  const enrolment = { salt, statement: await signStatement(statement, options.signer) };
  writeWhole(options.output, formatEnrolmentFile(enrolment), { mode: 0o600, overwrite: false });
  return enrolment;
}

/** Proof of possession: what the enroller may sign. */
async function proveKey(
  options: EnrolOptions,
  link: Link,
  before: Identity,
  io: Io,
): Promise<EnrolmentStatement> {
  const waiting = outstanding(enrolNonce(nodeCrypto.sha256, new Uint8Array(randomBytes(32))));
  const seed = before.hasRandom ? null : new Uint8Array(randomBytes(32));
  const progress = jobProgress(io);
  let evidence: Uint8Array;
  try {
    evidence = await enrolDevice(link.session, waiting.nonce, seed, progress.update);
  } finally {
    progress.end();
  }
  const device = await identify(link.session);
  const { publicKey, ueid } = device;
  if (publicKey === null || ueid === null) {
    throw new Refusal("device-malformed", "the device signed, and says that it has no key");
  }
  // Such a board takes any key from anybody: this one must be ours.
  if (seed !== null && !equalBytes(publicKey, keyPairFromSeed(seed).publicKey)) {
    throw new Refusal("enrol-other-key", "the device has another key than the one of the seed sent to it", {
      hint: "somebody knows that key; find out who talked to the device before",
    });
  }
  const claims = waiting.accept(evidence, publicKey);
  if (!equalBytes(claims.ueid, ueid)) {
    throw new Refusal(
      "ueid-mismatch",
      `the evidence is from ${toHex(claims.ueid)}, the device says it is ${toHex(ueid)}`,
    );
  }
  const model = utf8Decode(claims.hwmodel) ?? toHex(claims.hwmodel);
  if (model !== before.model) {
    throw new Refusal(
      "wrong-model",
      `the evidence is from a ${quote(model)}, expected ${quote(before.model)}`,
    );
  }
  return {
    kind: "enrolment",
    product: options.product,
    model,
    serial: options.serial,
    ueid: toHex(ueid),
    publicKey,
    keyOrigin: originOf(device),
    created: isoTime(options.nowSeconds),
  };
}

const commitmentPath = (output: string) => `${output}.commitment.dsse.json`;

/** Where the key was made, or would be. */
function originOf(device: Identity): "device" | "station" {
  const onDevice = device.publicKey === null ? device.hasRandom : device.keyOrigin === "device";
  return onDevice ? "device" : "station";
}

function reportOf(options: EnrolOptions, device: Identity, result: Enrolled["result"]): Enrolled {
  return {
    result,
    product: options.product,
    model: device.model,
    serial: options.serial,
    ueid: device.ueid === null ? null : toHex(device.ueid),
    kid: device.publicKey === null ? null : toHex(kidOfKey(device.publicKey)),
    keyOrigin: originOf(device),
    enrolment: options.output,
    commitment: commitmentPath(options.output),
  };
}

interface Flags extends SignerOptions, LineFlags {
  policy: string;
  log?: string;
  product: string;
  serial: string;
  udi?: string;
  model?: string;
  output: string;
  dryRun?: boolean;
  yes?: boolean;
}

/** The label's UDI is whole and of this item. It is compared, and kept nowhere. */
function checkLabel(text: string, serial: string): void {
  const udi = checkUdi(text);
  if (udi.serial === serial) return;
  const found = udi.serial === undefined ? "no serial number" : `serial number ${quote(udi.serial)}`;
  throw new Refusal("udi-other-serial", `the UDI has ${found}, --serial says ${quote(serial)}`);
}

export function define(program: Command, io: Io): void {
  const command = program
    .command("enrol")
    .description("Has a device make its key, prove that it holds it, and signs whose it is.")
    .requiredOption("--policy <FILE>", "names the enroller, and the product's vendor key")
    .option("--log <DIR>", "where keys of the policy were changed, if any was")
    .requiredOption("--product <NAME>", "which product the device is")
    .requiredOption("--serial <TEXT>", "the serial number on its label")
    .option("--udi <UDI>", "the UDI on its label, read strictly: its serial number must be that one")
    .option("--model <NAME>", "the model it must be; without, what it says is written")
    .requiredOption("-o, --output <FILE>", "the enrolment, for the device's owner; never to be logged")
    .option("--dry-run", "say what would be done, change nothing")
    .option("-y, --yes", "don't ask before the device is changed")
    .option("--json", "print one JSON object");
  withSigner(withLine(command, DEFAULT_TIMEOUT_S)).action(async (flags: Flags) => {
    const { port, product, serial, model, output } = flags;
    if (flags.udi !== undefined) checkLabel(flags.udi, serial);
    const policy = readPolicyNow(flags.policy, flags.log);
    const signer = await loadSigner(flags, io);
    const enrolled = await enrol(
      {
        port,
        policy,
        signer,
        product,
        serial,
        model,
        output,
        yes: flags.yes === true,
        dryRun: flags.dryRun === true,
        nowSeconds: Math.floor(Date.now() / 1000),
        link: linkFrom(flags),
      },
      io,
    );
    report(enrolled, io);
  });
}

function report(enrolled: Enrolled, io: Io): void {
  if (io.json) {
    io.stdout(`${JSON.stringify(enrolled)}\n`);
    return;
  }
  const { product, serial, kid, keyOrigin } = enrolled;
  const words =
    enrolled.result === "enrolled"
      ? `enrolled with key ${kid}, made on the ${keyOrigin}`
      : "would be enrolled";
  io.stdout(`${printable(`${product} serial ${serial}: ${words}`)}\n`);
  if (io.quiet || enrolled.result !== "enrolled") return;
  io.stderr(`add ${enrolled.commitment} to the log; keep ${enrolled.enrolment} for the device's owner\n`);
  io.stderr("limit: a second enrolment of this serial number would be visible to the enroller only\n");
}
