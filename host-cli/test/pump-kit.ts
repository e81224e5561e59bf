// A pump's maker on the command line: a folder with two images, the people's keys and their policy, and the command
// lines that make a release of it, seal it and log it.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { toHex } from "@vouch/shared/bytes";
import type { AdvisoryStatement } from "@vouch/shared/statement";
import type { suite } from "uvu";
import { nodeCrypto } from "../src/crypto";
import { newFolder, vouchOk } from "./maker-kit";

export let folder = "";
export const at = (name: string) => join(folder, name);
export const sha256Of = (name: string) => toHex(nodeCrypto.sha256(readFileSync(at(name))));

/** Gives each test of the suite a folder of its own, with both images in it. */
export function withImages(maker: ReturnType<typeof suite>): void {
  maker.before.each(() => {
    folder = newFolder("maker");
    writeFileSync(at("pump.bin"), "application image");
    writeFileSync(at("engine.bin"), "engine image");
  });
  maker.after.each(() => rmSync(folder, { recursive: true, force: true }));
}

const names = ["acme-vendor", "alice", "bob", "acme-status", "fwlog.acme.example"];

/** Keys by `vouch keygen`, and the policy that names them. */
export async function people(): Promise<void> {
  const vkeys: Record<string, string> = {};
  for (const name of names) vkeys[name] = (await vouchOk("keygen", name, "-o", folder, "--plain")).trim();
  const ledger = await vouchOk(
    "keygen",
    "ledger.acme.example",
    "-o",
    at("ledger.key"),
    "--plain",
    "--cosigner",
  );
  writeFileSync(
    at("policy"),
    [
      `log ${vkeys["fwlog.acme.example"]}`,
      "quorum none",
      `vendor pump ${vkeys["acme-vendor"]}`,
      `approver alice engineering ${vkeys["alice"]}`,
      `approver bob quality ${vkeys["bob"]}`,
      "approve pump 2 engineering quality",
      `status ${vkeys["acme-status"]}`,
      `ledger directory ${ledger.trim()}`,
      "max-age status 30d",
      "",
    ].join("\n"),
  );
}

export const releaseNew = (...more: string[]) => [
  ...["release", "new", "--product", "pump", "--version", "2.4.1", "--security-version", "7", "--floor", "5"],
  ...["--model", "PUMP400", "--rev", "A", "B", "--vendor", at("acme-vendor.vkey"), "-o", at("pump")],
  ...["--component", `app=${at("pump.bin")}`, `engine=${at("engine.bin")}`],
  ...more,
];
export const seal = () => [
  ...["release", "seal", at("pump.dsse.json"), "--suit", at("pump.suit"), "--image", at("pump.bin")],
  ...["--policy", at("policy"), "--key", at("acme-vendor.key"), "-o", at("pump.upload")],
];
export const logAdd = (...files: string[]) => [
  "log",
  "add",
  at("log"),
  ...files.map(at),
  "--key",
  at("fwlog.acme.example.key"),
];

export async function released(): Promise<void> {
  await people();
  await vouchOk(...releaseNew());
  await vouchOk("release", "sign", at("pump.dsse.json"), "--key", at("alice.key"));
  await vouchOk("release", "sign", at("pump.dsse.json"), "--key", at("bob.key"));
  await vouchOk(...seal());
  await vouchOk(
    "log",
    "init",
    at("log"),
    "--origin",
    "fwlog.acme.example",
    "--key",
    at("fwlog.acme.example.key"),
  );
  await vouchOk(...logAdd("pump.dsse.json"));
}

export const advisoryStatement = (changes: Partial<AdvisoryStatement>): AdvisoryStatement => ({
  kind: "advisory",
  subjects: [{ name: "app", sha256: "ab".repeat(32) }],
  id: "A-1",
  product: "pump",
  advisoryKind: "security",
  state: "affected",
  fixedVersions: [],
  summary: "x",
  created: "2026-01-15T12:00:00Z",
  ...changes,
});
