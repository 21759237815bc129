/** Module reference counts (kernel/module/main.c): the count lives in struct module. */
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';
import { ModuleState } from './module.ts';

/** try_module_get: takes a reference unless the module is going. 0 = built in, always true. */
export function tryModuleGet(k: Linux, module: Address): boolean {
  if (module === 0) return true;
  const count = k.read('module.refcnt.counter', module);
  if (k.read('module.state', module) === ModuleState.GOING || count === 0) return false;
  k.write('module.refcnt.counter', module, count + 1);
  return true;
}

/** module_put; dropping one more than were taken is a bug of the module, which the kernel warns about. */
export function modulePut(k: Linux, module: Address): void {
  if (module === 0) return;
  const count = k.read('module.refcnt.counter', module);
  if (count > 0) k.write('module.refcnt.counter', module, count - 1);
}
