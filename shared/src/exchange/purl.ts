// Package URLs: pkg:type/namespace/name@version?qualifiers#subpath (ECMA-427, the part that names a package).
//
//   pkg:npm/%40scope/name@1.2.3     type npm, namespace "@scope", name "name", version "1.2.3"
//   pkg:deb/debian/libssl3@3.0.15-1?upstream=openssl      made of the source package openssl

export interface Purl {
  readonly type: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly version: string | null;
  /** The package it was made of, where a qualifier tells. */
  readonly upstream: string | null;
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
  const namespace = names.slice(0, -1).join("/") || null;
  return { type, namespace, name, version, upstream: upstreamOf(text) };
}

/** Without the version, which may follow: `upstream=gcc-12%4012.2.0-14`. */
function upstreamOf(text: string): string | null {
  const [, value = ""] = /^[^?#]*\?(?:[^#]*&)?upstream=([^&#]*)/.exec(text) ?? [];
  return decode(value)?.replace(/@.*$/s, "") || null;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
