/** Every subsystem's kernel functions and data, in one place: the only list of them. */
import { type FunctionTable, joinTables } from '../../kernel/functions.ts';
import type { DataInitialiser, Linux } from './linux.ts';

export const linuxFunctions: FunctionTable<Linux> = joinTables<Linux>([]);

export const linuxData: readonly DataInitialiser[] = [];
