// vouch attest against the real agent in memory, and against a line that plays
// back something else.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromHex, toHex, utf8Encode } from "@vouch/shared/bytes";
import { mapGet } from "@vouch/shared/cbor";
import { commitment, EVIDENCE_TAG } from "@vouch/shared/commitment";
import { parseChallenge, parseEvidenceSalt } from "@vouch/shared/companions";
import { parseEnvelope } from "@vouch/shared/dsse";
import { challengeNonce, decodeEvidence } from "@vouch/shared/evidence";
import { isRefusal } from "@vouch/shared/refusal";
import { decodeMessage, encodeFrame, encodeMessage, makeDeframer, pushBytes } from "@vouch/shared/smp";
import { type EnrolmentStatement, parseStatement } from "@vouch/shared/statement";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  type AttestOptions,
  attest,
  evidenceFiles,
  newestAnchored,
  writeEvidence,
} from "../src/commands/attest";
import { type EnrolOptions, enrol } from "../src/commands/enrol";
import { nodeCrypto } from "../src/crypto";
import type { Transport } from "../src/device/transport";
import { openEnrolment } from "../src/enrolment";
import { outstanding } from "../src/evidence";
import { statusOf } from "../src/exit";
import { type Bench, benchDevice, enroller, enrolPolicy, logNote, makeBench } from "./bench";
import { memoryIo } from "./memory-io";

const suiteOf = suite("attest");
let folder = "";

suiteOf.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "vouch-attest-"));
});
suiteOf.after.each(() => rmSync(folder, { recursive: true, force: true }));

const NOTE = logNote(7);
const ANCHOR = { checkpoint: NOTE, ledger: "directory", receipt: utf8Encode("a receipt") };

/** A bench whose device is enrolled, and its enrolment. */
async function enrolledBench(random = 1): Promise<{ bench: Bench; enrolment: EnrolmentStatement }> {
  const bench = makeBench(benchDevice({ random }));
  const output = join(folder, `${random}.enrolment`);
  const options: EnrolOptions = {
    port: "bench",
    policy: enrolPolicy,
    signer: enroller,
    product: "pump",
    serial: `SN ${random}`,
    output,
    yes: true,
    nowSeconds: 1767225600,
    link: bench.link,
  };
  await bench.clock.run(enrol(options, memoryIo()));
  return { bench, enrolment: openEnrolment(readFileSync(output), enrolPolicy) };
}

const run = (bench: Bench, options: Partial<AttestOptions> = {}) => {
  const whole = { port: "bench", anchor: ANCHOR, enrolment: null, link: bench.link, ...options };
  return bench.clock.run(attest(whole, memoryIo()));
};

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    if (isRefusal(error)) return error;
    throw error;
  }
  return assert.unreachable("it was not refused") as never;
}

suiteOf("the evidence carries the nonce that checkpoint, receipt and random bytes give", async () => {
  const { bench, enrolment } = await enrolledBench();
  const { evidence, challenge, claims } = await run(bench, { enrolment });
  const { random, ...dated } = parseChallenge(challenge);
  assert.equal(dated, ANCHOR);
  const nonce = challengeNonce(nodeCrypto.sha256, NOTE, ANCHOR.receipt, random);
  assert.is(toHex(claims.nonce), toHex(nonce));
  assert.is(toHex(decodeEvidence(evidence).claims!.ueid), enrolment.ueid);
});

suiteOf("two attestations have different nonces", async () => {
  const { bench } = await enrolledBench();
  const first = await run(bench);
  const second = await run(bench);
  assert.is.not(toHex(first.claims.nonce), toHex(second.claims.nonce));
});

/** Turns every `result` reply on the line into pieces of `evidence`, with the right sequence numbers and CRCs. */
function playback(bench: Bench, evidence: Uint8Array): () => Promise<Transport> {
  return async () => {
    const transport = await bench.line.open();
    const toDevice = makeDeframer(4096);
    const toHost = makeDeframer(4096);
    const offsets = new Map<number, number>();
    const watch = (message: Uint8Array) => {
      const { header, body } = decodeMessage(message);
      if (header?.group === 64 && header.command === 4) {
        offsets.set(header.sequence, mapGet(body!, "off") as number);
      }
    };
    return {
      ...transport,
      write: (bytes) => {
        pushBytes(toDevice, bytes, watch, () => {});
        return transport.write(bytes);
      },
      onData: (listener) =>
        transport.onData((bytes) =>
          pushBytes(
            toHost,
            bytes,
            (message) => listener(encodeFrame(forge(message, offsets, evidence))),
            () => {},
          ),
        ),
    };
  };
}

function forge(message: Uint8Array, offsets: Map<number, number>, evidence: Uint8Array): Uint8Array {
  const { header } = decodeMessage(message);
  if (header?.group !== 64 || header.command !== 4) return message;
  const off = offsets.get(header.sequence) ?? 0;
  const data = evidence.subarray(off, off + 256);
  const keys = ["off", "len", "data"];
  return encodeMessage(header, { keys, values: [off, evidence.length, data] });
}

suiteOf("an old reply, genuine in every byte, is refused for a new nonce", async () => {
  const { bench, enrolment } = await enrolledBench();
  const old = await run(bench, { enrolment });
  const link = { ...bench.link, open: playback(bench, old.evidence) };
  const refused = await refusal(run(bench, { enrolment, link }));
  assert.is(refused.code, "nonce-mismatch");
  assert.is(statusOf(refused), 20);
});

suiteOf("the playback itself is faithful: for the old nonce the reply is taken", async () => {
  const { bench, enrolment } = await enrolledBench();
  const old = await run(bench, { enrolment });
  const { random } = parseChallenge(old.challenge);
  const link = { ...bench.link, open: playback(bench, old.evidence) };
  const again = await run(bench, { enrolment, link, random });
  assert.is(toHex(again.evidence), toHex(old.evidence));
});

