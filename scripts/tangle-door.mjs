// A door between network namespaces, which share files and no ports: one end listens on a port of 127.0.0.1 and passes
// connections on to a socket in a folder, the other listens on that socket and passes them on to a port.

import { once } from "node:events";
import { connect, createServer } from "node:net";

/** `near` is what to listen on, `far` what to connect to, as node:net takes them. */
export async function openDoor(near, far) {
  const open = new Set();
  const server = createServer({ allowHalfOpen: true }, (here) => {
    const there = connect({ ...far, allowHalfOpen: true });
    here.pipe(there).pipe(here);
    for (const [one, other] of [
      [here, there],
      [there, here],
    ]) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(near);
  await once(server, "listening");
  return {
    address: () => server.address(),
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
