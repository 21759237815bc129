/** The largest block of pages, and what asking for more does (WARN_ON_ONCE_GFP in __alloc_pages, mm/page_alloc.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import { PAGE_SIZE } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { GFP } from '../pages.ts';
import { kernelWarning } from './caller.ts';

/** MAX_ORDER - 1 before Linux 6.4, MAX_PAGE_ORDER later. */
export const HIGHEST_ORDER = 10;
export const LARGEST_BLOCK = PAGE_SIZE << HIGHEST_ORDER;

const warned = perKernel<{ yet: boolean }, Linux>(() => ({ yet: false }));

/** Warns of a request that no machine can serve, the first time and unless the caller wants no warning. */
export function tooLarge(k: Linux, gfp: number): void {
  const state = k.state(warned);
  if (state.yet || (gfp & GFP.NOWARN) !== 0) return;
  state.yet = true;
  kernelWarning(k, 'mm/page_alloc.c:5634');
}
