/** iosLib and ioLib: drivers, devices by name, file descriptors. Descriptors 0 to 2 are the console. */
import { definer } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import { bytesOf, textOf } from '../../../kernel/text/sink.ts';
import { GuestFault } from '../../../memory/space.ts';
import { ERRNO, ERROR, OK } from '../errno.ts';
import { failed, noneFor } from '../tasks.ts';
import type { CodePointer, VxWorks } from '../vxworks.ts';
import { hex } from '../wording.ts';
import { FIONREAD, FIOSEEK, FIOWHERE, type HostFile, ioctlHost, openHost, readHost } from './host-files.ts';

const functions = definer<VxWorks>();

const O_WRONLY = 1;
const O_CREAT = 0x200;
/** NUM_FILES and NUM_DRIVERS of the usual configuration. */
const MAX_FILES = 50;
const MAX_DRIVERS = 20;
const FIRST_FD = 3;

const ENTRIES = ['create', 'remove', 'open', 'close', 'read', 'write', 'ioctl'] as const;
type Driver = Readonly<Record<(typeof ENTRIES)[number], number>>;

/** A file of the kernel's own: a pipe, a socket. What a kind of file cannot do is left out. */
export interface KernelFile {
  readonly name: string;
  read?(buffer: number, most: number): Steps<number>;
  write?(buffer: number, bytes: number): Steps<number>;
  ioctl?(code: number, argument: number): number;
  close(): void;
  /** Would a read, or a write, go on at once? (selectLib) */
  readonly readable: boolean;
  readonly writable: boolean;
}

/** A file of a driver in machine code, one of the host, or one of the kernel. */
type OpenFile =
  | DriverFile
  | { readonly host: HostFile; readonly name: string }
  | { readonly own: KernelFile; readonly name: string };

interface DriverFile {
  readonly driver: Driver;
  readonly device: number;
  /** What the driver's open routine gave: it wants it back in every call. */
  readonly handle: number;
  readonly name: string;
}

interface KernelDevice {
  /** What the driver keeps of it. */
  readonly object: unknown;
  open(): KernelFile;
}

class InputOutput {
  /** By number; number 0 is the null driver of the standard descriptors. */
  readonly drivers: (Driver | undefined)[] = [undefined];
  /** DEV_HDR addresses in the order they were added. */
  readonly devices: number[] = [];
  readonly files = new Map<number, OpenFile>();
  /** Devices of the kernel's own drivers, and how their files are opened. */
  readonly openers = new Map<number, KernelDevice>();
}

const io = perKernel((kernel) => {
  const k = kernel as VxWorks;
  const all = new InputOutput();
  k.pointerSources.push(function* (): Iterable<CodePointer> {
    for (const [number, driver] of all.drivers.entries()) {
      for (const name of ENTRIES)
        if (driver !== undefined && driver[name] !== 0)
          yield { what: 'driver', which: `${number}`, address: driver[name] };
    }
  });
  return all;
});

export const ioFunctions = functions({
  'int iosDrvInstall(FUNCPTR create, FUNCPTR remove, FUNCPTR open, FUNCPTR close, FUNCPTR read, FUNCPTR write, FUNCPTR ioctl)':
    (k, create, remove, open, close, read, write, ioctl) => {
      const { drivers } = k.state(io);
      const free = drivers.findIndex((one, i) => i > 0 && one === undefined);
      const number = free > 0 ? free : drivers.length;
      if (number > MAX_DRIVERS) return failed(k, ERRNO.S_iosLib_DRIVER_GLUT);
      drivers[number] = { create, remove, open, close, read, write, ioctl };
      return number;
    },
  'STATUS iosDrvRemove(int number, BOOL forceClose)': (k, number, force) => {
    const { drivers, files, devices } = k.state(io);
    const driver = drivers[number];
    if (driver === undefined) return ERROR;
    const open = [...files].filter(([, file]) => 'driver' in file && file.driver === driver);
    if (open.length > 0 && force === 0) return ERROR;
    for (const [fd] of open) files.delete(fd);
    for (const device of devices.filter((one) => driverOf(k, one) === driver))
      devices.splice(devices.indexOf(device), 1);
    drivers[number] = undefined;
    return OK;
  },
  'STATUS iosDevAdd(DEV_HDR *device, char *name, int driver)': (k, device, name, driver) =>
    addDevice(k, device, guestText(k, name, 255), driver),
  'void iosDevDelete(DEV_HDR *device)': (k, device) => {
    const { devices } = k.state(io);
    const at = devices.indexOf(device);
    if (at < 0) return;
    devices.splice(at, 1);
    k.state(io).openers.delete(device);
    k.pool.free(k.read('DEV_HDR.name', device));
  },
  'DEV_HDR *iosDevFind(char *name, char **rest)': (k, name, rest) => {
    const text = guestText(k, name, 1024);
    const found = findDevice(k, text);
    if (found !== undefined && rest !== 0) k.memory.setPtr(rest, name + found.skip);
    return found?.device ?? noneFor(k, ERRNO.S_iosLib_DEVICE_NOT_FOUND);
  },
  'int open(const char *name, int flags, int mode)': (k, name, flags, mode) =>
    openFile(k, guestText(k, name, 1024), flags, mode, 'open'),
  'int creat(const char *name, int flags)': (k, name, flags) =>
    openFile(k, guestText(k, name, 1024), flags | O_CREAT | O_WRONLY, 0, 'create'),
  'STATUS remove(const char *name)': (k, name) => removeFile(k, guestText(k, name, 1024)),
  'STATUS close(int fd)': closeFile,
  'ssize_t read(int fd, void *buffer, size_t most)': readFile,
  'ssize_t write(int fd, const void *buffer, size_t bytes)': writeFile,
  'int ioctl(int fd, int function, _Vx_ioctl_arg_t argument)': ioctlFile,
  'off_t lseek(int fd, off_t offset, int whence)': seekFile,
});

