/** Files of a device class, and folders in sysfs that other filesystems are mounted on (drivers/base/class.c, fs/sysfs/). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { attributeMethods, sysDirectory, sysfs } from '../sysfs.ts';
import { directory, type Node, regular } from '../vfs/node.ts';
import { kernelFunctions } from './define.ts';

function classNode(k: Linux, at: Address): Node | undefined {
  return sysDirectory(k, 'class').child(k.readString('class.name', at));
}

function addFile(k: Linux, node: Node, owner: Address, attribute: Address): number {
  const file = fileOf(k, owner, attribute);
  if (node.child(file.name) !== undefined) return -Errno.EEXIST;
  node.add(file);
  return 0;
}

function fileOf(k: Linux, owner: Address, attribute: Address): Node {
  const show = k.read('class_attribute.show', attribute);
  const store = k.read('class_attribute.store', attribute);
  const methods = attributeMethods({
    show: show === 0 ? undefined : (kernel, page) => kernel.call(show, owner, attribute, page),
    store:
      store === 0 ? undefined : (kernel, page, count) => kernel.call(store, owner, attribute, page, count),
  });
  const mode = k.read('attribute.mode', attribute) & 0o7777;
  return regular(k.readString('attribute.name', attribute), mode, methods);
}

/** class_groups: the files that a class has from the start. */
export function addClassGroups(k: Linux, at: Address): void {
  const groups = k.read('class.class_groups', at);
  const node = classNode(k, at);
  if (groups === 0 || node === undefined) return;
  for (let group = groups; k.memory.ptr(group) !== 0; group += k.word) {
    const attributes = k.read('attribute_group.attrs', k.memory.ptr(group));
    for (let each = attributes; k.memory.ptr(each) !== 0; each += k.word)
      addFile(k, node, at, k.memory.ptr(each));
  }
}

export const classFileFunctions = kernelFunctions({
  'int class_create_file_ns(struct class *cls, const struct class_attribute *attr, const void *ns)': (
    k,
    at,
    attribute,
  ) => {
    const node = at === 0 ? undefined : classNode(k, at);
    if (node === undefined) return -Errno.EINVAL;
    return addFile(k, node, at, attribute);
  },
  // The class `net`, which has no address that modules know.
  'int netdev_class_create_file_ns(const struct class_attribute *class_attr, const void *ns)': (
    k,
    attribute,
  ) => addFile(k, sysDirectory(k, 'class/net'), 0, attribute),
  'void netdev_class_remove_file_ns(const struct class_attribute *class_attr, const void *ns)': (
    k,
    attribute,
  ) => {
    sysDirectory(k, 'class/net').remove(k.readString('attribute.name', attribute));
  },
  'void class_remove_file_ns(struct class *cls, const struct class_attribute *attr, const void *ns)': (
    k,
    at,
    attribute,
  ) => {
    if (at !== 0) classNode(k, at)?.remove(k.readString('attribute.name', attribute));
  },
  'int sysfs_create_mount_point(struct kobject *parent_kobj, const char *name)': (k, parent, name) => {
    const node = k.state(sysfs).directoryOf(parent);
    if (node === undefined) return -Errno.ENOENT;
    const wanted = k.memory.cstring(name);
    if (node.child(wanted) !== undefined) return -Errno.EEXIST;
    node.add(directory(wanted));
    return 0;
  },
  'void sysfs_remove_mount_point(struct kobject *parent_kobj, const char *name)': (k, parent, name) => {
    k.state(sysfs).directoryOf(parent)?.remove(k.memory.cstring(name));
  },
});
