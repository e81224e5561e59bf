import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex, utf8Encode } from "@vouch/shared/bytes";
import { isRefusal } from "@vouch/shared/refusal";
import { formatVkey, makeVkey, parseVkey } from "@vouch/shared/vkey";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeKeyFiles, nameExistingKey } from "../src/commands/keygen";
import { nodeCrypto } from "../src/crypto";
import { describe } from "../src/exit";
import { createKey, openKey, publicKeyOf, vkeyPathOf } from "../src/keys";
import { loadSigner, splitWords } from "../src/signer";
import { readVkey } from "../src/vkeyfile";
import { refuses, withCut } from "./maker-kit";
import { memoryIo } from "./memory-io";

const keys = suite("keys");
let folder = "";
keys.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "vouch-keys-"));
});
keys.after.each(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string) => join(folder, name);
const file = (name: string, content: string) => {
  writeFileSync(at(name), content, { mode: 0o700 });
  return at(name);
};
const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "pipe"] });
const never = async (): Promise<string> => assert.unreachable("no passphrase is needed") as never;

keys("openssl reads a plain and an encrypted key, and sees the same public key", () => {
  for (const passphrase of [null, "päss word"]) {
    const key = createKey(passphrase);
    const path = file(`k${passphrase === null}`, key.pem);
    const pass = file("pass", `${passphrase ?? "unused"}\n`);
    const der = openssl("pkey", "-in", path, "-passin", `file:${pass}`, "-pubout", "-outform", "DER");
    assert.is(der.subarray(-32).toString("hex"), toHex(key.publicKey));
  }
});

keys("an encrypted key is PBES2 with 600,000 rounds of HMAC-SHA-256 and AES-256-CBC", () => {
  const path = file("k", createKey("x").pem);
  const asn1 = openssl("asn1parse", "-in", path).toString();
  for (const part of [/:PBES2/, /:PBKDF2/, /:0927C0/, /:hmacWithSHA256/, /:aes-256-cbc/])
    assert.match(asn1, part);
});

keys("we read what openssl makes, plain and encrypted in each of its usual ways", async () => {
  const pass = file("pass", "secret\n");
  for (const flags of [[], ["-aes-256-cbc"], ["-aes-128-cbc"], ["-aria-256-cbc"]]) {
    const encrypted = flags.length > 0 ? [...flags, "-pass", `file:${pass}`] : [];
    openssl("genpkey", "-algorithm", "ed25519", ...encrypted, "-out", at("o.pem"));
    const der = openssl("pkey", "-in", at("o.pem"), "-passin", `file:${pass}`, "-pubout", "-outform", "DER");
    const key = await openKey(readFileSync(at("o.pem")), flags.length > 0 ? async () => "secret" : never);
    assert.is(toHex(publicKeyOf(key)), der.subarray(-32).toString("hex"), flags.join(" "));
  }
});

keys("a key of openssl signs under the name that keygen --existing gives it", async () => {
  openssl("genpkey", "-algorithm", "ed25519", "-out", at("o.pem"));
  const io = memoryIo();
  await refuses("vkey-missing", () => loadSigner({ key: at("o.pem") }, io));
  const made = await nameExistingKey({ name: "acme", file: at("o.pem"), cosigner: false }, io);
  assert.is(made.vkeyPath, at("o.pem.vkey"));
  const signer = await loadSigner({ key: at("o.pem") }, io);
  assert.is(signer.name, "acme");
  const message = utf8Encode("hello");
  assert.ok(nodeCrypto.verifyEd25519(signer.publicKey, message, await signer.sign(message)));
});

