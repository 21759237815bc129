import type { Address } from './address.ts';
import type { SpareMemories } from './spare.ts';

export interface MemorySpec {
  /** Guest RAM; a multiple of 4096, at most 2 GiB. Pages that are never touched cost nothing. */
  readonly ramBytes: number;
  /** Where all RAM is mapped in one piece, readable and writable; undefined for none. */
  readonly directMap: Address | undefined;
  /** Of a guest pointer: what `ptr` and `setPtr` move; default 8. Addresses of 4 bytes are unsigned numbers. */
  readonly pointerBytes?: 4 | 8;
  /** Room for translated operations; default 8 MiB. */
  readonly codeCacheBytes?: number;
  /** Where linear memory is taken from, and given back to by {@link GuestMemory.release}. */
  readonly spares?: SpareMemories;
}
