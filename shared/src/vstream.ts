// The recording of a stream, `.vstream`: a CBOR sequence (RFC 8742) that is only ever appended to.
//
//   a1 67 "vstream" 01        first
//   58/59 … frame             a byte string: a frame as the device sent it
//   a1..a3 …                  {"evidence": bytes, "challenge": bytes, "enrolment": bytes}, each may be missing
//   d2 84 …                   COSE_Sign1: a coincidence, {1: "vouch/coincidence/v1", 2: id, 3: epoch, 4: ticks,
//                             5: microseconds since 1970, 6: uncertainty, 7: seq, 8: link of the last frame received}
//
// A file that ends inside an item is torn: its writer was killed, and what is whole counts. Anything else that
// isn't an item is damage, and refused where it stands. Which of the two it is shows at the latest after the
// longest item: no length is believed that is past it, so memory is bounded whatever the file says.

import { concatBytes, copyBytes } from "./bytes";
import {
  CBOR_STRICT,
  type CborMap,
  type CborValue,
  cborMap,
  decodeCbor,
  encodeCbor,
  isBytes,
  isMap,
} from "./cbor";
import { COSE_ALG, COSE_ALG_EDDSA, COSE_KID, decodeSign1, encodeSign1, kidOf, sigStructure } from "./cose";
import type { Crypto } from "./crypto";
import { FAULT_NONE } from "./fault";
import { FAULTS, Refusal } from "./refusal";
import { STREAM_FRAME_MAX, STREAM_HEADER_BYTES, STREAM_ID_BYTES } from "./stream";

export const VSTREAM_VERSION = 1;
export const COINCIDENCE_TYPE = "vouch/coincidence/v1";

/** An item is at most this long: an enrolment, a challenge with the ledger's receipt, and evidence. */
export const VSTREAM_ITEM_MAX = 4 * 1024 * 1024;
/** Heads within an item: ours have at most about twenty. */
const HEADS_MAX = 64;
const HEAD = encodeCbor(cborMap([["vstream", VSTREAM_VERSION]]));

/** A recorder's word that at `micros` since 1970 (± uncertainty) the ticks of this epoch's boot stood at `ticks`. */
export interface Coincidence {
  epoch: number;
  ticks: number;
  micros: number;
  /** In microseconds as well. */
  uncertainty: number;
  /** The last frame received by then. */
  seq: number;
  kid: Uint8Array;
  signature: Uint8Array;
}

/** A coincidence as recorded: the stream it is about, and the link of frame `seq`. */
export interface CoincidenceStatement extends Coincidence {
  id: Uint8Array;
  link: Uint8Array;
}

export interface EvidenceItem {
  evidence?: Uint8Array;
  challenge?: Uint8Array;
  enrolment?: Uint8Array;
}

export type VstreamItem =
  | { kind: "frame"; bytes: Uint8Array }
  | ({ kind: "evidence" } & EvidenceItem)
  | { kind: "coincidence"; statement: CoincidenceStatement; bytes: Uint8Array };

const damaged = (at: number, found: string): Refusal =>
  new Refusal("vstream-damaged", `at byte ${at}: found ${found}`);

// ---- Writing

/** What every recording begins with. */
export function encodeVstreamHead(): Uint8Array {
  return copyBytes(HEAD, 0, HEAD.length);
}

/** A frame as an item. */
export function encodeFrameItem(frame: Uint8Array): Uint8Array {
  return encodeCbor(frame);
}

/** What a boot attested. */
export function encodeEvidenceItem(item: EvidenceItem): Uint8Array {
  const pairs: [CborValue, CborValue][] = [];
  for (const key of EVIDENCE_KEYS) {
    const bytes = item[key];
    if (bytes !== undefined) pairs.push([key, bytes]);
  }
  return encodeCbor(cborMap(pairs));
}

const EVIDENCE_KEYS = ["evidence", "challenge", "enrolment"] as const;

/** What is said, without who signs it. */
export type CoincidenceClaim = Omit<CoincidenceStatement, "kid" | "signature">;

function coincidenceParts(
  claim: CoincidenceClaim,
  kid: Uint8Array,
): { header: CborMap; payload: Uint8Array } {
  return {
    header: cborMap([
      [COSE_ALG, COSE_ALG_EDDSA],
      [COSE_KID, kid],
    ]),
    payload: encodeCbor(
      cborMap([
        [1, COINCIDENCE_TYPE],
        [2, claim.id],
        [3, claim.epoch],
        [4, claim.ticks],
        [5, claim.micros],
        [6, claim.uncertainty],
        [7, claim.seq],
        [8, claim.link],
      ]),
    ),
  };
}

/** How a recorder's key is named: the first 8 bytes of its SHA-256. */
export function recorderKid(publicKey: Uint8Array, crypto: Pick<Crypto, "sha256">): Uint8Array {
  return kidOf(crypto.sha256(publicKey));
}

