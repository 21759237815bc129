/**
 * Loading a kext into the kernel (OSKext::load, ::start and ::unload of libkern/c++/OSKext.cpp), in the kernel's order and
 * words. What user space checks before it asks the kernel is in rules/.
 */
import type { FormatError } from '../../bytes/errors.ts';
import { type MachoFile, readMachO } from '../../formats/macho/read.ts';
import type { Steps } from '../../kernel/steps.ts';
import { Transaction } from '../../kernel/transaction.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { KextInfo } from './info.ts';
import type { LoadedKext } from './kexts.ts';
import { KPI_PREFIX } from './kpi.ts';
import { headerBytes, imageBytes, imageSegments, LinkFailure } from './kxld/image.ts';
import { type LinkedKext, linkKext } from './kxld/link.ts';
import { hasClasses, type ParentClasses } from './kxld/vtables.ts';
import type { Macos } from './macos.ts';
import { KextError, OS_RETURN } from './os-return.ts';
import {
  allMetaClasses,
  classNameOf,
  forgetMetaClasses,
  kernelClass,
  metaClassesIn,
  metaClassesOf,
} from './runtime/classes.ts';
import { finaliseCpp, initialiseCpp } from './runtime/modules.ts';
import { matchLater, type Personality, services, terminateDrivers } from './runtime/services.ts';
import { parseVersion } from './version.ts';
import { type KernelWords, LOUDNESS } from './words.ts';

/** A kext as user space hands it to the kernel. */
export interface KextRequest {
  readonly path: string;
  readonly info: KextInfo;
  /** The Mach-O file for this machine; undefined for a codeless kext. */
  readonly executable: Uint8Array | undefined;
  /** The personalities that are sent to the kernel with it; all when nothing is said. */
  readonly personalities?: readonly string[];
}

/** Finds a kext that is not loaded by identifier and version; user space has handed over all that may be needed. */
export type FindKext = (identifier: string, version: bigint) => KextRequest | undefined;

const code = (name: keyof typeof OS_RETURN): string => `0x${OS_RETURN[name].toString(16)}`;

/** Loads and starts a kext after its dependencies. A kext that is loaded already is left alone. @throws KextError */
export function* loadKext(
  k: Macos,
  request: KextRequest,
  find: FindKext,
  words: KernelWords,
): Steps<LoadedKext> {
  const identifier = request.info.identifier ?? '';
  try {
    return yield* load(k, request, find, words, []);
  } catch (error) {
    if (error instanceof KextError)
      words.say(`Failed to load kext ${identifier} (error ${code(error.code)}).`);
    throw error;
  }
}

function* load(
  k: Macos,
  request: KextRequest,
  find: FindKext,
  words: KernelWords,
  stack: readonly string[],
): Steps<LoadedKext> {
  const { info } = request;
  const identifier = info.identifier ?? '';
  const known = k.kexts.find(identifier);
  if (known !== undefined) {
    checkSame(known, request, words);
    if (!known.started) yield* start(k, known, words);
    publishPersonalities(k, info, request.personalities);
    matchLater(k);
    return known;
  }
  if (stack.includes(identifier)) {
    words.say(`Kext ${identifier} has a dependency loop; can't resolve dependencies.`);
    throw new KextError('Dependencies', {
      rule: 'macos.dependency-loop',
      note: `${[...stack, identifier].join(' needs ')}`,
    });
  }
  const transaction = new Transaction();
  try {
    const dependencies = yield* loadDependencies(k, request, find, words, [...stack, identifier]);
    const kext = place(k, request, dependencies, words, transaction);
    k.kexts.add(kext);
    transaction.undo('list of kexts', () => k.kexts.remove(kext));
    yield* start(k, kext, words);
    // The list is left by unloadKext itself; the rest is undone at the end of an unload.
    transaction.keep('list of kexts');
    k.loads.set(kext, transaction.commit());
    publishPersonalities(k, info, request.personalities);
    if (info.personalities.size > 0) matchLater(k);
    return kext;
  } catch (error) {
    yield* transaction.unwind();
    if (error instanceof KextError) words.say(`Kext ${identifier} failed to load (${code(error.code)}).`);
    throw error;
  }
}

