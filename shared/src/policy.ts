// What a relying party accepts, as a text file: spec/policy.md. C2SP tlog-policy's lines
// for logs and witnesses, and ours for makers, enrollers, ledgers and ages; each is read
// in policylines.ts. Here is what the whole says, once all lines are read:
//
//   log, quorum          are there, once
//   quorum               fits into a checkpoint's note
//   approve              can be satisfied by the approvers named, in a statement's signatures
//   distrust             is of keys that other lines name
//
// A policy that is only half understood is not the policy: a line not known is a refusal,
// and so is a rule that nobody could ever satisfy. Nothing is trusted that no line names.

import { toHex, utf8Decode } from "./bytes";
import type { Crypto } from "./crypto";
import { MAX_SIGNATURES as ENVELOPE_SIGNATURES } from "./dsse";
import type { MldsaKey } from "./mldsakey";
import { MAX_SIGNATURES as NOTE_SIGNATURES } from "./note";
import {
  type Countersigned,
  type Draft,
  type LedgerRoot,
  malformed,
  readLine,
  unknownName,
  unsatisfiable,
} from "./policylines";
import { smallestQuorum } from "./quorum";
import { isRefusal, quote, Refusal } from "./refusal";
import type { Vkey } from "./vkey";

export interface Policy {
  readonly log: Vkey;
  readonly logUrl?: string;
  readonly witnesses: readonly { readonly name: string; readonly vkey: Vkey; readonly url?: string }[];
  /** In the order of the file: members are defined before the group that names them. */
  readonly groups: readonly {
    readonly name: string;
    readonly k: number;
    readonly members: readonly string[];
  }[];
  /** The name of a witness or group, or "none". */
  readonly quorum: string;
  readonly vendors: readonly { readonly product: string; readonly vkey: Vkey }[];
  readonly approvers: readonly { readonly name: string; readonly role: string; readonly vkey: Vkey }[];
  readonly approve: readonly {
    readonly product: string;
    readonly threshold: number;
    readonly roles: readonly string[];
  }[];
  readonly status: readonly Vkey[];
  readonly enrollers: readonly Vkey[];
  readonly ledgers: readonly LedgerRoot[];
  readonly renewals: readonly { readonly log: Vkey; readonly renewer: Vkey }[];
  readonly countersigners: readonly { readonly name: string; readonly vkey: MldsaKey }[];
  /** By the names of countersigners. */
  readonly countersigned: readonly { readonly what: Countersigned; readonly name: string }[];
  /** Keys named in other lines, and from which moment on their word is nobody's; Unix seconds. */
  readonly distrust: readonly { readonly vkey: Vkey | MldsaKey; readonly time: number }[];
  /** Of a policy without the keys that it distrusts by some moment: the policy as written, and those keys (distrust.ts). */
  readonly untrusted?: { readonly written: Policy; readonly keys: readonly (Vkey | MldsaKey)[] };
  /** Seconds; null when no line says. */
  readonly maxAge: { readonly status: number | null; readonly evidence: number | null };
  readonly requireImage: boolean;
  readonly allowUnderInvestigation: boolean;
  /** SHA-256 of the file, hex: names the policy in a verdict. */
  readonly digest: string;
}

const MAX_POLICY = 64 * 1024;
const MAX_LINES = 1000;

/**
 * Reads a policy. Throws `too-large`, `malformed-policy`, `policy-unknown-line`, `policy-repeated`,
 * `policy-unknown-name`, `policy-key-reuse`, `policy-unsatisfiable`, and what parseVkey and parseRoot throw.
 */
export function parsePolicy(bytes: Uint8Array, crypto: Pick<Crypto, "sha256">): Policy {
  if (bytes.length > MAX_POLICY) {
    throw new Refusal("too-large", `policy is ${bytes.length} bytes, at most ${MAX_POLICY} are accepted`);
  }
  const text = utf8Decode(bytes);
  if (text === null) throw malformed("it isn't UTF-8");
  const lines = text.split("\n");
  if (lines.length > MAX_LINES)
    throw malformed(`it has ${lines.length} lines, at most ${MAX_LINES} are accepted`);
  const draft: Draft = {
    crypto,
    log: null,
    witnesses: [],
    groups: [],
    quorum: null,
    vendors: [],
    approvers: [],
    approve: [],
    status: [],
    enrollers: [],
    ledgers: [],
    renewals: [],
    countersigners: [],
    countersigned: [],
    distrust: [],
    maxAge: { status: null, evidence: null },
    requireImage: false,
    allowUnderInvestigation: false,
    digest: toHex(crypto.sha256(bytes)),
    roles: new Map(),
    names: new Map(),
  };
  lines.forEach((line, i) => {
    try {
      readLine(draft, line);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      const { code, message, hint } = error;
      throw new Refusal(code, `policy line ${i + 1}: ${message}`, {
        cause: error,
        ...(hint !== undefined && { hint }),
      });
    }
  });
  return finish(draft);
}

/** What can only be said once all lines are read. */
function finish({ crypto: _crypto, roles, names: _names, log, quorum, ...rest }: Draft): Policy {
  if (log === null) throw malformed("policy: no log line");
  if (quorum === null) throw malformed("policy: no quorum line");
  // A key that no line trusts is a slip of the pen, and the key that was meant would go on counting.
  for (const { vkey } of rest.distrust)
    if (!roles.has(toHex(vkey.publicKey))) throw unknownName(vkey.name, "key of another line");
  const cosigners = smallestQuorum(quorum, rest.groups);
  if (cosigners >= NOTE_SIGNATURES) {
    throw unsatisfiable(
      `policy: quorum ${quote(quorum)} takes ${cosigners} cosignatures, a checkpoint holds ${NOTE_SIGNATURES - 1} beside the log's`,
    );
  }
  for (const { product, threshold, roles } of rest.approve) {
    for (const role of roles) {
      if (!rest.approvers.some((a) => a.role === role)) throw unknownName(role, "role of an approver");
    }
    // Anyone's approval counts towards t; a named role must be among them.
    const known = rest.approvers.length;
    if (threshold > known) {
      throw unsatisfiable(
        `policy: approve ${quote(product)} wants ${threshold} approvers, the policy names ${known}`,
      );
    }
    if (threshold > ENVELOPE_SIGNATURES) {
      throw unsatisfiable(
        `policy: approve ${quote(product)} wants ${threshold} approvers, a statement holds ${ENVELOPE_SIGNATURES} signatures`,
      );
    }
    if (threshold < roles.length) {
      throw unsatisfiable(
        `policy: approve ${quote(product)} wants ${threshold} approvers of ${roles.length} roles`,
      );
    }
  }
  return { log, quorum, ...rest };
}
