// Where things lie in the simulated device's flash (firmware/src/port.ts says what each is for).
//
//   0x00000  engine   64 KiB            agent bundle, FF …, engine block
//   0x10000  slot 0   1 KiB + 256 KiB   manifest, payload
//   0x50400  slot 1   1 KiB + 256 KiB
//   0x90800  store    2 × 4 KiB

const KIB = 1024;

export const ENGINE_BYTES = 64 * KIB;
const SLOT_BYTES = (1 + 256) * KIB;
const STORE_BYTES = 8 * KIB;

export const LAYOUT = {
  engine: { address: 0, length: ENGINE_BYTES },
  slots: [
    { address: ENGINE_BYTES, length: SLOT_BYTES },
    { address: ENGINE_BYTES + SLOT_BYTES, length: SLOT_BYTES },
  ],
  store: { address: ENGINE_BYTES + 2 * SLOT_BYTES, length: STORE_BYTES, sectorSize: KIB },
  writeSize: 8, // as on parts whose flash corrects errors by the double word
};

export const FLASH_BYTES = ENGINE_BYTES + 2 * SLOT_BYTES + STORE_BYTES;
