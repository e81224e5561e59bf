// The inside of a private Tangle: one HORNET node, its coordinator and inx-poi, as children of this process. Started
// by tangle-network.mjs, in a network namespace of its own where there is one.
//
//   coordinator ──▶ hornet ◀── inx-poi                   or, with a keeper:
//   coordinator ──▶ keeper ◀─ gossip ─▶ hornet ◀── inx-poi
//
// HORNET keeps what is new in memory. Killed, it has lost it, refuses to go on, and starts again from its snapshot and
// what its peers tell (--deleteDatabase; of its two remedies the other, --revalidate, ends in a panic in 2.0.1). A
// network that must survive that has a second node, the keeper, on which the coordinator hangs.
//
//   stdin    {"start":{…}} first; then {"kill":true}, {"restart":true}, {"pause":true}; its end means: stop
//   stdout   one JSON object a line: {"ready":…}, {"done":"kill"}, {"failed":"…"}
//
// Whoever started it may die in any way: stdin then ends, and all stops here. Where the kernel can, it kills the
// children should this process be killed: it is the first of a process namespace, or setpriv arms each of them.
//
// Ports and keys are fresh. The coordinator's keys are in its environment and in no file.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, cpSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openDoor } from "./tangle-door.mjs";

const STARTS_WITHIN_MS = 60_000;
const STOPS_WITHIN_MS = 15_000;
const COORDINATORS = 2;

const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** A free port for each name; all are held until the last is known, so that they differ. */
async function freePorts(names) {
  const servers = names.map(() => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const found = names.map((name, i) => [name, servers[i].address().port]);
  await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))));
  return found;
}

// ---- Files and keys, as `hornet tool` makes them

function tool(options, ...args) {
  const { folder, hornet } = options;
  const ended = spawnSync(hornet, ["tool", ...args], {
    cwd: folder,
    encoding: "utf8",
    env: options.environment,
    timeout: STARTS_WITHIN_MS,
  });
  if (ended.status === 0) return ended.stdout;
  const said = `${ended.stdout}${ended.stderr}`.trim().split("\n").slice(-3).join("; ");
  throw new Error(`hornet tool ${args[0]}: ${ended.error?.message ?? `status ${ended.status}: ${said}`}`);
}

const newKey = (options) => JSON.parse(tool(options, "ed25519-key", "--hrp", "tst", "--json"));

function config({ networkName, nodePow, keys }, ports) {
  return {
    app: { checkForUpdates: false, shutdown: { stopGracePeriod: "10s" } },
    db: { engine: "pebble", path: "database" },
    inx: { enabled: true, bindAddress: `127.0.0.1:${ports.inx}` },
    p2p: {
      bindMultiAddresses: [`/ip4/127.0.0.1/tcp/${ports.p2p}`],
      autopeering: { enabled: false },
      db: { path: "p2p" },
      reconnectInterval: "1s",
    },
    protocol: {
      targetNetworkName: networkName,
      milestonePublicKeyCount: keys.length,
      publicKeyRanges: keys.map(({ publicKey }) => ({ key: publicKey, start: 0, end: 0 })),
    },
    pruning: { milestones: { enabled: false }, size: { enabled: false } },
    restAPI: {
      bindAddress: `127.0.0.1:${ports.api}`,
      publicRoutes: ["/health", "/api/*"],
      protectedRoutes: [],
      pow: { enabled: nodePow },
    },
    snapshots: {
      enabled: false,
      fullPath: "snapshots/full_snapshot.bin",
      deltaPath: "snapshots/delta_snapshot.bin",
      downloadURLs: [],
    },
  };
}

