// The FHIR view beside resources that were written apart from it (shared/vectors/published/fhir): of one device in one state, the
// same elements with the same codes, wherever ours claims the same. What ours leaves out or says otherwise on purpose
// stands here, each with its reason; anything else that differs is a failure.

import { parseAuditLine } from "@vouch/shared/auditline";
import { utf8Encode } from "@vouch/shared/bytes";
import { Gathering } from "@vouch/shared/report";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { publishedJson } from "../../shared/test/vectors";
import { reportFhir } from "../src/fhir/firmware";
import { AT, auditOf, contextWith, recordWith } from "./report-kit";

type Json = { readonly [key: string]: Json } & { readonly [index: number]: Json } & Iterable<Json> & string;
const published = (name: string) => publishedJson<Json>(`fhir/${name}.json`);

const DEVICE = published("device-phd");
const STATE = published("obs-firmware-attestation");
const ORIGIN = published("provenance");
const EVENT = published("auditevent");

const list = (value: Json | undefined): Json[] => (value === undefined ? [] : [...value]);
const componentOf = (observation: Json, isIt: (code: string) => boolean): Json => {
  const found = list(observation["component"]).find(({ code }) =>
    isIt(code!["text"] ?? list(code!["coding"])[0]!["code"]!),
  );
  assert.ok(found);
  return found!;
};

// The device of the vectors, as an audit would find it.
const digest = /^sha-256:([0-9a-f]{64})$/.exec(
  componentOf(STATE, (code) => code === "firmware-digest")["valueString"]!,
)![1]!;
const lines = auditOf(
  [
    contextWith({
      release: STATE["valueString"]!,
      udiDi: list(DEVICE["udiCarrier"])[0]!["deviceIdentifier"]!,
    }),
  ],
  [
    recordWith("1", {
      serial: DEVICE["serialNumber"]!,
      product: DEVICE["modelNumber"]!,
      release: STATE["valueString"]!,
      components: [{ name: "app", digest }],
    }),
    recordWith("2", { word: "vulnerable" }),
  ],
);
const gathering = new Gathering();
for (const line of lines.split("\n").filter(Boolean)) gathering.line(parseAuditLine(utf8Encode(line)));
gathering.source({ name: "results.jsonl", sha256: "00".repeat(32), lines: 4 }, true);
const bundle = JSON.parse(reportFhir(gathering.report(AT))) as Json;
const resources = list(bundle["entry"]).map(({ resource }) => resource!);

const find = (type: string, isIt: (resource: Json) => boolean): Json => {
  const found = resources.find((resource) => resource["resourceType"] === type && isIt(resource));
  assert.ok(found, type);
  return found!;
};
const device = find("Device", ({ serialNumber }) => serialNumber === DEVICE["serialNumber"]);
const self = `Device/${device["id"]}`;
const state = find("Observation", ({ subject }) => subject?.["reference"] === self);
const origin = find("Provenance", ({ target }) =>
  list(target).some(({ reference }) => reference === `Observation/${state["id"]}`),
);
const event = find("AuditEvent", ({ id }) => id!.startsWith("alert-"));
const gateway = "Device/gateway";

const fhir = suite("FHIR beside the published resources");

/** Members of the vector that ours has, too, to the letter. */
function sameMembers(ours: Json, theirs: Json, members: readonly string[]): void {
  for (const member of members) assert.equal(ours[member], theirs[member], member);
}

/** Each member of theirs is looked at above, or its absence has a reason here. */
function nothingElse(
  theirs: Json,
  looked: readonly string[],
  otherwise: Readonly<Record<string, string>>,
): void {
  const left = Object.keys(theirs).filter((key) => !looked.includes(key) && otherwise[key] === undefined);
  assert.equal(left, []);
}

fhir("Device: type, serial and model number, UDI-DI, firmware with its digest, no time of its own", () => {
  const same = ["resourceType", "status", "serialNumber", "modelNumber", "property"];
  sameMembers(device, DEVICE, same);
  assert.equal(device["type"]!["coding"], DEVICE["type"]!["coding"]);
  const isFirmware = (version: Json) => list(version["type"]!["coding"])[0]!["code"] === "531976";
  assert.equal(list(device["version"]), list(DEVICE["version"]).filter(isFirmware));
  const [carrier] = list(device["udiCarrier"]);
  sameMembers(carrier!, list(DEVICE["udiCarrier"])[0]!, ["deviceIdentifier", "issuer"]);
  assert.equal(
    Object.keys(carrier!),
    ["deviceIdentifier", "issuer"],
    "a release names no production identifier",
  );
  nothingElse(DEVICE, [...same, "type", "version", "udiCarrier"], {
    id: "each has its own",
    meta: "the guide's profile asks for an EUI-64, which evidence doesn't hold: none is claimed",
    identifier: "key id and UEID instead of an EUI-64 and a DID",
    manufacturer: "evidence names a key, not a firm",
    manufactureDate: "evidence holds no production identifier",
    expirationDate: "evidence holds no production identifier",
    lotNumber: "evidence holds no production identifier",
    deviceName: "evidence holds none",
    specialization: "no kind of device is claimed: a generic one",
  });
  for (const absent of ["meta", "manufacturer", "lotNumber", "expirationDate"])
    assert.is(device[absent], undefined);
});

