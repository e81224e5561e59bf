// What a pass over a log has to say, and what of it is new.
//
//   findings     about one record: told once, when it is read
//   conditions   about the log as it is: told when they begin, and when they are over
//
// A condition has a key, so that a log that can't be reached is one line and not one an hour. It is over only when what
// it is about was asked in this very pass and answered well: whoever asks says so (`well`), condition by condition.
// One that nobody could judge stands, and is listed as not asked; so does one whose place isn't named any more, until
// it is retired by name. What is proved stands for ever: a log doesn't become honest by showing the right checkpoint
// again.
//
// Refusals of a place are of three kinds. A worse one is told whatever milder one there was, and takes its place; a
// milder one takes nothing back: a server that showed a forgery and is gone an hour later has shown a forgery.

import { LEVEL_STATUS, LEVELS, type Level, levelOf } from "@vouch/shared/findings";
import { isRefusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import type { Found } from "@vouch/shared/watch";
import { EXIT, statusOf } from "../exit";
import { type MonitorState, partsOf, REFUSED, type Refused, type Standing, standingKey } from "./state";

export interface Condition extends Found {
  /** Where it was seen: a place of the log, a witness, a file. */
  readonly source?: string;
  /** What tells it from another of its code and source. */
  readonly mark?: string;
  /** The file that proves it. */
  readonly proof?: string;
  readonly level?: Level;
}

/** What stands though nobody could judge it in this pass. */
export interface Unasked {
  readonly code: string;
  readonly level: Level;
  /** "" for the log as a whole. */
  readonly source: string;
  /** Unix seconds of the last pass that met it; null when that isn't known. */
  readonly asked: number | null;
}

export interface Settled {
  /** The worst that stands, or was told now. */
  readonly worst: Level | null;
  readonly unasked: readonly Unasked[];
  /** What was to be retired, and nothing stood of it. */
  readonly unknown: readonly string[];
}

export interface Board {
  record(index: bigint, found: Found, source: string): void;
  raise(condition: Condition): void;
  /** A refusal met while looking at a place: its conditions stay as they are. `stuck`: the record that it gave no good answer for. */
  trouble(source: string, error: unknown, stuck?: bigint | null): void;
  /** It was asked, and answered well: what stood of it, of these kinds, is over unless it was met again. */
  well(source: string, kinds: (kind: string) => boolean): void;
  /** Told now, and not looked at again. */
  once(condition: Condition): void;
  /** Closes what stands of sources that aren't asked any more. */
  retire(sources: readonly string[]): void;
  /** Puts what is new behind the findings of the state. */
  settle(): Settled;
}

const PROVED: ReadonlySet<string> = new Set(["log-forked", "log-inconsistent", "witness-went-back"]);

export const isRefused = (kind: string): kind is Refused => (REFUSED as readonly string[]).includes(kind);

type Raised = Condition & { readonly level: Level; readonly stuck?: bigint | null };

export function openBoard(state: MonitorState, origin: string, now: number): Board {
  const raised = new Map<string, Raised>();
  const troubled = new Set<string>();
  const wells: { readonly source: string; readonly kinds: (kind: string) => boolean }[] = [];
  const retired = new Set<string>();
  const levels: Level[] = [];
  const tell = (level: Level, found: Raised | (Found & { index?: number; of?: string; source?: string })) => {
    const { code, message, mark: _mark, level: _level, stuck: _stuck, ...members } = found as Raised;
    levels.push(level);
    const head = { time: isoTime(now), log: origin, level, status: LEVEL_STATUS[level], code };
    state.add({ ...head, ...members, message });
  };
  const told = (code: string, of: string, source: string, message: string) =>
    tell("news", { code, message, of, ...(source !== "" && { source }) });
  /** Of one source the worst refusal alone. */
  const refuse = (kind: Refused, source: string, condition: Raised) => {
    const worseFirst = REFUSED.map((each) => standingKey(each, source, ""));
    const at = REFUSED.indexOf(kind);
    if (worseFirst.slice(0, at + 1).some((key) => raised.has(key))) return;
    for (const key of worseFirst.slice(at + 1)) raised.delete(key);
    raised.set(worseFirst[at]!, condition);
  };
  const isOvertaken = (kind: string, source: string) =>
    isRefused(kind) &&
    REFUSED.slice(0, REFUSED.indexOf(kind)).some((worse) => raised.has(standingKey(worse, source, "")));
  const isWell = (kind: string, source: string) =>
    !troubled.has(source) && wells.some((well) => well.source === source && well.kinds(kind));
  return {
    record: (index, found, source) => tell(levelOf(found.code), { ...found, source, index: Number(index) }),
    raise(condition) {
      const { code, source = "", mark = "" } = condition;
      raised.set(standingKey(code, source, mark), { level: levelOf(code), ...condition });
    },
    trouble(source, error, stuck = null) {
      if (!isRefusal(error)) throw error;
      troubled.add(printed(source));
      const level = levelOfStatus(statusOf(error));
      const { code, message } = error;
      refuse(level, source, { code, message, source, level, stuck });
    },
    well: (source, kinds) => void wells.push({ source: printed(source), kinds }),
    once: (condition) => tell(levelOf(condition.code), condition),
    retire(sources) {
      for (const source of sources) retired.add(printed(source));
    },
    settle() {
      for (const [key, condition] of raised) {
        const before = state.standing.get(key);
        if (isNews(before, condition)) tell(condition.level, condition);
        const { code, level, stuck } = condition;
        state.standing.set(key, { code, level, asked: now, stuck: stuck ?? before?.stuck ?? null });
      }
      const unasked: Unasked[] = [];
      const closed = new Set<string>();
      for (const [key, standing] of [...state.standing]) {
        const { code, level } = standing;
        const { kind, source } = partsOf(key);
        const isMet = raised.has(key) || PROVED.has(code);
        const from = [...retired].find((name) => isOf(source, name));
        if (!isMet && isOvertaken(kind, source)) {
          handOnStuck(state, source, standing);
          state.standing.delete(key);
        } else if (!isMet && from !== undefined) {
          closed.add(from);
          state.standing.delete(key);
          const last = standing.asked === 0 ? "" : `, which was asked last at ${isoTime(standing.asked)}`;
          told("retired", code, source, `${code} is closed unanswered: somebody retired this place${last}`);
        } else if (!isMet && isWell(kind, source)) {
          state.standing.delete(key);
          told("over", code, source, `${code} is over`);
        } else {
          levels.push(level);
          if (isMet) continue;
          if (troubled.has(source)) state.standing.set(key, { ...standing, asked: now });
          else unasked.push({ code, level, source, asked: standing.asked === 0 ? null : standing.asked });
        }
      }
      const worst = LEVELS.find((level) => levels.includes(level)) ?? null;
      return { worst, unasked, unknown: [...retired].filter((name) => !closed.has(name)) };
    },
  };
}

/** As a source stands in a key. */
const printed = (source: string) => partsOf(standingKey("", source, "")).source;

/** A folder's anchors go with it. */
const isOf = (source: string, retired: string) =>
  source === retired || source === `${retired}/anchors` || source.startsWith(`${retired}/anchors/`);

/** A worse refusal takes a milder one's place, and what has to be answered before it is over. */
function handOnStuck(state: MonitorState, source: string, { stuck }: Standing): void {
  for (const kind of REFUSED) {
    const key = standingKey(kind, source, "");
    const worse = state.standing.get(key);
    if (worse === undefined) continue;
    state.standing.set(key, { ...worse, stuck: worse.stuck ?? stuck });
    return;
  }
}

/** One trouble after another is the same: a server that is slow now, and gone an hour later. */
const isNews = (before: Standing | undefined, { code, level }: Pick<Standing, "code" | "level">): boolean =>
  before === undefined || (before.code !== code && (before.level !== "trouble" || level !== "trouble"));

function levelOfStatus(status: number): Refused {
  if (status === EXIT.refuted) return "wrong";
  return status === EXIT.unproven ? "unsure" : "trouble";
}
