/**
 * Power management (iokit/Kernel/IOServicePM.cpp, IOPMrootDomain.cpp) of a machine that is always on: a driver joins, says which
 * states it has, and is brought into the state that it or its users ask for.
 */
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { invoke, newObject } from '../../runtime/classes.ts';
import { dictionaryItems } from '../../runtime/collections.ts';
import { newNumber, textOf } from '../../runtime/objects.ts';
import { attach, enter, lookUp } from '../../runtime/registry.ts';
import { rootDomain, services } from '../../runtime/services.ts';
import { kernelFunctions } from '../define.ts';

/** iokit/IOKit/pwr_mgt/IOPM.h: what IOPMNoErr, IOPMNoSuchState and IOPMNotPowerManaged stand for. */
const NO_SUCH_STATE = 0xe00002c0 | 0;
const NOT_MANAGED = 0xe00002c7 | 0;
const POWER_ON = 2;
/** IOPMrootDomain::publishFeature: a number of each feature's own, and on which sources of power it is there. */
const FEATURES = 'Supported Features';
const ALL_POWER_SOURCES = 7;
/** Longs of an IOPMPowerState, and which of them says what a state needs of its parent. */
const STATE_WORDS = 12;
const INPUT_NEEDED = 3;

const blockOf = (k: Macos, at: Address): Address => k.read('IOService.pwrMgt', at);
const countOf = (k: Macos, at: Address): number => {
  const pm = blockOf(k, at);
  return pm === 0 ? 0 : k.read('IOServicePM.count', pm);
};

/** The highest state that a parent's power allows. */
function highest(k: Macos, at: Address, flags: number): number {
  const pm = blockOf(k, at);
  if (pm === 0) return 0;
  const states = k.read('IOServicePM.states', pm);
  for (let i = countOf(k, at) - 1; i > 0; i--) {
    const needed = k.memory.ptr(states + (i * STATE_WORDS + INPUT_NEEDED) * k.word);
    if ((flags & needed) === needed) return i;
  }
  return 0;
}

/** The driver is brought into a state in a thread of its own. */
function change(k: Macos, at: Address, state: number): number {
  const pm = blockOf(k, at);
  if (pm === 0 || k.read('IOServicePM.driver', pm) === 0) return NOT_MANAGED;
  if (state >= countOf(k, at)) return NO_SUCH_STATE;
  if (k.read('IOServicePM.current', pm) === state) return 0;
  k.write('IOServicePM.current', pm, state);
  const driver = k.read('IOServicePM.driver', pm);
  k.scheduler.spawn(
    'IOServicePM',
    invoke(k, driver, 'IOService', '_ZN9IOService13setPowerStateEmPS_', state, at),
  );
  return 0;
}

const usable = (k: Macos, at: Address): number => change(k, at, Math.max(0, countOf(k, at) - 1));

/** Somebody wants to hear of an event that this machine does not have or of messages of a service. */
function interest(
  k: Macos,
  at: Address,
  kind: string,
  handler: Address,
  target: Address,
  reference: Address,
): Address {
  const notifier = newObject(k, '_IOServiceNotifier');
  k.state(services).interests.add({ service: at, kind, handler, target, reference, notifier });
  return notifier;
}

const none = (): number => 0;
const yes = (): boolean => true;

