// A line of bytes to one device. What is on the other end, a USB serial port
// or a simulated board in this process, nobody above this file can tell.
//
//   /dev/ttyACM0, COM3, /dev/pts/7     serial.ts
//   sim:/path/to/state.flash           ../sim/transport.ts

export interface Transport {
  /** What a message calls the other end: the port as the person named it. */
  readonly label: string;
  /** Resolves when the bytes are handed on, which says nothing of their arrival. Rejects when the line is gone. */
  write(bytes: Uint8Array): Promise<void>;
  /** One listener; bytes come in pieces cut anywhere. */
  onData(listener: (bytes: Uint8Array) => void): void;
  /** One listener, called once when the line is gone, whoever closed it. */
  onClose(listener: () => void): void;
  close(): Promise<void>;
}

export interface LineOptions {
  baud: number;
}

export const DEFAULT_BAUD = 115200;

/** Opens a port. Refuses `no-such-port`, `port-permission`, `port-busy`, `port-failed`. */
export async function openDevice(
  port: string,
  options: LineOptions = { baud: DEFAULT_BAUD },
): Promise<Transport> {
  if (port.startsWith("sim:")) {
    const { openSim } = await import("../sim/transport");
    return openSim(port);
  }
  const { openSerial } = await import("./serial");
  return openSerial(port, options);
}
