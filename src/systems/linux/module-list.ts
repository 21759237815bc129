/**
 * The list of `struct module` in guest memory. The kernel's own head is a static variable without an exported address, so
 * the base kernel has one of its own; the links between modules are the real ones.
 */
import { perKernel } from '../../kernel/kernel.ts';
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

const head = perKernel((k: Linux) => {
  const at = k.addressOf('modules') || k.heap.allocate(16);
  k.memory.setPtr(at, at);
  k.memory.setPtr(at + 8, at);
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

/** list_add_rcu at the head. */
export function listAdd(k: Linux, node: Address, at: Address): void {
  const next = k.memory.ptr(at);
  k.memory.setPtr(node, next);
  k.memory.setPtr(node + 8, at);
  k.memory.setPtr(next + 8, node);
  k.memory.setPtr(at, node);
}

/** list_del; the links are left pointing at themselves. */
export function listRemove(k: Linux, node: Address): void {
  const next = k.memory.ptr(node);
  const previous = k.memory.ptr(node + 8);
  k.memory.setPtr(next + 8, previous);
  k.memory.setPtr(previous, next);
  listInit(k, node);
}

/** INIT_LIST_HEAD. */
export function listInit(k: Linux, node: Address): void {
  k.memory.setPtr(node, node);
  k.memory.setPtr(node + 8, node);
}

/** The nodes of a list, front first; safe against removal of the node just given. */
export function* listNodes(k: Linux, at: Address): Generator<Address> {
  for (let node = k.memory.ptr(at); node !== at; ) {
    const next = k.memory.ptr(node);
    yield node;
    node = next;
  }
}
