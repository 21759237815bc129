/**
 * The C++ classes of the kernel in guest memory: a metaclass, a pointer to it, and vtables in the order that the release's
 * headers give (libkern/c++/OSMetaClass.cpp). Constructors, destructors, getMetaClass and alloc are the same for every class,
 * as the macros of OSMetaClass.h define them; what else a class does stands in functions/.
 */
import type { KernelFunction } from '../../../kernel/functions.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { kernelFunctions } from '../functions/define.ts';
import type { LoadedKext } from '../kexts.ts';
import type { Macos } from '../macos.ts';
import { type KernelClass, PURE } from './vtables.ts';

/** Two words before the first function: offset to top and type information. */
const VTABLE_HEAD = 2;
/** Slots that are laid out for a vtable nobody has recorded: more than any published class has. */
const UNKNOWN_SLOTS = 512;
/** Longest name of a class that is looked at. */
const MAX_CLASS_NAME = 1024;

/** Classes of the kernel that no header declares: they look like their parent. */
const PRIVATE_CLASSES: Readonly<Record<string, { parent: string; pure: readonly string[] }>> = {
  IOResources: { parent: 'IOService', pure: [] },
  IOUserResources: { parent: 'IOService', pure: [] },
  _IOServiceNotifier: {
    parent: 'IONotifier',
    pure: [
      '_ZN18_IOServiceNotifier6removeEv',
      '_ZN18_IOServiceNotifier7disableEv',
      '_ZN18_IOServiceNotifier6enableEb',
    ],
  },
};

/**
 * Devices of Apple's buses, whose families are not part of the kernel: an instance can be put into the registry, and is a
 * service in everything but its own functions, which are missing by the class's name.
 */
const BUS_DEVICES: Readonly<Record<string, string>> = {
  IOPCIDevice: 'IOService',
  IOACPIPlatformDevice: 'IOPlatformDevice',
  IOUSBDevice: 'IOService',
  IOUSBInterface: 'IOService',
  IOUSBHostDevice: 'IOService',
  IOUSBHostInterface: 'IOService',
  IOHIDDevice: 'IOService',
  IOMedia: 'IOService',
  IOEthernetInterface: 'IOService',
};
/** Functions that a bus's device may have of its own. */
const OWN_FUNCTIONS = 160;

function busDevice(k: Macos, name: string): KernelClass | undefined {
  const parent = Object.hasOwn(BUS_DEVICES, name) ? k.classes.get(BUS_DEVICES[name]) : undefined;
  if (parent === undefined) return undefined;
  const own = Array.from({ length: OWN_FUNCTIONS }, (_, i) => `virtual function ${i} of ${name}`);
  return { name, parent: parent.name, size: parent.size + 64, slots: [...renamed(parent, name), ...own] };
}

/** A parent's functions with the destructors and the metaclass of a class that inherits from it. */
const renamed = (parent: KernelClass, name: string): string[] =>
  parent.slots.map((slot) =>
    /^_ZN\d+\w+?D[01]Ev$/.test(slot) || /12getMetaClassEv$/.test(slot)
      ? slot.replace(`${parent.name.length}${parent.name}`, `${name.length}${name}`)
      : slot,
  );

/** Room of an object: what the headers of a class leave out (IOMemoryMap is empty in the published ones) needs some too. */
const LEAST_BYTES = 48;

export interface MetaClassCount {
  readonly name: string;
  readonly instances: number;
}

class ClassRuntime {
  /** Metaclasses that were constructed, in that order, and those of the kernel as they are first referred to. */
  readonly metaClasses = new Set<Address>();
  readonly objects = new Map<string, Address>();
}

const runtime = perKernel<ClassRuntime, Macos>(() => new ClassRuntime());

/** The order of functions of a kernel class; its own where no header declares it. */
export function kernelClass(k: Macos, name: string): KernelClass | undefined {
  const known = k.classes.get(name);
  if (known !== undefined) return known;
  const hidden = Object.hasOwn(PRIVATE_CLASSES, name) ? PRIVATE_CLASSES[name] : undefined;
  const parent = k.classes.get(hidden?.parent ?? '');
  if (parent === undefined || hidden === undefined) return busDevice(k, name);
  let pure = 0;
  const own = renamed(parent, name).map((slot) => (slot === PURE ? (hidden.pure[pure++] ?? PURE) : slot));
  return { name, parent: parent.name, size: parent.size + 64, slots: own };
}

// -- metaclasses ------------------------------------------------------------------------------------------------

