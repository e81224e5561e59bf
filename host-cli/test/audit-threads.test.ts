// An audit on threads says what one without says: of a fleet large enough for threads, with its contexts and bundles in one
// file, so that memory for reading is used again and again while contexts wait for threads to start.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Bundle, formatBundle } from "@vouch/shared/bundle";
import { toHex } from "@vouch/shared/bytes";
import { formatDevice } from "@vouch/shared/fleetform";
import { isoTime } from "@vouch/shared/time";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeWorld, NOW } from "../../shared/test/world";
import { Chunks, itemsOf } from "../src/audit/items";
import { nodeCrypto } from "../src/crypto";
import { summaryOf } from "./fleet-kit";
import { vouch } from "./session";

const test = suite("audit on threads");
const folder = mkdtempSync(join(tmpdir(), "vouch-threads-"));

const { bundle, policyText } = makeWorld();
const vulnerable = makeWorld({
  versions: ["2.4.7"],
  advisories: [{ id: "ACME-2026-1", affects: true, listed: true }],
}).bundle;
writeFileSync(join(folder, "policy"), policyText);

const context = formatBundle({ ...bundle, devices: [] });
const lineFor = (named: Uint8Array, { devices: [device] }: Bundle): Uint8Array =>
  formatDevice({ context: toHex(nodeCrypto.sha256(named)), ...device! });
const text = (...items: readonly Uint8Array[]) => Buffer.concat(items.flatMap((i) => [i, Buffer.from("\n")]));
/** Cheap to judge, since their context is nowhere: threads start behind them. */
const many = Array.from({ length: 1024 }, () => lineFor(new Uint8Array(0), bundle));

test("a context, a thousand devices, and behind them a device of it, and bundles, the last of them vulnerable", () => {
  const items = [lineFor(context, bundle), formatBundle(bundle), formatBundle(vulnerable)];
  writeFileSync(join(folder, "w.jsonl"), text(context, ...many, ...items));
  const [one, two] = ["1", "2"].map((jobs) => {
    const about = ["--policy", "policy", "--at", isoTime(NOW), "--jobs", jobs, "--json"];
    return vouch(folder, ["audit", "w.jsonl", ...about]);
  });
  for (const { status, stdout } of [one!, two!]) {
    assert.equal(summaryOf(stdout).words, { vulnerable: 1, unproven: 1024, patched: 2 });
    assert.is(status, 22);
  }
  assert.ok(two!.stdout === one!.stdout);
});

test("what is kept of an item is a copy, whatever is read afterwards", () => {
  const path = join(folder, "items.jsonl");
  writeFileSync(path, text(context, ...many.slice(0, 200)));
  const chunks = new Chunks();
  let kept: Uint8Array | undefined;
  for (const { bytes } of itemsOf(path, chunks)) {
    kept ??= bytes.slice();
    chunks.release();
  }
  assert.equal(toHex(nodeCrypto.sha256(kept!)), toHex(nodeCrypto.sha256(context)));
});

test.after(() => rmSync(folder, { recursive: true, force: true }));
test.run();
