/**
 * Processors that come and go (kernel/cpu.c): functions for each state on the way. There is one processor, and it is
 * there all the time: what is set up with `invoke` is called for it at once, and taken down when it is removed.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addToHlist, removeFromHlist } from '../lists.ts';
import { kernelFunctions } from './define.ts';

const CPU = 0;

interface Step {
  readonly startup: Address;
  readonly teardown: Address;
  readonly multi: boolean;
  readonly instances: Set<Address>;
}

/** cpuhp_hp_states, which is not exported; what modules hang on a state is the guest's own hlist. */
const states = perKernel<{ steps: Map<number, Step>; heads: Map<number, Address> }, Linux>(() => ({
  steps: new Map(),
  heads: new Map(),
}));

/** A free state of a range that is given out by the kernel; -ENOSPC when all are taken. */
function reserve(k: Linux, state: number): number {
  const ranges = [
    [k.types.enumerator('CPUHP_AP_ONLINE_DYN'), k.types.enumerator('CPUHP_AP_ONLINE_DYN_END')],
    [k.types.enumerator('CPUHP_BP_PREPARE_DYN'), k.types.enumerator('CPUHP_BP_PREPARE_DYN_END')],
  ];
  for (const [first, last] of ranges) {
    if (state !== first) continue;
    for (let free = first; free <= last; free++) if (!k.state(states).steps.has(free)) return free;
    return -Errno.ENOSPC;
  }
  return state;
}

function* setUp(
  k: Linux,
  asked: number,
  name: Address,
  invoke: number,
  startup: Address,
  teardown: Address,
  multi: number,
): Steps<number> {
  if (name === 0) return -Errno.EINVAL;
  const state = reserve(k, asked);
  const { steps } = k.state(states);
  if (state < 0) return state;
  if (steps.has(state)) return -Errno.EBUSY;
  steps.set(state, { startup, teardown, multi: multi !== 0, instances: new Set() });
  if (invoke !== 0 && startup !== 0) {
    const error = yield* k.callInt(startup, CPU);
    if (error !== 0) {
      steps.delete(state);
      return error;
    }
  }
  return asked === k.types.enumerator('CPUHP_AP_ONLINE_DYN') ? state : 0;
}

function* takeDown(k: Linux, state: number, invoke: number): Steps<void> {
  const { steps, heads } = k.state(states);
  const step = steps.get(state);
  if (step === undefined) return;
  if (invoke !== 0 && step.teardown !== 0 && !step.multi) yield* k.callInt(step.teardown, CPU);
  steps.delete(state);
  k.heap.free(heads.get(state) ?? 0);
  heads.delete(state);
}

function headOf(k: Linux, state: number): Address {
  const { heads } = k.state(states);
  const known = heads.get(state) ?? k.heap.allocateZeroed(k.word);
  heads.set(state, known);
  return known;
}

function* addInstance(k: Linux, state: number, node: Address, invoke: number): Steps<number> {
  const step = k.state(states).steps.get(state);
  if (step === undefined || !step.multi) return -Errno.EINVAL;
  if (invoke !== 0 && step.startup !== 0) {
    const error = yield* k.callInt(step.startup, CPU, node);
    if (error !== 0) return error;
  }
  addToHlist(k, node, headOf(k, state));
  step.instances.add(node);
  return 0;
}

function* removeInstance(k: Linux, state: number, node: Address, invoke: number): Steps<number> {
  const step = k.state(states).steps.get(state);
  if (step === undefined || !step.multi) return -Errno.EINVAL;
  if (invoke !== 0 && step.teardown !== 0) yield* k.callInt(step.teardown, CPU, node);
  if (step.instances.delete(node)) removeFromHlist(k, node);
  return 0;
}

const SETUP =
  '(enum cpuhp_state state, const char *name, bool invoke, int (*startup)(unsigned int cpu), int (*teardown)(unsigned int cpu), bool multi_instance)';

export const cpuHotplug = kernelFunctions({
  [`int __cpuhp_setup_state${SETUP}`]: setUp,
  [`int __cpuhp_setup_state_cpuslocked${SETUP}`]: setUp,
  'void __cpuhp_remove_state(enum cpuhp_state state, bool invoke)': takeDown,
  'void __cpuhp_remove_state_cpuslocked(enum cpuhp_state state, bool invoke)': takeDown,
  'int __cpuhp_state_add_instance(enum cpuhp_state state, struct hlist_node *node, bool invoke)': addInstance,
  'int __cpuhp_state_remove_instance(enum cpuhp_state state, struct hlist_node *node, bool invoke)':
    removeInstance,
});
