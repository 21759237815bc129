/** Work loops and what is served on them: command gates, timers, interrupts (iokit/Kernel/IOWorkLoop.cpp and its neighbours). */
import { perKernel } from '../../../../kernel/kernel.ts';
import { block, type Steps } from '../../../../kernel/steps.ts';
import type { Deadline } from '../../../../kernel/time.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { invoke, newObject } from '../../runtime/classes.ts';
import { release, retain } from '../../runtime/objects.ts';
import { parentsOf } from '../../runtime/registry.ts';
import { kernelFunctions } from '../define.ts';
import { freeObject } from '../libkern/object.ts';

const NOT_PERMITTED = 0xe00002e2 | 0;
const BAD_ARGUMENT = 0xe00002c2 | 0;
const CANNOT_LOCK = 0xe00002cc | 0;
const RETRY = 10_000;

// -- gates --------------------------------------------------------------------------------------------------------------

/** The gate of a work loop is a recursive lock: owner and depth lie in the object. */
function* closeGate(k: Macos, at: Address): Steps<void> {
  const own = k.scheduler.current?.id ?? 1;
  while (k.read('IOWorkLoop.gateOwner', at) !== 0 && k.read('IOWorkLoop.gateOwner', at) !== own)
    yield* block('the gate of a work loop', k.time.now() + RETRY);
  k.write('IOWorkLoop.gateOwner', at, own);
  k.write('IOWorkLoop.gateDepth', at, k.read('IOWorkLoop.gateDepth', at) + 1);
}

function openGate(k: Macos, at: Address): void {
  const depth = k.read('IOWorkLoop.gateDepth', at) - 1;
  k.write('IOWorkLoop.gateDepth', at, Math.max(0, depth));
  if (depth <= 0) k.write('IOWorkLoop.gateOwner', at, 0);
}

const inGate = (k: Macos, at: Address): boolean =>
  k.read('IOWorkLoop.gateOwner', at) === (k.scheduler.current?.id ?? 1);

/** Runs steps behind the gate of a source's work loop; a source without one runs them as they are. */
function* gated<T>(k: Macos, source: Address, steps: () => Steps<T>): Steps<T> {
  const loop = k.read('IOEventSource.workLoop', source);
  if (loop === 0) return yield* steps();
  yield* closeGate(k, loop);
  const result = yield* steps();
  openGate(k, loop);
  return result;
}

// -- event sources --------------------------------------------------------------------------------------------------------

function initSource(k: Macos, at: Address, owner: Address, action: Address): boolean {
  k.write('IOEventSource.owner', at, owner);
  k.write('IOEventSource.action', at, action);
  k.write('IOEventSource.enabled', at, 1);
  return owner !== 0;
}

function newSource(k: Macos, name: string, owner: Address, action: Address): Address {
  if (owner === 0) return 0;
  const at = newObject(k, name);
  initSource(k, at, owner, action);
  return at;
}

// -- timers -----------------------------------------------------------------------------------------------------------------

const timers = perKernel<Map<Address, Deadline>, Macos>(() => new Map());

/** Timers that will fire, with what they call. */
export function* pendingTimers(k: Macos): Generator<[timer: Address, routine: Address]> {
  for (const at of k.state(timers).keys()) yield [at, k.read('IOEventSource.action', at)];
}

function cancelTimer(k: Macos, at: Address): void {
  const deadline = k.state(timers).get(at);
  if (deadline !== undefined) k.time.cancel(deadline);
  k.state(timers).delete(at);
}

function startTimer(k: Macos, at: Address, ns: number): number {
  if (k.read('IOEventSource.action', at) === 0) return NOT_PERMITTED;
  cancelTimer(k, at);
  const deadline = k.time.at(k.time.now() + Math.max(1, ns), () => {
    k.state(timers).delete(at);
    k.scheduler.spawn('IOTimerEventSource', fire(k, at));
  });
  k.state(timers).set(at, deadline);
  return 0;
}

function* fire(k: Macos, at: Address): Steps<void> {
  if (k.read('IOEventSource.enabled', at) === 0 || k.read('IOEventSource.workLoop', at) === 0) return;
  retain(k, at);
  yield* gated(k, at, () =>
    k.call(k.read('IOEventSource.action', at), k.read('IOEventSource.owner', at), at),
  );
  yield* release(k, at);
}

// -- interrupts ---------------------------------------------------------------------------------------------------------------

/** Software causes an interrupt source to be served; this machine has no device that would. */
function* interruptOccurred(k: Macos, at: Address): Steps<void> {
  if (k.read('IOEventSource.enabled', at) === 0) return;
  yield* gated(k, at, () =>
    k.call(k.read('IOEventSource.action', at), k.read('IOEventSource.owner', at), at, 1),
  );
}

const sharedLoop = perKernel<{ at: Address }, Macos>(() => ({ at: 0 }));

/** The platform's work loop, which a driver gets that has none of its own on its way to the root. */
export function platformLoop(k: Macos): Address {
  const state = k.state(sharedLoop);
  if (state.at === 0) state.at = newObject(k, 'IOWorkLoop');
  return state.at;
}

