// The three measures of FDA's premarket guidance (section V.A.6), from what ledgers timed:
//
//   patched     which share of the devices is patched
//   offered     advisory recorded ──────▶ release that mends it recorded       one for each advisory × release it affects
//   installed   that release recorded ──▶ device proved to run a mended one    one for each device × advisory
//
//   device      A on 2.3.9        B on 2.3.9            C on 2.4.1
//               ├──────┤          ├──────┤              ├──────┤        evidence: not before … not after
//   installed                            not before B ▲        ▲ not after C
//
// A device says what it runs when it is asked, not when it was flashed. So the installation lies somewhere between the
// last evidence of an affected release and the first of a mended one: `after` and `by`; the measure is `by`, the
// bound that is proved. A time that no ledger vouches for is null, and what can't be computed says why.
// What a maker claims (an advisory's `created`) enters none of it.
//
// Times are Unix seconds. Pure; the order of the inputs changes nothing.

import type { Word } from "./verdict";

/** A device ran a release at a moment between the two. */
export interface Sighting {
  readonly device: string;
  readonly product: string;
  readonly release: string;
  readonly notBefore: number | null;
  readonly notAfter: number | null;
}

/** What one advisory says of releases of one product. */
export interface AdvisoryFact {
  readonly id: string;
  readonly product: string;
  /** When a ledger first had it. */
  readonly recorded: number | null;
  /** Affected release to the nearest that mends it; null when none is named. */
  readonly affected: ReadonlyMap<string, string | null>;
  /** Releases that a status, at least as late as the one that names the advisory, doesn't count it against. */
  readonly clear: ReadonlySet<string>;
}

export interface ReleaseFact {
  readonly product: string;
  readonly release: string;
  readonly recorded: number | null;
}

export interface Facts {
  readonly at: number;
  /** The verdict on each device. */
  readonly devices: ReadonlyMap<string, Word>;
  readonly sightings: readonly Sighting[];
  readonly advisories: readonly AdvisoryFact[];
  readonly releases: readonly ReleaseFact[];
}

/** Why a duration isn't known. */
export type Missing =
  | "advisory-time-unknown"
  | "no-fix-named"
  | "fix-not-in-results"
  | "fix-time-unknown"
  | "evidence-time-unknown"
  | "evidence-order-unknown";

export interface Offered {
  readonly advisory: string;
  readonly product: string;
  readonly affected: string;
  readonly fix: string | null;
  readonly identified: number | null;
  readonly available: number | null;
  /** Below zero when the release that mends came first. */
  readonly seconds: number | null;
  readonly missing: Missing | null;
}

export interface Installed {
  readonly device: string;
  readonly advisory: string;
  readonly product: string;
  readonly from: string;
  /** The release it was first proved to run after; null while it is open. */
  readonly to: string | null;
  readonly available: number | null;
  readonly after: number | null;
  readonly by: number | null;
  /** From available to `by`; while open, to T. Below zero when the device had it before the ledger did. */
  readonly seconds: number | null;
  readonly open: boolean;
  readonly missing: Missing | null;
}

/** Of whole seconds; median and p90 by nearest rank, so that each is one of the values. */
export interface Spread {
  readonly count: number;
  readonly least: number;
  readonly median: number;
  readonly p90: number;
  readonly most: number;
}

export interface Metrics {
  readonly patched: { readonly devices: number; readonly patched: number };
  readonly offered: readonly Offered[];
  readonly offeredSpread: Spread | null;
  readonly installed: readonly Installed[];
  /** Of those that are done, and known. */
  readonly installedSpread: Spread | null;
  readonly open: number;
  /** How many durations of each measure are not known, by reason. */
  readonly missing: Readonly<Record<string, number>>;
}

export function measure(facts: Facts): Metrics {
  const offered = facts.advisories.flatMap((advisory) => offersOf(advisory, facts)).sort(byOffer);
  const installed = installationsOf(facts, offered);
  return {
    patched: {
      devices: facts.devices.size,
      patched: [...facts.devices.values()].filter((word) => word === "patched").length,
    },
    offered,
    offeredSpread: spreadOf(offered.map(({ seconds }) => seconds)),
    installed,
    installedSpread: spreadOf(installed.map(({ seconds, open }) => (open ? null : seconds))),
    open: installed.filter(({ open }) => open).length,
    missing: countMissing([...offered, ...installed]),
  };
}

