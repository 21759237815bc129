/**
 * Subsystems that a module registers with, each with a module event handler of its own: network interface cloners, GEOM
 * classes, accept filters, splash and screen savers, MAC policies. What is registered is known and waits: the base kernel
 * has no network, no disks and no screen.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { MOD } from '../modules.ts';
import { majorOf } from '../version.ts';
import { kernelFunctions } from './define.ts';

export interface Registered {
  readonly what: string;
  readonly name: string;
}

/** By the address that the module has of it. */
export const registered = perKernel(() => new Map<Address, Registered>());

function add(k: FreeBsd, at: Address, what: string, name: string): void {
  k.state(registered).set(at, { what, name });
}

const has = (k: FreeBsd, what: string, name: string): boolean =>
  [...k.state(registered).values()].some((one) => one.what === what && one.name === name);

// -- network interface cloners (sys/net/if_clone.c) -------------------------------------------------------------

export function makeCloner(k: FreeBsd, name: Address): Address {
  const text = guestText(k, name);
  if (has(k, 'interface cloner', text)) return 0;
  const at = k.heap.allocate(128);
  add(k, at, 'interface cloner', text);
  return at;
}

/** How a cloner ends an interface that it made: the function, and whether the cloner comes before the interface. */
const enders = perKernel(() => new Map<Address, { destroy: Address; advanced: boolean }>());

/** A cloner that goes takes its interfaces with it, which are those of its name with a number. */
function* detachCloner(k: FreeBsd, at: Address): Steps<void> {
  const { name = '' } = k.state(registered).get(at) ?? {};
  const ender = k.state(enders).get(at);
  const own = [...k.state(registered)].filter(
    ([, one]) =>
      one.what === 'network interface' &&
      one.name.startsWith(name) &&
      /^\d+$/.test(one.name.slice(name.length)),
  );
  for (const [face] of own) {
    if (ender !== undefined && ender.destroy !== 0)
      yield* k.call(ender.destroy, ...(ender.advanced ? [at, face] : [face]));
  }
  k.state(enders).delete(at);
  // A cloner of if_clone_attach is the module's own structure.
  if (k.state(registered).delete(at) && k.heap.find(at) !== undefined) k.heap.free(at);
}

function* simpleCloner(
  k: FreeBsd,
  name: Address,
  create: Address,
  destroy: Address,
  minimum: number,
): Steps<Address> {
  const at = makeCloner(k, name);
  if (at === 0) return 0;
  k.state(enders).set(at, { destroy, advanced: false });
  for (let unit = 0; unit < Math.min(minimum, 64); unit++) {
    const error = yield* k.callInt(create, at, unit, 0);
    if (error !== 0) k.printf(`if_clone_simple: creating ${guestText(k, name)}${unit} failed: ${error}\n`);
  }
  return at;
}

export const cloners = kernelFunctions({
  'void *if_clone_advanced(const char *name, unsigned int maxunit, void *match, void *create, void *destroy)':
    (k, name, _most, _match, _create, destroy) => {
      const at = makeCloner(k, name);
      if (at !== 0) k.state(enders).set(at, { destroy, advanced: true });
      return at;
    },
  'void *if_clone_simple(const char *name, void *create, void *destroy, unsigned int minifs)': simpleCloner,
  'void if_clone_detach(void *ifc)': detachCloner,
});

/** Who makes and frees the link-layer part of an interface, by interface type (sys/net/if.c). */
export const interfaceMakers = perKernel(() => new Map<number, { allocate: Address; free: Address }>());

export const interfaceKinds = kernelFunctions({
  'void if_register_com_alloc(unsigned char type, void *a, void *f)': (k, type, allocate, free) => {
    if (allocate === 0) throw new RangeError('if_register_com_alloc without a function');
    add(k, -1 - type, 'interface type', `${type}`);
    k.state(interfaceMakers).set(type, { allocate, free });
  },
  'void if_deregister_com_alloc(unsigned char type)': (k, type) => {
    k.state(interfaceMakers).delete(type);
    k.state(registered).delete(-1 - type);
  },
});

// -- GEOM classes (sys/geom/geom_subr.c) -----------------------------------------------------------------------

/** struct g_class: name, version, spare, taste, config (up to 13), ctlreq, init, fini. */
const classField = (k: FreeBsd, at: Address, name: 'init' | 'fini'): Address => {
  const index = (name === 'init' ? 2 : 3) + (majorOf(k.version) < 14 ? 1 : 0);
  return k.memory.ptr(at + k.word + 8 + index * k.word);
};
const G_VERSIONS = new Set([0x19950323, 0x20040519, 0x20041207]);

