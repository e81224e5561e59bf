// Where a Tangle answers:
//
//   stardust:http(s)://NODE[,poi=http(s)://PLUGIN]
//
// NODE is a HORNET, below which /api/core/v2 is asked. PLUGIN is inx-poi, which makes proofs of inclusion; it has a
// port of its own, since HORNET 2.0.1 lists the plugin's route and can't serve it. Without poi= the node's route
// is all that is asked.

import { quote, Refusal } from "@vouch/shared/refusal";

export interface Where {
  readonly node: URL;
  readonly poi: URL | null;
}

/** What stands behind `stardust:`. Refuses `usage`. */
export function parseWhere(where: string): Where {
  const [node = "", ...options] = where.split(",");
  let poi: URL | null = null;
  for (const option of options) {
    if (!option.startsWith("poi=") || poi !== null) throw usage(option);
    poi = parseUrl(option.slice("poi=".length));
  }
  return { node: parseUrl(node), poi };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search + url.hash !== "")
    throw usage(text);
  return url;
}

const usage = (found: string) =>
  new Refusal("usage", `--ledger: found ${quote(found)}, expected stardust:URL[,poi=URL]`);

/** A URL below another. */
export const below = (base: URL, path: string) => new URL(base.href.replace(/\/*$/, "") + path);
