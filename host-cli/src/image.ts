// Image files for verification: hashed as a stream, so that a 64 MB image costs no memory.

import { createHash } from "node:crypto";
import type { Image } from "@vouch/shared/measured";
import { usage } from "./exit";
import { readChunks } from "./files";

export const MAX_IMAGE = 128 * 1024 * 1024;
const PADDING = new Uint8Array(64 * 1024).fill(0xff);

/** `--image [component=]FILE`; without a component it is the application. */
export function splitImageFlag(flag: string): { component: string; path: string } {
  const named = /^([a-z][a-z0-9-]{0,31})=(.+)$/.exec(flag);
  return named === null ? { component: "app", path: flag } : { component: named[1]!, path: named[2]! };
}

/** Opens the files named by --image. Throws `usage` when two name one component. */
export function openImages(flags: readonly string[]): Image[] {
  const images = flags.map(splitImageFlag).map(({ component, path }) => openImage(component, path));
  for (const { component } of images) {
    if (images.filter((i) => i.component === component).length > 1) {
      throw usage(`two images are given for ${component}`, "name the component: --image engine=FILE");
    }
  }
  return images;
}

export function openImage(component: string, path: string): Image {
  const hash = createHash("sha256");
  let size = 0;
  readChunks(path, MAX_IMAGE, (chunk) => {
    hash.update(chunk);
    size += chunk.length;
  });
  return {
    component,
    size,
    sha256: hash.digest(),
    keyed: (nonce, length) => keyedDigest(path, size, nonce, length),
  };
}

function keyedDigest(path: string, size: number, nonce: Uint8Array, regionLength: number): Uint8Array {
  const hash = createHash("sha256").update(nonce);
  readChunks(path, MAX_IMAGE, (chunk) => hash.update(chunk));
  for (let left = regionLength - size; left > 0; left -= PADDING.length) {
    hash.update(left < PADDING.length ? PADDING.subarray(0, left) : PADDING);
  }
  return hash.digest();
}
