// A report as HL7 FHIR R4, in the shape of the Personal Health Device guide: the microcontroller is a PHD, the program that
// asked it is the gateway (PHG). A view: the evidence is the truth, and every resource names it by digest.
//
//   Device       one a device whose key an enrolment proves, and one for the gateway
//   Observation  what firmware it ran: code 531976, the release as value, digest, verdict and reasons as components
//   Provenance   who said so: author the device, assembler the gateway; from which evidence, by which policy
//   AuditEvent   the appraisal as a whole, and an alert for each row that is refuted, recalled or vulnerable
//
// A release stands as a value only where the evidence is sound; otherwise the value is absent and says so. Profiles
// of the guide are not claimed: they ask for an EUI-64, which evidence doesn't hold. Times are brackets of the ledger's,
// so an effective time is a Period.

import { MDC_SYSTEM } from "@vouch/shared/mdc";
import type { Report } from "@vouch/shared/report";
import type { ReportRelease, ReportRow } from "@vouch/shared/reportrows";
import { printable } from "../exit";
import { CORE, niUri as niOf, OWN, THO } from "./names";

const DCM = "http://dicom.nema.org/resources/ontology/DCM";
const GATEWAY = "Device/gateway";
const LONGEST = 1024;

/** Whose release is what the device measured. */
const SOUND = new Set(["patched", "vulnerable", "recalled"]);
const ALERTS = new Set(["refuted", "recalled", "vulnerable"]);

type Resource = Readonly<Record<string, unknown>> & { readonly resourceType: string; readonly id: string };

const mdc = (code: string, display: string) => ({ coding: [{ system: MDC_SYSTEM, code, display }] });
const own = (code: string) => ({ coding: [{ system: `${OWN}/CodeSystem/firmware-state`, code }] });
const reference = (to: string) => ({ reference: to });

/** Text that FHIR takes: not empty, nothing invisible, no space at either end; undefined leaves the element out. */
function fhirText(text: string | null): string | undefined {
  const safe = printable(text ?? "")
    .slice(0, LONGEST)
    .trim();
  return safe === "" ? undefined : safe;
}

/** The URI of a digest in hex. */
const niUri = (sha256: string) => niOf(Buffer.from(sha256, "hex"));
const byDigest = (sha256: string) => ({ identifier: { system: "urn:ietf:rfc:6920", value: niUri(sha256) } });

/** JSON, one line. */
export function reportFhir(report: Report): string {
  const releases = new Map(report.releases.map((release) => [nameOf(release), release]));
  const resources: Resource[] = [gateway(report), appraisal(report)];
  for (const row of report.rows) {
    if (row.kid !== null) {
      const id = idOf(row);
      resources.push(
        device(id, row, releases.get(nameOf(row))),
        observation(id, row),
        provenance(id, row, report),
      );
    }
    if (ALERTS.has(row.word)) resources.push(alert(row, report));
  }
  return JSON.stringify({
    resourceType: "Bundle",
    type: "collection",
    timestamp: report.at,
    entry: resources.map((resource) => ({
      fullUrl: `${OWN}/${resource.resourceType}/${resource.id}`,
      resource,
    })),
  });
}

const nameOf = ({ product, release }: { product: string | null; release: string | null }) =>
  JSON.stringify([product, release]);

/** Two rows never share a key or a piece of evidence. */
const idOf = ({ kid, input }: ReportRow) =>
  kid !== null && /^[0-9a-f]{16}$/.test(kid) ? kid : input.slice(0, 32);

function device(id: string, row: ReportRow, release: ReportRelease | undefined): Resource {
  const isSound = SOUND.has(row.word);
  const udiDi = isSound ? fhirText(release?.udiDi ?? null) : undefined;
  const version = isSound ? fhirText(row.release) : undefined;
  const digest = row.components.find(({ name }) => name === "app") ?? row.components[0];
  return {
    resourceType: "Device",
    id: `phd-${id}`,
    identifier: [
      { type: { text: "Key id" }, system: `${OWN}/NamingSystem/key-id`, value: fhirText(row.kid) },
      ...(fhirText(row.ueid) === undefined
        ? []
        : [
            {
              type: { text: "UEID (RFC 9711)" },
              system: `${OWN}/NamingSystem/ueid`,
              value: fhirText(row.ueid),
            },
          ]),
    ],
    ...(udiDi === undefined
      ? {}
      : {
          udiCarrier: [
            {
              deviceIdentifier: udiDi,
              ...(/^[0-9]{14}$/.test(udiDi) ? { issuer: "http://hl7.org/fhir/NamingSystem/gs1-di" } : {}),
            },
          ],
        }),
    status: "active",
    serialNumber: fhirText(row.serial),
    modelNumber: isSound ? fhirText(row.product) : undefined,
    type: { ...mdc("65573", "MDC_MOC_VMS_MDS_SIMP"), text: "Personal health device" },
    specialization: [{ systemType: mdc("528457", "MDC_DEV_SPEC_PROFILE_GENERIC"), version: "1" }],
    ...(version === undefined
      ? {}
      : {
          version: [
            {
              type: { ...mdc("531976", "MDC_ID_PROD_SPEC_FW"), text: "Firmware revision" },
              ...(digest === undefined
                ? {}
                : { component: { system: "urn:ietf:rfc:6920", value: niUri(digest.digest) } }),
              value: version,
            },
          ],
        }),
    property: [
      {
        type: mdc("68220", "MDC_TIME_SYNC_PROTOCOL"),
        valueCode: [mdc("532224", "MDC_TIME_SYNC_NONE")], // evidence carries no time of the device's own
      },
    ],
  };
}

