import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { concatBytes, fromBase64, fromHex, toHex, utf8Encode } from "../src/bytes";
import {
  formatNote,
  MAX_NOTE,
  openNote,
  parseNote,
  signatureLine,
  signaturesBy,
  verifyNote,
} from "../src/note";
import { isRefusal } from "../src/refusal";
import { makeVkey, parseVkey, type Vkey } from "../src/vkey";
import { lineBy, testCrypto, testKey } from "./keys";
import { flips, publishedJson, refusal } from "./vectors";

const notes = suite("note");

interface Row {
  name: string;
  note?: string;
  note_b64?: string;
  valid: boolean;
  keys?: string[];
  ed25519_public_hex?: string;
  verified?: string[];
  unverified?: string[];
}

const vkeysOf = (row: Row): Vkey[] => {
  if (row.keys) return row.keys.map((key) => parseVkey(key));
  // Issue 99 gives a bare key; its name is the origin that it signs for.
  return [makeVkey(row.note!.split("\n")[0]!, 1, fromHex(row.ed25519_public_hex!)!)];
};

// Every row of both files is run; none is left out.
for (const [path, count] of [
  ["golang-mod/open.json", 15],
  ["c2sp/c2sp-example.json", 3],
] as const) {
  const rows = publishedJson<{ cases: Row[] }>(path).cases;
  notes(`${path} has its ${count} rows`, () => assert.is(rows.length, count));
  for (const row of rows)
    notes(`${path}: ${row.name}: ${row.valid ? "opens" : "is refused"}`, () => {
      const bytes = row.note === undefined ? fromBase64(row.note_b64!)! : utf8Encode(row.note);
      const open = () => openNote(bytes, vkeysOf(row), testCrypto);
      if (!row.valid) {
        assert.throws(open, isRefusal);
        return;
      }
      const { note, verified } = open();
      const label = (name: string, keyId: Uint8Array) => `${name}+${toHex(keyId)}`;
      const seen = new Set(verified.map((v) => label(v.name, v.keyId)));
      if (row.verified) assert.equal([...seen], row.verified);
      const others = note.signatures.map((s) => label(s.name, s.keyId)).filter((l) => !seen.has(l));
      if (row.unverified) assert.equal([...new Set(others)], row.unverified);
    });
}

const alice = testKey("alice.example");
const bob = testKey("bob.example");
const TEXT = "one\n\ntwo\n";
const NOTE = formatNote(TEXT, [lineBy(alice, TEXT), lineBy(bob, TEXT)]);

notes("the text ends at the last empty line, and both keys are found", () => {
  const { note, verified } = openNote(NOTE, [alice.vkey, bob.vkey], testCrypto);
  assert.is(note.text, TEXT);
  assert.is(toHex(note.textBytes), toHex(utf8Encode(TEXT)));
  assert.equal(
    verified.map((v) => v.name),
    ["alice.example", "bob.example"],
  );
  assert.is(signaturesBy(note, bob.vkey)[0]!.line, lineBy(bob, TEXT));
});

notes("no byte can change and the note still open for both", () => {
  for (const [at, bent] of flips(NOTE)) {
    try {
      const { verified } = openNote(bent, [alice.vkey, bob.vkey], testCrypto);
      assert.is(verified.length, 1, `byte ${at}`); // the other line now names a stranger
    } catch (error) {
      assert.ok(isRefusal(error), `byte ${at}: ${error}`);
    }
  }
});

notes("a lie by a known key condemns the note, one by a stranger doesn't", () => {
  const lie = signatureLine("bob.example", bob.vkey.keyId, alice.sign(utf8Encode(TEXT)));
  const note = formatNote(TEXT, [lineBy(alice, TEXT), lie]);
  assert.throws(() => openNote(note, [alice.vkey, bob.vkey], testCrypto), refusal("bad-signature"));
  assert.is(openNote(note, [alice.vkey], testCrypto).verified.length, 1);
  assert.is(verifyNote(parseNote(note), testKey("carol.example").vkey, testCrypto), false);
});

