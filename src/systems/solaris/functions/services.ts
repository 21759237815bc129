/** Smaller services of the kernel: callbacks, network stacks, privileges, power, data models, numbers. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { configuration } from '../configuration.ts';
import { Errno } from '../errno.ts';
import type { Solaris } from '../solaris.ts';
import { freeMessage } from '../streams.ts';
import { kernelFunctions } from './define.ts';

const SUCCESS = 0;
/** Data models in the mode of an ioctl (sys/model.h). */
const MODELS = 0x0ff00000;
const MODEL = { ILP32: 0x00100000, LP64: 0x00200000, NONE: 0 } as const;

const ownModel = (k: Solaris): number => (k.bits === 64 ? MODEL.LP64 : MODEL.ILP32);

// -- callbacks ------------------------------------------------------------------------------------------------

/** callb_add: called when the machine is suspended or panics, which it never is here in a way that asks them. */
const callbacks = perKernel(() => new Map<Address, { func: Address }>());

/** What is to be called or asked by the kernel, and stacks that were registered with. */
export function* servicesNow(k: Solaris): Generator<StandingThing> {
  for (const [key, { func }] of k.state(callbacks)) yield { what: 'callback', key, name: k.where(func) };
  for (const [key, { destroy }] of k.state(stacks))
    yield { what: 'network stack', key, name: destroy === 0 ? `module ${key}` : k.where(destroy) };
}

function addCallback(k: Solaris, func: Address): Address {
  const id = k.heap.take(16);
  k.state(callbacks).set(id, { func });
  return id;
}

function deleteCallback(k: Solaris, id: Address): number {
  if (!k.state(callbacks).delete(id)) return -1;
  k.heap.free(id);
  return 0;
}

// -- network stacks -------------------------------------------------------------------------------------------

interface StackUser {
  readonly shutdown: Address;
  readonly destroy: Address;
  /** What its create function gave for the one stack there is. */
  readonly private: Address;
}

/** By NS_ number of the module (sys/netstack.h). */
const stacks = perKernel(() => new Map<number, StackUser>());
/** netstack_t of the global zone: an array of what modules keep for it comes first; the rest is zero. */
const netstack = perKernel<Address, Solaris>((k) => k.data.take(1024));

function* registerStack(
  k: Solaris,
  id: number,
  functions: { create: Address; shutdown: Address; destroy: Address },
): Steps<void> {
  const { create, shutdown, destroy } = functions;
  const at = k.state(netstack);
  const own = create === 0 ? 0 : Number(yield* k.call(create, 0, at));
  k.memory.setPtr(at + (id % 64) * k.word, own);
  k.state(stacks).set(id, { shutdown, destroy, private: own });
}

function* unregisterStack(k: Solaris, id: number): Steps<void> {
  const user = k.state(stacks).get(id);
  if (user === undefined) return;
  k.state(stacks).delete(id);
  if (user.shutdown !== 0) yield* k.call(user.shutdown, 0, user.private);
  if (user.destroy !== 0) yield* k.call(user.destroy, 0, user.private);
  k.memory.setPtr(k.state(netstack) + (id % 64) * k.word, 0);
}

// -- the rest -------------------------------------------------------------------------------------------------

/** What only root may do here. */
const privileged = (k: Solaris, credential: Address): number =>
  k.read('cred.cr_uid', credential) === 0 ? 0 : Errno.EPERM;

