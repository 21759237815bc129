/** kobjects, ksets and sysfs files (lib/kobject.c, fs/sysfs/). */
import type { VarArgs } from '../../../abi/convention.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { bytesOf } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { type KobjectType, kobjectType } from '../driver/ktype.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { initList } from '../lists.ts';
import {
  addAttribute,
  addDirectory,
  addLink,
  attributeMethods,
  kobjectAttribute,
  sysDirectory,
  sysfs,
} from '../sysfs.ts';
import { directory, type Node, regular } from '../vfs/node.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';

const PAGE = 4096;
const NAME_LIMIT = 4096;

/** Bits of kobject's last word, by BTF name. */
const IN_SYSFS = 'kobject.state_in_sysfs';

/** kobject_init */
export function initialise(k: Linux, kobject: Address, type: Address): void {
  k.write('kobject.kref.refcount.refs.counter', kobject, 1);
  initList(k, kobject + k.offset('kobject.entry'));
  k.write('kobject.state_in_sysfs', kobject, 0);
  k.write('kobject.state_add_uevent_sent', kobject, 0);
  k.write('kobject.state_remove_uevent_sent', kobject, 0);
  k.write('kobject.state_initialized', kobject, 1);
  k.write('kobject.ktype', kobject, type);
}

/** Gives the kobject its name (a copy, freed with it). */
export function setName(k: Linux, kobject: Address, name: string): void {
  const old = k.read('kobject.name', kobject);
  const bytes = new TextEncoder().encode(name.replaceAll('/', '!') + '\0');
  const at = k.heap.allocate(Math.max(8, bytes.length));
  k.memory.write(at, bytes);
  k.write('kobject.name', kobject, at);
  if (old !== 0) k.heap.free(old);
}

/** kobject_add_internal: parent from the set, directory, default attributes of the type. */
export function* add(k: Linux, kobject: Address): Steps<number> {
  const name = k.readString('kobject.name', kobject);
  if (name === '') {
    k.printk(4, `kobject: (${kobject}): attempted to be registered with empty name!`);
    return -Errno.EINVAL;
  }
  const set = k.read('kobject.kset', kobject);
  if (k.read('kobject.parent', kobject) === 0 && set !== 0) {
    k.write('kobject.parent', kobject, set + k.offset('kset.kobj'));
  }
  const parent = k.read('kobject.parent', kobject);
  if (parent !== 0) hold(k, parent);
  const error = addDirectory(k, kobject, name);
  if (error !== 0) {
    if (parent !== 0) yield* put(k, parent);
    k.write('kobject.parent', kobject, 0);
    return error;
  }
  k.write(IN_SYSFS, kobject, 1);
  const type = k.read('kobject.ktype', kobject);
  const groups = type === 0 ? 0 : k.read('kobj_type.default_groups', type);
  return groups === 0 ? 0 : yield* addGroups(k, kobject, groups);
}

export function hold(k: Linux, kobject: Address): Address {
  if (kobject !== 0) {
    const count = k.read('kobject.kref.refcount.refs.counter', kobject);
    k.write('kobject.kref.refcount.refs.counter', kobject, count + 1);
  }
  return kobject;
}

/** kobject_put: the last reference removes the directory, calls the type's release and frees the name. */
export function* put(k: Linux, kobject: Address): Steps<void> {
  if (kobject === 0) return;
  const count = k.read('kobject.kref.refcount.refs.counter', kobject) - 1;
  k.write('kobject.kref.refcount.refs.counter', kobject, count);
  if (count !== 0) return;
  yield* remove(k, kobject);
  const name = k.read('kobject.name', kobject);
  const type = k.read('kobject.ktype', kobject);
  const release = type === 0 ? 0 : k.read('kobj_type.release', type);
  if (release !== 0) yield* k.call(release, kobject);
  if (name !== 0) k.heap.free(name);
}

