/** Open devices: what specfs does between a file in /devices and a driver's entry points (fs/specfs/specvnops.c). */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { readBlockDevice, writeBlockDevice } from './blocks.ts';
import { deviceLinks, mayOpen } from './device-names.ts';
import { attachNode, type DeviceFile, deviceFiles, driverOps, majorNumber } from './devices.ts';
import { Errno } from './errno.ts';
import type { Solaris } from './solaris.ts';
import {
  closeStream,
  ioctlStream,
  openStream,
  popModule,
  pushModule,
  readStream,
  type Stream,
  writeStream,
} from './streams.ts';
import { makeUio, SEG } from './uio.ts';
import { userSpace } from './user.ts';

/** FREAD, FWRITE (sys/file.h), OTYP_BLK and OTYP_CHR (sys/open.h). */
export const FREAD = 1;
export const FWRITE = 2;
const OTYP = { BLOCK: 0, CHARACTER: 2 } as const;
const openType = ({ block }: DeviceFile): number => (block ? OTYP.BLOCK : OTYP.CHARACTER);

export interface OpenDevice {
  readonly file: DeviceFile;
  /** As the driver's open left it: a clone has a number of its own. */
  readonly dev: number;
  readonly flag: number;
  readonly stream: Stream | undefined;
  /** Where the next read or write is. */
  offset: number;
}

/** How often a device is open: the driver's close comes with the last one. */
const counts = perKernel(() => new Map<number, number>());

