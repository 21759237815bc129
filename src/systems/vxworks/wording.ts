/**
 * What VxWorks says. One place for it, because not everything is certain:
 * - certain (read in manuals or in public transcripts): `value = N = 0xN`, `undefined symbol: NAME`, the head lines of
 *   `i` and `moduleShow`, `new symbol "x" added to symbol table.`;
 * - [uncertain] (read in a compatible system only, or remembered): everything else here, widths of columns included.
 */
import type { Address } from '../../memory/address.ts';

/** `0x1234`: addresses as C's %#x prints them. */
export function hex(value: Address | bigint, bits: number): string {
  return `0x${BigInt.asUintN(bits, BigInt(value)).toString(16)}`;
}

export const wording = {
  // From a compatible system.
  undefinedSymbol: (name: string, binding: number, type: number) =>
    `Undefined symbol: ${name} (binding ${binding} type ${type})`,
  unusable: 'ld error: Module contains undefined symbol(s) and may be unusable.',
  cannotOpen: (path: string) => `ld error: unable to open "${path}"`,
  loadFailed: (errno: number) => `ld error: error loading file (errno = 0x${errno.toString(16)}).`,
  moduleNotFound: 'Module not found',
  // Manuals.
  shellUndefined: (name: string) => `undefined symbol: ${name}`,
  newSymbol: (name: string) => `new symbol "${name}" added to symbol table.`,
  syntaxError: 'syntax error',
  taskSpawned: (id: string, name: string) => `task spawned: id = ${id}, name = ${name}`,
  // Remembered.
  exception: (name: string) => `\n${name}`,
  programCounter: (pc: string) => `Program Counter         ${pc}`,
  statusRegister: (flags: string) => `Status Register         ${flags}`,
  accessAddress: (address: string) => `Access Address          ${address}`,
  task: (id: string, name: string) => `Task: ${id} "${name}"`,
  stopped: (id: string, name: string) =>
    `${id} (${name}): task ${id} has had a failure and has been stopped.`,
  shellRestarted: 'tShell restarted.',
  logMessage: (id: string, name: string, text: string) => `${id} (${name}): ${text}`,
  logInterrupt: (text: string) => `interrupt: ${text}`,
} as const;