/** kobject_del: out of sysfs, and the hold on the parent is given up. */
export function* remove(k: Linux, kobject: Address): Steps<void> {
  if (kobject === 0 || k.read(IN_SYSFS, kobject) === 0) return;
  k.state(sysfs).unbind(kobject);
  k.write(IN_SYSFS, kobject, 0);
  const parent = k.read('kobject.parent', kobject);
  k.write('kobject.parent', kobject, 0);
  yield* put(k, parent);
}

/** A NULL-terminated array of pointers. */
export function* pointers(k: Linux, list: Address): Generator<Address> {
  for (let at = list; at !== 0; at += k.word) {
    const pointer = k.memory.ptr(at);
    if (pointer === 0) return;
    yield pointer;
  }
}

export function* addGroups(k: Linux, kobject: Address, groups: Address): Steps<number> {
  for (const group of groups === 0 ? [] : pointers(k, groups)) {
    const error = yield* addGroup(k, kobject, group);
    if (error !== 0) return error;
  }
  return 0;
}

export function* addGroup(k: Linux, kobject: Address, group: Address): Steps<number> {
  const base = k.state(sysfs).directoryOf(kobject);
  if (base === undefined) return -Errno.EINVAL;
  const nameAt = k.read('attribute_group.name', group);
  const name = nameAt === 0 ? undefined : k.memory.cstring(nameAt);
  if (name !== undefined && base.child(name) === undefined) base.add(directory(name));
  const visible = k.read('attribute_group.is_visible', group);
  let index = 0;
  for (const attribute of pointers(k, k.read('attribute_group.attrs', group))) {
    const mode = visible === 0 ? 0o7777 : yield* k.callInt(visible, kobject, attribute, index);
    index++;
    if ((mode & 0o7777) === 0) continue;
    const error = addAttribute(k, kobject, kobjectAttribute(k, kobject, attribute), name);
    if (error !== 0) return error;
  }
  return 0;
}

const folderOf = (k: Linux, kobject: Address, group: Address): Node | undefined =>
  k.state(sysfs).directoryOf(kobject)?.child(k.readString('attribute_group.name', group));

/** Puts a group's files into the directory of another group of the same name; all of them, or none. */
function mergeGroup(k: Linux, kobject: Address, group: Address): number {
  const folder = folderOf(k, kobject, group);
  if (folder === undefined) return -Errno.ENOENT;
  const added: string[] = [];
  for (const attribute of pointers(k, k.read('attribute_group.attrs', group))) {
    const error = addAttribute(k, kobject, kobjectAttribute(k, kobject, attribute), folder.name);
    if (error !== 0) {
      for (const name of added) folder.remove(name);
      return error;
    }
    added.push(k.readString('attribute.name', attribute));
  }
  return 0;
}

export function removeGroup(k: Linux, kobject: Address, group: Address): void {
  const base = k.state(sysfs).directoryOf(kobject);
  const nameAt = k.read('attribute_group.name', group);
  if (nameAt !== 0) base?.remove(k.memory.cstring(nameAt));
  else
    for (const attribute of pointers(k, k.read('attribute_group.attrs', group)))
      removeFile(k, kobject, attribute);
}

export function removeGroups(k: Linux, kobject: Address, groups: Address): void {
  for (const group of groups === 0 ? [] : pointers(k, groups)) removeGroup(k, kobject, group);
}

function removeFile(k: Linux, kobject: Address, attribute: Address): void {
  k.state(sysfs).directoryOf(kobject)?.remove(k.readString('attribute.name', attribute));
}

function formatName(k: Linux, text: Address, args: VarArgs): string {
  return format(k, text, args, NAME_LIMIT).text;
}

/** kobject_create_and_add: 0 when it cannot be. */
export function* createAndAdd(k: Linux, name: string, parent: Address): Steps<Address> {
  const kobject = k.heap.allocateZeroed(k.sizeof('kobject'));
  initialise(k, kobject, k.state(dynamicType).at(k));
  setName(k, kobject, name);
  k.write('kobject.parent', kobject, parent);
  const error = yield* add(k, kobject);
  if (error === 0) return kobject;
  k.printk(4, `kobject: kobject_create_and_add: kobject_add error: ${error}`);
  yield* put(k, kobject);
  return 0;
}