/** A copy that is loaded must be the same version and the same executable. */
function checkSame(known: LoadedKext, request: KextRequest, words: KernelWords): void {
  const { info, executable } = request;
  if (known.isKernelComponent) return;
  const version = info.versionText ?? '';
  if (info.version !== known.version) {
    words.say(
      `Refusing new kext ${known.identifier}, v${version}: already have loaded v${known.versionText}.`,
    );
    throw new KextError('LoadedVersionDiffers', { rule: 'macos.loaded-version' });
  }
  const uuid = executable === undefined ? undefined : readMachO(executable).uuid;
  if (uuid !== known.uuid) {
    words.say(
      `Refusing new kext ${known.identifier}, v${version}: a loaded copy with a different executable UUID is already present.`,
    );
    throw new KextError('LoadedVersionDiffers', { rule: 'macos.loaded-uuid' });
  }
}

function* loadDependencies(
  k: Macos,
  { info }: KextRequest,
  find: FindKext,
  words: KernelWords,
  stack: readonly string[],
): Steps<LoadedKext[]> {
  const loaded: LoadedKext[] = [];
  for (const [wanted, versionText] of info.libraries) {
    const version = parseVersion(versionText);
    const present = k.kexts.find(wanted);
    const request = present === undefined ? find(wanted, version) : undefined;
    if (present === undefined && request === undefined) {
      words.say(`Can't load kext ${info.identifier} - library kext ${wanted} not found.`);
      throw new KextError('Dependencies', {
        rule: 'macos.dependency-missing',
        note: `no kext ${wanted} is installed or loaded`,
      });
    }
    if (
      present !== undefined &&
      !(present.compatible > 0n && present.compatible <= version && version <= present.version)
    ) {
      words.say(
        `Can't load kext ${info.identifier} - library kext ${wanted} not compatible with requested version ${versionText}.`,
      );
      throw new KextError('Dependencies', {
        rule: 'macos.dependency-version',
        note: `${wanted} ${present.versionText} is loaded; ${versionText} is asked for`,
      });
    }
    if (present !== undefined) loaded.push(present);
    else if (request !== undefined) {
      try {
        loaded.push(yield* load(k, request, find, words, stack));
      } catch (error) {
        if (!(error instanceof KextError)) throw error;
        words.say(`Dependency ${wanted} of kext ${info.identifier} failed to load.`);
        throw new KextError(error.code === 'Dependencies' ? 'Dependencies' : 'DependencyLoadError', {
          note: error.note,
          rule: error.rule,
        });
      }
    }
  }
  return loaded;
}

/** Links the executable and puts it into kernel memory; a codeless kext has only a descriptor. */
function place(
  k: Macos,
  request: KextRequest,
  dependencies: readonly LoadedKext[],
  words: KernelWords,
  transaction: Transaction,
): LoadedKext {
  const { info, executable, path } = request;
  const identifier = info.identifier ?? '';
  const common = {
    identifier,
    versionText: info.versionText ?? '',
    version: info.version,
    compatible: info.compatibleVersion,
    path,
    info,
    dependencies: [...dependencies],
    isKernelComponent: false,
    started: false,
    cppReady: false,
  };
  if (executable === undefined) {
    const control = k.heap.allocate(k.sizeof('struct kmod_info'), 'OSKext');
    k.kexts.describe(control, { name: identifier, version: common.versionText, address: 0, size: 0 });
    k.poke('kmod_info.id', control, k.kexts.nextTag());
    transaction.undo('descriptor', () => k.heap.free(control));
    return {
      ...common,
      control,
      base: 0,
      bytes: 0,
      uuid: undefined,
      image: undefined,
      exports: reexports(dependencies),
    };
  }
  const file = readMachO(executable);
  const bytes = imageBytes(imageSegments(file));
  const base = transaction.acquire(
    'image',
    () => k.mapPages(k.kextArea, Math.max(1, bytes / PAGE_SIZE), Perm.R | Perm.W, identifier),
    (at) => k.unmapPages(k.kextArea, at, Math.max(1, bytes / PAGE_SIZE)),
  );
  const linked = link(k, file, base, identifier, dependencies, words);
  k.memory.poke(base, linked.image.bytes);
  const control = linked.kmodInfo;
  k.kexts.describe(control, { name: identifier, version: common.versionText, address: base, size: bytes });
  k.poke('kmod_info.id', control, k.kexts.nextTag());
  // Of an object file the page of its header stays in front.
  k.poke('kmod_info.hdr_size', control, headerBytes(linked.image));
  transaction.undo('references', refer(k, control, dependencies));
  for (const segment of linked.image.segments)
    k.memory.protect(base + segment.offset, segment.bytes / PAGE_SIZE, segment.perm);
  transaction.undo('classes', () => forgetMetaClasses(k, { base, bytes }));
  transaction.undo('symbols', k.symbols.add(base, bytes, identifier, linked.symbols));
  return {
    ...common,
    control,
    base,
    bytes,
    uuid: file.uuid,
    image: linked.image,
    exports: linked.exports,
    vtables: linked.vtables,
  };
}

