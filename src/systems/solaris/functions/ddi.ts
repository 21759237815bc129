/** The device driver interface: soft state, nodes, minor nodes, properties, numbers of devices, copying to processes. */
import type { Address } from '../../../memory/space.ts';
import { configuration } from '../configuration.ts';
import {
  createMinor,
  instancesOf,
  majorNumber,
  makeDevice,
  minorNumber,
  nodePath,
  propertiesOf,
  removeMinors,
} from '../devices.ts';
import { Errno } from '../errno.ts';
import type { PropertyValue } from '../etc/driver-conf.ts';
import { panic } from '../faults.ts';
import type { Solaris } from '../solaris.ts';
import { CE } from '../syslog.ts';
import { moveUio } from '../uio.ts';
import { copyUser } from '../user.ts';
import { kernelFunctions } from './define.ts';

const SUCCESS = 0;
const FAILURE = -1;
/** FKIOCTL: the ioctl comes from the kernel, its buffers are the kernel's. */
const FKIOCTL = 0x80000000;
const PROP_NOT_FOUND = 1;
const PROP_SUCCESS = 0;

// -- soft state: a header { size, items, array } and an array of pointers, all in the guest -------------------

/** Items of one soft state; MIN_N_ITEMS to what a driver can have minors of. */
const MIN_ITEMS = 8;
const MAX_ITEMS = 1 << 18;

interface SoftState {
  readonly size: number;
  readonly items: number;
  readonly array: Address;
}

const softState = (k: Solaris, at: Address): SoftState => ({
  size: k.memory.ptr(at),
  items: k.memory.ptr(at + k.word),
  array: k.memory.ptr(at + 2 * k.word),
});

function initSoftState(k: Solaris, statep: Address, size: number, wanted: number): number {
  if (statep === 0 || size === 0) return Errno.EINVAL;
  const items = Math.max(MIN_ITEMS, 2 ** Math.ceil(Math.log2(Math.max(1, Math.min(wanted, MAX_ITEMS)))));
  const caller = k.convention.returnAddress(k.cpu);
  const at = k.heap.allocate(3 * k.word, caller);
  const array = k.heap.allocate(items * k.word, caller);
  if (at === 0 || array === 0) return Errno.ENOMEM;
  for (const [i, value] of [size, items, array].entries()) k.memory.setPtr(at + i * k.word, value);
  k.memory.setPtr(statep, at);
  return 0;
}

function growSoftState(k: Solaris, at: Address, item: number): boolean {
  const { items, array } = softState(k, at);
  if (item < items) return true;
  const more = 2 ** Math.ceil(Math.log2(item + 1));
  const bigger = k.heap.allocate(more * k.word, k.convention.returnAddress(k.cpu));
  if (bigger === 0) return false;
  k.memory.write(bigger, k.memory.bytes(array, items * k.word));
  k.memory.setPtr(at + k.word, more);
  k.memory.setPtr(at + 2 * k.word, bigger);
  k.heap.free(array);
  return true;
}

function allocateItem(k: Solaris, at: Address, item: number): number {
  if (at === 0 || item < 0 || item >= MAX_ITEMS || !growSoftState(k, at, item)) return FAILURE;
  const { size, array } = softState(k, at);
  if (k.memory.ptr(array + item * k.word) !== 0) return FAILURE;
  const block = k.heap.allocate(size, k.convention.returnAddress(k.cpu));
  if (block === 0) return FAILURE;
  k.memory.setPtr(array + item * k.word, block);
  return SUCCESS;
}

function getItem(k: Solaris, at: Address, item: number): Address {
  if (at === 0) return 0;
  const { items, array } = softState(k, at);
  return item >= 0 && item < items ? k.memory.ptr(array + item * k.word) : 0;
}

function freeItem(k: Solaris, at: Address, item: number): void {
  const block = getItem(k, at, item);
  if (block === 0) return;
  k.memory.setPtr(softState(k, at).array + item * k.word, 0);
  k.heap.free(block);
}

function endSoftState(k: Solaris, statep: Address): void {
  const at = k.memory.ptr(statep);
  if (at === 0) return;
  const { items, array } = softState(k, at);
  for (let item = 0; item < items; item++) freeItem(k, at, item);
  k.heap.free(array);
  k.heap.free(at);
  k.memory.setPtr(statep, 0);
}

// -- properties ---------------------------------------------------------------------------------------------

/** A property of a node; node 0 and the root have none here. */
function property(k: Solaris, dip: Address, name: Address): PropertyValue | undefined {
  return dip === 0 ? undefined : propertiesOf(k, dip).get(k.memory.cstring(name));
}

const isNumbers = (value: PropertyValue): value is readonly number[] => typeof value[0] === 'number';
const isStrings = (value: PropertyValue): value is readonly string[] => typeof value[0] === 'string';

