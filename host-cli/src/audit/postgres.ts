// A store in PostgreSQL, for fleets beyond one machine: several auditors write at once, and the first
// to judge a record keeps it. The only file that imports pg; the build keeps it out of every verb until asked for.
//
//   vouch_audit_schema   version                        which migrations have run
//   vouch_audit_record   key bytea primary key, line    a record (shared/spec/audit-record.md)
//   vouch_audit_note     id, added, line                contexts and summaries
//   vouch_audit          a view: the records as jsonb, for SQL
//
// Credentials: the user's password comes from PGPASSWORD or ~/.pgpass (or PGPASSFILE), as psql takes it.
// One in the address would stand in `ps` and in shell histories: it is refused, and addresses are never printed.

import { BEFORE_KEY } from "@vouch/shared/auditline";
import { Refusal } from "@vouch/shared/refusal";
import pg from "pg";
import { usage } from "../exit";
import type { Kept, Store } from "./store";

const CONNECT_TIMEOUT_MS = 10_000;
/** Of one statement: a lock that somebody holds for ever must not hold an audit for ever. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** Each runs once, in order, in the transaction that notes it. Never changed, only added to. */
const MIGRATIONS = [
  `create table vouch_audit_record (key bytea primary key check (octet_length(key) = 32), line text not null);
   create table vouch_audit_note (id bigint generated always as identity primary key,
     added timestamptz not null default now(), line text not null);`,
  "create view vouch_audit as select key, line::jsonb as record from vouch_audit_record;",
];
/** Any number, the same for all auditors: whoever holds it migrates. */
const MIGRATION_LOCK = 0x766f756368; // "vouch"

type Client = InstanceType<typeof pg.Client>;

/** Connects, and brings the schema up to date. Refuses `usage`, `store-unreachable`, `store-failed`, `unsupported-version`. */
export async function openPostgres(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Store> {
  const { client, ask } = await connect(where, env);
  try {
    await ask(() => migrate(client));
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
  return storeOf(client, ask);
}

type Ask = <T>(work: () => Promise<T>) => Promise<T>;

async function connect(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ client: Client; ask: Ask }> {
  checkAddress(where);
  const client = new pg.Client({
    connectionString: where,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    application_name: "vouch",
  });
  let lost: unknown;
  client.on("error", (error: unknown) => {
    lost = error; // told by the next query
  });
  try {
    await client.connect();
  } catch (error) {
    await client.end().catch(() => {});
    throw storeRefusal("store-unreachable", error, env);
  }
  const ask: Ask = async (work) => {
    try {
      if (lost !== undefined) throw lost;
      return await work();
    } catch (error) {
      if (error instanceof Refusal) throw error;
      throw storeRefusal("store-failed", error, env);
    }
  };
  return { client, ask };
}

function storeOf(client: Client, ask: Ask): Store {
  return {
    find: (keys) =>
      ask(async () => {
        const { rows } = await client.query<{ key: string; line: string }>({
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
      }),
    add: (records: readonly Kept[]) =>
      ask(async () => {
        await client.query({
          name: "add",
          // In the order of the keys: two auditors who add the same ones wait for each other, and not in a circle.
          text: `insert into vouch_audit_record (key, line)
                 select decode(k, 'hex'), l from unnest($1::text[], $2::text[]) as t(k, l) order by 1
                 on conflict (key) do nothing`,
          values: [records.map(({ key }) => key), records.map(({ line }) => line)],
        });
      }),
    note: (line) =>
      ask(async () => {
        await client.query("insert into vouch_audit_note (line) values ($1)", [line]);
      }),
    close: () => client.end(),
  };
}

/**
 * All that is kept, as the lines of audits in the order in which a folder would hold them, of one moment of the database: nothing is
 * written, so the right to read is enough. Refuses as openPostgres, `evidence-missing` and `too-large`.
 */
export async function readPostgres(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
  most: { readonly lines: number; readonly bytes: number },
): Promise<string[]> {
  const { client, ask } = await connect(where, env);
  try {
    return await ask(async () => {
      await client.query("begin isolation level repeatable read, read only");
      if ((await versionOf(client)) < MIGRATIONS.length)
        throw new Refusal("evidence-missing", "the database holds no results", {
          hint: "`vouch audit --store` puts them there",
        });
      await checkSize(client, most);
      const { rows } = await client.query<{ line: string }>(LINES);
      await client.query("commit");
      return rows.map(({ line }) => line);
    });
  } finally {
    await client.end().catch(() => {});
  }
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
  client: Client,
  { lines, bytes }: { readonly lines: number; readonly bytes: number },
): Promise<void> {
  const { rows } = await client.query<{ lines: string; bytes: string }>(
    `select count(*) as lines, coalesce(sum(octet_length(line)), 0) as bytes
     from (select line from vouch_audit_record union all select line from vouch_audit_note) as kept`,
  );
  if (Number(rows[0]?.lines) > lines || Number(rows[0]?.bytes) > bytes)
    throw new Refusal(
      "too-large",
      `the database holds ${rows[0]?.lines} lines of ${rows[0]?.bytes} bytes, at most ${lines} of ${bytes} are accepted`,
    );
}

/** The schema's; 0 when there is none. Refuses `unsupported-version`. */
async function versionOf(client: Client): Promise<number> {
  const { rows: there } = await client.query<{ there: boolean }>(
    "select to_regclass('vouch_audit_schema') is not null as there",
  );
  if (there[0]?.there !== true) return 0;
  const { rows } = await client.query<{ version: number }>(
    "select coalesce(max(version), 0) as version from vouch_audit_schema",
  );
  const version = rows[0]?.version ?? 0;
  if (version > MIGRATIONS.length)
    throw new Refusal(
      "unsupported-version",
      `the database's schema is of version ${version}, this program knows ${MIGRATIONS.length}`,
    );
  return version;
}

async function migrate(client: Client): Promise<void> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    await client.query("create table if not exists vouch_audit_schema (version integer primary key)");
    const version = await versionOf(client);
    for (const [i, migration] of MIGRATIONS.entries()) {
      if (i < version) continue;
      await client.query(migration);
      await client.query("insert into vouch_audit_schema values ($1)", [i + 1]);
    }
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => {});
    throw error;
  }
}

function checkAddress(where: string): void {
  const address = URL.canParse(where) ? new URL(where) : null;
  if (address === null) throw usage("a store's address: it is no URL", "postgres://USER@HOST:PORT/DATABASE");
  if (address.password !== "" || address.searchParams.has("password"))
    throw usage(
      "a store's address: it holds a password, which others can read in the list of processes",
      "put it into PGPASSWORD or ~/.pgpass",
    );
}

/** What the database or the line said. Never the address, and the password wherever it should turn up is cut out. */
function storeRefusal(
  code: string,
  error: unknown,
  env: Readonly<Record<string, string | undefined>>,
): Refusal {
  const said = error instanceof Error ? error.message || codeOf(error) : String(error);
  const secret = env["PGPASSWORD"];
  const clean = secret ? said.split(secret).join("…") : said;
  return new Refusal(code, `PostgreSQL: ${clean}`);
}

const codeOf = (error: Error) => ("code" in error ? String(error.code) : error.name);
