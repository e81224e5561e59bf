// Our signature on the reference board costs at most a fifth of tweetnacl's. Instructions are counted, by the emulator:
// what else the machine does is no part of it. `npm run bench:device` measures more of them.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { boardMissing } from "./board-kit";

interface Measuring {
  measureOnBoard(plan: [work: string, times: number][]): Promise<Map<string, number>>;
}

const sign = suite("board sign");
const NAME = "a signature takes a fifth of tweetnacl's instructions, or less";
const missing = boardMissing();

if (missing !== undefined) skip(sign, NAME, missing);
else
  sign(NAME, async () => {
    const path = pathToFileURL(resolve("scripts/device-work.mjs")).href;
    const { measureOnBoard } = (await import(path)) as Measuring;
    // Throws when either signature isn't the right one.
    const millions = await measureOnBoard([
      ["ours sign", 1],
      ["tweetnacl sign", 1],
    ]);
    const [ours, tweetnacl] = [millions.get("ours sign")!, millions.get("tweetnacl sign")!];
    assert.ok(ours > 0 && ours <= tweetnacl / 5, `${ours} and ${tweetnacl} million instructions`);
  });

sign.run();
