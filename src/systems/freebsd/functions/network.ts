/**
 * What modules register with the network stack and with frameworks around it. The base kernel has none of these: a
 * registration is known, counted as registered only, and taken back when the module goes.
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
import { makeCloner, plainEvent, registered } from './registrations.ts';

/** A handle of the kernel's for something that has no structure of its own. */
function handle(k: FreeBsd, what: string, name: string): Address {
  const at = k.heap.allocate(64);
  if (at !== 0) k.state(registered).set(at, { what, name });
  return at;
}

function dropHandle(k: FreeBsd, at: Address): void {
  if (k.state(registered).delete(at)) k.heap.free(at);
}

function note(k: FreeBsd, at: Address, what: string, name: string): number {
  k.state(registered).set(at, { what, name });
  return 0;
}

const forget = (k: FreeBsd, at: Address): number => (k.state(registered).delete(at) ? 0 : Errno.ENOENT);

// -- network stack instances (sys/net/vnet.c) -------------------------------------------------------------------

/** struct vnet_sysinit: subsystem, order, function, argument. There is one instance, so that each runs once. */
function* runVnet(k: FreeBsd, at: Address): Steps<void> {
  yield* k.call(k.memory.ptr(at + 8), k.memory.ptr(at + 8 + k.word));
}

export const vnets = kernelFunctions({
  'void vnet_register_sysinit(void *arg)': runVnet,
  'void vnet_deregister_sysinit(void *arg)': () => undefined,
  'void vnet_register_sysuninit(void *arg)': () => undefined,
  'void vnet_deregister_sysuninit(void *arg)': runVnet,
});

// -- protocols, encapsulation, helpers --------------------------------------------------------------------------

const pair = (a: number, b: number): string => `family ${a}, protocol ${b}`;

