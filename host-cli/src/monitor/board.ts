// What a pass over a log has to say, and what of it is new.
//
//   findings     about one record: told once, when it is read
//   conditions   about the log as it is: told when they begin, and when they are over
//
// A condition has a key, so that a log that can't be reached is one line and not one an hour. But each refusal that says
// more than that something can't be looked at is told, whatever trouble there was before. Of a place that couldn't be
// looked at nothing is over: what it last showed stands. What is proved stands for ever: a log doesn't become honest by
// showing the right checkpoint again.

import { LEVEL_STATUS, LEVELS, type Level, levelOf } from "@vouch/shared/findings";
import { isRefusal } from "@vouch/shared/refusal";
import { isoTime } from "@vouch/shared/time";
import type { Found } from "@vouch/shared/watch";
import { EXIT, statusOf } from "../exit";
import type { MonitorState } from "./state";

export interface Condition extends Found {
  /** Where it was seen: a place of the log, a witness, a file. */
  readonly source?: string;
  /** What tells it from another of its code and source. */
  readonly mark?: string;
  /** The file that proves it. */
  readonly proof?: string;
  readonly level?: Level;
}

type Standing = { readonly code: string; readonly level: Level };

export interface Board {
  record(index: bigint, found: Found, source: string): void;
  raise(condition: Condition): void;
  /** A refusal met while looking at a place: its conditions stay as they are. */
  trouble(source: string, error: unknown): void;
  /** Told now, and not looked at again. */
  once(condition: Condition): void;
  /** Puts what is new behind the findings of the state; gives the worst that stands, or was told now. */
  settle(): Level | null;
}

const PROVED: ReadonlySet<string> = new Set(["log-forked", "log-inconsistent", "witness-went-back"]);

export function openBoard(state: MonitorState, origin: string, now: number): Board {
  const raised = new Map<string, Condition & { readonly level: Level }>();
  const troubled = new Set<string>();
  const levels: Level[] = [];
  const tell = (level: Level, found: Condition & { index?: number; of?: string }) => {
    const { code, message, mark: _mark, level: _level, ...members } = found;
    levels.push(level);
    const head = { time: isoTime(now), log: origin, level, status: LEVEL_STATUS[level], code };
    state.add({ ...head, ...members, message });
  };
  const raise = (condition: Condition) => {
    const { code, source = "", mark = "" } = condition;
    raised.set(keyOf(code, source, mark), { level: levelOf(code), ...condition });
  };
  return {
    record: (index, found, source) => tell(levelOf(found.code), { ...found, source, index: Number(index) }),
    raise,
    trouble(source, error) {
      if (!isRefusal(error)) throw error;
      troubled.add(source);
      const level = levelOfStatus(statusOf(error));
      const { code, message } = error;
      const key = keyOf("trouble", source, "");
      const before = raised.get(key);
      if (before !== undefined && LEVELS.indexOf(before.level) <= LEVELS.indexOf(level)) return;
      raised.set(key, { code, message, source, level });
    },
    once: (condition) => tell(levelOf(condition.code), condition),
    settle() {
      for (const [key, condition] of raised) {
        const { code, level } = condition;
        if (isNews(state.standing.get(key), condition)) tell(level, condition);
        state.standing.set(key, { code, level });
      }
      for (const [key, { code, level }] of [...state.standing]) {
        const [, source = ""] = key.split(BETWEEN);
        const stands = raised.has(key) || PROVED.has(code) || troubled.has(source);
        if (stands) {
          levels.push(level);
          continue;
        }
        state.standing.delete(key);
        const message = `${code} is over`;
        tell("news", { code: "over", message, of: code, ...(source !== "" && { source }) });
      }
      return LEVELS.find((level) => levels.includes(level)) ?? null;
    },
  };
}

/** One trouble after another is the same: a server that is slow now, and gone an hour later. */
const isNews = (before: Standing | undefined, { code, level }: Standing): boolean =>
  before === undefined || (before.code !== code && (before.level !== "trouble" || level !== "trouble"));

const BETWEEN = "\t"; // in no code, and shown as an escape in no address
const keyOf = (code: string, source: string, mark: string) =>
  [code, source.replaceAll(BETWEEN, " "), mark].join(BETWEEN);

function levelOfStatus(status: number): Level {
  if (status === EXIT.refuted) return "wrong";
  return status === EXIT.unproven ? "unsure" : "trouble";
}
