/** What a device tells udev about itself (dev_uevent, drivers/base/core.c), as its `uevent` file shows it. */
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { majorOf, minorOf } from '../vfs/chrdev.ts';
import { deviceName } from './names.ts';

/** struct kobj_uevent_env holds this many variables in this many bytes. */
const MAX_VARIABLES = 64;
const BUFFER_BYTES = 2048;
const EVENT_BUFFER = 'kobj_uevent_env.buf';

/** add_uevent_var: one more `KEY=value`; -ENOMEM when the environment is full. */
export function addVariable(k: Linux, environment: Address, text: string): number {
  const index = k.read('kobj_uevent_env.envp_idx', environment);
  const used = k.read('kobj_uevent_env.buflen', environment);
  const bytes = new TextEncoder().encode(`${text}\0`);
  if (index >= MAX_VARIABLES || used + bytes.length > BUFFER_BYTES) return -Errno.ENOMEM;
  const at = environment + k.offset(EVENT_BUFFER) + used;
  k.memory.write(at, bytes);
  k.memory.setPtr(environment + k.offset('kobj_uevent_env.envp') + k.word * index, at);
  k.write('kobj_uevent_env.envp_idx', environment, index + 1);
  k.write('kobj_uevent_env.buflen', environment, used + bytes.length);
  return 0;
}

/** The kernel's own variables, then those of the bus, the class and the type. */
function* fill(k: Linux, device: Address, environment: Address): Steps<number> {
  const number = k.read('device.devt', device);
  if (number !== 0) {
    addVariable(k, environment, `MAJOR=${majorOf(number)}`);
    addVariable(k, environment, `MINOR=${minorOf(number)}`);
    addVariable(k, environment, `DEVNAME=${deviceName(k, device).replaceAll('!', '/')}`);
  }
  const type = k.read('device.type', device);
  if (type !== 0 && k.read('device_type.name', type) !== 0) {
    addVariable(k, environment, `DEVTYPE=${k.readString('device_type.name', type)}`);
  }
  const driver = k.read('device.driver', device);
  if (driver !== 0) addVariable(k, environment, `DRIVER=${k.readString('device_driver.name', driver)}`);
  const bus = k.read('device.bus', device);
  const classAt = k.read('device.class', device);
  for (const callback of [
    bus === 0 ? 0 : k.read('bus_type.uevent', bus),
    classAt === 0 ? 0 : k.read('class.dev_uevent', classAt),
    type === 0 ? 0 : k.read('device_type.uevent', type),
  ]) {
    if (callback === 0) continue;
    const error = yield* k.callInt(callback, device, environment);
    if (error !== 0) return error;
  }
  return 0;
}

/** uevent_show: the variables, a line each. */
export function* showUevent(k: Linux, device: Address, page: Address): Steps<number> {
  const environment = k.heap.allocateZeroed(k.sizeof('kobj_uevent_env'));
  const error = yield* fill(k, device, environment);
  const used = k.read('kobj_uevent_env.buflen', environment);
  const text = k.memory.bytes(environment + k.offset(EVENT_BUFFER), used);
  k.heap.free(environment);
  if (error !== 0) return error;
  k.memory.write(
    page,
    text.map((byte) => (byte === 0 ? 10 : byte)),
  );
  return text.length;
}
