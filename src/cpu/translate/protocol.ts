/** What the interpreter and translated code have agreed on. */
import { LOOKUP_ENTRIES, LOOKUP_ENTRY_SHIFT } from '../../memory/layout.ts';
import { type Code, i32, type Local, type Signature } from '../wasm/encoder.ts';

/**
 * What every translated function takes: budget left, words of the host's stack that calls use, the guest address that its
 * return must go to, and where to begin: 0 at the region's first address, else at one of its loops. It gives the budget left after such a return; or 0 when it has left in another way, with
 * everything in memory; or {@link ABSENT}, having done nothing.
 */
export const REGION_SIGNATURE = { params: ['i32', 'i32', 'i64', 'i32'], results: ['i32'] } as const;
export const ABSENT = -1;
/** For who has not called from translated code. A return that goes there all the same leaves. */
export const NO_RETURN = 0;

/**
 * Functions of the interpreter's module that translated code calls, by their places in the table. A module that imported
 * them would cost more: the host engine compiles a wrapper for every type of function that is imported.
 */
export const RUNTIME = {
  missOf: { slot: 1, params: ['i64', 'i32', 'i32'], results: ['i32'] },
  slowStore: { slot: 2, params: ['i64', 'i64', 'i32', 'i32'], results: ['i32'] },
  windowOf: { slot: 3, params: ['i64', 'i32', 'i32'], results: ['i32'] },
  commitOf: { slot: 4, params: ['i64', 'i32'], results: [] },
  helper: { slot: 5, params: ['i32'], results: ['i32'] },
  flagsOf: { slot: 6, params: ['i32', 'i64', 'i64'], results: ['i32'] },
  carryOf: { slot: 7, params: ['i32', 'i64', 'i64'], results: ['i32'] },
  condOf: { slot: 8, params: ['i32', 'i64', 'i64', 'i32'], results: ['i32'] },
  wideOf: { slot: 9, params: ['i32', 'i32', 'i32', 'i32'], results: [] },
} as const satisfies Readonly<Record<string, Signature & { readonly slot: number }>>;
/** The first place for translated code; place 0 stays empty. */
export const FIRST_SLOT = 10;

/** Offset of the place in the lookup cache that an address hashes to. */
export function lookupEntry(target: Local): Code {
  const low = i32.wrap(target.get);
  const hash = i32.and(i32.xor(low, i32.shrU(low, i32.const(12))), i32.const(LOOKUP_ENTRIES - 1));
  return i32.shl(hash, i32.const(LOOKUP_ENTRY_SHIFT));
}
