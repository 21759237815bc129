/** list_head, hlist and llist in guest memory: the kernel's own linkage, kept nowhere else. */
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

/** Longer lists than this are rings that never come back to their head. */
const MAX_ENTRIES = 1_000_000;

export function initList(k: Linux, head: Address): void {
  k.memory.setPtr(head, head);
  k.memory.setPtr(head + k.word, head);
}

export function listEmpty(k: Linux, head: Address): boolean {
  return k.memory.ptr(head) === head;
}

function between(k: Linux, entry: Address, prev: Address, next: Address): void {
  k.memory.setPtr(next + k.word, entry);
  k.memory.setPtr(entry, next);
  k.memory.setPtr(entry + k.word, prev);
  k.memory.setPtr(prev, entry);
}

/** list_add: right behind the head. */
export function addHead(k: Linux, entry: Address, head: Address): void {
  between(k, entry, head, k.memory.ptr(head));
}

/** list_add_tail: right before the head. */
export function addTail(k: Linux, entry: Address, head: Address): void {
  between(k, entry, k.memory.ptr(head + k.word), head);
}

/** Takes an entry out and leaves its pointers as they are (__list_del_entry). */
export function unlink(k: Linux, entry: Address): void {
  const next = k.memory.ptr(entry);
  const prev = k.memory.ptr(entry + k.word);
  k.memory.setPtr(next + k.word, prev);
  k.memory.setPtr(prev, next);
}

/** list_del_init */
export function removeInit(k: Linux, entry: Address): void {
  unlink(k, entry);
  initList(k, entry);
}

/** Entries from the head on; the entry at hand may be removed meanwhile. */
export function* entries(k: Linux, head: Address): Iterable<Address> {
  let entry = k.memory.ptr(head);
  for (let n = 0; entry !== head && n < MAX_ENTRIES; n++) {
    const next = k.memory.ptr(entry);
    yield entry;
    entry = next;
  }
}

/** hlist_add_head */
export function addToHlist(k: Linux, node: Address, head: Address): void {
  const first = k.memory.ptr(head);
  k.memory.setPtr(node, first);
  if (first !== 0) k.memory.setPtr(first + k.word, node);
  k.memory.setPtr(head, node);
  k.memory.setPtr(node + k.word, head);
}

/** hlist_del_init: a node that is in no list stays as it is. */
export function removeFromHlist(k: Linux, node: Address): void {
  const place = k.memory.ptr(node + k.word);
  if (place === 0) return;
  const next = k.memory.ptr(node);
  k.memory.setPtr(place, next);
  if (next !== 0) k.memory.setPtr(next + k.word, place);
  k.memory.setPtr(node, 0);
  k.memory.setPtr(node + k.word, 0);
}
