/** Fields of driver objects that more than one part of the kernel, or a library beside it, makes its own. */
import type { Address } from '../../memory/space.ts';
import { unicodeString } from './strings.ts';
import type { Windows } from './windows.ts';

/** IRP_MJ_MAXIMUM_FUNCTION and one. */
export const MAJOR_FUNCTIONS = 28;

export const extensionOf = (k: Windows, driver: Address): Address =>
  k.read('DRIVER_OBJECT.DriverExtension', driver);

/** The table of dispatch routines. */
export const dispatchTable = (k: Windows, driver: Address): Address =>
  driver + k.offset('DRIVER_OBJECT.MajorFunction');

/** Requests of every kind come to one function of ours. */
export function dispatchTo(k: Windows, driver: Address, name: string): void {
  const [table, routine] = [dispatchTable(k, driver), k.exported(name) ?? 0];
  for (let i = 0; i < MAJOR_FUNCTIONS; i++) k.memory.setPtr(table + i * k.word, routine);
}

/** Where a driver of devices hears of a new one; 0: it is no driver of devices. */
export const addDeviceOf = (k: Windows, driver: Address): Address =>
  k.read('DRIVER_EXTENSION.AddDevice', extensionOf(k, driver));

export const setAddDevice = (k: Windows, driver: Address, routine: Address): void =>
  k.write('DRIVER_EXTENSION.AddDevice', extensionOf(k, driver), routine);

/** The function of ours that hears of the driver's new devices. */
export const addDeviceBy = (k: Windows, driver: Address, name: string): void =>
  setAddDevice(k, driver, k.exported(name) ?? 0);

/** The name of the key that the driver was started by. */
export const serviceOf = (k: Windows, driver: Address): string =>
  unicodeString(k, extensionOf(k, driver) + k.offset('DRIVER_EXTENSION.ServiceKeyName'));
