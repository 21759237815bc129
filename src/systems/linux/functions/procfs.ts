/** /proc entries that modules make (fs/proc/generic.c, fs/proc/inode.c). */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { forgetInode, openFiles, seekWithin } from '../vfs/file.ts';
import { namespace } from '../vfs/namespace.ts';
import { type FileMethods, Node, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../vfs/node.ts';
import { kernelFunctions } from './define.ts';
import { seqRead } from './seqfile.ts';

interface Entry {
  readonly node: Node;
  /** proc_ops of a file; 0 for directories, links and seq files of ours. */
  readonly operations: Address;
}

/** proc_dir_entry by address: opaque to modules, so an address of our own serves. */
class ProcEntries {
  private readonly byAddress = new Map<Address, Entry>();
  private readonly byNode = new Map<Node, Address>();

  add(k: Linux, node: Node, operations: Address): Address {
    // Modules only pass the pointer back; a real allocation keeps it unique and shows up as a leak if forgotten.
    const at = k.heap.allocateZeroed(64);
    this.byAddress.set(at, { node, operations });
    this.byNode.set(node, at);
    return at;
  }

  find(at: Address): Entry | undefined {
    return this.byAddress.get(at);
  }

  addressOf(node: Node): Address {
    return this.byNode.get(node) ?? 0;
  }

  forget(k: Linux, node: Node): void {
    const at = this.byNode.get(node);
    if (at === undefined) return;
    this.byNode.delete(node);
    this.byAddress.delete(at);
    forgetInode(k, node);
    k.heap.free(at);
  }
}

const entries = perKernel<ProcEntries, Linux>(() => new ProcEntries());

/** The proc_dir_entry of a directory that the kernel itself made: `net->proc_net`. */
export function directoryEntry(k: Linux, node: Node): Address {
  return k.state(entries).addressOf(node) || k.state(entries).add(k, node, 0);
}

/** init_net, the one namespace. */
const namespaceAddress = (k: Linux): Address => k.file.exports.find('init_net')?.address ?? 0;

/** The directory a parent pointer means: NULL is /proc itself. */
function directoryOf(k: Linux, parent: Address): Node | undefined {
  return parent === 0 ? k.state(namespace).proc : k.state(entries).find(parent)?.node;
}

/** xlate_proc_name: `a/b/c` under a parent; every directory but the last component must exist. */
function locate(k: Linux, name: string, parent: Address): { directory: Node; last: string } | undefined {
  let directory = directoryOf(k, parent);
  const parts = name.split('/');
  const last = parts.pop() ?? '';
  for (const part of parts) directory = directory?.child(part);
  return directory === undefined ? undefined : { directory, last };
}

function register(
  k: Linux,
  name: string,
  parent: Address,
  mode: number,
  data: Address,
  operations: Address,
  methods: FileMethods,
): Address {
  const place = locate(k, name, parent);
  if (place === undefined) {
    k.printk(4, `name '${name}'`);
    return 0;
  }
  if (place.directory.children.has(place.last)) {
    k.printk(4, `proc_dir_entry '${place.directory.name || 'proc'}/${place.last}' already registered`);
    return 0;
  }
  const node = new Node(place.last, mode);
  node.data = data;
  node.methods = methods;
  place.directory.add(node);
  return k.state(entries).add(k, node, operations);
}

/** Calls a member of the entry's proc_ops; the table is read at each call, as the kernel does. */
function tableMethods(operations: Address): FileMethods {
  const member = (k: Linux, name: string) => k.read(`proc_ops.${name}`, operations);
  return {
    *open(k, file) {
      const method = member(k, 'proc_open');
      return method === 0 ? 0 : yield* k.callInt(method, k.read('file.f_inode', file), file);
    },
    *read(k, file, buffer, count, position) {
      const method = member(k, 'proc_read');
      if (method === k.addressOf('seq_read')) return yield* seqRead(k, file, buffer, count, position);
      return method === 0 ? -Errno.EIO : yield* k.call(method, file, buffer, count, position);
    },
    *write(k, file, buffer, count, position) {
      const method = member(k, 'proc_write');
      return method === 0 ? -Errno.EIO : yield* k.call(method, file, buffer, count, position);
    },
    *seek(k, file, offset, whence) {
      const method = member(k, 'proc_lseek');
      return method === 0 ? -Errno.ESPIPE : yield* k.call(method, file, offset, whence);
    },
    *ioctl(k, file, command, argument) {
      const method = member(k, 'proc_ioctl');
      return method === 0 ? -Errno.ENOTTY : yield* k.call(method, file, command, argument);
    },
    *poll(k, file) {
      const method = member(k, 'proc_poll');
      return method === 0 ? 0x145 : yield* k.callInt(method, file, 0);
    },
    *release(k, file) {
      const method = member(k, 'proc_release');
      if (method !== 0) yield* k.callInt(method, k.read('file.f_inode', file), file);
    },
  };
}

/** Files made by proc_create_seq and proc_create_single: seq_open or single_open is the kernel's own. */
function seqMethods(openWith: (k: Linux, file: Address) => Steps<number>, releaseName: string): FileMethods {
  return {
    open: openWith,
    read: seqRead,
    *seek(k, file, offset, whence) {
      return seekWithin(k, file, offset, whence, 0);
    },
    *release(k, file) {
      yield* k.call(k.addressOf(releaseName), k.read('file.f_inode', file), file);
    },
  };
}

/**
 * Takes entries away. Files that are still open are released at once, and reading them gives EIO from then on
 * (proc_entry_rundown): the module that served them may be gone by the time they are closed.
 */
function* removeTree(k: Linux, node: Node): Steps<void> {
  for (const gone of [...node.descendants()]) {
    gone.parent?.remove(gone.name);
    for (const open of k.state(openFiles).values()) {
      if (open.node !== gone) continue;
      if (open.methods.release !== undefined) yield* open.methods.release(k, open.file);
      open.methods = GONE;
    }
    k.state(entries).forget(k, gone);
  }
}

function* inputOutputError(): Steps<number> {
  return -Errno.EIO;
}

function* invalid(): Steps<number> {
  return -Errno.EINVAL;
}

const GONE: FileMethods = { read: inputOutputError, write: inputOutputError, seek: invalid };

const fileMode = (mode: number): number =>
  ((mode & S_IFMT) === 0 ? S_IFREG : 0) | ((mode & 0o777) === 0 ? mode | 0o444 : mode);

function makeFile(
  k: Linux,
  name: Address,
  mode: number,
  parent: Address,
  operations: Address,
  data: Address,
  methods: FileMethods,
): Address {
  return register(k, k.memory.cstring(name), parent, fileMode(mode), data, operations, methods);
}

/** A file that one call of single_open serves. */
function singleMethods(show: Address, data: Address): FileMethods {
  return seqMethods(function* (k, file) {
    return yield* k.callInt(k.addressOf('single_open'), file, show, data);
  }, 'single_release');
}

/** Sequences of a network namespace, whose first private word is the namespace (struct seq_net_private). */
function netMethods(operations: Address, size: number): FileMethods {
  return seqMethods(function* (k, file) {
    const error = yield* k.callInt(k.addressOf('seq_open_private'), file, operations, size);
    if (error !== 0) return error;
    const seq = k.read('file.private_data', file);
    k.memory.setPtr(k.read('seq_file.private', seq), namespaceAddress(k));
    return 0;
  }, 'seq_release_private');
}

/** proc_simple_write: the function gets a copy that ends in a NUL; up to a page. */
function simpleWrite(method: Address): FileMethods {
  return {
    *write(k, file, buffer, count) {
      if (count === 0 || count > 4095) return -Errno.EINVAL;
      const copy = k.heap.allocateZeroed(count + 1);
      k.memory.copy(copy, buffer, count);
      const result = yield* k.callInt(method, file, copy, count);
      k.heap.free(copy);
      return result === 0 ? count : result;
    },
  };
}

function makeDirectory(k: Linux, name: Address, mode: number, parent: Address, data: Address): Address {
  const permissions = (mode & 0o7777) === 0 ? 0o555 : mode & 0o7777;
  return register(k, k.memory.cstring(name), parent, S_IFDIR | permissions, data, 0, {});
}

export const procfsFunctions = kernelFunctions({
  'struct proc_dir_entry *proc_create(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct proc_ops *proc_ops)':
    (k, name, mode, parent, operations) =>
      makeFile(k, name, mode, parent, operations, 0, tableMethods(operations)),
  'struct proc_dir_entry *proc_create_data(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct proc_ops *proc_ops, void *data)':
    (k, name, mode, parent, operations, data) =>
      makeFile(k, name, mode, parent, operations, data, tableMethods(operations)),
  'struct proc_dir_entry *proc_create_seq_private(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct seq_operations *ops, unsigned int state_size, void *data)':
    (k, name, mode, parent, operations, size, data) => {
      const open = size > 0 ? 'seq_open_private' : 'seq_open';
      const methods = seqMethods(
        function* (kernel, file) {
          return yield* kernel.callInt(kernel.addressOf(open), file, operations, size);
        },
        size > 0 ? 'seq_release_private' : 'seq_release',
      );
      return makeFile(k, name, mode, parent, operations, data, methods);
    },
  'struct proc_dir_entry *proc_create_single_data(const char *name, umode_t mode, struct proc_dir_entry *parent, int (*show)(struct seq_file *, void *), void *data)':
    (k, name, mode, parent, show, data) =>
      makeFile(k, name, mode, parent, show, data, singleMethods(show, data)),
  // The private part of a file of a namespace begins with it (struct seq_net_private).
  'struct proc_dir_entry *proc_create_net_data(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct seq_operations *ops, unsigned int state_size, void *data)':
    (k, name, mode, parent, operations, size, data) =>
      makeFile(k, name, mode, parent, operations, data, netMethods(operations, size)),
  'struct proc_dir_entry *proc_create_net_data_write(const char *name, umode_t mode, struct proc_dir_entry *parent, const struct seq_operations *ops, proc_write_t write, unsigned int state_size, void *data)':
    (k, name, mode, parent, operations, write, size, data) =>
      makeFile(k, name, mode, parent, operations, data, {
        ...netMethods(operations, size),
        ...simpleWrite(write),
      }),
  'struct proc_dir_entry *proc_create_net_single(const char *name, umode_t mode, struct proc_dir_entry *parent, int (*show)(struct seq_file *, void *), void *data)':
    (k, name, mode, parent, show, data) =>
      makeFile(k, name, mode, parent, show, data, singleMethods(show, namespaceAddress(k))),
  'struct proc_dir_entry *proc_create_net_single_write(const char *name, umode_t mode, struct proc_dir_entry *parent, int (*show)(struct seq_file *, void *), proc_write_t write, void *data)':
    (k, name, mode, parent, show, write, data) =>
      makeFile(k, name, mode, parent, show, data, {
        ...singleMethods(show, namespaceAddress(k)),
        ...simpleWrite(write),
      }),
  'struct proc_dir_entry *proc_mkdir(const char *name, struct proc_dir_entry *parent)': (k, name, parent) =>
    makeDirectory(k, name, 0, parent, 0),
  'struct proc_dir_entry *proc_mkdir_mode(const char *name, umode_t mode, struct proc_dir_entry *parent)': (
    k,
    name,
    mode,
    parent,
  ) => makeDirectory(k, name, mode, parent, 0),
  'struct proc_dir_entry *proc_mkdir_data(const char *name, umode_t mode, struct proc_dir_entry *parent, void *data)':
    makeDirectory,
  // What the inline functions of networking make directories with; whether names are looked up each time is for namespaces.
  'struct proc_dir_entry *_proc_mkdir(const char *name, umode_t mode, struct proc_dir_entry *parent, void *data, bool force_lookup)':
    makeDirectory,
  'struct proc_dir_entry *proc_symlink(const char *name, struct proc_dir_entry *parent, const char *dest)': (
    k,
    name,
    parent,
    target,
  ) => {
    const at = register(k, k.memory.cstring(name), parent, S_IFLNK | 0o777, 0, 0, {});
    const node = k.state(entries).find(at)?.node;
    if (node !== undefined) node.target = k.memory.cstring(target);
    return at;
  },
  'void proc_remove(struct proc_dir_entry *de)': function* (k, at) {
    const entry = k.state(entries).find(at);
    if (entry !== undefined) yield* removeTree(k, entry.node);
  },
  'void remove_proc_entry(const char *name, struct proc_dir_entry *parent)': function* (k, name, parent) {
    const place = locate(k, k.memory.cstring(name), parent);
    const node = place?.directory.children.get(place.last);
    if (node === undefined) k.printk(4, `name '${k.memory.cstring(name)}'`);
    else yield* removeTree(k, node);
  },
  'int remove_proc_subtree(const char *name, struct proc_dir_entry *parent)': function* (k, name, parent) {
    const place = locate(k, k.memory.cstring(name), parent);
    const node = place?.directory.children.get(place.last);
    if (node === undefined) return -Errno.ENOENT;
    yield* removeTree(k, node);
    return 0;
  },
  'void *pde_data(const struct inode *inode)': (k, inode) => k.read('inode.i_private', inode),
  'void proc_set_size(struct proc_dir_entry *de, loff_t size)': (k, at, size) => {
    const node = k.state(entries).find(at)?.node;
    if (node !== undefined) node.size = size;
  },
  'void proc_set_user(struct proc_dir_entry *de, kuid_t uid, kgid_t gid)': (k, at, uid, gid) => {
    const node = k.state(entries).find(at)?.node;
    if (node === undefined) return;
    node.uid = uid;
    node.gid = gid;
  },
});
