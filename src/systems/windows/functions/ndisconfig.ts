/** NDIS: a driver's configuration, which is its Parameters key. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { serviceOf } from '../driver-object.ts';
import { deregister, registerHandle } from '../registered.ts';
import { type RegistryKey, RegType, regText } from '../registry.ts';
import { Status } from '../status.ts';
import { setCounted, unicodeString } from '../strings.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';
import { driverOfHandle } from './ndis.ts';

interface Configuration {
  readonly key: RegistryKey;
  /** Parameters that were handed out: they go with the handle. */
  readonly blocks: Address[];
}

const open = perKernel(() => new Map<Address, Configuration>());
const TAG = 0x4344444e;
/** NDIS_PARAMETER_TYPE. */
const Kind = { INTEGER: 0, HEX: 1, STRING: 2, MULTI: 3, BINARY: 4 } as const;

function openKey(k: Windows, key: RegistryKey | undefined, out: Address): number {
  if (key === undefined) return Status.UNSUCCESSFUL;
  const handle = registerHandle(k, 'NDIS configuration', callerOf(k));
  if (handle === 0) return Status.INSUFFICIENT_RESOURCES;
  k.state(open).set(handle, { key, blocks: [] });
  k.memory.setPtr(out, handle);
  return Status.SUCCESS;
}

/** The Parameters key of the service whose driver a handle stands for. */
function parametersOf(k: Windows, handle: Address): RegistryKey | undefined {
  const driver = driverOfHandle(k, handle);
  if (driver === undefined || k.objects.at(driver)?.type !== 'Driver') return undefined;
  return k.registry.services.child(serviceOf(k, driver))?.create('Parameters');
}

/** A whole path, or the name of a service. */
function sectionKey(k: Windows, section: string): RegistryKey | undefined {
  return section.startsWith('\\') ? k.registry.find(section) : k.registry.services.child(section);
}

/** NDIS_CONFIGURATION_PARAMETER: the type, then the integer, or a counted string, or counted bytes. */
function read(k: Windows, { key, blocks }: Configuration, name: string, wanted: number): Address {
  const value = key.value(name);
  if (value === undefined) return 0;
  const { type, data } = value;
  const head = k.word + k.sizeof('UNICODE_STRING');
  const at = k.pool.allocate('nonpaged', head + data.length + 2, TAG, 0, true);
  if (at === 0) return 0;
  blocks.push(at);
  const integer = type === RegType.DWORD ? key.dword(name) : asked(data, wanted);
  if (integer !== undefined) {
    k.memory.set32(at, Kind.INTEGER);
    k.memory.set32(at + k.word, integer);
    return at;
  }
  const text = type === RegType.SZ || type === RegType.EXPAND_SZ;
  k.memory.set32(at, text ? Kind.STRING : type === RegType.MULTI_SZ ? Kind.MULTI : Kind.BINARY);
  k.memory.write(at + head, data);
  const length = text ? regText(data).length * 2 : data.length;
  setCounted(k, at + k.word, length, data.length, at + head);
  return at;
}

/** A string that was asked for as a number: decimal, or hexadecimal. */
function asked(data: Uint8Array, wanted: number): number | undefined {
  if (wanted !== Kind.INTEGER && wanted !== Kind.HEX) return undefined;
  const number = Number.parseInt(regText(data), wanted === Kind.HEX ? 16 : 10);
  return Number.isNaN(number) ? 0 : number >>> 0;
}

function close(k: Windows, handle: Address): void {
  for (const at of k.state(open).get(handle)?.blocks ?? []) k.pool.release(at);
  k.state(open).delete(handle);
  deregister(k, handle);
}

export const ndisConfigurationFunctions = kernelFunctions({
  /** NDIS_CONFIGURATION_OBJECT: a header, then the handle of the driver. */
  'NTSTATUS NdisOpenConfigurationEx(PVOID object, PVOID *handle)': (k, object, out) =>
    openKey(k, parametersOf(k, k.memory.ptr(object + k.word)), out),
  'void NdisOpenProtocolConfiguration(NTSTATUS *status, PVOID *handle, PVOID section)': (
    k,
    status,
    out,
    section,
  ) => k.memory.set32(status, openKey(k, sectionKey(k, unicodeString(k, section)), out)),
  'void NdisOpenConfigurationKeyByName(NTSTATUS *status, PVOID handle, PVOID name, PVOID *out)': (
    k,
    status,
    handle,
    name,
    out,
  ) => k.memory.set32(status, openKey(k, k.state(open).get(handle)?.key.child(unicodeString(k, name)), out)),
  'void NdisReadConfiguration(NTSTATUS *status, PVOID *value, PVOID handle, PVOID name, ULONG type)': (
    k,
    status,
    out,
    handle,
    name,
    type,
  ) => {
    const configuration = k.state(open).get(handle);
    const at = configuration === undefined ? 0 : read(k, configuration, unicodeString(k, name), type);
    k.memory.setPtr(out, at);
    k.memory.set32(status, at === 0 ? Status.UNSUCCESSFUL : Status.SUCCESS);
  },
  'void NdisCloseConfiguration(PVOID handle)': (k, handle) => close(k, handle),
});
