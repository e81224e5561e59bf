// One question over HTTP, to a node that may lie, stall or never stop talking.
//
// By node:http and not fetch: it follows no redirect, so what is asked goes where the person said and nowhere
// else, it counts what arrives, and it keeps no connection. A redirect is an answer like any other.

import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { Refusal } from "@vouch/shared/refusal";
import { unreachable, within } from "./deadline";

export interface HttpQuestion {
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array | undefined;
  /** Of the answer. */
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

/** Refuses `node-unreachable`, and `node-answer` for one that is too long. */
export function askHttp(url: URL, question: HttpQuestion): Promise<HttpAnswer> {
  const { method, body, maxBytes, timeoutMs } = question;
  const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
  const headers = { ...question.headers, ...length };
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  return within(timeoutMs, url.host, (done, fail) => {
    const asked = request(url, { method, headers, agent: false }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > maxBytes)
          return fail(new Refusal("node-answer", `${url.host} answers with more than ${maxBytes} bytes`));
        parts.push(part);
      });
      response.on("end", () => done({ status: response.statusCode ?? 0, body: Buffer.concat(parts) }));
      response.on("error", (error) => fail(unreachable(url.host, error)));
    });
    asked.on("error", (error) => fail(unreachable(url.host, error)));
    asked.end(body);
    return () => asked.destroy();
  });
}
