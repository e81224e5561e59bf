// A device's stream, from its line into a recording, for as long as it takes.
//
//   line ─▶ who is it? ─▶ same start as recorded? ──yes──▶ read on from where the recording ends
//     ▲                        │ no
//     │                        └─▶ attest ─▶ start, or carry on ─▶ read from the run's beginning
//     │                                                                 │
//     └── the line went, no answer, the device restarted ◀──────────────┘ until told to stop, or closed
//
// The device keeps what isn't acknowledged and the file has all that is, so each of these can break off anywhere.

import { randomBytes } from "node:crypto";
import { equalBytes, toHex } from "@vouch/shared/bytes";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { EnrolmentStatement } from "@vouch/shared/statement";
import { STREAM_CLOSING, STREAM_NONE } from "@vouch/shared/stream";
import { sleep } from "../device/clock";
import type { Link } from "../device/link";
import { readParameters } from "../device/smp";
import { elsewhere, findStream, type Round, readStream, startStream, stopStream } from "../device/stream";
import { identify } from "../device/vouch";
import type { Io } from "../io";
import { waitFor } from "../pace";
import type { Chain } from "../stream/chain";
import type { Recorder } from "../stream/recorder";
import { stampNow, TickWatch } from "../stream/ticks";
import { attestOver, type Dated } from "./attest";

const POLL_MS = 200; // first, then half as long again
const POLL_MS_MAX = 1000;
const RETRY_MS = 500;

export interface Sampling {
  mode: number;
  readers: readonly Uint8Array[];
  /** Null: all, or what the stream on record has. */
  groups: readonly number[] | null;
  everyFrames: number;
  everyMillis: number;
}

export interface DeviceSource {
  link: Link;
  recorder: Recorder;
  anchor: Dated;
  /** Of the first attestation; later ones draw their own. */
  random: Uint8Array | null;
  enrolment: EnrolmentStatement | null;
  enrolmentFile: Uint8Array | null;
  /** What is wanted now; other readers than before begin an epoch. */
  sampling(): Sampling;
  /** How long a device may be away. */
  patienceMs: number;
  say(remark: string): void;
  /** There is work on a closed stream, too: it is delivered, or stored. */
  goesOn: boolean;
  /** All is flushed up to here; called after each round, and waited for. */
  flushed(): void | Promise<void>;
}

/** How a recording is to end. */
export class Stopper {
  /** Ask the device to close its stream, and read the rest. */
  isStopping = false;
  /** Leave at once; the stream goes on without us. */
  isLeaving = false;
  private wake = () => {};

  stop(): void {
    this.isStopping = true;
    this.wake();
  }

  leave(): void {
    this.isLeaving = true;
    this.wake();
  }

  /** Waits so long, or until told something. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.wake = () => {};
        resolve();
      };
      const timer = setTimeout(finish, waitFor(ms));
      this.wake = finish;
    });
  }
}

/** Records until the stream is closed or it is told to leave. Refuses what can't be mended by waiting. */
export async function recordDevice(
  source: DeviceSource,
  stopper: Stopper,
  io: Io,
): Promise<"closed" | "left"> {
  const { link } = source;
  const { clock } = link.session;
  let lastGood = clock.now();
  const isOver = () => stopper.isLeaving || clock.now() - lastGood > source.patienceMs;
  for (let isLost = false; ; ) {
    try {
      if (isLost) await link.reopen({ isOver });
      const run = new Run(source, stopper, io, () => {
        lastGood = clock.now();
      });
      return await run.follow();
    } catch (error) {
      if (!isRefusal(error) || !AWAY.has(error.code)) throw error;
      if (stopper.isLeaving) return "left";
      if (stopper.isStopping) {
        source.say("the device is away: its stream isn't closed, and goes on when it is recorded again");
        return "left";
      }
      if (isOver()) throw error;
      isLost = error.code !== "stream-restarted"; // then the line is as good as it was
      source.say(WORDS[error.code] ?? error.message);
      await sleep(clock, RETRY_MS);
    }
  }
}

/** What may mend itself: the device is away, or isn't where it was. */
const AWAY: ReadonlySet<string> = new Set([
  "device-closed",
  "device-timeout",
  "stream-restarted",
  "no-such-port",
  "port-failed",
]);
const WORDS: Record<string, string> = {
  "device-closed": "the line is gone; waiting for the device",
  "device-timeout": "the device doesn't answer; trying again",
  "stream-restarted": "the device restarted; attesting again",
};

/** One line to one start of the device. */
class Run {
  private readonly ticks = new TickWatch();
  private bootcount = 0;
  private window = 1;
  /** Of the epoch that runs; null where we took it over, and nobody knows whose it is. */
  private readers: string | null = "";
  private isStopSent = false;

