// Many attestations by a board in one life, one after the other: its JavaScript heap must not grow.
//
//   times   150, or VOUCH_GROWTH_TIMES; 1,000 by the same agent in QuickJS are in growth.test.ts
//
// The heap is read at rest through QEMU's monitor, after each attestation. What Duktape's reference counts don't
// free at once waits for its collector, and a reading just after that finds some hundred bytes less: the figure of a
// stretch is its median, which over 500 attestations stayed within 60 bytes.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { attestDevice, enrolDevice } from "../../host-cli/src/device/vouch";
import { hash } from "../../host-cli/test/sim-kit";
import { skip } from "../../shared/test/skip";
import { boardMissing, newState, startTestBoard } from "./board-kit";

const TIMES = Number(process.env.VOUCH_GROWTH_TIMES ?? 150);
const STRETCH = 25; // the first one ends with the 50th
const SLACK = 256; // counters and times grow digits; the smallest block kept in each of 100 would be 800
const growth = suite("board growth");
const missing = boardMissing();
const medianOf = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

if (missing !== undefined) skip(growth, "a board attests often and its heap doesn't grow", missing);
else {
  growth("a board attests often and its heap doesn't grow", async () => {
    const board = await startTestBoard(newState());
    const used: number[] = [];
    const peaks: number[] = [];
    await board.talk((session) => enrolDevice(session, hash("nonce"), null));
    for (let number = 1; number <= TIMES; number++) {
      await board.talk((session) => attestDevice(session, hash(`nonce ${number}`)));
      const counters = await board.counters();
      assert.is(counters.boots, 1);
      assert.is(counters.faults, 0);
      used.push(counters.heapUsed);
      peaks.push(counters.heapPeak);
    }
    board.stop();
    const first = medianOf(used.slice(50 - STRETCH, 50));
    const last = medianOf(used.slice(-STRETCH));
    console.log(
      `heap in use after 50 attestations ${first}, after ${TIMES} ${last}; peak ${peaks[49]}, ${peaks.at(-1)}`,
    );
    assert.ok(last <= first + SLACK, `${first} bytes after 50 attestations, ${last} after ${TIMES}`);
  });
}

growth.run();
