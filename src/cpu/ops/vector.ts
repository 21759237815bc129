/** Vector registers: moves, and the SSE instructions that one WebAssembly vector instruction does. */
import type { OpDefinition } from './define.ts';

export const vectorOps: readonly OpDefinition[] = [];
