/** The kernel's own sysctl nodes that modules hang theirs below: made when a module first names one. */
import type { Address } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';
import { CTLFLAG, CTLTYPE, childrenOf, oidsIn, registerOid } from './sysctl.ts';

/** Numbers of the top nodes (sys/sysctl.h); others get the next free one. */
const TOP: Readonly<Record<string, number>> = {
  sysctl: 0,
  kern: 1,
  vm: 2,
  vfs: 3,
  net: 4,
  debug: 5,
  hw: 6,
  machdep: 7,
  user: 8,
  p1003_1b: 9,
};

/** Nodes of more than one step whose names have an underscore at a place where the symbol has one, too. */
const NODES = [
  ...[
    'kern.features',
    'kern.ipc',
    'kern.geom',
    'kern.cam',
    'kern.elf64',
    'kern.elf32',
    'kern.random',
    'kern.eventtimer',
  ],
  ...['kern.timecounter', 'kern.smp', 'kern.sched', 'kern.sgrowsiz', 'kern.msgbuf', 'kern.proc'],
  ...[
    'net.inet',
    'net.inet.ip',
    'net.inet.tcp',
    'net.inet.udp',
    'net.inet.icmp',
    'net.inet.accf',
    'net.inet.raw',
  ],
  ...[
    'net.inet.ip.fw',
    'net.inet.ip.alias',
    'net.inet.tcp.cc',
    'net.inet6',
    'net.inet6.ip6',
    'net.inet6.icmp6',
  ],
  ...[
    'net.link',
    'net.link.ether',
    'net.link.ether.inet',
    'net.link.generic',
    'net.graph',
    'net.wlan',
    'net.isr',
  ],
  ...['net.route', 'net.local', 'net.bpf', 'net.pfsync'],
  ...[
    'hw.usb',
    'hw.pci',
    'hw.ata',
    'hw.acpi',
    'hw.snd',
    'hw.midi',
    'hw.bus',
    'hw.busdma',
    'hw.drm',
    'hw.mca',
  ],
  ...['security.mac', 'security.bsd', 'security.jail', 'security.jail.param', 'security.audit'],
  ...['vfs.nfs', 'vfs.nfsd', 'vfs.generic', 'vfs.ffs', 'vfs.zfs', 'vfs.cache', 'vfs.pfs'],
  ...['debug.sizeof', 'debug.acpi', 'debug.mmc', 'debug.cpufreq', 'dev.netmap', 'vm.stats', 'vm.phys_segs'],
  ...['compat.linux', 'compat.ia32', 'compat.linux32', 'compat.svr4', 'compat.ndis', 'machdep.misc'],
];

/** The dotted name of a node by its symbol: `net_inet_ip` is net.inet.ip, and what no list knows is one step more. */
export function nodeName(symbol: string): string {
  const known = [...Object.keys(TOP), 'dev', 'security', 'compat', ...NODES]
    .filter((one) => symbol === one.replaceAll('.', '_') || symbol.startsWith(`${one.replaceAll('.', '_')}_`))
    .reduce((best, one) => (one.length > best.length ? one : best), '');
  if (known === '') return symbol;
  const rest = symbol.slice(known.length + 1);
  return rest === '' ? known : `${known}.${rest}`;
}

/** A symbol `sysctl__X_children` of releases before 11: the list below node X. */
export function fillNodeChildren(k: FreeBsd, at: Address, symbol: string): void {
  const name = nodeName(symbol.replace(/^sysctl__+/, '').replace(/_children$/, ''));
  const oid = k.data.reserve(k.sizeof('sysctl_oid'));
  fillOid(k, oid, name, at);
}

/** A symbol `sysctl___X` of later releases: the oid of node X itself, which holds the list. */
export function fillNode(k: FreeBsd, at: Address, symbol: string): void {
  fillOid(k, at, nodeName(symbol.replace(/^sysctl__+/, '')), 0);
}

function fillOid(k: FreeBsd, oid: Address, name: string, children: Address): void {
  const dot = name.lastIndexOf('.');
  const own = name.slice(dot + 1);
  k.write('sysctl_oid.oid_kind', oid, CTLTYPE.NODE | CTLFLAG.RD | CTLFLAG.WR);
  k.write('sysctl_oid.oid_number', oid, dot < 0 ? (TOP[own] ?? -1) : -1);
  k.write('sysctl_oid.oid_name', oid, k.heap.string(own));
  k.write('sysctl_oid.oid_fmt', oid, k.heap.string('N'));
  k.write('sysctl_oid.oid_refcnt', oid, 1);
  if (children !== 0) k.write('sysctl_oid.oid_arg1', oid, children);
  k.write('sysctl_oid.oid_parent', oid, parentList(k, dot < 0 ? '' : name.slice(0, dot)));
  registerOid(k, oid);
}

/** The list below a node of the kernel. */
function parentList(k: FreeBsd, name: string): Address {
  if (name === '') return rootList(k);
  const joined = name.replaceAll('.', '_');
  if (!k.types.has('sysctl_oid.oid_children')) return k.kernelSymbol(`sysctl__${joined}_children`) ?? 0;
  const oid = k.kernelSymbol(`sysctl___${joined}`);
  return oid === undefined ? 0 : childrenOf(k, oid);
}

/** sysctl__children: the list of the top nodes. */
export function rootList(k: FreeBsd): Address {
  return k.kernelSymbol('sysctl__children') ?? 0;
}

/** The oid of a dotted name; undefined when there is none. */
export function findOid(k: FreeBsd, name: string): Address | undefined {
  let list = rootList(k);
  let oid: Address | undefined;
  for (const part of name.split('.')) {
    oid = oidsIn(k, list).find((one) => k.readString('sysctl_oid.oid_name', one) === part);
    if (oid === undefined) return undefined;
    list = childrenOf(k, oid);
  }
  return oid;
}
