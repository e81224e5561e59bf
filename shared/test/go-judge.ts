// Builds go/judge.go, which is Go's own x/mod/sumdb: against Debian's golang-golang-x-mod-dev, or the module where Go
// has it downloaded. No network is used.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const GO_SOURCE = fileURLToPath(new URL("go/", import.meta.url));
const DEBIAN = "/usr/share/gocode";

/** Builds the package at `path` below go/ into `output`. Answers why that can't be done here, or undefined. */
export function buildGo(output: string, path = "."): string | undefined {
  if (spawnSync("go", ["version"]).status !== 0) return "go isn't installed";
  const build = (env: Record<string, string>) =>
    spawnSync("go", ["build", "-buildvcs=false", "-o", output, path], {
      cwd: GO_SOURCE,
      env: { ...process.env, ...env },
      encoding: "utf8",
    });
  const debian = existsSync(`${DEBIAN}/src/golang.org/x/mod/sumdb/note`);
  const tries = [
    ...(debian ? [{ GO111MODULE: "off", GOPATH: DEBIAN }] : []),
    { GO111MODULE: "on", GOPROXY: "off" },
  ];
  for (const env of tries) if (build(env).status === 0) return undefined;
  return "golang.org/x/mod isn't here: apt-get install golang-golang-x-mod-dev, or `go mod download` in shared/test/go";
}
