// What the three measures (metrics.ts) are taken from: which device was seen on which release, what each advisory affects,
// when ledgers first had releases and advisories. All of it from the lines of audits.

import type { AuditContext } from "./auditline";
import type { AdvisoryFact, Facts, Metrics, ReleaseFact, Sighting } from "./metrics";
import { OUTDATED } from "./outdated";
import { Refusal } from "./refusal";
import { type Audit, newestOf, type ReportRow } from "./reportrows";
import { isoTime, secondsOf } from "./time";

/** Advisories × contexts and advisories × devices are gone through. */
const MAX_ADVISORIES = 1000;

type Timed<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]: string | null };
export type ReportMetrics = Omit<Metrics, "offered" | "installed"> & {
  readonly offered: readonly Timed<Metrics["offered"][number], "identified" | "available">[];
  readonly installed: readonly Timed<Metrics["installed"][number], "available" | "after" | "by">[];
};

/** What a device may be found without its evidence being in doubt: these findings leave what was measured, and when. */
const SOUND: ReadonlySet<string> = new Set([
  "advisory-in-force",
  "advisory-recall",
  "advisory-under-investigation",
  OUTDATED,
  "evidence-stale",
  "release-withdrawn",
  "status-stale",
]);

export function factsOf(
  audits: readonly Audit[],
  rows: readonly ReportRow[],
  contexts: ReadonlyMap<string, AuditContext>,
  at: string,
): Facts {
  const judged = newestOf(audits.flatMap(({ records }) => records));
  const sightings = judged.flatMap((record): Sighting[] => {
    if (record.kid === null || record.product === null || record.release === null) return [];
    if (record.components.length === 0 || record.reasons.some(({ code }) => !SOUND.has(code))) return [];
    return [
      {
        device: record.kid,
        product: record.product,
        release: record.release,
        notBefore: secondsOrNull(record.notBefore),
        notAfter: secondsOrNull(record.notAfter),
      },
    ];
  });
  const sound = [...contexts.values()].filter(
    ({ product, release, reasons }) =>
      product !== null && release !== null && reasons.every(({ code }) => SOUND.has(code)),
  );
  // Of two fixes that statuses name, the later status's.
  sound.sort((a, b) => (b.asOf?.logSize ?? 0) - (a.asOf?.logSize ?? 0));
  return {
    at: secondsOf(at),
    devices: new Map(rows.map((row) => [row.kid ?? row.input, row.word])),
    sightings,
    advisories: advisoriesOf(sound),
    releases: sound.map(
      ({ product, release, recorded }): ReleaseFact => ({
        product: product as string,
        release: release as string,
        recorded: secondsOrNull(recorded),
      }),
    ),
  };
}

/** What the contexts say of each advisory that affects one of their releases. */
function advisoriesOf(contexts: readonly AuditContext[]): AdvisoryFact[] {
  const facts = new Map<string, { fact: MutableAdvisory; logSize: number }>();
  for (const context of contexts) {
    for (const advisory of context.advisories) {
      if (advisory.effect !== "affected") continue;
      const name = JSON.stringify([advisory.id, context.product]);
      const known = facts.get(name);
      if (known === undefined && facts.size >= MAX_ADVISORIES)
        throw new Refusal("too-large", `more than ${MAX_ADVISORIES} advisories, which no report can show`);
      const logSize = context.asOf?.logSize ?? 0;
      const entry = known ?? { fact: emptyAdvisory(advisory.id, context.product as string), logSize };
      facts.set(name, { fact: entry.fact, logSize: Math.min(entry.logSize, logSize) });
      const recorded = secondsOrNull(advisory.recorded);
      const { fact } = entry;
      if (recorded !== null) fact.recorded = Math.min(fact.recorded ?? recorded, recorded);
      const release = context.release as string;
      fact.affected.set(release, fact.affected.get(release) ?? advisory.fixIn);
    }
  }
  for (const { fact, logSize } of facts.values()) {
    for (const { product, release, asOf } of contexts) {
      // An older status knew nothing of the advisory: its silence clears no release.
      if (product !== fact.product || asOf === null || asOf.logSize < logSize) continue;
      if (!fact.affected.has(release as string)) fact.clear.add(release as string);
    }
  }
  return [...facts.values()].map(({ fact }) => fact);
}

interface MutableAdvisory {
  readonly id: string;
  readonly product: string;
  recorded: number | null;
  readonly affected: Map<string, string | null>;
  readonly clear: Set<string>;
}

const emptyAdvisory = (id: string, product: string): MutableAdvisory => ({
  id,
  product,
  recorded: null,
  affected: new Map(),
  clear: new Set(),
});

const secondsOrNull = (time: string | null): number | null => {
  const seconds = time === null ? Number.NaN : secondsOf(time);
  return Number.isSafeInteger(seconds) ? seconds : null; // nobody checked the text of a line's times
};
const timeOrNull = (seconds: number | null) => (seconds === null ? null : isoTime(seconds));

export function timed(metrics: Metrics): ReportMetrics {
  return {
    ...metrics,
    offered: metrics.offered.map((one) => ({
      ...one,
      identified: timeOrNull(one.identified),
      available: timeOrNull(one.available),
    })),
    installed: metrics.installed.map((one) => ({
      ...one,
      available: timeOrNull(one.available),
      after: timeOrNull(one.after),
      by: timeOrNull(one.by),
    })),
  };
}
