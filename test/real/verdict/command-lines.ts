/** Words of the kernel's command line that decide about every load, and a few modules to try them on. */
import type { KernelFile } from '../../../src/systems/linux/kernelfile/kernelfile.ts';
import { buildModule, modinfo, retag } from './module-builder.ts';
import type { LoadStep } from './qemu.ts';

export const COMMAND_LINES = [
  'module.sig_enforce=1 module.sig_enforce=0',
  'sysctl.kernel.modules_disabled=1',
  '-- module_blacklist=verdict_probe module.sig_enforce=1 nomodule lockdown=integrity',
  'lockdown=integrity lockdown=none',
  'module.sig_enforce',
  'module.sig_enforce=x',
  'module.sig-enforce=0 sig_enforce=1',
  'lockdown=confidentiality',
  'lockdown lockdown=INTEGRITY',
  'nomodule',
  'nomodule=0 nomodules',
  'sysctl.kernel/modules_disabled=1',
  'sysctl/kernel/modules_disabled=1',
  'sysctl.kernel.modules_disabled=0',
  'module_blacklist="a,verdict_probe,b"',
  'module_blacklist=two-words,crc7',
  'module_blacklist=verdict_probe module_blacklist=x',
  'modprobe.blacklist=verdict_probe module.blacklist=verdict_probe',
  'initcall_blacklist=init_module',
  'initcall_blacklist=init_module initcall_blacklist=x',
  'lsm=yama lockdown=integrity',
  'verdict_probe.number=x',
];

/** @param donor a module of the kernel's own build, signed */
export function underCommandLine(kernel: KernelFile, donor: Uint8Array): LoadStep[] {
  const steps: LoadStep[] = [];
  const add = (name: string, bytes: Uint8Array, more: Partial<LoadStep> = {}) =>
    steps.push({ name, how: 'finit', bytes, ...more });
  const plain = buildModule(kernel, { imports: ['_printk'] }).bytes;
  add('unsigned', plain);
  add('unsigned-init-module', plain, { how: 'init' });
  add('signed', donor);
  add('signed-init-module', donor, { how: 'init' });
  add('start-0', buildModule(kernel, { imports: ['_printk'], init: [0x31, 0xc0, 0xc3], exit: [0xc3] }).bytes);
  add('unknown-symbol', buildModule(kernel, { imports: ['no_such_symbol_a'] }).bytes);
  const name = 'two-words';
  add(
    'name-with-dash',
    buildModule(kernel, { name, structName: name, modinfo: modinfo(kernel, name) }).bytes,
  );
  add('argument', buildModule(kernel, { parameters: [{ name: 'number', type: 'int' }] }).bytes, {
    args: 'number=3',
  });
  const closed = retag(modinfo(kernel), 'license', 'Proprietary');
  add('proprietary', buildModule(kernel, { imports: ['_printk'], modinfo: closed }).bytes);
  return steps;
}