function once(k: Macos, key: string, make: (at: (bytes: number) => Address) => void, bytes: number): Address {
  const { objects } = k.state(runtime);
  const known = objects.get(key);
  if (known !== undefined) return known;
  const at = k.takeData(bytes);
  objects.set(key, at);
  make(() => at);
  return at;
}

/** The metaclass of a kernel class. */
export function kernelMetaClass(k: Macos, name: string): Address {
  return once(
    k,
    `${name}::gMetaClass`,
    (place) => {
      const at = place(0);
      const one = kernelClass(k, name);
      const text = k.takeData(name.length + 1);
      k.memory.poke(text, new TextEncoder().encode(name));
      k.poke('OSMetaClass.className', at, text);
      k.poke('OSMetaClass.classSize', at, one?.size ?? 0);
      if (one?.parent !== undefined) k.poke('OSMetaClass.superClassLink', at, kernelMetaClass(k, one.parent));
      k.poke('OSMetaClass.vtable', at, pointTo(k, metaVtable(k, name)));
      k.state(runtime).metaClasses.add(at);
    },
    k.sizeof('struct OSMetaClass'),
  );
}

/** Exported objects of classes: `gMetaClass`, `metaClass`, vtables. Undefined for any other symbol. */
export function classObject(k: Macos, symbol: string): Address | undefined {
  const owner = /^__ZNK?(\d+)(\w+)$/.exec(symbol);
  if (owner !== null) {
    const length = Number(owner[1]);
    const name = owner[2].slice(0, length);
    const rest = owner[2].slice(length);
    if (rest === '10gMetaClassE') return kernelMetaClass(k, name);
    if (rest === '9metaClassE' || rest === '10superClassE') {
      const target = rest === '9metaClassE' ? name : (kernelClass(k, name)?.parent ?? name);
      return once(k, symbol, (place) => k.memory.setPtr(place(0), kernelMetaClass(k, target)), k.word);
    }
    return undefined;
  }
  const table = /^__ZTV(N?)(\d+)(\w+)$/.exec(symbol);
  if (table === null) return undefined;
  const name = table[3].slice(0, Number(table[2]));
  return table[1] === 'N' ? metaVtable(k, name) : vtable(k, name);
}

/** What objects point at: behind the head of their vtable on 64 bits, its head on 32 (gcc's -fapple-kext, as before gcc 3). */
const pointTo = (k: Macos, table: Address): Address => table + (k.word === 8 ? VTABLE_HEAD * k.word : 0);

/** The vtable pointer of objects of a kernel class. */
export const vtablePointer = (k: Macos, name: string): Address => pointTo(k, vtable(k, name));

/** The function in a slot of an object's vtable. */
const virtualFunction = (k: Macos, at: Address, slot: number): Address =>
  k.memory.ptr(k.memory.ptr(at) + (k.word === 8 ? slot : slot + VTABLE_HEAD) * k.word);

/** Where the vtable of a kernel class begins, at its two words of head. */
function vtable(k: Macos, name: string): Address {
  const one = kernelClass(k, name);
  const slots = one?.slots.length ?? UNKNOWN_SLOTS;
  return once(
    k,
    `vtable of ${name}`,
    (place) => {
      const at = place(0) + VTABLE_HEAD * k.word;
      const unknown = one === undefined ? k.missingGate(`a virtual function of ${name}`) : 0;
      for (let i = 0; i < slots; i++)
        k.memory.setPtr(at + i * k.word, one === undefined ? unknown : k.link(`_${one.slots[i]}`));
    },
    (VTABLE_HEAD + slots + 1) * k.word,
  );
}

/** Every class's metaclass has the functions of OSMetaClass and its own alloc. */
function metaVtable(k: Macos, name: string): Address {
  const slots = k.classes.get('OSMetaClass')?.slots ?? [];
  const alloc = `_ZNK${name.length}${name}9MetaClass5allocEv`;
  return once(
    k,
    `metaclass vtable of ${name}`,
    (place) => {
      const at = place(0) + VTABLE_HEAD * k.word;
      for (const [i, slot] of slots.entries())
        k.memory.setPtr(at + i * k.word, k.link(`_${slot === PURE ? alloc : slot}`));
    },
    (VTABLE_HEAD + slots.length + 1) * k.word,
  );
}

/** Every metaclass that is there. */
export const allMetaClasses = (k: Macos): readonly Address[] => [...k.state(runtime).metaClasses];

export const classNameOf = (k: Macos, meta: Address): string =>
  guestText(k, k.read('OSMetaClass.className', meta), MAX_CLASS_NAME);

