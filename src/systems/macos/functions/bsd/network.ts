/**
 * Network interfaces, protocols and filters as kexts register them (bsd/net/kpi_interface.c, kpi_protocol.c, bsd/kern/kpi_socketfilter.c,
 * bsd/netinet/kpi_ipfilter.c). There is no network behind them: what an interface hands in is counted and, when no
 * protocol takes it, dropped.
 */
import { perKernel } from '../../../../kernel/kernel.ts';
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText, writeGuestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import { ERRNO } from '../../errno.ts';
import type { Macos } from '../../macos.ts';
import { kernelFunctions } from '../define.ts';
import { freePacket } from './mbuf.ts';

const MOST = 10_000;
const ETHER_BYTES = 6;

interface Filter {
  readonly kind: 'socket filter' | 'IP filter' | 'interface filter';
  readonly name: string;
  /** What says the filter is gone: called with its handle or cookie. */
  readonly detached: Address;
  readonly argument: Address;
}

class Network {
  /** Attached, in that order. */
  readonly interfaces = new Set<Address>();
  /** Protocols of an interface: family and the routines, as the kext gave them. */
  readonly protocols = new Map<string, Address>();
  /** Who plumbs a protocol family on an interface family. */
  readonly plumbers = new Map<string, { readonly plumb: Address; readonly unplumb: Address }>();
  readonly filters = new Map<Address, Filter>();
}

export const network = perKernel<Network, Macos>(() => new Network());

const number = (
  k: Macos,
  at: Address,
  field: 'mtu' | 'flags' | 'hdrlen' | 'unit' | 'refs' | 'type' | 'family',
): number => k.read(`ifnet.${field}`, at);
const routine = (
  k: Macos,
  at: Address,
  name:
    | 'output'
    | 'demux'
    | 'add_proto'
    | 'del_proto'
    | 'framer'
    | 'ioctl'
    | 'detach'
    | 'event'
    | 'check_multi'
    | 'set_bpf_tap',
): Address => k.read(`ifnet_init_params.${name}`, at + k.offset('ifnet.init'));

// -- interfaces ---------------------------------------------------------------------------------------------------------

function allocate(k: Macos, given: Address, result: Address): number {
  if (k.read('ifnet_init_params.name', given) === 0 || k.read('ifnet_init_params.output', given) === 0)
    return ERRNO.EINVAL;
  const at = k.heap.allocate(k.sizeof('struct ifnet'), 'ifnet');
  if (at === 0) return ERRNO.ENOMEM;
  k.memory.copy(at + k.offset('ifnet.init'), given, k.sizeof('struct ifnet_init_params'));
  const name = guestText(k, k.read('ifnet_init_params.name', given), 12);
  writeGuestText(k, at + k.offset('ifnet.name'), name);
  k.write('ifnet.unit', at, k.read('ifnet_init_params.unit', given));
  k.write('ifnet.family', at, k.read('ifnet_init_params.family', given));
  k.write('ifnet.type', at, k.read('ifnet_init_params.type', given));
  k.write('ifnet.softc', at, k.read('ifnet_init_params.softc', given));
  k.write('ifnet.mtu', at, 1500);
  k.write('ifnet.refs', at, 1);
  k.memory.setPtr(result, at);
  return 0;
}

function release(k: Macos, at: Address): number {
  const refs = number(k, at, 'refs') - 1;
  k.write('ifnet.refs', at, refs);
  if (refs <= 0 && !k.state(network).interfaces.has(at)) k.heap.free(at);
  return 0;
}

function attach(k: Macos, at: Address, link: Address): number {
  const { interfaces } = k.state(network);
  if (interfaces.has(at)) return ERRNO.EEXIST;
  if ([...interfaces].some((one) => interfaceName(k, one) === interfaceName(k, at))) return ERRNO.EEXIST;
  interfaces.add(at);
  k.write('ifnet.refs', at, number(k, at, 'refs') + 1);
  // sockaddr_dl: the address begins behind the name.
  if (link !== 0) {
    const from = link + 8 + k.memory.u8(link + 5);
    k.memory.copy(at + k.offset('ifnet.lladdr'), from, Math.min(ETHER_BYTES, k.memory.u8(link + 6)));
  }
  return 0;
}

/** The interface leaves the list now; the kext's own routine is told from a thread of the kernel's. */
function detach(k: Macos, at: Address): number {
  const state = k.state(network);
  if (!state.interfaces.delete(at)) return ERRNO.ENXIO;
  for (const key of state.protocols.keys()) if (key.startsWith(`${at} `)) state.protocols.delete(key);
  const told = routine(k, at, 'detach');
  k.scheduler.spawn(
    'ifnet_detach',
    (function* (): Steps<void> {
      if (told !== 0) yield* k.call(told, at);
      release(k, at);
    })(),
  );
  return 0;
}

