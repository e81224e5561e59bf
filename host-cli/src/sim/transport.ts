// `sim:FILE`: the simulated device whose flash is FILE, powered on in this
// process for as long as the line is open. For platforms without
// pseudo-terminals, for tests and for `vouch demo`.

import { Refusal } from "@vouch/shared/refusal";
import type { Transport } from "../device/transport";
import { about } from "../exit";
import { startDevice } from "./device";
import { type Flash, openFlashFile } from "./flash";

/** Refuses `no-such-port` when there is no FILE, `sim-running`, `malformed-state`, `malformed-engine`. */
export async function openSim(spec: string): Promise<Transport> {
  const path = spec.replace(/^sim:/, "");
  if (path === "") throw noFile("names no file");
  const flash = await about(spec, () =>
    openFlashFile(path).catch((error) => {
      throw error.code === "not-found" ? noFile("there is no such simulated device", error) : error;
    }),
  );
  return openSimOver(flash, spec);
}

const noFile = (found: string, cause?: unknown) =>
  new Refusal("no-such-port", found, {
    cause,
    hint: "`vouch sim --create --state FILE --vendor KEY.vkey --product P --model M` makes one",
  });

/** A device on flash of any kind, for as long as the line is open. */
export async function openSimOver(flash: Flash, label: string): Promise<Transport> {
  let listener: (bytes: Uint8Array) => void = () => {};
  let closeListener = () => {};
  let gone: Error | undefined;
  const end = (why: Error) => {
    if (gone !== undefined) return;
    gone = why;
    device.stop();
    closeListener();
  };
  const device = await startDevice(flash, { onData: (bytes) => listener(bytes), onHalt: end }).catch(
    (error) => {
      flash.close();
      throw error;
    },
  );
  return {
    label,
    write: (bytes) => (gone === undefined ? device.receive(bytes) : Promise.reject(gone)),
    onData: (take) => {
      listener = take;
    },
    onClose: (take) => {
      closeListener = take;
    },
    close: async () => end(new Error(`${label} is closed`)),
  };
}
