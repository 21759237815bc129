/**
 * Linkages beside drivers, calls, file systems and STREAMS modules (common/os/modconf.c): what each kind registers, and
 * when it may go. The base kernel schedules, starts programs and talks to processors in its own way, so that these are
 * known by name and number, and nobody calls what they bring, but for a scheduling class, which is asked to initialise.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { MODDEBUG, moddebug } from '../configuration.ts';
import { Errno } from '../errno.ts';
import type { Solaris } from '../solaris.ts';
import { CE } from '../syslog.ts';
import { daemonWorks } from '../unload.ts';
import { kernelFunctions } from './define.ts';
import { ownerOf } from './module-calls.ts';

type Kind =
  | 'scheduling class'
  | 'exec format'
  | 'brand'
  | 'dacf'
  | 'pcbe'
  | 'ipp'
  | 'sockets'
  | 'kiconv'
  | 'cpu';

interface Entry {
  readonly name: string;
  /** The structure that the module brought. */
  readonly at: Address;
}

/** Entries keep their place: what has no use any more leaves a hole, as in the kernel's own tables. */
const tables = perKernel(() => new Map<Kind, (Entry | undefined)[]>());

/** sclass[] and execsw[] are of fixed size (common/conf/param.c: nclass and nexectype). */
const SIZES: Partial<Record<Kind, number>> = { 'scheduling class': 10, 'exec format': 10 };

function tableOf(k: Solaris, kind: Kind): (Entry | undefined)[] {
  const all = k.state(tables);
  let table = all.get(kind);
  if (table === undefined) {
    // The first scheduling class is SYS, of the kernel itself.
    table = kind === 'scheduling class' ? [{ name: 'SYS', at: 0 }] : [];
    all.set(kind, table);
  }
  return table;
}

/** What modules registered that nobody here can put to use. */
export function registeredLinkages(k: Solaris): { what: string; name: string }[] {
  return [...k.state(tables)].flatMap(([what, entries]) =>
    entries.flatMap((entry) => (entry === undefined || entry.at === 0 ? [] : [{ what, name: entry.name }])),
  );
}

function warn(k: Solaris, format: string, name: string): void {
  k.syslog.say(format, format.replace('%s', name), CE.WARN);
}

const data = (k: Solaris, linkage: Address): Address => k.read('modlany.data', linkage);
const pointer = (k: Solaris, at: Address, index: number): Address => k.memory.ptr(at + index * k.word);
const textAt = (k: Solaris, at: Address): string => (at === 0 ? '' : k.memory.cstring(at, 64));

/** The number of the entry, an errno as a negative number when it cannot be. */
function register(k: Solaris, kind: Kind, entry: Entry, taken: number): number {
  const table = tableOf(k, kind);
  if (table.some((one) => one?.name === entry.name)) return -taken;
  const hole = table.indexOf(undefined);
  const place = hole < 0 ? table.length : hole;
  if (place >= (SIZES[kind] ?? Number.POSITIVE_INFINITY)) return -Errno.ENOSPC;
  table[place] = entry;
  return place;
}

/** False when nothing of this structure is there. */
function unregister(k: Solaris, kind: Kind, at: Address): boolean {
  const table = tableOf(k, kind);
  const place = table.findIndex((one) => one?.at === at);
  if (place < 0) return false;
  table[place] = undefined;
  return true;
}

const indexOf = (k: Solaris, kind: Kind, at: Address): number =>
  tableOf(k, kind).findIndex((one) => one?.at === at);

const ownName = (k: Solaris, modlinkage: Address): string => ownerOf(k, modlinkage)?.name ?? '';

// -- scheduling classes: struct sclass begins with the name, the init function, the functions -----------------

/** PC_CLPARMSZ of sys/priocntl.h. */
const PARAMETER_BYTES = 32;

function* installSched(k: Solaris, linkage: Address): Steps<number> {
  const at = data(k, linkage);
  const name = textAt(k, pointer(k, at, 0));
  const id = register(k, 'scheduling class', { name, at }, Errno.EBUSY);
  if (id < 0) {
    if (id === -Errno.EBUSY) {
      const format = 'scheduling class %s is already installed';
      k.syslog.plain(`${format}\n`, format.replace('%s', name));
    }
    return -id;
  }
  const initialise = pointer(k, at, 1);
  if (initialise !== 0) {
    const functions = k.heap.take(k.word);
    yield* k.callInt(initialise, id, PARAMETER_BYTES, functions);
    k.heap.free(functions);
  }
  return 0;
}

// -- the others -----------------------------------------------------------------------------------------------

/** struct execsw: magic, its offset, its length, functions. The magic is what tells formats apart. */
function execName(k: Solaris, at: Address): string {
  const magic = pointer(k, at, 0);
  const length = Math.max(0, Math.min(16, k.memory.i32(at + k.word + 4)));
  const bytes = magic === 0 ? [] : [...k.memory.bytes(magic, length)];
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `magic ${hex} at ${k.memory.i32(at + k.word)}`;
}

/** Versions that this kernel's headers have (sys/brand.h, sys/pcbe.h, sys/socketvar.h, sys/dacf.h). */
const VERSION = { brand: 1, pcbe: 1, sockets: 1, dacf: 1 } as const;

