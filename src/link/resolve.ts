/** Every symbol of a file gets its value; what an undefined or common one gets is the system's rule. */
import type { ObjectSymbol, SymbolColumns } from '../formats/object.ts';
import type { Address } from '../memory/address.ts';

/** Steps of the caller's own kind: a lookup may have to wait. */
export type Lookup<Request> = Generator<Request, Address | undefined, number>;

export interface SymbolRules<Request> {
  /**
   * Called in table order for symbols without a definition. Undefined leaves the value as it stands in the file.
   * A lookup that need not wait answers at once.
   */
  undefined(symbol: ObjectSymbol): Lookup<Request> | Address | undefined;
  common(symbol: ObjectSymbol): Address | undefined;
  /** Start of a section that is loaded; undefined when it is not. */
  sectionAddress(index: number): Address | undefined;
}

/** Values by symbol index. A symbol in a section that is not loaded keeps its offset in that section. */
export function* resolveSymbols<Request>(
  symbols: SymbolColumns,
  rules: SymbolRules<Request>,
): Generator<Request, Float64Array, number> {
  const values = new Float64Array(symbols.count);
  for (let index = 1; index < symbols.count; index++) {
    const place = symbols.place(index);
    let value: Address | undefined;
    if (place === 'undefined') {
      const found = rules.undefined(symbols.symbol(index));
      value = typeof found === 'object' ? yield* found : found;
    } else if (place === 'common') value = rules.common(symbols.symbol(index));
    else if (place === 'section')
      value = (rules.sectionAddress(symbols.section(index)) ?? 0) + symbols.value(index);
    values[index] = value ?? symbols.value(index);
  }
  return values;
}
