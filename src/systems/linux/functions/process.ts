/** Modules' references to each other, and what code asks about the task it runs for. */

import { readable } from '../../../kernel/text/sink.ts';
import type { Address } from '../../../memory/space.ts';
import { Errno } from '../errno.ts';
import type { DataInitialiser, Linux } from '../linux.ts';
import { modulePut, tryModuleGet } from '../refcount.ts';
import { tainted, taintKernel } from '../taint.ts';
import { kernelBug } from './caller.ts';
import { kernelFunctions } from './define.ts';
import { format } from './format/printf.ts';
import { moduleRequest } from './request-module.ts';

/** MODULE_REF_BASE: the count of a live module that nobody uses. */
const REF_BASE = 1;
/** Longest name request_module takes (MODULE_NAME_LEN). */
const MODULE_NAME_BYTES = 56;

/** The module an address belongs to, and its struct module; 0 for the kernel's own. */
function moduleAt(k: Linux, address: Address): Address {
  return k.modules.at(address)?.control ?? 0;
}

function exportAddress(k: Linux, name: string): Address {
  const found = k.file.exports.find(name);
  if (found !== undefined) return k.link(found);
  return k.symbols.find(name) ?? 0;
}

export const moduleFunctions = kernelFunctions({
  'bool try_module_get(struct module *module)': (k, module) => (tryModuleGet(k, module) ? 1 : 0),
  'void __module_get(struct module *module)': (k, module) => {
    if (module === 0) return;
    k.write('module.refcnt.counter', module, k.read('module.refcnt.counter', module) + 1);
  },
  'void module_put(struct module *module)': (k, module) => modulePut(k, module),
  'int module_refcount(struct module *mod)': (k, module) =>
    k.read('module.refcnt.counter', module) - REF_BASE,
  'void *__symbol_get(const char *symbol)': (k, name) => {
    const address = exportAddress(k, k.memory.cstring(name));
    if (address === 0) return 0;
    const owner = moduleAt(k, address);
    return owner !== 0 && !tryModuleGet(k, owner) ? 0 : address;
  },
  'void __symbol_put(const char *symbol)': (k, name) => {
    const address = exportAddress(k, k.memory.cstring(name));
    if (address === 0) kernelBug(k, 'kernel/module/main.c:784');
    modulePut(k, moduleAt(k, address));
  },
  'void symbol_put_addr(void *addr)': (k, address) => modulePut(k, moduleAt(k, address)),
  'int __request_module(bool wait, const char *fmt, ...)': function* (k, wait, fmt, args) {
    const out = format(k, fmt, args, MODULE_NAME_BYTES);
    if (out.length >= MODULE_NAME_BYTES) return -Errno.ENAMETOOLONG;
    return yield* k.state(moduleRequest).load(k, readable(out.text), wait !== 0);
  },
  'void add_taint(unsigned int flag, enum lockdep_ok lockdep_ok)': (k, flag, lockdep) =>
    taintKernel(k, flag, lockdep === 0),
  'int test_taint(unsigned int flag)': (k, flag) => (tainted(k, flag) ? 1 : 0),
});

// -- other CPUs: there are none, so everything runs here -------------------------------------------------------------

/** No such CPU, or none online. */
const ENXIO = Errno.ENXIO;

export const crossCpu = kernelFunctions({
  'int smp_call_function_single(int cpu, smp_call_func_t func, void *info, int wait)': function* (
    k,
    cpu,
    func,
    info,
  ) {
    if (cpu !== 0) return -ENXIO;
    yield* k.call(func, info);
    return 0;
  },
  'void smp_call_function(smp_call_func_t func, void *info, int wait)': () => undefined,
  'void smp_call_function_many(const struct cpumask *mask, smp_call_func_t func, void *info, bool wait)':
    () => undefined,
  'void on_each_cpu_cond_mask(smp_cond_func_t cond_func, smp_call_func_t func, void *info, bool wait, const struct cpumask *mask)':
    function* (k, condition, func, info, _wait, mask) {
      if ((k.memory.u8(mask) & 1) === 0) return;
      if (condition !== 0 && ((yield* k.callInt(condition, 0, info)) & 0xff) === 0) return;
      yield* k.call(func, info);
    },
  'void synchronize_irq(unsigned int irq)': () => undefined,
});

export const processData: readonly DataInitialiser[] = [
  {
    symbol: 'overflowuid',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, Uint8Array.of(0xfe, 0xff, 0, 0)),
  },
  {
    symbol: 'overflowgid',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, Uint8Array.of(0xfe, 0xff, 0, 0)),
  },
  // SYSTEM_RUNNING (enum system_states).
  {
    symbol: 'system_state',
    when: 'import',
    fill: (k, at) => k.memory.poke(at, Uint8Array.of(systemRunning(k), 0, 0, 0)),
  },
];

function systemRunning(k: Linux): number {
  return k.types.hasEnumerator('SYSTEM_RUNNING') ? k.types.enumerator('SYSTEM_RUNNING') : 3;
}
