import { definer } from '../../../kernel/functions.ts';
import type { Linux } from '../linux.ts';

/** Linux kernel functions by prototype; see kernel/functions.ts. */
export const kernelFunctions = definer<Linux>();
