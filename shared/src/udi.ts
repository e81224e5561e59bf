// Unique device identifiers, as people read them on a label. The three agencies that
// issue them have three grammars (IMDRF UDI application guide, appendix A):
//
//   GS1     (01)09506000117843(11)141231(17)201231(10)1234AB(21)5678CD
//            DI = GTIN-14      made      expires   lot       serial
//   HIBCC   +A99912345/$$52001510X3/16D20111212/S77DE1G45-
//            DI (labeller, product, unit) / expiry, lot / made / serial, check character
//   ICCBBA  =/A9999XYZ100T0944=,000025=A99971312345600=>014032=}013032&,1000000000000XYZ123
//            DI               serial donation          expires made    lot
//
// What a scanner reads of a GS1 symbol is read too: ]d2 or nothing, then the same without
// parentheses, FNC1 (0x1D) after what has no fixed length.
//
// Labels in the field, regulators' own examples among them, carry wrong check digits:
// those are read and reported (`checkValid`), so that the caller decides how strict to be;
// `checkUdi` and `deviceIdentifier` are strict. ICCBBA's identifiers carry no check character.
// Two-digit years are of this century: UDIs began in 2013.

import { quote, Refusal } from "./refusal";

export interface Udi {
  issuer: "GS1" | "HIBCC" | "ICCBBA";
  /** Device identifier: names the model. All else names the one item (UDI-PI), and is personal. */
  di: string;
  /** Whether the check digit or character is right; absent where the agency has none. */
  checkValid?: boolean;
  /** YYYY-MM-DD, YYYY-MM, or YYYY-MM-DDThh. */
  manufactureDate?: string;
  expirationDate?: string;
  lot?: string;
  serial?: string;
  /** ICCBBA: the donation that a product of human origin comes from. */
  donation?: string;
}

type Part = "manufactureDate" | "expirationDate" | "lot" | "serial" | "donation";

const MAX_UDI = 256;

/** Reads the human-readable form of a UDI, or what a scanner read. Throws `malformed-udi`. */
export function parseUdi(scanned: string): Udi {
  const body = scannedGs1(scanned);
  const text = body === null ? scanned : spelledOut(body);
  if (text.length > MAX_UDI || !/^[ -~]+$/.test(text)) {
    throw malformed(`${quote(text)} isn't 1 to ${MAX_UDI} printable ASCII characters`);
  }
  if (text.startsWith("(01)")) return parseGs1(text);
  if (text.startsWith("+")) return parseHibcc(text);
  if (text.startsWith("=/") || text.startsWith("=)")) return parseIccbba(text);
  throw malformed(`${quote(text)} begins like no UDI: expected (01), + or =`);
}

/** A UDI whose check character is right, where its agency has one. Throws `malformed-udi`, `udi-check-digit`. */
export function checkUdi(text: string): Udi {
  const udi = parseUdi(text);
  if (udi.checkValid === false)
    throw new Refusal("udi-check-digit", `the check character of ${quote(text)} is wrong`);
  return udi;
}

/**
 * The model's part of a UDI, for a public log: 14 digits of a GTIN, or a UDI that names no single item. Throws
 * as checkUdi, and `udi-personal`.
 */
export function deviceIdentifier(text: string): string {
  const udi = checkUdi(/^[0-9]{14}$/.test(text) ? `(01)${text}` : text);
  const { issuer: _issuer, di, checkValid: _valid, ...item } = udi;
  const personal = Object.keys(item);
  if (personal.length === 0) return di;
  throw new Refusal(
    "udi-personal",
    `the UDI of ${quote(di)} also holds ${personal.join(", ")}, expected the device identifier alone`,
  );
}

/**
 * What is odd about a release's device identifier, after the one before it; null when nothing is. A change of
 * performance, safety or intended use is a new model (EU MDR annex VI C 6.5.2); a patch is not, and only shows
 * in the part of the UDI that names the version (6.5.3).
 */
export function oddIdentifier(
  before: string | undefined,
  now: string | undefined,
  changeClass: "patch" | "major",
): string | null {
  if (before === undefined && now === undefined) return null;
  if (now === undefined) return `the release before has the UDI-DI ${before}, this one none`;
  if (before === undefined) return null;
  if (changeClass === "major" && before === now)
    return `a major change keeps the UDI-DI ${now}: a change of performance, safety or intended use takes a new one`;
  if (changeClass === "patch" && before !== now)
    return `a patch changes the UDI-DI from ${before} to ${now}: a patch keeps it`;
  return null;
}

const GS1_PARTS: { readonly [id: string]: Part } = {
  "11": "manufactureDate",
  "17": "expirationDate",
  "10": "lot",
  "21": "serial",
};