for (const [name, code, content] of [
  ["nothing", "malformed-key", () => ""],
  ["binary", "malformed-key", () => "\u0000\u0001"],
  [
    "a public key",
    "malformed-key",
    (dir: string) => {
      openssl("genpkey", "-algorithm", "ed25519", "-out", join(dir, "p"));
      return openssl("pkey", "-in", join(dir, "p"), "-pubout").toString();
    },
  ],
  [
    "an RSA key",
    "unsupported-key",
    (dir: string) => {
      openssl("genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:1024", "-out", join(dir, "p"));
      return readFileSync(join(dir, "p"), "utf8");
    },
  ],
  [
    "an X25519 key",
    "unsupported-key",
    (dir: string) => {
      openssl("genpkey", "-algorithm", "x25519", "-out", join(dir, "p"));
      return readFileSync(join(dir, "p"), "utf8");
    },
  ],
  [
    "a key cut short",
    "malformed-key",
    () => createKey(null).pem.replace(/[A-Za-z0-9+/]{8}\n-----END/, "\n-----END"),
  ],
  ["an encrypted key and another passphrase", "wrong-passphrase", () => createKey("right").pem],
] as const) {
  keys(`refuses: ${name}`, async () => {
    const path = file("k.key", content(folder));
    file("k.vkey", `${formatVkey(makeVkey("acme", 1, createKey(null).publicKey))}\n`);
    const pass = file("pass", "wrong\n");
    await refuses(code, () => loadSigner({ key: path, passphraseFile: pass }, memoryIo()));
  });
}

keys("a wrong passphrase appears in no error, not even with --debug", async () => {
  const key = file("k.key", createKey("right").pem);
  file("k.vkey", `${formatVkey(makeVkey("acme", 1, createKey(null).publicKey))}\n`);
  const pass = file("pass", "hunter2-hunter2\n");
  try {
    await loadSigner({ key, passphraseFile: pass }, memoryIo());
    assert.unreachable("it was refused");
  } catch (error) {
    assert.not.match(describe(error, true), /hunter2/);
    assert.match(describe(error, true), /\[wrong-passphrase\]/);
  }
});

keys("keygen writes a 0600 key and its verifier key, and never overwrites either", async () => {
  const made = await makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo());
  assert.is(made.keyPath, at("acme.key"));
  assert.is(statSync(made.keyPath).mode & 0o777, 0o600);
  assert.is(readFileSync(at("acme.vkey"), "utf8"), `${made.vkey}\n`);
  assert.is(
    toHex((await loadSigner({ key: made.keyPath }, memoryIo())).publicKey),
    toHex(parseVkey(made.vkey).publicKey),
  );
  const before = readFileSync(made.keyPath, "utf8");
  await refuses("exists", () =>
    makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo()),
  );
  rmSync(at("acme.key"));
  await refuses("exists", () =>
    makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo()),
  );
  assert.throws(
    () => statSync(at("acme.key")),
    (e: Error) => /ENOENT/.test(e.message),
  );
  assert.ok(before.includes("BEGIN PRIVATE KEY"));
});

keys(
  "keygen killed at any moment leaves no copy of a key that the next one of that name doesn't remove",
  async () => {
    const want = { name: "acme", output: folder, plain: true, cosigner: false };
    const hidden = () => readdirSync(folder).filter((name) => name.endsWith(".tmp"));
    let leftOver = 0;
    for (let cut = 0; ; cut++) {
      const { finished } = await withCut(cut, true, () => makeKeyFiles(want, memoryIo()));
      leftOver += hidden().length;
      for (const name of hidden().filter((n) => n.startsWith(".acme.key."))) {
        assert.is(statSync(at(name)).mode & 0o077, 0, name);
      }
      await makeKeyFiles(want, memoryIo()).catch((error) => assert.is(error.code, "exists"));
      assert.equal(hidden(), [], `cut ${cut}`);
      if (finished) break;
      for (const name of readdirSync(folder)) rmSync(at(name));
    }
    assert.ok(leftOver > 2, `only ${leftOver} copies were left to remove`);
  },
);