export const protocols = kernelFunctions({
  'struct if_clone *ifc_attach_cloner(const char *name, void *req)': makeCloner,
  'void ifc_detach_cloner(void *ifc)': dropHandle,
  'void if_clone_attach(void *ifc)': (k, at) => {
    note(k, at, 'interface cloner', guestText(k, k.memory.ptr(at + 2 * k.word)));
  },
  /** struct protosw: type, domain, protocol number. */
  'int pf_proto_register(int family, void *npr)': (k, family, at) =>
    note(k, at, 'protocol', pair(family, k.memory.u16(at + 2 * k.word))),
  'int pf_proto_unregister(int family, int protocol, int type)': (k, family, protocol) => {
    const name = pair(family, protocol);
    const found = [...k.state(registered)].find(([, one]) => one.what === 'protocol' && one.name === name);
    return found === undefined ? Errno.EPROTONOSUPPORT : forget(k, found[0]);
  },
  'int protosw_register(void *dp, void *npr)': (k, _domain, at) =>
    note(k, at, 'protocol', `number ${k.memory.u16(at + 2)}`),
  'int protosw_unregister(void *pr)': forget,
  'int ipproto_register(short ipproto)': () => 0,
  'int ipproto_unregister(short ipproto)': () => 0,
  'int ip6proto_register(short ip6proto)': () => 0,
  'int ip6proto_unregister(short ip6proto)': () => 0,
  'const void *encap_attach_func(int af, int proto, void *func, void *psw, void *arg)': (k, family, proto) =>
    handle(k, 'encapsulation', pair(family, proto)),
  'int encap_detach(const void *cookie)': (k, at) => {
    if (!k.state(registered).has(at)) return Errno.EINVAL;
    dropHandle(k, at);
    return 0;
  },
  'const void *ip_encap_attach(const void *cfg, void *arg, int mflags)': (k, cfg) =>
    handle(k, 'encapsulation', pair(2, k.memory.i32(cfg))),
  'int ip_encap_detach(const void *cookie)': (k, at) => {
    dropHandle(k, at);
    return 0;
  },
  'const void *ip6_encap_attach(const void *cfg, void *arg, int mflags)': (k, cfg) =>
    handle(k, 'encapsulation', pair(28, k.memory.i32(cfg))),
  'int ip6_encap_detach(const void *cookie)': (k, at) => {
    dropHandle(k, at);
    return 0;
  },
  'const void *ip_encap_register_srcaddr(void *func, void *arg, int mflags)': (k) =>
    handle(k, 'watcher of addresses', 'IPv4'),
  'int ip_encap_unregister_srcaddr(const void *cookie)': (k, at) => {
    dropHandle(k, at);
    return 0;
  },
  'const void *ip6_encap_register_srcaddr(void *func, void *arg, int mflags)': (k) =>
    handle(k, 'watcher of addresses', 'IPv6'),
  'int ip6_encap_unregister_srcaddr(const void *cookie)': (k, at) => {
    dropHandle(k, at);
    return 0;
  },
  'int fib_module_register(void *flm)': (k, at) =>
    note(k, at, 'route lookup', guestText(k, k.memory.ptr(at))),
  'int fib_module_unregister(void *flm)': forget,
  /** struct khelp_modevent_data begins with the helper's name (sys/sys/module_khelp.h). */
  'int khelp_modevent(void *mod, int type, void *data)': (k, _mod, what, at) => {
    if (what === MOD.QUIESCE || what === MOD.SHUTDOWN) return 0;
    return plainEvent(k, what, at, 'helper', k.memory.cstring(at, 16));
  },
  /** A partitioning scheme begins as a kobj class, whose name comes first (sys/geom/part/g_part.h). */
  'int g_part_modevent(void *mod, int type, void *data)': (k, _mod, what, at) =>
    plainEvent(k, what, at, 'partitioning scheme', guestText(k, k.memory.ptr(at))),
  /** struct execsw: the function, the name (sys/imgact.h). */
  'int exec_register(const void *execsw_arg)': (k, at) =>
    note(k, at, 'executable format', guestText(k, k.memory.ptr(at + k.word))),
  'int exec_unregister(const void *execsw_arg)': forget,
  'int g_register_classifier(void *hook)': (k, at) =>
    note(k, at, 'GEOM classifier', k.nearest(at)?.name ?? ''),
  'void g_unregister_classifier(void *hook)': (k, at) => {
    forget(k, at);
  },
});

// -- keyboards, brands of programs, network queues --------------------------------------------------------------

