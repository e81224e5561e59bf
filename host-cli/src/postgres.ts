// A connection to PostgreSQL for whatever is kept there: audits' records, streams' readings. The only file that imports
// pg; the build keeps it out of every verb until a database is named.
//
//   vouch_X_schema   version     which migrations of X have run; several programs may open a new database at once
//
// Credentials: the user's password comes from PGPASSWORD or ~/.pgpass (or PGPASSFILE), as psql takes it.
// One in the address would stand in `ps` and in shell histories: it is refused, and addresses are never printed.

import { Refusal } from "@vouch/shared/refusal";
import pg from "pg";
import { usage } from "./exit";

const CONNECT_TIMEOUT_MS = 10_000;
/** Of one statement: a lock that somebody holds for ever must not hold us for ever. */
const STATEMENT_TIMEOUT_MS = 60_000;
/** Any number, the same for all: whoever holds it migrates. */
const MIGRATION_LOCK = 0x766f756368; // "vouch"

type Client = InstanceType<typeof pg.Client>;

export interface Schema {
  /** Where it is noted which have run. */
  readonly table: "vouch_audit_schema" | "vouch_stream_schema";
  /** Each runs once, in order, in the transaction that notes it. Never changed, only added to. */
  readonly migrations: readonly string[];
}

export interface Query {
  /** Prepared once under this name. */
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

export interface Database {
  /** Refuses `store-failed`. */
  query<Row extends Record<string, unknown>>(query: Query): Promise<Row[]>;
  close(): Promise<void>;
}

type Ask = <T>(work: () => Promise<T>) => Promise<T>;

interface Connection {
  readonly client: Client;
  /** Refuses `store-failed`. */
  readonly ask: Ask;
}

async function connect(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Connection> {
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

function databaseOf({ client, ask }: Connection): Database {
  return {
    query: <Row extends Record<string, unknown>>({ name, text, values = [] }: Query) =>
      ask(async () => {
        const named = name === undefined ? {} : { name };
        return (await client.query<Row>({ ...named, text, values: [...values] })).rows;
      }),
    close: () => client.end(),
  };
}

/** Connects, and brings the schema up to date. Refuses `usage`, `store-unreachable`, `store-failed`, `unsupported-version`. */
export async function openDatabase(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
  schema: Schema,
): Promise<Database> {
  const connection = await connect(where, env);
  try {
    await connection.ask(() => migrate(connection.client, schema));
  } catch (error) {
    await connection.client.end().catch(() => {});
    throw error;
  }
  return databaseOf(connection);
}

/**
 * What `work` finds at one moment of the database; null when it has no such schema, or an older one. Nothing is written, so the right
 * to read is enough. Refuses as openDatabase.
 */
export async function readDatabase<T>(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
  schema: Schema,
  work: (database: Database) => Promise<T>,
): Promise<T | null> {
  const connection = await connect(where, env);
  const { client, ask } = connection;
  try {
    await ask(() => client.query("begin isolation level repeatable read, read only"));
    const version = await ask(() => versionOf(client, schema));
    return version < schema.migrations.length ? null : await work(databaseOf(connection));
  } finally {
    await client.end().catch(() => {});
  }
}

/** The schema's; 0 when there is none. Refuses `unsupported-version`. */
async function versionOf(client: Client, { table, migrations }: Schema): Promise<number> {
  const { rows: found } = await client.query<{ there: boolean }>(
    "select to_regclass($1) is not null as there",
    [table],
  );
  if (found[0]?.there !== true) return 0;
  const { rows } = await client.query<{ version: number }>(
    `select coalesce(max(version), 0) as version from ${table}`,
  );
  const version = rows[0]?.version ?? 0;
  if (version > migrations.length)
    throw new Refusal(
      "unsupported-version",
      `the database's schema is of version ${version}, this program knows ${migrations.length}`,
    );
  return version;
}

async function migrate(client: Client, { table, migrations }: Schema): Promise<void> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    await client.query(`create table if not exists ${table} (version integer primary key)`);
    const version = await versionOf(client, { table, migrations });
    for (const [i, migration] of migrations.entries()) {
      if (i < version) continue;
      await client.query(migration);
      await client.query(`insert into ${table} values ($1)`, [i + 1]);
    }
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => {});
    throw error;
  }
}

function checkAddress(where: string): void {
  const address = URL.canParse(where) ? new URL(where) : null;
  if (address === null) throw usage("--store: the address is no URL", "postgres://USER@HOST:PORT/DATABASE");
  if (address.password !== "" || address.searchParams.has("password"))
    throw usage(
      "--store: the address holds a password, which others can read in the list of processes",
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
