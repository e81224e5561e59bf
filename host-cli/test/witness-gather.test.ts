// A maker that publishes only what its witnesses have cosigned: k of n with dead, slow and lying ones among them,
// servers that are out to harm, a history that a witness knows better, and a cut at every write.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer as createHttps } from "node:https";
import { createServer as createTcp } from "node:net";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { parseFraud, verifyFraud } from "@vouch/shared/fraud";
import { parseNote } from "@vouch/shared/note";
import { type Policy, parsePolicy } from "@vouch/shared/policy";
import { formatVkey } from "@vouch/shared/vkey";
import { parseAddCheckpoint } from "@vouch/shared/witness";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { checkLog } from "../src/commands/log-check";
import { cosignFromFiles } from "../src/commands/log-witnesses";
import { cosigningOverHttp } from "../src/commands/witnesses";
import { nodeCrypto } from "../src/crypto";
import { EXIT, statusOf } from "../src/exit";
import type { Silent } from "../src/log/cosigning";
import { addToLog, initLog, openLog } from "../src/log/store";
import { newFolder, newSigner, refuses, smallRecord, type TestSigner, withCut } from "./maker-kit";
import { lineBy, type Serving, serveAnything, serveWitness, started, witnessKeyOf } from "./witness-kit";

const signer = newSigner("log.example");
const keys = Array.from({ length: 5 }, (_, i) => newSigner(`w${i}.example`));
const records: Uint8Array[] = [];
const now = () => Math.floor(Date.now() / 1000);

const gather = suite("gathering cosignatures");
let folder = "";
let log = "";
let serving: { close(): Promise<void> }[] = [];

gather.before(async () => {
  for (let n = 0; n < 12; n++) records.push(await smallRecord(signer, n));
});
gather.before.each(async () => {
  folder = newFolder("gather");
  log = join(folder, "log");
  await initLog(log, undefined, signer);
  serving = [];
});
gather.after.each(async () => {
  for (const one of serving) await one.close();
  rmSync(folder, { recursive: true });
});

const serve = async (key: TestSigner, name = key.name): Promise<Serving> => {
  const witness = await serveWitness(join(folder, name), key, [signer.vkey]);
  serving.push(witness);
  return witness;
};

/** A policy of witnesses w0, w1, … at these addresses, `k` of them. */
function policyOf(k: number | "none", urls: readonly (string | undefined)[], more: string[] = []): Policy {
  const lines = urls.map((url, i) => `witness w${i} ${formatVkey(witnessKeyOf(keys[i]!))} ${url ?? ""}`);
  const names = urls.map((_, i) => `w${i}`).join(" ");
  const quorum = k === "none" ? ["quorum none"] : [`group q ${k} ${names}`, "quorum q"];
  const text = [`log ${formatVkey(signer.vkey)}`, ...lines, ...quorum, ...more].join("\n");
  return parsePolicy(new Uint8Array(Buffer.from(text)), nodeCrypto);
}

interface Told {
  cosigned: readonly string[];
  silent: readonly Silent[];
}

// Who is slow on purpose is waited for in vain, and honest witnesses have to answer meanwhile, on a busy machine too.
const IN_VAIN_MS = 2000;
const PLENTY_MS = 30_000;

async function add(policy: Policy | null, some: readonly Uint8Array[], timeoutMs = PLENTY_MS) {
  const told: Told = { cosigned: [], silent: [] };
  const tell = (cosigned: readonly string[], silent: readonly Silent[]) => {
    Object.assign(told, { cosigned, silent });
  };
  const cosigning =
    policy === null ? null : cosigningOverHttp(policy, { timeoutMs, now, tell, fraudFolder: folder });
  try {
    return { ...(await addToLog(log, some, signer, 60, cosigning)), told };
  } finally {
    cosigning?.close();
  }
}

const cosigners = () => parseNote(openLog(log).note).signatures.map(({ name }) => name);
const first = (count: number) => records.slice(0, count);

