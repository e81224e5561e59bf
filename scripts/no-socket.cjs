// A preload under which a process can't reach the network without being caught:
//
//   node --require ./scripts/no-socket.cjs host-cli/bin/vouch.mjs verify …
//
// Each way out throws, says on stderr which it was, and makes the exit status
// 86 even when the program swallowed the exception. Starting a child process is
// caught too: a child would be out of our sight. Pipes to stdout and stderr are
// net.Socket objects that never connect, so they keep working.

const { writeSync } = require("node:fs");

const CAUGHT = 86;
let caught = false;

process.on("exit", () => {
  if (caught) process.exitCode = CAUGHT;
});

function refuse(what) {
  return function refused() {
    caught = true;
    writeSync(2, `no-socket: ${what}\n`);
    throw new Error(`no-socket: ${what}`);
  };
}

function close(name, object, keys) {
  for (const key of keys) object[key] = refuse(`${name}.${key}`);
}

const net = require("node:net");
close("net.Socket", net.Socket.prototype, ["connect"]);
close("net.Server", net.Server.prototype, ["listen"]);
close("net", net, ["connect", "createConnection"]);
close("dgram.Socket", require("node:dgram").Socket.prototype, ["bind", "connect", "send"]);
close("dgram", require("node:dgram"), ["createSocket"]);
close("tls", require("node:tls"), ["connect"]);
close("http", require("node:http"), ["request", "get"]);
close("https", require("node:https"), ["request", "get"]);
close("http2", require("node:http2"), ["connect"]);
close("globalThis", globalThis, ["fetch", "WebSocket"]);

const dns = require("node:dns");
for (const [name, object] of [
  ["dns", dns],
  ["dns.promises", dns.promises],
  ["dns.Resolver", dns.Resolver.prototype],
  ["dns.promises.Resolver", dns.promises.Resolver.prototype],
]) {
  close(
    name,
    object,
    Object.getOwnPropertyNames(object).filter((key) => /^(lookup|resolve|reverse)/.test(key)),
  );
}

close("child_process", require("node:child_process"), [
  "spawn",
  "spawnSync",
  "exec",
  "execSync",
  "execFile",
  "execFileSync",
  "fork",
]);

// ES modules hold copies of these bindings; this brings them up to date.
require("node:module").syncBuiltinESMExports();