/** kset_ktype: the kobject lies inside its kset, which is what is freed. */
const SET_TYPE: KobjectType = { release: 'kset_release', show: 'kobj_attr_show', store: 'kobj_attr_store' };

/** The ktype of kobject_create: frees the kobject, reads and writes through kobj_attribute. */
const dynamicType = {
  id: Symbol('dynamic_kobj_ktype'),
  make: () => {
    let at = 0;
    return {
      at: (k: Linux): Address => {
        if (at !== 0) return at;
        at = k.heap.allocateZeroed(k.sizeof('kobj_type'));
        k.write('kobj_type.release', at, k.addressOf('dynamic_kobj_release'));
        k.write('kobj_type.sysfs_ops', at, k.addressOf('kobj_sysfs_ops'));
        return at;
      },
    };
  },
};

/** Copies formatted text into a sysfs page at an offset; sysfs_emit refuses buffers that are not page aligned. */
function emit(k: Linux, buffer: Address, at: number, text: Address, args: VarArgs): number {
  if (buffer === 0 || buffer % PAGE !== 0 || at < 0 || at >= PAGE) return 0;
  const bytes = bytesOf(format(k, text, args, PAGE - at - 1).text);
  k.memory.write(buffer + at, bytes);
  k.memory.set8(buffer + at + bytes.length, 0);
  return bytes.length;
}