function* geomEvent(k: FreeBsd, what: number, cls: Address): Steps<number> {
  const name = guestText(k, k.memory.ptr(cls));
  if (what === MOD.LOAD) {
    if (!G_VERSIONS.has(k.memory.u32(cls + k.word))) {
      k.printf(`Class ${name} has Wrong version ${k.memory.u32(cls + k.word).toString(16)}\n`);
      return Errno.EINVAL;
    }
    if (has(k, 'GEOM class', name)) return Errno.EEXIST;
    add(k, cls, 'GEOM class', name);
    const init = classField(k, cls, 'init');
    if (init !== 0) yield* k.call(init, cls);
    return 0;
  }
  if (what !== MOD.UNLOAD) return Errno.EOPNOTSUPP;
  const fini = classField(k, cls, 'fini');
  if (fini !== 0) yield* k.call(fini, cls);
  k.state(registered).delete(cls);
  return 0;
}

// -- others ----------------------------------------------------------------------------------------------------

/** Registers on load under a name at the start of the structure, takes it away on unload. */
export function plainEvent(k: FreeBsd, what: number, at: Address, kind: string, name: string): number {
  if (what === MOD.LOAD) {
    if (has(k, kind, name)) return Errno.EEXIST;
    add(k, at, kind, name);
    return 0;
  }
  if (what !== MOD.UNLOAD) return Errno.EOPNOTSUPP;
  k.state(registered).delete(at);
  return 0;
}

/** struct mac_policy_conf: short name, full name, operations (sys/security/mac/mac_policy.h). */
function* macEvent(k: FreeBsd, what: number, at: Address): Steps<number> {
  const full = guestText(k, k.memory.ptr(at + k.word));
  const name = guestText(k, k.memory.ptr(at));
  const operations = k.memory.ptr(at + 2 * k.word);
  // mpo_destroy and mpo_init are the first two operations.
  const [destroy, init] = [k.memory.ptr(operations), k.memory.ptr(operations + k.word)];
  if (what === MOD.LOAD) {
    if (has(k, 'MAC policy', name)) return Errno.EEXIST;
    add(k, at, 'MAC policy', name);
    if (init !== 0) yield* k.call(init, at);
    k.printf(`Security policy loaded: ${full} (${name})\n`);
    return 0;
  }
  if (what !== MOD.UNLOAD) return Errno.EOPNOTSUPP;
  const flags = k.memory.i32(at + 3 * k.word);
  // MPC_LOADTIME_FLAG_UNLOADOK
  if ((flags & 2) === 0) return Errno.EBUSY;
  if (destroy !== 0) yield* k.call(destroy, at);
  k.state(registered).delete(at);
  k.printf(`Security policy unload: ${full} (${name})\n`);
  return 0;
}

/** The place of vfs_init in struct vfsops, behind which vfs_uninit is (sys/mount.h): vfs_cachedroot came before it with 13. */
const initPlace = (k: FreeBsd): number => (majorOf(k.version) < 13 ? 10 : 11);

function* vfsEvent(k: FreeBsd, what: number, conf: Address): Steps<number> {
  const name = k.readString('vfsconf.vfc_name', conf);
  const operations = k.read('vfsconf.vfc_vfsops', conf);
  const operation = (index: number) => k.memory.ptr(operations + index * k.word);
  if (what === MOD.LOAD) {
    if (has(k, 'filesystem', name)) return Errno.EEXIST;
    k.write('vfsconf.vfc_typenum', conf, k.state(nextType).number++);
    add(k, conf, 'filesystem', name);
    const init = operation(initPlace(k));
    if (init !== 0) yield* k.callInt(init, conf);
    return 0;
  }
  if (what !== MOD.UNLOAD) return Errno.EOPNOTSUPP;
  if (!has(k, 'filesystem', name)) return Errno.EINVAL;
  if (k.read('vfsconf.vfc_refcount', conf) !== 0) return Errno.EBUSY;
  const uninit = operation(initPlace(k) + 1);
  if (uninit !== 0) {
    const error = yield* k.callInt(uninit, conf);
    if (error !== 0) return error;
  }
  k.state(registered).delete(conf);
  return 0;
}

/** maxvfsconf */
const nextType = perKernel<{ number: number }>(() => ({ number: 1 }));

/** OBJT_FIRST_DYN */
const FIRST_PAGER = 8;

/** NG_ABI_VERSION */
const NETGRAPH_VERSION = 12;
/** NG_TYPESIZ */
const NODE_TYPE_BYTES = 32;

