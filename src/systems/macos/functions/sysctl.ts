/** The tree of sysctls (bsd/kern/kern_newsysctl.c): linked lists of oids in memory, the kexts' own among them. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import { type Address, GuestFault } from '../../../memory/space.ts';
import { ERRNO } from '../errno.ts';
import type { DataSymbol, Macos } from '../macos.ts';
import { BOUND } from '../text.ts';
import { userBuffers } from '../user.ts';
import { kernelFunctions } from './define.ts';

export const CTLTYPE = { NODE: 1, INT: 2, STRING: 3, QUAD: 4, OPAQUE: 5 } as const;
const TYPE_MASK = 0xf;
const CTLFLAG_WR = 0x40000000;
const CTLFLAG_RD = 0x80000000;
const OID_AUTO = -1;
/** Numbers from here on are given out by the kernel. */
const AUTO_START = 100;
/** A value of this size is longer than any sysctl shown by the command. */
const VALUE_BYTES = 65536;

/** Nodes at the top whose lists the kernel exports. */
const TOP = ['kern', 'vm', 'vfs', 'net', 'debug', 'hw', 'machdep', 'user'] as const;
const NAMED: Readonly<Record<string, string>> = { net_inet: 'net.inet', vfs_generic: 'vfs.generic' };

export const sysctlData: readonly DataSymbol[] = [
  { name: '_sysctl__children', bytes: 8 },
  ...[...TOP, ...Object.keys(NAMED)].map((name) => ({ name: `_sysctl__${name}_children`, bytes: 8 })),
];

export interface SysctlEntry {
  readonly name: string;
  readonly oid: Address;
  readonly kind: number;
}

/** Puts the kernel's own nodes in place once; a kext's oids hang below them. */
const root = perKernel<Address, Macos>((k) => {
  const top = k.object('_sysctl__children');
  for (const name of TOP) addNode(k, top, name, k.object(`_sysctl__${name}_children`));
  for (const [symbol, path] of Object.entries(NAMED)) {
    const [parent, name] = path.split('.');
    addNode(k, k.object(`_sysctl__${parent}_children`), name, k.object(`_sysctl__${symbol}_children`));
  }
  for (const [path, value] of Object.entries(ownValues(k))) {
    const [parent, name] = path.split('.');
    addValue(k, k.object(`_sysctl__${parent}_children`), name, value);
  }
  return top;
});

/** What the kernel itself says under well-known names (bsd/kern/kern_sysctl.c, kern_mib.c). */
const ownValues = (k: Macos): Readonly<Record<string, string | number>> => ({
  'kern.ostype': 'Darwin',
  'kern.osrelease': k.release.darwin,
  'kern.osproductversion': k.release.product.replace(/^.* /, ''),
  'kern.version': `Darwin Kernel Version ${k.release.darwin}`,
  'kern.hostname': 'lkm.local',
  'kern.bootargs': k.bootArgs,
  'hw.machine': k.architecture,
  'hw.model': 'LKM1,1',
  'hw.ncpu': 1,
  'hw.physicalcpu': 1,
  'hw.logicalcpu': 1,
  'hw.pagesize': 4096,
});

function addValue(k: Macos, parent: Address, name: string, value: string | number): void {
  const oid = k.takeData(k.sizeof('struct sysctl_oid'));
  const text = typeof value === 'string';
  k.poke('sysctl_oid.oid_parent', oid, parent);
  k.poke('sysctl_oid.oid_number', oid, OID_AUTO);
  k.poke('sysctl_oid.oid_kind', oid, (text ? CTLTYPE.STRING : CTLTYPE.INT) | CTLFLAG_RD);
  k.poke('sysctl_oid.oid_name', oid, k.constantText(name));
  if (text) k.poke('sysctl_oid.oid_arg1', oid, k.constantText(value));
  else k.poke('sysctl_oid.oid_arg2', oid, value);
  k.poke('sysctl_oid.oid_handler', oid, k.link(text ? '_sysctl_handle_string' : '_sysctl_handle_int'));
  k.poke('sysctl_oid.oid_fmt', oid, k.constantText(text ? 'A' : 'I'));
  register(k, oid);
}