/** The metaclass of that name: of a kext, or of the kernel. */
export function findMetaClass(k: Macos, name: string): Address | undefined {
  const found = allMetaClasses(k).find((at) => classNameOf(k, at) === name);
  if (found !== undefined) return found;
  return kernelClass(k, name) === undefined ? undefined : kernelMetaClass(k, name);
}

/** The classes whose OSMetaClass lies in the kext, with their live instances. */
export function metaClassesOf(k: Macos, kext: LoadedKext): MetaClassCount[] {
  return metaClassesIn(k, kext).map((at) => ({
    name: classNameOf(k, at),
    instances: k.read('OSMetaClass.instanceCount', at),
  }));
}

export const metaClassesIn = (k: Macos, { base, bytes }: Pick<LoadedKext, 'base' | 'bytes'>): Address[] =>
  allMetaClasses(k).filter((at) => at >= base && at < base + bytes);

/** Forgets the metaclasses of an image that goes away: their destructors need not have run. */
export function forgetMetaClasses(k: Macos, kext: Pick<LoadedKext, 'base' | 'bytes'>): void {
  for (const at of metaClassesIn(k, kext)) k.state(runtime).metaClasses.delete(at);
}

function construct(k: Macos, at: Address, name: Address, parent: Address, size: number): void {
  k.write('OSMetaClass.vtable', at, pointTo(k, metaVtable(k, 'OSMetaClass')));
  k.write('OSMetaClass.reserved', at, 0);
  k.write('OSMetaClass.superClassLink', at, parent);
  k.write('OSMetaClass.className', at, name);
  k.write('OSMetaClass.classSize', at, size);
  k.write('OSMetaClass.instanceCount', at, 0);
  k.state(runtime).metaClasses.add(at);
}

/** Instances count in their own class, and the first one in its parent as well. */
export function countInstance(k: Macos, at: Address, by: 1 | -1): void {
  const instances = k.read('OSMetaClass.instanceCount', at) + by;
  k.poke('OSMetaClass.instanceCount', at, instances);
  const parent = k.read('OSMetaClass.superClassLink', at);
  const changed = by === 1 ? instances === 1 : instances === 0;
  if (changed && parent !== 0) countInstance(k, parent, by);
}

// -- objects ----------------------------------------------------------------------------------------------------

/** An object of a kernel class, as its default constructor leaves it: one reference, the rest zero. */
export function newObject(k: Macos, name: string): Address {
  const bytes = Math.max(kernelClass(k, name)?.size ?? 64, LEAST_BYTES);
  const at = k.heap.allocate(bytes, name);
  if (at !== 0) construct1(k, name, at, kernelMetaClass(k, name));
  return at;
}

function construct1(k: Macos, name: string, at: Address, counted: Address | undefined): void {
  k.memory.setPtr(at, vtablePointer(k, name));
  k.write('OSObject.retainCount', at, 1);
  if (counted !== undefined) countInstance(k, counted, 1);
}

/** Calls a virtual function of an object through its own vtable. */
export function* invoke(
  k: Macos,
  at: Address,
  name: string,
  symbol: string,
  ...args: readonly (number | bigint)[]
): Steps<number> {
  const slot = k.classes.slot(name, symbol);
  return yield* k.call(virtualFunction(k, at, slot), at, ...args);
}

/** The metaclass of an object; 0 for the null pointer. */
export function* metaClassOf(k: Macos, at: Address): Steps<Address> {
  return at === 0 ? 0 : yield* invoke(k, at, 'OSObject', '_ZNK8OSObject12getMetaClassEv');
}

export function inherits(k: Macos, meta: Address, wanted: Address): boolean {
  for (let at = meta, left = 64; at !== 0 && left > 0; left--) {
    if (at === wanted) return true;
    at = k.read('OSMetaClass.superClassLink', at);
  }
  return false;
}

/** An instance by its metaclass, as IOCatalogue makes drivers: what alloc of that class gives. */
export function* allocateInstance(k: Macos, meta: Address): Steps<Address> {
  const slot = (k.classes.get('OSMetaClass')?.slots ?? []).indexOf(PURE);
  return yield* k.call(virtualFunction(k, meta, slot), meta);
}

// -- functions that every class has -------------------------------------------------------------------------------

const define = (prototype: string, handler: KernelFunction<Macos>['handler']): KernelFunction<Macos> => ({
  prototype,
  handler,
});

