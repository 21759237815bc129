/** How kernel functions are written: by C prototype, with a kernel of this system as first argument. */
import { definer, type FunctionTable } from '../../../kernel/functions.ts';
import type { Windows } from '../windows.ts';

export const kernelFunctions = definer<Windows>();

/** The driver code that called the kernel function in progress. */
export const callerOf = (k: Windows): number => k.convention.returnAddress(k.cpu);

/** The same functions under other names, in their prototypes as well. */
export const renamed = (
  table: FunctionTable<Windows>,
  name: (old: string) => string,
): FunctionTable<Windows> =>
  new Map(
    [...table].map(([old, entry]) => [
      name(old),
      { ...entry, prototype: entry.prototype.replace(`${old}(`, `${name(old)}(`) },
    ]),
  );

/** Functions that are called by names with Nt, by those with Zw. */
export const underZw = (table: FunctionTable<Windows>): FunctionTable<Windows> =>
  renamed(table, (old) => old.replace(/^Nt/, 'Zw'));
