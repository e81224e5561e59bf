// A reader of SenML (RFC 8428) for tests: JSON or CBOR in, resolved records out, as section 4.6 has them.

export interface Resolved {
  n: string;
  u?: string;
  t: number;
  v?: number;
  vs?: string;
  vb?: boolean;
  vd?: string;
}

type Rec = Record<string, unknown>;

const KNOWN: Record<string, string> = {
  bn: "string",
  bt: "number",
  bu: "string",
  bv: "number",
  bver: "number",
  n: "string",
  u: "string",
  t: "number",
  ut: "number",
  v: "number",
  vs: "string",
  vb: "boolean",
  vd: "string",
};

/** Base values go on until others take their place; names are joined, times and values added. */
function resolve(records: unknown): Resolved[] {
  if (!Array.isArray(records)) throw new Error("a pack is an array");
  const base = { bn: "", bt: 0, bu: undefined as string | undefined, bv: 0 };
  return records.map((record: Rec) => {
    for (const [key, value] of Object.entries(record))
      if (KNOWN[key] !== undefined ? typeof value !== KNOWN[key] : key.endsWith("_"))
        throw new Error(`${key}: ${value}`);
    Object.assign(base, Object.fromEntries(Object.entries(record).filter(([key]) => key in base)));
    const { n = "", t = 0, u = base.bu, v, vs, vb, vd } = record as Partial<Resolved>;
    const values = { v: v === undefined ? undefined : v + base.bv, vs, vb, vd };
    const present = Object.entries(values).filter(([, value]) => value !== undefined);
    if (present.length !== 1) throw new Error(`${present.length} values in a record`);
    const name = base.bn + n;
    if (!/^[A-Za-z0-9][A-Za-z0-9\-:./_]*$/.test(name)) throw new Error(`the name ${name}`);
    const time = base.bt + t;
    return { n: name, ...(u === undefined ? {} : { u }), t: time, ...Object.fromEntries(present) };
  });
}

export const readSenmlJson = (text: string): Resolved[] => resolve(JSON.parse(text));

const LABELS = new Map(
  Object.entries({
    bver: -1,
    bn: -2,
    bt: -3,
    bu: -4,
    bv: -5,
    n: 0,
    u: 1,
    v: 2,
    vs: 3,
    vb: 4,
    s: 5,
    t: 6,
    ut: 7,
    vd: 8,
  }).map(([name, label]) => [label, name]),
);

export function readSenmlCbor(bytes: Uint8Array): Resolved[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const half = (bits: number) => {
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    const size = exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
    return bits & 0x8000 ? -size : size;
  };
  const number = (info: number): number => {
    if (info < 24) return info;
    const size = 1 << (info - 24);
    let value = 0;
    for (let i = 0; i < size; i++) value = value * 256 + bytes[at++]!;
    return value;
  };
  const item = (): unknown => {
    const first = bytes[at++]!;
    const major = first >> 5;
    const info = first & 31;
    if (first === 0x9f) {
      const items: unknown[] = [];
      while (bytes[at] !== 0xff) items.push(item());
      at++;
      return items;
    }
    if (major === 7) {
      const start = at;
      at += info < 24 ? 0 : 1 << (info - 24);
      if (info === 20 || info === 21) return info === 21;
      if (info === 25) return half(view.getUint16(start));
      return info === 26 ? view.getFloat32(start) : view.getFloat64(start);
    }
    const n = number(info);
    if (major === 0) return n;
    if (major === 1) return -1 - n;
    if (major === 3) {
      at += n;
      return new TextDecoder().decode(bytes.subarray(at - n, at));
    }
    if (major === 4) return Array.from({ length: n }, item);
    if (major === 5) return Object.fromEntries(Array.from({ length: n }, () => [labelOf(item()), item()]));
    if (major === 6 && n === 4) {
      const [exponent, mantissa] = item() as [number, number];
      return Number(`${mantissa}e${exponent}`);
    }
    throw new Error(`CBOR item ${first}`);
  };
  const labelOf = (label: unknown) => (typeof label === "number" ? LABELS.get(label)! : label);
  const records = item();
  if (at !== bytes.length) throw new Error("bytes after the pack");
  return resolve(records);
}
