// Bytes that are IOTA's: certificates of real networks, the case that its proof of inclusion is tested
// with, and the committee of mainnet that this program begins with.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, fromBase64, toBase64, toHex } from "../src/bytes";
import { portableCrypto } from "../src/crypto";
import { makeBlsKeys } from "../src/curves";
import { ANCHORS } from "../src/rebased/anchors";
import { listBytes, u64Bytes, ulebBytes, vectorBytes } from "../src/rebased/bcs";
import { checkCertificate, readCertificate } from "../src/rebased/certificate";
import { readContents, readSummary, type Summary } from "../src/rebased/checkpoint";
import {
  committeeDigest,
  decodeCommittee,
  encodeCommittee,
  makeCommittee,
  TOTAL_STAKE,
} from "../src/rebased/committee";
import { base58, digestOf } from "../src/rebased/digest";
import { readTransaction } from "../src/rebased/transaction";
import { closingSummary, formatRoot, makeClose, makeRatchet, rootOf } from "../src/rebased/walk";
import { publishedBytes, publishedJson, refusal } from "./vectors";

const vectors = suite("rebased vectors");
const text64 = (text: string) => fromBase64(text)!;

const ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
function fromBase58(text: string): Uint8Array {
  let value = 0n;
  for (const char of text) value = value * 58n + BigInt(ALPHABET.indexOf(char));
  return new Uint8Array(Buffer.from(value.toString(16).padStart(64, "0"), "hex"));
}

// CheckpointData of a node: the certified summary, its contents, and more that isn't needed here.
function checkpointData(path: string) {
  const bytes = publishedBytes(path);
  return {
    summary: readSummary(bytes.slice(0, 616)),
    certificate: bytes.slice(616, 616 + 79),
    contents: readContents(bytes.slice(695, 695 + 235)),
  };
}

vectors("788 is certified by the committee that 528 names, with weight 7500", () => {
  const [first, second] = [checkpointData("rebased/528.chk"), checkpointData("rebased/788.chk")];
  assert.is(first.summary.sequence, 528n);
  assert.is(second.summary.sequence, 788n);
  const keys = makeBlsKeys();
  const certificate = readCertificate(second.certificate);
  assert.is(checkCertificate(second.summary, certificate, first.summary.next!, keys), 7500n);
  for (const { summary, contents } of [first, second]) assert.equal(contents.digest, summary.contentsDigest);
  assert.throws(
    () => checkCertificate(second.summary, certificate, second.summary.next!, keys),
    refusal("certificate-epoch"),
  );
  const close = makeClose(second.summary.bcs, second.certificate);
  assert.equal(closingSummary(close), second.summary.bcs);
  const root = rootOf("localnet", first.summary.next!, portableCrypto);
  const ratchet = makeRatchet({ start: first.summary.next!, closes: [close] }, [root], portableCrypto);
  assert.is(ratchet.committeeOf(3n).epoch, 3n);
});

interface JsonSummary {
  data: {
    epoch: number;
    sequence_number: number;
    network_total_transactions: number;
    content_digest: string;
    previous_digest: string | null;
    timestamp_ms: number;
    end_of_epoch_data: {
      nextEpochCommittee: [string, string][];
      nextEpochProtocolVersion: string;
      epochCommitments: { ECMHLiveObjectSetDigest: { digest: string } }[];
      epochSupplyChange: number;
    } | null;
    version_specific_data: number[];
  };
  auth_signature: { epoch: number; signature: string; signers_map: number[] };
}

const none = new Uint8Array([0]);
const some = (...parts: Uint8Array[]) => concatBytes([new Uint8Array([1]), ...parts]);
const u64 = (value: number | string) => u64Bytes(BigInt(value));
const digest58 = (text: string) => vectorBytes(fromBase58(text));

/** The bytes behind the JSON in which IOTA keeps these two. Gas is zero in both. */
function summaryBytes({ data }: JsonSummary): Uint8Array {
  const end = data.end_of_epoch_data;
  return concatBytes([
    u64(data.epoch),
    u64(data.sequence_number),
    u64(data.network_total_transactions),
    digest58(data.content_digest),
    data.previous_digest === null ? none : some(digest58(data.previous_digest)),
    new Uint8Array(40),
    u64(data.timestamp_ms),
    ulebBytes(0),
    end === null
      ? none
      : some(
          listBytes(
            end.nextEpochCommittee.map(([key, stake]) => concatBytes([vectorBytes(text64(key)), u64(stake)])),
          ),
          u64(end.nextEpochProtocolVersion),
          listBytes(
            end.epochCommitments.map((c) => concatBytes([none, digest58(c.ECMHLiveObjectSetDigest.digest)])),
          ),
          u64(end.epochSupplyChange),
        ),
    vectorBytes(new Uint8Array(data.version_specific_data)),
  ]);
}

