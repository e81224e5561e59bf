// What kind a file is (kinds.ts): every kind that the tool writes is told and read, and no file that may be a bundle, whole,
// bent or cut, is taken for something that nobody asked about.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { formatBundle } from "@vouch/shared/bundle";
import { concatBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { formatConsistency } from "@vouch/shared/consistency";
import { draftReceipt, formatReceipt } from "@vouch/shared/cosereceipt";
import { formatCountersignature } from "@vouch/shared/countersignature";
import { auditDevice, openContext } from "@vouch/shared/fleet";
import { formatDevice, formatDeviceItem } from "@vouch/shared/fleetform";
import { formatRow } from "@vouch/shared/fleetrows";
import { formatFraud } from "@vouch/shared/fraud";
import { formatJson } from "@vouch/shared/json";
import { parseNote } from "@vouch/shared/note";
import { formatReader, formatReadersFile } from "@vouch/shared/readerkey";
import { isRefusal } from "@vouch/shared/refusal";
import { formatRenewalDraft } from "@vouch/shared/renewal";
import { REPORT_VERSION } from "@vouch/shared/report";
import { MODE_PRIVATE } from "@vouch/shared/stream";
import { sealGrant } from "@vouch/shared/streamgrant";
import { formatHead } from "@vouch/shared/streamhead";
import { formatVkey } from "@vouch/shared/vkey";
import { formatAnswer } from "@vouch/shared/witness";
import { x25519Public } from "@vouch/shared/x25519";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { first, renewed, world, YEAR } from "../../shared/test/renewal-kit";
import { keyOf, makeWorld, NOW } from "../../shared/test/world";
import { tell, toldText } from "../src/commands/inspect";
import { nodeCrypto as crypto } from "../src/crypto";
import { checkForm, FORMATS, type Kind, kindOf } from "../src/kinds";
import { makeMcuboot } from "./mcuboot-kit";
import { Recording } from "./stream-sample";

const kinds = suite("kinds");

// ---- One of each

const fill = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) & 0xff);
const [device] = world.bundle.devices;
const [checkpoint] = world.bundle.checkpoints;
const { note, receipts } = checkpoint!;
const bundle = formatBundle(world.bundle);
const context = formatBundle({ ...world.bundle, devices: [] });
const inContext = { context: toHex(crypto.sha256(context)), ...device! };
const line = (...parts: Uint8Array[]) => concatBytes(parts.flatMap((part) => [part, Uint8Array.of(10)]));
const countersignature = formatCountersignature({
  of: "bundle",
  algorithm: "ml-dsa-65",
  keyid: "5a".repeat(32),
  signature: fill(3309),
});
const fraud = formatFraud({ kind: "split-view", first: note, second: note, proof: [] });
const log = keyOf("acme", "acme.example/log");
const coseReceipt = formatReceipt(
  draftReceipt(fill(32), log.vkey, crypto),
  { size: 5n, index: 2n, hashes: [fill(32), fill(32), fill(32)] },
  fill(64),
);
const reader = { name: "clinic", publicKey: x25519Public(fill(32)) };
const witnessed = makeWorld({ witnesses: 1 }).bundle.checkpoints[0]!.note;
const judged = auditDevice(
  formatDevice(inContext),
  openContext(context, question()),
  "pumps.jsonl:2",
  question(),
);

function question() {
  const { policy, images } = world;
  return { policy, crypto, at: NOW, now: NOW, images, tool: "vouch test" };
}

