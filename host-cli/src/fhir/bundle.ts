// A stream's readings as FHIR: one transaction Bundle, or NDJSON, written as they come and never held.
//
//   Device (PHD) · Device (PHG) · DeviceMetric…      once
//   Observation coincidence                          before the first reading that it times
//   Observation reading…                             spec/fhir-export.md
//   Provenance                                       for each run of frames that a signed one closes
//
// In a bundle each entry is created if no resource has its identifier yet, so that a repeated upload doubles nothing; entries
// name each other by UUIDs that are the same in each export. In NDJSON those are the ids.

import { toHex } from "@vouch/shared/bytes";
import { type Channel, GROUP_SAMPLED, type Group } from "@vouch/shared/readings";
import { isoMillis } from "@vouch/shared/streamtime";
import type { FhirResource, Identifier } from "fhir/r4";
import { Chunks } from "../chunks";
import type { Piece, Stamp } from "../readings";
import {
  deviceIdentifiers,
  deviceMetric,
  gatewayIdentifier,
  type Named,
  type Proven,
  phdDevice,
  phgDevice,
  plainEui,
} from "./devices";
import { formatResource } from "./json";
import { inBundle, inLines, OWN, type Refer, searchFor, searchText, uuidOf } from "./names";
import {
  coincidenceObservation,
  READING_SYSTEM,
  type References,
  type Writer,
  writersOf,
} from "./observations";
import { provenance, runIdentifier, type Signed } from "./provenance";

/** Who the readings are about, as the person exporting says. */
export interface PatientGiven {
  reference: string | null;
  identifier: { system: string; value: string } | null;
}

export interface FhirFacts {
  proven: Proven;
  device: Named;
  gateway: Named;
  /** Key id of who signed the coincidences. */
  recorder: string | null;
  software: string;
  patient: PatientGiven;
  policy: string | null;
  /** What a ledger holds of frames up to this one; null where nothing is known. */
  anchorOf(streamId: Uint8Array, lastSeq: number): Signed["anchor"];
}

/** A signed frame, and when it was signed; null where its ticks lie outside of all times, as no honest device's do. */
export interface Closing extends Pick<Signed, "frame" | "link" | "lastSeq"> {
  time: string | null;
}

/** Targets that one Provenance names: past it the run gets another. */
const TARGETS_MAX = 4096;

export class FhirWriter {
  /** Resources written, by type. */
  readonly written: Record<string, number> = {};
  private readonly refer: Refer;
  private readonly device: string;
  private readonly gateway: string;
  private readonly to: References;
  private readonly prefix: string;
  private readonly stamps = new Map<Stamp, string>();
  private readonly stamped = new Set<string>();
  private readonly writers = new Map<Group, Writer[]>();
  private readonly text: Chunks;
  private targets: string[] = [];
  private run: Pick<Signed, "streamId" | "firstSeq" | "evidence" | "image"> | null = null;
  private lastSeq = -1;
  private lastTime = "";

  constructor(
    private readonly facts: FhirFacts,
    private readonly isLines: boolean,
    out: (chunk: Uint8Array) => void,
  ) {
    this.text = new Chunks(out);
    const { proven, device, gateway, recorder, patient } = facts;
    this.refer = isLines ? inLines : inBundle;
    const [phd] = deviceIdentifiers(proven, device);
    const phg = gatewayIdentifier(gateway, recorder);
    this.device = uuidOf("Device", `${phd.system}|${phd.value}`);
    this.gateway = uuidOf("Device", `${phg.system}|${phg.value}`);
    this.to = {
      subject: subjectOf(patient),
      device: this.refer("Device", this.device),
      gateway: this.refer("Device", this.gateway),
    };
    const who = device.eui === undefined ? toHex(proven.ueid) : plainEui(device.eui);
    const { system, value } = patient.identifier ?? { system: "", value: patient.reference ?? "" };
    this.prefix = `${who}-${value}-${system}-`;
    if (!isLines) this.text.put('{"resourceType":"Bundle","type":"transaction","entry":[');
    this.add(this.device, phdDevice(proven, device), searchFor(phd));
    this.add(this.gateway, phgDevice(gateway, recorder, facts.software), searchFor(phg));
    this.addMetrics(proven.groups, who);
  }

  private addMetrics(groups: readonly Group[], who: string): void {
    const seen = new Set<string>();
    for (const channel of groups.flatMap(({ channels }): Channel[] => channels)) {
      const value = `${who}-${channel.code}-${channel.unit}`;
      if (seen.has(value)) continue;
      seen.add(value);
      const identifier: Identifier = { system: `${OWN}/NamingSystem/device-metric`, value };
      this.add(
        uuidOf("DeviceMetric", value),
        deviceMetric(channel, identifier, this.to.device),
        searchFor(identifier),
      );
    }
  }

