// vouch bundle: everything an auditor needs in one file.
//
// Beside F.eat lie F.challenge and, when the evidence was logged, F.salt; they are found
// by name. --public leaves devices out: enrolments and evidence are their owner's.

import { existsSync } from "node:fs";
import { formatBundle } from "@vouch/shared/bundle";
import { toHex } from "@vouch/shared/bytes";
import {
  MAX_CHALLENGE,
  MAX_COMPANION,
  parseChallenge,
  parseEnrolmentFile,
  parseEvidenceSalt,
} from "@vouch/shared/companions";
import { MAX_DSSE, parseEnvelope } from "@vouch/shared/dsse";
import { Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { besideEvidence } from "../beside";
import { nodeCrypto } from "../crypto";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { type BundleParts, type DeviceFiles, makeBundle } from "../log/bundling";
import { readInput } from "../readfiles";
import { writeOutput } from "../writefiles";

const MAX_EVIDENCE = 64 * 1024;

export interface BundleOptions {
  readonly log: string;
  readonly release: string;
  readonly manifest: string;
  readonly evidence?: readonly string[];
  readonly enrolment?: readonly string[];
  readonly public?: boolean;
}

/** Reads the parts' files. Refuses what reading them refuses, and `salt-mismatch`. */
export function readParts(options: BundleOptions): BundleParts {
  const { evidence = [], enrolment = [] } = options;
  if (options.public === true && evidence.length > 0) {
    throw usage("--public and --evidence contradict each other", "a public bundle holds no device evidence");
  }
  return {
    logFolder: options.log,
    release: readStatement(options.release),
    manifest: readInput(options.manifest, MAX_EVIDENCE),
    devices: evidence.map(readDevice),
    enrolments: enrolment.map((path) =>
      about(path, () => parseEnrolmentFile(readInput(path, MAX_COMPANION))),
    ),
  };
}

/** Read here already, so that a refusal names the file: it may be that of another flag. */
function readStatement(path: string): Uint8Array {
  return about(path, () => {
    const bytes = readInput(path, MAX_DSSE);
    parseEnvelope(bytes);
    return bytes;
  });
}

/** Evidence with what lies beside it. Refuses as reading does, and `salt-mismatch`. */
export function readDevice(path: string): DeviceFiles {
  const evidence = readInput(path, MAX_EVIDENCE);
  const challenge = besideEvidence(path, "challenge");
  const salt = besideEvidence(path, "salt");
  return {
    evidence,
    challenge: about(challenge, () => parseChallenge(readBeside(challenge))),
    salt: existsSync(salt) ? about(salt, () => saltFor(evidence, readInput(salt, MAX_COMPANION))) : null,
  };
}

/** What `attest` wrote beside the evidence. Refuses `not-found`, saying whose it would be. */
function readBeside(path: string): Uint8Array {
  if (existsSync(path)) return readInput(path, MAX_CHALLENGE);
  throw new Refusal("not-found", "no such file or folder", {
    hint: "`vouch attest` writes NAME.eat and NAME.challenge: keep them side by side, and name the .eat",
  });
}

function saltFor(evidence: Uint8Array, file: Uint8Array): Uint8Array {
  const { salt, evidenceSha256 } = parseEvidenceSalt(file);
  const actual = toHex(nodeCrypto.sha256(evidence));
  if (actual === evidenceSha256) return salt;
  throw new Refusal(
    "salt-mismatch",
    `the salt is for evidence ${evidenceSha256}, the evidence beside it is ${actual}`,
  );
}

const collect = (value: string, before: readonly string[] = []) => [...before, value];

export function define(program: Command, io: Io): void {
  program
    .command("bundle")
    .description("Puts all that offline verification needs into one file.")
    .requiredOption("--log <DIR>", "the release log, with its anchors")
    .requiredOption("--release <FILE>", "the release statement (.dsse.json), as logged")
    .requiredOption("--manifest <FILE>", "the sealed manifest (.suit)")
    .option("--evidence <FILE>", "evidence (.eat), its .challenge and .salt beside it (repeatable)", collect)
    .option("--enrolment <FILE>", "the enrolment of an evidence's key (repeatable)", collect)
    .option("--public", "leave devices out")
    .option("-o, --output <FILE>", "where to write; stdout unless named")
    .option("--json", "print what was made as one JSON object; needs --output")
    .action((options: BundleOptions & { output?: string }) => {
      if (io.json && (options.output === undefined || options.output === "-"))
        throw usage("--json needs --output FILE", "the bundle itself is JSON already");
      const warn = (text: string) => io.stderr(`warning: ${text}\n`);
      const bundle = makeBundle(readParts(options), warn);
      const bytes = formatBundle(bundle);
      writeOutput(io, options.output, new TextDecoder().decode(bytes));
      const made = {
        bytes: bytes.length,
        advisories: bundle.advisories.length,
        checkpoints: bundle.checkpoints.length,
        devices: bundle.devices.length,
      };
      if (io.json) io.stdout(`${JSON.stringify({ file: options.output, ...made })}\n`);
      else if (!io.quiet) {
        const { bytes, checkpoints, advisories, devices } = made;
        io.stderr(
          `bundle of ${bytes} bytes; checkpoints: ${checkpoints}, advisories: ${advisories}, devices: ${devices}\n`,
        );
      }
    });
}
