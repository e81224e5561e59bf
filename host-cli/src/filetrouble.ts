// What goes wrong with a file, as Refusals that a person can act on.

import { Refusal } from "@vouch/shared/refusal";

/** A name that -o or a new key may not take. */
export const nameTaken = () =>
  new Refusal("exists", "a file of this name is already there and is never overwritten", {
    hint: "choose another name, or move the old file away yourself",
  });

export const codeOf = (error: unknown) =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";

/** Errno names to Refusals a person can act on; what isn't about a file passes through. */
export function fileTrouble(error: unknown, code: string, trouble: string): unknown {
  switch (codeOf(error)) {
    case "ENOENT":
    case "ENOTDIR":
      return new Refusal(code === "unreadable" ? "not-found" : code, "no such file or folder", {
        cause: error,
        ...(code === "unwritable" && { hint: "make the folder first, or name another" }),
      });
    case "EEXIST":
      return nameTaken();
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new Refusal(code, `${trouble}: permission denied`, { cause: error });
    case "ENOSPC":
    case "EDQUOT":
      return new Refusal(code, `${trouble}: the disk is full`, { cause: error });
    case "EIO":
    case "EISDIR":
    case "ELOOP":
    case "ENAMETOOLONG":
    case "EMFILE":
    case "ENXIO":
      return new Refusal(code, `${trouble}: ${codeOf(error)}`, { cause: error });
    default:
      return error;
  }
}
