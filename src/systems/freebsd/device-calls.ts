/** open(2), read(2), write(2), ioctl(2) and close(2) of a character device (sys/fs/devfs/devfs_vnops.c). */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import { currentFile, type Device, endPrivate, type OpenFile } from './functions/devices.ts';
import type { Credential } from './syscalls.ts';
import { userSpace } from './user.ts';

/** FREAD, FWRITE of sys/fcntl.h; S_IFCHR. */
const FLAGS = { read: 1, write: 2, both: 3 } as const;
const S_IFCHR = 0x2000;

export interface Opened {
  readonly device: Device;
  readonly file: OpenFile;
  readonly flags: number;
  offset: number;
}

/** Runs a function of the device's cdevsw; what is not there gives `absent`. */
function* invoke(
  k: FreeBsd,
  { device, file }: Opened,
  name: string,
  absent: number,
  args: number[],
): Steps<number> {
  const fn = k.read(`cdevsw.${name}`, device.switch);
  if (fn === 0) return absent;
  const current = k.state(currentFile);
  const before = current.file;
  current.file = file;
  try {
    return yield* k.callInt(fn, device.address, ...args);
  } finally {
    current.file = before;
  }
}

function check(error: number, why = ''): void {
  if (error !== 0) throw new KernelErrno(error, why);
}

export function* openDevice(
  k: FreeBsd,
  device: Device,
  how: keyof typeof FLAGS,
  who: Credential,
): Steps<Opened> {
  const bits = who.uid === device.uid ? device.mode >> 6 : device.mode & 7;
  const wanted = (FLAGS[how] & 1 ? 4 : 0) | (FLAGS[how] & 2 ? 2 : 0);
  if (who.uid !== 0 && (bits & wanted) !== wanted) {
    const mode = device.mode.toString(8).padStart(4, '0');
    throw new KernelErrno(
      Errno.EACCES,
      `/dev/${device.name} belongs to user ${device.uid} and has mode ${mode}.`,
    );
  }
  const opened: Opened = { device, file: { data: 0, destructor: 0 }, flags: FLAGS[how], offset: 0 };
  check(yield* invoke(k, opened, 'd_open', 0, [FLAGS[how], S_IFCHR, k.curthread]));
  device.opens++;
  return opened;
}

/** d_close comes with the last close of the device. */
export function* closeDevice(k: FreeBsd, opened: Opened): Steps<void> {
  const { device, file, flags } = opened;
  yield* endPrivate(k, file);
  device.opens--;
  if (device.opens === 0) yield* invoke(k, opened, 'd_close', 0, [flags, S_IFCHR, k.curthread]);
}

export function* readDevice(k: FreeBsd, opened: Opened, bytes: number): Steps<Uint8Array> {
  const space = k.state(userSpace);
  const mark = space.mark();
  const at = space.allocate(bytes);
  const { error, moved } = yield* transfer(k, opened, 'd_read', at, bytes);
  const data = k.memory.bytes(at, moved).slice();
  space.release(mark);
  if (moved === 0) check(error);
  return data;
}

export function* writeDevice(k: FreeBsd, opened: Opened, bytes: Uint8Array): Steps<number> {
  const space = k.state(userSpace);
  const mark = space.mark();
  const at = space.put(bytes);
  const { error, moved } = yield* transfer(k, opened, 'd_write', at, bytes.length);
  space.release(mark);
  if (moved === 0 || error !== 0) check(error);
  return moved;
}

/** UIO_READ and UIO_WRITE; UIO_USERSPACE. */
function* transfer(
  k: FreeBsd,
  opened: Opened,
  name: 'd_read' | 'd_write',
  at: Address,
  bytes: number,
): Steps<{ error: number; moved: number }> {
  const uio = k.heap.allocate(k.sizeof('uio'));
  const vector = k.heap.allocate(k.sizeof('iovec'));
  k.write('iovec.iov_base', vector, at);
  k.write('iovec.iov_len', vector, bytes);
  k.write('uio.uio_iov', uio, vector);
  k.write('uio.uio_iovcnt', uio, 1);
  k.memory.setI64(uio + k.offset('uio.uio_offset'), opened.offset);
  k.write('uio.uio_resid', uio, bytes);
  k.write('uio.uio_rw', uio, name === 'd_read' ? 0 : 1);
  k.write('uio.uio_td', uio, k.curthread);
  const error = yield* invoke(k, opened, name, Errno.ENODEV, [uio, 0]);
  const moved = bytes - k.read('uio.uio_resid', uio);
  opened.offset += moved;
  k.heap.free(vector);
  k.heap.free(uio);
  return { error, moved };
}

/** IOCPARM_LEN, IOC_IN and IOC_OUT of sys/ioccom.h. */
const parameterBytes = (command: number): number => (command >>> 16) & 0x1fff;
const IOC_OUT = 0x40000000;
const IOC_IN = 0x80000000;

/** ioctl: the parameter is copied in and out by what the command's number says, as sys_generic.c does. */
export function* ioctlDevice(
  k: FreeBsd,
  opened: Opened,
  command: number,
  parameter: Uint8Array,
): Steps<Uint8Array> {
  const bytes = parameterBytes(command);
  const at = k.heap.allocate(Math.max(8, bytes));
  if ((command & IOC_IN) !== 0) k.memory.write(at, parameter.subarray(0, bytes));
  const error = yield* invoke(k, opened, 'd_ioctl', Errno.ENOTTY, [command, at, opened.flags, k.curthread]);
  const result = (command & IOC_OUT) !== 0 ? k.memory.bytes(at, bytes).slice() : new Uint8Array(0);
  k.heap.free(at);
  check(error === Errno.ENOIOCTL ? Errno.ENOTTY : error);
  return result;
}
