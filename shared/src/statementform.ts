// The statements of statement.ts, kind by kind: read from the subjects and the predicate of an in-toto Statement, and
// taken apart into them again.
//
//   kind                 subjects                                  what must agree, beside the shapes of predicates.ts
//   release              the components                            names differ; the floor isn't above the security version
//   status               the log's origin, and its root            lists no record beyond the log it speaks for
//   enrolment            device-key, SHA-256 of the public key     that it is; a proper key; a UEID of type RAND
//   …-commitment         enrolment, evidence, fleet, stream or renewal, and the hash
//   advisory, advisory-withdrawal                                  advisoryform.ts
//   rotation, revocation, closing                                  keychange.ts
//
// What a reader gives back and a printer takes are the same, to the byte: readJson in statement.ts sees to it.

import { advisoryParts, readAdvisory, readWithdrawal, withdrawalParts } from "./advisoryform";
import { toBase64, toHex } from "./bytes";
import { text } from "./json";
import { closingFrom, isKeyStatement, keyStatementParts, revocationFrom, rotationFrom } from "./keychange";
import { component, distinct, PREDICATES, type Predicate, type StatementKind } from "./predicates";
import { quote, Refusal } from "./refusal";
import { sha256 } from "./sha256";
import type { Statement, StatusStatement, Subject } from "./statement";
import { checkPublicKey } from "./strict";

/** The statement of this kind. `at` is where it stands. Throws `malformed-json`. */
export function fromParts(
  kind: StatementKind,
  list: readonly Subject[],
  predicate: unknown,
  at: string,
  hash: (bytes: Uint8Array) => Uint8Array,
): Statement {
  const where = `${at}.predicate`;
  switch (kind) {
    case "release": {
      const { suit, sbom, source, entry, ...rest } = PREDICATES.release(predicate, where);
      if (rest.floor > rest.securityVersion) {
        throw new Refusal(
          "malformed-json",
          `${where}.floor is ${rest.floor}, above its own securityVersion ${rest.securityVersion}`,
        );
      }
      for (const { name } of list) component(name, `${at}.subject`);
      distinct(
        text(32),
        1,
        4,
      )(
        list.map((s) => s.name),
        `${at}.subject`,
      );
      return {
        kind,
        subjects: list,
        ...rest,
        entry: { offset: 0, length: entry.length },
        suitDigest: suit.digest.sha256,
        ...(sbom && { sbom: { sha256: sbom.digest.sha256, mediaType: sbom.mediaType } }),
        ...(source && { sourceCommit: source.commit }),
      };
    }
    case "advisory":
      return readAdvisory(list, predicate, at);
    case "advisory-withdrawal":
      return readWithdrawal(list, predicate, at);
    case "status": {
      const { advisories, withdrawn, rotations, revocations, ...rest } = PREDICATES.status(predicate, where);
      const listed: readonly { index: number; id?: string }[] = [
        ...advisories,
        ...(rotations ?? []),
        ...(revocations ?? []),
      ];
      const beyond = listed.find(({ index }) => index >= rest.logSize);
      if (beyond) {
        const what = beyond.id === undefined ? "a change of keys" : quote(beyond.id);
        throw new Refusal(
          "malformed-json",
          `${where} lists ${what} as record ${beyond.index} of a log of size ${rest.logSize}`,
        );
      }
      const [log] = single(list, null, at);
      return {
        kind,
        origin: log.name,
        rootSha256: log.sha256,
        ...rest,
        advisories: advisories.map(({ id, index, digest }) => ({ id, index, sha256: digest.sha256 })),
        withdrawn: withdrawn.map(({ digest, reason }) => ({ sha256: digest.sha256, reason })),
        ...(rotations && {
          rotations: rotations.map(({ index, digest }) => ({ index, sha256: digest.sha256 })),
        }),
        ...(revocations && {
          revocations: revocations.map(({ key, index, digest }) => ({ key, index, sha256: digest.sha256 })),
        }),
      };
    }
    case "enrolment": {
      const claims = PREDICATES.enrolment(predicate, where);
      const [key] = single(list, "device-key", at);
      if (toHex(hash(claims.publicKey)) !== key.sha256) {
        throw new Refusal("malformed-json", `${at}.subject isn't the SHA-256 of ${where}.publicKey`);
      }
      if (checkPublicKey(claims.publicKey) !== 0) {
        throw new Refusal("malformed-json", `${where}.publicKey isn't a proper Ed25519 key`);
      }
      if (!claims.ueid.startsWith("01"))
        throw new Refusal("malformed-json", `${where}.ueid isn't of type RAND (01)`);
      return { kind, ...claims };
    }
    case "enrolment-commitment":
    case "evidence-commitment": {
      const { created } = PREDICATES[kind](predicate, where);
      const [committed] = single(list, kind === "enrolment-commitment" ? "enrolment" : "evidence", at);
      return { kind, sha256: committed.sha256, created };
    }
    case "renewal-commitment": {
      const { digest: longer, created } = PREDICATES[kind](predicate, where);
      const [committed] = single(list, "renewal", at);
      return { kind, sha256: committed.sha256, sha512: longer.sha512, sha3: longer["sha3-256"], created };
    }
    case "fleet-commitment": {
      const [tree] = single(list, "fleet", at);
      return { kind, sha256: tree.sha256, ...PREDICATES[kind](predicate, where) };
    }
    case "stream-commitment": {
      const [head] = single(list, "stream", at);
      return { kind, sha256: head.sha256, ...PREDICATES[kind](predicate, where) };
    }
    case "rotation":
      return rotationFrom(single(list, null, at)[0], PREDICATES.rotation(predicate, where), at);
    case "revocation":
      return revocationFrom(single(list, "device-key", at)[0], PREDICATES.revocation(predicate, where), at);
    case "closing":
      return closingFrom(single(list, null, at)[0], PREDICATES.closing(predicate, where), at);
    default:
      return kind satisfies never;
  }
}