export const frameworks = kernelFunctions({
  /** keyboard_driver_t: link, name (sys/dev/kbd/kbdreg.h). */
  'int kbd_add_driver(void *driver)': (k, at) =>
    note(k, at, 'keyboard driver', guestText(k, k.memory.ptr(at + k.word))),
  'int kbd_delete_driver(void *driver)': (k, at) => (forget(k, at) === 0 ? 0 : Errno.EINVAL),
  'int elf32_insert_brand_entry(void *entry)': (k, at) => note(k, at, 'ELF brand', 'of 32-bit programs'),
  'int elf32_remove_brand_entry(void *entry)': forget,
  'int elf32_brand_inuse(void *entry)': () => 0,
  'int elf64_insert_brand_entry(void *entry)': (k, at) => note(k, at, 'ELF brand', 'of 64-bit programs'),
  'int elf64_remove_brand_entry(void *entry)': forget,
  'int elf64_brand_inuse(void *entry)': () => 0,
  /** Fills in what only a running program needs: the shared page of system calls. */
  'void exec_sysvec_init(void *param)': () => undefined,
  /** struct netisr_handler begins with the name. */
  'void netisr_register(const void *handler)': (k, at) => {
    note(k, at, 'network queue', guestText(k, k.memory.ptr(at)));
  },
  'void netisr_unregister(const void *handler)': (k, at) => {
    forget(k, at);
  },
  'void *taskqgroup_create(const char *name, int cnt, int stride)': (k, name) =>
    handle(k, 'group of task queues', guestText(k, name)),
  'void taskqgroup_destroy(void *qgroup)': dropHandle,
  'void taskqgroup_bind(void *qgroup)': () => undefined,
  /** A task of a group is known by its name; what enqueues it is missing, by name. */
  'int taskqgroup_attach(void *qgroup, void *gtask, void *uniq, void *dev, void *irq, const char *name)': (
    k,
    _group,
    task,
    _owner,
    _device,
    _interrupt,
    name,
  ) => note(k, task, 'task of a group', name === 0 ? '' : guestText(k, name)),
  'int taskqgroup_attach_cpu(void *qgroup, void *gtask, void *uniq, int cpu, void *dev, void *irq, const char *name)':
    (k, _group, task, _owner, _cpu, _device, _interrupt, name) =>
      note(k, task, 'task of a group', name === 0 ? '' : guestText(k, name)),
  // Nothing is ever in a queue of a group.
  'void taskqgroup_drain_all(void *qgroup)': () => undefined,
  'void taskqgroup_detach(void *qgroup, void *gtask)': (k, _group, task) => void forget(k, task),
  // Threads take turns here whatever their priority.
  'void sched_prio(void *td, int prio)': () => undefined,
  // A thread that has ended is gone at once; one thread at a time walks the devices.
  'void thread_reap_barrier(void)': () => undefined,
  'void bus_topo_lock(void)': () => undefined,
  'void bus_topo_unlock(void)': () => undefined,
  'void bus_topo_assert(void)': () => undefined,
});

// -- data that the kernel's objects carry for modules (sys/kern/kern_osd.c) -------------------------------------

/** What frees an object's data, by kind of object and slot. */
const destructors = perKernel(() => new Map<string, Address>());

/** struct osd: how many slots it has, and where they are; slots count from one. */
function slotOf(k: FreeBsd, osd: Address, slot: number): Address {
  return slot > k.memory.u32(osd) ? 0 : k.memory.ptr(k.memory.ptr(osd + k.word) + (slot - 1) * k.word);
}

function setSlot(k: FreeBsd, osd: Address, slot: number, value: Address, reserved: Address): number {
  const [count, old] = [k.memory.u32(osd), k.memory.ptr(osd + k.word)];
  if (slot > count && value === 0) return 0;
  let table = old;
  if (slot > count) {
    table = reserved === 0 ? k.heap.allocate(slot * k.word) : reserved;
    if (table === 0) return Errno.ENOMEM;
    if (count > 0) k.memory.write(table, k.memory.bytes(old, count * k.word).slice());
    k.memory.set32(osd, slot);
    k.memory.setPtr(osd + k.word, table);
    if (old !== 0) k.heap.free(old);
  } else if (reserved !== 0) k.heap.free(reserved);
  k.memory.setPtr(table + (slot - 1) * k.word, value);
  return 0;
}

export const slots = perKernel(() => new Map<number, Set<number>>());

