// An approved release is sealed: which approvals are kept, what is refused, and what a kill at any instant leaves.

import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { equalBytes, toHex, utf8Encode } from "@vouch/shared/bytes";
import { formatEnvelope, keyidOf, openEnvelope, parseEnvelope } from "@vouch/shared/dsse";
import { parseStatement, type ReleaseStatement } from "@vouch/shared/statement";
import {
  decodeEnvelope,
  encodeEnvelope,
  encodeManifest,
  splitUpload,
  verifyEnvelope,
} from "@vouch/shared/suit";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { newRelease, signRelease } from "../src/commands/release";
import { nodeCrypto } from "../src/crypto";
import { sealRelease } from "../src/seal";
import { draftEnvelope, signEnvelope } from "../src/statementfile";
import { checkUpload } from "../src/upload";
import { NOON, newFolder, newSigner, refuses, type TestSigner, withCut } from "./maker-kit";
import {
  APP,
  approved,
  at,
  folder,
  type Person,
  people,
  policyOf,
  sealing,
  slowly,
  snapshot,
  vendor,
  wanted,
  withImages,
} from "./release-kit";

const release = suite("seal");
withImages(release);

release("an approval that comes in while it is being sealed stops the seal, and is kept", async () => {
  await approved("alice", "bob");
  const file = at("pump.dsse.json");
  const slow = slowly(() => signRelease(file, [], people.carol[0]), vendor);
  await refuses("changed-meanwhile", () => sealRelease(sealing(), slow));
  assert.is(parseEnvelope(readFileSync(file)).signatures.length, 3);
  assert.is(decodeEnvelope(readFileSync(at("pump.suit"))).auth.sign1, null);
  assert.not(existsSync(at("pump.upload")));
});

release("once sealed, nobody signs: the record stays what it is", async () => {
  await approved("alice", "bob");
  const file = at("pump.dsse.json");
  const draft = readFileSync(file);
  await sealRelease(sealing(), vendor);
  const before = snapshot();
  const asked = slowly(async () => assert.unreachable("nobody is asked for a signature"), people.carol[0]);
  await refuses("already-sealed", () => signRelease(file, [], asked));
  assert.equal(snapshot(), before);
  // What the hint says: without the sealed manifest beside it, it can be approved and sealed again.
  cpSync(at("pump.suit"), at("away.suit"));
  rmSync(at("pump.suit"));
  await signRelease(file, [], people.carol[0]);
  await sealRelease(
    { ...sealing(), suit: at("away.suit"), policy: policyOf("approve pump 3 quality") },
    vendor,
  );
  assert.is(parseEnvelope(readFileSync(file)).signatures.length, 3);
  // And a seal that happens while somebody signs is seen too.
  writeFileSync(file, draft);
  const late = slowly(async () => cpSync(at("away.suit"), at("pump.suit")), people.carol[0]);
  await refuses("already-sealed", () => signRelease(file, [], late));
  assert.equal(readFileSync(file), draft);
  // Another release's sealed manifest under that name says nothing about this one.
  newRelease(wanted({ version: "9.9.9", output: at("other") }), NOON);
  cpSync(at("pump.suit"), at("other.suit"));
  await signRelease(at("other.dsse.json"), [], people.alice[0]);
});

release("approvals that a seal leaves out are kept, and a wrong policy can be made good", async () => {
  await approved("alice", "bob", "carol");
  const file = at("pump.dsse.json");
  const unsealed = at("pump.unsealed.dsse.json");
  const before = readFileSync(file);
  const wrong = await sealRelease(sealing(policyOf("approve pump 1 quality")), vendor);
  assert.is(wrong.unsealed, unsealed);
  assert.is(parseEnvelope(readFileSync(file)).signatures.length, 1);
  assert.equal(readFileSync(unsealed), before);
  cpSync(unsealed, file);
  const right = await sealRelease(sealing(policyOf("approve pump 3 quality")), vendor);
  assert.equal([right.dropped, right.unsealed], [[], null]);
  assert.equal(readFileSync(file), before);
  assert.equal(readFileSync(unsealed), before);
});

