// `npm run tangle`: a private Tangle on this machine, to anchor on; Ctrl-C ends it and leaves nothing but the trust file.
//
//   $ npm run tangle
//   network     vouch-tangle: HORNET 2.0.1, a milestone every 1000 ms, in a network namespace of its own
//   --ledger    stardust:http://127.0.0.1:41234,poi=http://127.0.0.1:41235
//   --trust     tangle.trust
//
//   --interval MS     between milestones (1000)
//   --min-pow N       the work that the network asks of a block (0)
//   --no-node-pow     the node does none for others
//   --name NAME       the network's name (vouch-tangle)
//   --trust FILE      where the coordinator's keys go (tangle.trust); no file is overwritten
//   --keeper          a second node, so that the first may be killed; lines on stdin do that: kill, restart
//   --no-namespace    without one, also where one could be made
//   --simulated       the fake node of the tests instead; nothing in it is IOTA's. Lines on stdin order its faults

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startTangle } from "./tangle-network.mjs";

/** The bytes of a trust file; `keys` are hex, ascending. */
export const trustFile = ({ network, threshold, keys }) =>
  JSON.stringify({
    version: "vouch-stardust-trust/v1",
    network,
    threshold,
    keys: keys.map((key) => ({ key: Buffer.from(key, "hex").toString("base64"), start: 0, end: 0 })),
  });

export async function startSimulated(options) {
  const { importSource } = await import("./source.mjs");
  const { startFakeHornet, command } = await importSource("host-cli/test/fake-hornet.ts");
  const fake = await startFakeHornet({ ...options, name: options.networkName });
  return { fake, order: (line) => command(fake, line) };
}

/** What a line on stdin does to a real network. */
async function obey(tangle, line) {
  if (!["kill", "restart", "pause", "resume"].includes(line)) return "kill | restart | pause | resume";
  await tangle[line]();
  return `${line}: done`;
}

const count = (name, text, least) => {
  if (/^[0-9]{1,7}$/.test(text) && Number(text) >= least) return Number(text);
  throw new Error(`${name} ${text}: expected a whole number from ${least}`);
};

const taken = (path) =>
  `${path} is there already, and this network's keys are new: give another --trust, or move it away`;

/** The head of this file, which says it all. */
function help() {
  const lines = readFileSync(fileURLToPath(import.meta.url), "utf8").split("\n");
  return lines
    .slice(0, lines.indexOf(""))
    .map((line) => line.replace(/^\/\/ ?/, ""))
    .join("\n");
}

async function main() {
  const { values } = parseArgs({
    options: {
      interval: { type: "string", default: "1000" },
      "min-pow": { type: "string", default: "0" },
      "no-node-pow": { type: "boolean", default: false },
      name: { type: "string", default: "vouch-tangle" },
      trust: { type: "string", default: "tangle.trust" },
      keeper: { type: "boolean", default: false },
      "no-namespace": { type: "boolean", default: false },
      simulated: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return console.log(help());
  const options = {
    intervalMs: count("--interval", values.interval, 100),
    minPowScore: count("--min-pow", values["min-pow"], 0),
    nodePow: !values["no-node-pow"],
    networkName: values.name,
    keeper: values.keeper,
    namespace: !values["no-namespace"],
  };
  const path = resolve(process.env.INIT_CWD ?? ".", values.trust); // npm runs us in the repository's folder
  if (existsSync(path)) throw new Error(taken(path)); // before a network is started
  let finish;
  const finished = new Promise((done) => {
    finish = done;
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, finish);
  const simulated = values.simulated ? await startSimulated(options) : undefined;
  const tangle = simulated?.fake ?? (await startTangle(options));
  try {
    writeFileSync(path, trustFile(tangle.trust), { flag: "wx" });
    const what = simulated === undefined ? "HORNET 2.0.1" : "SIMULATED, nothing here is IOTA's";
    const where =
      simulated !== undefined
        ? ""
        : tangle.namespaced
          ? ", in a network namespace of its own"
          : ", without a network namespace: HORNET looks for a router here";
    console.log(
      `network     ${options.networkName}: ${what}, a milestone every ${options.intervalMs} ms${where}`,
    );
    console.log(`--ledger    ${tangle.where}\n--trust     ${values.trust}\nCtrl-C ends it`);
    const lines = createInterface({ input: process.stdin });
    lines.on("line", async (line) => {
      const said = simulated?.order(line) ?? (await obey(tangle, line).catch((error) => error.message));
      console.log(said);
    });
    const ended = tangle.ended?.then(() => "ended");
    if ((await Promise.race([finished, ended ?? finished])) === "ended")
      throw new Error("the network ended by itself");
    lines.close();
  } finally {
    await tangle.stop();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main().then(
    () => process.exit(0),
    (error) => {
      console.error(`tangle: ${error.code === "EEXIST" ? taken(error.path) : error.message}`);
      process.exit(1);
    },
  );
}
