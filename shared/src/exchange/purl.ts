// Package URLs: pkg:type/namespace/name@version?qualifiers#subpath (ECMA-427, the part that names a package).
//
//   pkg:npm/%40scope/name@1.2.3     type npm, namespace "@scope", name "name", version "1.2.3"

export interface Purl {
  readonly type: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly version: string | null;
}

/** Null for what is none. */
export function parsePurl(text: string): Purl | null {
  if (text.length > 4096 || !text.startsWith("pkg:")) return null;
  const path = text
    .slice(4)
    .replace(/^\/+/, "")
    .replace(/[?#].*$/s, "");
  const slash = path.indexOf("/");
  const type = path.slice(0, slash).toLowerCase();
  if (slash < 0 || !/^[a-z][a-z0-9.+-]*$/.test(type)) return null;
  const at = path.lastIndexOf("@");
  const hasVersion = at > path.lastIndexOf("/"); // the "@" of a scope is an escape, or before a slash
  const segments = path
    .slice(slash + 1, hasVersion ? at : undefined)
    .split("/")
    .filter(Boolean)
    .map(decode);
  const version = hasVersion ? decode(path.slice(at + 1)) : null;
  if (version === undefined || version === "" || segments.length === 0) return null;
  const names = segments.filter((segment) => segment !== undefined && segment !== "");
  if (names.length < segments.length) return null;
  const name = names[names.length - 1]!;
  return { type, namespace: names.slice(0, -1).join("/") || null, name, version };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
