// Two image slots with MCUboot's manners: test, confirm, revert.
//
//   slot     manifest area, 1024 bytes: u32 length | SUIT envelope | FF …      payload area
//   record   [1, confirmed, trial, pending, permanent, floor, slot, slot]
//            slot = [kind, payload length, payload SHA-256 | null, manifest SHA-256 | null]
//
//            test                start             confirm
//   other ─────────▶ pending ─────────▶ on trial ─────────▶ confirmed, floor rises
//     ▲                                    │ start without confirm
//     └────────────────────────────────────┘ reverts to the confirmed one
//
// Every step is one record, so a cut leaves the step done or not done. An image is written only
// to the slot that neither runs nor is the one to revert to, and only after the record has
// forgotten what was in it.
//
// The vendor's signature is checked when an image is made bootable (upload.ts); the record then
// holds the digests of payload and manifest, and each start hashes both again, so what boots is what
// was checked. Images don't move: hosts see the running one as slot 0, the other as slot 1.

import { copyBytes, equalBytes } from "@vouch/shared/bytes";
import {
  CBOR_STRICT,
  type CborMap,
  type CborValue,
  cborMap,
  decodeCbor,
  encodeCbor,
  isBytes,
} from "@vouch/shared/cbor";
import {
  FAULT_BOOT_IMAGE,
  FAULT_BOOT_REVERTED,
  FAULT_NONE,
  FAULT_SLOT_BUSY,
  FAULT_SLOT_NOT_BOOTABLE,
  FAULT_SLOT_UNKNOWN,
  FAULT_SUIT_ROLLBACK,
} from "@vouch/shared/fault";
import { sha256 } from "@vouch/shared/sha256";
import { decodeEnvelope, type Manifest } from "@vouch/shared/suit";
import { hashFlash } from "./measure";
import type { Port } from "./port";
import type { Region } from "./ports/layout";
import { loadRecord, RECORD_BOOT, type Store, saveRecord, u32At } from "./store";

export const MANIFEST_AREA = 1024;
export const NO_SLOT = 255;

export const SLOT_EMPTY = 0;
export const SLOT_STORED = 1; // whole, but came without a manifest: never bootable
export const SLOT_CHECKED = 2; // manifest and payload checked against the vendor's key

export interface Slot {
  kind: number;
  length: number;
  image: Uint8Array | null;
  manifest: Uint8Array | null;
}

export interface Slots {
  port: Port;
  store: Store;
  confirmed: number;
  trial: number;
  pending: number;
  permanent: boolean;
  floor: number;
  slots: Slot[];
  /** The slot whose image runs, and its manifest. */
  active: number;
  running: Manifest | null;
  /** Why the last start didn't run what it was meant to, or 0. */
  bootFault: number;
}

/** What stands in a slot that holds nothing. */
export function emptySlot(): Slot {
  return { kind: SLOT_EMPTY, length: 0, image: null, manifest: null };
}

export function payloadRegion(port: Port, slot: number): Region {
  const region = port.layout.slots[slot] as Region;
  return { address: region.address + MANIFEST_AREA, length: region.length - MANIFEST_AREA };
}

function slotValue(slot: Slot): CborValue {
  return [slot.kind, slot.length, slot.image, slot.manifest];
}

/** Saves all of the state in one record. */
export function saveSlots(s: Slots): number {
  return saveRecord(
    s.store,
    RECORD_BOOT,
    encodeCbor([
      1,
      s.confirmed,
      s.trial,
      s.pending,
      s.permanent,
      s.floor,
      slotValue(s.slots[0] as Slot),
      slotValue(s.slots[1] as Slot),
    ]),
  );
}

function readSlot(value: CborValue | undefined): Slot {
  const list = value as CborValue[];
  const image = list[2];
  const manifest = list[3];
  return {
    kind: list[0] as number,
    length: list[1] as number,
    image: isBytes(image) ? image : null,
    manifest: isBytes(manifest) ? manifest : null,
  };
}

function loadSlots(s: Slots): void {
  const bytes = loadRecord(s.store, RECORD_BOOT);
  const list = bytes === null ? null : decodeCbor(bytes, CBOR_STRICT).value;
  if (!Array.isArray(list) || list.length !== 8 || list[0] !== 1) return;
  s.confirmed = list[1] as number;
  s.trial = list[2] as number;
  s.pending = list[3] as number;
  s.permanent = list[4] === true;
  s.floor = list[5] as number;
  s.slots = [readSlot(list[6]), readSlot(list[7])];
}

/** The manifest in a slot as it was when it was checked, or null: flash has changed since. */
export function readManifest(s: Slots, slot: number): Manifest | null {
  const known = (s.slots[slot] as Slot).manifest;
  if (known === null) return null;
  const area = s.port.readFlash((s.port.layout.slots[slot] as Region).address, MANIFEST_AREA);
  const length = u32At(area, 0);
  if (length > MANIFEST_AREA - 4) return null;
  const envelope = decodeEnvelope(copyBytes(area, 4, 4 + length));
  if (envelope.fault !== FAULT_NONE) return null;
  return equalBytes(sha256(envelope.manifestBytes), known) ? envelope.manifest : null;
}

// Makes a slot's image the running one, if it still is what was checked.
function run(s: Slots, slot: number): boolean {
  const state = s.slots[slot] as Slot;
  if (state.kind !== SLOT_CHECKED || state.image === null) return false;
  const manifest = readManifest(s, slot);
  if (manifest === null) return false;
  const digest = hashFlash(s.port, payloadRegion(s.port, slot).address, state.length);
  if (!equalBytes(digest, state.image)) return false;
  s.active = slot;
  s.running = manifest;
  return true;
}

