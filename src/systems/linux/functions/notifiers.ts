/** Notifier chains: single linked lists by priority, in the guest (kernel/notifier.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';

/** NOTIFY_STOP_MASK: no further block is called. */
const STOP = 0x8000;
/** Longer chains are rings. */
const MAX_BLOCKS = 100_000;

const NEXT = 'notifier_block.next';

/** Blocks that are in some chain: an index, the chain itself is in the guest. */
const chained = perKernel(() => new Set<Address>());

export const registeredNotifiers = (k: Linux): Iterable<Address> => k.state(chained);

/** Inserts before the first block of lower priority; -EEXIST for one that is there already. */
export function register(k: Linux, head: Address, block: Address, unique = false): number {
  const priority = k.read('notifier_block.priority', block);
  let link = head;
  for (let at = k.memory.ptr(link), n = 0; at !== 0 && n < MAX_BLOCKS; at = k.memory.ptr(link), n++) {
    if (at === block) {
      kernelWarning(
        k,
        'kernel/notifier.c:29',
        `notifier callback ${k.describe(k.read('notifier_block.notifier_call', block))} already registered`,
      );
      return -Errno.EEXIST;
    }
    const there = k.read('notifier_block.priority', at);
    if (priority > there) break;
    if (priority === there && unique) return -Errno.EBUSY;
    link = at + k.offset(NEXT);
  }
  k.write(NEXT, block, k.memory.ptr(link));
  k.memory.setPtr(link, block);
  k.state(chained).add(block);
  return 0;
}

export function unregister(k: Linux, head: Address, block: Address): number {
  let link = head;
  for (let at = k.memory.ptr(link), n = 0; at !== 0 && n < MAX_BLOCKS; at = k.memory.ptr(link), n++) {
    if (at === block) {
      k.memory.setPtr(link, k.read(NEXT, block));
      k.state(chained).delete(block);
      return 0;
    }
    link = at + k.offset(NEXT);
  }
  return -Errno.ENOENT;
}

/** Calls the blocks in order until one says stop; the last answer. `called` counts them when an address is given. */
export function* callChain(k: Linux, head: Address, value: number, data: Address, limit = -1): Steps<number> {
  let result = 0;
  let at = k.memory.ptr(head);
  for (let n = 0; at !== 0 && n !== limit && n < MAX_BLOCKS; n++) {
    const next = k.read(NEXT, at);
    result = yield* k.callInt(k.read('notifier_block.notifier_call', at), at, value, data);
    if ((result & STOP) !== 0) break;
    at = next;
  }
  return result;
}

/** call_chain_robust: those that agreed are told when a later one vetoes. */
export function* callRobust(k: Linux, head: Address, up: number, down: number, data: Address): Steps<number> {
  let called = 0;
  let result = 0;
  for (let at = k.memory.ptr(head); at !== 0 && called < MAX_BLOCKS; called++) {
    const next = k.read(NEXT, at);
    result = yield* k.callInt(k.read('notifier_block.notifier_call', at), at, up, data);
    if ((result & STOP) !== 0) {
      yield* callChain(k, head, down, data, called);
      return result;
    }
    at = next;
  }
  return result;
}

const atomic = (k: Linux, chain: Address): Address => chain + k.offset('atomic_notifier_head.head');
const blocking = (k: Linux, chain: Address): Address => chain + k.offset('blocking_notifier_head.head');
const srcu = (k: Linux, chain: Address): Address => chain + k.offset('srcu_notifier_head.head');

