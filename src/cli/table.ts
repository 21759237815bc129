/**
 * The command table: the one place that says which commands there are and what they take. Help, man pages, completion
 * and argument parsing are made from it, so a command changed here is changed in all of them (`npm run man` rewrites
 * the pages; a test fails when they are stale).
 */
import type { CommandSpec } from './command.ts';
import { BOOT_SPECS } from './specs/boot.ts';
import { CATALOG_SPECS } from './specs/catalog.ts';
import { check } from './specs/check.ts';
import { sign } from './specs/sign.ts';
import { SYSTEM_SPECS } from './specs/systems.ts';
import { LINUX_TARGET } from './specs/target.ts';

const RUNNING = ['kernel', 'as', 'seed', 'target', 'engine', 'trace', 'profile', 'gdb'] as const;

const inspect: CommandSpec = {
  name: 'inspect',
  summary: 'show what a module file is, on one screen',
  usage: ['[OPTION]... FILE...'],
  description: [
    'Says which system a file belongs to without being told: it goes by the contents, not by the name.',
    'Reads a kernel module (.ko, also compressed with gzip, xz or zstd) and shows its format and machine, what it ' +
      'says about itself (name, version, licence, vermagic, dependencies, parameters), what it needs and offers, ' +
      'how much of that the base kernel here brings, ' +
      'the sizes of its parts, and whether it is signed. The file is not run.',
    '`lkm FILE` is short for `lkm inspect FILE`.',
  ],
  arguments: [
    {
      name: 'FILE',
      summary: 'a module file; - reads standard input',
      required: true,
      repeat: true,
      complete: 'module',
    },
  ],
  options: [
    { name: 'imports', summary: 'also list every symbol the module needs' },
    { name: 'exports', summary: 'also list every symbol the module offers' },
    { name: 'sections', summary: 'also list every section with its size and flags' },
  ],
  shared: ['kernel', 'json'],
  examples: [
    { command: 'lkm hello.ko', explanation: 'one screen about hello.ko' },
    { command: 'lkm inspect --imports e1000.ko.xz', explanation: 'and the symbols it needs' },
  ],
  load: () => import('./commands/inspect.ts'),
};

const run: CommandSpec = {
  name: 'run',
  summary: 'load modules into a fresh kernel, use them, unload them, report leaks',
  usage: ['[OPTION]... FILE... [PARAMETER]...'],
  description: [
    'Boots a kernel in this process, loads the files in the order given and executes their machine code. The kernel ' +
      'log appears as it is written. Parameters go to the module before them. Then the --do commands run (on a ' +
      'terminal without --do: a prompt), the modules are unloaded in reverse order, and what they did not give back ' +
      'is reported.',
    'Modules that a file depends on are loaded before it when they lie beside it, or in the module tree ' +
      '(/lib/modules/RELEASE) that it is part of.',
    'The first file decides the system; its kernel, its settings (--set) and its commands are used. A word that names ' +
      'nothing on the disk and does not end like a module file is a parameter of the module before it: Linux and NetWare take them, ' +
      'other systems say where such things are set.',
    'With --json (schema lkm.run/1) `modules` has, for every system alike: file, neededBy, module, load and unload (outcome, code, ' +
      'errno, rule, out, err, why, hint), ownBytes, ownPages, registered, leaks (bytes, kind, where, address) and left; null stands ' +
      'for what a system does not have.',
  ],
  arguments: [
    { name: 'FILE', summary: 'a module file', required: true, repeat: true, complete: 'module' },
    {
      name: 'PARAMETER',
      summary: 'NAME=VALUE for Linux; for the module named before it',
      repeat: true,
      complete: 'none',
    },
  ],
  options: [
    {
      name: 'do',
      value: 'COMMAND',
      repeat: true,
      summary: "a shell command to run while it is loaded, such as 'cat /dev/x'",
    },
    {
      name: 'missing',
      value: 'HOW',
      choices: ['refuse', 'stop', 'stand-in'],
      summary: 'kernel functions that nobody wrote: refuse the load, stop at the call, or stand in',
      details:
        'A stand-in returns a typed result made from its prototype. Each one reached is named and counted: a run ' +
        'that reached one is never called clean.',
    },
    { name: 'strict', summary: 'refuse a licence string that hides text behind a NUL byte' },
    {
      name: 'set',
      short: 's',
      value: 'NAME=VALUE',
      repeat: true,
      summary: 'a setting of the system, for other systems than Linux (lkm SYSTEM --settings lists them)',
    },
  ],
  shared: [...RUNNING, 'cert', 'json'],
  examples: [
    { command: 'lkm run hello.ko whom=Ada', explanation: 'load with a parameter, show the log, unload' },
    { command: "lkm run greet.ko --do 'cat /dev/greet'", explanation: 'read the device it adds' },
  ],
  exits: {
    1:
      'a module was refused, faulted or could not be unloaded, a --do command failed, memory leaked, or a kernel ' +
      'function was reached that nobody wrote',
  },
  load: () => import('./commands/run.ts'),
};

