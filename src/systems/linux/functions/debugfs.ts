/** debugfs (fs/debugfs/): folders and files below /sys/kernel/debug, which is mounted here from the start. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno, isError } from '../errno.ts';
import type { Linux } from '../linux.ts';
import { attributeMethods, sysDirectory } from '../sysfs.ts';
import { allocateDentry, freeDentry } from '../vfs/dentry.ts';
import { openFiles } from '../vfs/file.ts';
import { guestMethods, takeOperations } from '../vfs/guestfile.ts';
import { directory, type FileMethods, Node, regular, S_IFMT, S_IFREG, symlink } from '../vfs/node.ts';
import { kernelFunctions } from './define.ts';

/** By the dentry that callers hold. */
const entries = perKernel<Map<Address, Node>, Linux>(() => new Map());

function parentNode(k: Linux, parent: Address): Node | undefined {
  return parent === 0 ? sysDirectory(k, 'kernel/debug') : k.state(entries).get(parent);
}

/** Puts a node into its folder and gives the caller a dentry, or an error pointer. */
function place(k: Linux, parent: Address, make: () => Node): Address {
  if (isError(parent)) return parent;
  const folder = parentNode(k, parent);
  if (folder === undefined) return -Errno.ENOENT;
  const node = make();
  if (folder.child(node.name) !== undefined) {
    const where = folder.parent === undefined || parent === 0 ? '/' : folder.name;
    const kind = node.isDirectory
      ? `Directory '${node.name}' with parent`
      : `File '${node.name}' in directory`;
    k.printk(3, `debugfs: ${kind} '${where}' already present!`);
    return -Errno.EEXIST;
  }
  folder.add(node);
  const dentry = allocateDentry(k, 0, node.name, 0);
  k.state(entries).set(dentry, node);
  return dentry;
}

/** debugfs_remove: the entry and everything below it. */
function remove(k: Linux, dentry: Address): void {
  const node = dentry === 0 || isError(dentry) ? undefined : k.state(entries).get(dentry);
  if (node === undefined) return;
  node.parent?.remove(node.name);
  const gone = new Set<Node>([node]);
  const walk = (folder: Node): void => {
    for (const child of folder.children.values()) {
      gone.add(child);
      walk(child);
    }
  };
  walk(node);
  for (const [at, entry] of k.state(entries)) if (gone.has(entry)) forget(k, at);
}

function forget(k: Linux, dentry: Address): void {
  k.state(entries).delete(dentry);
  freeDentry(k, dentry);
}

function createFile(
  k: Linux,
  name: Address,
  mode: number,
  parent: Address,
  data: Address,
  methods: FileMethods,
): Address {
  return place(k, parent, () => {
    const type = (mode & S_IFMT) === 0 ? S_IFREG : mode & S_IFMT;
    const node = new Node(k.memory.cstring(name), type | (mode & 0o7777));
    node.data = data;
    node.methods = methods;
    return node;
  });
}

const guestFile = (operations: Address): FileMethods => ({
  ...guestMethods,
  *open(k, file) {
    if (!takeOperations(k, operations)) return -Errno.ENODEV;
    k.write('file.f_op', file, operations);
    return yield* guestMethods.open?.(k, file) ?? noOpen();
  },
});

const createGuestFile = (
  k: Linux,
  name: Address,
  mode: number,
  parent: Address,
  data: Address,
  operations: Address,
): Address => createFile(k, name, mode, parent, data, guestFile(operations));

function* noOpen(): Generator<never, number, number> {
  return 0;
}

/** What the maker of a file hung on it besides its data. */
const extras = perKernel<WeakMap<Node, Address>, Linux>(() => new WeakMap());

function withExtra(k: Linux, dentry: Address, extra: Address): Address {
  const node = k.state(entries).get(dentry);
  if (node !== undefined) k.state(extras).set(node, extra);
  return dentry;
}

/** Files with nothing but read, write and llseek; their private data are the inode's (since 6.13). */
function shortMethods(operations: Address): FileMethods {
  const call = function* (k: Linux, member: string, ...args: number[]) {
    const method = k.read(`debugfs_short_fops.${member}`, operations);
    return method === 0 ? -Errno.EINVAL : yield* k.call(method, ...args);
  };
  return {
    *open(k, file) {
      k.write('file.private_data', file, k.read('inode.i_private', k.read('file.f_inode', file)));
      return 0;
    },
    read: (k, file, buffer, count, position) => call(k, 'read', file, buffer, count, position),
    write: (k, file, buffer, count, position) => call(k, 'write', file, buffer, count, position),
    seek: (k, file, offset, whence) => call(k, 'llseek', file, offset, whence),
  };
}

/** How a variable is shown and set. */
interface Variable {
  readonly read: (k: Linux, at: Address) => string;
  readonly write: (k: Linux, at: Address, value: bigint) => void;
}

/** A number of so many bits, or as wide as a word. */
const unsigned = (width: 8 | 16 | 32 | 64 | 'word', hexadecimal = false): Variable => ({
  read: (k, at) => {
    const bits = width === 'word' ? 8 * k.word : width;
    const value = littleEndian(k.memory.bytes(at, bits / 8));
    return hexadecimal ? `0x${value.toString(16).padStart(bits / 4, '0')}` : value.toString();
  },
  write: (k, at, value) => {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    k.memory.write(at, bytes.subarray(0, width === 'word' ? k.word : width / 8));
  },
});

/** The bytes and no more: what follows may not be readable. */
function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

const atomic: Variable = {
  read: (k, at) => String(k.memory.i32(at)),
  write: (k, at, value) => k.memory.set32(at, Number(BigInt.asIntN(32, value))),
};

