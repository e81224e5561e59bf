// A simulated device at a pseudo-terminal, enrolled, for recorders that come and go; and what they need to attest it.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatChallenge, parseChallenge } from "@vouch/shared/companions";
import { parseFrame } from "@vouch/shared/streamread";
import { VstreamReader } from "@vouch/shared/vstream";
import { type RunningSim, startSim } from "../src/commands/sim";
import { recordDevice, type Sampling, Stopper } from "../src/commands/stream-device";
import { nodeCrypto } from "../src/crypto";
import { openLink } from "../src/device/link";
import type { Session } from "../src/device/session";
import { openDevice } from "../src/device/transport";
import { enrolDevice } from "../src/device/vouch";
import { type Chain, followFrame } from "../src/stream/chain";
import { Recorder } from "../src/stream/recorder";
import { type Disk, withRecording } from "../src/stream/recording";
import { newSigner } from "./maker-kit";
import { memoryIo } from "./memory-io";
import { engineImage, hash, withSession } from "./sim-kit";

export interface Bench {
  readonly sim: RunningSim;
  /** As `vouch attest` leaves it: what dates the evidence. */
  readonly challenge: string;
  stop(): void;
}

/** Refuses `no-pty` where there are no pseudo-terminals. */
export async function startBench(folder: string): Promise<Bench> {
  const engine = join(folder, "engine.bin");
  writeFileSync(engine, engineImage());
  const sim = await startSim({ engine }, (fault) => {
    throw fault;
  });
  await withSession(openDevice(sim.port), (session) => enrolDevice(session, hash("enrol"), null));
  const challenge = join(folder, "bench.challenge");
  const anchor = { checkpoint: hash("a checkpoint"), ledger: "directory", receipt: hash("its receipt") };
  writeFileSync(challenge, formatChallenge({ ...anchor, random: hash("drawn") }));
  return { sim, challenge, stop: () => sim.stop() };
}

export const PUBLIC: Sampling = { mode: 0, readers: [], groups: null, everyFrames: 4, everyMillis: 200 };

const signer = newSigner("gateway.example");

export interface Once {
  disk?: Disk;
  sampling?: Sampling;
  /** After each round: how it is to end, by how many items were written. */
  until: (items: number) => "stop" | "leave" | null;
  /** The session that the recorder has instead of its link's. */
  through?: (session: Session) => Session;
}

/** One run of a recorder on the file: as `vouch stream record`, with a disk or a line of the test's own. */
export async function recordOnce(bench: Bench, path: string, once: Once): Promise<"closed" | "left"> {
  const { disk, sampling = PUBLIC, until, through = (session) => session } = once;
  const anchor = parseChallenge(readFileSync(bench.challenge));
  return withRecording(path, disk === undefined ? {} : { disk }, async (recording) => {
    const link = await openLink(bench.sim.port, { timeoutMs: 1e9 });
    try {
      const stopper = new Stopper();
      let items = 0;
      const watchers = [{ item: () => void items++ }];
      const options = { crypto: nodeCrypto, signer, watchers, now: () => performance.now() };
      return await recordDevice(
        {
          link: { ...link, session: through(link.session) },
          recorder: new Recorder(recording, null, options),
          anchor,
          random: null,
          enrolment: null,
          enrolmentFile: null,
          sampling: () => sampling,
          patienceMs: 20_000,
          say() {},
          goesOn: false,
          flushed() {
            const how = until(items);
            if (how !== null) stopper[how]();
          },
        },
        stopper,
        memoryIo(),
      );
    } finally {
      await link.close();
    }
  });
}

export interface Contents {
  readonly chain: Chain | null;
  readonly seqs: number[];
  readonly types: number[];
  readonly evidence: number;
  readonly coincidences: number;
  readonly bytes: Buffer;
}

/** What a recording holds; throws when a frame doesn't go on where the one before ended, or the end is torn. */
export function readRecording(path: string): Contents {
  const bytes = readFileSync(path);
  const reader = new VstreamReader();
  let chain: Chain | null = null;
  const [seqs, types]: [number[], number[]] = [[], []];
  let [evidence, coincidences] = [0, 0];
  reader.push(bytes, (item) => {
    if (item.kind === "evidence") evidence++;
    if (item.kind === "coincidence") coincidences++;
    if (item.kind !== "frame") return;
    const frame = parseFrame(item.bytes.slice());
    chain = followFrame(chain, frame);
    seqs.push(frame.seq);
    types.push(frame.type);
  });
  if (reader.end() > 0) throw new Error(`${reader.end()} bytes hang after the last item of ${path}`);
  return { chain, seqs, types, evidence, coincidences, bytes };
}

/** 0, 1, 2 … */
export const isWhole = (seqs: readonly number[]): boolean => seqs.every((seq, i) => seq === i);