fhir("Observation: the firmware's code, the release as value, digest and verdict as components", () => {
  const same = ["resourceType", "status", "valueString"];
  sameMembers(state, STATE, same);
  assert.equal(state["code"]!["coding"], STATE["code"]!["coding"]);
  for (const member of ["subject", "device"]) {
    assert.is(STATE[member]!["reference"], `Device/${DEVICE["id"]}`);
    assert.is(state[member]!["reference"], self);
  }
  const ours = componentOf(state, (code) => code === "digest of app");
  assert.is(ours["valueString"], componentOf(STATE, (code) => code === "firmware-digest")["valueString"]);
  const verdictOf = (observation: Json) =>
    list(componentOf(observation, (code) => code === "verdict")["valueCodeableConcept"]!["coding"])[0]![
      "code"
    ];
  assert.is(verdictOf(state), verdictOf(STATE));
  nothingElse(STATE, [...same, "code", "subject", "device", "component"], {
    id: "each has its own",
    effectiveDateTime: "a ledger proves a bracket and no instant: effectivePeriod",
  });
  assert.ok(state["effectivePeriod"]!["start"]! < state["effectivePeriod"]!["end"]!);
});

fhir("Provenance: the device is the author, the gateway assembles, what was signed is a source", () => {
  sameMembers(origin, ORIGIN, ["resourceType", "activity"]);
  const types = (of: Json) => list(of["agent"]).map(({ type }) => type);
  assert.equal(types(origin), types(ORIGIN));
  const whose = (of: Json) => list(of["agent"]).map(({ who }) => who!["reference"]);
  assert.equal(whose(ORIGIN), [`Device/${DEVICE["id"]}`, "Device/phg-host-cli"]);
  assert.equal(whose(origin), [self, gateway]);
  const roles = (of: Json) => new Set(list(of["entity"]).map(({ role }) => role));
  assert.equal(roles(origin), roles(ORIGIN));
  for (const { what } of list(origin["entity"])) assert.ok(what!["identifier"]!["value"]);
  assert.ok(list(origin["policy"]).length === 1 && list(ORIGIN["policy"]).length === 1);
  nothingElse(ORIGIN, ["resourceType", "activity", "agent", "entity", "policy", "target", "recorded"], {
    id: "each has its own",
    occurredDateTime: "a ledger proves a bracket and no instant: occurredPeriod",
    signature: "the evidence's own (COSE) is not one of FHIR's kinds: named by digest, and not repeated",
  });
  assert.is(origin["signature"], undefined);
});

fhir("AuditEvent: a security alert about software, by the gateway, about the device", () => {
  const same = ["resourceType", "type", "subtype"];
  sameMembers(event, EVENT, same);
  const isGateway = ({ who, requestor }: Json) =>
    who!["reference"] !== undefined && String(requestor) === "false";
  assert.is(list(EVENT["agent"]).filter(isGateway).length, 1);
  assert.equal(
    list(event["agent"])
      .filter(isGateway)
      .map(({ who }) => who!["reference"]),
    [gateway],
  );
  assert.is(event["source"]!["observer"]!["reference"], gateway);
  assert.match(EVENT["source"]!["observer"]!["reference"]!, /^Device\//);
  assert.match(list(event["entity"])[0]!["what"]!["reference"]!, /^Device\/phd-/);
  assert.match(list(EVENT["entity"])[0]!["what"]!["reference"]!, /^Device\//);
  nothingElse(EVENT, [...same, "agent", "source", "entity", "recorded", "outcomeDesc"], {
    id: "each has its own",
    action: "an audit executes (E); what is published is of an update (U)",
    outcome: "a device that is vulnerable is a serious failure (8), the published update succeeded (0)",
  });
  assert.equal([event["action"], event["outcome"]], ["E", "8"]);
});
fhir.run();
