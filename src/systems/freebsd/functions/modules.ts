/** Functions that modules start and end with: module_register_init, SYSCALL_MODULE, event handlers, privileges. */
import { perKernel } from '../../../kernel/kernel.ts';
import type { Steps } from '../../../kernel/steps.ts';
import { guestText } from '../../../kernel/text/printf.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { FreeBsd } from '../freebsd.ts';
import { linkerOf } from '../kernel-linker.ts';
import { MOD } from '../modules.ts';
import { FREE, isTaken, SYSENT_ENTRIES, sysentOf } from '../sysent.ts';
import { kernelFunctions } from './define.ts';

/** Event handlers by the name of their list (EVENTHANDLER_REGISTER). */
interface EventHandler {
  readonly tag: Address;
  readonly list: string;
  readonly fn: Address;
  readonly arg: Address;
  readonly priority: number;
}

export const eventHandlers = perKernel(() => new Map<Address, EventHandler>());

export const moduleCalls = kernelFunctions({
  'void module_register_init(const void *arg)': (k, data) => k.state(linkerOf).registry.start(data),
  'int module_register(const struct moduledata *data, struct linker_file *container)': (k, data, file) => {
    const linker = k.state(linkerOf);
    return linker.registry.register(file, linker.fileName(file), data)?.errno ?? 0;
  },
  'struct module *module_lookupbyname(const char *name)': (k, name) =>
    k.state(linkerOf).registry.find(guestText(k, name)) ?? 0,
  'int module_getid(struct module *m)': (k, module) => k.read('module.id', module),
  'const char *module_getname(struct module *m)': (k, module) => k.read('module.name', module),
  'struct linker_file *module_file(struct module *m)': (k, module) => k.read('module.file', module),
  'void module_setspecific(struct module *m, void *data)': (k, module, data) =>
    k.write('module.data', module, k.memory.ptr(data)),
  'int priv_check(void *td, int priv)': (k, td) => (k.threads.uid(td) === 0 ? 0 : Errno.EPERM),
  'int priv_check_cred(void *cred, int priv, int flags)': (k, cred) =>
    k.threads.uidOfCredential(cred) === 0 ? 0 : Errno.EPERM,
  'int securelevel_gt(void *cred, int level)': (k, _cred, level) => (k.securelevel > level ? Errno.EPERM : 0),
  'int securelevel_ge(void *cred, int level)': (k, _cred, level) =>
    k.securelevel >= level ? Errno.EPERM : 0,
  'void *eventhandler_register(void *list, const char *name, void *func, void *arg, int priority)': (
    k,
    _list,
    name,
    fn,
    arg,
    priority,
  ) => {
    const tag = k.heap.allocate(64);
    k.state(eventHandlers).set(tag, { tag, list: guestText(k, name), fn, arg, priority });
    return tag;
  },
  'void *eventhandler_find_list(const char *name)': (k, name) => eventList(k, guestText(k, name)),
  'void eventhandler_deregister(void *list, void *tag)': (k, _list, tag) => {
    k.state(eventHandlers).delete(tag);
    k.heap.free(tag);
  },
  /** Until the function says something else than zero. */
  *'int linker_file_foreach(void *predicate, void *context)'(k, predicate, context) {
    for (const file of k.state(linkerOf).list()) {
      const answer = yield* k.callInt(predicate, file, context);
      if (answer !== 0) return answer;
    }
    return 0;
  },
  /** Where a linker set of a file begins and ends, and how many pointers are in it. */
  'int linker_file_lookup_set(struct linker_file *file, const char *name, void *firstp, void *lastp, int *countp)':
    (k, file, name, first, last, count) => {
      const set = k
        .state(linkerOf)
        .module(file)
        ?.section(`set_${guestText(k, name)}`);
      if (set === undefined) return Errno.ENOENT;
      if (first !== 0) k.memory.setPtr(first, set.address);
      if (last !== 0) k.memory.setPtr(last, set.address + set.size);
      if (count !== 0) k.memory.set32(count, Math.floor(set.size / k.word));
      return 0;
    },
  /** Every function of a file; what the kernel itself has is no machine code here. */
  *'int linker_file_function_listall(struct linker_file *file, void *callback, void *arg)'(k, file, fn, arg) {
    const module = k.state(linkerOf).module(file);
    if (module === undefined) return 0;
    const entry = k.heap.allocate(3 * k.word);
    for (const [i, { name, type, place }] of module.object.symbols.entries()) {
      const found = type === 'function' && place === 'section' ? module.symbols.get(name) : undefined;
      if (found === undefined) continue;
      const text = k.heap.string(name);
      for (const [at, value] of [text, found.address, found.size].entries())
        k.memory.setPtr(entry + at * k.word, value);
      const answer = yield* k.callInt(fn, file, i, entry, arg);
      k.heap.free(text);
      if (answer !== 0) break;
    }
    k.heap.free(entry);
    return 0;
  },
  // A handler that was taken away is gone at once.
  'void eventhandler_prune_list(void *list)': () => undefined,
  'void critical_enter(void)': () => undefined,
  'void critical_exit(void)': () => undefined,
  'void spinlock_enter(void)': () => undefined,
  'void spinlock_exit(void)': () => undefined,
});

