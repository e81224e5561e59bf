// Protocol buffers, as far as asking a node takes: four kinds of fields, no schema.
//
//   field    varint of (number << 3 | kind) │ value
//   kind     0 varint   1 eight bytes   2 varint length, bytes   5 four bytes
//
// https://protobuf.dev/programming-guides/encoding. A node's answer is hostile until something signed vouches for
// it: lengths are held against what is there, numbers against 64 bits, and a field that should occur once and
// occurs twice is refused, where the specification takes the last. Unknown fields are passed over, as later
// nodes may add some.

import { Refusal } from "@vouch/shared/refusal";

export interface Message {
  /** The field's bytes, or null when it is absent. */
  bytes(field: number): Uint8Array | null;
  /** A message inside; an empty one when it is absent. */
  message(field: number): Message;
  /** 0n when it is absent, as proto3 leaves zeros out. */
  uint(field: number): bigint;
  has(field: number): boolean;
}

type Value = bigint | Uint8Array;

const U64 = (1n << 64n) - 1n;

/** Refuses `node-answer`; all methods do, for a field of another kind. */
export function readMessage(bytes: Uint8Array, what: string): Message {
  const fields = readFields(bytes, what);
  const one = <T extends Value>(field: number, is: (value: Value) => value is T): T | null => {
    const values = fields.get(field) ?? [];
    const [value] = values;
    if (value === undefined) return null;
    if (values.length > 1 || !is(value)) throw malformed(what, `field ${field} isn't one of its kind`);
    return value;
  };
  const isBytes = (value: Value): value is Uint8Array => typeof value !== "bigint";
  const isNumber = (value: Value): value is bigint => typeof value === "bigint";
  return {
    bytes: (field) => one(field, isBytes),
    message: (field) => readMessage(one(field, isBytes) ?? new Uint8Array(0), what),
    uint: (field) => one(field, isNumber) ?? 0n,
    has: (field) => fields.has(field),
  };
}

function readFields(bytes: Uint8Array, what: string): Map<number, Value[]> {
  const fields = new Map<number, Value[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) throw malformed(what, "it ends in a number");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (value > U64) break;
        return value;
      }
    }
    throw malformed(what, "a number exceeds 64 bits");
  };
  const take = (length: bigint): Uint8Array => {
    if (length > BigInt(bytes.length - at)) throw malformed(what, `${length} bytes are wanted at ${at}`);
    at += Number(length);
    return bytes.subarray(at - Number(length), at);
  };
  while (at < bytes.length) {
    const key = varint();
    const field = Number(key >> 3n);
    const kind = Number(key & 7n);
    if (field === 0 || field > 0x1fffffff) throw malformed(what, `field ${field}`);
    let value: Value;
    if (kind === 0) value = varint();
    else if (kind === 2) value = take(varint());
    else if (kind === 1) value = take(8n);
    else if (kind === 5) value = take(4n);
    else throw malformed(what, `kind ${kind} of field ${field}`);
    const known = fields.get(field);
    if (known === undefined) fields.set(field, [value]);
    else known.push(value);
  }
  return fields;
}

const malformed = (what: string, found: string) =>
  new Refusal("node-answer", `${what}: the node's answer isn't the message expected: ${found}`);

/** A message as a list of its repeated field's messages. */
export function repeated(bytes: Uint8Array, field: number, what: string): Message[] {
  const values = readFields(bytes, what).get(field) ?? [];
  return values.map((value) => {
    if (typeof value === "bigint") throw malformed(what, `field ${field} isn't one of its kind`);
    return readMessage(value, what);
  });
}

export function uintField(field: number, value: bigint): Uint8Array {
  return new Uint8Array([...varintBytes(BigInt(field) << 3n), ...varintBytes(value)]);
}

export function bytesField(field: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = Buffer.concat(parts);
  const head = [...varintBytes((BigInt(field) << 3n) | 2n), ...varintBytes(BigInt(content.length))];
  return new Uint8Array(Buffer.concat([Buffer.from(head), content]));
}

export const textField = (field: number, text: string) => bytesField(field, Buffer.from(text));

function varintBytes(value: bigint): number[] {
  const out: number[] = [];
  for (let rest = value; ; rest >>= 7n) {
    if (rest < 0x80n) return [...out, Number(rest)];
    out.push(Number(rest & 0x7fn) | 0x80);
  }
}
