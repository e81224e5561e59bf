// Where a recording goes while it is made: the flags that say so, and the senders they mean.

import { Refusal } from "@vouch/shared/refusal";
import type { Command } from "commander";
import { about, usage } from "../exit";
import type { Io } from "../io";
import { MAX_KEY_FILE } from "../keys";
import { readPassphrase } from "../passphrase";
import { readInput } from "../readfiles";
import { formatAddress, parseAddress, type TlsFiles } from "../stream/address";
import { Cursor } from "../stream/cursor";
import { deliverOverMqtt, type Login } from "../stream/mqtt";
import type { Delivery, Queue } from "../stream/outgoing";
import type { Recording } from "../stream/recording";
import { deliverOverTcp } from "../stream/tcp";

const MAX_PEM = 256 * 1024;
const DELIVERIES_MAX = 8;

export interface DeliveryFlags {
  to: string[];
  ca?: string;
  cert?: string;
  tlsKey?: string;
  passwordFile?: string;
}

export function withDeliveryFlags(command: Command): Command {
  return command
    .option(
      "--to <URL>",
      "deliver to tcp://HOST:PORT, tls://…, mqtt://[USER@]HOST[:PORT]/TOPIC, mqtts://…; repeatable",
      (text: string, before: string[]) => [...before, text],
      [],
    )
    .option("--ca <FILE>", "PEM: who may vouch for the other side of tls:// and mqtts://")
    .option("--cert <FILE>", "PEM: our certificate, and --tls-key its key")
    .option("--tls-key <FILE>", "PEM: the key of --cert")
    .option(
      "--password-file <FILE>",
      "the broker's password; otherwise VOUCH_MQTT_PASSWORD in the environment",
    );
}

/** Refuses `usage` for half a pair. */
export function readTls({ ca, cert, tlsKey }: DeliveryFlags): TlsFiles {
  if ((cert === undefined) !== (tlsKey === undefined)) throw usage("expected --cert and --tls-key together");
  const read = (path: string, most: number) => readInput(path, most);
  return {
    ...(ca === undefined ? {} : { ca: read(ca, MAX_PEM) }),
    ...(cert === undefined ? {} : { cert: read(cert, MAX_PEM) }),
    ...(tlsKey === undefined ? {} : { key: read(tlsKey, MAX_KEY_FILE) }),
  };
}

/** The password for brokers, from where nobody else sees it; null when there is none. */
export async function readLogin(flags: DeliveryFlags, io: Io): Promise<Login> {
  const { passwordFile } = flags;
  const password =
    passwordFile === undefined
      ? (io.env["VOUCH_MQTT_PASSWORD"] ?? null)
      : await readPassphrase({ file: passwordFile, subject: "the broker" }, io);
  return { tls: readTls(flags), password };
}

/** Opens all that --to names. Refuses `usage`, `delivery-topic`, and what the files are refused for. */
export async function openDeliveries(
  flags: DeliveryFlags,
  recording: Recording,
  io: Io,
): Promise<Delivery[]> {
  if (flags.to.length === 0) return [];
  if (flags.to.length > DELIVERIES_MAX)
    throw usage(`found ${flags.to.length} times --to, expected at most ${DELIVERIES_MAX}`);
  const addresses = flags.to.map((to) => about("--to", () => parseAddress(to)));
  const names = new Set(addresses.map(formatAddress));
  if (names.size < addresses.length) throw usage("found the same --to twice");
  const login = await readLogin(flags, io);
  const queue = queueOf(recording);
  return addresses.map((address) =>
    address.kind === "tcp"
      ? deliverOverTcp(address, login.tls, queue)
      : deliverOverMqtt(address, login, queue, new Cursor(recording.path, formatAddress(address))),
  );
}

function queueOf(recording: Recording): Queue {
  return {
    get id() {
      return recording.chain?.id ?? null;
    },
    get flushed() {
      return recording.flushed;
    },
    read: (at, length) => recording.read(at, length),
  };
}

/** How a delivery stands, for people. */
export function deliveryWords({ standing }: Delivery): { words: string; isGood: boolean } {
  const { flushed, taken, confirmed, isConnected, trouble } = standing;
  if (confirmed >= flushed) return { words: "all of it received", isGood: true };
  const waits = `${flushed - Math.max(taken, confirmed)} bytes wait`;
  if (!isConnected)
    return { words: trouble === null ? waits : `${waits}: ${trouble.message}`, isGood: false };
  if (taken >= flushed)
    return { words: `with the broker; ${flushed - confirmed} bytes not received yet`, isGood: true };
  return { words: waits, isGood: true };
}

/** What is said when the end came before all was delivered. */
export function incomplete(delivery: Delivery, path: string): Refusal {
  const { words } = deliveryWords(delivery);
  return new Refusal("delivery-incomplete", `${delivery.where}: ${words}`, {
    hint: `nothing is lost: \`vouch stream record --from ${path} --to ${delivery.where}\` delivers the rest`,
  });
}
