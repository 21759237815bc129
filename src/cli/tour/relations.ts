/** Steps of the tour: modules among each other, and what they leave behind. */
import { Errno } from '../../systems/linux/errno.ts';
import { type Leak, leaksOf } from '../../tools/linux/leaks.ts';
import type { LinuxStep } from './record.ts';
import type { Stage } from './stage.ts';

const depends: LinuxStep = {
  name: 'depends',
  title: 'Modules depend on each other',
  statement:
    'A module can use what another exports, and then needs it. insmod loads one file and fails when something is ' +
    'missing; modprobe follows the depends= line of the file and loads the other first, and removes it last.',
  by: 'modprobe, insmod',
  play(stage) {
    stage.boot();
    const alone = stage.run('insmod importer_gpl.ko');
    stage.run('modprobe importer_gpl');
    const both = stage.run('lsmod').output;
    stage.run('modprobe -r importer_gpl');
    const none = stage.run('lsmod').output;
    stage.fact('insmod alone is refused: a symbol is unknown (ENOENT)', alone.errno === Errno.ENOENT);
    stage.fact(
      'modprobe brought the other module first',
      both.includes('\nexporter ') && both.includes('\nimporter_gpl '),
    );
    stage.fact('modprobe -r removed both', none.trim().split('\n').length === 1);
  },
};

const holders: LinuxStep = {
  name: 'holders',
  title: 'The kernel knows who holds whom',
  statement:
    'The kernel counts the users of each module and lists them. A module that others use cannot be removed until they ' +
    'are gone.',
  by: 'exporter: lsmod',
  play(stage) {
    stage.boot();
    for (const file of ['exporter.ko', 'importer_plain.ko', 'importer_gpl.ko']) stage.run(`insmod ${file}`);
    const list = stage.run('lsmod').output;
    const holding = stage.run('ls /sys/module/exporter/holders').output.trim().split('\n').sort();
    const tool = stage.run('rmmod exporter');
    stage.say('rmmod looked by itself. The bare system call is refused by the kernel:');
    const kernel = stage.run('delete_module exporter');
    stage.run('rmmod importer_gpl');
    stage.run('rmmod importer_plain');
    const last = stage.run('rmmod exporter');
    stage.fact('lsmod counts two users of exporter', /^exporter +\d+ +2 /m.test(list));
    stage.fact('and /sys names them', holding.join(' ') === 'importer_gpl importer_plain');
    stage.fact(
      'exporter stayed while it was used (EWOULDBLOCK), and went after them',
      tool.code !== 0 && kernel.errno === Errno.EAGAIN && last.code === 0,
    );
  },
};

const leaks: LinuxStep = {
  name: 'leaks',
  title: 'What a module forgets stays lost',
  statement:
    "The kernel frees a module's own pages, but not what the module allocated while it ran: that is the module's duty, " +
    'and what it forgets is lost until the next boot.',
  by: 'leak.ko',
  play(stage) {
    stage.boot();
    const tidy = leftOver(stage, 'tidy=1');
    const untidy = leftOver(stage, 'tidy=0');
    for (const { bytes, kind, where } of untidy)
      stage.say(`still there: ${bytes} bytes (${kind}), taken in ${where}`);
    stage.fact('the tidy run left nothing', tidy.length === 0);
    stage.fact(
      `the other left ${untidy.length} allocations, and each is named with its caller`,
      untidy.length > 0 && untidy.every(({ where }) => where.includes('leak_init')),
    );
  },
};

function leftOver(stage: Stage, how: string): readonly Leak[] {
  stage.run(`insmod leak.ko ${how}`);
  const module = stage.k.modules.find('leak');
  stage.run('rmmod leak');
  return module === undefined ? [] : leaksOf(stage.k, module);
}

const blacklist: LinuxStep = {
  name: 'blacklist',
  title: 'A boot option keeps a module out',
  statement:
    'When a module keeps the system from starting, it can be named on the command line of the kernel, ' +
    'in the boot loader: module_blacklist= makes the kernel refuse it.',
  by: 'module_blacklist=',
  play(stage) {
    stage.boot('module_blacklist=hello');
    const refused = stage.run('insmod hello.ko');
    const other = stage.run('insmod exporter.ko');
    stage.fact('the module that is named is refused (EPERM)', refused.errno === Errno.EPERM);
    stage.fact('the kernel says so', stage.logged('Module hello is blacklisted'));
    stage.fact('others load', other.code === 0);
  },
};

export const relations: readonly LinuxStep[] = [depends, holders, leaks, blacklist];