  constructor(
    private readonly source: DeviceSource,
    private readonly stopper: Stopper,
    private readonly io: Io,
    private readonly alive: () => void,
  ) {}

  private get session() {
    return this.source.link.session;
  }

  private isClosed(): boolean {
    return this.source.recorder.recording.chain?.isClosed === true;
  }

  async follow(): Promise<"closed" | "left"> {
    const { recorder } = this.source;
    const { recording } = recorder;
    await this.begin();
    if (this.isClosed()) return "closed"; // and begin() has acknowledged the end of it
    let wait = POLL_MS;
    for (;;) {
      const round = await this.read();
      this.alive();
      if (round.state === STREAM_NONE && !this.isClosed())
        throw new Refusal("stream-restarted", "the device has lost its stream");
      const isGood = recorder.take(round.data);
      this.ticks.note(round);
      await this.coincide(false);
      recording.flush();
      await this.source.flushed();
      if (this.isClosed()) return this.end();
      if (this.stopper.isLeaving) {
        await this.leave();
        return "left";
      }
      if (this.stopper.isStopping && !this.isStopSent) {
        await stopStream(this.session);
        this.isStopSent = true;
        wait = POLL_MS;
        continue;
      }
      await this.changeReaders();
      const isIdle = isGood && round.left === 0;
      if (isIdle) await this.stopper.pause(wait);
      wait = round.data.some((data) => data.length > 0) ? POLL_MS : Math.min(wait * 1.5, POLL_MS_MAX);
    }
  }

  private read(): Promise<Round> {
    const { recorder } = this.source;
    return readStream(this.session, {
      stream: recorder.recording.chain?.id ?? null,
      ack: recorder.recording.chain?.place ?? 0,
      at: recorder.place,
      window: this.window,
      stamp: stampNow,
    });
  }

  /** Finds the stream where the recording ends, or has the device make one. */
  private async begin(): Promise<void> {
    const { recorder, enrolment } = this.source;
    const { chain } = recorder.recording;
    recorder.beginRun();
    const device = await identify(this.session);
    this.alive();
    this.window = (await readParameters(this.session)).bufferCount - 1;
    this.bootcount = device.bootCount;
    const key = enrolment?.publicKey ?? device.publicKey;
    if (key === null)
      throw new Refusal("not-enrolled", "the device has no key yet", { hint: "`vouch enrol` makes one" });
    recorder.expectKey(key);
    // A run of another start is over, whatever of it wasn't read.
    if (chain !== null && chain.bootcount !== device.bootCount) chain.place = 0;
    if (chain?.isClosed === true) return this.beginAtEnd(chain);
    const state = await this.standing(chain);
    if (state === STREAM_NONE) {
      await this.attest();
      await this.start();
    } else if (chain === null) {
      this.source.say("the device streams already, and nothing of it was acknowledged: recording that");
      this.readers = null;
    } else if (state !== STREAM_CLOSING) await this.start();
  }

  /**
   * How the device's stream stands, before anything of it is acknowledged or changed. Refuses another one than is recorded:
   * its bytes are counted from 0, too, so our places would let go what its own recorder hasn't read.
   */
  private async standing(chain: Chain | null): Promise<number> {
    if (chain === null) return (await this.read()).state; // from the first byte: nothing is acknowledged
    const found = await findStream(this.session, chain.id);
    if (found.kind === "other") throw elsewhere(chain.id, null);
    if (found.kind === "unsaid") throw unsaid(chain.id);
    return found.kind === "none" ? STREAM_NONE : found.state;
  }

