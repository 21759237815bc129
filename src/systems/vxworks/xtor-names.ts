/** Which functions a module's lists of constructors and destructors name, from its file alone. */
import type { ObjectFile, ObjectRelocation, ObjectSymbol } from '../../formats/object.ts';

export interface XtorNames {
  /** In the order of the lists: the order of calls for constructors, the reverse of it for destructors of an array. */
  readonly constructors: readonly string[];
  readonly destructors: readonly string[];
}

/** Names of what `_ctors` and `_dtors`, or the sections of newer compilers, point at. @throws FormatError */
export function xtorNames(file: ObjectFile): XtorNames {
  const array = (plain: string) =>
    file.symbols.find(({ name, place }) => place === 'section' && (name === plain || name === `_${plain}`));
  const [ctors, dtors] = [array('_ctors'), array('_dtors')];
  if (ctors !== undefined || dtors !== undefined)
    return { constructors: fromArray(file, ctors), destructors: fromArray(file, dtors) };
  const inSections = (pattern: RegExp) =>
    file.sections
      .filter(({ name, size }) => size > 0 && pattern.test(name))
      .flatMap(({ index }) => sorted(file, index).map((one) => targetOf(file, one)));
  return {
    constructors: inSections(/^\.(init_array|ctors)(\.|$)/),
    destructors: inSections(/^\.(fini_array|dtors)(\.|$)/),
  };
}

const sorted = (file: ObjectFile, section: number): ObjectRelocation[] =>
  [...file.relocations(section)].sort((a, b) => a.offset - b.offset);

/** Entry after entry: the null pointer at the end has no relocation. */
function fromArray(file: ObjectFile, array: ObjectSymbol | undefined): string[] {
  if (array === undefined) return [];
  const names: string[] = [];
  let next = array.value;
  for (const one of sorted(file, array.section)) {
    if (one.offset < next) continue;
    if (one.offset > next) break;
    names.push(targetOf(file, one));
    next += file.bits / 8;
  }
  return names;
}

/** The name a pointer has in the file: that of its symbol, or of the function at that offset of a section. */
function targetOf(file: ObjectFile, relocation: ObjectRelocation): string {
  const symbol = file.symbols[relocation.symbol];
  if (symbol === undefined) return `symbol ${relocation.symbol}`;
  const offset = relocation.addend ?? inPlace(file, relocation);
  if (symbol.type !== 'section' && symbol.name !== '' && offset === 0) return symbol.name;
  const at = symbol.value + offset;
  const found = file.symbols.find(
    ({ place, section, value, type, name }) =>
      place === 'section' && section === symbol.section && value === at && type !== 'section' && name !== '',
  );
  const plain = symbol.name || file.sections[symbol.section]?.name || '?';
  return found?.name ?? `${plain}+0x${offset.toString(16)}`;
}

function inPlace(file: ObjectFile, { section, offset }: ObjectRelocation): number {
  const { data } = file.sections[section];
  if (offset + 4 > data.length) return 0;
  return new DataView(data.buffer, data.byteOffset, data.byteLength).getInt32(offset, file.littleEndian);
}
