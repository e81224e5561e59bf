// host-cli/TANGLE.md prints what it says, on the fake node, which `npm run tangle -- --simulated` starts as the page does.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { suite } from "uvu";
import { skip } from "../../shared/test/skip";
import { runConsole } from "./console";
import { newFolder } from "./tangle-kit";

const page = suite("the page on Tangles");

/** Its --ledger. */
async function ledgerOf(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const ledger = /^--ledger +(\S+)/.exec(line)?.[1];
    if (ledger !== undefined) return ledger;
  }
  throw new Error("npm run tangle ended without a ledger");
}

const name = "its session prints what it says, at the node's real ports";
if (process.platform === "win32") skip(page, name, "the session is for sh");
else
  page(name, async () => {
    const { folder, remove } = newFolder();
    const child = spawn(
      process.execPath,
      ["scripts/tangle.mjs", "--simulated", "--interval", "200", "--trust", join(folder, "trust")],
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    try {
      const [, node = "", poi = ""] = /^stardust:(.*),poi=(.*)$/.exec(await ledgerOf(child)) ?? [];
      const text = readFileSync("host-cli/TANGLE.md", "utf8")
        .replaceAll("127.0.0.1:14265", node.replace("http://", ""))
        .replaceAll("127.0.0.1:9687", poi.replace("http://", ""));
      await runConsole(text, { pty: false });
    } finally {
      child.kill("SIGTERM");
      await once(child, "exit");
      remove();
    }
  });
page.run();
