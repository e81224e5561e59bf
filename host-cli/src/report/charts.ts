// The three figures, as SVG inside the page. Each has a title and a description that says in words what it shows; the
// numbers stand in tables beside it, so nobody depends on seeing it, or on telling colours apart.

import type { Report } from "@vouch/shared/report";
import { secondsOf } from "@vouch/shared/time";
import { el, type Markup } from "./markup";
import { daysOf, nameOf, shareOf, WORDS } from "./wording";

const WIDTH = 640;
const DAY = 86400;
const MAX_BARS = 16;

function figure(id: string, title: string, about: string, height: number, parts: readonly Markup[]): Markup {
  const svg = el(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${height}`,
      role: "img",
      "aria-labelledby": `${id}-t ${id}-d`,
      xmlns: "http://www.w3.org/2000/svg",
    },
    el("title", { id: `${id}-t` }, title),
    el("desc", { id: `${id}-d` }, about),
    parts,
  );
  return el("figure", {}, el("figcaption", {}, title), svg);
}

const label = (x: number, y: number, content: string, anchor = "start") =>
  el("text", { x, y, "text-anchor": anchor }, content);
const round = (n: number) => Math.round(n * 10) / 10;

/** Share of devices patched, one point for each audit. */
export function trendChart({ trend }: Report): Markup {
  const [left, right, top, bottom] = [44, 24, 16, 176];
  const times = trend.map(({ at }) => secondsOf(at));
  const [first, last] = [times[0] ?? 0, times[times.length - 1] ?? 0];
  const x = (i: number) =>
    last === first
      ? (left + WIDTH - right) / 2
      : left + (((times[i] as number) - first) / (last - first)) * (WIDTH - left - right);
  const share = (i: number) => {
    const point = trend[i];
    return point === undefined || point.records === 0 ? 0 : point.patched / point.records;
  };
  const y = (i: number) => bottom - share(i) * (bottom - top);
  const grid = [0, 25, 50, 75, 100].flatMap((percent) => {
    const at = round(bottom - (percent / 100) * (bottom - top));
    return [
      el("line", { class: "grid", x1: left, x2: WIDTH - right, y1: at, y2: at }),
      label(left - 6, at + 4, `${percent} %`, "end"),
    ];
  });
  const path = trend.map((_, i) => `${i === 0 ? "M" : "L"}${round(x(i))} ${round(y(i))}`).join("");
  const dots = trend.map((_, i) => el("circle", { class: "dot", cx: round(x(i)), cy: round(y(i)), r: 4 }));
  const day = (i: number) => trend[i]?.at.slice(0, 10) ?? "";
  const ends = [
    label(trend.length > 1 ? left : x(0), bottom + 20, day(0), trend.length > 1 ? "start" : "middle"),
    ...(trend.length > 1 ? [label(WIDTH - right, bottom + 20, day(trend.length - 1), "end")] : []),
  ];
  const about =
    trend.length === 0
      ? "No audit among the results has a summary."
      : `${trend.length === 1 ? "One audit" : `${trend.length} audits`}: ${trend
          .slice(-12)
          .map((p) => `${p.at.slice(0, 10)} ${p.patched} of ${p.records} records`)
          .join(", ")}.`;
  return figure("trend", "Evidence found patched, over time", about, 204, [
    ...grid,
    el("path", { class: "line", d: path === "" ? "M0 0" : path }),
    ...dots,
    ...ends,
  ]);
}

/** How many devices are judged by each release, by verdict: one that is refuted may run something else. */
export function versionChart({ releases, devices }: Report): Markup {
  const [left, row] = [190, 26];
  const shown = [...releases].sort((a, b) => b.devices - a.devices).slice(0, MAX_BARS);
  const most = Math.max(1, ...shown.map((release) => release.devices));
  const bars = shown.flatMap((release, i) => {
    const y = 8 + i * row;
    let x = left;
    const parts = WORDS.flatMap((word) => {
      const count = release.words[word] ?? 0;
      if (count === 0) return [];
      const width = Math.max(1, round((count / most) * (WIDTH - left - 120)));
      const bar = el("rect", { class: `bar ${word}`, x: round(x), y, width, height: row - 8 });
      x += width;
      return [bar];
    });
    const name = nameOf(release);
    const short = name.length > 26 ? `${name.slice(0, 25)}…` : name;
    return [
      label(left - 8, y + 14, short, "end"),
      ...parts,
      label(round(x) + 6, y + 14, `${release.devices} (${shareOf(release.devices, devices)})`),
    ];
  });
  const about = `Devices by release: ${shown.map((r) => `${nameOf(r)} ${r.devices}`).join(", ")}.`;
  const more = releases.length > shown.length ? `, the ${MAX_BARS} most frequent of ${releases.length}` : "";
  return figure(
    "versions",
    `Devices by the release that they are judged by${more}`,
    about,
    16 + shown.length * row,
    bars,
  );
}

const STEPS = [1, 7, 30, 90, 180, 365];

/** How long after a patch was there devices were proved to run it, and how many are still without. */
export function installChart({ metrics }: Report): Markup {
  const done = metrics.installed.flatMap(({ open, seconds }) => (open || seconds === null ? [] : [seconds]));
  const count = (from: number, to: number) => done.filter((s) => s > from && s <= to).length;
  const bounds = [Number.NEGATIVE_INFINITY, ...STEPS.map((n) => n * DAY), Number.POSITIVE_INFINITY];
  const bars: [string, number, string][] = bounds
    .slice(1)
    .map((to, i) => [stepName(i), count(bounds[i] as number, to), "patched"]);
  const unknown = metrics.installed.filter(({ open, missing }) => !open && missing !== null).length;
  bars.push(["still open", metrics.open, "vulnerable"], ["not known", unknown, "unproven"]);
  const [base, top, wide] = [150, 20, WIDTH / bars.length];
  const most = Math.max(1, ...bars.map(([, n]) => n));
  const parts = bars.flatMap(([name, n, word], i) => {
    const height = round((n / most) * (base - top));
    const middle = round((i + 0.5) * wide);
    return [
      el("rect", {
        class: `bar ${word}`,
        x: round(i * wide + 6),
        y: round(base - height),
        width: round(wide - 12),
        height,
      }),
      label(middle, round(base - height) - 5, String(n), "middle"),
      label(middle, base + 18, name, "middle"),
    ];
  });
  parts.push(el("line", { class: "axis", x1: 0, x2: WIDTH, y1: base, y2: base }));
  const spread = metrics.installedSpread;
  const about = `${bars.map(([name, n]) => `${name}: ${n}`).join(", ")}.${
    spread === null ? "" : ` Median ${daysOf(spread.median)}.`
  }`;
  return figure("install", "From patch available to installed, devices × advisories", about, 180, parts);
}

function stepName(i: number): string {
  const step = STEPS[i];
  return step === undefined ? `over ${STEPS[i - 1]} d` : `≤ ${step} d`;
}
