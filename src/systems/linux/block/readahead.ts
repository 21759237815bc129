/** Which pages are read when one is wanted (mm/readahead.c, ondemand_readahead); the state is in the open file. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { diskOf } from './device.ts';
import { find, PAGE, readPages } from './pages.ts';

interface Window {
  start: number;
  size: number;
  async: number;
}

const state = (k: Linux, file: Address): Address => file + k.offset('file.f_ra');

/** file_ra_state_init. */
export function initialise(k: Linux, file: Address, device: Address): void {
  const pages = k.read('backing_dev_info.ra_pages', k.read('gendisk.bdi', diskOf(k, device)));
  k.write('file_ra_state.ra_pages', state(k, file), pages);
  k.write('file_ra_state.prev_pos', state(k, file), -1);
}

/** Where the last read ended. */
export const remember = (k: Linux, file: Address, position: number): void =>
  k.write('file_ra_state.prev_pos', state(k, file), position);

const firstSize = (wanted: number, most: number): number => {
  const size = 2 ** Math.ceil(Math.log2(wanted));
  if (size <= most / 32) return size * 4;
  return size <= most / 4 ? size * 2 : most;
};

const nextSize = (size: number, most: number): number => {
  if (size < most / 16) return size * 4;
  return size <= most / 2 ? size * 2 : most;
};

/** Reads ahead for a read of `wanted` pages from `index`; `marked`: the page is there and asked for the next window. */
export function* readAhead(
  k: Linux,
  file: Address,
  device: Address,
  index: number,
  wanted: number,
  marked: boolean,
): Steps<void> {
  const at = state(k, file);
  const most = mostPages(k, file, device, wanted);
  const window: Window = {
    start: k.read('file_ra_state.start', at),
    size: k.read('file_ra_state.size', at),
    async: k.read('file_ra_state.async_size', at),
  };
  if (most === 0 || !move(k, file, device, index, wanted, most, marked, window)) {
    if (!marked) yield* readPages(k, device, index, wanted, -1);
    return;
  }
  if (index === window.start && window.size === window.async) {
    const more = nextSize(window.size, most);
    if (window.size + more <= most) {
      window.async = more;
      window.size += more;
    } else {
      window.size = most;
      window.async = most >> 1;
    }
  }
  k.write('file_ra_state.start', at, window.start);
  k.write('file_ra_state.size', at, window.size);
  k.write('file_ra_state.async_size', at, window.async);
  yield* readPages(k, device, window.start, window.size, window.size - window.async);
}

/** The window's limit; a larger request may go up to what the device takes at once. */
function mostPages(k: Linux, file: Address, device: Address, wanted: number): number {
  const most = k.read('file_ra_state.ra_pages', state(k, file));
  const hard = k.read('backing_dev_info.io_pages', k.read('gendisk.bdi', diskOf(k, device)));
  return wanted > most && hard > most ? Math.min(wanted, hard) : most;
}

/** Moves the window; false for a read that is no part of a sequence, of which nothing more is to be expected. */
function move(
  k: Linux,
  file: Address,
  device: Address,
  index: number,
  wanted: number,
  most: number,
  marked: boolean,
  window: Window,
): boolean {
  const previous = Math.floor(k.read('file_ra_state.prev_pos', state(k, file)) / PAGE);
  const begin = () => {
    window.start = index;
    window.size = firstSize(wanted, most);
    window.async = window.size > wanted ? window.size - wanted : window.size;
    return true;
  };
  if (index === 0) return begin();
  if (index === window.start + window.size - window.async || index === window.start + window.size) {
    window.start += window.size;
    window.size = nextSize(window.size, most);
    window.async = window.size;
    return true;
  }
  if (marked) {
    let next = index + 1;
    while (next - index <= most && find(k, device, next) !== 0) next++;
    if (next - index > most) return false;
    window.start = next;
    window.size = nextSize(next - index + wanted, most);
    window.async = window.size;
    return true;
  }
  return wanted > most || (index - previous >= 0 && index - previous <= 1)
    ? begin()
    : traces(k, device, index, wanted, most, window);
}

/** try_context_readahead: pages before this one are there, so somebody reads in order. */
function traces(
  k: Linux,
  device: Address,
  index: number,
  wanted: number,
  most: number,
  window: Window,
): boolean {
  let before = 0;
  while (before < most && index - before > 0 && find(k, device, index - 1 - before) !== 0) before++;
  if (before <= wanted) return false;
  if (before >= index) before *= 2;
  window.start = index;
  window.size = Math.min(before + wanted, most);
  window.async = 1;
  return true;
}
