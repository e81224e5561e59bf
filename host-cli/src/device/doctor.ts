// Why a port doesn't work, as far as this side of the line can tell. Each check
// says what it found, and what to do next where it isn't well:
//
//   ok    nothing to do
//   note  works, but could be better
//   bad   this has to be put right
//
// The machine is an argument: /proc, /sys, /dev, /etc and /run as folders, who
// asks, and where programs are. Nothing is changed, and nothing opened.

import {
  accessSync,
  constants,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  statSync,
} from "node:fs";
import { basename, join } from "node:path";
import type { ListedPort } from "./ports";
import { ROOTS, type Roots, textOf } from "./sysfs";
import { FTDI } from "./usb";

export interface Check {
  check: string;
  status: "ok" | "note" | "bad" | "skipped";
  found: string;
  /** Lines to read, or to paste. */
  next: string[];
}

export interface Host extends Roots {
  proc: string;
  etc: string;
  run: string;
  /** Where programs are looked for. */
  path: readonly string[];
  user: string;
  /** Whether this process may read and write the file. */
  mayOpen(path: string): boolean;
}

export const hostOf = (env: Readonly<Record<string, string | undefined>>): Host => ({
  ...ROOTS,
  proc: "/proc",
  etc: "/etc",
  run: "/run",
  path: [...(env.PATH ?? "").split(":"), "/sbin", "/usr/sbin", "/bin", "/usr/bin"].filter(
    (part) => part !== "",
  ),
  user: env.USER ?? "",
  mayOpen: (path) => {
    try {
      accessSync(path, constants.R_OK | constants.W_OK);
      return true;
    } catch {
      return false;
    }
  },
});

export const ok = (check: string, found: string): Check => ({ check, status: "ok", found, next: [] });
export const bad = (check: string, found: string, ...next: string[]): Check => ({
  check,
  status: "bad",
  found,
  next,
});
const note = (check: string, found: string, ...next: string[]): Check => ({
  check,
  status: "note",
  found,
  next,
});
export const skipped = (check: string, found: string): Check => ({
  check,
  status: "skipped",
  found,
  next: [],
});

/** What Linux tells of a port without opening it, in the order in which to mend it. */
export function checkLinux(path: string, port: ListedPort | undefined, host: Host): Check[] {
  return [
    checkPermission(path, port, host),
    checkBusy(path, host),
    checkModemManager(path, port, host),
    checkUdevadm(host),
    ...checkLatency(path, port, host),
  ];
}

export function checkPermission(path: string, port: ListedPort | undefined, host: Host): Check {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    return bad(
      "permission",
      "there is no such device file",
      "plug the device in; in a container, pass the device into it",
    );
  }
  if (host.mayOpen(path)) return ok("permission", "this user may open it");
  const group = groupsOf(host).find(({ gid }) => gid === stat.gid);
  const name = group?.name ?? String(stat.gid);
  const isOpenToGroup = (stat.mode & 0o060) === 0o060 && stat.gid !== 0;
  if (!isOpenToGroup) {
    const fallback =
      groupsOf(host).find((one) => one.name === "dialout" || one.name === "uucp")?.name ?? "dialout";
    return bad(
      "permission",
      `only its owner may open it; its group is ${name}`,
      ...rule(port, `GROUP="${fallback}", MODE="0660"`),
      joinGroup(fallback),
    );
  }
  if (group?.members.includes(host.user) === true) {
    return bad(
      "permission",
      `${host.user} is in group ${name}, but not since this login`,
      "log out and in again",
    );
  }
  return bad(
    "permission",
    `it belongs to group ${name}, which this user is not in`,
    joinGroup(name),
    ...(port?.vendorId === undefined ? [] : ["or, for everybody at this bench:"]),
    ...rule(port, `GROUP="${name}", MODE="0660", TAG+="uaccess"`),
  );
}

const joinGroup = (group: string) => `sudo usermod -aG ${group} $USER    # then log in again`;

/** A udev rule for this device, as a line to paste; none where there are no USB ids to name. */
function rule(port: ListedPort | undefined, does: string): string[] {
  if (port?.vendorId === undefined || port.productId === undefined) return [];
  const match = `SUBSYSTEM=="tty", ATTRS{idVendor}=="${port.vendorId}", ATTRS{idProduct}=="${port.productId}"`;
  return [
    `echo '${match}, ${does}' | sudo tee -a /etc/udev/rules.d/60-vouch.rules`,
    "sudo udevadm control --reload    # then plug the device in again",
  ];
}