/** One block with `count` pointers and what they point to, or with numbers: freed by ddi_prop_free. */
function giveArray(
  k: Solaris,
  values: readonly string[] | readonly number[],
  out: Address,
  count: Address,
): number {
  const caller = k.convention.returnAddress(k.cpu);
  const encoded = values.map((value) =>
    typeof value === 'string' ? new TextEncoder().encode(`${value}\0`) : undefined,
  );
  const text = encoded.reduce((sum, bytes) => sum + (bytes?.length ?? 0), 0);
  const step = encoded[0] === undefined ? 4 : k.word;
  const at = k.heap.allocate(values.length * step + text, caller);
  if (at === 0) return PROP_NOT_FOUND;
  let behind = at + values.length * step;
  for (const [i, bytes] of encoded.entries()) {
    if (bytes === undefined) k.memory.set32(at + i * step, Number(values[i]));
    else {
      k.memory.setPtr(at + i * step, behind);
      k.memory.write(behind, bytes);
      behind += bytes.length;
    }
  }
  k.memory.setPtr(out, at);
  k.memory.set32(count, values.length);
  return PROP_SUCCESS;
}

function lookUpString(k: Solaris, dip: Address, name: Address, out: Address): number {
  const value = property(k, dip, name);
  if (value === undefined || !isStrings(value)) return PROP_NOT_FOUND;
  const bytes = new TextEncoder().encode(`${value[0]}\0`);
  const at = k.heap.allocate(bytes.length, k.convention.returnAddress(k.cpu));
  if (at === 0) return PROP_NOT_FOUND;
  k.memory.write(at, bytes);
  k.memory.setPtr(out, at);
  return PROP_SUCCESS;
}

// -- the rest -----------------------------------------------------------------------------------------------

function copy(
  k: Solaris,
  to: Address,
  from: Address,
  bytes: number,
  flags: number,
  user: 'to' | 'from',
): number {
  if ((flags & FKIOCTL) !== 0) {
    k.memory.write(to, k.memory.bytes(from, bytes));
    return 0;
  }
  return copyUser(k, to, from, bytes, user) ? 0 : -1;
}

function reportDevice(k: Solaris, dip: Address): void {
  const name = k.readString('dev_info.devi_node_name', dip);
  const instance = k.read('dev_info.devi_instance', dip);
  k.syslog.say('?pseudo-device: %s%d\n', `?pseudo-device: ${name}${instance}`, CE.CONT, 'pseudo');
  k.syslog.say('?%s%d is %s\n', `?${name}${instance} is ${nodePath(k, dip)}`, CE.CONT);
}

const nodeOf = (k: Solaris, major: number, instance: number): Address =>
  instancesOf(k, major).find((dip) => k.read('dev_info.devi_instance', dip) === instance) ?? 0;

