/** Prototypes of kernel functions as this kernel's own types read them. */
import type { Prototype } from '../../ctypes/prototype.ts';
import type { TypeTable } from '../../ctypes/table.ts';
import { linuxDeclarations } from './kernelfile/typedefs.ts';

type Reader = (text: string) => Prototype;

/** One for each set of types: a prototype is the same in every kernel of one kernel file. */
const readers = new WeakMap<TypeTable, Reader>();

export function definePrototypes(types: TypeTable): Reader {
  const known = readers.get(types);
  if (known !== undefined) return known;
  const declarations = linuxDeclarations(types);
  const read = new Map<string, Prototype>();
  const reader = (text: string): Prototype => {
    const prototype = read.get(text) ?? declarations.prototype(text);
    read.set(text, prototype);
    return prototype;
  };
  readers.set(types, reader);
  return reader;
}
