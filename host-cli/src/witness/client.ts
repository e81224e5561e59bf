// Asking a witness, which may lie, stall or never stop talking: C2SP tlog-witness v1.0.0, over http.ts, which bounds
// what arrives. What comes back is read here, and verified by whoever asked.

import { parseSize } from "@vouch/shared/checkpoint";
import { MAX_NOTE } from "@vouch/shared/note";
import { quote, Refusal } from "@vouch/shared/refusal";
import { MAX_ANSWER, parseAnswer } from "@vouch/shared/witness";
import type { HttpClient } from "../http";
import { originKey } from "./origin";

/** What a witness said to a checkpoint. */
export type WitnessAnswer =
  | { readonly kind: "cosigned"; readonly lines: readonly string[] }
  /** It has cosigned another size last. */
  | { readonly kind: "other-size"; readonly size: bigint }
  /** It says that the checkpoint isn't an extension of what it has cosigned. */
  | { readonly kind: "not-consistent" }
  | { readonly kind: "refused"; readonly status: number; readonly text: string };

/** Refuses as http.ts does, `malformed-answer`, and `witness-answer` for a 409 without a size. */
export async function addCheckpoint(
  http: HttpClient,
  base: URL,
  request: Uint8Array,
  timeoutMs: number,
): Promise<WitnessAnswer> {
  const { status, type, body } = await http.ask(new URL("add-checkpoint", base), {
    method: "POST",
    body: request,
    headers: { "content-type": "text/plain; charset=utf-8" },
    maxBytes: MAX_ANSWER,
    timeoutMs,
  });
  const text = Buffer.from(body).toString("latin1");
  switch (status) {
    case 200:
      return { kind: "cosigned", lines: parseAnswer(body) };
    case 409: {
      const size = text.endsWith("\n") ? parseSize(text.slice(0, -1)) : null;
      if (size === null || type !== "text/x.tlog.size")
        throw new Refusal("witness-answer", `it answers 409 without a size: ${quote(text)}`);
      return { kind: "other-size", size };
    }
    case 422:
      return { kind: "not-consistent" };
    default:
      return { kind: "refused", status, text: text.trimEnd() };
  }
}

/** The newest checkpoint note that the witness shows of a log, not verified; null when it shows none. Refuses as http.ts does. */
export async function latestOf(
  http: HttpClient,
  base: URL,
  origin: string,
  timeoutMs: number,
): Promise<Uint8Array | null> {
  const url = new URL(`${originKey(origin)}/checkpoint`, base);
  const { status, body } = await http.ask(url, { maxBytes: MAX_NOTE, timeoutMs });
  return status === 200 ? Uint8Array.from(body) : null;
}