export const ddi = kernelFunctions({
  'int ddi_soft_state_init(void **statep, size_t size, size_t items)': initSoftState,
  'int ddi_soft_state_zalloc(void *state, int item)': allocateItem,
  'void *ddi_get_soft_state(void *state, int item)': getItem,
  'void ddi_soft_state_free(void *state, int item)': freeItem,
  'void ddi_soft_state_fini(void **statep)': endSoftState,
  'int ddi_get_instance(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_instance', dip),
  'const char *ddi_driver_name(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_binding_name', dip),
  'const char *ddi_get_name(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_binding_name', dip),
  'const char *ddi_binding_name(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_binding_name', dip),
  'const char *ddi_node_name(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_node_name', dip),
  'char *ddi_get_name_addr(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_addr', dip),
  'major_t ddi_driver_major(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_major', dip),
  'major_t ddi_name_to_major(const char *name)': (k, name) =>
    k.state(configuration).majors.get(k.memory.cstring(name)) ?? -1,
  'void *ddi_get_driver_private(dev_info_t *dip)': (k, dip) => k.read('dev_info.devi_private', dip),
  'void ddi_set_driver_private(dev_info_t *dip, void *data)': (k, dip, data) =>
    k.write('dev_info.devi_private', dip, data),
  'dev_info_t *ddi_get_parent(dev_info_t *dip)': () => 0,
  'char *ddi_pathname(dev_info_t *dip, char *path)': (k, dip, path) => {
    k.memory.write(path, new TextEncoder().encode(`${nodePath(k, dip)}\0`));
    return path;
  },
  'void ddi_report_dev(dev_info_t *dip)': reportDevice,
  'int ddi_create_minor_node(dev_info_t *dip, const char *name, int spec_type, minor_t minor, const char *type, int flag)':
    (k, dip, name, specType, number, type) => {
      createMinor(k, dip, {
        name: k.memory.cstring(name),
        type: type === 0 ? '' : k.memory.cstring(type),
        specType,
        number,
      });
      return SUCCESS;
    },
  'void ddi_remove_minor_node(dev_info_t *dip, const char *name)': (k, dip, name) =>
    removeMinors(k, dip, name === 0 ? undefined : k.memory.cstring(name)),
  'major_t getmajor(dev_t dev)': majorNumber,
  'minor_t getminor(dev_t dev)': minorNumber,
  'dev_t makedevice(major_t major, minor_t minor)': makeDevice,
  'int ddi_no_info(dev_info_t *dip, int command, void *arg, void **result)': () => FAILURE,
  'int ddi_getinfo_1to1(dev_info_t *dip, int command, void *arg, void **result)': (
    k,
    dip,
    command,
    arg,
    result,
  ) => {
    const instance = minorNumber(k, arg);
    const major = dip === 0 ? majorNumber(k, arg) : k.read('dev_info.devi_major', dip);
    k.memory.setPtr(result, command === 0 ? nodeOf(k, major, instance) : instance);
    return SUCCESS;
  },
  'int ddi_prop_get_int(dev_t dev, dev_info_t *dip, uint_t flags, const char *name, int fallback)': (
    k,
    _dev,
    dip,
    _flags,
    name,
    fallback,
  ) => {
    const value = property(k, dip, name);
    return value !== undefined && isNumbers(value) ? (value[0] ?? fallback) : fallback;
  },
  'int ddi_prop_exists(dev_t dev, dev_info_t *dip, uint_t flags, const char *name)': (
    k,
    _dev,
    dip,
    _flags,
    name,
  ) => (property(k, dip, name) === undefined ? 0 : 1),
  'int ddi_prop_lookup_string(dev_t dev, dev_info_t *dip, uint_t flags, const char *name, char **out)': (
    k,
    _dev,
    dip,
    _flags,
    name,
    out,
  ) => lookUpString(k, dip, name, out),
  'int ddi_prop_lookup_string_array(dev_t dev, dev_info_t *dip, uint_t flags, const char *name, char ***out, uint_t *count)':
    (k, _dev, dip, _flags, name, out, count) => {
      const value = property(k, dip, name);
      return value !== undefined && isStrings(value) ? giveArray(k, value, out, count) : PROP_NOT_FOUND;
    },
  'int ddi_prop_lookup_int_array(dev_t dev, dev_info_t *dip, uint_t flags, const char *name, int **out, uint_t *count)':
    (k, _dev, dip, _flags, name, out, count) => {
      const value = property(k, dip, name);
      return value !== undefined && isNumbers(value) ? giveArray(k, value, out, count) : PROP_NOT_FOUND;
    },
  'void ddi_prop_free(void *data)': (k, data) => k.heap.free(data),
  'int ddi_prop_update_int(dev_t dev, dev_info_t *dip, const char *name, int value)': (
    k,
    _dev,
    dip,
    name,
    value,
  ) => {
    propertiesOf(k, dip).set(k.memory.cstring(name), [value]);
    return PROP_SUCCESS;
  },
  'int ddi_prop_update_string(dev_t dev, dev_info_t *dip, const char *name, const char *value)': (
    k,
    _dev,
    dip,
    name,
    value,
  ) => {
    propertiesOf(k, dip).set(k.memory.cstring(name), [k.memory.cstring(value)]);
    return PROP_SUCCESS;
  },
  'int ddi_prop_remove(dev_t dev, dev_info_t *dip, const char *name)': (k, _dev, dip, name) =>
    propertiesOf(k, dip).delete(k.memory.cstring(name)) ? PROP_SUCCESS : PROP_NOT_FOUND,
  'void ddi_prop_remove_all(dev_info_t *dip)': (k, dip) => propertiesOf(k, dip).clear(),
  'int ddi_quiesce_not_needed(dev_info_t *dip)': () => SUCCESS,
  'int ddi_quiesce_not_supported(dev_info_t *dip)': () => FAILURE,
  'int nulldev(void)': () => 0,
  'int nodev(void)': () => Errno.ENXIO,
  'int nochpoll(dev_t dev, short events, int any, short *revents, struct pollhead **head)': () => Errno.ENXIO,
  'int ddi_copyin(const void *from, void *to, size_t size, int flags)': (k, from, to, size, flags) =>
    copy(k, to, from, size, flags, 'from'),
  'int ddi_copyout(const void *from, void *to, size_t size, int flags)': (k, from, to, size, flags) =>
    copy(k, to, from, size, flags, 'to'),
  'int copyin(const void *from, void *to, size_t size)': (k, from, to, size) =>
    copy(k, to, from, size, 0, 'from'),
  'int copyout(const void *from, void *to, size_t size)': (k, from, to, size) =>
    copy(k, to, from, size, 0, 'to'),
  'int copyinstr(const char *from, char *to, size_t size, size_t *done)': (k, from, to, size, done) => {
    const text = new TextEncoder().encode(k.memory.cstring(from, Math.max(1, size)));
    if (text.length >= size) return Errno.ENAMETOOLONG;
    k.memory.write(to, Uint8Array.from([...text, 0]));
    if (done !== 0) k.memory.setPtr(done, text.length + 1);
    return 0;
  },
  'int uiomove(void *at, size_t count, int rw, uio_t *uio)': (k, at, count, rw, uio) =>
    moveUio(k, at, count, rw, uio) ? 0 : Errno.EFAULT,
  'int ureadc(int c, uio_t *uio)': (k, c, uio) => {
    const at = k.heap.take(1);
    k.memory.set8(at, c);
    const moved = moveUio(k, at, 1, 0, uio);
    k.heap.free(at);
    return moved ? 0 : Errno.EFAULT;
  },
  'int drv_getparm(uint_t parameter, void *value)': (k, parameter, value) =>
    getParameter(k, parameter, value),
  'int drv_priv(cred_t *credential)': (k, credential) =>
    k.read('cred.cr_uid', credential) === 0 ? 0 : Errno.EPERM,
  'cred_t *ddi_get_cred(void)': (k) => k.threads.currentCredential,
  'pid_t ddi_get_pid(void)': (k) => k.read('kthread.t_tid', k.curthread),
  'cred_t *CRED(void)': (k) => k.threads.currentCredential,
  'uid_t crgetuid(const cred_t *credential)': (k, credential) => k.read('cred.cr_uid', credential),
  'uid_t crgetruid(const cred_t *credential)': (k, credential) => k.read('cred.cr_ruid', credential),
  'gid_t crgetgid(const cred_t *credential)': (k, credential) => k.read('cred.cr_gid', credential),
  'void crhold(cred_t *credential)': (k, credential) =>
    k.write('cred.cr_ref', credential, k.read('cred.cr_ref', credential) + 1),
  'void crfree(cred_t *credential)': (k, credential) =>
    k.write('cred.cr_ref', credential, k.read('cred.cr_ref', credential) - 1),
  'int ddi_strtol(const char *text, char **end, int base, long *result)': (k, text, end, base, result) =>
    toNumber(k, text, end, base, result),
  'int ddi_strtoul(const char *text, char **end, int base, unsigned long *result)': (
    k,
    text,
    end,
    base,
    result,
  ) => toNumber(k, text, end, base, result),
  'int ddi_ffs(long mask)': (_k, mask) =>
    mask === 0 ? 0 : Math.log2(Number(BigInt(mask) & -BigInt(mask))) + 1,
  'int ddi_fls(long mask)': (k, mask) =>
    BigInt.asUintN(k.bits, BigInt(mask)).toString(2).replace(/^0$/, '').length,
});

