// Questions over HTTP to a server that may lie, stall or never stop talking: a log's files, a witness.
//
//   ask ──▶ one request, one whole answer of at most `maxBytes` within `timeoutMs`
//
// By node:http and not fetch: it follows no redirect, so what is asked goes where the person said and nowhere
// else; it unpacks nothing, so a small answer stays small; and it counts what arrives. What the status and the
// body mean is the asker's business. Codes: `server-unreachable`, `server-slow`, `server-cut` may be
// different in a minute and are worth asking again; `server-redirect`, `server-encoding`, `server-too-large` not.

import { Agent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as AgentTls, request as requestHttps } from "node:https";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import { systemCas } from "./cas";
import { usage } from "./exit";
import { unreachableHint } from "./unreachable";

export interface Ask {
  readonly method?: "GET" | "HEAD" | "POST";
  readonly body?: Uint8Array | string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxBytes: number;
  /** From the first byte out to the last byte in. */
  readonly timeoutMs: number;
}

export interface Answer {
  readonly status: number;
  /** The media type, without parameters and in small letters; "" when none is given. */
  readonly type: string;
  readonly body: Uint8Array;
  /** Seconds the server asks to be left alone, when it says so in seconds. */
  readonly retryAfterS: number | null;
}

export interface HttpClient {
  ask(url: URL, ask: Ask): Promise<Answer>;
  /** Ends the connections that are kept for the next question. */
  close(): void;
}

const SOCKETS = 8;

export function httpClient(): HttpClient {
  const options = { keepAlive: true, maxSockets: SOCKETS };
  const agents = new Map<string, Agent>();
  const agentFor = ({ protocol }: URL): Agent => {
    const made = agents.get(protocol);
    if (made !== undefined) return made;
    const ca = protocol === "https:" ? systemCas() : undefined;
    const agent =
      protocol === "https:"
        ? new AgentTls(ca === undefined ? options : { ...options, ca })
        : new Agent(options);
    agents.set(protocol, agent);
    return agent;
  };
  return {
    ask: (url, ask) => askOnce(url, ask, agentFor(url)),
    close() {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

/** An address somebody gave: http or https, no user, password, query or fragment. Its path ends in a slash. Refuses `usage`. */
export function parseBase(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "")
    throw usage(`found ${quote(text)}, expected an http or https address without query or fragment`);
  if (url.username !== "" || url.password !== "")
    throw usage("found a user or a password in an address; addresses end up in logs");
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  return url;
}

export const isAddress = (text: string): boolean => /^https?:\/\//i.test(text);

function askOnce(url: URL, ask: Ask, agent: Agent): Promise<Answer> {
  const who = `${url.host}${url.pathname}`;
  const { body } = ask;
  const headers: Record<string, string | number> = { "accept-encoding": "identity", ...ask.headers };
  if (body !== undefined) headers["content-length"] = Buffer.byteLength(body);
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const end = (settle: () => void, reuse: boolean) => {
      clearTimeout(timer);
      settle();
      if (!reuse) asked.destroy();
    };
    const fail = (error: unknown) => end(() => reject(error), false);
    const timer = setTimeout(() => {
      fail(
        new Refusal("server-slow", `${who} gave no whole answer in ${Math.round(ask.timeoutMs) / 1000} s`),
      );
    }, ask.timeoutMs);
    const asked = request(url, { method: ask.method ?? "GET", headers, agent }, (response) => {
      try {
        checkHead(who, response, ask.maxBytes);
      } catch (error) {
        return fail(error);
      }
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > ask.maxBytes) return fail(tooLarge(who, `more than ${ask.maxBytes} bytes`, ask.maxBytes));
        parts.push(part);
      });
      response.on("end", () => end(() => resolve(answerOf(response, Buffer.concat(parts))), true));
      response.on("error", (cause: Error & { code?: string }) =>
        fail(
          new Refusal("server-cut", `${who} ends its answer after ${size} bytes: ${cause.code}`, { cause }),
        ),
      );
    });
    asked.on("error", (cause: Error & { code?: string }) =>
      fail(
        new Refusal("server-unreachable", `${who} can't be reached: ${cause.code ?? cause.message}`, {
          cause,
          ...unreachableHint(cause.code),
        }),
      ),
    );
    asked.end(body);
  });
}

function checkHead(who: string, response: IncomingMessage, maxBytes: number): void {
  const { statusCode: status = 0, headers } = response;
  if (status >= 300 && status < 400) {
    throw new Refusal(
      "server-redirect",
      `${who} sends us to ${quote(headers.location ?? "nowhere")}, and redirects aren't followed`,
    );
  }
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") {
    throw new Refusal(
      "server-encoding",
      `${who} answers packed as ${quote(encoding)}, though asked for bytes as they are`,
    );
  }
  const length = Number(headers["content-length"] ?? 0);
  if (length > maxBytes) throw tooLarge(who, `${length} bytes`, maxBytes);
}

function answerOf(response: IncomingMessage, body: Buffer): Answer {
  const { statusCode: status = 0, headers } = response;
  const after = headers["retry-after"] ?? "";
  return {
    status,
    type: (headers["content-type"] ?? "").replace(/;.*$/s, "").trim().toLowerCase(),
    body: new Uint8Array(body.buffer, body.byteOffset, body.length),
    retryAfterS: /^[0-9]{1,5}$/.test(after) ? Number(after) : null,
  };
}

const tooLarge = (who: string, found: string, maxBytes: number) =>
  new Refusal("server-too-large", `${who} answers with ${found}, expected at most ${maxBytes}`);

const PASSING: ReadonlySet<string> = new Set(["server-unreachable", "server-slow", "server-cut"]);

/** Whether the same question may get another answer in a while. */
export const isPassing = (error: unknown): boolean => isRefusal(error) && PASSING.has(error.code);