function writeConfig(network, folder, ports, peers) {
  const write = (name, value) => writeFileSync(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
  write("config.json", config(network, ports));
  write("profiles.json", {});
  write("peering.json", { p2p: { peers, peerAliases: peers.map(() => "keeper") } });
}

/** The genesis: snapshot, database with milestone 1, the coordinator's state. */
async function prepare(options) {
  const { folder, networkName, minPowScore } = options;
  const keys = Array.from({ length: COORDINATORS }, () => newKey(options));
  keys.sort((a, b) => (a.publicKey < b.publicKey ? -1 : 1));
  const names = ["api", "inx", "p2p", "poi", "keeperApi", "keeperInx", "keeperP2p"];
  const ports = Object.fromEntries(await freePorts(names));
  const network = { ...options, keys, ports };
  network.secrets = { ...options.environment, COO_PRV_KEYS: keys.map((key) => key.privateKey).join(",") };
  writeConfig(network, folder, ports, []);
  const protocol = {
    version: 2,
    networkName,
    bech32HRP: "tst",
    minPoWScore: minPowScore,
    belowMaxDepth: 15,
    rentStructure: { vByteCost: 500, vByteFactorData: 1, vByteFactorKey: 10 },
    tokenSupply: "2779530283277761",
  };
  writeFileSync(join(folder, "protocol.json"), JSON.stringify(protocol));
  mkdirSync(join(folder, "snapshots"));
  tool(
    options,
    "snap-gen",
    "--protocolParametersPath=protocol.json",
    `--mintAddress=${newKey(options).bech32}`,
    "--outputPath=snapshots/full_snapshot.bin",
  );
  tool(
    { ...options, environment: network.secrets },
    "bootstrap-private-tangle",
    "--configFile=config.json",
    "--snapshotPath=snapshots/full_snapshot.bin",
    "--databasePath=database",
    "--cooStatePath=coordinator.state",
    "--databaseEngine=pebble",
  );
  if (options.keeper) prepareKeeper(network);
  return network;
}

/** A second node of the same genesis, which the first has for a peer. */
function prepareKeeper(network) {
  const { folder, ports } = network;
  const home = join(folder, "keeper");
  mkdirSync(home);
  for (const name of ["database", "snapshots"])
    cpSync(join(folder, name), join(home, name), { recursive: true });
  const { peerId } = JSON.parse(tool(network, "p2pidentity-gen", "--outputPath=keeper/p2p", "--json"));
  writeConfig(network, home, { api: ports.keeperApi, inx: ports.keeperInx, p2p: ports.keeperP2p }, []);
  writeConfig(network, folder, ports, [`/ip4/127.0.0.1/tcp/${ports.keeperP2p}/p2p/${peerId}`]);
}

// ---- Processes

const children = new Map(); // name to child
let stopping = false;

function launch(
  { folder, armed, environment },
  name,
  command,
  args,
  { env = environment, cwd = folder } = {},
) {
  if (stopping) throw new Error("the network is being stopped");
  const log = openSync(join(folder, `${name}.log`), "a");
  const [program, ...rest] = [...armed, command, ...args];
  const child = spawn(program, rest, { cwd, env, stdio: ["ignore", log, log] });
  closeSync(log);
  child.ended = new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal ?? `status ${code}`));
  });
  child.ended.then((how) => {
    child.how = how;
    if (children.get(name) === child) children.delete(name);
  });
  children.set(name, child);
  return child;
}

/** Asks it to end, then makes it. */
async function end(name, signal = "SIGTERM") {
  const child = children.get(name);
  if (child === undefined) return;
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOPS_WITHIN_MS);
  await child.ended;
  clearTimeout(timer);
}

/** What a log says of a failure: its errors, or else its end; Go's traces say less than the line above them. */
function lastWords(folder, name) {
  const lines = readFileSync(join(folder, `${name}.log`), "utf8")
    .trim()
    .split("\n");
  const errors = lines.filter((line) => /\b(ERROR|PANIC|FATAL)\b|^panic:/.test(line));
  return (errors.length > 0 ? errors : lines).slice(-5).join("\n");
}

/** Asks `url` until `answers` takes what it says; fails at once when the process is gone. */
async function until({ folder }, name, child, url, answers) {
  for (const start = Date.now(); Date.now() - start < STARTS_WITHIN_MS; await sleep(25)) {
    if (child.how !== undefined)
      throw new Error(`${name} ended with ${child.how}\n${lastWords(folder, name)}`);
    const body = await fetch(url, { signal: AbortSignal.timeout(5_000) })
      .then(async (response) => ({ status: response.status, text: await response.text() }))
      .catch(() => undefined);
    if (body !== undefined && answers(body)) return;
  }
  throw new Error(`${name} isn't ready after ${STARTS_WITHIN_MS / 1000} s\n${lastWords(folder, name)}`);
}