/** Lists by name: only the address counts for a module, which hands it back. */
const eventLists = perKernel(() => new Map<string, Address>());

function eventList(k: FreeBsd, name: string): Address {
  const lists = k.state(eventLists);
  let at = lists.get(name);
  if (at === undefined) {
    at = k.data.reserve(128);
    lists.set(name, at);
  }
  return at;
}

/** Who wants to see what devd(8) is told (sys/kern/kern_devctl.c), besides devd itself, which nobody runs here. */
const notifyHook = perKernel<{ fn: Address }>(() => ({ fn: 0 }));

export const notifications = kernelFunctions({
  'void devctl_set_notify_hook(void *hook)': (k, fn) => {
    k.state(notifyHook).fn = fn;
  },
  'void devctl_unset_notify_hook(void)': (k) => {
    k.state(notifyHook).fn = 0;
  },
  *'void devctl_notify(const char *system, const char *subsystem, const char *type, const char *data)'(
    k,
    system,
    subsystem,
    type,
    data,
  ) {
    const { fn } = k.state(notifyHook);
    if (fn !== 0) yield* k.call(fn, system, subsystem, type, data);
  },
});

/** EVENTHANDLER_INVOKE: calls the handlers of a list, the lowest priority first. */
export function* invokeEvent(k: FreeBsd, list: string, ...args: number[]): Steps<void> {
  const handlers = [...k.state(eventHandlers).values()].filter((one) => one.list === list);
  handlers.sort((a, b) => a.priority - b.priority);
  for (const { fn, arg } of handlers) yield* k.call(fn, arg, ...args);
}

// -- system calls ---------------------------------------------------------------------------------------------

/** NO_SYSCALL: the kernel picks a free number. */
const NO_SYSCALL = -1;

/** syscall_register: the entry of the number is exchanged with the module's (sys/kern/kern_syscalls.c). */
function registerCall(k: FreeBsd, offsetAt: Address, entry: Address, oldAt: Address): number {
  let number = k.memory.i32(offsetAt);
  if (number === NO_SYSCALL) {
    number = FREE.first;
    while (number <= FREE.last && isTaken(k, number)) number++;
    if (number > FREE.last) return Errno.ENFILE;
    k.memory.set32(offsetAt, number);
  } else if (number < 0 || number >= SYSENT_ENTRIES) return Errno.EINVAL;
  else if (isTaken(k, number)) return Errno.EEXIST;
  exchange(k, number, entry, oldAt);
  return 0;
}

function exchange(k: FreeBsd, number: number, entry: Address, oldAt: Address): void {
  const at = sysentOf(k, number);
  const bytes = k.sizeof('sysent');
  if (oldAt !== 0) k.memory.write(oldAt, k.memory.bytes(at, bytes).slice());
  k.memory.write(at, k.memory.bytes(entry, bytes).slice());
}

/** syscall_deregister: the saved entry comes back; 0 stands for a call that was never registered. */
function deregisterCall(k: FreeBsd, offsetAt: Address, oldAt: Address): number {
  const number = k.memory.i32(offsetAt);
  if (number > 0 && number < SYSENT_ENTRIES) exchange(k, number, oldAt, 0);
  return 0;
}

