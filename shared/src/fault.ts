// Faults: what the device says when it says no. [device]
//
// A microcontroller has no room for messages, so modules that run there return
// a number, 0 for none. The high byte is the layer that noticed:
//
//   0x01xx cbor   0x02xx cose   0x03xx suit   0x04xx smp   0x05xx evidence
//   0x06xx keys and signatures   0x07xx flash, store and slots
//
// A number, once released, keeps its meaning: it travels over the wire, and
// hosts of another version print it. Codes and glosses are in refusal.ts.

export const FAULT_NONE = 0;

export const FAULT_CBOR_TRUNCATED = 0x0101;
export const FAULT_CBOR_NOT_PREFERRED = 0x0102;
export const FAULT_CBOR_UNSORTED = 0x0103;
export const FAULT_CBOR_DUPLICATE = 0x0104;
export const FAULT_CBOR_INDEFINITE = 0x0105;
export const FAULT_CBOR_TRAILING = 0x0106;
export const FAULT_CBOR_TOO_DEEP = 0x0107;
export const FAULT_CBOR_RANGE = 0x0108;
export const FAULT_CBOR_UNSUPPORTED = 0x0109;
export const FAULT_CBOR_TEXT = 0x010a;
export const FAULT_CBOR_TOO_LARGE = 0x010b;
export const FAULT_CBOR_MALFORMED = 0x010c;

export const FAULT_COSE_MALFORMED = 0x0201;
export const FAULT_COSE_ALGORITHM = 0x0202;
export const FAULT_COSE_CRITICAL = 0x0203;
export const FAULT_COSE_HEADER = 0x0204;

export const FAULT_SUIT_MALFORMED = 0x0301;
export const FAULT_SUIT_UNSUPPORTED = 0x0302;
export const FAULT_SUIT_DIGEST = 0x0303;
export const FAULT_SUIT_UNSIGNED = 0x0304;
export const FAULT_SUIT_SIGNER = 0x0305;
export const FAULT_SUIT_TOO_LARGE = 0x0306;
export const FAULT_SUIT_UPLOAD = 0x0307;
export const FAULT_SUIT_VENDOR = 0x0308;
export const FAULT_SUIT_CLASS = 0x0309;
export const FAULT_SUIT_ROLLBACK = 0x030a;
export const FAULT_SUIT_IMAGE_SIZE = 0x030b;
export const FAULT_SUIT_IMAGE_DIGEST = 0x030c;
export const FAULT_SUIT_REVISION = 0x030d;

export const FAULT_SMP_TRUNCATED = 0x0401;
export const FAULT_SMP_LENGTH = 0x0402;
export const FAULT_SMP_CRC = 0x0403;
export const FAULT_SMP_BASE64 = 0x0404;
export const FAULT_SMP_TOO_LARGE = 0x0405;
export const FAULT_SMP_HEADER = 0x0406;
export const FAULT_SMP_BODY = 0x0407;

export const FAULT_EVIDENCE_MALFORMED = 0x0501;
export const FAULT_EVIDENCE_MISSING = 0x0502;
export const FAULT_EVIDENCE_UNKNOWN = 0x0503;
export const FAULT_EVIDENCE_PROFILE = 0x0504;
export const FAULT_EVIDENCE_TYPE = 0x0505;
export const FAULT_EVIDENCE_HEADER = 0x0506;

export const FAULT_KEY_LENGTH = 0x0601;
export const FAULT_KEY_NOT_CANONICAL = 0x0602;
export const FAULT_KEY_SMALL_ORDER = 0x0603;
export const FAULT_SIGNATURE_LENGTH = 0x0604;
export const FAULT_SIGNATURE_RANGE = 0x0605;
export const FAULT_SIGNATURE_WRONG = 0x0606;

export const FAULT_STORE_FULL = 0x0701;
export const FAULT_ENGINE_BLOCK = 0x0702;
export const FAULT_SLOT_TOO_LARGE = 0x0703;
export const FAULT_SLOT_OVERRUN = 0x0704;
export const FAULT_SLOT_STREAM = 0x0705;
export const FAULT_SLOT_BUSY = 0x0706;
export const FAULT_SLOT_UNKNOWN = 0x0707;
export const FAULT_SLOT_NOT_BOOTABLE = 0x0708;
export const FAULT_SLOT_ACTIVE = 0x0709;
export const FAULT_SLOT_PENDING = 0x070a;
export const FAULT_BOOT_IMAGE = 0x070b;
export const FAULT_BOOT_REVERTED = 0x070c;
export const FAULT_CLEAR_ORDER = 0x070d;
export const FAULT_STREAM_READER = 0x070e;
