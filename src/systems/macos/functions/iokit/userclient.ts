/** IOUserClient (iokit/Kernel/IOUserClient.cpp): the kernel's end of a program's connection to a service. */
import type { Steps } from '../../../../kernel/steps.ts';
import type { Address } from '../../../../memory/space.ts';
import type { Macos } from '../../macos.ts';
import {
  allocateInstance,
  findMetaClass,
  inherits,
  invoke,
  kernelMetaClass,
  metaClassOf,
} from '../../runtime/classes.ts';
import { isText, release, textOf } from '../../runtime/objects.ts';
import { lookUp } from '../../runtime/registry.ts';
import { kernelFunctions } from '../define.ts';
import { freeEntry, initEntry } from './entry.ts';

/** iokit/IOKit/IOReturn.h */
export const IO_RETURN = {
  BAD_ARGUMENT: 0xe00002c2 | 0,
  UNSUPPORTED: 0xe00002c7 | 0,
  NO_MEMORY: 0xe00002bd | 0,
  CANNOT_LOCK: 0xe00002cc | 0,
  NO_COMPLETION: 0xe00002ea | 0,
} as const;

/** A count that a dispatch leaves open (kIOUCVariableStructureSize). */
const VARIABLE = 0xffffffff;
/** kIOUC... of IOUserClient.h: what a method of the older kind takes and gives. */
const KIND = {
  MASK: 15,
  SCALARS_SCALARS: 0,
  SCALARS_STRUCT: 2,
  STRUCT_STRUCT: 3,
  SCALARS_STRUCT_IN: 4,
} as const;
/** Arguments behind the object that a method of the older kind has. */
const OLD_ARGUMENTS = 6;

function* refused(k: Macos, object: Address): Steps<void> {
  yield* release(k, object);
}

/** IOService::newUserClient: an instance of the class that the property IOUserClientClass names. */
function* newClient(
  k: Macos,
  service: Address,
  task: Address,
  id: Address,
  kind: number,
  properties: Address,
  result: Address,
): Steps<number> {
  const own = '_ZN9IOService13newUserClientEP4taskPvjPP12IOUserClient';
  if (((yield* invoke(k, service, 'IOService', own, task, id, kind, result)) | 0) === 0) return 0;
  const name = lookUp(k, k.read('IORegistryEntry.fPropertyTable', service), 'IOUserClientClass');
  const meta = isText(k, name) ? findMetaClass(k, textOf(k, name)) : undefined;
  if (meta === undefined) return IO_RETURN.UNSUPPORTED;
  const client = yield* allocateInstance(k, meta);
  if (client === 0) return IO_RETURN.NO_MEMORY;
  if (!inherits(k, yield* metaClassOf(k, client), kernelMetaClass(k, 'IOUserClient'))) {
    yield* refused(k, client);
    return IO_RETURN.UNSUPPORTED;
  }
  const ask = function* (symbol: string, ...args: readonly Address[]): Steps<boolean> {
    return ((yield* invoke(k, client, 'IOUserClient', symbol, ...args)) & 0xff) !== 0;
  };
  if (!(yield* ask('_ZN12IOUserClient12initWithTaskEP4taskPvjP12OSDictionary', task, id, kind, properties))) {
    yield* refused(k, client);
    return IO_RETURN.BAD_ARGUMENT;
  }
  if (!(yield* ask('_ZN9IOService6attachEPS_', service))) {
    yield* refused(k, client);
    return IO_RETURN.UNSUPPORTED;
  }
  if (!(yield* ask('_ZN9IOService5startEPS_', service))) {
    yield* invoke(k, client, 'IOService', '_ZN9IOService6detachEPS_', service);
    yield* refused(k, client);
    return IO_RETURN.CANNOT_LOCK;
  }
  k.memory.setPtr(result, client);
  return 0;
}

// -- methods ------------------------------------------------------------------------------------------------------------

const fits = (wanted: number, given: number): boolean => wanted === VARIABLE || wanted === given;

/** What a program hands over is checked against the dispatch before its function is called. */
function* dispatched(
  k: Macos,
  args: Address,
  dispatch: Address,
  target: Address,
  reference: Address,
): Steps<number> {
  const of = (name: string): number => k.read(`IOExternalMethodDispatch.${name}`, dispatch) >>> 0;
  const given = (name: string): number => k.read(`IOExternalMethodArguments.${name}`, args) >>> 0;
  if (
    !fits(of('checkScalarInputCount'), given('scalarInputCount')) ||
    !fits(of('checkStructureInputSize'), given('structureInputSize')) ||
    !fits(of('checkScalarOutputCount'), given('scalarOutputCount')) ||
    !fits(of('checkStructureOutputSize'), given('structureOutputSize'))
  )
    return IO_RETURN.BAD_ARGUMENT;
  const routine = k.read('IOExternalMethodDispatch.function', dispatch);
  return routine === 0 ? IO_RETURN.NO_COMPLETION : (yield* k.callInt(routine, target, reference, args)) | 0;
}