export const kobjectFunctions = kernelFunctions({
  'void kobject_init(struct kobject *kobj, const struct kobj_type *ktype)': initialise,
  'int kobject_add(struct kobject *kobj, struct kobject *parent, const char *fmt, ...)': function* (
    k,
    kobject,
    parent,
    text,
    args,
  ) {
    setName(k, kobject, formatName(k, text, args));
    k.write('kobject.parent', kobject, parent);
    return yield* add(k, kobject);
  },
  'int kobject_init_and_add(struct kobject *kobj, const struct kobj_type *ktype, struct kobject *parent, const char *fmt, ...)':
    function* (k, kobject, type, parent, text, args) {
      initialise(k, kobject, type);
      setName(k, kobject, formatName(k, text, args));
      k.write('kobject.parent', kobject, parent);
      return yield* add(k, kobject);
    },
  'int kobject_set_name(struct kobject *kobj, const char *fmt, ...)': (k, kobject, text, args) => {
    setName(k, kobject, formatName(k, text, args));
    return 0;
  },
  'struct kobject *kobject_create_and_add(const char *name, struct kobject *parent)': (k, name, parent) =>
    createAndAdd(k, k.memory.cstring(name), parent),
  'struct kobject *kobject_get(struct kobject *kobj)': hold,
  'void kobject_put(struct kobject *kobj)': put,
  'void kobject_del(struct kobject *kobj)': remove,
  'int kobject_uevent(struct kobject *kobj, enum kobject_action action)': () => 0,
  'int kobject_uevent_env(struct kobject *kobj, enum kobject_action action, char *envp[])': () => 0,
  'int kobject_rename(struct kobject *kobj, const char *new_name)': function* (k, kobject, name) {
    const parent = k.read('kobject.parent', kobject);
    k.state(sysfs).unbind(kobject);
    setName(k, kobject, k.memory.cstring(name));
    k.write('kobject.parent', kobject, parent);
    return addDirectory(k, kobject, k.memory.cstring(name));
  },
  'void dynamic_kobj_release(struct kobject *kobj)': (k, kobject) => k.heap.free(kobject),
  'void kset_release(struct kobject *kobj)': (k, kobject) => k.heap.free(kobject - k.offset('kset.kobj')),
  'ssize_t kobj_attr_show(struct kobject *kobj, struct attribute *attr, char *buf)': function* (
    k,
    kobject,
    attribute,
    page,
  ) {
    const show = k.read('kobj_attribute.show', attribute);
    return show === 0 ? -Errno.EIO : yield* k.call(show, kobject, attribute, page);
  },
  'ssize_t kobj_attr_store(struct kobject *kobj, struct attribute *attr, const char *buf, size_t count)':
    function* (k, kobject, attribute, page, count) {
      const store = k.read('kobj_attribute.store', attribute);
      return store === 0 ? -Errno.EIO : yield* k.call(store, kobject, attribute, page, count);
    },
  'void kset_init(struct kset *k)': (k, set) => {
    initialise(k, set + k.offset('kset.kobj'), 0);
    initList(k, set + k.offset('kset.list'));
  },
  'int kset_register(struct kset *k)': function* (k, set) {
    const kobject = set + k.offset('kset.kobj');
    initialise(k, kobject, k.read('kobject.ktype', kobject));
    initList(k, set + k.offset('kset.list'));
    return yield* add(k, kobject);
  },
  'struct kset *kset_create_and_add(const char *name, const struct kset_uevent_ops *uevent_ops, struct kobject *parent_kobj)':
    function* (k, name, operations, parent) {
      const set = k.heap.allocateZeroed(k.sizeof('kset'));
      const kobject = set + k.offset('kset.kobj');
      initialise(k, kobject, kobjectType(k, SET_TYPE));
      initList(k, set + k.offset('kset.list'));
      k.write('kset.uevent_ops', set, operations);
      setName(k, kobject, k.memory.cstring(name));
      k.write('kobject.parent', kobject, parent);
      const error = yield* add(k, kobject);
      if (error === 0) return set;
      k.heap.free(set);
      return 0;
    },
  'void kset_unregister(struct kset *k)': function* (k, set) {
    const kobject = set + k.offset('kset.kobj');
    yield* remove(k, kobject);
    yield* put(k, kobject);
  },
  'int sysfs_create_file_ns(struct kobject *kobj, const struct attribute *attr, const void *ns)': (
    k,
    kobject,
    attribute,
  ) => addAttribute(k, kobject, kobjectAttribute(k, kobject, attribute)),
  'int sysfs_create_files(struct kobject *kobj, const struct attribute * const *ptr)': (k, kobject, list) => {
    for (const attribute of pointers(k, list)) {
      const error = addAttribute(k, kobject, kobjectAttribute(k, kobject, attribute));
      if (error !== 0) return error;
    }
    return 0;
  },
  'void sysfs_remove_file_ns(struct kobject *kobj, const struct attribute *attr, const void *ns)': removeFile,
  'void sysfs_remove_files(struct kobject *kobj, const struct attribute * const *ptr)': (
    k,
    kobject,
    list,
  ) => {
    for (const attribute of pointers(k, list)) removeFile(k, kobject, attribute);
  },
  'int sysfs_create_group(struct kobject *kobj, const struct attribute_group *grp)': addGroup,
  'int sysfs_create_groups(struct kobject *kobj, const struct attribute_group **groups)': addGroups,
  'void sysfs_remove_group(struct kobject *kobj, const struct attribute_group *grp)': removeGroup,
  'void sysfs_remove_groups(struct kobject *kobj, const struct attribute_group **groups)': removeGroups,
  'int sysfs_merge_group(struct kobject *kobj, const struct attribute_group *grp)': mergeGroup,
  'void sysfs_unmerge_group(struct kobject *kobj, const struct attribute_group *grp)': (
    k,
    kobject,
    group,
  ) => {
    const folder = folderOf(k, kobject, group);
    for (const attribute of pointers(k, k.read('attribute_group.attrs', group)))
      folder?.remove(k.readString('attribute.name', attribute));
  },
  'int sysfs_create_link(struct kobject *kobj, struct kobject *target, const char *name)': (
    k,
    from,
    target,
    name,
  ) => addLink(k, from, target, k.memory.cstring(name)),
  'void sysfs_remove_link(struct kobject *kobj, const char *name)': (k, kobject, name) => {
    k.state(sysfs).directoryOf(kobject)?.remove(k.memory.cstring(name));
  },
  'int sysfs_create_bin_file(struct kobject *kobj, const struct bin_attribute *attr)': (
    k,
    kobject,
    attribute,
  ) => addAttribute(k, kobject, binaryFile(k, kobject, attribute)),
  'void sysfs_remove_bin_file(struct kobject *kobj, const struct bin_attribute *attr)': removeFile,
  'void sysfs_notify(struct kobject *kobj, const char *dir, const char *attr)': () => undefined,
  'int sysfs_emit(char *buf, const char *fmt, ...)': (k, buffer, text, args) =>
    emit(k, buffer, 0, text, args),
  'int sysfs_emit_at(char *buf, int at, const char *fmt, ...)': emit,
});

