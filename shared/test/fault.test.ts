import { suite } from "uvu";
import * as assert from "uvu/assert";
import * as faults from "../src/fault";
import { FAULTS } from "../src/refusal";

const fault = suite("fault");

const numbered = Object.entries(faults).filter(([name]) => name !== "FAULT_NONE");

fault("none is 0, and every other number has its own", () => {
  assert.is(faults.FAULT_NONE, 0);
  assert.is(new Set(numbered.map(([, n]) => n)).size, numbered.length);
});

fault("each number lies in the range of the layer its name begins with", () => {
  const layers: Record<string, number[]> = {
    CBOR: [1],
    COSE: [2],
    SUIT: [3],
    SMP: [4],
    EVIDENCE: [5],
    KEY: [6],
    SIGNATURE: [6],
  };
  for (const [name, n] of numbered) {
    const layer = layers[name.split("_")[1]!] ?? [7];
    assert.ok(layer.includes(n >> 8), `${name} is 0x${n.toString(16)}`);
  }
});

fault("each has a code and a gloss, and no code means two faults", () => {
  assert.equal(
    Object.keys(FAULTS)
      .map(Number)
      .sort((a, b) => a - b),
    numbered.map(([, n]) => n).sort((a, b) => a - b),
  );
  const codes = Object.values(FAULTS).map(([code]) => code);
  assert.is(new Set(codes).size, codes.length);
});

fault.run();
