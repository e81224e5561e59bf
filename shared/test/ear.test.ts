// The JSON attestation result: the shape of the draft's own examples, and the same verdict, codes
// and exit status as the verdict it was made from.

import { appraise } from "@vouch/shared/appraise";
import { formatBundle } from "@vouch/shared/bundle";
import { toBase64 } from "@vouch/shared/bytes";
import { earOf } from "@vouch/shared/ear";
import { EXIT_STATUS } from "@vouch/shared/verdict";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { publishedBytes } from "./vectors";
import { makeWorld, NOW, type WorldOptions } from "./world";

const test = suite("ear");

// biome-ignore lint/suspicious/noExplicitAny: the point of the test is what JSON.parse gives a stranger
type Ear = any;

function earFor(options: WorldOptions, releaseOnly = false) {
  const world = makeWorld(options);
  const verdict = appraise({
    bundle: formatBundle(world.bundle),
    policy: world.policy,
    crypto: nodeCrypto,
    at: NOW,
    now: NOW,
    releaseOnly,
    images: [],
    handed: null,
  });
  return { verdict, world, ear: JSON.parse(JSON.stringify(earOf(verdict, NOW, "vouch 0"))) as Ear };
}

const affecting = { id: "A-1", affects: true, listed: true } as const;
for (const [word, status, executables, options] of [
  ["patched", "affirming", 2, {}],
  ["vulnerable", "warning", 32, { advisories: [affecting] }],
  ["recalled", "contraindicated", 96, { advisories: [{ ...affecting, kind: "recall" }] }],
  ["refuted", "contraindicated", 96, { claims: { nonce: new Uint8Array(32) } }],
  ["unproven", "none", 0, { approvers: ["bob"] }],
] as readonly [string, string, number, WorldOptions][]) {
  test(`${word} is ${status}`, () => {
    const { verdict, ear } = earFor(options);
    assert.is(verdict.word, word);
    assert.is(ear.vouch.verdict, word);
    assert.is(ear.vouch.exit, EXIT_STATUS[verdict.word]);
    assert.equal(
      ear.vouch.reasons.map((r: Ear) => r.code),
      verdict.reasons.map((r) => r.code),
    );
    for (const submod of Object.values<Ear>(ear.submods)) {
      assert.is(submod.ear_status, status);
      assert.is(submod.ear_trustworthiness_vector.executables, executables);
    }
  });
}

test("the members are those of the worked example, and ours", () => {
  const worked = JSON.parse(new TextDecoder().decode(publishedBytes("worked/result.ear.json")));
  const { ear, world } = earFor({});
  assert.equal(Object.keys(ear).sort(), [...Object.keys(worked), "vouch"].sort());
  const [theirs] = Object.values<Ear>(worked.submods);
  const [ours] = Object.values<Ear>(ear.submods);
  assert.equal(Object.keys(ours), Object.keys(theirs));
  assert.is(ear.eat_profile, worked.eat_profile);
  assert.equal(ours.ear_appraisal_policy_ids, [`sha256:${world.policy.digest}`]);
});

test("a nonce is echoed only when the evidence answers its challenge", () => {
  const { ear, verdict } = earFor({});
  const nonce = toBase64(verdict.devices[0]!.nonce!)
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=/g, "");
  assert.is(ear.eat_nonce, nonce);
  assert.not("eat_nonce" in earFor({ claims: { nonce: new Uint8Array(32) } }).ear);
  assert.not("eat_nonce" in earFor({}, true).ear);
});

test.run();