  /**
   * All that is left to do for a closed stream is to acknowledge its end, when a recorder was killed before that. Refuses
   * `stream-closed` when not even that is: nothing is recorded then.
   */
  private async beginAtEnd({ id, place }: Chain): Promise<void> {
    if (place > 0 && (await this.isEndWaiting(id))) {
      this.source.say("the stream in this recording is closed; the device is told that its end is here");
      return;
    }
    if (this.source.goesOn) {
      this.source.say("the stream in this recording is closed already; another file begins another stream");
      return;
    }
    throw streamClosed();
  }

  /** Acknowledges the end. A device that has another stream, or none, or doesn't say, waits for nothing of this one. */
  private async isEndWaiting(id: Uint8Array): Promise<boolean> {
    if ((await findStream(this.session, id)).kind !== "own") return false;
    try {
      return (await this.read()).hadStream;
    } catch (error) {
      if (isRefusal(error) && error.code === "stream-passed") return false;
      throw error;
    }
  }

  private async attest(): Promise<void> {
    const { link, anchor, enrolment, enrolmentFile, recorder } = this.source;
    const { random } = this.source;
    this.source.random = null;
    const attested = await attestOver(
      link,
      { anchor, enrolment, ...(random === null ? {} : { random }) },
      this.io,
    );
    this.alive();
    const { evidence, challenge } = attested;
    recorder.evidence({
      evidence,
      challenge,
      ...(enrolmentFile === null ? {} : { enrolment: enrolmentFile }),
    });
  }

  private async start(): Promise<void> {
    const { chain } = this.source.recorder.recording;
    const wanted = this.source.sampling();
    this.readers = readersKey(wanted);
    const seed = new Uint8Array(randomBytes(32));
    const { id } = await startStream(
      this.session,
      { ...wanted, resume: chain !== null, seed },
      this.source.patienceMs,
    );
    this.alive();
    if (id !== null && chain !== null && !equalBytes(id, chain.id)) throw elsewhere(chain.id, id);
  }

  /** Readers that changed while it runs get an epoch, or lose it, at once. */
  private async changeReaders(): Promise<void> {
    const { readers } = this;
    if (this.isStopSent || readersKey(this.source.sampling()) === readers) return;
    if (readers === null && this.source.recorder.recording.chain === null) return;
    await this.start(); // the device does nothing when they are its own
    if (readers !== null) this.source.say("other readers: another epoch begins");
  }

  private async coincide(isLast: boolean): Promise<void> {
    const { recorder } = this.source;
    if (!recorder.isDue(this.bootcount, isLast)) return;
    const moment = this.ticks.take();
    if (moment !== null) await recorder.coincide(moment);
  }

  /** The close frame is here: it is acknowledged, and the device has nothing more. */
  private async end(): Promise<"closed"> {
    await this.coincide(true);
    this.source.recorder.recording.flush();
    await this.read();
    await this.source.flushed();
    return "closed";
  }

  private async leave(): Promise<void> {
    await this.coincide(true);
    this.source.recorder.recording.flush();
    await this.read(); // acknowledges what is flushed; what came with it is read next time
    await this.source.flushed();
  }
}

/** What came of a recording that is complete; deliveries of it go without a device. */
export const streamClosed = () =>
  new Refusal("stream-closed", "the stream in this recording is closed: nothing was recorded", {
    hint: "-o with another name begins another stream; --from this file --to WHERE delivers this one",
  });

const unsaid = (recorded: Uint8Array) =>
  new Refusal(
    "stream-unsaid",
    `the device's agent is an older one and doesn't say whether the stream it has is ${toHex(recorded)}, that of the recording`,
    {
      hint: "nothing of it was acknowledged; restart the device, and what is recorded here goes on",
    },
  );

const readersKey = ({ readers }: Sampling): string => readers.map(toHex).sort().join();
