/** Steps of the tour: faults, and who may load at all. */
import { Errno } from '../../systems/linux/errno.ts';
import type { LinuxStep } from './record.ts';

const DIE = 1 << 7;

const oops: LinuxStep = {
  name: 'oops',
  title: 'A faulty module harms the kernel',
  statement:
    'A module has no wall around it: a wrong pointer in it is a fault of the kernel. Linux stops the thread, writes a report ' +
    '(an oops), and goes on as well as it can; what the module held stays held.',
  by: 'oops_init.ko',
  play(stage) {
    stage.boot();
    const dead = stage.run('insmod oops_init.ko', { logLines: 9 });
    const list = stage.run('lsmod');
    const stuck = stage.run('delete_module oops_init');
    const next = stage.run('insmod hello.ko');
    stage.fact('the loading process was killed', dead.code === 137);
    stage.fact(
      'the report names the place in the module',
      stage.logged('BUG: kernel NULL pointer dereference') && stage.logged('RIP: 0010:oops_init_init+'),
    );
    stage.fact('the broken module cannot be removed', list.output.includes('oops_init') && stuck.code !== 0);
    stage.fact('the kernel goes on, marked (taint D)', next.code === 0 && (stage.k.taint & DIE) !== 0);
  },
};

const privilege: LinuxStep = {
  name: 'privilege',
  title: 'Loading needs privilege',
  statement:
    'Code in the kernel can do everything, so only the administrator (on Linux: who has CAP_SYS_MODULE) may load or remove it.',
  by: 'as nobody insmod',
  play(stage) {
    stage.boot();
    const refused = stage.run('as nobody insmod hello.ko');
    stage.run('insmod hello.ko');
    const kept = stage.run('as nobody delete_module hello');
    stage.fact('nobody may not load (EPERM)', refused.errno === Errno.EPERM);
    stage.fact('nor remove (EPERM)', kept.errno === Errno.EPERM);
  },
};

const switchOff: LinuxStep = {
  name: 'lockdown',
  title: 'Loading can be switched off',
  statement:
    'Attackers like modules as a place to hide. A running kernel can be closed: after kernel.modules_disabled=1 nothing ' +
    'is loaded or removed until the next boot, not even by the administrator.',
  by: 'modules_disabled=1',
  play(stage) {
    stage.boot();
    stage.run('insmod hello.ko');
    stage.run('sysctl -w kernel.modules_disabled=1');
    const load = stage.run('insmod exporter.ko');
    const unload = stage.run('delete_module hello');
    const back = stage.run('sysctl -w kernel.modules_disabled=0');
    stage.fact('no module is loaded any more (EPERM)', load.errno === Errno.EPERM);
    stage.fact('none is removed', unload.errno === Errno.EPERM);
    stage.fact('the switch cannot be turned back (EINVAL)', back.errno === Errno.EINVAL);
  },
};

export const trouble: readonly LinuxStep[] = [oops, privilege, switchOff];
