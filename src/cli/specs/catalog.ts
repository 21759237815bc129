/** `lkm deps`, `lkm diff`, `lkm index`: sets of module files of any system. */
import type { CommandSpec } from '../command.ts';

const TREE = {
  name: 'TREE',
  summary: 'a folder of module files, or an archive (tar, cpio, zip, deb, rpm)',
  required: true,
  complete: 'file',
} as const;

const deps: CommandSpec = {
  name: 'deps',
  summary: 'who needs whom among module files, why, and what has to come along',
  usage: ['[OPTION]... TREE [NAME]...', '--why [OPTION]... TREE NAME NAME'],
  description: [
    'Reads the module files of a tree, of whatever system, and finds out who needs whom from the symbols they offer and ' +
      'need and from what they say of each other; no index is asked. A NAME is that of a module or, on Linux, an alias ' +
      'such as pci:v00008086d000010D3sv... ; without one all modules are shown, with cycles.',
    '--files lists what an image needs for the modules named: hard, soft and weak dependencies in an order in which each ' +
      'comes after what it needs, then firmware.',
  ],
  arguments: [TREE, { name: 'NAME', summary: 'a module or an alias', repeat: true, complete: 'none' }],
  options: [
    { name: 'reverse', summary: 'who needs it, instead of what it needs' },
    { name: 'why', summary: 'by which symbols the first NAME needs the second, step by step' },
    { name: 'files', summary: 'the files and firmware they need, for an initramfs' },
    { name: 'dot', summary: 'a graph for graphviz' },
    { name: 'svg', value: 'FILE', complete: 'file', writes: true, summary: 'draw the graph into this file' },
  ],
  shared: ['json'],
  examples: [
    { command: 'lkm deps /lib/modules/6.1.0-56-amd64 ext4', explanation: 'a tree, with symbols' },
    {
      command: 'lkm deps --why linux-image.deb ext4 mbcache',
      explanation: 'from a package, unpacked nowhere',
    },
    { command: 'lkm deps --files /lib/modules/6.1.0-56-amd64 e1000e btrfs', explanation: 'for an initramfs' },
  ],
  exits: { 1: 'a NAME is not there, or --why found no way' },
  load: () => import('../commands/deps.ts'),
};

const diff: CommandSpec = {
  name: 'diff',
  summary: 'what came, went and changed between two trees of module files',
  usage: ['[OPTION]... TREE1 TREE2'],
  description: [
    'Modules that went and came; of those in both: version, exported symbols that went, came or have another version (CRC), ' +
      'parameters, aliases and dependencies; symbols that another module offers now.',
  ],
  arguments: [
    { ...TREE, name: 'TREE1' },
    { ...TREE, name: 'TREE2' },
  ],
  options: [],
  shared: ['json'],
  examples: [
    {
      command: 'lkm diff /lib/modules/6.1.0-47-amd64 /lib/modules/6.1.0-56-amd64',
      explanation: 'what an update changes',
    },
  ],
  exits: { 1: 'something differs' },
  load: () => import('../commands/diff.ts'),
};

const index: CommandSpec = {
  name: 'index',
  summary: 'write the index files that the system of a tree keeps of its modules',
  usage: ['[OPTION]... TREE'],
  description: [
    'Recognises the system by the module files: for Linux it writes modules.dep and its like, as depmod does (the folder is ' +
      'named by its release, or holds such folders in lib/modules), for FreeBSD linker.hints in each folder with modules, as ' +
      'kldxref does. What was written is listed. An archive is only read: --output says where its indexes go.',
  ],
  arguments: [
    {
      name: 'TREE',
      summary: 'a folder of module files, or an archive (tar, cpio, zip, deb, rpm)',
      required: true,
      complete: 'file',
    },
  ],
  options: [
    {
      name: 'output',
      short: 'o',
      value: 'DIR',
      complete: 'directory',
      summary: 'write the indexes into the same folders below DIR, and leave the tree as it is',
    },
  ],
  shared: ['json'],
  examples: [
    { command: 'lkm index /mnt/lib/modules/6.1.0-56-amd64', explanation: 'modules.dep and the others' },
    { command: 'lkm index /mnt/boot/modules', explanation: 'linker.hints' },
    { command: 'lkm index -o /tmp/indexes linux-image.deb', explanation: 'of modules in a package' },
  ],
  load: () => import('../commands/index.ts'),
};

export const CATALOG_SPECS: readonly CommandSpec[] = [deps, diff, index];
