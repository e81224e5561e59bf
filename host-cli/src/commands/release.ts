// vouch release: from images to a file a device can be given.
//
//   new    pump.dsse.json   the statement approvers sign, none has yet
//          pump.suit        the manifest it names by digest, unsigned
//   sign   pump.dsse.json   one signature more, in place; the approver is shown what it says
//   seal   pump.suit        signed by the vendor's key, once t approvers signed the statement
//          pump.dsse.json   exactly t signatures: now the log's record
//          pump.unsealed.dsse.json   all signatures that were there, when there were more
//          pump.upload      what a device takes: length, manifest, image
//
// Sealing checks and signs everything first and writes last, in that order. Each
// file is written whole, the upload last; a cut in between leaves a seal that
// running the command again finishes, with the same bytes.

import { existsSync } from "node:fs";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { formatEnvelope } from "@vouch/shared/dsse";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import type { Policy } from "@vouch/shared/policy";
import { quote, Refusal } from "@vouch/shared/refusal";
import type { ReleaseStatement } from "@vouch/shared/statement";
import { decodeEnvelope, encodeEnvelope, encodeManifest, type Manifest } from "@vouch/shared/suit";
import { isoTime } from "@vouch/shared/time";
import { deviceIdentifier, oddIdentifier } from "@vouch/shared/udi";
import { KEY_ED25519, type Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { type Countersigned, countersign } from "../countersign";
import { nodeCrypto } from "../crypto";
import { usage } from "../exit";
import { openImage } from "../image";
import type { Io } from "../io";
import { parseMoment } from "../moment";
import { table } from "../output/terminal";
import { readInput } from "../readfiles";
import { type SbomFile, sbomOf } from "../sbom";
import { sealRelease } from "../seal";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { draftEnvelope, readReleaseFile, type StatementFile, splitComponentFlag } from "../statementfile";
import { readVkey } from "../vkeyfile";
import { writeWhole } from "../writefiles";
import { readPolicyNow } from "./policy";

const MAX_SUIT = 64 * 1024; // whatever lies beside the statement under that name

export interface Component {
  readonly name: string;
  readonly path: string;
}

export interface NewRelease {
  product: string;
  version: string;
  securityVersion: number;
  floor: number;
  model: string;
  revisions: readonly string[];
  /** "app" is the image of the manifest; the others are only named by digest. */
  components: readonly Component[];
  vendor: Vkey;
  /** Written: OUTPUT.dsse.json and OUTPUT.suit. */
  output: string;
  changeClass?: "patch" | "major" | undefined;
  udiDi?: string | undefined;
  sbom?: SbomFile | undefined;
  sourceCommit?: string | undefined;
  supportEnds?: string | undefined;
}

export interface DraftedRelease {
  readonly statement: ReleaseStatement;
  readonly dssePath: string;
  readonly suitPath: string;
}

/**
 * Writes the two drafts. `now` is their `created`, Unix seconds. Refuses `malformed-statement`, `no-app`,
 * `malformed-udi`, `udi-check-digit`, `udi-personal`, `manifest-limits`, `exists`, and what sbomOf does.
 */
export function newRelease(wanted: NewRelease, now: number): DraftedRelease {
  const images = wanted.components.map(({ name, path }) => openImage(name, path));
  const app = images.find(({ component }) => component === "app");
  if (app === undefined)
    throw new Refusal("no-app", "no component is named app, which is the image a device boots", {
      hint: "--component app=FILE names it",
    });
  if (wanted.vendor.type !== KEY_ED25519) {
    throw new Refusal(
      "wrong-key-type",
      `verifier key ${quote(wanted.vendor.name)} is a cosigner's, expected one of type 01`,
    );
  }
  const manifest: Manifest = {
    sequence: wanted.securityVersion,
    vendorId: vendorIdOf(wanted.vendor.name, nodeCrypto),
    classId: classIdOf(wanted.product, wanted.model, nodeCrypto),
    digest: app.sha256,
    size: app.size,
    floor: wanted.floor,
    version: wanted.version,
    revisions: [...wanted.revisions],
  };
  const manifestBytes = encodeManifest(manifest);
  const statement: ReleaseStatement = {
    kind: "release",
    subjects: images.map(({ component, sha256 }) => ({ name: component, sha256: toHex(sha256) })),
    product: wanted.product,
    version: wanted.version,
    securityVersion: wanted.securityVersion,
    floor: wanted.floor,
    hardware: { model: wanted.model, revisions: wanted.revisions },
    entry: { offset: 0, length: app.size },
    suitDigest: toHex(nodeCrypto.sha256(manifestBytes)),
    changeClass: wanted.changeClass ?? "patch",
    created: isoTime(now),
    ...(wanted.udiDi !== undefined && { udiDi: deviceIdentifier(wanted.udiDi) }),
    ...(wanted.sbom !== undefined && { sbom: sbomOf(wanted.sbom, wanted.version, toHex(app.sha256)) }),
    ...(wanted.sourceCommit !== undefined && { sourceCommit: wanted.sourceCommit }),
    ...(wanted.supportEnds !== undefined && { supportEnds: wanted.supportEnds }),
  };
  const dsse = formatEnvelope(draftEnvelope(statement)); // refuses what isn't a statement
  const suit = encodeEnvelope(manifestBytes, nodeCrypto.sha256, new Uint8Array(0), null);
  if (decodeEnvelope(suit).fault !== 0) {
    throw new Refusal(
      "manifest-limits",
      `no device reads a manifest of this release: of ${wanted.revisions.length} hardware revisions it holds 8`,
    );
  }
  const dssePath = `${wanted.output}.dsse.json`;
  const suitPath = `${wanted.output}.suit`;
  // A draft that others may have signed is never written over. The manifest goes first and may be
  // there from an attempt that was cut short: the same release has the same manifest.
  if (existsSync(dssePath)) throw exists(dssePath);
  if (!existsSync(suitPath)) writeWhole(suitPath, suit, { overwrite: false });
  else if (!equalBytes(readInput(suitPath, suit.length + 1024), suit)) throw exists(suitPath);
  writeWhole(dssePath, dsse, { overwrite: false });
  return { statement, dssePath, suitPath };
}

const exists = (path: string) =>
  new Refusal("exists", `${path} is already there and is never overwritten`, {
    hint: "choose another -o, or move the old draft away yourself",
  });

export type SignedRelease = Countersigned<ReleaseStatement>;

/** What an approver is about to put their name to, a line each. */
export function describeRelease(statement: ReleaseStatement): string {
  const { hardware, floor, securityVersion } = statement;
  return table([
    [
      "release",
      `${statement.product} ${statement.version}, ${statement.changeClass}, of ${statement.created}`,
    ],
    ["rollback", `security version ${securityVersion}; once confirmed, nothing below ${floor} is accepted`],
    ["hardware", `${hardware.model} revision ${hardware.revisions.join(", ")}`],
    ...statement.subjects.map(({ name, sha256 }) => [
      name,
      `sha256 ${sha256}${name === "app" ? `, ${statement.entry.length} bytes` : ""}`,
    ]),
    ["manifest", `sha256 ${statement.suitDigest}`],
    ...(statement.udiDi === undefined ? [] : [["udi-di", statement.udiDi]]),
    ...(statement.sbom === undefined
      ? []
      : [["sbom", `sha256 ${statement.sbom.sha256} (${statement.sbom.mediaType})`]]),
    ...(statement.sourceCommit === undefined ? [] : [["source", `commit ${statement.sourceCommit}`]]),
    ...(statement.supportEnds === undefined ? [] : [["support", `until ${statement.supportEnds}`]]),
  ]);
}

/**
 * Adds the signer's approval to the file, beside those that others add meanwhile. `components` are images the
 * approver has at hand, to be compared. Refuses `wrong-statement`, `already-signed`, `already-sealed`,
 * `image-mismatch`, `component-unnamed`, `changed-meanwhile`, `locked`.
 */
export function signRelease(
  file: string,
  components: readonly Component[],
  signer: Signer,
  shown: StatementFile<ReleaseStatement> = readReleaseFile(file),
): Promise<SignedRelease> {
  const { statement } = shown;
  for (const { name, path } of components) checkComponent(statement, name, path);
  return countersign(file, readReleaseFile, signer, () => checkUnsealed(file, statement), shown);
}

/** The record of a sealed release may be in the log by now; with one approval more it is another record. */
function checkUnsealed(file: string, statement: ReleaseStatement): void {
  const suit = `${file.replace(/\.dsse\.json$/, "")}.suit`;
  if (!existsSync(suit)) return;
  const { fault, auth, manifestBytes } = decodeEnvelope(readInput(suit, MAX_SUIT));
  if (fault !== 0 || auth.sign1 === null) return;
  if (toHex(nodeCrypto.sha256(manifestBytes)) !== statement.suitDigest) return;
  throw new Refusal(
    "already-sealed",
    `${suit} is sealed; one more approval would make another record of it`,
    {
      hint: `if it was sealed too early and isn't logged, move ${suit} away, sign, and seal again with --suit`,
    },
  );
}

function checkComponent(statement: ReleaseStatement, name: string, path: string): void {
  const subject = statement.subjects.find((s) => s.name === name);
  if (subject === undefined) throw new Refusal("component-unnamed", `the release names no component ${name}`);
  const actual = toHex(openImage(name, path).sha256);
  if (actual !== subject.sha256) {
    throw new Refusal(
      "image-mismatch",
      `${path} hashes to ${actual}, the release says ${subject.sha256} for ${name}`,
    );
  }
}

interface NewFlags {
  product: string;
  version: string;
  securityVersion: number;
  floor: number;
  model: string;
  rev: string[];
  component: string[];
  vendor: string;
  output: string;
  changeClass?: string;
  udiDi?: string;
  previous?: string;
  sbom?: string;
  sbomType?: string;
  sbomWithoutSupport?: boolean;
  sourceCommit?: string;
  supportEnds?: string;
  created?: string;
}

const counter = (text: string): number => {
  if (!/^(0|[1-9][0-9]{0,9})$/.test(text)) throw usage(`found ${quote(text)}, expected a whole number`);
  return Number(text);
};

function changeClassOf(text: string | undefined): "patch" | "major" | undefined {
  if (text === undefined || text === "patch" || text === "major") return text;
  throw usage(`--change-class: found ${quote(text)}, expected patch or major`);
}

export function define(program: Command, io: Io): void {
  const release = program.command("release").description("States, approves and seals a release.");
  defineNew(release, io);
  defineSign(release, io);
  defineSeal(release, io);
}

const sbomFlags = (path: string, { sbomType, sbomWithoutSupport }: NewFlags): SbomFile => ({
  path,
  mediaType: sbomType,
  withoutSupport: sbomWithoutSupport === true,
});

function defineNew(release: Command, io: Io): void {
  release
    .command("new")
    .description("Writes the statement that approvers sign, and the unsigned manifest it names.")
    .requiredOption("--product <NAME>", "what is released, one word")
    .requiredOption("--version <VERSION>", "semantic version")
    .requiredOption("--security-version <N>", "rollback counter, from 1; rises when a flaw is fixed", counter)
    .requiredOption("--floor <N>", "once confirmed, the device refuses anything below", counter)
    .requiredOption("--model <NAME>", "hardware model, one word")
    .requiredOption("--rev <NAME...>", "hardware revisions it is for")
    .requiredOption(
      "--component <NAME=FILE...>",
      "app=FILE is the image; engine=FILE and others are measured beside it",
    )
    .requiredOption("--vendor <VKEY>", "verifier key that will seal it, or its .vkey file")
    .requiredOption("-o, --output <PREFIX>", "writes PREFIX.dsse.json and PREFIX.suit")
    .option("--change-class <CLASS>", "patch or major", "patch")
    .option("--udi-di <UDI>", "device identifier on the label; no serial number")
    .option(
      "--previous <FILE>",
      "the release before, a .dsse.json: its UDI-DI is compared, by the change class",
    )
    .option(
      "--sbom <FILE>",
      "bill of materials, named by its digest; CycloneDX JSON is checked against the image",
    )
    .option("--sbom-without-support", "take one that doesn't tell support and its end for each component")
    .option("--sbom-type <TYPE>", "its media type, where the file doesn't tell")
    .option("--source-commit <ID>", "full commit id of the source")
    .option("--support-ends <DAY>", "YYYY-MM-DD")
    .option("--created <TIME>", "instead of now, for a reproducible draft")
    .option("--json", "print one JSON object")
    .action((flags: NewFlags) => {
      const now =
        flags.created === undefined ? Math.floor(Date.now() / 1000) : parseMoment(flags.created, "--created");
      for (const flag of ["sbomType", "sbomWithoutSupport"] as const)
        if (flags[flag] !== undefined && flags.sbom === undefined) throw usage("--sbom-… without --sbom");
      const drafted = newRelease(
        {
          ...flags,
          revisions: flags.rev,
          components: flags.component.map((value) => splitComponentFlag("--component", value)),
          vendor: readVkey(flags.vendor),
          changeClass: changeClassOf(flags.changeClass),
          sbom: flags.sbom === undefined ? undefined : sbomFlags(flags.sbom, flags),
        },
        now,
      );
      const { dssePath, suitPath, statement } = drafted;
      const before = flags.previous === undefined ? null : readReleaseFile(flags.previous).statement;
      const odd = before && oddIdentifier(before.udiDi, statement.udiDi, statement.changeClass);
      const warnings = odd === null ? [] : [{ code: "udi-di-odd", message: odd }];
      for (const { code, message } of warnings) io.stderr(`warning: ${message} [${code}]\n`);
      if (io.json)
        io.stdout(
          `${JSON.stringify({ statement: dssePath, manifest: suitPath, release: statement, warnings })}\n`,
        );
      else io.stdout(`${describeRelease(statement)}${dssePath}\n${suitPath}\n`);
    });
}

function defineSign(release: Command, io: Io): void {
  withSigner(release.command("sign"))
    .description("Adds one approver's signature to the statement, in place, after showing what it says.")
    .argument("<file>", "the .dsse.json of `release new`")
    .option("--component <NAME=FILE...>", "refuse to sign unless these images are the ones it names")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: SignerOptions & { component?: string[] }) => {
      const components = (flags.component ?? []).map((value) => splitComponentFlag("--component", value));
      const shown = readReleaseFile(file); // asking for a passphrase takes time
      if (!io.quiet) io.stderr(describeRelease(shown.statement));
      const signer = await loadSigner(flags, io);
      const { statement, keyid, signatures } = await signRelease(file, components, signer, shown);
      if (io.json)
        io.stdout(
          `${JSON.stringify({ product: statement.product, version: statement.version, keyid, signatures })}\n`,
        );
      else
        io.stdout(
          `${statement.product} ${statement.version} approved by ${signer.name}, key ${keyid.slice(0, 16)}…, signature ${signatures}\n`,
        );
    });
}

