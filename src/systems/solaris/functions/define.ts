import { definer } from '../../../kernel/functions.ts';
import type { Solaris } from '../solaris.ts';

/** Solaris kernel functions by prototype; see kernel/functions.ts. */
export const kernelFunctions = definer<Solaris>();
