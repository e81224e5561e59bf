// Which line of a file a key's record is: an open-addressing table in one buffer, 16 bytes a slot.
//
//   8 bytes   the key's first 64 bits        6 bytes   offset of the line
//   2 bytes   its length; 0: an empty slot; 65535: that or more
//
// A hint and no more: who follows it compares the whole key with the line's own. So a table that is
// damaged, or two keys that begin alike, cost a record its memory and never give it another's verdict.
// A million records take 20 to 30 MB.

const SLOT = 16;
const FULLEST = 0.8;
const GROWTH = 1.5;
const LEAST = 1024;
export const LONG_LINE = 0xffff;

export interface Place {
  readonly offset: number;
  /** LONG_LINE: that or more. */
  readonly length: number;
}

/** The first 64 bits of a key in hex. */
const headOf = (key: string): [number, number] => [
  Number.parseInt(key.slice(0, 8), 16),
  Number.parseInt(key.slice(8, 16), 16),
];

export class KeyTable {
  private slots: Buffer;
  private capacity: number;
  private used = 0;

  private constructor(capacity: number, slots: Buffer) {
    this.capacity = capacity;
    this.slots = slots;
  }

  static empty(): KeyTable {
    return new KeyTable(LEAST, Buffer.alloc(LEAST * SLOT));
  }

  /** From what `bytes` gave; null when it can't be one. */
  static from(bytes: Buffer): KeyTable | null {
    const capacity = bytes.length / SLOT;
    if (!Number.isSafeInteger(capacity) || capacity < LEAST) return null;
    const table = new KeyTable(capacity, bytes);
    for (let slot = 0; slot < capacity; slot++) if (!table.isEmpty(slot)) table.used++;
    return table.used <= capacity * FULLEST ? table : null;
  }

  get bytes(): Buffer {
    return this.slots;
  }

  get size(): number {
    return this.used;
  }

  find(key: string): Place | null {
    const slot = this.slotOf(...headOf(key));
    if (this.isEmpty(slot)) return null;
    const at = slot * SLOT;
    return { offset: this.slots.readUIntBE(at + 8, 6), length: this.slots.readUInt16BE(at + 14) };
  }

  /** A key that is there takes the new place: the later line of two is as good. */
  set(key: string, { offset, length }: Place): void {
    if (this.used + 1 > this.capacity * FULLEST) this.grow();
    const [first, second] = headOf(key);
    const slot = this.slotOf(first, second);
    if (this.isEmpty(slot)) this.used++;
    const at = slot * SLOT;
    this.slots.writeUInt32BE(first, at);
    this.slots.writeUInt32BE(second, at + 4);
    this.slots.writeUIntBE(offset, at + 8, 6);
    this.slots.writeUInt16BE(Math.min(length, LONG_LINE), at + 14);
  }

  private isEmpty(slot: number): boolean {
    return this.slots.readUInt16BE(slot * SLOT + 14) === 0;
  }

  /** Where the key is, or would be. Keys are digests: their first bits spread them evenly. */
  private slotOf(first: number, second: number): number {
    let slot = Math.floor((first / 2 ** 32) * this.capacity);
    while (!this.isEmpty(slot)) {
      const at = slot * SLOT;
      if (this.slots.readUInt32BE(at) === first && this.slots.readUInt32BE(at + 4) === second) return slot;
      slot = slot + 1 === this.capacity ? 0 : slot + 1;
    }
    return slot;
  }

  private grow(): void {
    const [before, capacity] = [this.slots, this.capacity];
    this.capacity = Math.ceil(capacity * GROWTH);
    this.slots = Buffer.alloc(this.capacity * SLOT);
    for (let at = 0; at < capacity * SLOT; at += SLOT) {
      if (before.readUInt16BE(at + 14) === 0) continue;
      const target = this.slotOf(before.readUInt32BE(at), before.readUInt32BE(at + 4)) * SLOT;
      before.copy(this.slots, target, at, at + SLOT);
    }
  }
}
