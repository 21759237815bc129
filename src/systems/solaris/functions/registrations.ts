/**
 * Registrations that nobody here puts to use: USB drivers without a device, providers of cryptography, kinds of networks,
 * keys of zones and threads. Who registers is told that it worked, and takes it back later.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { createMinor, MAX_MAJOR } from '../devices.ts';
import { Errno } from '../errno.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

/** USB_FAILURE (sys/usb/usbai.h): the node is no USB device, and has no data of one. */
const USB_FAILURE = -1;
const CRYPTO_SUCCESS = 0;
const CRYPTO_ARGUMENTS_BAD = 5;
const CRYPTO_VERSION_MISMATCH = 0x4d;
/** CRYPTO_SPI_VERSION_4 (sys/crypto/spi.h). */
const SPI_VERSION = 4;
const MACTYPE_VERSION = 1;
/** struct mactype_register (sys/mac_provider.h) with room for what later releases have. */
const MACTYPE_BYTES = 256;

type Kind = 'USB log' | 'crypto provider' | 'kind of network' | 'zone key' | 'thread key' | 'ioctls of dld';

interface Registration {
  readonly kind: Kind;
  readonly name: string;
}

class Registrations {
  readonly all = new Map<number, Registration>();
  next = 1;
  /** Values of threads by key and kthread_t. */
  readonly values = new Map<string, Address>();
  /** The next major number above those of drivers (getudev). */
  major = MAX_MAJOR;
}

const state = perKernel(() => new Registrations());

/** What was registered and not taken back. */
export function* registrationsNow(k: Solaris): Generator<StandingThing> {
  for (const [key, { kind, name }] of k.state(state).all) yield { what: kind, key, name };
}

function add(k: Solaris, kind: Kind, name: string): number {
  const all = k.state(state);
  const id = all.next++;
  all.all.set(id, { kind, name });
  return id;
}

const remove = (k: Solaris, id: number): boolean => k.state(state).all.delete(id);

/** crypto_provider_info begins with the version of the interface and a description. */
function registerProvider(k: Solaris, info: Address, handle: Address): number {
  if (info === 0) return CRYPTO_ARGUMENTS_BAD;
  if (k.memory.u32(info) > SPI_VERSION) return CRYPTO_VERSION_MISMATCH;
  const text = k.memory.ptr(info + k.word);
  k.memory.setPtr(handle, add(k, 'crypto provider', text === 0 ? '' : k.memory.cstring(text, 64)));
  return CRYPTO_SUCCESS;
}

/** mtr_version, mtr_ident, mtr_ops (sys/mac_provider.h): the name and the operations must be there. */
function registerType(k: Solaris, at: Address): number {
  const [ident, ops] = [k.memory.ptr(at + k.word), k.memory.ptr(at + 2 * k.word)];
  if (ident === 0 || ops === 0) return Errno.EINVAL;
  const name = k.memory.cstring(ident, 64);
  const taken = [...k.state(state).all.values()].some(
    (one) => one.kind === 'kind of network' && one.name === name,
  );
  if (taken) return Errno.EEXIST;
  add(k, 'kind of network', name);
  return 0;
}

function unregisterType(k: Solaris, ident: Address): number {
  const name = k.memory.cstring(ident, 64);
  for (const [id, one] of k.state(state).all)
    if (one.kind === 'kind of network' && one.name === name) return remove(k, id) ? 0 : Errno.EINVAL;
  return Errno.EINVAL;
}

/** The create function is called at once for the zone there is, and its answer kept under the key. */
function* createZoneKey(k: Solaris, out: Address, create: Address): Steps<void> {
  const key = add(k, 'zone key', k.where(create));
  k.memory.set32(out, key);
  if (create !== 0) k.state(state).values.set(`zone ${key}`, Number(yield* k.call(create, 0)));
}

const FAILED = (): number => USB_FAILURE;

