/** Every kernel function of the base kernel. */
import { type FunctionTable, joinTables } from '../../../kernel/functions.ts';
import type { Windows } from '../windows.ts';
import { bugCheckFunctions } from './bugcheck.ts';
import { callbackFunctions } from './callbacks.ts';
import { crtFunctions } from './crt.ts';
import { debugFunctions } from './debug.ts';
import { driverFunctions } from './drivers.ts';
import { exFunctions } from './ex.ts';
import { fltFunctions } from './flt.ts';
import { fltFileFunctions } from './fltfile.ts';
import { fltNameFunctions } from './fltname.ts';
import { fsrtlFunctions } from './fsrtl.ts';
import { halFunctions } from './hal.ts';
import { integerFunctions } from './integers.ts';
import { ioFunctions } from './io.ts';
import { keFunctions } from './ke.ts';
import { mmFunctions } from './mm.ts';
import { ndisFunctions } from './ndis.ts';
import { ndisConfigurationFunctions } from './ndisconfig.ts';
import { ndisDeviceFunctions } from './ndisdev.ts';
import { ndisObjectFunctions } from './ndisobject.ts';
import { ndisPacketFunctions } from './ndispacket.ts';
import { otherLibraryFunctions } from './otherlibs.ts';
import { plugPlayFunctions } from './plugplay.ts';
import { pnpFunctions } from './pnp.ts';
import { poolFunctions } from './pool.ts';
import { portFunctions, portRegisterFunctions } from './ports.ts';
import { processFunctions } from './process.ts';
import { psFunctions } from './ps.ts';
import { rtlFunctions } from './rtl.ts';
import { safeCrtFunctions } from './safecrt.ts';
import { sectionFunctions } from './section.ts';
import { securityFunctions } from './security.ts';
import { sehFunctions } from './seh.ts';
import { startIoFunctions } from './startio.ts';
import { tableFunctions } from './table.ts';
import { usbdFunctions } from './usbd.ts';
import { wdfFunctions } from './wdf.ts';
import { wdfIoFunctions } from './wdfio.ts';
import { wdfMiscFunctions } from './wdfmisc.ts';
import { wfpFunctions } from './wfp.ts';
import { zwFunctions } from './zw.ts';
import { fileFunctions } from './zwfile.ts';

export const FUNCTIONS: FunctionTable<Windows> = joinTables([
  crtFunctions,
  debugFunctions,
  driverFunctions,
  exFunctions,
  halFunctions,
  integerFunctions,
  ioFunctions,
  keFunctions,
  mmFunctions,
  poolFunctions,
  portFunctions,
  ...portRegisterFunctions,
  psFunctions,
  rtlFunctions,
  sehFunctions,
  bugCheckFunctions,
  callbackFunctions,
  fsrtlFunctions,
  plugPlayFunctions,
  pnpFunctions,
  processFunctions,
  safeCrtFunctions,
  sectionFunctions,
  securityFunctions,
  startIoFunctions,
  tableFunctions,
  fileFunctions,
  usbdFunctions,
  wdfFunctions,
  wdfIoFunctions,
  wdfMiscFunctions,
  fltFunctions,
  fltFileFunctions,
  fltNameFunctions,
  ndisFunctions,
  ndisConfigurationFunctions,
  ndisDeviceFunctions,
  ndisObjectFunctions,
  ndisPacketFunctions,
  otherLibraryFunctions,
  wfpFunctions,
  zwFunctions,
]);
