/**
 * struct cred (kernel/cred.c): who a task acts for. It lies in guest memory alone, so that a module that makes a task somebody
 * else, by commit_creds or by writing into it, has done so for every check of the base kernel.
 */
import type { Address } from '../../memory/space.ts';
import type { Linux } from './linux.ts';

/** User and group a task is started for. Root has every capability, others none: the default without file capabilities. */
export interface Credential {
  readonly uid: number;
  readonly gid: number;
}

export const ROOT: Credential = { uid: 0, gid: 0 };

/** Which of the user and group numbers: real, effective, saved, of the file system. */
export type IdKind = '' | 'e' | 's' | 'fs';

const KINDS: readonly IdKind[] = ['', 'e', 's', 'fs'];
/** CAP_LAST_CAP is 40: the words of a set that holds them all. */
const ALL_CAPABILITIES = [0xffffffff, 0x1ff];

/** A new struct cred that two pointers of a task refer to. */
export function makeCred(k: Linux, { uid, gid }: Credential): Address {
  const cred = k.heap.allocateZeroed(k.sizeof('cred'));
  for (const kind of KINDS) {
    k.write(`cred.${kind}uid.val`, cred, uid);
    k.write(`cred.${kind}gid.val`, cred, gid);
  }
  k.write('cred.usage.counter', cred, 2);
  const users = k.file.exports.find('init_user_ns');
  if (users !== undefined) k.write('cred.user_ns', cred, users.address);
  const sets = uid === 0 ? ['cap_permitted', 'cap_effective', 'cap_bset'] : ['cap_bset'];
  for (const set of sets)
    for (const [i, word] of ALL_CAPABILITIES.entries())
      k.memory.set32(cred + k.offset(`cred.${set}`) + i * 4, word);
  return cred;
}

export const credOf = (k: Linux, task: Address): Address => k.read('task_struct.cred', task);

/** A number of a task, from the credentials that it acts under. */
export function idOf(k: Linux, task: Address, kind: IdKind, what: 'uid' | 'gid'): number {
  return k.read(`cred.${kind}${what}.val`, credOf(k, task)) >>> 0;
}

/** Who asks for a file. */
export const fileCredential = (k: Linux, task: Address): Credential => ({
  uid: idOf(k, task, 'fs', 'uid'),
  gid: idOf(k, task, 'fs', 'gid'),
});

/** cap_capable, with one user namespace. */
export function hasCapability(k: Linux, cred: Address, capability: number): boolean {
  const word = k.memory.u32(cred + k.offset('cred.cap_effective') + (capability >> 5) * 4);
  return ((word >>> (capability & 31)) & 1) === 1;
}

/** CAP_* (include/uapi/linux/capability.h): past permissions of files, loading of modules, device files. */
export const CAPABILITY = { DAC_OVERRIDE: 1, SYS_MODULE: 16, SYS_ADMIN: 21, MKNOD: 27 } as const;

/** capable() without its mark on the task. */
export const currentMay = (k: Linux, capability: number): boolean =>
  hasCapability(k, credOf(k, k.current), capability);

export function getCred(k: Linux, cred: Address): Address {
  k.write('cred.usage.counter', cred, k.read('cred.usage.counter', cred) + 1);
  return cred;
}

/** put_cred; it is freed with its last reference. */
export function putCred(k: Linux, cred: Address, times = 1): void {
  const left = k.read('cred.usage.counter', cred) - times;
  k.write('cred.usage.counter', cred, left);
  if (left <= 0) k.heap.free(cred);
}
