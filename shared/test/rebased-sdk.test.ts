// Byte for byte what IOTA's own SDK makes: transactions, digests, addresses, signatures, multisigs.
// The SDK (@iota/iota-sdk 1.10.1) is a peer for tests alone; nothing of it is in the program.

import { bcs } from "@iota/iota-sdk/bcs";
import { Ed25519Keypair, Ed25519PublicKey } from "@iota/iota-sdk/keypairs/ed25519";
import { MultiSigPublicKey } from "@iota/iota-sdk/multisig";
import { Transaction, TransactionDataBuilder } from "@iota/iota-sdk/transactions";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toBase64, toHex } from "../src/bytes";
import { portableCrypto } from "../src/crypto";
import { base58, digestOf } from "../src/rebased/digest";
import {
  checkSender,
  ed25519Address,
  encodeEd25519,
  encodeMultisig,
  type MultisigKey,
  multisigAddress,
} from "../src/rebased/signature";
import { addressText, encodeTransaction, readTransaction, signingDigest } from "../src/rebased/transaction";
import { keyPairFromSeed, signEd25519 } from "../src/sign";
import { random } from "./random";
import { encodeEffects } from "./rebased-kit";
import { refusal } from "./vectors";

const sdk = suite("rebased, against IOTA's SDK");
const next = random(6364);
const upTo = (max: number) => (next(1)[0]! * 256 + next(1)[0]!) % max;
const people = Array.from({ length: 8 }, () => {
  const seed = next(32);
  return { seed, ...keyPairFromSeed(seed) };
});
const big = () => BigInt(`0x${toHex(next(6))}`);

sdk("1,000 transactions, their digests, and the sender's signature over each", async () => {
  for (let i = 0; i < 1000; i++) {
    const isSigned = i % 20 === 0; // both are slow at it
    const { seed, publicKey, secretKey } = isSigned
      ? people[i % people.length]!
      : { ...people[0]!, publicKey: next(32) };
    const sender = ed25519Address(publicKey);
    assert.is(addressText(sender), new Ed25519PublicKey(publicKey).toIotaAddress());
    const payload = next(upTo(i % 100 === 0 ? 16_000 : 600));
    const coins = Array.from({ length: 1 + upTo(3) }, () => ({
      objectId: next(32),
      version: big(),
      digest: next(32),
    }));
    const gas = { coins, owner: i % 5 === 0 ? next(32) : sender, price: big(), budget: big() };
    const expiration = i % 2 === 0 ? null : BigInt(upTo(60_000));

    const theirs = new Transaction();
    theirs.makeMoveVec({ type: "vector<u8>", elements: [theirs.pure.vector("u8", payload)] });
    theirs.setSender(addressText(sender));
    theirs.setGasOwner(addressText(gas.owner));
    theirs.setGasPrice(gas.price);
    theirs.setGasBudget(gas.budget);
    theirs.setGasPayment(
      coins.map((c) => ({
        objectId: addressText(c.objectId),
        version: String(c.version),
        digest: base58(c.digest),
      })),
    );
    if (expiration !== null) theirs.setExpiration({ Epoch: Number(expiration) });
    const expected = await theirs.build();

    const ours = encodeTransaction({ sender, gas, expiration, payload });
    assert.is(toHex(ours), toHex(expected), `transaction ${i}`);
    assert.is(base58(digestOf("TransactionData", ours)), TransactionDataBuilder.getDigestFromBytes(expected));
    assert.equal(readTransaction(ours), { sender, gas, expiration, payload });
    if (!isSigned) continue;
    const pair = Ed25519Keypair.fromSecretKey(seed);
    const signature = encodeEd25519(signEd25519(secretKey, signingDigest(ours)), publicKey);
    assert.is(toBase64(signature), (await pair.signTransaction(expected)).signature, `signature ${i}`);
    checkSender(sender, signingDigest(ours), [signature], portableCrypto);
  }
});

sdk("100 multisigs: addresses, combined signatures, and what is refused of them", async () => {
  for (let i = 0; i < 100; i++) {
    const n = 2 + upTo(4);
    const first = upTo(people.length);
    const pairs = Array.from({ length: n }, (_, at) => people[(first + at) % people.length]!);
    const members = pairs.map(({ publicKey }) => ({ publicKey, weight: 1 + upTo(3) }));
    const total = members.reduce((sum, m) => sum + m.weight, 0);
    const key: MultisigKey = { members, threshold: 1 + upTo(total) };
    const theirPairs = pairs.map(({ seed }) => Ed25519Keypair.fromSecretKey(seed));
    const theirs = MultiSigPublicKey.fromPublicKeys({
      threshold: key.threshold,
      publicKeys: theirPairs.map((p, at) => ({ publicKey: p.getPublicKey(), weight: members[at]!.weight })),
    });
    const address = multisigAddress(key);
    assert.is(addressText(address), theirs.toIotaAddress(), `address ${i}`);

    const transaction = next(40);
    const digest = signingDigest(transaction);
    const signing = members.map((_, at) => at === 0 || upTo(2) === 1);
    const signatures = pairs.map((p, at) => (signing[at] ? signEd25519(p.secretKey, digest) : null));
    const ours = encodeMultisig(key, signatures);
    const partial = [];
    for (const [at, p] of theirPairs.entries())
      if (signing[at]) partial.push((await p.signTransaction(transaction)).signature);
    assert.is(toBase64(ours), theirs.combinePartialSignatures(partial), `multisig ${i}`);

    const weight = members.reduce((sum, m, at) => sum + (signing[at] ? m.weight : 0), 0);
    const check = (bytes: Uint8Array) => checkSender(address, digest, [bytes], portableCrypto);
    if (weight >= key.threshold) check(ours);
    else assert.throws(() => check(ours), refusal("sender-signature"));
  }
});

sdk("our simulated effects are effects to the SDK", () => {
  const transaction = next(32);
  const parsed = bcs.TransactionEffects.parse(encodeEffects(transaction, 514n));
  assert.is(parsed.V1?.transactionDigest, base58(transaction));
  assert.is(parsed.V1?.status.$kind, "Success");
  assert.is(bcs.TransactionEffects.parse(encodeEffects(transaction, 514n, 1)).V1?.status.$kind, "Failed");
});

sdk("the SDK's base58 of anything is ours", () => {
  for (let i = 0; i < 500; i++) {
    const digest = next(32);
    for (let zeros = 0; zeros < i % 4; zeros++) digest[zeros] = 0;
    const theirs = bcs.ObjectDigest.parse(bcs.ObjectDigest.serialize(base58(digest)).toBytes());
    assert.is(theirs, base58(digest));
    assert.is(toHex(bcs.ObjectDigest.serialize(base58(digest)).toBytes()), `20${toHex(digest)}`);
  }
});

sdk.run();
