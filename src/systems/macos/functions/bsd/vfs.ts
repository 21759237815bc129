/** File systems as kexts bring them (bsd/vfs/kpi_vfs.c): the table of file systems and their vectors of operations. */
import { perKernel } from '../../../../kernel/kernel.ts';
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText, writeGuestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import { ERRNO } from '../../errno.ts';
import type { DataSymbol, Macos } from '../../macos.ts';
import { kernelFunctions } from '../define.ts';

/** bsd/sys/mount.h */
const THREAD_SAFE = 1;
const NODE_LOCK = 2;
const NO_TYPE_NUMBER = 4;
const MOST_VECTORS = 8;
const NAME_BYTES = 15;
/** The first number for a file system without one of its own (maxvfstypenum). */
const FIRST_NUMBER = 26;
const MOST_ENTRIES = 256;

/** Operations on vnodes, each at its place in a vector; the default comes first (vfs_op_descs of bsd/vfs/vnode_if). */
const OPERATIONS = [
  ...[
    'default',
    'lookup',
    'create',
    'whiteout',
    'mknod',
    'open',
    'close',
    'access',
    'getattr',
    'setattr',
    'read',
  ],
  ...[
    'write',
    'ioctl',
    'select',
    'exchange',
    'revoke',
    'mmap_check',
    'mmap',
    'mnomap',
    'fsync',
    'remove',
    'link',
  ],
  ...[
    'rename',
    'renamex',
    'mkdir',
    'rmdir',
    'symlink',
    'readdir',
    'readdirattr',
    'getattrlistbulk',
    'readlink',
  ],
  ...['inactive', 'reclaim', 'pathconf', 'advlock', 'allocate', 'pagein', 'pageout', 'searchfs', 'copyfile'],
  ...['clonefile', 'getxattr', 'setxattr', 'removexattr', 'listxattr', 'blktooff', 'offtoblk', 'blockmap'],
  ...['strategy', 'bwrite', 'kqfilt_add', 'kqfilt_remove', 'setlabel', 'getnamedstream', 'makenamedstream'],
  ...['removenamedstream', 'monitor', 'truncate', 'compound_open'],
] as const;

export const vnodeOperations: readonly DataSymbol[] = OPERATIONS.map((name, i) => ({
  name: `_vnop_${name}_desc`,
  bytes: 96,
  fill: (k, at) => {
    k.write('vnodeop_desc.vdesc_offset', at, i);
    k.write('vnodeop_desc.vdesc_name', at, k.constantText(`vnop_${name}`));
  },
}));

export interface FileSystem {
  readonly name: string;
  readonly number: number;
  /** `struct vfsops` of the kext. */
  readonly operations: Address;
  readonly vectors: Address;
  mounted: number;
}

class FileSystems {
  readonly all = new Map<Address, FileSystem>();
  next = FIRST_NUMBER;
}

export const fileSystems = perKernel<FileSystems, Macos>(() => new FileSystems());

/** A file system by the name that mount(2) is told. */
export function fileSystemNamed(k: Macos, type: string): { handle: Address; system: FileSystem } | undefined {
  for (const [handle, system] of k.state(fileSystems).all)
    if (system.name === type) return { handle, system };
  return undefined;
}

/** Where an operation stands in every vector, and its description. */
export function operationAt(k: Macos, name: string): { index: number; description: Address } {
  return {
    index: (OPERATIONS as readonly string[]).indexOf(name),
    description: k.object(`_vnop_${name}_desc`),
  };
}

/** One vector: what the kext gives, and its default everywhere else. */
function fillVector(k: Macos, description: Address, vector: Address): void {
  k.memory.setPtr(k.read('vnodeopv_desc.opv_desc_vector_p', description), vector);
  const first = k.read('vnodeopv_desc.opv_desc_ops', description);
  const size = k.sizeof('struct vnodeopv_entry_desc');
  const fallback = k.object('_vnop_default_desc');
  for (let i = 0; i < MOST_ENTRIES; i++) {
    const operation = k.read('vnodeopv_entry_desc.opve_op', first + i * size);
    if (operation === 0) break;
    const index = k.read('vnodeop_desc.vdesc_offset', operation);
    if ((index === 0 && operation !== fallback) || index >= OPERATIONS.length)
      throw k.panic('panic(cpu 0): "vfs_fsadd: bad operation"');
    k.memory.setPtr(vector + index * k.word, k.read('vnodeopv_entry_desc.opve_impl', first + i * size));
  }
  const standard = k.memory.ptr(vector);
  if (standard === 0) throw k.panic('panic(cpu 0): "vfs_fsadd: operation vector without default routine."');
  for (let i = 1; i < OPERATIONS.length; i++)
    if (k.memory.ptr(vector + i * k.word) === 0) k.memory.setPtr(vector + i * k.word, standard);
}

