// The gate in front of MCUboot images: imgtool's own, and every way to bend them.

import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseVersion } from "@vouch/shared/mcuboot";
import { isRefusal } from "@vouch/shared/refusal";
import { formatVkey, KEY_ED25519, makeVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { publishedBytes, publishedJson } from "../../shared/test/vectors";
import { statusOf } from "../src/exit";
import {
  checkCounter,
  checkMcuboot,
  checkMcubootTarget,
  type PinnedKey,
  readPinnedKey,
} from "../src/mcuboot";
import { KEY, makeMcuboot, maker, pemOf } from "./mcuboot-kit";
import { hash, temporaryFolder } from "./sim-kit";

const gate = suite("mcuboot gate");

const text = (file: string) => Buffer.from(publishedBytes(`smp/images/${file}`)).toString();
const trusted = readPinnedKey(text("trusted-public.pem"));
const other = readPinnedKey(text("other-public.pem"));

interface Published {
  trusted_key_raw: string;
  images: {
    file: string;
    refuse_because: string | null;
    computed_digest: string;
    security_counter: number | null;
  }[];
}
const published = publishedJson<Published>("smp/images/images.json");

const CODES: Record<string, string> = {
  "digest-mismatch": "image-mismatch",
  "unknown-key": "image-unknown-signer",
  "bad-signature": "image-bad-signature",
  "no-signature": "image-unsigned",
};

function codeOf(bytes: Uint8Array, key: PinnedKey): string {
  try {
    checkMcuboot(bytes, key);
    return "taken";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    assert.is(statusOf(error), error.code === "image-unsupported" ? 1 : 20, error.code);
    return error.code;
  }
}

for (const { file, refuse_because: why, computed_digest } of published.images) {
  const code = why === null ? "taken" : CODES[why];
  gate(`imgtool's ${file}: ${code}`, () => {
    const bytes = publishedBytes(`smp/images/${file}`);
    assert.is(codeOf(bytes, trusted), code);
    if (code !== "taken") return;
    assert.is(Buffer.from(checkMcuboot(bytes, trusted).image.digest.value).toString("hex"), computed_digest);
    assert.is(codeOf(bytes, other), "image-unknown-signer");
  });
}
gate("eight images were judged, by the key they were signed with", () => {
  assert.is(published.images.length, 8);
  assert.is(Buffer.from(trusted.publicKey).toString("hex"), published.trusted_key_raw);
});

gate("the other key's own image passes under the other key", () => {
  assert.is(codeOf(publishedBytes("smp/images/other-key.bin"), other), "taken");
});

for (const [file, least, verdict] of [
  ["counter-3.bin", 3, "taken"],
  ["counter-3.bin", 4, "rolled-back"],
  ["counter-7.bin", 7, "taken"],
  ["counter-7.bin", 8, "rolled-back"],
  ["good-ed25519.bin", 0, "rolled-back"],
] as const) {
  gate(`${file} where counters from ${least} are accepted: ${verdict}`, () => {
    const checked = checkMcuboot(publishedBytes(`smp/images/${file}`), trusted);
    let found = "taken";
    try {
      checkCounter(checked, least);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      found = error.code;
    }
    assert.is(found, verdict);
    checkCounter(checked, null);
  });
}

for (const file of ["good-ed25519.bin", "pure-ed25519.bin", "counter-7.bin"]) {
  gate(`no bent bit of ${file} passes, and no cut`, () => {
    const bytes = publishedBytes(`smp/images/${file}`);
    const copy = bytes.slice();
    for (let at = 0; at < copy.length; at++) {
      for (const flip of at < 32 || at >= 4128 ? [1, 2, 4, 8, 16, 32, 64, 128] : [1 << (at % 8)]) {
        copy[at] = bytes[at]! ^ flip;
        assert.is.not(codeOf(copy, trusted), "taken", `byte ${at} flipped by ${flip}`);
      }
      copy[at] = bytes[at]!;
    }
    for (let end = 0; end < bytes.length; end += end < 64 || end > 4100 ? 1 : 61) {
      assert.is.not(codeOf(bytes.subarray(0, end), trusted), "taken", `cut at ${end}`);
    }
  });
}

gate("a signature whose s was raised by the group order is refused", () => {
  const bytes = makeMcuboot();
  const s = Buffer.from(bytes.subarray(bytes.length - 32));
  const order = 2n ** 252n + 27742317777372353535851937790883648493n;
  const raised = (BigInt(`0x${Buffer.from(s).reverse().toString("hex")}`) + order)
    .toString(16)
    .padStart(64, "0");
  const copy = bytes.slice();
  copy.set(Buffer.from(raised, "hex").reverse(), bytes.length - 32);
  assert.is(codeOf(bytes, KEY), "taken");
  assert.is(codeOf(copy, KEY), "image-bad-signature");
});

gate("encrypted, compressed and non-bootable images can't be judged", () => {
  for (const flags of [0x04, 0x08, 0x10, 0x200, 0x400]) {
    assert.is(codeOf(makeMcuboot({ flags }), KEY), "image-unsupported", `flags ${flags}`);
  }
});

gate("a pinned key: PEM or verifier key, and nothing else", () => {
  const codeFor = (file: string) => {
    try {
      readPinnedKey(file);
      return "taken";
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return error.code;
    }
  };
  const pem = pemOf(maker.publicKey);
  assert.equal(readPinnedKey(pem).publicKey, maker.publicKey);
  assert.equal(readPinnedKey(pem.replaceAll("\n", "\r\n")).publicKey, maker.publicKey);
  const vkey = makeVkey("acme", KEY_ED25519, maker.publicKey);
  assert.equal(readPinnedKey(`${formatVkey(vkey)}\n`), { name: "acme", publicKey: maker.publicKey });
  assert.is(codeFor("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "private-key");
  assert.is(codeFor(pem + pem), "malformed-key");
  assert.is(codeFor(pem.replace("END PUBLIC", "END OTHER")), "malformed-key");
  assert.is(codeFor(pem.replace("MC", "MD")), "unsupported-algorithm");
  assert.is(codeFor(pemOf(new Uint8Array(32))), "key-small-order");
  assert.is(codeFor("no key"), "malformed-vkey");
});

gate("an older version, an unknown one and one too large for its slot", () => {
  const checked = checkMcuboot(makeMcuboot({ version: "1.2.3+4" }), KEY);
  const size = checked.image.bytes.length;
  const codeFor = (versionText: string | null, slotBytes: number | null, allowDowngrade = false) => {
    try {
      const version = versionText === null ? null : parseVersion(versionText);
      checkMcubootTarget(checked, { version, versionText, slotBytes }, { allowDowngrade });
      return "taken";
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return error.code;
    }
  };
  assert.is(codeFor(null, null), "taken");
  assert.is(codeFor("1.2.3.4", size), "taken");
  assert.is(codeFor("1.2.3.5", size), "rolled-back");
  assert.is(codeFor("1.2.3.5", size, true), "taken");
  assert.is(codeFor("?", size), "version-unknown");
  assert.is(codeFor("?", size, true), "taken");
  assert.is(codeFor("1.0.0", size - 1, true), "image-too-large");
});

const imgtool = spawnSync("imgtool", ["version"], { encoding: "utf8" });
const made = "images made on the spot with imgtool, by a key made on the spot";
if (imgtool.status !== 0) skip(gate, made, "imgtool is not installed");
else
  gate(made, () => {
    const folder = temporaryFolder();
    const path = (name: string) => join(folder, name);
    const run = (...args: string[]) => execFileSync("imgtool", args, { encoding: "utf8" });
    for (const name of ["a", "b"]) run("keygen", "-k", path(name), "-t", "ed25519");
    run("getpub", "-k", path("a"), "-e", "pem", "-o", path("a.pem"));
    const key = readPinnedKey(readFileSync(path("a.pem"), "utf8"));
    writeFileSync(path("payload"), hash("made on the spot"));
    const layout = ["--header-size", "0x200", "--pad-header", "-S", "0x10000", "--align", "4"];
    const sign = (name: string, ...args: string[]) => {
      run("sign", "-k", path(name), "-v", "1.2.3+4", ...layout, ...args, path("payload"), path("out"));
      return new Uint8Array(readFileSync(path("out")));
    };
    assert.is(codeOf(sign("a"), key), "taken");
    assert.is(codeOf(sign("a", "--pure"), key), "taken");
    assert.is(codeOf(sign("b"), key), "image-unknown-signer");
    assert.is(codeOf(sign("a", "--pad"), key), "image-malformed");
    const rich = sign("a", "-s", "9", "--custom-tlv", "0x00a0", "0x0102", "-d", "(1, 2.0.0+0)");
    const { image } = checkMcuboot(rich, key);
    assert.equal([image.securityCounter, image.dependencies.length], [9, 1]);
    assert.ok(image.records.some(({ type, isProtected }) => type === 0xa0 && isProtected));
  });

gate.run();
