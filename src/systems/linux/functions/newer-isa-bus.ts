/**
 * The ISA bus (drivers/base/isa.c): it cannot be asked for its cards, so every driver gets as many devices as it asks for and
 * finds out itself. Nothing answers at any port of this machine. Debian's 32-bit kernels have it, and those of amd64 since 6.12.
 */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { registerDriver, unregisterDriver } from '../driver/driver.ts';
import { kobjectOf } from '../driver/names.ts';
import { ownBus } from '../driver/own-bus.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { kernelDirectory } from '../sysfs.ts';
import { kernelFunctions } from './define.ts';
import { addDevice, deleteDevice, initialise } from './device.ts';
import { put, setName } from './kobject.ts';

const METHODS = { match: 'isa_bus_match', probe: 'isa_bus_probe', remove: 'isa_bus_remove' };
/** DMA_BIT_MASK(24): what the bus can address. */
const REACH = 0xff_ffffn;

/** struct isa_dev: the device, the next one of the same driver, its number. */
const nextAt = (k: Linux, device: Address): Address => device + k.sizeof('device');
const numberAt = (k: Linux, device: Address): Address => nextAt(k, device) + k.word;

const driverOf = (k: Linux, isa: Address): Address => isa + k.offset('isa_driver.driver');

function* drop(k: Linux, device: Address): Steps<void> {
  yield* deleteDevice(k, device);
  yield* put(k, kobjectOf(k, device));
}

/** One device for the driver; its errno. One that the driver does not want is gone again. */
function* add(k: Linux, isa: Address, bus: Address, number: number): Steps<number> {
  const device = k.heap.allocateZeroed(k.sizeof('device') + 2 * k.word);
  if (device === 0) return -Errno.ENOMEM;
  const kobject = kobjectOf(k, device);
  setName(k, kobject, `${k.readString('device_driver.name', driverOf(k, isa))}.${number}`);
  initialise(k, device);
  k.write('kobject.parent', kobject, kernelDirectory(k, 'devices/isa'));
  k.write('device.bus', device, bus);
  k.write('device.platform_data', device, isa);
  k.write('device.release', device, k.addressOf('isa_dev_release'));
  k.memory.set32(numberAt(k, device), number);
  const mask = device + k.offset('device.coherent_dma_mask');
  k.memory.setU64(mask, REACH);
  k.write('device.dma_mask', device, mask);
  const error = yield* addDevice(k, device);
  if (error !== 0) {
    yield* put(k, kobject);
    return error;
  }
  if (k.read('device.platform_data', device) === 0) yield* drop(k, device);
  else {
    k.memory.setPtr(nextAt(k, device), k.read('isa_driver.devices', isa));
    k.write('isa_driver.devices', isa, device);
  }
  return 0;
}

function* unregister(k: Linux, isa: Address): Steps<void> {
  for (let device = k.read('isa_driver.devices', isa); device !== 0; ) {
    const next = k.memory.ptr(nextAt(k, device));
    yield* drop(k, device);
    device = next;
  }
  yield* unregisterDriver(k, driverOf(k, isa));
}

function* register(k: Linux, isa: Address, count: number): Steps<number> {
  const bus = yield* ownBus(k, 'isa', METHODS, undefined);
  k.write('device_driver.bus', driverOf(k, isa), bus);
  k.write('isa_driver.devices', isa, 0);
  let error = yield* registerDriver(k, driverOf(k, isa));
  if (error !== 0) return error;
  for (let number = 0; number < count && error === 0; number++) error = yield* add(k, isa, bus, number);
  if (error === 0 && k.read('isa_driver.devices', isa) === 0) error = -Errno.ENODEV;
  if (error !== 0) yield* unregister(k, isa);
  return error;
}

/** Calls a method of the driver that a device was made for, with the device's number; 0 without one. */
function* ask(k: Linux, device: Address, method: 'probe' | 'remove'): Steps<number> {
  const isa = k.read('device.platform_data', device);
  const at = isa === 0 ? 0 : k.read(`isa_driver.${method}`, isa);
  return at === 0 ? 0 : yield* k.callInt(at, device, k.memory.u32(numberAt(k, device)));
}

export const isaBus = kernelFunctions({
  'int isa_register_driver(struct isa_driver *isa_driver, unsigned int ndev)': register,
  'void isa_unregister_driver(struct isa_driver *isa_driver)': unregister,
  'int isa_bus_match(struct device *dev, struct device_driver *driver)': function* (k, device, driver) {
    const isa = driver - k.offset('isa_driver.driver');
    if (k.read('device.platform_data', device) !== isa) return 0;
    const match = k.read('isa_driver.match', isa);
    if (match === 0 || (yield* k.callInt(match, device, k.memory.u32(numberAt(k, device)))) !== 0) return 1;
    k.write('device.platform_data', device, 0);
    return 0;
  },
  'int isa_bus_probe(struct device *dev)': (k, device) => ask(k, device, 'probe'),
  'void isa_bus_remove(struct device *dev)': function* (k, device) {
    yield* ask(k, device, 'remove');
  },
  'void isa_dev_release(struct device *dev)': (k, device) => k.heap.free(device),
});