export const registrations = kernelFunctions({
  'void *usb_alloc_log_hdl(dev_info_t *dip, char *name, uint_t *level, uint_t *mask, uint_t *filter, uint_t flags)':
    (k, _dip, name) => add(k, 'USB log', name === 0 ? '' : k.memory.cstring(name, 64)),
  'void usb_free_log_hdl(void *handle)': (k, handle) => void remove(k, handle),
  'int usb_log(void *handle, uint_t level, uint_t mask, char *format, ...)': () => 0,
  'int usb_client_attach(dev_info_t *dip, uint_t version, uint_t flags)': FAILED,
  'void usb_client_detach(dev_info_t *dip, void *data)': () => undefined,
  'int usb_get_dev_data(dev_info_t *dip, void **data, int level, uint_t flags)': (k, _dip, data) => {
    k.memory.setPtr(data, 0);
    return USB_FAILURE;
  },
  'void usb_free_dev_data(dev_info_t *dip, void *data)': () => undefined,
  'void usb_free_descr_tree(dev_info_t *dip, void *data)': () => undefined,
  'int usb_register_event_cbs(dev_info_t *dip, void *events, uint_t flags)': FAILED,
  'void usb_unregister_event_cbs(dev_info_t *dip, void *events)': () => undefined,
  'int usb_register_hotplug_cbs(dev_info_t *dip, void *disconnect, void *reconnect)': FAILED,
  'void usb_unregister_hotplug_cbs(dev_info_t *dip)': () => undefined,
  'int crypto_register_provider(void *info, void **handle)': registerProvider,
  'int crypto_unregister_provider(void *handle)': (k, handle) =>
    remove(k, handle) ? CRYPTO_SUCCESS : CRYPTO_ARGUMENTS_BAD,
  'void *mactype_alloc(uint_t version)': (k, version) => {
    if (version !== MACTYPE_VERSION) return 0;
    const at = k.heap.allocate(MACTYPE_BYTES, k.convention.returnAddress(k.cpu));
    if (at !== 0) k.memory.set32(at, version);
    return at;
  },
  'void mactype_free(void *type)': (k, type) => k.heap.free(type),
  'int mactype_register(void *type)': registerType,
  'int mactype_unregister(const char *ident)': unregisterType,
  'void zone_key_create(int *key, void *create, void *shutdown, void *destroy)': (k, key, create) =>
    createZoneKey(k, key, create),
  'int zone_key_delete(int key)': (k, key) => (remove(k, key) ? 0 : Errno.EINVAL),
  'void *zone_getspecific(int key, void *zone)': (k, key) => k.state(state).values.get(`zone ${key}`) ?? 0,
  'void tsd_create(uint_t *key, void *destructor)': (k, key, destructor) => {
    if (k.memory.u32(key) === 0)
      k.memory.set32(key, add(k, 'thread key', destructor === 0 ? '' : k.where(destructor)));
  },
  'void tsd_destroy(uint_t *key)': (k, key) => {
    remove(k, k.memory.u32(key));
    k.memory.set32(key, 0);
  },
  'void *tsd_get(uint_t key)': (k, key) => k.state(state).values.get(`${key} ${k.curthread}`) ?? 0,
  'int tsd_set(uint_t key, void *value)': (k, key, value) => {
    if (key === 0) return Errno.EINVAL;
    k.state(state).values.set(`${key} ${k.curthread}`, value);
    return 0;
  },
  'int dld_ioc_register(unsigned short module, void *list, uint_t count)': (k, module) => {
    add(k, 'ioctls of dld', String(module));
    return 0;
  },
  'void dld_ioc_unregister(unsigned short module)': (k, module) => {
    for (const [id, { kind, name }] of k.state(state).all)
      if (kind === 'ioctls of dld' && name === String(module)) remove(k, id);
  },
  'int ibt_hw_is_present(void)': () => 0,
  'major_t getudev(void)': (k) => k.state(state).major++,
  'int ddi_create_priv_minor_node(dev_info_t *dip, const char *name, int spec_type, minor_t minor, const char *type, int flag, const char *read, const char *write, mode_t mode)':
    (k, dip, name, specType, number, type) => {
      const words = { name: k.memory.cstring(name), type: type === 0 ? '' : k.memory.cstring(type) };
      createMinor(k, dip, { ...words, specType, number });
      return 0;
    },
});
