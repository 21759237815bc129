/** Names and addresses: what the kernel and its modules export, and which symbol an address lies in. */
import type { Address } from '../memory/space.ts';

/** One exported symbol. `owner` undefined = the base kernel. */
export interface Export<Owner = unknown> {
  readonly name: string;
  readonly address: Address;
  readonly owner: Owner | undefined;
  /** What the system's symbol rule wants to know (GPL-only, CRC, namespace...), in its own words. */
  readonly attributes: Readonly<Record<string, string | number | boolean | undefined>>;
}

export interface NearestSymbol {
  readonly name: string;
  readonly address: Address;
  readonly size: number;
  readonly module: string | undefined;
}

interface Named {
  readonly name: string;
  readonly address: Address;
  readonly size?: number;
}

interface Range {
  readonly base: Address;
  readonly end: Address;
  readonly module: string | undefined;
  /** Sorted by address. */
  readonly symbols: () => readonly Required<Named>[];
}

/** Address to symbol, by range: one per image. */
export class SymbolMap {
  /** Rises whenever an image comes or goes: what was learned of addresses may be wrong then. */
  generation = 0;
  private readonly ranges: Range[] = [];

  /**
   * `symbols` may come in any order; those without a size reach to the next one. Given as a function, they are asked for
   * when somebody looks for one: most images come and go without.
   */
  add(
    base: Address,
    bytes: number,
    module: string | undefined,
    symbols: readonly Named[] | (() => readonly Named[]),
  ): () => void {
    const end = base + bytes;
    let sorted: readonly Required<Named>[] | undefined;
    const range: Range = {
      base,
      end,
      module,
      symbols: () => {
        sorted ??= inOrder(typeof symbols === 'function' ? symbols() : symbols, end);
        return sorted;
      },
    };
    this.ranges.push(range);
    this.generation++;
    return () => {
      this.generation++;
      const at = this.ranges.indexOf(range);
      if (at >= 0) this.ranges.splice(at, 1);
    };
  }

  /** The symbol at or below `address` in its image. */
  nearest(address: Address): NearestSymbol | undefined {
    const range = this.ranges.find((r) => address >= r.base && address < r.end);
    if (range === undefined) return undefined;
    const symbols = range.symbols();
    let low = 0;
    let high = symbols.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (symbols[middle].address <= address) low = middle + 1;
      else high = middle;
    }
    const found = symbols[low - 1];
    return found === undefined ? undefined : { ...found, module: range.module };
  }

  /** Address of a symbol by name, looking through the images in the order they were added. */
  find(name: string, module?: string): Address | undefined {
    for (const range of this.ranges) {
      if (module !== undefined && range.module !== module) continue;
      const found = range.symbols().find((symbol) => symbol.name === name);
      if (found !== undefined) return found.address;
    }
    return undefined;
  }
}

function inOrder(symbols: readonly Named[], end: Address): Required<Named>[] {
  const sorted = [...symbols].sort((a, b) => a.address - b.address);
  return sorted.map(({ name, address, size }, i) => ({
    name,
    address,
    size: size || (sorted[i + 1]?.address ?? end) - address,
  }));
}