function addNode(k: Macos, parent: Address, name: string, children: Address): void {
  const oid = k.takeData(k.sizeof('struct sysctl_oid'));
  const text = k.takeData(name.length + 1);
  k.memory.poke(text, new TextEncoder().encode(name));
  k.poke('sysctl_oid.oid_parent', oid, parent);
  k.poke('sysctl_oid.oid_number', oid, OID_AUTO);
  k.poke('sysctl_oid.oid_kind', oid, CTLTYPE.NODE | CTLFLAG_RD | CTLFLAG_WR);
  k.poke('sysctl_oid.oid_arg1', oid, children);
  k.poke('sysctl_oid.oid_name', oid, text);
  register(k, oid);
}

/** Oids in a list, in its order. */
function* listed(k: Macos, list: Address): Generator<Address> {
  let oid = k.memory.ptr(list);
  for (let left = BOUND; oid !== 0 && left > 0; left--) {
    yield oid;
    oid = k.read('sysctl_oid.oid_link', oid);
  }
}

function register(k: Macos, oid: Address): void {
  const list = k.read('sysctl_oid.oid_parent', oid);
  if (k.read('sysctl_oid.oid_number', oid) === OID_AUTO) {
    const used = [...listed(k, list)].map((other) => k.read('sysctl_oid.oid_number', other));
    k.write('sysctl_oid.oid_number', oid, Math.max(AUTO_START - 1, ...used) + 1);
  }
  const number = k.read('sysctl_oid.oid_number', oid);
  let before: Address | undefined;
  for (const other of listed(k, list)) {
    if (k.read('sysctl_oid.oid_number', other) > number) break;
    before = other;
  }
  if (before === undefined) {
    k.write('sysctl_oid.oid_link', oid, k.memory.ptr(list));
    k.memory.setPtr(list, oid);
  } else {
    k.write('sysctl_oid.oid_link', oid, k.read('sysctl_oid.oid_link', before));
    k.write('sysctl_oid.oid_link', before, oid);
  }
}

function unregister(k: Macos, oid: Address): void {
  const list = k.read('sysctl_oid.oid_parent', oid);
  const next = k.read('sysctl_oid.oid_link', oid);
  if (k.memory.ptr(list) === oid) {
    k.memory.setPtr(list, next);
    return;
  }
  for (const other of listed(k, list)) {
    if (k.read('sysctl_oid.oid_link', other) !== oid) continue;
    k.write('sysctl_oid.oid_link', other, next);
    return;
  }
}

/** Every oid with its dotted name. */
export function* sysctls(k: Macos, list = k.state(root), prefix = ''): Generator<SysctlEntry> {
  for (const oid of listed(k, list)) {
    const name = prefix + guestText(k, k.read('sysctl_oid.oid_name', oid), 256);
    const kind = k.read('sysctl_oid.oid_kind', oid);
    if ((kind & TYPE_MASK) !== CTLTYPE.NODE) yield { name, oid, kind };
    else if (k.read('sysctl_oid.oid_handler', oid) === 0 && prefix.length < 256) {
      yield* sysctls(k, k.read('sysctl_oid.oid_arg1', oid), `${name}.`);
    }
  }
}

/** Every oid, for the report of what a kext left; lists end where the memory of an oid has gone with its kext. */
export function* standingSysctls(k: Macos, list = k.state(root), prefix = ''): Generator<StandingThing> {
  let oid = k.memory.ptr(list);
  for (let left = BOUND; oid !== 0 && left > 0; left--) {
    const there = k.memory.peek(oid, 1).length > 0;
    const name = there ? prefix + guestText(k, k.read('sysctl_oid.oid_name', oid), 256) : `${prefix}?`;
    yield { what: 'sysctl', key: oid, name };
    if (!there) return;
    const isNode = (k.read('sysctl_oid.oid_kind', oid) & TYPE_MASK) === CTLTYPE.NODE;
    if (isNode && k.read('sysctl_oid.oid_handler', oid) === 0 && prefix.length < 256)
      yield* standingSysctls(k, k.read('sysctl_oid.oid_arg1', oid), `${name}.`);
    oid = k.read('sysctl_oid.oid_link', oid);
  }
}