suiteOf("a nonce has one answer: the same reply again is refused", async () => {
  const { bench, enrolment } = await enrolledBench();
  const { evidence, claims } = await run(bench, { enrolment });
  const waiting = outstanding(claims.nonce);
  waiting.accept(evidence, enrolment.publicKey);
  const refused = await refusal((async () => waiting.accept(evidence, enrolment.publicKey))());
  assert.is(refused.code, "nonce-mismatch");
});

suiteOf("another device's answer is refused by the enrolment", async () => {
  const { bench } = await enrolledBench(1);
  const { enrolment: other } = await enrolledBench(2);
  const refused = await refusal(run(bench, { enrolment: other }));
  assert.is(refused.code, "evidence-other-key");
  assert.is(statusOf(refused), 20);
});

suiteOf("no bent bit of an answer is accepted", async () => {
  const { bench, enrolment } = await enrolledBench();
  const { evidence, claims } = await run(bench, { enrolment });
  for (let at = 0; at < evidence.length; at++) {
    const bent = evidence.slice();
    bent[at]! ^= 1 << (at % 8);
    const refused = await refusal(
      (async () => outstanding(claims.nonce).accept(bent, enrolment.publicKey))(),
    );
    assert.is.not(refused.code, "usage", `byte ${at}`);
  }
});

suiteOf("a device without a key says so", async () => {
  const refused = await refusal(run(makeBench()));
  assert.is(refused.code, "not-enrolled");
});

suiteOf("a device that restarts while it measures is asked again", async () => {
  const { bench, enrolment } = await enrolledBench();
  const { open } = bench.line;
  let restarts = 0;
  const unsteady = async () => {
    const transport = await open();
    const write = async (bytes: Uint8Array) => {
      const started = bench.line.sent.some(({ group, command }) => group === 64 && command === 2);
      await transport.write(bytes);
      if (started && restarts === 0) {
        restarts++;
        bench.device.powerCycle();
      }
    };
    return { ...transport, write };
  };
  bench.line.sent.length = 0;
  const { claims } = await run(bench, { enrolment, link: { ...bench.link, open: unsteady } });
  assert.is(restarts, 1);
  assert.is(claims.ueid.length, 17);
});

suiteOf("evidence and challenge are written, and with a signer salt and commitment too", async () => {
  const { bench, enrolment } = await enrolledBench();
  const attested = await run(bench, { enrolment });
  const alone = await writeEvidence(evidenceFiles(join(folder, "a.eat"), false), attested, null, 1767225600);
  assert.equal(Object.keys(alone), ["evidence", "challenge"]);
  assert.is(existsSync(join(folder, "a.salt")), false);
  const files = await writeEvidence(
    evidenceFiles(join(folder, "b.eat"), true),
    attested,
    enroller,
    1767225600,
  );
  const { salt, evidenceSha256 } = parseEvidenceSalt(readFileSync(files.salt!));
  assert.is(evidenceSha256, toHex(nodeCrypto.sha256(attested.evidence)));
  const committed = parseStatement(parseEnvelope(readFileSync(files.commitment!)).payload);
  const sha256 = toHex(commitment(EVIDENCE_TAG, salt, attested.evidence, nodeCrypto));
  assert.equal(committed, { kind: "evidence-commitment", sha256, created: "2026-01-01T00:00:00Z" });
  assert.is(toHex(readFileSync(files.evidence)), toHex(attested.evidence));
});

suiteOf("evidence is never written over, whichever of its files is there", async () => {
  for (const name of ["c.eat", "c.challenge", "c.salt", "c.eat.commitment.dsse.json"]) {
    writeFileSync(join(folder, name), "kept");
    const refused = await refusal((async () => evidenceFiles(join(folder, "c.eat"), true))());
    assert.is(refused.code, "exists");
    rmSync(join(folder, name));
  }
  const nowhere = await refusal((async () => evidenceFiles(join(folder, "no", "d.eat"), false))());
  assert.is(nowhere.code, "not-found");
});

suiteOf("--log takes the newest checkpoint that has a receipt, by size, not by name or date", () => {
  for (const size of ["9", "10", "2", "11"]) {
    mkdirSync(join(folder, "anchors", size), { recursive: true });
    writeFileSync(join(folder, "anchors", size, "checkpoint"), logNote(Number(size)));
    // The newest anchor was cut short before its receipt was kept.
    if (size !== "11")
      writeFileSync(join(folder, "anchors", size, "directory.tlog-proof"), `receipt ${size}`);
  }
  mkdirSync(join(folder, "anchors", "012"));
  writeFileSync(join(folder, "anchors", "012", "checkpoint"), logNote(12));
  const { checkpoint, ledger, receipt } = newestAnchored(folder, null);
  assert.is(toHex(checkpoint), toHex(logNote(10)));
  assert.is(`${ledger} ${Buffer.from(receipt)}`, "directory receipt 10");
});

suiteOf("a log that nobody anchored can't date an attestation", async () => {
  const refused = await refusal((async () => newestAnchored(folder, null))());
  assert.is(refused.code, "not-anchored");
  assert.is(statusOf(refused), 21);
});

suiteOf("hostile results are refused in bounded time", async () => {
  const { bench, enrolment } = await enrolledBench();
  for (const bytes of [
    new Uint8Array(1),
    fromHex("d28443a10127a0")!,
    utf8Encode("x".repeat(4096)),
    new Uint8Array(5000),
  ]) {
    const link = { ...bench.link, open: playback(bench, bytes) };
    const refused = await refusal(run(bench, { enrolment, link }));
    assert.is.not(refused.code, "device-timeout", refused.message);
  }
});

suiteOf.run();
