// A device with MCUboot and Zephyr's SMP server, in memory: two slots it keeps, a
// boot loader that checks digest and signature with a key of its own before it
// starts anything, trials that end at the next restart, and nothing that would
// make it easier: the server lists what a slot claims to hold, checked by nobody.

import { type CborMap, type CborValue, cborMap, isBytes, mapGet } from "@vouch/shared/cbor";
import { compareVersions, type McubootImage, readMcuboot } from "@vouch/shared/mcuboot";
import { Refusal } from "@vouch/shared/refusal";
import { verifyEd25519 } from "@vouch/shared/sign";
import {
  decodeMessage,
  encodeFrame,
  encodeMessage,
  GROUP_IMAGE,
  GROUP_OS,
  IMAGE_ERASE,
  IMAGE_SLOTS,
  IMAGE_STATE,
  IMAGE_UPLOAD,
  makeDeframer,
  OS_PARAMS,
  OS_RESET,
  pushBytes,
  SMP_WRITE,
  smpHeader,
} from "@vouch/shared/smp";
import type { Clock } from "../src/device/clock";
import type { Transport } from "../src/device/transport";
import { digestOf } from "../src/mcuboot";
import { KEY, reported } from "./mcuboot-kit";
import { hash } from "./sim-kit";

const BOOT_MS = 600;
const RESET_MS = 100;
const WATCHDOG_MS = 2000;

export interface McubootOptions {
  clock: Clock;
  /** What slots 0 and 1 hold at first. */
  slots: [Uint8Array | null, Uint8Array | null];
  mode?: "swap" | "highest" | "recovery";
  /** The key its boot loader checks by; null: it checks digests only. */
  bootKey?: Uint8Array | null;
  /** The server compares what it stored with the hash of the upload. */
  hasImageCheck?: boolean;
  slotBytes?: number;
  /** What becomes of a chunk on its way into flash. */
  store?: (chunk: Uint8Array, off: number) => Uint8Array;
  /** What an image does once started: serve, never answer, or crash into the watchdog. */
  behave?: (image: McubootImage) => "serves" | "hangs" | "crashes";
  /** The port is the device's own USB: gone while it restarts. */
  ownUsb?: boolean;
  /** True for what is lost on its way to the device. */
  loses?: (request: { group: number; command: number; write: boolean }) => boolean;
}

type Answer = [string, CborValue][];
const error = (rc: number): Answer => [
  [
    "err",
    cborMap([
      ["group", GROUP_IMAGE],
      ["rc", rc],
    ]),
  ],
]; // prettier-ignore

export class McubootDevice {
  readonly slots: (Uint8Array | null)[];
  /** Requests that arrived, and bytes on the line, both ways. */
  readonly heard: { group: number; command: number; write: boolean }[] = [];
  wireBytes = 0;
  boots = 0;
  private active = 0;
  private isPending = false;
  private isTrial = false;
  private isRecovering: boolean;
  private isUp = true;
  private epoch = 0;
  private upload: { sha: string; length: number; bytes: Uint8Array; off: number; slot: number } | null = null;
  private line: { data: (bytes: Uint8Array) => void; closed: () => void } | null = null;

  constructor(private readonly options: McubootOptions) {
    this.slots = [...options.slots];
    this.isRecovering = options.mode === "recovery";
    this.active = options.mode === "highest" ? this.highest() : 0;
  }

  get running(): McubootImage | null {
    return this.isRecovering ? null : this.claims(this.active);
  }

  get confirmed(): boolean {
    return !this.isTrial;
  }

  /** For LinkOptions. */
  readonly open = async (): Promise<Transport> => {
    if (this.options.ownUsb === true && !this.isUp)
      throw new Refusal("no-such-port", "there is no such port");
    const end = { data: (_: Uint8Array) => {}, closed: () => {} };
    this.line = end;
    const deframer = makeDeframer(4096);
    return {
      label: "bench",
      write: async (bytes) => {
        if (this.line !== end) throw new Error("the line is gone");
        this.wireBytes += bytes.length;
        const piece = bytes.slice();
        this.options.clock.after(1, () =>
          pushBytes(
            deframer,
            piece,
            (message) => this.receive(message),
            () => {},
          ),
        );
      },
      onData: (listener) => {
        end.data = listener;
      },
      onClose: (listener) => {
        end.closed = listener;
      },
      close: async () => {
        if (this.line === end) this.line = null;
      },
    };
  };