release("what is kept adds up, and another statement's is never written over", async () => {
  await approved("alice", "bob", "carol");
  const file = at("pump.dsse.json");
  const draft = parseEnvelope(readFileSync(file));
  await sealRelease(sealing(), vendor);
  let second = { ...draft, signatures: [] as (typeof draft.signatures)[number][] } as typeof draft;
  for (const name of ["alice", "bob", "dave"] as const) second = await signEnvelope(second, people[name][0]);
  writeFileSync(file, formatEnvelope(second));
  await sealRelease(sealing(), vendor);
  const all = Object.values(people).map(([signer]) => signer);
  const kept = parseEnvelope(readFileSync(at("pump.unsealed.dsse.json")));
  assert.is(openEnvelope(kept, all, nodeCrypto).length, 4);

  newRelease(wanted({ version: "2.4.2", output: at("next") }), NOON);
  for (const signer of all) await signRelease(at("next.dsse.json"), [], signer);
  cpSync(at("pump.unsealed.dsse.json"), at("next.unsealed.dsse.json"));
  const before = snapshot();
  const next = { ...sealing(), file: at("next.dsse.json"), suit: at("next.suit"), output: at("next.upload") };
  await refuses("exists", () => sealRelease(next, vendor));
  assert.equal(snapshot(), before);
});

release("seal writes what a device and a verifier accept", async () => {
  await approved("alice", "bob");
  const sealed = await sealRelease(sealing(), vendor);
  assert.equal([...sealed.approvers].sort(), ["alice", "bob"]);
  assert.equal(sealed.dropped, []);
  const upload = readFileSync(at("pump.upload"));
  checkUpload(upload, [{ product: "pump", vkey: vendor.vkey }]);
  const { envelope, payload } = splitUpload(upload);
  assert.is(toHex(envelope), toHex(readFileSync(at("pump.suit"))));
  assert.is(toHex(payload), toHex(APP));
  const suit = decodeEnvelope(envelope);
  assert.is(verifyEnvelope(suit, vendor.publicKey, nodeCrypto.sha256, nodeCrypto.verifyEd25519), 0);
});

/** Of all choices of t approvals that cover the roles, by brute force, the one whose key ids come first. */
function lowestChoice(signed: readonly Person[], t: number, roles: readonly string[]): string[] | null {
  const idOf = (name: Person) => keyidOf(people[name][0].publicKey, nodeCrypto);
  const choices: Person[][] = [];
  for (let bits = 0; bits < 1 << signed.length; bits++) {
    const choice = signed.filter((_, i) => bits & (1 << i)).sort((a, b) => (idOf(a) < idOf(b) ? -1 : 1));
    if (choice.length === t && roles.every((role) => choice.some((name) => people[name][1] === role)))
      choices.push(choice);
  }
  const key = (choice: Person[]) => choice.map(idOf).join();
  return choices.sort((a, b) => (key(a) < key(b) ? -1 : 1))[0] ?? null;
}

release(
  "seal keeps exactly t signatures for every set of signers and every rule, the lowest key ids that cover the roles",
  async () => {
    newRelease(wanted(), NOON);
    const draft = parseEnvelope(readFileSync(at("pump.dsse.json")));
    const suit = readFileSync(at("pump.suit"));
    const names = Object.keys(people) as Person[];
    for (const rule of [
      "1 quality",
      "2 quality",
      "2 engineering quality",
      "2 security",
      "3 quality",
      "3 engineering quality security",
      "4 quality",
    ]) {
      const [t = "", ...roles] = rule.split(" ");
      const policy = policyOf(`approve pump ${rule}`);
      for (let bits = 1; bits < 16; bits++) {
        const signed = names.filter((_, i) => bits & (1 << i));
        let envelope = draft;
        for (const name of signed) envelope = await signEnvelope(envelope, people[name][0]);
        writeFileSync(at("pump.dsse.json"), formatEnvelope(envelope));
        writeFileSync(at("pump.suit"), suit);
        const expected = lowestChoice(signed, Number(t), roles);
        const what = `${rule}: ${signed}`;
        if (expected === null) {
          const code = signed.length < Number(t) ? "approvals-missing" : "role-missing";
          await refuses(code, () => sealRelease(sealing(policy), vendor));
          assert.is(toHex(readFileSync(at("pump.suit"))), toHex(suit), what);
          continue;
        }
        const sealed = await sealRelease(sealing(policy), vendor);
        assert.equal(sealed.approvers, expected, what);
        assert.equal(
          [...sealed.dropped].sort(),
          signed.filter((name) => !expected.includes(name)).sort(),
          what,
        );
        const kept = parseEnvelope(readFileSync(at("pump.dsse.json")));
        const candidates = expected.map((name) => people[name as Person][0]);
        assert.is(openEnvelope(kept, candidates, nodeCrypto, Number(t)).length, Number(t), what);
      }
    }
  },
);