const FNC1 = "\x1d";

/** What a scanner read without its symbology (GS1 DataMatrix, GS1-128, DataBar, QR Code) and leading FNC1; or null. */
function scannedGs1(text: string): string | null {
  const body = text.replace(/^\](?:d2|C1|e0|Q3)/, "").replace(new RegExp(`^${FNC1}`), "");
  if (text.length > MAX_UDI || !/^01[0-9]{14}/.test(body)) return null;
  // It would read as the next identifier once that is what parentheses mean.
  if (body.includes("(")) throw malformed(`${quote(text)} has a parenthesis in a value`);
  return body;
}

/** The same with parentheses: dates are six digits, all else ends at FNC1 or at the end. */
function spelledOut(body: string): string {
  let out = `(01)${body.slice(2, 16)}`;
  for (let at = 16; at < body.length; ) {
    const id = body.slice(at, at + 2);
    const end = id === "11" || id === "17" ? at + 8 : body.indexOf(FNC1, at);
    const stop = end < 0 ? body.length : Math.min(end, body.length);
    out += `(${id})${body.slice(at + 2, stop)}`;
    at = body[stop] === FNC1 ? stop + 1 : stop;
  }
  return out;
}

function parseGs1(text: string): Udi {
  if (!/^(\([0-9]{2,4}\)[^()]+)+$/.test(text))
    throw malformed(`${quote(text)} isn't (identifier)value pairs`);
  const pairs = [...text.matchAll(/\(([0-9]+)\)([^()]+)/g)].map((m) => [m[1]!, m[2]!] as const);
  const di = pairs[0]![1];
  if (!/^[0-9]{14}$/.test(di)) throw malformed(`GTIN is ${quote(di)}, expected 14 digits`);
  const udi: Udi = { issuer: "GS1", di, checkValid: gtinSum(di) % 10 === 0 };
  for (const [id, value] of pairs.slice(1)) {
    const part = Object.hasOwn(GS1_PARTS, id) ? GS1_PARTS[id]! : undefined;
    if (part === undefined) throw malformed(`application identifier (${id}) isn't one of a UDI`);
    if (part === "lot" || part === "serial") {
      if (value.length > 20) throw malformed(`${part} ${quote(value)} is longer than 20 characters`);
      put(udi, part, value);
    } else {
      const [, yy, mm, dd] = /^([0-9]{2})([0-9]{2})([0-9]{2})$/.exec(value) ?? [];
      if (yy === undefined) throw malformed(`date ${quote(value)} isn't YYMMDD`);
      put(udi, part, date(`20${yy}`, mm!, dd!)); // day 00 means the month
    }
  }
  return udi;
}

// Weights 3 and 1 from the left of 14 digits, the check digit included.
function gtinSum(gtin: string): number {
  return [...gtin].reduce((sum, digit, i) => sum + Number(digit) * (i % 2 === 0 ? 3 : 1), 0);
}

const HIBCC_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%";

function parseHibcc(text: string): Udi {
  // The last character is the check character, whatever it looks like, even a slash.
  const body = text.slice(0, -1);
  const sum = [...body].reduce((total, c) => total + HIBCC_ALPHABET.indexOf(c), 0);
  const [primary = "", ...fields] = body.slice(1).split("/");
  if (!/^[A-Z][A-Z0-9]{3}[A-Z0-9]{1,18}[0-9]$/.test(primary))
    throw malformed(`HIBC primary field is ${quote(primary)}`);
  if ([...text].some((c) => !HIBCC_ALPHABET.includes(c)))
    throw malformed(`${quote(text)} isn't in the HIBC alphabet`);
  const udi: Udi = { issuer: "HIBCC", di: primary, checkValid: HIBCC_ALPHABET[sum % 43] === text.slice(-1) };
  for (const field of fields) readHibccField(udi, field);
  return udi;
}

// $$ and a digit: how the expiry date that follows is written.
const HIBCC_DATES: readonly [RegExp, (m: RegExpExecArray) => string | null][] = [
  [/^([01][0-9])([0-9]{2})/, (m) => date(`20${m[2]}`, m[1]!, "00")], // MMYY
  [/^2([0-9]{2})([0-9]{2})([0-9]{2})/, (m) => date(`20${m[3]}`, m[1]!, m[2]!)], // MMDDYY
  [/^3([0-9]{2})([0-9]{2})([0-9]{2})/, (m) => date(`20${m[1]}`, m[2]!, m[3]!)], // YYMMDD
  [/^4([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})/, (m) => hour(date(`20${m[1]}`, m[2]!, m[3]!), m[4]!)], // YYMMDDHH
  [/^5([0-9]{2})([0-9]{3})/, (m) => dayOfYear(`20${m[1]}`, m[2]!)], // YYJJJ
  [/^6([0-9]{2})([0-9]{3})([0-9]{2})/, (m) => hour(dayOfYear(`20${m[1]}`, m[2]!), m[3]!)], // YYJJJHH
  [/^7/, () => null],
];

