// Scores that others published, and vectors that are none.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { parseCvss, severityOf } from "../src/cvss";
import { refusal } from "./vectors";

const cvss = suite("cvss");

// FIRST, "CVSS v3.1 Examples" (first.org/cvss/v3-1/examples) and NVD's entries for these ids.
for (const [id, vector, score, severity] of [
  ["CVE-2013-1937", "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 6.1, "MEDIUM"],
  ["CVE-2013-0375", "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 6.4, "MEDIUM"],
  ["CVE-2014-3566", "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 3.1, "LOW"],
  ["CVE-2012-1516", "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 9.9, "CRITICAL"],
  ["CVE-2009-0783", "CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 4.2, "MEDIUM"],
  ["CVE-2012-0384", "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 8.8, "HIGH"],
  ["CVE-2015-1098", "CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 7.8, "HIGH"],
  ["CVE-2014-0160", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 7.5, "HIGH"],
  ["CVE-2014-6271", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8, "CRITICAL"],
  ["CVE-2008-1447", "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:C/C:N/I:H/A:N", 6.8, "MEDIUM"],
  ["CVE-2014-2005", "CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 6.8, "MEDIUM"],
  ["CVE-2010-0467", "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:N/A:N", 5.0, "MEDIUM"],
  ["CVE-2012-1342", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:N/I:L/A:N", 5.8, "MEDIUM"],
  ["CVE-2013-6014", "CVSS:3.1/AV:A/AC:L/PR:N/UI:N/S:C/C:H/I:N/A:H", 9.3, "CRITICAL"],
  ["CVE-2016-0128", "CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:H/I:H/A:N", 6.8, "MEDIUM"],
  ["CVE-2021-44228", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 10, "CRITICAL"],
  ["no impact", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0, "NONE"],
] as const)
  cvss(`${id} scores ${score}`, () => {
    assert.equal(parseCvss(vector).base, { score, severity });
    assert.is(parseCvss(vector).vector, vector);
  });

// Worked by hand from the appendix: only 3.0 lets the float's last bit lift the score.
cvss("3.1 rounds in whole numbers where 3.0 does not", () => {
  const metrics = "/AV:P/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N";
  const [old, now] = [parseCvss(`CVSS:3.0${metrics}`), parseCvss(`CVSS:3.1${metrics}`)];
  assert.ok(old.base!.score >= now.base!.score);
  for (let tenth = 0; tenth <= 100; tenth++) assert.is(typeof severityOf(tenth / 10), "string");
  assert.equal(
    [0.1, 3.9, 4, 6.9, 7, 8.9, 9].map(severityOf).join(),
    "LOW,LOW,MEDIUM,MEDIUM,HIGH,HIGH,CRITICAL",
  );
});

cvss("metrics of 3.x in another order are put in order; those of 4.0 are refused", () => {
  assert.is(
    parseCvss("CVSS:3.1/RC:C/A:H/I:H/C:H/S:U/UI:N/PR:N/AC:L/AV:N").vector,
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/RC:C",
  );
  const four = "CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
  assert.equal(parseCvss(four), { version: "4.0", vector: four, base: null });
  assert.is(parseCvss(`${four}/E:A/MSI:S/U:Amber`).vector, `${four}/E:A/MSI:S/U:Amber`);
  assert.throws(() => parseCvss(`${four}/U:Amber/E:A`), refusal("malformed-cvss"));
});

const BASE = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
for (const [name, vector] of [
  ["nothing", ""],
  ["version 2", "AV:N/AC:L/Au:N/C:N/I:N/A:C"],
  ["a version not known", BASE.replace("3.1", "3.2")],
  ["a metric missing", BASE.replace("/S:U", "")],
  ["a metric twice", `${BASE}/A:H`],
  ["a metric not known", `${BASE}/XX:H`],
  ["a value not known", BASE.replace("AC:L", "AC:M")],
  ["a base metric not defined", BASE.replace("AC:L", "AC:X")],
  ["a value of three parts", BASE.replace("AC:L", "AC:L:L")],
  ["lower case", BASE.toLowerCase()],
  ["an end of the line", `${BASE}\n`],
  ["a slash at the end", `${BASE}/`],
  ["a metric of 4.0 in 3.1", `${BASE}/AT:N`],
  ["4.0 without attack requirements", "CVSS:4.0/AV:L/AC:L/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"],
  ["an object's own word", `${BASE}/constructor:N`],
  ["a prefix that every object has", "constructor/AV:N"],
  ["300 characters", BASE + "/E:X".repeat(80)],
] as const)
  cvss(`refuses: ${name}`, () => assert.throws(() => parseCvss(vector), refusal("malformed-cvss")));

cvss.run();