export const interfaceName = (k: Macos, at: Address): string =>
  `${guestText(k, at + k.offset('ifnet.name'), 16)}${number(k, at, 'unit')}`;

export const interfaceNamed = (k: Macos, name: string): Address | undefined =>
  [...k.state(network).interfaces].find((one) => interfaceName(k, one) === name);

/** What an interface counts: ifnet_stats_param. */
const COUNTS = ['packets_in', 'bytes_in', 'packets_out', 'bytes_out', 'errors_in', 'errors_out'] as const;

export interface InterfaceFacts {
  readonly name: string;
  readonly flags: number;
  readonly mtu: number;
  readonly link: Uint8Array;
  readonly counts: Readonly<Record<(typeof COUNTS)[number], number>>;
}

export function describeInterface(k: Macos, at: Address): InterfaceFacts {
  const counts = Object.fromEntries(COUNTS.map((name) => [name, k.read(`ifnet.${name}`, at)]));
  return {
    name: interfaceName(k, at),
    flags: number(k, at, 'flags') & 0xffff,
    mtu: number(k, at, 'mtu'),
    link: k.memory.bytes(at + k.offset('ifnet.lladdr'), ETHER_BYTES).slice(),
    counts: counts as InterfaceFacts['counts'],
  };
}

/** IFF_UP, as SIOCSIFFLAGS sets it before the kext hears of it. */
export function setInterfaceUp(k: Macos, at: Address, up: boolean): void {
  k.write('ifnet.flags', at, up ? number(k, at, 'flags') | 1 : number(k, at, 'flags') & ~1);
}

/** ioctl(2) on an interface: what is not the kernel's own is the kext's. */
export function* controlInterface(k: Macos, at: Address, command: number, data: Address): Steps<number> {
  const own = routine(k, at, 'ioctl');
  return own === 0 ? ERRNO.ENOTTY : yield* k.callInt(own, at, command, data);
}

function count(k: Macos, at: Address, name: (typeof COUNTS)[number], by: number): void {
  k.write(`ifnet.${name}`, at, k.read(`ifnet.${name}`, at) + by);
}

/** Packets from the interface: the kext's demux says whose they are, and that protocol's input gets them. */
function* input(k: Macos, at: Address, first: Address): Steps<number> {
  let packet = first;
  for (let left = MOST; packet !== 0 && left > 0; left--) {
    const next = k.read('mbuf.nextpkt', packet);
    k.write('mbuf.nextpkt', packet, 0);
    count(k, at, 'packets_in', 1);
    count(k, at, 'bytes_in', k.read('mbuf.pktlen', packet));
    yield* deliver(k, at, packet);
    packet = next;
  }
  return 0;
}

function* deliver(k: Macos, at: Address, packet: Address): Steps<void> {
  const demux = routine(k, at, 'demux');
  const place = k.heap.allocate(16, 'ifnet');
  const header = k.read('mbuf.header', packet);
  const error = demux === 0 ? ERRNO.ENOENT : yield* k.callInt(demux, at, packet, header, place);
  const family = k.memory.u32(place);
  k.heap.free(place);
  const protocol = error === 0 ? k.state(network).protocols.get(`${at} ${family}`) : undefined;
  const taken = protocol === undefined ? 0 : k.read('ifnet_attach_proto_param.input', protocol);
  if (taken !== 0) yield* k.callInt(taken, at, family, packet, header);
  // EJUSTRETURN: the kext has taken it itself.
  else if (error !== -2) freePacket(k, packet);
}

const text = (k: Macos, at: Address): string => (at === 0 ? '' : guestText(k, at, 256));

function addFilter(k: Macos, filter: Filter, result: Address): number {
  const handle = k.heap.allocate(32, 'filter');
  k.state(network).filters.set(handle, filter);
  if (result !== 0) k.memory.setPtr(result, handle);
  return 0;
}

function* removeFilter(k: Macos, handle: Address): Steps<number> {
  const { filters } = k.state(network);
  const filter = filters.get(handle);
  if (filter === undefined) return ERRNO.ENOENT;
  filters.delete(handle);
  k.heap.free(handle);
  if (filter.detached !== 0) yield* k.call(filter.detached, filter.argument);
  return 0;
}

