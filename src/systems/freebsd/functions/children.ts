/**
 * Devices that code hangs below a bus itself: device_add_child(9) and what is asked of such a device (sys/kern/subr_bus.c). No
 * driver ever takes one, since nothing here probes: it keeps its name, its unit and what its maker gives it.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format.ts';

/** struct _device is private to subr_bus.c: modules have its address only. */
interface Child {
  readonly address: Address;
  readonly parent: Address;
  /** '' for a device whose class its driver would choose. */
  readonly name: string;
  readonly unit: number;
  readonly nameUnit: Address;
  softc: Address;
  ivars: Address;
  description: Address;
  flags: number;
}

const children = perKernel(() => new Map<Address, Child>());

const DEVICE_BYTES = 512;
/** DS_NOTPRESENT and DEVICE_UNIT_ANY. */
const NOT_PRESENT = 10;
const ANY_UNIT = -1;

/** Devices of a class, by their unit. */
export function unitsOf(k: FreeBsd, name: string): Map<number, Address> {
  const own = [...k.state(children).values()].filter((one) => one.name === name && name !== '');
  return new Map(own.map(({ unit, address }) => [unit, address]));
}

/** Name and unit of every device that code has made and not deleted. */
export const madeDevices = (k: FreeBsd): { address: Address; name: string }[] =>
  [...k.state(children).values()].map(({ address, nameUnit }) => ({
    address,
    name: guestText(k, nameUnit),
  }));

/** 0 for a unit that another device of the class has. */
function addChild(k: FreeBsd, parent: Address, nameAt: Address, wanted: number): Address {
  const name = nameAt === 0 ? '' : guestText(k, nameAt);
  const taken = unitsOf(k, name);
  if (taken.has(wanted)) return 0;
  let unit = wanted;
  if (unit === ANY_UNIT && name !== '') for (unit = 0; taken.has(unit); unit++);
  const address = k.heap.allocate(DEVICE_BYTES);
  const nameUnit = k.heap.string(name === '' ? '(null)' : `${name}${unit}`);
  const nothing = { softc: 0, ivars: 0, description: 0, flags: 0 };
  k.state(children).set(address, { address, parent, name, unit, nameUnit, ...nothing });
  return address;
}

const below = (k: FreeBsd, parent: Address): Child[] =>
  [...k.state(children).values()].filter((one) => one.parent === parent);

function deleteChild(k: FreeBsd, at: Address): void {
  const child = k.state(children).get(at);
  if (child === undefined) return;
  for (const { address } of below(k, at)) deleteChild(k, address);
  k.state(children).delete(at);
  k.heap.free(child.nameUnit);
  k.heap.free(at);
}

const prefix = (k: FreeBsd, at: Address): string => {
  const child = k.state(children).get(at);
  return child === undefined || child.name === '' ? 'unknown: ' : `${guestText(k, child.nameUnit)}: `;
};

/** A field of a device; 0 for an address that no maker of a device was given. */
const get =
  (name: Exclude<keyof Child, 'name'>) =>
  (k: FreeBsd, at: Address): number =>
    k.state(children).get(at)?.[name] ?? 0;

function set(k: FreeBsd, at: Address, change: Partial<Child>): void {
  const child = k.state(children).get(at);
  if (child !== undefined) Object.assign(child, change);
}

export const deviceChildren = kernelFunctions({
  'void *device_add_child(void *dev, const char *name, int unit)': addChild,
  'void *device_add_child_ordered(void *dev, unsigned int order, const char *name, int unit)': (
    k,
    parent,
    _order,
    name,
    unit,
  ) => addChild(k, parent, name, unit),
  'int device_delete_child(void *dev, void *child)': (k, _parent, at) => {
    deleteChild(k, at);
    return 0;
  },
  'int device_delete_children(void *dev)': (k, parent) => {
    for (const { address } of below(k, parent)) deleteChild(k, address);
    return 0;
  },
  'void *device_find_child(void *dev, const char *classname, int unit)': (k, parent, name, unit) =>
    below(k, parent).find(
      (one) => one.name === guestText(k, name) && (unit === ANY_UNIT || one.unit === unit),
    )?.address ?? 0,
  'int device_get_children(void *dev, void ***devlistp, int *devcountp)': (k, parent, list, count) => {
    const found = below(k, parent);
    const table = found.length === 0 ? 0 : k.heap.allocate(found.length * k.word);
    for (const [i, { address }] of found.entries()) k.memory.setPtr(table + i * k.word, address);
    k.memory.setPtr(list, table);
    k.memory.set32(count, found.length);
    return 0;
  },
  'void *device_get_parent(void *dev)': get('parent'),
  'int device_get_unit(void *dev)': get('unit'),
  'const char *device_get_nameunit(void *dev)': get('nameUnit'),
  'void *device_get_softc(void *dev)': get('softc'),
  'void device_set_softc(void *dev, void *softc)': (k, at, softc) => set(k, at, { softc }),
  'void *device_get_ivars(void *dev)': get('ivars'),
  'void device_set_ivars(void *dev, void *ivars)': (k, at, ivars) => set(k, at, { ivars }),
  'const char *device_get_desc(void *dev)': get('description'),
  'void device_set_desc(void *dev, const char *desc)': (k, at, description) => set(k, at, { description }),
  'uint32_t device_get_flags(void *dev)': get('flags'),
  'void device_set_flags(void *dev, uint32_t flags)': (k, at, flags) => set(k, at, { flags }),
  'int device_get_state(void *dev)': () => NOT_PRESENT,
  'int device_is_alive(void *dev)': () => 0,
  'int device_is_attached(void *dev)': () => 0,
  'void device_quiet(void *dev)': () => undefined,
  'void device_verbose(void *dev)': () => undefined,
  // Without a driver that wants it, a device is probed in vain.
  'int device_probe(void *dev)': () => Errno.ENXIO,
  'int device_probe_and_attach(void *dev)': () => Errno.ENXIO,
  'int device_printf(void *dev, const char *fmt, ...)': (k, at, text, args) => {
    const said = `${prefix(k, at)}${format(k, guestText(k, text), args)}`;
    k.printf(said);
    return said.length;
  },
});