/** LBOLT, UPROCP, PPGRP, TIME, PPID, PSID, UCRED (sys/ddi.h): those that a value can be given for. */
function getParameter(k: Solaris, parameter: number, value: Address): number {
  const LBOLT = 1;
  const TIME = 4;
  const UCRED = 7;
  if (parameter === LBOLT || parameter === TIME)
    k.memory.setPtr(value, Math.floor(k.time.now() / (parameter === LBOLT ? 1e7 : 1e9)));
  else if (parameter === UCRED) k.memory.setPtr(value, k.threads.currentCredential);
  else return -1;
  return 0;
}

function toNumber(k: Solaris, text: Address, end: Address, base: number, result: Address): number {
  if (base !== 0 && (base < 2 || base > 36)) throw panic(k, `ddi_strtol: base ${base}`);
  const given = k.memory.cstring(text, 128);
  const match = /^(\s*)([-+]?)(0[xX])?([0-9A-Za-z]*)/.exec(given);
  const [, blanks = '', sign = '', prefix = '', digits = ''] = match ?? [];
  const radix = base !== 0 ? base : prefix !== '' ? 16 : digits.startsWith('0') ? 8 : 10;
  let value = 0n;
  let used = 0;
  for (const digit of digits) {
    const number = Number.parseInt(digit, radix);
    if (Number.isNaN(number)) break;
    value = value * BigInt(radix) + BigInt(number);
    used++;
  }
  if (used === 0) return Errno.EINVAL;
  const signed = sign === '-' ? -value : value;
  if (BigInt.asIntN(k.bits, signed) !== signed && BigInt.asUintN(k.bits, signed) !== signed)
    return Errno.ERANGE;
  if (end !== 0) k.memory.setPtr(end, text + blanks.length + sign.length + prefix.length + used);
  k.memory.setPtr(result, Number(BigInt.asIntN(k.bits, signed)));
  return 0;
}
