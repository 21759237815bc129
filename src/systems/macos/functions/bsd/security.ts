/** Who may do what, and who wants to hear of it: kauth (bsd/kern/kern_authorization.c), policies (security/mac_base.c), credentials. */
import { perKernel } from '../../../../kernel/kernel.ts';
import type { Steps } from '../../../../kernel/steps.ts';
import { guestText } from '../../../../kernel/text/printf.ts';
import type { Address } from '../../../../memory/space.ts';
import { ERRNO } from '../../errno.ts';
import type { Macos } from '../../macos.ts';
import { kernelFunctions } from '../define.ts';
import { procOf } from '../process.ts';

const NAME_BYTES = 256;

// -- kauth --------------------------------------------------------------------------------------------------------------

export interface Listener {
  readonly scope: string;
  readonly callback: Address;
  readonly data: Address;
  readonly handle: Address;
}

class Authorization {
  readonly listeners = new Set<Listener>();
  /** Scopes of kexts; those of the kernel have no callback that a kext could see. */
  readonly scopes = new Map<Address, Listener>();
  readonly policies = new Map<number, Address>();
}

export const authorization = perKernel<Authorization, Macos>(() => new Authorization());

/** KAUTH_RESULT_... of sys/kauth.h */
const RESULT = { ALLOW: 1, DENY: 2, DEFER: 3 } as const;
/** Scopes of the kernel's own, and what is told in that of file operations. */
const FILE_OPERATIONS = 'com.apple.kauth.fileop';
const VNODES = 'com.apple.kauth.vnode';
const GENERIC = 'com.apple.kauth.generic';
export const FILE_OPERATION = { OPEN: 1, CLOSE: 2 } as const;
/** KAUTH_FILEOP_CLOSE_MODIFIED */
export const MODIFIED = 2;
/** KAUTH_VNODE_READ_DATA and _WRITE_DATA */
export const VNODE_ACTION = { READ: 2, WRITE: 4 } as const;

/** Asks the listeners of a scope after its own decision (kauth_authorize_action): a denial stands, and somebody must allow. */
function* listenersDecide(
  k: Macos,
  scope: string,
  own: number,
  action: number,
  args: readonly Address[],
): Steps<number> {
  let result = own;
  const [a = 0, b = 0, c = 0, d = 0] = args;
  for (const { scope: theirs, callback, data } of [...k.state(authorization).listeners]) {
    if (theirs !== scope) continue;
    const answer = yield* k.callInt(callback, credential(k), data, action, a, b, c, d);
    if (answer === RESULT.DENY || result === RESULT.DEFER) result = answer;
  }
  return result;
}

/** kauth_authorize_action of a scope that a kext has registered. */
function* authorizeAction(
  k: Macos,
  handle: Address,
  action: number,
  args: readonly Address[],
): Steps<number> {
  const scope = k.state(authorization).scopes.get(handle);
  if (scope === undefined) return ERRNO.EPERM;
  const [a = 0, b = 0, c = 0, d = 0] = args;
  const own =
    scope.callback === 0
      ? RESULT.DEFER
      : yield* k.callInt(scope.callback, credential(k), scope.data, action, a, b, c, d);
  const result = yield* listenersDecide(k, scope.scope, own, action, args);
  return result === RESULT.ALLOW ? 0 : ERRNO.EPERM;
}

/** Tells of a file that was opened or closed; nobody is asked. */
export function* tellFileOperation(
  k: Macos,
  action: number,
  vnode: Address,
  path: Address,
  flags = 0,
): Steps<void> {
  yield* listenersDecide(k, FILE_OPERATIONS, RESULT.DEFER, action, [vnode, path, flags]);
}

/** May the process do this to a file? The kernel's own answer is yes; a listener that denies may say with what error. */
export function* authorizeVnode(k: Macos, context: Address, vnode: Address, action: number): Steps<number> {
  const error = k.heap.allocate(k.word, 'kauth');
  const result = yield* listenersDecide(k, VNODES, RESULT.ALLOW, action, [context, vnode, 0, error]);
  const said = k.memory.i32(error);
  k.heap.free(error);
  return result === RESULT.ALLOW ? 0 : said === 0 ? ERRNO.EACCES : said;
}

function listen(k: Macos, scope: string, callback: Address, data: Address): Address {
  const handle = k.heap.allocate(32, 'kauth');
  k.state(authorization).listeners.add({ scope, callback, data, handle });
  return handle;
}

function unlisten(k: Macos, handle: Address): void {
  const { listeners } = k.state(authorization);
  for (const one of listeners) {
    if (one.handle !== handle) continue;
    listeners.delete(one);
    k.heap.free(handle);
  }
}

/** A scope that is there already is not given again. */
function registerScope(k: Macos, scope: string, callback: Address, data: Address): Address {
  const { scopes } = k.state(authorization);
  const known = [FILE_OPERATIONS, VNODES, GENERIC, 'com.apple.kauth.process'];
  if (known.includes(scope) || [...scopes.values()].some((one) => one.scope === scope)) return 0;
  const handle = k.heap.allocate(32, 'kauth');
  scopes.set(handle, { scope, callback, data, handle });
  return handle;
}

function deregisterScope(k: Macos, handle: Address): void {
  if (k.state(authorization).scopes.delete(handle)) k.heap.free(handle);
}

/** `kauth_cred_t` of the process that runs: as opaque as the process itself. */
const credential = (k: Macos): Address => procOf(k);