/** An umbrella without code offers its own dependencies' symbols as its own. */
function reexports(dependencies: readonly LoadedKext[]): Map<string, Address> {
  return new Map(dependencies.flatMap(({ exports }) => [...(exports ?? [])]));
}

function link(
  k: Macos,
  file: MachoFile,
  base: Address,
  identifier: string,
  dependencies: readonly LoadedKext[],
  words: KernelWords,
): LinkedKext {
  const table = file.symbols();
  if (!k.classes.known && table !== undefined && hasClasses(table)) {
    words.say(`Can't load kext ${identifier} - link failed.`);
    throw new KextError('LinkError', {
      rule: 'macos.classes',
      note: `it has C++ classes, and the order of virtual functions in ${k.release.product} is not recorded`,
    });
  }
  try {
    return linkKext(file, base, {
      resolve: (name) => resolveSymbol(k, dependencies, name),
      defined: (name) => exportedSymbol(k, dependencies, name),
      weakDefault: k.object('_gOSKextUnresolved'),
      classes: parentClasses(k, dependencies),
    });
  } catch (error) {
    if (!(error instanceof LinkFailure) && !isFormatError(error)) throw error;
    for (const line of error.message.split('\n')) words.say(`kxld[${identifier}]: ${line}`);
    words.say(`Can't load kext ${identifier} - link failed.`);
    words.say(`Failed to load executable for kext ${identifier}.`);
    throw new KextError('LinkError', {
      rule: 'macos.link',
      note: error instanceof LinkFailure ? error.note : 'the executable is damaged',
    });
  }
}

/** Kexts with all that they depend on. */
function closureOf(kexts: readonly LoadedKext[], all = new Set<LoadedKext>()): ReadonlySet<LoadedKext> {
  for (const kext of kexts) {
    if (all.has(kext)) continue;
    all.add(kext);
    closureOf(kext.dependencies, all);
  }
  return all;
}

/** Classes of the kernel, and of every kext that this one is linked against, directly or not. */
function parentClasses(k: Macos, dependencies: readonly LoadedKext[]): ParentClasses {
  const all = closureOf(dependencies);
  return {
    vtable: (name) => {
      for (const { vtables } of all) {
        const found = vtables?.get(name);
        if (found !== undefined) return found;
      }
      const one = kernelClass(k, name);
      return one?.slots.map((slot) => ({ name: `_${slot}`, address: k.link(`_${slot}`) }));
    },
    mayBeUnknown: () => [...all].some(({ isStandIn }) => isStandIn === true),
  };
}

const isFormatError = (error: unknown): error is FormatError =>
  error instanceof Error && 'kind' in error && 'what' in error;

/** `__ZN9IOService20_RESERVEDIOService10Ev`: virtual functions that wait for a use. */
const PADDING = /^__ZNK?\d+\w+?\d+_RESERVED\w+?\d+Ev$/;

