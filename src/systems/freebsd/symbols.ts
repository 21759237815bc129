/**
 * Exported data of the base kernel. Each object gets its place in the kernel's data when a module first names it, and is
 * filled then. Names that nobody wrote get an address at which nothing is mapped: a call of it follows the policy for
 * missing functions, a read or write of it stops with the symbol's name.
 */
import { roundUp } from '../../bytes/align.ts';
import type { NearestSymbol } from '../../kernel/symbols.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { DataSymbol, FreeBsd } from './freebsd.ts';

/** Between two missing symbols: fields of a structure are told apart from the next one. */
const ABSENT_STEP = 512;

interface Placed {
  readonly name: string;
  readonly address: Address;
  readonly size: number;
}

export class KernelData {
  private readonly k: FreeBsd;
  private readonly exact = new Map<string, DataSymbol>();
  private readonly families: DataSymbol[] = [];
  private readonly placed = new Map<string, Placed>();
  private readonly missingAt = new Map<string, Address>();
  private next: Address;

  constructor(k: FreeBsd, symbols: readonly DataSymbol[]) {
    this.k = k;
    const { base, bytes } = k.map.data;
    this.next = base;
    k.memory.mapLazy(base, bytes / PAGE_SIZE, Perm.R | Perm.W, 'kernel data');
    for (const symbol of symbols) {
      if (typeof symbol.name === 'string') this.exact.set(symbol.name, symbol);
      else this.families.push(symbol);
    }
  }

  has(name: string): boolean {
    return this.definition(name) !== undefined;
  }

  /** Has a module, or the kernel for it, asked for this object yet? */
  isPlaced(name: string): boolean {
    return this.placed.has(name);
  }

  /** Where an object of this very name is. */
  address(name: string): Address | undefined {
    return this.place(name, this.exact.get(name));
  }

  /** As `address`, for names that only follow a pattern: a module that defines one of them itself comes before. */
  familyAddress(name: string): Address | undefined {
    return this.place(name, this.definition(name));
  }

  private place(name: string, symbol: DataSymbol | undefined): Address | undefined {
    const known = this.placed.get(name);
    if (known !== undefined) return known.address;
    if (symbol === undefined) return undefined;
    const size = typeof symbol.bytes === 'number' ? symbol.bytes : symbol.bytes(this.k);
    const address = this.reserve(size);
    this.placed.set(name, { name, address, size });
    symbol.fill?.(this.k, address, name);
    return address;
  }

  /** Room in the kernel's data for something that has no name of its own. */
  reserve(bytes: number): Address {
    const address = this.next;
    this.next = roundUp(address + Math.max(bytes, 8), 16);
    const { base, bytes: room } = this.k.map.data;
    if (this.next > base + room) throw new RangeError('the data area of the base kernel is full');
    return address;
  }

  /** An address for a symbol that nobody wrote. */
  missing(name: string): Address {
    let address = this.missingAt.get(name);
    if (address === undefined) {
      const { base, bytes } = this.k.map.absent;
      address = base + this.missingAt.size * ABSENT_STEP;
      if (address >= base + bytes)
        throw new RangeError('too many symbols that the base kernel does not have');
      this.missingAt.set(name, address);
      this.k.bindMissing(name, address);
    }
    return address;
  }

  /** The missing symbol whose place an address is in. */
  missingAtAddress(address: Address): string | undefined {
    const { base, bytes } = this.k.map.absent;
    if (!(address >= base && address < base + bytes)) return undefined;
    const index = Math.floor((address - base) / ABSENT_STEP);
    return [...this.missingAt.keys()][index];
  }

  nearest(address: Address): NearestSymbol | undefined {
    const absent = this.missingAtAddress(address);
    if (absent !== undefined)
      return { name: absent, address: this.missing(absent), size: ABSENT_STEP, module: undefined };
    for (const { name, address: at, size } of this.placed.values()) {
      if (address >= at && address < at + size) return { name, address: at, size, module: undefined };
    }
    return undefined;
  }

  private definition(name: string): DataSymbol | undefined {
    return (
      this.exact.get(name) ?? this.families.find((one) => one.name instanceof RegExp && one.name.test(name))
    );
  }
}