export const workLoops = kernelFunctions({
  'void *_ZN10IOWorkLoop8workLoopEv(void)': (k) => newObject(k, 'IOWorkLoop'),
  'void *_ZN10IOWorkLoop19workLoopWithOptionsEj(unsigned int options)': (k) => newObject(k, 'IOWorkLoop'),
  'bool _ZN10IOWorkLoop4initEv(void *at)': () => true,
  'void _ZN10IOWorkLoop4freeEv(void *at)': freeObject,
  'int _ZN10IOWorkLoop14addEventSourceEP13IOEventSource(void *at, void *source)': (k, at, source) => {
    if (source === 0) return BAD_ARGUMENT;
    retain(k, source);
    k.write('IOEventSource.workLoop', source, at);
    return 0;
  },
  'int _ZN10IOWorkLoop17removeEventSourceEP13IOEventSource(void *at, void *source)': function* (
    k,
    at,
    source,
  ) {
    if (source === 0 || k.read('IOEventSource.workLoop', source) !== at) return BAD_ARGUMENT;
    cancelTimer(k, source);
    k.write('IOEventSource.workLoop', source, 0);
    yield* release(k, source);
    return 0;
  },
  'void _ZN10IOWorkLoop9closeGateEv(void *at)': closeGate,
  'void _ZN10IOWorkLoop8openGateEv(void *at)': openGate,
  'bool _ZN10IOWorkLoop12tryCloseGateEv(void *at)': function* (k, at) {
    if (k.read('IOWorkLoop.gateOwner', at) !== 0 && !inGate(k, at)) return false;
    yield* closeGate(k, at);
    return true;
  },
  'bool _ZNK10IOWorkLoop6inGateEv(const void *at)': inGate,
  'bool _ZNK10IOWorkLoop8onThreadEv(const void *at)': () => false,
  'void _ZNK10IOWorkLoop19enableAllInterruptsEv(const void *at)': () => undefined,
  'void _ZNK10IOWorkLoop20disableAllInterruptsEv(const void *at)': () => undefined,
  'void _ZNK10IOWorkLoop21enableAllEventSourcesEv(const void *at)': () => undefined,
  'void _ZNK10IOWorkLoop22disableAllEventSourcesEv(const void *at)': () => undefined,
  'int _ZN10IOWorkLoop9runActionEPFiP8OSObjectPvS2_S2_S2_ES1_S2_S2_S2_S2_(void *at, void *action, void *target, void *a, void *b, void *c, void *d)':
    function* (k, at, action, target, a, b, c, d) {
      yield* closeGate(k, at);
      const result = yield* k.callInt(action, target, a, b, c, d);
      openGate(k, at);
      return result;
    },
  'void *_ZNK9IOService11getWorkLoopEv(const void *at)': function* (k, at) {
    const [to] = parentsOf(k, at);
    if (to === undefined || parentsOf(k, to).length === 0) return platformLoop(k);
    return yield* invoke(k, to, 'IOService', '_ZNK9IOService11getWorkLoopEv');
  },
});

