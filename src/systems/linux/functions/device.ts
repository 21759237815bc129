/** Devices, their classes and their nodes in /dev (drivers/base/core.c, class.c, devtmpfs.c, drivers/char/misc.c). */
import type { VarArgs } from '../../../abi/convention.ts';
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { isBlockClass } from '../block/class.ts';
import { majorLines } from '../block/majors.ts';
import { forgetDevice, probeNewDevice } from '../driver/bind.ts';
import { accept, addOwnFile, addToBus, BUS_NOTIFY, notifyBus, removeFromBus } from '../driver/bus.ts';
import { type KobjectType, kobjectType } from '../driver/ktype.ts';
import { deviceName, devicePrivate, joinParent, kobjectOf, leaveKlist } from '../driver/names.ts';
import { showUevent } from '../driver/uevent.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import { addAttribute, attributeMethods, kernelDirectory, sysDirectory, sysfs } from '../sysfs.ts';
import { characterDevices, characterMethods, majorOf, makeDevice, minorOf } from '../vfs/chrdev.ts';
import { forgetInode } from '../vfs/file.ts';
import { guestMethods, takeOperations } from '../vfs/guestfile.ts';
import { namespace } from '../vfs/namespace.ts';
import {
  directory,
  type FileMethods,
  makePath,
  Node,
  regular,
  S_IFBLK,
  S_IFCHR,
  symlink,
} from '../vfs/node.ts';
import { addClassGroups } from './class-files.ts';
import { kernelFunctions } from './define.ts';
import { releaseAll } from './devm.ts';
import { format } from './format/printf.ts';
import { add, addGroups, hold, put, remove, setName } from './kobject.ts';

const NAME_LIMIT = 4096;

/** Devices by class and number, as class_find_device_by_devt would walk them. */
const devices = perKernel(() => new Map<string, Address>());
const classes = perKernel(() => new Map<Address, Node>());

/** The ktype of every device: its release goes through device, type, then class (device_release). */
const DEVICE_TYPE: KobjectType = {
  release: 'device_release',
  show: 'dev_attr_show',
  store: 'dev_attr_store',
};

/** device_initialize */
export function initialise(k: Linux, device: Address): void {
  const kobject = kobjectOf(k, device);
  k.write('kobject.kref.refcount.refs.counter', kobject, 1);
  initList(k, kobject + k.offset('kobject.entry'));
  k.write('kobject.state_initialized', kobject, 1);
  k.write('kobject.ktype', kobject, kobjectType(k, DEVICE_TYPE));
  initList(k, device + k.offset('device.devres_head'));
}

/** device_add: a directory in sysfs, links from class and bus, a node in /dev when it has a number; then probing. */
export function* addDevice(k: Linux, device: Address): Steps<number> {
  const name = nameForSure(k, device);
  if (name === '') return -Errno.EINVAL;
  devicePrivate(k, device);
  const classNode = k.state(classes).get(k.read('device.class', device));
  placeInTree(k, device, classNode);
  const error = yield* addInSysfs(k, device, classNode, name);
  if (error !== 0) return error;
  const failed = yield* addContents(k, device);
  if (failed !== 0) {
    classNode?.remove(name);
    yield* remove(k, kobjectOf(k, device));
    return failed;
  }
  const number = k.read('device.devt', device);
  if (number !== 0) makeDeviceNode(k, device, name, number);
  yield* notifyBus(k, device, BUS_NOTIFY.ADD_DEVICE);
  yield* probeNewDevice(k, device);
  joinParent(k, device);
  return 0;
}

/** The name as it was set, as the driver compiled it in, or as the bus counts its devices. */
function nameForSure(k: Linux, device: Address): string {
  const kobject = kobjectOf(k, device);
  if (k.read('device.init_name', device) !== 0) {
    setName(k, kobject, deviceName(k, device));
    k.write('device.init_name', device, 0);
  }
  const bus = k.read('device.bus', device);
  if (deviceName(k, device) === '' && bus !== 0 && k.read('bus_type.dev_name', bus) !== 0) {
    setName(k, kobject, `${k.readString('bus_type.dev_name', bus)}${k.read('device.id', device)}`);
  }
  return deviceName(k, device);
}

