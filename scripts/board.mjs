// Builds the image of the reference board: firmware/boards/mps2/build/mps2.bin, the whole engine region.
//
//   npm run board            with the agent this repository builds
//   npm run board -- FILE    with another agent bundle
//
// The compiler, the C library, Duktape's source and its compiler to bytecode are Debian's. The image holds an
// engine block that names the build but no maker; `vouch sim --board mps2 --vendor …` puts one in,
// for which nothing needs to be compiled.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
export const BOARD = join(ROOT, "firmware/boards/mps2");
const ENGINE_BYTES = 512 * 1024;
const BLOCK_BYTES = 512;

/** What must be installed, and which Debian package has it. */
const NEEDS = [
  ["make", "make"],
  ["arm-none-eabi-gcc", "gcc-arm-none-eabi"],
  ["/usr/lib/arm-none-eabi/lib/nano.specs", "libnewlib-arm-none-eabi"],
  ["duk", "duktape"],
  ["/usr/share/duktape/duktape.c", "duktape-dev"],
];

/** Whether a program is on PATH, or a file where it is looked for. */
export const isThere = (what) =>
  what.startsWith("/")
    ? existsSync(what)
    : (process.env.PATH ?? "").split(":").some((folder) => existsSync(join(folder, what)));

/** Debian packages that are missing to build the image. */
export const missing = () => NEEDS.filter(([what]) => !isThere(what)).map(([, name]) => name);

/** u16 length and CBOR of a map of small keys to short texts and numbers below 65536: an engine block. */
function encodeBlock(pairs) {
  const head = (major, n) => {
    if (n < 24) return [(major << 5) | n];
    return n < 256 ? [(major << 5) | 24, n] : [(major << 5) | 25, n >> 8, n & 255];
  };
  const item = (value) =>
    typeof value === "string" ? [...head(3, value.length), ...Buffer.from(value)] : head(0, value);
  const bytes = [
    ...head(5, pairs.length),
    ...pairs.flatMap(([key, value]) => [...head(0, key), ...item(value)]),
  ];
  return Buffer.from([bytes.length & 255, bytes.length >> 8, ...bytes]);
}

function duktapeVersion() {
  const [, number] = /^#define DUK_VERSION\s+(\d+)L/m.exec(
    readFileSync("/usr/share/duktape/duktape.h", "utf8"),
  );
  return [Number(number) / 10000, (Number(number) / 100) % 100, Number(number) % 100]
    .map(Math.floor)
    .join(".");
}

/** Builds in a folder of the board's, and returns the path of the image. `variables` are make's. */
export function buildBoard(agent = join(ROOT, "host-cli/dist/agent.js"), folder = "build", variables = []) {
  const lacking = missing();
  if (lacking.length > 0) throw new Error(`board: needs Debian's ${lacking.join(" ")}`);
  // One at a time: tests build it when they start, side by side.
  const command = ["make", "-s", "-C", BOARD, `AGENT=${resolve(agent)}`, `BUILD=${folder}`, ...variables];
  const make = spawnSync("flock", [BOARD, ...command], { encoding: "utf8" });
  if (make.status !== 0) throw new Error(`board: make failed\n${make.stdout}${make.stderr}`);
  const image = readFileSync(join(BOARD, folder, "mps2.raw"));
  if (image.length !== ENGINE_BYTES) throw new Error(`board: image of ${image.length} bytes`);
  const block = encodeBlock([
    [6, "duktape"],
    [7, duktapeVersion()],
    [8, statSync(agent).size],
  ]);
  image.fill(0xff, ENGINE_BYTES - BLOCK_BYTES);
  block.copy(image, ENGINE_BYTES - BLOCK_BYTES);
  const path = join(BOARD, folder, "mps2.bin");
  writeFileSync(`${path}.${process.pid}`, image);
  renameSync(`${path}.${process.pid}`, path);
  return path;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    const started = Date.now();
    const path = buildBoard(process.argv[2]);
    console.log(`built ${path.slice(ROOT.length)} in ${Date.now() - started} ms`);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
