/**
 * newbus and kobj: drivers register with the device class of their bus (sys/kern/subr_bus.c, subr_kobj.c). The base
 * kernel's buses are empty, so a driver is known and waits; no device of it is ever probed.
 */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { MOD } from '../modules.ts';
import { majorOf } from '../version.ts';
import { unitsOf } from './children.ts';
import { kernelFunctions } from './define.ts';

/** struct devclass is private to subr_bus.c: its address is all that a driver has of it. */
interface DeviceClass {
  readonly name: string;
  readonly address: Address;
  /** struct kobj_class of the drivers, in the order they came. */
  readonly drivers: Address[];
}

const classes = perKernel(() => new Map<string, DeviceClass>());
/** Methods whose number was given out (kobj_next_id). */
const nextId = perKernel<{ id: number }>(() => ({ id: 1 }));
/** More methods than any driver has. */
const MAX_METHODS = 1000;

export function deviceClassNamed(k: FreeBsd, name: string): DeviceClass {
  const table = k.state(classes);
  let found = table.get(name);
  if (found === undefined) {
    found = { name, address: k.heap.allocate(128), drivers: [] };
    table.set(name, found);
  }
  return found;
}

const classAt = (k: FreeBsd, at: Address): DeviceClass | undefined =>
  [...k.state(classes).values()].find((one) => one.address === at);

/** Devices of a class: those that code made itself. */
const made = (k: FreeBsd, at: Address): Map<number, Address> => unitsOf(k, classAt(k, at)?.name ?? '');

/** Drivers that are registered with a bus and wait for a device. */
export function waitingDrivers(k: FreeBsd): { bus: string; driver: string }[] {
  return [...k.state(classes).values()].flatMap(({ name, drivers }) =>
    drivers.map((driver) => ({ bus: name, driver: k.readString('kobj_class.name', driver) })),
  );
}

function* methods(k: FreeBsd, cls: Address): Generator<Address> {
  const size = k.sizeof('kobj_method');
  let at = k.read('kobj_class.methods', cls);
  for (let i = 0; i < MAX_METHODS; i++, at += size) {
    if (at === 0 || k.read('kobj_method.desc', at) === 0) return;
    yield at;
  }
}

/** kobj_class_compile: numbers the methods and gives the class its table of looked-up ones. */
function compileClass(k: FreeBsd, cls: Address): void {
  if (k.read('kobj_class.ops', cls) !== 0) return;
  const ids = k.state(nextId);
  for (const method of methods(k, cls)) {
    const desc = k.read('kobj_method.desc', method);
    if (k.read('kobjop_desc.id', desc) === 0) k.write('kobjop_desc.id', desc, ids.id++);
  }
  const ops = k.heap.allocate(k.sizeof('kobj_ops'));
  const nothing = nullMethod(k);
  for (let i = 0; i < 256; i++) k.memory.setPtr(ops + i * k.word, nothing);
  k.write('kobj_ops.cls', ops, cls);
  k.write('kobj_class.ops', cls, ops);
}

function freeClass(k: FreeBsd, cls: Address): void {
  const ops = k.read('kobj_class.ops', cls);
  if (ops === 0) return;
  k.heap.free(ops);
  k.write('kobj_class.ops', cls, 0);
}

const nullMethods = perKernel<{ at: Address }, FreeBsd>((k) => ({
  at: k.data.reserve(k.sizeof('kobj_method')),
}));
const nullMethod = (k: FreeBsd): Address => k.state(nullMethods).at;

/** kobj_lookup_method: the class, then those it is based on, then the interface's own default. */
function lookUp(k: FreeBsd, cls: Address, desc: Address): Address {
  const own = search(k, cls, desc, 0);
  if (own !== undefined) return own;
  return majorOf(k.version) < 10 ? k.read('kobjop_desc.deflt', desc) : desc + k.offset('kobjop_desc.deflt');
}

