// Whether a manifest says what the release statement says that names it.
//
// The statement names the manifest by digest, which settles which one it is. That the
// two agree is another matter: people approve the statement, a device obeys the
// manifest. Whoever seals asks here, and so does whoever verifies, so that nothing is
// ever sealed that verification refutes.

import { equalBytes, toHex } from "./bytes";
import type { Crypto } from "./crypto";
import { classIdOf, vendorIdOf } from "./ids";
import type { ReleaseStatement } from "./statement";
import type { Manifest } from "./suit";

/** What of the manifest isn't as the release states it, in words: the first such thing. Null when they agree. */
export function contradiction(
  statement: ReleaseStatement,
  manifest: Manifest,
  vendorName: string,
  crypto: Crypto,
): string | null {
  const { hardware, product } = statement;
  const app = statement.subjects.find(({ name }) => name === "app");
  const agrees: readonly (readonly [string, boolean])[] = [
    ["image digest", toHex(manifest.digest) === app?.sha256],
    ["image size", manifest.size === statement.entry.length],
    ["security version", manifest.sequence === statement.securityVersion],
    ["floor", manifest.floor === statement.floor],
    ["version", manifest.version === statement.version],
    ["vendor id", equalBytes(manifest.vendorId, vendorIdOf(vendorName, crypto))],
    ["class id", equalBytes(manifest.classId, classIdOf(product, hardware.model, crypto))],
    ["hardware revisions", sameList(manifest.revisions, hardware.revisions)],
  ];
  return agrees.find(([, same]) => !same)?.[0] ?? null;
}

const sameList = (a: readonly string[], b: readonly string[]) =>
  a.length === b.length && a.every((item, i) => item === b[i]);
