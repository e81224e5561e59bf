// Bytes of blocks and milestones: @iota/iota.js lays out the same by other means, and what is no layout of theirs is
// refused.

import {
  type IBlock,
  type IMilestonePayload,
  milestoneIdFromMilestonePayload,
  serializeBlock,
  serializeMilestonePayload,
  TransactionHelper,
} from "@iota/iota.js";
import { WriteStream } from "@iota/util.js";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, equalBytes, toHex, utf8Encode } from "../src/bytes";
import { blockIdOf, decodeBlock, encodeBlock, type TaggedBlock } from "../src/stardust/block";
import { compareBytes } from "../src/stardust/layout";
import { decodeMilestone, encodeEssence, encodeMilestone, milestoneIdOf } from "../src/stardust/milestone";
import { receiptFromPoi } from "../src/stardust/poi";
import { random } from "./random";
import { someId } from "./stardust-kit";
import { ANCHORS, codeOf, hex, MALFORMED, poiOf, TRUST } from "./stardust-recorded";
import { refusal } from "./vectors";

const stardust = suite("stardust layouts");

const next = random(2310);
const below = (max: number) => (next(1)[0]! * 256 + next(1)[0]!) % max;
const someIds = (max: number) => Array.from({ length: 1 + below(max) }, () => next(32)).sort(compareBytes);

function written(write: (stream: WriteStream) => void): Uint8Array {
  const stream = new WriteStream();
  write(stream);
  return stream.finalBytes();
}

const blockJson = ({ parents, tag, data, nonce }: TaggedBlock): IBlock => ({
  protocolVersion: 2,
  parents: parents.map(hex),
  payload: { type: 5, tag: hex(tag), data: hex(data) },
  nonce: String(nonce),
});

stardust("iota.js: 200 blocks, their bytes and ids", () => {
  for (let i = 0; i < 200; i++) {
    const block: TaggedBlock = {
      parents: someIds(8),
      tag: next(below(64)), // 64 bytes it refuses, a node doesn't
      data: next(1 + below(2000)),
      nonce: BigInt(`0x${toHex(next(8))}`),
    };
    const bytes = encodeBlock(block);
    assert.equal(decodeBlock(bytes), block);
    assert.equal(
      bytes,
      written((stream) => serializeBlock(stream, blockJson(block))),
    );
    assert.is(hex(blockIdOf(bytes)), TransactionHelper.calculateBlockId(blockJson(block)));
  }
});

stardust("iota.js: 200 milestones with metadata and options, their bytes and ids", () => {
  for (let i = 0; i < 200; i++) {
    const json = milestoneOf(i);
    const { milestone } = receiptFromPoi({ ...poiOf(ANCHORS[0]!), milestone: json }, TRUST);
    assert.equal(
      milestone,
      written((stream) => serializeMilestonePayload(stream, json)),
    );
    const read = decodeMilestone(milestone);
    assert.is(hex(read.id), milestoneIdFromMilestonePayload(json));
    assert.is(read.index, json.index);
    assert.is(read.timestamp, json.timestamp);
    assert.is(hex(read.inclusionRoot), json.inclusionMerkleRoot);
    assert.is(read.signatures.length, json.signatures.length);
  }
});

function milestoneOf(i: number): IMilestonePayload {
  const u64 = () => String(BigInt(`0x${toHex(next(8))}`));
  const migration = {
    type: 0,
    migratedAt: below(65536),
    final: i % 3 === 0,
    funds: Array.from({ length: 1 + below(4) }, () => ({
      tailTransactionHash: hex(next(49)),
      address: { type: 0, pubKeyHash: hex(next(32)) },
      deposit: u64(),
    })),
    transaction: {
      type: 4,
      input: { type: 1, milestoneId: hex(next(32)) },
      output: { type: 2, amount: u64() },
    },
  };
  const parameters = {
    type: 1,
    targetMilestoneIndex: below(65536),
    protocolVersion: below(256),
    params: hex(next(below(300))),
  };
  const options = [...(i % 2 === 0 ? [migration] : []), ...(i % 5 < 2 ? [parameters] : [])];
  return {
    type: 7,
    index: below(65536) * 65536 + below(65536),
    timestamp: below(65536) * 65536 + below(65536),
    protocolVersion: 2,
    previousMilestoneId: hex(next(32)),
    parents: someIds(8).map(hex),
    inclusionMerkleRoot: hex(next(32)),
    appliedMerkleRoot: hex(next(32)),
    ...(i % 4 === 0 ? { metadata: hex(next(1 + below(400))) } : {}),
    ...(options.length === 0 ? {} : { options }),
    signatures: someIds(7).map((key) => ({ type: 0, publicKey: hex(key), signature: hex(next(64)) })),
  } as IMilestonePayload;
}

stardust("options out of order, twice, or of a kind to come are refused", () => {
  const parameters = concatBytes([new Uint8Array([1]), new Uint8Array(5), new Uint8Array([2, 0, 9, 9])]);
  const migration = concatBytes([
    new Uint8Array([0, 0, 0, 0, 0, 1, 0, 0]),
    new Uint8Array([46, 0, 0, 0]),
    new Uint8Array(46),
  ]);
  const code = (...options: Uint8Array[]) => {
    const essence = encodeEssence({
      index: 1,
      timestamp: 2,
      previous: someId("p"),
      parents: [someId("q")],
      inclusionRoot: someId("i"),
      appliedRoot: someId("a"),
      metadata: new Uint8Array(3),
      options,
    });
    const bytes = encodeMilestone(essence, []);
    const found = codeOf(() => decodeMilestone(bytes));
    if (found === "none") assert.ok(equalBytes(decodeMilestone(bytes).id, milestoneIdOf(essence)));
    return found;
  };
  assert.is(code(), "none");
  assert.is(code(migration, parameters), "none");
  assert.is(code(parameters, migration), MALFORMED);
  assert.is(code(parameters, parameters), MALFORMED);
  assert.is(code(new Uint8Array([2])), "stardust-unsupported");
  assert.is(code(migration.with(5, 2)), MALFORMED); // neither true nor false
  assert.is(code(migration.with(8, 45)), MALFORMED);
});

stardust("a full block of a real network, 32768 bytes, is a block; one byte more isn't", () => {
  const parents = [someId("p")];
  const tag = utf8Encode("vouch/v1");
  const data = new Uint8Array(32768 - 2 - 32 - 4 - 4 - 1 - tag.length - 4 - 8);
  const block = encodeBlock({ parents, tag, data, nonce: 0n });
  assert.is(block.length, 32768);
  assert.throws(
    () => encodeBlock({ parents, tag, data: new Uint8Array(data.length + 1), nonce: 0n }),
    refusal("block-malformed"),
  );
  assert.is(encodeBlock({ parents, tag: new Uint8Array(64), data: new Uint8Array(), nonce: 0n })[46], 0);
  assert.throws(
    () => encodeBlock({ parents, tag: new Uint8Array(65), data, nonce: 0n }),
    refusal("block-malformed"),
  );
  assert.throws(
    () => encodeBlock({ parents, tag: new Uint8Array(300), data, nonce: 0n }),
    refusal("block-malformed"),
  );
  assert.throws(
    () => encodeBlock({ parents: new Array(257).fill(parents[0]), tag, data, nonce: 0n }),
    refusal("block-malformed"),
  );
});

stardust.run();
