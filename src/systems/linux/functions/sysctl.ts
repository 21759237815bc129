/** Sysctl tables of modules: files below /proc/sys whose handlers read and write variables (kernel/sysctl.c, fs/proc/proc_sysctl.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { namespace } from '../vfs/namespace.ts';
import { type FileMethods, makePath, type Node, regular } from '../vfs/node.ts';
import { kernelFunctions } from './define.ts';

/** The files of each registered table, by header. */
const registered = perKernel(() => new Map<Address, Node[]>());

/** A table without an end is no table. */
const MAX_ENTRIES = 10_000;

const INT_MIN = -(2 ** 31);
const INT_MAX = 2 ** 31 - 1;

/** proc_sys_call_handler: the table's handler works on a kernel buffer. */
function methods(entry: Address): FileMethods {
  function* call(
    k: Linux,
    buffer: Address,
    count: number,
    position: Address,
    writing: boolean,
  ): Steps<number> {
    const handler = k.read('ctl_table.proc_handler', entry);
    if (handler === 0) return -Errno.EINVAL;
    const page = k.heap.allocateZeroed(Math.max(16, count + 1));
    const length = k.heap.allocateZeroed(16);
    if (writing) k.memory.copy(page, buffer, count);
    k.memory.setPtr(length, count);
    const error = yield* k.callInt(handler, entry, writing ? 1 : 0, page, length, position);
    const done = k.memory.ptr(length);
    if (error === 0 && !writing) k.memory.copy(buffer, page, Math.min(done, count));
    k.heap.free(length);
    k.heap.free(page);
    return error !== 0 ? error : done;
  }
  return {
    read: (k, _file, buffer, count, position) => call(k, buffer, count, position, false),
    write: (k, _file, buffer, count, position) => call(k, buffer, count, position, true),
  };
}

/**
 * Registers one flat table below /proc/sys/PATH: its header, or 0 when a name is taken. Later kernels are told how many
 * entries it has (`count`), earlier ones look for the entry without a name.
 */
export function registerTable(k: Linux, path: string, table: Address, count = MAX_ENTRIES): Address {
  const directory = makePath(k.state(namespace).proc, `sys/${path}`);
  const nodes: Node[] = [];
  const size = k.sizeof('ctl_table');
  for (let i = 0; i < count; i++) {
    const entry = table + i * size;
    if (k.read('ctl_table.procname', entry) === 0) break;
    const name = k.readString('ctl_table.procname', entry);
    if (directory.child(name) !== undefined) {
      k.printk(3, `sysctl duplicate entry: /${path}/${name}`);
      for (const node of nodes) directory.remove(node.name);
      return 0;
    }
    nodes.push(directory.add(regular(name, k.read('ctl_table.mode', entry), methods(entry))));
  }
  const header = k.heap.allocateZeroed(k.sizeof('ctl_table_header'));
  k.write('ctl_table_header.ctl_table_arg', header, table);
  k.state(registered).set(header, nodes);
  return header;
}

/** Takes a table back, with the directories that only it needed. */
export function unregisterTable(k: Linux, header: Address): void {
  const nodes = k.state(registered).get(header);
  if (nodes === undefined) return;
  k.state(registered).delete(header);
  for (const node of nodes) {
    let above = node.parent;
    above?.remove(node.name);
    // Directories that only this table needed go with it.
    while (above !== undefined && above.children.size === 0 && above.path.startsWith('/proc/sys/')) {
      const { name, parent } = above;
      parent?.remove(name);
      above = parent;
    }
  }
  k.heap.free(header);
}

/** Ints separated by blanks; each in [least, most]. */
function readInts(text: string): number[] | undefined {
  const words = text
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '');
  const values = words.map((word) =>
    /^-?(0x[0-9a-f]+|\d+)$/i.test(word)
      ? Number(word.replace('-', '')) * (word.startsWith('-') ? -1 : 1)
      : Number.NaN,
  );
  return values.some((value) => Number.isNaN(value) || value < INT_MIN || value > INT_MAX)
    ? undefined
    : values;
}

function bound(k: Linux, entry: Address, which: 'extra1' | 'extra2', otherwise: number): number {
  const at = k.read(`ctl_table.${which}`, entry);
  return at === 0 ? otherwise : k.memory.i32(at);
}

function finishRead(k: Linux, text: string, buffer: Address, length: Address, position: Address): number {
  const from = k.memory.ptr(position);
  const bytes = new TextEncoder().encode(text).subarray(from, from + k.memory.ptr(length));
  k.memory.write(buffer, bytes);
  k.memory.setPtr(length, bytes.length);
  k.memory.setPtr(position, from + bytes.length);
  return 0;
}