const statusOf = (text) => JSON.parse(text).status.confirmedMilestone.index;
const infoAt = (port) => `http://127.0.0.1:${port}/api/core/v2/info`;

async function startNode(network, name, cwd, port, ...flags) {
  const node = launch(network, name, network.hornet, ["-c", "config.json", ...flags], { cwd });
  await until(network, name, node, infoAt(port), ({ status }) => status === 200);
}

function startCoordinator(network) {
  const { coordinator, ports, intervalMs, keeper, secrets } = network;
  const args = [
    `--inx.address=127.0.0.1:${keeper ? ports.keeperInx : ports.inx}`,
    "--coordinator.stateFilePath=coordinator.state",
    `--coordinator.interval=${intervalMs}ms`,
    "--coordinator.blockBackups.enabled=false",
    "--app.checkForUpdates=false",
  ];
  return launch(network, "coordinator", coordinator, args, { env: secrets });
}

async function startPoi(network) {
  const { poi, ports } = network;
  const args = [
    `--inx.address=127.0.0.1:${ports.inx}`,
    `--restAPI.bindAddress=127.0.0.1:${ports.poi}`,
    "--app.checkForUpdates=false",
  ];
  const child = launch(network, "poi", poi, args);
  await until(network, "poi", child, `http://127.0.0.1:${ports.poi}/create/0x`, () => true); // any answer will do
}

/** Until the node that clients ask has seen a milestone after the one it began with. */
async function untilMilestone(network, child) {
  let first;
  await until(network, "coordinator", child, infoAt(network.ports.api), ({ text }) => {
    first ??= statusOf(text);
    return statusOf(text) > first;
  });
}

// ---- What it is told

let network;

async function stop(code) {
  if (stopping) return;
  stopping = true;
  for (const name of ["coordinator", "poi", "hornet", "keeper"]) await end(name);
  if (network?.folder !== undefined) rmSync(network.folder, { recursive: true, force: true });
  process.exit(code);
}

const VERBS = {
  async start(options) {
    network = options;
    network = await prepare({ ...options, environment: { ...process.env, ...options.environment } });
    const { folder, ports } = network;
    if (options.keeper) await startNode(network, "keeper", join(folder, "keeper"), ports.keeperApi);
    await startNode(network, "hornet", folder, ports.api);
    await startPoi(network);
    await untilMilestone(network, startCoordinator(network));
    if (options.doors) {
      for (const name of ["api", "poi"])
        await openDoor({ path: join(folder, `${name}.sock`) }, { port: ports[name], host: "127.0.0.1" });
    }
    return { keys: network.keys.map(({ publicKey }) => publicKey), ports };
  },
  /** The node dies as in a power cut; what hangs on it is ended. */
  async kill() {
    await end("hornet", "SIGKILL");
    await end("poi");
    if (!network.keeper) await end("coordinator");
  },
  /** Resolves once it has caught up with its peer. */
  async restart() {
    if (!network.keeper)
      throw new Error("a lone node has lost what the coordinator goes on from: start with a keeper");
    const { folder, ports } = network;
    await startNode(network, "hornet", folder, ports.api, "--deleteDatabase");
    await startPoi(network);
    const latest = await fetch(infoAt(ports.keeperApi)).then((response) => response.text());
    const node = children.get("hornet");
    await until(network, "hornet", node, infoAt(ports.api), ({ text }) => statusOf(text) >= statusOf(latest));
  },
  /** No more milestones. */
  async pause() {
    await end("coordinator");
  },
  async resume() {
    startCoordinator(network);
  },
};

for (const signal of ["SIGINT", "SIGHUP"]) process.on(signal, () => {}); // a terminal's; the one who started us decides
process.on("SIGTERM", () => stop(0));
process.stdout.on("error", () => stop(1));

const lines = createInterface({ input: process.stdin });
let turn = Promise.resolve();
lines.on("line", (line) => {
  turn = turn.then(async () => {
    if (stopping) return;
    const [verb, argument] = Object.entries(JSON.parse(line))[0];
    try {
      tell({ done: verb, result: (await VERBS[verb](argument)) ?? null });
    } catch (error) {
      tell({ failed: verb, why: error.message });
    }
  });
});
lines.on("close", () => stop(0));
