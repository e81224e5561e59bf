// The recording of a stream: items written are items read, whatever the pieces; a torn end is told from damage.

import { concatBytes, toHex } from "@vouch/shared/bytes";
import { portableCrypto } from "@vouch/shared/crypto";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import {
  type CoincidenceClaim,
  coincidenceMessage,
  decodeCoincidence,
  encodeCoincidence,
  encodeEvidenceItem,
  encodeFrameItem,
  encodeVstreamHead,
  isCoincidenceBy,
  recorderKid,
  VSTREAM_ITEM_MAX,
  type VstreamItem,
  VstreamReader,
} from "@vouch/shared/vstream";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { refusal } from "./vectors";

const vstream = suite("vstream");

const RECORDER = keyPairFromSeed(new Uint8Array(32).fill(7));
const CLAIM: CoincidenceClaim = {
  id: new Uint8Array(16).fill(1),
  epoch: 3,
  ticks: 61_000,
  micros: 1_764_000_000_123_456,
  uncertainty: 2_500,
  seq: 812,
  link: new Uint8Array(32).fill(2),
};

function signed(claim: CoincidenceClaim): Uint8Array {
  const kid = recorderKid(RECORDER.publicKey, portableCrypto);
  return encodeCoincidence(claim, kid, signEd25519(RECORDER.secretKey, coincidenceMessage(claim, kid)));
}

/** Items as text, so that lists of them compare. */
function told(item: VstreamItem): string {
  if (item.kind === "frame") return `frame ${toHex(item.bytes)}`;
  if (item.kind === "coincidence") return `coincidence ${toHex(item.bytes)}`;
  const { evidence, challenge, enrolment } = item;
  return `evidence ${[evidence, challenge, enrolment].map((part) => (part ? toHex(part) : "-")).join()}`;
}

function read(pieces: readonly Uint8Array[]): { items: string[]; torn: number; at: number } {
  const reader = new VstreamReader();
  const items: string[] = [];
  for (const piece of pieces) reader.push(piece, (item) => items.push(told(item)));
  return { items, torn: reader.end(), at: reader.at };
}

const frames = [66, 255, 256, 1024].map((length) => new Uint8Array(length).fill(length));
const FILE = concatBytes([
  encodeVstreamHead(),
  encodeEvidenceItem({ evidence: frames[0]!, challenge: frames[1]!, enrolment: new Uint8Array(70_000) }),
  ...frames.map(encodeFrameItem),
  signed(CLAIM),
  encodeEvidenceItem({ enrolment: frames[0]! }),
]);

vstream("items come back whole, wherever the file is cut into pieces", () => {
  const whole = read([FILE]);
  assert.is(whole.items.length, 7);
  assert.equal(whole.items[1], `frame ${toHex(frames[0]!)}`);
  fc.assert(
    fc.property(fc.array(fc.nat(FILE.length), { maxLength: 9 }), (cuts) => {
      const ends = [...cuts.sort((a, b) => a - b), FILE.length];
      const pieces = ends.map((end, i) => FILE.subarray(i === 0 ? 0 : ends[i - 1], end));
      assert.equal(read(pieces), whole);
    }),
  );
});

vstream("a file cut anywhere is torn and not damaged; what is before the tear is read", () => {
  const small = concatBytes([encodeVstreamHead(), encodeFrameItem(frames[1]!), signed(CLAIM)]);
  const { items } = read([small]);
  for (let end = 0; end < small.length; end++) {
    const cut = read([small.subarray(0, end)]);
    assert.equal(cut.items, items.slice(0, cut.items.length));
    assert.is(cut.at + cut.torn, end, `cut at ${end}`);
  }
});