export function findDevice(k: Solaris, path: string): DeviceFile | undefined {
  if (path.startsWith('/dev/')) return deviceLinks(k).get(path.slice(5));
  const name = path.replace(/^\/devices\//, '');
  return deviceFiles(k).find((file) => file.path === name);
}

/** An entry point of the driver of a device, from its cb_ops; 0 when it has none. */
export const entry = (k: Solaris, dev: number, name: string): Address => {
  const ops = driverOps(k, majorNumber(k, dev));
  const cb = ops === 0 ? 0 : k.read('dev_ops.devo_cb_ops', ops);
  return cb === 0 ? 0 : k.read(`cb_ops.${name}`, cb);
};

const strategyOf = (k: Solaris, device: OpenDevice): Address => entry(k, device.dev, 'cb_strategy');

/** open(2): gives the device or an errno. */
export function* openDevice(k: Solaris, file: DeviceFile, flag: number): Steps<OpenDevice | number> {
  const uid = k.read('cred.cr_uid', k.threads.currentCredential);
  const wanted = ((flag & FREAD) !== 0 ? 4 : 0) | ((flag & FWRITE) !== 0 ? 2 : 0);
  if (!mayOpen(k, file, uid, wanted)) return Errno.EACCES;
  if (!(yield* attachNode(k, file.dip))) return Errno.ENXIO;
  if (file.block && entry(k, file.dev, 'cb_strategy') === 0) return Errno.ENXIO;
  const streamtab = entry(k, file.dev, 'cb_str');
  // The node is held while the driver decides, so that it cannot be detached meanwhile.
  hold(k, file.dip, 1);
  const opened =
    streamtab === 0 ? yield* openPlain(k, file, flag) : yield* openStreaming(k, file, streamtab, flag);
  if (typeof opened === 'number') hold(k, file.dip, -1);
  else k.state(counts).set(opened.dev, (k.state(counts).get(opened.dev) ?? 0) + 1);
  return opened;
}

const hold = (k: Solaris, dip: Address, by: number): void =>
  k.write('dev_info.devi_ref', dip, k.read('dev_info.devi_ref', dip) + by);

function* openPlain(k: Solaris, file: DeviceFile, flag: number): Steps<OpenDevice | number> {
  const open = entry(k, file.dev, 'cb_open');
  if (open === 0) return Errno.ENXIO;
  const at = k.heap.take(k.word);
  k.memory.setPtr(at, file.dev);
  const status = yield* k.callInt(open, at, flag, openType(file), k.threads.currentCredential);
  const dev = k.memory.ptr(at);
  k.heap.free(at);
  return status !== 0 ? status : { file, dev, flag, stream: undefined, offset: 0 };
}

function* openStreaming(
  k: Solaris,
  file: DeviceFile,
  tab: Address,
  flag: number,
): Steps<OpenDevice | number> {
  const stream = yield* openStream(k, tab, file.dev, flag);
  return typeof stream === 'number' ? stream : { file, dev: stream.dev, flag, stream, offset: 0 };
}

export function* closeDevice(k: Solaris, device: OpenDevice): Steps<number> {
  const { dev, flag, stream, file } = device;
  const left = (k.state(counts).get(dev) ?? 1) - 1;
  k.state(counts).set(dev, left);
  let status = 0;
  if (stream !== undefined) yield* closeStream(k, stream, flag);
  else if (left === 0) {
    const close = entry(k, dev, 'cb_close');
    if (close !== 0) status = yield* k.callInt(close, dev, flag, openType(file), k.threads.currentCredential);
  }
  hold(k, file.dip, -1);
  return status;
}

/** read(2): bytes or an errno. */
export function* readDevice(k: Solaris, device: OpenDevice, most: number): Steps<Uint8Array | number> {
  if ((device.flag & FREAD) === 0) return Errno.EBADF;
  if (device.stream !== undefined) return yield* readStream(k, device.stream, most);
  if (device.file.block) {
    const found = yield* readBlockDevice(k, strategyOf(k, device), device.dev, device.offset, most);
    if (typeof found !== 'number') device.offset += found.length;
    return found;
  }
  const user = k.state(userSpace);
  const mark = user.mark();
  const buffer = user.allocate(most);
  const result = yield* transfer(k, device, 'cb_read', buffer, most);
  const bytes = typeof result === 'number' && result < 0 ? -result : k.memory.bytes(buffer, result);
  user.release(mark);
  return bytes;
}

/** write(2): bytes written, or an errno as a negative number. */
export function* writeDevice(k: Solaris, device: OpenDevice, bytes: Uint8Array): Steps<number> {
  if ((device.flag & FWRITE) === 0) return -Errno.EBADF;
  if (device.stream !== undefined) {
    const status = yield* writeStream(k, device.stream, bytes);
    return status === 0 ? bytes.length : -status;
  }
  if (device.file.block) {
    const moved = yield* writeBlockDevice(k, strategyOf(k, device), device.dev, device.offset, bytes);
    device.offset += Math.max(0, moved);
    return moved;
  }
  const user = k.state(userSpace);
  const mark = user.mark();
  const result = yield* transfer(k, device, 'cb_write', user.put(bytes), bytes.length);
  user.release(mark);
  return result;
}

function* transfer(
  k: Solaris,
  device: OpenDevice,
  name: 'cb_read' | 'cb_write',
  buffer: Address,
  bytes: number,
): Steps<number> {
  const at = entry(k, device.dev, name);
  if (at === 0) return -Errno.ENXIO;
  const uio = makeUio(k, buffer, bytes, device.offset, { segment: SEG.USER, fmode: device.flag });
  const status = yield* k.callInt(at, device.dev, uio.address, k.threads.currentCredential);
  const moved = Math.max(0, Math.min(bytes, bytes - uio.left()));
  uio.free();
  // read(2) and write(2) tell of an error whatever was moved before it, but for an interruption.
  if (status !== 0 && !(status === Errno.EINTR && moved > 0)) return -status;
  device.offset += moved;
  return moved;
}

/** An entry point that takes the device, what is given and the credential: its status, ENXIO without one. */
export function* callEntry(
  k: Solaris,
  device: OpenDevice,
  name: string,
  args: readonly number[],
): Steps<number> {
  const at = entry(k, device.dev, name);
  if (at === 0) return Errno.ENXIO;
  return yield* k.callInt(at, device.dev, ...args, k.threads.currentCredential);
}

/** What poll(2) says of a device: the events that are there, or that it would wait. */
export type PollResult = { readonly events: number } | { readonly errno: number };

/** poll(2) that does not wait: chpoll(9E) is asked what of the wanted events is there. */
export function* pollDevice(k: Solaris, device: OpenDevice, wanted: number): Steps<PollResult> {
  const at = entry(k, device.dev, 'cb_chpoll');
  if (at === 0) return { errno: Errno.ENXIO };
  const room = k.heap.take(4 * k.word);
  const status = yield* k.callInt(at, device.dev, wanted, 0, room, room + k.word);
  const events = k.memory.u16(room);
  k.heap.free(room);
  return status === 0 ? { events } : { errno: status };
}

/** I_PUSH and I_POP (sys/stropts.h). */
const I_PUSH = 0x5302;
const I_POP = 0x5303;
/** DATAMODEL_LP64 or DATAMODEL_ILP32 of the caller goes with the mode (sys/model.h). */
const DATAMODEL = { 64: 0x00200000, 32: 0x00100000 } as const;

export type IoctlResult = { readonly rval: number } | { readonly errno: number };

/** ioctl(2). */
export function* ioctlDevice(
  k: Solaris,
  device: OpenDevice,
  command: number,
  argument: number,
  flag = device.flag,
): Steps<IoctlResult> {
  if (device.stream !== undefined) return yield* ioctlOnStream(k, device.stream, command, argument);
  const at = entry(k, device.dev, 'cb_ioctl');
  if (at === 0) return { errno: Errno.ENOTTY };
  const rval = k.heap.take(4);
  const mode = flag | DATAMODEL[k.bits];
  const status = yield* k.callInt(at, device.dev, command, argument, mode, k.threads.currentCredential, rval);
  const value = k.memory.i32(rval);
  k.heap.free(rval);
  return status === 0 ? { rval: value } : { errno: status };
}

function* ioctlOnStream(k: Solaris, stream: Stream, command: number, argument: number): Steps<IoctlResult> {
  if (command === I_PUSH || command === I_POP) {
    const status =
      command === I_PUSH
        ? yield* pushModule(k, stream, k.memory.cstring(argument, 16))
        : yield* popModule(k, stream);
    return status === 0 ? { rval: 0 } : { errno: status };
  }
  return yield* ioctlStream(k, stream, command, argument);
}
