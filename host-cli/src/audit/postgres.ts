// A store in PostgreSQL, for fleets beyond one machine: several auditors write at once, and the first
// to judge a record keeps it, unless one judges afresh and finds otherwise. host-cli/src/postgres.ts has the connection, and what becomes of passwords.
//
//   vouch_audit_schema   version                        which migrations have run
//   vouch_audit_record   key bytea primary key, line    a record (shared/spec/audit-record.md)
//   vouch_audit_note     id, added, line                contexts and summaries
//   vouch_audit          a view: the records as jsonb, for SQL

import { BEFORE_KEY } from "@vouch/shared/auditline";
import { Refusal } from "@vouch/shared/refusal";
import type { Database, Schema } from "../postgres";
import type { Kept, Store } from "./store";

const SCHEMA: Schema = {
  table: "vouch_audit_schema",
  migrations: [
    `create table vouch_audit_record (key bytea primary key check (octet_length(key) = 32), line text not null);
     create table vouch_audit_note (id bigint generated always as identity primary key,
       added timestamptz not null default now(), line text not null);`,
    "create view vouch_audit as select key, line::jsonb as record from vouch_audit_record;",
  ],
};

/** Connects, and brings the schema up to date. Refuses `usage`, `store-unreachable`, `store-failed`, `unsupported-version`. */
export async function openPostgres(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Store> {
  const { openDatabase } = require("../postgres") as typeof import("../postgres");
  return storeOf(await openDatabase(where, env, SCHEMA));
}

function storeOf(database: Database): Store {
  return {
    async find(keys) {
      const rows = await database.query<{ key: string; line: string }>({
        name: "find",
        text: `select encode(key, 'hex') as key, line from vouch_audit_record
               where key = any (select decode(k, 'hex') from unnest($1::text[]) as k)`,
        values: [keys],
      });
      const found = new Map(rows.map(({ key, line }) => [key, line]));
      return keys.map((key) => {
        const line = found.get(key);
        return line?.startsWith(`${BEFORE_KEY}${key}"`) === true ? line : null;
      });
    },
    async add(records: readonly Kept[]) {
      await database.query({
        name: "add",
        // In the order of the keys: two auditors who add the same ones wait for each other, and not in a circle.
        text: `insert into vouch_audit_record (key, line)
               select decode(k, 'hex'), l from unnest($1::text[], $2::text[]) as t(k, l) order by 1
               on conflict (key) do nothing`,
        values: [records.map(({ key }) => key), records.map(({ line }) => line)],
      });
    },
    async replace(records: readonly Kept[]) {
      const once = new Map(records.map(({ key, line }) => [key, line])); // no row is updated twice
      await database.query({
        name: "replace",
        text: `insert into vouch_audit_record (key, line)
               select decode(k, 'hex'), l from unnest($1::text[], $2::text[]) as t(k, l) order by 1
               on conflict (key) do update set line = excluded.line`,
        values: [[...once.keys()], [...once.values()]],
      });
    },
    async note(line) {
      await database.query({ text: "insert into vouch_audit_note (line) values ($1)", values: [line] });
    },
    close: () => database.close(),
  };
}

/**
 * All that is kept, as the lines of audits in the order in which a folder would hold them, of one moment of the database. Refuses as
 * openPostgres, `evidence-missing` and `too-large`.
 */
export async function readPostgres(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
  most: { readonly lines: number; readonly bytes: number },
): Promise<string[]> {
  const { readDatabase } = require("../postgres") as typeof import("../postgres");
  const lines = await readDatabase(where, env, SCHEMA, async (database) => {
    await checkSize(database, most);
    return (await database.query<{ line: string }>({ text: LINES })).map(({ line }) => line);
  });
  if (lines === null)
    throw new Refusal("evidence-missing", "the database holds no results", {
      hint: "`vouch audit --store` puts them there",
    });
  return lines;
}

/** Of each audit: contexts, records, summary. What belongs to no summary, of an audit that was stopped, comes last. */
const LINES = `
  with note as (select id, line, line::jsonb as said from vouch_audit_note),
       summary as (select id, line, said->>'at' as at from note where said->>'version' like 'vouch-audit-summary/%'),
       context as (select n.id, n.line, (select min(s.id) from summary s where s.id > n.id) as of
                   from note n where n.said->>'version' like 'vouch-audit-context/%'),
       record as (select r.line, encode(r.key, 'hex') as key, r.line::jsonb->>'at' as at from vouch_audit_record r),
       ended as (select at, min(id) as of from summary group by at)
  select line from (
    select of, 0 as kind, id, '' as at, '' as key, line from context
    union all select ended.of, 1, 0, record.at, key, line from record left join ended on ended.at = record.at
    union all select id, 2, id, at, '', line from summary
  ) as told order by of nulls last, kind, at, id, key`;

async function checkSize(
  database: Database,
  { lines, bytes }: { readonly lines: number; readonly bytes: number },
): Promise<void> {
  const [kept] = await database.query<{ lines: string; bytes: string }>({
    text: `select count(*) as lines, coalesce(sum(octet_length(line)), 0) as bytes
           from (select line from vouch_audit_record union all select line from vouch_audit_note) as kept`,
  });
  if (Number(kept?.lines) > lines || Number(kept?.bytes) > bytes)
    throw new Refusal(
      "too-large",
      `the database holds ${kept?.lines} lines of ${kept?.bytes} bytes, at most ${lines} of ${bytes} are accepted`,
    );
}