export const eventSources = kernelFunctions({
  'bool _ZN13IOEventSource4initEP8OSObjectPFvS1_zE(void *at, void *owner, void *action)': initSource,
  'void _ZN13IOEventSource4freeEv(void *at)': freeObject,
  'void _ZN13IOEventSource6enableEv(void *at)': (k, at) => k.write('IOEventSource.enabled', at, 1),
  'void _ZN13IOEventSource7disableEv(void *at)': (k, at) => k.write('IOEventSource.enabled', at, 0),
  'bool _ZNK13IOEventSource9isEnabledEv(const void *at)': (k, at) =>
    k.read('IOEventSource.enabled', at) !== 0,
  'void *_ZNK13IOEventSource11getWorkLoopEv(const void *at)': (k, at) => k.read('IOEventSource.workLoop', at),
  'void _ZN13IOEventSource11setWorkLoopEP10IOWorkLoop(void *at, void *loop)': (k, at, loop) =>
    k.write('IOEventSource.workLoop', at, loop),
  'bool _ZNK13IOEventSource8onThreadEv(const void *at)': () => false,
  'void *_ZN13IOCommandGate11commandGateEP8OSObjectPFiS1_PvS2_S2_S2_E(void *owner, void *action)': (
    k,
    owner,
    action,
  ) => newSource(k, 'IOCommandGate', owner, action),
  'bool _ZN13IOCommandGate4initEP8OSObjectPFiS1_PvS2_S2_S2_E(void *at, void *owner, void *action)':
    initSource,
  'void _ZN13IOCommandGate4freeEv(void *at)': freeObject,
  'void _ZN13IOCommandGate6enableEv(void *at)': (k, at) => k.write('IOEventSource.enabled', at, 1),
  'void _ZN13IOCommandGate7disableEv(void *at)': (k, at) => k.write('IOEventSource.enabled', at, 0),
  'void _ZN13IOCommandGate11setWorkLoopEP10IOWorkLoop(void *at, void *loop)': (k, at, loop) =>
    k.write('IOEventSource.workLoop', at, loop),
  'int _ZN13IOCommandGate10runCommandEPvS0_S0_S0_(void *at, void *a, void *b, void *c, void *d)': (
    k,
    at,
    a,
    b,
    c,
    d,
  ) => runAction(k, at, k.read('IOEventSource.action', at), a, b, c, d),
  'int _ZN13IOCommandGate9runActionEPFiP8OSObjectPvS2_S2_S2_ES2_S2_S2_S2_(void *at, void *action, void *a, void *b, void *c, void *d)':
    runAction,
  'int _ZN13IOCommandGate13attemptActionEPFiP8OSObjectPvS2_S2_S2_ES2_S2_S2_S2_(void *at, void *action, void *a, void *b, void *c, void *d)':
    function* (k, at, action, a, b, c, d) {
      const loop = k.read('IOEventSource.workLoop', at);
      if (loop !== 0 && k.read('IOWorkLoop.gateOwner', loop) !== 0 && !inGate(k, loop)) return CANNOT_LOCK;
      return yield* runAction(k, at, action, a, b, c, d);
    },
  'void *_ZN18IOTimerEventSource16timerEventSourceEP8OSObjectPFvS1_PS_E(void *owner, void *action)': (
    k,
    owner,
    action,
  ) => newSource(k, 'IOTimerEventSource', owner, action),
  'void *_ZN18IOTimerEventSource16timerEventSourceEjP8OSObjectPFvS1_PS_E(unsigned int options, void *owner, void *action)':
    (k, _options, owner, action) => newSource(k, 'IOTimerEventSource', owner, action),
  'bool _ZN18IOTimerEventSource4initEP8OSObjectPFvS1_PS_E(void *at, void *owner, void *action)': initSource,
  'void _ZN18IOTimerEventSource4freeEv(void *at)': function* (k, at) {
    cancelTimer(k, at);
    yield* freeObject(k, at);
  },
  'void _ZN18IOTimerEventSource6enableEv(void *at)': (k, at) => k.write('IOEventSource.enabled', at, 1),
  'void _ZN18IOTimerEventSource7disableEv(void *at)': (k, at) => {
    cancelTimer(k, at);
    k.write('IOEventSource.enabled', at, 0);
  },
  'void _ZN18IOTimerEventSource13cancelTimeoutEv(void *at)': cancelTimer,
  'int _ZN18IOTimerEventSource12setTimeoutMSEj(void *at, unsigned int ms)': (k, at, ms) =>
    startTimer(k, at, ms * 1_000_000),
  'int _ZN18IOTimerEventSource12setTimeoutUSEj(void *at, unsigned int us)': (k, at, us) =>
    startTimer(k, at, us * 1000),
  'int _ZN18IOTimerEventSource15setTimeoutTicksEj(void *at, unsigned int ticks)': (k, at, ticks) =>
    startTimer(k, at, ticks * 10_000_000),
  'int _ZN18IOTimerEventSource10setTimeoutEjj(void *at, unsigned int interval, unsigned int scale)': (
    k,
    at,
    interval,
    scale,
  ) => startTimer(k, at, interval * scale),
  'int _ZN18IOTimerEventSource10setTimeoutEy(void *at, uint64_t interval)': (k, at, interval) =>
    startTimer(k, at, Number(interval)),
  'int _ZN18IOTimerEventSource10wakeAtTimeEy(void *at, uint64_t time)': (k, at, time) =>
    startTimer(k, at, Number(time) - k.time.now()),
  'int _ZN18IOTimerEventSource12wakeAtTimeMSEj(void *at, unsigned int ms)': (k, at, ms) =>
    startTimer(k, at, ms * 1_000_000 - k.time.now()),
  'void *_ZN22IOInterruptEventSource20interruptEventSourceEP8OSObjectPFvS1_PS_iEP9IOServicei(void *owner, void *action, void *provider, int index)':
    // A device without interrupts gives no source; without a device it is one that software causes.
    (k, owner, action, provider) =>
      provider === 0 ? newSource(k, 'IOInterruptEventSource', owner, action) : 0,
  'bool _ZN22IOInterruptEventSource4initEP8OSObjectPFvS1_PS_iEP9IOServicei(void *at, void *owner, void *action, void *provider, int index)':
    (k, at, owner, action, provider) => provider === 0 && initSource(k, at, owner, action),
  'void _ZN22IOInterruptEventSource4freeEv(void *at)': freeObject,
  'void _ZN22IOInterruptEventSource6enableEv(void *at)': (k, at) => k.write('IOEventSource.enabled', at, 1),
  'void _ZN22IOInterruptEventSource7disableEv(void *at)': (k, at) => k.write('IOEventSource.enabled', at, 0),
  'void _ZN22IOInterruptEventSource17interruptOccurredEPvP9IOServicei(void *at, void *arg, void *provider, int index)':
    (k, at) => interruptOccurred(k, at),
});

function runAction(
  k: Macos,
  at: Address,
  action: Address,
  a: Address,
  b: Address,
  c: Address,
  d: Address,
): Steps<number> {
  return gated(k, at, () => k.callInt(action, k.read('IOEventSource.owner', at), a, b, c, d));
}