/** Attributes of the class, the type and the device itself, then what the bus adds. */
function* addContents(k: Linux, device: Address): Steps<number> {
  const classAt = k.read('device.class', device);
  const type = k.read('device.type', device);
  for (const groups of [
    classAt === 0 ? 0 : k.read('class.dev_groups', classAt),
    type === 0 ? 0 : k.read('device_type.groups', type),
    k.read('device.groups', device),
  ]) {
    const error = yield* addGroups(k, kobjectOf(k, device), groups);
    if (error !== 0) return error;
  }
  return yield* addToBus(k, device);
}

/** Without a parent a class device lies in /sys/devices/virtual/CLASS. */
function placeInTree(k: Linux, device: Address, classNode: Node | undefined): void {
  const parent = k.read('device.parent', device);
  const kobject = kobjectOf(k, device);
  if (parent !== 0 && k.read('kobject.parent', kobject) === 0) {
    k.write('kobject.parent', kobject, kobjectOf(k, parent));
  } else if (classNode !== undefined) {
    const virtual = kernelDirectory(k, `devices/virtual/${classNode.name}`);
    k.write('kobject.parent', kobject, virtual);
  }
}

function* addInSysfs(k: Linux, device: Address, classNode: Node | undefined, name: string): Steps<number> {
  const kobject = kobjectOf(k, device);
  if (k.read('kobject.parent', kobject) === 0)
    k.write('kobject.parent', kobject, kernelDirectory(k, 'devices'));
  const error = yield* add(k, kobject);
  if (error !== 0) return error;
  addOwnFile(k, kobject, 'uevent', 0o644, {
    show: (kernel, page) => showUevent(kernel, device, page),
    store: (_k, _page, count) => accept(count),
  });
  const number = k.read('device.devt', device);
  if (number !== 0) addAttribute(k, kobject, numberFile(number));
  const node = k.state(sysfs).directoryOf(kobject);
  if (classNode !== undefined && node !== undefined) classNode.add(symlink(name, node.path));
  return 0;
}

function numberFile(number: number): Node {
  return regular(
    'dev',
    0o444,
    attributeMethods({
      *show(k, page) {
        const text = `${majorOf(number)}:${minorOf(number)}\n`;
        k.memory.write(page, new TextEncoder().encode(text));
        return text.length;
      },
    }),
  );
}

/** devtmpfs: the node appears by itself, mode 0600 unless the driver's devnode says otherwise. */
function makeDeviceNode(k: Linux, device: Address, name: string, number: number): void {
  const parts = name.replaceAll('!', '/').split('/');
  const last = parts.pop() ?? name;
  const disk = isBlockClass(k, k.read('device.class', device));
  const node = new Node(last, (disk ? S_IFBLK : S_IFCHR) | deviceMode(k, device));
  node.rdev = number;
  // Those of a disk are chosen when it is opened.
  if (!disk) node.methods = characterMethods;
  makePath(k.state(namespace).dev, parts.join('/')).add(node);
}

const modes = perKernel(() => new Map<Address, number>());
const deviceMode = (k: Linux, device: Address): number => k.state(modes).get(device) || 0o600;

export function* deleteDevice(k: Linux, device: Address): Steps<void> {
  yield* notifyBus(k, device, BUS_NOTIFY.DEL_DEVICE);
  const name = deviceName(k, device);
  const parts = name.replaceAll('!', '/').split('/');
  const last = parts.pop() ?? name;
  let at: Node | undefined = k.state(namespace).dev;
  for (const part of parts) at = at?.child(part);
  const gone = k.read('device.devt', device) === 0 ? undefined : at?.remove(last);
  if (gone !== undefined) forgetInode(k, gone);
  k.state(classes).get(k.read('device.class', device))?.remove(name);
  const priv = k.read('device.p', device);
  if (priv !== 0) {
    leaveKlist(k, priv + k.offset('device_private.knode_parent'));
    removeFromBus(k, device);
    yield* forgetDevice(k, device);
    yield* notifyBus(k, device, BUS_NOTIFY.REMOVED_DEVICE);
  }
  yield* remove(k, kobjectOf(k, device));
}

const key = (classAt: Address, number: number): string => `${classAt}:${number}`;

