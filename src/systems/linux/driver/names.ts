/** Small things that every part of the driver core asks of a device (include/linux/device.h). */
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { addTail, entries, initList, unlink } from '../lists.ts';

export const kobjectOf = (k: Linux, device: Address): Address => device + k.offset('device.kobj');

export function deviceName(k: Linux, device: Address): string {
  const own = k.read('device.init_name', device);
  return own !== 0 ? k.memory.cstring(own) : k.readString('kobject.name', kobjectOf(k, device));
}

// -- klists of the core: their nodes lie in private structures, and nobody but the core walks them --------------------

export function initKlist(k: Linux, list: Address): void {
  initList(k, list + k.offset('klist.k_list'));
}

/** klist_add_tail for a node whose owner is held by other means. */
export function joinKlist(k: Linux, list: Address, node: Address): void {
  k.write('klist_node.n_klist', node, list);
  k.write('klist_node.n_ref.refcount.refs.counter', node, 1);
  addTail(k, node + k.offset('klist_node.n_node'), list + k.offset('klist.k_list'));
}

/** klist_remove: does nothing to a node that is on no list. */
export function leaveKlist(k: Linux, node: Address): void {
  if (k.read('klist_node.n_klist', node) === 0) return;
  unlink(k, node + k.offset('klist_node.n_node'));
  k.write('klist_node.n_klist', node, 0);
}

/** The structures whose `knode` field (`device_private.knode_bus`...) is on a list, as they are now. */
export function klistMembers(k: Linux, list: Address, knode: string): Address[] {
  const inner = k.offset(knode) + k.offset('klist_node.n_node');
  return [...entries(k, list + k.offset('klist.k_list'))].map((entry) => entry - inner);
}

/** device_private_init: the core's own part of a device, from device_add until its release. */
export function devicePrivate(k: Linux, device: Address): Address {
  const known = k.read('device.p', device);
  if (known !== 0) return known;
  const priv = k.heap.allocateZeroed(k.sizeof('device_private'));
  k.write('device_private.device', priv, device);
  initKlist(k, priv + k.offset('device_private.klist_children'));
  initList(k, priv + k.offset('device_private.deferred_probe'));
  k.write('device.p', device, priv);
  return priv;
}

/** The devices whose parent this is. */
export function childrenOf(k: Linux, device: Address): Address[] {
  const priv = k.read('device.p', device);
  if (priv === 0) return [];
  const list = priv + k.offset('device_private.klist_children');
  return klistMembers(k, list, 'device_private.knode_parent').map((p) => k.read('device_private.device', p));
}

/** Joins the parent's children, when the parent is a registered device. */
export function joinParent(k: Linux, device: Address): void {
  const parent = k.read('device.parent', device);
  const above = parent === 0 ? 0 : k.read('device.p', parent);
  if (above === 0) return;
  const node = devicePrivate(k, device) + k.offset('device_private.knode_parent');
  joinKlist(k, above + k.offset('device_private.klist_children'), node);
}
