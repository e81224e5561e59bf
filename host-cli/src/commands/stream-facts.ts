// What an export must know before the first reading is written: whose stream it is, what ran, and when. Gathered while
// the recording is verified for the first time; the second time readings are written, and must be the same.
//
//   announce ──▶ device, groups     boot ──▶ images, which epochs are whose     coincidence ──▶ times
//
// Times are kept in two lists: by recorders who were named, and by others. Where a named one timed a boot, others don't count:
// what they say between two of its coincidences would move every reading there.

import { toHex } from "@vouch/shared/bytes";
import type { Announce } from "@vouch/shared/streambody";
import type { Coincidence, StreamEvents } from "@vouch/shared/streamcheck";
import { Timeline } from "@vouch/shared/streamtime";
import { bootKey, type Stamp } from "../readings";

/** Images that a Device lists; a stream that sees more is a device that is flashed all day. */
const IMAGES_MAX = 64;

/** Which boot an epoch belongs to: the last that began with it or before it. */
export class Boots {
  private streamId: Uint8Array = new Uint8Array(0);
  private begun: { epoch: number; key: string }[] = [];

  begin(streamId: Uint8Array): void {
    this.streamId = streamId;
    this.begun = [];
  }

  boot(epoch: number, key: string): void {
    this.begun.push({ epoch, key });
  }

  of(epoch: number): string | undefined {
    return this.begun.findLast((boot) => boot.epoch <= epoch)?.key;
  }

  get stream(): Uint8Array {
    return this.streamId;
  }
}

export class ExportFacts {
  announces: Announce[] = [];
  /** Of the streams that they begin. */
  ids: Uint8Array[] = [];
  readonly images = new Map<string, Uint8Array>();
  readonly named = new Timeline<Stamp>();
  readonly others = new Timeline<Stamp>();
  /** Key id of the newest recorder, and how many coincidences nobody vouches for. */
  recorder: string | null = null;
  unnamed = 0;
  private readonly boots = new Boots();

  readonly events: StreamEvents = {
    announce: (announce, id) => {
      this.announces.push(announce);
      this.ids.push(id);
      this.boots.begin(id);
    },
    boot: ({ boot, epoch }) => {
      this.boots.boot(epoch, bootKey(boot));
      if (boot.image !== null && this.images.size < IMAGES_MAX)
        this.images.set(toHex(boot.image), boot.image);
    },
    coincidence: (coincidence, isChecked) => this.coincidence(coincidence, isChecked),
  };

  private coincidence({ epoch, ticks, micros, uncertainty, kid }: Coincidence, isChecked: boolean): void {
    const key = this.boots.of(epoch);
    if (key === undefined) return;
    const own = kid.slice();
    const stamp = {
      ticks,
      micros,
      uncertainty,
      epoch,
      kid: own,
      streamId: this.boots.stream,
      isChecked,
    };
    if (!isChecked) {
      this.others.add(key, stamp);
      this.unnamed++;
    } else {
      this.named.add(key, stamp);
      this.recorder = toHex(own);
    }
  }
}
