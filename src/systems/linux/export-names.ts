/** The names that a module file exports, read out of its tables before anything is loaded. */
import { cstring } from '../../bytes/cstring.ts';
import type { ObjectFile, ObjectSection } from '../../formats/object.ts';
import { exportsOf } from './describe.ts';
import type { ModuleFile } from './module-file.ts';

/** struct kernel_symbol: three 32-bit references, each relative to its own place: value, name, namespace. */
const ENTRY = 12;
const NAME_AT = 4;

/** In the order of the tables; by the labels of the exports where the tables have another form. */
export function exportedNames(file: ModuleFile, gplTable: boolean): string[] {
  const names: string[] = [];
  for (const table of gplTable ? ['__ksymtab', '__ksymtab_gpl'] : ['__ksymtab']) {
    const index = file.section(table)?.index;
    const section = index === undefined ? undefined : file.object.sections[index];
    if (section === undefined || section.size === 0) continue;
    const own = namesIn(file.object, section);
    if (own === undefined) return exportsOf(file.object).map(({ name }) => name);
    names.push(...own);
  }
  return names;
}

function namesIn(object: ObjectFile, section: ObjectSection): string[] | undefined {
  if (object.bits !== 64) return undefined;
  const references = new Map(object.relocations(section.index).map((one) => [one.offset, one]));
  const names: string[] = [];
  for (let at = 0; at + ENTRY <= section.size; at += ENTRY) {
    const reference = references.get(at + NAME_AT);
    const symbol = reference && object.symbols[reference.symbol];
    const strings = symbol?.place === 'section' ? object.sections[symbol.section] : undefined;
    if (reference === undefined || symbol === undefined || strings === undefined) return undefined;
    const from = symbol.value + (reference.addend ?? 0);
    if (!(from >= 0 && from < strings.data.length)) return undefined;
    names.push(cstring(strings.data, from));
  }
  return names;
}
