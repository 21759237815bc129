/**
 * link_elf_load_file of sys/kern/link_elf_obj.c for relocatable files: what is checked, where sections go, how symbols
 * get their values and places their relocations. The bytes are put together outside of guest memory; nothing of the
 * module can run before they are written.
 */

import { FormatError } from '../../bytes/errors.ts';
import { SHT } from '../../formats/elf/layout.ts';
import type { Machine, ObjectRelocation, ObjectSection, ObjectSymbol } from '../../formats/object.ts';
import type { PlacedSection, Segment } from '../../kernel/modules.ts';
import { relocationMachine } from '../../link/machines.ts';
import { type AreaRule, ImageTooLarge, planPlacement, type StagedSection, stage } from '../../link/place.ts';
import { applyRelocations, type RelocationPolicy, relocationTarget } from '../../link/relocate.ts';
import { AreaError } from '../../memory/areas.ts';
import { OutOfMemory } from '../../memory/frames.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import { type Elf, isForeign } from './elf.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import { isLocal, knownTypes, unknownText } from './rules/relocations.ts';
import { majorOf } from './version.ts';

/** SHT_X86_64_UNWIND */
const SHT_UNWIND = 0x70000001;
/** Sections that go into storage of their own (DPCPU_SETNAME, VNET_SETNAME). */
const PER_CPU = 'set_pcpu';
const PER_VNET = 'set_vnet';

/** Looks an undefined symbol up; undefined when nobody has it. */
export type SymbolLookup = (symbol: ObjectSymbol) => Address | undefined;

/** A file in memory, whichever linker class put it there. */
export interface Placed {
  readonly base: Address;
  /** As kldstat shows it. */
  readonly size: number;
  readonly elf: Elf;
  relocate(locals: boolean, lookup: SymbolLookup): void;
  /** Writes the finished bytes; from here on the code can run. */
  commit(): void;
  release(): void;
  sectionNamed(name: string): { readonly address: Address; readonly size: number } | undefined;
  symbols(): Map<string, { address: Address; local: boolean; size: number }>;
  segments(): Segment[];
  placedSections(): Map<number, PlacedSection>;
}

export class PlacedObject implements Placed {
  readonly base: Address;
  readonly size: number;
  readonly pages: number;
  readonly elf: Elf;
  private readonly k: FreeBsd;
  private readonly sections = new Map<number, StagedSection>();
  private readonly bytes: Uint8Array;
  private readonly values: Float64Array;
  private readonly segment: Segment;
  private readonly commons: Address[] = [];

  constructor(k: FreeBsd, elf: Elf) {
    this.k = k;
    this.elf = elf;
    const plan = planPlacement(elf.object, [RULE], (section) => this.isLoaded(section) && !isApart(section));
    const [area] = plan.areas;
    this.size = area.size;
    this.pages = Math.max(1, Math.ceil(area.size / PAGE_SIZE));
    this.base = takePages(k, this.pages, elf.name);
    const staged = stage(plan, () => this.base);
    this.bytes = staged.areas[0].bytes;
    for (const [index, section] of staged.sections) this.sections.set(index, section);
    this.segment = { name: elf.name, base: this.base, bytes: this.size, pages: this.pages, perm: RULE_PERM };
    this.placeApart();
    this.values = new Float64Array(elf.object.symbols.length);
    for (const symbol of elf.object.symbols) this.values[symbol.index] = this.ownValue(symbol);
  }

  /** Values of undefined `__start_X` and `__stop_X` are the ends of section X (link_elf_fix_link_set). */
  private ownValue(symbol: ObjectSymbol): number {
    if (symbol.place === 'section') return (this.sections.get(symbol.section)?.address ?? 0) + symbol.value;
    if (symbol.place === 'absolute') return symbol.value;
    const edge = /^__(start|stop)_(.+)$/.exec(symbol.name);
    const section = edge === null ? undefined : this.sectionNamed(edge[2]);
    if (edge === null || section === undefined) return Number.NaN;
    return edge[1] === 'start' ? section.address : section.address + section.size;
  }

