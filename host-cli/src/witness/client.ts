// Asking a witness, which may lie, stall, redirect or never stop talking: C2SP tlog-witness v1.0.0.
//
// By node:http and not fetch: no redirect is followed, so what is asked goes where the policy says and
// nowhere else; nothing is decompressed; what arrives is counted; and one clock runs from the
// connection to the last byte. What comes back is read, and verified by whoever asked.

import { existsSync, readFileSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { rootCertificates } from "node:tls";
import { parseSize } from "@vouch/shared/checkpoint";
import { MAX_NOTE } from "@vouch/shared/note";
import { quote, Refusal } from "@vouch/shared/refusal";
import { MAX_ANSWER, parseAnswer } from "@vouch/shared/witness";
import { originKey } from "./origin";

const MAX_HEAD = 8 * 1024;

/** What a witness said to a checkpoint. */
export type WitnessAnswer =
  | { readonly kind: "cosigned"; readonly lines: readonly string[] }
  /** It has cosigned another size last. */
  | { readonly kind: "other-size"; readonly size: bigint }
  /** It says that the checkpoint isn't an extension of what it has cosigned. */
  | { readonly kind: "not-consistent" }
  | { readonly kind: "refused"; readonly status: number; readonly text: string };

/** Refuses `witness-unreachable`, `witness-timeout`, `witness-answer`, `malformed-answer`, `malformed-url`. */
export async function addCheckpoint(
  base: string,
  body: Uint8Array,
  timeoutMs: number,
): Promise<WitnessAnswer> {
  const answer = await ask(urlOf(base, "add-checkpoint"), body, MAX_ANSWER, timeoutMs);
  switch (answer.status) {
    case 200:
      return { kind: "cosigned", lines: parseAnswer(answer.body) };
    case 409: {
      const text = Buffer.from(answer.body).toString("latin1");
      const size = text.endsWith("\n") ? parseSize(text.slice(0, -1)) : null;
      if (size === null || answer.type !== "text/x.tlog.size")
        throw new Refusal("witness-answer", `it answers 409 without a size: ${quote(text)}`);
      return { kind: "other-size", size };
    }
    case 422:
      return { kind: "not-consistent" };
    default:
      return {
        kind: "refused",
        status: answer.status,
        text: Buffer.from(answer.body.subarray(0, 200)).toString("latin1").trimEnd(),
      };
  }
}

/** The newest checkpoint note that the witness shows of a log, not verified; null when it shows none. Refuses as above. */
export async function latestOf(base: string, origin: string, timeoutMs: number): Promise<Uint8Array | null> {
  const answer = await ask(urlOf(base, `${originKey(origin)}/checkpoint`), null, MAX_NOTE, timeoutMs);
  return answer.status === 200 ? answer.body : null;
}

/** Refuses `malformed-url`: what isn't http or https, or says more than where. */
export function urlOf(base: string, path: string): URL {
  const url = URL.canParse(base) ? new URL(base) : null;
  const plain =
    url !== null && url.username === "" && url.password === "" && url.search === "" && url.hash === "";
  if (url === null || !plain || !/^https?:$/.test(url.protocol))
    throw new Refusal("malformed-url", `found ${quote(base)}, expected http://HOST:PORT/ or https://…`);
  return new URL(path, url.href.endsWith("/") ? url.href : `${url.href}/`);
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Uint8Array;
}

function ask(url: URL, body: Uint8Array | null, maxBytes: number, timeoutMs: number): Promise<Answer> {
  const isHttps = url.protocol === "https:";
  const options = {
    method: body === null ? "GET" : "POST",
    agent: false,
    maxHeaderSize: MAX_HEAD,
    headers: {
      accept: "text/plain",
      ...(body === null ? {} : { "content-type": "text/plain", "content-length": body.length }),
    },
    ...(isHttps ? { ca: trustedCas() } : {}),
  } as const;
  return new Promise((resolve, reject) => {
    const asked = (isHttps ? requestHttps : requestHttp)(url, options, (response) => {
      const { statusCode: status = 0, headers } = response;
      if (status >= 300 && status < 400) return fail("witness-answer", "it sends us elsewhere (a redirect)");
      if ((headers["content-encoding"] ?? "identity") !== "identity")
        return fail("witness-answer", "it answers in a compressed form that nobody asked for");
      const parts: Buffer[] = [];
      let size = 0;
      response.on("data", (part: Buffer) => {
        size += part.length;
        if (size > maxBytes) return fail("witness-answer", `it answers with more than ${maxBytes} bytes`);
        parts.push(part);
      });
      response.on("end", () => {
        if (!response.complete) return fail("witness-answer", "its answer ends before it should");
        clearTimeout(timer);
        const type = headers["content-type"] ?? "";
        resolve({ status, type, body: Uint8Array.from(Buffer.concat(parts)) });
        asked.destroy();
      });
      response.on("error", (error) => fail("witness-answer", "its answer ends before it should", error));
    });
    const fail = (code: string, message: string, cause?: unknown) => {
      clearTimeout(timer);
      reject(new Refusal(code, message, { cause }));
      asked.destroy();
    };
    const timer = setTimeout(
      () => fail("witness-timeout", `no whole answer in ${Math.round(timeoutMs / 100) / 10} s`),
      timeoutMs,
    );
    asked.on("error", (error: Error & { code?: string }) => {
      const isHttp = /^HPE_/.test(error.code ?? "");
      if (isHttp) fail("witness-answer", `its answer isn't HTTP (${error.code})`, error);
      else fail("witness-unreachable", `it can't be reached: ${error.code ?? error.message}`, error);
    });
    asked.end(body ?? undefined);
  });
}

const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora
  "/etc/ssl/cert.pem", // macOS, BSD
];

/** This system's certificate authorities, or Node's own where it keeps them elsewhere. */
function trustedCas(): string[] {
  const named = process.env["SSL_CERT_FILE"];
  const file = named !== undefined && named !== "" ? named : BUNDLES.find((path) => existsSync(path));
  return file === undefined ? [...rootCertificates] : [readFileSync(file, "utf8")];
}
