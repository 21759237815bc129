/** Steps of the tour on Solaris: dependencies that decide what a module sees, drivers, and unloading by the kernel itself. */
import type { SystemStep } from './record.ts';

const words = (line: string): string[] => line.split(' ');

const modules: SystemStep = {
  name: 'solaris',
  title: 'Solaris modules name what they need',
  statement:
    'On Solaris a module finds symbols of the kernel and of the modules that its file names as dependencies, and of ' +
    'nobody else. Those are loaded first and counted, so that they stay as long as they are needed.',
  by: 'modload, modinfo',
  system: 'solaris',
  async play(stage) {
    await stage.boot();
    const stray = await stage.run(words('modload -p misc/stray'));
    stage.say('The same function, from a module whose file says misc/tally:');
    await stage.run(words('modload -p misc/teller'));
    const list = await stage.run(words('modinfo'));
    const id = /^\s*(\d+) .* tally \(/m.exec(list.out)?.[1] ?? '';
    const held = await stage.run(['modunload', '-i', id]);
    stage.fact('an undeclared dependency is an undefined symbol', stray.err.includes('Invalid argument'));
    stage.fact('a declared one was loaded and called', await stage.logged('teller: 5, then 5'));
    stage.fact('a module that another needs is not unloaded', held.code === 16);
  },
};

const driver: SystemStep = {
  name: 'solaris-driver',
  title: 'A Solaris driver is added before it loads',
  statement:
    'A driver needs a major number before it can start. add_drv gives it one in /etc/name_to_major, its driver.conf ' +
    'makes an instance, and attach creates the device file. A STREAMS module is pushed on an open one.',
  by: 'add_drv, push',
  system: 'solaris',
  async play(stage) {
    await stage.boot();
    const early = await stage.run(words('modload -p drv/echo'));
    await stage.run(words('add_drv echo'));
    await stage.run(words('open /devices/pseudo/echo@0:echo'));
    await stage.run(['write', '3', 'two words'], 'write 3 "two words"');
    const got = await stage.run(words('read 3 64'));
    const busy = await stage.run(words('rem_drv echo'));
    await stage.run(words('close 3'));
    await stage.run(words('add_drv loopy'));
    await stage.run(words('open /devices/pseudo/loopy@0:loopy'));
    await stage.run(words('push 3 upper'));
    await stage.run(words('write 3 quiet'));
    const loud = await stage.run(words('read 3'));
    stage.fact('without a major number _init fails (ENXIO)', early.code === 6);
    stage.fact('what was written was read back', got.out === 'two words');
    stage.fact('a driver that is open stays in memory', busy.err.includes('Will be unloaded upon reboot'));
    stage.fact('the pushed module changed what went through', loud.out === 'QUIET');
  },
};

const debug: SystemStep = {
  name: 'solaris-debug',
  title: 'A DEBUG kernel of Solaris unloads actively',
  statement:
    'What was loaded because something needed it goes again when nothing does. A DEBUG kernel does this each minute, to ' +
    'find modules that do not survive it; a switch in /etc/system exempts them.',
  by: 'modunload -i 0',
  system: 'solaris',
  async play(stage) {
    await stage.boot({ debug: 'yes' });
    await stage.run(words('mount -F tinyfs none /mnt'));
    await stage.run(words('modunload -i 0'));
    await stage.run(words('sleep 61'));
    const mounted = await stage.run(words('modinfo -c'));
    await stage.run(words('umount /mnt'));
    await stage.run(words('modload -p misc/hello'));
    await stage.run(words('sleep 61'));
    const after = await stage.run(words('modinfo -c'));
    const state = (out: string, name: string) => new RegExp(` ${name} +(\\w+)/`).exec(out)?.[1];
    stage.fact('a file system that is mounted stays', state(mounted.out, 'tinyfs') === 'LOADED');
    stage.fact('a minute after it is not needed, it is gone', state(after.out, 'tinyfs') === 'UNLOADED');
    stage.fact('what was loaded by hand stays', state(after.out, 'hello') === 'LOADED');
  },
};

export const solaris: readonly SystemStep[] = [modules, driver, debug];
