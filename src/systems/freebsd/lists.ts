/** sys/queue.h lists in guest memory: TAILQ (an entry is the next element and the address of the pointer to this one). */
import type { Kernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';

/** A tail queue: where its head lies, and the offset of the entry in an element. */
export interface TailQueue {
  readonly head: Address;
  readonly entry: number;
}

/** More elements than any list of ours has; ends a list that a module has tied into a circle. */
const MAX_ELEMENTS = 100_000;

const word = (k: Kernel): number => k.word;

export function initTailQueue(k: Kernel, { head }: TailQueue): void {
  k.memory.setPtr(head, 0);
  k.memory.setPtr(head + word(k), head);
}

export function insertTail(k: Kernel, { head, entry }: TailQueue, element: Address): void {
  const { memory } = k;
  const last = memory.ptr(head + word(k));
  memory.setPtr(element + entry, 0);
  memory.setPtr(element + entry + word(k), last);
  memory.setPtr(last, element);
  memory.setPtr(head + word(k), element + entry);
}

export function insertHead(k: Kernel, { head, entry }: TailQueue, element: Address): void {
  const { memory } = k;
  const first = memory.ptr(head);
  memory.setPtr(element + entry, first);
  memory.setPtr(first === 0 ? head + word(k) : first + entry + word(k), element + entry);
  memory.setPtr(head, element);
  memory.setPtr(element + entry + word(k), head);
}

export function removeElement(k: Kernel, { head, entry }: TailQueue, element: Address): void {
  const { memory } = k;
  const next = memory.ptr(element + entry);
  const previous = memory.ptr(element + entry + word(k));
  memory.setPtr(next === 0 ? head + word(k) : next + entry + word(k), previous);
  memory.setPtr(previous, next);
}

export function elements(k: Kernel, { head, entry }: TailQueue): Address[] {
  const list: Address[] = [];
  for (let at = k.memory.ptr(head); at !== 0 && list.length < MAX_ELEMENTS; at = k.memory.ptr(at + entry)) {
    list.push(at);
  }
  return list;
}
