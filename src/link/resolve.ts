/** Every symbol of a file gets its value; what an undefined or common one gets is the system's rule. */
import type { ObjectFile, ObjectSymbol } from '../formats/object.ts';
import type { Address } from '../memory/address.ts';

/** Steps of the caller's own kind: a lookup may have to wait. */
export type Lookup<Request> = Generator<Request, Address | undefined, number>;

export interface SymbolRules<Request> {
  /** Called in table order for symbols without a definition. Undefined leaves the value as it stands in the file. */
  undefined(symbol: ObjectSymbol): Lookup<Request>;
  common(symbol: ObjectSymbol): Address | undefined;
  /** Start of a section that is loaded; undefined when it is not. */
  sectionAddress(index: number): Address | undefined;
}

/** Values by symbol index. A symbol in a section that is not loaded keeps its offset in that section. */
export function* resolveSymbols<Request>(
  file: ObjectFile,
  rules: SymbolRules<Request>,
): Generator<Request, Float64Array, number> {
  const values = new Float64Array(file.symbols.length);
  for (const symbol of file.symbols) {
    if (symbol.index === 0) continue;
    let value: Address | undefined;
    if (symbol.place === 'undefined') value = yield* rules.undefined(symbol);
    else if (symbol.place === 'common') value = rules.common(symbol);
    else if (symbol.place === 'section') value = (rules.sectionAddress(symbol.section) ?? 0) + symbol.value;
    values[symbol.index] = value ?? symbol.value;
  }
  return values;
}
