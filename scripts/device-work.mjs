// Runs pieces of firmware/test/bench/work.ts on the emulated board, and says what each took.
//
// They are built into an image in the agent's place, in a folder of its own: the board's objects as they are, but for
// the heap's size, which needn't be what the agent can do with. QEMU counts instructions in place of time
// (`-icount shift=0`: one a nanosecond), so the image's own millisecond is a million instructions, whatever the
// machine's load, and two runs agree to that unit.

import { spawn } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BOARD, buildBoard, isThere, missing } from "./board.mjs";
import { buildAgent } from "./build.mjs";

const WORK = fileURLToPath(new URL("../firmware/test/bench/work.ts", import.meta.url));
const LIMIT_MS = 600_000;

/** Kilobytes of heap that the work gets, whatever the board has. */
export const WORK_HEAP_KB = 96;

/** Debian packages that are missing to run the work on the board. */
export const missingForBoard = () => [
  ...missing(),
  ...(isThere("qemu-system-arm") ? [] : ["qemu-system-arm"]),
];

/** The work as ES5 text: a global function benchWork(name). */
export async function buildWork() {
  return buildAgent(
    { esbuild: await import("esbuild"), typescript: (await import("typescript")).default },
    WORK,
  );
}

// A tick does one piece and writes a line: name, how often, milliseconds, whether it came out right.
const driver = (plan) => `;(function () {
  var plan = ${JSON.stringify(plan)}, next = 0;
  globalThis.agentReceive = function () {};
  globalThis.agentTick = function () {
    var piece = plan[next++], isRight = true, line = "end\\n", bytes, started, i;
    if (piece) {
      started = hostMillis();
      for (i = 0; i < piece[1]; i++) isRight = benchWork(piece[0]) && isRight;
      line = piece[0] + "," + piece[1] + "," + (hostMillis() - started) + "," + isRight + "\\n";
    }
    bytes = new Uint8Array(line.length);
    for (i = 0; i < line.length; i++) bytes[i] = line.charCodeAt(i);
    hostWrite(bytes);
    return piece ? 0 : 1e9;
  };
})();
`;

/** An image of the work, from the objects in the board's own build, which must be there. */
function buildImage(code, folder) {
  const built = join(BOARD, "build");
  const target = join(BOARD, folder);
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(built))
    if (/\.(o|c)$/.test(name) && !/^(agent|heap)\./.test(name))
      cpSync(join(built, name), join(target, name), { preserveTimestamps: true });
  const agent = join(target, "work.js");
  writeFileSync(agent, code);
  return buildBoard(agent, folder, [`HEAP_BYTES=${WORK_HEAP_KB * 1024}`]);
}

/**
 * Does each [name, times] of the plan on the board, in one run. Returns name -> millions of instructions for doing it once.
 * Throws when a piece comes out wrong or the board faults.
 */
export async function measureOnBoard(plan) {
  const folder = `build/work-${process.pid}`;
  try {
    // Inside the function around the bundle, which the board's bytecode goes without: scripts/slots.mjs.
    const code = (await buildWork()).replace(/\}\)\(\);\s*$/, () => `${driver(plan)}})();\n`);
    const image = buildImage(code, folder);
    return parseLines(plan, await runImage(image));
  } finally {
    rmSync(join(BOARD, folder), { recursive: true, force: true });
  }
}

/** What the image writes on its serial line until it says that it is done. */
function runImage(image) {
  const args = ["-machine", "mps2-an386", "-nodefaults", "-display", "none", "-monitor", "none"];
  const qemu = spawn(
    "qemu-system-arm",
    [...args, "-icount", "shift=0", "-kernel", image, "-serial", "stdio"],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  return new Promise((resolve, reject) => {
    let said = "";
    let complaints = "";
    const late = setTimeout(() => end(new Error(`the board took too long, and said ${said}`)), LIMIT_MS);
    const end = (error) => {
      clearTimeout(late);
      qemu.kill("SIGKILL");
      if (error === undefined) resolve(said);
      else reject(error);
    };
    qemu.once("error", end);
    qemu.once("exit", (status) => end(new Error(`QEMU ended with status ${status}: ${complaints}`)));
    qemu.stderr.setEncoding("utf8").on("data", (text) => {
      complaints += text;
    });
    qemu.stdout.setEncoding("latin1").on("data", (text) => {
      said += text;
      if (said.includes("board fault")) end(new Error(`the board faulted: ${said}`));
      else if (said.endsWith("end\n")) end();
    });
  });
}

function parseLines(plan, said) {
  const lines = said.split("\n").map((line) => line.split(","));
  return new Map(
    plan.map(([name, times], at) => {
      const [told, count, millis, isRight] = lines[at];
      if (told !== name || Number(count) !== times || isRight !== "true")
        throw new Error(`on the board, ${name} came out wrong: ${lines[at]}`);
      return [name, Number(millis) / times];
    }),
  );
}