  /** Applies the relocations of one pass: those of local symbols, or all others. */
  relocate(locals: boolean, lookup: SymbolLookup): void {
    const { object } = this.elf;
    const machine = relocationMachine(object.machine);
    if (machine === undefined)
      throw new KernelErrno(Errno.ENOEXEC, `no relocations are known for ${object.machine}`);
    for (const { section, address, bytes } of this.sections.values()) {
      const wanted = object.relocations(section.index).filter((one) => isLocal(object, one) === locals);
      if (!locals) for (const one of wanted) this.resolve(one, lookup);
      applyRelocations(
        machine,
        relocationTarget(bytes, address),
        wanted,
        this.values,
        relocationPolicy(this.k, object.machine),
      );
    }
  }

  private resolve(relocation: ObjectRelocation, lookup: SymbolLookup): void {
    const symbol = this.elf.object.symbols[relocation.symbol];
    if (symbol === undefined || !Number.isNaN(this.values[symbol.index])) return;
    const found = lookup(symbol);
    if (found !== undefined) this.values[symbol.index] = found;
    else if (symbol.place === 'common') this.values[symbol.index] = this.common(symbol);
    else if (symbol.binding === 'weak') this.values[symbol.index] = 0;
    else throw undefinedSymbol(this.k, 'link_elf_obj', this.elf, symbol.name);
  }

  /** Storage of a common symbol belongs to the file that first needs it. */
  private common({ size }: ObjectSymbol): Address {
    const at = this.k.heap.allocate(size);
    if (at === 0) throw new KernelErrno(Errno.ENOMEM);
    this.commons.push(at);
    return at;
  }

  commit(): void {
    const { memory } = this.k;
    memory.poke(this.base, this.bytes);
    for (const { section, address, bytes } of this.sections.values()) {
      if (isApart(section)) memory.write(address, bytes);
    }
    this.protect();
  }

  /** From 12 on pages lose what no section on them needs (link_elf_protect); before, all could be written and run. */
  private protect(): void {
    if (majorOf(this.k.version) < 12) return;
    const perms = new Array<number>(this.pages).fill(Perm.R);
    for (const { section, address } of this.sections.values()) {
      if (isApart(section)) continue;
      const perm = (section.writable ? Perm.W : 0) | (section.executable ? Perm.X : 0);
      const first = Math.floor((address - this.base) / PAGE_SIZE);
      const last = Math.floor((address + Math.max(1, section.size) - 1 - this.base) / PAGE_SIZE);
      for (let page = first; page <= last; page++) perms[page] |= perm;
    }
    for (const [page, perm] of perms.entries()) this.k.memory.protect(this.base + page * PAGE_SIZE, 1, perm);
  }

  release(): void {
    for (const at of this.commons.splice(0)) this.k.heap.free(at);
    this.k.unmapPages(this.k.moduleArea, this.base, this.pages);
  }

  sectionNamed(name: string): { address: Address; size: number } | undefined {
    for (const { section, address } of this.sections.values()) {
      if (section.name === name) return { address, size: section.size };
    }
    return undefined;
  }

  /** Symbols by name with their addresses; of two of one name the first counts. */
  symbols(): Map<string, { address: Address; local: boolean; size: number }> {
    const symbols = new Map<string, { address: Address; local: boolean; size: number }>();
    for (const { index, name, place, binding, type, size } of this.elf.object.symbols) {
      if (place !== 'section' || name === '' || type === 'section' || type === 'file' || symbols.has(name))
        continue;
      symbols.set(name, { address: this.values[index], local: binding === 'local', size });
    }
    return symbols;
  }

  segments(): Segment[] {
    return [this.segment];
  }