/** Constructors, destructors, getMetaClass, alloc and unused slots of the kernel's classes, by mangled name. */
export function classFunction(k: Macos, name: string): KernelFunction<Macos> | undefined {
  const parts = /^_ZNK?(\d+)(\w+)$/.exec(name);
  if (parts === null) return undefined;
  const owner = parts[2].slice(0, Number(parts[1]));
  const rest = parts[2].slice(Number(parts[1]));
  const reserved = /^\d+_RESERVED(\w+?)(\d+)Ev$/.exec(rest);
  if (reserved !== null) return reservedFunction(owner, reserved[2]);
  if (owner === 'OSMetaClass' || owner === 'OSMetaClassBase' || kernelClass(k, owner) === undefined)
    return undefined;
  switch (rest) {
    case 'C1EPK11OSMetaClass':
    case 'C2EPK11OSMetaClass':
      return define('void f(void *at, const void *meta)', (kernel, at: Address) =>
        construct1(kernel, owner, at, undefined),
      );
    case 'C1Ev':
    case 'C2Ev':
      return define('void f(void *at)', (kernel, at: Address) =>
        construct1(kernel, owner, at, kernelMetaClass(kernel, owner)),
      );
    case 'D0Ev':
      return define('void f(void *at)', (kernel, at: Address) => kernel.heap.free(at));
    case 'D1Ev':
    case 'D2Ev':
      return define('void f(void *at)', () => undefined);
    case '12getMetaClassEv':
      return define('const void *f(const void *at)', (kernel) => kernelMetaClass(kernel, owner));
    case '9MetaClass5allocEv':
      return define('void *f(const void *at)', (kernel) => newObject(kernel, owner));
    default:
      return undefined;
  }
}

/** OSMetaClass::reservedCalled: nobody may call a slot that is kept for later. */
function reservedFunction(owner: string, index: string): KernelFunction<Macos> {
  return define('void f(void *at)', (k) => {
    throw k.panic(`panic(cpu 0): "${owner}::_RESERVED${owner}${index} called."`);
  });
}

export const metaClassFunctions = kernelFunctions({
  'void _ZN11OSMetaClassC1EPKcPKS_j(void *at, const char *name, const void *parent, unsigned int size)':
    construct,
  'void _ZN11OSMetaClassC2EPKcPKS_j(void *at, const char *name, const void *parent, unsigned int size)':
    construct,
  'void _ZN11OSMetaClassD0Ev(void *at)': (k, at) => void k.state(runtime).metaClasses.delete(at),
  'void _ZN11OSMetaClassD1Ev(void *at)': (k, at) => void k.state(runtime).metaClasses.delete(at),
  'void _ZN11OSMetaClassD2Ev(void *at)': (k, at) => void k.state(runtime).metaClasses.delete(at),
  'void _ZNK11OSMetaClass19instanceConstructedEv(const void *at)': (k, at) => countInstance(k, at, 1),
  'void _ZNK11OSMetaClass18instanceDestructedEv(const void *at)': (k, at) => countInstance(k, at, -1),
  'const char *_ZNK11OSMetaClass12getClassNameEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.className', at),
  'const void *_ZNK11OSMetaClass13getSuperClassEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.superClassLink', at),
  'unsigned int _ZNK11OSMetaClass16getInstanceCountEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.instanceCount', at),
  'unsigned int _ZNK11OSMetaClass12getClassSizeEv(const void *at)': (k, at) =>
    k.read('OSMetaClass.classSize', at),
  // A metaclass is never counted and never freed.
  'void _ZNK11OSMetaClass6retainEv(const void *at)': () => undefined,
  'void _ZNK11OSMetaClass7releaseEv(const void *at)': () => undefined,
  'void _ZNK11OSMetaClass7releaseEi(const void *at, int when)': () => undefined,
  'void _ZNK11OSMetaClass12taggedRetainEPKv(const void *at, const void *tag)': () => undefined,
  'void _ZNK11OSMetaClass13taggedReleaseEPKv(const void *at, const void *tag)': () => undefined,
  'void _ZNK11OSMetaClass13taggedReleaseEPKvi(const void *at, const void *tag, int when)': () => undefined,
  'int _ZNK11OSMetaClass14getRetainCountEv(const void *at)': () => 0,
  'const void *_ZNK11OSMetaClass12getMetaClassEv(const void *at)': (k) => kernelMetaClass(k, 'OSMetaClass'),
  'void *_ZN8OSObjectnwEm(size_t size)': (k, size) => k.heap.allocate(size, 'OSObject'),
  'void _ZN8OSObjectdlEPvm(void *at, size_t size)': (k, at) => k.heap.free(at),
  'void __cxa_pure_virtual(void)': (k) => {
    throw k.panic('panic(cpu 0): "__cxa_pure_virtual"');
  },
});