export const objectData = kernelFunctions({
  'int osd_register(unsigned int type, void *destructor, void *methods)': (k, type, destructor) => {
    const taken = k.state(slots).get(type) ?? new Set<number>();
    k.state(slots).set(type, taken);
    let slot = 1;
    while (taken.has(slot)) slot++;
    taken.add(slot);
    k.state(destructors).set(`${type}.${slot}`, destructor);
    return slot;
  },
  'void osd_deregister(unsigned int type, unsigned int slot)': (k, type, slot) => {
    k.state(slots).get(type)?.delete(slot);
  },
  'void **osd_reserve(unsigned int slot)': (k, slot) => k.heap.allocate(slot * k.word),
  'void osd_free_reserved(void **rsv)': (k, at) => {
    k.heap.free(at);
  },
  'int osd_set(unsigned int type, void *osd, unsigned int slot, void *value)': (k, _type, osd, slot, value) =>
    setSlot(k, osd, slot, value, 0),
  'int osd_set_reserved(unsigned int type, void *osd, unsigned int slot, void **rsv, void *value)': (
    k,
    _type,
    osd,
    slot,
    reserved,
    value,
  ) => setSlot(k, osd, slot, value, reserved),
  'void *osd_get(unsigned int type, void *osd, unsigned int slot)': (k, _type, osd, slot) =>
    slotOf(k, osd, slot),
  'void *osd_get_unlocked(unsigned int type, void *osd, unsigned int slot)': (k, _type, osd, slot) =>
    slotOf(k, osd, slot),
  *'void osd_del(unsigned int type, void *osd, unsigned int slot)'(k, type, osd, slot) {
    const value = slotOf(k, osd, slot);
    const destructor = k.state(destructors).get(`${type}.${slot}`) ?? 0;
    if (value !== 0 && destructor !== 0) yield* k.call(destructor, value);
    if (value !== 0) setSlot(k, osd, slot, 0, 0);
  },
  // Without a policy that wants labels, objects get none.
  ...Object.fromEntries(
    ['sysvmsg', 'sysvmsq', 'sysvsem', 'sysvshm'].flatMap((what) =>
      ['init', 'destroy', 'cleanup'].map((step) => [
        `void mac_${what}_${step}(void *object)`,
        () => undefined,
      ]),
    ),
  ),
  'int khelp_get_id(char *hname)': (k, at) => {
    const name = guestText(k, at);
    const helpers = [...k.state(registered).values()].filter((one) => one.what === 'helper');
    const place = helpers.findIndex((one) => one.name === name);
    // Ids are slots of osd_register, which begin at one.
    return place < 0 ? -1 : place + 1;
  },
  'uint32_t m_ether_tcpip_hash_init(void)': (k) => k.random32(),
  /** struct xformsw of 12 and later: its number, and its name behind it (sys/netipsec/xform.h). */
  'void xform_attach(void *data)': (k, at) => {
    note(k, at, 'IPsec transform', `number ${k.memory.u16(at)}`);
  },
  'void xform_detach(void *data)': (k, at) => {
    forget(k, at);
  },
  'int tcpmd5_support_enable(const void *methods)': (k, at) => note(k, at, 'TCP-MD5 support', ''),
  'int tcpmd5_support_disable(void)': (k) => {
    for (const [at, { what }] of k.state(registered)) if (what === 'TCP-MD5 support') forget(k, at);
    return 0;
  },
  // Packet filters have nothing to hook into: the stack has no point of that kind.
  'void *pfil_head_get(int type, unsigned long val)': () => 0,
  'void *pffindproto(int family, int protocol, int type)': () => 0,
  'void *preload_search_by_type(const char *type)': () => 0,
  'void *preload_search_info(void *mod, int inf)': () => 0,
  'void *preload_search_next_name(void *base)': () => 0,
  'void *vfs_byname(const char *name)': (k, at) => {
    const name = guestText(k, at);
    for (const [conf, one] of k.state(registered))
      if (one.what === 'filesystem' && one.name === name) return conf;
    return 0;
  },
  // Operations that a vector leaves to its default are looked for at each call (vnodeCall).
  'void vfs_vector_op_register(void *orig_vop)': () => undefined,
  'unsigned int prison_add_allow(const char *prefix, const char *name, const char *prefix_descr, const char *descr)':
    (k) => 2 ** (8 + (k.state(allows).given++ % 20)),
  /** Calls the function in GEOM's own thread and waits for it: with a null flag, since nobody cancelled it. */
  *'int g_waitfor_event(void *func, void *arg, int flag, ...)'(k, fn, arg) {
    yield* k.call(fn, arg, 0);
    return 0;
  },
  'void g_trace(int level, const char *fmt, ...)': () => undefined,
  'int clone_setup(void **cdp)': (k, at) => {
    k.memory.setPtr(at, k.heap.allocate(4 * k.word));
    return 0;
  },
  'void clone_cleanup(void **cdp)': (k, at) => {
    k.heap.free(k.memory.ptr(at));
    k.memory.setPtr(at, 0);
  },
});

