// Who sits over a recording: feeds the checker and the view, knows when it is over, and says how it went.
//
//   items ─▶ checker ─▶ findings, readings, what is proved         --json: one line each
//         └▶ figures ─▶ screen                                     stderr: a live view, or a line now and then
//
// A finding that refutes ends the recording with status 20; the bytes stay in the file, where `vouch stream verify`
// finds them too. What is merely unproven is verify's to judge: a recording that goes on always has an unsigned tail.

import { equalBytes, toHex } from "@vouch/shared/bytes";
import { absentReason, decimalText } from "@vouch/shared/decimal";
import { MDC_METRICS, MDC_UNITS } from "@vouch/shared/mdc";
import { isRefusal, Refusal } from "@vouch/shared/refusal";
import type { EnrolmentStatement } from "@vouch/shared/statement";
import { MODE_NAMES } from "@vouch/shared/stream";
import { type GapNote, type ReadingBlock, StreamChecker } from "@vouch/shared/streamcheck";
import type { Opener } from "@vouch/shared/streamopen";
import type { StreamFinding } from "@vouch/shared/streamreasons";
import type { VstreamItem } from "@vouch/shared/vstream";
import { nodeCrypto } from "../crypto";
import { EXIT } from "../exit";
import type { Io } from "../io";
import { type StreamScreen, type StreamView, startStreamScreen } from "../output/streamview";
import { steadyNow, waitFor } from "../pace";
import { FigureKeeper } from "../stream/figures";
import type { Delivery } from "../stream/outgoing";
import type { Watcher } from "../stream/recorder";
import type { Recording } from "../stream/recording";
import type { ReadingStore } from "../stream/store";
import { openFrames } from "../streamfile";
import { deliveryWords, incomplete } from "./stream-delivery";
import type { Stopper } from "./stream-device";

export interface DeskFlags {
  for?: number;
  frames?: number;
  timeout: number;
  json?: boolean;
}

export interface DeskOptions {
  /** Of the recording, where frames that wait for a signature are read again. */
  path: string | null;
  enrolment: EnrolmentStatement | null;
  /** Whose coincidences count. */
  recorders: readonly Uint8Array[];
  opener?: Opener | null;
  /** Takes readings that were checked. */
  store?: ReadingStore | null;
}

/** Timers of Node count 31 bits of milliseconds, and a simulated device's time may lag behind them. */
const LOOK_AGAIN_MS = 600_000;

function stopAfter(ms: number, stop: () => void): () => void {
  const until = steadyNow() + ms;
  let timer: NodeJS.Timeout;
  const look = () => {
    const left = until - steadyNow();
    if (left <= 0) stop();
    else timer = setTimeout(look, waitFor(Math.min(left, LOOK_AGAIN_MS)));
  };
  look();
  return () => clearTimeout(timer);
}

export class RecordDesk {
  private readonly keeper: FigureKeeper;
  private readonly checker: StreamChecker;
  private readonly screen: StreamScreen;
  private readonly again: ReturnType<typeof openFrames> | null;
  private refuted: StreamFinding | null = null;
  private isPast = true;
  private pastFrames = 0;
  private ending: "closed" | "left" | null = null;
  private said = "";
  private storing = Promise.resolve();
  private storeTrouble: Refusal | null = null;
  readonly watchers: readonly Watcher[];

  constructor(
    private readonly flags: DeskFlags,
    private readonly io: Io,
    private readonly options: DeskOptions,
  ) {
    const opener = options.opener ?? null;
    this.keeper = new FigureKeeper(opener, steadyNow);
    this.screen = startStreamScreen(io);
    this.again = options.path === null ? null : openFrames(options.path);
    this.checker = this.makeChecker(opener);
    this.watchers = [{ item: (item, at) => this.feed(item, at) }];
  }

  private makeChecker(opener: Opener | null): StreamChecker {
    const { enrolment, recorders } = this.options;
    const options = {
      crypto: nodeCrypto,
      recorders,
      opener,
      ...(this.again === null ? {} : { again: this.again }),
      ...(enrolment === null
        ? {}
        : {
            refuseSigner: (announce: { publicKey: Uint8Array }) =>
              equalBytes(announce.publicKey, enrolment.publicKey)
                ? null
                : "the stream's key isn't the enrolled one",
          }),
    };
    return new StreamChecker(options, {
      announce: (announce, id) => {
        this.options.store?.begin(announce, id);
        this.event("started", {
          id: toHex(id),
          mode: MODE_NAMES[announce.mode] ?? null,
          groups: announce.groups.length,
        });
      },
      coincidence: (coincidence, isChecked) => {
        if (this.storeTrouble === null) this.options.store?.time(coincidence, isChecked);
      },
      boot: ({ kind, boot, epoch, seq }) => {
        this.options.store?.booted(boot.bootcount);
        if (kind === "resume") this.event("restarted", { seq, epoch, boot: boot.bootcount });
      },
      block: (block) => this.block(block),
      gap: (gap) => this.gap(gap),
      proved: ({ from, to, epoch }) => this.event("signed", { from, to, epoch }),
      finding: (finding) => this.finding(finding),
    });
  }

