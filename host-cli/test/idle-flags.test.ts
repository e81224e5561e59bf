// Flags that would change nothing where they stand are refused: a check that was asked for and passed over looks like one
// that was made. Each row is refused as usage before a file is read, a device asked or anything written; so is -, where
// two things would go to one stdout.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as advisory from "../src/commands/advisory";
import * as anchor from "../src/commands/anchor";
import * as bundle from "../src/commands/bundle";
import * as fleet from "../src/commands/fleet";
import * as keygen from "../src/commands/keygen";
import * as log from "../src/commands/log";
import * as sim from "../src/commands/sim";
import * as stream from "../src/commands/stream";
import * as verify from "../src/commands/verify";
import * as witness from "../src/commands/witness";
import { run, type VerbModule } from "../src/main";
import { memoryIo } from "./memory-io";

const VERBS: Record<string, VerbModule> = {
  advisory,
  anchor,
  bundle,
  fleet,
  keygen,
  log,
  sim,
  stream,
  verify,
  witness,
};

const FRAUD = "verify --fraud F --log-key K";
const PROOF = "verify --proof F --entry E --log-key K";
const STREAM = "stream verify R";
const RECEIVE = "stream record -o R --from tcp://127.0.0.1:0";
const DELIVER = "stream record --from R --to tcp://127.0.0.1:1";
const NEXT = "stream grant R --to clinic+0011223344556677+AAAA --next";
const DIRECTORY = "anchor L --ledger directory:D";
const BUNDLE = "bundle --log L --release R --manifest M";

/** A command line, and what of it has no use there. */
const ROWS: readonly (readonly [line: string, names: string])[] = [
  [`${FRAUD} --image I`, "--image"],
  [`${FRAUD} --evidence F`, "--evidence"],
  [`${FRAUD} --at 2026-01-15T09:00:00Z`, "--at"],
  [`${FRAUD} --release-only`, "--release-only"],
  [`${FRAUD} --ledger-state F`, "--ledger-state"],
  [`${FRAUD} --explain`, "--explain"],
  [`${PROOF} --image app=I`, "--image"],
  [`${PROOF} --evidence F`, "--evidence"],
  [`${PROOF} --release-only`, "--release-only"],
  [`${STREAM} --signed-only --reader-key K`, "--signed-only"],
  [`${STREAM} --passphrase-file F`, "--passphrase-file"],
  [`${STREAM} --at 2026-01-15T09:00:00Z`, "--at"],
  [`${STREAM} --policy P --log L`, "--log"],
  ["stream export R --csv --at 2026-01-15T09:00:00Z", "--at"],
  [`${RECEIVE} -k K`, "--key"],
  [`${RECEIVE} --signer-cmd C`, "--signer-cmd"],
  [`${RECEIVE} --log L`, "--log"],
  [`${RECEIVE} --challenge C`, "--challenge"],
  [`${RECEIVE} --mode private`, "--mode"],
  [`${RECEIVE} --reader R`, "--reader"],
  [`${RECEIVE} --group 0`, "--group"],
  [`${RECEIVE} --checkpoint 64`, "--checkpoint"],
  [`${RECEIVE} --keep-running`, "--keep-running"],
  [`${RECEIVE} --policy P`, "--policy"],
  [`${DELIVER} --enrolment E`, "--enrolment"],
  [`${DELIVER} --reader-key K`, "--reader-key"],
  [`${DELIVER} --frames 9`, "--frames"],
  [`${DELIVER} --for 1m`, "--for"],
  [`${DELIVER} --stream ${"00".repeat(16)}`, "--stream"],
  [`${DELIVER} -k K`, "--key"],
  [`${NEXT} --frames 1-10`, "--frames"],
  [`${NEXT} --from 7`, "--from"],
  [`${NEXT} --minutes 5`, "--minutes"],
  [`${NEXT} -o G`, "--output"],
  [`${NEXT} --reader-key K`, "--reader-key"],
  ["anchor --sign D --ledger-key K --dry-run", "--dry-run"],
  ["anchor L --sign D --ledger-key K", "LOGDIR"],
  ["anchor --sign D --ledger-key K --ledger rebased:testnet", "--ledger"],
  [`${DIRECTORY} --ledger-key A --ledger-key B`, "one key"],
  [`${DIRECTORY} --ledger-key A --signer-cmd C`, "one key"],
  [`${DIRECTORY} --ledger-key A --gas-budget 1`, "--gas-budget"],
  [`${DIRECTORY} --ledger-key A --sender S`, "--sender"],
  [`${DIRECTORY} --ledger-key A --root R`, "--root"],
  ["anchor L --ledger stardust:http://127.0.0.1:1 --trust T --ledger-key K", "--ledger-key"],
  ["anchor L --ledger rebased:testnet --prepare F --log-key K", "--log-key"],
  ["sim --vendor V --product P --model M --write-engine F --create --state S", "--create"],
  ["keygen alice --plain --passphrase-file F", "--passphrase-file"],
  ["advisory export A --osv --publisher P", "--publisher"],
  ["advisory export A --csaf --publisher P --namespace https://a.example --ecosystem npm", "--ecosystem"],
  [`${BUNDLE} --public --evidence E`, "--public"],
  [`${BUNDLE} --public --json -o -`, "--json"],
  ["fleet collect E --log L --release R --manifest M --json -o -", "--json"],
  ["fleet pick F --device D --json -o -", "--json"],
  ["log read L 1 --json -o -", "--json"],
  ["log prove L 1 --json -o -", "--json"],
  ["witness cosign R -k K --state S --log V --json -o -", "--json"],
];

const idle = suite("idle flags");

for (const [line, names] of ROWS) {
  idle(`refused: ${line}`, async () => {
    const io = memoryIo();
    await run(line.split(" "), io, {
      version: "0.0.0-test",
      verbs: Object.keys(VERBS),
      load: (verb) => VERBS[verb]!,
    });
    assert.is(io.exitCode, 1);
    assert.match(io.err(), /\[usage\]$/m);
    assert.ok(io.err().includes(names), io.err());
    assert.is(io.out(), "");
  });
}

idle("help says no default that nobody could type", async () => {
  for (const line of ["stream record", "log serve", "witness serve", "anchor", "keygen"]) {
    const io = memoryIo();
    await run([...line.split(" "), "--help"], io, {
      version: "0.0.0-test",
      verbs: Object.keys(VERBS),
      load: (verb) => VERBS[verb]!,
    });
    assert.is(io.exitCode, 0);
    assert.match(io.out(), /^Usage: vouch /);
    assert.not.match(io.out(), /default:\s+[[{]/, line);
    if (line === "log serve") assert.match(io.out(), /default:\s+127\.0\.0\.1:8470\)/);
    if (line === "keygen") assert.match(io.out(), /default:\s+"ed25519"\)/);
  }
});

idle.run();