/** POSIX.1b values (sys/kern/p1003_1b.c), asynchronous system traps, event filters, domains: what modules bring, by number. */
const posix = perKernel(() => new Map<number, number>());

export const standards = kernelFunctions({
  'void p31b_setcfg(int num, int value)': (k, what, value) => void k.state(posix).set(what, value),
  'void p31b_unsetcfg(int num)': (k, what) => void k.state(posix).delete(what),
  'int p31b_getcfg(int num)': (k, what) => k.state(posix).get(what) ?? 0,
  'int p31b_iscfg(int num)': (k, what) => (k.state(posix).has(what) ? 1 : 0),
  'void ast_register(int ast, int ast_flags, int tdp, void *f)': (k, ast) => {
    note(k, -1000 - ast, 'trap on the way back to user mode', `number ${ast}`);
  },
  'void ast_deregister(int tda)': (k, ast) => {
    forget(k, -1000 - ast);
  },
  'int kqueue_add_filteropts(int filt, void *filtops)': (k, filter, at) =>
    k.state(registered).has(at) ? Errno.EEXIST : note(k, at, 'event filter', `number ${filter}`),
  'int kqueue_del_filteropts(int filt)': (k, filter) => {
    const found = [...k.state(registered)].find(
      ([, one]) => one.what === 'event filter' && one.name === `number ${filter}`,
    );
    return found === undefined ? Errno.EINVAL : forget(k, found[0]);
  },
  /** struct domain: family, name; from 14 on the next one comes first, and a count stands between. */
  'void domain_add(void *data)': (k, at) => {
    const name = at + (majorOf(k.version) < 14 ? k.word : k.word + 8);
    note(k, at, 'protocol family', guestText(k, k.memory.ptr(name)));
  },
  'void domain_init(void *arg)': () => undefined,
  'void domain_remove(void *data)': (k, at) => {
    forget(k, at);
  },
  'unsigned int genl_register_family(const char *family_name, size_t hdrsize, int family_version, int max_attr)':
    (k, name) => {
      const family =
        16 + [...k.state(registered).values()].filter((one) => one.what === 'netlink family').length;
      note(k, -2000 - family, 'netlink family', guestText(k, name));
      return family;
    },
  'bool_t genl_register_cmds(unsigned int family, const void *cmds, int count)': () => 1,
  'unsigned int genl_register_group(unsigned int family, const char *group_name)': () => 1,
  'void genl_unregister_family(unsigned int family)': (k, family) => {
    forget(k, -2000 - family);
  },
  /** From 13 on: struct pfil_hook_args, whose names come last; what it is linked to later has no packets. */
  'void *pfil_add_hook(void *args)': (k) => handle(k, 'packet filter', ''),
  'int pfil_link(void *args)': () => 0,
  'void pfil_remove_hook(void *hook)': dropHandle,
  'int pmc_cpu_is_disabled(int cpu)': () => 0,
  'int random_adaptor_register(const char *name, void *ra)': (k, name, at) =>
    note(k, at, 'source of random numbers', guestText(k, name)),
  'int random_adaptor_deregister(const char *name)': (k, name) => {
    const text = guestText(k, name);
    const found = [...k.state(registered)].find(
      ([, one]) => one.what === 'source of random numbers' && one.name === text,
    );
    return found === undefined ? Errno.EINVAL : forget(k, found[0]);
  },
  /** There is no disk whose contents a class that came late could be shown. */
  'int g_retaste(void *mp)': () => 0,
  /** Nobody is in the middle of making a device by opening its name. */
  'void drain_dev_clone_events(void)': () => undefined,
});

const allows = perKernel<{ given: number }>(() => ({ given: 0 }));
