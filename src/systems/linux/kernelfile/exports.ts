import { SortedNames } from './names.ts';

/** What an exported address is: by the section it lies in. */
export type ExportKind = 'function' | 'data' | 'percpu' | 'absolute';

export const EXPORT_KINDS: readonly ExportKind[] = ['function', 'data', 'percpu', 'absolute'];

/** One symbol of `__ksymtab` or `__ksymtab_gpl`. */
export interface KernelExport {
  readonly name: string;
  /** Signed number; for per-CPU data the offset in the per-CPU area. */
  readonly address: number;
  /** Undefined in a kernel without symbol versions. */
  readonly crc: number | undefined;
  readonly gplOnly: boolean;
  /** Empty when the symbol is in no namespace. */
  readonly namespace: string;
  readonly kind: ExportKind;
  readonly isFunction: boolean;
}

/** The columns of a table, row by row in name order. */
export interface ExportColumns {
  /** Sorted by bytes, as the kernel sorts its own tables. */
  readonly names: SortedNames;
  /** Signed addresses. */
  readonly addresses: Float64Array;
  readonly crcs: Uint32Array | undefined;
  /** Per row: kind in bits 0-1, GPL-only in bit 2, index into namespaces from bit 3 on (0 = none). */
  readonly flags: Uint16Array;
  /** Entry 0 is the empty name. */
  readonly namespaces: readonly string[];
}

/** Every exported symbol, found by name through bisection and by address through a lazily sorted copy. */
export class ExportTable {
  readonly columns: ExportColumns;
  /** What was asked for: every module imports much the same. */
  readonly #found = new Map<string, KernelExport>();
  #byAddress: Uint32Array | undefined;

  constructor(columns: ExportColumns) {
    this.columns = columns;
  }

  static from(exports: readonly Omit<KernelExport, 'isFunction'>[]): ExportTable {
    const rows = [...exports].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
    const namespaces = ['', ...new Set(rows.map((row) => row.namespace).filter((name) => name !== ''))];
    const versioned = rows.some((row) => row.crc !== undefined);
    return new ExportTable({
      names: SortedNames.from(rows.map((row) => row.name)),
      addresses: Float64Array.from(rows, (row) => row.address),
      crcs: versioned ? Uint32Array.from(rows, (row) => row.crc ?? 0) : undefined,
      flags: Uint16Array.from(rows, (row) => {
        const kind = EXPORT_KINDS.indexOf(row.kind);
        return kind | (row.gplOnly ? 4 : 0) | (namespaces.indexOf(row.namespace) << 3);
      }),
      namespaces,
    });
  }

  get size(): number {
    return this.columns.names.length;
  }

  /** The row of that number in name order. */
  at(row: number): KernelExport {
    const { names, addresses, crcs, flags, namespaces } = this.columns;
    const flag = flags[row]!;
    return {
      name: names.at(row),
      address: addresses[row]!,
      crc: crcs?.[row],
      gplOnly: (flag & 4) !== 0,
      namespace: namespaces[flag >> 3]!,
      kind: EXPORT_KINDS[flag & 3]!,
      isFunction: (flag & 3) === 0,
    };
  }

  find(name: string): KernelExport | undefined {
    let found = this.#found.get(name);
    if (found !== undefined) return found;
    const row = this.columns.names.indexOf(name);
    if (row < 0) return undefined;
    found = this.at(row);
    this.#found.set(name, found);
    return found;
  }

  has(name: string): boolean {
    return this.columns.names.indexOf(name) >= 0;
  }

  /** The symbol at exactly that address; the first by name when several share it. */
  atAddress(address: number): KernelExport | undefined {
    const near = this.nearest(address);
    return near !== undefined && near.address === address ? near : undefined;
  }

  /** The last symbol at or below an address: what `symbol+offset` in a report is built from. */
  nearest(address: number): KernelExport | undefined {
    const { addresses } = this.columns;
    const order = (this.#byAddress ??= this.#sortByAddress());
    let place = this.#above(address);
    if (place === 0) return undefined;
    const found = addresses[order[place - 1]!]!;
    while (place > 1 && addresses[order[place - 2]!] === found) place--;
    return this.at(order[place - 1]!);
  }

  /** The lowest exported address above the given one. */
  next(address: number): number | undefined {
    const order = (this.#byAddress ??= this.#sortByAddress());
    const row = order[this.#above(address)];
    return row === undefined ? undefined : this.columns.addresses[row]!;
  }

  /** The symbols with `from` <= address < `to`, by address. */
  *between(from: number, to: number): Generator<KernelExport> {
    const order = (this.#byAddress ??= this.#sortByAddress());
    const { addresses } = this.columns;
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (addresses[order[middle]!]! < from) low = middle + 1;
      else high = middle;
    }
    for (; low < order.length && addresses[order[low]!]! < to; low++) yield this.at(order[low]!);
  }

  *[Symbol.iterator](): Iterator<KernelExport> {
    for (let row = 0; row < this.size; row++) yield this.at(row);
  }

  /** How many symbols lie at or below an address. */
  #above(address: number): number {
    const order = (this.#byAddress ??= this.#sortByAddress());
    const { addresses } = this.columns;
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (addresses[order[middle]!]! <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #sortByAddress(): Uint32Array {
    const { addresses } = this.columns;
    const rows = addresses.length;
    let lowest = 0;
    let highest = 0;
    for (let row = 0; row < rows; row++) {
      const address = addresses[row]!;
      if (address < lowest) lowest = address;
      else if (address > highest) highest = address;
    }
    if ((highest - lowest + 1) * rows > Number.MAX_SAFE_INTEGER) {
      return Uint32Array.from(addresses.keys()).sort((a, b) => addresses[a]! - addresses[b]!);
    }
    // Address and row as one number: numbers sort without calling back, which matters in a process that has just
    // begun. Rows of one address keep name order.
    const keys = new Float64Array(rows);
    for (let row = 0; row < rows; row++) keys[row] = (addresses[row]! - lowest) * rows + row;
    keys.sort();
    const order = new Uint32Array(rows);
    for (let place = 0; place < rows; place++) order[place] = keys[place]! % rows;
    return order;
  }
}
