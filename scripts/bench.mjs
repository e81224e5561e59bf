// How fast, as ratios to what can't be beaten on the same machine in the same
// minute: absolute times say more about the machine than about us.
//
//   verify, 1 MB image     whole process, as a multiple of `node -e 0`            goal <= 1.25
//   verify, 64 MB image    what it adds to `node -e 0`, of `openssl dgst -sha256`
//   COSE verify + claims   share of the bare node:crypto Ed25519 rate             goal >= 0.9
//
// Runs are interleaved, so that a busy moment hits every contestant, and the
// median counts. The artefacts are real: the demo's keys, log and ledger.
// Goals are printed and not enforced; the status is 0 when all could be measured.

import { spawnSync } from "node:child_process";
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import * as esbuild from "esbuild";
import { workspace } from "./build.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const VOUCH = join(ROOT, "host-cli/bin/vouch.mjs");
const ROUNDS = Number(process.env.VOUCH_BENCH_ROUNDS ?? 31);
const folder = mkdtempSync(join(tmpdir(), "vouch-bench-"));

function vouch(line) {
  const { status, stderr } = spawnSync(process.execPath, [VOUCH, ...line.split(" ")], {
    cwd: folder,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`vouch ${line}: status ${status}\n${stderr}`);
}

/** Releases an image of this size in the demo's world and bundles it. Returns the line that verifies it. */
function release(name, bytes, securityVersion) {
  writeFileSync(join(folder, `${name}.bin`), randomBytes(bytes));
  vouch(
    `release new --product pump-400 --version 3.${securityVersion}.0 --security-version ${securityVersion} --floor 7 --model PUMP-400 --rev B --component app=${name}.bin --component engine=engine.bin --vendor acme-vendor.vkey -o ${name}`,
  );
  for (const approver of ["alice", "bob"]) vouch(`release sign ${name}.dsse.json --key ${approver}.key`);
  vouch(
    `release seal ${name}.dsse.json --suit ${name}.suit --image ${name}.bin --key acme-vendor.key --policy policy -o ${name}.upload`,
  );
  vouch(`log add log ${name}.dsse.json --key fwlog.acme.example.key`);
  vouch(`status new --log log --product pump-400 --key acme-status.key -o ${name}.status.dsse.json`);
  vouch(`log add log ${name}.status.dsse.json --key fwlog.acme.example.key`);
  vouch("anchor log --ledger directory:ledger --ledger-key ledger.key");
  vouch(
    `bundle --log log --release ${name}.dsse.json --manifest ${name}.suit --public -o ${name}.vouch.json`,
  );
  return `verify ${name}.vouch.json --policy policy --release-only --image ${name}.bin`.split(" ");
}

/** Median wall time of each command in milliseconds, one round of all after the other. */
function race(commands, rounds) {
  const times = commands.map(() => []);
  for (let round = 0; round < rounds; round++) {
    commands.forEach(([command, args], i) => {
      const start = process.hrtime.bigint();
      const { status, error, stderr } = spawnSync(command, args, { cwd: folder, encoding: "utf8" });
      times[i].push(Number(process.hrtime.bigint() - start) / 1e6);
      if (status !== 0) throw error ?? new Error(`${command} ${args.join(" ")}: status ${status}\n${stderr}`);
    });
  }
  return times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
}

function benchProcess() {
  const small = release("small", 1 << 20, 8);
  const large = release("large", 64 << 20, 9);
  const empty = [process.execPath, ["-e", "0"]];
  const [none, verified] = race([empty, [process.execPath, [VOUCH, ...small]]], ROUNDS);
  console.log(
    `verify, 1 MB image     ${ms(verified)}, ${(verified / none).toFixed(2)} x node -e 0 (${ms(none)}); goal <= 1.25`,
  );
  if (spawnSync("openssl", ["version"]).status !== 0) {
    console.log("verify, 64 MB image    not measured: openssl is not installed");
    return;
  }
  const openssl = ["openssl", ["dgst", "-sha256", "large.bin"]];
  const [start, whole, digest] = race(
    [empty, [process.execPath, [VOUCH, ...large]], openssl],
    Math.ceil(ROUNDS / 3),
  );
  const added = whole - start;
  console.log(
    `verify, 64 MB image    ${ms(whole)}, ${(whole / digest).toFixed(2)} x openssl dgst (${ms(digest)}); adds ${(added / digest).toFixed(2)} x that to node -e 0`,
  );
}

const ms = (value) => `${value.toFixed(0)} ms`;

/** Evidence as `verify` opens it: decoded strictly, signature checked, claims read; beside the bare signature check. */
async function benchEvidence() {
  const outfile = join(folder, "evidence.mjs");
  await esbuild.build({
    stdin: {
      contents:
        'export { decodeEvidence, evidenceMessage } from "@vouch/shared/evidence"; export { nodeCrypto } from "./host-cli/src/crypto";',
      resolveDir: ROOT,
    },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile,
    plugins: [workspace],
  });
  const { decodeEvidence, evidenceMessage, nodeCrypto } = await import(pathToFileURL(outfile).href);
  const bytes = new Uint8Array(readFileSync(join(folder, "pump.eat")));
  const { sign1 } = decodeEvidence(bytes);
  const enrolment = JSON.parse(readFileSync(join(folder, "pump.enrolment"), "utf8"));
  const statement = JSON.parse(
    Buffer.from(JSON.parse(Buffer.from(enrolment.statement, "base64")).payload, "base64"),
  );
  const publicKey = new Uint8Array(Buffer.from(statement.predicate.publicKey, "base64"));
  const x = Buffer.from(publicKey).toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const message = evidenceMessage(sign1);
  const bare = () => verify(null, message, key, sign1.signature);
  const ours = () => {
    const evidence = decodeEvidence(bytes);
    return (
      evidence.claims !== null &&
      nodeCrypto.verifyEd25519(publicKey, evidenceMessage(evidence.sign1), evidence.sign1.signature)
    );
  };
  const [bareRate, ourRate] = alternate([bare, ours]);
  console.log(
    `COSE verify + claims   ${ourRate.toFixed(0)}/s, ${(ourRate / bareRate).toFixed(2)} of bare node:crypto (${bareRate.toFixed(0)}/s); goal >= 0.9`,
  );
}

/** Calls per second of each, in short turns; the median turn counts. */
function alternate(works) {
  const CALLS = 500;
  const rates = works.map(() => []);
  for (let turn = 0; turn < ROUNDS; turn++) {
    works.forEach((work, i) => {
      const start = process.hrtime.bigint();
      for (let call = 0; call < CALLS; call++) if (!work()) throw new Error("a good signature was refused");
      if (turn > 0) rates[i].push(CALLS / (Number(process.hrtime.bigint() - start) / 1e9)); // the first turn warms up
    });
  }
  return rates.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
}

try {
  vouch(`demo --keep ${folder} --quiet`);
  benchProcess();
  await benchEvidence();
} finally {
  rmSync(folder, { recursive: true, force: true });
}