export const interfaces = kernelFunctions({
  'errno_t ifnet_allocate(struct ifnet_init_params *given, void **result)': allocate,
  'errno_t ifnet_reference(void *ifp)': (k, at) => {
    k.write('ifnet.refs', at, number(k, at, 'refs') + 1);
    return 0;
  },
  'errno_t ifnet_release(void *ifp)': release,
  'errno_t ifnet_attach(void *ifp, const void *link)': attach,
  'errno_t ifnet_detach(void *ifp)': detach,
  'const char *ifnet_name(void *ifp)': (k, at) => at + k.offset('ifnet.name'),
  'unsigned int ifnet_unit(void *ifp)': (k, at) => number(k, at, 'unit'),
  'unsigned int ifnet_family(void *ifp)': (k, at) => number(k, at, 'family'),
  'unsigned char ifnet_type(void *ifp)': (k, at) => number(k, at, 'type') & 0xff,
  'void *ifnet_softc(void *ifp)': (k, at) => k.read('ifnet.softc', at),
  'unsigned short ifnet_flags(void *ifp)': (k, at) => number(k, at, 'flags') & 0xffff,
  'errno_t ifnet_set_flags(void *ifp, unsigned short flags, unsigned short mask)': (k, at, flags, mask) => {
    k.write('ifnet.flags', at, (number(k, at, 'flags') & ~mask) | (flags & mask));
    return 0;
  },
  'unsigned int ifnet_mtu(void *ifp)': (k, at) => number(k, at, 'mtu'),
  'errno_t ifnet_set_mtu(void *ifp, unsigned int bytes)': (k, at, bytes) => {
    k.write('ifnet.mtu', at, bytes);
    return 0;
  },
  'unsigned char ifnet_hdrlen(void *ifp)': (k, at) => number(k, at, 'hdrlen') & 0xff,
  'errno_t ifnet_set_hdrlen(void *ifp, unsigned char bytes)': (k, at, bytes) => {
    k.write('ifnet.hdrlen', at, bytes & 0xff);
    return 0;
  },
  'unsigned long long ifnet_baudrate(void *ifp)': () => 0n,
  'errno_t ifnet_set_baudrate(void *ifp, uint64_t rate)': () => 0,
  'errno_t ifnet_set_addrlen(void *ifp, unsigned char bytes)': () => 0,
  'errno_t ifnet_set_eflags(void *ifp, unsigned int flags, unsigned int mask)': () => 0,
  'errno_t ifnet_set_offload(void *ifp, unsigned int offload)': () => 0,
  'errno_t ifnet_lladdr_copy_bytes(void *ifp, void *to, size_t bytes)': (k, at, to, bytes) => {
    if (bytes !== ETHER_BYTES) return ERRNO.EINVAL;
    k.memory.copy(to, at + k.offset('ifnet.lladdr'), bytes);
    return 0;
  },
  'errno_t ifnet_set_lladdr(void *ifp, const void *from, size_t bytes)': (k, at, from, bytes) => {
    if (bytes !== ETHER_BYTES) return ERRNO.EINVAL;
    k.memory.copy(at + k.offset('ifnet.lladdr'), from, bytes);
    return 0;
  },
  'errno_t ifnet_input(void *ifp, void *first, const void *counts)': input,
  'errno_t ifnet_stat_increment_in(void *ifp, unsigned int packets, unsigned int bytes, unsigned int errors)':
    (k, at, packets, bytes, errors) => {
      count(k, at, 'packets_in', packets);
      count(k, at, 'bytes_in', bytes);
      count(k, at, 'errors_in', errors);
      return 0;
    },
  'errno_t ifnet_stat_increment_out(void *ifp, unsigned int packets, unsigned int bytes, unsigned int errors)':
    (k, at, packets, bytes, errors) => {
      count(k, at, 'packets_out', packets);
      count(k, at, 'bytes_out', bytes);
      count(k, at, 'errors_out', errors);
      return 0;
    },
  // An interface of this machine has no address: nobody has configured one.
  'errno_t ifnet_get_address_list(void *ifp, void ***addresses)': (k, _at, result) => {
    k.memory.setPtr(result, k.heap.allocate(k.word, 'ifaddr'));
    return 0;
  },
  'void ifnet_free_address_list(void **addresses)': (k, at) => k.heap.free(at),
  'errno_t ifnet_find_by_name(const char *name, void **result)': (k, name, result) => {
    const found = interfaceNamed(k, text(k, name));
    if (found === undefined) return ERRNO.ENXIO;
    k.write('ifnet.refs', found, number(k, found, 'refs') + 1);
    k.memory.setPtr(result, found);
    return 0;
  },
  'errno_t ifnet_list_get(unsigned int family, void ***list, unsigned int *count)': (
    k,
    _family,
    list,
    result,
  ) => {
    const all = [...k.state(network).interfaces];
    const at = k.heap.allocate((all.length + 1) * k.word, 'ifnet');
    for (const [i, one] of all.entries()) k.memory.setPtr(at + i * k.word, one);
    k.memory.setPtr(list, at);
    k.memory.set32(result, all.length);
    return 0;
  },
  'void ifnet_list_free(void **list)': (k, at) => k.heap.free(at),
  // Nobody listens with bpf(4) here.
  'void bpfattach(void *ifp, unsigned int kind, unsigned int header)': () => undefined,
  'void bpf_tap_in(void *ifp, unsigned int kind, void *m, void *header, size_t bytes)': () => undefined,
  'void bpf_tap_out(void *ifp, unsigned int kind, void *m, void *header, size_t bytes)': () => undefined,
});

