// A note on its way to a Tangle: every block that carried it there, or was meant to.
//
//   {"version":"vouch-stardust-draft/v1","network":"hospital-tangle","tag":b64,"note":b64,
//    "tries":[{"block":b64},{"order":b64},{"order":b64,"id":b64},…]}                           oldest first
//
// A block is complete: its id is the hash of its bytes, and handing it in twice is as good as once. An order is a block
// with nonce 0 that a node is to do the work for; the node makes another block of it, whose id it tells, and
// which is read back and put in the order's place. Kept from before a node sees any of it until the receipt is
// there. A reader takes each block apart: it carries exactly this note, under this tag.

import { equalBytes, toBase64, toHex } from "@vouch/shared/bytes";
import { base64, list, matching, maybe, object, readJson } from "@vouch/shared/json";
import { quote, Refusal } from "@vouch/shared/refusal";
import { blockIdOf, decodeBlock } from "@vouch/shared/stardust/block";
import { MAX_BLOCK } from "@vouch/shared/stardust/receipt";
import { NETWORK_NAME } from "@vouch/shared/stardust/root";

/** A block, or an order for one; the order's id once a node told it. */
export type Try =
  | { readonly block: Uint8Array }
  | { readonly order: Uint8Array; readonly id: Uint8Array | null };

export interface StardustDraft {
  readonly network: string;
  readonly tag: Uint8Array;
  readonly note: Uint8Array;
  readonly tries: readonly Try[];
}

const VERSION = "vouch-stardust-draft/v1";
/** Beyond that the oldest goes: to lose each takes a network 15 milestones, so none of those comes back. */
export const MAX_TRIES = 64;
export const MAX_TAG = 63; // Stardust takes 64; iota.js counts wrong, and refuses that
const MAX_DRAFT = 4 * 1024 * 1024;

/** --tag's value. Refuses `usage`. */
export function parseTag(text: string): Uint8Array {
  const tag = new TextEncoder().encode(text);
  if (tag.length < 1 || tag.length > MAX_TAG || !/^[^\p{C}]*$/u.test(text))
    throw new Refusal("usage", `--tag: found ${quote(text)}, expected text of 1 to ${MAX_TAG} bytes`);
  return tag;
}

const SHAPE = object({
  version: matching(/^vouch-stardust-draft\/v1$/, VERSION),
  network: matching(NETWORK_NAME, "a network's name"),
  tag: base64(1, MAX_TAG),
  note: base64(1, MAX_BLOCK),
  tries: list(
    object({ block: maybe(base64(1, MAX_BLOCK)), order: maybe(base64(1, MAX_BLOCK)), id: maybe(base64(32)) }),
    1,
    MAX_TRIES,
  ),
});

type Read = ReturnType<typeof SHAPE>;

const draftJson = ({ network, tag, note, tries }: Read) => ({
  version: VERSION,
  network,
  tag: toBase64(tag),
  note: toBase64(note),
  tries: tries.map(({ block, order, id }) => ({
    ...(block === undefined ? {} : { block: toBase64(block) }),
    ...(order === undefined ? {} : { order: toBase64(order) }),
    ...(id === undefined ? {} : { id: toBase64(id) }),
  })),
});

export function formatDraft({ network, tag, note, tries }: StardustDraft): Uint8Array {
  const written = tries.map((each) =>
    "block" in each ? each : { order: each.order, ...(each.id === null ? {} : { id: each.id }) },
  );
  return new TextEncoder().encode(
    JSON.stringify(draftJson({ version: VERSION, network, tag, note, tries: written })),
  );
}

/** Refuses `malformed-draft`, `not-canonical-json`, `too-large`, and what decoding the blocks does. */
export function parseDraft(bytes: Uint8Array): StardustDraft {
  const read = readJson(bytes, "the draft", MAX_DRAFT, "malformed-draft", SHAPE, draftJson);
  const { network, tag, note } = read;
  const tries = read.tries.map(({ block, order, id }): Try => {
    if ((block === undefined) === (order === undefined) || (block !== undefined && id !== undefined))
      throw malformed("a try that is neither a block nor an order");
    checkCarries(block ?? order!, note, tag);
    return block === undefined ? { order: order!, id: id ?? null } : { block };
  });
  return { network, tag, note, tries };
}

/** Refuses `malformed-draft` for a block of another payload. */
function checkCarries(block: Uint8Array, note: Uint8Array, tag: Uint8Array): void {
  const found = decodeBlock(block);
  if (!equalBytes(found.data, note) || !equalBytes(found.tag, tag))
    throw malformed(`a block that carries something else: ${toHex(blockIdOf(block))}`);
}

const malformed = (found: string) => new Refusal("malformed-draft", `the draft has ${found}`);