keys("what another process is writing at that moment, or isn't ours, keygen leaves alone", async () => {
  const token = "0123456789ab";
  const others = [
    `.acme.key.${process.ppid}-${token}.tmp`,
    `.acme.key.${token}.tmp`,
    `.other.key.${2 ** 22 + 1}-${token}.tmp`,
  ];
  for (const name of others) file(name, "x");
  const dead = file(`.acme.key.${2 ** 22 + 1}-${token}.tmp`, "x"); // beyond what a 64-bit Linux gives out
  await makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo());
  assert.not(existsSync(dead));
  for (const name of others) assert.ok(existsSync(at(name)), name);
});

keys("keygen --cosigner gives a verifier key of type 04, a name with a slash a plain file name", async () => {
  const made = await makeKeyFiles(
    { name: "example.org/ledger", output: `${folder}/new`, plain: true, cosigner: true },
    memoryIo(),
  );
  assert.is(parseVkey(made.vkey).type, 4);
  assert.is(made.keyPath, join(folder, "new.key"));
  const inside = await makeKeyFiles(
    { name: "example.org/ledger", output: folder, plain: true, cosigner: true },
    memoryIo(),
  );
  assert.is(inside.keyPath, at("example.org-ledger.key"));
});

keys("a passphrase is asked twice on creation, once on use, and a slip is refused", async () => {
  const answering = (...answers: string[]) => memoryIo({ tty: true, answers });
  const want = { name: "acme", output: folder, plain: false, cosigner: false };
  await refuses("passphrase-mismatch", () => makeKeyFiles(want, answering("one", "two")));
  await refuses("empty-passphrase", () => makeKeyFiles(want, answering("", "")));
  await makeKeyFiles(want, answering("one", "one"));
  const io = answering("one");
  await loadSigner({ key: at("acme.key") }, io);
  assert.is(io.err(), `passphrase for ${at("acme.key")}: `);
  await refuses("not-a-terminal", () => loadSigner({ key: at("acme.key") }, memoryIo()));
});

for (const name of ["", "two words", "a+b", "a\nb", "\u202eacme", "x".repeat(129)]) {
  keys(`keygen refuses the name ${JSON.stringify(name.slice(0, 12))} and writes nothing`, async () => {
    await refuses("malformed-vkey", () =>
      makeKeyFiles({ name, output: `${folder}/k`, plain: true, cosigner: false }, memoryIo()),
    );
    assert.throws(
      () => statSync(at("k.key")),
      (e: Error) => /ENOENT/.test(e.message),
    );
  });
}

keys("a key and another key's vkey are refused together", async () => {
  file("k.key", createKey(null).pem);
  file("k.vkey", `${formatVkey(makeVkey("acme", 1, createKey(null).publicKey))}\n`);
  await refuses("vkey-mismatch", () => loadSigner({ key: at("k.key") }, memoryIo()));
});

// An outside signer as a card reader's program would be: asked for `public`, then to `sign`.
function outsideSigner(body: string): string {
  return file(
    "signer.mjs",
    `import { createPrivateKey, sign } from "node:crypto";
import { readFileSync } from "node:fs";
const verb = process.argv.at(-1);
const vkey = readFileSync(${JSON.stringify(at("acme.vkey"))}, "utf8");
const key = () => createPrivateKey(readFileSync(${JSON.stringify(at("acme.key"))}));
const signature = () => sign(null, readFileSync(0), key()).toString("base64");
${body}
`,
  );
}

keys("an outside signer gives its name, and signatures that verify", async () => {
  await makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo());
  const program = outsideSigner(`console.log(verb === "public" ? vkey.trim() : signature());`);
  const signer = await loadSigner({ signerCmd: `"${process.execPath}" '${program}' --slot 1` }, memoryIo());
  assert.is(signer.name, "acme");
  const message = new Uint8Array(100_000).fill(7);
  assert.ok(nodeCrypto.verifyEd25519(signer.publicKey, message, await signer.sign(message)));
});

