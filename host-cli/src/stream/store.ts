// Readings that were verified, in PostgreSQL, for who asks questions in SQL.
//
//   vouch_stream           id, ueid, key, mode, proved_to        a stream; all rows of signed-for frames up to there are in
//   vouch_stream_channel   stream, group, channel, code, …       what its rows hold
//   vouch_stream_row       stream, seq, row ──▶ mantissas        key: a row comes in once, however often it is put
//   vouch_stream_time      stream, boot, ticks ──▶ micros        coincidences
//   vouch_reading          a view: one line a reading, decimal to the digit, with its time where there is one
//
// A row says whether a signed frame binds it (proved). One that was put unproved is replaced when it is proved, and a
// proved one by nothing. A recorder that was killed puts again what may be missing.

import {
  VALUE_NAN,
  VALUE_NEGATIVE_INFINITY,
  VALUE_NRES,
  VALUE_POSITIVE_INFINITY,
  VALUE_RESERVED,
} from "@vouch/shared/readings";
import { Refusal } from "@vouch/shared/refusal";
import type { Announce } from "@vouch/shared/streambody";
import type { Coincidence, ReadingBlock } from "@vouch/shared/streamcheck";
import { DRIFT_PPM } from "@vouch/shared/streamtime";
import type { Database, Schema } from "../postgres";

/** Rows sent at once. */
const BATCH = 2000;

/** Mantissas that are no numbers. */
const SPECIAL = [VALUE_NAN, VALUE_POSITIVE_INFINITY, VALUE_NEGATIVE_INFINITY, VALUE_RESERVED, VALUE_NRES];

const SCHEMA: Schema = {
  table: "vouch_stream_schema",
  migrations: [
    `create table vouch_stream (id bytea primary key check (octet_length(id) = 16), ueid bytea not null,
       key bytea not null, mode smallint not null, proved_to bigint not null default -1,
       added timestamptz not null default now());
     create table vouch_stream_channel (stream bytea not null references vouch_stream, group_index smallint not null,
       channel smallint not null, code bigint not null, unit bigint not null, exponent smallint not null,
       period integer not null, primary key (stream, group_index, channel));
     create table vouch_stream_row (stream bytea not null references vouch_stream, seq bigint not null, row integer not null,
       epoch bigint not null, boot bigint not null, group_index smallint not null, ticks bigint not null,
       mantissas integer[] not null, proved boolean not null, primary key (stream, seq, row));
     create table vouch_stream_time (stream bytea not null references vouch_stream, boot bigint not null, ticks bigint not null,
       micros bigint not null, uncertainty bigint not null, checked boolean not null, primary key (stream, boot, ticks));`,
    `create view vouch_reading as
       select r.stream, r.seq, r.row, c.channel, c.code, c.unit, r.boot, r.ticks, r.proved,
         case when m.mantissa in (${SPECIAL.join()}) then null
           else round(m.mantissa * power(10::numeric, c.exponent), greatest(-c.exponent, 0)) end as value,
         to_timestamp((t.micros + (r.ticks - t.ticks) * 1000) / 1e6) as taken, t.uncertainty, t.checked as time_checked
       from vouch_stream_row r
       cross join lateral unnest(r.mantissas) with ordinality as m(mantissa, place)
       join vouch_stream_channel c
         on c.stream = r.stream and c.group_index = r.group_index and c.channel = m.place - 1
       left join lateral (select * from vouch_stream_time t where t.stream = r.stream and t.boot = r.boot
         order by abs(t.ticks - r.ticks) limit 1) t on true;`,
    // A time by a recorder who was named counts before what anybody wrote nearer by; away from it a crystal drifts.
    `create or replace view vouch_reading as
       select r.stream, r.seq, r.row, c.channel, c.code, c.unit, r.boot, r.ticks, r.proved,
         case when m.mantissa in (${SPECIAL.join()}) then null
           else round(m.mantissa * power(10::numeric, c.exponent), greatest(-c.exponent, 0)) end as value,
         case when t.micros + (r.ticks - t.ticks) * 1000 between 0 and 253402300799000000
           then to_timestamp((t.micros + (r.ticks - t.ticks) * 1000) / 1e6) end as taken,
         t.uncertainty + (abs(r.ticks - t.ticks) * ${DRIFT_PPM} + 999) / 1000 as uncertainty, t.checked as time_checked
       from vouch_stream_row r
       cross join lateral unnest(r.mantissas) with ordinality as m(mantissa, place)
       join vouch_stream_channel c
         on c.stream = r.stream and c.group_index = r.group_index and c.channel = m.place - 1
       left join lateral (select * from vouch_stream_time t where t.stream = r.stream and t.boot = r.boot
         order by t.checked desc, abs(t.ticks - r.ticks) limit 1) t on true;`,
  ],
};

interface Row {
  seq: number;
  row: number;
  epoch: number;
  boot: number;
  group: number;
  ticks: number;
  mantissas: string;
  proved: boolean;
}

