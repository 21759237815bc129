/** What file systems of kexts ask of vnodes and mounts (bsd/vfs/kpi_vfs.c, vfs_subr.c, vfs_cache.c). */
import type { Steps } from '../../../../kernel/steps.ts';
import type { Address } from '../../../../memory/space.ts';
import { ERRNO } from '../../errno.ts';
import type { Macos } from '../../macos.ts';
import { flush, MNT, mounts, put, reclaim, VNODE, VTYPE } from '../../vfs.ts';
import { kernelFunctions } from '../define.ts';

/** VNCREATE_FLAVOR; VNFS_ADDFSREF; FORCECLOSE and SKIPROOT of vflush. */
const CREATE = 0;
const ADD_FSREF = 4;
const FORCE_CLOSE = 2;
const SKIP_ROOT = 0x10;
const SYNCHRONOUS = 2;
const UPDATE = 0x10000;

function create(k: Macos, flavor: number, bytes: number, given: Address, place: Address): number {
  if (flavor !== CREATE || bytes < k.offset('vnode_fsparam.vnfs_flags')) return ERRNO.EINVAL;
  const of = (name: string): number => k.read(`vnode_fsparam.vnfs_${name}`, given);
  const state = k.state(mounts);
  const at = k.heap.allocate(k.sizeof('struct vnode'), 'vnodes');
  k.write('vnode.v_op', at, of('vops'));
  k.write('vnode.v_data', at, of('fsnode'));
  k.write('vnode.v_mount', at, of('mp'));
  k.write('vnode.v_parent', at, of('dvp'));
  k.write('vnode.v_type', at, of('vtype'));
  k.write('vnode.v_rdev', at, of('rdev'));
  k.write('vnode.v_iocount', at, 1);
  k.write('vnode.v_flag', at, of('markroot') === 0 ? 0 : VNODE.ROOT);
  k.write('vnode.v_fsrefs', at, (of('flags') & ADD_FSREF) === 0 ? 0 : 1);
  k.write('vnode.v_id', at, ++state.ids);
  state.vnodes.add(at);
  k.memory.setPtr(place, at);
  return 0;
}

const count = (k: Macos, at: Address, field: string, by: number): number => {
  k.write(`vnode.${field}`, at, k.read(`vnode.${field}`, at) + by);
  return 0;
};
const isType = (k: Macos, at: Address, type: number): number => (k.read('vnode.v_type', at) === type ? 1 : 0);
const hasFlag = (k: Macos, mount: Address, flag: number): number =>
  (k.read('mount.mnt_flag', mount) & flag) === 0 ? 0 : 1;

function* recycle(k: Macos, at: Address): Steps<number> {
  if (k.read('vnode.v_iocount', at) + k.read('vnode.v_usecount', at) === 0) yield* reclaim(k, at);
  else k.write('vnode.v_flag', at, k.read('vnode.v_flag', at) | VNODE.RECYCLE);
  return 1;
}

