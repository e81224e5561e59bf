// The engine image of the simulated device: what fills its engine region, and
// what its evidence measures as component "engine".
//
//   agent bundle, ES5 text | FF … | engine block, the last 512 bytes
//
//   block = u16 length, little endian | CBOR map | FF …
//     1 vendor public key   2 vendor id   3 class id   4 model   5 hardware version
//     6 engine name         7 engine version           8 length of the bundle
//
// The simulated device runs the bundle it finds here, so what is measured is
// what runs. The interpreter itself (QuickJS) is on the host and not in the
// image: a limit of the simulation, which the engine's name gives away.

import {
  CBOR_STRICT,
  type CborMap,
  cborMap,
  decodeCbor,
  encodeCbor,
  isBytes,
  isMap,
  mapGet,
} from "@vouch/shared/cbor";
import { classIdOf, vendorIdOf } from "@vouch/shared/ids";
import { quote, Refusal } from "@vouch/shared/refusal";
import { KEY_ED25519, parseVkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { ENGINE_BYTES } from "./layout";
import { QUICKJS_VERSION } from "./quickjs";

export const BLOCK_BYTES = 512;
const BUNDLE_MAX = ENGINE_BYTES - BLOCK_BYTES;
const TEXT_MAX = 40; // what the agent takes

/** What a maker builds into an engine. */
export interface MakerSpec {
  /** The maker's manifest key, the policy's `vendor` line. */
  vendorVkey: string;
  product: string;
  model: string;
  hardwareVersion: string;
}

export interface EngineSpec extends MakerSpec {
  /** The built agent: ES5 text in ASCII. */
  bundle: Uint8Array;
}

/** What an engine's build says of itself. */
export interface EngineBuild {
  name: string;
  version: string;
  bundleBytes: number;
}

export interface EngineBlock extends EngineBuild {
  vendorKey: Uint8Array;
  model: string;
  hardwareVersion: string;
}

/** The whole region. Refuses a bad verifier key, `bundle-too-large`, `malformed-name`. */
export function makeEngineImage(spec: EngineSpec): Uint8Array {
  const { bundle } = spec;
  if (bundle.length > BUNDLE_MAX)
    throw new Refusal(
      "bundle-too-large",
      `agent bundle has ${bundle.length} bytes, expected at most ${BUNDLE_MAX}`,
    );
  const image = new Uint8Array(ENGINE_BYTES).fill(0xff);
  image.set(bundle);
  image.set(
    formatBlock(spec, { name: "quickjs", version: QUICKJS_VERSION, bundleBytes: bundle.length }),
    BUNDLE_MAX,
  );
  return image;
}

/** The last 512 bytes of a region. Refuses a bad verifier key, `malformed-name`. */
export function formatBlock(spec: MakerSpec, build: EngineBuild): Uint8Array {
  const { model, hardwareVersion } = spec;
  const vendor = parseVkey(spec.vendorVkey, nodeCrypto);
  if (vendor.type !== KEY_ED25519)
    throw new Refusal(
      "wrong-key-type",
      `${quote(vendor.name)} is a cosigner's key, expected one that signs manifests`,
    );
  const map = encodeCbor(
    cborMap([
      [1, vendor.publicKey],
      [2, vendorIdOf(vendor.name, nodeCrypto)],
      [3, classIdOf(spec.product, model, nodeCrypto)],
      [4, checkText(model, "model")],
      [5, checkText(hardwareVersion, "hardware version")],
      [6, build.name],
      [7, build.version],
      [8, build.bundleBytes],
    ]),
  );
  const block = new Uint8Array(BLOCK_BYTES).fill(0xff);
  block.set([map.length & 0xff, map.length >> 8]);
  block.set(map, 2);
  return block;
}

function checkText(text: string, what: string): string {
  const { length } = new TextEncoder().encode(text);
  if (length > 0 && length <= TEXT_MAX && !/\p{Cc}/u.test(text)) return text;
  throw new Refusal("malformed-name", `${what} is ${quote(text)}, expected 1 to ${TEXT_MAX} bytes of text`);
}

/** What a board's start-up code makes of the region. Refuses `malformed-engine`. */
export function readEngineImage(region: Uint8Array): { block: EngineBlock; bundle: string } {
  if (region.length !== ENGINE_BYTES)
    throw malformed(`is ${region.length} bytes long, expected ${ENGINE_BYTES}`);
  const block = readBlock(region);
  const size = block.bundleBytes;
  const bundle = region.subarray(0, size);
  if (size <= 0 || size > BUNDLE_MAX || bundle.some((byte) => byte > 126))
    throw malformed("holds no agent bundle in ASCII");
  return { block, bundle: Buffer.from(bundle).toString("latin1") };
}

function readMap(region: Uint8Array): CborMap {
  const raw = region.subarray(-BLOCK_BYTES);
  const length = raw[0]! + raw[1]! * 256;
  const { value } = decodeCbor(raw.subarray(2, 2 + length), CBOR_STRICT);
  if (length > BLOCK_BYTES - 2 || value === null || !isMap(value)) throw malformed("has no engine block");
  return value;
}

/** What the build of a region says. Refuses `malformed-engine`. */
export function readBuild(region: Uint8Array): EngineBuild {
  const map = readMap(region);
  const [name, version, bundleBytes] = [6, 7, 8].map((key) => mapGet(map, key));
  if (typeof name !== "string" || typeof version !== "string" || typeof bundleBytes !== "number")
    throw malformed("has an engine block without engine name, version or bundle length");
  return { name, version, bundleBytes };
}

/** The block of a region. Refuses `malformed-engine`. */
export function readBlock(region: Uint8Array): EngineBlock {
  const map = readMap(region);
  const [vendorKey, model, hardwareVersion] = [1, 4, 5].map((key) => mapGet(map, key));
  if (!isBytes(vendorKey) || typeof model !== "string" || typeof hardwareVersion !== "string")
    throw malformed("has an engine block without key, model or hardware version");
  return { vendorKey, model, hardwareVersion, ...readBuild(region) };
}

const malformed = (found: string) =>
  new Refusal("malformed-engine", `engine image ${found}`, {
    hint: "`vouch sim --write-engine FILE` makes one",
  });
