import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex, utf8Decode, utf8Encode } from "../src/bytes";
import { sha256 } from "../src/sha256";
import {
  type AdvisoryStatement,
  type AdvisoryWithdrawal,
  type EnrolmentStatement,
  formatStatement,
  parseStatement,
  type ReleaseStatement,
  type Statement,
  type StatusStatement,
} from "../src/statement";
import { testKey } from "./keys";
import { refusal } from "./vectors";

const statements = suite("statement");

const D1 = "11".repeat(32);
const D2 = "22".repeat(32);
const CREATED = "2026-01-15T09:00:00Z";

const RELEASE: ReleaseStatement = {
  kind: "release",
  subjects: [
    { name: "app", sha256: D1 },
    { name: "engine", sha256: D2 },
  ],
  product: "pump-400",
  version: "2.4.1",
  securityVersion: 7,
  floor: 5,
  hardware: { model: "PUMP400", revisions: ["A", "B"] },
  entry: { offset: 0, length: 4096 },
  suitDigest: D2,
  changeClass: "patch",
  created: CREATED,
};

const FULL: ReleaseStatement = {
  ...RELEASE,
  udiDi: "09506000117843",
  sbom: { sha256: D1, mediaType: "application/vnd.cyclonedx+json" },
  sourceCommit: "0123456789abcdef0123456789abcdef01234567",
  supportEnds: "2031-12-31",
};

const ADVISORY: AdvisoryStatement = {
  kind: "advisory",
  subjects: [{ name: "app", sha256: D1 }],
  id: "ACME-2026-001",
  product: "pump-400",
  advisoryKind: "security",
  state: "affected",
  fixedVersions: ["2.4.2"],
  summary: "A crafted rate can be set over the serial line",
  created: CREATED,
};

const TOLD: AdvisoryStatement = {
  ...ADVISORY,
  revision: 2,
  aliases: ["CVE-2026-1234", "GHSA-aaaa-bbbb-cccc"],
  affected: "vers:semver/>=2.0.0|<2.4.2",
  releases: [
    { version: "2.3.9", status: "not_affected", justification: "inline_mitigations_already_exist" },
    { version: "2.4.0", status: "under_investigation" },
  ],
  cvss: ["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"],
  class: "out-of-cycle",
  deadline: "2026-02-15T00:00:00Z",
  references: ["https://acme.example/1", "RISK 12"],
};

const WITHDRAWAL: AdvisoryWithdrawal = {
  kind: "advisory-withdrawal",
  records: [D1, D2],
  id: "ACME-2026-001",
  product: "pump-400",
  reason: "it was another pump",
  created: CREATED,
};

const STATUS: StatusStatement = {
  kind: "status",
  origin: "fwlog.acme.example",
  rootSha256: D1,
  product: "pump-400",
  logSize: 9,
  advisories: [
    { id: "ACME-2026-001", index: 3, sha256: D1 },
    { id: "ACME-2026-002", index: 8, sha256: D2 },
  ],
  withdrawn: [
    { sha256: D1, reason: "signed by mistake" },
    { sha256: D2, reason: "superseded" },
  ],
  created: CREATED,
};

const ENROLMENT: EnrolmentStatement = {
  kind: "enrolment",
  product: "pump-400",
  model: "PUMP400",
  serial: "SN 1042",
  ueid: `01${"ab".repeat(16)}`,
  publicKey: testKey("device").vkey.publicKey,
  keyOrigin: "device",
  created: CREATED,
};

const COMMITTED: Statement = { kind: "enrolment-commitment", sha256: D1, created: CREATED };
const EVIDENCE: Statement = { kind: "evidence-commitment", sha256: D2, created: CREATED };
const RENEWAL: Statement = {
  kind: "renewal-commitment",
  sha256: D2,
  sha512: `${D1}${D2}`,
  sha3: D1,
  created: CREATED,
};
const STREAM: Statement = { kind: "stream-commitment", sha256: D2, created: CREATED };
const FLEET: Statement = { kind: "fleet-commitment", sha256: D2, size: 200, created: CREATED };