/** device_create_groups_vargs: a device that the kernel allocates; a negative errno on failure. */
export function* createDevice(
  k: Linux,
  classAt: Address,
  parent: Address,
  number: number,
  data: Address,
  groups: Address,
  name: string,
): Steps<Address> {
  if (classAt === 0) return -Errno.ENODEV;
  const device = k.heap.allocateZeroed(k.sizeof('device'));
  initialise(k, device);
  k.write('device.class', device, classAt);
  k.write('device.devt', device, number);
  k.write('device.parent', device, parent);
  k.write('device.groups', device, groups);
  k.write('device.driver_data', device, data);
  k.write('device.release', device, k.addressOf('device_create_release'));
  setName(k, kobjectOf(k, device), name);
  const error = yield* addDevice(k, device);
  if (error !== 0) {
    yield* put(k, kobjectOf(k, device));
    return error;
  }
  k.state(devices).set(key(classAt, number), device);
  return device;
}

/** A class of the kernel's own, whose directory may be there already. */
export function adoptClass(k: Linux, classAt: Address, name: string): void {
  k.state(classes).set(classAt, sysDirectory(k, `class/${name}`));
}

export function registerClass(k: Linux, classAt: Address, name: string): number {
  const root = sysDirectory(k, 'class');
  if (root.child(name) !== undefined) return -Errno.EEXIST;
  k.state(classes).set(classAt, root.add(directory(name)));
  return 0;
}

/** class_register: a class with the files it brings. */
export function registerOwnClass(k: Linux, classAt: Address): number {
  const error = registerClass(k, classAt, k.readString('class.name', classAt));
  if (error === 0) addClassGroups(k, classAt);
  return error;
}

export function unregisterClass(k: Linux, classAt: Address): void {
  const node = k.state(classes).get(classAt);
  node?.parent?.remove(node.name);
  k.state(classes).delete(classAt);
}

function makeClass(k: Linux, owner: Address, name: Address): Address {
  const classAt = k.heap.allocateZeroed(k.sizeof('class'));
  k.write('class.name', classAt, name);
  if (k.types.has('class.owner')) k.write('class.owner', classAt, owner);
  const error = registerClass(k, classAt, k.memory.cstring(name));
  if (error === 0) return classAt;
  k.heap.free(classAt);
  return error;
}

const nameOf = (k: Linux, text: Address, args: VarArgs): string => format(k, text, args, NAME_LIMIT).text;

