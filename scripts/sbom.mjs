// Our own bill of materials: CycloneDX 1.6, made of package-lock.json alone.
//
//   node scripts/sbom.mjs [FILE]      to FILE, else stdout; the build writes host-cli/dist/vouch.cdx.json
//
// It holds what the program needs to run: what host-cli and shared depend on, and what that depends
// on, found as Node finds it. Tools that build and test aren't in it. The same lock gives the same
// bytes: no time stands in it, and its serial number is a hash of the rest.

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const WORKSPACES = ["host-cli", "shared"];

/** Where Node would find `name` from the package at `from`: the nearest node_modules upwards. */
function find(packages, from, name) {
  for (let folder = from; ; folder = folder.replace(/(^|\/)(node_modules\/(@[^/]+\/)?[^/]+|[^/]+)$/, "")) {
    const path = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
    if (packages[path] !== undefined) return path;
    if (folder === "") return undefined;
  }
}

/** Paths in the lock to what each needs, from the workspaces on. */
function needed(packages) {
  const edges = new Map();
  const waiting = [...WORKSPACES];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (edges.has(path)) continue;
    const {
      dependencies = {},
      optionalDependencies = {},
      peerDependencies = {},
      peerDependenciesMeta = {},
    } = packages[path];
    const optional = new Set(Object.keys(optionalDependencies));
    const peers = Object.keys(peerDependencies).filter(
      (name) => peerDependenciesMeta[name]?.optional !== true,
    );
    const targets = [];
    for (const name of new Set([...Object.keys(dependencies), ...optional, ...peers])) {
      const target = find(packages, path, name);
      if (target !== undefined)
        targets.push(packages[target].link === true ? packages[target].resolved : target);
      else if (!optional.has(name))
        throw new Error(`sbom: ${path} needs ${name}, which the lock doesn't hold`);
    }
    edges.set(path, targets);
    waiting.push(...targets);
  }
  return edges;
}

const nameOf = (path) => path.replace(/^.*node_modules\//, "");
const purlOf = (name, version) => `pkg:npm/${name.replace("@", "%40")}@${version}`;
const byText = (key) => (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);

function componentOf(packages, path) {
  const { version, license, integrity, optional } = packages[path];
  const [group, name] = nameOf(path).startsWith("@") ? nameOf(path).split("/") : [undefined, nameOf(path)];
  const sha512 = /^sha512-(.+)$/.exec(integrity ?? "")?.[1];
  return {
    type: "library",
    "bom-ref": purlOf(nameOf(path), version),
    ...(group !== undefined && { group }),
    name,
    version,
    ...(optional === true && { scope: "optional" }),
    ...(sha512 !== undefined && {
      hashes: [{ alg: "SHA-512", content: Buffer.from(sha512, "base64").toString("hex") }],
    }),
    ...(license !== undefined && {
      licenses: [/[ (]/.test(license) ? { expression: license } : { license: { id: license } }],
    }),
    purl: purlOf(nameOf(path), version),
  };
}

/** The document, as text. `lock` is package-lock.json, `product` host-cli/package.json. */
export function bomOf(lock, product) {
  const { packages } = lock;
  const edges = needed(packages);
  const isOurs = (path) => !path.includes("node_modules/");
  const self = purlOf(product.name, product.version);
  const refOf = (path) => (isOurs(path) ? self : purlOf(nameOf(path), packages[path].version));
  const components = new Map(
    [...edges.keys()]
      .filter((path) => !isOurs(path))
      .map((path) => [refOf(path), componentOf(packages, path)]),
  );
  const dependsOn = new Map();
  for (const [path, targets] of edges) {
    const held = dependsOn.get(refOf(path)) ?? new Set();
    for (const target of targets) if (refOf(target) !== refOf(path)) held.add(refOf(target));
    dependsOn.set(refOf(path), held);
  }
  const body = {
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": self,
        name: "vouch",
        version: product.version,
        licenses: [{ license: { id: product.license } }],
        purl: self,
      },
    },
    components: [...components.values()].sort(byText((c) => c["bom-ref"])),
    dependencies: [...dependsOn]
      .map(([ref, targets]) => ({ ref, dependsOn: [...targets].sort() }))
      .sort(byText((d) => d.ref)),
  };
  const hash = createHash("sha256").update(JSON.stringify(body)).digest("hex");
  // A UUID of version 8: what it is made of is our own affair.
  const uuid = [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `a${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ];
  const head = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
  };
  return `${JSON.stringify({ ...head, serialNumber: `urn:uuid:${uuid.join("-")}`, ...body }, null, 2)}\n`;
}

const json = (path) => JSON.parse(readFileSync(join(ROOT, path), "utf8"));

/** The document of this repository. */
export const ownBom = () => bomOf(json("package-lock.json"), json("host-cli/package.json"));

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [out] = process.argv.slice(2);
  if (out === undefined) process.stdout.write(ownBom());
  else writeFileSync(out, ownBom());
}
