/**
 * Interrupts: handlers of both interfaces (ddi_add_intr(9F), ddi_intr_add_handler(9F)) and soft interrupts. They run as
 * interrupt threads do, so they may wait for a mutex. No hardware raises one; raiseInterrupt does, for whoever asks.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { StandingThing } from '../../../kernel/standing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { hardwareOf } from '../hardware.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

/** DDI_INTR_SUCCESS, DDI_INTR_NOTFOUND and DDI_EINVAL of the newer functions. */
const SUCCESS = 0;
const FAILURE = -1;
const NOTFOUND = 1;
const EINVAL = -7;
const DDI_INTR_TYPE_FIXED = 1;
/** Level of a device's interrupts: below LOCK_LEVEL, so their handlers may take mutexes. */
const PRIORITY = 5;
const SOFT_PRIORITY = 4;
/** DDI_INTR_CLAIMED. */
export const CLAIMED = 1;

interface Handler {
  readonly func: Address;
  readonly args: readonly [Address, Address];
  readonly dip: Address;
  readonly number: number;
  enabled: boolean;
}

class Handlers {
  /** By the handle that the driver has; those of the older interface by the node and number. */
  readonly hard = new Map<Address | string, Handler>();
  readonly soft = new Map<Address, Handler>();
  /** Handles that were allocated and have no handler yet. */
  readonly allocated = new Map<Address, { readonly dip: Address; readonly number: number }>();
}

const state = perKernel(() => new Handlers());

const oldKey = (dip: Address, number: number): string => `${dip}:${number}`;

/** A device's interrupt, as its line would raise it: true when the driver says that it was its own. */
export function* raiseInterrupt(k: Solaris, dip: Address, number: number): Steps<boolean | undefined> {
  for (const handler of k.state(state).hard.values()) {
    if (handler.dip !== dip || handler.number !== number || !handler.enabled) continue;
    return (yield* k.callInt(handler.func, ...handler.args)) === CLAIMED;
  }
  return undefined;
}

/** Handlers that nobody took back. */
export function* handlersNow(k: Solaris): Generator<StandingThing> {
  const { hard, soft } = k.state(state);
  for (const [key, { func }] of hard) yield { what: 'interrupt handler', key, name: k.where(func) };
  for (const [key, { func }] of soft) yield { what: 'soft interrupt', key, name: k.where(func) };
}

/** ddi_get_iblock_cookie: drivers give the cookie to mutex_init. */
function iblock(k: Solaris, dip: Address, number: number, cookie: Address): number {
  if (number >= (hardwareOf(k, dip)?.interrupts ?? 0)) return NOTFOUND;
  k.memory.setPtr(cookie, PRIORITY);
  return SUCCESS;
}

function addOld(
  k: Solaris,
  dip: Address,
  number: number,
  cookies: readonly [Address, Address],
  func: Address,
  arg: Address,
): number {
  if (number >= (hardwareOf(k, dip)?.interrupts ?? 0)) return NOTFOUND;
  if (cookies[0] !== 0) k.memory.setPtr(cookies[0], PRIORITY);
  if (cookies[1] !== 0) k.memory.set32(cookies[1], PRIORITY << 16);
  const handler = { func, args: [arg, 0] as const, dip, number, enabled: true };
  k.state(state).hard.set(oldKey(dip, number), handler);
  return SUCCESS;
}

function addSoft(k: Solaris, handlep: Address, func: Address, args: readonly [Address, Address]): number {
  const at = k.heap.take(16);
  k.state(state).soft.set(at, { func, args, dip: 0, number: 0, enabled: true });
  k.memory.setPtr(handlep, at);
  return SUCCESS;
}

function removeSoft(k: Solaris, handle: Address): number {
  if (!k.state(state).soft.delete(handle)) return EINVAL;
  k.heap.free(handle);
  return SUCCESS;
}

/** One that is triggered again before it has run runs once. */
function trigger(k: Solaris, handle: Address, second?: Address): number {
  const handler = k.state(state).soft.get(handle);
  if (handler === undefined) return EINVAL;
  const [first, given] = handler.args;
  const run = function* (): Steps<void> {
    if (k.state(state).soft.get(handle) === handler) yield* k.callInt(handler.func, first, second ?? given);
  };
  k.spawnThread('softint', run());
  return SUCCESS;
}

function allocateNew(
  k: Solaris,
  dip: Address,
  array: Address,
  range: { first: number; count: number },
  actual: Address,
): number {
  const there = Math.max(0, Math.min(range.count, (hardwareOf(k, dip)?.interrupts ?? 0) - range.first));
  if (there === 0) return FAILURE;
  for (let i = 0; i < there; i++) {
    const handle = k.heap.take(16);
    k.state(state).allocated.set(handle, { dip, number: range.first + i });
    k.memory.setPtr(array + i * k.word, handle);
  }
  k.memory.set32(actual, there);
  return SUCCESS;
}

function enable(k: Solaris, handle: Address, on: boolean): number {
  const handler = k.state(state).hard.get(handle);
  if (handler === undefined) return EINVAL;
  handler.enabled = on;
  return SUCCESS;
}

const give = (k: Solaris, at: Address, value: number): number => {
  k.memory.set32(at, value);
  return SUCCESS;
};

