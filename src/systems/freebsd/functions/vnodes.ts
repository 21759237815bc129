/** What a filesystem asks of the kernel: new vnodes, their place in the mount, and letting go of them (vfs_subr.c). */
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { releaseVnode, vnodes } from '../vfs.ts';
import { kernelFunctions } from './define.ts';

const VNODE_BYTES = 1024;
/** FORCECLOSE */
const FORCE = 2;

function reference(k: FreeBsd, at: Address): void {
  const vnode = k.state(vnodes).get(at);
  if (vnode !== undefined) vnode.uses++;
}

export const vnodeFunctions = kernelFunctions({
  'int getnewvnode(const char *tag, void *mp, void *vops, void **vpp)': (
    k,
    tag,
    mount,
    operations,
    result,
  ) => {
    const at = k.heap.allocate(VNODE_BYTES);
    for (const [i, value] of [tag, operations, 0, mount].entries()) k.memory.setPtr(at + i * k.word, value);
    k.state(vnodes).set(at, { address: at, mount, uses: 1 });
    k.memory.setPtr(result, at);
    return 0;
  },
  'int insmntque(void *vp, void *mp)': () => 0,
  'void vref(void *vp)': reference,
  'void vrele(void *vp)': releaseVnode,
  'void vput(void *vp)': releaseVnode,
  *'int vflush(void *mp, int rootrefs, int flags, void *td)'(k, mount, rootReferences, flags) {
    const left = [...k.state(vnodes).values()].filter((one) => one.mount === mount);
    const busy = left.filter(({ uses }) => uses > rootReferences);
    if (busy.length > 0 && (flags & FORCE) === 0) return Errno.EBUSY;
    for (const one of left) {
      one.uses = 1;
      yield* releaseVnode(k, one.address);
    }
    return 0;
  },
  'void vfs_getnewfsid(void *mp)': () => undefined,
  'void vfs_mountedfrom(void *mp, const char *from)': () => undefined,
});
