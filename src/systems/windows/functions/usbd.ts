/**
 * USBD: what is worked out of a device's configuration descriptor (USB 2.0 specification, 9.5 and 9.6), and requests that
 * select a configuration made of it. Nothing here needs a device; sending such a request does.
 */
import type { Address } from '../../../memory/space.ts';
import type { Windows } from '../windows.ts';
import { callerOf, kernelFunctions } from './define.ts';

const TAG = 0x44425355;
const INTERFACE_DESCRIPTOR = 4;
const ENDPOINT_DESCRIPTOR = 5;
const HEADER_BYTES = 2;
const ANY = -1;
/** The URB's function code, and what a pipe transfers at most at once until the driver says otherwise. */
const SELECT_CONFIGURATION = 0;
const DEFAULT_TRANSFER = 4096;

/** The first descriptor of a type at or behind `from`; one that has no length, or ends behind the others, ends the search. */
function findDescriptor(k: Windows, end: Address, from: Address, type: number): Address {
  for (let at = from; at + HEADER_BYTES <= end; ) {
    const length = k.memory.u8(at);
    if (length < HEADER_BYTES || at + length > end) return 0;
    if (k.memory.u8(at + 1) === type) return at;
    at += length;
  }
  return 0;
}

/** wTotalLength. */
const endOf = (k: Windows, configuration: Address): Address =>
  configuration + k.memory.u16(configuration + 2);

/** `wanted`: number, alternate setting, class, subclass and protocol, each of which may be any. */
function findInterface(
  k: Windows,
  configuration: Address,
  from: Address,
  wanted: readonly number[],
): Address {
  const end = endOf(k, configuration);
  const places = [2, 3, 5, 6, 7];
  for (let at = from; ; at += k.memory.u8(at)) {
    at = findDescriptor(k, end, at, INTERFACE_DESCRIPTOR);
    const here = at;
    if (here === 0) return 0;
    if (wanted.every((value, i) => value === ANY || k.memory.u8(here + places[i]) === value)) return here;
  }
}

// -- URB_FUNCTION_SELECT_CONFIGURATION (usb.h) ----------------------------------------------------------------------------

const layoutOf = (word: number) => ({
  descriptor: word === 8 ? 24 : 16,
  handle: word === 8 ? 32 : 20,
  interfaces: word === 8 ? 40 : 24,
  pipeCount: 8 + word,
  pipes: word === 8 ? 24 : 16,
  pipe: word === 8 ? 24 : 20,
});

const interfaceBytes = (k: Windows, endpoints: number): number => {
  const { pipes, pipe } = layoutOf(k.word);
  return pipes + endpoints * pipe;
};

/** USBD_INTERFACE_INFORMATION of an interface and its endpoints. @returns its bytes */
function fillInterface(k: Windows, at: Address, end: Address, descriptor: Address): number {
  const { pipeCount, pipes, pipe } = layoutOf(k.word);
  const endpoints = k.memory.u8(descriptor + 4);
  const bytes = interfaceBytes(k, endpoints);
  k.memory.set16(at, bytes);
  k.memory.set8(at + 2, k.memory.u8(descriptor + 2));
  k.memory.set8(at + 3, k.memory.u8(descriptor + 3));
  for (let i = 0; i < 3; i++) k.memory.set8(at + 4 + i, k.memory.u8(descriptor + 5 + i));
  k.memory.set32(at + pipeCount, endpoints);
  let endpoint = descriptor;
  for (let i = 0; i < endpoints; i++) {
    const from = endpoint + k.memory.u8(endpoint);
    endpoint = findDescriptor(k, end, from, ENDPOINT_DESCRIPTOR);
    if (endpoint === 0) break;
    const to = at + pipes + i * pipe;
    k.memory.set16(to, k.memory.u16(endpoint + 4));
    k.memory.set8(to + 2, k.memory.u8(endpoint + 2));
    k.memory.set8(to + 3, k.memory.u8(endpoint + 6));
    k.memory.set32(to + 4, k.memory.u8(endpoint + 3) & 3);
    k.memory.set32(to + 8 + k.word, DEFAULT_TRANSFER);
  }
  return bytes;
}