for (const [name, code, bytes] of [
  ["another file", "not-a-vstream", new TextEncoder().encode("{}")],
  [
    "a later version",
    "unsupported-version",
    concatBytes([encodeVstreamHead().subarray(0, 9), new Uint8Array([2])]),
  ],
  [
    "a byte string no frame is as short as",
    "vstream-damaged",
    concatBytes([encodeVstreamHead(), new Uint8Array([0x58, 65])]),
  ],
  [
    "a byte string no frame is as long as",
    "vstream-damaged",
    concatBytes([encodeVstreamHead(), new Uint8Array([0x59, 4, 1])]),
  ],
  [
    "a byte string of 2^32 bytes",
    "vstream-damaged",
    concatBytes([encodeVstreamHead(), new Uint8Array([0x5a, 255, 255, 255, 255])]),
  ],
  [
    "a length that isn't in its shortest form",
    "vstream-damaged",
    concatBytes([encodeVstreamHead(), new Uint8Array([0x59, 0, 70])]),
  ],
  [
    "a map whose first value says it has 2^53 bytes",
    "vstream-damaged",
    concatBytes([
      encodeVstreamHead(),
      new Uint8Array([
        0xa1, 0x68, 101, 118, 105, 100, 101, 110, 99, 101, 0x5b, 0, 31, 255, 255, 255, 255, 255, 255,
      ]),
    ]),
  ],
  [
    "an array of 2^32 items",
    "vstream-damaged",
    concatBytes([encodeVstreamHead(), new Uint8Array([0xd2, 0x9a, 255, 255, 255, 255])]),
  ],
  [
    "nesting without end",
    "vstream-damaged",
    concatBytes([encodeVstreamHead(), new Uint8Array(200).fill(0xd2)]),
  ],
  [
    "a map with another key",
    "vstream-damaged",
    concatBytes([encodeVstreamHead(), new Uint8Array([0xa1, 0x61, 120, 0x41, 0])]),
  ],
  [
    "a text where bytes belong",
    "vstream-damaged",
    concatBytes([
      encodeVstreamHead(),
      new Uint8Array([0xa1, 0x68, 101, 118, 105, 100, 101, 110, 99, 101, 0x61, 120]),
    ]),
  ],
  ["a second beginning", "vstream-damaged", concatBytes([encodeVstreamHead(), encodeVstreamHead()])],
  [
    "a COSE_Sign1 of something else",
    "coincidence-malformed",
    concatBytes([encodeVstreamHead(), new Uint8Array([0xd2, 0x84, 0x40, 0xa0, 0xf6, 0x40])]),
  ],
] as const) {
  vstream(`refuses: ${name}`, () => {
    assert.throws(() => read([bytes]), refusal(code));
  });
}

vstream(
  "whatever bytes follow the beginning: items, a tear or a refusal, and never more memory than an item",
  () => {
    const codes = new Set(["vstream-damaged", "coincidence-malformed"]);
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), (pieces) => {
        try {
          const { torn } = read([encodeVstreamHead(), ...pieces]);
          assert.ok(torn <= VSTREAM_ITEM_MAX);
        } catch (error) {
          assert.ok(codes.has((error as { code: string }).code), String(error));
        }
      }),
      { numRuns: 2000 },
    );
  },
);

vstream("a coincidence is its recorder's, and nobody else's in any bit", () => {
  const item = signed(CLAIM);
  const statement = decodeCoincidence(item);
  assert.ok(isCoincidenceBy(statement, RECORDER.publicKey, portableCrypto));
  assert.is(statement.micros, CLAIM.micros);
  const other = keyPairFromSeed(new Uint8Array(32).fill(8));
  assert.not.ok(isCoincidenceBy(statement, other.publicKey, portableCrypto));
  for (let at = 0; at < item.length; at++) {
    const bent = item.slice();
    bent[at]! ^= 1;
    let isSigned = false;
    try {
      isSigned = isCoincidenceBy(decodeCoincidence(bent), RECORDER.publicKey, portableCrypto);
    } catch (error) {
      assert.ok(refusal("coincidence-malformed")(error as Error), `byte ${at}: ${error}`);
    }
    assert.not.ok(isSigned, `byte ${at}`);
  }
});

vstream.run();
