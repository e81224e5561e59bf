// Who says so: a Provenance for each run of frames that a signed frame closes. Its targets are the Observations made of
// them, its signature is the device's, with the frame that it signs:
//
//   signature.data   the signed frame, whole: header, link to the frame before it, body, Ed25519 signature. The links
//                    of the recording lead from it to every frame of the run (spec/stream.md)
//   entity           the frames by stream, numbers and link; the evidence that says what software ran; where the head
//                    is on a ledger, that

import { toHex } from "@vouch/shared/bytes";
import type { Identifier, Provenance, ProvenanceEntity } from "fhir/r4";
import { niUri, OWN, THO } from "./names";

export interface Signed {
  streamId: Uint8Array;
  /** Of the run; the last is the signed frame. */
  firstSeq: number;
  lastSeq: number;
  /** Names the Observations that were made of it: another span of time, or another reader, makes others. */
  readings: string;
  link: Uint8Array;
  /** The signed frame. */
  frame: Uint8Array;
  /** SHA-256 of the evidence of the boot. */
  evidence: Uint8Array;
  image: Uint8Array | null;
  /** When it was signed, as FHIR writes it. */
  time: string;
  policy: string | null;
  anchor: { system: string; value: string; display: string } | null;
}

/** By which the same readings of a run are found again. */
export const runIdentifier = ({ streamId, firstSeq, lastSeq, link, readings }: Signed): Identifier => ({
  system: `${OWN}/NamingSystem/stream-frames`,
  value: `${toHex(streamId)}/${firstSeq}-${lastSeq}/${toHex(link)}/${readings}`,
});

const agent = (code: string, display: string, who: string) => ({
  type: { coding: [{ system: `${THO}/provenance-participant-type`, code, display }] },
  who: { reference: who },
});

const source = (identifier: Identifier, display: string): ProvenanceEntity => ({
  role: "source",
  what: { identifier, display },
});

const digest = (sha256: Uint8Array): Identifier => ({ system: "urn:ietf:rfc:6920", value: niUri(sha256) });

export function provenance(signed: Signed, device: string, gateway: string): Omit<Provenance, "target"> {
  const { streamId, firstSeq, lastSeq, image, anchor } = signed;
  return {
    resourceType: "Provenance",
    occurredDateTime: signed.time,
    recorded: signed.time,
    ...(signed.policy === null ? {} : { policy: [signed.policy] }),
    activity: { coding: [{ system: `${THO}/v3-DataOperation`, code: "CREATE", display: "create" }] },
    agent: [agent("author", "Author", device), agent("assembler", "Assembler", gateway)],
    entity: [
      source(runIdentifier(signed), `Frames ${firstSeq} to ${lastSeq} of stream ${toHex(streamId)}`),
      source(digest(signed.evidence), "Evidence of the boot"),
      ...(image === null ? [] : [source(digest(image), "Firmware image that ran")]),
      ...(anchor === null ? [] : [source({ system: anchor.system, value: anchor.value }, anchor.display)]),
    ],
    signature: [
      {
        type: [
          {
            system: "urn:iso-astm:E1762-95:2013",
            code: "1.2.840.10065.1.12.1.14",
            display: "Source Signature",
          },
        ],
        when: signed.time,
        who: { reference: device },
        targetFormat: "application/vnd.vouch.stream",
        sigFormat: "application/vnd.vouch.stream-frame",
        data: Buffer.from(signed.frame).toString("base64"),
      },
    ],
  };
}
