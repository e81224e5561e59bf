// Where a recording is delivered to, or comes from, as people write it.
//
//   tcp://HOST:PORT                    a recorder that listens there
//   tls://HOST:PORT                    the same over TLS
//   mqtt://[USER@]HOST[:PORT]/TOPIC    a broker; the topic carries the stream's id and nothing else
//   mqtts://…                          the same over TLS
//
// A password is never part of it: others read it in the list of processes. It comes from a file or from the environment.

import type { SecureVersion } from "node:tls";
import { checkTopicBase } from "@vouch/shared/delivery";
import { quote, Refusal } from "@vouch/shared/refusal";
import { usage } from "../exit";

export interface Address {
  kind: "tcp" | "mqtt";
  isTls: boolean;
  host: string;
  port: number;
  /** MQTT's alone. */
  user: string | null;
  topic: string;
}

/** PEM files' content. */
export interface TlsFiles {
  ca?: Uint8Array;
  cert?: Uint8Array;
  key?: Uint8Array;
}

/** The same for all that speaks TLS here. */
export const TLS_MIN: SecureVersion = "TLSv1.2";

export const pem = ({ ca, cert, key }: TlsFiles) => ({
  ...(ca === undefined ? {} : { ca: Buffer.from(ca) }),
  ...(cert === undefined ? {} : { cert: Buffer.from(cert) }),
  ...(key === undefined ? {} : { key: Buffer.from(key) }),
});

/** Names are told to the other side; addresses never are (RFC 6066). */
export const servername = (host: string) => (/^[0-9.]+$|:/.test(host) ? {} : { servername: host });

const PORTS: Record<string, number> = { mqtt: 1883, mqtts: 8883 };

export const isAddress = (text: string): boolean => /^(tcp|tls|mqtts?):/i.test(text);

/** Refuses `usage`, `delivery-topic`; what holds a password isn't repeated. */
export function parseAddress(text: string): Address {
  const [, scheme = "", user, bracketed, plain, port, path] =
    /^(tcp|tls|mqtts?):\/\/(?:([^@/]*)@)?(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+))(?::([0-9]{1,5}))?(?:\/(.*))?$/.exec(
      text,
    ) ?? [];
  const host = bracketed ?? plain;
  if (user?.includes(":"))
    throw usage(
      "the address holds a password, which others can read in the list of processes",
      "--password-file FILE, or VOUCH_MQTT_PASSWORD in the environment",
    );
  if (host === undefined || Number(port ?? 0) > 65535)
    throw usage(
      `found ${quote(text)}, expected tcp://HOST:PORT, tls://HOST:PORT, mqtt://[USER@]HOST[:PORT]/TOPIC or mqtts://…`,
    );
  if (scheme === "tcp" || scheme === "tls") {
    if (port === undefined || user !== undefined || path)
      throw usage(`found ${quote(text)}, expected ${scheme}://HOST:PORT`);
    return { kind: "tcp", isTls: scheme === "tls", host, port: Number(port), user: null, topic: "" };
  }
  if (!path)
    throw usage(`${quote(text)} names no topic`, "mqtt://HOST/ward/3: streams are delivered below that");
  return {
    kind: "mqtt",
    isTls: scheme === "mqtts",
    host,
    port: Number(port ?? PORTS[scheme]),
    user: user === undefined ? null : decodeUser(user),
    topic: checkTopicBase(path),
  };
}

function decodeUser(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new Refusal("usage", "the user's name in the address isn't encoded as in a URL", { cause });
  }
}

/** As a message calls it: without the user. */
export function formatAddress({ kind, isTls, host, port, topic }: Address): string {
  const scheme = kind === "tcp" ? (isTls ? "tls" : "tcp") : isTls ? "mqtts" : "mqtt";
  const name = host.includes(":") ? `[${host}]` : host;
  return `${scheme}://${name}:${port}${kind === "mqtt" ? `/${topic}` : ""}`;
}
