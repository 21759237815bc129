/** `lkm boot SYSTEM` and `lkm halt SYSTEM`: a start told module by module, and a kernel that stays. */
import type { CommandSpec } from '../command.ts';
import { IDLE_MINUTES } from '../resident/limits.ts';
import { SYSTEM_SPECS } from './systems.ts';

const names = ['linux', ...SYSTEM_SPECS.map(({ name }) => name)];

const boot: CommandSpec = {
  name: 'boot',
  summary: 'start a system as its configuration says, tell how each module fares, keep the kernel',
  usage: ['[OPTION]... SYSTEM'],
  description: [
    'Starts a machine: reads what its configuration below --root wants loaded (and the command line of the kernel, ' +
      'with --append), loads the modules in that order into a kernel in a process of its own, and tells what became of ' +
      'each and which line asked for it. Without --root nothing but the kernel is started.',
    'For linux: the modules that the initramfs loads, then those of /etc/modules, modules-load.d and modules-load=, then those ' +
      'for the hardware of --modalias, by the rules of modprobe; blacklists, kernel.modules_disabled of sysctl.d, ' +
      'module_blacklist= and signatures refuse as they do there. A module of the initramfs that differs from the one in ' +
      'the root is told. Of the commands of modprobe.d those that call modprobe, true, false or exit are understood, and no ' +
      'other program is run.',
    'linux has no --set: what can be chosen of its kernel is --kernel, --append (the command line, whose parameters are the ' +
      'settings of Linux), --cert and --seed; --grub, --entry, --initramfs and --modalias are for linux alone.',
    'The kernel stays: `lkm SYSTEM --target sandbox TOOL` goes on in it, and `lkm halt SYSTEM` ends it. One kernel of ' +
      'each system is kept for a user; LKM_RUNTIME_DIR names another folder for its socket, for more of them.',
  ],
  arguments: [{ name: 'SYSTEM', summary: names.join(', '), required: true, complete: names }],
  options: [
    {
      name: 'root',
      value: 'FOLDER',
      complete: 'directory',
      summary: 'the root folder of the machine that starts (macos: or an archive of it)',
    },
    {
      name: 'append',
      value: 'TEXT',
      summary: "the kernel's command line, or the boot loader's, where there is one",
    },
    {
      name: 'grub',
      value: 'FILE',
      complete: 'file',
      summary: 'linux: take kernel, command line and initramfs from this boot menu',
    },
    {
      name: 'entry',
      value: 'NAME',
      summary:
        "linux: which entry of the menu: number, title, id or path of these (1>2, 'Advanced>Old'); or else the default",
      details: 'The default is that of the file, and of grubenv beside it.',
    },
    {
      name: 'initramfs',
      value: 'FILE',
      complete: 'file',
      summary: 'linux: the initramfs, packed or not, with microcode before it or without',
    },
    {
      name: 'modalias',
      value: 'FILE',
      complete: 'file',
      summary: 'linux: the hardware, a modalias a line (cat /sys/bus/*/devices/*/modalias)',
    },
    { name: 'once', summary: 'tell the story and end, instead of keeping the kernel' },
    {
      name: 'idle',
      value: 'MINUTES',
      type: 'integer',
      summary: `how long the kernel is kept when nobody asks (default ${IDLE_MINUTES})`,
    },
    {
      name: 'set',
      short: 's',
      value: 'NAME=VALUE',
      repeat: true,
      summary: 'a setting of another system than linux (lkm SYSTEM --settings lists them)',
    },
  ],
  shared: ['kernel', 'as', 'json', 'seed', 'engine', 'cert'],
  examples: [
    { command: 'lkm boot linux', explanation: 'a kernel that stays' },
    { command: 'lkm linux --target sandbox lsmod', explanation: 'a command in it' },
    {
      command:
        'lkm boot linux --root /mnt --grub /mnt/boot/grub/grub.cfg --append module_blacklist=loop --once',
      explanation: 'what a changed line of the boot menu would come to',
    },
    {
      command: 'lkm boot freebsd --root /mnt --once',
      explanation: 'what the loader.conf below /mnt comes to',
    },
  ],
  exits: { 1: 'the system did not come up' },
  load: () => import('../commands/boot.ts'),
};

const halt: CommandSpec = {
  name: 'halt',
  summary: 'end the kernel that `lkm boot` keeps',
  usage: ['[OPTION]... [SYSTEM]'],
  description: [
    'Shuts the kept kernel down in order and ends its process. One that does not answer is ended by force.',
  ],
  arguments: [{ name: 'SYSTEM', summary: `${names.join(', ')}; without it linux`, complete: names }],
  options: [],
  shared: ['json'],
  examples: [{ command: 'lkm halt linux', explanation: 'what `lkm boot linux` has started' }],
  exits: { 1: 'no kernel of that system is kept' },
  load: () => import('../commands/halt.ts'),
};

export const BOOT_SPECS: readonly CommandSpec[] = [boot, halt];
