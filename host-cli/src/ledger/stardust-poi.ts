// The proof of inclusion of a block, from whoever makes them:
//
//   <poi>/create/0xID                      inx-poi at its own port
//   <node>/api/poi/v1/create/0xID          the same through the node: what it registers, and HORNET 2.0.1 answers with 404
//
//   200   the proof                  400   not referenced yet: the plugin is a moment behind the node
//   404   no such route here         500   it doesn't know the block yet; or the milestone references this one alone
//
// A proof for a tree of one leaf inx-poi can't make, ever: that is `lonely`, and the note needs another block.

import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { type Deadline, sleep } from "./deadline";
import { askHttp } from "./http";
import { member } from "./json-rpc";
import { hexOf } from "./stardust";
import { below, type Where } from "./stardust-where";

const MAX_ANSWER = 256 * 1024;
const POLL_MS = [50, 100, 200, 400, 800];

export type Found =
  | { readonly kind: "proof"; readonly json: unknown }
  | { readonly kind: "lonely" }
  | { readonly kind: "not-yet" | "not-here"; readonly why: string };

/** The proof as it was parsed, or null when it can't be made. Refuses `node-refused`, `node-not-found`, `node-unreachable`, `node-answer`. */
export async function fetchProof({ node, poi }: Where, id: Uint8Array, deadline: Deadline): Promise<unknown> {
  const path = `create/${hexOf(id)}`;
  const through = below(node, `/api/poi/v1/${path}`);
  const urls = poi === null ? [through] : [below(poi, `/${path}`), through];
  for (let attempt = 0; ; attempt++) {
    const found = await firstOf(urls, deadline);
    if (found.kind === "proof") return found.json;
    if (found.kind === "lonely") return null;
    if (found.kind === "not-here")
      throw new Refusal("node-not-found", `nobody makes proofs of inclusion at ${found.why}`, {
        hint: "inx-poi answers at a port of its own: --ledger stardust:URL,poi=http://HOST:9687",
      });
    const pause = POLL_MS[Math.min(attempt, POLL_MS.length - 1)]!;
    if (!deadline.allows(pause)) throw new Refusal("node-refused", `no proof of inclusion: ${found.why}`);
    await sleep(pause);
  }
}

/** The best of what they say. One that can't be reached doesn't keep us from the other. */
async function firstOf(urls: readonly URL[], deadline: Deadline): Promise<Found> {
  let best: Found | null = null;
  let trouble: unknown;
  for (const url of urls) {
    try {
      const found = await askProof(url, deadline);
      if (found.kind === "proof" || found.kind === "lonely") return found;
      if (best === null || best.kind === "not-here") best = found;
    } catch (error) {
      if (!isRefusal(error)) throw error;
      trouble ??= error;
    }
  }
  if (best?.kind === "not-yet" || (best !== null && trouble === undefined)) return best;
  throw trouble;
}

async function askProof(url: URL, deadline: Deadline): Promise<Found> {
  const { status, body } = await askHttp(url, {
    method: "GET",
    maxBytes: MAX_ANSWER,
    timeoutMs: deadline.askMs(),
  });
  let json: unknown;
  try {
    json = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    if (status === 404) return { kind: "not-here", why: url.host };
    throw new Refusal(
      "node-answer",
      `${url.host}: the proof of inclusion, HTTP status ${status}, isn't JSON`,
      {
        cause,
      },
    );
  }
  if (status === 200) return { kind: "proof", json };
  if (status === 404) return { kind: "not-here", why: url.host };
  const said = String(member(member(json, "error"), "message"));
  if (status === 500 && /at lea?st 2 items/.test(said)) return { kind: "lonely" };
  if (status === 400 || status === 500)
    return { kind: "not-yet", why: `${url.host}: HTTP status ${status}: ${quote(said)}` };
  throw new Refusal("node-refused", `${url.host}: HTTP status ${status}: ${quote(said)}`);
}
