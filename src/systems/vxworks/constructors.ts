/**
 * C++ constructors and destructors of a module: the arrays `_ctors` and `_dtors` that the munch step makes (ended by a
 * null pointer), or the sections that compilers fill by themselves (.init_array, .ctors and their counterparts).
 */
import type { ObjectFile } from '../../formats/object.ts';
import type { Address } from '../../memory/address.ts';
import type { VxSymbol } from './symbols.ts';
import type { VxWorks } from './vxworks.ts';

/** More entries than that are no list of constructors. */
const MAX_ENTRIES = 100_000;

export interface Xtors {
  /** In the order they are called. */
  readonly constructors: Address[];
  readonly destructors: Address[];
}

/** Reads the lists after relocation. */
export function xtorsOf(
  k: VxWorks,
  file: ObjectFile,
  values: Float64Array,
  symbols: readonly VxSymbol[],
): Xtors {
  const munched = (name: string) =>
    symbols.find((symbol) => symbol.name === name || symbol.name === `_${name}`);
  const ctors = munched('_ctors');
  const dtors = munched('_dtors');
  if (ctors !== undefined || dtors !== undefined) {
    const constructors = ctors === undefined ? [] : terminated(k, ctors.address);
    const destructors = dtors === undefined ? [] : terminated(k, dtors.address);
    return { constructors, destructors: destructors.reverse() };
  }
  const sections = (names: readonly string[]) =>
    file.sections
      .filter(
        ({ name, allocated }) => allocated && names.some((one) => name === one || name.startsWith(`${one}.`)),
      )
      .sort((a, b) => rank(a.name) - rank(b.name))
      .flatMap((section) => entries(k, file, section.index, values));
  return {
    constructors: [...sections(['.init_array']), ...sections(['.ctors']).reverse()],
    destructors: [...sections(['.fini_array']).reverse(), ...sections(['.dtors'])],
  };
}

/** `.init_array.101` comes before `.init_array.200`; the one without a number comes last. */
function rank(name: string): number {
  const number = /\.(\d+)$/.exec(name);
  return number === null ? Number.POSITIVE_INFINITY : Number(number[1]);
}

function terminated(k: VxWorks, at: Address): Address[] {
  const list: Address[] = [];
  for (let i = 0; i < MAX_ENTRIES; i++) {
    const entry = k.memory.ptr(at + i * k.spec.pointerBytes);
    if (entry === 0) break;
    list.push(entry);
  }
  return list;
}

/** Entries of one section: each is a pointer that a relocation filled in. */
function entries(k: VxWorks, file: ObjectFile, index: number, values: Float64Array): Address[] {
  const section = file.sections[index];
  const relocations = [...file.relocations(index)].sort((a, b) => a.offset - b.offset);
  const inPlace = new DataView(section.data.buffer, section.data.byteOffset, section.data.byteLength);
  return relocations
    .filter(({ offset }) => offset + k.spec.pointerBytes <= section.data.length)
    .map(({ symbol, addend, offset }) => values[symbol] + (addend ?? inPlace.getInt32(offset, true)));
}
