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
import { addSignature, formatEnvelope, keyidOf } from "@vouch/shared/dsse";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import type { Policy } from "@vouch/shared/policy";
import { quote, Refusal } from "@vouch/shared/refusal";
import type { ReleaseStatement } from "@vouch/shared/statement";
import { decodeEnvelope, encodeEnvelope, encodeManifest, type Manifest } from "@vouch/shared/suit";
import { isoTime } from "@vouch/shared/time";
import { parseUdi } from "@vouch/shared/udi";
import { KEY_ED25519, type Vkey } from "@vouch/shared/vkey";
import type { Command } from "commander";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import { readInput, writeWhole } from "../files";
import { openImage } from "../image";
import type { Io } from "../io";
import { withFileLock } from "../lock";
import { parseMoment } from "../moment";
import { table } from "../output/terminal";
import { sealRelease } from "../seal";
import { loadSigner, type Signer, type SignerOptions, withSigner } from "../signer";
import { draftEnvelope, readReleaseFile, signEnvelope, splitComponentFlag } from "../statementfile";
import { readVkey } from "../vkeyfile";
import { readPolicyNow } from "./policy";

const MAX_SBOM = 64 * 1024 * 1024;
const MAX_SUIT = 64 * 1024; // whatever lies beside the statement under that name
const LOCK_TIMEOUT_MS = 30_000;

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
  sbom?: { path: string; mediaType?: string | undefined } | undefined;
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
 * `malformed-udi`, `udi-check-digit`, `udi-personal`, `sbom-type`, `manifest-limits`, `exists`.
 */
export function newRelease(wanted: NewRelease, now: number): DraftedRelease {
  const images = wanted.components.map(({ name, path }) => openImage(name, path));
  const app = images.find(({ component }) => component === "app");
  if (app === undefined)
    throw new Refusal("no-app", "no component is named app, which is the image a device boots");
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
    ...(wanted.sbom !== undefined && { sbom: sbomOf(wanted.sbom.path, wanted.sbom.mediaType) }),
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

/** The model's part of a UDI. What names one item (serial, lot) is personal and has no place in a public log. */
function deviceIdentifier(text: string): string {
  const udi = parseUdi(/^[0-9]{14}$/.test(text) ? `(01)${text}` : text);
  if (udi.checkValid === false) {
    throw new Refusal("udi-check-digit", `the check digit of ${quote(text)} is wrong`);
  }
  const { issuer: _issuer, di, checkValid: _valid, ...item } = udi;
  const personal = Object.keys(item);
  if (personal.length > 0) {
    throw new Refusal(
      "udi-personal",
      `${quote(text)} also holds ${personal.join(", ")}, expected the device identifier alone`,
    );
  }
  return di;
}

const MEDIA_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^\s*\{[\s\S]*"bomFormat"\s*:\s*"CycloneDX"/, "application/vnd.cyclonedx+json"],
  [/^\s*\{[\s\S]*"(spdxVersion"|@context"\s*:\s*"https:\/\/spdx\.org\/)/, "application/spdx+json"],
  [/^\s*<[\s\S]*xmlns="http:\/\/cyclonedx\.org\/schema\/bom\//, "application/vnd.cyclonedx+xml"],
];

function sbomOf(path: string, mediaType: string | undefined): { sha256: string; mediaType: string } {
  const bytes = readInput(path, MAX_SBOM);
  const head = Buffer.from(bytes.subarray(0, 64 * 1024)).toString("utf8");
  const found = mediaType ?? MEDIA_TYPES.find(([pattern]) => pattern.test(head))?.[1];
  if (found === undefined) {
    throw new Refusal("sbom-type", `${path} is neither CycloneDX nor SPDX as far as its first 64 KiB show`, {
      hint: "--sbom-type TYPE says what it is",
    });
  }
  return { sha256: toHex(nodeCrypto.sha256(bytes)), mediaType: found };
}

export interface SignedRelease {
  readonly statement: ReleaseStatement;
  readonly keyid: string;
  readonly signatures: number;
}

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
export async function signRelease(
  file: string,
  components: readonly Component[],
  signer: Signer,
): Promise<SignedRelease> {
  const { envelope, statement } = readReleaseFile(file);
  for (const { name, path } of components) checkComponent(statement, name, path);
  checkUnsealed(file, statement);
  const signed = await about(file, () => signEnvelope(envelope, signer));
  const keyid = keyidOf(signer.publicKey, nodeCrypto);
  const given = signed.signatures.find((signature) => signature.keyid === keyid)?.sig;
  if (given === undefined) throw new Error("the signature just given is missing");
  // Signing may wait for a person. What others did in that time is read again, and kept.
  return withFileLock(file, LOCK_TIMEOUT_MS, async () => {
    const { envelope: now } = readReleaseFile(file);
    if (!equalBytes(now.payload, envelope.payload)) {
      throw new Refusal("changed-meanwhile", `${file} states something else than what was being signed`, {
        hint: "read it and sign it again",
      });
    }
    checkUnsealed(file, statement);
    const both = about(file, () => addSignature(now, signer.publicKey, given, nodeCrypto));
    writeWhole(file, formatEnvelope(both));
    return { statement, keyid, signatures: both.signatures.length };
  });
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
  sbom?: string;
  sbomType?: string;
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
    .option("--sbom <FILE>", "bill of materials, named by its digest")
    .option("--sbom-type <TYPE>", "its media type, where the file doesn't tell")
    .option("--source-commit <ID>", "full commit id of the source")
    .option("--support-ends <DAY>", "YYYY-MM-DD")
    .option("--created <TIME>", "instead of now, for a reproducible draft")
    .option("--json", "print one JSON object")
    .action((flags: NewFlags) => {
      const now =
        flags.created === undefined ? Math.floor(Date.now() / 1000) : parseMoment(flags.created, "--created");
      if (flags.sbomType !== undefined && flags.sbom === undefined) throw usage("--sbom-type without --sbom");
      const drafted = newRelease(
        {
          ...flags,
          revisions: flags.rev,
          components: flags.component.map((value) => splitComponentFlag("--component", value)),
          vendor: readVkey(flags.vendor),
          changeClass: changeClassOf(flags.changeClass),
          sbom: flags.sbom === undefined ? undefined : { path: flags.sbom, mediaType: flags.sbomType },
        },
        now,
      );
      const { dssePath, suitPath, statement } = drafted;
      if (io.json)
        io.stdout(`${JSON.stringify({ statement: dssePath, manifest: suitPath, release: statement })}\n`);
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
      if (!io.quiet) io.stderr(describeRelease(readReleaseFile(file).statement));
      const { statement, keyid, signatures } = await signRelease(
        file,
        components,
        await loadSigner(flags, io),
      );
      if (io.json)
        io.stdout(
          `${JSON.stringify({ product: statement.product, version: statement.version, keyid, signatures })}\n`,
        );
      else
        io.stdout(
          `${statement.product} ${statement.version} approved by key ${keyid.slice(0, 16)}…, signature ${signatures}\n`,
        );
    });
}

interface SealFlags extends SignerOptions {
  suit: string;
  image: string;
  policy: string;
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
    .requiredOption("-o, --output <FILE>", "the .upload file for `vouch flash`")
    .option("--json", "print one JSON object")
    .action(async (file: string, flags: SealFlags) => {
      const policy: Policy = readPolicyNow(flags.policy);
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
