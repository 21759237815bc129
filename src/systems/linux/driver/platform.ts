/**
 * The platform bus (drivers/base/platform.c): devices that nothing announces, made by name, and the drivers that are
 * matched to them by name. It is built in and there from boot.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import { addDevice, deleteDevice, initialise } from '../functions/device.ts';
import { writeText } from '../functions/format/printf.ts';
import { put, setName } from '../functions/kobject.ts';
import { insertResource, removeResource } from '../functions/platform.ts';
import { devicePrefix } from '../functions/printk.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { keepAll } from '../sysfs.ts';
import { attachDevice } from './bind.ts';
import { addOwnFile, busPrivate, registerBus, showText, written } from './bus.ts';
import { registerDriver } from './driver.ts';
import { kobjectOf } from './names.ts';

/** platform_device.id: none, and "find one". */
const ID_NONE = -1;
const ID_AUTO = -2;

const IORESOURCE_TYPE_BITS = 0x1f00;
const IORESOURCE_IO = 0x100;
const IORESOURCE_MEM = 0x200;

/** Numbers that devices with PLATFORM_DEVID_AUTO have now (platform_devid_ida, which is not exported). */
const automaticIds = perKernel<Set<number>, Linux>(() => new Set());

export const deviceOf = (k: Linux, platform: Address): Address => platform + k.offset('platform_device.dev');
const platformOf = (k: Linux, device: Address): Address => device - k.offset('platform_device.dev');
const platformDriver = (k: Linux, driver: Address): Address => driver - k.offset('platform_driver.driver');

/** The bus type and the device that all others hang from: exported, and filled at their link addresses. */
export const platformData: readonly DataInitialiser[] = [
  {
    symbol: 'platform_bus_type',
    when: 'import',
    fill: (k, at) => {
      const name = k.heap.allocate(16);
      writeText(k, name, 'platform');
      k.poke('bus_type.name', at, name);
      k.poke('bus_type.dev_groups', at, 0);
      for (const method of ['match', 'uevent', 'probe', 'remove'] as const) {
        k.poke(`bus_type.${method}`, at, k.addressOf(`platform_${method}`));
      }
    },
  },
];

/** The bus, registered when the first one asks for it: nothing of this machine's own is on it. */
export function* platformBus(k: Linux): Steps<Address> {
  const bus = k.addressOf('platform_bus_type');
  if (busPrivate(k, bus) === 0) yield* k.heap.lastingSteps(registerPlatformBus(k, bus));
  return bus;
}

function* registerPlatformBus(k: Linux, bus: Address): Steps<void> {
  const parent = k.addressOf('platform_bus');
  initialise(k, parent);
  setName(k, kobjectOf(k, parent), 'platform');
  yield* addDevice(k, parent);
  yield* registerBus(k, bus, attachDevice);
  keepAll(k, 'bus/platform');
  keepAll(k, 'devices/platform');
}

/** Where the name of the only driver that may have the device stands: later kernels have it for devices of any bus. */
const overrideOf = (k: Linux, platform: Address): Address =>
  k.types.has('device.driver_override.name')
    ? deviceOf(k, platform) + k.offset('device.driver_override.name')
    : platform + k.offset('platform_device.driver_override');

// -- the bus's own methods -------------------------------------------------------------------------------------------

/** platform_match: an override decides alone, then the table of names, then the driver's name. */
export function match(k: Linux, device: Address, driver: Address): boolean {
  const platform = platformOf(k, device);
  const own = k.readString('device_driver.name', driver);
  const override = k.memory.ptr(overrideOf(k, platform));
  if (override !== 0) return k.memory.cstring(override) === own;
  const table = k.read('platform_driver.id_table', platformDriver(k, driver));
  const name = k.readString('platform_device.name', platform);
  if (table === 0) return name === own;
  for (let id = table; k.memory.u8(id) !== 0; id += k.sizeof('platform_device_id')) {
    if (k.readString('platform_device_id.name', id) !== name) continue;
    k.write('platform_device.id_entry', platform, id);
    return true;
  }
  return false;
}

export function* probe(k: Linux, device: Address): Steps<number> {
  const method = k.read('platform_driver.probe', platformDriver(k, k.read('device.driver', device)));
  return method === 0 ? 0 : yield* k.callInt(method, platformOf(k, device));
}

export function* removeMethod(k: Linux, device: Address): Steps<void> {
  const driver = platformDriver(k, k.read('device.driver', device));
  // `remove` returns nothing from Linux 6.11 on, and is the only one from 6.13 on.
  const newer = k.types.has('platform_driver.remove_new');
  const silent = k.read(newer ? 'platform_driver.remove_new' : 'platform_driver.remove', driver);
  const method = k.read('platform_driver.remove', driver);
  if (silent !== 0) yield* k.call(silent, platformOf(k, device));
  else if (method !== 0 && (yield* k.callInt(method, platformOf(k, device))) !== 0) {
    const text = 'remove callback returned a non-zero value. This will be ignored.';
    k.printk(4, `${devicePrefix(k, device)}${text}`);
  }
}