  /** An item that was in the file already. */
  past(item: VstreamItem, at = 0): void {
    this.feed(item, at);
  }

  /** An item of the end that nobody has signed for yet: it is counted, and nothing is judged by it. */
  unsettled(item: VstreamItem): void {
    this.keeper.item(item);
  }

  private feed(item: VstreamItem, at: number): void {
    this.keeper.item(item);
    if (item.kind === "frame") this.checker.frame(item.bytes.slice(), at);
    if (item.kind === "coincidence") this.checker.coincidence(item.statement, at);
  }

  /**
   * Has the store take what was checked, one batch after another. A store that fails doesn't end the recording, whose file
   * has all of it: it is said at once, and at the end.
   */
  stored(): Promise<void> {
    const { store } = this.options;
    if (store === null || store === undefined || this.storeTrouble !== null) return Promise.resolve();
    this.storing = this.storing.then(async () => {
      try {
        if (this.storeTrouble === null) await store.flush();
      } catch (error) {
        if (!isRefusal(error)) throw error;
        this.storeTrouble = error;
        this.say(`${error.message}; nothing more is stored [${error.code}]`);
      }
    });
    return this.storing;
  }

  /** What was there has been read. Refuses a recording that is refuted already. */
  opened(recording: Recording): void {
    if (this.refuted !== null) throw this.refusal(this.refuted);
    if (recording.torn > 0)
      this.say(`cut ${recording.torn} bytes of an item that was being written when recording ended`);
    this.isPast = false;
    this.pastFrames = this.keeper.figures.frames;
  }

  get isRefuted(): boolean {
    return this.refuted !== null;
  }

  /** Recorded in this run. */
  get frames(): number {
    return this.keeper.figures.frames - this.pastFrames;
  }

  say(text: string): void {
    if (!this.io.quiet) this.screen.say(text);
  }

  // ---- Events

  private event(event: string, fields: Record<string, unknown>): void {
    if (this.io.json && !this.isPast) this.io.stdout(`${JSON.stringify({ event, ...fields })}\n`);
  }

  private block(block: ReadingBlock): void {
    if (this.storeTrouble === null) this.options.store?.put(block);
    if (!this.io.json || this.isPast) return;
    const { seq, epoch, ticks, rows, values, group, groupIndex, isProved } = block;
    const width = group.channels.length;
    const texts: (string | null)[][] = [];
    for (let row = 0; row < rows; row++)
      texts.push(
        group.channels.map(({ exponent }, i) => {
          const mantissa = values[row * width + i]!;
          return absentReason(mantissa) === null ? decimalText(mantissa, exponent) : null;
        }),
      );
    const codes = group.channels.map(({ code, unit }) => ({ code, unit }));
    this.event("readings", {
      seq,
      epoch,
      group: groupIndex,
      ticks,
      period: group.period,
      channels: codes,
      values: texts,
      proved: isProved,
    });
  }

  private gap({ seq, epoch, groupIndex, ticks, rows, isProved }: GapNote): void {
    this.event("gap", { seq, epoch, group: groupIndex, ticks, rows, proved: isProved });
  }

  private finding(finding: StreamFinding): void {
    const { code, word, message, seq } = finding;
    if (word === "refuted") this.refuted ??= finding;
    // Notes of what a recorder sees anyway, and what is only known at the end, are verify's.
    if (this.isPast) return;
    this.event("finding", { code, word, message, seq });
    if (word === "refuted") this.say(`${message} [${code}]`);
  }

  private refusal({ code, message }: StreamFinding): Refusal {
    return new Refusal(code, message, {
      hint: "what was sent stays in the recording; `vouch stream verify` lists all that is wrong",
    });
  }

  // ---- The view

  flushed(recording: Recording, deliveries: readonly Delivery[]): void {
    this.screen.update(this.view(recording, deliveries));
    if (!this.io.json) return;
    const text = JSON.stringify(
      deliveries.map(({ where, standing }) => ({
        to: where,
        taken: standing.taken,
        confirmed: standing.confirmed,
      })),
    );
    if (text !== this.said && deliveries.length > 0)
      this.event("delivered", { flushed: recording.flushed, deliveries: JSON.parse(text) });
    this.said = text;
  }