function newNodeType(k: FreeBsd, at: Address): number {
  const name = k.memory.cstring(k.memory.ptr(at + k.word), NODE_TYPE_BYTES);
  if (k.memory.i32(at) !== NETGRAPH_VERSION || name === '' || name.length >= NODE_TYPE_BYTES)
    return Errno.EINVAL;
  if (has(k, 'netgraph node type', name)) return Errno.EEXIST;
  add(k, at, 'netgraph node type', name);
  return 0;
}

export const registrationFunctions = kernelFunctions({
  'int vfs_modevent(void *mod, int type, void *data)': (k, _mod, what, conf) => vfsEvent(k, what, conf),
  'int g_modevent(void *mod, int type, void *data)': (k, _mod, what, data) => geomEvent(k, what, data),
  /** struct accept_filter begins with its name. */
  'int accept_filt_generic_mod_event(void *mod, int event, void *data)': (k, _mod, what, at) =>
    plainEvent(k, what, at, 'accept filter', k.memory.cstring(at, 16)),
  'int mac_policy_modevent(void *mod, int type, void *data)': (k, _mod, what, data) =>
    macEvent(k, what, data),
  'void apic_register_enumerator(void *enumerator)': (k, at) =>
    add(k, at, 'interrupt controller enumerator', guestText(k, k.memory.ptr(at))),
  /** A kind of pager of a module's own: a number behind those of the kernel (OBJT_FIRST_DYN of vm/vm.h). */
  'int vm_pager_alloc_dyn_type(void *ops, int base_type)': (k, ops) => {
    const types = [...k.state(registered).values()].filter(({ what }) => what === 'kind of pager');
    add(k, ops, 'kind of pager', `${FIRST_PAGER + types.length}`);
    return FIRST_PAGER + types.length;
  },
  'void vm_pager_free_dyn_type(int type)': (k, type) => {
    for (const [at, { what, name }] of k.state(registered))
      if (what === 'kind of pager' && name === `${type}`) k.state(registered).delete(at);
  },
  /** struct bio_queue_head begins with its queue, which stays empty: nobody has a disk to ask (sys/bio.h). */
  'void bioq_init(void *head)': (k, at) => {
    // Two counts came behind with 11.
    k.memory.fill(at, 3 * k.word + (majorOf(k.version) < 11 ? 8 : 16), 0);
    k.memory.setPtr(at + k.word, at);
  },
  'struct bio *bioq_takefirst(void *head)': () => 0,
  'struct bio *bioq_first(void *head)': () => 0,
  'void bioq_flush(void *head, void *stp, int error)': () => undefined,
  /** struct ng_type: a version, its name, a handler of its own (netgraph/netgraph.h). */
  'int ng_newtype(void *tp)': (k, at) => newNodeType(k, at),
  'int ng_rmtype(void *tp)': (k, at) => (k.state(registered).delete(at) ? 0 : Errno.EINVAL),
  *'int ng_mod_event(void *mod, int event, void *data)'(k, mod, what, at) {
    const own = k.memory.ptr(at + 2 * k.word);
    const ask = function* (): Steps<number> {
      return own === 0 ? 0 : yield* k.callInt(own, mod, what, at);
    };
    if (what === MOD.LOAD) {
      const error = newNodeType(k, at);
      if (error !== 0) return error;
      const refused = yield* ask();
      if (refused !== 0) k.state(registered).delete(at);
      return refused;
    }
    if (what !== MOD.UNLOAD) return own === 0 ? Errno.EOPNOTSUPP : yield* ask();
    const refused = yield* ask();
    if (refused === 0) k.state(registered).delete(at);
    return refused;
  },
  'int splash_register(void *decoder)': (k, at) => {
    add(k, at, 'screen saver', guestText(k, k.memory.ptr(at)));
    return 0;
  },
  'int splash_unregister(void *decoder)': (k, at) => (k.state(registered).delete(at) ? 0 : Errno.EINVAL),
  /** struct cc_algo begins with its name (sys/netinet/cc/cc.h). */
  *'int cc_modevent(void *mod, int event_type, void *data)'(k, _mod, what, at) {
    const name = k.memory.cstring(at, 16);
    if (what === MOD.QUIESCE) return 0;
    const hook = k.memory.ptr(at + 16 + (what === MOD.LOAD ? 0 : k.word));
    if (hook !== 0) {
      const error = yield* k.callInt(hook);
      if (error !== 0 && what === MOD.LOAD) return error;
    }
    return plainEvent(k, what, at, 'congestion control algorithm', name);
  },
});