export const modalias = (k: Linux, device: Address): string =>
  `platform:${k.readString('platform_device.name', platformOf(k, device))}`;

// -- devices ---------------------------------------------------------------------------------------------------------

/** platform_device_alloc: 0 when there is no memory. */
export function allocateDevice(k: Linux, name: string, id: number): Address {
  const platform = k.heap.allocateZeroed(k.sizeof('platform_object') + name.length + 1);
  if (platform === 0) return 0;
  const text = platform + k.sizeof('platform_object');
  writeText(k, text, name);
  k.write('platform_device.name', platform, text);
  k.write('platform_device.id', platform, id);
  prepare(k, platform);
  k.write('device.release', deviceOf(k, platform), k.addressOf('platform_device_release'));
  return platform;
}

/** device_initialize and the masks of a machine whose devices reach 32-bit addresses. */
export function prepare(k: Linux, platform: Address): void {
  const device = deviceOf(k, platform);
  initialise(k, device);
  if (k.read('device.coherent_dma_mask', device) === 0)
    k.write('device.coherent_dma_mask', device, 0xffffffff);
  if (k.read('device.dma_mask', device) === 0) {
    k.write('platform_device.platform_dma_mask', platform, 0xffffffff);
    k.write('device.dma_mask', device, platform + k.offset('platform_device.platform_dma_mask'));
  }
  k.write('device.dma_parms', device, platform + k.offset('platform_device.dma_parms'));
}

/** A copy of resources for a device that was allocated; -ENOMEM or 0. */
export function addResources(k: Linux, platform: Address, from: Address, count: number): number {
  let copy = 0;
  if (from !== 0) {
    const bytes = count * k.sizeof('resource');
    copy = k.heap.allocate(bytes);
    if (copy === 0) return -Errno.ENOMEM;
    k.memory.copy(copy, from, bytes);
  }
  k.heap.free(k.read('platform_device.resource', platform));
  k.write('platform_device.resource', platform, copy);
  k.write('platform_device.num_resources', platform, copy === 0 ? 0 : count);
  return 0;
}

/** A copy of platform data. */
export function addData(k: Linux, platform: Address, from: Address, size: number): number {
  let copy = 0;
  if (from !== 0) {
    copy = k.heap.allocate(size);
    if (copy === 0) return -Errno.ENOMEM;
    k.memory.copy(copy, from, size);
  }
  k.heap.free(k.read('device.platform_data', deviceOf(k, platform)));
  k.write('device.platform_data', deviceOf(k, platform), copy);
  return 0;
}

function nameDevice(k: Linux, platform: Address): void {
  const name = k.readString('platform_device.name', platform);
  const id = k.read('platform_device.id', platform);
  let text = `${name}.${id}`;
  if (id === ID_NONE) text = name;
  else if (id === ID_AUTO) {
    const taken = k.state(automaticIds);
    let free = 0;
    while (taken.has(free)) free++;
    taken.add(free);
    k.write('platform_device.id', platform, free);
    k.write('platform_device.id_auto', platform, 1);
    text = `${name}.${free}.auto`;
  }
  setName(k, kobjectOf(k, deviceOf(k, platform)), text);
}

function freeId(k: Linux, platform: Address): void {
  if (k.read('platform_device.id_auto', platform) === 0) return;
  k.state(automaticIds).delete(k.read('platform_device.id', platform));
  k.write('platform_device.id', platform, ID_AUTO);
}

/** struct resource of a device by index. */
export function* resourcesOf(k: Linux, platform: Address): Generator<Address> {
  const first = k.read('platform_device.resource', platform);
  const count = k.read('platform_device.num_resources', platform);
  for (let i = 0; i < count; i++) yield first + i * k.sizeof('resource');
}

export const resourceType = (k: Linux, range: Address): number =>
  k.read('resource.flags', range) & IORESOURCE_TYPE_BITS;

/** Takes the device's ranges out of the machine's; false when one is in use by another. */
function claim(k: Linux, platform: Address): boolean {
  const device = deviceOf(k, platform);
  let index = 0;
  for (const range of resourcesOf(k, platform)) {
    if (k.read('resource.name', range) === 0)
      k.write('resource.name', range, k.read('kobject.name', kobjectOf(k, device)));
    const type = resourceType(k, range);
    const root = type === IORESOURCE_MEM ? 'iomem_resource' : type === IORESOURCE_IO ? 'ioport_resource' : '';
    const parent = k.read('resource.parent', range) || (root === '' ? 0 : k.addressOf(root));
    if (parent !== 0 && insertResource(k, parent, range) !== 0) {
      k.printk(3, `${devicePrefix(k, device)}failed to claim resource ${index}`);
      return false;
    }
    index++;
  }
  return true;
}

