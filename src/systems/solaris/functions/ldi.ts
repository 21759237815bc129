/** The layered driver interface (common/os/driver_lyr.c): a module opens a device of another driver, and uses it by its entry points. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import { callEntry, closeDevice, findDevice, ioctlDevice, type OpenDevice, openDevice } from '../opens.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

/** FKIOCTL: buffers of the ioctl are the kernel's. */
const FKIOCTL = 0x80000000;

/** ldi_handle_t and ldi_ident_t are opaque: what is open, by the address that the module has of it. */
const handles = perKernel(() => new Map<Address, OpenDevice>());
const identities = perKernel(() => new Set<Address>());

function identify(k: Solaris, result: Address): number {
  if (result === 0) return Errno.EINVAL;
  const at = k.heap.take(64);
  k.state(identities).add(at);
  k.memory.setPtr(result, at);
  return 0;
}

function* openByName(
  k: Solaris,
  path: Address,
  flag: number,
  result: Address,
  identity: Address,
): Steps<number> {
  if (path === 0 || result === 0 || !k.state(identities).has(identity)) return Errno.EINVAL;
  const file = findDevice(k, k.memory.cstring(path, 1024));
  if (file === undefined) return Errno.ENODEV;
  const opened = yield* openDevice(k, file, flag);
  if (typeof opened === 'number') return opened;
  const at = k.heap.take(64);
  k.state(handles).set(at, opened);
  k.memory.setPtr(result, at);
  return 0;
}

export const layered = kernelFunctions({
  'int ldi_ident_from_mod(struct modlinkage *modlp, void **lip)': (k, _linkage, result) =>
    identify(k, result),
  'int ldi_ident_from_dip(dev_info_t *dip, void **lip)': (k, _dip, result) => identify(k, result),
  'int ldi_ident_from_dev(dev_t dev, void **lip)': (k, _dev, result) => identify(k, result),
  'void *ldi_ident_from_anon(void)': (k) => {
    const at = k.heap.take(64);
    k.state(identities).add(at);
    return at;
  },
  'void ldi_ident_release(void *li)': (k, at) => {
    if (k.state(identities).delete(at)) k.heap.free(at);
  },
  'int ldi_open_by_name(char *pathname, int flag, cred_t *cr, void **lhp, void *li)': (
    k,
    path,
    flag,
    _credential,
    result,
    identity,
  ) => openByName(k, path, flag, result, identity),
  *'int ldi_close(void *lh, int flag, cred_t *cr)'(k, at) {
    const device = k.state(handles).get(at);
    if (device === undefined) return Errno.EINVAL;
    k.state(handles).delete(at);
    const status = yield* closeDevice(k, device);
    k.heap.free(at);
    return status;
  },
  *'int ldi_read(void *lh, uio_t *uio, cred_t *cr)'(k, at, uio) {
    const device = k.state(handles).get(at);
    return device === undefined ? Errno.EINVAL : yield* callEntry(k, device, 'cb_read', [uio]);
  },
  *'int ldi_write(void *lh, uio_t *uio, cred_t *cr)'(k, at, uio) {
    const device = k.state(handles).get(at);
    return device === undefined ? Errno.EINVAL : yield* callEntry(k, device, 'cb_write', [uio]);
  },
  *'int ldi_ioctl(void *lh, int cmd, intptr_t arg, int mode, cred_t *cr, int *rvalp)'(
    k,
    at,
    command,
    argument,
    mode,
    _credential,
    rval,
  ) {
    const device = k.state(handles).get(at);
    if (device === undefined) return Errno.EINVAL;
    const result = yield* ioctlDevice(k, device, command, argument, mode | FKIOCTL);
    if ('errno' in result) return result.errno;
    if (rval !== 0) k.memory.set32(rval, result.rval);
    return 0;
  },
  'int ldi_get_dev(void *lh, dev_t *devp)': (k, at, result) => {
    const device = k.state(handles).get(at);
    if (device === undefined || result === 0) return Errno.EINVAL;
    k.memory.setPtr(result, device.dev);
    return 0;
  },
  'int ldi_get_otyp(void *lh, int *otyp)': (k, at, result) => {
    const device = k.state(handles).get(at);
    if (device === undefined || result === 0) return Errno.EINVAL;
    // OTYP_BLK and OTYP_CHR
    k.memory.set32(result, device.file.block ? 0 : 2);
    return 0;
  },
});
