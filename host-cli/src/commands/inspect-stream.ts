// vouch inspect on what streams are made of and leave: recordings, who reads them, grants, heads; and on states that one
// verb keeps for itself.
//
// A grant's keys stay in their box: what is told of it, anybody can read who has the file. A readers' key is its public half;
// the secret one is a private key, which inspect refuses before any of this.

import { toHex, utf8Decode } from "@vouch/shared/bytes";
import { keyidOf } from "@vouch/shared/dsse";
import { formatReader, parseReader, parseReadersFile, type Reader } from "@vouch/shared/readerkey";
import { FRAME_ANNOUNCE, FRAME_CLOSE, MODE_NAMES, readerKid } from "@vouch/shared/stream";
import { parseGrantFile } from "@vouch/shared/streamgrant";
import { parseHead } from "@vouch/shared/streamhead";
import { decodeAnnounce, parseFrame } from "@vouch/shared/streamread";
import { VstreamReader } from "@vouch/shared/vstream";
import { nodeCrypto } from "../crypto";
import { parseHeads } from "../streamheads";

/** Items are counted one by one and nothing of them is compared; a file that ends within one is torn, which is no damage. */
export function tellRecording(bytes: Uint8Array) {
  const streams: { id: string; mode: string; key: string; ueid: string }[] = [];
  const counts = { frames: 0, coincidences: 0, evidence: 0 };
  let isClosed = false;
  const reader = new VstreamReader();
  reader.push(bytes, (item) => {
    if (item.kind === "coincidence") counts.coincidences++;
    if (item.kind === "evidence") counts.evidence++;
    if (item.kind !== "frame") return;
    counts.frames++;
    const { type, id, body } = parseFrame(item.bytes);
    isClosed = type === FRAME_CLOSE;
    if (type !== FRAME_ANNOUNCE) return;
    const { mode, publicKey, ueid } = decodeAnnounce(body);
    const key = keyidOf(publicKey, nodeCrypto);
    streams.push({ id: toHex(id), mode: MODE_NAMES[mode] ?? String(mode), key, ueid: toHex(ueid) });
  });
  return {
    fields: {
      streams,
      ...counts,
      closed: isClosed,
      tornBytes: bytes.length - reader.at,
    },
    notVerified: "neither the chain nor a signature was checked; `vouch stream verify` does that",
  };
}

const readerFields = (reader: Reader) => ({
  name: reader.name,
  publicKey: toHex(reader.publicKey),
  kid: toHex(readerKid(reader.publicKey)),
});

export function tellReader(bytes: Uint8Array) {
  const reader = parseReader((utf8Decode(bytes) ?? "").replace(/\r?\n$/, ""));
  return {
    fields: { ...readerFields(reader), for: "X25519, to read streams" },
    notVerified: "whose key this is",
  };
}

export function tellReaders(bytes: Uint8Array) {
  const { mode, readers } = parseReadersFile(bytes);
  return {
    fields: { mode: MODE_NAMES[mode] ?? String(mode), readers: readers.map(formatReader) },
    notVerified: "whose keys these are; they read from the next epoch on",
  };
}

export function tellGrant(bytes: Uint8Array) {
  const { id, kid, box } = parseGrantFile(bytes);
  return {
    fields: { stream: toHex(id), reader: toHex(kid), sealed: `${box.length} bytes` },
    notVerified: "which frames it opens: that is sealed for its reader",
  };
}

export function tellHead(bytes: Uint8Array) {
  const { id, epoch, seq, link, salt } = parseHead(bytes);
  return {
    fields: { stream: toHex(id), epoch, seq, link: toHex(link), salt: toHex(salt) },
    notVerified: "that a log holds the commitment was not checked; `vouch stream verify --anchor` does that",
  };
}

export function tellHeads(bytes: Uint8Array) {
  return {
    fields: {
      heads: parseHeads(bytes).map(({ id, seq, link, after }) => ({
        stream: toHex(id),
        seq,
        link: toHex(link),
        ...(after.length > 0 && { after: after.map(toHex) }),
      })),
    },
    notVerified: "nothing: it says what `vouch stream verify --state` has seen",
  };
}

/** Of use to the verb that keeps it, and to nobody else. */
export function tellState(bytes: Uint8Array) {
  return {
    fields: { bytes: bytes.length },
    notVerified: "nothing of it was read: the verb that keeps it does that",
  };
}

export function tellSimulated(bytes: Uint8Array) {
  return {
    fields: { bytes: bytes.length },
    notVerified: "nothing of it was read: the device's secret key lies in it",
  };
}
