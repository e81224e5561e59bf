import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex } from "../src/bytes";
import { portableCrypto } from "../src/crypto";
import { keyPairFromSeed, signEd25519 } from "../src/sign";
import { counting } from "./vectors";

// The published vectors run through this and the host's in host-cli/test/crypto.test.ts.
const crypto = suite("crypto");

crypto("the portable one hashes and verifies", () => {
  const pair = keyPairFromSeed(counting(32));
  const signature = signEd25519(pair.secretKey, counting(5));
  assert.is(portableCrypto.verifyEd25519(pair.publicKey, counting(5), signature), true);
  assert.is(portableCrypto.verifyEd25519(pair.publicKey, counting(6), signature), false);
  assert.is(
    toHex(portableCrypto.sha256(counting(0))),
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  );
});

crypto.run();