release(
  "a stranger's signature is left out and named; a forged one by an approver stops everything",
  async () => {
    await approved("alice", "bob");
    const stranger = newSigner("stranger");
    await signRelease(at("pump.dsse.json"), [], stranger);
    const id = keyidOf(stranger.publicKey, nodeCrypto);
    const { dropped } = await sealRelease(sealing(), vendor);
    assert.equal(dropped, [`unknown key ${id.slice(0, 16)}…`]);

    const envelope = parseEnvelope(readFileSync(at("pump.dsse.json")));
    const forged = { keyid: keyidOf(people.carol[0].publicKey, nodeCrypto), sig: new Uint8Array(64) };
    const signatures = [...envelope.signatures, forged].sort((a, b) => (a.keyid < b.keyid ? -1 : 1));
    writeFileSync(at("pump.dsse.json"), formatEnvelope({ ...envelope, signatures }));
    await refuses("bad-signature", () => sealRelease(sealing(), vendor));
  },
);

release("seal refuses, table of flaws, and writes nothing", async () => {
  await approved("alice", "bob");
  const suit = decodeEnvelope(readFileSync(at("pump.suit")));
  const dsse = parseEnvelope(readFileSync(at("pump.dsse.json")));
  const statement = parseStatement(dsse.payload) as ReleaseStatement;
  const save = (name: string, bytes: Uint8Array) => {
    writeFileSync(at(name), bytes);
    return at(name);
  };
  const unsigned = (manifestBytes: Uint8Array) =>
    encodeEnvelope(manifestBytes, nodeCrypto.sha256, new Uint8Array(0), null);
  const otherImage = save(
    "other.bin",
    APP.map((b) => b ^ 1),
  );
  const higher = save("higher.suit", unsigned(encodeManifest({ ...suit.manifest, sequence: 8 })));
  /** The statement names this manifest by digest, which says something else than the statement. */
  const contradicting = async (name: string, manifest: typeof suit.manifest) => {
    const bytes = encodeManifest(manifest);
    save(`${name}.suit`, unsigned(bytes));
    const named = { ...statement, suitDigest: toHex(nodeCrypto.sha256(bytes)) };
    const signed = await signEnvelope(
      await signEnvelope(draftEnvelope(named), people.alice[0]),
      people.bob[0],
    );
    save(`${name}.dsse.json`, formatEnvelope(signed));
    return { ...sealing(), suit: at(`${name}.suit`), file: at(`${name}.dsse.json`) };
  };
  const good = sealing();
  const { manifest } = suit;
  const rows = [
    [
      "no rule for the product",
      "no-approval-rule",
      { ...good, policy: policyOf("approve other 2 quality") },
      vendor,
    ],
    [
      "too few approvals",
      "approvals-missing",
      { ...good, policy: policyOf("approve pump 3 quality") },
      vendor,
    ],
    ["a role missing", "role-missing", { ...good, policy: policyOf("approve pump 2 security") }, vendor],
    ["another manifest", "manifest-mismatch", { ...good, suit: higher }, vendor],
    [
      "a manifest that is none",
      "suit-malformed",
      { ...good, suit: save("a.suit", utf8Encode("\u0001")) },
      vendor,
    ],
    ["another image", "image-mismatch", { ...good, image: otherImage }, vendor],
    ["a longer image", "image-mismatch", { ...good, image: save("long.bin", new Uint8Array(5001)) }, vendor],
    ["a key that isn't the vendor's", "wrong-vendor-key", good, newSigner("acme-vendor")],
    [
      "a product without vendor",
      "no-vendor",
      { ...good, policy: policyOf("approve pump 2 quality", "") },
      vendor,
    ],
    [
      "a sequence approvers didn't see",
      "manifest-contradicts-release",
      await contradicting("seq", { ...manifest, sequence: 9 }),
      vendor,
    ],
    [
      "a floor approvers didn't see",
      "manifest-contradicts-release",
      await contradicting("floor", { ...manifest, floor: 6 }),
      vendor,
    ],
    [
      "a size approvers didn't see",
      "manifest-contradicts-release",
      await contradicting("size", { ...manifest, size: 4999 }),
      vendor,
    ],
    [
      "another image's manifest",
      "manifest-contradicts-release",
      await contradicting("digest", { ...manifest, digest: new Uint8Array(32) }),
      vendor,
    ],
    [
      "another model's manifest",
      "manifest-contradicts-release",
      await contradicting("class", { ...manifest, classId: new Uint8Array(16) }),
      vendor,
    ],
    [
      "another vendor's manifest",
      "manifest-contradicts-release",
      await contradicting("vendor", { ...manifest, vendorId: new Uint8Array(16) }),
      vendor,
    ],
    [
      "a version approvers didn't see",
      "manifest-contradicts-release",
      await contradicting("version", { ...manifest, version: "9.9.9" }),
      vendor,
    ],
    [
      "hardware revisions approvers didn't see",
      "manifest-contradicts-release",
      await contradicting("revisions", { ...manifest, revisions: ["A", "B", "C"] }),
      vendor,
    ],
    ["a statement that is no release", "wrong-statement", { ...good, file: await advisoryFile() }, vendor],
  ] as const;
  const before = snapshot();
  for (const [name, code, options, signer] of rows) {
    const error = await refuses(code, () => sealRelease(options, signer)).catch((e: Error) =>
      assert.unreachable(`${name}: ${e.message}`),
    );
    assert.ok(error, name);
    assert.equal(snapshot(), before, `${name}: something was written`);
  }
});

