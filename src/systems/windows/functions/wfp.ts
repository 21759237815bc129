/**
 * The filtering platform as far as registering goes (fwpmk.h, fwpsk.h): engines, transactions, providers, sublayers, callouts
 * and filters are kept by key and number, and answer as the engine does when one is there twice or not at all. There is no
 * network here, so that no packet ever reaches a callout: they are counted as registered only.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { deregister, registerHandle } from '../registered.ts';
import { Status } from '../status.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { guidText } from './rtl.ts';

type Kind = 'provider' | 'sublayer' | 'callout' | 'filter';

/** STATUS_FWP_*: facility 0x22. */
const NOT_FOUND: Readonly<Record<Kind, number>> = {
  callout: 0xc0220001 | 0,
  filter: 0xc0220003 | 0,
  provider: 0xc0220005 | 0,
  sublayer: 0xc0220007 | 0,
};
const ALREADY_EXISTS = 0xc0220009 | 0;
const NO_TXN_IN_PROGRESS = 0xc022000d | 0;
const TXN_IN_PROGRESS = 0xc022000e | 0;

const NO_GUID = /^\{?[0-]+\}?$/;
/** FWPM_SERVICE_STATE. */
const RUNNING = 3;

interface Entry {
  readonly kind: Kind;
  readonly key: string;
  readonly id: number;
}

/** A callout that the engine may call: FWPS_CALLOUT, apart from what FWPM_CALLOUT says of it. */
interface Callout {
  readonly key: string;
  readonly id: number;
  /** Of the list of what is registered only. */
  readonly handle: Address;
}

interface Platform {
  entries: Entry[];
  readonly callouts: Callout[];
  readonly engines: Set<number>;
  /** What the entries were when the transaction began. */
  before: Entry[] | undefined;
  numbers: number;
}

const platform = perKernel(
  (): Platform => ({ entries: [], callouts: [], engines: new Set(), before: undefined, numbers: 0x100 }),
);

const ofEngine = (k: Windows, engine: number, act: (state: Platform) => number): number => {
  const state = k.state(platform);
  return state.engines.has(engine) ? act(state) : Status.INVALID_HANDLE;
};

/** Each object begins with its key; one of zeros asks for a new one, which is written there. */
function keyOf(k: Windows, state: Platform, at: Address): string {
  const given = guidText(k, at);
  if (!NO_GUID.test(given)) return given;
  k.memory.set32(at, ++state.numbers);
  return guidText(k, at);
}

function add(k: Windows, engine: number, kind: Kind, at: Address, idOut: Address, wide = false): number {
  return ofEngine(k, engine, (state) => {
    const key = keyOf(k, state, at);
    if (state.entries.some((one) => one.kind === kind && one.key === key)) return ALREADY_EXISTS;
    // A callout that was registered before keeps its number.
    const id = state.callouts.find((one) => kind === 'callout' && one.key === key)?.id ?? ++state.numbers;
    state.entries = [...state.entries, { kind, key, id }];
    if (idOut !== 0 && wide) k.memory.setU64(idOut, BigInt(id));
    else if (idOut !== 0) k.memory.set32(idOut, id);
    return Status.SUCCESS;
  });
}

function remove(k: Windows, engine: number, kind: Kind, test: (entry: Entry) => boolean): number {
  return ofEngine(k, engine, (state) => {
    const found = state.entries.find((one) => one.kind === kind && test(one));
    if (found === undefined) return NOT_FOUND[kind];
    state.entries = state.entries.filter((one) => one !== found);
    return Status.SUCCESS;
  });
}

const byKey = (k: Windows, engine: number, kind: Kind, at: Address): number =>
  remove(k, engine, kind, ({ key }) => key === guidText(k, at));
const byId = (k: Windows, engine: number, kind: Kind, id: number): number =>
  remove(k, engine, kind, (one) => one.id === id);

function registerCallout(k: Windows, device: Address, callout: Address, idOut: Address): number {
  const state = k.state(platform);
  const key = guidText(k, callout);
  if (state.callouts.some((one) => one.key === key)) return ALREADY_EXISTS;
  const by = device === 0 ? callerOf(k) : k.read('DEVICE_OBJECT.DriverObject', device);
  const handle = registerHandle(k, `callout ${key}`, by);
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  const id = state.entries.find((one) => one.kind === 'callout' && one.key === key)?.id ?? ++state.numbers;
  state.callouts.push({ key, id, handle });
  if (idOut !== 0) k.memory.set32(idOut, id);
  return Status.SUCCESS;
}

function unregisterCallout(k: Windows, test: (callout: Callout) => boolean): number {
  const { callouts } = k.state(platform);
  const at = callouts.findIndex(test);
  if (at < 0) return NOT_FOUND.callout;
  const [gone] = callouts.splice(at, 1);
  deregister(k, gone.handle);
  return Status.SUCCESS;
}

function transaction(k: Windows, engine: number, step: 'begin' | 'commit' | 'abort'): number {
  return ofEngine(k, engine, (state) => {
    if (step === 'begin') {
      if (state.before !== undefined) return TXN_IN_PROGRESS;
      state.before = state.entries;
      return Status.SUCCESS;
    }
    if (state.before === undefined) return NO_TXN_IN_PROGRESS;
    if (step === 'abort') state.entries = state.before;
    state.before = undefined;
    return Status.SUCCESS;
  });
}

