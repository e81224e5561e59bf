// Where a stream stood, by the word of others than its frames: recorders who sign what they had received, earlier
// runs of the verifier, and logs. No link shows that frames are missing at the end; these do. Nor does one show that a
// stream is missing behind another's close, or before an announce; an earlier run that saw both in one recording does.

import { copyBytes, equalBytes, toHex } from "./bytes";
import type { CheckOptions, Coincidence, KnownHead, StreamEvents, Tell } from "./streamevents";
import type { Stream } from "./streamlineage";
import { type CoincidenceStatement, isCoincidenceBy, recorderKid } from "./vstream";

const wasSeen = (head: KnownHead) => (head.from === "state" ? "an earlier run saw" : "a log has");

export class Ending {
  private heads: KnownHead[];
  /** The last coincidence of this boot; and the last by a known recorder. */
  private latest: Coincidence | null = null;
  /** The epoch that this boot began with. */
  private bootEpoch = 0;
  private covered: Coincidence | null = null;
  private readonly recorders: Map<string, Uint8Array>;
  /** Streams that an earlier run saw one after the other in one recording; and which of them are in this one. Ids in hex. */
  private readonly pairs: readonly (readonly [before: string, after: string])[];
  private readonly paired: ReadonlySet<string>;
  private readonly here = new Set<string>();

  constructor(
    private readonly options: CheckOptions,
    private readonly events: StreamEvents,
  ) {
    this.heads = [...(options.heads ?? [])];
    this.recorders = new Map(
      (options.recorders ?? []).map((key) => [toHex(recorderKid(key, options.crypto)), key]),
    );
    this.pairs = this.heads.flatMap(({ id, after = [] }) =>
      after.map((before) => [toHex(before), toHex(id)] as const),
    );
    this.paired = new Set(this.pairs.flat());
  }

  /** Another stream's beginning. */
  begin(id: Uint8Array, epoch: number): void {
    const name = toHex(id);
    if (this.paired.has(name)) this.here.add(name);
    this.covered = null;
    this.boot(epoch);
  }

  /** Another boot counts other ticks. */
  boot(epoch: number): void {
    this.latest = null;
    this.bootEpoch = epoch;
  }

  /** A statement about the stream that runs. */
  coincidence(statement: CoincidenceStatement, stream: Stream, tell: Tell): void {
    const key = this.recorders.get(toHex(statement.kid));
    if (key === undefined)
      tell("stream-recorder", `times are the word of recorder ${toHex(statement.kid)}, whom nobody named`);
    else if (!isCoincidenceBy(statement, key, this.options.crypto)) {
      tell("stream-coincidence", "a coincidence isn't signed by the recorder that it names");
      return;
    }
    const { last } = stream;
    const known = stream.numbers.at(statement.seq);
    if (statement.seq > last.seq)
      tell(
        "stream-truncated",
        `a coincidence names frame ${statement.seq} as received, the recording has none after ${last.seq}`,
      );
    else if (known === undefined || !equalBytes(known.link, statement.link) || statement.epoch > stream.epoch)
      tell("stream-coincidence", `the recorder had received another frame ${statement.seq}`);
    else if (statement.epoch < this.bootEpoch)
      // Shown again there, it would say when another boot's ticks stood so.
      tell(
        "stream-coincidence",
        `a coincidence of epoch ${statement.epoch} comes in a boot that began with epoch ${this.bootEpoch}`,
      );
    else {
      stream.clock.coincidence(statement, key !== undefined, tell);
      if (this.latest === null || this.latest.ticks <= statement.ticks) this.latest = statement;
      if (key !== undefined)
        this.covered = { ...statement, kid: copyBytes(statement.kid, 0, statement.kid.length) };
      this.events.coincidence?.(statement, key !== undefined);
    }
  }

  /** A frame goes by: whoever has seen that number saw this frame. */
  passes(stream: Stream, seq: number, link: Uint8Array, tell: Tell): void {
    if (this.heads.length === 0) return;
    this.heads = this.heads.filter((head) => {
      if (head.seq !== seq || !equalBytes(head.id, stream.id)) return true;
      if (!equalBytes(head.link, link)) tell("stream-fork", `${wasSeen(head)} another frame ${seq}`);
      return false;
    });
  }

  /** No more frames of this stream: what others have seen of it is here. */
  checkSeen({ id, last }: Stream, tell: Tell): void {
    for (const head of this.heads) {
      if (!equalBytes(head.id, id)) continue;
      const message = `${wasSeen(head)} frame ${head.seq}, which is missing; the recording ends with ${last.seq}`;
      tell(head.from === "state" ? "stream-rollback" : "stream-truncated", message);
    }
  }

  /** A known recorder's word on the last signed frame or a later one. */
  seen({ head }: Stream): Coincidence | null {
    return this.covered !== null && this.covered.seq >= head.to ? this.covered : null;
  }

  /** No more streams: those that were seen in one recording are here, or none of them is. */
  private checkTogether(tell: Tell): void {
    const how = (missing: string, order: string, present: string) =>
      tell(
        "stream-cut",
        `an earlier run saw stream ${missing} ${order} stream ${present} in one recording, which holds nothing of it now`,
      );
    for (const [before, after] of this.pairs) {
      if (this.here.has(before) === this.here.has(after)) continue;
      if (this.here.has(before)) how(after, "after", before);
      else how(before, "before", after);
    }
  }

  /** The recording ends. */
  end(stream: Stream, tell: Tell): void {
    this.checkSeen(stream, tell);
    this.checkTogether(tell);
    if (stream.isClosed) return;
    const { announce, last, clock } = stream;
    const period = Math.min(...announce.groups.map((group) => group.period));
    const age = this.latest === null ? 0 : this.latest.ticks - clock.ticks;
    if (age > 2 * (announce.everyMillis + period))
      tell("stream-stale", `no signed frame for ${Math.round(age / 1000)} s before the last coincidence`);
    if (this.seen(stream) === null)
      tell("stream-open", `nothing says whether the stream went on after frame ${last.seq}`);
  }
}