interface SealFlags extends SignerOptions {
  suit: string;
  image: string;
  policy: string;
  log?: string;
  output: string;
}

function defineSeal(release: Command, io: Io): void {
  withSigner(release.command("seal"))
    .description(
      "Signs the manifest with the vendor's key once enough approvers have signed, and writes the upload.",
    )
    .argument(
      "<file>",
      "the .dsse.json; cut down to the signatures the policy asks for; with more, a copy stays as .unsealed.dsse.json",
    )
    .requiredOption("--suit <FILE>", "the manifest of `release new`; the signed one takes its place")
    .requiredOption("--image <FILE>", "the application image")
    .requiredOption("--policy <FILE>", "whose approvals count, and how many")
    .option("--log <DIR>", "where keys of the policy were changed, if any was")
    .requiredOption("-o, --output <FILE>", "the .upload file for `vouch flash`")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: SealFlags) => {
      const policy: Policy = readPolicyNow(flags.policy, flags.log);
      const sealed = await sealRelease({ ...flags, file, policy }, await loadSigner(flags, io));
      const { statement, approvers, dropped, unsealed } = sealed;
      if (io.json) {
        io.stdout(
          `${JSON.stringify({ product: statement.product, version: statement.version, approvers, dropped, unsealed, upload: flags.output })}\n`,
        );
        return;
      }
      for (const name of dropped)
        io.stderr(`left out: the signature of ${name}, more than the policy asks for\n`);
      if (unsealed !== null) io.stderr(`kept with all signatures: ${unsealed}\n`);
      io.stdout(
        `${statement.product} ${statement.version} sealed; approved by ${approvers.join(", ")}\n${flags.output}\n`,
      );
    });
}
