// The lines of a policy (policy.ts, spec/policy.md), each read into a draft of it:
//
//   log <vkey> [url]                     exactly one
//   witness <name> <vkey> [url]          vkey of type 0x04
//   group <name> <k|any|all> <name>…     witnesses or groups defined above, each in one group
//   quorum <name|none>                   exactly one
//   vendor <product> <vkey>              seals manifests of the product
//   approver <name> <role> <vkey>
//   approve <product> <t> <role>…        t distinct keys, each role at least once
//   status <vkey>                        may say which advisories are in force
//   enroller <vkey>                      may tie a key to a device
//   renewals <vkey> <vkey>               in this log, renewals of bundles by this key count (renewal.ts)
//   countersigner <name> <key>           an ML-DSA-65 key (mldsakey.ts), whose countersignatures must be good
//   countersigned <what> <name>          its countersignature of the release, bundle or renewals must be there
//   distrust <vkey> <time>               what this key signed counts only if it was there before (distrust.ts)
//   ledger directory <vkey>
//   ledger rebased <root> [<0x sender>]  the committee that trust begins with (rebased/root.ts)
//   ledger stardust <root>              the coordinator of a Tangle (stardust/root.ts)
//   max-age status|evidence <n>h|<n>d
//   require-image                        no `patched` without every image at hand
//   allow under-investigation            such an advisory alone doesn't stop `patched`
//
// Fields are separated by spaces or tabs; empty lines and lines that begin with # count
// for nothing. A line not known, or said twice, is a refusal, never skipped. So is one key
// in two roles, and a name that no line above has defined.

import { equalBytes, toHex } from "./bytes";
import type { Crypto } from "./crypto";
import { type MldsaKey, parseAnyKey, parseMldsaKey } from "./mldsakey";
import type { Policy } from "./policy";
import { formatRoot, parseRoot, parseSender, type Root } from "./rebased/root";
import { quote, Refusal } from "./refusal";
import { parseStardustRoot, type StardustRoot } from "./stardust/root";
import { isoTime, secondsOf } from "./time";
import { KEY_COSIGNATURE, KEY_ED25519, parseVkey, sameVkey, type Vkey } from "./vkey";

const MAX_LINE = 4096; // a key of ML-DSA-65 takes 2700

/** What can be demanded: of the release statement, of the bundle, of the renewals in front of it (countersigned.ts). */
const COUNTERSIGNED = ["release", "bundle", "renewals"] as const;
export type Countersigned = (typeof COUNTERSIGNED)[number];

export type LedgerRoot =
  | { readonly kind: "directory"; readonly root: Vkey }
  | RebasedLine
  | { readonly kind: "stardust"; readonly root: StardustRoot };

