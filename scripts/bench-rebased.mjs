// How long receipts of IOTA's ledger take, on a simulated network with a committee of mainnet's size: for bench.mjs.
//
//   certificate, keys cached   one check / noble's bare pairing check of the same signature     goal <= 3
//   certificate, cold          the same with 62 keys to decode and to check
//   a year of epochs           366 closes, from a root to a receipt, in CPU seconds             goal <= 40
//   a year, known already      the same with what the first run proved                          goal <= 1
//
// bench.mjs takes the files that are written here for a row of its own: the whole process.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { cpu, loadModules } from "./bench-load.mjs";

const MODULES = `
    export { bls12_381 } from "@noble/curves/bls12-381";
    export { makeBlsKeys } from "@vouch/shared/curves";
    export { checkCertificate, readCertificate } from "@vouch/shared/rebased/certificate";
    export { readSummary } from "@vouch/shared/rebased/checkpoint";
    export { makeRebasedVerifier } from "@vouch/shared/rebased/judge";
    export { formatRebasedReceipt } from "@vouch/shared/rebased/receipt";
    export { formatRoot } from "@vouch/shared/rebased/root";
    export { rootOf } from "@vouch/shared/rebased/walk";
    export { walkMember } from "@vouch/shared/rebased/walkform";
    export { formatBundle } from "@vouch/shared/bundle";
    export { concatBytes } from "@vouch/shared/bytes";
    export { u64Bytes } from "@vouch/shared/rebased/bcs";
    export { nodeCrypto } from "./host-cli/src/crypto";
    export * from "./shared/test/rebased-kit";
    export { makeWorld } from "./shared/test/world";`;

/** Writes year.vouch.json, year.policy and year.state for the process that verifies them. */
export async function benchRebased(folder, { rounds, result }, count) {
  const v = await loadModules(folder, "rebased", MODULES);
  const stakes = Array.from({ length: 62 }, (_, i) => (i < 18 ? 162 : 161));
  const validators = v.makeValidators("bench", stakes);
  const committee = v.committeeOf(100n, validators);
  const year = Array.from({ length: 366 }, (_, i) => v.closeEpoch(100n + BigInt(i), validators, validators));
  const walk = v.walkMember({ start: committee, closes: year });
  const root = v.rootOf("simulated", committee, v.nodeCrypto);
  const world = v.makeWorld({
    receipts: (note, time) => [
      {
        kind: "rebased",
        proof: v.formatRebasedReceipt(v.anchorNote(note, 466n, validators, { time }).receipt),
      },
    ],
    walk,
    dropPolicyLines: /^ledger/,
    policyLines: [`ledger rebased ${v.formatRoot(root)}`],
  });
  writeFileSync(join(folder, "year.vouch.json"), v.formatBundle(world.bundle));
  writeFileSync(join(folder, "year.policy"), world.policyText);

  const [{ note, receipts }] = world.bundle.checkpoints;
  const first = v.makeRebasedVerifier();
  const judge = (verifier) => verifier.open(walk, [root], v.nodeCrypto)(receipts[0].proof, note);
  const cold = cpu(() => judge(first));
  const known = first.proved();
  const warm = cpu(() => judge(v.makeRebasedVerifier(known)));
  const lines = known.map(({ from, proved }) => `${v.formatRoot(from)} ${v.formatRoot(proved)}\n`);
  writeFileSync(join(folder, "year.state"), lines.join(""));

  const { receipt } = v.anchorNote(note, 100n, validators, {});
  const summary = v.readSummary(receipt.summary);
  const certificate = v.readCertificate(receipt.certificate);
  const cached = v.makeBlsKeys();
  const check = (keys) => () => cpu(() => v.checkCertificate(summary, certificate, committee, keys));
  const { shortSignatures, G1, G2 } = v.bls12_381;
  const text = v.concatBytes([new Uint8Array([2, 0, 0]), summary.bcs, v.u64Bytes(100n)]);
  const all = shortSignatures.aggregatePublicKeys(validators.map((m) => G2.Point.fromBytes(m.publicKey)));
  const [message, signature] = [shortSignatures.hash(text), G1.Point.fromBytes(certificate.signature)];
  const bare = () => cpu(() => shortSignatures.verify(signature, message, all));
  const coldCheck = () => check(v.makeBlsKeys())();
  check(cached)();
  const rows = rounds(count, [bare, check(cached), coldCheck]);
  const against = (name, column, goal) =>
    result(name, rows, {
      ratio: (row) => row[column] / row[0],
      ours: (row) => 1000 * row[column],
      peer: (row) => 1000 * row[0],
      unit: "ms",
      against: "noble's bare verify",
      goal,
    });
  const once = (name, seconds, most) =>
    result(name, [[1, seconds]], {
      ratio: (row) => row[1],
      ours: (row) => 1000 * row[1],
      peer: (row) => 1000 * row[0],
      unit: "ms",
      against: "a second",
      goal: { most },
    });
  return {
    results: [
      against("certificate of 62, keys cached", 1, { most: 3 }),
      against("certificate of 62, cold", 2, null),
      once("a year of epochs, s", cold, 40),
      once("a year, known already, s", warm, 1),
    ],
    skipped: [],
  };
}
