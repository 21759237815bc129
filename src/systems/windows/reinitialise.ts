/** Routines that a driver wants to be called once its DriverEntry, and those of others, are over. */
import { perKernel } from '../../kernel/kernel.ts';
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { extensionOf } from './driver-object.ts';
import type { Windows } from './windows.ts';

interface Later {
  readonly driver: Address;
  readonly routine: Address;
  readonly context: Address;
}

const waiting = perKernel(() => [] as Later[]);

export function reinitialiseLater(k: Windows, driver: Address, routine: Address, context: Address): void {
  k.state(waiting).push({ driver, routine, context });
}

/** Calls those of a driver, each with how often it is called; one that asks again meanwhile is called again. */
export function* reinitialise(k: Windows, driver: Address): Steps<void> {
  const all = k.state(waiting);
  for (;;) {
    const at = all.findIndex((one) => one.driver === driver);
    if (at < 0) return;
    const [{ routine, context }] = all.splice(at, 1);
    const extension = extensionOf(k, driver);
    const count = k.read('DRIVER_EXTENSION.Count', extension) + 1;
    k.write('DRIVER_EXTENSION.Count', extension, count);
    yield* k.call(routine, driver, context, count);
  }
}