function addDevice(k: VxWorks, device: number, name: string, driver: number): number {
  const { devices } = k.state(io);
  if (devices.some((one) => deviceName(k, one) === name))
    return failed(k, ERRNO.S_iosLib_DUPLICATE_DEVICE_NAME);
  const copy = k.allocate(name.length + 1, k.caller);
  k.memory.write(copy, bytesOf(`${name}\0`));
  k.write('DEV_HDR.drvNum', device, driver);
  k.write('DEV_HDR.name', device, copy);
  devices.push(device);
  return OK;
}

const NO_ROUTINES: Driver = { create: 0, remove: 0, open: 0, close: 0, read: 0, write: 0, ioctl: 0 };

/** A device of the kernel's own, with a driver number of its own; ERROR when the name is taken. */
export function addKernelDevice(k: VxWorks, name: string, object: unknown, open: () => KernelFile): number {
  const { drivers, openers } = k.state(io);
  const device = k.allocate(k.sizeof('DEV_HDR'), k.caller);
  if (device === 0) return failed(k, ERRNO.S_memLib_NOT_ENOUGH_MEMORY);
  const result = addDevice(k, device, name, drivers.length);
  if (result === OK) {
    drivers.push(NO_ROUTINES);
    openers.set(device, { object, open });
  } else k.pool.free(device);
  return result;
}

/** What the driver keeps of a device of the kernel's own. */
export function kernelDevice(k: VxWorks, name: string): unknown {
  const { devices, openers } = k.state(io);
  const device = devices.find((one) => openers.has(one) && deviceName(k, one) === name);
  return device === undefined ? undefined : openers.get(device)?.object;
}

/** Takes a device of the kernel's own away; false when there is none of that name. */
export function removeKernelDevice(k: VxWorks, name: string): boolean {
  const { drivers, devices, openers } = k.state(io);
  const device = devices.find((one) => openers.has(one) && deviceName(k, one) === name);
  if (device === undefined) return false;
  drivers[k.read('DEV_HDR.drvNum', device)] = undefined;
  devices.splice(devices.indexOf(device), 1);
  openers.delete(device);
  k.pool.free(k.read('DEV_HDR.name', device));
  k.pool.free(device);
  return true;
}

/** A descriptor for a file of the kernel's own; ERROR when there are too many. */
export function addFile(k: VxWorks, own: KernelFile): number {
  const fd = freeDescriptor(k);
  if (fd === undefined) return failed(k, ERRNO.S_iosLib_TOO_MANY_OPEN_FILES);
  k.state(io).files.set(fd, { own, name: own.name });
  return fd;
}

/** What stands behind a descriptor, if it is the kernel's own. */
export function kernelFile(k: VxWorks, fd: number): KernelFile | undefined {
  const file = k.state(io).files.get(fd);
  return file !== undefined && 'own' in file ? file.own : undefined;
}

export function isOpen(k: VxWorks, fd: number): boolean {
  return (fd >= 0 && fd < FIRST_FD) || k.state(io).files.has(fd);
}

