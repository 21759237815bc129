import { definer } from '../../../kernel/functions.ts';
import type { Macos } from '../macos.ts';

export const kernelFunctions = definer<Macos>();
