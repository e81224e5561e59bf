import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import {
  compareVersions,
  flagNames,
  formatVersion,
  isMcuboot,
  type McubootImage,
  parseVersion,
  readMcuboot,
} from "../src/mcuboot";
import { isRefusal } from "../src/refusal";
import { random } from "./random";
import { hex, publishedBytes, publishedJson } from "./vectors";

const mcuboot = suite("mcuboot");

interface Published {
  images: {
    file: string;
    header: { header_size: number; image_size: number; flags: number; version: string };
    tlvs: { type: number; name: string; protected: boolean; offset: number; value: string }[];
    security_counter: number | null;
    signed_bytes: string | null;
  }[];
}

const published = publishedJson<Published>("smp/images/images.json").images;
const imageOf = (file: string) => publishedBytes(`smp/images/${file}`);

for (const expected of published) {
  mcuboot(`imgtool's ${expected.file} is read as it was made`, () => {
    const bytes = imageOf(expected.file);
    const image = readMcuboot(bytes);
    assert.equal(
      [image.headerSize, image.payloadSize, image.flags],
      [expected.header.header_size, expected.header.image_size, expected.header.flags],
    );
    assert.equal(parseVersion(expected.header.version), image.version);
    assert.equal(
      image.records.map(({ type, name, isProtected, offset, value }) => {
        return { type, name, protected: isProtected, offset, value: toHex(value) };
      }),
      expected.tlvs.map(({ type, name, protected: isProtected, offset, value }) => {
        return { type, name, protected: isProtected, offset, value };
      }),
    );
    assert.is(image.securityCounter, expected.security_counter);
    assert.is(image.isPure, expected.signed_bytes === "header+payload+protected TLVs");
    assert.is(image.signature === null, expected.signed_bytes === null);
    assert.is(image.body.buffer, bytes.buffer, "a view, no copy");
  });
}
mcuboot("all eight published images were read", () => assert.is(published.length, 8));

const u16 = (value: number) => [value & 0xff, (value >> 8) & 0xff];
const u32 = (value: number) => [...u16(value % 65536), ...u16(Math.floor(value / 65536))];
const record = (type: number, value: number[]) => [...u16(type), ...u16(value.length), ...value];
const area = (magic: number, records: number[][]) => {
  const inside = records.flat();
  return [...u16(magic), ...u16(inside.length + 4), ...inside];
};
const zeros = (length: number) => new Array<number>(length).fill(0);
const DIGEST = record(0x10, zeros(32));

/** An image of four bytes with these records, of which nothing needs to be true. */
function made(plain: number[][], guarded: number[][] = [], header: { pad?: number; flags?: number } = {}) {
  const guardedArea = guarded.length === 0 ? [] : area(0x6908, guarded);
  const { pad = 0, flags = 0 } = header;
  const head = [...u32(0x96f3b83d), ...u32(0), ...u16(32 + pad), ...u16(guardedArea.length), ...u32(4)];
  const version = [1, 2, ...u16(3), ...u32(4), ...u32(0)];
  return Uint8Array.from([
    ...head,
    ...u32(flags),
    ...version,
    ...zeros(pad),
    0xde,
    0xad,
    0xbe,
    0xef,
    ...guardedArea,
    ...area(0x6907, plain),
  ]);
}

mcuboot("vendor records, dependencies and padding of the header are kept", () => {
  const image = readMcuboot(
    made(
      [DIGEST, record(0xa7, [1]), record(0xa7, [2])],
      [record(0x40, [1, 0, 0, 0, 9, 8, ...u16(7), ...u32(6)]), record(0x12a0, [5, 6])],
      { pad: 0x1e0, flags: 0x420 },
    ),
  );
  assert.is(image.headerSize, 0x200);
  assert.equal(
    image.records.map(({ type, name, isProtected }) => [type, name, isProtected]),
    [
      [0x40, "DEPENDENCY", true],
      [0x12a0, null, true],
      [0x10, "SHA256", false],
      [0xa7, null, false],
      [0xa7, null, false],
    ],
  );
  assert.equal(image.dependencies, [{ image: 1, atLeast: { major: 9, minor: 8, revision: 7, build: 6 } }]);
  assert.equal(flagNames(image.flags), ["ram-load", "lzma2"]);
  assert.equal(flagNames(0x80000001), ["0x80000001"]);
  assert.is(formatVersion(image.version), "1.2.3+4");
});