export const kauth = kernelFunctions({
  'void *kauth_listen_scope(const char *scope, void *callback, void *data)': (k, scope, callback, data) =>
    listen(k, guestText(k, scope, NAME_BYTES), callback, data),
  'void kauth_unlisten_scope(void *listener)': unlisten,
  'void *kauth_register_scope(const char *scope, void *callback, void *data)': (k, scope, callback, data) =>
    registerScope(k, guestText(k, scope, NAME_BYTES), callback, data),
  'void kauth_deregister_scope(void *scope)': deregisterScope,
  'int kauth_authorize_action(void *scope, void *credential, int action, uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d)':
    (k, scope, _credential, action, ...args) => authorizeAction(k, scope, action, args.map(Number)),
  // KAUTH_GENERIC_ISSUSER is the only one there is: root is allowed.
  'int kauth_authorize_generic(void *credential, int action)': function* (k, _credential, action) {
    const own = k.process.uid === 0 ? RESULT.ALLOW : RESULT.DENY;
    const result = yield* listenersDecide(k, GENERIC, own, action, []);
    return result === RESULT.ALLOW ? 0 : ERRNO.EPERM;
  },
  'void *kauth_cred_get(void)': credential,
  'void *kauth_cred_get_with_ref(void)': credential,
  'void *kauth_cred_proc_ref(void *p)': credential,
  'void kauth_cred_ref(void *credential)': () => undefined,
  'void kauth_cred_unref(void **credential)': (k, at) => k.memory.setPtr(at, 0),
  'uid_t kauth_cred_getuid(void *credential)': (k) => k.process.uid,
  'uid_t kauth_cred_getruid(void *credential)': (k) => k.process.uid,
  'gid_t kauth_cred_getgid(void *credential)': (k) => (k.process.uid === 0 ? 0 : 20),
  'gid_t kauth_getgid(void)': (k) => (k.process.uid === 0 ? 0 : 20),
  'int kauth_cred_issuser(void *credential)': (k) => (k.process.uid === 0 ? 1 : 0),
  'int suser(void *credential, void *flags)': (k) => (k.process.uid === 0 ? 0 : ERRNO.EPERM),
  'void *proc_ucred(void *p)': credential,
});

// -- policies -----------------------------------------------------------------------------------------------------------

/** MPC_LOADTIME_FLAG_..., MPC_RUNTIME_FLAG_REGISTERED of security/mac_policy.h */
const NOT_LATE = 1;
const UNLOAD_OK = 2;
const REGISTERED = 1;
/** Where mpo_policy_destroy, _init and _initbsd stand among the operations, in every release since 10.6. */
const OPERATION = { destroy: 114, init: 115, initbsd: 116 } as const;

function* perform(k: Macos, policy: Address, which: keyof typeof OPERATION): Steps<void> {
  const operations = k.read('mac_policy_conf.mpc_ops', policy);
  const routine = k.memory.ptr(operations + OPERATION[which] * k.word);
  if (routine !== 0) yield* k.call(routine, policy);
}

/** The policy's short name; its address when its kext is gone. */
export const policyName = (k: Macos, policy: Address): string =>
  k.memory.peek(policy, 1).length === 0
    ? `at 0x${policy.toString(16)}`
    : guestText(k, k.read('mac_policy_conf.mpc_name', policy), NAME_BYTES);
const fullName = (k: Macos, policy: Address): string =>
  guestText(k, k.read('mac_policy_conf.mpc_fullname', policy), NAME_BYTES);

function* registerPolicy(k: Macos, policy: Address, handle: Address): Steps<number> {
  const { policies } = k.state(authorization);
  for (const [field, what] of [
    ['mpc_name', 'name is not set'],
    ['mpc_fullname', 'full name is not set'],
    ['mpc_ops', 'OPs field is NULL'],
  ] as const)
    if (k.read(`mac_policy_conf.${field}`, policy) === 0) throw k.panic(`panic(cpu 0): "policy's ${what}\n"`);
  const name = policyName(k, policy);
  if ((k.read('mac_policy_conf.mpc_loadtime_flags', policy) & NOT_LATE) !== 0) {
    k.print(`Module ${name} does not support late loading.\n`);
    return ERRNO.EPERM;
  }
  if ([...policies.values()].some((one) => policyName(k, one) === name)) return ERRNO.EEXIST;
  let free = 0;
  while (policies.has(free)) free++;
  policies.set(free, policy);
  k.memory.set32(handle, free);
  const slot = k.read('mac_policy_conf.mpc_field_off', policy);
  if (slot !== 0) k.memory.set32(slot, free);
  k.write('mac_policy_conf.mpc_runtime_flags', policy, REGISTERED);
  k.print(`calling mpo_policy_init for ${name}\n`);
  yield* perform(k, policy, 'init');
  const operations = k.read('mac_policy_conf.mpc_ops', policy);
  if (k.memory.ptr(operations + OPERATION.initbsd * k.word) !== 0) {
    k.print(`calling mpo_policy_initbsd for ${name}\n`);
    yield* perform(k, policy, 'initbsd');
  }
  k.print(`Security policy loaded: ${fullName(k, policy)} (${name})\n`);
  return 0;
}

function* unregisterPolicy(k: Macos, handle: number): Steps<number> {
  const { policies } = k.state(authorization);
  const policy = policies.get(handle);
  if (policy === undefined) return 0;
  if ((k.read('mac_policy_conf.mpc_loadtime_flags', policy) & UNLOAD_OK) === 0) return ERRNO.EBUSY;
  policies.delete(handle);
  yield* perform(k, policy, 'destroy');
  k.write('mac_policy_conf.mpc_runtime_flags', policy, 0);
  k.print(`Security policy unload: ${fullName(k, policy)} (${policyName(k, policy)})\n`);
  return 0;
}

export const policies = kernelFunctions({
  'int mac_policy_register(struct mac_policy_conf *policy, unsigned int *handle, void *data)': registerPolicy,
  'int mac_policy_unregister(unsigned int handle)': unregisterPolicy,
});