interface Group {
  name: string;
  gid: number;
  members: string[];
}

function groupsOf(host: Host): Group[] {
  const lines = (textOf(join(host.etc, "group")) ?? "").split("\n");
  return lines.map((line) => {
    const [name = "", , gid, members = ""] = line.split(":");
    return { name, gid: Number(gid), members: members.split(",") };
  });
}

export function checkBusy(path: string, host: Host): Check {
  const target = realOf(path);
  const holders: string[] = [];
  let hidden = 0;
  for (const pid of processesOf(host)) {
    if (pid === String(process.pid)) continue;
    const held = holds(join(host.proc, pid, "fd"), target);
    if (held === undefined) hidden++;
    else if (held) holders.push(`${commandOf(host, pid)} (process ${pid})`);
  }
  if (holders.length > 0)
    return bad("busy", `held by ${holders.join(", ")}`, "close that program, then try again");
  const unseen = hidden === 0 ? "" : `; ${hidden} processes of others can't be looked into`;
  return ok("busy", `no program holds it${unseen}`);
}

/** Undefined where this user may not look. */
function holds(folder: string, target: string): boolean | undefined {
  let fds: string[];
  try {
    fds = readdirSync(folder);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EACCES" ? undefined : false;
  }
  return fds.some((fd) => {
    try {
      return readlinkSync(join(folder, fd)) === target;
    } catch {
      return false; // closed meanwhile
    }
  });
}

function realOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function processesOf(host: Host): string[] {
  try {
    return readdirSync(host.proc).filter((name) => /^[0-9]+$/.test(name));
  } catch {
    return [];
  }
}

const commandOf = (host: Host, pid: string) => textOf(join(host.proc, pid, "comm")) ?? "?";

/** It opens each new port and sends AT commands, for half a minute after the device was plugged in. */
export function checkModemManager(path: string, port: ListedPort | undefined, host: Host): Check {
  const what = "ModemManager";
  const pid = processesOf(host).find((one) => commandOf(host, one) === what);
  if (pid === undefined) return ok(what, "doesn't run");
  if (/^E:ID_MM_(DEVICE|PORT)_IGNORE=1$/m.test(udevDataOf(path, host)))
    return ok(what, "runs, and is told to leave this port alone");
  if (port?.vendorId === undefined) return ok(what, "runs, and leaves ports alone that aren't USB");
  return bad(
    what,
    `runs (process ${pid}) and may send to this port when the device is plugged in`,
    ...rule(port, 'ENV{ID_MM_DEVICE_IGNORE}="1"'),
  );
}

/** What udev knows of a device: /run/udev/data/c166:0. */
function udevDataOf(path: string, host: Host): string {
  try {
    const { rdev } = statSync(path);
    const [major, minor] = [(rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00)];
    return readFileSync(join(host.run, `udev/data/c${major}:${minor}`), "utf8");
  } catch {
    return "";
  }
}

export function checkUdevadm(host: Host): Check {
  const found = host.path.find((folder) =>
    statSync(join(folder, "udevadm"), { throwIfNoEntry: false })?.isFile(),
  );
  if (found !== undefined) return ok("udevadm", `in ${found}`);
  return note(
    "udevadm",
    "not installed: ports are read from /sys, but udev rules have no effect here",
    "install the package udev; in a container, rules belong on the host",
  );
}

/** An FTDI chip keeps what it received for this long, unless its buffer is full. */
export function checkLatency(path: string, port: ListedPort | undefined, host: Host): Check[] {
  if (port?.vendorId?.toLowerCase() !== FTDI) return [];
  const file = join(host.sys, "class/tty", basename(realOf(path)), "device/latency_timer");
  const ms = Number(textOf(file));
  const check = "latency timer";
  if (!(ms >= 1)) return [skipped(check, `${file} can't be read`)];
  if (ms === 1) return [ok(check, "1 ms")];
  return [note(check, `${ms} ms: each answer waits for it`, `echo 1 | sudo tee ${file}`)];
}
