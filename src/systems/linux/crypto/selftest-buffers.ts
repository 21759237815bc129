/** Where test data lies: pieces of chosen size and place in two pages each, with poison behind them (build_test_sglist). */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';

/** What unused bytes hold, and how many are looked at behind a buffer (TESTMGR_POISON_BYTE, TESTMGR_POISON_LEN). */
export const POISON = 0xfe;
export const POISON_BYTES = 16;
export const PAGE = 4096;
/** struct test_sg_division counts in hundredths of a percent. */
const WHOLE = 10_000;

export interface Part {
  readonly share: number;
  /** Where in its two pages it begins. */
  readonly offset?: number;
  /** The algorithm's alignment mask is added to the offset. */
  readonly afterMask?: true;
  /** Of hashes: before it, what an ahash caller has collected is handed over; `reimport`: state goes out and in again, too. */
  readonly flush?: 'flush' | 'reimport';
}

export const ALL: readonly Part[] = [{ share: WHOLE }];
export const MISPLACED: readonly Part[] = [{ share: WHOLE, offset: 1 }];
export const HALVES: readonly Part[] = [{ share: 5000 }, { share: 5000 }];
export const UNEVEN: readonly Part[] = [
  { share: 1900, offset: 33 },
  { share: 3300, offset: 7 },
  { share: 4800, offset: 18 },
];
export const CROSSING: readonly Part[] = [
  { share: 7500, offset: PAGE - 32 },
  { share: 2500, offset: PAGE - 7 },
];
/** No arrangement has more. */
export const MOST_PARTS = 3;

export interface Piece {
  readonly at: Address;
  readonly length: number;
  readonly part: Part;
}

/** Puts a message into pieces; without one they are all poison. `buffers` are two pages for each part. */
export function place(
  k: Linux,
  buffers: readonly Address[],
  mask: number,
  message: Uint8Array | number,
  parts: readonly Part[],
): Piece[] {
  const total = typeof message === 'number' ? message : message.length;
  const shares: { part: Part; length: number }[] = [];
  let left = total;
  for (const part of parts) {
    const length = Math.min(left, Math.floor((total * part.share + WHOLE / 2) / WHOLE));
    if (length === 0) continue;
    shares.push({ part, length });
    left -= length;
  }
  if (shares.length === 0) shares.push({ part: parts[0], length: 0 });
  shares[shares.length - 1].length += left;
  let done = 0;
  return shares.map(({ part, length }, i) => {
    let offset = (part.offset ?? 0) + (part.afterMask ? mask : 0);
    while (offset + length + POISON_BYTES > 2 * PAGE) offset >>= 1;
    const at = buffers[i] + offset;
    k.memory.fill(at, length + POISON_BYTES, POISON);
    if (typeof message !== 'number') k.memory.write(at, message.subarray(done, done + length));
    done += length;
    return { at, length, part };
  });
}

export const isPoison = (k: Linux, at: Address): boolean =>
  k.memory.bytes(at, POISON_BYTES).every((byte) => byte === POISON);
