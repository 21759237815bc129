/**
 * The sysctl tree (sys/kern/kern_sysctl.c): oids hang in lists below their parents, in guest memory; from 14 on in a
 * binary tree by number. A module's own oids come and go with its file.
 */
import type { Address } from '../../memory/space.ts';
import type { FreeBsd } from './freebsd.ts';
import type { KldModule } from './kld.ts';
import { majorOf } from './version.ts';

export const CTLTYPE = {
  MASK: 0xf,
  NODE: 1,
  INT: 2,
  STRING: 3,
  S64: 4,
  OPAQUE: 5,
  UINT: 6,
  LONG: 7,
  ULONG: 8,
  U64: 9,
  U8: 0xa,
  U16: 0xb,
  S8: 0xc,
  S16: 0xd,
  S32: 0xe,
  U32: 0xf,
} as const;
export const CTLFLAG = {
  RD: 0x80000000,
  WR: 0x40000000,
  DORMANT: 0x20000000,
  ANYBODY: 0x10000000,
  SECURE: 0x08000000,
  DYN: 0x02000000,
  SKIP: 0x01000000,
  TUN: 0x00080000,
} as const;
const OID_AUTO = -1;
/** CTL_AUTO_START */
const AUTO_START = 0x100;
/** More oids than any kernel has under one node. */
const MAX_SIBLINGS = 10_000;
const MAX_DEPTH = 24;

/** Where a node keeps its children's list: in the node from 11 on, elsewhere and pointed to before. */
export function childrenOf(k: FreeBsd, oid: Address): Address {
  if (k.types.has('sysctl_oid.oid_children')) return oid + k.offset('sysctl_oid.oid_children');
  return k.read('sysctl_oid.oid_arg1', oid);
}

const isTree = (k: FreeBsd): boolean => k.types.has('sysctl_oid.oid_rb');

/** The oids of a list, by number. */
export function oidsIn(k: FreeBsd, list: Address): Address[] {
  if (list === 0) return [];
  const found: Address[] = [];
  if (isTree(k)) {
    walkTree(k, k.memory.ptr(list), found, 0);
    return found;
  }
  for (
    let at = k.memory.ptr(list);
    at !== 0 && found.length < MAX_SIBLINGS;
    at = k.read('sysctl_oid.oid_link', at)
  ) {
    found.push(at);
  }
  return found;
}

function walkTree(k: FreeBsd, at: Address, found: Address[], depth: number): void {
  if (at === 0 || found.length >= MAX_SIBLINGS || depth > MAX_SIBLINGS) return;
  const link = at + k.offset('sysctl_oid.oid_link');
  walkTree(k, k.memory.ptr(link), found, depth + 1);
  found.push(at);
  walkTree(k, k.memory.ptr(link + k.word), found, depth + 1);
}

export const oidName = (k: FreeBsd, oid: Address): string => k.readString('sysctl_oid.oid_name', oid);
export const oidKind = (k: FreeBsd, oid: Address): number => k.read('sysctl_oid.oid_kind', oid);
const oidNumber = (k: FreeBsd, oid: Address): number => k.read('sysctl_oid.oid_number', oid);

export function isNode(k: FreeBsd, oid: Address): boolean {
  return (oidKind(k, oid) & CTLTYPE.MASK) === CTLTYPE.NODE;
}

/** sysctl_register_oid */
export function registerOid(k: FreeBsd, oid: Address): void {
  const list = k.read('sysctl_oid.oid_parent', oid);
  const siblings = oidsIn(k, list);
  const name = oidName(k, oid);
  const same = siblings.find((one) => oidName(k, one) === name);
  if (same !== undefined) {
    if (isNode(k, same)) k.write('sysctl_oid.oid_refcnt', same, k.read('sysctl_oid.oid_refcnt', same) + 1);
    else k.printf(`can't re-use a leaf (${name})!\n`);
    return;
  }
  if (oidNumber(k, oid) === OID_AUTO) {
    const highest = siblings.reduce((most, one) => Math.max(most, oidNumber(k, one)), AUTO_START - 1);
    k.write('sysctl_oid.oid_number', oid, highest + 1);
  }
  insert(k, list, siblings, oid);
}

