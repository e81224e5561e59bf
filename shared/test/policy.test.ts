import { suite } from "uvu";
import * as assert from "uvu/assert";
import { toHex, utf8Encode } from "../src/bytes";
import { trustedAt } from "../src/distrust";
import { formatMldsaKey, makeMldsaKey } from "../src/mldsakey";
import { parsePolicy } from "../src/policy";
import { evalQuorum } from "../src/quorum";
import { formatRoot } from "../src/rebased/root";
import type { Refusal } from "../src/refusal";
import { sha256 } from "../src/sha256";
import { formatStardustRoot } from "../src/stardust/root";
import { formatVkey, sameVkey } from "../src/vkey";
import { testCrypto, testKey } from "./keys";
import { publishedBytes, refusal } from "./vectors";

const policies = suite("policy");

const v = (name: string, type: 1 | 4 = 1) => formatVkey(testKey(name, type).vkey);
const parse = (...lines: string[]) => parsePolicy(utf8Encode(`${lines.join("\n")}\n`), testCrypto);

const LOG = `log ${v("fwlog.example")}`;
const w = (n: number) => `witness w${n} ${v(`witness-${n}`, 4)}`;
const APPROVERS = [
  `approver ada engineering ${v("ada")}`,
  `approver ben quality ${v("ben")}`,
  `approver cy security ${v("cy")}`,
];

policies("the worked policy reads: one log, one witness, who is the quorum", () => {
  const bytes = publishedBytes("worked/policy");
  const policy = parsePolicy(bytes, testCrypto);
  assert.is(policy.log.name, "example.org/firmware-log");
  assert.equal(
    policy.witnesses.map((each) => [each.name, each.vkey.name]),
    [["w1", "witness.example.org/w1"]],
  );
  assert.is(policy.quorum, "w1");
  assert.is(policy.digest, toHex(sha256(bytes)));
  assert.ok(evalQuorum(policy, new Set(["w1"])));
  assert.not(evalQuorum(policy, new Set()));
});

policies("a policy with every kind of line reads as written", () => {
  const policy = parse(
    "# what this hospital accepts",
    "",
    `${LOG} https://fwlog.example/`,
    `${w(1)} https://w1.example/`,
    w(2),
    w(3),
    "group\ttwo  2 w1 w2",
    "group all all two w3 ",
    "quorum all",
    ...APPROVERS,
    "approve pump-400 2 quality",
    "approve monitor-9 3 engineering quality security",
    `vendor pump-400 ${v("maker")}`,
    `vendor monitor-9 ${v("maker")}`,
    `status ${v("psirt")}`,
    `enroller ${v("station-1")}`,
    `enroller ${v("station-2")}`,
    `ledger directory ${v("ledger", 4)}`,
    `ledger rebased mainnet@514:${"ab".repeat(32)}`,
    `ledger rebased testnet@7:${"cd".repeat(32)} 0x${"ef".repeat(32)}`,
    `ledger stardust hospital-tangle@${"01".repeat(32)}`,
    "max-age status 36h",
    "max-age evidence 30d",
    "require-image",
    "allow under-investigation",
    "  # the end",
  );
  assert.ok(sameVkey(policy.log, testKey("fwlog.example").vkey));
  assert.is(policy.logUrl, "https://fwlog.example/");
  assert.equal(
    policy.witnesses.map(({ name, url }) => [name, url]),
    [
      ["w1", "https://w1.example/"],
      ["w2", undefined],
      ["w3", undefined],
    ],
  );
  assert.equal(policy.groups, [
    { name: "two", k: 2, members: ["w1", "w2"] },
    { name: "all", k: 2, members: ["two", "w3"] },
  ]);
  assert.is(policy.quorum, "all");
  assert.equal(
    policy.approvers.map(({ name, role }) => `${name} ${role}`),
    ["ada engineering", "ben quality", "cy security"],
  );
  assert.equal(policy.approve, [
    { product: "pump-400", threshold: 2, roles: ["quality"] },
    { product: "monitor-9", threshold: 3, roles: ["engineering", "quality", "security"] },
  ]);
  assert.equal(
    policy.vendors.map(({ product }) => product),
    ["pump-400", "monitor-9"],
  );
  assert.equal(
    policy.status.map((k) => k.name),
    ["psirt"],
  );
  assert.equal(
    policy.enrollers.map((k) => k.name),
    ["station-1", "station-2"],
  );
  assert.equal(
    policy.ledgers.map((l) => [
      l.kind,
      l.kind === "directory"
        ? l.root.name
        : l.kind === "rebased"
          ? formatRoot(l.root)
          : formatStardustRoot(l.root),
    ]),
    [
      ["directory", "ledger"],
      ["rebased", `mainnet@514:${"ab".repeat(32)}`],
      ["rebased", `testnet@7:${"cd".repeat(32)}`],
      ["stardust", `hospital-tangle@${"01".repeat(32)}`],
    ],
  );
  assert.equal(policy.maxAge, { status: 36 * 3600, evidence: 30 * 86400 });
  assert.ok(policy.requireImage);
  assert.ok(policy.allowUnderInvestigation);
});

