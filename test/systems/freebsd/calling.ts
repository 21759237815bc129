/** Kernel functions called as machine code calls them. */
import type { Steps } from '../../../src/kernel/steps.ts';
import { bootFreeBsd } from '../../../src/systems/freebsd/boot.ts';
import type { Bits } from '../../../src/systems/freebsd/declarations.ts';
import type { FreeBsd } from '../../../src/systems/freebsd/freebsd.ts';

export const boot = (version: number, bits: Bits): FreeBsd =>
  bootFreeBsd({ version, bits, files: { read: () => undefined } }).k;

/** The result as an address. */
export function call(k: FreeBsd, name: string, ...args: (number | bigint)[]): Steps<number> {
  const at = k.kernelSymbol(name);
  if (at === undefined) throw new Error(`there is no ${name}`);
  return k.call(at, ...args);
}

export function* int(k: FreeBsd, name: string, ...args: number[]): Steps<number> {
  return (yield* call(k, name, ...args)) | 0;
}
