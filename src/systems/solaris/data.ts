/** Exported variables of the primary modules: put into memory when a module first names them. */
import type { NearestSymbol } from '../../kernel/symbols.ts';
import { type Address, PAGE_SIZE, Perm } from '../../memory/space.ts';
import type { Solaris } from './solaris.ts';

export interface DataSymbol {
  readonly name: string;
  readonly bytes: number | ((k: Solaris) => number);
  readonly fill?: (k: Solaris, at: Address) => void;
}

export class KernelData {
  private readonly k: Solaris;
  private readonly symbols: ReadonlyMap<string, DataSymbol>;
  private readonly placed = new Map<string, { address: Address; bytes: number }>();
  private next: Address;

  constructor(k: Solaris, symbols: readonly DataSymbol[]) {
    this.k = k;
    this.symbols = new Map(symbols.map((symbol) => [symbol.name, symbol]));
    const { base, bytes } = k.map.data;
    this.next = base;
    k.memory.mapLazy(base, bytes / PAGE_SIZE, Perm.R | Perm.W, 'kernel data');
  }

  has(name: string): boolean {
    return this.symbols.has(name);
  }

  get names(): Iterable<string> {
    return this.symbols.keys();
  }

  /** Address of the variable, filled when first asked for. */
  address(name: string): Address | undefined {
    const known = this.placed.get(name);
    if (known !== undefined) return known.address;
    const symbol = this.symbols.get(name);
    if (symbol === undefined) return undefined;
    const bytes = typeof symbol.bytes === 'number' ? symbol.bytes : symbol.bytes(this.k);
    const address = this.take(bytes);
    this.placed.set(name, { address, bytes });
    symbol.fill?.(this.k, address);
    return address;
  }

  /** Where the variable lies, if a module has asked for it. */
  placedAt(name: string): Address | undefined {
    return this.placed.get(name)?.address;
  }

  /** Zeroed memory among the kernel's data. */
  take(bytes: number): Address {
    const address = this.next;
    this.next += Math.ceil(Math.max(bytes, 1) / 16) * 16;
    if (this.next > this.k.map.data.base + this.k.map.data.bytes)
      throw new RangeError('no room for kernel data');
    return address;
  }

  /** Size of a variable as its symbol gives it. */
  sizeOf(name: string): number {
    return this.placed.get(name)?.bytes ?? 0;
  }

  nearest(address: Address): NearestSymbol | undefined {
    for (const [name, { address: at, bytes }] of this.placed) {
      if (address >= at && address < at + bytes) return { name, address: at, size: bytes, module: undefined };
    }
    return undefined;
  }
}
