/** Messages that begin with the name of a network device (netdev_info and its like, net/core/dev.c). */
import type { VarArgs } from '../../../abi/convention.ts';
import type { Address } from '../../../memory/space.ts';
import { deviceName } from '../driver/names.ts';
import type { Linux } from '../linux.ts';
import { REG } from '../net/flags.ts';
import { nameOf } from '../net/namespace.ts';
import { kernelFunctions } from './define.ts';
import { byteString, format } from './format/printf.ts';
import { emit, LEVEL, levelOf } from './printk.ts';

const RECORD_BYTES = 1024;

/** netdev_reg_state: what the name is followed by unless the device is registered. */
const STATES: Readonly<Record<number, string>> = {
  [REG.UNINITIALIZED]: ' (uninitialized)',
  [REG.REGISTERED]: '',
  [REG.UNREGISTERING]: ' (unregistering)',
  [REG.UNREGISTERED]: ' (unregistered)',
  [REG.RELEASED]: ' (released)',
  [REG.DUMMY]: ' (dummy)',
};

/** dev_driver_string */
function driverOf(k: Linux, device: Address): string {
  const driver = k.read('device.driver', device);
  if (driver !== 0) return k.readString('device_driver.name', driver);
  const bus = k.read('device.bus', device);
  if (bus !== 0) return k.readString('bus_type.name', bus);
  const owner = k.read('device.class', device);
  return owner === 0 ? '' : k.readString('class.name', owner);
}

function prefix(k: Linux, device: Address): string {
  if (device === 0) return '(NULL net_device)';
  const given = nameOf(k, device);
  const name = given === '' || given.includes('%') ? '(unnamed net_device)' : given;
  const state = STATES[k.read('net_device.reg_state', device)] ?? ' (unknown)';
  const parent = k.read('device.parent', device + k.offset('net_device.dev'));
  const where = parent === 0 ? '' : `${driverOf(k, parent)} ${deviceName(k, parent)} `;
  return `${where}${name}${state}`;
}

function print(k: Linux, level: number, device: Address, text: Address, args: VarArgs): void {
  emit(k, `${prefix(k, device)}: ${format(k, text, args, RECORD_BYTES).text}`, level);
}

const at =
  (level: number) =>
  (k: Linux, device: Address, text: Address, args: VarArgs): void =>
    print(k, level, device, text, args);

export const netDevicePrintk = kernelFunctions({
  'void netdev_printk(const char *level, const struct net_device *dev, const char *format, ...)': (
    k,
    level,
    device,
    text,
    args,
  ) => print(k, levelOf(byteString(k, level)), device, text, args),
  'void netdev_emerg(const struct net_device *dev, const char *format, ...)': at(LEVEL.EMERG),
  'void netdev_alert(const struct net_device *dev, const char *format, ...)': at(LEVEL.ALERT),
  'void netdev_crit(const struct net_device *dev, const char *format, ...)': at(LEVEL.CRIT),
  'void netdev_err(const struct net_device *dev, const char *format, ...)': at(LEVEL.ERR),
  'void netdev_warn(const struct net_device *dev, const char *format, ...)': at(LEVEL.WARNING),
  'void netdev_notice(const struct net_device *dev, const char *format, ...)': at(LEVEL.NOTICE),
  'void netdev_info(const struct net_device *dev, const char *format, ...)': at(LEVEL.INFO),
});
