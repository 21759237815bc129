/** NLMs that CLIB has started, as it remembers them: where they print, what is called at their end, errno. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/address.ts';
import type { NlmModule } from '../module.ts';
import type { NetWare } from '../netware.ts';
import type { Screen } from '../screens.ts';

export interface Client {
  readonly module: NlmModule;
  /** Functions of atexit, newest first. */
  readonly atExit: number[];
  readonly command: number;
  screen: number;
}

export const clients = perKernel(() => ({
  byHandle: new Map<number, Client>(),
  suspended: new Map<number, number>(),
  /** Address of errno; 0 before anybody has asked. */
  errno: 0,
}));

export function clientOf(k: NetWare): Client | undefined {
  const module = k.callingModule;
  return module && k.state(clients).byHandle.get(module.handle);
}

/** The screen of the module that calls; the console for one that has none. */
export const screenOf = (k: NetWare): Screen => k.screens.get(clientOf(k)?.screen ?? 0);

/** To the screen of the module that prints. */
export function print(k: NetWare, text: string): number {
  k.screens.write(screenOf(k), text);
  return text.length;
}

export function errnoAddress(k: NetWare): Address {
  const table = k.state(clients);
  if (table.errno === 0) table.errno = k.pool.allocate(4);
  return table.errno;
}

export function setErrno(k: NetWare, errno: number): void {
  const at = errnoAddress(k);
  if (at !== 0) k.memory.set32(at, errno);
}