function installExec(k: Solaris, linkage: Address): number {
  const at = data(k, linkage);
  const place = register(k, 'exec format', { name: execName(k, at), at }, Errno.EBUSY);
  if (place === -Errno.ENOSPC)
    k.syslog.plain("no unused entries in 'execsw'\n", "no unused entries in 'execsw'");
  if (place === -Errno.EBUSY) {
    const magic = pointer(k, at, 0);
    const first = magic === 0 ? '0' : k.memory.u8(magic).toString(16);
    k.syslog.plain('exec type %x is already installed\n', `exec type ${first} is already installed`);
  }
  return place < 0 ? -place : 0;
}

/** struct __pcbe_ops begins with its version (sys/pcbe.h). */
function installPcbe(k: Solaris, linkage: Address, modlinkage: Address): number {
  const status = installer('pcbe', byModule, VERSION.pcbe)(k, linkage, modlinkage);
  if (status === Errno.EINVAL)
    warn(k, "pcbe '%s' version mismatch", k.readString('modlany.linkinfo', linkage));
  return status;
}

/** Registers under a name; a structure that begins with another version is refused. */
const installer =
  (
    kind: Kind,
    nameOf: (k: Solaris, at: Address, modlinkage: Address) => string,
    version?: number,
    taken: number = Errno.EEXIST,
  ) =>
  (k: Solaris, linkage: Address, modlinkage: Address): number => {
    const at = data(k, linkage);
    if (version !== undefined && k.memory.i32(at) !== version) return Errno.EINVAL;
    const place = register(k, kind, { name: nameOf(k, at, modlinkage), at }, taken);
    return place < 0 ? -place : 0;
  };

/** Kinds that moddebug keeps in memory; some of them from the daemon alone. */
const KEPT: Partial<Record<Kind, readonly [bit: number, byDaemonAlone: boolean]>> = {
  'scheduling class': [MODDEBUG.NOAUL_SCHED, false],
  'exec format': [MODDEBUG.NOAUL_EXEC, false],
  dacf: [MODDEBUG.NOAUL_DACF, false],
  ipp: [MODDEBUG.NOAUL_IPP, true],
};

const remover =
  (kind: Kind) =>
  (k: Solaris, linkage: Address, modlinkage: Address): number => {
    const [bit, byDaemonAlone] = KEPT[kind] ?? [0, false];
    if (moddebug(k, bit) && (!byDaemonAlone || daemonWorks(k))) return Errno.EBUSY;
    if (unregister(k, kind, data(k, linkage))) return 0;
    warn(k, 'Cannot uninstall %s; not installed', ownName(k, modlinkage));
    return Errno.EINVAL;
  };

const number =
  (kind: Kind) =>
  (k: Solaris, linkage: Address, _modlinkage: Address, p0: Address): number => {
    k.memory.set32(p0, indexOf(k, kind, data(k, linkage)));
    return 0;
  };

const byModule = (k: Solaris, _at: Address, modlinkage: Address): string => ownName(k, modlinkage);
const nameAtWord = (index: number) => (k: Solaris, at: Address) => textAt(k, pointer(k, at, index));

export const linkages = kernelFunctions({
  'int mod_installsched(void *linkage, struct modlinkage *modlinkage)': installSched,
  'int mod_removesched(void *linkage, struct modlinkage *modlinkage)': remover('scheduling class'),
  'int mod_infosched(void *linkage, struct modlinkage *modlinkage, int *p0)': number('scheduling class'),
  'int mod_installexec(void *linkage, struct modlinkage *modlinkage)': installExec,
  'int mod_removeexec(void *linkage, struct modlinkage *modlinkage)': remover('exec format'),
  'int mod_infoexec(void *linkage, struct modlinkage *modlinkage, int *p0)': number('exec format'),
  'int mod_installbrand(void *linkage, struct modlinkage *modlinkage)': installer(
    'brand',
    nameAtWord(1),
    VERSION.brand,
  ),
  'int mod_removebrand(void *linkage, struct modlinkage *modlinkage)': remover('brand'),
  'int mod_installdacf(void *linkage, struct modlinkage *modlinkage)': installer(
    'dacf',
    byModule,
    VERSION.dacf,
  ),
  'int mod_removedacf(void *linkage, struct modlinkage *modlinkage)': remover('dacf'),
  'int mod_installpcbe(void *linkage, struct modlinkage *modlinkage)': installPcbe,
  // Performance counters may be in use at any time: a back end that is there stays.
  'int mod_removepcbe(void *linkage, struct modlinkage *modlinkage)': () => Errno.EBUSY,
  'int mod_installcpu(void *linkage, struct modlinkage *modlinkage)': installer('cpu', byModule),
  'int mod_removecpu(void *linkage, struct modlinkage *modlinkage)': remover('cpu'),
  'int mod_installipp(void *linkage, struct modlinkage *modlinkage)': installer('ipp', byModule),
  'int mod_removeipp(void *linkage, struct modlinkage *modlinkage)': remover('ipp'),
  'int mod_installsockmod(void *linkage, struct modlinkage *modlinkage)': installer(
    'sockets',
    nameAtWord(1),
    VERSION.sockets,
  ),
  'int mod_removesockmod(void *linkage, struct modlinkage *modlinkage)': remover('sockets'),
  'int mod_installkiconv(void *linkage, struct modlinkage *modlinkage)': installer('kiconv', nameAtWord(0)),
  'int mod_removekiconv(void *linkage, struct modlinkage *modlinkage)': remover('kiconv'),
});