function freeDescriptor(k: VxWorks): number | undefined {
  const { files } = k.state(io);
  let fd = FIRST_FD;
  while (files.has(fd)) fd++;
  return fd >= MAX_FILES ? undefined : fd;
}

export function deviceName(k: VxWorks, device: number): string {
  return guestText(k, k.read('DEV_HDR.name', device), 256);
}

/** The lines of `iosDevShow` and `devs`. */
export function showDevices(k: VxWorks): string[] {
  return ['drv name', ...listDevices(k).map(({ driver, name }) => `${String(driver).padStart(3)} ${name}`)];
}

/** The lines of `iosDrvShow`. */
export function showDrivers(k: VxWorks): string[] {
  const bits = k.spec.pointerBytes * 8;
  const rows = listDrivers(k).map(({ number, entries }) => {
    const routines = ENTRIES.map((name) => hex(entries[name], bits).slice(2).padStart(10));
    return `${String(number).padStart(3)} ${routines.join(' ')}`;
  });
  return ['drv     create     delete       open      close       read      write      ioctl', ...rows];
}

/** The lines of `iosFdShow`. */
export function showFiles(k: VxWorks): string[] {
  return [' fd name', ...listFiles(k).map(({ fd, name }) => `${String(fd).padStart(3)} ${name}`)];
}

/** Driver number and name. */
function listDevices(k: VxWorks): { driver: number; name: string }[] {
  return k.state(io).devices.map((device) => ({
    driver: k.read('DEV_HDR.drvNum', device),
    name: deviceName(k, device),
  }));
}

function listDrivers(k: VxWorks): { number: number; entries: Driver }[] {
  return k
    .state(io)
    .drivers.flatMap((entries, number) => (entries === undefined ? [] : [{ number, entries }]));
}

/** A socket's name tells the port that it has by now. */
function nameOf(file: OpenFile): string {
  return 'own' in file ? file.own.name : file.name;
}

function listFiles(k: VxWorks): { fd: number; name: string }[] {
  return [...k.state(io).files].map(([fd, file]) => ({ fd, name: nameOf(file) }));
}

/** Of a device whose header has gone with its module, the address. */
function nameIfThere(k: VxWorks, device: number): string {
  try {
    return deviceName(k, device);
  } catch (error) {
    if (!(error instanceof GuestFault)) throw error;
    return hex(device, k.spec.pointerBytes * 8);
  }
}

/** Devices and open files, for the report of what a module left. */
export function* standingFiles(k: VxWorks): Generator<StandingThing> {
  const { devices, files } = k.state(io);
  for (const device of devices) yield { what: 'device', key: device, name: nameIfThere(k, device) };
  for (const [fd, file] of files) yield { what: 'open file', key: fd, name: nameOf(file) };
}

function driverOf(k: VxWorks, device: number): Driver | undefined {
  return k.state(io).drivers[k.read('DEV_HDR.drvNum', device)];
}

/** The device with the longest name that the path begins with; what follows is the driver's business. */
function findDevice(k: VxWorks, path: string): { device: number; skip: number } | undefined {
  let best: { device: number; skip: number } | undefined;
  for (const device of k.state(io).devices) {
    const name = deviceName(k, device);
    if (path.startsWith(name) && name.length > (best?.skip ?? 0)) best = { device, skip: name.length };
  }
  return best;
}

/** A copy of the rest of the path for as long as a driver looks at it. */
function* withRest(k: VxWorks, rest: string, call: (at: number) => Steps<number>): Steps<number> {
  const at = k.allocate(rest.length + 1);
  k.memory.write(at, bytesOf(`${rest}\0`));
  const result = yield* call(at);
  k.pool.free(at);
  return result;
}

/** Opens; gives a descriptor or ERROR. */
export function* openFile(
  k: VxWorks,
  path: string,
  flags: number,
  mode: number,
  how: 'open' | 'create',
): Steps<number> {
  const { files } = k.state(io);
  const found = findDevice(k, path);
  const driver = found === undefined ? undefined : driverOf(k, found.device);
  const fd = freeDescriptor(k);
  if (fd === undefined) return failed(k, ERRNO.S_iosLib_TOO_MANY_OPEN_FILES);
  const own = found === undefined ? undefined : k.state(io).openers.get(found.device)?.open();
  if (own !== undefined) {
    files.set(fd, { own, name: path });
    return fd;
  }
  const host = found === undefined ? openHost(k, path, flags) : undefined;
  if (typeof host === 'number') return host;
  if (host !== undefined) {
    files.set(fd, { host, name: path });
    return fd;
  }
  if (found === undefined || driver === undefined || driver[how] === 0)
    return failed(k, ERRNO.S_iosLib_DEVICE_NOT_FOUND);
  const { device, skip } = found;
  const handle = yield* withRest(k, path.slice(skip), (rest) =>
    how === 'open'
      ? k.call(driver.open, device, rest, flags, mode)
      : k.call(driver.create, device, rest, flags),
  );
  if ((handle | 0) === ERROR) return ERROR;
  files.set(fd, { driver, device, handle, name: path });
  return fd;
}