const ALL: readonly Statement[] = [
  RELEASE,
  FULL,
  ADVISORY,
  STATUS,
  { ...STATUS, newest: ["1.9.7", "2.4.1", "10.0.0"] },
  TOLD,
  { ...TOLD, subjects: [] },
  WITHDRAWAL,
  ENROLMENT,
  COMMITTED,
  EVIDENCE,
  FLEET,
  STREAM,
  RENEWAL,
];

for (const statement of ALL)
  statements(`printing and reading a ${statement.kind} are inverse`, () => {
    const bytes = formatStatement(statement);
    assert.equal(parseStatement(bytes), statement);
    assert.is(toHex(formatStatement(parseStatement(bytes))), toHex(bytes));
  });

statements("a release is an in-toto Statement of exactly these bytes", () => {
  assert.is(
    utf8Decode(formatStatement(FULL)),
    `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":"${D1}"}},` +
      `{"name":"engine","digest":{"sha256":"${D2}"}}],"predicateType":"https://vouch.example/release/v1",` +
      `"predicate":{"product":"pump-400","version":"2.4.1","securityVersion":7,"floor":5,` +
      `"hardware":{"model":"PUMP400","revisions":["A","B"]},"entry":{"offset":0,"length":4096},` +
      `"suit":{"digest":{"sha256":"${D2}"}},"changeClass":"patch","created":"${CREATED}",` +
      `"udiDi":"09506000117843","sbom":{"digest":{"sha256":"${D1}"},"mediaType":"application/vnd.cyclonedx+json"},` +
      `"source":{"commit":"0123456789abcdef0123456789abcdef01234567"},"supportEnds":"2031-12-31"}}`,
  );
});

statements("an enrolment's subject is the SHA-256 of its key", () => {
  const text = utf8Decode(formatStatement(ENROLMENT))!;
  assert.ok(
    text.includes(
      `"subject":[{"name":"device-key","digest":{"sha256":"${toHex(sha256(ENROLMENT.publicKey))}"}}]`,
    ),
  );
});

type Json = Record<string, unknown>;
interface Wire extends Json {
  subject: { name: string; digest: Json }[];
  predicate: Json;
}

/** The statement as JSON with one thing changed. */
function bent(statement: Statement, change: (wire: Wire) => unknown): Uint8Array {
  const wire = JSON.parse(utf8Decode(formatStatement(statement))!) as Wire;
  const changed = change(wire);
  return utf8Encode(JSON.stringify(changed === undefined ? wire : changed));
}

const set = (key: string, value: unknown) => (wire: Wire) => {
  wire.predicate[key] = value;
};

const outside = (key: string, value: unknown) => (wire: Wire) => {
  (wire as Json)[key] = value;
};

const nameOf = (i: number, name: string) => (wire: Wire) => {
  wire.subject[i]!.name = name;
};

const digestOf = (i: number, algorithm: string, value: string) => (wire: Wire) => {
  wire.subject[i]!.digest[algorithm] = value;
};

type Flaw = [name: string, statement: Statement, change: (wire: Wire) => unknown, code?: string];