const linux: CommandSpec = {
  name: 'linux',
  summary: 'a shell in a Linux kernel: insmod, rmmod, lsmod, dmesg, cat, echo, mount ...',
  usage: [
    '[OPTION]... [SCRIPT]',
    '[OPTION]... COMMAND [ARGUMENT]...',
    'depmod|modprobe|modinfo|insmod|rmmod|lsmod|kmod [ARGUMENT]...',
  ],
  description: [
    'Boots a Linux kernel in this process and gives a shell in it, with history and completion on a terminal. With a ' +
      'SCRIPT, with --command, or with standard input that is no terminal it runs the lines and ends with the exit ' +
      'code of the last one. `help` in the shell lists its commands; one of them as the first word is run, and that is all.',
    'depmod, modprobe, modinfo, insmod, rmmod, lsmod and kmod as the first word are the module tools themselves: they ' +
      'work on the module trees and the kernel of this machine, not on the kernel in this process, with the options, ' +
      'the words and the exit codes of kmod. Trees of any kernel can be indexed and asked on any operating system. A link ' +
      'to lkm with the name of a tool is that tool.',
    'Each of them also takes, written in full, before or behind its name: --json (what it did or found, as one object with the schema ' +
      'lkm.kmod.TOOL/1), --stdin (a command line for each line of standard input, in one process), --summary (of ' +
      'messages that differ in names alone, three and a count), --reroot (modprobe.d and depmod.d are those below the ' +
      'root given with -d or -b) and --target sandbox (the kernel that `lkm boot linux` keeps).',
    'depmod also takes --incremental: only modules that changed since its last run are read. What it knows of ' +
      'the others is in hidden files beside the indexes, which a run without it removes. A path may go on inside an ' +
      'archive (tar, cpio or initramfs, zip, deb, rpm): depmod -b linux-image.deb -o OUT RELEASE.',
    'In modprobe.d, `mask NAME REASON` keeps a module (wildcards are allowed) from being loaded by any name or for any ' +
      'other module, and REASON is shown. All softdep lines of your files count, and those of the tree do not beside ' +
      'them. --compat is exactly as kmod, which knows no mask and takes one softdep line alone.',
  ],
  arguments: [
    { name: 'SCRIPT', summary: 'a file of shell commands; - reads standard input', complete: 'file' },
    { name: 'ARGUMENT', summary: 'of a module tool', repeat: true, complete: 'file' },
  ],
  options: [
    { name: 'command', short: 'c', value: 'COMMAND', repeat: true, summary: 'run this line and end' },
    { name: 'errexit', short: 'e', summary: 'end at the first line that fails' },
    { name: 'cmdline', value: 'TEXT', summary: 'the kernel command line, such as module_blacklist=hello' },
    LINUX_TARGET,
    { name: 'stdin', summary: 'module tools: a command line for each line of standard input' },
    { name: 'summary', summary: 'module tools: of messages that differ in names alone, three and a count' },
    { name: 'reroot', summary: 'module tools: configuration is that below the root of the tree' },
    { name: 'compat', summary: 'module tools: exactly as kmod, where lkm does more' },
  ],
  shared: [...RUNNING.filter((name) => name !== 'target'), 'cert', 'json'],
  examples: [
    { command: 'lkm linux', explanation: 'a prompt' },
    { command: "lkm linux -c 'insmod hello.ko' -c lsmod", explanation: 'two lines, then the end' },
    { command: 'lkm linux depmod -b /mnt/image 6.1.0-56-amd64', explanation: 'the indexes of another tree' },
    { command: 'lkm linux modprobe --json -D ext4', explanation: 'what would be loaded, for a program' },
  ],
  native: true,
  load: () => import('./commands/linux.ts'),
};

