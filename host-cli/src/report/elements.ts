// What the sections of a report are built from.

import { el, type Markup, NEWLINE } from "./markup";

export type Cell = Markup | string | number | null;

export const verdict = (word: string | null) =>
  word === null ? el("span", {}, "none") : el("span", { class: `word ${word}` }, word);
export const mono = (value: string) => el("span", { class: "mono" }, value);

const SHORT = 8; // a table of so many rows stays on one sheet

/** May scroll on a small screen: then keys must reach it. */
export function grid(
  caption: string,
  heads: readonly (string | readonly [string, "n"])[],
  rows: readonly (readonly Cell[])[],
  classes: readonly string[] = [],
  extra: Readonly<Record<string, string>> = {},
): Markup {
  const head = heads.map((name) =>
    typeof name === "string"
      ? el("th", { scope: "col" }, name)
      : el("th", { scope: "col", class: "n" }, name[0]),
  );
  const body = rows.map((cells) =>
    cells.map((cell, i) => {
      const kind = classes[i] ?? (Array.isArray(heads[i]) ? "n" : "");
      return i === 0
        ? el("th", { scope: "row", class: kind === "" ? null : kind }, cell)
        : el("td", kind === "" ? {} : { class: kind }, cell);
    }),
  );
  const size = rows.length <= SHORT ? "scroll short" : "scroll";
  return el(
    "div",
    { class: size, tabindex: "0", role: "region", "aria-label": caption },
    el(
      "table",
      extra,
      el("caption", {}, caption),
      el("thead", {}, el("tr", {}, ...head)),
      el("tbody", {}, ...body.flatMap((cells) => [NEWLINE, el("tr", {}, ...cells)])),
    ),
  );
}

export const facts = (pairs: readonly (readonly [string, Cell | readonly Markup[]])[]) =>
  el("dl", {}, ...pairs.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
