// Where results are kept, so that the next audit judges only what is new. A store is a memory from
// key to record (shared/src/fleet.ts says what a key stands for), and a trail: context lines and
// summaries are kept beside the records. Two kinds:
//
//   --store DIR              JSON lines in a folder, one auditor at a time      filestore.ts
//   --store postgres://…     a database, several auditors at once               postgres.ts
//
// Whoever can write to a store can have a verdict believed: keep it like the policy. `--fresh` believes nothing.

import { usage } from "../exit";
import { openFileStore } from "./filestore";
import { openPostgres } from "./postgres";

export interface Kept {
  readonly key: string;
  readonly line: string;
}

export interface Store {
  /** The record lines of these keys, in their order; null where there is none. */
  find(keys: readonly string[]): Promise<readonly (string | null)[]>;
  add(records: readonly Kept[]): Promise<void>;
  /** The same, in the place of what is kept by these keys. */
  replace(records: readonly Kept[]): Promise<void>;
  /** A context line or a summary. */
  note(line: string): Promise<void>;
  /** Afterwards all that was added is there for good. */
  close(): Promise<void>;
}

/** Opens it, and makes it when it isn't there. `told` gets remarks. Refuses `locked`, `usage`, `store-unreachable`, `store-failed`, … */
export async function openStore(
  where: string,
  env: Readonly<Record<string, string | undefined>>,
  told: (remark: string) => void,
): Promise<Store> {
  if (!/^postgres(ql)?:/i.test(where)) {
    // Anything else with a scheme is a mistake, and might hold a password: it isn't repeated.
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(where)) throw usage("--store takes a folder or postgres://…");
    return openFileStore(where, told);
  }
  return openPostgres(where, env);
}
