import { definer } from '../../../kernel/functions.ts';
import type { FreeBsd } from '../freebsd.ts';

export const kernelFunctions = definer<FreeBsd>();