const bent = (bytes: Uint8Array, at: number, ...values: number[]) => {
  const copy = bytes.slice();
  copy.set(values, at);
  return copy;
};

for (const [name, code, bytes] of [
  ["no magic", "image-malformed", hex("00000000")],
  ["a header cut off", "image-truncated", made([DIGEST]).subarray(0, 31)],
  ["a header shorter than a header", "image-malformed", bent(made([DIGEST]), 8, 31, 0)],
  ["no payload", "image-malformed", bent(made([DIGEST]), 12, 0, 0, 0, 0)],
  ["a payload of 4 GiB", "image-truncated", bent(made([DIGEST]), 12, 0xff, 0xff, 0xff, 0xff)],
  ["no digest", "image-malformed", made([record(0xa0, [1])])],
  ["two kinds of digest", "image-malformed", made([DIGEST, record(0x12, zeros(64))])],
  ["a digest twice", "image-malformed", made([DIGEST, DIGEST])],
  ["a short digest", "image-malformed", made([record(0x10, zeros(31))])],
  ["a protected digest", "image-malformed", made([], [DIGEST])],
  ["a signature twice", "image-malformed", made([DIGEST, record(0x24, zeros(64)), record(0x24, zeros(64))])],
  ["a signature of 63 bytes", "image-malformed", made([DIGEST, record(0x24, zeros(63))])],
  ["a key hash of another length", "image-malformed", made([DIGEST, record(1, zeros(64))])],
  ["a counter nobody signs", "image-malformed", made([DIGEST, record(0x50, zeros(4))])],
  ["a counter twice", "image-malformed", made([DIGEST], [record(0x50, zeros(4)), record(0x50, zeros(4))])],
  ["a counter of 8 bytes", "image-malformed", made([DIGEST], [record(0x50, zeros(8))])],
  ["a dependency nobody signs", "image-malformed", made([DIGEST, record(0x40, zeros(12))])],
  ["a dependency of 11 bytes", "image-malformed", made([DIGEST], [record(0x40, zeros(11))])],
  ["SIG_PURE of 0", "image-malformed", made([DIGEST, record(0x25, [0])])],
  ["a byte behind the records", "image-malformed", Uint8Array.from([...made([DIGEST]), 0])],
  ["three bytes left over among the records", "image-malformed", made([DIGEST, [1, 2, 3]])],
  ["a record that runs over", "image-malformed", made([DIGEST, [0xa0, 0, 1, 0]])],
  ["65 records", "image-malformed", made([DIGEST, ...new Array(64).fill(record(0xa0, []))])],
  [
    "a protected area the header doesn't announce",
    "image-malformed",
    bent(made([DIGEST], [record(0xa0, [])]), 10, 0, 0),
  ],
  ["a protected area of another size", "image-malformed", bent(made([DIGEST], [record(0xa0, [])]), 10, 9, 0)],
  ["a protected area that isn't there", "image-malformed", bent(made([DIGEST]), 10, 40, 0)],
] as [string, string, Uint8Array][]) {
  mcuboot(`refuses ${name}`, () => assert.is(codeOf(bytes), code));
}

const CODES = new Set(["image-malformed", "image-truncated"]);

/** "read", or the code it is refused with; anything but a Refusal is thrown on. */
function codeOf(bytes: Uint8Array, look: (image: McubootImage) => void = () => {}): string {
  try {
    look(readMcuboot(bytes));
    return "read";
  } catch (error) {
    if (!isRefusal(error)) throw error;
    assert.ok(CODES.has(error.code), error.code);
    return error.code;
  }
}