function search(k: FreeBsd, cls: Address, desc: Address, depth: number): Address | undefined {
  if (cls === 0 || depth > 16) return undefined;
  for (const method of methods(k, cls)) if (k.read('kobj_method.desc', method) === desc) return method;
  const bases = k.read('kobj_class.baseclasses', cls);
  for (let i = 0; bases !== 0 && i < 16; i++) {
    const base = k.memory.ptr(bases + i * k.word);
    if (base === 0) return undefined;
    const found = search(k, base, desc, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function* chain(k: FreeBsd, module: Address, what: number, data: Address): Steps<number> {
  const handler = k.read('driver_module_data.dmd_chainevh', data);
  if (handler === 0) return 0;
  return yield* k.callInt(handler, module, what, k.read('driver_module_data.dmd_chainarg', data));
}

function addDriver(k: FreeBsd, bus: DeviceClass, driver: Address, classPointer: Address): void {
  compileClass(k, driver);
  k.write('kobj_class.refs', driver, k.read('kobj_class.refs', driver) + 1);
  const own = deviceClassNamed(k, k.readString('kobj_class.name', driver));
  if (classPointer !== 0) k.memory.setPtr(classPointer, own.address);
  bus.drivers.push(driver);
}

function deleteDriver(k: FreeBsd, bus: DeviceClass, driver: Address): number {
  const at = bus.drivers.indexOf(driver);
  if (at < 0) return Errno.ENOENT;
  bus.drivers.splice(at, 1);
  const refs = k.read('kobj_class.refs', driver) - 1;
  k.write('kobj_class.refs', driver, refs);
  if (refs === 0) freeClass(k, driver);
  return 0;
}

/** driver_module_handler: what DRIVER_MODULE registers as the module's event handler. */
function* driverModule(k: FreeBsd, module: Address, what: number, data: Address): Steps<number> {
  const bus = deviceClassNamed(k, guestText(k, k.read('driver_module_data.dmd_busname', data)));
  const driver = k.read('driver_module_data.dmd_driver', data);
  if (what === MOD.LOAD) {
    const error = yield* chain(k, module, what, data);
    if (error !== 0) return error;
    addDriver(k, bus, driver, k.read('driver_module_data.dmd_devclass', data));
    return 0;
  }
  if (what === MOD.UNLOAD) {
    const error = deleteDriver(k, bus, driver);
    return error !== 0 ? error : yield* chain(k, module, what, data);
  }
  if (what === MOD.QUIESCE) return yield* chain(k, module, what, data);
  return Errno.EOPNOTSUPP;
}

export const busFunctions = kernelFunctions({
  'int driver_module_handler(struct module *mod, int what, void *arg)': driverModule,
  'void kobj_class_compile(struct kobj_class *cls)': compileClass,
  'void kobj_class_compile_static(struct kobj_class *cls, void *ops)': (k, cls) => compileClass(k, cls),
  'void kobj_class_free(struct kobj_class *cls)': freeClass,
  'struct kobj_method *kobj_lookup_method(struct kobj_class *cls, void *cep, struct kobjop_desc *desc)': (
    k,
    cls,
    _cache,
    desc,
  ) => lookUp(k, cls, desc),
  'void kobj_init(void **obj, struct kobj_class *cls)': (k, object, cls) => {
    compileClass(k, cls);
    k.memory.setPtr(object, k.read('kobj_class.ops', cls));
    k.write('kobj_class.refs', cls, k.read('kobj_class.refs', cls) + 1);
  },
  'void *kobj_create(struct kobj_class *cls, struct malloc_type *mtype, int mflags)': (k, cls, type) => {
    compileClass(k, cls);
    const object = k.heap.allocate(k.read('kobj_class.size', cls), undefined, type);
    k.memory.setPtr(object, k.read('kobj_class.ops', cls));
    k.write('kobj_class.refs', cls, k.read('kobj_class.refs', cls) + 1);
    return object;
  },
  'void kobj_delete(void **obj, struct malloc_type *mtype)': (k, object, type) => {
    const cls = k.read('kobj_ops.cls', k.memory.ptr(object));
    const refs = k.read('kobj_class.refs', cls) - 1;
    k.write('kobj_class.refs', cls, refs);
    if (refs === 0) freeClass(k, cls);
    k.memory.setPtr(object, 0);
    if (type !== 0) k.heap.free(object);
  },
  'int kobj_error_method(void)': () => Errno.ENXIO,
  'void *devclass_find(const char *classname)': (k, name) =>
    k.state(classes).get(guestText(k, name))?.address ?? 0,
  'void *devclass_create(const char *classname)': (k, name) =>
    deviceClassNamed(k, guestText(k, name)).address,
  'const char *devclass_get_name(void *dc)': (k, at) => {
    const found = classAt(k, at);
    return found === undefined ? 0 : k.heap.string(found.name);
  },
  'int devclass_add_driver(void *dc, struct kobj_class *driver, int pass, void **dcp)': (
    k,
    at,
    driver,
    _pass,
    own,
  ) => {
    const bus = classAt(k, at);
    if (bus === undefined) return Errno.EINVAL;
    addDriver(k, bus, driver, own);
    return 0;
  },
  'int devclass_delete_driver(void *busclass, struct kobj_class *driver)': (k, at, driver) => {
    const bus = classAt(k, at);
    return bus === undefined ? Errno.EINVAL : deleteDriver(k, bus, driver);
  },
  'void *devclass_get_softc(void *dc, int unit)': () => 0,
  'void *devclass_get_device(void *dc, int unit)': (k, at, unit) => made(k, at).get(unit) ?? 0,
  'int devclass_get_maxunit(void *dc)': (k, at) =>
    Math.max(0, ...[...made(k, at).keys()].map((unit) => unit + 1)),
  'int devclass_get_count(void *dc)': (k, at) => made(k, at).size,
  'int devclass_get_devices(void *dc, void ***devlistp, int *devcountp)': (k, at, list, count) => {
    const found = [...made(k, at).values()];
    const table = k.heap.allocate(Math.max(1, found.length) * k.word);
    for (const [i, device] of found.entries()) k.memory.setPtr(table + i * k.word, device);
    k.memory.setPtr(list, table);
    k.memory.set32(count, found.length);
    return 0;
  },
});

/** struct intr_config_hook: links, function, argument. With interrupts running, a hook is called at once. */
export const configHooks = kernelFunctions({
  *'int config_intrhook_establish(void *hook)'(k, hook) {
    yield* k.call(k.memory.ptr(hook + 2 * k.word), k.memory.ptr(hook + 3 * k.word));
    return 0;
  },
  *'void config_intrhook_oneshot(void *func, void *arg)'(k, func, arg) {
    yield* k.call(func, arg);
  },
  'void config_intrhook_disestablish(void *hook)': () => undefined,
});

// -- firmware(9) ----------------------------------------------------------------------------------------------

interface Firmware {
  readonly address: Address;
  readonly parent: Address;
  users: number;
}

const images = perKernel(() => new Map<string, Firmware>());

/** struct firmware: name, data, size, version (sys/firmware.h). */
function registerFirmware(
  k: FreeBsd,
  nameAt: Address,
  data: Address,
  bytes: number,
  version: number,
  parent: Address,
): Address {
  const table = k.state(images);
  const name = guestText(k, nameAt);
  if (table.has(name)) {
    k.printf(`firmware_register: image ${name} already registered!\n`);
    return 0;
  }
  const at = k.heap.allocate(4 * k.word);
  for (const [i, value] of [nameAt, data, bytes].entries()) k.memory.setPtr(at + i * k.word, value);
  k.memory.set32(at + 3 * k.word, version);
  table.set(name, { address: at, parent, users: 0 });
  return at;
}

export const firmwareFunctions = kernelFunctions({
  'void *firmware_register(const char *imagename, const void *data, size_t datasize, unsigned int version, const void *parent)':
    registerFirmware,
  'int firmware_unregister(const char *imagename)': (k, nameAt) => {
    const table = k.state(images);
    const name = guestText(k, nameAt);
    const image = table.get(name);
    // A name that is not there (any more) is no error: its image was replaced or never came.
    if (image === undefined) return 0;
    if (image.users > 0) return Errno.EBUSY;
    table.delete(name);
    k.heap.free(image.address);
    return 0;
  },
  'const void *firmware_get(const char *imagename)': (k, nameAt) => {
    const image = k.state(images).get(guestText(k, nameAt));
    if (image === undefined) return 0;
    image.users++;
    return image.address;
  },
  'void firmware_put(const void *fp, int flags)': (k, at) => {
    for (const image of k.state(images).values()) if (image.address === at && image.users > 0) image.users--;
  },
});

/** Registered images, for the shell. */
export const firmwareNames = (k: FreeBsd): string[] => [...k.state(images).keys()];
