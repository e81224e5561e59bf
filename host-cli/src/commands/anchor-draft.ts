// vouch anchor with a key that has no network: three steps, and one file that goes between them.
//
//   online     vouch anchor LOG --ledger rebased:testnet --sender 2:a.vkey,b.vkey,c.vkey --prepare anchor.draft
//   OFFLINE    vouch anchor --sign anchor.draft --ledger-key a.key          adds a signature, as often as it takes
//   online     vouch anchor LOG --ledger rebased:testnet --submit anchor.draft
//
// The draft (ledger/draft.ts) is read strictly at each step, so what is signed is what it says: this note, by
// these keys, at most this fee. Submitting keeps it beside the log first, like any other; from then on
// `vouch anchor` without --submit goes on with it too.

import { equalBytes } from "@vouch/shared/bytes";
import { parseCheckpoint } from "@vouch/shared/checkpoint";
import { parseNote } from "@vouch/shared/note";
import { parseRoot } from "@vouch/shared/rebased/root";
import { Refusal } from "@vouch/shared/refusal";
import { about, usage } from "../exit";
import type { Io } from "../io";
import type { Consent, Ledger } from "../ledger/ledger";
import { keptReceipt } from "../log/anchors";
import { draftsOf } from "../log/drafts";
import { openLog } from "../log/store";
import { extendWalk, readWalkFile } from "../log/walk";
import { readInput } from "../readfiles";
import type { Signer } from "../signer";
import { readVkey } from "../vkeyfile";
import { writeWhole } from "../writefiles";
import type { AnchorFlags } from "./anchor";

const MAX_DRAFT = 256 * 1024;
const GAS_BUDGET = 5_000_000n; // five thousandths of an IOTA, five times what an anchor takes

// Loaded when asked for: the ledger brings curves along, which other ledgers shouldn't wait for.
const rebased = () => import("../ledger/rebased");
const draftForm = () => import("../ledger/draft");

/** IOTA's ledger as the flags name it. Refuses `usage`, `malformed-root`, `malformed-vkey`. */
export async function openPublic(
  logFolder: string,
  flags: AnchorFlags,
  signers: readonly Signer[],
): Promise<Ledger> {
  const { openRebasedLedger, parseNetwork } = await rebased();
  const { checkSenderKeys } = await draftForm();
  const walk = readWalkFile(logFolder);
  const kept = flags.submit === undefined ? null : await readDraft(flags.submit);
  const ledger = openRebasedLedger({
    network: parseNetwork((flags.ledger ?? "").slice("rebased:".length)),
    sender: kept?.sender ?? checkSenderKeys(senderOf(flags.sender, signers)),
    store: draftsOf(logFolder, "rebased"),
    walk,
    root: flags.root === undefined ? null : parseRoot(flags.root),
    timeoutMs: flags.timeout * 1000,
    gasBudget: flags.gasBudget ?? GAS_BUDGET,
  });
  const known = walk?.closes.length ?? 0;
  return {
    ...ledger,
    keepEpochs() {
      const proved = ledger.walk();
      if (proved !== null) extendWalk(logFolder, proved.closes.slice(known), proved.start);
    },
  };
}

function senderOf(sender: string | undefined, signers: readonly Signer[]) {
  if (sender === undefined) {
    const [signer, ...more] = signers;
    if (signer === undefined || more.length > 0)
      throw usage("several keys need --sender, which says how many sign");
    return { keys: [signer.publicKey], threshold: 1 };
  }
  const [, threshold, list] = /^([1-9]):(.+)$/s.exec(sender) ?? [];
  const names = (list ?? sender).split(",");
  if (threshold === undefined && names.length > 1)
    throw usage("--sender: expected a verifier key, or 2:A.vkey,B.vkey,C.vkey for two of three");
  return { keys: names.map((name) => readVkey(name).publicKey), threshold: Number(threshold ?? 1) };
}

const readDraft = (path: string) =>
  about(path, async () => (await draftForm()).parseDraft(readInput(path, MAX_DRAFT)));