function gateway({ tools }: Report): Resource {
  return {
    resourceType: "Device",
    id: "gateway",
    status: "active",
    deviceName: [{ name: "vouch", type: "model-name" }],
    modelNumber: "vouch",
    type: { ...mdc("531981", "MDC_MOC_VMS_MDS_AHD"), text: "Personal health gateway" },
    specialization: [{ systemType: mdc("528457", "MDC_DEV_SPEC_PROFILE_GENERIC"), version: "1" }],
    version: tools.flatMap((tool) => {
      const value = fhirText(tool);
      return value === undefined
        ? []
        : [{ type: { ...mdc("531975", "MDC_ID_PROD_SPEC_SW"), text: "Software revision" }, value }];
    }),
  };
}

/** When it was measured, as far as a ledger proves it. */
function periodOf({ notBefore, notAfter }: ReportRow) {
  if (notBefore === null && notAfter === null) return undefined;
  return {
    ...(notBefore === null ? {} : { start: notBefore }),
    ...(notAfter === null ? {} : { end: notAfter }),
  };
}

function observation(id: string, row: ReportRow): Resource {
  const version = SOUND.has(row.word) ? fhirText(row.release) : undefined;
  const period = periodOf(row);
  return {
    resourceType: "Observation",
    id: `firmware-${id}`,
    extension: [
      {
        url: `${CORE}/observation-gatewayDevice`,
        valueReference: reference(GATEWAY),
      },
    ],
    status: "final",
    code: { ...mdc("531976", "MDC_ID_PROD_SPEC_FW"), text: "Firmware state, attested" },
    subject: reference(`Device/phd-${id}`),
    ...(period === undefined ? {} : { effectivePeriod: period }),
    issued: row.judged,
    ...(version === undefined
      ? { dataAbsentReason: { coding: [{ system: `${THO}/data-absent-reason`, code: "unknown" }] } }
      : { valueString: version }),
    device: reference(`Device/phd-${id}`),
    component: [
      {
        code: own("verdict"),
        valueCodeableConcept: { coding: [{ system: `${OWN}/CodeSystem/verdict`, code: row.word }] },
      },
      ...row.components.map(({ name, digest }) => ({
        code: { ...own("digest"), text: fhirText(`digest of ${name}`) },
        valueString: `sha-256:${digest}`,
      })),
      ...row.reasons.map(({ code, message }) => ({
        code: own("reason"),
        valueCodeableConcept: {
          coding: [{ system: `${OWN}/CodeSystem/reason`, code: /^[a-z0-9-]+$/.test(code) ? code : "other" }],
          text: fhirText(message),
        },
      })),
      ...row.advisories.flatMap((advisory) => {
        const valueString = fhirText(advisory);
        return valueString === undefined ? [] : [{ code: own("advisory"), valueString }];
      }),
    ],
  };
}

function provenance(id: string, row: ReportRow, report: Report): Resource {
  const period = periodOf(row);
  const agent = (code: string, display: string, who: string) => ({
    type: { coding: [{ system: `${THO}/provenance-participant-type`, code, display }] },
    who: reference(who),
  });
  return {
    resourceType: "Provenance",
    id: `evidence-${id}`,
    target: [reference(`Observation/firmware-${id}`)],
    ...(period === undefined ? {} : { occurredPeriod: period }),
    recorded: row.judged,
    policy: report.policies.map(niUri),
    activity: { coding: [{ system: `${THO}/v3-DataOperation`, code: "CREATE", display: "create" }] },
    agent: [agent("author", "Author", `Device/phd-${id}`), agent("assembler", "Assembler", GATEWAY)],
    entity: [
      { role: "source", what: { ...byDigest(row.input), display: "Evidence" } },
      ...(row.context === null
        ? []
        : [{ role: "source", what: { ...byDigest(row.context), display: "Release context" } }]),
    ],
  };
}

const source = { observer: reference(GATEWAY) };
const agents = [{ who: reference(GATEWAY), requestor: false }];

function appraisal(report: Report): Resource {
  return {
    resourceType: "AuditEvent",
    id: "appraisal",
    type: { system: `${THO}/iso-21089-lifecycle`, code: "verify", display: "Verify Record Lifecycle Event" },
    action: "E",
    recorded: report.at,
    outcome: "0",
    outcomeDesc: `${report.words.patched ?? 0} of ${report.devices} devices shown to be patched`,
    agent: agents,
    source,
    entity: [
      ...report.policies.map((policy) => ({ what: byDigest(policy), description: "Policy" })),
      ...report.sources.map(({ sha256 }) => ({ what: byDigest(sha256), description: "Results of audits" })),
    ],
  };
}

function alert(row: ReportRow, report: Report): Resource {
  const [reason] = row.reasons.filter(({ word }) => word === row.word);
  return {
    resourceType: "AuditEvent",
    id: `alert-${row.input.slice(0, 32)}`,
    type: { system: DCM, code: "110113", display: "Security Alert" },
    subtype: [{ system: DCM, code: "110131", display: "Software Configuration" }],
    action: "E",
    recorded: report.at,
    outcome: "8", // serious failure
    outcomeDesc: fhirText(`${row.word}: ${reason?.message ?? ""}`),
    agent: agents,
    source,
    entity: [
      {
        what: row.kid === null ? byDigest(row.input) : reference(`Device/phd-${idOf(row)}`),
        description: row.kid === null ? "Evidence that proves no device's key" : "Device",
      },
    ],
  };
}
