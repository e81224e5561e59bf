// JSON-RPC 2.0 over HTTP, one question at a time, of a node that may lie, stall or never stop talking.
//
// Answers are read with the shapes of strict JSON, but members that nobody asked for are passed over: nodes add
// some with every release.

import { type Shape, text } from "@vouch/shared/json";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { askHttp } from "./http";

const MAX_ANSWER = 4 * 1024 * 1024;

/** Refuses `node-unreachable`, `node-answer`, and `node-refused` for the node's own no. */
export async function callRpc<T>(
  url: URL,
  method: string,
  params: readonly unknown[],
  shape: Shape<T>,
  timeoutMs: number,
): Promise<T> {
  const body = await post(url, JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }), timeoutMs);
  let answer: unknown;
  try {
    answer = JSON.parse(body.toString("utf8"));
  } catch (cause) {
    throw new Refusal("node-answer", `${url.host}: the answer to ${method} isn't JSON`, { cause });
  }
  const error = member(answer, "error");
  if (error !== undefined && error !== null)
    throw new Refusal("node-refused", `${url.host}: ${method}: ${quote(String(member(error, "message")))}`);
  try {
    return shape(member(answer, "result"), "result");
  } catch (cause) {
    if (!isRefusal(cause)) throw cause;
    throw new Refusal("node-answer", `${url.host}: the answer to ${method}: ${cause.message}`, { cause });
  }
}

/** A member of what should be an object; undefined when it isn't one. */
export const member = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : undefined;

/** Some members of an object, whatever else is in it. */
export const some =
  <S extends { readonly [key: string]: Shape<unknown> }>(
    spec: S,
  ): Shape<{ [K in keyof S]: S[K] extends Shape<infer T> ? T : never }> =>
  (value, at) => {
    const out: Record<string, unknown> = {};
    for (const key in spec) out[key] = spec[key]!(member(value, key), `${at}.${key}`);
    return out as never;
  };

/** Null for what is absent or null. */
export const absent =
  <T>(shape: Shape<T>): Shape<T | null> =>
  (value, at) =>
    value === undefined || value === null ? null : shape(value, at);

/** u64 as nodes write it, in decimal text. */
export const decimal: Shape<bigint> = (value, at) => {
  const digits = text(20)(value, at);
  const number = /^(0|[1-9][0-9]*)$/.test(digits) ? BigInt(digits) : -1n;
  if (number < 0n || number >= 1n << 64n)
    throw new Refusal("malformed-json", `${at} is ${quote(digits)}, expected a number of 64 bits as text`);
  return number;
};

async function post(url: URL, body: string, timeoutMs: number): Promise<Buffer> {
  const headers = { "content-type": "application/json" };
  const answer = await askHttp(url, { method: "POST", headers, body, maxBytes: MAX_ANSWER, timeoutMs });
  if (answer.status !== 200)
    throw new Refusal("node-answer", `${url.host} answers with HTTP status ${answer.status}`);
  return answer.body;
}