/** The address for an undefined symbol: what a direct dependency exports, or what stands in for it. */
export function resolveSymbol(
  k: Macos,
  dependencies: readonly LoadedKext[],
  name: string,
): Address | undefined {
  const exported = exportedSymbol(k, dependencies, name);
  if (exported !== undefined) return exported;
  // The padding of a class that this release uses: kxld patches such a slot with the parent's function. Which one that
  // is nobody has recorded here, so a call of it is missing by the padding's name.
  const cxx = dependencies.some(({ identifier }) => identifier === 'com.apple.kpi.libkern');
  if (cxx && PADDING.test(name)) return k.link(name);
  // A stand-in may be thought to export what no interface of the kernel does.
  const family = dependencies.some(({ isStandIn }) => isStandIn === true);
  return family && k.kpi.owners(name).length === 0 ? k.link(name) : undefined;
}

/** Only direct dependencies count; of an umbrella without code, what it names itself. */
function exportedSymbol(k: Macos, dependencies: readonly LoadedKext[], name: string): Address | undefined {
  for (const kext of direct(k, dependencies)) {
    if (kext.isKernelComponent) {
      const found = k.kpi.owners(name).find(({ owner }) => owner === kext.symbolOwner);
      if (found !== undefined) {
        // An alias that nobody wrote under the kernel's own name may be written under the exported one.
        const target = found.target ?? name;
        return k.link(k.implements(target) ? target : name);
      }
      continue;
    }
    const address = kext.exports?.get(name);
    if (address !== undefined) return address;
  }
  return undefined;
}

function direct(k: Macos, dependencies: readonly LoadedKext[]): readonly LoadedKext[] {
  // 32-bit kexts from before the KPIs see what their dependencies see, however far down.
  const old = k.word === 4 && !dependencies.some(({ identifier }) => identifier.startsWith(KPI_PREFIX));
  if (old) return [...closureOf(dependencies)];
  return dependencies.flatMap((kext) =>
    kext.image === undefined && !kext.isKernelComponent ? [kext, ...kext.dependencies] : [kext],
  );
}

/** Counts a reference on each dependency and writes the list of them; gives the way back. */
function refer(k: Macos, control: Address, dependencies: readonly LoadedKext[]): () => void {
  const size = k.sizeof('struct kmod_reference');
  const count = (kext: LoadedKext, by: number): void =>
    k.poke('kmod_info.reference_count', kext.control, k.kexts.references(kext) + by);
  const list = dependencies.length === 0 ? 0 : k.heap.allocate(dependencies.length * size, 'OSKext');
  for (const [i, kext] of dependencies.entries()) {
    const at = list + i * size;
    k.write('kmod_reference.next', at, i + 1 < dependencies.length ? at + size : 0);
    k.write('kmod_reference.info', at, kext.control);
    count(kext, 1);
  }
  k.poke('kmod_info.reference_list', control, list);
  return () => {
    for (const kext of dependencies) count(kext, -1);
    if (list !== 0) k.heap.free(list);
  };
}

/** C++ initialisers, then the start routine. @throws KextError */
function* start(k: Macos, kext: LoadedKext, words: KernelWords): Steps<void> {
  for (const dependency of kext.dependencies) if (!dependency.started) yield* start(k, dependency, words);
  if (kext.image !== undefined) {
    yield* initialiseCpp(k, kext);
    checkClasses(k, kext, words);
    words.say(`Kext ${kext.identifier} calling module start function.`, LOUDNESS.detail);
    const routine = k.read('kmod_info.start', kext.control);
    const result = yield* k.callInt(routine, kext.control, 0);
    if (result !== 0) {
      yield* finaliseCpp(k, kext);
      words.say(`Kext ${kext.identifier} did not start (return code 0x${(result >>> 0).toString(16)}).`);
      words.say(`Kext ${kext.identifier} start failed (result ${code('StartStopError')}).`);
      throw new KextError('StartStopError', {
        rule: 'macos.start',
        note: `its start routine returned ${result}`,
      });
    }
  }
  kext.started = true;
}

