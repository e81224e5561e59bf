// Where the build put what this program ships beside its verbs. Tests run from source, and say where.

import { join } from "node:path";

declare const VOUCH_DIST: string | undefined;

/** A file of the build. */
export const builtFile = (name: string): string =>
  join(typeof VOUCH_DIST === "string" ? VOUCH_DIST : join(__dirname, ".."), name);