/** @param slots where the address of each interface's part goes, as USBD_INTERFACE_LIST_ENTRY has it */
function selectConfiguration(
  k: Windows,
  configuration: Address,
  interfaces: readonly Address[],
  slots: readonly Address[],
): { urb: Address; bytes: number } {
  const layout = layoutOf(k.word);
  const parts = interfaces.map((one) => interfaceBytes(k, k.memory.u8(one + 4)));
  const bytes = layout.interfaces + parts.reduce((sum, one) => sum + one, 0);
  const urb = k.pool.allocate('nonpaged', bytes, TAG, callerOf(k), true);
  if (urb === 0) return { urb, bytes: 0 };
  k.memory.set16(urb, bytes);
  k.memory.set16(urb + 2, SELECT_CONFIGURATION);
  k.memory.setPtr(urb + layout.descriptor, configuration);
  let at = urb + layout.interfaces;
  interfaces.forEach((one, i) => {
    if (slots.length > 0) k.memory.setPtr(slots[i], at);
    at += fillInterface(k, at, endOf(k, configuration), one);
  });
  return { urb, bytes };
}

/** Every interface in its first setting, as USBD_CreateConfigurationRequest takes them. */
function firstSettings(k: Windows, configuration: Address): Address[] {
  const found: Address[] = [];
  for (let number = 0; number < k.memory.u8(configuration + 4); number++) {
    const at = findInterface(k, configuration, configuration, [number, 0, ANY, ANY, ANY]);
    if (at !== 0) found.push(at);
  }
  return found;
}

/** A list of { descriptor, information } that ends with no descriptor. */
function listed(k: Windows, list: Address): Address[] {
  const found: Address[] = [];
  for (let at = list; k.memory.ptr(at) !== 0; at += 2 * k.word) found.push(k.memory.ptr(at));
  return found;
}

/** An interface and what follows it, to the next interface or the end. */
function interfaceLength(k: Windows, descriptor: Address, end: Address): number {
  const from = descriptor + k.memory.u8(descriptor);
  return (findDescriptor(k, end, from, INTERFACE_DESCRIPTOR) || end) - descriptor;
}

export const usbdFunctions = kernelFunctions({
  /** USBD_VERSION_INFORMATION: USBDI 6.0 (since Vista), and the newest bus it knows. */
  'void USBD_GetUSBDIVersion(PVOID information)': (k, at) => {
    k.memory.set32(at, 0x600);
    k.memory.set32(at + 4, 0x200);
  },
  'PVOID USBD_ParseDescriptors(PVOID buffer, ULONG length, PVOID from, LONG type)': (
    k,
    buffer,
    length,
    from,
    type,
  ) => findDescriptor(k, buffer + length, from, type),
  'PVOID USBD_ParseConfigurationDescriptor(PVOID configuration, UCHAR number, UCHAR setting)': (
    k,
    configuration,
    number,
    setting,
  ) => findInterface(k, configuration, configuration, [number, setting, ANY, ANY, ANY]),
  'PVOID USBD_ParseConfigurationDescriptorEx(PVOID configuration, PVOID from, LONG number, LONG setting, LONG kind, LONG subclass, LONG protocol)':
    (k, configuration, from, ...wanted) => findInterface(k, configuration, from, wanted),
  'PVOID USBD_CreateConfigurationRequest(PVOID configuration, USHORT *size)': (k, configuration, size) => {
    const { urb, bytes } = selectConfiguration(k, configuration, firstSettings(k, configuration), []);
    k.memory.set16(size, bytes);
    return urb;
  },
  'PVOID USBD_CreateConfigurationRequestEx(PVOID configuration, PVOID list)': (k, configuration, list) => {
    const interfaces = listed(k, list);
    const slots = interfaces.map((_, i) => list + (2 * i + 1) * k.word);
    return selectConfiguration(k, configuration, interfaces, slots).urb;
  },
  'ULONG USBD_GetInterfaceLength(PVOID descriptor, PVOID end)': (k, descriptor, end) =>
    interfaceLength(k, descriptor, end),
});
