/** Which of a kext's symbols its direct dependencies offer, and a link without a kernel: kxld's own steps, at made-up addresses. */
import { FormatError } from '../../../bytes/errors.ts';
import { type MachoFile, readMachO } from '../../../formats/macho/read.ts';
import type { Address } from '../../../memory/address.ts';
import { KPI_KEXTS, KPI_PREFIX, OLD_KEXTS } from '../kpi.ts';
import { isObjectKext, LinkFailure } from '../kxld/image.ts';
import { KMOD_INFO, type LinkedKext, linkKext, UnresolvedSymbols } from '../kxld/link.ts';
import type { Vtable } from '../kxld/vtables.ts';
import type { Kext } from '../library.ts';
import { KernelClasses } from '../runtime/vtables.ts';
import type { CheckedKernel } from './kernel.ts';

/** Where the image is thought to lie; kernel symbols follow within reach of 32-bit displacements. */
const BASE = { x86_64: -(2 ** 40), i386: 0x2a00_0000 };
const SYMBOLS = 0x4000_0000;
const STEP = 16;

export interface TrialLink {
  readonly kext: Kext;
  /** Direct dependencies that are kexts. */
  readonly libraries: readonly Kext[];
  /** KPIs that it names, and those of umbrellas without code. */
  readonly interfaces: ReadonlySet<string>;
  /** Some library was not there to be looked at: what it exports and defines is not known. */
  readonly incomplete: boolean;
}

const MAX_UMBRELLAS = 4;
const INTERFACES = [...KPI_KEXTS, ...OLD_KEXTS];

/** The direct libraries of a kext among those that are known, with what umbrellas without code stand for. */
export function planLink(kext: Kext, known: readonly Kext[]): TrialLink {
  const interfaces = new Set<string>();
  const libraries: Kext[] = [];
  let incomplete = false;
  const add = (names: Iterable<string>, depth: number): void => {
    for (const name of names) {
      const kpi = INTERFACES.find(({ identifier }) => identifier === name);
      if (kpi !== undefined) interfaces.add(kpi.owner ?? name);
      const library = known.find(({ identifier }) => identifier === name);
      if (library === undefined) {
        if (kpi === undefined && !name.startsWith(KPI_PREFIX)) incomplete = true;
      } else if (library.info.executable === undefined && depth < MAX_UMBRELLAS)
        add(library.info.libraries.keys(), depth + 1);
      else libraries.push(library);
    }
  };
  add(kext.info.libraries.keys(), 0);
  return { kext, libraries, interfaces, incomplete };
}

/** Links kexts and the libraries below them, each once. */
export class TrialLinker {
  readonly classes: KernelClasses;
  private readonly kernel: CheckedKernel;
  private readonly base: Address;
  private readonly addresses = new Map<string, Address>();
  private readonly done = new Map<Kext, LinkedKext | undefined>();
  private readonly plan: (kext: Kext) => TrialLink;

  constructor(kernel: CheckedKernel, plan: (kext: Kext) => TrialLink) {
    this.kernel = kernel;
    this.plan = plan;
    this.base = BASE[kernel.architecture === 'i386' ? 'i386' : 'x86_64'];
    this.classes = new KernelClasses(kernel.release, kernel.architecture);
  }

  private addressOf(name: string): Address {
    const known = this.addresses.get(name);
    if (known !== undefined) return known;
    const fresh = this.base + SYMBOLS + this.addresses.size * STEP;
    this.addresses.set(name, fresh);
    return fresh;
  }

  /** Who offers a symbol to the kext: a KPI, a library kext; undefined when nobody that it names does. */
  offeredBy({ interfaces, libraries }: TrialLink, name: string): string | undefined {
    const kpi = this.kernel.owners(name).find(({ owner }) => interfaces.has(owner));
    if (kpi !== undefined) return kpi.owner;
    return libraries.find((one) => exportsOf(one).has(name))?.identifier;
  }

