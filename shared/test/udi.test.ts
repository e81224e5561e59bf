import * as fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isRefusal } from "../src/refusal";
import { checkUdi, deviceIdentifier, oddIdentifier, parseUdi } from "../src/udi";
import { publishedJson, refusal } from "./vectors";

const udis = suite("udi");

const rows = publishedJson<{ udi: string; expect?: object; error?: string }[]>("udi/udi.json");

udis("udi.json has its 14 rows", () => assert.is(rows.length, 14));

for (const { udi, expect, error } of rows)
  udis(`udi.json: ${udi} ${error ? `is refused: ${error}` : "reads as listed"}`, () => {
    if (error) assert.throws(() => parseUdi(udi), refusal("malformed-udi"));
    else assert.equal(parseUdi(udi), expect);
  });

for (const [udi, expected] of [
  ["(01)09506000117843", { issuer: "GS1", di: "09506000117843", checkValid: true }],
  [
    "(01)09506000117843(17)280200",
    { issuer: "GS1", di: "09506000117843", checkValid: true, expirationDate: "2028-02" },
  ],
  [
    "(01)09506000117843(17)280229",
    { issuer: "GS1", di: "09506000117843", checkValid: true, expirationDate: "2028-02-29" },
  ],
  [
    "+A999ABC123DE0/$+1234567Y",
    { issuer: "HIBCC", di: "A999ABC123DE0", checkValid: true, serial: "1234567" },
  ],
  [
    "+A99912345/$$0928LOT7G",
    { issuer: "HIBCC", di: "A99912345", checkValid: false, expirationDate: "2028-09", lot: "LOT7" },
  ],
  [
    "+A99912345/$$2093028LOT7G",
    { issuer: "HIBCC", di: "A99912345", checkValid: false, expirationDate: "2028-09-30", lot: "LOT7" },
  ],
  [
    "+A99912345/$$3280930LOT7G",
    { issuer: "HIBCC", di: "A99912345", checkValid: true, expirationDate: "2028-09-30", lot: "LOT7" },
  ],
  [
    "+A99912345/$$62806013LOT7G",
    { issuer: "HIBCC", di: "A99912345", checkValid: false, expirationDate: "2028-02-29T13", lot: "LOT7" },
  ],
  ["+A99912345/$$7LOT7G", { issuer: "HIBCC", di: "A99912345", checkValid: false, lot: "LOT7" }],
  ["+A99912345/$$+7SER7G", { issuer: "HIBCC", di: "A99912345", checkValid: false, serial: "SER7" }],
  [
    "+A99912345/$LOT7/14D20300101G",
    { issuer: "HIBCC", di: "A99912345", checkValid: false, lot: "LOT7", expirationDate: "2030-01-01" },
  ],
  [
    "=/A9999XYZ100T0944=,000025=A99971312345600=>014032=}013032&,1000000000000XYZ123",
    {
      issuer: "ICCBBA",
      di: "A9999XYZ100T0944",
      serial: "000025",
      donation: "A99971312345600",
      expirationDate: "2014-02-01",
      manufactureDate: "2013-02-01",
      lot: "000000000000XYZ123",
    },
  ],
] as const)
  udis(`reads ${udi}`, () => assert.equal(parseUdi(udi), expected));

for (const [name, udi] of [
  ["nothing", ""],
  ["a space before", " (01)09506000117843"],
  ["300 characters", `(01)09506000117843(21)${"1".repeat(300)}`],
  ["a line break", "(01)09506000117843\n"],
  ["letters of another script", "(01)09506000117843(10)É"],
  ["a GTIN of 13 digits", "(01)9506000117843"],
  ["an identifier without a value", "(01)09506000117843(10)"],
  ["text between", "(01)09506000117843(10)A)B"],
  ["an identifier that isn't of a UDI", "(01)09506000117843(30)1"],
  ["a lot of 21 characters", `(01)09506000117843(10)${"A".repeat(21)}`],
  ["29 February of 2027", "(01)09506000117843(17)270229"],
  ["month 0", "(01)09506000117843(17)270010"],
  ["a date of five digits", "(01)09506000117843(17)27010"],
  ["lower case in a HIBC", "+A999a2345/S1X"],
  ["a HIBC of a plus alone", "+"],
  ["a HIBC without a unit of measure", "+A999AX"],
  ["a HIBC secondary field without a mark", "+A99912345/LOTX"],
  ["a HIBC date flag not known", "+A99912345/$$8LOT7G"],
  ["HIBC month 13", "+A99912345/$$1328LOT7G"],
  ["HIBC day 366 of 2027", "+A99912345/$$527366LOT7G"],
  ["HIBC day 0", "+A99912345/$$527000LOT7G"],
  ["HIBC hour 24", "+A99912345/$$428093024LOT7G"],
  ["two HIBC serial numbers", "+A99912345/S1/S2G"],
  ["a HIBC lot of 19 characters", `+A99912345/$${"A".repeat(19)}G`],
  ["an ICCBBA field not known", "=/A9999XYZ100T0944=;1"],
  ["an ICCBBA date of the last century", "=/A9999XYZ100T0944=>914032"],
] as const)
  udis(`refuses: ${name}`, () => assert.throws(() => parseUdi(udi), refusal("malformed-udi")));

