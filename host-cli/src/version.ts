// The program's version, put in by scripts/build.mjs; tests run from source.

declare const VOUCH_VERSION: string | undefined;

export const VERSION = typeof VOUCH_VERSION === "string" ? VOUCH_VERSION : "0.0.0-source";