/** Whatever is read stays within the file. */
function within(image: McubootImage): void {
  for (const { offset, value } of image.records) {
    assert.ok(offset + 4 + value.length <= image.bytes.length && value.buffer === image.bytes.buffer);
  }
}

mcuboot("cut anywhere, an image is refused", () => {
  for (const { file } of published) {
    const bytes = imageOf(file);
    for (let end = 0; end < bytes.length; end++) {
      const code = codeOf(bytes.subarray(0, end));
      assert.ok(code === (end < 4 ? "image-malformed" : "image-truncated"), `${file} cut at ${end}: ${code}`);
    }
  }
});

mcuboot("with any byte of header and records changed to anything, it is read or refused", () => {
  const counts = new Map<string, number>();
  for (const file of ["counter-3.bin", "pure-ed25519.bin"]) {
    const bytes = imageOf(file);
    const image = readMcuboot(bytes);
    const recordsAt = image.headerSize + image.payloadSize;
    const copy = bytes.slice();
    for (let at = 0; at < copy.length; at++) {
      if (at >= image.headerSize && at < recordsAt) continue;
      for (let value = 0; value < 256; value++) {
        copy[at] = value;
        const code = codeOf(copy, within);
        counts.set(code, (counts.get(code) ?? 0) + 1);
      }
      copy[at] = bytes[at]!;
    }
  }
  assert.ok(["read", ...CODES].every((code) => counts.has(code)));
});

mcuboot("every length at its extremes is read or refused, in time and memory that the file bounds", () => {
  const bytes = imageOf("counter-3.bin");
  const { headerSize, payloadSize, records } = readMcuboot(bytes);
  const areas = [headerSize + payloadSize, headerSize + payloadSize + 12];
  const wide = [12, 16, 4];
  const narrow = [8, 10, ...areas, ...areas.map((at) => at + 2), ...records.map(({ offset }) => offset + 2)];
  const started = process.cpuUsage();
  const before = process.memoryUsage().arrayBuffers;
  for (const at of narrow) {
    for (const value of [0, 1, 3, 4, 5, 31, 32, 0x7fff, 0x8000, 0xfffe, 0xffff]) {
      codeOf(bent(bytes, at, ...u16(value)), within);
    }
  }
  for (const at of wide) {
    for (const value of [0, 1, 0x7fffffff, 0x80000000, 0xffffffdf, 0xfffffffe, 0xffffffff]) {
      codeOf(bent(bytes, at, ...u32(value)), within);
    }
  }
  assert.ok(process.cpuUsage(started).user < 2_000_000); // of its own: what others do meanwhile is not its time
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
});

mcuboot("random bytes behind the magic are refused", () => {
  const next = random(7);
  for (let run = 0; run < 2000; run++) {
    const bytes = Uint8Array.from([...u32(0x96f3b83d), ...next(run % 300)]);
    assert.is.not(codeOf(bytes, within), "read");
    assert.ok(isMcuboot(bytes));
  }
});

mcuboot("versions: read as servers and imgtool write them, ordered, and nothing else", () => {
  const of = (text: string) => parseVersion(text) ?? (assert.unreachable(text) as never);
  assert.equal(of("0.9.1.11"), of("0.9.1+11"));
  assert.is(formatVersion(of("255.255.65535.4294967295")), "255.255.65535+4294967295");
  const rising = ["0.0.0", "0.0.0.1", "0.0.2", "0.1.0", "1.0.0", "1.0.10", "10.0.0"];
  rising.forEach((a, i) => {
    rising.forEach((b, j) => {
      assert.is(Math.sign(compareVersions(of(a), of(b))), Math.sign(i - j), `${a} and ${b}`);
    });
  });
  for (const text of [
    "",
    "1",
    "1.2",
    "1.2.3-4",
    "256.0.0",
    "0.0.65536",
    "0.0.0.4294967296",
    " 1.2.3",
    "<???>",
  ]) {
    assert.is(parseVersion(text), null, text);
  }
});

mcuboot.run();