const certificateBytes = ({ auth_signature: auth }: JsonSummary) =>
  concatBytes([u64(auth.epoch), text64(auth.signature), vectorBytes(new Uint8Array(auth.signers_map))]);

vectors("469 is certified by 235's committee with 6667 of 10000, and by one stake less it isn't", () => {
  const first = readSummary(summaryBytes(publishedJson<JsonSummary>("rebased/235.sum.json")));
  const json = publishedJson<JsonSummary>("rebased/469.sum.json");
  const summary: Summary = readSummary(summaryBytes(json));
  const certificate = readCertificate(certificateBytes(json));
  const keys = makeBlsKeys();
  assert.is(checkCertificate(summary, certificate, first.next!, keys), 6667n);
  const [a, b, c] = first.next!.members;
  const lighter = makeCommittee(1n, [{ ...a!, stake: 3332n }, { ...b!, stake: 3334n }, c!]);
  assert.throws(() => checkCertificate(summary, certificate, lighter, keys), refusal("certificate-quorum"));
});

interface Golden {
  checkpoint_summary: JsonSummary;
  transaction_proof: {
    checkpoint_contents: { V1: { transactions: { transaction: string; effects: string }[] } };
  };
}

vectors("IOTA's golden case: certificate, contents, transaction and effects by their digests", () => {
  const { checkpoint_summary: json, transaction_proof: proof } =
    publishedJson<Golden>("rebased/transaction.json");
  const committee = publishedJson<{ epoch: number; voting_rights: [string, number][] }>(
    "rebased/committee.json",
  );
  const members = committee.voting_rights.map(([key, stake]) => ({
    publicKey: text64(key),
    stake: BigInt(stake),
  }));
  const summary = readSummary(summaryBytes(json));
  const weight = checkCertificate(
    summary,
    readCertificate(certificateBytes(json)),
    makeCommittee(BigInt(committee.epoch), members),
    makeBlsKeys(),
  );
  assert.is(weight, TOTAL_STAKE);
  const [pair] = proof.checkpoint_contents.V1.transactions;
  // The one pair, without user signatures, in BCS.
  const contents = readContents(
    concatBytes([
      none,
      listBytes([concatBytes([digest58(pair!.transaction), digest58(pair!.effects)])]),
      listBytes([none]),
    ]),
  );
  assert.is(base58(contents.digest), json.data.content_digest);
  // Programmable without inputs or commands, from and paid by address 0, one coin at version 1, price 1, budget 1000000.
  const zero = new Uint8Array(32);
  const transaction = concatBytes([
    new Uint8Array([0, 0, 0, 0]),
    zero,
    listBytes([concatBytes([new Uint8Array(32).fill(1), u64(1), vectorBytes(zero)])]),
    zero,
    u64(1),
    u64(1_000_000),
    none,
  ]);
  assert.is(base58(digestOf("TransactionData", transaction)), pair!.transaction);
  const read = readTransaction(transaction);
  assert.is(read.payload, null);
  assert.is(read.gas.budget, 1_000_000n);
});

vectors("mainnet's committee of epoch 514 is whole, and is the one that ships", () => {
  const [anchor] = ANCHORS;
  const committee = decodeCommittee(text64(anchor!.committee));
  assert.is(committee.epoch, 514n);
  assert.is(committee.members.length, 62);
  assert.is(toBase64(encodeCommittee(committee)), anchor!.committee);
  const lines = Buffer.from(publishedBytes("rebased/mainnet-committee-514.txt"))
    .toString()
    .trim()
    .split("\n");
  assert.equal(
    committee.members.map((m) => `${toHex(m.publicKey)} ${m.stake}`),
    lines,
  );
  assert.is(
    formatRoot(rootOf("mainnet", committee, portableCrypto)),
    `mainnet@514:${toHex(committeeDigest(committee, portableCrypto))}`,
  );
});

vectors.run();
