/** Character devices: make_dev(9), destroy_dev, devfs_set_cdevpriv, uiomove (sys/kern/kern_conf.c, sys/fs/devfs). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { insertTail, removeElement, type TailQueue } from '../lists.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format.ts';

export interface OpenFile {
  /** devfs_set_cdevpriv: data of this open file, and what is called when it is closed. */
  data: Address;
  destructor: Address;
}

export interface Device {
  readonly name: string;
  /** struct cdev */
  readonly address: Address;
  readonly switch: Address;
  readonly unit: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  opens: number;
  readonly aliasOf?: Device;
}

export const devices = perKernel(() => new Map<string, Device>());
/** The open file on whose behalf a device function runs. */
export const currentFile = perKernel<{ file: OpenFile | undefined }>(() => ({ file: undefined }));

/** Flags of make_dev_args (sys/conf.h). */
const MAKEDEV_CHECKNAME = 0x20;
/** SI_NAMED of si_flags */
const SI_NAMED = 4;

interface NewDevice {
  readonly name: string;
  readonly sw: Address;
  readonly unit: number;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

/** Where the name of a device is written: at the end up to 8, where si_name points to it. */
const nameOf = (k: FreeBsd, at: Address): Address =>
  at + k.offset(k.types.has('cdev.si_namebuf') ? 'cdev.si_namebuf' : 'cdev.si_name');

/** cdevp_list: every device, for modules that look for one by its name. */
const deviceList = (k: FreeBsd): TailQueue => ({
  head: k.symbolAddress('cdevp_list'),
  entry: k.offset('cdev_priv.cdp_list'),
});

function makeDevice(k: FreeBsd, one: NewDevice): Address | undefined {
  const table = k.state(devices);
  const name = one.name.replace(/^\/+/, '');
  if (table.has(name)) return undefined;
  const at = k.heap.allocate(k.sizeof('cdev_priv'));
  insertTail(k, deviceList(k), at);
  k.write('cdev.si_flags', at, SI_NAMED);
  k.write('cdev.si_drv0', at, one.unit);
  k.write('cdev.si_uid', at, one.uid);
  k.write('cdev.si_gid', at, one.gid);
  k.write('cdev.si_mode', at, one.mode);
  k.write('cdev.si_devsw', at, one.sw);
  const bytes = new TextEncoder().encode(`${name.slice(0, 62)}\0`);
  k.memory.write(nameOf(k, at), bytes);
  if (k.types.has('cdev.si_namebuf')) k.write('cdev.si_name', at, nameOf(k, at));
  table.set(name, {
    name,
    address: at,
    switch: one.sw,
    unit: one.unit,
    uid: one.uid,
    gid: one.gid,
    mode: one.mode,
    opens: 0,
  });
  return at;
}

function destroyDevice(k: FreeBsd, at: Address): void {
  if (at === 0) return;
  const table = k.state(devices);
  // Aliases go with what they are aliases of.
  for (const { address, aliasOf } of [...table.values()])
    if (aliasOf?.address === at) destroyDevice(k, address);
  for (const [name, device] of table) if (device.address === at) table.delete(name);
  removeElement(k, deviceList(k), at);
  k.heap.free(at);
}

/** A device that cannot be made is a panic unless the caller asked for an error (make_dev_credv). */
function makeOrPanic(k: FreeBsd, one: NewDevice): Address {
  const made = makeDevice(k, one);
  if (made === undefined) throw new RangeError(`make_dev_credv: bad si_name (error=17, si_name=${one.name})`);
  return made;
}

const field = (k: FreeBsd, args: Address, name: string): number => k.read(`make_dev_args.${name}`, args);

export const deviceFunctions = kernelFunctions({
  'struct cdev *make_dev(struct cdevsw *devsw, int unit, uid_t uid, gid_t gid, int perms, const char *fmt, ...)':
    (k, sw, unit, uid, gid, mode, name, args) =>
      makeOrPanic(k, { sw, unit, uid, gid, mode, name: format(k, guestText(k, name), args) }),
  'struct cdev *make_dev_cred(struct cdevsw *devsw, int unit, void *cr, uid_t uid, gid_t gid, int perms, const char *fmt, ...)':
    (k, sw, unit, _cr, uid, gid, mode, name, args) =>
      makeOrPanic(k, { sw, unit, uid, gid, mode, name: format(k, guestText(k, name), args) }),
  'struct cdev *make_dev_credf(int flags, struct cdevsw *devsw, int unit, void *cr, uid_t uid, gid_t gid, int mode, const char *fmt, ...)':
    (k, flags, sw, unit, _cr, uid, gid, mode, name, args) => {
      const one = { sw, unit, uid, gid, mode, name: format(k, guestText(k, name), args) };
      return (flags & MAKEDEV_CHECKNAME) !== 0 ? (makeDevice(k, one) ?? 0) : makeOrPanic(k, one);
    },
  'int make_dev_p(int flags, struct cdev **cdev, struct cdevsw *devsw, void *cr, uid_t uid, gid_t gid, int mode, const char *fmt, ...)':
    (k, flags, result, sw, _cr, uid, gid, mode, name, args) => {
      const one = { sw, unit: 0, uid, gid, mode, name: format(k, guestText(k, name), args) };
      const made = makeDevice(k, one);
      if (made === undefined && (flags & MAKEDEV_CHECKNAME) === 0)
        throw new RangeError(`make_dev_credv: bad si_name (error=17, si_name=${one.name})`);
      k.memory.setPtr(result, made ?? 0);
      return made === undefined ? Errno.EEXIST : 0;
    },
  'void make_dev_args_init_impl(struct make_dev_args *args, size_t sz)': (k, args, size) => {
    k.memory.fill(args, size, 0);
    k.write('make_dev_args.mda_size', args, size);
  },
  'int make_dev_s(struct make_dev_args *args, struct cdev **cdev, const char *fmt, ...)': (
    k,
    args,
    result,
    name,
    rest,
  ) => {
    const made = makeDevice(k, {
      sw: field(k, args, 'mda_devsw'),
      unit: field(k, args, 'mda_unit'),
      uid: field(k, args, 'mda_uid'),
      gid: field(k, args, 'mda_gid'),
      mode: field(k, args, 'mda_mode'),
      name: format(k, guestText(k, name), rest),
    });
    if (made === undefined) return Errno.EEXIST;
    k.write('cdev.si_drv1', made, field(k, args, 'mda_si_drv1'));
    k.write('cdev.si_drv2', made, field(k, args, 'mda_si_drv2'));
    k.memory.setPtr(result, made);
    return 0;
  },
  'struct cdev *make_dev_alias(struct cdev *pdev, const char *fmt, ...)': (k, of, name, args) => {
    const original = [...k.state(devices).values()].find((one) => one.address === of);
    const text = format(k, guestText(k, name), args);
    if (original === undefined) return 0;
    const made = makeDevice(k, { ...original, sw: original.switch, name: text });
    if (made === undefined) return 0;
    k.write('cdev.si_parent', made, of);
    k.state(devices).set(text, { ...original, name: text, address: made, aliasOf: original });
    return made;
  },
  'void destroy_dev(struct cdev *dev)': destroyDevice,
  'int destroy_dev_sched(struct cdev *dev)': (k, dev) => {
    destroyDevice(k, dev);
    return 1;
  },
  *'int destroy_dev_sched_cb(struct cdev *dev, void *cb, void *arg)'(k, dev, callback, arg) {
    destroyDevice(k, dev);
    yield* k.call(callback, arg);
    return 1;
  },
  'void dev_ref(struct cdev *dev)': () => undefined,
  'void dev_rel(struct cdev *dev)': () => undefined,
  'const char *devtoname(struct cdev *dev)': (k, dev) => nameOf(k, dev),
  'int dev2unit(struct cdev *dev)': (k, dev) => k.read('cdev.si_drv0', dev),
  'struct cdevsw *dev_refthread(struct cdev *dev, int *ref)': (k, dev, ref) => {
    k.memory.set32(ref, 1);
    return k.read('cdev.si_devsw', dev);
  },
  'void dev_relthread(struct cdev *dev, int ref)': () => undefined,
  'int devfs_set_cdevpriv(void *priv, void *dtr)': (k, data, destructor) => {
    const { file } = k.state(currentFile);
    if (file === undefined) return Errno.ENOENT;
    if (file.data !== 0) return Errno.EBUSY;
    file.data = data;
    file.destructor = destructor;
    return 0;
  },
  'int devfs_get_cdevpriv(void **datap)': (k, result) => {
    const { file } = k.state(currentFile);
    if (file === undefined || file.data === 0) return file === undefined ? Errno.EBADF : Errno.ENOENT;
    k.memory.setPtr(result, file.data);
    return 0;
  },
  *'void devfs_clear_cdevpriv(void)'(k) {
    const { file } = k.state(currentFile);
    if (file !== undefined) yield* endPrivate(k, file);
  },
  'int uiomove(void *cp, int n, struct uio *uio)': (k, at, count, uio) => moveUio(k, at, count, uio),
  'int uiomove_frombuf(void *buf, int buflen, struct uio *uio)': (k, at, length, uio) => {
    const offset = k.memory.i64(uio + k.offset('uio.uio_offset'));
    if (offset < 0) return Errno.EINVAL;
    return offset >= length ? 0 : moveUio(k, at + offset, length - offset, uio);
  },
  'int ureadc(int c, struct uio *uio)': (k, c, uio) => {
    const at = k.heap.allocate(1);
    k.memory.set8(at, c & 0xff);
    const error = moveUio(k, at, 1, uio);
    k.heap.free(at);
    return error;
  },
});

/** Calls the destructor of an open file's data. */
export function* endPrivate(k: FreeBsd, file: OpenFile): Steps<void> {
  const { data, destructor } = file;
  file.data = 0;
  if (data !== 0 && destructor !== 0) yield* k.call(destructor, data);
}

/** uio_rw */
const UIO_READ = 0;

function moveUio(k: FreeBsd, at: Address, count: number, uio: Address): number {
  let from = at;
  let left = count;
  while (left > 0 && k.read('uio.uio_resid', uio) > 0) {
    const vector = k.read('uio.uio_iov', uio);
    const bytes = Math.min(left, k.read('iovec.iov_len', vector));
    if (bytes === 0) {
      if (k.read('uio.uio_iovcnt', uio) <= 1) return 0;
      k.write('uio.uio_iov', uio, vector + k.sizeof('iovec'));
      k.write('uio.uio_iovcnt', uio, k.read('uio.uio_iovcnt', uio) - 1);
      continue;
    }
    const user = k.read('iovec.iov_base', vector);
    if (k.read('uio.uio_rw', uio) === UIO_READ) k.memory.write(user, k.memory.bytes(from, bytes));
    else k.memory.write(from, k.memory.bytes(user, bytes));
    k.write('iovec.iov_base', vector, user + bytes);
    k.write('iovec.iov_len', vector, k.read('iovec.iov_len', vector) - bytes);
    k.write('uio.uio_resid', uio, k.read('uio.uio_resid', uio) - bytes);
    const offset = uio + k.offset('uio.uio_offset');
    k.memory.setI64(offset, k.memory.i64(offset) + bytes);
    from += bytes;
    left -= bytes;
  }
  return 0;
}