/** A binary attribute: reads and writes go to the method with their offset. */
function binaryFile(k: Linux, kobject: Address, attribute: Address) {
  const method = (kernel: Linux, name: string) => kernel.read(`bin_attribute.${name}`, attribute);
  function* through(
    kernel: Linux,
    at: Address,
    file: Address,
    buffer: Address,
    count: number,
    position: Address,
    writing: boolean,
  ): Steps<number> {
    if (at === 0) return -Errno.EIO;
    const page = kernel.heap.allocateZeroed(PAGE);
    const length = Math.min(count, PAGE);
    if (writing) kernel.memory.copy(page, buffer, length);
    const result = yield* kernel.call(
      at,
      file,
      kobject,
      attribute,
      page,
      kernel.memory.ptr(position),
      length,
    );
    if (result > 0 && !writing) kernel.memory.copy(buffer, page, result);
    if (result > 0) kernel.memory.setPtr(position, kernel.memory.ptr(position) + result);
    kernel.heap.free(page);
    return result;
  }
  return regular(k.readString('attribute.name', attribute), k.read('attribute.mode', attribute) & 0o7777, {
    ...attributeMethods({}),
    read: (kernel, file, buffer, count, position) =>
      through(kernel, method(kernel, 'read'), file, buffer, count, position, false),
    write: (kernel, file, buffer, count, position) =>
      through(kernel, method(kernel, 'write'), file, buffer, count, position, true),
  });
}

/** The kobjects that the kernel exports as pointers: kernel_kobj and its like. */
function exportedKobject(symbol: string, path: string): DataInitialiser {
  return {
    symbol,
    when: 'import',
    fill: (k, at) => {
      const kobject = k.heap.allocateZeroed(k.sizeof('kobject'));
      initialise(k, kobject, k.state(dynamicType).at(k));
      setName(k, kobject, path.split('/').at(-1) ?? path);
      k.write(IN_SYSFS, kobject, 1);
      k.state(sysfs).bind(kobject, sysDirectory(k, path));
      k.memory.poke(at, pointerBytes(k, kobject));
    },
  };
}

export function pointerBytes(k: Linux, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigInt64(0, BigInt(value), true);
  return bytes.subarray(0, k.word);
}

/** `kobj_sysfs_ops` is exported data: its two members point to the functions above. */
const kobjectOperations: DataInitialiser = {
  symbol: 'kobj_sysfs_ops',
  when: 'import',
  fill: (k, at) => {
    k.poke('sysfs_ops.show', at, k.addressOf('kobj_attr_show'));
    k.poke('sysfs_ops.store', at, k.addressOf('kobj_attr_store'));
  },
};

export const kobjectData: readonly DataInitialiser[] = [
  kobjectOperations,
  exportedKobject('kernel_kobj', 'kernel'),
  exportedKobject('mm_kobj', 'kernel/mm'),
  exportedKobject('power_kobj', 'power'),
  exportedKobject('firmware_kobj', 'firmware'),
  exportedKobject('fs_kobj', 'fs'),
  exportedKobject('hypervisor_kobj', 'hypervisor'),
];