function createVariable(
  k: Linux,
  name: Address,
  mode: number,
  parent: Address,
  at: Address,
  kind: Variable,
): void {
  const methods = attributeMethods({
    *show(kernel, page) {
      const text = new TextEncoder().encode(`${kind.read(kernel, at)}\n`);
      kernel.memory.write(page, text);
      return text.length;
    },
    *store(kernel, page, count) {
      const text = new TextDecoder('latin1').decode(kernel.memory.bytes(page, count)).trim();
      if (!/^-?(0x[0-9a-f]+|\d+)$/i.test(text)) return -Errno.EINVAL;
      kind.write(kernel, at, text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text));
      return count;
    },
  });
  place(k, parent, () => regular(k.memory.cstring(name), mode & 0o777, methods));
}

/** Y and N, as parameters show truth values. */
const truth: Variable = {
  read: (k, at) => (k.memory.u8(at) === 0 ? 'N' : 'Y'),
  write: (k, at, value) => k.memory.set8(at, value === 0n ? 0 : 1),
};

const variable =
  (kind: Variable) =>
  (k: Linux, name: Address, mode: number, parent: Address, at: Address): void =>
    createVariable(k, name, mode, parent, at, kind);

const VALUE = '(const char *name, umode_t mode, struct dentry *parent';

const variables = kernelFunctions({
  [`void debugfs_create_u8${VALUE}, u8 *value)`]: variable(unsigned(8)),
  [`void debugfs_create_u16${VALUE}, u16 *value)`]: variable(unsigned(16)),
  [`void debugfs_create_u32${VALUE}, u32 *value)`]: variable(unsigned(32)),
  [`void debugfs_create_u64${VALUE}, u64 *value)`]: variable(unsigned(64)),
  [`void debugfs_create_x8${VALUE}, u8 *value)`]: variable(unsigned(8, true)),
  [`void debugfs_create_x16${VALUE}, u16 *value)`]: variable(unsigned(16, true)),
  [`void debugfs_create_x32${VALUE}, u32 *value)`]: variable(unsigned(32, true)),
  [`void debugfs_create_x64${VALUE}, u64 *value)`]: variable(unsigned(64, true)),
  [`void debugfs_create_size_t${VALUE}, size_t *value)`]: variable(unsigned(64)),
  [`void debugfs_create_ulong${VALUE}, unsigned long *value)`]: variable(unsigned('word')),
  [`void debugfs_create_bool${VALUE}, bool *value)`]: variable(truth),
  [`void debugfs_create_atomic_t${VALUE}, atomic_t *value)`]: variable(atomic),
});

const tree = kernelFunctions({
  'struct dentry *debugfs_create_dir(const char *name, struct dentry *parent)': (k, name, parent) =>
    place(k, parent, () => directory(k.memory.cstring(name))),
  'struct dentry *debugfs_create_file(const char *name, umode_t mode, struct dentry *parent, void *data, const struct file_operations *fops)':
    createGuestFile,
  'struct dentry *debugfs_create_file_unsafe(const char *name, umode_t mode, struct dentry *parent, void *data, const struct file_operations *fops)':
    createGuestFile,
  'struct dentry *debugfs_create_file_full(const char *name, umode_t mode, struct dentry *parent, void *data, const void *aux, const struct file_operations *fops)':
    (k, name, mode, parent, data, extra, operations) =>
      withExtra(k, createFile(k, name, mode, parent, data, guestFile(operations)), extra),
  'struct dentry *debugfs_create_file_short(const char *name, umode_t mode, struct dentry *parent, void *data, const void *aux, const struct debugfs_short_fops *fops)':
    (k, name, mode, parent, data, extra, operations) =>
      withExtra(k, createFile(k, name, mode, parent, data, shortMethods(operations)), extra),
  'void *debugfs_get_aux(const struct file *file)': (k, file) => {
    const node = k.state(openFiles).get(file)?.node;
    return node === undefined ? 0 : (k.state(extras).get(node) ?? 0);
  },
  'struct dentry *debugfs_create_symlink(const char *name, struct dentry *parent, const char *target)': (
    k,
    name,
    parent,
    target,
  ) => place(k, parent, () => symlink(k.memory.cstring(name), k.memory.cstring(target))),
  'struct dentry *debugfs_create_blob(const char *name, umode_t mode, struct dentry *parent, struct debugfs_blob_wrapper *blob)':
    (k, name, mode, parent, blob) =>
      place(k, parent, () =>
        regular(k.memory.cstring(name), mode & 0o444, {
          *read(kernel, _file, buffer, count, position) {
            // struct debugfs_blob_wrapper: data, size (include/linux/debugfs.h).
            const size = kernel.memory.ptr(blob + kernel.word);
            const from = kernel.memory.ptr(position);
            const length = Math.max(0, Math.min(count, size - from));
            kernel.memory.copy(buffer, kernel.memory.ptr(blob) + from, length);
            kernel.memory.setPtr(position, from + length);
            return length;
          },
        }),
      ),
  'void debugfs_remove(struct dentry *dentry)': remove,
  'struct dentry *debugfs_lookup(const char *name, struct dentry *parent)': (k, name, parent) => {
    const wanted = parentNode(k, parent)?.child(k.memory.cstring(name));
    for (const [dentry, node] of k.state(entries)) if (node === wanted) return dentry;
    return 0;
  },
  'void debugfs_lookup_and_remove(const char *name, struct dentry *parent)': (k, name, parent) => {
    const wanted = parentNode(k, parent)?.child(k.memory.cstring(name));
    for (const [dentry, node] of [...k.state(entries)]) if (node === wanted) remove(k, dentry);
  },
  'bool debugfs_initialized(void)': () => 1,
});

export const debugfsFunctions = new Map([...tree, ...variables]);