notes("of two signatures by one key both must be good", () => {
  const good = lineBy(alice, TEXT);
  const bad = signatureLine("alice.example", alice.vkey.keyId, bob.sign(utf8Encode(TEXT)));
  const open = (lines: string[]) => openNote(formatNote(TEXT, lines), [alice.vkey], testCrypto);
  assert.is(open([good, good]).verified.length, 1);
  assert.throws(() => open([good, bad]), refusal("bad-signature"));
});

notes("a cosignature key can't be used as a log's", () => {
  assert.throws(
    () => verifyNote(parseNote(NOTE), testKey("w", 4).vkey, testCrypto),
    (error: unknown) => !isRefusal(error),
  );
});

const line = lineBy(alice, TEXT);
const raw = (text: string) => utf8Encode(text);

for (const [name, bytes, code] of [
  ["nothing", raw(""), "malformed-note"],
  ["no empty line", raw(`text\n${line}\n`), "malformed-note"],
  ["no signature", raw("text\n\n"), "malformed-note"],
  ["a last line that doesn't end", raw(`text\n\n${line}`), "malformed-note"],
  ["CRLF", raw(`text\r\n\r\n${line}\r\n`), "malformed-note"],
  ["a tab", raw(`te\txt\n\n${line}\n`), "malformed-note"],
  ["a NUL", raw(`te\0xt\n\n${line}\n`), "malformed-note"],
  [
    "bytes that aren't UTF-8",
    concatBytes([Uint8Array.of(0xc0, 0x80), raw(`\n\n${line}\n`)]),
    "malformed-note",
  ],
  ["a hyphen for the dash", raw(`text\n\n${line.replace("—", "-")}\n`), "malformed-note"],
  ["an en dash", raw(`text\n\n${line.replace("—", "–")}\n`), "malformed-note"],
  ["two spaces after the dash", raw(`text\n\n${line.replace("— ", "—  ")}\n`), "malformed-note"],
  ["a space at the end of a line", raw(`text\n\n${line} \n`), "malformed-note"],
  ["a plus in the name", raw(`text\n\n${line.replace("alice.", "alice+")}\n`), "malformed-note"],
  ["base64 without padding", raw(`text\n\n${line.replace(/=+$/, "")}\n`), "malformed-note"],
  ["base64 with stray bits", raw(`text\n\n— a AAAAAAB=\n`), "malformed-note"],
  ["an id without a signature", raw(`text\n\n— a AAAAAA==\n`), "malformed-note"],
  ["a line that is no signature", raw(`text\n\n${line}\nmore\n`), "malformed-note"],
  ["17 signatures", raw(`text\n\n${`${line}\n`.repeat(17)}`), "malformed-note"],
  ["more than 64 KiB", raw(`${"x".repeat(MAX_NOTE)}\n\n${line}\n`), "too-large"],
] as const)
  notes(`refuses: ${name}`, () => assert.throws(() => parseNote(bytes), refusal(code)));

notes("takes 16 signatures", () => {
  assert.is(parseNote(raw(`text\n\n${`${line}\n`.repeat(16)}`)).signatures.length, 16);
});

notes("what formatNote writes, parseNote reads back", () => {
  const blob = fc.uint8Array({ minLength: 1, maxLength: 80 });
  const id = fc.uint8Array({ minLength: 4, maxLength: 4 });
  const name = fc.stringMatching(/^[!-*,-~]{1,12}$/);
  const signature = fc.tuple(name, id, blob);
  const text = fc.stringMatching(/^[ -~\nàé—]{0,60}$/).map((t) => `${t}\n`);
  fc.assert(
    fc.property(text, fc.array(signature, { minLength: 1, maxLength: 16 }), (t, list) => {
      const note = parseNote(
        formatNote(
          t,
          list.map((s) => signatureLine(...s)),
        ),
      );
      assert.is(note.text, t);
      assert.equal(
        note.signatures.map((s) => [s.name, s.keyId, s.signature]),
        list,
      );
    }),
  );
});

notes("any bytes are read or refused, never a crash", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      try {
        parseNote(concatBytes([bytes, raw("\n\n— a "), bytes]));
      } catch (error) {
        assert.ok(refusal("malformed-note")(error), `${error}`);
      }
    }),
  );
});

notes.run();
