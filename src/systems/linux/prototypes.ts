/** Prototypes of kernel functions as this kernel's own types read them. */
import type { Prototype } from '../../ctypes/prototype.ts';
import type { TypeTable } from '../../ctypes/table.ts';
import { linuxDeclarations } from './kernelfile/typedefs.ts';

export function definePrototypes(types: TypeTable): (text: string) => Prototype {
  const declarations = linuxDeclarations(types);
  return (text) => declarations.prototype(text);
}