const FLAWS: Flaw[] = [
  ["an array", RELEASE, () => []],
  ["another _type", RELEASE, outside("_type", "https://in-toto.io/Statement/v0.1")],
  ["no subject", RELEASE, outside("subject", [])],
  ["a subject twice", RELEASE, (w) => void w.subject.push(w.subject[0]!)],
  ["two digests of one component", RELEASE, nameOf(1, "app")],
  [
    "five components",
    RELEASE,
    (w) => void w.subject.push(...["b", "c", "d"].map((name) => ({ ...w.subject[0]!, name }))),
  ],
  ["a component name with a space", RELEASE, nameOf(0, "the app")],
  ["a digest of another algorithm beside", RELEASE, digestOf(0, "sha512", "00")],
  ["an upper-case digest", RELEASE, digestOf(0, "sha256", "AA".repeat(32))],
  ["a short digest", RELEASE, digestOf(0, "sha256", "11")],
  [
    "a predicate of another project",
    RELEASE,
    outside("predicateType", "https://slsa.dev/provenance/v1"),
    "unsupported-statement",
  ],
  [
    "a later version of a predicate",
    RELEASE,
    outside("predicateType", "https://vouch.example/release/v2"),
    "unsupported-statement",
  ],
  [
    "an unknown predicate of ours",
    RELEASE,
    outside("predicateType", "https://vouch.example/toString/v1"),
    "unsupported-statement",
  ],
  ["a predicate type that is too short", RELEASE, outside("predicateType", "x"), "unsupported-statement"],
  ["another kind's predicate", RELEASE, outside("predicateType", "https://vouch.example/status/v1")],
  ["no predicate", RELEASE, (w) => ({ _type: w._type, subject: w.subject, predicateType: w.predicateType })],
  ["an unknown key outside", RELEASE, outside("extra", 1)],
  ["an unknown key inside", RELEASE, set("extra", 1)],
  [
    "keys in another order",
    RELEASE,
    (w) => ({ ...w, predicate: { version: "2.4.1", ...w.predicate, product: "p" } }),
    "not-canonical-json",
  ],
  ["product with a space", RELEASE, set("product", "pump 400")],
  ["an empty product", RELEASE, set("product", "")],
  ["a version of two numbers", RELEASE, set("version", "2.4")],
  ["a version with a v", RELEASE, set("version", "v2.4.1")],
  ["a version with a leading zero", RELEASE, set("version", "2.04.1")],
  ["a pre-release with a leading zero", RELEASE, set("version", "2.4.1-01")],
  ["an empty pre-release part", RELEASE, set("version", "2.4.1-a..b")],
  ["a version of 70 characters", RELEASE, set("version", `2.4.1-${"a".repeat(64)}`)],
  ["securityVersion 0", RELEASE, set("securityVersion", 0)],
  ["securityVersion as text", RELEASE, set("securityVersion", "7")],
  ["securityVersion with a fraction", RELEASE, set("securityVersion", 7.5)],
  ["a negative floor", RELEASE, set("floor", -1)],
  ["a floor above securityVersion", RELEASE, set("floor", 8)],
  ["no hardware revisions", RELEASE, set("hardware", { model: "PUMP400", revisions: [] })],
  ["a hardware revision twice", RELEASE, set("hardware", { model: "PUMP400", revisions: ["A", "A"] })],
  ["an entry that doesn't start at 0", RELEASE, set("entry", { offset: 1, length: 1 })],
  ["an empty entry", RELEASE, set("entry", { offset: 0, length: 0 })],
  ["another change class", RELEASE, set("changeClass", "minor")],
  ["a day that doesn't exist", RELEASE, set("created", "2026-02-30T09:00:00Z")],
  ["hour 24", RELEASE, set("created", "2026-01-15T24:00:00Z")],
  ["a leap second", RELEASE, set("created", "2016-12-31T23:59:60Z")],
  ["a fraction of a second", RELEASE, set("created", "2026-01-15T09:00:00.000Z")],
  ["an offset instead of Z", RELEASE, set("created", "2026-01-15T09:00:00+00:00")],
  ["a time without T", RELEASE, set("created", "2026-01-15 09:00:00Z")],
  ["a commit id cut short", FULL, set("source", { commit: "0123456" })],
  ["a media type with parameters", FULL, set("sbom", { digest: { sha256: D1 }, mediaType: "a/b; c=d" })],
  ["an end of support that doesn't exist", FULL, set("supportEnds", "2031-02-29")],
  ["an end of support with a time", FULL, set("supportEnds", CREATED)],
  ["null for a key that may be absent", FULL, set("udiDi", null)],

  ["an id with a space", ADVISORY, set("id", "ACME 1")],
  ["another kind of advisory", ADVISORY, set("kind", "note")],
  ["another state", ADVISORY, set("state", "not_affected")],
  ["a fixed version that is none", ADVISORY, set("fixedVersions", ["next"])],
  ["a fixed version twice", ADVISORY, set("fixedVersions", ["1.0.0", "1.0.0"])],
  ["a summary with an escape sequence", ADVISORY, set("summary", "\u001b[2Jall is well")],
  ["a summary of two lines", ADVISORY, set("summary", "a\nb")],
  ["a summary with a bidi override", ADVISORY, set("summary", "a\u202eb")],
  ["no summary", ADVISORY, set("summary", "")],
  ["an affected image twice", ADVISORY, (w) => void w.subject.push(w.subject[0]!)],

  ["neither an image nor a range", ADVISORY, outside("subject", [])],
  ["a range without its subject", TOLD, (w) => void w.subject.pop()],
  ["a range whose subject comes first", TOLD, (w) => void w.subject.reverse()],
  ["the subject of another range", TOLD, digestOf(1, "sha256", D1)],
  ["the subject of a range without the range", ADVISORY, nameOf(0, "vers:semver")],
  ["a range in another form", TOLD, set("affected", "vers:semver/<2.4.2|>=2.0.0")],
  ["revision 1", TOLD, set("revision", 1)],
  ["no alias", TOLD, set("aliases", [])],
  ["an alias with a space", TOLD, set("aliases", ["CVE 1"])],
  ["releases out of order", TOLD, (w) => void (w.predicate["releases"] as unknown[]).reverse()],
  ["not_affected for no reason", TOLD, set("releases", [{ version: "2.3.9", status: "not_affected" }])],
  [
    "a reason for being affected",
    TOLD,
    set("releases", [{ version: "1.0.0", status: "affected", justification: "component_not_present" }]),
  ],
  [
    "a reason that VEX doesn't know",
    TOLD,
    set("releases", [{ version: "1.0.0", status: "not_affected", justification: "never_mind" }]),
  ],
  [
    "a release twice",
    TOLD,
    set(
      "releases",
      [1, 2].map(() => ({ version: "1.0.0", status: "fixed" })),
    ),
  ],
  ["a CVSS vector cut short", TOLD, set("cvss", ["CVSS:3.1/AV:N/AC:L"])],
  ["a CVSS vector out of order", TOLD, set("cvss", ["CVSS:3.1/AC:L/AV:N/PR:N/UI:N/S:U/C:H/I:H/A:H"])],
  ["another class", TOLD, set("class", "urgent")],
  ["a deadline that is a day", TOLD, set("deadline", "2026-02-15")],
  ["no reference", TOLD, set("references", [])],

  ["a record by another name", WITHDRAWAL, nameOf(0, "app")],
  ["records out of order", WITHDRAWAL, (w) => void w.subject.reverse()],
  ["a record twice", WITHDRAWAL, (w) => void w.subject.push(w.subject[1]!)],
  ["no reason", WITHDRAWAL, set("reason", "")],

  ["newest out of order", STATUS, set("newest", ["2.4.1", "1.9.7"])],
  ["two newest of one line", STATUS, set("newest", ["2.4.0", "2.4.1"])],
  ["no newest", STATUS, set("newest", [])],
  ["a negative log size", STATUS, set("logSize", -1)],
  ["an advisory beyond the log size", STATUS, set("logSize", 8)],
  ["advisories out of order", STATUS, (w) => void (w.predicate["advisories"] as unknown[]).reverse()],
  [
    "an advisory twice",
    STATUS,
    (w) =>
      set("advisories", [
        (w.predicate["advisories"] as unknown[])[0],
        (w.predicate["advisories"] as unknown[])[0],
      ])(w),
  ],
  ["withdrawn out of order", STATUS, (w) => void (w.predicate["withdrawn"] as unknown[]).reverse()],
  ["a withdrawal without a reason", STATUS, set("withdrawn", [{ digest: { sha256: D1 } }])],
  ["two logs", STATUS, (w) => void w.subject.push({ ...w.subject[0]!, name: "other" })],

  ["another subject than the key", ENROLMENT, nameOf(0, "key")],
  ["the digest of another key", ENROLMENT, digestOf(0, "sha256", D1)],
  ["a UEID of 16 bytes", ENROLMENT, set("ueid", "01".repeat(16))],
  ["a UEID of another type", ENROLMENT, set("ueid", "02".repeat(17))],
  ["a key of 31 bytes", ENROLMENT, set("publicKey", Buffer.alloc(31).toString("base64"))],
  [
    "a key of small order",
    ENROLMENT,
    (w) => {
      const zero = new Uint8Array(32);
      w.predicate["publicKey"] = Buffer.from(zero).toString("base64");
      w.subject[0]!.digest["sha256"] = toHex(sha256(zero));
    },
  ],
  ["another key origin", ENROLMENT, set("keyOrigin", "host")],
  ["a serial number with a line break", ENROLMENT, set("serial", "1\n2")],

  ["another subject than evidence", EVIDENCE, nameOf(0, "enrolment")],
  ["another subject than the enrolment", COMMITTED, nameOf(0, "evidence")],
  ["two commitments", COMMITTED, (w) => void w.subject.push(w.subject[0]!)],
  ["what was committed to", COMMITTED, set("serial", "SN 1042")],
];

