// The demo's last act: whoever holds the log's key shows a second history, and is found out.
//
//   witness   cosigned the log with the advisory, so nothing that contradicts it  → refused
//   monitor   has read that log, and is shown the other one                       → a fraud proof
//   auditor   has the proof and the log's key, and no log                         → fraud proven

import { cpSync, readdirSync, readFileSync } from "node:fs";
import { parseVkey } from "@vouch/shared/vkey";
import { loadSigner } from "../signer";
import { writeWhole } from "../writefiles";
import { type Story, type, unexpected } from "./demo-story";
import { type StartedWitness, startWitness } from "./witness";

/** Who publishes by this policy waits for the witness. */
export const WATCHED = "--witness-policy ./watched.policy";

/** A witness of the story's log, and `watched.policy`, which asks for it. Who starts it closes it. */
export async function startWatching(story: Story): Promise<StartedWitness> {
  await story.does("keygen witness.example --cosigner --plain --quiet -o ./witness.key");
  const text = (name: string) => readFileSync(story.path(name), "utf8");
  const witness = await startWitness({
    signer: await loadSigner({ key: story.path("witness.key") }, story.io),
    logs: [parseVkey(text("fwlog.acme.example.vkey").trim())],
    state: story.path("witness"),
  });
  const line = `witness witness.example ${text("witness.vkey").trim()} ${witness.url}`;
  writeWhole(
    story.path("watched.policy"),
    text("policy").replace("quorum none", `${line}\nquorum witness.example`),
  );
  cpSync(story.path("log"), story.path("fork"), { recursive: true }); // the log before the maker's warning
  return witness;
}

/** Refuses `demo-failed` unless it is found out. Returns the file that proves it. */
export async function attackerForks(story: Story, product: string): Promise<string> {
  const watches = (log: string) =>
    `monitor ${log} --policy ./watched.policy --state ./monitor --fraud-out ./`;
  await story.does(watches("./log"));
  await story.does(
    `status new --log ./fork --product ${product} --key ./acme-status.key -o ./silent.dsse.json`,
  );
  const adds = "log add ./fork ./silent.dsse.json --key ./fwlog.acme.example.key";
  await story.refuses(
    "attacker",
    "with the maker's keys, a second log without the advisory, to the witness",
    `${adds} ${WATCHED}`,
  );
  await story.does(adds);
  await found(story, watches("./fork"));
  const proof = readdirSync(story.folder).find((name) => name.endsWith(".fraud.json"));
  if (proof === undefined) throw new Error("the monitor told of a fork, and left no proof");
  story.tell("monitor", `shown the second log after the first: exit 20, ${proof} proves both`);
  const proven = await story.does(`verify --fraud ./${proof} --log-key ./fwlog.acme.example.vkey`);
  story.tell("auditor", "has that file and the log's key, and nothing else:");
  story.show(proven.stdout.trimEnd().split("\n").at(-1)!);
  story.show("\n");
  return proof;
}

async function found(story: Story, line: string): Promise<void> {
  const outcome = await type(story.folder, line.split(" "), story.io);
  if (outcome.exit !== 20) throw unexpected(line, outcome);
}