function* removeFile(k: VxWorks, path: string): Steps<number> {
  const found = findDevice(k, path);
  const driver = found === undefined ? undefined : driverOf(k, found.device);
  if (found === undefined || driver === undefined || driver.remove === 0)
    return failed(k, ERRNO.S_iosLib_DEVICE_NOT_FOUND);
  return yield* withRest(k, path.slice(found.skip), (rest) => k.callInt(driver.remove, found.device, rest));
}

export function* closeFile(k: VxWorks, fd: number): Steps<number> {
  const { files } = k.state(io);
  const file = files.get(fd);
  if (file === undefined) return failed(k, ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR);
  files.delete(fd);
  if ('host' in file) return OK;
  if ('own' in file) {
    file.own.close();
    return OK;
  }
  return file.driver.close === 0 ? OK : yield* k.callInt(file.driver.close, file.handle);
}

export function* readFile(k: VxWorks, fd: number, buffer: number, most: number): Steps<number> {
  const file = k.state(io).files.get(fd);
  if (fd >= 0 && fd < FIRST_FD) return most <= 0 ? 0 : yield* k.console.read(buffer, most);
  if (file === undefined) return failed(k, ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR);
  if ('host' in file) return readHost(k, file.host, buffer, most);
  if ('own' in file) return yield* file.own.read?.(buffer, most) ?? refused(k);
  return file.driver.read === 0 ? ERROR : yield* k.callInt(file.driver.read, file.handle, buffer, most);
}

export function* writeFile(k: VxWorks, fd: number, buffer: number, bytes: number): Steps<number> {
  const file = k.state(io).files.get(fd);
  if (fd >= 0 && fd < FIRST_FD) {
    k.console.write(textOf(k.memory.bytes(buffer, bytes)));
    return bytes;
  }
  if (file === undefined) return failed(k, ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR);
  // It was opened for reading.
  if ('host' in file) return failed(k, ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR);
  if ('own' in file) return yield* file.own.write?.(buffer, bytes) ?? refused(k);
  return file.driver.write === 0 ? ERROR : yield* k.callInt(file.driver.write, file.handle, buffer, bytes);
}

function* refused(k: VxWorks): Steps<number> {
  return failed(k, ERRNO.ENOTSUP);
}

export function* ioctlFile(k: VxWorks, fd: number, code: number, argument: number): Steps<number> {
  const file = k.state(io).files.get(fd);
  if (file === undefined) return failed(k, ERRNO.S_iosLib_INVALID_FILE_DESCRIPTOR);
  if ('host' in file) return ioctlHost(k, file.host, code, argument);
  if ('own' in file) return file.own.ioctl?.(code, argument) ?? failed(k, ERRNO.S_ioLib_UNKNOWN_REQUEST);
  return file.driver.ioctl === 0 ? ERROR : yield* k.callInt(file.driver.ioctl, file.handle, code, argument);
}

/** Drivers know absolute places only; from the end they are asked for what is left of the file. */
export function* seekFile(k: VxWorks, fd: number, offset: number, whence: number): Steps<number> {
  let from = 0;
  if (whence === 1 || whence === 2) {
    from = yield* ioctlFile(k, fd, FIOWHERE, 0);
    if (from === ERROR) return ERROR;
  }
  if (whence === 2) {
    const at = k.allocate(8);
    const result = yield* ioctlFile(k, fd, FIONREAD, at);
    from += k.memory.i32(at);
    k.pool.free(at);
    if (result === ERROR) return ERROR;
  }
  const place = from + offset;
  return (yield* ioctlFile(k, fd, FIOSEEK, place)) === ERROR ? ERROR : place;
}

/** The whole file behind a descriptor of the host's, and its name; undefined for any other descriptor. */
export function hostFileOf(k: VxWorks, fd: number): { bytes: Uint8Array; name: string } | undefined {
  const file = k.state(io).files.get(fd);
  return file !== undefined && 'host' in file ? { bytes: file.host.bytes, name: file.name } : undefined;
}
