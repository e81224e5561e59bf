// What the policy's witnesses have cosigned, asked of themselves: C2SP tlog-witness, "Monitor retrieval".
//
//   GET <url>/<SHA-256 of the origin, hex>/checkpoint
//
// A log can show each place what it likes; it takes the witnesses to show that they all saw the same. A witness that gives
// no answer is no news: it is told when it has been quiet for long (conditions.ts).

import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { MAX_NOTE } from "@vouch/shared/note";
import { isRefusal } from "@vouch/shared/refusal";
import { formatVkey } from "@vouch/shared/vkey";
import { nodeCrypto } from "../crypto";
import { httpClient, isAddress, parseBase } from "../http";
import { isRefused } from "./board";
import { policyFor, type Round } from "./round";
import type { Shown } from "./state";

const ASK_MS = 20_000;

export async function askWitnesses(round: Round): Promise<Shown[]> {
  const { state, board, read, at } = round;
  const policy = policyFor(round, state.size);
  const client = httpClient();
  const origin = toHex(nodeCrypto.sha256(utf8Encode(policy.log.name)));
  const timeoutMs = Math.min(read.askMs ?? ASK_MS, read.timeoutMs ?? ASK_MS);
  try {
    const answers = await Promise.all(
      policy.witnesses.map(async ({ name, vkey, url }): Promise<Shown | null> => {
        if (url === undefined || !isAddress(url)) return null;
        try {
          const where = new URL(`${origin}/checkpoint`, parseBase(url));
          const { status, body } = await client.ask(where, { maxBytes: MAX_NOTE, timeoutMs });
          if (status !== 200 && status !== 404) return null;
          const key = formatVkey(vkey);
          state.witnesses.set(key, { cosigned: 0, missed: 0, ...state.witnesses.get(key), answered: at });
          board.well(`witness ${name}`, isRefused); // unless what it shows is refused (pass.ts)
          return status === 200 ? { from: `witness ${name}`, note: body } : null;
        } catch (error) {
          if (!isRefusal(error)) throw error;
          return null;
        }
      }),
    );
    return answers.filter((answer) => answer !== null);
  } finally {
    client.close();
  }
}
