/** Capabilities, and credentials as modules make and change them (kernel/cred.c, kernel/capability.c). */
import type { Address } from '../../../memory/space.ts';
import { credOf, getCred, hasCapability, idOf, makeCred, putCred, ROOT } from '../cred.ts';
import type { Linux } from '../linux.ts';
import { kernelBug, kernelWarning } from './caller.ts';
import { kernelFunctions } from './define.ts';

/** PF_SUPERPRIV: the task used a privilege. */
const PF_SUPERPRIV = 0x100;

function capable(k: Linux, capability: number): number {
  if (!hasCapability(k, credOf(k, k.current), capability)) return 0;
  k.write('task_struct.flags', k.current, k.read('task_struct.flags', k.current) | PF_SUPERPRIV);
  return 1;
}

const allowed = (k: Linux, task: Address, capability: number): number =>
  hasCapability(k, k.read('task_struct.real_cred', task), capability) ? 1 : 0;

/** prepare_creds: a copy of the current credentials that only the caller has. */
function copyCred(k: Linux, from: Address): Address {
  const size = k.sizeof('cred');
  const cred = k.heap.allocate(size);
  if (cred === 0) return 0;
  k.memory.write(cred, k.memory.bytes(from, size).slice());
  k.write('cred.usage.counter', cred, 1);
  return cred;
}

/** Without a task to take them from: those of the boot task, until 6.2 refused that as a mistake of the caller. */
function prepareKernelCred(k: Linux, daemon: Address): Address {
  if (daemon !== 0) return copyCred(k, k.read('task_struct.real_cred', daemon));
  const [major, minor] = k.file.release.split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 2)) {
    kernelWarning(k, 'kernel/cred.c');
    return 0;
  }
  const cred = makeCred(k, ROOT);
  k.write('cred.usage.counter', cred, 1);
  return cred;
}

function commit(k: Linux, cred: Address): number {
  const task = k.current;
  const old = k.read('task_struct.real_cred', task);
  // BUG_ON(task->cred != old), BUG_ON(atomic_read(&new->usage) < 1)
  if (credOf(k, task) !== old || k.read('cred.usage.counter', cred) < 1) kernelBug(k, 'kernel/cred.c');
  getCred(k, cred);
  k.write('task_struct.real_cred', task, cred);
  k.write('task_struct.cred', task, cred);
  // The objective and the subjective reference.
  putCred(k, old, 2);
  return 0;
}

function override(k: Linux, cred: Address): Address {
  const old = credOf(k, k.current);
  getCred(k, cred);
  k.write('task_struct.cred', k.current, cred);
  return old;
}

function revert(k: Linux, old: Address): void {
  const overriding = credOf(k, k.current);
  k.write('task_struct.cred', k.current, old);
  putCred(k, overriding);
}

export const credentials = kernelFunctions({
  'struct cred *prepare_creds(void)': (k) => copyCred(k, credOf(k, k.current)),
  'struct cred *prepare_kernel_cred(struct task_struct *daemon)': prepareKernelCred,
  'int commit_creds(struct cred *new)': commit,
  'void abort_creds(struct cred *new)': (k, cred) => putCred(k, cred),
  'const struct cred *override_creds(const struct cred *new)': override,
  'void revert_creds(const struct cred *old)': revert,
  // Called by put_cred, an inline function, when the count has come to nothing.
  'void __put_cred(struct cred *cred)': (k, cred) => {
    if (k.read('cred.usage.counter', cred) !== 0 || cred === credOf(k, k.current))
      kernelBug(k, 'kernel/cred.c');
    k.heap.free(cred);
  },
  'bool capable(int cap)': (k, cap) => capable(k, cap),
  'bool ns_capable(struct user_namespace *ns, int cap)': (k, _ns, cap) => capable(k, cap),
  'bool ns_capable_noaudit(struct user_namespace *ns, int cap)': (k, _ns, cap) => capable(k, cap),
  'bool ns_capable_setid(struct user_namespace *ns, int cap)': (k, _ns, cap) => capable(k, cap),
  'bool has_capability(struct task_struct *t, int cap)': (k, task, cap) => allowed(k, task, cap),
  'bool has_capability_noaudit(struct task_struct *t, int cap)': (k, task, cap) => allowed(k, task, cap),
  'bool file_ns_capable(const struct file *file, struct user_namespace *ns, int cap)': (
    k,
    file,
    _ns,
    cap,
  ) => {
    const cred = k.read('file.f_cred', file);
    return cred === 0 || hasCapability(k, cred, cap) ? 1 : 0;
  },
  'bool current_in_userns(const struct user_namespace *target_ns)': () => 1,
  'int current_umask(void)': () => 0o022,
  // One user namespace, where kernel and user numbers are the same.
  'kuid_t make_kuid(struct user_namespace *ns, uid_t uid)': (_k, _ns, uid) => uid >>> 0,
  'kgid_t make_kgid(struct user_namespace *ns, gid_t gid)': (_k, _ns, gid) => gid >>> 0,
  'uid_t from_kuid(struct user_namespace *targ, kuid_t kuid)': (_k, _ns, uid) => uid >>> 0,
  'uid_t from_kuid_munged(struct user_namespace *targ, kuid_t kuid)': (_k, _ns, uid) => uid >>> 0,
  'gid_t from_kgid(struct user_namespace *targ, kgid_t kgid)': (_k, _ns, gid) => gid >>> 0,
  'gid_t from_kgid_munged(struct user_namespace *targ, kgid_t kgid)': (_k, _ns, gid) => gid >>> 0,
  'int in_group_p(kgid_t grp)': (k, gid) => (idOf(k, k.current, 'fs', 'gid') === gid >>> 0 ? 1 : 0),
  'int in_egroup_p(kgid_t grp)': (k, gid) => (idOf(k, k.current, 'e', 'gid') === gid >>> 0 ? 1 : 0),
});