/** syscall_module_handler: what SYSCALL_MODULE's moduledata has as its handler (sys/kern/kern_syscalls.c). */
function* syscallModule(k: FreeBsd, module: Address, what: number, data: Address): Steps<number> {
  const field = (name: string) => k.read(`syscall_module_data.${name}`, data);
  const chain = field('chainevh');
  const next = function* (): Steps<number> {
    return chain === 0 ? 0 : yield* k.callInt(chain, module, what, field('chainarg'));
  };
  const old = data + k.offset('syscall_module_data.old_sysent');
  if (what === MOD.LOAD) {
    const error = registerCall(k, field('offset'), field('new_sysent'), old);
    if (error !== 0) {
      k.write('syscall_module_data.offset', data, 0);
      return error;
    }
    k.write('module.data', module, k.memory.i32(field('offset')));
    return yield* next();
  }
  if (what === MOD.UNLOAD) {
    // A load that failed left the offset empty, so that nothing is taken away.
    if (field('offset') === 0) return 0;
    const error = yield* next();
    if (error !== 0) return error;
    deregisterCall(k, field('offset'), old);
    return 0;
  }
  return chain === 0 ? Errno.EOPNOTSUPP : yield* next();
}

export const systemCalls = kernelFunctions({
  'int syscall_register(int *offset, struct sysent *new_sysent, struct sysent *old_sysent, int flags)':
    registerCall,
  'int syscall_deregister(int *offset, struct sysent *old_sysent)': deregisterCall,
  'int syscall_module_handler(void *mod, int what, void *arg)': syscallModule,
  'int syscall_helper_register(void *sd, int flags)': registerHelpers,
  'int syscall_helper_unregister(void *sd)': unregisterHelpers,
  // The table of 32-bit programs on amd64 is one of its own, which nobody calls here.
  'int syscall32_register(int *offset, struct sysent *new_sysent, struct sysent *old_sysent, int flags)':
    () => 0,
  'int syscall32_deregister(int *offset, struct sysent *old_sysent)': () => 0,
  'int syscall32_helper_register(void *sd, int flags)': () => 0,
  'int syscall32_helper_unregister(void *sd)': () => 0,
  'int syscall32_module_handler(void *mod, int what, void *arg)': (_k, _module, what) =>
    what === MOD.LOAD || what === MOD.UNLOAD ? 0 : Errno.EOPNOTSUPP,
  'int nosys(void *td, void *args)': () => Errno.ENOSYS,
  'int lkmnosys(void *td, void *args)': () => Errno.ENOSYS,
  'int lkmressys(void *td, void *args)': () => Errno.ENOSYS,
  'int nullop(void)': () => 0,
  'int eopnotsupp(void)': () => Errno.EOPNOTSUPP,
});

/** struct syscall_helper_data: two sysents, the number, and whether it is registered; ends with number -1. */
function* helpers(
  k: FreeBsd,
  at: Address,
): Generator<{ offset: Address; entry: Address; registered: Address }> {
  const sysent = k.sizeof('sysent');
  const size = 2 * sysent + 8;
  for (let one = at; one < at + 4096 * size; one += size) {
    const offset = one + 2 * sysent;
    if (k.memory.i32(offset) === NO_SYSCALL) return;
    yield { offset, entry: one, registered: offset + 4 };
  }
}

function registerHelpers(k: FreeBsd, at: Address): number {
  for (const { offset, entry, registered } of helpers(k, at)) {
    const error = registerCall(k, offset, entry, entry + k.sizeof('sysent'));
    if (error !== 0) {
      unregisterHelpers(k, at);
      return error;
    }
    k.memory.set32(registered, 1);
  }
  return 0;
}

function unregisterHelpers(k: FreeBsd, at: Address): number {
  for (const { offset, entry, registered } of helpers(k, at)) {
    if (k.memory.i32(registered) === 0) continue;
    deregisterCall(k, offset, entry + k.sizeof('sysent'));
    k.memory.set32(registered, 0);
  }
  return 0;
}