export const interrupts = kernelFunctions({
  'int ddi_get_iblock_cookie(dev_info_t *dip, uint_t number, void **cookie)': iblock,
  'int ddi_dev_nintrs(dev_info_t *dip, int *count)': (k, dip, count) =>
    give(k, count, hardwareOf(k, dip)?.interrupts ?? 0),
  'int ddi_intr_hilevel(dev_info_t *dip, uint_t number)': () => 0,
  'int ddi_add_intr(dev_info_t *dip, uint_t number, void **iblock, void *idevice, void *handler, caddr_t arg)':
    (k, dip, number, block, device, func, arg) => addOld(k, dip, number, [block, device], func, arg),
  'void ddi_remove_intr(dev_info_t *dip, uint_t number, void *iblock)': (k, dip, number) => {
    k.state(state).hard.delete(oldKey(dip, number));
  },
  'int ddi_get_soft_iblock_cookie(dev_info_t *dip, int preference, void **cookie)': (
    k,
    _dip,
    _pri,
    cookie,
  ) => {
    k.memory.setPtr(cookie, SOFT_PRIORITY);
    return SUCCESS;
  },
  'int ddi_add_softintr(dev_info_t *dip, int preference, void **idp, void **iblock, void *idevice, void *handler, caddr_t arg)':
    (k, _dip, _preference, idp, block, _device, func, arg) => {
      if (block !== 0) k.memory.setPtr(block, SOFT_PRIORITY);
      return addSoft(k, idp, func, [arg, 0]);
    },
  'void ddi_remove_softintr(void *id)': (k, id) => {
    removeSoft(k, id);
  },
  'void ddi_trigger_softintr(void *id)': (k, id) => {
    trigger(k, id);
  },
  'int ddi_intr_get_supported_types(dev_info_t *dip, int *types)': (k, dip, types) =>
    (hardwareOf(k, dip)?.interrupts ?? 0) === 0 ? NOTFOUND : give(k, types, DDI_INTR_TYPE_FIXED),
  'int ddi_intr_get_nintrs(dev_info_t *dip, int type, int *count)': (k, dip, type, count) =>
    type !== DDI_INTR_TYPE_FIXED || hardwareOf(k, dip) === undefined
      ? NOTFOUND
      : give(k, count, hardwareOf(k, dip)?.interrupts ?? 0),
  'int ddi_intr_get_navail(dev_info_t *dip, int type, int *count)': (k, dip, type, count) =>
    type !== DDI_INTR_TYPE_FIXED || hardwareOf(k, dip) === undefined
      ? NOTFOUND
      : give(k, count, hardwareOf(k, dip)?.interrupts ?? 0),
  'int ddi_intr_alloc(dev_info_t *dip, void **array, int type, int first, int count, int *actual, int behaviour)':
    (k, dip, array, type, first, count, actual) =>
      type === DDI_INTR_TYPE_FIXED ? allocateNew(k, dip, array, { first, count }, actual) : NOTFOUND,
  'int ddi_intr_free(void *handle)': (k, handle) => {
    if (k.state(state).hard.has(handle) || !k.state(state).allocated.delete(handle)) return EINVAL;
    k.heap.free(handle);
    return SUCCESS;
  },
  'int ddi_intr_get_pri(void *handle, uint_t *priority)': (k, _handle, priority) =>
    give(k, priority, PRIORITY),
  'int ddi_intr_set_pri(void *handle, uint_t priority)': () => SUCCESS,
  'uint_t ddi_intr_get_hilevel_pri(void)': () => 11,
  // No flags: it is a line of a fixed kind, which cannot be masked and enabled together with others.
  'int ddi_intr_get_cap(void *handle, int *flags)': (k, _handle, flags) => give(k, flags, 0),
  'int ddi_intr_add_handler(void *handle, void *handler, void *arg1, void *arg2)': (
    k,
    handle,
    func,
    first,
    second,
  ) => {
    const own = k.state(state).allocated.get(handle);
    if (own === undefined || func === 0 || k.state(state).hard.has(handle)) return EINVAL;
    k.state(state).hard.set(handle, { func, args: [first, second], ...own, enabled: false });
    return SUCCESS;
  },
  'int ddi_intr_remove_handler(void *handle)': (k, handle) =>
    k.state(state).hard.delete(handle) ? SUCCESS : EINVAL,
  'int ddi_intr_enable(void *handle)': (k, handle) => enable(k, handle, true),
  'int ddi_intr_disable(void *handle)': (k, handle) => enable(k, handle, false),
  'int ddi_intr_block_enable(void **handles, int count)': () => FAILURE,
  'int ddi_intr_block_disable(void **handles, int count)': () => FAILURE,
  'int ddi_intr_add_softint(dev_info_t *dip, void **handlep, int priority, void *handler, void *arg)': (
    k,
    _dip,
    handlep,
    _priority,
    func,
    arg,
  ) => addSoft(k, handlep, func, [arg, 0]),
  'int ddi_intr_trigger_softint(void *handle, void *arg)': trigger,
  'int ddi_intr_remove_softint(void *handle)': removeSoft,
  'int ddi_intr_get_softint_pri(void *handle, uint_t *priority)': (k, _handle, priority) =>
    give(k, priority, SOFT_PRIORITY),
});
