// A release of a pump in the making, over the functions behind the verbs: its images in a folder, four people who
// approve, and policies that ask for some of them.

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { utf8Encode } from "@vouch/shared/bytes";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { formatVkey, makeVkey } from "@vouch/shared/vkey";
import type { suite } from "uvu";
import { type NewRelease, newRelease, signRelease } from "../src/commands/release";
import { nodeCrypto } from "../src/crypto";
import { NOON, newFolder, newSigner, type TestSigner } from "./maker-kit";

export const vendor = newSigner("acme-vendor");
export const people = {
  alice: [newSigner("alice"), "engineering"],
  bob: [newSigner("bob"), "quality"],
  carol: [newSigner("carol"), "quality"],
  dave: [newSigner("dave"), "security"],
} as const;
export type Person = keyof typeof people;
export const APP = new Uint8Array(5000).map((_, i) => i * 7);
export const ENGINE = new Uint8Array(3000).fill(9);
export let folder = "";
export const at = (name: string) => join(folder, name);

/** Gives each test of the suite a folder of its own, with both images in it. */
export function withImages(release: ReturnType<typeof suite>): void {
  release.before.each(() => {
    folder = newFolder("release");
    writeFileSync(at("pump.bin"), APP);
    writeFileSync(at("engine.bin"), ENGINE);
  });
  release.after.each(() => rmSync(folder, { recursive: true, force: true }));
}

export const policyOf = (approve: string, vendorLine = `vendor pump ${formatVkey(vendor.vkey)}`): Policy =>
  parsePolicy(
    utf8Encode(
      `log ${formatVkey(makeVkey("log.example", 1, newSigner("l").publicKey))}\nquorum none\n${vendorLine}\n${Object.entries(
        people,
      )
        .map(([name, [signer, role]]) => `approver ${name} ${role} ${formatVkey(signer.vkey)}\n`)
        .join("")}${approve}\n`,
    ),
    nodeCrypto,
  );
const TWO = policyOf("approve pump 2 engineering quality");

export const wanted = (changes: Partial<NewRelease> = {}): NewRelease => ({
  product: "pump",
  version: "2.4.1",
  securityVersion: 7,
  floor: 5,
  model: "PUMP400",
  revisions: ["A", "B"],
  components: [
    { name: "app", path: at("pump.bin") },
    { name: "engine", path: at("engine.bin") },
  ],
  vendor: vendor.vkey,
  output: at("pump"),
  ...changes,
});

export const sealing = (policy: Policy = TWO) => ({
  file: at("pump.dsse.json"),
  suit: at("pump.suit"),
  image: at("pump.bin"),
  output: at("pump.upload"),
  policy,
});

export async function approved(...names: Person[]) {
  newRelease(wanted(), NOON);
  for (const name of names) await signRelease(at("pump.dsse.json"), [], people[name][0]);
}

/** Alice's key, on a card that lets `meanwhile` happen before it signs. */
export const slowly = (
  meanwhile: () => Promise<unknown>,
  signer: TestSigner = people.alice[0],
): TestSigner => ({
  ...signer,
  sign: async (message) => {
    await meanwhile();
    return signer.sign(message);
  },
});

export const snapshot = () =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(at(name), "hex")]));
