import { createPublicKey, verify } from "node:crypto";
import { type CborMap, cborMap, encodeCbor } from "@vouch/shared/cbor";
import { encodeSign1, kidOf, sigStructure } from "@vouch/shared/cose";
import { type Claims, decodeEvidence, evidenceMessage } from "@vouch/shared/evidence";
import { faultCode } from "@vouch/shared/refusal";
import { keyPairFromSeed, signEd25519 } from "@vouch/shared/sign";
import { decodeEnvelope, splitUpload } from "@vouch/shared/suit";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  ask,
  ENGINE_BYTES,
  ENROLMENT,
  engineImage,
  enrol,
  finishJob,
  flash,
  identify,
  lastFault,
  makeDevice,
  makeImage,
  makeUploadFile,
  NONCE,
  nodeHash,
  order,
  PAYLOAD_BYTES,
  reset,
  stranger,
  test as testImage,
  upload,
  vendor,
} from "./kit";
import type { SimDevice } from "./sim";

const attest = suite("attest");
const hex = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString("hex"));
const nonce = nodeHash(Buffer.from("another nonce"));

// Checked by node:crypto, against the key that identify shows.
function openEvidence(device: SimDevice, evidence: Uint8Array): Claims {
  const { fault, sign1, claims } = decodeEvidence(evidence);
  assert.is(fault, 0);
  const x = Buffer.from(identify(device).pub, "hex");
  const key = createPublicKey({
    key: { kty: "OKP", crv: "Ed25519", x: x.toString("base64url") },
    format: "jwk",
  });
  assert.ok(verify(null, evidenceMessage(sign1), key, sign1.signature), "the signature holds");
  assert.is(hex(sign1.kid), hex(kidOf(nodeHash(x))));
  if (claims === null) throw new Error("no claims");
  return claims;
}
const padded = (image: Uint8Array, length: number) =>
  Buffer.concat([image, Buffer.alloc(length - image.length, 0xff)]);
const keyed = (n: Uint8Array, image: Uint8Array, length: number) =>
  nodeHash(Buffer.concat([n, padded(image, length)]));

function attestOver(device: SimDevice, n: Uint8Array): Claims {
  assert.ok(order(device, 64, 2, { nonce: n }).job > 0);
  return openEvidence(device, finishJob(device));
}

attest("evidence says what runs, over the nonce, with digests that the images alone give", () => {
  const device = makeDevice();
  const image = makeImage("app");
  const stream = makeUploadFile(image, { sequence: 7, floor: 5 });
  flash(device, image, { sequence: 7, floor: 5 });
  enrol(device);
  device.advance(61_500);
  const claims = attestOver(device, nonce);
  const manifestBytes = decodeEnvelope(splitUpload(stream).envelope).manifestBytes;
  assert.is(hex(claims.nonce), hex(nonce));
  assert.is(hex(claims.ueid), identify(device).ueid);
  assert.is(Buffer.from(claims.hwmodel).toString(), "PUMP-400");
  assert.equal([claims.hwversion, claims.dbgstat, claims.bootcount, claims.confirmed], ["B", 2, 2, true]);
  assert.ok(claims.uptime >= 61 && claims.uptime < 90);
  assert.equal([claims.floor, claims.sequence], [5, 7]);
  assert.is(hex(claims.vendorKid), hex(kidOf(nodeHash(vendor.publicKey))));
  assert.is(hex(claims.manifestDigest), hex(nodeHash(manifestBytes)));
  assert.equal(
    claims.components.map((c) => [c.name, c.version, hex(c.digest), hex(c.keyedDigest), c.regionLength]),
    [
      [
        "engine",
        "0.1.0",
        hex(nodeHash(engineImage)),
        hex(keyed(nonce, engineImage, ENGINE_BYTES)),
        ENGINE_BYTES,
      ],
      ["app", "7.0.0", hex(nodeHash(image)), hex(keyed(nonce, image, PAYLOAD_BYTES)), PAYLOAD_BYTES],
    ],
  );
});