function newHandle(k: Windows, what: string, out: Address): number {
  const handle = registerHandle(k, what, callerOf(k));
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  k.memory.setPtr(out, handle);
  return Status.SUCCESS;
}

/** FwpsCalloutRegister0 to 3: later structures differ behind what is looked at here. */
const registering = (version: number) =>
  kernelFunctions({
    [`NTSTATUS FwpsCalloutRegister${version}(PVOID device, PVOID callout, ULONG *id)`]: (
      k: Windows,
      device: number,
      callout: number,
      id: number,
    ) => registerCallout(k, device, callout, id),
  });

export const wfpFunctions = new Map([
  ...[0, 1, 2, 3].flatMap((version) => [...registering(version)]),
  ...kernelFunctions({
    'NTSTATUS FwpsCalloutUnregisterById0(ULONG id)': (k, id) => unregisterCallout(k, (one) => one.id === id),
    'NTSTATUS FwpsCalloutUnregisterByKey0(PVOID key)': (k, key) =>
      unregisterCallout(k, (one) => one.key === guidText(k, key)),

    'NTSTATUS FwpmEngineOpen0(PCWSTR server, ULONG authentication, PVOID identity, PVOID session, HANDLE *engine)':
      (k, _server, _authentication, _identity, _session, out) => {
        const state = k.state(platform);
        const engine = ++state.numbers * 0x10;
        state.engines.add(engine);
        k.memory.setPtr(out, engine);
        return Status.SUCCESS;
      },
    'NTSTATUS FwpmEngineClose0(HANDLE engine)': (k, engine) =>
      ofEngine(k, engine, (state) => {
        // What was begun and not ended is undone.
        if (state.before !== undefined) state.entries = state.before;
        state.before = undefined;
        state.engines.delete(engine);
        return Status.SUCCESS;
      }),
    'NTSTATUS FwpmTransactionBegin0(HANDLE engine, ULONG flags)': (k, engine) =>
      transaction(k, engine, 'begin'),
    'NTSTATUS FwpmTransactionCommit0(HANDLE engine)': (k, engine) => transaction(k, engine, 'commit'),
    'NTSTATUS FwpmTransactionAbort0(HANDLE engine)': (k, engine) => transaction(k, engine, 'abort'),
    'NTSTATUS FwpmProviderAdd0(HANDLE engine, PVOID provider, PVOID sd)': (k, engine, at) =>
      add(k, engine, 'provider', at, 0),
    'NTSTATUS FwpmProviderDeleteByKey0(HANDLE engine, PVOID key)': (k, engine, key) =>
      byKey(k, engine, 'provider', key),
    'NTSTATUS FwpmSubLayerAdd0(HANDLE engine, PVOID layer, PVOID sd)': (k, engine, at) =>
      add(k, engine, 'sublayer', at, 0),
    'NTSTATUS FwpmSubLayerDeleteByKey0(HANDLE engine, PVOID key)': (k, engine, key) =>
      byKey(k, engine, 'sublayer', key),
    'NTSTATUS FwpmCalloutAdd0(HANDLE engine, PVOID callout, PVOID sd, ULONG *id)': (k, engine, at, _sd, id) =>
      add(k, engine, 'callout', at, id),
    'NTSTATUS FwpmCalloutDeleteByKey0(HANDLE engine, PVOID key)': (k, engine, key) =>
      byKey(k, engine, 'callout', key),
    'NTSTATUS FwpmCalloutDeleteById0(HANDLE engine, ULONG id)': (k, engine, id) =>
      byId(k, engine, 'callout', id),
    'NTSTATUS FwpmFilterAdd0(HANDLE engine, PVOID filter, PVOID sd, PVOID id)': (k, engine, at, _sd, id) =>
      add(k, engine, 'filter', at, id, true),
    'NTSTATUS FwpmFilterDeleteByKey0(HANDLE engine, PVOID key)': (k, engine, key) =>
      byKey(k, engine, 'filter', key),
    'NTSTATUS FwpmFilterDeleteById0(HANDLE engine, u64 id)': (k, engine, id) =>
      byId(k, engine, 'filter', Number(id)),

    'NTSTATUS FwpsInjectionHandleCreate0(USHORT family, ULONG flags, HANDLE *handle)': (
      k,
      _family,
      _flags,
      out,
    ) => newHandle(k, 'injection of packets', out),
    'NTSTATUS FwpsInjectionHandleDestroy0(HANDLE handle)': (k, handle) =>
      deregister(k, handle) ? Status.SUCCESS : Status.INVALID_HANDLE,
    'ULONG FwpmBfeStateGet0(void)': () => RUNNING,
    'NTSTATUS FwpmBfeStateSubscribeChanges0(PVOID device, PVOID callback, PVOID context, HANDLE *handle)': (
      k,
      _device,
      callback,
      _context,
      out,
    ) => {
      const handle = registerHandle(k, 'changes of the filtering engine', callback);
      if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
      k.memory.setPtr(out, handle);
      return Status.SUCCESS;
    },
    'NTSTATUS FwpmBfeStateUnsubscribeChanges0(HANDLE handle)': (k, handle) =>
      deregister(k, handle) ? Status.SUCCESS : Status.INVALID_HANDLE,
  }),
]);
