/** Character devices: the switch table (bsd/kern/bsd_stubs.c) and nodes in /dev (bsd/miscfs/devfs). */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import { formatC } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import type { Macos } from '../macos.ts';
import { kernelFunctions } from './define.ts';

/** Entries of the table (nchrdev), and the first that a kext may get: those below belong to the kernel. */
const MAJORS = 43;
const FIRST_FREE = 20;

export interface DeviceNode {
  /** Below /dev. */
  readonly name: string;
  readonly device: number;
  readonly block: boolean;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  /** What devfs_make_node gave. */
  readonly handle: Address;
}

class Devices {
  /** `struct cdevsw cdevsw[]` in kernel memory. */
  readonly table: Address;
  readonly nodes = new Map<Address, DeviceNode>();

  constructor(k: Macos) {
    this.table = k.takeData(MAJORS * k.sizeof('struct cdevsw'));
  }

  find(name: string): DeviceNode | undefined {
    return [...this.nodes.values()].find((node) => node.name === name);
  }
}

export const devices = perKernel<Devices, Macos>((k) => new Devices(k));

export const majorOf = (device: number): number => (device >>> 24) & 0xff;
export const minorOf = (device: number): number => device & 0xffffff;

export function switchOf(k: Macos, major: number): Address {
  return k.state(devices).table + major * k.sizeof('struct cdevsw');
}

const isFree = (k: Macos, major: number): boolean =>
  k.memory.bytes(switchOf(k, major), k.sizeof('struct cdevsw')).every((byte) => byte === 0);

/** Major numbers of the switch table that kexts have taken. */
export function* switchesInUse(k: Macos): Generator<number> {
  for (let major = FIRST_FREE; major < MAJORS; major++) if (!isFree(k, major)) yield major;
}

/** A negative index asks for any, from its absolute value on; -1 for any at all. */
function findMajor(k: Macos, index: number): number {
  if (index >= 0) return index < MAJORS && index >= FIRST_FREE && isFree(k, index) ? index : -1;
  for (let major = Math.max(FIRST_FREE, index === -1 ? 0 : -index); major < MAJORS; major++) {
    if (isFree(k, major)) return major;
  }
  return -1;
}

function makeNode(
  k: Macos,
  device: number,
  kind: number,
  uid: number,
  gid: number,
  mode: number,
  format: Address,
  args: VarArgs,
): Address {
  const handle = k.heap.allocate(64, 'devfs');
  if (handle === 0) return 0;
  const name = formatC(k, format, args).text.replace(/^\/dev\//, '');
  k.state(devices).nodes.set(handle, {
    name,
    device,
    block: kind === 1,
    uid,
    gid,
    mode: mode & 0o7777,
    handle,
  });
  return handle;
}

export const deviceFunctions = kernelFunctions({
  'int cdevsw_isfree(int index)': findMajor,
  'int cdevsw_add(int index, struct cdevsw *table)': (k, index, table) => {
    const major = findMajor(k, index);
    if (major >= 0) k.memory.copy(switchOf(k, major), table, k.sizeof('struct cdevsw'));
    return major;
  },
  'int cdevsw_remove(int index, struct cdevsw *table)': (k, index, table) => {
    if (index < 0 || index >= MAJORS) return -1;
    const size = k.sizeof('struct cdevsw');
    const [ours, theirs] = [k.memory.bytes(switchOf(k, index), size), k.memory.bytes(table, size)];
    if (!ours.every((byte, i) => byte === theirs[i])) return -1;
    k.memory.fill(switchOf(k, index), size, 0);
    return index;
  },
  'void *devfs_make_node(dev_t device, int kind, uid_t uid, gid_t gid, int mode, const char *format, ...)':
    makeNode,
  'void *devfs_make_node_clone(dev_t device, int kind, uid_t uid, gid_t gid, int mode, void *clone, const char *format, ...)':
    (k, device, kind, uid, gid, mode, _clone, format, args) =>
      makeNode(k, device, kind, uid, gid, mode, format, args),
  'void devfs_remove(void *handle)': (k, handle) => {
    if (k.state(devices).nodes.delete(handle)) k.heap.free(handle);
  },
  // The kernel's own entries of the table for operations that a device has not.
  'int enodev(void)': () => 19,
  'int nulldev(void)': () => 0,
  'int eno_select(void)': () => 1,
  'int eno_strat(void)': () => 19,
});
