// The epochs of IOTA's ledger that this log's anchors have walked, one file for all of them:
//
//   LOG/anchors/rebased.walk.json      rebased/walkform.ts, as JSON
//
// It only grows, by epochs that have closed. A bundle takes of it what its receipts need.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { formatJson, readJson } from "@vouch/shared/json";
import type { Committee } from "@vouch/shared/rebased/committee";
import {
  type Close,
  closedEpoch,
  lastEpochOf,
  readWalk,
  WALK,
  type Walk,
  walkJson,
  walkMemberJson,
} from "@vouch/shared/rebased/walkform";
import { Refusal } from "@vouch/shared/refusal";
import { about } from "../exit";
import { readStored } from "../readfiles";
import { makeFolders } from "../tiledlog";
import { writeWhole } from "../writefiles";

export const MAX_WALK = 64 * 1024 * 1024;

const pathOf = (logFolder: string) => join(logFolder, "anchors", "rebased.walk.json");

/** A walk's file. Refuses `malformed-walk`, and what else is wrong with its form. Nothing is verified. */
export const parseWalk = (bytes: Uint8Array): Walk =>
  readWalk(readJson(bytes, "the walk", MAX_WALK, "malformed-walk", WALK, walkMemberJson));

/** The walk beside the log, or null. Refuses as parseWalk does. */
export function readWalkFile(logFolder: string): Walk | null {
  const path = pathOf(logFolder);
  if (!existsSync(path)) return null;
  return about(path, () => parseWalk(readStored(path, MAX_WALK)));
}

/**
 * Puts closes behind those that are there, whole or not at all; what is there already is passed over. A first walk
 * begins with `start`. Refuses `epoch-missing` when an epoch between is left out.
 */
export function extendWalk(logFolder: string, closes: readonly Close[], start?: Committee): void {
  const known = readWalkFile(logFolder);
  const begin = known?.start ?? start;
  if (begin === undefined) throw new Error("a first walk needs a committee to start from");
  const walk = { start: begin, closes: [...(known?.closes ?? [])] };
  for (const close of closes) {
    const [epoch, next] = [closedEpoch(close), lastEpochOf(walk)];
    if (epoch > next)
      throw new Refusal(
        "epoch-missing",
        `the walk leads to epoch ${next}, the next close is that of ${epoch}`,
      );
    if (epoch === next) walk.closes.push(close);
  }
  if (known !== null && walk.closes.length === known.closes.length) return;
  makeFolders(join(logFolder, "anchors"));
  writeWhole(pathOf(logFolder), formatJson(walkJson(walk)));
}
