/**
 * Polling of drivers (NAPI, net/core/dev.c). A driver that is scheduled is polled by a thread of its own until it says that
 * it is done; its state word and its place in the device's list are the guest's.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import type { Linux } from '../linux.ts';
import { addTail, initList, unlink } from '../lists.ts';
import { kernelFunctions } from './define.ts';
import { disablePreemption, enablePreemption } from './sched.ts';

/** Bits of napi_struct.state. */
const STATE = { SCHED: 1, MISSED: 2, DISABLE: 4, NPSVC: 8, LISTED: 16 } as const;
/** A driver that never finishes is left alone after so many rounds, as the softirq leaves it to its thread. */
const ROUNDS = 10_000;

const state = (k: Linux, napi: Address): number => k.read('napi_struct.state', napi);
const set = (k: Linux, napi: Address, value: number): void => k.write('napi_struct.state', napi, value);

function add(k: Linux, device: Address, napi: Address, poll: Address, weight: number): void {
  if ((state(k, napi) & STATE.LISTED) !== 0) return;
  initList(k, napi + k.offset('napi_struct.poll_list'));
  k.write('napi_struct.poll', napi, poll);
  k.write('napi_struct.weight', napi, weight);
  k.write('napi_struct.dev', napi, device);
  // Disabled until the driver enables it: scheduled, but with nobody to poll.
  set(k, napi, STATE.SCHED | STATE.LISTED | STATE.NPSVC);
  addTail(k, napi + k.offset('napi_struct.dev_list'), device + k.offset('net_device.napi_list'));
}

function remove(k: Linux, napi: Address): void {
  if ((state(k, napi) & STATE.LISTED) === 0) return;
  set(k, napi, state(k, napi) & ~STATE.LISTED);
  unlink(k, napi + k.offset('napi_struct.dev_list'));
}

/** napi_schedule_prep: true when it was not scheduled before. */
function prepare(k: Linux, napi: Address): boolean {
  const value = state(k, napi);
  if ((value & STATE.DISABLE) !== 0) return false;
  set(k, napi, value | STATE.SCHED | ((value & STATE.SCHED) !== 0 ? STATE.MISSED : 0));
  return (value & STATE.SCHED) === 0;
}

function schedule(k: Linux, napi: Address): void {
  k.tasks.spawn('ksoftirqd/0', poll(k, napi));
}

function* poll(k: Linux, napi: Address): Steps<void> {
  for (let round = 0; round < ROUNDS && (state(k, napi) & STATE.SCHED) !== 0; round++) {
    const weight = k.read('napi_struct.weight', napi);
    disablePreemption(k);
    const done = yield* k.callInt(k.read('napi_struct.poll', napi), napi, weight);
    enablePreemption(k);
    if (done < weight) return;
    yield { kind: 'yield' };
  }
}

/** napi_complete_done: false when there is more to do, and it will be polled again. */
function complete(k: Linux, napi: Address): boolean {
  const value = state(k, napi);
  set(k, napi, value & ~(STATE.MISSED | STATE.SCHED));
  if ((value & STATE.MISSED) === 0) return true;
  set(k, napi, state(k, napi) | STATE.SCHED);
  schedule(k, napi);
  return false;
}

function* disable(k: Linux, napi: Address): Steps<void> {
  set(k, napi, state(k, napi) | STATE.DISABLE);
  while ((state(k, napi) & STATE.SCHED) !== 0) yield { kind: 'yield' };
  set(k, napi, (state(k, napi) | STATE.SCHED) & ~STATE.DISABLE);
}

export const napiFunctions = kernelFunctions({
  'void netif_napi_add_weight(struct net_device *dev, struct napi_struct *napi, int (*poll)(struct napi_struct *, int), int weight)':
    add,
  'void netif_napi_add_weight_locked(struct net_device *dev, struct napi_struct *napi, int (*poll)(struct napi_struct *, int), int weight)':
    add,
  'void __netif_napi_del(struct napi_struct *napi)': remove,
  'void __netif_napi_del_locked(struct napi_struct *napi)': remove,
  'void napi_enable(struct napi_struct *n)': (k, napi) =>
    set(k, napi, state(k, napi) & ~(STATE.SCHED | STATE.NPSVC)),
  'void napi_disable(struct napi_struct *n)': disable,
  'bool napi_schedule_prep(struct napi_struct *n)': (k, napi) => Number(prepare(k, napi)),
  'void __napi_schedule(struct napi_struct *n)': schedule,
  'void __napi_schedule_irqoff(struct napi_struct *n)': schedule,
  'bool napi_complete_done(struct napi_struct *n, int work_done)': (k, napi) => Number(complete(k, napi)),
});
