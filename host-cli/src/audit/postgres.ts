// A store in PostgreSQL, for fleets beyond one machine: several auditors write at once, and the first
// to judge a record keeps it. host-cli/src/postgres.ts has the connection, and what becomes of passwords.
//
//   vouch_audit_schema   version                        which migrations have run
//   vouch_audit_record   key bytea primary key, line    a record (shared/spec/audit-record.md)
//   vouch_audit_note     id, added, line                contexts and summaries
//   vouch_audit          a view: the records as jsonb, for SQL

import { BEFORE_KEY } from "@vouch/shared/auditline";
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
    async note(line) {
      await database.query({ text: "insert into vouch_audit_note (line) values ($1)", values: [line] });
    },
    close: () => database.close(),
  };
}