export const vnodeFunctions = kernelFunctions({
  'errno_t vnode_create(uint32_t flavor, uint32_t size, void *data, void **vnode)': create,
  'int vnode_put(void *vnode)': (k, at) => put(k, at),
  'int vnode_get(void *vnode)': (k, at) =>
    k.state(mounts).vnodes.has(at) ? count(k, at, 'v_iocount', 1) : ERRNO.ENOENT,
  'int vnode_getwithvid(void *vnode, uint32_t id)': (k, at, id) =>
    k.state(mounts).vnodes.has(at) && k.read('vnode.v_id', at) === id
      ? count(k, at, 'v_iocount', 1)
      : ERRNO.ENOENT,
  'int vnode_ref(void *vnode)': (k, at) => count(k, at, 'v_usecount', 1),
  'void vnode_rele(void *vnode)': function* (k, at) {
    yield* put(k, at, 'v_usecount');
  },
  'int vnode_addfsref(void *vnode)': (k, at) => count(k, at, 'v_fsrefs', 1),
  'int vnode_removefsref(void *vnode)': (k, at) => count(k, at, 'v_fsrefs', -1),
  'int vnode_recycle(void *vnode)': recycle,
  'void *vnode_fsnode(void *vnode)': (k, at) => k.read('vnode.v_data', at),
  'void vnode_clearfsnode(void *vnode)': (k, at) => k.write('vnode.v_data', at, 0),
  'void *vnode_mount(void *vnode)': (k, at) => k.read('vnode.v_mount', at),
  'void *vnode_parent(void *vnode)': (k, at) => k.read('vnode.v_parent', at),
  'int vnode_vtype(void *vnode)': (k, at) => k.read('vnode.v_type', at),
  'uint32_t vnode_vid(void *vnode)': (k, at) => k.read('vnode.v_id', at),
  'int vnode_tag(void *vnode)': (k, at) => k.read('vnode.v_tag', at),
  'void vnode_settag(void *vnode, int tag)': (k, at, tag) => k.write('vnode.v_tag', at, tag),
  'int vnode_isvroot(void *vnode)': (k, at) => ((k.read('vnode.v_flag', at) & VNODE.ROOT) === 0 ? 0 : 1),
  'int vnode_isreg(void *vnode)': (k, at) => isType(k, at, VTYPE.REG),
  'int vnode_isdir(void *vnode)': (k, at) => isType(k, at, VTYPE.DIR),
  'int vnode_islnk(void *vnode)': (k, at) => isType(k, at, VTYPE.LNK),
  'int vnode_isinuse(void *vnode, int count)': (k, at, most) =>
    k.read('vnode.v_usecount', at) > most ? 1 : 0,
  'int vnode_vfsisrdonly(void *vnode)': (k, at) => hasFlag(k, k.read('vnode.v_mount', at), MNT.RDONLY),
  'int vflush(void *mount, void *skip, int flags)': (k, mount, skip, flags) =>
    flush(k, mount, {
      keep: (vnode) =>
        vnode === skip || ((flags & SKIP_ROOT) !== 0 && k.read('vnode.v_flag', vnode) === VNODE.ROOT),
      force: (flags & FORCE_CLOSE) !== 0,
    }),
  'void *vfs_fsprivate(void *mount)': (k, mount) => k.read('mount.mnt_data', mount),
  'void vfs_setfsprivate(void *mount, void *data)': (k, mount, data) =>
    k.write('mount.mnt_data', mount, data),
  'void *vfs_statfs(void *mount)': (k, mount) => mount + k.offset('mount.mnt_vfsstat'),
  'uint64_t vfs_flags(void *mount)': (k, mount) => BigInt(k.read('mount.mnt_flag', mount)),
  'void vfs_setflags(void *mount, uint64_t flags)': (k, mount, flags) =>
    k.write('mount.mnt_flag', mount, k.read('mount.mnt_flag', mount) | Number(flags & 0xffffffffn)),
  'void vfs_clearflags(void *mount, uint64_t flags)': (k, mount, flags) =>
    k.write('mount.mnt_flag', mount, k.read('mount.mnt_flag', mount) & ~Number(flags & 0xffffffffn)),
  'int vfs_isrdonly(void *mount)': (k, mount) => hasFlag(k, mount, MNT.RDONLY),
  'int vfs_isforce(void *mount)': (k, mount) => hasFlag(k, mount, MNT.FORCE),
  'int vfs_issynchronous(void *mount)': (k, mount) => hasFlag(k, mount, SYNCHRONOUS),
  'int vfs_isupdate(void *mount)': (k, mount) => hasFlag(k, mount, UPDATE),
  'int vn_default_error(void)': () => ERRNO.ENOTSUP,
  // The cache of names is a hint; this machine keeps none, so that every lookup asks the file system.
  'int cache_lookup(void *folder, void **vnode, void *name)': () => 0,
  'void cache_enter(void *folder, void *vnode, void *name)': () => undefined,
  'void cache_purge(void *vnode)': () => undefined,
  'void cache_purge_negatives(void *vnode)': () => undefined,
});