gather("a checkpoint is published with everybody's cosignature, in the policy's order", async () => {
  const urls = [];
  for (const key of keys.slice(0, 3)) urls.push((await serve(key)).url);
  const policy = policyOf(2, urls);
  for (const count of [1, 2, 5]) {
    const { log: grown, told } = await add(policy, first(count));
    assert.is(grown.size, BigInt(count));
    assert.equal(told, { cosigned: ["w0", "w1", "w2"], silent: [] });
    assert.equal(cosigners(), ["log.example", "w0.example", "w1.example", "w2.example"]);
  }
  assert.is(checkLog(log, policy).log.size, 5n);
  assert.equal(readdirSync(log).sort(), ["checkpoint", "tile"]);
});

gather("a cosignature from the future, in a file, is refused as one over HTTP is", async () => {
  const policy = policyOf(1, [undefined]);
  await refuses("quorum-missing", () => add(policy, first(3)));
  const { text } = parseNote(new Uint8Array(readFileSync(join(log, "pending"))));
  const file = join(folder, "line");
  writeFileSync(file, `${await lineBy(keys[0]!, text, now() + 3600)}\n`);
  await refuses("cosignature-from-future", () => cosignFromFiles(log, [file], policy, 1));
  assert.is(openLog(log).size, 0n);
  writeFileSync(file, `${await lineBy(keys[0]!, text, now())}\n`);
  assert.is((await cosignFromFiles(log, [file], policy, 1)).published.size, 3n);
});

/** Never answers. */
const silence: RequestListener = () => {};

/** Where nobody listens. */
async function nobody(): Promise<string> {
  const { url, close } = await serveAnything(silence);
  await close();
  return url;
}

gather("two of five are enough, whether the others are dead, slow, or lie", async () => {
  const [good, fine] = [await serve(keys[0]!), await serve(keys[1]!)];
  const slow = await serveAnything(silence);
  const liar = await serveAnything(
    answering(async (_, text) => `${await lineBy(keys[4]!, `${text}x`, now())}\n`),
  );
  serving.push(slow, liar);
  const policy = policyOf(2, [good.url, fine.url, await nobody(), slow.url, liar.url]);
  const { log: grown, told } = await add(policy, first(3), IN_VAIN_MS);
  assert.is(grown.size, 3n);
  assert.equal(told.cosigned, ["w0", "w1"]);
  assert.equal(
    told.silent.map(({ name, code }) => [name, code]),
    [
      ["w2", "server-unreachable"],
      ["w3", "server-slow"],
      ["w4", "bad-signature"],
    ],
  );
  assert.equal(cosigners(), ["log.example", "w0.example", "w1.example"]);
});

gather(
  "without a quorum the last checkpoint stands, everybody missing is named, and a retry works",
  async () => {
    const [a, b] = [await serve(keys[0]!), await serve(keys[1]!)];
    await add(policyOf(2, [a.url, b.url]), first(2));
    const before = readFileSync(join(log, "checkpoint"), "hex");
    const gone = await nobody();
    const error = await refuses("quorum-missing", () => add(policyOf(2, [a.url, gone]), first(4)));
    assert.is(statusOf(error), EXIT.trouble);
    assert.match(error.message, /size 4 was cosigned by w0, .*\(w1: .* can't be reached: ECONNREFUSED\)/);
    assert.is(readFileSync(join(log, "checkpoint"), "hex"), before);
    assert.is(openLog(log).size, 2n);
    // Nothing else gets in before it, and the witness that has agreed needn't be asked again.
    await refuses("log-pending", () => add(null, first(3)));
    await refuses("quorum-missing", () => add(policyOf(2, [gone, gone]), first(3)));
    const asked = a.lines.length;
    const { records: added, log: grown } = await add(policyOf(2, [gone, b.url]), first(4));
    assert.is(grown.size, 4n);
    assert.equal(
      added.map((r) => r.added),
      [false, false, true, true],
    );
    assert.is(a.lines.length, asked);
    assert.not(existsSync(join(log, "pending")));
    assert.is(checkLog(log, null).log.size, 4n);
  },
);

gather("what a witness may have cosigned comes first, whatever is added next", async () => {
  const [a, b] = [await serve(keys[0]!), await serve(keys[1]!)];
  await refuses("quorum-missing", async () => add(policyOf(2, [a.url, await nobody()]), first(2)));
  const { log: grown, records: added } = await add(policyOf(2, [a.url, b.url]), records.slice(5, 7));
  assert.is(grown.size, 4n);
  assert.equal(added, [
    { index: 2n, added: true },
    { index: 3n, added: true },
  ]);
  assert.equal(Buffer.from(grown.entry(1n)), Buffer.from(records[1]!));
  const nothing = await add(policyOf(2, [a.url, b.url]), []);
  assert.is(nothing.log.size, 4n);
});

gather("a witness that knows an older checkpoint, or none, is brought up to date", async () => {
  const a = await serve(keys[0]!);
  await add(policyOf(1, [a.url]), first(3));
  await add(null, first(5));
  const b = await serve(keys[1]!);
  const { told } = await add(policyOf(2, [a.url, b.url]), first(8));
  assert.equal(told.cosigned, ["w0", "w1"]);
});

/** Answers POST as said, and shows no checkpoint. */
function answering(body: (size: bigint, text: string) => Promise<string>): RequestListener {
  return (request, response) => {
    if (request.method === "GET") return response.writeHead(404).end();
    const parts: Buffer[] = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", async () => {
      const { note, oldSize } = parseAddCheckpoint(new Uint8Array(Buffer.concat(parts)));
      response.writeHead(200).end(await body(oldSize, parseNote(note).text));
    });
    return undefined;
  };
}