export const deviceFunctions = kernelFunctions({
  'struct class *__class_create(struct module *owner, const char *name, struct lock_class_key *key)':
    makeClass,
  'int __class_register(struct class *cls, struct lock_class_key *key)': registerOwnClass,
  'void class_unregister(struct class *cls)': function* (k, classAt) {
    unregisterClass(k, classAt);
    // class_release: the owner may wait for it.
    const release = k.read('class.class_release', classAt);
    if (release !== 0) yield* k.call(release, classAt);
  },
  'void class_destroy(struct class *cls)': (k, classAt) => {
    // Drivers call it with the error pointer of a failed class_create, too.
    if (classAt === 0 || (classAt < 0 && classAt >= -4095)) return;
    unregisterClass(k, classAt);
    k.heap.free(classAt);
  },
  'struct device *device_create(struct class *class, struct device *parent, dev_t devt, void *drvdata, const char *fmt, ...)':
    (k, classAt, parent, number, data, text, args) =>
      createDevice(k, classAt, parent, number, data, 0, nameOf(k, text, args)),
  'struct device *device_create_with_groups(struct class *class, struct device *parent, dev_t devt, void *drvdata, const struct attribute_group **groups, const char *fmt, ...)':
    (k, classAt, parent, number, data, groups, text, args) =>
      createDevice(k, classAt, parent, number, data, groups, nameOf(k, text, args)),
  'void device_destroy(struct class *class, dev_t devt)': function* (k, classAt, number) {
    const device = k.state(devices).get(key(classAt, number));
    if (device === undefined) return;
    k.state(devices).delete(key(classAt, number));
    yield* deleteDevice(k, device);
    yield* put(k, kobjectOf(k, device));
  },
  'void device_initialize(struct device *dev)': initialise,
  'int device_add(struct device *dev)': addDevice,
  'int device_register(struct device *dev)': function* (k, device) {
    initialise(k, device);
    return yield* addDevice(k, device);
  },
  'void device_del(struct device *dev)': deleteDevice,
  'void device_unregister(struct device *dev)': function* (k, device) {
    yield* deleteDevice(k, device);
    yield* put(k, kobjectOf(k, device));
  },
  'struct device *get_device(struct device *dev)': (k, device) => {
    if (device !== 0) hold(k, kobjectOf(k, device));
    return device;
  },
  'void put_device(struct device *dev)': function* (k, device) {
    if (device !== 0) yield* put(k, kobjectOf(k, device));
  },
  'int dev_set_name(struct device *dev, const char *name, ...)': (k, device, text, args) => {
    setName(k, kobjectOf(k, device), nameOf(k, text, args));
    return 0;
  },
  'void device_release(struct kobject *kobj)': function* (k, kobject) {
    const device = kobject - k.offset('device.kobj');
    const priv = k.read('device.p', device);
    yield* releaseAll(k, device);
    const own = k.read('device.release', device);
    const type = k.read('device.type', device);
    const classAt = k.read('device.class', device);
    const release =
      own ||
      (type === 0 ? 0 : k.read('device_type.release', type)) ||
      (classAt === 0 ? 0 : k.read('class.dev_release', classAt));
    if (release !== 0) yield* k.call(release, device);
    else {
      const name = deviceName(k, device);
      k.printk(
        3,
        `Device '${name}' does not have a release() function, it is broken and must be fixed. See Documentation/core-api/kobject.rst.`,
      );
    }
    if (priv !== 0) k.heap.free(priv);
  },
  'void device_create_release(struct device *dev)': (k, device) => k.heap.free(device),
  'ssize_t dev_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)': function* (
    k,
    kobject,
    attribute,
    page,
  ) {
    const show = k.read('device_attribute.show', attribute);
    return show === 0 ? -Errno.EIO : yield* k.call(show, kobject - k.offset('device.kobj'), attribute, page);
  },
  'ssize_t dev_attr_store(struct kobject *kobj, struct attribute *attr, const char *buf, size_t count)':
    function* (k, kobject, attribute, page, count) {
      const store = k.read('device_attribute.store', attribute);
      return store === 0
        ? -Errno.EIO
        : yield* k.call(store, kobject - k.offset('device.kobj'), attribute, page, count);
    },
  'int device_create_file(struct device *dev, const struct device_attribute *attr)': (k, device, attribute) =>
    addAttribute(k, kobjectOf(k, device), attributeNode(k, device, attribute)),
  'void device_remove_file(struct device *dev, const struct device_attribute *attr)': (
    k,
    device,
    attribute,
  ) => {
    k.state(sysfs).directoryOf(kobjectOf(k, device))?.remove(k.readString('attribute.name', attribute));
  },
  'int misc_register(struct miscdevice *misc)': registerMisc,
  'void misc_deregister(struct miscdevice *misc)': deregisterMisc,
});

function attributeNode(k: Linux, device: Address, attribute: Address): Node {
  const show = k.read('device_attribute.show', attribute);
  const store = k.read('device_attribute.store', attribute);
  const methods = attributeMethods({
    show: show === 0 ? undefined : (kernel, page) => kernel.call(show, device, attribute, page),
    store:
      store === 0 ? undefined : (kernel, page, count) => kernel.call(store, device, attribute, page, count),
  });
  return regular(
    k.readString('attribute.name', attribute),
    k.read('attribute.mode', attribute) & 0o7777,
    methods,
  );
}

/** drivers/char/misc.c: major 10, dynamic minors from 127 down to 64, then above. */
const MISC_MAJOR = 10;
const MISC_DYNAMIC_MINOR = 255;

class MiscDevices {
  readonly byMinor = new Map<number, Address>();
  /** The class, and the devices below it, exist once the first driver registers. */
  classAt: Address = 0;
}

const miscDevices = perKernel<MiscDevices, Linux>(() => new MiscDevices());

