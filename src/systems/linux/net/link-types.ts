/** Kinds of devices that users can ask for by name (rtnl_link_ops, net/core/rtnetlink.c): the list is the guest's. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList, unlink } from '../lists.ts';
import { registered, unregister } from '../registered.ts';
import { netDevices } from './namespace.ts';
import { listed, unregisterDevices } from './register.ts';

const KIND = 'link type';

const head = perKernel<Address, Linux>((k) => {
  const at = k.heap.allocateZeroed(2 * k.word);
  initList(k, at);
  return at;
});

const kindOf = (k: Linux, operations: Address): string => k.readString('rtnl_link_ops.kind', operations);

export function* linkTypes(k: Linux): Generator<Address> {
  const inner = k.offset('rtnl_link_ops.list');
  for (const entry of entries(k, k.state(head))) yield entry - inner;
}

export function findLinkType(k: Linux, kind: string): Address {
  for (const operations of linkTypes(k)) if (kindOf(k, operations) === kind) return operations;
  return 0;
}

/** __rtnl_link_register */
export function addLinkType(k: Linux, operations: Address): number {
  const kind = kindOf(k, operations);
  if (findLinkType(k, kind) !== 0) return -Errno.EEXIST;
  const makes = ['rtnl_link_ops.alloc', 'rtnl_link_ops.setup'].some(
    (field) => k.types.has(field) && k.read(field, operations) !== 0,
  );
  if (makes && k.read('rtnl_link_ops.dellink', operations) === 0)
    k.write('rtnl_link_ops.dellink', operations, k.addressOf('unregister_netdevice_queue'));
  addTail(k, operations + k.offset('rtnl_link_ops.list'), k.state(head));
  // Users can ask for one: it is more than a registration.
  registered(k, KIND).set(operations, kind);
  return 0;
}

/** Lets the type's own code take its devices away: those of a list, and what belongs to them. */
export function* deleteLinks(k: Linux, devices: readonly Address[]): Steps<void> {
  const list = k.heap.allocateZeroed(2 * k.word);
  initList(k, list);
  for (const device of devices) {
    const operations = k.read('net_device.rtnl_link_ops', device);
    // One may have gone with another, as the ends of a pair do.
    if (!listed(k, list).includes(device))
      yield* k.call(k.read('rtnl_link_ops.dellink', operations), device, list);
  }
  yield* unregisterDevices(k, listed(k, list));
  k.heap.free(list);
}

/** __rtnl_link_unregister: its devices go with it. */
export function* removeLinkType(k: Linux, operations: Address): Steps<void> {
  if (!unregister(k, KIND, operations)) return;
  const own = [...netDevices(k)].filter(
    (device) => k.read('net_device.rtnl_link_ops', device) === operations,
  );
  yield* deleteLinks(k, own);
  unlink(k, operations + k.offset('rtnl_link_ops.list'));
}
