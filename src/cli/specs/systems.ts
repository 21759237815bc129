/** Commands of the further systems: `lkm SYSTEM [OPTION]... [TOOL [ARGUMENT]...]`, all of one shape. */
import type { CommandSpec, Example } from '../command.ts';
import { KEPT_TARGET } from './target.ts';

interface SystemWords {
  /** As in tools/systems.ts. */
  readonly name: string;
  readonly title: string;
  /** Its native commands as the summary names them: `kldload, kldunload, kldstat ...`. */
  readonly tools: string;
  /** Paragraphs of its own: releases, settings, where it looks for files. */
  readonly description: readonly string[];
  readonly examples: readonly Example[];
}

/** In the order help lists them. */
const WORDS: readonly SystemWords[] = [
  {
    name: 'windows',
    title: 'Windows',
    tools: 'sc, driverquery, reg, net ...',
    description: [
      'Drivers are services: `sc create` makes the key, `sc start` loads the file and calls DriverEntry, `sc stop` calls ' +
        'DriverUnload. A path of this machine may stand wherever the tool wants a path of Windows.',
      'Devices are read with `type \\\\.\\NAME`, written with `echo TEXT > \\\\.\\NAME`, and asked with `ioctl`, which is no ' +
        'command of Windows. Signatures are not enforced unless --set integrity=on; the release is --set release=NAME.',
      'Lines are those of cmd.exe: words in double quotes, backslashes as they are, `&`, `&&`, `||`, `>` and `>>`. Exit codes ' +
        'have 32 bits there; a process of this machine ends with the lowest eight, and the whole number is told beside it.',
      'The registry is filled by `reg import FILE.reg`, `reg load HIVE` or --set registry=FILE,... and written by `reg export`. ' +
        '`lkm boot windows --root FOLDER` reads Windows/System32/config/SYSTEM below the folder (or .reg files at its top) ' +
        'and starts its drivers by Start, Group, Tag and dependencies.',
    ],
    examples: [
      {
        command: 'lkm windows -c "sc create hello type= kernel binPath= hello.sys" -c "sc start hello"',
        explanation: 'make a service, start its driver',
      },
      {
        command: 'lkm run hello.sys --do "type \\\\.\\Hello"',
        explanation: 'load, read its device, unload',
      },
    ],
  },
  {
    name: 'netware',
    title: 'NetWare',
    tools: 'LOAD, UNLOAD, MODULES, SEARCH ...',
    description: [
      'The shell is the console of a server on i386. Modules are looked for along the search path, which begins with ' +
        'SYS:SYSTEM\\: the folder that --set sys=FOLDER names, or where the files are. CLIB is a part of the base ' +
        'kernel and is loaded when a module asks for it. SERVER runs STARTUP.NCF and AUTOEXEC.NCF.',
      'Modules give way to each other by themselves; WAIT lets time pass.',
    ],
    examples: [
      {
        command: "lkm netware -c 'LOAD CLIENT' -c 'TWICE 21' -c MODULES",
        explanation: 'a module and what it needs',
      },
      { command: 'lkm netware SERVER', explanation: 'start as a server starts, with its NCF files' },
    ],
  },
  {
    name: 'macos',
    title: 'macOS',
    tools: 'kextload, kextunload, kextstat, kextutil, kextlibs ...',
    description: [
      'A kernel extension is a bundle: a folder with the suffix .kext. One of this machine is copied into the session when ' +
        'it is first named, and belongs to root:wheel there as an installer would leave it (--set owner=host takes the ' +
        'real owner and mode). The kext folders are /System/Library/Extensions and /Library/Extensions; cp -R, chown and ' +
        'chmod install into them, and --set root=FOLDER fills them from a folder of this machine.',
      "Libraries of Apple's that are not installed get stand-ins: what a kext calls of them is missing, by name.",
      'The release decides the rules (--set release=10.6 to 15): signatures, System Integrity Protection, approval.',
    ],
    examples: [
      {
        command: 'lkm macos -c "kextload Board.kext" -c "echo hi > /dev/board" -c "cat /dev/board"',
        explanation: 'load a driver and use its device',
      },
      { command: 'lkm macos -s release=10.11 -s sip=on', explanation: 'a shell where kexts must be signed' },
      { command: 'lkm run Hello.kext', explanation: 'load, list and unload a bundle' },
    ],
  },
  {
    name: 'vxworks',
    title: 'VxWorks',
    tools: 'ld, unld, moduleShow, lkup, sp, i ...',
    description: [
      'The shell is the C interpreter: any function of a module is called by its name with arguments as C writes them, ' +
        'without parentheses if you like; variables are read, assigned and made. Nothing starts by itself when a module ' +
        'is loaded, undefined symbols are a warning, and a module can be unloaded under those that use it.',
      'Tasks run after each line until all of them wait; `taskDelay 60` lets a second of the system clock pass. The ' +
        'machine is x86-64, or i386 with --set machine=i386.',
    ],
    examples: [
      {
        command: 'lkm vxworks -c "ld < hello.o" -c "hello "Ada""',
        explanation: 'load a module, call a function of it',
      },
      { command: 'lkm vxworks -s machine=i386', explanation: 'a shell on a 32-bit kernel' },
      {
        command: 'lkm run ramdev.o --do "ramDevCreate "/ram0"" --do devs',
        explanation: 'load, use, unload a driver',
      },
    ],
  },
  {
    name: 'freebsd',
    title: 'FreeBSD',
    tools: 'kldload, kldunload, kldstat, sysctl ...',
    description: [
      'The release is that of the module on the command line (its own dependency on the kernel names it), else 13.2; ' +
        '`--set release=12.1` chooses another. Module files given lie in /boot/modules, with a linker.hints beside them if there is one.',
      'Interfaces that a GENERIC kernel has and that no file brings count as built in, with empty buses behind them; ' +
        '`--set config=minimal` leaves them out.',
    ],
    examples: [
      { command: 'lkm freebsd kldload -v hello.ko', explanation: 'load a fixture and show its id' },
      {
        command: "lkm freebsd -c 'kldload echo' -c 'echo hi > /dev/echo' -c 'cat /dev/echo'",
        explanation: 'use a character device',
      },
      { command: 'lkm freebsd --set release=7.0 kldload old.ko', explanation: 'built for 6.0: refused' },
    ],
  },
  {
    name: 'solaris',
    title: 'Solaris',
    tools: 'modload, modunload, modinfo, add_drv ...',
    description: [
      'Modules lie below /usr/kernel, in the directory of their class (drv, fs, misc, strmod, sys), 64-bit ones in a ' +
        'directory amd64 there; -p looks for a name like drv/echo along the module path, as the kernel itself does for a ' +
        'device that is opened or a file system that is mounted. A file of this machine is put there when it is named.',
      'Drivers get a major number with add_drv, and their files appear below /devices. What the kernel says goes to the ' +
        'console; dmesg shows it with message ids. The kernel is amd64, or i386 with --set isa=i386; --set debug=yes ' +
        'gives one that unloads what nobody uses.',
    ],
    examples: [
      {
        command: 'lkm solaris -c "modload -p misc/hello" -c modinfo',
        explanation: 'load a module and list it',
      },
      {
        command: 'lkm solaris -c "add_drv echo" -c "echo hi > /devices/pseudo/echo@0:echo"',
        explanation: 'add a driver and use its device',
      },
      { command: 'lkm solaris -s policy=enforce -s certs=ca.pem', explanation: 'load signed modules only' },
    ],
  },
];