function readHibccField(udi: Udi, field: string): void {
  const fixed = /^(16D|14D)([0-9]{4})([0-9]{2})([0-9]{2})$/.exec(field);
  if (fixed !== null) {
    put(
      udi,
      fixed[1] === "16D" ? "manufactureDate" : "expirationDate",
      date(fixed[2]!, fixed[3]!, fixed[4]!),
    );
    return;
  }
  const [, mark, value] = /^(S|\$\$\+|\$\+|\$\$|\$)([A-Z0-9. -]{1,27})$/.exec(field) ?? [];
  if (mark === undefined || value === undefined)
    throw malformed(`HIBC field ${quote(field)} isn't one of a UDI`);
  const part: Part = mark === "S" || mark.endsWith("+") ? "serial" : "lot";
  let rest = value;
  if (mark.startsWith("$$")) {
    const form = HIBCC_DATES.find(([pattern]) => pattern.test(value));
    if (form === undefined) throw malformed(`HIBC field ${quote(field)} has no date known here`);
    const m = form[0].exec(value)!;
    const expires = form[1](m);
    if (expires !== null) put(udi, "expirationDate", expires);
    rest = value.slice(m[0].length);
  }
  if (rest.length > 18) throw malformed(`HIBC ${part} ${quote(rest)} is longer than 18 characters`);
  if (rest !== "") put(udi, part, rest);
}

// Longer identifiers first: "=" alone marks a donation, all others begin with it or "&".
const ICCBBA_FIELDS: readonly [pattern: RegExp, part: Part][] = [
  [/^=,([A-Z0-9]{6})/, "serial"],
  [/^=>(0[0-9]{5})/, "expirationDate"],
  [/^=\}(0[0-9]{5})/, "manufactureDate"],
  [/^&,1([A-Z0-9]{18})/, "lot"],
  [/^&\)([A-Z0-9]{10})/, "lot"],
  [/^=([A-Z][A-Z0-9]{4}[0-9]{8}[A-Z0-9]{2})/, "donation"],
];

function parseIccbba(text: string): Udi {
  // =/ facility, its product code, description code: 16; =) a blood container's: 10.
  const primary =
    /^=\/([A-Z][A-Z0-9]{4}[A-Z0-9]{6}[A-Z][A-Z0-9]{4})/.exec(text) ?? /^=\)([A-Z0-9]{10})/.exec(text);
  if (primary === null)
    throw malformed(`ICCBBA DI in ${quote(text)} isn't 16 characters after =/ or 10 after =)`);
  const udi: Udi = { issuer: "ICCBBA", di: primary[1]! };
  let rest = text.slice(primary[0].length);
  while (rest !== "") {
    const found = ICCBBA_FIELDS.find(([pattern]) => pattern.test(rest));
    if (found === undefined) throw malformed(`ICCBBA field ${quote(rest)} isn't one of a UDI`);
    const m = found[0].exec(rest)!;
    const value = m[1]!;
    const isDate = found[1] === "expirationDate" || found[1] === "manufactureDate";
    put(udi, found[1], isDate ? dayOfYear(`2${value.slice(0, 3)}`, value.slice(3)) : value); // 0YYJJJ
    rest = rest.slice(m[0].length);
  }
  return udi;
}

function put(udi: Udi, part: Part, value: string): void {
  if (udi[part] !== undefined)
    throw malformed(`${part} stands twice, ${quote(udi[part])} and ${quote(value)}`);
  udi[part] = value;
}

function date(year: string, month: string, day: string): string {
  if (Number(month) < 1 || Number(month) > 12 || Number(day) > daysIn(Number(year), Number(month))) {
    throw malformed(`no such date: ${year}-${month}-${day}`);
  }
  return day === "00" ? `${year}-${month}` : `${year}-${month}-${day}`;
}

function dayOfYear(year: string, day: string): string {
  let left = Number(day);
  let month = 1;
  while (month < 12 && left > daysIn(Number(year), month)) left -= daysIn(Number(year), month++);
  if (left < 1 || left > 31) throw malformed(`no day ${day} in ${year}`);
  return date(year, String(month).padStart(2, "0"), String(left).padStart(2, "0"));
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

function hour(day: string, hours: string): string {
  if (Number(hours) > 23) throw malformed(`no such hour: ${hours}`);
  return `${day}T${hours}`;
}

function malformed(message: string): Refusal {
  return new Refusal("malformed-udi", `UDI: ${message}`);
}