policies("the smallest policy trusts a log and nothing else", () => {
  const { log: _log, digest: _digest, ...rest } = parse(LOG, "quorum none");
  assert.equal(rest, {
    witnesses: [],
    groups: [],
    quorum: "none",
    vendors: [],
    approvers: [],
    approve: [],
    status: [],
    enrollers: [],
    ledgers: [],
    renewals: [],
    countersigners: [],
    countersigned: [],
    distrust: [],
    maxAge: { status: null, evidence: null },
    requireImage: false,
    allowUnderInvestigation: false,
  });
});

policies("the last line needs no end", () => {
  assert.is(parsePolicy(utf8Encode(`quorum none\n${LOG}`), testCrypto).quorum, "none");
});

const Q = "quorum none";
const REBASED = `ledger rebased mainnet@514:${"ab".repeat(32)}`;
const BY = `0x${"01".repeat(32)}`;
const approve = (rule: string) => [LOG, Q, ...APPROVERS, `approve pump ${rule}`];

const pq = (n: number) => formatMldsaKey(makeMldsaKey(`pq-${n}`, new Uint8Array(1952).fill(n)));

policies("countersigners and what they must have countersigned read as written", () => {
  const keys = [`countersigner maker ${pq(1)}`, `countersigner keeper ${pq(2)}`];
  const demands = [
    "countersigned release maker",
    "countersigned bundle keeper",
    "countersigned renewals keeper",
  ];
  const policy = parse(LOG, Q, ...keys, ...demands, `distrust ${pq(1)} 2035-01-01T00:00:00Z`);
  assert.equal(
    policy.countersigners.map(({ name, vkey }) => [name, vkey.name, vkey.publicKey[0]]),
    [
      ["maker", "pq-1", 1],
      ["keeper", "pq-2", 2],
    ],
  );
  assert.equal(
    policy.countersigned.map(({ what, name }) => `countersigned ${what} ${name}`),
    demands,
  );
  assert.equal(trustedAt(policy, 3e9).countersigners, policy.countersigners.slice(1));
  assert.equal(trustedAt(policy, 3e9).countersigned, policy.countersigned, "a demand stays");
});

