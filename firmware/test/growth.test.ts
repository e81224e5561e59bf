// 1,000 attestations by the built agent in QuickJS, in one life: the memory that is left for more must not shrink.
//
// What is left is found by taking it: arrays of 64 bytes until there is no more, all dropped again. The
// interpreter's own figures count only a few bytes an allocation (host-cli/src/sim/quickjs.ts).

import { readFileSync } from "node:fs";
import { concatBytes } from "@vouch/shared/bytes";
import { cborMap, mapGet } from "@vouch/shared/cbor";
import { decodeEvidence } from "@vouch/shared/evidence";
import {
  decodeMessage,
  GROUP_VOUCH,
  makeDeframer,
  pushBytes,
  VOUCH_ATTEST,
  VOUCH_ENROL,
  VOUCH_RESULT,
} from "@vouch/shared/smp";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Engine, LIMITS, startEngine } from "../../host-cli/src/sim/quickjs";
import { engineImage, frame, nodeHash } from "./kit";
import { simLayout } from "./sim";

const ATTESTATIONS = 1000;
const growth = suite("growth");

const LEFT = `(function () {
  var list = null, n = 0;
  try { for (;; n++) list = [new Uint8Array(64), list]; } catch (e) {}
  list = null;
  return n;
})()`;

growth("1,000 attestations leave as much memory as the first fifty", async () => {
  const layout = simLayout(4096, engineImage.length);
  const flash = new Uint8Array(layout.store.address + layout.store.length).fill(0xff);
  flash.set(engineImage);
  let answer = new Uint8Array();
  const deframer = makeDeframer(2048);
  const agent: Engine = await startEngine(
    readFileSync("host-cli/dist/agent.js", "utf8"),
    {
      layout: layout as unknown as Parameters<typeof startEngine>[1]["layout"],
      write: (bytes) =>
        pushBytes(
          deframer,
          bytes,
          (message) => (answer = message.slice()),
          () => {},
        ),
      millis: () => 1000,
      readFlash: (address, length) => flash.slice(address, address + length),
      writeFlash: (address, bytes) => flash.set(bytes, address),
      eraseFlash: (address, length) => flash.fill(0xff, address, address + length),
      reset: () => assert.unreachable("it restarts"),
      random: (length) => nodeHash(Buffer.from("random")).slice(0, length),
    },
    { ...LIMITS, workBytes: 32 * 1024 },
  );
  const order = (write: boolean, command: number, body = cborMap([])) => {
    agent.receive(frame(write, GROUP_VOUCH, command, body));
    const { fault, body: reply } = decodeMessage(answer);
    assert.is(fault, 0);
    while (agent.tick() === 0);
    return reply!;
  };
  const readEvidence = () => {
    const pieces: Uint8Array[] = [];
    for (let off = 0; ; ) {
      const piece = order(false, VOUCH_RESULT, cborMap([["off", off]]));
      pieces.push(mapGet(piece, "data") as Uint8Array);
      off += pieces.at(-1)!.length;
      if (off === mapGet(piece, "len")) return concatBytes(pieces);
    }
  };
  const nonce = (number: number) => nodeHash(Buffer.from(`nonce ${number}`));
  order(true, VOUCH_ENROL, cborMap([["nonce", nonce(0)]]));
  const left: number[] = [];
  for (let number = 1; number <= ATTESTATIONS; number++) {
    order(true, VOUCH_ATTEST, cborMap([["nonce", nonce(number)]]));
    const { claims } = decodeEvidence(readEvidence());
    assert.equal(claims!.nonce, nonce(number));
    if (number === 50 || number % 250 === 0) left.push(Number(agent.probe(LEFT)));
  }
  agent.stop();
  assert.ok(left[0]! > 20, `the probe finds ${left[0]} arrays`);
  // One array is some 300 bytes: a byte kept each time would show.
  for (const later of left) assert.ok(later >= left[0]! - 1, `room for ${left} arrays`);
});

growth.run();
