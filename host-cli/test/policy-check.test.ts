// `vouch policy check`: what it understood of a policy, and what it warns of.

import { readFileSync, writeFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { vouch, vouchOk } from "./maker-kit";
import { at, people, sha256Of, withImages } from "./pump-kit";

const maker = suite("policy check");
withImages(maker);

maker("policy check says what it understood, and what a careful reader would ask", async () => {
  await people();
  const io = await vouch(["policy", "check", at("policy")]);
  assert.is(io.exitCode, 0);
  assert.match(io.out(), /^log {11}fwlog\.acme\.example\nquorum {8}no cosignature is asked for\n/);
  assert.match(io.out(), /approve {7}pump: 2 approvers, engineering and quality among them\n/);
  assert.match(io.out(), /max-age {7}status 30 days, evidence not said\n/);
  const codes = [...io.err().matchAll(/\[(.*)\]/g)].map((m) => m[1]);
  assert.equal(codes, [
    "quorum-none",
    "no-public-ledger",
    "no-max-age-evidence",
    "no-enroller",
    "image-not-required",
  ]);
  const json = JSON.parse(await vouchOk("policy", "check", at("policy"), "--json"));
  assert.equal(
    json.warnings.map((w: { code: string }) => w.code),
    codes,
  );
  assert.is(`${json.vendors[0].vkey}\n`, readFileSync(at("acme-vendor.vkey"), "utf8"));
  assert.is(json.digest, sha256Of("policy"));
});

maker("policy check says which ledgers are a keeper's word, and which are retired", async () => {
  await people();
  const [shimmer] = await vouchOk("ledger", "trust", "show", "shimmer").then((out) => out.split("\n"));
  const tangles = [`ledger stardust ward@${"0".repeat(64)}`, shimmer!];
  const before = readFileSync(at("policy"), "utf8");
  writeFileSync(at("policy"), `${before}${tangles.map((line) => `${line}\n`).join("")}`);
  const io = await vouch(["policy", "check", at("policy")]);
  assert.match(io.err(), /coordinator's keys \[no-public-ledger\]/);
  const retired = [...io.err().matchAll(/warning: (\S+) is retired: .*\[retired-ledger\]/g)].map((m) => m[1]);
  assert.equal(retired, ["shimmer"]);
  assert.match(io.out(), /ledger +stardust, the coordinator of ward, trust file 0{64}\n/);
  const rebased = ["mainnet", "testnet"].map((network) => `ledger rebased ${network}@1:${"0".repeat(64)}\n`);
  writeFileSync(at("policy"), `${before}${rebased.join("")}`);
  assert.not.match((await vouch(["policy", "check", at("policy")])).err(), /public-ledger/);
});

maker.run();