function* add(k: Macos, entry: Address, handle: Address): Steps<number> {
  if (entry === 0) return ERRNO.EINVAL;
  const count = k.read('vfs_fsentry.vfe_vopcnt', entry);
  const operations = k.read('vfs_fsentry.vfe_vfsops', entry);
  const descriptions = k.read('vfs_fsentry.vfe_opvdescs', entry);
  const flags = k.read('vfs_fsentry.vfe_flags', entry);
  if (count <= 0 || count > MOST_VECTORS || operations === 0 || descriptions === 0) return ERRNO.EINVAL;
  if ((flags & (THREAD_SAFE | NODE_LOCK)) === 0) return ERRNO.EINVAL;
  const state = k.state(fileSystems);
  const name = guestText(k, entry + k.offset('vfs_fsentry.vfe_fsname'), NAME_BYTES);
  const number = (flags & NO_TYPE_NUMBER) !== 0 ? state.next++ : k.read('vfs_fsentry.vfe_fstypenum', entry);
  const bytes = OPERATIONS.length * k.word;
  const vectors = k.heap.allocate(count * bytes, 'vfs');
  for (let i = 0; i < count; i++) fillVector(k, k.memory.ptr(descriptions + i * k.word), vectors + i * bytes);
  const table = k.heap.allocate(k.sizeof('struct vfsconf'), 'vfs');
  writeGuestText(k, table + k.offset('vfsconf.vfc_name'), name);
  k.write('vfsconf.vfc_typenum', table, number);
  state.all.set(table, { name, number, operations, vectors, mounted: 0 });
  k.memory.setPtr(handle, table);
  const start = k.read('vfsops.vfs_init', operations);
  if (start !== 0) yield* k.callInt(start, table);
  return 0;
}

function remove(k: Macos, handle: Address): number {
  const state = k.state(fileSystems);
  const one = state.all.get(handle);
  if (one === undefined) return ERRNO.EINVAL;
  if (one.mounted > 0) return ERRNO.EBUSY;
  state.all.delete(handle);
  k.heap.free(one.vectors);
  k.heap.free(handle);
  return 0;
}

/** `vfs_context_t`: the process on whose behalf something is done. */
const context = (k: Macos): Address => k.object('_lkm_vfs_context');

export const vfsFunctions = kernelFunctions({
  'int vfs_fsadd(struct vfs_fsentry *entry, void **handle)': add,
  'int vfs_fsremove(void *handle)': remove,
  'void *vfs_context_create(void *parent)': context,
  'void *vfs_context_current(void)': context,
  'int vfs_context_rele(void *context)': () => 0,
  'void *vfs_context_proc(void *context)': (k) => k.object('_lkm_current_proc'),
  'void *vfs_context_ucred(void *context)': (k) => k.object('_lkm_current_proc'),
  'int vfs_context_pid(void *context)': (k) => k.process.pid,
  'int vfs_context_suser(void *context)': (k) => (k.process.uid === 0 ? 0 : ERRNO.EPERM),
  'int vfs_context_issuser(void *context)': (k) => (k.process.uid === 0 ? 1 : 0),
  // The kernel of this machine has mounted no disk: there is nothing at any path.
  'errno_t vnode_lookup(const char *path, int flags, void **result, void *context)': (
    k,
    _path,
    _flags,
    result,
  ) => {
    k.memory.setPtr(result, 0);
    return ERRNO.ENOENT;
  },
  'errno_t vnode_open(const char *path, int mode, int create, int flags, void **result, void *context)': (
    k,
    _path,
    _mode,
    _create,
    _flags,
    result,
  ) => {
    k.memory.setPtr(result, 0);
    return ERRNO.ENOENT;
  },
});

export const vfsData: readonly DataSymbol[] = [...vnodeOperations, { name: '_lkm_vfs_context', bytes: 64 }];
