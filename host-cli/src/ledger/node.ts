// What is asked of a node. Submitting goes by JSON-RPC; what proves goes by gRPC v1, the one interface that hands
// out certificates with their signers.
//
//   iota_getChainIdentifier, iotax_getReferenceGasPrice, iotax_getCoins, iota_executeTransactionBlock,
//   iota_getTransactionBlock
//   GetServiceInfo, GetTransactions, GetCheckpoint, GetEpoch        iota.grpc.v1.ledger_service
//
// Nothing that comes back is believed: shapes are checked here, and the rest by the verifier. BCS of summaries and
// certificates comes with a version byte in front that isn't part of what was signed; transactions, effects and
// contents begin with their own, which is.

import { copyBytes, equalBytes, fromHex, toBase64, toHex } from "@vouch/shared/bytes";
import { list, matching, type Shape, text } from "@vouch/shared/json";
import { type Committee, makeCommittee } from "@vouch/shared/rebased/committee";
import { BASE58, base58, DIGEST_BYTES } from "@vouch/shared/rebased/digest";
import { addressText } from "@vouch/shared/rebased/root";
import type { Coin } from "@vouch/shared/rebased/transaction";
import { isRefusal, quote, Refusal } from "@vouch/shared/refusal";
import type { Deadline } from "./deadline";
import { type Grpc, withGrpc } from "./grpc";
import { absent, callRpc, decimal, member, some } from "./json-rpc";
import type { Network } from "./networks";
import { bytesField, type Message, readMessage, repeated, textField, uintField } from "./protobuf";

const IOTA = "0x2::iota::IOTA";
const COIN_PAGES = 10;

/** The 32 bytes of a digest as text; null for anything else. */
export function digestBytes(base58Text: string): Uint8Array | null {
  let value = 0n;
  for (const char of base58Text.slice(0, 64)) {
    const digit = BASE58.indexOf(char);
    if (digit < 0) return null;
    value = value * 58n + BigInt(digit);
  }
  const bytes = fromHex(value.toString(16).padStart(2 * DIGEST_BYTES, "0"));
  return bytes !== null && base58(bytes) === base58Text ? bytes : null;
}

const digest: Shape<Uint8Array> = (value, at) => {
  const bytes = typeof value === "string" ? digestBytes(value) : null;
  if (bytes === null) throw new Refusal("malformed-json", `${at} isn't a digest in base58`);
  return bytes;
};

const objectId: Shape<Uint8Array> = (value, at) =>
  fromHex(matching(/^0x[0-9a-f]{64}$/, "an object's id")(value, at).slice(2))!;

export interface OwnedCoin extends Coin {
  readonly balance: bigint;
}

/** Gives the chain's identifier. */
export const askChain = (network: Network, deadline: Deadline) =>
  callRpc(
    network.rpc,
    "iota_getChainIdentifier",
    [],
    matching(/^[0-9a-f]{8}$/, "a chain identifier"),
    deadline.askMs(),
  );

export const askGasPrice = (network: Network, deadline: Deadline) =>
  callRpc(network.rpc, "iotax_getReferenceGasPrice", [], decimal, deadline.askMs());

/** The address's coins of IOTA, largest first. Ten pages of them: an address for anchors has one or two. */
export async function askCoins(
  network: Network,
  owner: Uint8Array,
  deadline: Deadline,
): Promise<OwnedCoin[]> {
  const coin = some({
    coinType: matching(/^0x2::iota::IOTA$/, IOTA),
    coinObjectId: objectId,
    version: decimal,
    digest,
    balance: decimal,
  });
  const page = some({ data: list(coin, 0, 1000), nextCursor: absent(text(128)) });
  const coins: OwnedCoin[] = [];
  let cursor: string | null = null;
  for (let i = 0; i < COIN_PAGES; i++) {
    const ask: unknown[] = [addressText(owner), IOTA, cursor, 50];
    const hasNext: Shape<{ next: boolean; page: ReturnType<typeof page> }> = (value, at) => ({
      next: member(value, "hasNextPage") === true,
      page: page(value, at),
    });
    const found = await callRpc(network.rpc, "iotax_getCoins", ask, hasNext, deadline.askMs());
    for (const { coinObjectId, version, digest, balance } of found.page.data)
      coins.push({ objectId: coinObjectId, version, digest, balance });
    cursor = found.page.nextCursor;
    if (!found.next || cursor === null) break;
  }
  return coins.sort((a, b) => (a.balance === b.balance ? 0 : a.balance < b.balance ? 1 : -1));
}

/** Hands the transaction over. Once is as good as twice. Refuses `node-refused`, and `node-answer` for another digest. */
export async function execute(
  network: Network,
  id: Uint8Array,
  transaction: Uint8Array,
  signature: Uint8Array,
  deadline: Deadline,
): Promise<void> {
  const params = [toBase64(transaction), [toBase64(signature)], { showEffects: true }];
  const answer = some({ digest });
  const found = await callRpc(network.rpc, "iota_executeTransactionBlock", params, answer, deadline.askMs());
  checkId(network, found.digest, id);
}

function checkId(network: Network, found: Uint8Array, id: Uint8Array): void {
  if (!equalBytes(found, id))
    throw new Refusal(
      "node-answer",
      `${network.rpc.host} speaks of transaction ${base58(found)}, asked was ${base58(id)}`,
    );
}

/** The checkpoint a transaction is in; null when in none so far, undefined when the node doesn't know the transaction. */
export async function askCheckpointOf(
  network: Network,
  id: Uint8Array,
  deadline: Deadline,
): Promise<bigint | null | undefined> {
  const answer = some({ digest, checkpoint: absent(decimal) });
  try {
    const params = [base58(id), {}];
    const found = await callRpc(network.rpc, "iota_getTransactionBlock", params, answer, deadline.askMs());
    checkId(network, found.digest, id);
    return found.checkpoint;
  } catch (error) {
    if (isRefusal(error) && error.code === "node-refused") return undefined;
    throw error;
  }
}

