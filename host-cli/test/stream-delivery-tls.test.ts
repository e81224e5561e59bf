// Who may deliver, and to whom: TLS with certificates of both sides, a broker's password, and where secrets don't show.
// openssl makes the certificates; the broker is a real Mosquitto.

import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { skip } from "../../shared/test/skip";
import { type Ended, runVouch } from "./child";
import { startMosquitto, untilAnswered, whyNoMosquitto } from "./mosquitto-kit";
import { freePort } from "./postgres-kit";
import { temporaryFolder } from "./sim-kit";
import { writeRecording } from "./stream-delivery-kit";

const tests = suite("stream delivery, TLS");
const folder = temporaryFolder();
writeRecording(join(folder, "sent.vstream"), 20);

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const openssl = (...args: string[]) => {
  const { status, stderr } = spawnSync("openssl", args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
};

/** A certificate authority, and a certificate by it for each name. */
function makeCertificates(ca: string, names: readonly string[]): void {
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl(
    "req",
    "-x509",
    ...key,
    "-keyout",
    `${ca}.key`,
    "-out",
    `${ca}.pem`,
    "-subj",
    `/CN=${ca}`,
    "-days",
    "2",
  );
  for (const name of names) {
    openssl("req", ...key, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    writeFileSync(join(folder, "san.cnf"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      `${ca}.pem`,
      "-CAkey",
      `${ca}.key`,
      "-CAcreateserial",
      "-out",
      `${name}.pem`,
      "-days",
      "2",
      "-extfile",
      "san.cnf",
    );
    // The broker drops root before it reads them.
    for (const file of [`${name}.key`, `${name}.pem`, `${ca}.pem`]) chmodSync(join(folder, file), 0o644);
  }
}

const record = (args: readonly string[], env: Record<string, string> = {}): Promise<Ended> => {
  Object.assign(process.env, env);
  return runVouch(folder, ["stream", "record", ...args]).finally(() => {
    for (const name of Object.keys(env)) delete process.env[name];
  });
};
const send = (to: string, ...more: string[]) =>
  record(["--from", "sent.vstream", "--to", to, "--timeout", "1", ...more]);
const arrived = (name: string) =>
  readFileSync(join(folder, name)).equals(readFileSync(join(folder, "sent.vstream")));
const OURS = ["--ca", "ca.pem", "--cert", "gateway.pem", "--tls-key", "gateway.key"];

if (!hasOpenssl) skip(tests, "TLS", "openssl is not installed");
else {
  makeCertificates("ca", ["server", "gateway"]);
  makeCertificates("others", ["stranger"]);

  tests(
    "over TLS: a sender without a certificate, or with somebody else's, is turned away; with ours it delivers",
    async () => {
      const port = await freePort();
      const to = `tls://127.0.0.1:${port}`;
      const receiving = record([
        "--from",
        to,
        "-o",
        "tls.vstream",
        "--ca",
        "ca.pem",
        "--cert",
        "server.pem",
        "--tls-key",
        "server.key",
      ]);
      await untilAnswered(port, () => true); // or they would be turned away by nobody
      const without = await send(to, "--ca", "ca.pem");
      const wrong = await send(to, "--ca", "ca.pem", "--cert", "stranger.pem", "--tls-key", "stranger.key");
      const untrusted = await send(
        to,
        "--ca",
        "others.pem",
        "--cert",
        "gateway.pem",
        "--tls-key",
        "gateway.key",
      );
      for (const { status, stderr } of [without, wrong, untrusted]) {
        assert.is(status, 1, stderr);
        assert.match(stderr, /\[delivery-incomplete\]/);
      }
      const delivered = await send(to, ...OURS, "--timeout", "20");
      assert.is(delivered.status, 0, delivered.stderr);
      assert.is((await receiving).status, 0);
      assert.ok(arrived("tls.vstream"));
    },
  );

  const missing = whyNoMosquitto();
  if (missing !== undefined) {
    for (const name of ["mqtts with client certificates", "a broker's password"]) skip(tests, name, missing);
  } else {
    tests("over mqtts: the broker asks for a certificate, and takes ours alone", async () => {
      const file = (name: string) => join(folder, name);
      const broker = await startMosquitto(folder, {
        lines: [
          `cafile ${file("ca.pem")}`,
          `certfile ${file("server.pem")}`,
          `keyfile ${file("server.key")}`,
          "require_certificate true",
          "allow_anonymous true",
        ],
      });
      try {
        const to = `mqtts://127.0.0.1:${broker.port}/ward/5`;
        const without = await send(to, "--ca", "ca.pem");
        assert.is(without.status, 1);
        assert.match(without.stderr, /\[delivery-incomplete\]/);
        let isDone = false;
        const receiving = record(["--from", to, "-o", "mqtts.vstream", ...OURS]).finally(() => {
          isDone = true;
        });
        // What was sent before somebody received is sent again.
        while (!isDone) {
          const delivered = await send(to, ...OURS, "--timeout", "20");
          assert.is(delivered.status, 0, delivered.stderr);
        }
        assert.is((await receiving).status, 0);
        assert.ok(arrived("mqtts.vstream"));
      } finally {
        broker.stop();
      }
    });

    tests("a broker's password comes from a file or the environment, and shows nowhere", async () => {
      const secret = "hunter2-and-more";
      const passwords = join(folder, "passwords");
      writeFileSync(passwords, "");
      spawnSync("mosquitto_passwd", ["-b", passwords, "ward", secret]);
      chmodSync(passwords, 0o644);
      const broker = await startMosquitto(folder, {
        lines: ["allow_anonymous false", `password_file ${passwords}`],
      });
      try {
        const to = `mqtt://ward@127.0.0.1:${broker.port}/ward/6`;
        writeFileSync(join(folder, "secret"), `${secret}\n`);
        const wrong = await record(["--from", "sent.vstream", "--to", to, "--timeout", "5"], {
          VOUCH_MQTT_PASSWORD: "wrong",
        });
        assert.is(wrong.status, 1);
        assert.match(wrong.stderr, /Not authorized/i);
        const byFile = await send(to, "--password-file", "secret", "--timeout", "20");
        assert.is(byFile.status, 0, byFile.stderr);
        const spelled = await send(`mqtt://ward:${secret}@127.0.0.1:${broker.port}/ward/6`);
        assert.is(spelled.status, 1);
        assert.match(spelled.stderr, /\[usage\]/);
        for (const { stdout, stderr } of [wrong, byFile, spelled])
          assert.not.match(stdout + stderr, /hunter2/);
      } finally {
        broker.stop();
      }
    });
  }
}

tests.run();
