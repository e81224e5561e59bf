// What a monitor remembers of the records it has read, and how that is written down.
//
//   {"releases":[[product, model, version, index, images sha256]…],
//    "highest":[[product, model, security version]…],
//    "advisories":[[index, record sha256, by approvers, "<b64 statement>"]…],    and withdrawals
//    "statuses":[{"product","index","logSize","withdrawn":[sha256…]}…],
//    "dropped":[record sha256…],             advisories that approvers took out of a status
//    "keys":[[index, "<b64 record>"]…]}      changes of keys and a closing, where there are any
//
// In the order of the log, so the same log gives the same bytes.

import type { AdvisoryRecord } from "./advisories";
import { toBase64 } from "./bytes";
import { base64, hex, integer, list, maybe, object, type Shape, text } from "./json";
import type { PlacedRecord } from "./keyring";
import { Refusal } from "./refusal";
import { formatStatement, parseStatement } from "./statement";

export interface ReleaseLine {
  readonly product: string;
  readonly model: string;
}

export interface KnownRelease {
  readonly index: bigint;
  /** SHA-256 over its components' names and digests. */
  readonly images: string;
}

export interface KnownStatus {
  readonly index: bigint;
  readonly logSize: number;
  readonly withdrawn: readonly string[];
}

export interface Memory {
  release(line: ReleaseLine, version: string): KnownRelease | null;
  securityVersion(line: ReleaseLine): number | null;
  keepRelease(line: ReleaseLine, version: string, release: KnownRelease & { securityVersion: number }): void;
  /** Advisories and withdrawals, ascending by index. */
  advisories(product: string): readonly AdvisoryRecord[];
  keepAdvisory(advisory: AdvisoryRecord): void;
  status(product: string): KnownStatus | null;
  keepStatus(product: string, status: KnownStatus): void;
  isDropped(advisorySha256: string): boolean;
  drop(advisorySha256: string): void;
  /** Records that change keys or close the log, those that count; ascending by index. */
  keyRecords(): readonly PlacedRecord[];
  keepKeyRecord(record: PlacedRecord): void;
  toJson(): unknown;
}

const MOST = 10_000_000; // what a file of the largest size can hold, and more
const name = text(128);
const index = integer(0);

const tuple =
  <T extends readonly Shape<unknown>[]>(
    ...shapes: T
  ): Shape<{ [I in keyof T]: T[I] extends Shape<infer V> ? V : never }> =>
  (value, at) => {
    const items = list((item: unknown) => item, shapes.length, shapes.length)(value, at);
    return items.map((item, i) => shapes[i]!(item, `${at}[${i}]`)) as never;
  };

const flag: Shape<boolean> = (value, at) => {
  if (typeof value !== "boolean") throw new Refusal("malformed-json", `${at} is no boolean`);
  return value;
};

/** What toJson gives. */
export const MEMORY = object({
  releases: list(tuple(name, name, name, index, hex(32)), 0, MOST),
  highest: list(tuple(name, name, integer(0)), 0, MOST),
  advisories: list(tuple(index, hex(32), flag, base64(1, 65535)), 0, MOST),
  statuses: list(
    object({ product: name, index, logSize: index, withdrawn: list(hex(32), 0, MOST) }),
    0,
    MOST,
  ),
  dropped: list(hex(32), 0, MOST),
  keys: maybe(list(tuple(index, base64(1, 65535)), 1, MOST)),
});

type MemoryJson = typeof MEMORY extends Shape<infer T> ? T : never;

const keyOf = (...parts: readonly string[]) => parts.join("\n"); // none of them can hold a line end

export const emptyMemory = (): Memory =>
  readMemory({ releases: [], highest: [], advisories: [], statuses: [], dropped: [] });

/** From what MEMORY has read. Refuses what parseStatement does. */
export function readMemory(json: MemoryJson): Memory {
  const releases = new Map<string, MemoryJson["releases"][0]>();
  const highest = new Map<string, MemoryJson["highest"][0]>();
  const advisories = new Map<string, AdvisoryRecord[]>();
  const statuses = new Map<string, KnownStatus>();
  const dropped = new Set(json.dropped);
  const keys = (json.keys ?? []).map(([at, statement]) => ({ index: BigInt(at), statement }));
  for (const row of json.releases) releases.set(keyOf(row[0], row[1], row[2]), row);
  for (const row of json.highest) highest.set(keyOf(row[0], row[1]), row);
  const keepAdvisory = (advisory: AdvisoryRecord) => {
    const { product } = advisory.statement;
    advisories.set(product, [...(advisories.get(product) ?? []), advisory]);
  };
  for (const [at, sha256, mayTakeBack, bytes] of json.advisories) {
    const statement = parseStatement(bytes);
    if (statement.kind !== "advisory" && statement.kind !== "advisory-withdrawal")
      throw new Refusal("malformed-json", `record ${at} is kept as an advisory, and is none`);
    keepAdvisory({ index: BigInt(at), sha256, mayTakeBack, statement });
  }
  for (const { product, ...status } of json.statuses)
    statuses.set(product, { ...status, index: BigInt(status.index) });
  return {
    release({ product, model }, version) {
      const row = releases.get(keyOf(product, model, version));
      return row === undefined ? null : { index: BigInt(row[3]), images: row[4] };
    },
    securityVersion: ({ product, model }) => highest.get(keyOf(product, model))?.[2] ?? null,
    keepRelease({ product, model }, version, { index: at, images, securityVersion }) {
      const key = keyOf(product, model, version);
      if (!releases.has(key)) releases.set(key, [product, model, version, Number(at), images]);
      const line = keyOf(product, model);
      if (securityVersion > (highest.get(line)?.[2] ?? -1))
        highest.set(line, [product, model, securityVersion]);
    },
    advisories: (product) => advisories.get(product) ?? [],
    keepAdvisory,
    status: (product) => statuses.get(product) ?? null,
    keepStatus: (product, status) => void statuses.set(product, status),
    isDropped: (sha256) => dropped.has(sha256),
    drop: (sha256) => void dropped.add(sha256),
    keyRecords: () => keys,
    keepKeyRecord(record) {
      if (keys.some((known) => known.index === record.index)) return;
      keys.push(record);
      keys.sort((a, b) => (a.index < b.index ? -1 : 1));
    },
    toJson: () => ({
      releases: [...releases.values()],
      highest: [...highest.values()],
      advisories: [...advisories.values()]
        .flat()
        .map(({ index: at, sha256, mayTakeBack, statement }) => [
          Number(at),
          sha256,
          mayTakeBack,
          toBase64(formatStatement(statement)),
        ]),
      statuses: [...statuses].map(([product, { index: at, logSize, withdrawn }]) => ({
        product,
        index: Number(at),
        logSize,
        withdrawn,
      })),
      dropped: [...dropped],
      ...(keys.length > 0 && {
        keys: keys.map((record) => [Number(record.index), toBase64(record.statement)]),
      }),
    }),
  };
}