export const notifiers = kernelFunctions({
  'int atomic_notifier_chain_register(struct atomic_notifier_head *nh, struct notifier_block *n)': (
    k,
    chain,
    n,
  ) => register(k, atomic(k, chain), n),
  'int atomic_notifier_chain_register_unique_prio(struct atomic_notifier_head *nh, struct notifier_block *n)':
    (k, chain, n) => register(k, atomic(k, chain), n, true),
  'int atomic_notifier_chain_unregister(struct atomic_notifier_head *nh, struct notifier_block *n)': (
    k,
    chain,
    n,
  ) => unregister(k, atomic(k, chain), n),
  'int atomic_notifier_call_chain(struct atomic_notifier_head *nh, unsigned long val, void *v)': (
    k,
    chain,
    value,
    data,
  ) => callChain(k, atomic(k, chain), value, data),
  'int blocking_notifier_chain_register(struct blocking_notifier_head *nh, struct notifier_block *n)': (
    k,
    chain,
    n,
  ) => register(k, blocking(k, chain), n),
  'int blocking_notifier_chain_register_unique_prio(struct blocking_notifier_head *nh, struct notifier_block *n)':
    (k, chain, n) => register(k, blocking(k, chain), n, true),
  'int blocking_notifier_chain_unregister(struct blocking_notifier_head *nh, struct notifier_block *n)': (
    k,
    chain,
    n,
  ) => unregister(k, blocking(k, chain), n),
  'int blocking_notifier_call_chain(struct blocking_notifier_head *nh, unsigned long val, void *v)': (
    k,
    chain,
    value,
    data,
  ) => callChain(k, blocking(k, chain), value, data),
  'int blocking_notifier_call_chain_robust(struct blocking_notifier_head *nh, unsigned long val_up, unsigned long val_down, void *v)':
    (k, chain, up, down, data) => callRobust(k, blocking(k, chain), up, down, data),
  'int raw_notifier_chain_register(struct raw_notifier_head *nh, struct notifier_block *n)': (k, chain, n) =>
    register(k, chain, n),
  'int raw_notifier_chain_unregister(struct raw_notifier_head *nh, struct notifier_block *n)': (
    k,
    chain,
    n,
  ) => unregister(k, chain, n),
  'int raw_notifier_call_chain(struct raw_notifier_head *nh, unsigned long val, void *v)': (
    k,
    chain,
    value,
    data,
  ) => callChain(k, chain, value, data),
  'int raw_notifier_call_chain_robust(struct raw_notifier_head *nh, unsigned long val_up, unsigned long val_down, void *v)':
    (k, chain, up, down, data) => callRobust(k, chain, up, down, data),
  'void srcu_init_notifier_head(struct srcu_notifier_head *nh)': (k, chain) =>
    k.memory.fill(chain, k.sizeof('srcu_notifier_head'), 0),
  'int srcu_notifier_chain_register(struct srcu_notifier_head *nh, struct notifier_block *n)': (
    k,
    chain,
    n,
  ) => register(k, srcu(k, chain), n),
  'int srcu_notifier_chain_unregister(struct srcu_notifier_head *nh, struct notifier_block *n)': (
    k,
    chain,
    n,
  ) => unregister(k, srcu(k, chain), n),
  'int srcu_notifier_call_chain(struct srcu_notifier_head *nh, unsigned long val, void *v)': (
    k,
    chain,
    value,
    data,
  ) => callChain(k, srcu(k, chain), value, data),
});

/** Chains of the kernel's own that have no exported head: one word each, made when first used. */
export const moduleChain = perKernel<Address, Linux>((k) => k.heap.allocateZeroed(8));
const rebootChain = perKernel<Address, Linux>((k) => k.heap.allocateZeroed(8));

export const kernelChains = kernelFunctions({
  'int register_module_notifier(struct notifier_block *nb)': (k, n) => register(k, k.state(moduleChain), n),
  'int unregister_module_notifier(struct notifier_block *nb)': (k, n) =>
    unregister(k, k.state(moduleChain), n),
  'int register_reboot_notifier(struct notifier_block *nb)': (k, n) => register(k, k.state(rebootChain), n),
  'int unregister_reboot_notifier(struct notifier_block *nb)': (k, n) =>
    unregister(k, k.state(rebootChain), n),
});