/** BCS without what the interface puts in front. */
export interface CertifiedBytes {
  readonly summary: Uint8Array;
  readonly certificate: Uint8Array;
}

/** What proves. All refuse `node-unreachable`, `node-answer`, `node-not-found`, `node-pruned`, `node-refused`. */
export interface Prover {
  info(): Promise<{ chain: string | null; epoch: bigint }>;
  transaction(id: Uint8Array): Promise<{ transaction: Uint8Array; effects: Uint8Array }>;
  checkpoint(sequence: bigint): Promise<CertifiedBytes & { contents: Uint8Array }>;
  /** How an epoch ended. */
  close(epoch: bigint): Promise<CertifiedBytes>;
  committee(epoch: bigint): Promise<Committee>;
}

export const withProver = <T>(network: Network, deadline: Deadline, work: (prover: Prover) => Promise<T>) =>
  withGrpc(network.grpc, deadline, (grpc) => work(proverOver(grpc)));

const mask = (field: number, ...paths: string[]) =>
  bytesField(field, ...paths.map((path) => textField(1, path)));

function proverOver(grpc: Grpc): Prover {
  const epochOf = async (epoch: bigint, path: string) => {
    const answer = await one(grpc, "GetEpoch", Buffer.concat([uintField(1, epoch), mask(2, path)]));
    const found = answer.message(1);
    if (found.has(1) && found.uint(1) !== epoch)
      throw wrong(grpc, `it speaks of epoch ${found.uint(1)}, asked was ${epoch}`);
    return found;
  };
  return {
    async info() {
      const answer = await one(grpc, "GetServiceInfo", mask(1, "chain_id", "epoch"));
      const chain = answer.message(1).bytes(1);
      return { chain: chain === null ? null : toHex(chain).slice(0, 8), epoch: answer.uint(3) };
    },
    async transaction(id) {
      const asked = bytesField(1, bytesField(1, bytesField(1, bytesField(1, id))));
      const request = Buffer.concat([asked, mask(2, "transaction.bcs", "effects.bcs")]);
      const answers = await grpc.call("GetTransactions", request);
      const results = answers.flatMap((answer) => repeated(answer, 1, grpc.host));
      const [result] = results;
      if (result === undefined || results.length > 1)
        throw wrong(grpc, `it gives ${results.length} transactions for one`);
      if (result.has(2))
        throw new Refusal(
          "node-not-found",
          `${grpc.host}: GetTransactions: ${quote(Buffer.from(result.message(2).bytes(2) ?? []).toString())}`,
        );
      const found = result.message(1);
      return {
        transaction: need(grpc, found.message(1).message(2).bytes(1), "the transaction"),
        effects: need(grpc, found.message(3).message(2).bytes(1), "the transaction's effects"),
      };
    },
    async checkpoint(sequence) {
      const paths = ["checkpoint.summary.bcs", "checkpoint.signature", "checkpoint.contents.bcs"];
      const request = Buffer.concat([uintField(2, sequence), mask(4, ...paths)]);
      const answers = (await grpc.call("GetCheckpoint", request)).map((m) => readMessage(m, grpc.host));
      const found = answers.filter((answer) => answer.has(1));
      if (found.length !== 1 || !answers.some((answer) => answer.has(5)))
        throw wrong(grpc, `it gives ${found.length} checkpoints for one, or doesn't end`);
      const checkpoint = found[0]!.message(1);
      const contents = need(grpc, checkpoint.message(3).message(2).bytes(1), "the contents");
      return { ...certified(grpc, checkpoint), contents };
    },
    async close(epoch) {
      const found = await epochOf(epoch, "epoch_close_proof.checkpoint");
      return certified(grpc, found.message(10).message(1));
    },
    async committee(epoch) {
      const members = (await epochOf(epoch, "committee")).message(2).bytes(2);
      const found = need(grpc, members, "the committee");
      return makeCommittee(
        epoch,
        repeated(found, 1, grpc.host).map((m) => ({
          publicKey: need(grpc, m.bytes(1), "a validator's key"),
          stake: m.uint(2),
        })),
      );
    },
  };
}

async function one(grpc: Grpc, method: string, request: Uint8Array): Promise<Message> {
  const [answer, ...more] = await grpc.call(method, request);
  if (answer === undefined || more.length > 0) throw wrong(grpc, `${method}: not one message`);
  return readMessage(answer, grpc.host);
}

const certified = (grpc: Grpc, checkpoint: Message): CertifiedBytes => ({
  summary: unversioned(grpc, checkpoint.message(2).message(2).bytes(1), "the checkpoint's summary"),
  certificate: unversioned(grpc, checkpoint.message(4).message(1).bytes(1), "the checkpoint's certificate"),
});

function unversioned(grpc: Grpc, bytes: Uint8Array | null, what: string): Uint8Array {
  const found = need(grpc, bytes, what);
  if (found[0] !== 0)
    throw new Refusal("bcs-unsupported", `${grpc.host}: ${what} is of version ${found[0]}, known here is 0`);
  return copyBytes(found, 1, found.length);
}

function need(grpc: Grpc, bytes: Uint8Array | null, what: string): Uint8Array {
  if (bytes === null || bytes.length === 0) throw wrong(grpc, `${what} is missing`);
  return bytes;
}

const wrong = (grpc: Grpc, found: string) => new Refusal("node-answer", `${grpc.host}: ${found}`);
