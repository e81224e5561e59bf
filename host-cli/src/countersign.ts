// A statement in a file that several people sign, each at a time of their own.
//
// Signing may wait for a person or a card. What others did to the file in that time is read
// again, under its lock, and kept: nobody's signature is lost to somebody else's.

import { equalBytes } from "@vouch/shared/bytes";
import { addSignature, formatEnvelope, keyidOf } from "@vouch/shared/dsse";
import { Refusal } from "@vouch/shared/refusal";
import type { Statement } from "@vouch/shared/statement";
import { nodeCrypto } from "./crypto";
import { about } from "./exit";
import { withFileLock } from "./lock";
import type { Signer } from "./signer";
import { type StatementFile, signEnvelope } from "./statementfile";
import { writeWhole } from "./writefiles";

const LOCK_TIMEOUT_MS = 30_000;

export interface Countersigned<S extends Statement> {
  readonly statement: S;
  readonly keyid: string;
  readonly signatures: number;
}

/**
 * Adds the signer's signature to the file that `read` reads; `check` looks at it before and after the signer is
 * asked, `shown` is what a person was shown of it: that is signed, or nothing. Refuses `already-signed`,
 * `changed-meanwhile`, `locked`, and what the two refuse.
 */
export async function countersign<S extends Statement>(
  file: string,
  read: (file: string) => StatementFile<S>,
  signer: Signer,
  check: (statement: S) => void = () => {},
  shown: StatementFile<S> = read(file),
): Promise<Countersigned<S>> {
  const { envelope, statement } = shown;
  check(statement);
  const signed = await about(file, () => signEnvelope(envelope, signer));
  const keyid = keyidOf(signer.publicKey, nodeCrypto);
  const given = signed.signatures.find((signature) => signature.keyid === keyid)?.sig;
  if (given === undefined) throw new Error("the signature just given is missing");
  return withFileLock(file, LOCK_TIMEOUT_MS, async () => {
    const { envelope: now } = read(file);
    if (!equalBytes(now.payload, envelope.payload)) {
      throw new Refusal("changed-meanwhile", `${file} states something else than what was being signed`, {
        hint: "read it and sign it again",
      });
    }
    check(statement);
    const both = about(file, () => addSignature(now, signer.publicKey, given, nodeCrypto));
    writeWhole(file, formatEnvelope(both));
    return { statement, keyid, signatures: both.signatures.length };
  });
}
