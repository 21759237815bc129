/**
 * link_elf_load_file of sys/kern/link_elf.c for shared objects, which is what modules of every architecture but amd64 are:
 * the segments as one stretch of memory, RELATIVE relocations first, the others when the dependencies are there.
 */
import type { ObjectRelocation, ObjectSymbol } from '../../formats/object.ts';
import type { PlacedSection, Segment } from '../../kernel/modules.ts';
import { relocationMachine } from '../../link/machines.ts';
import { applyRelocations, relocationTarget } from '../../link/relocate.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import type { Elf } from './elf.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import {
  type Placed,
  RULE_PERM,
  relocationPolicy,
  type SymbolLookup,
  takePages,
  undefinedSymbol,
} from './place.ts';
import { isLocal, typesOf } from './rules/relocations.ts';

const PT_LOAD = 1;
/** A file whose segments claim more is damaged. */
const MAX_BYTES = 256 * 2 ** 20;

export class PlacedShared implements Placed {
  readonly base: Address;
  readonly size: number;
  readonly elf: Elf;
  private readonly k: FreeBsd;
  private readonly pages: number;
  private readonly bytes: Uint8Array;
  /** What is added to an address of the file. */
  private readonly bias: number;
  private readonly values: Float64Array;
  private readonly segment: Segment;

  constructor(k: FreeBsd, elf: Elf) {
    this.k = k;
    this.elf = elf;
    const loads = elf.file.segments.filter(({ type }) => type === PT_LOAD);
    const start = Math.floor(loads[0].address / PAGE_SIZE) * PAGE_SIZE;
    const end = Math.max(...loads.map(({ address, memorySize }) => address + memorySize));
    this.size = Math.ceil((end - start) / PAGE_SIZE) * PAGE_SIZE;
    if (!(this.size > 0 && this.size <= MAX_BYTES) || loads.some(({ address }) => address < start))
      throw new KernelErrno(Errno.ENOEXEC, 'The segments of the file make no sense.');
    this.pages = this.size / PAGE_SIZE;
    this.base = takePages(k, this.pages, elf.name);
    this.bias = this.base - start;
    this.bytes = new Uint8Array(this.size);
    for (const one of loads) this.bytes.set(elf.file.segmentData(one), one.address - start);
    this.segment = { name: elf.name, base: this.base, bytes: this.size, pages: this.pages, perm: RULE_PERM };
    this.values = new Float64Array(elf.object.symbols.length);
    for (const symbol of elf.object.symbols) this.values[symbol.index] = this.ownValue(symbol);
    // The value of no symbol is where the object was loaded.
    this.values[0] = this.bias;
  }

  private ownValue({ index, name, place, value }: ObjectSymbol): number {
    if (index === 0) return this.bias;
    if (place === 'section') return value + this.bias;
    // Ends of linker sets are absolute symbols of old linkers; they move with the file all the same.
    if (place === 'absolute') return /^__(start|stop)_set_/.test(name) ? value + this.bias : value;
    return Number.NaN;
  }

  relocate(locals: boolean, lookup: SymbolLookup): void {
    const { object, file } = this.elf;
    const machine = relocationMachine(object.machine);
    if (machine === undefined)
      throw new KernelErrno(Errno.ENOEXEC, `no relocations are known for ${object.machine}`);
    const target = relocationTarget(this.bytes, this.base);
    for (const { index } of file.sections) {
      const wanted = object
        .relocations(index)
        .filter((one) => isLocal(object, one) === locals)
        .map((one) => ({ ...one, offset: one.offset + this.bias - this.base }));
      if (!locals) for (const one of wanted) this.resolve(one, lookup);
      applyRelocations(
        machine,
        target,
        wanted,
        this.values,
        relocationPolicy(this.k, typesOf(object.machine)?.known ?? new Set()),
      );
    }
  }

  private resolve(relocation: ObjectRelocation, lookup: SymbolLookup): void {
    const symbol = this.elf.object.symbols[relocation.symbol];
    if (symbol === undefined || !Number.isNaN(this.values[symbol.index])) return;
    const found = lookup(symbol);
    if (found !== undefined) this.values[symbol.index] = found;
    else if (symbol.binding === 'weak') this.values[symbol.index] = 0;
    else throw undefinedSymbol(this.k, 'link_elf', this.elf.name, symbol.name);
  }

  commit(): void {
    this.k.memory.poke(this.base, this.bytes);
  }

  release(): void {
    this.k.unmapPages(this.k.moduleArea, this.base, this.pages);
  }

  /** A linker set is found by the symbols at its ends, any other section by its header. */
  sectionNamed(name: string): { address: Address; size: number } | undefined {
    const section = this.elf.object.sections.find((one) => one.name === name && one.allocated);
    if (section !== undefined) return { address: section.address + this.bias, size: section.size };
    const symbol = (edge: string) => this.elf.object.symbols.find((one) => one.name === `__${edge}_${name}`);
    const [start, stop] = [symbol('start'), symbol('stop')];
    if (start === undefined || stop === undefined || stop.value <= start.value) return undefined;
    return { address: start.value + this.bias, size: stop.value - start.value };
  }

  symbols(): Map<string, { address: Address; local: boolean; size: number }> {
    const symbols = new Map<string, { address: Address; local: boolean; size: number }>();
    for (const { index, name, place, binding, type, size } of this.elf.object.symbols) {
      if (place !== 'section' || name === '' || type === 'section' || symbols.has(name)) continue;
      symbols.set(name, { address: this.values[index], local: binding === 'local', size });
    }
    return symbols;
  }

  segments(): Segment[] {
    return [this.segment];
  }

  placedSections(): Map<number, PlacedSection> {
    const placed = new Map<number, PlacedSection>();
    for (const { index, name, size, allocated, address } of this.elf.object.sections) {
      if (!allocated || size === 0) continue;
      placed.set(index, { index, name, address: address + this.bias, size, segment: this.segment });
    }
    return placed;
  }
}
