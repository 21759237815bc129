/** Flags of pages that others wait for, pages that may be moved, and how many there are of a kind (mm/filemap.c, mm/vmstat.c). */
import type { Address } from '../../../memory/space.ts';
import { set, waitForBit, wakeWaiters } from '../block/pages.ts';
import type { Linux } from '../linux.ts';
import { kernelFunctions } from './define.ts';

/** PAGE_MAPPING_MOVABLE: the mapping of a page is a table of functions that move it. */
const MOVABLE = 2;

/** The counter of a zone's item that inline code reads: for all zones together, since there is one. */
function countInZone(k: Linux, item: number, by: number): void {
  const all = k.file.exports.find('vm_zone_stat');
  if (all === undefined) return;
  const at = all.address + item * k.word;
  k.memory.setPtr(at, k.memory.ptr(at) + by);
}

function unlock(k: Linux, page: Address): void {
  set(k, page, 'PG_locked', false);
  wakeWaiters(k, page);
}

/** What of a page's bio has come to its end (mm/page_io.c, until 6.2). */
function pageEnds(k: Linux, page: Address, writing: boolean, error: number): void {
  if (writing) {
    set(k, page, 'PG_writeback', false);
    wakeWaiters(k, page);
    return;
  }
  set(k, page, 'PG_uptodate', error === 0);
  unlock(k, page);
}

export const pageStateFunctions = kernelFunctions({
  'void unlock_page(struct page *page)': unlock,
  'void folio_unlock(struct folio *folio)': unlock,
  'void folio_wait_bit(struct folio *folio, int bit_nr)': waitForBit,
  'void page_endio(struct page *page, bool is_write, int err)': (k, page, writing, error) =>
    pageEnds(k, page, Number(writing) !== 0, error),
  'void __SetPageMovable(struct page *page, const struct movable_operations *mops)': (
    k,
    page,
    operations,
  ) => {
    k.write('page.mapping', page, operations + MOVABLE);
  },
  'void __ClearPageMovable(struct page *page)': (k, page) => {
    k.write('page.mapping', page, MOVABLE);
  },
  'void inc_zone_page_state(struct page *page, enum zone_stat_item item)': (k, _page, item) =>
    countInZone(k, item, 1),
  'void dec_zone_page_state(struct page *page, enum zone_stat_item item)': (k, _page, item) =>
    countInZone(k, item, -1),
});