/** Bytes as the tool writes them; or the test that has such a file from where it comes, and asks inspect. */
const EXAMPLES: { readonly [K in Kind]: Uint8Array | `${string}.${"txt" | "ts"}` } = {
  bundle,
  "renewed bundle": renewed(bundle, first, NOW + YEAR),
  countersignature: line(countersignature),
  "countersigned bundle": concatBytes([line(countersignature), bundle]),
  "renewal draft": formatRenewalDraft({
    salt: fill(32),
    policy: world.policy.digest,
    verdict: "patched",
    at: "2026-01-15T09:00:00Z",
    statement: world.bundle.status.statement,
  }),
  challenge: "scripts/inspect.txt",
  "enrolment file": "scripts/inspect.txt",
  "evidence salt": "scripts/inspect.txt",
  "DSSE statement": world.bundle.release.statement,
  "device evidence": device!.evidence,
  "SUIT manifest": world.bundle.manifest,
  upload: "scripts/inspect.txt",
  "MCUboot image": makeMcuboot(),
  policy: utf8Encode(world.policyText),
  "verifier key": utf8Encode(`${formatVkey(log.vkey)}\n`),
  "signed checkpoint": note,
  "tlog-proof": receipts[0]!.proof,
  "consistency proof": formatConsistency({ old: 2n, hashes: [fill(32)], checkpoint: note }),
  "cosignature of a checkpoint": formatAnswer(
    parseNote(witnessed)
      .signatures.slice(1)
      .map((signature) => signature.line),
  ),
  "COSE receipt": coseReceipt,
  "fraud proof": fraud,
  walk: "rebased.test.ts",
  "receipt of IOTA's ledger": "rebased.test.ts",
  "draft of an IOTA transaction": "rebased-client.test.ts",
  "receipt of a Tangle": "stardust-commands.test.ts",
  "trust file of a Tangle": "stardust-commands.test.ts",
  "draft of a Tangle's block": "stardust-client.test.ts",
  "fleet file": line(context, formatDevice(inContext)),
  "owner's rows of a fleet": line(
    formatRow({
      root: "5a".repeat(32),
      size: 1n,
      index: 0n,
      salt: fill(16),
      record: formatDevice(inContext),
      proof: [],
    }),
  ),
  "audit result": utf8Encode(`${judged.line}\n`),
  report: line(
    formatJson({
      version: REPORT_VERSION,
      at: "",
      word: null,
      words: {},
      devices: 0,
      policies: [],
      tools: [],
    }),
  ),
  "recording of a stream": new Recording().seconds(20).timed().closed(),
  "reader's key": utf8Encode(`${formatReader(reader)}\n`),
  "readers' file": formatReadersFile({ mode: MODE_PRIVATE, readers: [reader] }),
  grant: sealGrant(
    { id: fill(16), parts: [{ epoch: 0, seq: 0, kind: "forward", keys: fill(32).reverse() }] },
    reader.publicKey,
    fill(32),
  ),
  "head of a stream": formatHead({ id: fill(16), epoch: 0, seq: 9, link: fill(32), salt: fill(16) }),
  "state of `stream verify`": utf8Encode('{"version":"vouch-stream-heads/v1","heads":[]}'),
  "state of a delivery": utf8Encode('{"version":"vouch-cursor/v1","to":"tcp://ward:1"}\n'),
  "state of a monitor": utf8Encode('{"version":"vouch-monitor/v1","log":"log.example"}'),
  "index of an audit's store": concatBytes([utf8Encode("vouch-audit-index/v1\n"), fill(200)]),
  "simulated device": concatBytes([utf8Encode('{"version":"vouch-sim/v1","random":true}\n'), fill(900)]),
};

for (const [kind, example] of Object.entries(EXAMPLES)) {
  kinds(`inspect reads: ${kind}`, () => {
    if (typeof example === "string") {
      const test = readFileSync(join("host-cli/test", example), "utf8");
      assert.ok(test.includes(kind), `${example} has none`);
      assert.match(test, /inspect/);
      return;
    }
    const told = tell(example);
    assert.is(told.kind, kind);
    assert.match(toldText(told), /^not verified: ./m);
  });
}

kinds("the other forms of a fleet file, and of one that renewals stand in front of", () => {
  for (const bytes of [
    line(formatDevice(inContext)),
    item(context, formatDeviceItem(inContext)),
    item(formatDeviceItem(inContext)),
  ]) {
    assert.is(tell(bytes).kind, "fleet file");
    assert.is(tell(bytes).fields["devices"], 1);
  }
  for (const cut of [1, 40, 300])
    assert.throws(
      () => tell(item(context, formatDeviceItem(inContext)).slice(0, -cut)),
      (e: unknown) => isRefusal(e) && e.code === "truncated",
    );
});

/** Items of a CBOR sequence. */
const item = (...items: Uint8Array[]) =>
  concatBytes(
    items.flatMap((bytes) => [Uint8Array.of(0x5a, 0, 0, bytes.length >> 8, bytes.length & 0xff), bytes]),
  );

kinds("nothing that opens a reading is told: not a grant's keys, not a device's flash", () => {
  for (const kind of ["grant", "simulated device"] as const) {
    const text = toldText(tell(EXAMPLES[kind] as Uint8Array));
    assert.not.match(text, new RegExp(toHex(fill(32).reverse()).slice(0, 16)));
  }
});

// ---- None forgotten

/** Source as it is, comments and all: a format that is only spoken of would be found too. */
function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true }))
    if (entry.isFile() && entry.name.endsWith(".ts"))
      yield readFileSync(join(entry.parentPath ?? entry.path, entry.name), "utf8");
}

kinds("every format that the source names has a kind: `vouch-NAME/v` of whoever writes or reads it", () => {
  const named = new Set<string>();
  for (const folder of ["shared/src", "host-cli/src", "firmware/src"])
    for (const source of sources(folder))
      for (const [, name = ""] of source.matchAll(/\b(vouch-[a-z]+(?:-[a-z]+)*)(?:\(-[a-z]+\)\?)?\\?\/v/g))
        named.add(name);
  assert.equal([...named].sort(), [...FORMATS].sort());
});