/** Receipts count whose trust begins with this committee, and whose sender is this one, if one is named. */
export interface RebasedLine {
  readonly kind: "rebased";
  readonly root: Root;
  readonly sender: Uint8Array | null;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

/** The policy while it is read, with what must be known across lines. */
export interface Draft extends Omit<Mutable<Policy>, "log" | "quorum" | "maxAge"> {
  readonly crypto: Pick<Crypto, "sha256">;
  log: Vkey | null;
  quorum: string | null;
  maxAge: { status: number | null; evidence: number | null };
  /** Public key (hex) to the role it was given first. */
  roles: Map<string, string>;
  /** Witness and group names in reach of `group` and `quorum`; true once in a group. */
  names: Map<string, boolean>;
}

type LineReader = (draft: Draft, args: string[]) => void;

/** What an editor adds unasked; a policy's digest is of its bytes, so nobody takes it away for its owner. */
function hintFor(line: string): { hint?: string } {
  if (line.endsWith("\r"))
    return { hint: "its lines end as on Windows, in CR and LF: save it with LF alone" };
  if (line.startsWith("\ufeff"))
    return { hint: "it begins with a byte order mark: save it as UTF-8 without one" };
  return {};
}

/** Adds what the line says to the draft. Refuses as parsePolicy does. */
export function readLine(draft: Draft, line: string): void {
  if (line.length > MAX_LINE)
    throw malformed(`it is ${line.length} characters, at most ${MAX_LINE} are accepted`);
  if (/^[ \t]*#/.test(line)) return;
  // Anything else invisible (CR, no-break space, bidi marks) could make a line read as another.
  // ASCII is asked about first: properties are slow to make a regex of.
  if (!/^[\t -~]*$/.test(line) && /[^\P{C}\t]|[^\P{Z} ]/u.test(line))
    throw new Refusal("malformed-policy", "it holds a control character or an odd space", hintFor(line));
  const [verb = "", ...args] = line.split(/[ \t]+/).filter((field) => field !== "");
  if (verb === "") return;
  const reader = Object.hasOwn(LINES, verb) ? LINES[verb] : undefined;
  if (reader === undefined)
    throw new Refusal("policy-unknown-line", `${quote(verb)} isn't a policy line known here`);
  reader(draft, args);
}

const LINES: { readonly [verb: string]: LineReader } = {
  log(draft, args) {
    const [vkeyText, url] = count(args, 1, 2);
    if (draft.log !== null) throw repeated("log");
    draft.log = key(draft, vkeyText, KEY_ED25519, "log");
    if (url !== undefined) draft.logUrl = url;
  },
  witness(draft, args) {
    const [name, vkeyText, url] = count(args, 2, 3);
    define(draft, name);
    const vkey = key(draft, vkeyText!, KEY_COSIGNATURE, `witness ${name}`);
    draft.witnesses.push(url === undefined ? { name, vkey } : { name, vkey, url });
  },
  group(draft, args) {
    const [name, threshold, ...members] = count(args, 3, MAX_LINE);
    for (const member of members) {
      const taken = draft.names.get(member);
      if (taken === undefined) throw unknownName(member, "witness or group above this line");
      if (taken) throw new Refusal("policy-repeated", `${quote(member)} is in a group already`);
      draft.names.set(member, true);
    }
    define(draft, name);
    const k = threshold === "any" ? 1 : threshold === "all" ? members.length : positive(threshold!);
    if (k > members.length) throw unsatisfiable(`group ${quote(name)} wants ${k} of ${members.length}`);
    draft.groups.push({ name, k, members });
  },
  quorum(draft, args) {
    const [name] = count(args, 1, 1);
    if (draft.quorum !== null) throw repeated("quorum");
    if (name !== "none" && !draft.names.has(name))
      throw unknownName(name, "witness or group above this line");
    draft.quorum = name;
  },
  vendor(draft, args) {
    const [product, vkeyText] = count(args, 2, 2);
    if (draft.vendors.some((v) => v.product === product)) throw repeated(`vendor ${product}`);
    // One key may seal for several products: that is one role.
    const vkey = key(draft, vkeyText!, KEY_ED25519, "vendor");
    draft.vendors.push({ product, vkey });
  },
  approver(draft, args) {
    const [name, role, vkeyText] = count(args, 3, 3);
    if (draft.approvers.some((a) => a.name === name)) throw repeated(`approver ${name}`);
    draft.approvers.push({ name, role: role!, vkey: key(draft, vkeyText!, KEY_ED25519, `approver ${name}`) });
  },
  approve(draft, args) {
    const [product, threshold, ...roles] = count(args, 3, MAX_LINE);
    if (draft.approve.some((a) => a.product === product)) throw repeated(`approve ${product}`);
    if (new Set(roles).size < roles.length) throw new Refusal("policy-repeated", "a role is named twice");
    draft.approve.push({ product, threshold: positive(threshold!), roles });
  },
  status(draft, args) {
    const [vkeyText] = count(args, 1, 1);
    draft.status.push(key(draft, vkeyText, KEY_ED25519, `status ${draft.status.length}`));
  },
  enroller(draft, args) {
    const [vkeyText] = count(args, 1, 1);
    draft.enrollers.push(key(draft, vkeyText, KEY_ED25519, `enroller ${draft.enrollers.length}`));
  },
  renewals(draft, args) {
    const [logText, renewerText] = count(args, 2, 2);
    const log = key(draft, logText, KEY_ED25519, "log");
    const renewer = key(draft, renewerText!, KEY_ED25519, "renewals");
    if (draft.renewals.some((r) => sameVkey(r.log, log) && sameVkey(r.renewer, renewer)))
      throw repeated("renewals");
    draft.renewals.push({ log, renewer });
  },
  countersigner(draft, args) {
    const [name, keyText] = count(args, 2, 2);
    if (draft.countersigners.some((c) => c.name === name)) throw repeated(`countersigner ${name}`);
    const vkey = parseMldsaKey(keyText!, draft.crypto);
    take(draft, vkey, `countersigner ${name}`);
    draft.countersigners.push({ name, vkey });
  },
  countersigned(draft, args) {
    const [word, name] = count(args, 2, 2);
    const what = COUNTERSIGNED.find((each) => each === word);
    if (what === undefined)
      throw malformed(`countersigned ${quote(word)}, expected ${COUNTERSIGNED.join(", ")}`);
    if (draft.countersigned.some((c) => c.what === what && c.name === name))
      throw repeated(`countersigned ${what} ${name}`);
    if (!draft.countersigners.some((c) => c.name === name))
      throw unknownName(name!, "countersigner above this line");
    draft.countersigned.push({ what, name: name! });
  },
  distrust(draft, args) {
    const [vkeyText, moment] = count(args, 2, 2);
    const vkey = parseAnyKey(vkeyText, draft.crypto);
    if (draft.distrust.some((d) => equalBytes(d.vkey.publicKey, vkey.publicKey)))
      throw repeated(`distrust ${vkey.name}`);
    const time = secondsOf(moment!);
    if (!Number.isSafeInteger(time) || isoTime(time) !== moment)
      throw malformed(`distrust from ${quote(moment!)}, expected a time such as 2035-01-01T00:00:00Z`);
    draft.distrust.push({ vkey, time });
  },
  ledger(draft, args) {
    const [kind, root, sender] = count(args, 2, 3);
    if (kind === "rebased") {
      draft.ledgers.push(rebasedLine(draft, root!, sender));
    } else if (sender !== undefined) {
      throw malformed(`a sender is for ledger rebased, found one for ${quote(kind)}`);
    } else if (kind === "directory") {
      draft.ledgers.push({
        kind,
        root: key(draft, root!, KEY_COSIGNATURE, `ledger ${draft.ledgers.length}`),
      });
    } else if (kind === "stardust") {
      const named = parseStardustRoot(root!);
      if (stardustRoots(draft.ledgers).some(({ digest }) => equalBytes(digest, named.digest)))
        throw repeated(`ledger ${kind}`);
      draft.ledgers.push({ kind, root: named });
    } else {
      throw malformed(`ledger kind is ${quote(kind)}, expected directory, rebased or stardust`);
    }
  },
  "max-age"(draft, args) {
    const [what, age] = count(args, 2, 2);
    if (what !== "status" && what !== "evidence")
      throw malformed(`max-age of ${quote(what)}, expected status or evidence`);
    if (draft.maxAge[what] !== null) throw repeated(`max-age ${what}`);
    const [, digits, unit] = /^([1-9][0-9]{0,4})([hd])$/.exec(age!) ?? [];
    if (digits === undefined)
      throw malformed(`max-age is ${quote(age!)}, expected hours or days such as 36h or 30d`);
    draft.maxAge[what] = Number(digits) * (unit === "h" ? 3600 : 86400);
  },
  "require-image"(draft, args) {
    if (args.length > 0) throw malformed(`require-image takes no argument, found ${quote(args[0]!)}`);
    if (draft.requireImage) throw repeated("require-image");
    draft.requireImage = true;
  },
  allow(draft, args) {
    const [what] = count(args, 1, 1);
    if (what !== "under-investigation") throw malformed(`allow ${quote(what)}, expected under-investigation`);
    if (draft.allowUnderInvestigation) throw repeated("allow under-investigation");
    draft.allowUnderInvestigation = true;
  },
};

/** Lines of one network go together: a sender named in one of them, and none in another, would bind nobody. */
function rebasedLine(draft: Draft, rootText: string, senderText: string | undefined): RebasedLine {
  const root = parseRoot(rootText);
  const sender = senderText === undefined ? null : parseSender(senderText);
  const others = rebasedLines(draft.ledgers).filter((line) => line.root.network === root.network);
  for (const other of others) {
    if ((other.sender === null) !== (sender === null))
      throw malformed(`of the lines for ${root.network} some name a sender and some don't`);
    const isSame = sender === null || other.sender === null || equalBytes(sender, other.sender);
    if (isSame && formatRoot(other.root) === formatRoot(root)) throw repeated("ledger rebased");
  }
  return { kind: "rebased", root, sender };
}

export const rebasedLines = (ledgers: readonly LedgerRoot[]) =>
  ledgers.flatMap((line) => (line.kind === "rebased" ? [line] : []));

export const stardustRoots = (ledgers: readonly LedgerRoot[]) =>
  ledgers.flatMap((line) => (line.kind === "stardust" ? [line.root] : []));

/** Roles that one key may have in several lines: it is one role. */
const SHARED_ROLES: ReadonlySet<string> = new Set(["vendor", "log", "renewals"]);

const KEYGEN: Readonly<Record<number, string>> = {
  1: "this line takes a key that `vouch keygen NAME` made, without --cosigner",
  4: "this line takes a key that signs with a time, as `vouch keygen NAME --cosigner` makes it",
};

function key(draft: Draft, text: string, type: number, role: string): Vkey {
  const vkey = parseVkey(text, draft.crypto);
  if (vkey.type !== type)
    throw new Refusal(
      "malformed-policy",
      `key ${quote(vkey.name)} is of type ${vkey.type}, expected ${type}`,
      { hint: KEYGEN[type] ?? "is it the line of another key?" },
    );
  take(draft, vkey, role);
  return vkey;
}

/** Notes the key's role. Throws `policy-key-reuse`. */
function take(draft: Draft, vkey: Vkey | MldsaKey, role: string): void {
  const id = toHex(vkey.publicKey);
  const held = draft.roles.get(id);
  if (held !== undefined && !(held === role && SHARED_ROLES.has(role))) {
    throw new Refusal("policy-key-reuse", `key ${quote(vkey.name)} already stands in the line for ${held}`);
  }
  draft.roles.set(id, role);
}

function define(draft: Draft, name: string): void {
  if (name === "none") throw malformed(`"none" can't be a name`);
  if (draft.names.has(name)) throw repeated(`name ${name}`);
  draft.names.set(name, false);
}

function count(args: string[], min: number, max: number): [string, ...string[]] {
  const [first, ...rest] = args;
  if (first === undefined || args.length < min || args.length > max) {
    throw malformed(
      `it has ${args.length} fields after the first, expected ${min === max ? min : `${min} or more`}`,
    );
  }
  return [first, ...rest];
}

function positive(text: string): number {
  if (!/^[1-9][0-9]{0,2}$/.test(text)) throw malformed(`number is ${quote(text)}, expected 1 to 999`);
  return Number(text);
}

export const malformed = (message: string) => new Refusal("malformed-policy", message);
const repeated = (what: string) => new Refusal("policy-repeated", `${quote(what)} is said twice`);
export const unknownName = (name: string, what: string) =>
  new Refusal("policy-unknown-name", `${quote(name)} is no ${what}`);
export const unsatisfiable = (message: string) => new Refusal("policy-unsatisfiable", message);