for (const [name, lines, code] of [
  [
    "a countersigner twice",
    [LOG, Q, `countersigner a ${pq(1)}`, `countersigner a ${pq(2)}`],
    "policy-repeated",
  ],
  [
    "one key for two countersigners",
    [LOG, Q, `countersigner a ${pq(1)}`, `countersigner b ${pq(1)}`],
    "policy-key-reuse",
  ],
  ["an Ed25519 key that countersigns", [LOG, Q, `countersigner a ${v("a")}`], "unsupported-algorithm"],
  ["a countersigner without a key", [LOG, Q, "countersigner a"], "malformed-policy"],
  ["an ML-DSA key for the log", [`log ${pq(1)}`, Q], "unsupported-algorithm"],
  ["an ML-DSA key for an approver", [LOG, Q, `approver a quality ${pq(1)}`], "unsupported-algorithm"],
  ["an ML-DSA key for a status", [LOG, Q, `status ${pq(1)}`], "unsupported-algorithm"],
  ["a demand of nobody", [LOG, Q, "countersigned release a"], "policy-unknown-name"],
  [
    "a demand above its countersigner",
    [LOG, Q, "countersigned release a", `countersigner a ${pq(1)}`],
    "policy-unknown-name",
  ],
  [
    "a demand of something else",
    [LOG, Q, `countersigner a ${pq(1)}`, "countersigned status a"],
    "malformed-policy",
  ],
  [
    "a demand twice",
    [LOG, Q, `countersigner a ${pq(1)}`, "countersigned release a", "countersigned release a"],
    "policy-repeated",
  ],
  [
    "distrust of an ML-DSA key of no line",
    [LOG, Q, `distrust ${pq(1)} 2035-01-01T00:00:00Z`],
    "policy-unknown-name",
  ],
  ["nothing", [], "malformed-policy"],
  ["no log", [Q], "malformed-policy"],
  ["no quorum", [LOG], "malformed-policy"],
  ["two logs", [LOG, `log ${v("other")}`, Q], "policy-repeated"],
  ["the log line twice", [LOG, LOG, Q], "policy-repeated"],
  ["two quorums", [LOG, Q, Q], "policy-repeated"],
  ["an unknown line", [LOG, Q, "trust everybody"], "policy-unknown-line"],
  ["a line in capitals", [LOG.replace("log", "LOG"), Q], "policy-unknown-line"],
  ["a line named as an object's property", [LOG, Q, "constructor x"], "policy-unknown-line"],
  ["log without a key", ["log", Q], "malformed-policy"],
  ["log with a third field", [`${LOG} url more`, Q], "malformed-policy"],
  ["a key that is none", ["log fwlog.example", Q], "malformed-vkey"],
  ["a cosigner's key for the log", [`log ${v("fwlog", 4)}`, Q], "malformed-policy"],
  ["a log's key for a witness", [LOG, `witness w1 ${v("w1")}`, Q], "malformed-policy"],
  ["a log's key for a directory ledger", [LOG, Q, `ledger directory ${v("ledger")}`], "malformed-policy"],
  ["CRLF", [`${LOG}\r`, Q], "malformed-policy"],
  ["a no-break space", [LOG.replace(" ", "\u00a0"), Q], "malformed-policy"],
  ["a bidi override", [LOG, Q, "ledger stardust \u202eroot"], "malformed-policy"],
  ["a Tangle without a digest", [LOG, Q, "ledger stardust hospital-tangle"], "malformed-root"],
  ["a sender on a Tangle", [LOG, Q, `ledger stardust t@${"01".repeat(32)} 0x00`], "malformed-policy"],
  [
    "one trust file under two names",
    [LOG, Q, `ledger stardust a@${"01".repeat(32)}`, `ledger stardust b@${"01".repeat(32)}`],
    "policy-repeated",
  ],
  ["a line of 4100 characters", [LOG, Q, `ledger rebased ${"x".repeat(4100)}`], "malformed-policy"],
  ["1100 lines", [LOG, Q, ...new Array<string>(1100).fill("")], "malformed-policy"],
  ["70 KiB", [LOG, Q, ...new Array<string>(70).fill(`#${"x".repeat(1024)}`)], "too-large"],

  ["a witness name twice", [LOG, w(1), `witness w1 ${v("w-other", 4)}`, Q], "policy-repeated"],
  ["a witness named none", [LOG, `witness none ${v("w", 4)}`, Q], "malformed-policy"],
  ["a group named as a witness", [LOG, w(1), w(2), "group w1 1 w2", Q], "policy-repeated"],
  ["a group of nobody", [LOG, w(1), "group g 1", Q], "malformed-policy"],
  ["a group of strangers", [LOG, w(1), "group g 1 w2", Q], "policy-unknown-name"],
  ["a group of itself", [LOG, "group g 1 g", Q], "policy-unknown-name"],
  ["a group before its members", [LOG, "group g 1 w1", w(1), Q], "policy-unknown-name"],
  ["a member twice in a group", [LOG, w(1), "group g 1 w1 w1", Q], "policy-repeated"],
  ["a member of two groups", [LOG, w(1), "group g 1 w1", "group h 1 w1", Q], "policy-repeated"],
  ["a group that wants 0", [LOG, w(1), "group g 0 w1", Q], "malformed-policy"],
  ["a group that wants 01", [LOG, w(1), "group g 01 w1", Q], "malformed-policy"],
  ["a group that wants most", [LOG, w(1), "group g most w1", Q], "malformed-policy"],
  ["a group that wants more than it has", [LOG, w(1), "group g 2 w1", Q], "policy-unsatisfiable"],
  ["a quorum nobody defined", [LOG, "quorum w1"], "policy-unknown-name"],
  ["a quorum before its witness", [LOG, "quorum w1", w(1)], "policy-unknown-name"],
  ["a quorum of two names", [LOG, w(1), w(2), "quorum w1 w2"], "malformed-policy"],

  [
    "an approver's name twice",
    [LOG, Q, APPROVERS[0]!, `approver ada quality ${v("ada2")}`],
    "policy-repeated",
  ],
  ["an approver without a role", [LOG, Q, `approver ada ${v("ada")}`], "malformed-policy"],
  ["two rules for a product", [...approve("1 quality"), "approve pump 2 quality"], "policy-repeated"],
  ["a rule without roles", approve("2"), "malformed-policy"],
  ["a rule that wants 0", approve("0 quality"), "malformed-policy"],
  ["a rule that wants more than there are", approve("4 quality"), "policy-unsatisfiable"],
  [
    "a rule that wants fewer than its roles",
    approve("2 engineering quality security"),
    "policy-unsatisfiable",
  ],
  ["a rule with a role that nobody has", approve("2 quality legal"), "policy-unknown-name"],
  ["a rule with a role twice", approve("2 quality quality"), "policy-repeated"],
  ["two vendors of a product", [LOG, Q, `vendor pump ${v("a")}`, `vendor pump ${v("b")}`], "policy-repeated"],

  ["one key as log and status", [LOG, Q, `status ${v("fwlog.example")}`], "policy-key-reuse"],
  ["one key as vendor and approver", [LOG, Q, `vendor pump ${v("ada")}`, APPROVERS[0]!], "policy-key-reuse"],
  [
    "one key as two approvers",
    [LOG, Q, APPROVERS[0]!, `approver ada-too quality ${v("ada")}`],
    "policy-key-reuse",
  ],
  ["one status key twice", [LOG, Q, `status ${v("s")}`, `status ${v("s")}`], "policy-key-reuse"],
  ["one enroller twice", [LOG, Q, `enroller ${v("e")}`, `enroller ${v("e")}`], "policy-key-reuse"],
  ["one witness key under two names", [LOG, w(1), w(1).replace("w1", "w2"), Q], "policy-key-reuse"],
  [
    "one directory ledger twice",
    [LOG, Q, `ledger directory ${v("l", 4)}`, `ledger directory ${v("l", 4)}`],
    "policy-key-reuse",
  ],

  ["a ledger of another kind", [LOG, Q, "ledger bitcoin root"], "malformed-policy"],
  ["a ledger without a root", [LOG, Q, "ledger rebased"], "malformed-policy"],
  ["a public ledger's root twice", [LOG, Q, REBASED, REBASED], "policy-repeated"],
  ["root and sender twice", [LOG, Q, `${REBASED} ${BY}`, `${REBASED} ${BY}`], "policy-repeated"],
  ["a root with a sender and without", [LOG, Q, `${REBASED} ${BY}`, REBASED], "malformed-policy"],
  [
    "a newer root without the sender of the older",
    [LOG, Q, `${REBASED} ${BY}`, REBASED.replace("514", "600")],
    "malformed-policy",
  ],
  ["a root that is none", [LOG, Q, "ledger rebased mainnet"], "malformed-root"],
  ["a root of a negative epoch", [LOG, Q, REBASED.replace("514", "-1")], "malformed-root"],
  ["a root of epoch 0514", [LOG, Q, REBASED.replace("514", "0514")], "malformed-root"],
  ["a root in upper case", [LOG, Q, REBASED.replace(/ab$/, "AB")], "malformed-root"],
  ["a root cut short", [LOG, Q, REBASED.slice(0, -1)], "malformed-root"],
  ["a sender without 0x", [LOG, Q, `${REBASED} ${BY.slice(2)}`], "malformed-root"],
  ["a sender cut short", [LOG, Q, `${REBASED} ${BY.slice(0, -2)}`], "malformed-root"],
  ["two senders in one line", [LOG, Q, `${REBASED} ${BY} ${BY}`], "malformed-policy"],
  ["a sender for a directory", [LOG, Q, `ledger directory ${v("l", 4)} ${BY}`], "malformed-policy"],
  ["max-age of something else", [LOG, Q, "max-age release 1d"], "malformed-policy"],
  ["max-age twice", [LOG, Q, "max-age status 1d", "max-age status 24h"], "policy-repeated"],
  ["max-age without a unit", [LOG, Q, "max-age status 24"], "malformed-policy"],
  ["max-age in minutes", [LOG, Q, "max-age status 5m"], "malformed-policy"],
  ["max-age 0", [LOG, Q, "max-age status 0h"], "malformed-policy"],
  ["max-age 01", [LOG, Q, "max-age status 01h"], "malformed-policy"],
  ["max-age of 999999 days", [LOG, Q, "max-age status 999999d"], "malformed-policy"],
  ["require-image with a word", [LOG, Q, "require-image app"], "malformed-policy"],
  ["require-image twice", [LOG, Q, "require-image", "require-image"], "policy-repeated"],
  ["allow something else", [LOG, Q, "allow vulnerable"], "malformed-policy"],
  ["allow twice", [LOG, Q, "allow under-investigation", "allow under-investigation"], "policy-repeated"],
] as const)
  policies(`refuses: ${name}`, () => assert.throws(() => parse(...lines), refusal(code)));

