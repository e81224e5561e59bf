// The program's version, put in by scripts/build.mjs; tests run from source.

declare const VOUCH_VERSION: string | undefined;

export const VERSION = typeof VOUCH_VERSION === "string" ? VOUCH_VERSION : "0.0.0-source";

declare const VOUCH_ALONE: boolean | undefined;

/** Whether this is the verifier that stands alone (scripts/verifier.mjs): one file, one thread, and nothing kept. */
export const ALONE = typeof VOUCH_ALONE === "boolean" && VOUCH_ALONE;
