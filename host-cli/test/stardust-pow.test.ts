import { suite } from "uvu";
import * as assert from "uvu/assert";
import { PowHelper } from "@iota/crypto.js";
import { b1t6, blockZeros, powDigest, powScore, trailingZeros, zerosFor } from "../src/ledger/curl";
import { startSearch } from "../src/ledger/pow-search";
import { randomBytes } from "node:crypto";
const t = suite("x");
const nonceBytes=(n: bigint)=>{const b=new Uint8Array(8);new DataView(b.buffer).setBigUint64(0,n,true);return b;};
t("x",()=>{
  const msg = new TextEncoder().encode("Hello, World!");
  const block = new Uint8Array([...msg, ...nonceBytes(12297829382473049694n)]);
  console.log(Buffer.from(powDigest(block)).toString("hex"), blockZeros(block), powScore(block), PowHelper.score(block));
  const digest = new Uint8Array(randomBytes(32));
  for (const z of [3,5,7,8,9]) {
  const t0=performance.now();
  const s = startSearch({digest: b1t6(digest), zeros: z, start: 256*99});
  let f: number|null=null; while ((f=s.next())===null);
  const dt=performance.now()-t0;
  console.log(z, f, trailingZeros(digest, nonceBytes(BigInt(f))), s.tried()/dt*1000|0, "H/s");
  }
});
t.run();
