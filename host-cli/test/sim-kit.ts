// A maker and a simulated device for tests: the built agent in an engine image,
// a signed upload for it, and a session with it over any line.

import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { kidOf } from "@vouch/shared/cose";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { sha256 } from "@vouch/shared/sha256";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import { encodeEnvelope, encodeManifest, encodeUpload } from "@vouch/shared/suit";
import { formatVkey, KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import { readAgentBundle } from "../src/commands/sim";
import { nodeCrypto } from "../src/crypto";
import { openSession, type Session } from "../src/device/session";
import { readParameters } from "../src/device/smp";
import type { Transport } from "../src/device/transport";
import { uploadImage } from "../src/device/upload";
import { makeEngineImage } from "../src/sim/engine";

export const hash = (bytes: Uint8Array | string): Uint8Array =>
  new Uint8Array(createHash("sha256").update(bytes).digest());

const vendor = keyPairFromSeed(hash("a maker"));
export const VENDOR_VKEY = formatVkey(makeVkey("acme.example/manifest", KEY_ED25519, vendor.publicKey));
export const PRODUCT = "pump-400";
export const MODEL = "PUMP-400";

/** The engine image of a PUMP-400 of this maker, with the agent this build made. */
export const engineImage = (): Uint8Array =>
  makeEngineImage({
    bundle: readAgentBundle(),
    vendorVkey: VENDOR_VKEY,
    product: PRODUCT,
    model: MODEL,
    hardwareVersion: "B",
  });

/** Bytes nobody would mistake for erased flash. */
export function makeImage(label: string, length: number): Uint8Array {
  const image = new Uint8Array(length);
  for (let at = 0; at < length; at += 32)
    image.set(hash(`${label} ${at}`).subarray(0, Math.min(32, length - at)), at);
  return image;
}

/** A sealed upload of the image for a PUMP-400. */
export function makeUpload(image: Uint8Array, sequence = 1): Uint8Array {
  const manifest = encodeManifest({
    sequence,
    vendorId: vendorIdOf("acme.example/manifest", nodeCrypto),
    classId: classIdOf(PRODUCT, MODEL, nodeCrypto),
    digest: hash(image),
    size: image.length,
    floor: 0,
    version: `1.0.${sequence}`,
    revisions: ["B"],
  });
  const kid = kidOf(sha256(vendor.publicKey));
  const envelope = encodeEnvelope(manifest, sha256, kid, (message) => signEd25519(vendor.secretKey, message));
  return encodeUpload(envelope, image);
}

/** Runs `work` with a session on the line, and closes both. */
export async function withSession<T>(
  line: Transport | Promise<Transport>,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = openSession(await line, { timeoutMs: 30_000 });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

export async function sendUpload(
  session: Session,
  upload: Uint8Array,
  onProgress: (done: number) => void = () => {},
): Promise<void> {
  const parameters = await readParameters(session);
  await uploadImage(session, upload, { sha256: hash(upload), parameters, onProgress });
}

/** A folder that is gone when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "vouch-sim-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
