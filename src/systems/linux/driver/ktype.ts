/** kobj_types of the base kernel's own kinds of objects, each made once. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';

/** Names of the functions a kobj_type points to; all of them are in the function table. */
export interface KobjectType {
  readonly release?: string;
  readonly show: string;
  readonly store: string;
}

const made = perKernel<Map<KobjectType, Address>, Linux>(() => new Map());

/** The guest's struct kobj_type for `type`, with its sysfs_ops. */
export function kobjectType(k: Linux, type: KobjectType): Address {
  return k.state(made).get(type) ?? k.heap.lasting(() => makeType(k, type));
}

function makeType(k: Linux, type: KobjectType): Address {
  const operations = k.heap.allocateZeroed(k.sizeof('sysfs_ops'));
  k.write('sysfs_ops.show', operations, k.addressOf(type.show));
  k.write('sysfs_ops.store', operations, k.addressOf(type.store));
  const at = k.heap.allocateZeroed(k.sizeof('kobj_type'));
  if (type.release !== undefined) k.write('kobj_type.release', at, k.addressOf(type.release));
  k.write('kobj_type.sysfs_ops', at, operations);
  k.state(made).set(type, at);
  return at;
}