  /** The cable is pulled; the device goes on. */
  pull(): void {
    const end = this.line;
    this.line = null;
    end?.closed();
  }

  powerCycle(): void {
    this.epoch++;
    this.isUp = false;
    this.upload = null;
    if (this.options.ownUsb === true) this.pull();
    const { epoch } = this;
    this.options.clock.after(BOOT_MS, () => epoch === this.epoch && this.boot());
  }

  private boot(): void {
    this.boots++;
    const { mode = "swap", behave = () => "serves" } = this.options;
    if (mode === "highest") this.active = this.highest();
    else if (this.isTrial) this.swap(false);
    else if (this.isPending) {
      this.isPending = false;
      // What is invalid is dropped without a word.
      if (this.isValid(1)) this.swap(true);
      else this.slots[1] = null;
    }
    if (!this.isValid(this.active)) this.isRecovering = true;
    else if (mode === "recovery") this.isRecovering = false;
    const image = this.claims(this.active);
    const does = this.isRecovering || image === null ? "serves" : behave(image);
    if (does === "serves") this.isUp = true;
    const { epoch } = this;
    if (does === "crashes")
      this.options.clock.after(WATCHDOG_MS, () => epoch === this.epoch && this.powerCycle());
  }

  private swap(isTrial: boolean): void {
    this.slots.reverse();
    this.isTrial = isTrial;
    this.isPending = false;
  }

  private highest(): number {
    const valid = [0, 1].filter((slot) => this.isValid(slot));
    const newer = (a: number, b: number) =>
      compareVersions(this.claims(a)!.version, this.claims(b)!.version) > 0;
    return valid.includes(1) && (!valid.includes(0) || newer(1, 0)) ? 1 : 0;
  }

  private claims(slot: number): McubootImage | null {
    try {
      return readMcuboot(this.slots[slot] ?? new Uint8Array(0));
    } catch {
      return null;
    }
  }

  private isValid(slot: number): boolean {
    const image = this.claims(slot);
    if (image === null) return false;
    const { bootKey = KEY.publicKey } = this.options;
    const digest = digestOf(image.digest.name, image.body);
    if (Buffer.compare(digest, image.digest.value) !== 0) return false;
    if (bootKey === null) return true;
    return (
      image.signature !== null && verifyEd25519(bootKey, image.isPure ? image.body : digest, image.signature)
    );
  }

  private receive(message: Uint8Array): void {
    const { header, body } = decodeMessage(message);
    if (header === null || body === null || !this.isUp) return;
    const { group, command, op, sequence } = header;
    const request = { group, command, write: op === SMP_WRITE };
    if (this.options.loses?.(request) === true) return;
    this.heard.push(request);
    const answer = this.answer(group, command, request.write, body);
    const frame = encodeFrame(encodeMessage(smpHeader(op + 1, 1, group, command, sequence), cborMap(answer)));
    this.options.clock.after(2, () => {
      this.wireBytes += frame.length;
      this.line?.data(frame);
    });
  }

  private answer(group: number, command: number, isWrite: boolean, body: CborMap): Answer {
    if (group === GROUP_OS && command === OS_PARAMS)
      return [
        ["buf_count", 4],
        ["buf_size", 384],
      ]; // prettier-ignore
    if (group === GROUP_OS && command === OS_RESET) {
      const { epoch } = this;
      this.options.clock.after(RESET_MS, () => epoch === this.epoch && this.powerCycle());
      return [];
    }
    if (group === GROUP_IMAGE && command === IMAGE_STATE && !isWrite) return this.state();
    if (group === GROUP_IMAGE && command === IMAGE_STATE) return this.setState(body);
    if (group === GROUP_IMAGE && command === IMAGE_UPLOAD) return this.receiveChunk(body);
    if (group === GROUP_IMAGE && command === IMAGE_ERASE) {
      this.slots[1 - this.active] = null;
      this.isPending = false;
      return [];
    }
    if (group === GROUP_IMAGE && command === IMAGE_SLOTS && !this.isRecovering) return this.sizes();
    return [["rc", 8]];
  }

