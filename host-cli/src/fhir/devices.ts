// Who measured and who carried: Device for the microcontroller (PHD), Device for the gateway (PHG), and a DeviceMetric
// for each channel, as HL7's Personal Health Device guide shapes them.
//
// A stream proves a device's key, UEID and image. The guide asks for an EUI-64, a manufacturer and a model besides: the
// profile is claimed where the person exporting names them, and nothing is made up where not.

import { toHex } from "@vouch/shared/bytes";
import {
  GENERIC_DEVICE,
  MDC_DEVICES,
  MDC_METRICS,
  MDC_SYSTEM,
  MDC_UNITS,
  UCUM_SYSTEM,
} from "@vouch/shared/mdc";
import type { Channel, Group } from "@vouch/shared/readings";
import { parseUdi, type Udi } from "@vouch/shared/udi";
import type { Coding, Device, DeviceMetric, DeviceUdiCarrier, DeviceVersion, Identifier } from "fhir/r4";
import { didKey } from "./didkey";
import { mdc, niUri, OWN, PHD, THO, URI } from "./names";

const EUI64_SYSTEM = "urn:oid:1.2.840.10004.1.1.1.0.0.1.0.0.1.2680";

/** What a person says of a device or gateway; each may be missing. */
export interface Named {
  readonly eui?: string | undefined;
  readonly name?: string | undefined;
  readonly manufacturer?: string | undefined;
  readonly model?: string | undefined;
  readonly serial?: string | undefined;
  readonly hardware?: string | undefined;
  readonly udi?: string | undefined;
  /** Of a gateway: its clock follows NTP. */
  readonly isNtp?: boolean | undefined;
}

/** What the stream proves of its device. */
export interface Proven {
  readonly ueid: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Images that ran, newest last, with their release where somebody trusted named it. */
  readonly images: readonly { readonly sha256: Uint8Array; readonly release: string | null }[];
  readonly groups: readonly Group[];
}

/** FE-ED-AB-EE-DE-AD-77-C3 without its dashes. */
export const plainEui = (eui: string): string => eui.replaceAll("-", "");

const sysid = (eui: string): Identifier => ({
  type: { coding: [{ system: `${THO}/ContinuaDeviceIdentifiers`, code: "SYSID" }] },
  system: EUI64_SYSTEM,
  value: eui,
});

const timeSync = (isNtp: boolean) => [
  {
    type: mdc(68220, "MDC_TIME_SYNC_PROTOCOL"),
    valueCode: [isNtp ? mdc(532226, "MDC_TIME_SYNC_NTPV4") : mdc(532224, "MDC_TIME_SYNC_NONE")],
  },
];

/** The identifier by which a device is found again: its EUI-64 if there is one, else its UEID. */
export function deviceIdentifiers(proven: Proven, named: Named): [Identifier, ...Identifier[]] {
  const own: Identifier = { system: URI, value: didKey(proven.publicKey) };
  if (named.eui !== undefined) return [sysid(named.eui), own];
  const value = toHex(proven.ueid);
  return [{ type: { text: "UEID (RFC 9711)" }, system: `${OWN}/NamingSystem/ueid`, value }, own];
}

export function phdDevice(proven: Proven, named: Named): Device {
  const udi = named.udi === undefined ? undefined : parseUdi(named.udi);
  const versions = versionsOf(proven, named);
  const { eui, manufacturer, model, name } = named;
  const isWhole =
    eui !== undefined && manufacturer !== undefined && model !== undefined && versions.length > 0;
  return tidy({
    resourceType: "Device",
    meta: isWhole ? { profile: [`${PHD}/PhdDevice`] } : undefined,
    identifier: deviceIdentifiers(proven, named),
    udiCarrier: udi && [udiCarrier(udi, named.udi ?? "")],
    status: "active",
    manufacturer,
    manufactureDate: udi?.manufactureDate?.slice(0, 10), // an hour without minutes is no dateTime of FHIR's
    expirationDate: udi?.expirationDate?.slice(0, 10),
    lotNumber: udi?.lot,
    serialNumber: named.serial ?? udi?.serial,
    deviceName: name === undefined ? undefined : [{ name, type: "user-friendly-name" }],
    modelNumber: model,
    type: mdc(65573, "MDC_MOC_VMS_MDS_SIMP", "Simple PHD"),
    specialization: specializations(proven.groups),
    version: versions.length === 0 ? undefined : versions,
    property: timeSync(false), // its ticks count from when it started
  });
}

