// vouch log serve: the log's folder over HTTP until somebody stops it (log/serve.ts).

import type { AddressInfo } from "node:net";
import type { Command } from "commander";
import type { Io } from "../io";
import { type Address, listenAddress } from "../listen";
import { logServer } from "../log/serve";
import { openLog } from "../log/store";

export function defineServe(log: Command, io: Io): void {
  log
    .command("serve")
    .description("Offers the log over HTTP, to be read only, until it is stopped.")
    .argument("<dir>", "the log")
    .option("--listen <HOST:PORT>", "where; port 0 takes one that is free", listenAddress, {
      host: "127.0.0.1",
      port: 8470,
    })
    .option("--json", "print JSON lines: the address, then each answer")
    .action((dir: string, flags: { listen: Address }) => serve(dir, flags.listen, io));
}

async function serve(dir: string, { host, port }: Address, io: Io): Promise<void> {
  openLog(dir); // a folder that is no log is refused at once
  const server = logServer(dir, (method, path, status) => {
    if (io.json) io.stdout(`${JSON.stringify({ method, path: path.slice(0, 200), status })}\n`);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const { port: taken } = server.address() as AddressInfo;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${taken}/`;
  if (io.json) io.stdout(`${JSON.stringify({ url })}\n`);
  else if (!io.quiet) io.stderr(`${dir} at ${url}; Ctrl-C ends it\n`);
  await new Promise<void>((resolve) => {
    const stop = () => {
      server.closeAllConnections();
      server.close(() => resolve());
    };
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
  });
}