/** Refuses `exists` when the checkpoint is anchored, or on its way. */
export async function prepareDraft(
  logFolder: string,
  flags: AnchorFlags,
  path: string,
  io: Io,
): Promise<void> {
  if (flags.sender === undefined) throw usage("--prepare needs --sender, the keys that will sign");
  const { note } = openLog(logFolder);
  const ledger = await openPublic(logFolder, flags, []);
  if (
    keptReceipt(logFolder, note, ledger.kind) !== null ||
    draftsOf(logFolder, ledger.kind).read(note) !== null
  )
    throw new Refusal("exists", "this checkpoint is anchored already, or on its way", {
      hint: "`vouch anchor` without --prepare says which, and goes on",
    });
  const { draft } = await ledger.prepare(note, 0);
  writeWhole(path, draft, { overwrite: false });
  if (io.json) io.stdout(`${JSON.stringify({ draft: path, ...(await describeDraft(path)) })}\n`);
  else io.stdout(`${await draftText(path)}${path}\n`);
}

/** Adds a signature to the draft. Nothing is asked: what a signature can cost stands in the draft, and is printed. */
export async function signDraft(path: string, signers: readonly Signer[], io: Io): Promise<void> {
  const { draftTransaction, formatDraft, withSignature } = await draftForm();
  const { signingDigest } = await import("@vouch/shared/rebased/transaction");
  let draft = await readDraft(path);
  draftTransaction(draft);
  for (const signer of signers)
    draft = withSignature(draft, await signer.sign(signingDigest(draft.transaction)));
  writeWhole(path, formatDraft(draft));
  if (io.json) io.stdout(`${JSON.stringify({ draft: path, ...(await describeDraft(path)) })}\n`);
  else io.stdout(`${await draftText(path)}${path}\n`);
}

/** Keeps a signed draft beside the log, where anchoring goes on with it. Refuses `exists`, `other-log`, `signatures-missing`. */
export async function submitDraft(logFolder: string, path: string, consent: Consent): Promise<void> {
  const { draftTransaction, formatDraft, userSignature } = await draftForm();
  const draft = await readDraft(path);
  about(path, () => {
    userSignature(draft);
    if (!equalBytes(openLog(logFolder).note, draft.note)) {
      const { origin, size } = parseCheckpoint(parseNote(draft.note).text);
      throw new Refusal(
        "draft-not-current",
        `the draft is for ${origin}, size ${size}, which isn't this log's checkpoint`,
        {
          hint: "prepare one for the log as it is now",
        },
      );
    }
  });
  const drafts = draftsOf(logFolder, "rebased");
  const before = drafts.read(draft.note);
  const { parseDraft } = await draftForm();
  if (before !== null && !equalBytes(parseDraft(before).transaction, draft.transaction))
    throw new Refusal("exists", "another transaction for this checkpoint is on its way already");
  if (before !== null || keptReceipt(logFolder, draft.note, "rebased") !== null) return;
  const { sender, gas } = draftTransaction(draft);
  const { questionFor } = await rebased();
  await consent(questionFor(draft.chain, sender, gas.budget));
  drafts.write(draft.note, formatDraft(draft));
}

async function describeDraft(path: string) {
  const { draftTransaction, signaturesMissing } = await draftForm();
  const { addressText } = await import("@vouch/shared/rebased/root");
  const { nameOf } = await rebased();
  const draft = await readDraft(path);
  const { origin, size } = parseCheckpoint(parseNote(draft.note).text);
  const { gas, sender, expiration } = draftTransaction(draft);
  const signed = draft.signatures.filter((s) => s !== null).length;
  return {
    log: origin,
    size: Number(size),
    network: `${nameOf(draft.chain)} (chain ${draft.chain})`,
    paid: addressText(sender),
    budget: Number(gas.budget),
    lastEpoch: expiration === null ? null : Number(expiration),
    signed,
    missing: signaturesMissing(draft),
  };
}

async function draftText(path: string): Promise<string> {
  const { log, size, network, paid, budget, lastEpoch, signed, missing } = await describeDraft(path);
  const { iota } = await rebased();
  return [
    `anchors      ${log}, size ${size}`,
    `network      ${network}`,
    `paid by      ${paid}, at most ${iota(BigInt(budget))}`,
    `valid        until epoch ${lastEpoch} ends`,
    `signatures   ${signed}, ${missing === 0 ? "enough" : `${missing} more needed`}\n`,
  ].join("\n");
}
