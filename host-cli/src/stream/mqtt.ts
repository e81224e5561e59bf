// Delivery over an MQTT broker: pieces one way, the receiver's word the other.
//
//   sender ── BASE/id/piece ──▶ broker ──▶ receiver      the recording, piece by piece
//          ── BASE/id/head ───▶   (retained)             how far it goes
//          ◀── BASE/id/stand ──   (retained)             how far the receiver has flushed it, or what it misses
//
// What a broker acknowledged (QoS 1) is as safe as the broker: one that is killed may lose what it had in memory.
// So the receiver has the last word: where a piece or the head shows that something is missing it says so, and the sender
// goes back there. Head and stand are retained, so neither side needs to be there when the other speaks.

import { toHex } from "@vouch/shared/bytes";
import {
  checkTopicBase,
  decodePayload,
  decodePiece,
  decodeStand,
  encodePayload,
  encodePiece,
  encodeStand,
  type Piece,
  readTopic,
  type Stand,
  topicOf,
} from "@vouch/shared/delivery";
import { isRefusal, type Refusal } from "@vouch/shared/refusal";
import { type Address, formatAddress, type TlsFiles } from "./address";
import type { Broker, BrokerOptions } from "./broker";
import type { Cursor } from "./cursor";
import type { Taken } from "./intake";
import { type Delivery, Outgoing, type Queue, WINDOW_BYTES } from "./outgoing";

/** A receiver that misses something says so again after so long, then twice as long. */
const ASK_MS = 1000;
const ASK_MS_MAX = 60_000;
/** Streams that are looked after while none is chosen yet: who publishes may make up any number of names. */
const STREAMS_MAX = 100;
/** A sender that just went back to a place doesn't do it again for as long. */
const AGAIN_MS = 1000;
/** What is with the broker is waited for so long, until a receiver says that it has it. */
const RECEIVER_MS = 3000;

export interface Login {
  tls: TlsFiles;
  password: string | null;
}

const open = (options: BrokerOptions): Broker =>
  (require("./broker") as typeof import("./broker")).openBroker(options);

/** Sends a recording from where the broker had it; goes back where the receiver says. */
export function deliverOverMqtt(address: Address, login: Login, queue: Queue, cursor: Cursor): Delivery {
  const base = checkTopicBase(address.topic);
  const out = new Outgoing(queue, 0);
  let broker: Broker | null = null;
  let headSaid = -1;
  let rewound = { to: -1, at: Number.NEGATIVE_INFINITY };
  let turn = 0; // what was published before a rewind moves nothing
  let unacknowledged = 0; // bytes, of all turns

  const pump = (id: Uint8Array) => {
    if (broker === null || !out.isConnected) return;
    // Whoever has us go back again and again gets no more than the broker takes.
    while (unacknowledged < 2 * WINDOW_BYTES) {
      const piece = out.piece();
      if (piece === null) break;
      void publish(id, piece, turn);
    }
    if (out.next === queue.flushed && headSaid !== queue.flushed) {
      headSaid = queue.flushed;
      const head = encodePayload(encodeStand({ next: queue.flushed, isMissing: false }));
      broker.publish(topicOf(base, id, "head"), head, true).catch(() => {
        headSaid = -1;
      });
    }
  };
  const publish = async (id: Uint8Array, piece: Piece, mine: number) => {
    unacknowledged += piece.bytes.length;
    try {
      await broker
        ?.publish(topicOf(base, id, "piece"), encodePayload(encodePiece(piece)), false)
        .finally(() => {
          unacknowledged -= piece.bytes.length;
        });
    } catch (error) {
      if (isRefusal(error)) out.trouble = error;
      return; // told again once the line is there
    }
    if (mine !== turn) return pump(id);
    // A broker acknowledges in the order it was sent to.
    out.taken = Math.max(out.taken, piece.at + piece.bytes.length);
    cursor.move(out.taken);
    out.changed();
    pump(id);
  };
  const goBack = (to: number) => {
    if (to === rewound.to && performance.now() - rewound.at < AGAIN_MS) return;
    rewound = { to, at: performance.now() };
    turn++;
    out.rewind(to);
    cursor.move(to);
  };
  const heard = async (id: Uint8Array, topic: string, payload: Uint8Array) => {
    if (readTopic(base, topic)?.part !== "stand") return;
    const stand = decodeStand(decodePayload(payload));
    out.confirm(stand);
    if (stand.isMissing && stand.next < out.next) goBack(stand.next);
    pump(id);
  };
  const lost = (why: Refusal | null) => {
    out.isConnected = false;
    out.trouble = why ?? out.trouble;
    out.changed();
  };
  const start = () => {
    const { id } = queue;
    if (broker !== null || id === null) return;
    cursor.begin(toHex(id), queue.flushed);
    out.rewind(cursor.taken);
    broker = open({
      address,
      ...login,
      clientId: `${cursor.client}-s`,
      subscribe: [topicOf(base, id, "stand")],
      onMessage: (topic, payload) =>
        heard(id, topic, payload).catch((error) => {
          out.trouble = isRefusal(error) ? error : out.trouble;
        }),
      onConnect() {
        out.isConnected = true;
        out.trouble = null;
        headSaid = -1;
        // What was on the way may be lost with the line.
        turn++;
        out.rewind(out.taken);
        pump(id);
      },
      onLost: lost,
    });
  };
  start();
  return {
    where: formatAddress(address),
    get standing() {
      return out.standing;
    },
    wake() {
      start();
      if (queue.id !== null) pump(queue.id);
    },
    displaced(from) {
      turn++;
      out.withdraw(from);
      cursor.move(out.taken);
      headSaid = -1;
      if (queue.id !== null) pump(queue.id);
    },
    async drain(timeoutMs) {
      const isWith = await out.until(() => Math.max(out.taken, out.confirmed) >= queue.flushed, timeoutMs);
      // A receiver that is there says so soon; one that isn't has a broker so as not to be waited for.
      return isWith && out.until(() => out.confirmed >= queue.flushed, Math.min(timeoutMs, RECEIVER_MS));
    },
    async close() {
      cursor.save();
      await broker?.close();
    },
  };
}

