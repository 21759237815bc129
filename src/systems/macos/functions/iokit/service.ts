/** IOService (iokit/Kernel/IOService.cpp): what drivers call of it and what stands in for functions they do not have. */
import { block, type Steps } from '../../../../kernel/steps.ts';
import { guestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import { isDict } from '../../plist.ts';
import { inherits, invoke, kernelMetaClass, metaClassOf, newObject } from '../../runtime/classes.ts';
import { dictionaryGet, dictionarySet } from '../../runtime/collections.ts';
import {
  drop,
  fromPlist,
  newString,
  release,
  retain,
  symbol,
  symbolPool,
  textOf,
  toPlist,
} from '../../runtime/objects.ts';
import { attach, childrenOf, detach, enter, parentsOf, root } from '../../runtime/registry.ts';
import {
  callHandler,
  finalize,
  matches,
  matchingServices,
  matchLater,
  type Notification,
  plainProperty,
  platform,
  registerService,
  resources,
  STATE,
  sameValue,
  services,
  terminate,
} from '../../runtime/services.ts';
import { kernelFunctions } from '../define.ts';
import { membersOf, withCapacity } from '../libkern/collections.ts';
import { freeEntry, initEntry, initFrom, iteratorOver, setProperty } from './entry.ts';
import { errnoOf, ioReturnName } from './return.ts';
import { platformLoop } from './workloop.ts';

/** iokit/IOKit/IOReturn.h */
const UNSUPPORTED = 0xe00002c7 | 0;
const NO_RESOURCES = 0xe00002be | 0;
const SEIZE = 1;

const text = (k: Macos, at: Address): string => guestText(k, at, 65536);
const inactive = (k: Macos, at: Address): boolean => (k.read('IOService.state', at) & STATE.INACTIVE) !== 0;
const provider = (k: Macos, at: Address): Address => parentsOf(k, at)[0] ?? 0;
const held = (k: Macos, at: Address): Address => {
  retain(k, at);
  return at;
};

function* only(k: Macos, entries: readonly Address[]): Steps<Address[]> {
  const found: Address[] = [];
  for (const one of entries)
    if (inherits(k, yield* metaClassOf(k, one), kernelMetaClass(k, 'IOService'))) found.push(one);
  return found;
}

function* attachTo(k: Macos, at: Address, to: Address): Steps<boolean> {
  if (to === 0 || inactive(k, to)) return false;
  const done = attach(k, at, to, 'IOService');
  if (done) k.write('IOService.provider', at, to);
  return done;
}

function* detachFrom(k: Macos, at: Address, from: Address): Steps<void> {
  if (k.read('IOService.provider', at) === from) k.write('IOService.provider', at, 0);
  yield* detach(k, at, from, 'IOService');
}

// -- open and close -----------------------------------------------------------------------------------------------------

function* handleOpen(k: Macos, at: Address, client: Address, options: number): Steps<boolean> {
  const owner = k.read('IOService.owner', at);
  if (owner === 0) {
    k.write('IOService.owner', at, client);
    return true;
  }
  if (owner === client || (options & SEIZE) === 0) return false;
  // kIOMessageServiceIsRequestingClose
  yield* invoke(k, owner, 'IOService', messageSymbol(k), 0xe0000110 | 0, at, 0);
  if (k.read('IOService.owner', at) !== 0) return false;
  k.write('IOService.owner', at, client);
  return true;
}

const options = (k: Macos): string => (k.word === 4 ? 'm' : 'j');
const messageSymbol = (k: Macos): string => `_ZN9IOService7messageE${options(k)}PS_Pv`;

function* close(k: Macos, at: Address, client: Address, flags: number): Steps<void> {
  const open = yield* invoke(k, at, 'IOService', '_ZNK9IOService12handleIsOpenEPKS_', client);
  if ((open & 0xff) === 0) return;
  yield* invoke(k, at, 'IOService', `_ZN9IOService11handleCloseEPS_${options(k)}`, client, flags);
  // One that was kept from going goes now.
  if (inactive(k, at) && k.read('IOService.owner', at) === 0 && childrenOf(k, at).length === 0) {
    const to = provider(k, at);
    if (to !== 0) yield* finalize(k, at, to);
  }
}

// -- matching dictionaries ------------------------------------------------------------------------------------------------

function withKey(k: Macos, table: Address, key: string, value: Address): Address {
  const at = table === 0 ? withCapacity(k, 'OSDictionary', 2) : table;
  enter(k, at, key, value);
  return at;
}

function* found(k: Macos, matching: Address): Steps<Address[]> {
  const wanted = toPlist(k, matching);
  return isDict(wanted) ? yield* matchingServices(k, wanted) : [];
}

/** Virtual nanoseconds between two looks for a service that is waited for. */
const LOOK = 10_000_000;

/** Waits until a service is there; gives it with a reference, or 0 when the time is over. */
function* waitFor(k: Macos, matching: Address, timeout: bigint): Steps<Address> {
  const end = k.time.now() + Number(timeout > 60_000_000_000n ? 60_000_000_000n : timeout);
  for (;;) {
    const [first] = yield* found(k, matching);
    if (first !== undefined) return held(k, first);
    k.state(services).absent =
      `a service like ${JSON.stringify(toPlist(k, matching), (_key, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))}`;
    if (k.time.now() >= end) return 0;
    yield* block('a service to appear', Math.min(end, k.time.now() + LOOK));
  }
}

function* addNotification(
  k: Macos,
  kind: Address,
  matching: Address,
  handler: Address,
  target: Address,
  context: Address,
  withNotifier: boolean,
): Steps<Address> {
  const notifier = newObject(k, '_IOServiceNotifier');
  const one: Notification = {
    kind: textOf(k, kind),
    matching,
    handler,
    target,
    context,
    notifier,
    withNotifier,
    seen: new Set(),
  };
  retain(k, matching);
  k.state(services).notifications.add(one);
  if (one.kind !== 'IOServiceTerminate') {
    for (const service of yield* found(k, matching)) {
      one.seen.add(service);
      yield* callHandler(k, one, service);
    }
  }
  return notifier;
}

function* removeNotification(k: Macos, notifier: Address): Steps<void> {
  const state = k.state(services);
  for (const one of state.interests) if (one.notifier === notifier) state.interests.delete(one);
  for (const one of [...state.notifications]) {
    if (one.notifier !== notifier) continue;
    state.notifications.delete(one);
    yield* release(k, one.matching);
  }
  yield* release(k, notifier);
}

// -- what drivers inherit -----------------------------------------------------------------------------------------------

export const serviceFunctions = kernelFunctions({
  'bool _ZN9IOService4initEP12OSDictionary(void *at, void *table)': initEntry,
  'bool _ZN9IOService4initEP15IORegistryEntryPK15IORegistryPlane(void *at, void *old, const void *plane)':
    initFrom,
  'void _ZN9IOService4freeEv(void *at)': function* (k, at) {
    k.state(services).registered.delete(at);
    yield* freeEntry(k, at);
  },
  'bool _ZN9IOService6attachEPS_(void *at, void *to)': attachTo,
  'void _ZN9IOService6detachEPS_(void *at, void *from)': detachFrom,
  'void *_ZN9IOService5probeEPS_Pi(void *at, void *nub, int *score)': (_, at) => at,
  'bool _ZN9IOService5startEPS_(void *at, void *nub)': () => true,
  'void _ZN9IOService4stopEPS_(void *at, void *nub)': () => undefined,
  'void _ZN9IOService15registerServiceEj(void *at, unsigned int options)': function* (k, at, flags) {
    // kIOServiceSynchronous
    if ((flags & 2) !== 0) yield* registerService(k, at);
    else matchLater(k, at);
  },
  'bool _ZN9IOService9terminateEj(void *at, unsigned int options)': (k, at) => terminate(k, at),
  'bool _ZN9IOService16requestTerminateEPS_j(void *at, void *from, unsigned int options)': () => true,
  'bool _ZN9IOService13willTerminateEPS_j(void *at, void *from, unsigned int options)': () => true,
  'bool _ZN9IOService12didTerminateEPS_jPb(void *at, void *from, unsigned int options, bool *defer)': () =>
    true,
  'bool _ZN9IOService15terminateClientEPS_j(void *at, void *client, unsigned int options)': (
    k,
    _at,
    client,
  ) => terminate(k, client),
  'bool _ZN9IOService8finalizeEj(void *at, unsigned int options)': function* (k, at) {
    for (const to of parentsOf(k, at)) yield* finalize(k, at, to);
    return true;
  },
  'bool _ZN9IOService4openEPS_jPv(void *at, void *client, unsigned int options, void *arg)': function* (
    k,
    at,
    client,
    flags,
    arg,
  ) {
    if (inactive(k, at)) return false;
    const symbolName = `_ZN9IOService10handleOpenEPS_${options(k)}Pv`;
    return ((yield* invoke(k, at, 'IOService', symbolName, client, flags, arg)) & 0xff) !== 0;
  },
  'void _ZN9IOService5closeEPS_j(void *at, void *client, unsigned int options)': close,
  'bool _ZNK9IOService6isOpenEPKS_(const void *at, const void *client)': function* (k, at, client) {
    return ((yield* invoke(k, at, 'IOService', '_ZNK9IOService12handleIsOpenEPKS_', client)) & 0xff) !== 0;
  },
  'bool _ZN9IOService10handleOpenEPS_jPv(void *at, void *client, unsigned int options, void *arg)':
    handleOpen,
  'void _ZN9IOService11handleCloseEPS_j(void *at, void *client, unsigned int options)': (k, at, client) => {
    if (k.read('IOService.owner', at) === client) k.write('IOService.owner', at, 0);
  },
  'bool _ZNK9IOService12handleIsOpenEPKS_(const void *at, const void *client)': (k, at, client) => {
    const owner = k.read('IOService.owner', at);
    return client === 0 ? owner !== 0 : owner === client;
  },
  'unsigned int _ZNK9IOService8getStateEv(const void *at)': (k, at) => k.read('IOService.state', at),
  'bool _ZNK9IOService10isInactiveEv(const void *at)': inactive,
  'bool _ZN9IOService18lockForArbitrationEb(void *at, bool wait)': () => true,
  'void _ZN9IOService20unlockForArbitrationEv(void *at)': () => undefined,
  'int _ZN9IOService12getBusyStateEv(void *at)': () => 0,
  'void _ZN9IOService10adjustBusyEi(void *at, int by)': () => undefined,
  'int _ZN9IOService9waitQuietEy(void *at, uint64_t timeout)': () => 0,
  'bool _ZN9IOService18matchPropertyTableEP12OSDictionary(void *at, void *table)': () => true,
  'bool _ZN9IOService18matchPropertyTableEP12OSDictionaryPi(void *at, void *table, int *score)': () => true,
  'void *_ZN9IOService13matchLocationEPS_(void *at, void *client)': (k, at) => provider(k, at),
  'bool _ZN9IOService15comparePropertyEP12OSDictionaryPKc(void *at, void *matching, const char *key)': (
    k,
    at,
    matching,
    key,
  ) => sameProperty(k, at, matching, text(k, key)),
  'bool _ZN9IOService15comparePropertyEP12OSDictionaryPK8OSString(void *at, void *matching, const void *key)':
    (k, at, matching, key) => sameProperty(k, at, matching, textOf(k, key)),
  'int _ZN9IOService7messageEjPS_Pv(void *at, unsigned int kind, void *from, void *arg)': () => UNSUPPORTED,
  'int _ZN9IOService14messageClientsEjPvm(void *at, unsigned int kind, void *arg, unsigned long bytes)':
    function* (k, at, kind, arg, bytes) {
      for (const client of yield* only(k, childrenOf(k, at)))
        yield* invoke(k, client, 'IOService', messageSymbol(k), kind, at, arg);
      for (const one of k.state(services).interests)
        if (one.service === at && one.kind === 'IOGeneralInterest')
          yield* k.call(one.handler, one.target, one.reference, kind, at, arg, bytes);
      return 0;
    },
  'int _ZN9IOService13messageClientEjP8OSObjectPvm(void *at, unsigned int kind, void *client, void *arg, unsigned long bytes)':
    function* (k, at, kind, client, arg) {
      const [one] = yield* only(k, [client]);
      return one === undefined
        ? UNSUPPORTED
        : (yield* invoke(k, one, 'IOService', messageSymbol(k), kind, at, arg)) | 0;
    },
  'void *_ZNK9IOService11getProviderEv(const void *at)': provider,
  'void *_ZNK9IOService9getClientEv(const void *at)': (k, at) => childrenOf(k, at)[0] ?? 0,
  'void *_ZNK9IOService19getProviderIteratorEv(const void *at)': (k, at) => iteratorOver(k, parentsOf(k, at)),
  'void *_ZNK9IOService17getClientIteratorEv(const void *at)': (k, at) => iteratorOver(k, childrenOf(k, at)),
  'void *_ZNK9IOService23getOpenProviderIteratorEv(const void *at)': (k, at) =>
    iteratorOver(
      k,
      parentsOf(k, at).filter((one) => k.read('IOService.owner', one) === at),
    ),
  'void *_ZNK9IOService21getOpenClientIteratorEv(const void *at)': (k, at) =>
    iteratorOver(
      k,
      childrenOf(k, at).filter((one) => k.read('IOService.owner', at) === one),
    ),
  'void _ZN9IOService16applyToProvidersEPFvPS_PvES1_(void *at, void *apply, void *context)': function* (
    k,
    at,
    apply,
    context,
  ) {
    for (const one of yield* only(k, parentsOf(k, at))) yield* k.call(apply, one, context);
  },
  'void _ZN9IOService14applyToClientsEPFvPS_PvES1_(void *at, void *apply, void *context)': function* (
    k,
    at,
    apply,
    context,
  ) {
    for (const one of yield* only(k, childrenOf(k, at))) yield* k.call(apply, one, context);
  },
  'int _ZN9IOService20callPlatformFunctionEPK8OSSymbolbPvS3_S3_S3_(void *at, const void *name, bool wait, void *a, void *b, void *c, void *d)':
    () => UNSUPPORTED,
  'int _ZN9IOService20callPlatformFunctionEPKcbPvS2_S2_S2_(void *at, const char *name, bool wait, void *a, void *b, void *c, void *d)':
    () => UNSUPPORTED,
  'int _ZN9IOService12getResourcesEv(void *at)': () => 0,
  'int _ZN9IOService12requestProbeEj(void *at, unsigned int options)': () => UNSUPPORTED,
  'bool _ZN9IOService17comparePropertiesEP12OSDictionaryP12OSCollection(void *at, void *matching, void *keys)':
    (k, at, matching, keys) =>
      membersOf(k, keys).every((key) => sameProperty(k, at, matching, textOf(k, key))),
  'void *_ZN9IOService22copyClientWithCategoryEPK8OSSymbol(void *at, const void *category)': (
    k,
    at,
    category,
  ) =>
    held(
      k,
      childrenOf(k, at).find((one) => plainProperty(k, one, 'IOMatchCategory') === textOf(k, category)) ?? 0,
    ),
  'void _ZN9IOService15setDeviceMemoryEP7OSArray(void *at, void *memory)': function* (k, at, memory) {
    const key = symbol(k, 'IODeviceMemory');
    yield* setProperty(k, at, key, memory);
    yield* release(k, key);
  },
  'int _ZN9IOService15errnoFromReturnEi(void *at, int value)': (_k, _at, value) => errnoOf(value),
  'const char *_ZN9IOService16stringFromReturnEi(void *at, int value)': (k, _at, value) =>
    k.constantText(ioReturnName(value)),
  'void *_ZN9IOService14getServiceRootEv(void)': root,
  'void *_ZNK22IOPlatformExpertDevice11getWorkLoopEv(const void *at)': platformLoop,
  // No device of this machine has memory or interrupts.
  'unsigned long _ZN9IOService20getDeviceMemoryCountEv(void *at)': () => 0,
  'void *_ZN9IOService24getDeviceMemoryWithIndexEj(void *at, unsigned int index)': () => 0,
  'void *_ZN9IOService24mapDeviceMemoryWithIndexEjj(void *at, unsigned int index, unsigned int options)':
    () => 0,
  'void *_ZN9IOService15getDeviceMemoryEv(void *at)': () => 0,
  'int _ZN9IOService17registerInterruptEiP8OSObjectPFvS1_PvPS_iES2_(void *at, int source, void *target, void *handler, void *arg)':
    () => NO_RESOURCES,
  'int _ZN9IOService19unregisterInterruptEi(void *at, int source)': () => NO_RESOURCES,
  'int _ZN9IOService16getInterruptTypeEiPi(void *at, int source, int *kind)': () => NO_RESOURCES,
  'int _ZN9IOService15enableInterruptEi(void *at, int source)': () => NO_RESOURCES,
  'int _ZN9IOService16disableInterruptEi(void *at, int source)': () => NO_RESOURCES,
  'int _ZN9IOService14causeInterruptEi(void *at, int source)': () => NO_RESOURCES,
});

/** A key that the dictionary does not have fits everything. */
function sameProperty(k: Macos, at: Address, matching: Address, key: string): boolean {
  const name = k.state(symbolPool).get(key);
  const wanted = name === undefined ? 0 : dictionaryGet(k, matching, name);
  return wanted === 0 || sameValue(toPlist(k, wanted), plainProperty(k, at, key));
}

/** Functions of the class: dictionaries to match by, and looking for services. */
export const serviceMatching = kernelFunctions({
  'void *_ZN9IOService15serviceMatchingEPKcP12OSDictionary(const char *name, void *table)': (
    k,
    name,
    table,
  ) => withKey(k, table, 'IOProviderClass', symbol(k, text(k, name))),
  'void *_ZN9IOService15serviceMatchingEPK8OSStringP12OSDictionary(const void *name, void *table)': (
    k,
    name,
    table,
  ) => withKey(k, table, 'IOProviderClass', symbol(k, textOf(k, name))),
  'void *_ZN9IOService12nameMatchingEPKcP12OSDictionary(const char *name, void *table)': (k, name, table) =>
    withKey(k, table, 'IONameMatch', newString(k, text(k, name))),
  'void *_ZN9IOService12nameMatchingEPK8OSStringP12OSDictionary(const void *name, void *table)': (
    k,
    name,
    table,
  ) => withKey(k, table, 'IONameMatch', newString(k, textOf(k, name))),
  'void *_ZN9IOService16resourceMatchingEPKcP12OSDictionary(const char *name, void *table)': (
    k,
    name,
    table,
  ) =>
    withKey(
      k,
      withKey(k, table, 'IOProviderClass', symbol(k, 'IOResources')),
      'IOResourceMatch',
      newString(k, text(k, name)),
    ),
  'void *_ZN9IOService16propertyMatchingEPK8OSSymbolPK8OSObjectP12OSDictionary(const void *key, const void *value, void *table)':
    (k, key, value, table) => {
      const properties = withCapacity(k, 'OSDictionary', 1);
      dictionarySet(k, properties, key, value);
      return withKey(k, table, 'IOPropertyMatch', properties);
    },
  'void *_ZN9IOService19getMatchingServicesEP12OSDictionary(void *matching)': function* (k, matching) {
    const list = yield* found(k, matching);
    return list.length === 0 ? 0 : yield* iteratorOver(k, list);
  },
  'void *_ZN9IOService19copyMatchingServiceEP12OSDictionary(void *matching)': function* (k, matching) {
    return held(k, (yield* found(k, matching))[0] ?? 0);
  },
  'void *_ZN9IOService22waitForMatchingServiceEP12OSDictionaryy(void *matching, uint64_t timeout)': waitFor,
  'void *_ZN9IOService14waitForServiceEP12OSDictionaryP13mach_timespec(void *matching, void *timeout)':
    function* (k, matching, timeout) {
      const ns =
        timeout === 0
          ? 60_000_000_000n
          : BigInt(k.memory.u32(timeout)) * 1_000_000_000n + BigInt(k.memory.u32(timeout + 4));
      const service = yield* waitFor(k, matching, ns);
      yield* release(k, matching);
      // Nobody holds it for the caller of this form.
      if (service !== 0) drop(k, service);
      return service;
    },
  'bool _ZN9IOService12passiveMatchEP12OSDictionaryb(void *at, void *matching, bool changes)': function* (
    k,
    at,
    matching,
  ) {
    const wanted = toPlist(k, matching);
    return isDict(wanted) && (yield* matches(k, at, wanted));
  },
  'void *_ZN9IOService23addMatchingNotificationEPK8OSSymbolP12OSDictionaryPFbPvS5_PS_P10IONotifierES5_S5_i(const void *kind, void *matching, void *handler, void *target, void *context, int priority)':
    (k, kind, matching, handler, target, context) =>
      addNotification(k, kind, matching, handler, target, context, true),
  'void *_ZN9IOService15addNotificationEPK8OSSymbolP12OSDictionaryPFbPvS5_PS_ES5_S5_i(const void *kind, void *matching, void *handler, void *target, void *context, int priority)':
    (k, kind, matching, handler, target, context) =>
      addNotification(k, kind, matching, handler, target, context, false),
  'void _ZN18_IOServiceNotifier6removeEv(void *at)': removeNotification,
  'bool _ZN18_IOServiceNotifier7disableEv(void *at)': () => true,
  'void _ZN18_IOServiceNotifier6enableEb(void *at, bool was)': () => undefined,
  'void *_ZN9IOService11getPlatformEv(void)': platform,
  'void *_ZN9IOService18getResourceServiceEv(void)': resources,
  'void _ZN9IOService15publishResourceEPKcP8OSObject(const char *key, void *value)': (k, key, value) =>
    publish(k, text(k, key), value),
  'void _ZN9IOService15publishResourceEPK8OSSymbolP8OSObject(const void *key, void *value)': (
    k,
    key,
    value,
  ) => publish(k, textOf(k, key), value),
});

/** A resource that is published may be what a driver waits for. */
function publish(k: Macos, key: string, value: Address): void {
  const table = k.read('IORegistryEntry.fPropertyTable', resources(k));
  const own = value === 0 ? fromPlist(k, true) : held(k, value);
  enter(k, table, key, own);
  matchLater(k, resources(k));
}