// ---- Whether there is a question

const judgedAs = (form: Parameters<typeof checkForm>[0], bytes: Uint8Array): string => {
  try {
    checkForm(form, bytes);
    return "judged";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return error.code;
  }
};

const WHOLE = [
  ["bundle", "a bundle", bundle],
  ["bundle", "a renewed bundle", EXAMPLES["renewed bundle"]],
  ["bundle", "a countersigned bundle", EXAMPLES["countersigned bundle"]],
  ["bundle", "a bundle of the next version", utf8Encode('{"version":"vouch-bundle/v3","release":{}}')],
  ["fraud", "a fraud proof", fraud],
  ["proof", "a tlog-proof", EXAMPLES["tlog-proof"]],
  ["proof", "a COSE receipt", coseReceipt],
] as const;

for (const [form, name, example] of WHOLE) {
  const whole = example as Uint8Array;
  kinds(`is judged: ${name}, any bit of its beginning bent, and a bit of any byte`, () => {
    const bent = whole.slice();
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < (at < 128 ? 8 : 1); bit++) {
        bent[at]! ^= 1 << bit;
        if (judgedAs(form, bent) !== "judged") assert.unreachable(`bit ${bit} of byte ${at}`);
        bent[at]! ^= 1 << bit;
      }
    }
  });

  kinds(`is judged: ${name}, cut anywhere, a byte gone or one more`, () => {
    for (let length = 1; length <= whole.length; length += length < 128 ? 1 : 97) {
      assert.is(judgedAs(form, whole.subarray(0, length)), "judged", `cut to ${length}`);
    }
    for (let at = 0; at < 64; at++) {
      const head = whole.subarray(0, at);
      assert.is(judgedAs(form, concatBytes([head, whole.subarray(at + 1)])), "judged", `without byte ${at}`);
      const more = concatBytes([head, utf8Encode("x"), whole.subarray(at)]);
      assert.is(judgedAs(form, more), "judged", `one more at ${at}`);
    }
  });
}

kinds("is judged: what is too short to say what it is", () => {
  for (const text of ["{", "{}", '{"version":'])
    for (const form of ["bundle", "fraud"] as const)
      assert.is(judgedAs(form, utf8Encode(text)), "judged", text);
});

const CODES = { bundle: "not-a-bundle", fraud: "not-a-fraud-proof", proof: "not-a-proof" } as const;
/** Kinds that are what was asked for, or begin as it does. */
const OWN: Record<keyof typeof CODES, readonly Kind[]> = {
  bundle: ["bundle", "renewed bundle", "countersigned bundle", "countersignature", "fleet file"],
  fraud: ["fraud proof"],
  proof: ["tlog-proof", "COSE receipt"],
};

for (const form of ["bundle", "fraud", "proof"] as const) {
  for (const [kind, example] of Object.entries(EXAMPLES)) {
    if (typeof example === "string" || OWN[form].includes(kind as Kind)) continue;
    kinds(`is no ${form}, and no verdict: ${kind}`, () => assert.is(judgedAs(form, example), CODES[form]));
  }
  for (const [name, bytes] of [
    ["an empty file", new Uint8Array(0)],
    ["prose", utf8Encode("# vouch\n\nProves that a medical device runs\n")],
    ["JSON of others", utf8Encode('{"bomFormat":"CycloneDX","version":1}')],
    ["an image", fill(4000)],
    ["a picture", Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a)],
  ] as const)
    kinds(`is no ${form}, and no verdict: ${name}`, () => assert.is(judgedAs(form, bytes), CODES[form]));
}

kinds("what was found is said, a private key by that name alone", () => {
  for (const [bytes, words] of [
    [new Uint8Array(0), /^found an empty file, expected a bundle \(\.vouch\.json\)$/],
    [world.bundle.release.statement, /^found a release statement, /],
    [world.bundle.status.statement, /^found a status statement, /],
    [EXAMPLES.policy as Uint8Array, /^found a policy, /],
    [device!.evidence, /^found device evidence, /],
    [utf8Encode("-----BEGIN PRIVATE KEY-----\nMC4CAQ"), /^found a private key, /],
    [utf8Encode("hello"), /^found 5 bytes of text that are no artefact of vouch, /],
  ] as const)
    assert.throws(
      () => checkForm("bundle", bytes),
      (e: unknown) => isRefusal(e) && words.test(e.message),
    );
});

kinds("a text that could keep a pattern busy is told at once", () => {
  const hostile = utf8Encode(`${"a+01234567+".repeat(200_000)} b`);
  const before = process.cpuUsage();
  assert.is(kindOf(hostile), null);
  assert.ok(process.cpuUsage(before).user < 20e6); // squared, it would be hours
});

kinds.run();
