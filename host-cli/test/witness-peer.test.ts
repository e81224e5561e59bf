// Ours and Go's, over the wire: a log of Go's at our witness, and our log at a witness of Go's. The peer is
// shared/test/go/witness: net/http, crypto/ed25519 and x/mod/sumdb. No network is used to build it.

import { spawn, spawnSync } from "node:child_process";
import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline/promises";
import { verifyCosignature } from "@vouch/shared/cosignature";
import { parseNote } from "@vouch/shared/note";
import { parsePolicy } from "@vouch/shared/policy";
import { formatVkey, makeVkey, parseVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { cosigningOverHttp } from "../src/commands/witnesses";
import { nodeCrypto } from "../src/crypto";
import { addToLog, initLog } from "../src/log/store";
import { newFolder, newSigner, smallRecord } from "./maker-kit";
import { serveWitness, witnessKeyOf } from "./witness-kit";

const peer = suite("witness peer");
const work = newFolder("go-witness");
const PEER = join(work, "witness");
const DEBIAN = "/usr/share/gocode";
process.on("exit", () => rmSync(work, { recursive: true, force: true }));

/** Builds the peer. Answers why that can't be done here, or undefined. */
function buildPeer(): string | undefined {
  if (spawnSync("go", ["version"]).status !== 0) return "go isn't installed";
  const debian = existsSync(join(DEBIAN, "src/golang.org/x/mod/sumdb/note"));
  const tries: Record<string, string>[] = [
    ...(debian ? [{ GO111MODULE: "off", GOPATH: DEBIAN }] : []),
    { GO111MODULE: "on", GOPROXY: "off" },
  ];
  for (const env of tries) {
    const { status } = spawnSync("go", ["build", "-buildvcs=false", "-o", PEER, "./witness"], {
      cwd: "shared/test/go",
      env: { ...process.env, ...env },
    });
    if (status === 0) return undefined;
  }
  return "golang.org/x/mod isn't here: apt-get install golang-golang-x-mod-dev, or `go mod download` in shared/test/go";
}

const why = buildPeer();
const judged = (name: string, body: () => Promise<void>) =>
  why === undefined ? peer(name, body) : skip(peer, name, why);

const SEED = "07".repeat(32);
const PKCS8 = "302e020100300506032b657004220420"; // RFC 8410: an Ed25519 seed follows

function publicOf(seed: string): Uint8Array {
  const key: KeyObject = createPrivateKey({
    key: Buffer.from(PKCS8 + seed, "hex"),
    format: "der",
    type: "pkcs8",
  });
  assert.is(sign(null, Buffer.from("x"), key).length, 64);
  return new Uint8Array(Buffer.from(createPublicKey(key).export({ format: "jwk" }).x ?? "", "base64url"));
}

judged("a log of Go's grows to 150 at our witness, and Go verifies each cosignature", async () => {
  const signer = newSigner("witness.example");
  const log = makeVkey("go.example/log", 1, publicOf(SEED));
  const witness = await serveWitness(join(work, "state"), signer, [log]);
  const child = spawn(PEER, ["submit", witness.url, SEED, formatVkey(witnessKeyOf(signer))]);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (said += text));
  const [status] = await once(child, "close");
  await witness.close();
  assert.is(said, "ok\n");
  assert.is(status, 0);
  assert.is(witness.lines.length, 100);
});

judged("our log grows at a witness of Go's, from whatever size it knows", async () => {
  const signer = newSigner("log.example");
  const log = join(work, "log");
  await initLog(log, undefined, signer);
  const child = spawn(PEER, ["serve", SEED, formatVkey(signer.vkey)]);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const [vkey, url] = [(await lines.next()).value as string, (await lines.next()).value as string];
  const text = `log ${formatVkey(signer.vkey)}\nwitness go ${vkey} ${url}\nquorum go\n`;
  const policy = parsePolicy(new Uint8Array(Buffer.from(text)), nodeCrypto);
  const now = () => Math.floor(Date.now() / 1000);
  const cosigning = cosigningOverHttp(policy, { timeoutMs: 5000, now });
  for (let n = 0; n < 20; n++) {
    const record = await smallRecord(signer, n);
    const { log: grown } = await addToLog(log, [record], signer, 5, n % 4 === 1 ? null : cosigning);
    if (n % 4 !== 1) verifyCosignature(parseNote(grown.note), parseVkey(vkey), nodeCrypto);
  }
  cosigning.close();
  child.stdin.end();
  await once(child, "close");
});
peer.run();
