/** How kernel functions are written: by C prototype, with a kernel of this system as first argument. */
import { definer } from '../../../kernel/functions.ts';
import type { Windows } from '../windows.ts';

export const kernelFunctions = definer<Windows>();

/** The driver code that called the kernel function in progress. */
export const callerOf = (k: Windows): number => k.convention.returnAddress(k.cpu);