  placedSections(): Map<number, PlacedSection> {
    const placed = new Map<number, PlacedSection>();
    for (const [index, { section, address }] of this.sections) {
      placed.set(index, { index, name: section.name, address, size: section.size, segment: this.segment });
    }
    return placed;
  }

  private isLoaded(section: ObjectSection): boolean {
    const type = this.elf.file.sections[section.index]?.type;
    const known = type === SHT.PROGBITS || type === SHT.NOBITS || type === SHT_UNWIND || this.isArray(type);
    return section.allocated && section.size > 0 && known;
  }

  /** SHT_INIT_ARRAY and SHT_FINI_ARRAY count from 13 on. */
  private isArray(type: number | undefined): boolean {
    return majorOf(this.k.version) >= 13 && (type === 14 || type === 15);
  }

  private placeApart(): void {
    for (const section of this.elf.object.sections) {
      if (!isApart(section) || !this.isLoaded(section)) continue;
      const bytes = new Uint8Array(section.size);
      bytes.set(section.data.subarray(0, section.size));
      this.sections.set(section.index, { section, address: this.k.data.reserve(section.size), bytes });
    }
  }
}

export const RULE_PERM = Perm.R | Perm.W | Perm.X;
/** One stretch of memory, sections in the order of their headers. */
const RULE: AreaRule = {
  name: 'kld',
  segmentAlign: 1,
  segments: [{ name: 'kld', perm: RULE_PERM, takes: () => true }],
};

/** Prints what the linker class says, and gives the error. */
export function undefinedSymbol(k: FreeBsd, linker: string, elf: Elf, symbol: string): KernelErrno {
  k.printf(`${linker}: symbol ${symbol} undefined\n`);
  return new KernelErrno(
    Errno.ENOENT,
    `${elf.name} needs the symbol ${symbol}, which neither the kernel nor a file it depends on has.`,
    isForeign(elf)
      ? 'The file has no linker sets of FreeBSD: it is a module of another system.'
      : 'If another module has it, the module must declare MODULE_DEPEND on that one.',
  );
}

/** No overflow is ever noticed; what the kernel does not know is refused with its words. */
export function relocationPolicy(k: FreeBsd, machine: Machine): RelocationPolicy {
  const known = knownTypes(machine, k.version) ?? new Set<number>();
  return {
    known,
    unchecked: known,
    emptyPlace: false,
    fail(problem, relocation) {
      if (problem.kind !== 'unknown-type')
        throw new KernelErrno(Errno.ENOEXEC, `A relocation is wrong: ${problem.kind}.`);
      k.printf(`${unknownText(k.version, machine, relocation)}\n`);
      throw new KernelErrno(
        Errno.ENOENT,
        `Relocation type ${problem.type} is not one that the kernel linker knows.`,
        'It comes from compiler flags of another system: a module for amd64 is compiled with -mcmodel=kernel and without -fPIC.',
      );
    },
  };
}

function isApart({ name }: ObjectSection): boolean {
  return name === PER_CPU || name === PER_VNET;
}

export function takePages(k: FreeBsd, pages: number, name: string): Address {
  if (pages > k.memory.frames.freePages)
    throw new KernelErrno(Errno.ENOMEM, `There is no memory for ${name}.`);
  try {
    return k.mapPages(k.moduleArea, pages, RULE_PERM, `module ${name}`);
  } catch (error) {
    if (error instanceof OutOfMemory || error instanceof AreaError)
      throw new KernelErrno(Errno.ENOMEM, `There is no memory for ${name}.`);
    throw error;
  }
}

/** A file whose tables contradict it: the kernel would fail one of its own checks on it, or crash. */
export function asErrno(error: unknown): unknown {
  if (error instanceof FormatError) return new KernelErrno(Errno.ENOEXEC, error.message);
  if (error instanceof ImageTooLarge) return new KernelErrno(Errno.ENOMEM, error.message);
  return error;
}