/** What a receiver does with what comes for one stream. */
export interface StreamTaker {
  /** Refuses what can't be taken; nothing of it is asked for again. */
  piece(piece: Piece): Taken;
  flush(): Promise<Stand>;
  /** Bytes that came so far. */
  readonly received: number;
}

export interface MqttReceiving {
  /** Who takes this stream; null for nobody. */
  taker(id: string): StreamTaker | null;
  remark(text: string): void;
  /** Of a refusal: what came is bad, and was looked at. Of anything else (a full disk): it stays with the broker. */
  isAboutSender(error: unknown): boolean;
  failed(error: unknown): void;
}

export interface Receiver {
  readonly standing: { isConnected: boolean; trouble: Refusal | null };
  /** All that was said is with the broker. */
  close(): Promise<void>;
}

/** Takes streams from a broker. `only`: the one stream, or all below the topic. */
export function receiveFromMqtt(
  address: Address,
  login: Login,
  client: string,
  only: Uint8Array | null,
  receiving: MqttReceiving,
): Receiver {
  const base = checkTopicBase(address.topic);
  const standing: Receiver["standing"] = { isConnected: false, trouble: null };
  const heads = new Map<string, Behind>();
  const said = new Set<Promise<void>>();
  const idBytes = (id: string) => new Uint8Array(Buffer.from(id, "hex"));

  const say = (id: string, stand: Stand) => {
    if (!standing.isConnected) return;
    const told = broker
      .publish(topicOf(base, idBytes(id), "stand"), encodePayload(encodeStand(stand)), true)
      .catch(() => {})
      .finally(() => said.delete(told));
    said.add(told);
  };
  const tell = async (id: string, taker: StreamTaker, isMissing: boolean) =>
    say(id, { ...(await taker.flush()), isMissing });
  const behind = (id: string, taker: StreamTaker): Behind => {
    const known =
      heads.get(id) ??
      new Behind(
        () => taker.received,
        () => void tell(id, taker, true).catch(receiving.failed),
      );
    const [oldest] = heads;
    if (!heads.has(id) && heads.size >= STREAMS_MAX && oldest !== undefined) {
      oldest[1].stop();
      heads.delete(oldest[0]);
    }
    heads.set(id, known);
    return known;
  };
  const heard = async (topic: string, payload: Uint8Array) => {
    const about = readTopic(base, topic);
    const taker = about === null ? null : receiving.taker(about.id);
    if (about === null || taker === null) return;
    if (about.part === "head") {
      behind(about.id, taker).expect(decodeStand(decodePayload(payload)).next);
      return;
    }
    const piece = decodePiece(decodePayload(payload));
    const taken = taker.piece(piece);
    if (taken === "missing" || taken === "astray")
      behind(about.id, taker).expect(piece.at + piece.bytes.length);
    else await tell(about.id, taker, false);
  };
  const broker = open({
    address,
    ...login,
    clientId: client,
    subscribe: ["piece", "head"].map((part) => `${base}/${only === null ? "+" : toHex(only)}/${part}`),
    onMessage: async (topic, payload) => {
      try {
        await heard(topic, payload);
      } catch (error) {
        if (!isRefusal(error) || !receiving.isAboutSender(error)) {
          receiving.failed(error);
          return new Promise<void>(() => {}); // never acknowledged
        }
        receiving.remark(`what came in topic ${topic} is refused: ${error.message} [${error.code}]`);
      }
    },
    onConnect() {
      Object.assign(standing, { isConnected: true, trouble: null });
      if (only === null) return;
      const taker = receiving.taker(toHex(only));
      if (taker !== null) tell(toHex(only), taker, false).catch(receiving.failed);
    },
    onLost(why) {
      Object.assign(standing, { isConnected: false, trouble: why ?? standing.trouble });
    },
  });
  return {
    standing,
    async close() {
      for (const one of heads.values()) one.stop();
      await Promise.race([Promise.all(said), new Promise((resolve) => setTimeout(resolve, 2000))]);
      await broker.close();
    },
  };
}

/** Asks for what is missing, as long as it is and nothing comes. */
class Behind {
  private goal = 0;
  private timer: NodeJS.Timeout | undefined;
  private waitMs = ASK_MS;
  private seen = -1;

  constructor(
    private readonly received: () => number,
    private readonly ask: () => void,
  ) {}

  /** There are so many bytes. */
  expect(goal: number): void {
    this.goal = Math.max(this.goal, goal);
    if (this.received() < this.goal && this.timer === undefined) this.look(ASK_MS / 4);
  }

  private look(afterMs: number): void {
    this.timer = setTimeout(() => {
      this.timer = undefined;
      const received = this.received();
      if (received >= this.goal) {
        this.waitMs = ASK_MS;
        return;
      }
      // While pieces still come there is nothing to ask for yet.
      const isStill = received === this.seen || this.seen < 0;
      this.seen = received;
      if (isStill) {
        this.ask();
        this.waitMs = Math.min(this.waitMs * 2, ASK_MS_MAX);
      } else this.waitMs = ASK_MS;
      this.look(this.waitMs);
    }, afterMs);
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