const memory: CommandSpec = {
  name: 'memory',
  summary: 'the memory map, and what modules cost in pages and TLB entries',
  usage: ['[OPTION]... [FILE]...'],
  description: [
    'Prints the map of a running kernel with the given modules loaded (without any: those that come with lkm for ' +
      'this), and measures what is said about modules: that they save memory, waste the ends of their pages, ' +
      'fragment the kernel and cost TLB entries. It ends in sentences that say whether each claim holds, and by how ' +
      'much. What is measured and what is simulated stands at its end.',
  ],
  arguments: [{ name: 'FILE', summary: 'modules to load first', repeat: true, complete: 'module' }],
  options: [
    { name: 'svg', value: 'FILE', complete: 'file', writes: true, summary: 'draw the map into this file' },
    {
      name: 'cycles',
      value: 'N',
      type: 'integer',
      summary: 'load and unload this many times between measuring (default 300)',
    },
  ],
  shared: ['kernel', 'json', 'seed'],
  examples: [{ command: 'lkm memory --svg map.svg', explanation: 'print the map and draw it' }],
  load: () => import('./commands/memory.ts'),
};

const kernel: CommandSpec = {
  name: 'kernel',
  summary: 'show what a kernel file holds, or save it as a small description',
  usage: ['[OPTION]... FILE'],
  description: [
    'Reads a vmlinuz, a vmlinux or a saved .kernel: release, vermagic, exported symbols with their versions and ' +
      'namespaces, structure layouts, and which rules its loader has, read from the image itself.',
    'A kernel that was built without type information (Debian has none in 32-bit ones) takes it from FILE.btf beside ' +
      'it, which `pahole --btf_encode_detached` makes of the debug file.',
  ],
  arguments: [
    { name: 'FILE', summary: 'a kernel image, a .kernel, or builtin:NAME', required: true, complete: 'file' },
  ],
  options: [
    {
      name: 'output',
      short: 'o',
      value: 'FILE',
      complete: 'file',
      writes: true,
      summary: 'save the description here, for --kernel',
    },
  ],
  shared: ['json'],
  examples: [
    { command: 'lkm kernel /boot/vmlinuz-6.1.0-56-amd64', explanation: 'what modules for it must match' },
    {
      command: 'lkm kernel vmlinuz -o x.kernel',
      explanation: 'a small file to commit and to use with --kernel',
    },
  ],
  load: () => import('./commands/kernel.ts'),
};

const tour: CommandSpec = {
  name: 'tour',
  summary: 'the subject, step by step, on modules that come with lkm',
  usage: ['[OPTION]... [STEP]...'],
  description: [
    'Shows what loadable kernel modules are by running some: each step names the statement it shows and then does it. ' +
      '`npm start` runs it.',
  ],
  arguments: [{ name: 'STEP', summary: 'only these steps (see --list)', repeat: true, complete: 'none' }],
  options: [{ name: 'list', summary: 'list the steps' }],
  shared: ['json', 'seed'],
  examples: [
    { command: 'lkm tour --list', explanation: 'what there is to see' },
    { command: 'lkm tour driver oops', explanation: 'two steps of it' },
  ],
  exits: { 1: 'a step did not show what it says' },
  load: () => import('./commands/tour.ts'),
};