const many = (count: number, line: (n: number) => string) =>
  Array.from({ length: count }, (_, i) => line(i + 1));
const names = (from: number, to: number) => many(to - from + 1, (i) => `w${from + i - 1}`).join(" ");

policies("a quorum must fit beside the log's signature: 15 cosignatures at best, however it is put", () => {
  const witnesses = many(24, w);
  for (const [cosigners, ...groups] of [
    [15, `group q all ${names(1, 15)}`],
    [16, `group q all ${names(1, 16)}`],
    [15, `group q 15 ${names(1, 24)}`],
    [16, `group q 16 ${names(1, 24)}`],
    [15, `group a all ${names(1, 8)}`, `group b 7 ${names(9, 24)}`, "group q all a b"],
    [16, `group a all ${names(1, 8)}`, `group b 8 ${names(9, 24)}`, "group q all a b"],
    [8, `group a all ${names(1, 8)}`, `group b 16 ${names(9, 24)}`, "group q any a b"],
    [16, `group a all ${names(1, 16)}`, "group q any a"],
    [2, `group a all ${names(1, 16)}`, "group q 2 w17 a w18"],
    [17, `group a all ${names(1, 16)}`, "group q all w17 a"],
  ] as [number, ...string[]][]) {
    const read = () => parse(LOG, ...witnesses, ...groups, "quorum q");
    if (cosigners > 15) assert.throws(read, refusal("policy-unsatisfiable"), groups.join());
    else assert.is(read().quorum, "q", groups.join());
  }
  // A group that nobody has to meet may be as large as it likes.
  assert.is(parse(LOG, ...witnesses, `group q all ${names(1, 24)}`, Q).quorum, "none");
});

