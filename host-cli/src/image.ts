// Image files for verification: hashed as a stream, so that a 64 MB image costs no memory.

import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import type { Image } from "@vouch/shared/measured";
import { usage } from "./exit";
import { readChunks, readInput } from "./readfiles";

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

/** A file's image; refuses `image-changed` when it reads otherwise the second time. */
export function openImage(component: string, path: string): Image {
  const whole = isFile(path) ? null : readInput(path, MAX_IMAGE); // a pipe can be read once only
  const pieces = (take: (chunk: Uint8Array) => void) =>
    whole === null ? readChunks(path, MAX_IMAGE, take) : take(whole);
  const { size, sha256 } = digestOf(pieces);
  return {
    component,
    size,
    sha256,
    keyed(nonce, regionLength) {
      const keyed = createHash("sha256").update(nonce);
      const again = digestOf((take) =>
        pieces((chunk) => {
          keyed.update(chunk);
          take(chunk);
        }),
      );
      if (again.sha256.compare(sha256) !== 0) throw new ImageChanged(path);
      for (let left = regionLength - size; left > 0; left -= PADDING.length) {
        keyed.update(left < PADDING.length ? PADDING.subarray(0, left) : PADDING);
      }
      return keyed.digest();
    },
  };
}

/** Not a Refusal: it must end the run as trouble, and never become a finding about the device. */
export class ImageChanged extends Error {
  constructor(readonly path: string) {
    super("the image changed while it was read");
  }
}

const isFile = (path: string) =>
  path !== "-" && statSync(path, { throwIfNoEntry: false })?.isFile() !== false;

function digestOf(pieces: (take: (chunk: Uint8Array) => void) => void) {
  const hash = createHash("sha256");
  let size = 0;
  pieces((chunk) => {
    hash.update(chunk);
    size += chunk.length;
  });
  return { size, sha256: hash.digest() };
}
