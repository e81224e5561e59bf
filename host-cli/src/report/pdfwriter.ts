// PDF 1.4 (ISO 32000-1) as far as a report needs it: pages of text, lines and filled rectangles in three of the
// fourteen standard fonts, which every reader has. Streams are plain, nothing tells the time, so the same calls give
// the same bytes.
//
//   %PDF-1.4   1 catalog   2 pages   3 4 5 fonts   6 information   7 8 page, its content   9 10 …   xref   trailer
//
// Text is WinAnsi; what that lacks is written as \u{…}, as on a terminal: the HTML has every script.

import { printable } from "../exit";

export type Font = "text" | "bold" | "mono";

const FONTS: Readonly<Record<Font, readonly [name: string, base: string]>> = {
  text: ["F1", "Helvetica"],
  bold: ["F2", "Helvetica-Bold"],
  mono: ["F3", "Courier"],
};

// Advance widths of Helvetica from " " to "~", in thousandths (Adobe's core font metrics).
const HELVETICA = [
  278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556,
  556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
  500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469,
  556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500,
  278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];
const WIDE = 1000; // nothing of WinAnsi is wider
const BOLDER = 1.12; // Helvetica-Bold is at most that much wider, letter by letter on average

export const A4_LANDSCAPE = { width: 842, height: 595 } as const;

const SPECIAL: Readonly<Record<string, number>> = { "…": 0x85, "–": 0x96, "—": 0x97, "•": 0x95 };

/** Text as WinAnsi can show it. */
export function winAnsi(text: string): string {
  let out = "";
  for (const char of printable(text)) {
    const code = char.codePointAt(0) as number;
    const fits = (code >= 0x20 && code < 0x7f) || (code >= 0xa1 && code <= 0xff) || char in SPECIAL;
    out += fits ? char : `\\u{${code.toString(16)}}`;
  }
  return out;
}

/** Width in points of text that winAnsi gave. */
export function widthOf(text: string, font: Font, size: number): number {
  if (font === "mono") return (text.length * 600 * size) / 1000;
  let sum = 0;
  for (let i = 0; i < text.length; i++) sum += HELVETICA[text.charCodeAt(i) - 32] ?? WIDE;
  return (sum * size * (font === "bold" ? BOLDER : 1)) / 1000;
}

/** Cuts text into lines no wider than `width`, at spaces where there are any. */
export function wrap(text: string, font: Font, size: number, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of winAnsi(text).split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (widthOf(longer, font, size) <= width) {
      line = longer;
      continue;
    }
    if (line !== "") lines.push(line);
    line = word;
    while (widthOf(line, font, size) > width && line.length > 1) {
      const fit = Math.max(1, longestThatFits(line, font, size, width));
      lines.push(line.slice(0, fit));
      line = line.slice(fit);
    }
  }
  lines.push(line);
  return lines;
}

function longestThatFits(text: string, font: Font, size: number, width: number): number {
  let used = 0;
  for (let i = 0; i < text.length; i++) {
    used += widthOf(text.charAt(i), font, size);
    if (used > width) return i;
  }
  return text.length;
}

const number = (value: number) => String(Math.round(value * 100) / 100);

/** Bytes 0x20 to 0xff of WinAnsi in a literal string; characters of the result stand for bytes. */
function literal(text: string): string {
  let out = "";
  for (const char of text) {
    if (char === "(" || char === ")" || char === "\\") out += `\\${char}`;
    else out += String.fromCharCode(SPECIAL[char] ?? char.charCodeAt(0));
  }
  return `(${out})`;
}

export class PdfWriter {
  private readonly pages: string[][] = [];

  get pageCount(): number {
    return this.pages.length;
  }

  addPage(): void {
    this.pages.push([]);
  }

  private put(operators: string, page = this.pages.length - 1): void {
    this.pages[page]?.push(operators);
  }

  /** `text` must be winAnsi's. The origin is the lower left corner. */
  text(x: number, y: number, font: Font, size: number, text: string, page?: number): void {
    if (text === "") return;
    this.put(`BT /${FONTS[font][0]} ${size} Tf ${number(x)} ${number(y)} Td ${literal(text)} Tj ET`, page);
  }

  rule(x: number, y: number, width: number): void {
    this.put(`0.5 w 0.75 G ${number(x)} ${number(y)} m ${number(x + width)} ${number(y)} l S`);
  }

  /** `grey` from 0, black. */
  fill(x: number, y: number, width: number, height: number, grey: number): void {
    this.put(`${number(grey)} g ${[x, y, width, height].map(number).join(" ")} re f 0 g`);
  }

  bytes(title: string): Uint8Array {
    const { width, height } = A4_LANDSCAPE;
    const first = 7;
    const kids = this.pages.map((_, i) => `${first + 2 * i} 0 R`).join(" ");
    const fonts = Object.values(FONTS);
    const objects = [
      "<< /Type /Catalog /Pages 2 0 R /Lang (en) /ViewerPreferences << /DisplayDocTitle true >> >>",
      `<< /Type /Pages /Kids [${kids}] /Count ${this.pages.length} /MediaBox [0 0 ${width} ${height}] ` +
        `/Resources << /Font << ${fonts.map(([name], i) => `/${name} ${3 + i} 0 R`).join(" ")} >> >> >>`,
      ...fonts.map(
        ([, base]) => `<< /Type /Font /Subtype /Type1 /BaseFont /${base} /Encoding /WinAnsiEncoding >>`,
      ),
      `<< /Title ${literal(winAnsi(title))} >>`,
      ...this.pages.flatMap((operators, i) => {
        const content = operators.join("\n");
        return [
          `<< /Type /Page /Parent 2 0 R /Contents ${first + 2 * i + 1} 0 R >>`,
          `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
        ];
      }),
    ];
    const parts = ["%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"];
    let at = (parts[0] as string).length;
    const offsets = objects.map((object, i) => {
      const text = `${i + 1} 0 obj\n${object}\nendobj\n`;
      parts.push(text);
      const here = at;
      at += text.length;
      return `${String(here).padStart(10, "0")} 00000 n \n`;
    });
    parts.push(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${offsets.join("")}`);
    parts.push(
      `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R /Info 6 0 R >>\nstartxref\n${at}\n%%EOF\n`,
    );
    return new Uint8Array(Buffer.from(parts.join(""), "latin1"));
  }
}
