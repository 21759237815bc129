/** Kernel statistics: kstat_create(9F) and what kstat(1M) reads. The structures are in guest memory, as kstat(9S) has them. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

/** ks_type and data_type (sys/kstat.h). */
const TYPE_NAMED = 1;
const DATA = { CHAR: 0, INT32: 1, UINT32: 2, INT64: 3, UINT64: 4, STRING: 9 } as const;
/** KSTAT_FLAG_VIRTUAL: the data are the module's own. */
const FLAG_VIRTUAL = 1;
const NAME_BYTES = 31;
const KSTAT_READ = 0;
/** More than any kstat has. */
const MAX_ENTRIES = 10_000;

/** Installed ones, in order. */
const chain = perKernel(() => [] as Address[]);

function writeName(k: Solaris, at: Address, text: string): void {
  const bytes = new Uint8Array(NAME_BYTES);
  bytes.set(new TextEncoder().encode(text).subarray(0, NAME_BYTES - 1));
  k.memory.write(at, bytes);
}

/** Bytes of one entry by type: raw data are counted in bytes. */
const entrySize = (k: Solaris, type: number): number => (type === TYPE_NAMED ? k.sizeof('kstat_named') : 1);

interface KstatRequest {
  readonly module: string;
  readonly instance: number;
  readonly name: string;
  readonly class: string;
  readonly type: number;
  readonly count: number;
  readonly flags: number;
}

function create(k: Solaris, request: KstatRequest): Address {
  const { type, count, flags } = request;
  if (!(count >= 0 && count <= MAX_ENTRIES)) return 0;
  const caller = k.convention.returnAddress(k.cpu);
  const at = k.heap.allocate(k.sizeof('kstat'), caller);
  const size = count * entrySize(k, type);
  const data = (flags & FLAG_VIRTUAL) !== 0 || size === 0 ? 0 : k.heap.allocate(size, caller);
  if (at === 0) return 0;
  writeName(k, at + k.offset('kstat.ks_module'), request.module);
  writeName(k, at + k.offset('kstat.ks_name'), request.name);
  writeName(k, at + k.offset('kstat.ks_class'), request.class);
  k.write('kstat.ks_instance', at, request.instance);
  k.write('kstat.ks_type', at, type);
  k.write('kstat.ks_flags', at, flags);
  k.write('kstat.ks_data', at, data);
  k.write('kstat.ks_ndata', at, count);
  k.write('kstat.ks_data_size', at, size);
  return at;
}

function remove(k: Solaris, at: Address): void {
  const all = k.state(chain);
  const index = all.indexOf(at);
  if (index >= 0) all.splice(index, 1);
  if ((k.read('kstat.ks_flags', at) & FLAG_VIRTUAL) === 0) k.heap.free(k.read('kstat.ks_data', at));
  k.heap.free(at);
}

/** Statistics that nobody deleted. */
export function* kstatsNow(k: Solaris): Generator<StandingThing> {
  for (const at of k.state(chain)) {
    const [module, name] = (['ks_module', 'ks_name'] as const).map((field) =>
      k.memory.cstring(at + k.offset(`kstat.${field}`), NAME_BYTES),
    );
    yield { what: 'kstat', key: at, name: `${module}:${k.read('kstat.ks_instance', at)}:${name}` };
  }
}

export interface Statistic {
  /** `module:instance:name:statistic` */
  readonly name: string;
  readonly value: string;
}

/** Reads all statistics: their update functions run first. */
export function* readStatistics(k: Solaris): Steps<Statistic[]> {
  const found: Statistic[] = [];
  for (const at of [...k.state(chain)]) {
    const update = k.read('kstat.ks_update', at);
    if (update !== 0 && (yield* k.callInt(update, at, KSTAT_READ)) !== 0) continue;
    const head = `${k.readString('kstat.ks_module', at)}:${k.read('kstat.ks_instance', at)}:${k.readString('kstat.ks_name', at)}`;
    found.push({ name: `${head}:class`, value: k.readString('kstat.ks_class', at) });
    if (k.read('kstat.ks_type', at) !== TYPE_NAMED) continue;
    const count = Math.min(MAX_ENTRIES, k.read('kstat.ks_ndata', at));
    for (let i = 0; i < count; i++) {
      const entry = k.read('kstat.ks_data', at) + i * k.sizeof('kstat_named');
      found.push({ name: `${head}:${k.readString('kstat_named.name', entry)}`, value: shownValue(k, entry) });
    }
  }
  return found;
}

function shownValue(k: Solaris, entry: Address): string {
  const at = entry + k.offset('kstat_named.value');
  switch (k.read('kstat_named.data_type', entry)) {
    case DATA.CHAR:
      return k.memory.cstring(at, 16);
    case DATA.INT32:
      return String(k.memory.i32(at));
    case DATA.UINT32:
      return String(k.memory.u32(at));
    case DATA.INT64:
      return String(BigInt.asIntN(64, k.memory.u64(at)));
    case DATA.UINT64:
      return String(k.memory.u64(at));
    case DATA.STRING: {
      const text = k.memory.ptr(at);
      return text === 0 ? '' : k.memory.cstring(text);
    }
    default:
      return '';
  }
}

export const kstats = kernelFunctions({
  'struct kstat *kstat_create(const char *module, int instance, const char *name, const char *ks_class, unsigned char type, unsigned int count, unsigned char flags)':
    (k, module, instance, name, ksClass, type, count, flags) =>
      create(k, {
        module: k.memory.cstring(module),
        instance,
        name: name === 0 ? `${k.memory.cstring(module)}${instance}` : k.memory.cstring(name),
        class: k.memory.cstring(ksClass),
        type,
        count,
        flags,
      }),
  'void kstat_install(struct kstat *ks)': (k, ks) => {
    if (ks !== 0 && !k.state(chain).includes(ks)) k.state(chain).push(ks);
  },
  'void kstat_delete(struct kstat *ks)': (k, ks) => {
    if (ks !== 0) remove(k, ks);
  },
  'void kstat_named_init(struct kstat_named *entry, const char *name, unsigned char type)': (
    k,
    entry,
    name,
    type,
  ) => {
    k.memory.fill(entry, k.sizeof('kstat_named'), 0);
    writeName(k, entry, k.memory.cstring(name));
    k.write('kstat_named.data_type', entry, type);
  },
  'void kstat_named_setstr(struct kstat_named *entry, const char *text)': (k, entry, text) => {
    k.memory.setPtr(entry + k.offset('kstat_named.value'), text);
  },
});
