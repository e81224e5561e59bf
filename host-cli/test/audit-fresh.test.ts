// A store that says otherwise than the evidence does, by whatever mishap, is put right by an audit that believes nothing in it.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatBundle } from "@vouch/shared/bundle";
import { toHex } from "@vouch/shared/bytes";
import { formatDevice } from "@vouch/shared/fleetform";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeWorld, NOW } from "../../shared/test/world";
import { nodeCrypto } from "../src/crypto";
import { summaryOf } from "./fleet-kit";
import { vouch } from "./session";

const test = suite("a store that is put right");
const folder = mkdtempSync(join(tmpdir(), "vouch-fresh-"));

test("a stored word that is wrong outlives no audit with --fresh, and no line is added where all is as it should be", () => {
  const { bundle, policyText } = makeWorld({
    advisories: [{ id: "ACME-2026-1", affects: true, listed: true }],
  });
  const context = formatBundle({ ...bundle, devices: [] });
  const device = formatDevice({ context: toHex(nodeCrypto.sha256(context)), ...bundle.devices[0]! });
  writeFileSync(join(folder, "policy"), policyText);
  const lines = [context, device, Buffer.from("{nonsense"), Buffer.from("{nonsense")];
  writeFileSync(join(folder, "f.jsonl"), Buffer.concat(lines.flatMap((line) => [line, Buffer.from("\n")])));
  const audit = (...more: readonly string[]) => {
    const about = ["--policy", "policy", "--at", isoTime(NOW), "--jobs", "1", "--store", "store", "--json"];
    const { status, stdout } = vouch(folder, ["audit", "f.jsonl", ...about, ...more]);
    return [status, summaryOf(stdout).words];
  };
  const right = audit();
  assert.equal(right, [20, { refuted: 2, vulnerable: 1 }]);
  const file = join(folder, "store/audit.jsonl");
  const records = () =>
    readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.includes("audit-record"));
  const count = records().length;
  audit("--fresh");
  assert.is(records().length, count);

  const wrong = readFileSync(file, "utf8").replaceAll(
    '"word":"vulnerable","product"',
    '"word":"unproven","product"',
  );
  writeFileSync(file, wrong);
  rmSync(join(folder, "store/index"));
  assert.equal(audit(), [20, { refuted: 2, unproven: 1 }]);
  assert.equal(audit("--fresh"), right);
  assert.equal(audit(), right);
  assert.is(records().length, count + 1);
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
