// The certificate authorities of this system, for https. Node brings a list of its own, which knows nothing of
// those that a site has added.

import { existsSync, readFileSync } from "node:fs";

const BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt", // Debian, Alpine
  "/etc/pki/tls/certs/ca-bundle.crt", // Fedora
  "/etc/ssl/cert.pem", // macOS, BSD
];

/** PEM of the file that SSL_CERT_FILE names, or the system's; undefined where it keeps them elsewhere: Node's own then. */
export function systemCas(): string | undefined {
  const named = process.env["SSL_CERT_FILE"];
  const file = named !== undefined && named !== "" ? named : BUNDLES.find((path) => existsSync(path));
  return file === undefined ? undefined : readFileSync(file, "utf8");
}