async function advisoryFile(): Promise<string> {
  const advisory = {
    kind: "advisory",
    subjects: [{ name: "app", sha256: "0".repeat(64) }],
    id: "A-1",
    product: "pump",
    advisoryKind: "security",
    state: "affected",
    fixedVersions: [],
    summary: "x",
    created: "2026-01-15T12:00:00Z",
  } as const;
  writeFileSync(at("advisory.dsse.json"), formatEnvelope(draftEnvelope(advisory)));
  return at("advisory.dsse.json");
}

release(
  "killed before any file operation, a seal leaves whole files, and another run finishes it with the same bytes",
  async () => {
    await approved("alice", "bob", "carol", "dave");
    const base = newFolder("sealed");
    cpSync(folder, base, { recursive: true });
    await sealRelease(sealing(), vendor);
    const expected = snapshot();
    for (let cut = 0; ; cut++) {
      rmSync(folder, { recursive: true });
      cpSync(base, folder, { recursive: true });
      const { finished } = await withCut(cut, true, () => sealRelease(sealing(), vendor));
      assert.is(decodeEnvelope(readFileSync(at("pump.suit"))).fault, 0, `cut ${cut}`);
      assert.ok(parseEnvelope(readFileSync(at("pump.dsse.json"))).signatures.length >= 2, `cut ${cut}`);
      // The upload is the last to appear: where it is, the rest is done.
      if (existsSync(at("pump.upload"))) {
        for (const file of ["pump.suit", "pump.dsse.json", "pump.upload"]) {
          assert.is(readFileSync(at(file), "hex"), expected[file], `${file} after cut ${cut}`);
        }
      }
      await sealRelease(sealing(), vendor);
      for (const file of ["pump.suit", "pump.dsse.json", "pump.upload"]) {
        assert.is(readFileSync(at(file), "hex"), expected[file], `${file} after a second run, cut ${cut}`);
      }
      if (finished) break;
    }
    rmSync(base, { recursive: true });
  },
);

release("a vendor's signature that doesn't verify never leaves the program", async () => {
  await approved("alice", "bob");
  const before = snapshot();
  const broken: TestSigner = { ...vendor, sign: async () => new Uint8Array(64) };
  await refuses("bad-signature", () => sealRelease(sealing(), broken));
  assert.equal(snapshot(), before);
  assert.ok(equalBytes(APP, readFileSync(at("pump.bin"))));
});

release.run();