function systemSpec({ name, title, tools, description, examples }: SystemWords): CommandSpec {
  return {
    name,
    summary: `a shell in ${/^[AEIOU]/.test(title) ? 'an' : 'a'} ${title} kernel: ${tools}`,
    usage: ['[OPTION]... TOOL [ARGUMENT]...', '[OPTION]... [--command LINE]...', '[OPTION]...'],
    description: [
      `Boots a ${title} kernel in this process. With a TOOL it runs that native command and ends with its exit code; ` +
        'everything after the name of the tool belongs to the tool. With --command, or with standard input that is ' +
        'no terminal, it runs the lines; on a terminal it gives a shell in which `help` lists the commands.',
      ...description,
    ],
    arguments: [
      { name: 'TOOL', summary: 'a native command of the system', complete: 'none' },
      {
        name: 'ARGUMENT',
        summary: 'its arguments, as on the system itself',
        repeat: true,
        complete: 'module',
      },
    ],
    options: [
      { name: 'command', short: 'c', value: 'LINE', repeat: true, summary: 'run this line and end' },
      { name: 'errexit', short: 'e', summary: 'end at the first line that fails' },
      {
        name: 'set',
        short: 's',
        value: 'NAME=VALUE',
        repeat: true,
        summary: 'a setting of the system, such as its release (--settings lists them)',
      },
      { name: 'settings', summary: 'list the settings' },
      KEPT_TARGET,
    ],
    shared: ['as', 'json', 'seed', 'engine', 'trace', 'profile', 'gdb'],
    native: true,
    examples,
    load: async () => {
      const { systemCommand } = await import('../commands/system.ts');
      return { command: systemCommand(name) };
    },
  };
}

export const SYSTEM_SPECS: readonly CommandSpec[] = WORDS.map(systemSpec);