const lab: CommandSpec = {
  name: 'lab',
  summary: 'measurements over whole module trees (for work on lkm itself)',
  usage: ['census [OPTION]... DIRECTORY', 'agree [OPTION]... DIRECTORY'],
  description: [
    'census loads each module below DIRECTORY with its dependencies into a fresh kernel, puts the hashes, ciphers and ' +
      'compressors it adds to use, unloads it, and says what happened: loaded, kernel-refused, sandbox-lacks or fault. ' +
      'What it computed is compared with another implementation, or turned back.',
    'agree does that under every engine, and compares what each module came to: results, log with its times, instructions, ' +
      'and every byte of memory at the end. Without --sample it takes 40 modules.',
    'Below a DIRECTORY with modules of other systems agree takes those: each is loaded, the commands of its system that take no ' +
      'words and those of --do are run, it is unloaded; besides the engines, single steps are compared.',
  ],
  arguments: [
    {
      name: 'census',
      summary: 'the measurement: census or agree',
      required: true,
      complete: ['census', 'agree'],
    },
    {
      name: 'DIRECTORY',
      summary: 'a tree of modules, such as /lib/modules/RELEASE',
      required: true,
      complete: 'directory',
    },
  ],
  options: [
    { name: 'jsonl', summary: 'one JSON object a line for each module' },
    { name: 'sample', value: 'N', type: 'integer', summary: 'only this many, chosen by --seed' },
    {
      name: 'do',
      value: 'COMMAND',
      repeat: true,
      summary: "agree, for other systems: a command of the system's to run while each is loaded",
    },
    {
      name: 'set',
      value: 'NAME=VALUE',
      repeat: true,
      summary: 'agree, for other systems: a setting of the kernel',
    },
    {
      name: 'use',
      value: 'MIB',
      type: 'integer',
      most: 1024,
      summary: 'MiB that go through each algorithm a module adds (default 16); 0: none',
    },
  ],
  shared: ['kernel', 'json', 'seed', 'engine'],
  examples: [
    { command: 'lkm lab census /lib/modules/6.1.0-56-amd64 --jsonl', explanation: 'a line for each module' },
  ],
  load: () => import('./commands/lab.ts'),
};

const completion: CommandSpec = {
  name: 'completion',
  summary: 'print a completion script for bash, zsh or fish',
  usage: ['bash|zsh|fish'],
  description: ['Prints a static script: pressing TAB starts no process.'],
  arguments: [
    { name: 'SHELL', summary: 'bash, zsh or fish', required: true, complete: ['bash', 'zsh', 'fish'] },
  ],
  options: [],
  shared: [],
  examples: [
    { command: 'eval "$(lkm completion bash)"', explanation: 'in ~/.bashrc' },
    { command: 'lkm completion fish > ~/.config/fish/completions/lkm.fish', explanation: 'for fish' },
  ],
  load: () => import('./commands/completion.ts'),
};

const help: CommandSpec = {
  name: 'help',
  summary: 'show help for a command',
  usage: ['[OPTION]... [COMMAND]...'],
  description: [
    'Without a command: the list of commands. With --json: the whole command table, for other tools.',
  ],
  arguments: [{ name: 'COMMAND', summary: 'the command', repeat: true, complete: 'none' }],
  options: [],
  shared: ['json'],
  examples: [{ command: 'lkm help run', explanation: 'the same as lkm run --help' }],
  load: () => import('./commands/help.ts'),
};

const version: CommandSpec = {
  name: 'version',
  summary: 'show the version of lkm and of Node',
  usage: ['[OPTION]...'],
  description: ['What to write into a report of a defect.'],
  arguments: [],
  options: [],
  shared: ['json'],
  examples: [],
  load: () => import('./commands/version.ts'),
};

/** In the order help lists them. */
export const COMMANDS: readonly CommandSpec[] = [
  inspect,
  run,
  check,
  linux,
  ...SYSTEM_SPECS,
  ...CATALOG_SPECS,
  sign,
  ...BOOT_SPECS,
  memory,
  kernel,
  tour,
  lab,
  completion,
  help,
  version,
];
