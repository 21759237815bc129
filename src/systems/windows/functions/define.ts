/** How kernel functions are written: by C prototype, with a kernel of this system as first argument. */
import { definer, type FunctionTable } from '../../../kernel/functions.ts';
import type { Windows } from '../windows.ts';

export const kernelFunctions = definer<Windows>();

/** The driver code that called the kernel function in progress. */
export const callerOf = (k: Windows): number => k.convention.returnAddress(k.cpu);

/** The same functions once more by the names that begin with Zw: `NTSTATUS NtX(...)` as `NTSTATUS ZwX(...)`. */
export const underZw = (table: FunctionTable<Windows>): FunctionTable<Windows> =>
  new Map(
    [...table].map(([name, entry]) => [
      name.replace(/^Nt/, 'Zw'),
      { ...entry, prototype: entry.prototype.replace(/ Nt(?=\w+\()/, ' Zw') },
    ]),
  );
