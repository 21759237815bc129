/**
 * What modules ask about the machine: processor tables, DMI (this machine has none), trees of I/O and memory ranges,
 * scheduling classes.
 */
import type { Address } from '../../../memory/space.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { callerOf } from './caller.ts';
import { kernelFunctions } from './define.ts';

// -- processors ---------------------------------------------------------------------------------------------------

/** X86_*_ANY of a table entry (include/linux/mod_devicetable.h). */
const ANY = { VENDOR: 0xffff, FAMILY: 0, MODEL: 0, STEPPING: 0, FEATURE: 0 } as const;
const ENTRY_VALID = 1;
/** A longer table has no end. */
const MAX_ENTRIES = 1000;

function fits(k: Linux, entry: Address, cpu: Address): boolean {
  const want = (name: string) => k.read(`x86_cpu_id.${name}`, entry);
  const is = (name: string) => k.read(`cpuinfo_x86.${name}`, cpu);
  if (want('vendor') !== ANY.VENDOR && want('vendor') !== is('x86_vendor')) return false;
  if (want('family') !== ANY.FAMILY && want('family') !== is('x86')) return false;
  if (want('model') !== ANY.MODEL && want('model') !== is('x86_model')) return false;
  if (want('steppings') !== ANY.STEPPING && ((want('steppings') >> is('x86_stepping')) & 1) === 0)
    return false;
  const feature = want('feature');
  if (feature === ANY.FEATURE) return true;
  const word = k.memory.u32(cpu + k.offset('cpuinfo_x86.x86_capability') + (feature >> 5) * 4);
  return ((word >>> (feature & 31)) & 1) === 1;
}

/** The first entry that describes this processor; 0 when none does. Older tables end with an entry of zeros. */
function matchCpu(k: Linux, table: Address): Address {
  const cpu = k.addressOf('boot_cpu_data');
  const size = k.sizeof('x86_cpu_id');
  const flagged = k.types.has('x86_cpu_id.flags');
  for (let i = 0; i < MAX_ENTRIES; i++) {
    const entry = table + i * size;
    const valid = flagged
      ? (k.read('x86_cpu_id.flags', entry) & ENTRY_VALID) !== 0
      : k.memory.bytes(entry, 10).some((byte) => byte !== 0);
    if (!valid) return 0;
    if (fits(k, entry, cpu)) return entry;
  }
  return 0;
}

export const machineIdentity = kernelFunctions({
  'const struct x86_cpu_id *x86_match_cpu(const struct x86_cpu_id *match)': (k, table) => matchCpu(k, table),
  // The machine has no DMI tables: nothing matches, every field is absent.
  'int dmi_check_system(const struct dmi_system_id *list)': () => 0,
  'const struct dmi_system_id *dmi_first_match(const struct dmi_system_id *list)': () => 0,
  'const char *dmi_get_system_info(int field)': () => 0,
  'int dmi_name_in_vendors(const char *str)': () => 0,
  'bool dmi_match(enum dmi_field f, const char *str)': () => 0,
});

// -- scheduling classes -------------------------------------------------------------------------------------------

/** SCHED_NORMAL and SCHED_FIFO; their priorities as sched_set_fifo and sched_set_fifo_low choose them. */
const NORMAL = 0;
const FIFO = 1;

function setPolicy(k: Linux, task: Address, policy: number, priority: number): void {
  k.write('task_struct.policy', task, policy);
  k.write('task_struct.rt_priority', task, policy === FIFO ? priority : 0);
  k.write('task_struct.prio', task, policy === FIFO ? 99 - priority : 120 + priority);
}

export const schedulingClasses = kernelFunctions({
  'void sched_set_fifo(struct task_struct *p)': (k, task) => setPolicy(k, task, FIFO, 50),
  'void sched_set_fifo_low(struct task_struct *p)': (k, task) => setPolicy(k, task, FIFO, 1),
  'void sched_set_normal(struct task_struct *p, int nice)': (k, task, nice) =>
    setPolicy(k, task, NORMAL, nice),
});

// -- resources: a tree of ranges, siblings by address --------------------------------------------------------------

const BUSY = 0x80000000;
const TYPE_BITS = 0x1f00;

const start = (k: Linux, r: Address): bigint => k.memory.u64(r + k.offset('resource.start'));
const end = (k: Linux, r: Address): bigint => k.memory.u64(r + k.offset('resource.end'));

