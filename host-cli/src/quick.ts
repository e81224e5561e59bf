// A well-formed command line, read without commander.
//
//   verify pump.vouch.json --policy hospital.policy --image pump.bin --json
//     │        operand         flag and its value                       flag
//     └ a verb whose module declares nothing but operands and long flags
//
// Loading commander and letting it read costs a short command a thirtieth of
// its time. So verbs tell their flags to this first; what it reads it reads as
// commander would, and whatever is the least bit unusual (help, a mistake, an
// abbreviation, `--flag=value`, a value that looks like a flag, a verb with
// verbs of its own) it leaves to commander, which alone has words for it.
// The tests compare the two over lines of all kinds.

import type { Command } from "commander";
import { describe, statusOf } from "./exit";
import type { Io } from "./io";
import type { Build, VerbModule } from "./main";

interface Flag {
  readonly name: string;
  readonly takesValue: boolean;
  readonly parse: ((value: string, before: unknown) => unknown) | undefined;
}

/** Leaves the line to commander. */
const DECLINED = Symbol("declined");

/** --debug and --quiet mean the same to every verb and may stand anywhere before `--`. */
export function globalFlags(argv: readonly string[], io: Io): string[] {
  const end = argv.includes("--") ? argv.indexOf("--") : argv.length;
  io.debug = argv.slice(0, end).includes("--debug");
  io.quiet = argv.slice(0, end).includes("--quiet");
  return argv.filter((arg, at) => at >= end || (arg !== "--debug" && arg !== "--quiet"));
}

/** What a verb's `define` says of itself, as far as it is simple. Methods of Command that are missing here decline. */
class Declared {
  verb: string | undefined;
  operands = 0;
  readonly flags = new Map<string, Flag>();
  readonly required: string[] = [];
  readonly options: Record<string, unknown> = {};
  listener: ((...args: unknown[]) => unknown) | undefined;

  command(verb: string): this {
    if (this.verb !== undefined || !/^[a-z]+$/.test(verb)) throw DECLINED;
    this.verb = verb;
    return this;
  }

  description(): this {
    return this;
  }

  argument(name: string, _what?: string, ...parsed: unknown[]): this {
    if (!/^<[a-z]+>$/.test(name) || parsed.length > 0) throw DECLINED;
    this.operands++;
    return this;
  }

  requiredOption(spelling: string, what: string, parse?: unknown, initial?: unknown): this {
    this.option(spelling, what, parse, initial);
    this.required.push([...this.flags.values()].at(-1)?.name ?? "");
    return this;
  }

  option(spelling: string, _what: string, parse?: unknown, initial?: unknown): this {
    const [, long, value] = /^--([a-z]+(?:-[a-z]+)*)( <.+>)?$/.exec(spelling) ?? [];
    if (long === undefined || long.startsWith("no-") || value?.endsWith("...>")) throw DECLINED;
    const name = long.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const reader = typeof parse === "function" ? (parse as Flag["parse"]) : undefined;
    const first = reader === undefined ? parse : initial;
    if (first !== undefined) this.options[name] = first;
    this.flags.set(`--${long}`, { name, takesValue: value !== undefined, parse: reader });
    return this;
  }

  action(listener: (...args: unknown[]) => unknown): this {
    if (listener.length > this.operands + 1) throw DECLINED; // it asks for the Command itself
    this.listener = listener;
    return this;
  }

  /** Operands and options of a line, or DECLINED. */
  read(args: readonly string[]): { operands: string[]; options: Record<string, unknown> } {
    const operands: string[] = [];
    const { options } = this;
    for (let i = 0; i < args.length; i++) {
      const arg = args[i]!;
      if (!arg.startsWith("-")) {
        operands.push(arg);
        continue;
      }
      const flag = this.flags.get(arg);
      if (flag === undefined) throw DECLINED;
      const value = flag.takesValue ? args[++i] : undefined;
      if (flag.takesValue && (value === undefined || value.startsWith("-"))) throw DECLINED;
      if (value === undefined) options[flag.name] = true;
      else options[flag.name] = flag.parse === undefined ? value : flag.parse(value, options[flag.name]);
    }
    if (operands.length !== this.operands || this.required.some((name) => options[name] === undefined))
      throw DECLINED;
    return { operands, options };
  }
}

/** The call that a line means, or null where commander has to read it. Runs no command. */
export function readLine(args: readonly string[], module: VerbModule, io: Io): (() => unknown) | null {
  const declared = new Declared();
  try {
    module.define(declared as unknown as Command, io);
    const { verb, listener } = declared;
    if (verb !== args[0] || listener === undefined) return null;
    const { operands, options } = declared.read(args.slice(1));
    return () => {
      io.json = options.json === true;
      return listener(...operands, options);
    };
  } catch {
    return null; // also for a method we lack, or a value its flag refuses: commander says why
  }
}

/** Runs a simple line, as `run` of main.ts would. False, with nothing done, for all others. */
export async function runQuickly(argv: readonly string[], io: Io, build: Build): Promise<boolean> {
  const args = globalFlags(argv, io);
  const verb = args[0] ?? "";
  if (io.debug || !build.verbs.includes(verb)) return false;
  const call = readLine(args, build.load(verb), io);
  if (call === null) return false;
  try {
    await call();
  } catch (error) {
    io.exitCode = statusOf(error);
    io.stderr(`${describe(error, io.debug)}\n`);
  }
  return true;
}
