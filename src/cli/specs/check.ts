/** `lkm check`: will these modules load on those kernels? */
import type { CommandSpec } from '../command.ts';

export const check: CommandSpec = {
  name: 'check',
  summary: 'will these modules load on those kernels, and if not, which rule refuses them?',
  usage: ['[OPTION]... MODULE... [--kernel KERNEL]...'],
  description: [
    "Runs the rules of a kernel's loader on module files, in the kernel's order and with its words, without loading " +
      'anything: for each pair the answer loads, refused or cannot tell (naming what is missing), the rule that refuses with ' +
      'the error, why, what to do, what the kernel would log, which taints it would get, and which modules must come first.',
    'A kernel is a vmlinuz (x86, arm, arm64, mips, s390x), an ELF vmlinux of any machine, a saved .kernel (`lkm kernel K -o x.kernel`), a package (.deb, .rpm), a ' +
      'folder with one or several (/boot, an unpacked package, a module tree such as /lib/modules/RELEASE, headers), a ' +
      'Module.symvers, a System.map, a configuration, or a list of stable symbols. Of the last few not all is known, and the ' +
      'answer says what would decide. Without --kernel it is the built-in Debian ' +
      'kernel. Which rules it has is read from its image, not guessed from its number.',
    'Nothing is said about what the init function of a module would return.',
  ],
  arguments: [
    {
      name: 'MODULE',
      summary:
        'a module file, or a folder of them (by their contents); NAME=VALUE behind one is an argument, as for insmod',
      required: true,
      repeat: true,
      complete: 'module',
    },
  ],
  options: [
    {
      name: 'kernel',
      value: 'KERNEL',
      repeat: true,
      complete: 'file',
      summary: 'a kernel to check against; may be given several times',
    },
    { name: 'rules', summary: 'list every rule with what became of it' },
    { name: 'matrix', summary: 'a table of all modules against all kernels, in parallel' },
    {
      name: 'html',
      value: 'FILE',
      complete: 'file',
      writes: true,
      summary: 'write the table into this file as a page',
    },
    {
      name: 'junit',
      value: 'FILE',
      complete: 'file',
      writes: true,
      summary: 'write the table into this file as test results',
    },
    {
      name: 'min-set',
      summary: 'the fewest of several builds of each module that serve all kernels',
    },
    {
      name: 'baseline',
      value: 'FILE',
      complete: 'file',
      summary: 'report only what changed since a table that was saved',
      details: 'The file is what `--matrix --json` wrote. The exit code counts only what changed.',
    },
    {
      name: 'args',
      value: 'TEXT',
      summary: 'arguments of the module, as behind `insmod FILE`; those that are names alone too',
    },
    { name: 'cmdline', value: 'TEXT', summary: 'the command line that kernel was started with' },
    { name: 'sig-enforce', summary: 'as if it took signed modules only, by its command line' },
    {
      name: 'lockdown',
      value: 'MODE',
      choices: ['none', 'integrity', 'confidentiality'],
      summary: 'as if it were locked down',
    },
    { name: 'modules-disabled', summary: 'as if loading were switched off until the next boot' },
    {
      name: 'force',
      value: 'WHAT',
      choices: ['vermagic', 'modversions', 'both'],
      summary: 'load by force, as modprobe --force-vermagic and --force-modversion',
    },
    {
      name: 'built-against',
      value: 'KERNEL',
      complete: 'file',
      summary: 'the kernel that the modules were built for: tells which types changed',
      details:
        'Without it the kernel is looked for among those of --kernel, in the module tree that a file lies in, and in /boot. ' +
        'With the type information (BTF) of both kernels the report names the struct and the member behind a version that ' +
        'changed, and what many of them have in common.',
    },
    {
      name: 'set',
      short: 's',
      value: 'NAME=VALUE',
      repeat: true,
      summary: "a setting of the kernel's system",
    },
  ],
  shared: ['cert', 'json'],
  examples: [
    {
      command: 'lkm check params.ko number=five --kernel /boot/vmlinuz-6.1',
      explanation: 'with an argument that its type does not take',
    },
    { command: 'lkm check hello.ko --kernel /boot', explanation: 'against every kernel in /boot' },
    {
      command: 'lkm check --matrix builds/ --kernel /boot --junit result.xml',
      explanation: 'a folder of modules, as test results',
    },
    {
      command: 'lkm check my.ko --kernel vmlinuz-6.12 --sig-enforce --json',
      explanation: 'as if signatures were enforced, for a program',
    },
  ],
  exits: {
    1: 'a module is refused',
    3: 'nobody can tell: something about the kernel is not known',
  },
  load: () => import('../commands/check.ts'),
};