/** Hangs a range under a parent; the range in its way, or 0. */
export function insertResource(k: Linux, parent: Address, range: Address): Address {
  const [first, last] = [start(k, range), end(k, range)];
  if (last < first || first < start(k, parent) || last > end(k, parent)) return parent;
  let link = parent + k.offset('resource.child');
  for (;;) {
    const other = k.memory.ptr(link);
    if (other === 0 || start(k, other) > last) {
      k.write('resource.sibling', range, other);
      k.write('resource.parent', range, parent);
      k.memory.setPtr(link, range);
      return 0;
    }
    if (end(k, other) >= first) return other;
    link = other + k.offset('resource.sibling');
  }
}

/** Takes a range out of its parent; false when it is not there. */
export function removeResource(k: Linux, range: Address): boolean {
  const parent = k.read('resource.parent', range);
  if (parent === 0) return false;
  let link = parent + k.offset('resource.child');
  for (let other = k.memory.ptr(link); other !== 0; other = k.memory.ptr(link)) {
    if (other === range) {
      k.memory.setPtr(link, k.read('resource.sibling', range));
      k.write('resource.parent', range, 0);
      return true;
    }
    link = other + k.offset('resource.sibling');
  }
  return false;
}

/** __request_region: goes down into ranges that are not busy, as the kernel does. */
function request(
  k: Linux,
  parent: Address,
  first: bigint,
  count: bigint,
  name: Address,
  flags: number,
): Address {
  const range = k.heap.allocate(k.sizeof('resource'), undefined, callerOf(k));
  if (range === 0) return 0;
  k.memory.setU64(range + k.offset('resource.start'), first);
  k.memory.setU64(range + k.offset('resource.end'), first + count - 1n);
  k.write('resource.name', range, name);
  for (;;) {
    const type = k.read('resource.flags', parent) & TYPE_BITS;
    k.write('resource.flags', range, (type | BUSY | flags) >>> 0);
    const conflict = insertResource(k, parent, range);
    if (conflict === 0) return range;
    if (conflict === parent || (k.read('resource.flags', conflict) & BUSY) !== 0) break;
    parent = conflict;
  }
  k.heap.free(range);
  return 0;
}

function releaseRegion(k: Linux, parent: Address, first: bigint, count: bigint): void {
  const last = first + count - 1n;
  for (let range = k.read('resource.child', parent); range !== 0; ) {
    if (
      start(k, range) === first &&
      end(k, range) === last &&
      (k.read('resource.flags', range) & BUSY) !== 0
    ) {
      removeResource(k, range);
      k.heap.free(range);
      return;
    }
    const inside = start(k, range) <= first && end(k, range) >= last;
    range = inside ? k.read('resource.child', range) : k.read('resource.sibling', range);
  }
  const hex = (value: bigint) => value.toString(16).padStart(16, '0');
  k.printk(4, `Trying to free nonexistent resource <${hex(first)}-${hex(last)}>`);
}

const unsigned = (value: number): bigint => BigInt.asUintN(64, BigInt(value));

export const resources = kernelFunctions({
  'struct resource *__request_region(struct resource *parent, resource_size_t start, resource_size_t n, const char *name, int flags)':
    (k, parent, first, count, name, flags) =>
      request(k, parent, unsigned(first), unsigned(count), name, flags),
  'void __release_region(struct resource *parent, resource_size_t start, resource_size_t n)': (
    k,
    parent,
    first,
    count,
  ) => releaseRegion(k, parent, unsigned(first), unsigned(count)),
  'int request_resource(struct resource *root, struct resource *new)': (k, root, range) =>
    insertResource(k, root, range) === 0 ? 0 : -16,
  'int release_resource(struct resource *old)': (k, range) => (removeResource(k, range) ? 0 : -22),
});

/** A root range: all of I/O space, or all of memory (struct resource ioport_resource, iomem_resource). */
const root = (symbol: string, name: string, last: bigint, type: number): DataInitialiser => ({
  symbol,
  when: 'import',
  fill: (k, at) => {
    const text = new TextEncoder().encode(`${name}\0`);
    const nameAt = k.heap.allocate(text.length);
    k.memory.write(nameAt, text);
    k.memory.fill(at, k.sizeof('resource'), 0);
    k.memory.setU64(at + k.offset('resource.end'), last);
    k.write('resource.name', at, nameAt);
    k.write('resource.flags', at, type);
  },
});

export const resourceData: readonly DataInitialiser[] = [
  root('ioport_resource', 'PCI IO', 0xffffn, 0x100),
  root('iomem_resource', 'PCI mem', (1n << 52n) - 1n, 0x200),
];