export const powerManagement = kernelFunctions({
  'void _ZN9IOService6PMinitEv(void *at)': (k, at) => {
    if (blockOf(k, at) === 0)
      k.write('IOService.pwrMgt', at, k.heap.allocate(k.sizeof('struct IOServicePM'), 'IOServicePM'));
  },
  'void _ZN9IOService6PMstopEv(void *at)': (k, at) => {
    k.heap.free(blockOf(k, at));
    k.write('IOService.pwrMgt', at, 0);
  },
  'void _ZN9IOService10joinPMtreeEPS_(void *at, void *child)': (k, at, child) => {
    attach(k, child, at, 'IOPower');
  },
  'int _ZN9IOService19registerPowerDriverEPS_P14IOPMPowerStatem(void *at, void *driver, void *states, unsigned long count)':
    (k, at, driver, states, count) => {
      const pm = blockOf(k, at);
      if (pm === 0) return NOT_MANAGED;
      k.write('IOServicePM.driver', pm, driver);
      k.write('IOServicePM.states', pm, states);
      k.write('IOServicePM.count', pm, count);
      return 0;
    },
  'int _ZN9IOService13addPowerChildEPS_(void *at, void *child)': (k, at, child) => {
    attach(k, child, at, 'IOPower');
    return 0;
  },
  'int _ZN9IOService16removePowerChildEP17IOPowerConnection(void *at, void *connection)': none,
  'bool _ZN9IOService14activityTickleEmm(void *at, unsigned long kind, unsigned long state)': yes,
  'int _ZN9IOService22powerStateWillChangeToEmmPS_(void *at, unsigned long flags, unsigned long state, void *device)':
    none,
  'int _ZN9IOService21powerStateDidChangeToEmmPS_(void *at, unsigned long flags, unsigned long state, void *device)':
    none,
  'int _ZN9IOService13setPowerStateEmPS_(void *at, unsigned long state, void *device)': none,
  'void _ZN9IOService15powerChangeDoneEm(void *at, unsigned long before)': () => undefined,
  'void _ZN9IOService12tellChangeUpEm(void *at, unsigned long state)': () => undefined,
  'void _ZN9IOService16tellNoChangeDownEm(void *at, unsigned long state)': () => undefined,
  'bool _ZN9IOService13askChangeDownEm(void *at, unsigned long state)': yes,
  'bool _ZN9IOService14tellChangeDownEm(void *at, unsigned long state)': yes,
  'int _ZN9IOService16allowPowerChangeEm(void *at, unsigned long reference)': none,
  'int _ZN9IOService17cancelPowerChangeEm(void *at, unsigned long reference)': none,
  'int _ZN9IOService22acknowledgePowerChangeEPS_(void *at, void *who)': none,
  'int _ZN9IOService24acknowledgeSetPowerStateEv(void *at)': none,
  'int _ZN9IOService23acknowledgeNotificationEPvj(void *at, void *reference, unsigned int response)': none,
  'int _ZN9IOService17setAggressivenessEmm(void *at, unsigned long kind, unsigned long level)': none,
  'int _ZN9IOService18setIdleTimerPeriodEm(void *at, unsigned long seconds)': none,
  'int _ZN9IOService23requestPowerDomainStateEmP17IOPowerConnectionm(void *at, unsigned long flags, void *child, unsigned long what)':
    none,
  'unsigned long _ZN9IOService27maxCapabilityForDomainStateEm(void *at, unsigned long flags)': highest,
  'unsigned long _ZN9IOService31initialPowerStateForDomainStateEm(void *at, unsigned long flags)': highest,
  'unsigned long _ZN9IOService24powerStateForDomainStateEm(void *at, unsigned long flags)': highest,
  'int _ZN9IOService18changePowerStateToEm(void *at, unsigned long state)': change,
  'int _ZN9IOService22changePowerStateToPrivEm(void *at, unsigned long state)': change,
  'int _ZN9IOService10makeUsableEv(void *at)': usable,
  'unsigned int _ZN9IOService13getPowerStateEv(void *at)': (k, at) => {
    const pm = blockOf(k, at);
    return pm === 0 ? 0 : k.read('IOServicePM.current', pm);
  },
  'unsigned long _ZN9IOService24registerInterestedDriverEPS_(void *at, void *driver)': () => POWER_ON,
  'int _ZN9IOService26deRegisterInterestedDriverEPS_(void *at, void *driver)': none,
  'void _ZN9IOService18systemWillShutdownEj(void *at, unsigned int options)': () => undefined,
  'void *_ZN9IOService15getPMRootDomainEv(void)': rootDomain,
  'void _ZN14IOPMrootDomain14publishFeatureEPKc(void *at, const char *name)': (k, at, name) => {
    const table = k.read('IORegistryEntry.fPropertyTable', at);
    const known = lookUp(k, table, FEATURES);
    const features = known === 0 ? newObject(k, 'OSDictionary') : known;
    const id = dictionaryItems(k, features).length + 1;
    enter(k, features, k.memory.cstring(name), newNumber(k, BigInt((id << 16) | ALL_POWER_SOURCES), 32));
    if (known === 0) enter(k, table, FEATURES, features);
  },
  'void *_ZN9IOService16registerInterestEPK8OSSymbolPFiPvS3_jPS_S3_mES3_S3_(void *at, const void *kind, void *handler, void *target, void *reference)':
    (k, at, kind, handler, target, reference) => interest(k, at, textOf(k, kind), handler, target, reference),
  'void *registerSleepWakeInterest(void *handler, void *self, void *reference)': (
    k,
    handler,
    self,
    reference,
  ) => interest(k, rootDomain(k), 'IOAppPowerStateInterest', handler, self, reference),
  'void *registerPrioritySleepWakeInterest(void *handler, void *self, void *reference)': (
    k,
    handler,
    self,
    reference,
  ) => interest(k, rootDomain(k), 'IOPriorityPowerStateInterest', handler, self, reference),
  'int acknowledgeSleepWakeNotification(void *reference)': none,
});
