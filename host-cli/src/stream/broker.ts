// A connection to an MQTT broker that outlives its line: the only file that imports mqtt, and loaded when a broker is named.
//
// MQTT 5, QoS 1, a session that the broker keeps while we are away. A message that came is acknowledged to the broker
// when whoever takes it has done so, which is after a flush: a kill before that has the broker send it again.
// The largest message we take is told to the broker, who then keeps larger ones to itself; one that doesn't loses its line
// before such a message is in memory.

import { Refusal } from "@vouch/shared/refusal";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { type Address, pem, servername, TLS_MIN, type TlsFiles } from "./address";

/** How long a broker may take: until we are let in, and until it answers a ping. */
export interface BrokerLimits {
  connectMs: number;
  keepaliveS: number;
}

export const BROKER_LIMITS: BrokerLimits = { connectMs: 10_000, keepaliveS: 20 };
const RETRY_MS = 500;
const PACKET_MAX = 40 * 1024; // a piece, its topic and MQTT's own heads
/** Bytes without a whole message among them: the longest, and what lies in buffers on the way to it. */
const UNPARSED_MAX = PACKET_MAX + 4 * 64 * 1024;
const IN_FLIGHT = 16;
const FOR_EVER = 0xffffffff; // MQTT 5 section 3.1.2.11.2: the session does not expire

export interface BrokerOptions {
  address: Address;
  tls: TlsFiles;
  clientId: string;
  password: string | null;
  subscribe: readonly string[];
  limits?: BrokerLimits;
  /** Resolves when the message is kept; a rejection is for what nobody can keep, and counts as taken. */
  onMessage(topic: string, payload: Uint8Array): Promise<void>;
  onConnect(): void;
  onLost(why: Refusal | null): void;
}

export interface Broker {
  /** Resolves when the broker has it. Only while connected. */
  publish(topic: string, payload: Uint8Array, retain: boolean): Promise<void>;
  close(): Promise<void>;
}

export function openBroker(options: BrokerOptions): Broker {
  const client = mqtt.connect(clientOptions(options));
  // mqtt.js calls this for one message after another and acknowledges each once `done` was called.
  client.handleMessage = (packet, done) => {
    const payload = typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
    options.onMessage(packet.topic, new Uint8Array(payload)).then(
      () => done(),
      () => done(),
    );
  };
  boundMessages(client, options);
  client.on("connect", () => {
    client.subscribe([...options.subscribe], { qos: 1 }, (error, granted) => {
      const refused = granted?.find(({ qos }) => qos > 2);
      if (error != null) options.onLost(trouble(error));
      else if (refused !== undefined)
        options.onLost(new Refusal("delivery-refused", "the broker refuses the subscription"));
      else options.onConnect();
    });
  });
  client.on("error", (error) => options.onLost(trouble(error)));
  client.on("close", () => options.onLost(null));
  return {
    publish: (topic, payload, retain) =>
      new Promise((resolve, reject) => {
        client.publish(topic, Buffer.from(payload), { qos: 1, retain }, (error, packet) => {
          const code = packet !== undefined && "reasonCode" in packet ? packet.reasonCode : 0;
          if (error != null) reject(trouble(error));
          else if (typeof code === "number" && code >= 0x80)
            reject(new Refusal("delivery-refused", `the broker refuses a message: reason ${code}`));
          else resolve();
        });
      }),
    close: () => endClient(client),
  };
}

/** Ends a line that brings more bytes than a message has, and no message. mqtt.js gathers up to 256 MB. */
function boundMessages(client: MqttClient, { onLost }: BrokerOptions): void {
  let watched: MqttClient["stream"] | undefined;
  let unparsed = 0;
  const watch = () => {
    const { stream } = client;
    if (stream === undefined || stream === watched) return;
    watched = stream;
    unparsed = 0;
    stream.on("data", (chunk: Uint8Array) => {
      unparsed += chunk.length;
      if (unparsed <= UNPARSED_MAX || stream !== watched) return;
      onLost(
        new Refusal("delivery-malformed", `the broker sends a message of more than ${PACKET_MAX} bytes`),
      );
      stream.destroy();
    });
  };
  watch();
  client.on("packetsend", watch); // the first on each line
  client.on("packetreceive", () => {
    unparsed = 0;
  });
}

const endClient = (client: MqttClient) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, 2000);
    client.end(!client.connected, {}, () => {
      clearTimeout(timer);
      resolve();
    });
  });

function clientOptions({
  address,
  tls,
  clientId,
  password,
  limits = BROKER_LIMITS,
}: BrokerOptions): IClientOptions {
  const { host, port, isTls, user } = address;
  return {
    protocol: isTls ? "mqtts" : "mqtt",
    host,
    port,
    protocolVersion: 5,
    clientId,
    clean: false,
    properties: { sessionExpiryInterval: FOR_EVER, maximumPacketSize: PACKET_MAX, receiveMaximum: IN_FLIGHT },
    ...(user === null ? {} : { username: user }),
    ...(password === null ? {} : { password }),
    keepalive: limits.keepaliveS,
    connectTimeout: limits.connectMs,
    reconnectPeriod: RETRY_MS,
    reconnectOnConnackError: true,
    resubscribe: false, // done at each connection, before anything is told of it
    queueQoSZero: false,
    ...(isTls ? { rejectUnauthorized: true, minVersion: TLS_MIN, ...servername(host) } : {}),
    ...pem(tls),
  };
}

function trouble(error: unknown): Refusal {
  const said =
    error instanceof Error ? error.message || String((error as { code?: unknown }).code) : String(error);
  return new Refusal("delivery-unreachable", `MQTT: ${said}`, { cause: error });
}
