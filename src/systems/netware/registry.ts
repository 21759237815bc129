/** All functions of the server and of the libraries it has built in; and how one is started. */
import { joinTables } from '../../kernel/functions.ts';
import { CLIB, clibFunctions } from './functions/clib.ts';
import { registrationFunctions } from './functions/registrations.ts';
import { loaderFunctions, processFunctions, resourceFunctions, screenFunctions } from './functions/server.ts';
import { NetWare, type NetWareOptions } from './netware.ts';

export const netWareFunctions = joinTables<NetWare>([
  clibFunctions,
  loaderFunctions,
  processFunctions,
  registrationFunctions,
  resourceFunctions,
  screenFunctions,
]);

export function bootNetWare(options: Omit<NetWareOptions, 'functions' | 'libraries'>): NetWare {
  return new NetWare({ ...options, functions: netWareFunctions, libraries: [CLIB] });
}
