/**
 * Terminal drivers (drivers/tty/tty_io.c): allocated, given their numbers, kept. Lines that a driver announces later
 * (TTY_DRIVER_DYNAMIC_DEV) come with their hardware; there is no terminal layer to open one with.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { MissingFunctionReached } from '../../../kernel/missing.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { addHead, initList, removeInit } from '../lists.ts';
import { register, unregister } from '../registered.ts';
import { characterDevices } from '../vfs/chrdev.ts';
import { kernelFunctions } from './define.ts';

const KIND = 'tty driver';

/** Bits of tty_driver.flags (include/linux/tty_driver.h). */
const FLAG = { INSTALLED: 1, DYNAMIC_DEV: 8, DEVPTS_MEM: 0x10, DYNAMIC_ALLOC: 0x40, UNNUMBERED_NODE: 0x80 };

/** tty_drivers: all that are registered, the last one first. */
const drivers = perKernel<Address, Linux>((k) => {
  const head = k.heap.allocateZeroed(k.sizeof('list_head'));
  initList(k, head);
  return head;
});

/** Arrays of pointers, one for each line. */
const ARRAYS = ['ttys', 'termios', 'ports', 'cdevs'] as const;

function allocate(k: Linux, lines: number, owner: Address, flags: number): Address {
  if (lines === 0 || ((flags & FLAG.UNNUMBERED_NODE) !== 0 && lines > 1)) return -Errno.EINVAL;
  const driver = k.heap.allocateZeroed(k.sizeof('tty_driver'));
  if (driver === 0) return -Errno.ENOMEM;
  k.write('tty_driver.kref.refcount.refs.counter', driver, 1);
  k.write('tty_driver.num', driver, lines);
  k.write('tty_driver.owner', driver, owner);
  k.write('tty_driver.flags', driver, flags);
  const shared = (flags & FLAG.DYNAMIC_ALLOC) !== 0;
  const wanted = {
    ttys: (flags & FLAG.DEVPTS_MEM) === 0 ? lines : 0,
    termios: (flags & FLAG.DEVPTS_MEM) === 0 ? lines : 0,
    ports: shared ? 0 : lines,
    cdevs: shared ? 1 : lines,
  };
  for (const array of ARRAYS) {
    if (wanted[array] === 0) continue;
    const at = k.heap.allocateZeroed(wanted[array] * k.word);
    if (at === 0) {
      free(k, driver);
      return -Errno.ENOMEM;
    }
    k.write(`tty_driver.${array}`, driver, at);
  }
  return driver;
}

function free(k: Linux, driver: Address): void {
  for (const array of ARRAYS) k.heap.free(k.read(`tty_driver.${array}`, driver));
  k.heap.free(driver);
}

function registerDriver(k: Linux, driver: Address): number {
  const flags = k.read('tty_driver.flags', driver);
  const name = k.readString('tty_driver.name', driver);
  if ((flags & FLAG.DYNAMIC_DEV) === 0)
    throw new MissingFunctionReached('tty_register_driver', 'tty_register_device', `lines of ${name}`);
  const major = k.read('tty_driver.major', driver);
  const first = k.read('tty_driver.minor_start', driver);
  const region = k.state(characterDevices).reserve(major, first, k.read('tty_driver.num', driver), name);
  if (typeof region === 'number') return region;
  k.write('tty_driver.major', driver, region.major);
  addHead(k, driver + k.offset('tty_driver.tty_drivers'), k.state(drivers));
  k.write('tty_driver.flags', driver, flags | FLAG.INSTALLED);
  return register(k, KIND, driver, name);
}

export const ttyDrivers = kernelFunctions({
  'struct tty_driver *__tty_alloc_driver(unsigned int lines, struct module *owner, unsigned long flags)':
    allocate,
  'int tty_register_driver(struct tty_driver *driver)': registerDriver,
  'void tty_unregister_driver(struct tty_driver *driver)': (k, driver) => {
    if (!unregister(k, KIND, driver)) return;
    const [major, first] = [k.read('tty_driver.major', driver), k.read('tty_driver.minor_start', driver)];
    k.state(characterDevices).release(major, first, k.read('tty_driver.num', driver));
    removeInit(k, driver + k.offset('tty_driver.tty_drivers'));
  },
  'void tty_driver_kref_put(struct tty_driver *driver)': (k, driver) => {
    const count = k.read('tty_driver.kref.refcount.refs.counter', driver) - 1;
    k.write('tty_driver.kref.refcount.refs.counter', driver, count);
    if (count === 0) free(k, driver);
  },
});
