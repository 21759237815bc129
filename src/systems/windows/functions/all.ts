/** Every kernel function of the base kernel. */
import { type FunctionTable, joinTables } from '../../../kernel/functions.ts';
import type { Windows } from '../windows.ts';
import { crtFunctions } from './crt.ts';
import { debugFunctions } from './debug.ts';
import { driverFunctions } from './drivers.ts';
import { exFunctions } from './ex.ts';
import { halFunctions } from './hal.ts';
import { ioFunctions } from './io.ts';
import { keFunctions } from './ke.ts';
import { mmFunctions } from './mm.ts';
import { poolFunctions } from './pool.ts';
import { psFunctions } from './ps.ts';
import { rtlFunctions } from './rtl.ts';
import { sehFunctions } from './seh.ts';
import { zwFunctions } from './zw.ts';

export const FUNCTIONS: FunctionTable<Windows> = joinTables([
  crtFunctions,
  debugFunctions,
  driverFunctions,
  exFunctions,
  halFunctions,
  ioFunctions,
  keFunctions,
  mmFunctions,
  poolFunctions,
  psFunctions,
  rtlFunctions,
  sehFunctions,
  zwFunctions,
]);