policies("a release takes at most the 16 signatures that its statement can hold", () => {
  const people = many(17, (n) => `approver p${n} quality ${v(`p${n}`)}`);
  assert.is(parse(LOG, Q, ...people, "approve pump 16 quality").approve[0]?.threshold, 16);
  const seventeen = () => parse(LOG, Q, ...people, "approve pump 17 quality");
  assert.throws(seventeen, refusal("policy-unsatisfiable"));
});

policies("one key under another name or type is still the same key in two roles", () => {
  const log = testKey("fwlog.example").vkey;
  const alias = formatVkey({ ...log, name: "alias", keyId: sha256(Uint8Array.of(0)).subarray(0, 4) });
  assert.throws(() => parse(LOG, Q, `status ${alias}`), refusal("malformed-vkey")); // the id is of the name too
  const pk = Buffer.from([4, ...log.publicKey]);
  const id = toHex(sha256(new Uint8Array([...utf8Encode("ledger\n"), ...pk]))).slice(0, 8);
  assert.throws(
    () => parse(LOG, Q, `ledger directory ledger+${id}+${pk.toString("base64")}`),
    refusal("policy-key-reuse"),
  );
});

policies("a refusal names the line", () => {
  assert.throws(() => parse("# one", LOG, "", "nonsense"), /^policy line 4: "nonsense" isn't/);
});

policies("what an editor on Windows adds is refused, and said", () => {
  for (const [lines, hint] of [
    [[`${LOG}\r`, `${Q}\r`], /CR and LF/],
    [[`\ufeff${LOG}`, Q], /byte order mark/],
    [[`${LOG}\u00a0`, Q], undefined],
  ] as const) {
    const refused = (error: Refusal) =>
      refusal("malformed-policy")(error) &&
      (hint === undefined ? error.hint === undefined : hint.test(error.hint ?? ""));
    assert.throws(() => parse(...lines), refused);
  }
});

policies("bytes that aren't UTF-8 are refused", () => {
  assert.throws(() => parsePolicy(Uint8Array.of(0x23, 0xff), testCrypto), refusal("malformed-policy"));
});

policies("a comment hides anything", () => {
  assert.is(parse(LOG, "#\u202e\r\t log", Q).quorum, "none");
});

const NESTED = parse(LOG, w(1), w(2), w(3), w(4), "group a any w1 w2", "group b 2 w3 w4 a", "quorum b");

/** Every set of the four witnesses. */
const SETS = Array.from({ length: 16 }, (_, bits) =>
  [1, 2, 3, 4].filter((n) => bits & (1 << (n - 1))).map((n) => `w${n}`),
);

policies("a quorum of groups, for every set of witnesses", () => {
  for (const set of SETS) {
    const a = set.includes("w1") || set.includes("w2");
    const votes = Number(a) + Number(set.includes("w3")) + Number(set.includes("w4"));
    assert.is(evalQuorum(NESTED, new Set(set)), votes >= 2, set.join(" "));
  }
});

policies("strangers and names of groups never help", () => {
  const none = parse(LOG, w(1), Q);
  assert.ok(evalQuorum(none, new Set()));
  const one = parse(LOG, w(1), "quorum w1");
  assert.ok(evalQuorum(one, new Set(["w1", "stranger"])));
  assert.not(evalQuorum(one, new Set(["stranger"])));
  assert.not(evalQuorum(NESTED, new Set(["a", "b"])));
});

policies.run();
