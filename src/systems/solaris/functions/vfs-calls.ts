/** What file systems call: their operations become known, vnodes come and go (vfs(9S), vnode.h). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import {
  FS_SLOTS,
  fillOperations,
  fsSlot,
  releaseVnode,
  VFS_OPERATIONS,
  VNODE_OPERATIONS,
} from '../filesystems.ts';
import type { Solaris } from '../solaris.ts';
import { kernelFunctions } from './define.ts';

function setFsOperations(k: Solaris, fstype: number, template: Address, out: Address): number {
  if (!(fstype > 0 && fstype < FS_SLOTS) || k.read('vfssw.vsw_name', fsSlot(k, fstype)) === 0)
    return Errno.EINVAL;
  const ops = fillOperations(k, template, VFS_OPERATIONS);
  if (ops === undefined) return Errno.EINVAL;
  k.write('vfssw.vsw_vfsops', fsSlot(k, fstype), ops);
  if (out !== 0) k.memory.setPtr(out, ops);
  return 0;
}

function freeByType(k: Solaris, fstype: number): number {
  if (!(fstype > 0 && fstype < FS_SLOTS)) return Errno.EINVAL;
  const slot = fsSlot(k, fstype);
  const ops = k.read('vfssw.vsw_vfsops', slot);
  if (ops !== 0) k.heap.free(ops);
  k.write('vfssw.vsw_vfsops', slot, 0);
  return 0;
}

export const vfsCalls = kernelFunctions({
  'int vfs_setfsops(int fstype, const fs_operation_def_t *template, vfsops_t **actual)': setFsOperations,
  'int vfs_makefsops(const fs_operation_def_t *template, vfsops_t **actual)': (k, template, actual) => {
    const ops = fillOperations(k, template, VFS_OPERATIONS);
    if (ops === undefined) return Errno.EINVAL;
    k.memory.setPtr(actual, ops);
    return 0;
  },
  'void vfs_freevfsops(vfsops_t *ops)': (k, ops) => k.heap.free(ops),
  'int vfs_freevfsops_by_type(int fstype)': freeByType,
  'int vn_make_ops(const char *name, const fs_operation_def_t *template, vnodeops_t **actual)': (
    k,
    _name,
    template,
    actual,
  ) => {
    const ops = fillOperations(k, template, VNODE_OPERATIONS);
    if (ops === undefined) return Errno.EINVAL;
    k.memory.setPtr(actual, ops);
    return 0;
  },
  'void vn_freevnodeops(vnodeops_t *ops)': (k, ops) => k.heap.free(ops),
  'vnode_t *vn_alloc(int flag)': (k) => {
    const vnode = k.heap.allocate(k.sizeof('vnode'), k.convention.returnAddress(k.cpu));
    if (vnode !== 0) k.write('vnode.v_count', vnode, 1);
    return vnode;
  },
  'void vn_free(vnode_t *vp)': (k, vp) => k.heap.free(vp),
  'void vn_reinit(vnode_t *vp)': (k, vp) => {
    k.memory.fill(vp, k.sizeof('vnode'), 0);
    k.write('vnode.v_count', vp, 1);
  },
  'void vn_setops(vnode_t *vp, vnodeops_t *ops)': (k, vp, ops) => k.write('vnode.v_op', vp, ops),
  'vnodeops_t *vn_getops(vnode_t *vp)': (k, vp) => k.read('vnode.v_op', vp),
  'int vn_matchops(vnode_t *vp, vnodeops_t *ops)': (k, vp, ops) => (k.read('vnode.v_op', vp) === ops ? 1 : 0),
  'void vn_hold(vnode_t *vp)': (k, vp) => k.write('vnode.v_count', vp, k.read('vnode.v_count', vp) + 1),
  'void vn_rele(vnode_t *vp)': releaseVnode,
  'void vn_exists(vnode_t *vp)': () => undefined,
  'void vn_invalid(vnode_t *vp)': () => undefined,
  'int vn_ismntpt(vnode_t *vp)': (k, vp) => (k.read('vnode.v_vfsmountedhere', vp) !== 0 ? 1 : 0),
  'int fs_nosys(void)': () => Errno.ENOSYS,
  'int vfs_devismounted(dev_t dev)': () => 0,
});