const saying =
  (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
  (request, response) => {
    if (request.method === "GET") response.writeHead(404).end();
    else response.writeHead(status, headers).end(body);
  };

const SIZE = { "content-type": "text/x.tlog.size" };
const key = keys[0]!;

const HOSTILE: readonly [name: string, code: string, answer: RequestListener][] = [
  ["an endless body", "server-too-large", (_, response) => void flood(response)],
  [
    "a body that drips",
    "server-slow",
    (_, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(timer));
    },
  ],
  [
    "a body that ends early",
    "server-cut",
    (_, response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("x");
      setTimeout(() => response.destroy(), 20);
    },
  ],
  [
    "a length that is too large",
    "server-too-large",
    (_, r) => void r.writeHead(200, { "content-length": "99999999" }).write("x"),
  ],
  [
    "a redirect",
    "server-redirect",
    (_, r) => void r.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
  ],
  [
    "a gzip bomb",
    "server-encoding",
    (_, r) => void r.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(1 << 22))),
  ],
  ["words for lines", "malformed-answer", saying(200, "yes, fine\n")],
  ["nothing", "malformed-answer", saying(200, "")],
  ["409 without a size", "witness-answer", saying(409, "7\n")],
  ["409 with a size that is none", "witness-answer", saying(409, "07\n", SIZE)],
  ["409 for every size", "witness-answer", saying(409, "1\n", SIZE)],
  ["409 with a size beyond ours, unproven", "unproven-conflict", saying(409, "900\n", SIZE)],
  ["422, unproven", "unproven-conflict", saying(422, "no\n")],
  ["404", "witness-refused", saying(404, "who?\n")],
  ["500", "witness-refused", saying(500, "\u001b[2Joops\n")],
  [
    "somebody else's cosignature",
    "cosignature-missing",
    answering(async (_, text) => `${await lineBy(keys[1]!, text, now())}\n`),
  ],
  [
    "a cosignature over another size",
    "bad-signature",
    answering(async (_, text) => `${await lineBy(key, text.replace("\n3\n", "\n4\n"), now())}\n`),
  ],
  [
    "a cosignature from the future",
    "cosignature-from-future",
    answering(async (_, text) => `${await lineBy(key, text, now() + 3600)}\n`),
  ],
];

async function flood(response: Parameters<RequestListener>[1]): Promise<void> {
  response.writeHead(200);
  response.on("error", () => {});
  const piece = Buffer.alloc(65536, 120);
  while (!response.destroyed && response.writable) {
    if (!response.write(piece)) await new Promise((done) => setImmediate(done));
  }
}