const SCANNED = { issuer: "GS1", di: "09506000117843", checkValid: true };
for (const [name, scanned, more] of [
  ["the identifier alone", "0109506000117843", {}],
  ["dates, lot and serial", "]d2010950600011784311141231172012311\u001d", null],
  [
    "a lot that FNC1 ends, then a serial",
    "]d201095060001178431114123117201231101234AB\u001d215678CD",
    { manufactureDate: "2014-12-31", expirationDate: "2020-12-31", lot: "1234AB", serial: "5678CD" },
  ],
  ["FNC1 in place of the symbology", "\u001d010950600011784321X\u001d", { serial: "X" }],
  ["digits of another identifier", "010950600011784399X", null],
  ["a parenthesis in a lot", "010950600011784310A(21)B", null],
  ["a date cut short", "01095060001178431114", null],
  ["a lot of 21 characters", `010950600011784310${"A".repeat(21)}`, null],
] as const)
  udis(`a scanned GS1 symbol: ${name}`, () => {
    if (more === null) assert.throws(() => parseUdi(scanned), refusal("malformed-udi"));
    else assert.equal(parseUdi(scanned), { ...SCANNED, ...more });
  });

udis("strict reading refuses a wrong check character, and what names one item", () => {
  assert.is(checkUdi("(01)09506000117843(21)X").serial, "X");
  assert.throws(() => checkUdi("(01)09506000117844(21)X"), refusal("udi-check-digit"));
  assert.throws(() => checkUdi("+A999ABC123DE0/$+1234567X"), refusal("udi-check-digit"));
  assert.is(deviceIdentifier("09506000117843"), "09506000117843");
  assert.is(deviceIdentifier("=/A9999XYZ100T0944"), "A9999XYZ100T0944");
  assert.is(deviceIdentifier("+BLUEUNICORN7N"), "BLUEUNICORN7");
  assert.throws(() => deviceIdentifier("(01)09506000117843(21)SN1042"), refusal("udi-personal"));
  assert.throws(() => deviceIdentifier("09506000117844"), refusal("udi-check-digit"));
  try {
    deviceIdentifier("(01)09506000117843(21)SN1042");
  } catch (error) {
    assert.not.match((error as Error).message, /SN1042/);
  }
});

udis("every other check digit and character is wrong", () => {
  for (let digit = 0; digit < 10; digit++)
    assert.is(parseUdi(`(01)0950600011784${digit}`).checkValid, digit === 3);
  const right = [..."0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"].filter(
    (c) => parseUdi(`+BLUEUNICORN7${c}`).checkValid === true,
  );
  assert.equal(right, ["N"]);
});

for (const [name, before, now, changeClass, odd] of [
  ["a patch keeps it", "1", "1", "patch", false],
  ["a patch changes it", "1", "2", "patch", true],
  ["a major change changes it", "1", "2", "major", false],
  ["a major change keeps it", "1", "1", "major", true],
  ["it is lost", "1", undefined, "patch", true],
  ["it is new", undefined, "1", "patch", false],
  ["there is none", undefined, undefined, "major", false],
] as const)
  udis(`change class and device identifier: ${name}`, () =>
    assert.is(oddIdentifier(before, now, changeClass) !== null, odd),
  );

udis("ten thousand strings near a UDI are read or refused, never a crash", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "(01)09506000117843",
      "(17)",
      "(21)",
      "+A99912345",
      "/$$",
      "/S",
      "=/A9999XYZ100T0944",
      "=>",
      "&,1",
      "(",
      ")",
    ),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
      try {
        parseUdi(pieces.join(""));
      } catch (error) {
        assert.ok(isRefusal(error), `${error}`);
      }
    }),
    { numRuns: 10_000 },
  );
});

udis.run();