/** What the recorder signs: COSE's Sig_structure. */
export function coincidenceMessage(claim: CoincidenceClaim, kid: Uint8Array): Uint8Array {
  const { header, payload } = coincidenceParts(claim, kid);
  return sigStructure(encodeCbor(header), new Uint8Array(0), payload);
}

/** The item; `signature` is over coincidenceMessage(claim, kid). */
export function encodeCoincidence(
  claim: CoincidenceClaim,
  kid: Uint8Array,
  signature: Uint8Array,
): Uint8Array {
  const { header, payload } = coincidenceParts(claim, kid);
  return encodeSign1(header, payload, signature);
}

/** Whether the key signed the statement. Its fields are one encoding's, so what was signed is made again. */
export function isCoincidenceBy(
  statement: CoincidenceStatement,
  publicKey: Uint8Array,
  crypto: Crypto,
): boolean {
  const message = coincidenceMessage(statement, statement.kid);
  return crypto.verifyEd25519(publicKey, message, statement.signature);
}

// ---- Reading

const uint = (value: CborValue | undefined, max = Number.MAX_SAFE_INTEGER): number | null =>
  typeof value === "number" && value >= 0 && value <= max ? value : null;

/** Reads a coincidence. Throws `coincidence-malformed`; whose it is isn't looked at. */
export function decodeCoincidence(bytes: Uint8Array): CoincidenceStatement {
  const refuse = (found: string) => new Refusal("coincidence-malformed", `found ${found}`);
  const sign1 = decodeSign1(bytes);
  if (sign1.fault !== FAULT_NONE) throw refuse(FAULTS[sign1.fault]?.[1] ?? `fault ${sign1.fault}`);
  if (sign1.protectedMap.keys.join() !== `${COSE_ALG},${COSE_KID}` || sign1.unprotectedMap.keys.length > 0)
    throw refuse("other headers than alg and kid, both protected");
  if (sign1.alg !== COSE_ALG_EDDSA || sign1.kid?.length !== 8 || sign1.signature.length !== 64)
    throw refuse("an algorithm, a kid or a signature of another size than Ed25519's");
  const { fault, value } = decodeCbor(sign1.payload ?? new Uint8Array(0), CBOR_STRICT);
  if (fault !== FAULT_NONE || value === null || !isMap(value) || value.keys.join() !== "1,2,3,4,5,6,7,8")
    throw refuse("a payload that isn't a map of keys 1 to 8");
  const [type, id, epoch, ticks, micros, uncertainty, seq, link] = value.values;
  if (type !== COINCIDENCE_TYPE) throw refuse("a statement of another type");
  if (!isBytes(id) || id.length !== STREAM_ID_BYTES || !isBytes(link) || link.length !== 32)
    throw refuse("an id or a link of another size");
  const numbers = [uint(epoch, 0xffffffff), uint(ticks), uint(micros), uint(uncertainty), uint(seq)];
  if (numbers.includes(null)) throw refuse("a number that is none");
  const [e, t, m, u, s] = numbers as [number, number, number, number, number];
  return {
    epoch: e,
    ticks: t,
    micros: m,
    uncertainty: u,
    seq: s,
    id,
    link,
    kid: sign1.kid,
    signature: sign1.signature,
  };
}

/** Length of the item at bytes[at]; 0 when it isn't all there. `whole` is its place in the file, for messages. */
function itemLength(bytes: Uint8Array, at: number, whole: number): number {
  let pos = at;
  let pending = 1;
  for (let heads = 0; pending > 0; heads++) {
    if (heads === HEADS_MAX) throw damaged(whole, "an item of more parts than any has");
    if (pos >= bytes.length) return 0;
    const major = bytes[pos]! >> 5;
    const info = bytes[pos]! & 31;
    pos++;
    const size = info < 24 ? 0 : 1 << (info - 24);
    if (info > 27 || (major === 7 && info !== 22)) throw damaged(whole, "bytes that begin no item");
    if (pos + size > bytes.length) return 0;
    let n = info;
    if (size > 0) n = 0;
    for (let i = 0; i < size; i++) n = n * 256 + bytes[pos + i]!;
    pos += size;
    pending--;
    if (major === 2 || major === 3) {
      if (n > VSTREAM_ITEM_MAX)
        throw damaged(whole, `an item of ${n} bytes, expected at most ${VSTREAM_ITEM_MAX}`);
      pos += n;
    } else if (major === 4) pending += n;
    else if (major === 5) pending += 2 * n;
    else if (major === 6) pending++;
    if (pending > HEADS_MAX) throw damaged(whole, "an item of more parts than any has");
    if (pos - at > VSTREAM_ITEM_MAX) throw damaged(whole, `an item of more than ${VSTREAM_ITEM_MAX} bytes`);
  }
  return pos <= bytes.length ? pos - at : 0;
}