for (const [name, code, body] of [
  [
    "signs something else",
    "signer-failed",
    `console.log(verb === "public" ? vkey.trim() : Buffer.alloc(64).toString("base64"));`,
  ],
  [
    "answers with no base64",
    "signer-failed",
    `console.log(verb === "public" ? vkey.trim() : "touch the card");`,
  ],
  ["fails", "signer-failed", `if (verb === "public") console.log(vkey.trim()); else process.exitCode = 3;`],
  ["floods", "signer-failed", `console.log(verb === "public" ? vkey.trim() : "A".repeat(1e6));`],
] as const) {
  keys(`refuses: an outside signer that ${name}`, async () => {
    await makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo());
    const signerCmd = `"${process.execPath}" '${outsideSigner(body)}'`;
    const signer = await loadSigner({ signerCmd, signerTimeout: 60 }, memoryIo());
    await refuses(code, () => signer.sign(utf8Encode("x")));
  });
}

// Where the signer's time is short, it is a shell's script: that runs at once on a machine where a Node takes seconds.
const shellSigner = (script: string) => `sh '${file("signer.sh", script)}'`;

keys("refuses: an outside signer that is silent", async () => {
  await makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo());
  const script = `if [ "$1" = public ]; then cat '${at("acme.vkey")}'; else exec sleep 60; fi\n`;
  const signer = await loadSigner({ signerCmd: shellSigner(script), signerTimeout: 2 }, memoryIo());
  await refuses("signer-timeout", () => signer.sign(utf8Encode("x")));
});

for (const [name, answers] of [
  ["before it answers", false],
  ["after a whole answer", true],
] as const) {
  keys(`an outside signer whose own child keeps its stdout, ${name}, is not waited for`, async () => {
    await makeKeyFiles({ name: "acme", output: folder, plain: true, cosigner: false }, memoryIo());
    const script = `sleep 600 2>/dev/null &\necho $! > '${at("pid")}'\n${answers ? `cat '${at("acme.vkey")}'\n` : ""}`;
    const waitedFor = () =>
      process.getActiveResourcesInfo().filter((what) => /^(PipeWrap|ProcessWrap)$/.test(what)).length;
    const before = waitedFor();
    const signerCmd = shellSigner(script);
    await refuses("signer-timeout", () => loadSigner({ signerCmd, signerTimeout: 2 }, memoryIo()));
    await new Promise((resolve) => setImmediate(resolve));
    assert.is(waitedFor(), before, "the process would not end");
    process.kill(Number(readFileSync(at("pid"), "utf8")));
  });
}

keys("refuses: an outside signer that isn't there, or whose key is none", async () => {
  await refuses("signer-failed", () => loadSigner({ signerCmd: at("nobody") }, memoryIo()));
  const program = file("s.mjs", `console.log("no key");`);
  await refuses("malformed-vkey", () =>
    loadSigner({ signerCmd: `"${process.execPath}" '${program}'` }, memoryIo()),
  );
  await refuses("usage", () => loadSigner({}, memoryIo()));
  await refuses("usage", () => loadSigner({ key: "a", signerCmd: "b" }, memoryIo()));
});

keys("a signer command is words and quotes, nothing more", () => {
  assert.equal(splitWords(`pkcs "a b" c'd e'f  $HOME|x`), ["pkcs", "a b", "cd ef", "$HOME|x"]);
  assert.equal(splitWords(` "" x `), ["", "x"]);
  for (const bad of ["", "  ", `a "b`, "a 'b"]) {
    assert.throws(
      () => splitWords(bad),
      (e: unknown) => isRefusal(e) && e.code === "usage",
    );
  }
});

keys("the verifier key of x.key is x.vkey; of anything else the name with .vkey after it", () => {
  assert.equal(["a/x.key", "x.pem", "x"].map(vkeyPathOf), ["a/x.vkey", "x.pem.vkey", "x.vkey"]);
});

keys("a verifier key may be given as text or as a file, also when its name holds slashes", () => {
  const line = formatVkey(makeVkey("example.org/a/log", 1, createKey(null).publicKey));
  assert.is(readVkey(line).name, "example.org/a/log");
  assert.is(formatVkey(readVkey(file("x.vkey", `${line}\n`))), line);
  assert.is(formatVkey(readVkey(file("y.vkey", line))), line);
});

keys.run();