attest("a board that hashes natively says the same", () => {
  const device = makeDevice({ hashFlash: nodeHash });
  const image = makeImage("app");
  flash(device, image);
  enrol(device);
  const claims = attestOver(device, nonce);
  assert.equal(
    claims.components.map((c) => [hex(c.digest), hex(c.keyedDigest)]),
    [
      [hex(nodeHash(engineImage)), hex(keyed(nonce, engineImage, ENGINE_BYTES))],
      [hex(nodeHash(image)), hex(keyed(nonce, image, PAYLOAD_BYTES))],
    ],
  );
});

attest("a device without an image measures its engine alone, and claims no manifest", () => {
  const device = makeDevice();
  enrol(device);
  const claims = attestOver(device, nonce);
  assert.equal(
    claims.components.map((c) => c.name),
    ["engine"],
  );
  assert.equal([claims.manifestDigest, claims.sequence, claims.confirmed], [null, 0, false]);
});

attest("an image on trial is said to be unconfirmed", () => {
  const device = makeDevice();
  enrol(device);
  const image = makeImage("trial");
  upload(device, makeUploadFile(image, { sequence: 3, floor: 3 }));
  testImage(device, image);
  reset(device);
  const claims = attestOver(device, nonce);
  assert.equal([claims.sequence, claims.confirmed, claims.floor], [3, false, 0]);
});

attest("boot count and boot seed change at each start, the ueid doesn't", () => {
  const device = makeDevice();
  enrol(device);
  const first = attestOver(device, nonce);
  reset(device);
  const second = attestOver(device, nonce);
  assert.is(second.bootcount, first.bootcount + 1);
  assert.is.not(hex(second.bootseed), hex(first.bootseed));
  assert.is(hex(second.ueid), hex(first.ueid));
});

attest("an open console is claimed as such", () => {
  const device = makeDevice({ debugStatus: 0 });
  enrol(device);
  assert.is(attestOver(device, nonce).dbgstat, 0);
});

attest("commands are answered and progress grows while a job runs", () => {
  const device = makeDevice();
  flash(device, makeImage("app"));
  enrol(device);
  order(device, 64, 2, { nonce });
  const seen: string[] = [];
  let done = 0;
  for (;;) {
    const state = ask(device, 64, 3);
    assert.ok(state.done >= done && state.done <= state.total);
    assert.is(state.total, ENGINE_BYTES + PAYLOAD_BYTES);
    assert.equal(order(device, 0, 0, { d: "busy?" }), { r: "busy?" });
    done = state.done;
    if (seen[seen.length - 1] !== state.state) seen.push(state.state);
    if (state.state === "ready") break;
    assert.equal(order(device, 64, 2, { nonce: NONCE }), { err: { group: 64, rc: 10 } });
    device.step();
  }
  assert.equal(seen, ["measuring", "signing", "ready"]);
  assert.is(done, ENGINE_BYTES + PAYLOAD_BYTES);
});

attest("a request repeated over the same nonce is the same job, running or ready", () => {
  const device = makeDevice();
  enrol(device);
  const { job } = order(device, 64, 2, { nonce });
  assert.is(order(device, 64, 2, { nonce }).job, job);
  const evidence = finishJob(device);
  assert.is(order(device, 64, 2, { nonce }).job, job);
  assert.is(hex(finishJob(device)), hex(evidence));
  assert.is(order(device, 64, 2, { nonce: NONCE }).job, job + 1);
});

attest("result gives pieces of at most 256 bytes, and an error where there is none", () => {
  const device = makeDevice();
  assert.equal(ask(device, 64, 4, { off: 0 }), { err: { group: 64, rc: 5 } });
  const evidence = enrol(device);
  const piece = ask(device, 64, 4, { off: 256 });
  assert.equal([piece.off, piece.len, piece.data], [256, evidence.length, hex(evidence.subarray(256, 512))]);
  assert.is(ask(device, 64, 4, { off: evidence.length }).data, "");
  assert.equal(ask(device, 64, 4, { off: evidence.length + 1 }), { err: { group: 64, rc: 3 } });
});

attest("without a key there is nothing to attest with", () => {
  const device = makeDevice();
  assert.equal(order(device, 64, 2, { nonce }), { err: { group: 64, rc: 6 } });
  assert.equal(order(device, 64, 1, { commit: ENROLMENT }), { err: { group: 64, rc: 6 } });
});

