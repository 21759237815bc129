/**
 * The files that a session's kernel sees: /boot/modules with the module files of the user, /dev with the devices that
 * modules make, and what the shell writes.
 */
import type { Steps } from '../../kernel/steps.ts';
import { closeDevice, openDevice, readDevice, writeDevice } from '../../systems/freebsd/device-calls.ts';
import { Errno, KernelErrno } from '../../systems/freebsd/errno.ts';
import type { FreeBsd } from '../../systems/freebsd/freebsd.ts';
import { type Device, devices } from '../../systems/freebsd/functions/devices.ts';
import type { Credential } from '../../systems/freebsd/syscalls.ts';
import { mountOf, readFile } from '../../systems/freebsd/vfs.ts';
import type { SystemFiles } from '../system.ts';

/** Where the module files of the user are. */
const MODULES = '/boot/modules/';
/** Most that cat(1) reads of a device that never ends. */
const MOST = 1 << 20;

const isModuleName = (name: string): boolean => /\.ko$|^linker\.hints$/.test(name) && !name.includes('/');

export class SessionFiles {
  private readonly host: SystemFiles;
  private readonly written = new Map<string, Uint8Array>();
  private readonly origins = new Map<string, string>();
  private k: FreeBsd | undefined;
  private readonly root: SystemFiles | undefined;

  /** `root`: the files of the machine itself, by its own paths; without it only its /boot/modules is told of. */
  constructor(host: SystemFiles, root?: SystemFiles) {
    this.host = host;
    this.root = root;
  }

  attach(k: FreeBsd): void {
    this.k = k;
    k.origins = this.origins;
  }

  /** Makes a file of the host known in /boot/modules; gives the name to load it by. */
  adopt(path: string): string {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const bytes = this.host.read(path);
    if (bytes !== undefined) {
      this.written.set(MODULES + name, bytes);
      this.origins.set(MODULES + name, path);
    }
    return name;
  }

  /** For the kernel linker. Only what looks like a module or an index is asked of the host. */
  read(path: string): Uint8Array | undefined {
    const own = this.written.get(path);
    if (own !== undefined) return own;
    const there = path.startsWith('/dev/') ? undefined : this.root?.read(path);
    if (there !== undefined) return there;
    if (path.startsWith(MODULES)) {
      const name = path.slice(MODULES.length);
      return isModuleName(name) ? this.host.read(name) : undefined;
    }
    return path.startsWith('/boot/') || path.startsWith('/dev/') ? undefined : this.host.read(path);
  }

  /** Names in /boot/modules that were written or adopted, and those of a folder of the host. */
  list(path: string): string[] | undefined {
    const folder = path.endsWith('/') ? path : `${path}/`;
    const own = [...this.written.keys()]
      .filter((one) => one.startsWith(folder))
      .map((one) => one.slice(folder.length));
    if (folder === '/dev/') return [...this.devices().keys()].sort();
    const host = this.root === undefined ? this.hostNames(folder, path) : this.root.list(path);
    return own.length === 0 && host === undefined
      ? undefined
      : [...new Set([...own, ...(host ?? [])])].sort();
  }

  /** Of a machine without files of its own, /boot/modules is the folder that lkm was started in. */
  private hostNames(folder: string, path: string): readonly string[] | undefined {
    return folder === MODULES ? this.host.list('.')?.filter(isModuleName) : this.host.list(path);
  }

  put(path: string, bytes: Uint8Array): void {
    this.written.set(path, bytes);
  }

  remove(path: string): void {
    this.written.delete(path);
  }

  /** open, write, close. */
  *write(path: string, bytes: Uint8Array, append: boolean, who: Credential): Steps<void> {
    const device = this.device(path);
    if (device === undefined) {
      if (path.startsWith('/dev/'))
        throw new KernelErrno(Errno.EOPNOTSUPP, 'In /dev there are only devices.');
      const old = append ? (this.read(path) ?? new Uint8Array(0)) : new Uint8Array(0);
      this.written.set(path, Uint8Array.from([...old, ...bytes]));
      return;
    }
    const open = yield* openDevice(this.kernel(), device, 'write', who);
    try {
      yield* writeDevice(this.kernel(), open, bytes);
    } finally {
      yield* closeDevice(this.kernel(), open);
    }
  }

  /** open, read to the end, close. */
  *readAll(path: string, who: Credential): Steps<Uint8Array> {
    const device = this.device(path);
    if (mountOf(this.kernel(), path) !== undefined) return yield* readFile(this.kernel(), path);
    if (device === undefined) {
      const bytes = this.read(path);
      if (bytes === undefined) throw new KernelErrno(Errno.ENOENT);
      return bytes;
    }
    const open = yield* openDevice(this.kernel(), device, 'read', who);
    const pieces: number[] = [];
    try {
      for (;;) {
        const piece = yield* readDevice(this.kernel(), open, 4096);
        if (piece.length === 0 || pieces.length > MOST) break;
        pieces.push(...piece);
      }
    } finally {
      yield* closeDevice(this.kernel(), open);
    }
    return Uint8Array.from(pieces);
  }

  device(path: string): Device | undefined {
    return path.startsWith('/dev/') ? this.devices().get(path.slice(5)) : undefined;
  }

  devices(): ReadonlyMap<string, Device> {
    return this.kernel().state(devices);
  }

  private kernel(): FreeBsd {
    if (this.k === undefined) throw new Error('the kernel is not there yet');
    return this.k;
  }
}
