// Where a server of ours listens, as people write it.

import { quote } from "@vouch/shared/refusal";
import { usage } from "./exit";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** HOST:PORT, an IPv6 address in brackets. Refuses `usage`. */
export function listenAddress(text: string): Address {
  const [, bracketed, plain, port = ""] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65535)
    throw usage(`found ${quote(text)}, expected HOST:PORT`, "127.0.0.1:0 takes a port that is free");
  return { host, port: Number(port) };
}