export interface SysctlResult {
  readonly error: number;
  readonly value: Uint8Array;
}

/** Asks an oid's handler for its value and hands it a new one, as sysctl(3) does. */
export function* runSysctl(k: Macos, { oid, kind }: SysctlEntry, value?: Uint8Array): Steps<SysctlResult> {
  const empty = { value: new Uint8Array() };
  if (value !== undefined && (kind & CTLFLAG_WR) === 0) return { error: ERRNO.EPERM, ...empty };
  if (value !== undefined && k.process.uid !== 0) return { error: ERRNO.EPERM, ...empty };
  const handler = k.read('sysctl_oid.oid_handler', oid);
  if (handler === 0) return { error: ERRNO.EINVAL, ...empty };
  return yield* k.state(userBuffers).with(VALUE_BYTES * 2, function* (buffer) {
    const request = k.heap.allocate(k.sizeof('struct sysctl_req'), 'sysctl');
    try {
      k.write('sysctl_req.p', request, 0);
      k.write('sysctl_req.oldptr', request, buffer);
      k.write('sysctl_req.oldlen', request, VALUE_BYTES);
      k.write('sysctl_req.oldfunc', request, k.link('_lkm_sysctl_out'));
      k.write('sysctl_req.newfunc', request, k.link('_lkm_sysctl_in'));
      if (value !== undefined) {
        k.memory.write(buffer + VALUE_BYTES, value);
        k.write('sysctl_req.newptr', request, buffer + VALUE_BYTES);
        k.write('sysctl_req.newlen', request, value.length);
      }
      const arg1 = k.read('sysctl_oid.oid_arg1', oid);
      const error = yield* k.callInt(handler, oid, arg1, k.read('sysctl_oid.oid_arg2', oid), request);
      const bytes = k.read('sysctl_req.oldidx', request);
      return { error, value: k.memory.bytes(buffer, Math.min(bytes, VALUE_BYTES)).slice() };
    } finally {
      k.heap.free(request);
    }
  });
}

/** SYSCTL_OUT: appends to what the caller gets; ENOMEM when it does not fit. */
function out(k: Macos, request: Address, from: Address, bytes: number): number {
  const at = k.read('sysctl_req.oldidx', request);
  const buffer = k.read('sysctl_req.oldptr', request);
  const room = k.read('sysctl_req.oldlen', request) - at;
  k.write('sysctl_req.oldidx', request, at + bytes);
  if (buffer === 0) return 0;
  return transfer(k, buffer + at, from, Math.min(bytes, room)) || (bytes > room ? ERRNO.ENOMEM : 0);
}

/** SYSCTL_IN: takes the next bytes of the new value. */
function take(k: Macos, request: Address, to: Address, bytes: number): number {
  const buffer = k.read('sysctl_req.newptr', request);
  if (buffer === 0) return 0;
  const at = k.read('sysctl_req.newidx', request);
  if (k.read('sysctl_req.newlen', request) - at < bytes) return ERRNO.EINVAL;
  k.write('sysctl_req.newidx', request, at + bytes);
  return transfer(k, to, buffer + at, bytes);
}

function transfer(k: Macos, to: Address, from: Address, bytes: number): number {
  try {
    k.memory.copy(to, from, bytes);
    return 0;
  } catch (error) {
    if (error instanceof GuestFault) return ERRNO.EFAULT;
    throw error;
  }
}

