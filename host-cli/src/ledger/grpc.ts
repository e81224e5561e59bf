// gRPC over HTTP/2: one request, an answer of one or more messages, a status at the end.
//
//   message    0, not compressed │ u32 big-endian length │ protobuf
//   end        trailer grpc-status: 0 is good; 5 not found, 9 failed precondition
//
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Without @grpc/grpc-js: DESIGN.md says why. A
// connection lives for one piece of work. What comes is bounded in bytes and in time; a stream that ends
// without its status was cut, however good what came of it looks.

import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { quote, Refusal } from "@vouch/shared/refusal";
import { type Deadline, unreachable, within } from "./deadline";

/** A checkpoint of mainnet has 6 KB; contents of a busy one may have a few hundred. */
const MAX_ANSWER = 8 * 1024 * 1024;
const SERVICE = "/iota.grpc.v1.ledger_service.LedgerService/";

const NOT_FOUND = "5";
const FAILED_PRECONDITION = "9";

export interface Grpc {
  readonly host: string;
  /**
   * The messages of an answer. Refuses `node-unreachable`, `node-answer`, `node-not-found`, `node-pruned`,
   * and `node-refused` for any other status.
   */
  call(method: string, request: Uint8Array): Promise<Uint8Array[]>;
}

/** Runs `work` over one connection, which is closed afterwards. */
export async function withGrpc<T>(
  url: URL,
  deadline: Deadline,
  work: (grpc: Grpc) => Promise<T>,
): Promise<T> {
  const session = connect(url.origin);
  let broken: Error | undefined;
  session.on("error", (error) => {
    broken = error;
  });
  try {
    return await work({
      host: url.host,
      call: (method, request) => call(session, url, method, request, deadline.askMs(), () => broken),
    });
  } finally {
    session.destroy();
  }
}

function call(
  session: ClientHttp2Session,
  url: URL,
  method: string,
  request: Uint8Array,
  timeoutMs: number,
  broken: () => Error | undefined,
): Promise<Uint8Array[]> {
  const who = url.host;
  return within(timeoutMs, who, (done, fail) => {
    const gone = (error: Error) => fail(unreachable(who, broken() ?? error));
    if (session.destroyed || session.closed) {
      gone(new Error("the connection is closed"));
      return () => {};
    }
    const stream = session.request({
      ":method": "POST",
      ":path": `${url.pathname.replace(/\/$/, "")}${SERVICE}${method}`,
      "content-type": "application/grpc+proto",
      te: "trailers",
    });
    const frame = Buffer.alloc(5);
    frame.writeUInt32BE(request.length, 1);
    stream.end(Buffer.concat([frame, request]));
    const parts: Buffer[] = [];
    let size = 0;
    let status: IncomingHttpHeaders | undefined;
    stream.on("response", (headers) => {
      if (headers[":status"] !== 200)
        fail(new Refusal("node-answer", `${who} answers ${method} with HTTP status ${headers[":status"]}`));
      if (headers["grpc-status"] !== undefined) status = headers;
    });
    stream.on("trailers", (trailers) => {
      status = trailers;
    });
    stream.on("data", (part: Buffer) => {
      size += part.length;
      if (size > MAX_ANSWER)
        return fail(
          new Refusal("node-answer", `${who} answers ${method} with more than ${MAX_ANSWER} bytes`),
        );
      parts.push(part);
    });
    stream.on("error", gone);
    stream.on("end", () => {
      try {
        checkStatus(status, who, method);
        done(split(Buffer.concat(parts), who, method));
      } catch (error) {
        fail(error);
      }
    });
    return () => stream.destroy();
  });
}

function checkStatus(headers: IncomingHttpHeaders | undefined, who: string, method: string): void {
  const status = headers?.["grpc-status"];
  if (status === "0") return;
  if (status === undefined) throw new Refusal("node-answer", `${who}: the answer to ${method} is cut off`);
  const message = quote(decode(String(headers?.["grpc-message"] ?? "")));
  const code =
    status === NOT_FOUND ? "node-not-found" : status === FAILED_PRECONDITION ? "node-pruned" : "node-refused";
  throw new Refusal(code, `${who}: ${method}: status ${quote(String(status))}, ${message}`, {
    ...(code === "node-pruned"
      ? { hint: "a node that keeps more has it: `,grpc=URL` behind --ledger names one" }
      : {}),
  });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function split(bytes: Buffer, who: string, method: string): Uint8Array[] {
  const cut = () => new Refusal("node-answer", `${who}: the answer to ${method} is cut off`);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 5) throw cut();
    if (bytes[at] !== 0) throw new Refusal("node-answer", `${who}: the answer to ${method} is compressed`);
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) throw cut();
    messages.push(new Uint8Array(bytes.subarray(at + 5, end)));
    at = end;
  }
  return messages;
}