/** Opens the store. Refuses `usage`, `store-unreachable`, `store-failed`, `unsupported-version`. */
export async function openReadingStore(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ReadingStore> {
  const { openDatabase } = require("../postgres") as typeof import("../postgres");
  return new ReadingStore(await openDatabase(where, env, SCHEMA));
}

/** Takes what a checker tells, and sends it in batches. Put what it is told in order; await flush() now and then. */
export class ReadingStore {
  private id: Uint8Array | null = null;
  private announce: Announce | null = null;
  private isBegun = false;
  /** Rows of proved frames up to here are in. */
  private provedTo = -1;
  private rows: Row[] = [];
  private times: { boot: number; at: Coincidence; isChecked: boolean }[] = [];
  private latest = -1;
  private boot = 0;

  constructor(private readonly database: Database) {}

  /** A recording of this stream is about to be read again: what is in already needn't be put. */
  async resume(id: Uint8Array | null): Promise<void> {
    if (id !== null) this.provedTo = await this.readProved(id);
  }

  private async readProved(id: Uint8Array): Promise<number> {
    const [found] = await this.database.query<{ proved_to: string }>({
      text: "select proved_to from vouch_stream where id = $1",
      values: [id],
    });
    return Number(found?.proved_to ?? -1);
  }

  begin(announce: Announce, id: Uint8Array): void {
    if (this.id !== null)
      throw new Refusal("stream-several", "a recording of several streams has no place in the store");
    this.id = id.slice();
    this.announce = announce;
  }

  booted(bootcount: number): void {
    this.boot = bootcount;
  }

  put({ seq, epoch, boot, groupIndex, group, ticks, rows, values, isProved }: ReadingBlock): void {
    if (isProved) this.latest = Math.max(this.latest, seq);
    if (seq <= this.provedTo) return;
    const width = group.channels.length;
    for (let row = 0; row < rows; row++) {
      const mantissas = `{${values.subarray(row * width, (row + 1) * width).join()}}`;
      const at = ticks + row * group.period;
      this.rows.push({
        seq,
        row,
        epoch,
        boot: boot.bootcount,
        group: groupIndex,
        ticks: at,
        mantissas,
        proved: isProved,
      });
    }
  }

  time(at: Coincidence, isChecked: boolean): void {
    this.times.push({ boot: this.boot, at, isChecked });
  }

  /** Sends what waits. Refuses `store-failed`. */
  async flush(): Promise<void> {
    if (this.id === null) return;
    if (!this.isBegun) await this.beginStream(this.id);
    const rows = this.rows.filter(({ seq, proved }) => !proved || seq > this.provedTo);
    const { times, latest } = this;
    this.rows = [];
    this.times = [];
    for (let at = 0; at < rows.length; at += BATCH) await this.send(rows.slice(at, at + BATCH));
    if (times.length > 0) await this.sendTimes(times);
    if (latest <= this.provedTo) return;
    await this.database.query({
      name: "proved",
      text: "update vouch_stream set proved_to = $2 where id = $1 and proved_to < $2",
      values: [this.id, latest],
    });
    this.provedTo = latest;
  }

  private async beginStream(id: Uint8Array): Promise<void> {
    const { ueid, publicKey, mode, groups } = this.announce!;
    await this.database.query({
      text: "insert into vouch_stream (id, ueid, key, mode) values ($1, $2, $3, $4) on conflict (id) do nothing",
      values: [id, ueid, publicKey, mode],
    });
    for (const [index, group] of groups.entries())
      for (const [channel, { code, unit, exponent }] of group.channels.entries())
        await this.database.query({
          name: "channel",
          text: "insert into vouch_stream_channel values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing",
          values: [id, index, channel, code, unit, exponent, group.period],
        });
    this.provedTo = await this.readProved(id);
    this.isBegun = true;
  }

  private async send(rows: readonly Row[]): Promise<void> {
    const column = <K extends keyof Row>(key: K) => rows.map((row) => row[key]);
    await this.database.query({
      name: "rows",
      text: `insert into vouch_stream_row as t
             select $1, u.seq, u.row, u.epoch, u.boot, u.group_index, u.ticks, u.mantissas::integer[], u.proved
             from unnest($2::bigint[], $3::integer[], $4::bigint[], $5::bigint[], $6::smallint[], $7::bigint[], $8::text[], $9::boolean[])
               as u(seq, row, epoch, boot, group_index, ticks, mantissas, proved)
             order by 2, 3
             on conflict (stream, seq, row) do update
               set proved = true, ticks = excluded.ticks, mantissas = excluded.mantissas, epoch = excluded.epoch,
                 boot = excluded.boot, group_index = excluded.group_index
               where excluded.proved and not t.proved`,
      values: [
        this.id,
        column("seq"),
        column("row"),
        column("epoch"),
        column("boot"),
        column("group"),
        column("ticks"),
        column("mantissas"),
        column("proved"),
      ],
    });
  }

  private async sendTimes(times: typeof this.times): Promise<void> {
    await this.database.query({
      name: "times",
      text: `insert into vouch_stream_time as t
             select distinct on (u.boot, u.ticks) $1::bytea, u.* from unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[])
               as u(boot, ticks, micros, uncertainty, checked)
             order by u.boot, u.ticks, u.checked desc
             on conflict (stream, boot, ticks) do update
               set micros = excluded.micros, uncertainty = excluded.uncertainty, checked = true
               where excluded.checked and not t.checked`,
      values: [
        this.id,
        times.map(({ boot }) => boot),
        times.map(({ at }) => at.ticks),
        times.map(({ at }) => at.micros),
        times.map(({ at }) => at.uncertainty),
        times.map(({ isChecked }) => isChecked),
      ],
    });
  }

  close(): Promise<void> {
    return this.database.close();
  }
}