  private view(recording: Recording, deliveries: readonly Delivery[]): StreamView {
    const f = this.keeper.figures;
    const readers = f.readers === 0 ? "" : `, ${f.readers} reader${f.readers === 1 ? "" : "s"}`;
    return {
      ...f,
      mode: f.id === null ? "" : `${MODE_NAMES[f.mode]}${readers}`,
      signatureAge: f.signedAtMs === null ? null : steadyNow() - f.signedAtMs,
      values: f.last.map(({ code, unit, mantissa, exponent }) => ({
        name: MDC_METRICS.get(code)?.text ?? `MDC ${code}`,
        value: Number.isNaN(mantissa) ? "·" : (absentReason(mantissa) ?? decimalText(mantissa, exponent)),
        unit: MDC_UNITS.get(unit)?.print ?? "",
      })),
      deliveries: deliveries.map((delivery) => ({ where: delivery.where, ...deliveryWords(delivery) })),
      file: `${recording.path}, ${recording.flushed} bytes`,
    };
  }

  // ---- The end

  /** Ctrl-C and --for ask for an end; a second signal leaves at once. The result takes them back. */
  watchForEnd(stopper: Stopper, stop: () => void): () => void {
    let asked = 0;
    const signal = () => {
      if (asked++ > 0) stopper.leave();
      else {
        this.say("stopping; once more leaves the stream running");
        stop();
      }
    };
    process.on("SIGINT", signal);
    process.on("SIGTERM", signal);
    const cancel = this.flags.for === undefined ? () => {} : stopAfter(this.flags.for, stop);
    return () => {
      process.off("SIGINT", signal);
      process.off("SIGTERM", signal);
      cancel();
    };
  }

  ended(how: "closed" | "left"): void {
    this.ending = how;
  }

  /** Waits for deliveries, as long as --timeout; says how it went and sets the exit status. */
  async finish(recording: Recording, deliveries: readonly Delivery[]): Promise<void> {
    const late = await this.drain(recording, deliveries);
    await this.stored();
    this.again?.close();
    const view = this.view(recording, deliveries);
    this.screen.end(view);
    const { frames, rows, unopened, lost } = this.keeper.figures;
    this.event("ended", {
      how: this.ending,
      frames,
      rows,
      lost,
      flushed: recording.flushed,
      refuted: this.refuted?.code ?? null,
    });
    if (this.refuted !== null) {
      this.io.exitCode = EXIT.refuted;
      throw this.refusal(this.refuted);
    }
    if (this.ending === null) return; // an error is on its way up
    if (!this.io.json) {
      const how = this.ending === "closed" ? "the stream is closed" : "the stream goes on";
      const masked = unopened > 0 ? `, ${unopened} masked` : "";
      this.io.stdout(
        `${recording.path}  ${view.id ?? "no stream"}  ${frames} frames, ${rows} readings${masked}; ${how}\n`,
      );
    }
    if (late !== null) throw late;
    if (this.storeTrouble !== null)
      throw new Refusal(this.storeTrouble.code, this.storeTrouble.message, {
        cause: this.storeTrouble,
        hint: "the recording has all of it; the same command stores what is missing",
      });
  }

  private async drain(recording: Recording, deliveries: readonly Delivery[]): Promise<Refusal | null> {
    for (const delivery of deliveries) delivery.wake();
    const timeoutMs = this.ending === null ? 0 : Math.min(this.flags.timeout * 1000, DRAIN_MS);
    const ends = await Promise.all(deliveries.map((delivery) => delivery.drain(timeoutMs)));
    const missed = deliveries.find(
      (delivery, i) => ends[i] === false && delivery.standing.taken < recording.flushed,
    );
    for (const [i, delivery] of deliveries.entries())
      if (ends[i] === false && delivery !== missed)
        this.say(`${delivery.where}: ${deliveryWords(delivery).words}`);
    const late = missed === undefined ? null : incomplete(missed, recording.path);
    await Promise.all(deliveries.map((delivery) => delivery.close()));
    return late;
  }

  /** Delivers what a recording holds. */
  async deliver(recording: Recording, deliveries: readonly Delivery[]): Promise<void> {
    if (recording.chain === null) throw new Refusal("stream-empty", `${recording.path} holds no stream yet`);
    this.ending = "left";
    const late = await this.drain(recording, deliveries);
    if (late !== null) throw late;
    for (const { where, standing } of deliveries) {
      const { confirmed, taken, flushed } = standing;
      if (this.io.json) this.io.stdout(`${JSON.stringify({ to: where, flushed, taken, confirmed })}\n`);
      else
        this.io.stdout(
          `${where}  ${confirmed >= flushed ? "all of it received" : "with the broker"}, ${flushed} bytes\n`,
        );
    }
  }
}

/** How long an end waits for the other side, at most. */
const DRAIN_MS = 30_000;