/** A number of `bytes` at arg1, or the constant arg2 when there is none, which cannot be set. */
function number(k: Macos, arg1: Address, arg2: number, request: Address, bytes: number): number {
  const isNew = k.read('sysctl_req.newptr', request) !== 0;
  if (arg1 !== 0) return out(k, request, arg1, bytes) || (isNew ? take(k, request, arg1, bytes) : 0);
  const scratch = k.heap.allocate(16, 'sysctl');
  k.memory.setPtr(scratch, arg2);
  const error = out(k, request, scratch, bytes);
  k.heap.free(scratch);
  return error || (isNew ? ERRNO.EPERM : 0);
}

function string(k: Macos, arg1: Address, arg2: number, request: Address): number {
  const text = guestText(k, arg1, VALUE_BYTES);
  const error = out(k, request, arg1, text.length + 1);
  if (error !== 0 || k.read('sysctl_req.newptr', request) === 0) return error;
  const length = k.read('sysctl_req.newlen', request);
  if (arg2 === 0) return ERRNO.EPERM;
  if (length >= arg2) return ERRNO.EINVAL;
  const failed = take(k, request, arg1, length);
  if (failed === 0) k.memory.set8(arg1 + length, 0);
  return failed;
}

/** A kext asks as a program would; the buffers are the kernel's own. */
function* byName(
  k: Macos,
  name: Address,
  old: Address,
  room: Address,
  value: Address,
  bytes: number,
): Steps<number> {
  const wanted = guestText(k, name, 256);
  const entry = [...sysctls(k)].find((one) => one.name === wanted);
  if (entry === undefined) return ERRNO.ENOENT;
  const given = value === 0 ? undefined : k.memory.bytes(value, bytes).slice();
  const result = yield* runSysctl(k, entry, given);
  if (result.error !== 0 || room === 0) return result.error;
  const space = old === 0 ? result.value.length : k.memory.ptr(room);
  k.memory.setPtr(room, Math.min(space, result.value.length));
  if (old === 0) return 0;
  if (result.value.length > space) return ERRNO.ENOMEM;
  if (result.value.length > 0) k.memory.write(old, result.value);
  return 0;
}

export const sysctlFunctions = kernelFunctions({
  'int sysctlbyname(const char *name, void *old, size_t *room, void *value, size_t bytes)': byName,
  'void sysctl_register_oid(struct sysctl_oid *oid)': (k, oid) => {
    k.state(root);
    register(k, oid);
  },
  'void sysctl_unregister_oid(struct sysctl_oid *oid)': unregister,
  'int sysctl_handle_int(struct sysctl_oid *oid, void *arg1, int arg2, struct sysctl_req *req)': (
    k,
    _oid,
    arg1,
    arg2,
    req,
  ) => number(k, arg1, arg2, req, 4),
  'int sysctl_handle_long(struct sysctl_oid *oid, void *arg1, int arg2, struct sysctl_req *req)': (
    k,
    _oid,
    arg1,
    arg2,
    req,
  ) => number(k, arg1, arg2, req, k.word),
  'int sysctl_handle_quad(struct sysctl_oid *oid, void *arg1, int arg2, struct sysctl_req *req)': (
    k,
    _oid,
    arg1,
    arg2,
    req,
  ) => number(k, arg1, arg2, req, 8),
  'int sysctl_handle_string(struct sysctl_oid *oid, void *arg1, int arg2, struct sysctl_req *req)': (
    k,
    _oid,
    arg1,
    arg2,
    req,
  ) => string(k, arg1, arg2, req),
  'int sysctl_handle_opaque(struct sysctl_oid *oid, void *arg1, int arg2, struct sysctl_req *req)': (
    k,
    _oid,
    arg1,
    arg2,
    req,
  ) => out(k, req, arg1, arg2) || (k.read('sysctl_req.newptr', req) === 0 ? 0 : take(k, req, arg1, arg2)),
  // What a request's own function pointers lead to; the kernel exports no names for them.
  'int lkm_sysctl_out(struct sysctl_req *req, const void *from, size_t bytes)': out,
  'int lkm_sysctl_in(struct sysctl_req *req, void *to, size_t bytes)': take,
});