/** A pointer to a member function: its address, or an odd offset in the vtable (Itanium C++ ABI 2.3). */
function memberFunction(k: Macos, object: Address, pointer: number, adjustment: number): [Address, Address] {
  const self = object + adjustment;
  return [self, (pointer & 1) === 0 ? pointer : k.memory.ptr(k.memory.ptr(self) + pointer - 1)];
}

/** Methods from before 10.5: a table of member functions, with scalars as plain arguments. */
function* older(k: Macos, at: Address, selector: number, args: Address): Steps<number> {
  const place = k.heap.allocate(16, 'user client');
  const symbol = '_ZN12IOUserClient26getTargetAndMethodForIndexEPP9IOServicej';
  const method = yield* invoke(k, at, 'IOUserClient', symbol, place, selector);
  const object = k.memory.ptr(place);
  k.heap.free(place);
  if (method === 0 || object === 0) return IO_RETURN.UNSUPPORTED;
  const read = (name: string): number => k.read(`IOExternalMethod.${name}`, method);
  const given = (name: string): number => k.read(`IOExternalMethodArguments.${name}`, args);
  const [self, routine] = memberFunction(k, object, read('func'), read('adjustment'));
  const kind = read('flags') & KIND.MASK;
  const scalars = Array.from({ length: given('scalarInputCount') }, (_, i) =>
    k.memory.u64(given('scalarInput') + i * 8),
  );
  const [first, second] = [read('count0') >>> 0, read('count1') >>> 0];
  const sizes = { in: given('structureInputSize') >>> 0, out: given('structureOutputSize') >>> 0 };
  if (kind !== KIND.STRUCT_STRUCT && scalars.length !== first) return IO_RETURN.BAD_ARGUMENT;
  const outputs = given('scalarOutputCount') >>> 0;
  const size = k.offset('IOExternalMethodArguments.structureOutputSize') + args;
  switch (kind) {
    case KIND.SCALARS_SCALARS: {
      if (outputs !== second) return IO_RETURN.BAD_ARGUMENT;
      // The results are 32 bits wide in what the method sees (10.5) and 64 in what the program gets.
      const values = k.heap.allocate(Math.max(16, outputs * 8), 'user client');
      const places = Array.from({ length: outputs }, (_, i) => values + i * 8);
      const result = yield* k.callInt(routine, self, ...[...scalars, ...places].slice(0, OLD_ARGUMENTS));
      for (const [i, one] of places.entries())
        k.memory.setU64(given('scalarOutput') + i * 8, BigInt(k.memory.u32(one)));
      k.heap.free(values);
      return result | 0;
    }
    case KIND.SCALARS_STRUCT: {
      if (!fits(second, sizes.out)) return IO_RETURN.BAD_ARGUMENT;
      return (yield* k.callInt(routine, self, ...scalars, given('structureOutput'), size)) | 0;
    }
    case KIND.SCALARS_STRUCT_IN: {
      if (!fits(second, sizes.in)) return IO_RETURN.BAD_ARGUMENT;
      return (yield* k.callInt(routine, self, ...scalars, given('structureInput'), sizes.in)) | 0;
    }
    case KIND.STRUCT_STRUCT: {
      if (!fits(first, sizes.in) || !fits(second, sizes.out)) return IO_RETURN.BAD_ARGUMENT;
      const [input, output] = [given('structureInput'), given('structureOutput')];
      return (yield* k.callInt(routine, self, input, output, sizes.in, size)) | 0;
    }
    default:
      return IO_RETURN.BAD_ARGUMENT;
  }
}

/** The method behind an index, and whose it is. */
function* targetOf(k: Macos, at: Address, target: Address, index: number, symbol: string): Steps<Address> {
  const method = yield* invoke(k, at, 'IOUserClient', symbol, index);
  if (method !== 0) k.memory.setPtr(target, k.memory.ptr(method));
  return method;
}

const method = '_ZN12IOUserClient25getExternalMethodForIndexEj';
const asynchronous = '_ZN12IOUserClient30getExternalAsyncMethodForIndexEj';
const trap = '_ZN12IOUserClient23getExternalTrapForIndexEj';
const unsupported = (): number => IO_RETURN.UNSUPPORTED;

