// What `npm run bench:device` and board-sign.test.ts measure: pieces of work by name, in one script for any engine.
//
// Built as the agent is (scripts/build.mjs), so in the agent's ES5 and with the same pieces of tweetnacl. It leaves one
// global function: benchWork(name) does the piece once and answers whether it came out right.
//
// sign and verify take a message of 100 bytes. A part is a step of our signature that other modules do, as often as
// one signature does it; what the parts leave of it is the point arithmetic.

import { equalBytes, fromHex } from "@vouch/shared/bytes";
import { cborMap } from "@vouch/shared/cbor";
import * as ours from "@vouch/shared/ed25519";
import { BLOCKS, SPAN } from "@vouch/shared/ed25519-table";
import { invert, makeField, mul, pack, unpack } from "@vouch/shared/field25519";
import { makePacker, packRow } from "@vouch/shared/readings";
import { makeOdd, multiplyAdd, reduceScalar } from "@vouch/shared/scalar25519";
import { sha512 } from "@vouch/shared/sha512";
import * as tweetnacl from "@vouch/shared/sign";
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  makeDeframer,
  pushBytes,
  smpHeader,
} from "@vouch/shared/smp";
import { linkOf, maskBody, maskedLength } from "@vouch/shared/stream";
import { x25519 } from "@vouch/shared/x25519";

// The key of RFC 8032 section 7.1, test 1; the message is 0, 7, 14 …
const SECRET = fromHex(
  "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60" +
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
) as Uint8Array;
const SIGNATURE = fromHex(
  "e6b64c43082555df150ef2c4832b69f53e4a68cc3273e0cedd451e5cba114ae9" +
    "8af6901387a84897797bcf75c211f15e62099723dde6e2d9ebd3e9673f134707",
) as Uint8Array;
const PUBLIC = SECRET.subarray(32, 64);
const MESSAGE = new Uint8Array(100);
for (let i = 0; i < MESSAGE.length; i++) MESSAGE[i] = 7 * i;

const NOTHING = new Uint8Array(0);
const SCALAR = new Uint8Array(32);
const ODD = new Uint8Array(33);
const A = makeField();
const B = makeField();
unpack(A, SECRET, 0, 1);

// What a stream is made of: a frame of 400 bytes of readings, and the messages around it.
const PAGE = new Uint8Array(400);
for (let i = 0; i < PAGE.length; i++) PAGE[i] = 5 * i;
const ROWS = new Int32Array(100);
for (let i = 0; i < 100; i++) ROWS[i] = (i * i * 7) % 120;
const PACKER = makePacker(2, 1, 400);
const REQUEST = encodeFrame(
  encodeMessage(
    smpHeader(2, 1, 64, 8, 0),
    cborMap([
      ["ack", 123456],
      ["at", 123456],
    ]),
  ),
);
const DEFRAMER = makeDeframer(508);

function takeRequest(): boolean {
  let isRead = false;
  const ignore = () => {};
  pushBytes(
    DEFRAMER,
    REQUEST,
    (message) => {
      isRead = decodeMessage(message).fault === 0;
    },
    ignore,
  );
  return isRead;
}

function work(name: string): boolean {
  switch (name) {
    case "ours sign":
      return equalBytes(ours.signEd25519(SECRET, MESSAGE), SIGNATURE);
    case "ours verify":
      return ours.verifyEd25519(PUBLIC, MESSAGE, SIGNATURE);
    case "tweetnacl sign":
      return equalBytes(tweetnacl.signEd25519(SECRET, MESSAGE), SIGNATURE);
    case "tweetnacl verify":
      return tweetnacl.verifyEd25519(PUBLIC, MESSAGE, SIGNATURE);
    case "SHA-512":
      sha512(SECRET.subarray(0, 32), NOTHING, NOTHING);
      sha512(PUBLIC, MESSAGE, NOTHING);
      return sha512(SIGNATURE.subarray(0, 32), PUBLIC, MESSAGE).length === 64;
    case "scalars":
      SCALAR.set(reduceScalar(SECRET));
      makeOdd(ODD, SCALAR);
      return multiplyAdd(reduceScalar(SIGNATURE), SECRET.subarray(0, 32), SCALAR).length === 32;
    case "table":
      for (let i = 0; i < 2 * BLOCKS * SPAN; i++) unpack(B, SIGNATURE, i & 32, 1);
      return B[0] !== 0;
    case "encoding":
      invert(B, A);
      mul(B, A, B); // 1
      mul(B, A, B);
      return equalBytes(pack(B), pack(A));
    case "100 rows":
      PACKER.rows = 0;
      PACKER.length = 0;
      for (let i = 0; i < 100; i++) packRow(PACKER, 4 * i, ROWS, i);
      return PACKER.length > 100 && PACKER.length < 200;
    case "link":
      return linkOf(PAGE).length === 32;
    case "mask":
      return maskBody(SECRET.subarray(0, 32), SECRET, PAGE).length === maskedLength(400);
    case "reply":
      return encodeFrame(encodeMessage(smpHeader(3, 1, 64, 8, 0), PAGE)).length > 500;
    case "request":
      return takeRequest();
    case "x25519":
      return x25519(PUBLIC, PUBLIC).length === 32;
    default:
      return false;
  }
}

interface Root {
  benchWork: (name: string) => boolean;
}
const root = (typeof globalThis !== "undefined" ? globalThis : Function("return this")()) as unknown as Root;
root.benchWork = work;