for (const [name, bytes] of [
  ["7 bytes", new Uint8Array(7)],
  ["65 bytes", new Uint8Array(65)],
] as const) {
  attest(`a nonce of ${name} is refused`, () => {
    const device = makeDevice();
    enrol(device);
    assert.equal(order(device, 64, 2, { nonce: bytes }), { err: { group: 64, rc: 3 } });
    assert.equal(order(device, 64, 2, {}), { err: { group: 64, rc: 3 } });
  });
}

attest("enrolling makes a key once, proves it over the nonce, and an enrolled device refuses another", () => {
  const device = makeDevice();
  order(device, 64, 1, { nonce: NONCE, seed: new Uint8Array(32) });
  const claims = openEvidence(device, finishJob(device));
  assert.is(hex(claims.nonce), hex(NONCE));
  const { pub, origin } = identify(device);
  assert.is(origin, "device", "a seed doesn't replace randomness");
  reset(device);
  order(device, 64, 1, { nonce });
  finishJob(device);
  assert.is(identify(device).pub, pub, "the key stays");
  assert.equal(order(device, 64, 1, { commit: ENROLMENT }), {});
  assert.equal(order(device, 64, 1, { commit: ENROLMENT }), {});
  assert.equal(order(device, 64, 1, { commit: nonce }), { err: { group: 64, rc: 11 } });
  assert.equal(order(device, 64, 1, { nonce: NONCE }), { err: { group: 64, rc: 11 } });
  reset(device);
  assert.equal([identify(device).enrolled, identify(device).pub], [true, pub]);
});

attest("a board without randomness takes its key from the station's seed, and says so", () => {
  const device = makeDevice({ random: null });
  assert.is(identify(device).ueid, null);
  assert.is(identify(device).random, false);
  assert.equal(order(device, 64, 1, { nonce: NONCE }), { err: { group: 64, rc: 3 } });
  const seed = nodeHash(Buffer.from("station seed"));
  enrol(device, { seed });
  const id = identify(device);
  assert.equal([id.origin, id.ueid.length, id.ueid.slice(0, 2)], ["station", 34, "01"]);
  const first = attestOver(device, nonce);
  reset(device);
  const second = attestOver(device, nonce);
  assert.is.not(hex(second.bootseed), hex(first.bootseed));
  assert.is(hex(second.ueid), id.ueid);
  assert.not.ok(hex(seed)?.includes(id.ueid.slice(2)), "the ueid tells nothing of the seed");
});

attest(
  "until it is enrolled, another seed makes another key and id, and nothing is left of the first",
  () => {
    const device = makeDevice({ random: null });
    const foreign = keyPairFromSeed(nodeHash(Buffer.from("who came first")));
    order(device, 64, 1, { nonce, seed: nodeHash(Buffer.from("who came first")) });
    finishJob(device);
    const before = identify(device);
    assert.is(before.pub, hex(foreign.publicKey));
    const seed = nodeHash(Buffer.from("station seed"));
    order(device, 64, 1, { nonce: NONCE, seed });
    assert.equal(order(device, 64, 1, { commit: ENROLMENT }), { err: { group: 64, rc: 10 } });
    openEvidence(device, finishJob(device));
    const after = identify(device);
    assert.is(after.pub, hex(keyPairFromSeed(seed).publicKey));
    assert.is.not(after.ueid, before.ueid);
    assert.not.ok(Buffer.from(device.flash).includes(Buffer.from(foreign.secretKey)));
    order(device, 64, 1, { commit: ENROLMENT });
    assert.equal(order(device, 64, 1, { nonce, seed: nodeHash(NONCE) }), { err: { group: 64, rc: 11 } });
    order(device, 64, 5, { order: clearOrder(device) });
    order(device, 64, 1, { nonce, seed: nodeHash(NONCE) });
    finishJob(device);
    assert.is(identify(device).ueid, after.ueid, "the id of a device that was enrolled stays");
  },
);

