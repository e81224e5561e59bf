// What a USB vendor and product id say about a serial port, and no more.
//
// A row is here when the ids' owner assigned them to that thing. Many boards
// share an adapter's ids, or ST's example ids: then the row names the adapter,
// and what is behind it is for `vouch probe` to find out. A product id of null
// stands for every product of that vendor which has no row of its own.

type Row = readonly [vendorId: string, productId: string | null, what: string];

const ROWS: readonly Row[] = [
  ["0403", null, "FTDI USB serial adapter"],
  ["0483", "5740", "STM32 virtual COM port (Espruino boards use these ids)"],
  ["0483", "3744", "ST-LINK"],
  ["0483", "3748", "ST-LINK/V2"],
  ["0483", "374a", "ST-LINK/V2-1"],
  ["0483", "374b", "ST-LINK/V2-1"],
  ["0483", "3752", "ST-LINK/V2-1"],
  ["0483", "374d", "STLINK-V3"],
  ["0483", "374e", "STLINK-V3"],
  ["0483", "374f", "STLINK-V3"],
  ["0483", "3753", "STLINK-V3"],
  ["067b", "2303", "PL2303 USB serial adapter"],
  ["0d28", "0204", "DAPLink"],
  ["10c4", "ea60", "CP210x USB serial adapter"],
  ["10c4", "ea70", "CP2105 USB serial adapter"],
  ["10c4", "ea71", "CP2108 USB serial adapter"],
  ["1366", null, "J-Link"],
  ["1915", null, "Nordic Semiconductor device"],
  ["1a86", "5523", "CH341 USB serial adapter"],
  ["1a86", "7523", "CH340 USB serial adapter"],
  ["2341", null, "Arduino board"],
  ["2e8a", null, "Raspberry Pi device (RP2040, RP2350)"],
  ["2fe3", null, "Zephyr USB device (sample ids)"],
  ["303a", "1001", "Espressif USB serial/JTAG (ESP32-S3, C3, C6)"],
  ["303a", null, "Espressif device"],
];

const KNOWN: ReadonlyMap<string, string> = new Map(
  ROWS.map(([vendorId, productId, what]) => [`${vendorId}:${productId ?? ""}`, what]),
);

export const FTDI = "0403";

/** Ids as four lower-case hex digits. Never a guess: ids without a row are a USB serial port and nothing else. */
export function describeUsb(vendorId: string, productId: string): string {
  return KNOWN.get(`${vendorId}:${productId}`) ?? KNOWN.get(`${vendorId}:`) ?? "USB serial port";
}