  private state(): Answer {
    const images = [0, 1].flatMap((slot) => {
      const image = this.claims(slot);
      if (image === null || (this.isRecovering && slot === 1)) return [];
      const known: Answer = [
        ["slot", slot],
        ["hash", image.digest.value],
        ["version", reported(image.version)],
      ]; // prettier-ignore
      if (this.isRecovering) return [cborMap(known)];
      const isActive = slot === this.active;
      return [
        cborMap([
          ...known,
          ["bootable", true],
          ["pending", !isActive && this.isPending],
          ["confirmed", isActive ? !this.isTrial : this.isTrial],
          ["active", isActive],
          ["permanent", false],
        ]),
      ];
    });
    return [["images", images]];
  }

  private setState(body: CborMap): Answer {
    if (this.isRecovering || this.options.mode === "highest") return [["rc", 8]];
    if (mapGet(body, "confirm") === true) {
      if (this.isPending) return error(28);
      this.isTrial = false;
      return this.state();
    }
    const wanted = mapGet(body, "hash");
    const is = (slot: number) =>
      isBytes(wanted) && Buffer.compare(this.claims(slot)?.digest.value ?? new Uint8Array(0), wanted) === 0;
    if (is(this.active)) return error(33);
    if (!is(1 - this.active)) return error(8);
    this.isPending = true;
    return this.state();
  }

  private sizes(): Answer {
    const { slotBytes = 65_536 } = this.options;
    const slots = [0, 1].map((slot) =>
      cborMap([
        ["slot", slot],
        ["size", slotBytes],
        ...(slot === this.active ? [] : ([["upload_image_id", 0]] as Answer)),
      ]),
    );
    return [
      [
        "images",
        [
          cborMap([
            ["image", 0],
            ["slots", slots],
          ]),
        ],
      ],
    ]; // prettier-ignore
  }

  private receiveChunk(body: CborMap): Answer {
    const [off, data] = [mapGet(body, "off"), mapGet(body, "data")];
    if (typeof off !== "number" || !isBytes(data)) return error(22);
    const { hasImageCheck = false, store = (chunk) => chunk } = this.options;
    if (off === 0) {
      const refused = this.begin(body, data);
      if (refused !== null) return refused;
    }
    const { upload } = this;
    if (upload === null) return [["off", 0]];
    if (off !== upload.off) return [["off", upload.off]];
    upload.bytes.set(store(data, off), off);
    upload.off += data.length;
    if (upload.off < upload.length) return [["off", upload.off]];
    this.slots[upload.slot] = upload.bytes;
    this.upload = null;
    const isSame = Buffer.from(hash(upload.bytes)).toString("hex") === upload.sha;
    return [["off", upload.length], ...(hasImageCheck ? ([["match", isSame]] as Answer) : [])];
  }

  /** The first chunk; an answer where that is the end of it. */
  private begin(body: CborMap, data: Uint8Array): Answer | null {
    const [length, sha] = [mapGet(body, "len"), mapGet(body, "sha")];
    if (typeof length !== "number" || !isBytes(sha)) return error(21);
    if (Buffer.from(data.subarray(0, 4)).toString("hex") !== "3db8f396") return error(23);
    if (length > (this.options.slotBytes ?? 65_536)) return error(30);
    const name = Buffer.from(sha).toString("hex");
    if (this.upload?.sha === name) return null; // the session goes on
    const slot = this.isRecovering ? 0 : 1 - this.active;
    this.slots[slot] = null;
    this.isPending = false;
    this.upload = { sha: name, length, bytes: new Uint8Array(length), off: 0, slot };
    return null;
  }
}
