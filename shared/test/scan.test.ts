// What is scanned is what is read the long way; what a scan doesn't take, the long way judges.

import { type Envelope, parseEnvelope, readEnvelope, scanEnvelope } from "@vouch/shared/dsse";
import { formatDevice, readDevice, scanDevice } from "@vouch/shared/fleetform";
import { isRefusal } from "@vouch/shared/refusal";
import { scanStatement } from "@vouch/shared/scanstatement";
import { formatStatement, readStatement } from "@vouch/shared/statement";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodeCrypto } from "../../host-cli/src/crypto";
import { random } from "./random";
import { makeWorld } from "./world";

const scan = suite("scan");

const world = makeWorld();
const devices = world.bundle.devices.map((device) => ({ context: "0f".repeat(32), ...device }));
const envelopes = devices.flatMap((d) => [
  d.enrolment,
  d.commitment.statement,
  ...(d.logged === null ? [] : [d.logged.record.statement]),
]);
const { sha256 } = nodeCrypto;

const LINES: readonly [
  name: string,
  lines: readonly Uint8Array[],
  quick: (bytes: Uint8Array) => unknown,
  long: (bytes: Uint8Array) => unknown,
][] = [
  [
    "devices",
    devices.flatMap((d) => [formatDevice(d), formatDevice({ ...d, logged: null })]),
    scanDevice,
    (bytes) => ({ ...readDevice(bytes), version: undefined }),
  ],
  ["envelopes", [...envelopes, world.bundle.release.statement], scanEnvelope, readEnvelope],
  [
    "statements",
    envelopes.map((bytes) => parseEnvelope(bytes).payload),
    (bytes) => scanStatement(bytes, sha256),
    (bytes) => readStatement(bytes, sha256),
  ],
];

const text = (value: unknown) =>
  JSON.stringify(value, (_, each) =>
    each instanceof Uint8Array
      ? Buffer.from(each).toString("hex")
      : typeof each === "bigint"
        ? `${each}n`
        : each,
  );

/** The long way, or null for a refusal. */
function judged(long: (bytes: Uint8Array) => unknown, bytes: Uint8Array): string | null {
  try {
    return text(long(bytes));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return null;
  }
}

for (const [name, lines, quick, long] of LINES) {
  scan(`${name} are scanned, and come out as the long way has them`, () => {
    assert.ok(lines.length > 1);
    for (const line of lines) {
      const scanned = quick(line);
      assert.ok(scanned !== null, Buffer.from(line).toString());
      assert.is(text(scanned), text(long(line)));
    }
  });

  scan(`${name} with a byte changed, gone or added are scanned as they are read, or not at all`, () => {
    const next = random(5);
    const [line] = lines as [Uint8Array];
    let taken = 0;
    for (let at = 0; at <= line.length; at++) {
      const [byte = 0, digit = 0] = next(2);
      const head = [...line.subarray(0, at)];
      const tail = [...line.subarray(at + 1)];
      const other = 'AQgw+/=09azf"\\,:{}[] n'.charCodeAt(digit % 22);
      for (const bytes of [
        [...head, byte, ...tail],
        [...head, other, ...tail],
        [...head, ...tail],
        [...head, other, ...line.subarray(at)],
      ].map((each) => Uint8Array.from(each))) {
        const scanned = quick(bytes);
        if (scanned === null) continue;
        taken++;
        assert.is(text(scanned), judged(long, bytes), `at ${at}: ${Buffer.from(bytes)}`);
      }
    }
    assert.ok(taken > 0, "some changes are to values, and leave a line that is right");
  });

  scan(`${name} cut short, or with something behind them, are not scanned`, () => {
    const [line] = lines as [Uint8Array];
    for (let end = 0; end < line.length; end++) assert.is(quick(line.subarray(0, end)), null);
    assert.is(quick(Uint8Array.from([...line, 0x20])), null);
  });
}

scan("envelopes whose signatures are not sorted by keyid, one a key, are not scanned", () => {
  const { payload, payloadType, signatures } = parseEnvelope(world.bundle.release.statement);
  const write = (order: Envelope["signatures"]) =>
    Buffer.from(
      JSON.stringify({
        payload: Buffer.from(payload).toString("base64"),
        payloadType,
        signatures: order.map(({ keyid, sig }) => ({ keyid, sig: Buffer.from(sig).toString("base64") })),
      }),
    );
  assert.ok(signatures.length > 1);
  assert.ok(scanEnvelope(write(signatures)) !== null);
  assert.is(scanEnvelope(write([...signatures].reverse())), null);
  assert.is(scanEnvelope(write([signatures[0]!, signatures[0]!])), null);
  assert.is(scanEnvelope(write([])), null);
});

scan("an enrolment whose words need escapes is left to the long way, and read", () => {
  const [first] = devices;
  const enrolment = readStatement(parseEnvelope(first!.enrolment).payload, sha256);
  if (enrolment.kind !== "enrolment") throw new Error("no enrolment");
  for (const serial of ['a"b', "a\\b", "Gerät 7", "\u{1f600}"]) {
    const bytes = formatStatement({ ...enrolment, serial });
    assert.is(scanStatement(bytes, sha256), null);
    assert.is(text(readStatement(bytes, sha256)), text({ ...enrolment, serial }));
  }
});

scan.run();