/** The one subject, of this name if one is wanted. */
function single(list: readonly Subject[], name: string | null, at: string): [Subject] {
  const [only, second] = list;
  if (only === undefined || second !== undefined || (name !== null && only.name !== name)) {
    throw new Refusal(
      "malformed-json",
      `${at}.subject isn't one item${name === null ? "" : ` named ${quote(name)}`}`,
    );
  }
  return [only];
}

const digest = (hexText: string) => ({ digest: { sha256: hexText } });

const keyListsOf = ({ rotations, revocations }: StatusStatement) => ({
  ...(rotations && { rotations: rotations.map(({ index, sha256 }) => ({ index, ...digest(sha256) })) }),
  ...(revocations && {
    revocations: revocations.map(({ key, index, sha256 }) => ({ key, index, ...digest(sha256) })),
  }),
});

/** Subjects and predicate. Keys in the order of PREDICATES: it is the order in which they are printed. */
export function partsOf(s: Statement): { subjects: readonly Subject[]; predicate: object } {
  if (isKeyStatement(s)) {
    const { subject, predicate } = keyStatementParts(s);
    return { subjects: [subject], predicate };
  }
  switch (s.kind) {
    case "release": {
      const { product, version, securityVersion, floor, hardware, entry, changeClass, created } = s;
      const predicate: Predicate<"release"> = {
        product,
        version,
        securityVersion,
        floor,
        hardware: { model: hardware.model, revisions: [...hardware.revisions] },
        entry: { offset: entry.offset, length: entry.length },
        suit: digest(s.suitDigest),
        changeClass,
        created,
        ...(s.udiDi !== undefined && { udiDi: s.udiDi }),
        ...(s.sbom && { sbom: { ...digest(s.sbom.sha256), mediaType: s.sbom.mediaType } }),
        ...(s.sourceCommit !== undefined && { source: { commit: s.sourceCommit } }),
        ...(s.supportEnds !== undefined && { supportEnds: s.supportEnds }),
      };
      return { subjects: s.subjects, predicate };
    }
    case "advisory":
      return advisoryParts(s);
    case "advisory-withdrawal":
      return withdrawalParts(s);
    case "status": {
      const { product, logSize, created } = s;
      const advisories = s.advisories.map(({ id, index, sha256 }) => ({ id, index, ...digest(sha256) }));
      const withdrawn = s.withdrawn.map(({ sha256, reason }) => ({ ...digest(sha256), reason }));
      return {
        subjects: [{ name: s.origin, sha256: s.rootSha256 }],
        predicate: {
          product,
          logSize,
          advisories,
          withdrawn,
          ...keyListsOf(s),
          created,
          ...(s.newest && { newest: s.newest }),
        },
      };
    }
    case "enrolment": {
      const { product, model, serial, ueid, keyOrigin, created } = s;
      const publicKey = toBase64(s.publicKey);
      const hash = toHex(sha256(s.publicKey));
      return {
        subjects: [{ name: "device-key", sha256: hash }],
        predicate: { product, model, serial, ueid, publicKey, keyOrigin, created },
      };
    }
    case "enrolment-commitment":
      return {
        subjects: [{ name: "enrolment", sha256: s.sha256 }],
        predicate: { created: s.created },
      };
    case "evidence-commitment":
      return {
        subjects: [{ name: "evidence", sha256: s.sha256 }],
        predicate: { created: s.created },
      };
    case "fleet-commitment":
      return {
        subjects: [{ name: "fleet", sha256: s.sha256 }],
        predicate: { size: s.size, created: s.created },
      };
    case "stream-commitment":
      return {
        subjects: [{ name: "stream", sha256: s.sha256 }],
        predicate: { created: s.created },
      };
    case "renewal-commitment":
      return {
        subjects: [{ name: "renewal", sha256: s.sha256 }],
        predicate: { digest: { sha512: s.sha512, "sha3-256": s.sha3 }, created: s.created },
      };
    default:
      return s satisfies never;
  }
}