function offersOf(advisory: AdvisoryFact, { releases }: Facts): Offered[] {
  const { id, product, recorded: identified } = advisory;
  return [...advisory.affected].map(([affected, fix]) => {
    const named = releases.filter((r) => r.product === product && r.release === fix);
    const available = earliest(named.map(({ recorded }) => recorded));
    const missing =
      fix === null
        ? "no-fix-named"
        : named.length === 0
          ? "fix-not-in-results"
          : available === null
            ? "fix-time-unknown"
            : identified === null
              ? "advisory-time-unknown"
              : null;
    const seconds = missing === null ? (available as number) - (identified as number) : null;
    return { advisory: id, product, affected, fix, identified, available, seconds, missing };
  });
}

function installationsOf(facts: Facts, offered: readonly Offered[]): Installed[] {
  const sightings = new Map<string, Sighting[]>();
  for (const sighting of facts.sightings) {
    const list = sightings.get(sighting.device);
    if (list === undefined) sightings.set(sighting.device, [sighting]);
    else list.push(sighting);
  }
  const offers = new Map(offered.map((o) => [JSON.stringify([o.advisory, o.product, o.affected]), o]));
  const out: Installed[] = [];
  for (const [device, seen] of sightings) {
    for (const advisory of facts.advisories) {
      const one = installationOf(device, seen, advisory, offers, facts.at);
      if (one !== null) out.push(one);
    }
  }
  return out.sort(
    (a, b) => compare(a.advisory, b.advisory) || compare(a.product, b.product) || compare(a.device, b.device),
  );
}

/** Null when the device was never seen on a release that the advisory affects. */
function installationOf(
  device: string,
  seen: readonly Sighting[],
  advisory: AdvisoryFact,
  offers: ReadonlyMap<string, Offered>,
  at: number,
): Installed | null {
  const { id, product } = advisory;
  const mine = seen.filter((s) => s.product === product);
  const affected = mine.filter(({ release }) => advisory.affected.has(release));
  if (affected.length === 0) return null;
  const last = affected.reduce((a, b) => (beganLater(b, a) ? b : a));
  const clear = mine.filter((s) => advisory.clear.has(s.release) && !advisory.affected.has(s.release));
  const after = clear.filter((s) => affected.every((a) => isProvedBefore(a, s)));
  const first = after.length === 0 ? null : after.reduce((a, b) => (endedSooner(b, a) ? b : a));
  const unordered = first === null && clear.some((s) => !isProvedBefore(s, last));
  const { available, missing: lacking } = offers.get(JSON.stringify([id, product, last.release])) as Offered;
  const end = first === null ? at : first.notAfter;
  const missing =
    lacking !== null && lacking !== "advisory-time-unknown"
      ? lacking
      : unordered
        ? "evidence-order-unknown"
        : end === null
          ? "evidence-time-unknown"
          : null;
  return {
    device,
    advisory: id,
    product,
    from: last.release,
    to: first?.release ?? null,
    available,
    after: last.notBefore,
    by: first?.notAfter ?? null,
    seconds: missing === null ? (end as number) - (available as number) : null,
    open: first === null,
    missing,
  };
}

// The brackets of two measurements may overlap; then nothing says which was first, and a device is called mended
// only when that is proved.
const isProvedBefore = (a: Sighting, b: Sighting) =>
  a.notAfter !== null && b.notBefore !== null && a.notAfter <= b.notBefore;

const beganLater = (a: Sighting, b: Sighting) =>
  orElse(a.notBefore, Number.NEGATIVE_INFINITY) > orElse(b.notBefore, Number.NEGATIVE_INFINITY) ||
  (a.notBefore === b.notBefore && a.release > b.release);
const endedSooner = (a: Sighting, b: Sighting) =>
  orElse(a.notAfter, Number.POSITIVE_INFINITY) < orElse(b.notAfter, Number.POSITIVE_INFINITY) ||
  (a.notAfter === b.notAfter && a.release < b.release);
const orElse = (time: number | null, otherwise: number) => time ?? otherwise;

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const byOffer = (a: Offered, b: Offered) =>
  compare(a.advisory, b.advisory) || compare(a.product, b.product) || compare(a.affected, b.affected);

function earliest(times: readonly (number | null)[]): number | null {
  const known = times.filter((time) => time !== null);
  return known.length === 0 ? null : known.reduce((a, b) => Math.min(a, b));
}

function spreadOf(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) return null;
  const rank = (percent: number) =>
    known[Math.max(1, Math.ceil((percent * known.length) / 100)) - 1] as number;
  return { count: known.length, least: rank(0), median: rank(50), p90: rank(90), most: rank(100) };
}

function countMissing(all: readonly { readonly missing: Missing | null }[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { missing } of all) if (missing !== null) counts.set(missing, (counts.get(missing) ?? 0) + 1);
  return Object.fromEntries([...counts].sort(([a], [b]) => compare(a, b)));
}