for (const [name, code, answer] of HOSTILE)
  gather(`a witness counts for nothing, and says so by name: ${name}`, async () => {
    const hostile = await serveAnything(answer);
    serving.push(hostile);
    const waitMs = code === "server-slow" ? IN_VAIN_MS : PLENTY_MS;
    await add(null, first(2));
    const error = await refuses("quorum-missing", () => add(policyOf(1, [hostile.url]), first(3), waitMs));
    assert.match(error.message, /nobody.*\(w0: /);
    assert.not(error.message.includes("\u001b"));
    assert.is(openLog(log).size, 2n);
    const good = await serve(keys[1]!);
    const { told } = await add(policyOf(1, [hostile.url, good.url]), first(3), waitMs);
    assert.equal(told.cosigned, ["w1"]);
    assert.equal(
      told.silent.map((s) => s.code),
      [code],
    );
  });

gather("a server that doesn't speak HTTP counts for nothing", async () => {
  const server = await started(createTcp((socket) => void socket.resume().end("220 mail.example ESMTP\r\n")));
  serving.push(server);
  await refuses("quorum-missing", () => add(policyOf(1, [server.url]), first(1)));
});

/** A certificate for 127.0.0.1 that signs itself; why there is none. */
function makeCertificate(): string | undefined {
  const args = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "tls.key", "-out", "tls.crt"];
  const subject = ["-days", "2", "-subj", "/CN=witness", "-addext", "subjectAltName=IP:127.0.0.1"];
  const { error, status, stderr } = spawnSync("openssl", [...args, ...subject], {
    cwd: folder,
    encoding: "utf8",
  });
  return error?.message ?? (status === 0 ? undefined : stderr.slice(0, 200));
}

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const overTls = "https is taken from whom this system trusts, and from nobody else";
if (!hasOpenssl) skip(gather, overTls, "openssl isn't installed");
else
  gather(overTls, async () => {
    assert.is(makeCertificate(), undefined);
    const [cert, tlsKey] = ["tls.crt", "tls.key"].map((name) => readFileSync(join(folder, name)));
    const server = createHttps(
      { cert: cert!, key: tlsKey! },
      answering(async (_, text) => `${await lineBy(keys[0]!, text, now())}\n`),
    );
    const { url, close } = await started(server);
    serving.push({ close });
    const policy = policyOf(1, [url.replace("http:", "https:")]);
    const before = process.env["SSL_CERT_FILE"];
    try {
      const error = await refuses("quorum-missing", () => add(policy, first(1)));
      assert.match(error.message, /SELF_SIGNED/);
      process.env["SSL_CERT_FILE"] = join(folder, "tls.crt");
      assert.equal((await add(policy, first(1))).told.cosigned, ["w0"]);
    } finally {
      delete process.env["SSL_CERT_FILE"];
      if (before !== undefined) process.env["SSL_CERT_FILE"] = before;
    }
  });

gather("an address that isn't one is refused before anything is signed", async () => {
  for (const bad of ["ftp://x/", "w1.example", "http://user:pw@127.0.0.1/", "http://127.0.0.1/?a"])
    await refuses("usage", () => add(policyOf(1, [bad]), first(1)));
  assert.not(existsSync(join(log, "pending")));
});

gather(
  "a second history that a witness has cosigned is found before ours is signed, and proved",
  async () => {
    const a = await serve(keys[0]!);
    const policy = policyOf("none", [a.url]);
    await add(policy, first(3));
    const copy = join(folder, "copy");
    cpSync(log, copy, { recursive: true });
    await add(policy, records.slice(0, 6)); // the witness follows this one
    rmSync(log, { recursive: true });
    cpSync(copy, log, { recursive: true }); // the log is put back, and goes another way
    const behind = await refuses("log-forked", () => add(policy, records.slice(8, 9)));
    assert.match(behind.message, /^A SECOND HISTORY of "log\.example": witness w0 has cosigned size 6/);
    assert.is(statusOf(behind), EXIT.refuted);
    assert.is(openLog(log).size, 3n);
    assert.not(existsSync(join(log, "pending")));
    await add(null, records.slice(8, 12)); // without asking anybody: now there are two
    const error = await refuses("log-forked", () => add(policy, records.slice(4, 6)));
    assert.is(statusOf(error), EXIT.refuted);
    const [file = ""] = readdirSync(folder).filter((name) => name.endsWith(".fraud.json"));
    const proven = verifyFraud(
      parseFraud(new Uint8Array(readFileSync(join(folder, file)))),
      signer.vkey,
      [],
      nodeCrypto,
    );
    assert.is(proven.kind, "rewritten-history");
    assert.is(proven.first.size, 6n);
    assert.is(openLog(log).size, 7n);
  },
);