function insert(k: FreeBsd, list: Address, siblings: readonly Address[], oid: Address): void {
  if (isTree(k)) {
    insertInTree(k, list, oid);
    return;
  }
  const before = siblings.findLast((one) => oidNumber(k, one) < oidNumber(k, oid));
  const next = before === undefined ? k.memory.ptr(list) : k.read('sysctl_oid.oid_link', before);
  k.write('sysctl_oid.oid_link', oid, next);
  if (before === undefined) k.memory.setPtr(list, oid);
  else k.write('sysctl_oid.oid_link', before, oid);
}

/** A binary tree without balancing: only the kernel's own functions, which are ours, walk it. */
function insertInTree(k: FreeBsd, list: Address, oid: Address): void {
  const offset = k.offset('sysctl_oid.oid_link');
  let slot = list;
  let parent = 0;
  for (let at = k.memory.ptr(slot); at !== 0; at = k.memory.ptr(slot)) {
    parent = at;
    slot = at + offset + (oidNumber(k, oid) < oidNumber(k, at) ? 0 : k.word);
  }
  k.memory.setPtr(oid + offset, 0);
  k.memory.setPtr(oid + offset + k.word, 0);
  k.memory.setPtr(oid + offset + 2 * k.word, parent);
  k.memory.setPtr(slot, oid);
}

/** sysctl_unregister_oid; false when it is not in its parent's list. */
export function unregisterOid(k: FreeBsd, oid: Address): boolean {
  const list = k.read('sysctl_oid.oid_parent', oid);
  const siblings = oidsIn(k, list);
  if (!siblings.includes(oid)) return false;
  if (isTree(k)) {
    const rest = siblings.filter((one) => one !== oid);
    k.memory.setPtr(list, 0);
    for (const one of rest) insertInTree(k, list, one);
    return true;
  }
  const before = siblings[siblings.indexOf(oid) - 1];
  const next = k.read('sysctl_oid.oid_link', oid);
  if (before === undefined) k.memory.setPtr(list, next);
  else k.write('sysctl_oid.oid_link', before, next);
  return true;
}

function oidsOf(k: FreeBsd, module: KldModule): Address[] {
  const set = module.section('set_sysctl_set');
  if (set === undefined) return [];
  return Array.from({ length: Math.floor(set.size / k.word) }, (_, i) =>
    k.memory.ptr(set.address + i * k.word),
  );
}

/** linker_file_register_sysctls: dormant while the SYSINITs run (from 12 on), then enabled. */
export function registerOids(k: FreeBsd, module: KldModule, enable: boolean): void {
  for (const oid of oidsOf(k, module)) {
    if (enable) {
      k.write('sysctl_oid.oid_kind', oid, oidKind(k, oid) & ~CTLFLAG.DORMANT);
      continue;
    }
    if (majorOf(k.version) >= 12) k.write('sysctl_oid.oid_kind', oid, oidKind(k, oid) | CTLFLAG.DORMANT);
    registerOid(k, oid);
  }
}

export function unregisterOids(k: FreeBsd, module: KldModule): void {
  for (const oid of oidsOf(k, module).reverse()) unregisterOid(k, oid);
}

/** Every oid below a list with its dotted name, nodes included, in the order of their numbers. */
export function* walkOids(
  k: FreeBsd,
  list: Address,
  prefix = '',
  depth = 0,
): Generator<{ name: string; oid: Address }> {
  if (depth > MAX_DEPTH) return;
  for (const oid of oidsIn(k, list)) {
    if ((oidKind(k, oid) & CTLFLAG.DORMANT) !== 0) continue;
    const name = prefix === '' ? oidName(k, oid) : `${prefix}.${oidName(k, oid)}`;
    yield { name, oid };
    if (isNode(k, oid) && k.read('sysctl_oid.oid_handler', oid) === 0)
      yield* walkOids(k, childrenOf(k, oid), name, depth + 1);
  }
}
