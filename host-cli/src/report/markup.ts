// Marked-up text that can't be broken out of: whatever is put between tags passes through `text`.
//
//   el("td", { class: "mono" }, "<b>")  →  <td class="mono">&lt;b&gt;</td>
//
// Only a Markup is written as it is, and only this file makes one.

import { printable } from "../exit";
import { shown } from "./wording";

export class Markup {
  constructor(readonly source: string) {}
}

type Child = Markup | string | number | null | readonly Child[];
type Attributes = Readonly<Record<string, string | number | null>>;

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;", // attributes are always within these
};
const escapeText = (text: string) => text.replace(/[&<>"]/g, (char) => ESCAPES[char] as string);
const LONGEST = 4000;

/** Text from outside, fit to stand in an element. */
export const text = (value: string) => escapeText(shown(value, LONGEST));

const VOID = new Set(["meta", "link", "br", "hr"]);

export function el(name: string, attributes: Attributes = {}, ...children: readonly Child[]): Markup {
  let tag = `<${name}`;
  for (const key in attributes) {
    const value = attributes[key];
    if (value !== null && value !== undefined) tag += ` ${key}="${escapeText(printable(String(value)))}"`;
  }
  return new Markup(VOID.has(name) ? `${tag}>` : `${tag}>${inner(children)}</${name}>`);
}

function inner(children: readonly Child[]): string {
  let out = "";
  for (const child of children) {
    if (child instanceof Markup) out += child.source;
    else if (Array.isArray(child)) out += inner(child);
    else if (child !== null) out += text(String(child));
  }
  return out;
}

/** Text with its own line ends, cut nowhere: a policy, say. */
export const block = (value: string) =>
  new Markup(
    value
      .split("\n")
      .map((line) => escapeText(shown(line, LONGEST)))
      .join("\n"),
  );

/** Between rows, so that a person can read the source. */
export const NEWLINE = new Markup("\n");

/** A style sheet of ours. */
export const style = (css: string) => new Markup(`<style>${css}</style>`);