for (const [name, statement, change, code = "malformed-statement"] of FLAWS)
  statements(`refuses a ${statement.kind} with: ${name}`, () => {
    assert.throws(() => parseStatement(bent(statement, change)), refusal(code));
  });

statements("refuses spaces, and more than 48 KiB", () => {
  const text = utf8Decode(formatStatement(RELEASE))!;
  assert.throws(() => parseStatement(utf8Encode(` ${text}`)), refusal("not-canonical-json"));
  assert.throws(() => parseStatement(utf8Encode(`${text}\n`)), refusal("not-canonical-json"));
  assert.throws(() => parseStatement(utf8Encode(text + " ".repeat(48 * 1024))), refusal("too-large"));
});

statements("formatStatement refuses what parseStatement would", () => {
  assert.throws(() => formatStatement({ ...RELEASE, version: "2" }), refusal("malformed-statement"));
  assert.throws(
    () => formatStatement({ ...STATUS, withdrawn: [...STATUS.withdrawn].reverse() }),
    refusal("malformed-statement"),
  );
});

statements("takes every form of semantic version", () => {
  for (const version of ["0.0.0", "1.0.0-rc.1", "1.0.0-0a", "1.0.0--", "1.0.0+001", "10.20.30-a-b.1+x.y"])
    assert.is(
      (parseStatement(formatStatement({ ...RELEASE, version })) as ReleaseStatement).version,
      version,
    );
});

statements("any change of one character is refused or means something else", () => {
  const original = formatStatement(FULL);
  const text = utf8Decode(original)!;
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.constantFrom(...'0aA"{}[],: \\-'), (at, c) => {
      fc.pre(text[at] !== c);
      try {
        const read = parseStatement(utf8Encode(text.slice(0, at) + c + text.slice(at + 1)));
        assert.not.equal(read, FULL);
      } catch (error) {
        const codes = [
          "malformed-json",
          "malformed-statement",
          "not-canonical-json",
          "unsupported-statement",
        ];
        assert.ok(
          codes.some((code) => refusal(code)(error)),
          `${error}`,
        );
      }
    }),
    { numRuns: 500 },
  );
});

statements.run();
