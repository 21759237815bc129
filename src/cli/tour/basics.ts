/** Steps of the tour: what a module is, and that it extends a running kernel and leaves it again. */
import { Errno } from '../../systems/linux/errno.ts';
import { moduleFacts } from '../module-facts.ts';
import { moduleScreen } from '../module-screen.ts';
import { makeStyle } from '../style.ts';
import type { LinuxStep } from './record.ts';
import type { Stage } from './stage.ts';

const SCREEN = { imports: false, exports: false, sections: false, columns: 76, style: makeStyle(false) };

const whatItIs: LinuxStep = {
  name: 'module',
  title: 'A module is an object file for the kernel',
  statement:
    'A loadable kernel module is an object file: code and data that are not a program, but a part that a ' +
    'kernel can take in while it runs. On Linux it is a relocatable ELF file whose name ends in .ko.',
  by: 'lkm hello.ko',
  play(stage) {
    const facts = moduleFacts(stage.fixture('hello.ko'));
    stage.show('lkm hello.ko', moduleScreen('hello.ko', facts, SCREEN));
    const { description, kind, machine } = facts;
    stage.fact(
      'it is a relocatable object file with machine code for x86-64',
      kind === 'relocatable' && machine === 'x86-64',
    );
    stage.fact(
      'it calls functions that it does not have: the kernel must lend them',
      description.imports.some(({ name }) => name === '_printk'),
    );
    stage.fact(
      'it says of itself for which kernel it was built',
      description.vermagic.startsWith(stage.kernelFile.release),
    );
  },
};

const baseKernel: LinuxStep = {
  name: 'kernel',
  title: 'A base kernel runs without any module',
  statement:
    'The base kernel is what is always there. It works with no module loaded, and it offers a list of symbols, ' +
    'its functions and data, that modules may use.',
  by: 'boot, lsmod',
  play(stage) {
    stage.boot();
    const version = stage.run('cat /proc/version');
    const listed = stage.run('lsmod');
    const { k, kernelFile } = stage;
    const { total, free } = k.memory.frames.statistics();
    stage.say(
      `It has ${total * 4} KiB of memory, of which ${(total - free) * 4} KiB are in use, and offers ` +
        `${kernelFile.exports.size} symbols, ${[...kernelFile.exports].filter(({ gplOnly }) => gplOnly).length} ` +
        'of them to modules under the GPL only.',
    );
    stage.fact('the kernel runs and says which it is', version.output.includes(kernelFile.release));
    stage.fact('no module is loaded', listed.output.trim().split('\n').length === 1);
  },
};

const extend: LinuxStep = {
  name: 'extend',
  title: 'It extends a kernel that runs, and leaves it',
  statement:
    'A module is loaded into the running kernel, without a reboot; its code then runs with the rights of the ' +
    'kernel. When it is no longer needed it is unloaded, and its memory is free again.',
  by: 'hello.ko: insmod',
  play(stage) {
    stage.boot();
    const { k } = stage;
    const first = cycle(stage, 'Ada');
    stage.say(
      'The first two lines are what this kernel says to the first module that was not built and signed with it. ' +
        'The other steps leave them out.',
    );
    const instructions = k.cpu.retired;
    const second = cycle(stage, 'Grace');
    stage.say(
      `Free pages of 4 KiB: ${first.before} before the first load, ${first.during} with the module, ` +
        `${first.after} after; then ${second.before}, ${second.during}, ${second.after}. (The first load also ` +
        `wakes caches of the kernel itself, which stay.)`,
    );
    stage.fact(`machine code of the module ran: ${instructions} instructions`, instructions > 0);
    stage.fact(
      'it did its work in the kernel: it wrote to the kernel log',
      stage.logged('hello: hello, Ada'),
    );
    stage.fact('lsmod lists it while it is there', first.listed && second.listed);
    stage.fact(
      `loaded, it holds ${second.before - second.during} pages; unloaded, every one is back`,
      second.before > second.during && second.after === second.before && k.moduleArea.usedPages === 0,
    );
  },
};

function cycle(stage: Stage, whom: string) {
  const { frames } = stage.k.memory;
  const before = frames.freePages;
  stage.run(`insmod hello.ko whom=${whom}`);
  const during = frames.freePages;
  const listed = stage.run('lsmod').output.includes('hello ');
  stage.run('rmmod hello');
  return { before, during, after: frames.freePages, listed };
}

const parameters: LinuxStep = {
  name: 'parameters',
  title: 'Parameters are given when it is loaded',
  statement:
    'A module can have parameters. They are given when it is loaded; the kernel checks each by its type, and ' +
    'those that the module allows can be read and changed under /sys/module while it runs.',
  by: 'hello.ko, params.ko',
  play(stage) {
    stage.boot();
    stage.run('insmod hello.ko whom=Ada times=2');
    const was = stage.run('cat /sys/module/hello/parameters/whom');
    stage.run('echo -n Grace > /sys/module/hello/parameters/whom');
    const is = stage.run('cat /sys/module/hello/parameters/whom');
    stage.run('rmmod hello');
    const wrong = stage.run('insmod params.ko a_byte=256');
    const unwilling = stage.run('insmod hello.ko times=9');
    stage.fact(
      'the values given were used, and changed while it ran',
      was.output === 'Ada\n' && is.output === 'Grace\n' && stage.logged('hello: goodbye, Grace'),
    );
    stage.fact('256 is refused for a byte (ERANGE)', wrong.errno === Errno.ERANGE);
    stage.fact('the init function of a module can refuse as well', unwilling.errno === Errno.EINVAL);
  },
};

export const basics: readonly LinuxStep[] = [whatItIs, baseKernel, extend, parameters];