function highestBit(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

const unsigned = (k: Solaris, value: number): bigint => BigInt.asUintN(k.bits, BigInt(value));

const swap64 = (value: bigint): bigint => {
  let result = 0n;
  for (let i = 0n; i < 8n; i++) result = (result << 8n) | ((value >> (8n * i)) & 0xffn);
  return result;
};

/** Names of drivers that somebody asked for, where they lie. */
const driverNames = perKernel(() => new Map<string, Address>());

const PAGE_BITS = 12;

export const services = kernelFunctions({
  'void *callb_add(boolean_t (*func)(void *, int), void *arg, int kind, char *name)': addCallback,
  'int callb_delete(void *id)': deleteCallback,
  'boolean_t callb_generic_cpr(void *arg, int code)': () => true,
  'void netstack_register(int id, void *create, void *shutdown, void *destroy)': (
    k,
    id,
    create,
    shutdown,
    destroy,
  ) => registerStack(k, id, { create, shutdown, destroy }),
  'void netstack_unregister(int id)': unregisterStack,
  'void *netstack_find_by_stackid(int id)': (k, id) => (id === 0 ? k.state(netstack) : 0),
  'void *netstack_find_by_zoneid(int id)': (k, id) => (id === 0 ? k.state(netstack) : 0),
  'void *netstack_find_by_cred(const cred_t *credential)': (k) => k.state(netstack),
  'void netstack_hold(void *stack)': () => undefined,
  'void netstack_rele(void *stack)': () => undefined,
  'int secpolicy_sys_config(const cred_t *credential, boolean_t only)': privileged,
  'int secpolicy_net_config(const cred_t *credential, boolean_t only)': privileged,
  'int secpolicy_dl_config(const cred_t *credential)': privileged,
  'int secpolicy_ip_config(const cred_t *credential, boolean_t only)': privileged,
  'int secpolicy_console(const cred_t *credential)': privileged,
  'int secpolicy_sys_devices(const cred_t *credential)': privileged,
  'int secpolicy_net_rawaccess(const cred_t *credential)': privileged,
  'int secpolicy_fs_mount(cred_t *credential, void *vnode, void *vfs)': privileged,
  'int secpolicy_fs_unmount(cred_t *credential, void *vfs)': privileged,
  // There is the global zone alone.
  'int crgetzoneid(const cred_t *credential)': () => 0,
  'int getzoneid(void)': () => 0,
  'int pm_raise_power(dev_info_t *dip, int component, int level)': () => SUCCESS,
  'int pm_lower_power(dev_info_t *dip, int component, int level)': () => SUCCESS,
  'int pm_busy_component(dev_info_t *dip, int component)': () => SUCCESS,
  'int pm_idle_component(dev_info_t *dip, int component)': () => SUCCESS,
  'uint_t ddi_model_convert_from(uint_t mode)': (k, mode) =>
    (mode & MODELS) === MODEL.NONE || (mode & MODELS) === ownModel(k) ? MODEL.NONE : mode & MODELS,
  'uint_t get_udatamodel(void)': ownModel,
  'int ddi_in_panic(void)': () => 0,
  'char *ddi_major_to_name(major_t major)': (k, major) => {
    const name = [...k.state(configuration).majors].find(([, one]) => one === major)?.[0];
    const names = k.state(driverNames);
    if (name !== undefined && !names.has(name)) names.set(name, k.heap.takeString(name));
    return name === undefined ? 0 : (names.get(name) ?? 0);
  },
  // Nobody watches resource pools, exports probes of the old kind, or converts character sets.
  'void pool_event_cb_register(void *callback)': () => undefined,
  'void pool_event_cb_unregister(void *callback)': () => undefined,
  'int tnf_mod_load(void)': () => 0,
  'int tnf_mod_unload(struct modlinkage *linkage)': () => 0,
  'size_t kiconv_module_ref_count(size_t id)': () => 0,
  'void freemsgchain(mblk_t *mp)': (k, mp) => {
    for (let at = mp; at !== 0; ) {
      const next = k.read('msgb.b_next', at);
      k.write('msgb.b_next', at, 0);
      freeMessage(k, at);
      at = next;
    }
  },
  'int highbit(ulong_t value)': (k, value) => highestBit(unsigned(k, value)),
  'int highbit64(uint64_t value)': (_k, value) => highestBit(value),
  'int lowbit(ulong_t value)': (k, value) => {
    const bits = unsigned(k, value);
    return highestBit(bits & -bits);
  },
  'uint64_t htonll(uint64_t value)': (_k, value) => swap64(value),
  'uint64_t ntohll(uint64_t value)': (_k, value) => swap64(value),
  'ulong_t ptob(ulong_t pages)': (_k, pages) => pages * 2 ** PAGE_BITS,
  'ulong_t btop(ulong_t bytes)': (_k, bytes) => Math.floor(bytes / 2 ** PAGE_BITS),
  'ulong_t btopr(ulong_t bytes)': (_k, bytes) => Math.ceil(bytes / 2 ** PAGE_BITS),
  'void ovbcopy(const void *from, void *to, size_t bytes)': (k, from, to, bytes) =>
    k.memory.write(to, k.memory.bytes(from, bytes).slice()),
  'void ndi_devi_enter(dev_info_t *dip, int *circular)': () => undefined,
  'void ndi_devi_exit(dev_info_t *dip, int circular)': () => undefined,
});
