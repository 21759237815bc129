/**
 * What libkern's C++ runtime does around a kext (libkern/c++/OSMetaClass.cpp): constructors of its static objects, the
 * classes that they register, counts of instances. An OSMetaClass lies in the kext's own data; here is only where.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { LoadedKext } from '../kexts.ts';
import type { Macos } from '../macos.ts';

export interface MetaClassCount {
  readonly name: string;
  readonly instances: number;
}

/** Addresses of the metaclasses that were constructed, in that order. */
const metaClasses = perKernel<Set<Address>, Macos>(() => new Set());

/** Longest name of a class that is looked at. */
const MAX_CLASS_NAME = 1024;

/** Calls the functions behind pointers of __mod_init_func, in order (OSRuntimeInitializeCPP). */
export function* runInitialisers(k: Macos, _kext: LoadedKext, pointers: readonly Address[]): Steps<void> {
  for (const pointer of pointers) {
    const routine = k.memory.ptr(pointer);
    if (routine !== 0) yield* k.call(routine);
  }
}

/** The classes whose OSMetaClass lies in the kext, with their live instances. */
export function metaClassesOf(k: Macos, kext: LoadedKext): MetaClassCount[] {
  return [...k.state(metaClasses)]
    .filter((at) => at >= kext.base && at < kext.base + kext.bytes)
    .map((at) => ({ name: className(k, at), instances: k.read('OSMetaClass.instanceCount', at) }));
}

/** While its kext is loaded, a class's name is the C string that the constructor was given. */
const className = (k: Macos, at: Address): string =>
  guestText(k, k.read('OSMetaClass.className', at), MAX_CLASS_NAME);

function construct(k: Macos, at: Address, name: Address, parent: Address, size: number): void {
  k.write('OSMetaClass.reserved', at, 0);
  k.write('OSMetaClass.superClassLink', at, parent);
  k.write('OSMetaClass.className', at, name);
  k.write('OSMetaClass.classSize', at, size);
  k.write('OSMetaClass.instanceCount', at, 0);
  k.state(metaClasses).add(at);
}

/** A class that still has instances or subclasses keeps its metaclass in a real kernel: the unload asks before. */
function destruct(k: Macos, at: Address): void {
  k.state(metaClasses).delete(at);
}

/** Instances count in their own class, and the first one in its parent as well. */
function count(k: Macos, at: Address, by: 1 | -1): void {
  const instances = k.read('OSMetaClass.instanceCount', at) + by;
  k.write('OSMetaClass.instanceCount', at, instances);
  const parent = k.read('OSMetaClass.superClassLink', at);
  const changed = by === 1 ? instances === 1 : instances === 0;
  if (changed && parent !== 0) count(k, parent, by);
}

export const metaClassFunctions = kernelFunctions({
  'void _ZN11OSMetaClassC1EPKcPKS_j(void *at, const char *name, const void *parent, unsigned int size)':
    construct,
  'void _ZN11OSMetaClassC2EPKcPKS_j(void *at, const char *name, const void *parent, unsigned int size)':
    construct,
  'void _ZN11OSMetaClassD0Ev(void *at)': destruct,
  'void _ZN11OSMetaClassD1Ev(void *at)': destruct,
  'void _ZN11OSMetaClassD2Ev(void *at)': destruct,
  'void _ZNK11OSMetaClass19instanceConstructedEv(const void *at)': (k, at) => count(k, at, 1),
  'void _ZNK11OSMetaClass18instanceDestructedEv(const void *at)': (k, at) => count(k, at, -1),
  'const char *_ZNK11OSMetaClass12getClassNameEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.className', at),
  'const void *_ZNK11OSMetaClass13getSuperClassEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.superClassLink', at),
  'unsigned int _ZNK11OSMetaClass16getInstanceCountEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.instanceCount', at),
  'unsigned int _ZNK11OSMetaClass12getClassSizeEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.classSize', at),
  'void *_ZN8OSObjectnwEm(size_t size)': (k, size) => k.heap.allocate(size, 'OSObject'),
  'void _ZN8OSObjectdlEPvm(void *at, size_t size)': (k, at) => k.heap.free(at),
  'void __cxa_pure_virtual(void)': (k) => {
    throw k.panic('panic(cpu 0): "__cxa_pure_virtual"');
  },
});

/** Slots that are laid out for a vtable of the kernel: more than any published class has. */
const VTABLE_SLOTS = 512;
/** Two words before the first function: offset to top and type information. */
const VTABLE_HEAD = 2;

/**
 * Objects of the kernel's own classes that a kext may refer to: metaclasses, pointers to them, vtables. The order of the
 * functions in a vtable is not recorded, so each slot leads to one missing function named after the table.
 */
export function classObject(k: Macos, symbol: string): Address | undefined {
  const owner = /^__ZN(?:K?)(\d+)(\w+?)(?:10gMetaClassE|9metaClassE)$/.exec(symbol);
  if (owner !== null && owner[2].length === Number(owner[1])) {
    return symbol.endsWith('10gMetaClassE') ? metaClass(k, owner[2]) : pointerTo(k, metaClass(k, owner[2]));
  }
  return symbol.startsWith('__ZTV') ? vtable(k, symbol) : undefined;
}

const kernelClasses = perKernel<Map<string, Address>, Macos>(() => new Map());

function once(k: Macos, key: string, make: () => Address): Address {
  const known = k.state(kernelClasses).get(key);
  if (known !== undefined) return known;
  const at = make();
  k.state(kernelClasses).set(key, at);
  return at;
}

function metaClass(k: Macos, name: string): Address {
  return once(k, `metaclass ${name}`, () => {
    const at = k.takeData(k.sizeof('struct OSMetaClass'));
    const text = k.takeData(name.length + 1);
    k.memory.poke(text, new TextEncoder().encode(name));
    k.poke('OSMetaClass.className', at, text);
    return at;
  });
}

function pointerTo(k: Macos, target: Address): Address {
  return once(k, `pointer ${target}`, () => {
    const at = k.takeData(8);
    k.memory.setPtr(at, target);
    return at;
  });
}

function vtable(k: Macos, symbol: string): Address {
  return once(k, symbol, () => {
    const at = k.takeData(VTABLE_SLOTS * 8);
    const slot = k.missingGate(`a virtual function of ${symbol}`);
    for (let i = VTABLE_HEAD; i < VTABLE_SLOTS; i++) k.memory.setPtr(at + i * 8, slot);
    return at;
  });
}
