/**
 * sysSymTbl: the one flat table of names. A name may stand in it many times; the newest definition is found first, and
 * code that was linked before keeps the address it has (symLib).
 */
import type { Address } from '../../memory/address.ts';

/** symLib.h's types, as the public headers number them. */
export const SYM_TYPE = { undefined: 0, absolute: 2, text: 4, data: 6, bss: 8, common: 0x12 } as const;
export const SYM_GLOBAL = 1;

export type SymbolKind = 'abs' | 'text' | 'data' | 'bss';

/** The kernel's own symbols; modules count from 2. */
export const KERNEL_GROUP = 1;

export interface VxSymbol {
  readonly name: string;
  readonly address: Address;
  readonly kind: SymbolKind;
  readonly group: number;
  readonly global: boolean;
  readonly common?: true;
}

export class VxSymbols {
  /** In the order they came. */
  private readonly all: VxSymbol[] = [];
  private readonly byName = new Map<string, VxSymbol[]>();

  add(symbol: VxSymbol): void {
    this.all.push(symbol);
    const same = this.byName.get(symbol.name);
    if (same === undefined) this.byName.set(symbol.name, [symbol]);
    else same.push(symbol);
  }

  /** The newest symbol of that name that others may see. */
  find(name: string): VxSymbol | undefined {
    return this.byName.get(name)?.findLast((symbol) => symbol.global);
  }

  /** As `find`, local symbols included: the shell sees what was loaded with them. */
  findAny(name: string): VxSymbol | undefined {
    return this.find(name) ?? this.byName.get(name)?.at(-1);
  }

  remove(symbol: VxSymbol): void {
    const at = this.all.indexOf(symbol);
    if (at < 0) return;
    this.all.splice(at, 1);
    const same = this.byName.get(symbol.name) ?? [];
    this.byName.set(
      symbol.name,
      same.filter((one) => one !== symbol),
    );
  }

  /** Takes out all symbols of a group. */
  removeGroup(group: number): void {
    for (const symbol of this.all.filter((one) => one.group === group)) this.remove(symbol);
  }

  /** Symbols whose name contains `part`, newest first. */
  matching(part: string): VxSymbol[] {
    return this.all.filter((symbol) => symbol.name.includes(part)).reverse();
  }

  /** The symbol with the highest address that is not above `address`, within `reach` bytes. */
  nearest(address: Address, reach: number): VxSymbol | undefined {
    let best: VxSymbol | undefined;
    for (const symbol of this.all) {
      if (symbol.kind === 'abs' || symbol.address > address || address - symbol.address > reach) continue;
      if (best === undefined || symbol.address >= best.address) best = symbol;
    }
    return best;
  }

  get size(): number {
    return this.all.length;
  }
}