gather("a cut before any write loses nothing, and never makes a second history", async () => {
  for (let cut = 0; ; cut++) {
    rmSync(log, { recursive: true, force: true });
    await initLog(log, undefined, signer);
    const [a, b] = [await serve(keys[0]!, `a${cut}`), await serve(keys[1]!, `b${cut}`)];
    const policy = policyOf(2, [a.url, b.url]);
    await add(policy, first(2));
    const { finished } = await withCut(cut, cut % 2 === 1, () => add(policy, first(4)));
    const size = openLog(log).size;
    assert.ok(size === 2n || size === 4n, `cut ${cut}`);
    // Somebody comes next with something else, then the one that was cut comes again.
    rmSync(join(log, ".lock"), { force: true });
    await add(policy, records.slice(6, 7));
    const { records: added, log: grown } = await add(policy, first(4));
    assert.is(grown.size, 5n, `cut ${cut}`);
    assert.ok(added.every(({ index }) => index >= 0n && index < 5n));
    assert.is(checkLog(log, policy).log.size, 5n);
    assert.not(existsSync(join(log, "pending")), `cut ${cut}`);
    for (const one of serving.splice(0)) await one.close();
    if (finished) {
      assert.ok(cut > 20, `${cut} writes`);
      return;
    }
  }
});

gather(
  "more records than fit a batch wait for a quorum as well, and are published as they were",
  async () => {
    const a = await serve(keys[0]!);
    const many: Uint8Array[] = [];
    for (let n = 100; n < 700; n++) many.push(await smallRecord(signer, n));
    await add(policyOf(1, [a.url]), first(2));
    await refuses("quorum-missing", async () => add(policyOf(2, [a.url, await nobody()]), many));
    assert.is(openLog(log).size, 2n);
    const b = await serve(keys[1]!);
    const { records: added, log: grown } = await add(policyOf(2, [a.url, b.url]), many);
    assert.is(grown.size, 602n);
    assert.ok(added.every((record) => record.added));
    assert.is(checkLog(log, policyOf(2, [a.url, b.url])).log.size, 602n);
  },
);

gather("two writers with the same witnesses take turns", async () => {
  const a = await serve(keys[0]!);
  const policy = policyOf(1, [a.url]);
  const ways = [0, 1, 2, 3].map((i) => add(policy, [records[i]!]));
  const sizes = (await Promise.all(ways)).map(({ log: grown }) => Number(grown.size));
  assert.equal(sizes.sort(), [1, 2, 3, 4]);
  assert.ok(a.lines.every(({ status }) => status < 409));
});

gather("of more witnesses than a note has room for, the quorum's come first", async () => {
  const many = Array.from({ length: 17 }, (_, i) => newSigner(`many${i}.example`));
  const urls = await Promise.all(
    many.map(async (one) => {
      const server = await serveAnything(answering(async (_, text) => `${await lineBy(one, text, now())}\n`));
      serving.push(server);
      return server.url;
    }),
  );
  const lines = many.map((one, i) => `witness m${i} ${formatVkey(witnessKeyOf(one))} ${urls[i]}`);
  const text = [`log ${formatVkey(signer.vkey)}`, ...lines, "group last all m15 m16", "quorum last"].join(
    "\n",
  );
  const { told } = await add(parsePolicy(new Uint8Array(Buffer.from(text)), nodeCrypto), first(1));
  assert.is(told.cosigned.length, 17);
  assert.is(cosigners().length, 16);
  assert.ok(cosigners().includes("many15.example") && cosigners().includes("many16.example"));
});
gather.run();
