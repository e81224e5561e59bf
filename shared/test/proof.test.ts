import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, equalBytes, toHex, utf8Encode } from "../src/bytes";
import { leafHash, memoryReader, proveInclusion, rootOf } from "../src/merkle";
import { formatProof, openProof, parseProof } from "../src/proof";
import { isRefusal } from "../src/refusal";
import { parseVkey } from "../src/vkey";
import { checkpointNote, testCrypto, testKey } from "./keys";
import { counting, flips, publishedBytes, refusal } from "./vectors";

const proofs = suite("proof");

const WORKED = Buffer.from(publishedBytes("worked/release.tlog-proof")).toString();
const workedLog = parseVkey(Buffer.from(publishedBytes("worked/vkeys")).toString().split("\n")[0]!);
// The worked proof carries an `extra` line, which ours refuse; without it, it is one of ours.
const withoutExtra = utf8Encode(WORKED.replace(/^extra .*\n/m, ""));

proofs("the worked proof is refused for its extra line, by name", () => {
  assert.throws(() => parseProof(utf8Encode(WORKED)), refusal("proof-extra"));
});

proofs("the worked proof without it places the release in the log, and prints again", () => {
  const record = publishedBytes("worked/release.dsse.json");
  const { index, checkpoint } = openProof(withoutExtra, record, workedLog, testCrypto);
  assert.is(index, 2n);
  assert.is(checkpoint.size, 5n);
  const parsed = parseProof(withoutExtra);
  assert.ok(equalBytes(parsed.checkpoint, publishedBytes("worked/log/checkpoint")));
  assert.is(toHex(formatProof(parsed)), toHex(withoutExtra));
});

const log = testKey("log.example");
const RECORDS = Array.from({ length: 9 }, (_, i) => utf8Encode(`record ${i}`));
const READER = memoryReader(
  RECORDS.map((record) => leafHash(record, testCrypto)),
  testCrypto,
);
const NOTE = checkpointNote(log, { size: 9n, root: rootOf(9n, READER, testCrypto) });
const proofOf = (index: bigint) =>
  formatProof({ index, hashes: proveInclusion(index, 9n, READER, testCrypto), checkpoint: NOTE });

proofs("each record opens with its own proof and with no other's", () => {
  for (let i = 0; i < 9; i++)
    for (let j = 0; j < 9; j++) {
      const open = () => openProof(proofOf(BigInt(i)), RECORDS[j]!, log.vkey, testCrypto);
      if (i === j) assert.is(open().index, BigInt(i));
      else assert.throws(open, refusal("inclusion-mismatch"));
    }
});

proofs("no byte of a proof can change", () => {
  for (const [at, bent] of flips(proofOf(5n)))
    assert.throws(() => openProof(bent, RECORDS[5]!, log.vkey, testCrypto), isRefusal, `byte ${at}`);
});

const [head, ...rest] = Buffer.from(proofOf(5n)).toString().split("\n") as [string, ...string[]];
const file = (...lines: string[]) => utf8Encode([...lines, ...rest.slice(1)].join("\n"));

for (const [name, bytes, code] of [
  ["nothing", utf8Encode(""), "malformed-proof"],
  ["no empty line", utf8Encode(`${head}\nindex 5\n`), "malformed-proof"],
  ["another first line", file("hello", "index 5"), "malformed-proof"],
  ["version 2", file("c2sp.org/tlog-proof@v2", "index 5"), "unsupported-version"],
  ["an extra line", file(head, "extra AAAA", "index 5"), "proof-extra"],
  ["no index line", file(head), "malformed-proof"],
  ["index 005", file(head, "index 005"), "malformed-proof"],
  ["a negative index", file(head, "index -5"), "malformed-proof"],
  ["an index of 2^63", file(head, "index 9223372036854775808"), "malformed-proof"],
  ["two spaces before the index", file(head, "index  5"), "malformed-proof"],
  ["CRLF", file(`${head}\r`, "index 5"), "malformed-proof"],
  ["two index lines", file(head, "index 5", "index 5"), "malformed-proof"],
  [
    "a hash of 31 bytes",
    file(head, "index 5", Buffer.from(counting(31)).toString("base64")),
    "malformed-proof",
  ],
  ["a hash with stray bits", file(head, "index 5", `${"A".repeat(42)}B=`), "malformed-proof"],
  ["64 hashes", file(head, "index 5", ...new Array<string>(61).fill(rest[1]!)), "malformed-proof"],
  ["bytes that aren't UTF-8", concatBytes([file(head, "index 5"), Uint8Array.of(0xff)]), "malformed-proof"],
  ["70 000 bytes", concatBytes([proofOf(5n), new Uint8Array(70_000)]), "too-large"],
] as const)
  proofs(`refuses: ${name}`, () => assert.throws(() => parseProof(bytes), refusal(code)));

proofs("a hash too many or too few is refused when the proof is opened", () => {
  const { hashes, ...proof } = parseProof(proofOf(5n));
  for (const list of [hashes.slice(1), [...hashes, hashes[0]!]])
    assert.throws(
      () => openProof(formatProof({ ...proof, hashes: list }), RECORDS[5]!, log.vkey, testCrypto),
      refusal("malformed-proof"),
    );
});

proofs("a proof under another log's checkpoint is refused", () => {
  assert.throws(
    () => openProof(proofOf(5n), RECORDS[5]!, testKey("other").vkey, testCrypto),
    refusal("unknown-log"),
  );
});

proofs("printing and reading are inverse", () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }),
      fc.array(hash, { maxLength: 63 }),
      (index, hashes) => {
        const proof = { index, hashes, checkpoint: NOTE };
        assert.equal(parseProof(formatProof(proof)), proof);
      },
    ),
  );
});

proofs("the proof of a log with one record has no hash", () => {
  const single = memoryReader([leafHash(RECORDS[0]!, testCrypto)], testCrypto);
  const checkpoint = checkpointNote(log, { size: 1n, root: rootOf(1n, single, testCrypto) });
  const bytes = formatProof({ index: 0n, hashes: [], checkpoint });
  assert.ok(Buffer.from(bytes).toString().startsWith("c2sp.org/tlog-proof@v1\nindex 0\n\nlog.example\n1\n"));
  assert.is(openProof(bytes, RECORDS[0]!, log.vkey, testCrypto).index, 0n);
});

proofs.run();