/** proc_dointvec with optional limits: an int, or an array of them. */
function integers(
  k: Linux,
  entry: Address,
  write: number,
  buffer: Address,
  length: Address,
  position: Address,
  limited: boolean,
): number {
  const data = k.read('ctl_table.data', entry);
  const room = Math.floor(k.read('ctl_table.maxlen', entry) / 4);
  const count = k.memory.ptr(length);
  if (data === 0 || room === 0 || count === 0 || (k.memory.ptr(position) !== 0 && write === 0)) {
    k.memory.setPtr(length, 0);
    return 0;
  }
  if (write === 0) {
    const values = Array.from({ length: room }, (_, i) => k.memory.i32(data + i * 4));
    return finishRead(k, `${values.join('\t')}\n`, buffer, length, position);
  }
  const values = readInts(new TextDecoder().decode(k.memory.bytes(buffer, count)));
  if (values === undefined || values.length === 0) return -Errno.EINVAL;
  const [least, most] = limited
    ? [bound(k, entry, 'extra1', INT_MIN), bound(k, entry, 'extra2', INT_MAX)]
    : [INT_MIN, INT_MAX];
  for (const [i, value] of values.slice(0, room).entries()) {
    if (value < least || value > most) return -Errno.EINVAL;
    k.memory.set32(data + i * 4, value);
  }
  k.memory.setPtr(position, k.memory.ptr(position) + count);
  return 0;
}

/** proc_dostring: one line, cut to the variable's size. */
function string(
  k: Linux,
  entry: Address,
  write: number,
  buffer: Address,
  length: Address,
  position: Address,
): number {
  const data = k.read('ctl_table.data', entry);
  const room = k.read('ctl_table.maxlen', entry);
  const count = k.memory.ptr(length);
  if (data === 0 || room === 0 || count === 0) {
    k.memory.setPtr(length, 0);
    return 0;
  }
  if (write === 0) return finishRead(k, `${k.memory.cstring(data, room)}\n`, buffer, length, position);
  const given = new TextDecoder('latin1').decode(k.memory.bytes(buffer, count)).split(/[\n\0]/)[0];
  const bytes = Uint8Array.from(given.slice(0, room - 1), (letter) => letter.charCodeAt(0));
  k.memory.write(data, bytes);
  k.memory.set8(data + bytes.length, 0);
  k.memory.setPtr(position, k.memory.ptr(position) + count);
  return 0;
}

/** What `extra1` and `extra2` of modules' tables point to (kernel/sysctl.c). */
export const sysctlData: readonly DataInitialiser[] = [
  {
    symbol: 'sysctl_vals',
    when: 'import',
    fill: (k, at) => {
      const values = [0, 1, 2, 3, 4, 100, 200, 1000, 3000, INT_MAX, 65535, -1];
      k.memory.poke(at, new Uint8Array(Int32Array.from(values).buffer));
    },
  },
  {
    symbol: 'sysctl_long_vals',
    when: 'import',
    fill: (k, at) => {
      const longest = 2n ** BigInt(8 * k.word - 1) - 1n;
      const values = BigInt64Array.from([0n, 1n, longest]);
      const longs = k.word === 8 ? values : Int32Array.from(values, Number);
      k.memory.poke(at, new Uint8Array(longs.buffer));
    },
  },
];

export const sysctlFunctions = kernelFunctions({
  'struct ctl_table_header *register_sysctl(const char *path, struct ctl_table *table)': (k, path, table) =>
    registerTable(k, k.memory.cstring(path), table),
  'struct ctl_table_header *register_sysctl_sz(const char *path, struct ctl_table *table, size_t table_size)':
    (k, path, table, count) => registerTable(k, k.memory.cstring(path), table, count),
  // An empty directory for others to mount on.
  'struct ctl_table_header *register_sysctl_mount_point(const char *path)': (k, path) =>
    registerTable(k, k.memory.cstring(path), 0, 0),
  'int proc_dointvec(struct ctl_table *table, int write, void *buffer, size_t *lenp, loff_t *ppos)': (
    k,
    entry,
    write,
    buffer,
    length,
    position,
  ) => integers(k, entry, write, buffer, length, position, false),
  'int proc_dointvec_minmax(struct ctl_table *table, int write, void *buffer, size_t *lenp, loff_t *ppos)': (
    k,
    entry,
    write,
    buffer,
    length,
    position,
  ) => integers(k, entry, write, buffer, length, position, true),
  'int proc_dostring(struct ctl_table *table, int write, void *buffer, size_t *lenp, loff_t *ppos)': string,
});
