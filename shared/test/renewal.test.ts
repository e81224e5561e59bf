// A bundle renewed after ten years by one archive and after twenty by another: it holds when every key that it was
// signed with has long been nobody's, and only because each renewal came in time. Real signatures, made-up decades.

import { readFileSync } from "node:fs";
import { formatBundle } from "@vouch/shared/bundle";
import { concatBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import type { Crypto } from "@vouch/shared/crypto";
import { parseEnvelope } from "@vouch/shared/dsse";
import { sha3_256, sha512 } from "@vouch/shared/hash";
import { parsePolicy } from "@vouch/shared/policy";
import { makeRebasedVerifier } from "@vouch/shared/rebased/judge";
import { formatRebasedReceipt } from "@vouch/shared/rebased/receipt";
import { formatRoot } from "@vouch/shared/rebased/root";
import { rootOf } from "@vouch/shared/rebased/walk";
import { walkMember } from "@vouch/shared/rebased/walkform";
import {
  formatRenewalDraft,
  parseRenewalDraft,
  parseRenewed,
  renewalDigests,
  renewalsOf,
} from "@vouch/shared/renewal";
import type { Statement } from "@vouch/shared/statement";
import { isoTime } from "@vouch/shared/time";
import { formatVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { appraiseAlike } from "./alike";
import { anchorNote, closeEpoch, committeeOf, makeValidators } from "./rebased-kit";
import { rememberingCrypto } from "./remembering";
import { archive, content, first, linesOf, renewed, second, world, YEAR } from "./renewal-kit";
import { type Key, makeWorld, NOW, T0 } from "./world";

const crypto = rememberingCrypto();

type Validators = ReturnType<typeof makeValidators>;

const ends = (line: RegExp, time: number) => {
  const vkey = [...world.policyText.matchAll(/^.* (\S+\+\S+)$|^log (\S+)$/gm)].find(([text]) =>
    line.test(text),
  );
  return `distrust ${vkey?.[1] ?? vkey?.[2]} ${isoTime(time)}`;
};
const endsKey = (key: Key, time: number) => `distrust ${formatVkey(key.vkey)} ${isoTime(time)}`;

/** Every key of the world ends after twelve years, those of the first archive after twenty-two. */
const OLD = [/^log /, /^approver alice/, /^approver bob/, /^vendor /, /^status /, /^enroller /, /^ledger /];
const DISTRUST = [
  ...OLD.map((line) => ends(line, T0 + 12 * YEAR)),
  ...[first.log, first.renewer, first.ledger].map((key) => endsKey(key, T0 + 22 * YEAR)),
];

function verdictOf(file: Uint8Array, lines: readonly string[], years: number, asked = crypto) {
  const text = [world.policyText.trimEnd(), ...linesOf(first), ...linesOf(second), ...lines, ""].join("\n");
  return appraiseAlike({
    bundle: file,
    policy: parsePolicy(utf8Encode(text), crypto),
    crypto: asked,
    at: NOW,
    now: T0 + years * YEAR,
    releaseOnly: false,
    images: world.images,
    handed: null,
    rebased: makeRebasedVerifier().open,
  });
}

const once = renewed(content, first, T0 + 10 * YEAR);
const twice = renewed(once, second, T0 + 20 * YEAR);

const test = suite("renewal");

test("twice renewed, it is patched when all keys it was signed with are nobody's any more", () => {
  const verdict = verdictOf(twice, DISTRUST, 25);
  assert.is(verdict.word, "patched", JSON.stringify(verdict.reasons));
  assert.equal(
    verdict.renewals?.map(({ by, time }) => [by, time]),
    [
      ["second.example/renewer", T0 + 20 * YEAR],
      ["first.example/renewer", T0 + 10 * YEAR],
    ],
  );
  assert.ok(
    verdict.notes.some((note) => note.includes("distrusted since")) === false,
    "nothing it rests on is",
  );
});

for (const [name, file, years, word] of [
  ["the bare bundle, while its keys stand", content, 11, "patched"],
  ["the bare bundle, afterwards", content, 13, "unproven"],
  ["renewed once, while the archive's keys stand", once, 21, "patched"],
  ["renewed once, afterwards", once, 25, "unproven"],
  ["renewed for the second time when it was too late", renewed(once, second, T0 + 23 * YEAR), 25, "unproven"],
  [
    "renewed for the first time when it was too late",
    renewed(content, second, T0 + 13 * YEAR),
    25,
    "unproven",
  ],
] as const)
  test(`${name}: ${word}`, () => {
    const verdict = verdictOf(file, DISTRUST, years);
    assert.is(verdict.word, word, JSON.stringify(verdict.reasons));
  });

test("a key that ends in the second of the renewal counts no more, one that ends in the next does", () => {
  for (const line of OLD) {
    const at = (time: number) => verdictOf(once, [ends(line, time)], 25);
    assert.is(at(T0 + 10 * YEAR + 1).word, "patched", String(line));
    assert.is(at(T0 + 10 * YEAR).word, "unproven", String(line));
  }
});

for (const [name, file, code] of [
  [
    "by a renewer of another archive",
    renewed(content, first, T0 + YEAR, { signers: [second.renewer] }),
    "unknown-signer",
  ],
  ["in a log nobody named", renewed(content, archive("third"), T0 + YEAR), "unknown-log"],
  [
    "anchored on a ledger nobody named",
    renewed(content, { ...first, ledger: archive("third").ledger }, T0 + YEAR),
    "ledger-not-trusted",
  ],
  ["older than the bundle", renewed(content, first, T0 - YEAR), "renewal-order"],
  [
    "newer than what renewed it",
    renewed(renewed(content, first, T0 + 9 * YEAR), second, T0 + 8 * YEAR),
    "renewal-order",
  ],
  ["of a time still to come", renewed(content, first, T0 + 30 * YEAR), "receipt-from-future"],
  [
    "of another bundle",
    concatBytes([
      once.subarray(0, once.length - content.length),
      formatBundle(makeWorld({ device: "other" }).bundle),
    ]),
    "commitment-mismatch",
  ],
  [
    "with a record of another kind",
    renewed(content, first, T0 + YEAR, { statement: { kind: "evidence-commitment" } }),
    "wrong-statement",
  ],
  [
    "with another SHA-256",
    renewed(content, first, T0 + YEAR, { statement: { sha256: "ab".repeat(32) } as Partial<Statement> }),
    "commitment-mismatch",
  ],
  [
    "with another SHA-512",
    renewed(content, first, T0 + YEAR, { statement: { sha512: "ab".repeat(64) } as Partial<Statement> }),
    "commitment-mismatch",
  ],
  [
    "with another SHA3-256",
    renewed(content, first, T0 + YEAR, { statement: { sha3: "ab".repeat(32) } as Partial<Statement> }),
    "commitment-mismatch",
  ],
  ["without what it renews", once.subarray(0, once.length - content.length - 1), "malformed-renewal"],
  [
    "seventeen times",
    Array.from({ length: 17 }).reduce<Uint8Array>(
      (file, _, i) => renewed(file, first, T0 + YEAR + i),
      content,
    ),
    "too-large",
  ],
] as const)
  test(`refuses a renewal ${name}: ${code}`, () => {
    const verdict = verdictOf(file, [], 25);
    assert.ok(verdict.word === "refuted" || verdict.word === "unproven", verdict.word);
    assert.ok(
      verdict.reasons.some((reason) => reason.code === code),
      JSON.stringify(verdict.reasons),
    );
  });

// Epoch 5 of a simulated network of IOTA begins; the renewal is in epoch 6.
const [five, six, seven] = ["five", "six", "seven"].map((seed) =>
  makeValidators(seed, [2500, 2500, 2500, 2500]),
) as [Validators, Validators, Validators];
const start = committeeOf(5n, five);
const closes = [closeEpoch(5n, five, six), closeEpoch(6n, six, seven)];
const NETWORK = `ledger rebased ${formatRoot(rootOf("simulated", start, crypto))}`;
const onNetwork = (epochs: number) =>
  renewed(content, first, T0 + 10 * YEAR, {
    receipts: (note) => ({
      receipts: [
        {
          kind: "rebased",
          proof: formatRebasedReceipt(anchorNote(note, 6n, six, { time: T0 + 10 * YEAR }).receipt),
        },
      ],
      ...(epochs > 0 && { walk: walkMember({ start, closes: closes.slice(0, epochs) }) }),
    }),
  });

test("on IOTA's ledger, a renewal carries its walk, and no more of it than it needs", () => {
  const verdict = verdictOf(onNetwork(1), [NETWORK, ...DISTRUST], 21);
  assert.is(verdict.word, "patched", JSON.stringify(verdict.reasons));
  assert.equal(verdict.renewals?.[0]?.ledgers, ["rebased"]);
  assert.is(verdict.renewals?.[0]?.time, T0 + 10 * YEAR);
  assert.is(verdictOf(onNetwork(0), [NETWORK], 21).reasons[0]?.code, "walk-missing");
  assert.is(verdictOf(onNetwork(2), [NETWORK], 21).reasons[0]?.code, "surplus-walk");
  assert.is(verdictOf(onNetwork(1), [], 21).reasons[0]?.code, "ledger-not-trusted");
});

test("a bent byte anywhere is never patched", () => {
  const head = once.length - content.length;
  for (let i = 0; i < once.length; i += i < head ? 1 : 97) {
    const bent = once.slice();
    bent[i] = bent[i]! ^ 1;
    const { word } = verdictOf(bent, [], 25);
    assert.ok(word === "refuted" || word === "unproven", `byte ${i}: ${word}`);
  }
});

test("a SHA-256 that any bytes can be made to fit is not enough to exchange the bundle", () => {
  // The same digest for the right bytes and for the bent ones, as a collision would give: the other two tell.
  const bent = once.slice();
  bent[bent.length - 9]! ^= 1;
  const real = toHex(crypto.sha256(committed(once)));
  const broken: Crypto = {
    ...crypto,
    sha256: (bytes) =>
      toHex(crypto.sha256(bytes)) === toHex(crypto.sha256(committed(bent)))
        ? Uint8Array.from(Buffer.from(real, "hex"))
        : crypto.sha256(bytes),
  };
  const [reason] = verdictOf(bent, [], 25, broken).reasons;
  assert.is(reason?.code, "commitment-mismatch");
  assert.match(reason?.message ?? "", /sha512/);
});

/** What a renewal commits to, spelled out as the page does. */
function committed(file: Uint8Array): Uint8Array {
  const [layer] = renewalsOf(parseRenewed(file));
  const { salt, policy, verdict, at } = layer!.renewal;
  const words = utf8Encode(`${policy}\n${verdict}\n${at}\n`);
  return concatBytes([utf8Encode("vouch/renewal-commitment/v1\n"), salt, words, layer!.content]);
}

test("the file is the lines and the bundle's very bytes, and each hash is over them", () => {
  const { bundle } = parseRenewed(twice);
  const layers = renewalsOf(parseRenewed(twice));
  assert.is(layers.length, 2);
  assert.equal(bundle, content);
  assert.equal(twice.slice(-content.length), content);
  const digests = renewalDigests(layers[0]!.renewal, layers[0]!.content, crypto);
  assert.is(digests.sha512, toHex(sha512(committed(twice))));
  assert.is(digests.sha3, toHex(sha3_256(committed(twice))));
  assert.is(toHex(sha512(utf8Encode("abc"))).slice(0, 16), "ddaf35a193617aba"); // FIPS 180-4
  assert.is(toHex(sha3_256(utf8Encode("abc"))).slice(0, 16), "3a985da74fe225b2"); // FIPS 202
});

test("the pages show the first archive's renewal of this bundle", () => {
  const blocksOf = (page: string) =>
    [...readFileSync(`shared/spec/${page}.md`, "utf8").matchAll(/^```json\n(.*?)^```$/gms)].map(
      ([, text = ""]) => text.replace(/\n */g, ""),
    );
  const line = new TextDecoder().decode(once.subarray(0, once.indexOf(10)));
  assert.equal(blocksOf("renewal"), [line]);
  const { statement } = renewalsOf(parseRenewed(once))[0]!.renewal.record;
  const payload = new TextDecoder().decode(parseEnvelope(statement).payload);
  assert.is(blocksOf("predicates").at(-1), payload);
});

test("a draft is read back as it was, and in its one form alone", () => {
  const { salt, policy, verdict, at, record } = renewalsOf(parseRenewed(once))[0]!.renewal;
  const draft = { salt, policy, verdict, at, statement: record.statement };
  assert.equal(parseRenewalDraft(formatRenewalDraft(draft)), { version: "vouch-renewal-draft/v1", ...draft });
  for (const text of ["{}", `${new TextDecoder().decode(formatRenewalDraft(draft))}\n`])
    assert.throws(() => parseRenewalDraft(utf8Encode(text)));
});

for (const [name, lines, code] of [
  ["a key that no other line names", [endsKey(archive("third").log, T0)], "policy-unknown-name"],
  [
    "a time that isn't one",
    [`distrust ${formatVkey(first.log.vkey)} 2035-02-30T00:00:00Z`],
    "malformed-policy",
  ],
  ["one key twice", [endsKey(first.log, T0), endsKey(first.log, T0 + 1)], "policy-repeated"],
  ["a line of renewals twice", linesOf(first).slice(0, 1), "policy-repeated"],
  [
    "a renewer who is the log",
    [`renewals ${formatVkey(first.log.vkey)} ${formatVkey(first.log.vkey)}`],
    "policy-key-reuse",
  ],
] as const)
  test(`a policy: ${name} is ${code}`, () => {
    assert.throws(
      () => verdictOf(once, lines, 25),
      (error: { code: string }) => error.code === code,
    );
  });
test.run();
