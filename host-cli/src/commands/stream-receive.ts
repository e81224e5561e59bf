// The hospital's end of a delivery: listens for a sender or asks a broker, and writes the same recording.
//
// Before an item is written it has to go on where the file ends, and a signed one to be signed by the stream's key.
// Refusals go back to whoever sent; our own trouble (a full disk) is never taken for theirs, and acknowledges nothing.

import { equalBytes, fromHex, toHex } from "@vouch/shared/bytes";
import type { Piece, Stand } from "@vouch/shared/delivery";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import { parseFrame } from "@vouch/shared/streamread";
import type { VstreamItem } from "@vouch/shared/vstream";
import { nodeCrypto } from "../crypto";
import { about } from "../exit";
import type { Io } from "../io";
import { type Address, formatAddress, parseAddress } from "../stream/address";
import { type Chain, checkItem } from "../stream/chain";
import { Cursor } from "../stream/cursor";
import { Intake, type Taken } from "../stream/intake";
import { receiveFromMqtt } from "../stream/mqtt";
import type { Delivery } from "../stream/outgoing";
import type { Recording } from "../stream/recording";
import { SettledItems } from "../stream/settled";
import { listenOnTcp } from "../stream/tcp";
import { type DeliveryFlags, openDeliveries, readLogin, readTls } from "./stream-delivery";
import type { RecordDesk } from "./stream-desk";
import { Stopper, streamClosed } from "./stream-device";

/** After the close frame come the recorder's last words on it. */
const LINGER_MS = 2000;

interface ReceiveFlags extends DeliveryFlags {
  stream?: Uint8Array;
  frames?: number;
  for?: number;
  store?: string;
}

/** Refuses what can't go on: our disk, a recording that is refuted, an address that can't be listened on. */
export async function receiveStream(
  from: string,
  flags: ReceiveFlags,
  recording: Recording,
  desk: RecordDesk,
  io: Io,
): Promise<void> {
  const isWhole = recording.chain?.isClosed === true;
  const address = about("--from", () => parseAddress(from));
  const stopper = new Stopper();
  const deliveries: Delivery[] = [];
  const intake = new StreamIntake(recording, flags.stream ?? null, desk, stopper, {
    flushed() {
      for (const delivery of deliveries) delivery.wake();
      desk.flushed(recording, deliveries);
      if (flags.frames !== undefined && desk.frames >= flags.frames) stopper.leave();
    },
    displaced(place) {
      for (const delivery of deliveries) delivery.displaced(place);
    },
  });
  desk.opened(recording);
  deliveries.push(...(await openDeliveries(flags, recording, io)));
  const release = desk.watchForEnd(stopper, () => stopper.leave());
  try {
    const source = await (address.kind === "tcp" ? overTcp : overMqtt)(
      address,
      flags,
      recording,
      intake,
      desk,
      io,
    );
    try {
      let quietSince = performance.now();
      for (let flushed = -1; !stopper.isLeaving && performance.now() - quietSince < LINGER_MS; ) {
        await stopper.pause(500);
        desk.flushed(recording, deliveries);
        if (recording.chain?.isClosed !== true || recording.flushed !== flushed)
          quietSince = performance.now();
        flushed = recording.flushed;
      }
    } finally {
      await source.close();
    }
    if (intake.trouble !== null) throw intake.trouble;
    if (isWhole && !intake.wasAsked && flags.to.length === 0 && flags.store === undefined)
      throw streamClosed();
    desk.ended(recording.chain?.isClosed === true ? "closed" : "left");
  } finally {
    release();
    intake.end();
    await desk.finish(recording, deliveries);
  }
}

/** An intake that knows whose stream it takes, and ours from the sender's trouble. */
class StreamIntake {
  private readonly intake: Intake;
  private readonly items: SettledItems;
  trouble: unknown = null;
  /** Somebody had something of this stream, if only to hear that all of it is here. */
  wasAsked = false;