/** The frame in the item that bytes begin with; null when they don't begin with one, or it isn't all there. */
export function frameOfItem(bytes: Uint8Array): Uint8Array | null {
  const [first, high = 0, low = 0] = bytes;
  if (first !== 0x58 && first !== 0x59) return null;
  const head = first === 0x58 ? 2 : 3;
  const length = first === 0x58 ? high : high * 256 + low;
  return head + length <= bytes.length ? bytes.subarray(head, head + length) : null;
}

/** Whole items out of pieces of a file. Throws `vstream-damaged`, `unsupported-version`, `coincidence-malformed`. */
export class VstreamReader {
  /** Where in the file the next item begins: all before it was whole. */
  at = 0;
  private rest: Uint8Array = new Uint8Array(0);
  private isBegun = false;

  /**
   * Takes the next bytes of the file and gives every item that is whole now. What an item holds are views of memory
   * that may be used again: good until `take` returns.
   */
  push(chunk: Uint8Array, take: (item: VstreamItem, at: number) => void): void {
    const bytes = this.rest.length === 0 ? chunk : concatBytes([this.rest, chunk]);
    let pos = 0;
    while (pos < bytes.length) {
      const length = this.lengthAt(bytes, pos);
      if (length === 0) break;
      const at = this.at;
      const item = this.itemOf(bytes.subarray(pos, pos + length), at);
      this.at += length; // not before: an item that is refused isn't whole
      pos += length;
      if (item !== null) take(item, at);
    }
    this.rest = copyBytes(bytes, pos, bytes.length);
  }

  /** What came of an item that isn't whole yet. */
  get half(): Uint8Array {
    return this.rest;
  }

  /** At the end of the file: how many bytes hang after the last whole item; 0 when nothing is torn. */
  end(): number {
    if (!this.isBegun && this.rest.length > 0) this.checkBeginning(this.rest);
    return this.rest.length;
  }

  // Nearly all items are frames: a byte string whose length is bounded at its head.
  private lengthAt(bytes: Uint8Array, pos: number): number {
    const first = bytes[pos]!;
    if (!this.isBegun) {
      this.checkBeginning(bytes);
      return bytes.length < HEAD.length ? 0 : HEAD.length;
    }
    if (first >> 5 !== 2) {
      if (first !== 0xd2 && (first < 0xa1 || first > 0xa3))
        throw damaged(this.at, `byte ${first}, which begins no item`);
      return itemLength(bytes, pos, this.at);
    }
    if (first !== 0x58 && first !== 0x59)
      throw damaged(this.at, "a byte string too short or too long for a frame");
    const size = first === 0x58 ? 1 : 2;
    if (pos + 1 + size > bytes.length) return 0;
    const length = size === 1 ? bytes[pos + 1]! : bytes[pos + 1]! * 256 + bytes[pos + 2]!;
    if (length < STREAM_HEADER_BYTES || length > STREAM_FRAME_MAX || (size === 2 && length < 256))
      throw damaged(this.at, `a byte string of ${length} bytes, no frame is so long`);
    return pos + 1 + size + length <= bytes.length ? 1 + size + length : 0;
  }

  private checkBeginning(bytes: Uint8Array): void {
    const n = Math.min(bytes.length, HEAD.length);
    for (let i = 0; i < n; i++) {
      if (bytes[i] === HEAD[i]) continue;
      if (i === HEAD.length - 1 && bytes[i]! < 24)
        throw new Refusal("unsupported-version", `found a recording of version ${bytes[i]}, expected 1`);
      throw new Refusal("not-a-vstream", "the file doesn't begin as a recording of a stream does");
    }
  }

  private itemOf(bytes: Uint8Array, at: number): VstreamItem | null {
    const first = bytes[0]!;
    if (!this.isBegun) {
      this.isBegun = true;
      return null;
    }
    if (first === 0xd2) return { kind: "coincidence", statement: decodeCoincidence(bytes), bytes };
    if (first >> 5 === 2) return { kind: "frame", bytes: bytes.subarray(first === 0x58 ? 2 : 3) };
    return { kind: "evidence", ...evidenceOf(bytes, at) };
  }
}

function evidenceOf(bytes: Uint8Array, at: number): EvidenceItem {
  const { fault, value } = decodeCbor(bytes, CBOR_STRICT);
  if (fault !== FAULT_NONE || value === null || !isMap(value))
    throw damaged(at, FAULTS[fault]?.[1] ?? "a map that isn't one");
  const item: EvidenceItem = {};
  value.keys.forEach((key, i) => {
    const known = EVIDENCE_KEYS.find((name) => name === key);
    const part = value.values[i];
    if (known === undefined || !isBytes(part))
      throw damaged(at, "a map of other than evidence, challenge, enrolment");
    item[known] = part;
  });
  return item;
}