function* registerMisc(k: Linux, misc: Address): Steps<number> {
  const state = k.state(miscDevices);
  let minor = k.read('miscdevice.minor', misc);
  initList(k, misc + k.offset('miscdevice.list'));
  if (minor === MISC_DYNAMIC_MINOR) {
    minor = 127;
    while (minor >= 0 && (state.byMinor.has(minor) || isTaken(minor))) minor--;
    if (minor < 0) return -Errno.EBUSY;
    k.write('miscdevice.minor', misc, minor);
  } else if (state.byMinor.has(minor)) return -Errno.EBUSY;
  if (state.classAt === 0) {
    k.heap.lasting(() => {
      state.classAt = k.heap.allocateZeroed(k.sizeof('class'));
      registerClass(k, state.classAt, 'misc');
    });
  }
  state.byMinor.set(minor, misc);
  const number = makeDevice(MISC_MAJOR, minor);
  const parent = k.read('miscdevice.parent', misc);
  const groups = k.read('miscdevice.groups', misc);
  const name = k.readString('miscdevice.name', misc);
  const device = yield* createDevice(k, state.classAt, parent, number, misc, groups, name);
  if (device < 0 && device >= -4095) {
    state.byMinor.delete(minor);
    return device;
  }
  k.write('miscdevice.this_device', misc, device);
  adjustNode(k, misc, minor);
  return 0;
}

/** Dynamic minors that a Debian machine's built-in drivers hold when the first module asks. */
function isTaken(minor: number): boolean {
  return minor > 122;
}

/** Name and mode of the node as the driver wants them, and the misc core's way of opening it. */
function adjustNode(k: Linux, misc: Address, minor: number): void {
  const name = k.readString('miscdevice.name', misc);
  const old = k.state(namespace).dev.remove(name);
  const wanted = k.readString('miscdevice.nodename', misc) || name;
  const parts = wanted.split('/');
  const last = parts.pop() ?? wanted;
  const mode = k.read('miscdevice.mode', misc) || 0o600;
  const node = new Node(last, S_IFCHR | mode);
  node.rdev = old?.rdev ?? makeDevice(MISC_MAJOR, minor);
  node.methods = miscMethods;
  makePath(k.state(namespace).dev, parts.join('/')).add(node);
}

/** misc_open: private_data is the miscdevice; the driver's operations take over. */
const miscMethods: FileMethods = {
  ...guestMethods,
  *open(k, file) {
    const inode = k.read('file.f_inode', file);
    const misc = k.state(miscDevices).byMinor.get(minorOf(k.read('inode.i_rdev', inode)));
    if (misc === undefined) return -Errno.ENODEV;
    const operations = k.read('miscdevice.fops', misc);
    if (!takeOperations(k, operations)) return -Errno.ENODEV;
    k.write('file.private_data', file, misc);
    k.write('file.f_op', file, operations);
    const open = k.read('file_operations.open', operations);
    return open === 0 ? 0 : yield* k.callInt(open, inode, file);
  },
};

function* deregisterMisc(k: Linux, misc: Address): Steps<void> {
  const state = k.state(miscDevices);
  const minor = k.read('miscdevice.minor', misc);
  if (!state.byMinor.delete(minor)) return;
  const wanted = k.readString('miscdevice.nodename', misc) || k.readString('miscdevice.name', misc);
  const parts = wanted.split('/');
  const last = parts.pop() ?? wanted;
  let at: Node | undefined = k.state(namespace).dev;
  for (const part of parts) at = at?.child(part);
  at?.remove(last);
  const number = makeDevice(MISC_MAJOR, minor);
  const device = k.state(devices).get(key(state.classAt, number));
  if (device === undefined) return;
  k.state(devices).delete(key(state.classAt, number));
  yield* deleteDevice(k, device);
  yield* put(k, kobjectOf(k, device));
}

/** Character devices and filesystems as /proc/devices lists them. */
export function procDevices(k: Linux): string {
  const named = k.state(characterDevices).regions.filter((region) => region.name !== '');
  const rows = [...named]
    .sort((a, b) => a.major - b.major)
    .map((r) => `${String(r.major).padStart(3)} ${r.name}\n`);
  return `Character devices:\n${rows.join('')}\nBlock devices:\n${majorLines(k)}`;
}
