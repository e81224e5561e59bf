// Which network, and where it answers.
//
//   mainnet | testnet                                  the foundation's own nodes
//   http(s)://HOST[,grpc=URL][,chain=HEX8]             a node of one's own; gRPC there too unless said otherwise
//
// A chain is known by the first four bytes of its genesis checkpoint's digest. With a URL and no chain=, the chain
// is what the node says it is: who agrees to a submission is told which, and a later step refuses another.
//
// Source: IOTA's own SDK and Move.history.json (2026); the JSON-RPC of nodes is on its way out, hence `indexer`.

import { quote, Refusal } from "@vouch/shared/refusal";

export interface Network {
  /** Null: whichever the node is on. */
  readonly chain: string | null;
  readonly rpc: URL;
  readonly grpc: URL;
}

const KNOWN: Record<string, { chain: string; rpc: string; grpc: string }> = {
  mainnet: {
    chain: "6364aad5",
    rpc: "https://indexer.mainnet.iota.cafe",
    grpc: "https://grpc.mainnet.iota.cafe",
  },
  testnet: {
    chain: "2304aa97",
    rpc: "https://indexer.testnet.iota.cafe",
    grpc: "https://grpc.testnet.iota.cafe",
  },
};

/** What stands behind `rebased:`. Refuses `usage`. */
export function parseNetwork(where: string): Network {
  const [first = "", ...options] = where.split(",");
  const known = Object.hasOwn(KNOWN, first) ? KNOWN[first] : undefined;
  let grpc = known?.grpc ?? first;
  let chain = known?.chain ?? null;
  for (const option of options) {
    const [, key, value] = /^(grpc|chain)=(.+)$/.exec(option) ?? [];
    if (key === "grpc") grpc = value!;
    else if (key === "chain" && known === undefined && /^[0-9a-f]{8}$/.test(value!)) chain = value!;
    else throw usage(option);
  }
  return { chain, rpc: parseUrl(known?.rpc ?? first), grpc: parseUrl(grpc) };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "")
    throw usage(text);
  return url;
}

const usage = (found: string) =>
  new Refusal(
    "usage",
    `--ledger: found ${quote(found)}, expected rebased:mainnet, rebased:testnet or rebased:URL[,grpc=URL][,chain=HEX]`,
  );

/** A chain's name for people. */
export const nameOf = (chain: string) =>
  Object.keys(KNOWN).find((name) => KNOWN[name]!.chain === chain) ?? `chain-${chain}`;

/** Where anybody can look at a transaction; null for a chain that no explorer shows. */
export function explorerOf(chain: string, transaction: string): string | null {
  const name = nameOf(chain);
  return Object.hasOwn(KNOWN, name)
    ? `https://explorer.iota.org/txblock/${transaction}?network=${name}`
    : null;
}

export const wrongNetwork = (host: string, found: string, expected: string) =>
  new Refusal(
    "wrong-network",
    `${host} is on chain ${found} (${nameOf(found)}), expected ${expected} (${nameOf(expected)})`,
  );