function begin(k: Macos, at: Address): boolean {
  return initEntry(k, at, 0);
}

export const userClients = kernelFunctions({
  'int _ZN9IOService13newUserClientEP4taskPvjPP12IOUserClient(void *at, void *task, void *id, unsigned int kind, void **client)':
    unsupported,
  'int _ZN9IOService13newUserClientEP4taskPvjP12OSDictionaryPP12IOUserClient(void *at, void *task, void *id, unsigned int kind, void *properties, void **client)':
    newClient,
  'bool _ZN12IOUserClient4initEv(void *at)': begin,
  'bool _ZN12IOUserClient4initEP12OSDictionary(void *at, void *table)': initEntry,
  'bool _ZN12IOUserClient12initWithTaskEP4taskPvj(void *at, void *task, void *id, unsigned int kind)': begin,
  'bool _ZN12IOUserClient12initWithTaskEP4taskPvjP12OSDictionary(void *at, void *task, void *id, unsigned int kind, void *properties)':
    function* (k, at, task, id, kind, properties) {
      initEntry(k, at, properties);
      const symbol = '_ZN12IOUserClient12initWithTaskEP4taskPvj';
      return ((yield* invoke(k, at, 'IOUserClient', symbol, task, id, kind)) & 0xff) !== 0;
    },
  'void _ZN12IOUserClient4freeEv(void *at)': freeEntry,
  'int _ZN12IOUserClient11clientCloseEv(void *at)': unsupported,
  'int _ZN12IOUserClient10clientDiedEv(void *at)': function* (k, at) {
    return (yield* invoke(k, at, 'IOUserClient', '_ZN12IOUserClient11clientCloseEv')) | 0;
  },
  'void *_ZN12IOUserClient10getServiceEv(void *at)': () => 0,
  'int _ZN12IOUserClient24registerNotificationPortEP8ipc_portjj(void *at, void *port, unsigned int kind, unsigned int reference)':
    unsupported,
  'int _ZN12IOUserClient24registerNotificationPortEP8ipc_portjy(void *at, void *port, unsigned int kind, uint64_t reference)':
    unsupported,
  'int _ZN12IOUserClient24getNotificationSemaphoreEjPP9semaphore(void *at, unsigned int kind, void **semaphore)':
    unsupported,
  'int _ZN12IOUserClient13connectClientEPS_(void *at, void *other)': unsupported,
  'int _ZN12IOUserClient19clientMemoryForTypeEjPjPP18IOMemoryDescriptor(void *at, unsigned int kind, unsigned int *options, void **memory)':
    unsupported,
  'int _ZN12IOUserClient20exportObjectToClientEP4taskP8OSObjectPS3_(void *at, void *task, void *object, void **client)':
    unsupported,
  'void *_ZN12IOUserClient25getExternalMethodForIndexEj(void *at, unsigned int index)': () => 0,
  'void *_ZN12IOUserClient30getExternalAsyncMethodForIndexEj(void *at, unsigned int index)': () => 0,
  'void *_ZN12IOUserClient23getExternalTrapForIndexEj(void *at, unsigned int index)': () => 0,
  'void *_ZN12IOUserClient26getTargetAndMethodForIndexEPP9IOServicej(void *at, void **target, unsigned int index)':
    (k, at, target, index) => targetOf(k, at, target, index, method),
  'void *_ZN12IOUserClient31getAsyncTargetAndMethodForIndexEPP9IOServicej(void *at, void **target, unsigned int index)':
    (k, at, target, index) => targetOf(k, at, target, index, asynchronous),
  'void *_ZN12IOUserClient24getTargetAndTrapForIndexEPP9IOServicej(void *at, void **target, unsigned int index)':
    (k, at, target, index) => targetOf(k, at, target, index, trap),
  'int _ZN12IOUserClient14externalMethodEjP25IOExternalMethodArgumentsP24IOExternalMethodDispatchP8OSObjectPv(void *at, unsigned int selector, void *args, void *dispatch, void *target, void *reference)':
    (k, at, selector, args, dispatch, target, reference) =>
      dispatch !== 0 ? dispatched(k, args, dispatch, target, reference) : older(k, at, selector, args),
  // Privileges of a task: the superuser has them all (kIOClientPrivilegeAdministrator, ...LocalUser).
  'int _ZN12IOUserClient18clientHasPrivilegeEPvPKc(void *task, const char *name)': (k) =>
    k.process.uid === 0 ? 0 : 0xe00002c1 | 0,
  'int _ZN12IOUserClient17mapClientMemory64EjP4taskjy(void *at, unsigned int kind, void *task, unsigned int options, uint64_t address)':
    unsupported,
});