function unclaim(k: Linux, platform: Address): void {
  for (const range of resourcesOf(k, platform)) {
    if (k.read('resource.parent', range) !== 0) removeResource(k, range);
  }
}

/** platform_device_add: 0 or a negative errno. */
export function* addPlatformDevice(k: Linux, platform: Address): Steps<number> {
  const device = deviceOf(k, platform);
  const bus = yield* platformBus(k);
  if (k.read('device.parent', device) === 0) k.write('device.parent', device, k.addressOf('platform_bus'));
  k.write('device.bus', device, bus);
  nameDevice(k, platform);
  const error = claim(k, platform) ? yield* addDevice(k, device) : -Errno.EBUSY;
  if (error === 0) addDeviceFiles(k, platform);
  else {
    freeId(k, platform);
    unclaim(k, platform);
  }
  return error;
}

/** platform_dev_attrs: `modalias`, and `driver_override`, which names the only driver that may have the device. */
function addDeviceFiles(k: Linux, platform: Address): void {
  const device = deviceOf(k, platform);
  const kobject = kobjectOf(k, device);
  const override = overrideOf(k, platform);
  addOwnFile(k, kobject, 'modalias', 0o444, {
    show: (kernel, page) => showText(kernel, page, `${modalias(kernel, device)}\n`),
  });
  addOwnFile(k, kobject, 'driver_override', 0o644, {
    show(kernel, page) {
      const name = kernel.memory.ptr(override);
      return showText(kernel, page, `${name === 0 ? '(null)' : kernel.memory.cstring(name)}\n`);
    },
    *store(kernel, page, count) {
      const text = written(kernel, page, count);
      const copy = text === '' ? 0 : kernel.heap.allocate(text.length + 1);
      if (copy !== 0) writeText(kernel, copy, text);
      kernel.heap.free(kernel.memory.ptr(override));
      kernel.memory.setPtr(override, copy);
      return count;
    },
  });
}

/** platform_device_del */
export function* deletePlatformDevice(k: Linux, platform: Address): Steps<void> {
  if (platform === 0 || isError(platform)) return;
  yield* deleteDevice(k, deviceOf(k, platform));
  freeId(k, platform);
  unclaim(k, platform);
}

/** platform_device_put: NULL and error pointers are taken as they come. */
export function* putPlatformDevice(k: Linux, platform: Address): Steps<void> {
  if (platform !== 0 && !isError(platform)) yield* put(k, kobjectOf(k, deviceOf(k, platform)));
}

/** platform_device_register_full: the device, or a negative errno. */
export function* registerFull(k: Linux, info: Address): Steps<Address> {
  const from = (field: string) => k.read(`platform_device_info.${field}`, info);
  if (from('properties') !== 0) {
    throw new MissingFunctionReached(
      'platform device',
      'device_create_managed_software_node',
      'its properties',
    );
  }
  const platform = allocateDevice(k, k.readString('platform_device_info.name', info), from('id'));
  if (platform === 0) return -Errno.ENOMEM;
  const device = deviceOf(k, platform);
  k.write('device.parent', device, from('parent'));
  k.write('device.fwnode', device, from('fwnode'));
  if (from('dma_mask') !== 0) {
    k.write('platform_device.platform_dma_mask', platform, from('dma_mask'));
    k.write('device.coherent_dma_mask', device, from('dma_mask'));
  }
  let error = addResources(k, platform, from('res'), from('num_res'));
  if (error === 0) error = addData(k, platform, from('data'), from('size_data'));
  if (error === 0) error = yield* addPlatformDevice(k, platform);
  if (error === 0) return platform;
  yield* putPlatformDevice(k, platform);
  return error;
}

/** platform_device_release: everything the device has of its own. */
export function releaseDevice(k: Linux, device: Address): void {
  const platform = platformOf(k, device);
  k.heap.free(k.read('device.platform_data', device));
  k.heap.free(k.read('platform_device.resource', platform));
  k.heap.free(k.memory.ptr(overrideOf(k, platform)));
  k.heap.free(platform);
}

// -- drivers ---------------------------------------------------------------------------------------------------------

/** __platform_driver_register */
export function* registerPlatformDriver(k: Linux, platform: Address, owner: Address): Steps<number> {
  const driver = platform + k.offset('platform_driver.driver');
  k.write('device_driver.owner', driver, owner);
  k.write('device_driver.bus', driver, yield* platformBus(k));
  return yield* registerDriver(k, driver);
}