  /** A reading, of a run that `closing` tells the signed frame of. */
  piece(piece: Piece, closing: () => Closing): void {
    const { block, streamId, placed, stamp } = piece;
    if (placed === null || stamp === null) throw new Error("a reading without time is no Observation");
    if (this.targets.length >= TARGETS_MAX && block.seq !== this.lastSeq) this.close(closing);
    const { evidence, image } = block.boot;
    this.run ??= { streamId, firstSeq: block.seq, evidence, image };
    this.lastSeq = block.seq;
    const coincidence = JSON.stringify(this.refer("Observation", this.stampOf(stamp)));
    this.lastTime = isoMillis(placed.micros);
    const effective = `"${this.lastTime}"`;
    const width = block.group.channels.length;
    // A waveform that was cut before its end is another one than the whole, which begins where it does.
    const isCut = piece.row + piece.rows < block.rows && block.group.kind === GROUP_SAMPLED;
    const taken = `${secondsOf(piece.ticks)}${isCut ? `..${secondsOf(piece.rows * block.group.period)}` : ""}`;
    let writers = this.writers.get(block.group);
    if (writers === undefined) {
      writers = writersOf(block.group, this.to);
      this.writers.set(block.group, writers);
    }
    for (const writer of writers) {
      const suffix = `${writer.code}-${taken}-${block.boot.bootcount}.${block.groupIndex}.${writer.channel}`;
      const identifier = this.prefix + suffix;
      const uuid = uuidOf("Observation", identifier);
      const text = writer.write({
        coincidence,
        uncertainty: placed.uncertainty,
        identifier: JSON.stringify(identifier),
        effective,
        values: block.values,
        at: piece.row * width + writer.channel,
        count: piece.rows * width,
      });
      this.entry("Observation", uuid, text, this.search(suffix));
      this.targets.push(uuid);
    }
  }

  private searchPrefix = "";
  private search(suffix: string): string {
    this.searchPrefix ||= `identifier=${searchText(READING_SYSTEM)}|${searchText(this.prefix)}`;
    return this.searchPrefix + suffix; // digits, points and dashes
  }

  private stampOf(stamp: Stamp): string {
    const known = this.stamps.get(stamp);
    if (known !== undefined) return known;
    const value = `${toHex(stamp.streamId)}-${stamp.epoch}-${stamp.ticks}-${stamp.micros}`;
    const identifier = { system: `${OWN}/NamingSystem/coincidence`, value };
    const uuid = uuidOf("Coincidence", value);
    // One that was recorded twice is one resource.
    if (!this.stamped.has(uuid))
      this.add(uuid, coincidenceObservation(stamp, identifier, this.to), searchFor(identifier));
    this.stamps.set(stamp, uuid);
    this.stamped.add(uuid);
    return uuid;
  }

  /** The run that is open, if one is, ends with this signed frame. */
  close(closing: () => Closing): void {
    const { run, targets } = this;
    if (run === null) return;
    const { time, ...frame } = closing();
    const { policy } = this.facts;
    const anchor = this.facts.anchorOf(run.streamId, frame.lastSeq);
    const readings = uuidOf("Readings", targets.join());
    const signed: Signed = { ...run, ...frame, readings, time: time ?? this.lastTime, policy, anchor };
    const identifier = runIdentifier(signed);
    const { resourceType, ...rest } = provenance(signed, this.to.device, this.to.gateway);
    const target = targets.map((uuid) => ({ reference: this.refer("Observation", uuid) }));
    this.add(
      uuidOf("Provenance", identifier.value!),
      { resourceType, target, ...rest },
      searchFor(identifier, "entity:identifier"), // a Provenance has no identifier of its own
    );
    this.run = null;
    this.targets = [];
  }

  /** After the last; what was written is whole with this. */
  end(): void {
    if (!this.isLines) this.text.put("]}\n");
    this.text.flush();
  }

  private add(uuid: string, resource: FhirResource, search: string): void {
    this.entry(resource.resourceType, uuid, formatResource(resource), search);
  }

  private entry(type: string, uuid: string, text: string, search: string): void {
    const isFirst = Object.keys(this.written).length === 0;
    this.written[type] = (this.written[type] ?? 0) + 1;
    if (this.isLines) {
      const head = `{"resourceType":"${type}",`;
      this.text.put(`${head}"id":"${uuid}",${text.slice(head.length)}\n`);
    } else {
      this.text.put(
        `${isFirst ? "\n" : ",\n"}{"fullUrl":"urn:uuid:${uuid}","resource":${text},"request":{"method":"POST","url":"${type}","ifNoneExist":"${search}"}}`,
      );
    }
  }
}

function subjectOf({ reference, identifier }: PatientGiven): References["subject"] {
  if (reference !== null) return { reference };
  return { type: "Patient", identifier: identifier ?? {} };
}

/** Ticks as the guide's identifiers have them: seconds, to the millisecond. */
const secondsOf = (ticks: number): string =>
  `${Math.floor(ticks / 1000)}.${String(ticks % 1000).padStart(3, "0")}`;
