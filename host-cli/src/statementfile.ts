// Statements as files: `x.dsse.json`, the exact bytes of a DSSE envelope and no
// line end, since those bytes are the log's record.

import { toHex } from "@vouch/shared/bytes";
import {
  addSignature,
  type Envelope,
  formatEnvelope,
  IN_TOTO,
  MAX_DSSE,
  pae,
  parseEnvelope,
} from "@vouch/shared/dsse";
import { quote, Refusal } from "@vouch/shared/refusal";
import {
  formatStatement,
  parseStatement,
  type ReleaseStatement,
  type Statement,
} from "@vouch/shared/statement";
import { nodeCrypto } from "./crypto";
import { about, usage } from "./exit";
import { openImage } from "./image";
import { readInput } from "./readfiles";
import type { Signer } from "./signer";

export interface StatementFile<S extends Statement = Statement> {
  readonly bytes: Uint8Array;
  readonly envelope: Envelope;
  readonly statement: S;
}

/** Reads one; verifies no signature. Refuses as its parsers do. */
export function readStatementFile(path: string): StatementFile {
  return about(path, () => {
    const bytes = readInput(path, MAX_DSSE);
    const envelope = parseEnvelope(bytes);
    return { bytes, envelope, statement: parseStatement(envelope.payload) };
  });
}

/** One that is a release. Refuses `wrong-statement`. */
export function readReleaseFile(path: string): StatementFile<ReleaseStatement> {
  const { statement, ...rest } = readStatementFile(path);
  if (statement.kind !== "release") {
    throw new Refusal(
      "wrong-statement",
      `${path} is a statement of kind ${statement.kind}, expected a release`,
    );
  }
  return { ...rest, statement };
}

/** A draft: the envelope nobody has signed yet. */
export function draftEnvelope(statement: Statement): Envelope {
  return { payloadType: IN_TOTO, payload: formatStatement(statement), signatures: [] };
}

/** The envelope with this signer's signature. Refuses `already-signed`. */
export async function signEnvelope(envelope: Envelope, signer: Signer): Promise<Envelope> {
  // A dry run of adding it, so that nobody is asked for a passphrase or a touch in vain.
  addSignature(envelope, signer.publicKey, new Uint8Array(64), nodeCrypto);
  const signature = await signer.sign(pae(envelope.payloadType, envelope.payload));
  return addSignature(envelope, signer.publicKey, signature, nodeCrypto);
}

/** The bytes of a statement signed by one. */
export async function signStatement(statement: Statement, signer: Signer): Promise<Uint8Array> {
  return formatEnvelope(await signEnvelope(draftEnvelope(statement), signer));
}

/** `NAME=VALUE` of a flag such as --component. Refuses `usage`. */
export function splitComponentFlag(flag: string, value: string): { name: string; path: string } {
  const match = /^([a-z][a-z0-9-]{0,31})=(.+)$/s.exec(value);
  if (match === null)
    throw usage(`${flag}: found ${quote(value)}, expected NAME=FILE`, `for example ${flag} app=pump.bin`);
  return { name: match[1] as string, path: match[2] as string };
}

/**
 * The digest a person names: 64 hex digits, a release's `.dsse.json` (its component of that name), or the image
 * itself. Hex text.
 */
export function digestNamed(value: string, component: string): string {
  if (/^[0-9a-f]{64}$/.test(value)) return value;
  if (/^[0-9A-Fa-f]{64}$/.test(value)) throw usage(`${quote(value)} has capitals, expected lower-case hex`);
  if (!value.endsWith(".dsse.json")) return toHex(openImage(component, value).sha256);
  const { statement } = readReleaseFile(value);
  const subject = statement.subjects.find(({ name }) => name === component);
  if (subject === undefined) {
    const names = statement.subjects.map(({ name }) => name).join(", ");
    throw new Refusal("component-unnamed", `${value} releases ${names}, nothing named ${component}`);
  }
  return subject.sha256;
}
