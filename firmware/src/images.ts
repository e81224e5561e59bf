// SMP group 1: images, in the shapes that Zephyr and MCUboot give them.
//
//   state   read                    -> {images: [{slot, version, hash, bootable, pending, …}], splitStatus}
//           write {hash?, confirm}  -> the same, after test or confirm
//   upload  write {off, data, len?, sha?, image?} -> {off, match?}
//   erase   write {slot?}           -> {}
//   slots   read                    -> {images: [{image, slots: [{slot, size, upload_image_id?}]}]}
//
// Why something was refused is told twice: by the number a stock client knows (Zephyr,
// img_mgmt.h), and in full by group 64 `fault`.

import { type CborMap, cborMap, mapGet } from "@vouch/shared/cbor";
import {
  FAULT_NONE,
  FAULT_SLOT_ACTIVE,
  FAULT_SLOT_BUSY,
  FAULT_SLOT_OVERRUN,
  FAULT_SLOT_PENDING,
  FAULT_SLOT_STREAM,
  FAULT_SLOT_TOO_LARGE,
  FAULT_SLOT_UNKNOWN,
  FAULT_STORE_FULL,
  FAULT_SUIT_IMAGE_DIGEST,
  FAULT_SUIT_IMAGE_SIZE,
  FAULT_SUIT_ROLLBACK,
} from "@vouch/shared/fault";
import {
  IMAGE_ERASE,
  IMAGE_SLOTS,
  IMAGE_STATE,
  IMAGE_UPLOAD,
  RC_BAD_STATE,
  RC_BUSY,
  RC_INVALID,
  RC_NOT_SUPPORTED,
  RC_UNKNOWN,
} from "@vouch/shared/smp";
import type { Agent } from "./agent";
import { bytesIn, hasKey, uintIn } from "./body";
import { groupError, plainError, type Request } from "./link";
import type { Region } from "./ports/layout";
import {
  checkOtherFree,
  confirmRunning,
  forgetSlot,
  isActiveHash,
  listSlots,
  NO_SLOT,
  otherSlot,
  setPending,
} from "./slots";
import { closeUpload, firstChunk, maxUpload, nextChunk, type UploadAnswer } from "./upload";

// Numbers of group 1 in SMP version 1, img_mgmt.h.
const IMAGE_UNKNOWN = 1;
const IMAGE_HASH_NOT_FOUND = 8;
const IMAGE_NO_FREE_SLOT = 9;
const IMAGE_INVALID_SLOT = 14;
const IMAGE_INVALID_LENGTH = 21;
const IMAGE_INVALID_HEADER = 22;
const IMAGE_INVALID_HASH = 24;
const IMAGE_NEWER_RUNS = 27;
const IMAGE_PENDING = 28;
const IMAGE_TOO_LARGE = 30;
const IMAGE_OVERRUN = 31;
const IMAGE_TEST_ACTIVE = 33;

function imageRc(fault: number): number {
  if (fault === FAULT_SLOT_UNKNOWN) return IMAGE_HASH_NOT_FOUND;
  if (fault === FAULT_SLOT_BUSY) return IMAGE_NO_FREE_SLOT;
  if (fault === FAULT_SLOT_PENDING) return IMAGE_PENDING;
  if (fault === FAULT_SLOT_ACTIVE) return IMAGE_TEST_ACTIVE;
  if (fault === FAULT_SLOT_TOO_LARGE) return IMAGE_TOO_LARGE;
  if (fault === FAULT_SLOT_OVERRUN) return IMAGE_OVERRUN;
  if (fault === FAULT_SUIT_IMAGE_SIZE) return IMAGE_INVALID_LENGTH;
  if (fault === FAULT_SLOT_STREAM || fault === FAULT_SUIT_IMAGE_DIGEST) return IMAGE_INVALID_HASH;
  if (fault === FAULT_SUIT_ROLLBACK) return IMAGE_NEWER_RUNS;
  if (fault === FAULT_STORE_FULL) return IMAGE_UNKNOWN;
  return IMAGE_INVALID_HEADER; // the manifest, whatever is wrong with it
}

// Version 0 has the common numbers only; Zephyr translates so.
function commonRc(rc: number): number {
  if (rc === IMAGE_NO_FREE_SLOT || rc === IMAGE_NEWER_RUNS || rc === IMAGE_PENDING) return RC_BAD_STATE;
  if (rc === IMAGE_INVALID_SLOT || rc === IMAGE_INVALID_LENGTH || rc === IMAGE_INVALID_HASH)
    return RC_INVALID;
  return RC_UNKNOWN;
}

