/**
 * link_elf_load_file of sys/kern/link_elf.c for shared objects, which is what modules of every architecture but amd64 are:
 * the segments as one stretch of memory, RELATIVE relocations first, the others when the dependencies are there.
 */
import type { ObjectSymbol } from '../../formats/object.ts';
import type { PlacedSection, Segment } from '../../kernel/modules.ts';
import { type Address, PAGE_SIZE } from '../../memory/space.ts';
import { type Elf, staticSymbols } from './elf.ts';
import type { FreeBsd } from './freebsd.ts';
import {
  type Placed,
  RULE_PERM,
  relocationPolicy,
  type SymbolLookup,
  takePages,
  undefinedSymbol,
} from './place.ts';
import { SharedImage } from './shared-image.ts';

export class PlacedShared implements Placed {
  readonly base: Address;
  readonly size: number;
  readonly elf: Elf;
  private readonly k: FreeBsd;
  private readonly image: SharedImage;
  private readonly pages: number;
  private readonly segment: Segment;

  constructor(k: FreeBsd, elf: Elf) {
    this.k = k;
    this.elf = elf;
    this.image = new SharedImage(elf);
    this.size = this.image.size;
    this.pages = this.size / PAGE_SIZE;
    this.base = takePages(k, this.pages, elf.name);
    this.image.moveTo(this.base);
    this.segment = { name: elf.name, base: this.base, bytes: this.size, pages: this.pages, perm: RULE_PERM };
  }

  relocate(locals: boolean, lookup: SymbolLookup): void {
    const policy = relocationPolicy(this.k, this.elf.object.machine);
    this.image.relocate(locals, (symbol) => this.resolve(symbol, lookup), policy);
  }

  private resolve(symbol: ObjectSymbol, lookup: SymbolLookup): void {
    const found = lookup(symbol);
    if (found !== undefined) this.image.values[symbol.index] = found;
    else if (symbol.binding === 'weak') this.image.values[symbol.index] = 0;
    else throw undefinedSymbol(this.k, 'link_elf', this.elf, symbol.name);
  }

  commit(): void {
    this.k.memory.poke(this.base, this.image.bytes);
  }

  release(): void {
    this.k.unmapPages(this.k.moduleArea, this.base, this.pages);
  }

  /** A linker set is found by the symbols at its ends, any other section by its header. */
  sectionNamed(name: string): { address: Address; size: number } | undefined {
    const section = this.elf.object.sections.find((one) => one.name === name && one.allocated);
    if (section !== undefined) return { address: section.address + this.image.bias, size: section.size };
    const symbol = (edge: string) => this.elf.object.symbols.find((one) => one.name === `__${edge}_${name}`);
    const [start, stop] = [symbol('start'), symbol('stop')];
    if (start === undefined || stop === undefined || stop.value <= start.value) return undefined;
    return { address: start.value + this.image.bias, size: stop.value - start.value };
  }

  symbols(): Map<string, { address: Address; local: boolean; size: number }> {
    const symbols = new Map<string, { address: Address; local: boolean; size: number }>();
    for (const { index, name, place, binding, type, size } of this.elf.object.symbols) {
      if (place !== 'section' || name === '' || type === 'section' || symbols.has(name)) continue;
      symbols.set(name, { address: this.image.values[index], local: binding === 'local', size });
    }
    for (const { name, value, size } of staticSymbols(this.elf)) {
      if (!symbols.has(name)) symbols.set(name, { address: value + this.image.bias, local: true, size });
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
      placed.set(index, { index, name, address: address + this.image.bias, size, segment: this.segment });
    }
    return placed;
  }
}