// The maker's order to clear, with whatever is wrong with it to order.
function clearOrder(
  device: SimDevice,
  options: { key?: typeof vendor; map?: (ueid: Uint8Array, kid: Uint8Array) => CborMap } = {},
) {
  const { key = vendor } = options;
  const id = identify(device);
  const ueid = new Uint8Array(Buffer.from(id.ueid, "hex"));
  const kid = kidOf(nodeHash(Buffer.from(id.pub ?? "", "hex")));
  const map =
    options.map?.(ueid, kid) ??
    cborMap([
      [1, "vouch/clear/v1"],
      [2, ueid],
      [3, kid],
    ]);
  const header = cborMap([
    [1, -8],
    [4, kidOf(nodeHash(key.publicKey))],
  ]);
  const payload = encodeCbor(map);
  const signature = signEd25519(key.secretKey, sigStructure(encodeCbor(header), new Uint8Array(0), payload));
  return encodeSign1(header, payload, signature);
}

attest("the maker's order clears key and enrolment, is counted, works once, and keeps the ueid", () => {
  const device = makeDevice();
  enrol(device);
  const before = identify(device);
  const secret = device.agent()?.device.identity.secretKey?.slice() ?? new Uint8Array(64);
  const clear = clearOrder(device);
  assert.ok(Buffer.from(device.flash).includes(Buffer.from(secret)));
  assert.equal(order(device, 64, 5, { order: clear }), {});
  const after = identify(device);
  assert.equal(
    [after.enrolled, after.pub, after.origin, after.clears, after.ueid],
    [false, null, "none", 1, before.ueid],
  );
  assert.not.ok(
    Buffer.from(device.flash).includes(Buffer.from(secret.subarray(0, 32))),
    "the secret is gone from flash",
  );
  assert.equal(order(device, 64, 5, { order: clear }), { err: { group: 64, rc: 6 } });
  enrol(device);
  assert.is.not(identify(device).pub, before.pub);
  assert.equal(order(device, 64, 5, { order: clear }), { err: { group: 64, rc: 11 } });
  assert.is(faultCode(lastFault(device)), "clear-order");
  reset(device);
  assert.equal([identify(device).clears, identify(device).enrolled], [1, true]);
});

for (const [name, options, code] of [
  ["signed by a stranger", { key: stranger }, "clear-order"],
  [
    "for another device",
    {
      map: (_: Uint8Array, kid: Uint8Array) =>
        cborMap([
          [1, "vouch/clear/v1"],
          [2, new Uint8Array(17)],
          [3, kid],
        ]),
    },
    "clear-order",
  ],
  [
    "for another key",
    {
      map: (ueid: Uint8Array) =>
        cborMap([
          [1, "vouch/clear/v1"],
          [2, ueid],
          [3, new Uint8Array(8)],
        ]),
    },
    "clear-order",
  ],
  [
    "of another version",
    {
      map: (ueid: Uint8Array, kid: Uint8Array) =>
        cborMap([
          [1, "vouch/clear/v2"],
          [2, ueid],
          [3, kid],
        ]),
    },
    "clear-order",
  ],
  [
    "with something more",
    {
      map: (ueid: Uint8Array, kid: Uint8Array) =>
        cborMap([
          [1, "vouch/clear/v1"],
          [2, ueid],
          [3, kid],
          [4, 1],
        ]),
    },
    "clear-order",
  ],
] as const) {
  attest(`an order to clear is refused: ${name}`, () => {
    const device = makeDevice();
    enrol(device);
    const before = identify(device);
    assert.equal(order(device, 64, 5, { order: clearOrder(device, options) }), {
      err: { group: 64, rc: 11 },
    });
    assert.is(faultCode(lastFault(device)), code);
    assert.equal(identify(device), before);
  });
}

attest("an order to clear with any bit bent is refused", () => {
  const device = makeDevice();
  enrol(device);
  const clear = clearOrder(device);
  for (let at = 0; at < clear.length; at++) {
    const bent = clear.slice();
    bent[at] = (bent[at] ?? 0) ^ 4;
    assert.equal(order(device, 64, 5, { order: bent }), { err: { group: 64, rc: 11 } }, `byte ${at}`);
  }
  assert.is(identify(device).enrolled, true);
});

attest.run();