function confirm(s: Slots, slot: number): void {
  s.confirmed = slot;
  s.trial = NO_SLOT;
  s.floor = Math.max(s.floor, (s.running as Manifest).floor);
}

// The pending image starts its trial, or for good when that was asked for.
function runPending(s: Slots): void {
  const slot = s.pending;
  s.pending = NO_SLOT;
  if (!run(s, slot)) {
    s.slots[slot] = emptySlot();
    s.bootFault = FAULT_BOOT_IMAGE;
  } else if (s.permanent) {
    confirm(s, slot);
  } else {
    s.trial = slot;
  }
  s.permanent = false;
}

/** Loads the state and decides, once per start, which image runs. */
export function openSlots(port: Port, store: Store): Slots {
  const s: Slots = {
    port,
    store,
    confirmed: NO_SLOT,
    trial: NO_SLOT,
    pending: NO_SLOT,
    permanent: false,
    floor: 0,
    slots: [emptySlot(), emptySlot()],
    active: NO_SLOT,
    running: null,
    bootFault: FAULT_NONE,
  };
  loadSlots(s);
  const changes = s.trial !== NO_SLOT || s.pending !== NO_SLOT;
  if (s.trial !== NO_SLOT) {
    s.bootFault = FAULT_BOOT_REVERTED;
    s.trial = NO_SLOT;
  }
  if (s.pending !== NO_SLOT) runPending(s);
  if (s.active === NO_SLOT && s.confirmed !== NO_SLOT && !run(s, s.confirmed)) s.bootFault = FAULT_BOOT_IMAGE;
  // Saved before the image runs: one that hangs or resets the device is on trial already.
  if (changes) saveSlots(s);
  return s;
}

/** The slot that may be written: not the one that runs, nor the one to run at the next start. */
export function otherSlot(s: Slots): number {
  if (s.active !== NO_SLOT) return 1 - s.active;
  return s.confirmed !== NO_SLOT ? 1 - s.confirmed : 0;
}

/** FAULT_SLOT_BUSY while the other slot holds what a trial would revert to. */
export function checkOtherFree(s: Slots): number {
  return otherSlot(s) === s.confirmed ? FAULT_SLOT_BUSY : FAULT_NONE;
}

/** The record forgets what is in a slot, before its flash is touched. */
export function forgetSlot(s: Slots, slot: number): number {
  if ((s.slots[slot] as Slot).kind === SLOT_EMPTY && s.pending !== slot) return FAULT_NONE;
  s.slots[slot] = emptySlot();
  if (s.pending === slot) {
    s.pending = NO_SLOT;
    s.permanent = false;
  }
  return saveSlots(s);
}

/** Marks the image of this hash, in the other slot, to run at the next start. */
export function setPending(s: Slots, hash: Uint8Array, permanent: boolean): number {
  const slot = otherSlot(s);
  const state = s.slots[slot] as Slot;
  if (state.image === null || !equalBytes(state.image, hash)) return FAULT_SLOT_UNKNOWN;
  if (state.kind !== SLOT_CHECKED) return FAULT_SLOT_NOT_BOOTABLE;
  if (checkOtherFree(s) !== FAULT_NONE) return FAULT_SLOT_BUSY;
  const manifest = readManifest(s, slot);
  if (manifest === null) return FAULT_BOOT_IMAGE;
  // The floor may have risen since the upload.
  if (manifest.sequence < s.floor) return FAULT_SUIT_ROLLBACK;
  if (s.pending === slot && s.permanent === permanent) return FAULT_NONE;
  s.pending = slot;
  s.permanent = permanent;
  return saveSlots(s);
}

/** Keeps the running image, and with it its floor. Saying it twice changes nothing. */
export function confirmRunning(s: Slots): number {
  if (s.active === NO_SLOT) return FAULT_SLOT_UNKNOWN;
  if (s.confirmed === s.active) return FAULT_NONE;
  confirm(s, s.active);
  return saveSlots(s);
}

export function isActiveHash(s: Slots, hash: Uint8Array): boolean {
  if (s.active === NO_SLOT) return false;
  const image = (s.slots[s.active] as Slot).image;
  return image !== null && equalBytes(image, hash);
}

const NO_VERSION = "0.0.0";

/** What list and evidence call an image; a manifest may name no version. */
export function versionOf(manifest: Manifest): string {
  return manifest.version === "" ? NO_VERSION : manifest.version;
}

function describe(s: Slots, slot: number, shownAs: number): CborMap {
  const state = s.slots[slot] as Slot;
  const manifest = readManifest(s, slot);
  const map = cborMap([
    ["slot", shownAs],
    ["version", manifest === null ? NO_VERSION : versionOf(manifest)],
    ["hash", state.image],
    ["bootable", state.kind === SLOT_CHECKED && manifest !== null],
    ["pending", s.pending === slot],
    ["confirmed", s.confirmed === slot],
    ["active", s.active === slot],
    ["permanent", s.pending === slot && s.permanent],
  ]);
  return map;
}

/** The images as the list command shows them: the running one first. */
export function listSlots(s: Slots): CborMap[] {
  const list: CborMap[] = [];
  for (let shownAs = 0; shownAs < 2; shownAs++) {
    const slot = shownAs === 0 ? 1 - otherSlot(s) : otherSlot(s);
    if ((s.slots[slot] as Slot).kind !== SLOT_EMPTY) list.push(describe(s, slot, shownAs));
  }
  return list;
}