/** OSMetaClass::postModLoad: a name that another class has already ends the start. */
function checkClasses(k: Macos, kext: LoadedKext, words: KernelWords): void {
  const own = metaClassesIn(k, kext);
  for (const at of own) {
    const name = classNameOf(k, at);
    const other = allMetaClasses(k).find((one) => !own.includes(one) && classNameOf(k, one) === name);
    if (other === undefined) continue;
    const whose = k.kexts.at(other)?.identifier ?? '__kernel__';
    words.say(
      `OSMetaClass: Kext ${kext.identifier} class ${name} is a duplicate;kext ${whose} already has a class by that name.`,
    );
    throw new KextError('StartStopError', {
      rule: 'macos.duplicate-class',
      note: `${whose} has a class ${name}`,
    });
  }
}

/** Hands a kext's personalities to the catalogue: from now on matching knows them. */
export function publishPersonalities(k: Macos, info: KextInfo, chosen?: readonly string[]): void {
  const { personalities } = k.state(services);
  const kext = info.identifier ?? '';
  for (const [name, properties] of info.personalities) {
    if (chosen?.includes(name) === false) continue;
    const named = properties.CFBundleIdentifier;
    const personality: Personality = { kext: typeof named === 'string' ? named : kext, name, properties };
    if (!personalities.some((one) => one.kext === personality.kext && one.name === name))
      personalities.push(personality);
  }
}

/** Takes them away again. */
export function removePersonalities(k: Macos, identifier: string): void {
  const { personalities } = k.state(services);
  for (let i = personalities.length - 1; i >= 0; i--)
    if (personalities[i].kext === identifier) personalities.splice(i, 1);
}

/** Stops a kext and takes it away (OSKext::unload). Its dependencies stay. @throws KextError */
export function* unloadKext(k: Macos, kext: LoadedKext, words: KernelWords): Steps<void> {
  const { identifier } = kext;
  if (kext.isKernelComponent) {
    words.say(`Can't unload kext ${identifier}; it is a kernel component.`);
    throw new KextError('InvalidArgument', { rule: 'macos.kernel-component' });
  }
  const dependents = k.kexts.dependents(kext);
  if (dependents.length > 0) {
    words.say(
      `Can't unload kext ${identifier}; outstanding references ${dependents.length} (linkage or tracking object).`,
    );
    throw new KextError('InUse', {
      rule: 'macos.references',
      note: `linked against by ${dependents.map((one) => one.identifier).join(', ')}`,
    });
  }
  removePersonalities(k, identifier);
  yield* terminateDrivers(k, (meta) => meta >= kext.base && meta < kext.base + kext.bytes);
  const alive = metaClassesOf(k, kext).filter(({ instances }) => instances > 0);
  if (alive.length > 0) {
    words.say(`Can't unload kext ${identifier}; classes have instances:`);
    for (const { name, instances } of alive) {
      words.say(
        `    Kext ${identifier} class ${name} has ${instances} instance${instances === 1 ? '' : 's'}.`,
      );
    }
    throw new KextError('InUse', { rule: 'macos.instances' });
  }
  yield* stop(k, kext, words);
  k.kexts.remove(kext);
  yield* release(k, kext);
  words.say(`Kext ${identifier} unloaded.`, LOUDNESS.progress);
}

function* stop(k: Macos, kext: LoadedKext, words: KernelWords): Steps<void> {
  if (kext.image === undefined) return;
  words.say(`Kext ${kext.identifier} calling module stop function.`, LOUDNESS.detail);
  const result = yield* k.callInt(k.read('kmod_info.stop', kext.control), kext.control, 0);
  if (result !== 0) {
    words.say(`Kext ${kext.identifier} did not stop (return code 0x${(result >>> 0).toString(16)}).`);
    words.say(`Kext ${kext.identifier} can't unload - module stop returned ${code('StartStopError')}.`);
    throw new KextError('StartStopError', {
      rule: 'macos.stop',
      note: `its stop routine returned ${result}`,
    });
  }
  yield* finaliseCpp(k, kext);
  words.say(`Kext ${kext.identifier} is now stopped and ready to unload.`, LOUDNESS.detail);
}

/** Gives back references, symbols and memory. */
function* release(k: Macos, kext: LoadedKext): Steps<void> {
  for (const undo of k.loads.get(kext) ?? []) {
    const result = undo.step();
    if (result !== undefined) yield* result;
  }
  k.loads.delete(kext);
}