  constructor(
    private readonly recording: Recording,
    private readonly wanted: Uint8Array | null,
    private readonly desk: RecordDesk,
    private readonly stopper: Stopper,
    private readonly on: { flushed(): void; displaced(from: number): void },
  ) {
    this.items = new SettledItems(recording);
    this.intake = new Intake(recording, {
      check: (item, chain) => this.check(item, chain),
      displaced: (from) => {
        this.items.displaced(from);
        on.displaced(from);
      },
      remark: (text) => desk.say(text),
    });
    this.items.tell((item, at) => desk.past(item, at));
  }

  /** The stream whose pieces are taken; null: the first that comes. */
  get id(): Uint8Array | null {
    return this.recording.chain?.id ?? this.wanted;
  }

  get received(): number {
    return this.intake.position;
  }

  accept(id: Uint8Array): void {
    if (this.id !== null && !equalBytes(this.id, id))
      throw new Refusal("stream-other", `a delivery of stream ${toHex(id)}, wanted is ${toHex(this.id)}`);
    this.wasAsked = true;
  }

  private check(item: VstreamItem, chain: Chain | null): void {
    if (chain === null && item.kind === "frame") this.accept(parseFrame(item.bytes).id);
    checkItem(item, chain, nodeCrypto);
  }

  /** A sender that has a line of its own greets: from where it is to send. */
  greet(id: Uint8Array): Stand {
    this.accept(id);
    return this.ours(() => this.intake.greet());
  }

  piece(piece: Piece): Taken {
    if (this.trouble !== null) throw this.trouble;
    this.wasAsked = true;
    return this.ours(() => this.intake.take(piece));
  }

  /** Where the recording stands. */
  stand(): Stand {
    const stand = this.ours(() => this.intake.flush());
    this.items.tell((item, at) => {
      for (const watcher of this.desk.watchers) watcher.item(item, at);
    });
    this.on.flushed();
    if (this.desk.isRefuted) this.stopper.leave();
    return stand;
  }

  /** A store that is slower than the line holds the sender back. */
  async flush(): Promise<Stand> {
    const stand = this.stand();
    await this.desk.stored();
    return stand;
  }

  forget(): void {
    this.intake.forget();
  }

  /** What nobody has signed for is counted. */
  end(): void {
    this.items.tellRest((item) => this.desk.unsettled(item));
    this.intake.close();
  }

  /** Runs what touches our disk. */
  private ours<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!this.isAboutSender(error)) this.fail(error);
      throw error;
    }
  }

  isAboutSender(error: unknown): boolean {
    return isRefusal(error) && error.code !== "unwritable" && error !== this.trouble;
  }

  fail(error: unknown): void {
    this.trouble ??= error;
    this.stopper.leave();
  }
}

interface Source {
  close(): Promise<void>;
}

async function overTcp(
  address: Address,
  flags: ReceiveFlags,
  _recording: Recording,
  intake: StreamIntake,
  desk: RecordDesk,
): Promise<Source> {
  const listening = await listenOnTcp(address, readTls(flags), {
    hello: (id) => intake.greet(id),
    piece: (piece) => intake.piece(piece),
    flush: () => intake.flush(),
    gone: () => intake.forget(),
    remark: (text) => desk.say(text),
  });
  desk.say(`listening on ${formatAddress({ ...address, port: listening.port })}`);
  return listening;
}

async function overMqtt(
  address: Address,
  flags: ReceiveFlags,
  recording: Recording,
  intake: StreamIntake,
  desk: RecordDesk,
  io: Io,
): Promise<Source> {
  const cursor = new Cursor(recording.path, formatAddress(address));
  const login = await readLogin(flags, io);
  const others = new Set<string>();
  return receiveFromMqtt(address, login, cursor.client, intake.id, {
    taker(id) {
      const wanted = intake.id;
      const bytes = fromHex(id);
      if (wanted === null || (bytes !== null && equalBytes(bytes, wanted))) return intake;
      if (!others.has(id) && others.size < 100)
        desk.say(`stream ${id} is delivered there too, and not taken`);
      others.add(id);
      return null;
    },
    remark: (text) => desk.say(text),
    isAboutSender: (error) => intake.isAboutSender(error),
    failed: (error) => intake.fail(error),
  });
}
