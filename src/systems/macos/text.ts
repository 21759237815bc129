/** Text fields of kernel structures. */

import type { Kernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import { MAX_NAME } from './info.ts';

/** No list that the kernel keeps is longer; ends one that a module has bent into a circle. */
export const BOUND = 100_000;

/** Writes a name into a field of MAX_NAME bytes, cut to fit, with its NUL. */
export function writeText(k: Kernel, at: Address, text: string): void {
  const bytes = new Uint8Array(MAX_NAME);
  bytes.set(new TextEncoder().encode(text).subarray(0, MAX_NAME - 1));
  k.memory.poke(at, bytes);
}

export function readText(k: Kernel, at: Address): string {
  return k.memory.cstring(at, MAX_NAME);
}