function refusal(request: Request, rc: number): CborMap {
  return groupError(request, rc, commonRc(rc));
}

function faulted(agent: Agent, request: Request, fault: number): CborMap {
  agent.fault = fault;
  return refusal(request, imageRc(fault));
}

function listImages(agent: Agent): CborMap {
  return cborMap([
    ["images", listSlots(agent.device.slots)],
    ["splitStatus", 0],
  ]);
}

// Confirm with no hash, or with that of what runs; test or confirm with that of the other.
function writeState(agent: Agent, request: Request): CborMap {
  const slots = agent.device.slots;
  const keep = mapGet(request.body, "confirm") === true;
  const hash = bytesIn(request.body, "hash", 32, 32);
  if (hash === null && (hasKey(request.body, "hash") || !keep)) return refusal(request, IMAGE_INVALID_HASH);
  let fault = hash === null ? FAULT_SLOT_UNKNOWN : setPending(slots, hash, keep);
  if (fault === FAULT_SLOT_UNKNOWN && (hash === null || isActiveHash(slots, hash))) {
    if (!keep) fault = FAULT_SLOT_ACTIVE;
    // A start decides between the two; confirming now would say that it was not asked for.
    else if (slots.pending !== NO_SLOT) fault = FAULT_SLOT_PENDING;
    else fault = confirmRunning(slots);
  }
  return fault === FAULT_NONE ? listImages(agent) : faulted(agent, request, fault);
}

function answerUpload(agent: Agent, request: Request, answer: UploadAnswer): CborMap {
  if (answer.fault !== FAULT_NONE) return faulted(agent, request, answer.fault);
  if (!answer.match) return cborMap([["off", answer.off]]);
  return cborMap([
    ["off", answer.off],
    ["match", true],
  ]);
}

function handleUpload(agent: Agent, request: Request): CborMap {
  const off = uintIn(request.body, "off");
  const data = bytesIn(request.body, "data", 0, 0xffff);
  if (off < 0 || data === null) return plainError(RC_INVALID);
  if (hasKey(request.body, "image") && uintIn(request.body, "image") !== 0) {
    return refusal(request, IMAGE_NO_FREE_SLOT);
  }
  if (agent.stream !== null) return plainError(RC_BUSY); // it needs the memory, and mustn't wait for flash
  if (off > 0) return answerUpload(agent, request, nextChunk(agent.upload, off, data));
  const length = uintIn(request.body, "len");
  if (length < 1) return refusal(request, IMAGE_INVALID_LENGTH);
  const sha = bytesIn(request.body, "sha", 0, 32);
  if (sha === null && hasKey(request.body, "sha")) return refusal(request, IMAGE_INVALID_HASH);
  return answerUpload(agent, request, firstChunk(agent.upload, length, sha, data));
}

function handleErase(agent: Agent, request: Request): CborMap {
  const slots = agent.device.slots;
  const shownAs = hasKey(request.body, "slot") ? uintIn(request.body, "slot") : 1;
  if (shownAs !== 0 && shownAs !== 1) return refusal(request, IMAGE_INVALID_SLOT);
  if (agent.stream !== null) return plainError(RC_BUSY);
  if (shownAs === 0 || checkOtherFree(slots) !== FAULT_NONE) return refusal(request, IMAGE_NO_FREE_SLOT);
  const slot = otherSlot(slots);
  closeUpload(agent.upload);
  const fault = forgetSlot(slots, slot);
  if (fault !== FAULT_NONE) return faulted(agent, request, fault);
  const region = agent.port.layout.slots[slot] as Region;
  agent.port.eraseFlash(region.address, region.length);
  return cborMap([]);
}

function slotInfo(agent: Agent): CborMap {
  const size = maxUpload(agent.upload);
  const first = cborMap([
    ["slot", 0],
    ["size", size],
  ]);
  const second = cborMap([
    ["slot", 1],
    ["size", size],
    ["upload_image_id", 0],
  ]);
  const image = cborMap([
    ["image", 0],
    ["slots", [first, second]],
    ["max_image_size", size],
  ]);
  return cborMap([["images", [image]]]);
}

/** Answers a request of group 1. */
export function handleImage(agent: Agent, request: Request): CborMap {
  if (request.command === IMAGE_STATE) return request.write ? writeState(agent, request) : listImages(agent);
  if (request.command === IMAGE_UPLOAD && request.write) return handleUpload(agent, request);
  if (request.command === IMAGE_ERASE && request.write) return handleErase(agent, request);
  if (request.command === IMAGE_SLOTS && !request.write) return slotInfo(agent);
  return plainError(RC_NOT_SUPPORTED);
}