  /** @throws LinkFailure in kxld's words, FormatError for a damaged file */
  link(plan: TrialLink): LinkedKext | undefined {
    const { kext } = plan;
    if (this.done.has(kext)) return this.done.get(kext);
    this.done.set(kext, undefined);
    const bytes = kext.executable;
    if (bytes === undefined) return undefined;
    const vtables = plan.libraries.map((one) => this.tryLink(one)?.vtables);
    const linked = linkKext(readMachO(bytes), this.base, {
      resolve: (name) =>
        this.offeredBy(plan, name) !== undefined || plan.incomplete || PADDING.test(name)
          ? this.addressOf(name)
          : undefined,
      defined: (name) => (this.offeredBy(plan, name) === undefined ? undefined : this.addressOf(name)),
      weakDefault: this.addressOf('_gOSKextUnresolved'),
      classes: {
        vtable: (name) =>
          vtables.map((known) => known?.get(name)).find((one) => one !== undefined) ??
          this.kernelVtable(name),
        mayBeUnknown: () => plan.incomplete,
      },
    });
    this.done.set(kext, linked);
    return linked;
  }

  /** Of names that nobody offers, those that the link needs: in a vtable the parent's function may take their place. */
  needed(plan: TrialLink, names: readonly string[]): readonly string[] {
    if (names.length === 0) return names;
    try {
      this.link(plan);
      return [];
    } catch (error) {
      if (error instanceof UnresolvedSymbols) return names.filter((name) => error.names.includes(name));
      if (error instanceof LinkFailure || error instanceof FormatError) return names;
      throw error;
    } finally {
      this.done.delete(plan.kext);
    }
  }

  /** A library that does not link itself is the fault of its own check. */
  private tryLink(library: Kext): LinkedKext | undefined {
    try {
      return this.link(this.plan(library));
    } catch (error) {
      if (error instanceof LinkFailure || error instanceof FormatError) return undefined;
      throw error;
    }
  }

  private kernelVtable(name: string): Vtable | undefined {
    return this.classes
      .get(name)
      ?.slots.map((slot) => ({ name: `_${slot}`, address: this.addressOf(`_${slot}`) }));
  }
}

/** Room in a class's vtable: patched with what the release has there. */
const PADDING = /^__ZNK?\d+\w+?\d+_RESERVED\w+?\d+Ev$/;

const exported = new WeakMap<Kext, ReadonlySet<string>>();

/** What a library exports; nothing when its code cannot be read. */
export function exportsOf(kext: Kext): ReadonlySet<string> {
  const known = exported.get(kext);
  if (known !== undefined) return known;
  let names: ReadonlySet<string> = new Set();
  try {
    const bytes = kext.executable;
    if (bytes !== undefined)
      names = new Set(
        readMachO(bytes)
          .symbols()
          ?.exports.map(({ name }) => name),
      );
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
  }
  exported.set(kext, names);
  return names;
}

export interface SymbolNeeds {
  readonly common: readonly string[];
  /** Undefined names that no weak reference excuses. */
  readonly strong: readonly string[];
  readonly weak: readonly string[];
  /** Does it ask whether weak references were resolved? */
  readonly tests: boolean;
  readonly hasKmodInfo: boolean;
}

export function symbolNeeds(file: MachoFile): SymbolNeeds | undefined {
  const table = file.symbols();
  if (table === undefined) return undefined;
  const names = (list: readonly { readonly name: string }[]): string[] => [
    ...new Set(list.map(({ name }) => name).filter((name) => name !== '')),
  ];
  return {
    // Kexts that are object files may have them.
    common: isObjectKext(file) ? [] : names(table.all.filter(({ kind }) => kind === 'common')),
    strong: names(table.undefined.filter(({ weakReference }) => !weakReference)),
    weak: names(table.undefined.filter(({ weakReference }) => weakReference)),
    tests: table.all.some(({ name }) => name === '_gOSKextUnresolved'),
    hasKmodInfo: table.find(KMOD_INFO)?.kind === 'section',
  };
}