export const protocols = kernelFunctions({
  'errno_t ifnet_attach_protocol(void *ifp, unsigned int family, const void *routines)': (
    k,
    at,
    family,
    routines,
  ) => {
    const { protocols: all } = k.state(network);
    if (all.has(`${at} ${family}`)) return ERRNO.EEXIST;
    const copy = k.heap.allocate(k.sizeof('struct ifnet_attach_proto_param'), 'protocol');
    k.memory.copy(copy, routines, k.sizeof('struct ifnet_attach_proto_param'));
    all.set(`${at} ${family}`, copy);
    return 0;
  },
  'errno_t ifnet_detach_protocol(void *ifp, unsigned int family)': (k, at, family) => {
    const { protocols: all } = k.state(network);
    const copy = all.get(`${at} ${family}`);
    if (copy === undefined) return ERRNO.ENXIO;
    all.delete(`${at} ${family}`);
    k.heap.free(copy);
    return 0;
  },
  'errno_t proto_register_plumber(unsigned int family, unsigned int kind, void *plumb, void *unplumb)': (
    k,
    family,
    kind,
    plumb,
    unplumb,
  ) => {
    const { plumbers } = k.state(network);
    if (plumb === 0) return ERRNO.EINVAL;
    if (plumbers.has(`${family} ${kind}`)) return ERRNO.EEXIST;
    plumbers.set(`${family} ${kind}`, { plumb, unplumb });
    return 0;
  },
  'void proto_unregister_plumber(unsigned int family, unsigned int kind)': (k, family, kind) =>
    void k.state(network).plumbers.delete(`${family} ${kind}`),
  'errno_t proto_plumb(unsigned int family, void *ifp)': function* (k, family, at) {
    const plumber = k.state(network).plumbers.get(`${family} ${number(k, at, 'family')}`);
    return plumber === undefined ? ERRNO.ENXIO : yield* k.callInt(plumber.plumb, at, family);
  },
  'errno_t proto_unplumb(unsigned int family, void *ifp)': function* (k, family, at) {
    const plumber = k.state(network).plumbers.get(`${family} ${number(k, at, 'family')}`);
    if (plumber === undefined || plumber.unplumb === 0) return ERRNO.ENXIO;
    yield* k.call(plumber.unplumb, at, family);
    return 0;
  },
});

export const filters = kernelFunctions({
  'errno_t sflt_register(const struct sflt_filter *filter, int domain, int kind, int protocol)': (
    k,
    filter,
  ) => {
    const handle = k.read('sflt_filter.sf_handle', filter) >>> 0;
    const { filters: all } = k.state(network);
    if ([...all.values()].some((one) => one.kind === 'socket filter' && one.argument === handle))
      return ERRNO.EEXIST;
    return addFilter(
      k,
      {
        kind: 'socket filter',
        name: text(k, k.read('sflt_filter.sf_name', filter)),
        detached: k.read('sflt_filter.sf_unregistered', filter),
        argument: handle,
      },
      0,
    );
  },
  'errno_t sflt_unregister(unsigned int handle)': function* (k, handle) {
    for (const [at, one] of k.state(network).filters)
      if (one.kind === 'socket filter' && one.argument === handle >>> 0) return yield* removeFilter(k, at);
    return ERRNO.ENOENT;
  },
  'errno_t ipf_addv4(const struct ipf_filter *filter, void **handle)': (k, filter, handle) =>
    addFilter(k, ipFilter(k, filter), handle),
  'errno_t ipf_addv6(const struct ipf_filter *filter, void **handle)': (k, filter, handle) =>
    addFilter(k, ipFilter(k, filter), handle),
  'errno_t ipf_remove(void *handle)': removeFilter,
  'errno_t iflt_attach(void *ifp, const struct iff_filter *filter, void **handle)': (
    k,
    _ifp,
    filter,
    handle,
  ) =>
    addFilter(
      k,
      {
        kind: 'interface filter',
        name: text(k, k.read('iff_filter.iff_name', filter)),
        detached: 0,
        argument: k.read('iff_filter.iff_cookie', filter),
      },
      handle,
    ),
  'void iflt_detach(void *handle)': function* (k, handle) {
    yield* removeFilter(k, handle);
  },
});

const ipFilter = (k: Macos, filter: Address): Filter => ({
  kind: 'IP filter',
  name: text(k, k.read('ipf_filter.name', filter)),
  detached: k.read('ipf_filter.ipf_detach', filter),
  argument: k.read('ipf_filter.cookie', filter),
});
