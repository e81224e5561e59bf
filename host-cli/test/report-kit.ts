// What the tests of reports share: lines of audits made to order, and a browser to look with.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import {
  type AuditContext,
  type AuditRecord,
  type AuditSummary,
  CONTEXT_VERSION,
  formatAuditLine,
  RECORD_VERSION,
  SUMMARY_VERSION,
} from "@vouch/shared/auditline";

/** Another's validator: structure, cardinality, required codes; no regexes, choices or invariants. */
export const { Fhir } = createRequire(import.meta.url)("fhir") as {
  Fhir: new () => {
    validate(
      resource: object,
      options: object,
    ): {
      valid: boolean;
      messages: { severity: string; location: string; message: string }[];
    };
  };
};

export const AT = "2026-11-28T09:00:00Z";
const digest = (text: string) => createHash("sha256").update(text).digest("hex");

export function contextWith(more: Partial<AuditContext> = {}): AuditContext {
  return {
    version: CONTEXT_VERSION,
    context: digest("context"),
    word: "verified",
    product: "pump-400",
    release: "2.4.1",
    recorded: "2026-10-01T09:00:00Z",
    supportEnds: "2031-10-01T00:00:00Z",
    udiDi: "09506000117843",
    approvers: ["alice (engineering)", "bob (quality)"],
    log: "fwlog.acme.example",
    size: "412",
    asOf: { logSize: 405, time: "2026-11-27T09:00:00Z" },
    timeSource: "self-asserted",
    reasons: [],
    advisories: [],
    flags: [],
    limits: ["a limit"],
    ...more,
  };
}

export function recordWith(name: string, more: Partial<AuditRecord> = {}): AuditRecord {
  const word = more.word ?? "patched";
  return {
    version: RECORD_VERSION,
    key: digest(`key ${name}`),
    input: digest(name),
    context: digest("context"),
    policy: digest("policy"),
    tool: "vouch 0.1.0",
    at: AT,
    word,
    product: "pump-400",
    release: "2.4.1",
    device: name,
    kid: digest(name).slice(0, 16),
    serial: `SN-${name}`,
    ueid: null,
    reasons:
      word === "patched"
        ? []
        : [{ code: "advisory-in-force", word, claim: "advisories", of: "release", message: "an advisory" }],
    advisories: [],
    flags: [],
    asOf: { logSize: 405, time: "2026-11-27T09:00:00Z" },
    timeSource: "self-asserted",
    notBefore: "2026-11-27T09:00:00Z",
    notAfter: "2026-11-27T09:30:00Z",
    enroller: "acme-enroller",
    enrolled: "2026-10-02T09:00:00Z",
    components: [{ name: "app", digest: digest("image") }],
    dbgstat: 2,
    ...more,
  };
}

/** An audit's lines, as text. */
export function auditOf(contexts: readonly AuditContext[], records: readonly AuditRecord[]): string {
  const words: Record<string, number> = {};
  for (const { word } of records) words[word] = (words[word] ?? 0) + 1;
  const summary: AuditSummary = {
    version: SUMMARY_VERSION,
    at: AT,
    policy: digest("policy"),
    tool: "vouch 0.1.0",
    records: records.length,
    reused: 0,
    words,
    releases: [],
    flags: {},
    trouble: [],
    word: null,
    exit: 0,
  };
  return [...contexts, ...records, summary].map((line) => `${formatAuditLine(line)}\n`).join("");
}

/** Why a program isn't here; undefined when it is. */
export function lacks(program: string, flag: string): string | undefined {
  const { error } = spawnSync(program, [flag], { stdio: "ignore", timeout: 20_000 });
  return error === undefined ? undefined : `${program} is not installed`;
}

export interface AxNode {
  readonly role: string;
  readonly name: string;
  readonly level: number | undefined;
}

interface Answer {
  readonly id?: number;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** What a screen reader is told of a page, by Chromium over the DevTools protocol's pipe. */
export async function accessibilityTree(file: string): Promise<AxNode[]> {
  const profile = mkdtempSync(join(tmpdir(), "vouch-chromium-"));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  const browser = spawn(
    "chromium",
    [...flags, "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
  );
  const ended = new Promise((settle) => browser.on("exit", settle));
  try {
    const call = callerOf(browser);
    const { targetId } = await call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true });
    const session = sessionId as string;
    await call("Page.navigate", { url: `file://${file}` }, session);
    for (;;) {
      const { result } = await call("Runtime.evaluate", { expression: "document.readyState" }, session);
      const { root } = await call("DOM.getDocument", {}, session);
      const here = (root as { documentURL: string }).documentURL.startsWith("file:");
      if (here && (result as { value: string }).value === "complete") break;
      await new Promise((later) => setTimeout(later, 50));
    }
    const { nodes } = await call("Accessibility.getFullAXTree", {}, session);
    return (nodes as RawNode[]).filter(({ ignored }) => !ignored).map(readNode);
  } finally {
    browser.kill("SIGKILL");
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface RawNode {
  readonly ignored: boolean;
  readonly role?: { readonly value: string };
  readonly name?: { readonly value: string };
  readonly properties?: readonly { readonly name: string; readonly value: { readonly value: unknown } }[];
}

function readNode({ role, name, properties }: RawNode): AxNode {
  const level = properties?.find((property) => property.name === "level")?.value.value;
  return {
    role: role?.value ?? "",
    name: name?.value ?? "",
    level: typeof level === "number" ? level : undefined,
  };
}

/** JSON messages, each ended by a zero byte: out by descriptor 3, in by 4. */
function callerOf(browser: ChildProcess) {
  const [, , , out, back] = browser.stdio as unknown as [null, null, null, Writable, Readable];
  const waiting = new Map<number, { done(answer: Answer): void; failed(error: Error): void }>();
  let rest = "";
  let last = 0;
  back.setEncoding("utf8").on("data", (chunk: string) => {
    const messages = (rest + chunk).split("\0");
    rest = messages.pop() ?? "";
    for (const message of messages) {
      const answer = JSON.parse(message) as Answer;
      if (answer.id === undefined) continue;
      waiting.get(answer.id)?.done(answer);
      waiting.delete(answer.id);
    }
  });
  out.on("error", () => {}); // its end is told by "exit"
  browser.on("exit", (code) => {
    for (const { failed } of waiting.values()) failed(new Error(`chromium ended with ${code}`));
  });
  return async (method: string, params: object, sessionId?: string): Promise<Record<string, unknown>> => {
    const id = ++last;
    const answer = await new Promise<Answer>((done, failed) => {
      waiting.set(id, { done, failed });
      out.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
    if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
    return answer.result ?? {};
  };
}
