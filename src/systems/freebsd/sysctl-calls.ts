/** __sysctl(2) on one oid: the request that its handler sees (sysctl_root of sys/kern/kern_sysctl.c). */
import type { Steps } from '../../kernel/steps.ts';
import type { Address } from '../../memory/space.ts';
import { Errno, KernelErrno } from './errno.ts';
import type { FreeBsd } from './freebsd.ts';
import { CTLFLAG, oidKind } from './sysctl.ts';

/** Room for a value; sysctl(8) asks for the size first, and no value here is larger. */
const ROOM = 4096;

function* transfer(k: FreeBsd, oid: Address, value: Uint8Array | undefined): Steps<Uint8Array> {
  const handler = k.read('sysctl_oid.oid_handler', oid);
  if (handler === 0) throw new KernelErrno(Errno.EINVAL);
  const req = k.heap.allocate(k.sizeof('sysctl_req'));
  const old = k.heap.allocate(ROOM);
  const fresh = value === undefined ? 0 : k.heap.allocate(Math.max(1, value.length));
  k.write('sysctl_req.td', req, k.curthread);
  k.write('sysctl_req.oldptr', req, old);
  k.write('sysctl_req.oldlen', req, ROOM);
  k.write('sysctl_req.validlen', req, ROOM);
  k.write('sysctl_req.oldfunc', req, k.kernelSymbol('sysctl_old_buffer') ?? 0);
  k.write('sysctl_req.newfunc', req, k.kernelSymbol('sysctl_new_buffer') ?? 0);
  if (value !== undefined) {
    k.memory.write(fresh, value);
    k.write('sysctl_req.newptr', req, fresh);
    k.write('sysctl_req.newlen', req, value.length);
  }
  const arg1 = k.read('sysctl_oid.oid_arg1', oid);
  const arg2 = Number(k.read('sysctl_oid.oid_arg2', oid));
  const error = yield* k.callInt(handler, oid, arg1, arg2, req);
  const bytes = k.memory.bytes(old, Math.min(ROOM, k.read('sysctl_req.oldidx', req))).slice();
  for (const at of [req, old, fresh]) k.heap.free(at);
  if (error !== 0) throw new KernelErrno(error);
  return bytes;
}

export function* readOid(k: FreeBsd, oid: Address): Steps<Uint8Array> {
  return yield* transfer(k, oid, undefined);
}

export function* writeOid(k: FreeBsd, oid: Address, value: Uint8Array, uid: number): Steps<void> {
  const kind = oidKind(k, oid);
  if ((kind & CTLFLAG.WR) === 0) throw new KernelErrno(Errno.EPERM, 'It can only be read.');
  if ((kind & CTLFLAG.SECURE) !== 0 && k.securelevel > 0)
    throw new KernelErrno(Errno.EPERM, `kern.securelevel is ${k.securelevel}.`);
  if (uid !== 0 && (kind & CTLFLAG.ANYBODY) === 0)
    throw new KernelErrno(Errno.EPERM, 'Only root may set it.');
  yield* transfer(k, oid, value);
}
