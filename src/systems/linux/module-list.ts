/**
 * The list of `struct module` in guest memory. The kernel's own head is a static variable without an exported address, so
 * the base kernel has one of its own; the links between modules are the real ones.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';
import { initList } from './lists.ts';

const head = perKernel((k: Linux) => {
  const at = k.addressOf('modules') || k.heap.allocate(16);
  initList(k, at);
  return at;
});

/** Address of the list's head. */
export function moduleListHead(k: Linux): Address {
  return k.state(head);
}

/** Every `struct module`, newest first, the ones being formed too. */
export function* moduleList(k: Linux): Generator<Address> {
  const first = moduleListHead(k);
  const link = k.offset('module.list');
  for (let at = k.memory.ptr(first); at !== first; at = k.memory.ptr(at)) yield at - link;
}