function versionsOf({ images }: Proven, { hardware }: Named): DeviceVersion[] {
  const versions: DeviceVersion[] = images.map(({ sha256, release }) => ({
    type: mdc(531976, "MDC_ID_PROD_SPEC_FW", "Firmware revision"),
    component: { system: "urn:ietf:rfc:6920", value: niUri(sha256) },
    value: release ?? `sha-256:${toHex(sha256)}`,
  }));
  if (hardware !== undefined)
    versions.push({ type: mdc(531974, "MDC_ID_PROD_SPEC_HW", "Hardware revision"), value: hardware });
  return versions;
}

const ISSUERS = {
  GS1: "gs1-di",
  HIBCC: "hibcc-dI", // as R4 spells it
  ICCBBA: "iccbba-other-di",
};

const udiCarrier = (udi: Udi, carrierHRF: string): DeviceUdiCarrier => ({
  deviceIdentifier: udi.di,
  issuer: `http://hl7.org/fhir/NamingSystem/${udi.donation === undefined ? ISSUERS[udi.issuer] : "iccbba-blood-di"}`,
  carrierHRF,
  entryType: "manual",
});

/** What the device is, by what it measures; generic where we know none of it. */
function specializations(groups: readonly Group[]) {
  const codes = groups.flatMap(({ code, channels }) => [code, ...channels.map((channel) => channel.code)]);
  const found = new Set(codes.flatMap((code) => MDC_METRICS.get(code)?.device ?? []));
  if (found.size === 0) found.add(GENERIC_DEVICE);
  return [...found].sort().map((code) => {
    const [name, text] = MDC_DEVICES.get(code)!;
    return { systemType: mdc(code, name, text), version: "1" };
  });
}

/** `kid` names the key that signed the coincidences, which is what the stream itself tells of its gateway. */
export function phgDevice(named: Named, kid: string | null, software: string): Device {
  const isWhole = named.eui !== undefined;
  return tidy({
    resourceType: "Device",
    meta: isWhole ? { profile: [`${PHD}/PhgDevice`] } : undefined,
    identifier: [gatewayIdentifier(named, kid)],
    status: "active",
    manufacturer: named.manufacturer,
    deviceName: named.name === undefined ? undefined : [{ name: named.name, type: "user-friendly-name" }],
    modelNumber: named.model ?? "vouch",
    type: mdc(531981, "MDC_MOC_VMS_MDS_AHD", "Personal health gateway"),
    specialization: [{ systemType: mdc(GENERIC_DEVICE, "MDC_DEV_SPEC_PROFILE_GENERIC"), version: "2" }],
    version: [{ type: mdc(531975, "MDC_ID_PROD_SPEC_SW"), value: software }],
    property: timeSync(named.isNtp === true),
  });
}

export const gatewayIdentifier = (named: Named, kid: string | null): Identifier =>
  named.eui === undefined
    ? { type: { text: "Key id" }, system: `${OWN}/NamingSystem/key-id`, value: kid ?? "none" }
    : sysid(named.eui);

/** What a channel is called: MDC's name where we know it, else the number alone. */
export function mdcCoding(code: number): Coding {
  const display = MDC_METRICS.get(code)?.name;
  return { system: MDC_SYSTEM, code: String(code), ...(display === undefined ? {} : { display }) };
}

/** The unit as UCUM, by the number of the unit; MDC's own number where we know no UCUM for it. */
export function unitCoding(channel: Channel): { system: string; code: string; unit?: string } {
  const unit = MDC_UNITS.get(channel.unit);
  if (unit === undefined) return { system: MDC_SYSTEM, code: String(channel.unit) };
  return { unit: unit.print, system: UCUM_SYSTEM, code: unit.ucum };
}

export function deviceMetric(channel: Channel, identifier: Identifier, source: string): DeviceMetric {
  const { system, code } = unitCoding(channel);
  return {
    resourceType: "DeviceMetric",
    meta: { profile: [`${PHD}/PhdDeviceMetric`] },
    identifier: [identifier],
    type: { coding: [mdcCoding(channel.code)] },
    unit: { coding: [{ system, code }] },
    source: { reference: source },
    category: "measurement",
  };
}

type Loose<T> = { [K in keyof T]: T[K] | undefined };

/** Without the members that are undefined. */
function tidy(resource: Loose<Device>): Device {
  return Object.fromEntries(
    Object.entries(resource).filter(([, value]) => value !== undefined),
  ) as unknown as Device;
}
